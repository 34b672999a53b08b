//! Command APDUs as ISO/IEC 7816-4 lays them out (short form).

use std::fmt;

use zeroize::Zeroizing;

/// What reader and card negotiated to carry the commands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// Characters on contacts, ISO/IEC 7816-3 T=0. A command with data goes without Le; the card answers `61xx`
    /// and the data is fetched with GET RESPONSE.
    T0,
    /// Blocks on contacts, ISO/IEC 7816-3 T=1.
    T1,
    /// Contactless, ISO/IEC 14443-4.
    TCl,
}

/// The commands that this crate sends. Source: epurse facts §1.5, ISO/IEC 7816-4.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CommandName {
    /// SELECT by application name.
    Select,
    /// READ BINARY.
    ReadBinary,
    /// READ RECORD.
    ReadRecord,
    /// VERIFY (PIN).
    Verify,
    /// GET BALANCE.
    GetBalance,
    /// INITIALIZE FOR PURCHASE.
    InitializePurchase,
    /// DEBIT FOR PURCHASE.
    Debit,
    /// INITIALIZE FOR LOAD.
    InitializeLoad,
    /// CREDIT FOR LOAD.
    CreditLoad,
    /// GET TRANSACTION PROVE.
    Prove,
    /// INIT_SAM_FOR_PURCHASE, to a PSAM.
    InitSam,
    /// CREDIT_SAM_FOR_PURCHASE, to a PSAM.
    CreditSam,
    /// GET RESPONSE: fetches what the command before it left in the card.
    GetResponse,
}

impl CommandName {
    /// True for a command that changes nothing in the card, so that it may be sent again (rule P2).
    ///
    /// INITIALIZE is among them: it may be repeated freely and only replaces the challenge. INIT_SAM is too: it uses up
    /// one more terminal SN.
    pub fn may_be_repeated(self) -> bool {
        match self {
            Self::Select
            | Self::ReadBinary
            | Self::ReadRecord
            | Self::GetBalance
            | Self::InitializePurchase
            | Self::InitializeLoad
            | Self::Prove
            | Self::InitSam
            | Self::GetResponse => true,
            Self::Verify | Self::Debit | Self::CreditLoad | Self::CreditSam => false,
        }
    }
}

impl fmt::Display for CommandName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Select => "SELECT",
            Self::ReadBinary => "READ BINARY",
            Self::ReadRecord => "READ RECORD",
            Self::Verify => "VERIFY",
            Self::GetBalance => "GET BALANCE",
            Self::InitializePurchase => "INITIALIZE FOR PURCHASE",
            Self::Debit => "DEBIT FOR PURCHASE",
            Self::InitializeLoad => "INITIALIZE FOR LOAD",
            Self::CreditLoad => "CREDIT FOR LOAD",
            Self::Prove => "GET TRANSACTION PROVE",
            Self::InitSam => "INIT_SAM_FOR_PURCHASE",
            Self::CreditSam => "CREDIT_SAM_FOR_PURCHASE",
            Self::GetResponse => "GET RESPONSE",
        })
    }
}

/// The first four bytes of a command: CLA, INS, P1, P2.
pub(crate) type Header = [u8; 4];

/// One command, ready for the reader.
///
/// A VERIFY holds the PIN, so the bytes are wiped when the command is dropped and `Debug` shows none of the data.
#[derive(Clone)]
pub struct CommandApdu {
    name: CommandName,
    bytes: Zeroizing<Vec<u8>>,
    data_length: u8,
    has_le: bool,
}

/// Where the data starts in a command that has some: after CLA, INS, P1, P2 and Lc.
const DATA_OFFSET: usize = 5;
/// CLA, INS, P1, P2, Lc, at most 255 bytes of data, Le.
const COMMAND_MAX: usize = DATA_OFFSET + 255 + 1;

impl CommandApdu {
    /// Builds a command. `data` is at most 255 bytes; Le is left out where `protocol` wants it so.
    pub(crate) fn new(
        name: CommandName,
        header: Header,
        data: &[u8],
        le: Option<u8>,
        protocol: Protocol,
    ) -> Self {
        let data_length = u8::try_from(data.len()).expect("every command of this crate is a short one");
        let le = le.filter(|_| protocol != Protocol::T0 || data.is_empty());
        // The full capacity at once: a vector that grew would leave a copy of a PIN behind.
        let mut bytes = Zeroizing::new(Vec::with_capacity(COMMAND_MAX));
        bytes.extend_from_slice(&header);
        if data_length > 0 {
            bytes.push(data_length);
            bytes.extend_from_slice(data);
        }
        bytes.extend(le);
        Self {
            name,
            bytes,
            data_length,
            has_le: le.is_some(),
        }
    }

    /// The same command that expects `le` bytes: the answer to `6Cxx`.
    pub(crate) fn with_le(mut self, le: u8) -> Self {
        if self.has_le {
            self.bytes.pop();
        }
        self.bytes.push(le);
        self.has_le = true;
        self
    }

    /// The bytes for the reader.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Which command this is.
    pub fn name(&self) -> CommandName {
        self.name
    }

    /// The class byte.
    pub fn cla(&self) -> u8 {
        self.bytes[0]
    }

    /// The instruction byte.
    pub fn ins(&self) -> u8 {
        self.bytes[1]
    }

    /// The first parameter.
    pub fn p1(&self) -> u8 {
        self.bytes[2]
    }

    /// The second parameter.
    pub fn p2(&self) -> u8 {
        self.bytes[3]
    }

    /// The command data; empty if there is none. Secret in a VERIFY.
    pub fn data(&self) -> &[u8] {
        if self.data_length == 0 {
            return &[];
        }
        &self.bytes[DATA_OFFSET..DATA_OFFSET + usize::from(self.data_length)]
    }

    /// The number of bytes that the command asks for, as sent: 00 means up to 256. None where no Le is sent.
    pub fn le(&self) -> Option<u8> {
        self.bytes.last().copied().filter(|_| self.has_le)
    }
}

impl fmt::Debug for CommandApdu {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let header = hex::encode_upper(&self.bytes[..4]);
        write!(f, "{} {header} Lc={}", self.name, self.data_length)?;
        match self.le() {
            Some(le) => write!(f, " Le={le:02X}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: Header = [0x00, 0x20, 0x00, 0x07];

    #[test]
    fn le_is_left_out_of_a_command_with_data_under_t0_only() {
        let under = |protocol| CommandApdu::new(CommandName::Prove, HEADER, &[0xAA, 0xBB], Some(8), protocol);
        assert_eq!(
            under(Protocol::T0).as_bytes(),
            [0x00, 0x20, 0x00, 0x07, 2, 0xAA, 0xBB]
        );
        assert_eq!(under(Protocol::T0).le(), None);
        for protocol in [Protocol::T1, Protocol::TCl] {
            let command = under(protocol);
            assert_eq!(command.as_bytes(), [0x00, 0x20, 0x00, 0x07, 2, 0xAA, 0xBB, 8]);
            assert_eq!((command.data(), command.le()), (&[0xAA, 0xBB][..], Some(8)));
        }
        let read = CommandApdu::new(CommandName::ReadBinary, HEADER, &[], Some(0x1E), Protocol::T0);
        assert_eq!(read.as_bytes(), [0x00, 0x20, 0x00, 0x07, 0x1E]);
        assert_eq!((read.data(), read.le()), (&[][..], Some(0x1E)));
    }

    #[test]
    fn another_le_replaces_the_first_or_is_added() {
        let read = CommandApdu::new(CommandName::ReadBinary, HEADER, &[], Some(0x1E), Protocol::T1);
        assert_eq!(read.with_le(0x10).as_bytes(), [0x00, 0x20, 0x00, 0x07, 0x10]);
        let prove = CommandApdu::new(CommandName::Prove, HEADER, &[1], Some(8), Protocol::T0);
        assert_eq!(prove.with_le(9).as_bytes(), [0x00, 0x20, 0x00, 0x07, 1, 1, 9]);
    }

    #[test]
    fn debug_shows_the_header_and_no_data() {
        let verify = CommandApdu::new(
            CommandName::Verify,
            HEADER,
            &[0x12, 0x34, 0x56],
            None,
            Protocol::T1,
        );
        assert_eq!(format!("{verify:?}"), "VERIFY 00200007 Lc=3");
        assert_eq!(
            (verify.cla(), verify.ins(), verify.p1(), verify.p2()),
            (0x00, 0x20, 0x00, 0x07)
        );
    }
}
