//! The commands of a load (S9 to S13), and what is stored of one.
//!
//! ```text
//!   INITIALIZE FOR LOAD ──▶ InitLoadAnswer        repeatable, changes nothing but the challenge; MAC1 is for the provider
//!          │ the LoadAttempt is stored, then sent; the provider checks MAC1 and answers with MAC2
//!          ▼
//!   CREDIT FOR LOAD ──▶ LoadTac                   sent once; the TAC is for the provider
//!          │
//!          └── anything else, or nothing ──▶ in doubt: GET TRANSACTION PROVE
//! ```
//! A terminal has no load key: it checks neither MAC1 nor the TAC. What it goes by is the card's online SN, which counts
//! loads, and the provider.

use super::amount::PurseAmount;
use super::attempt::DecodeError;
use super::date::{BcdDate, BcdTime, TerminalTime};
use super::identify::CardFacts;
use super::ids::{
    AlgorithmId, CardRandom, IssuerId, KeyVersion, LoadMac1, LoadMac2, LoadTac, OnlineSn, PsamTerminalNumber,
    SerialNumber,
};
use super::profile::{Profile, PurseKind};
use crate::apdu::{CommandApdu, CommandName, Protocol};
use crate::bytes::take;
use crate::dialogue::{Answer, Exchange, one_command_dialogue};
use crate::error::CardError;

/// What the card answers to INITIALIZE FOR LOAD.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct InitLoadAnswer {
    /// The balance before the load.
    pub old_balance: PurseAmount,
    /// The card's counter of loads before this one.
    pub online_sn: OnlineSn,
    /// The version of the card's load key.
    pub key_version: KeyVersion,
    /// The algorithm of that key.
    pub algorithm_id: AlgorithmId,
    /// The card's challenge. The next INITIALIZE makes another and kills this one, and every MAC2 made for it.
    pub random: CardRandom,
    /// The card's authenticator of all this, amount and PSAM terminal number. Only the provider can check it.
    pub mac1: LoadMac1,
}

/// INITIALIZE FOR LOAD: asks the card for a challenge for this amount. No money moves. Needs the card's PIN.
///
/// # Errors
/// [`CardError::PinNeeded`] (`6982`), [`CardError::CounterExhausted`] (`9402`), [`CardError::KeyIndexNotSupported`] (`9403`),
/// [`CardError::ConditionsNotSatisfied`] (`6985`) also where the purse cannot hold so much, and the card's other answers.
#[derive(Debug)]
pub struct InitializeLoad {
    exchange: Exchange,
}

impl InitializeLoad {
    /// Begins a load of `amount` into the purse of `profile`. For the proof of a void the provider's challenge stands in
    /// place of the PSAM terminal number: MAC1 covers it.
    pub fn new(
        profile: &Profile,
        amount: PurseAmount,
        terminal_number: PsamTerminalNumber,
        protocol: Protocol,
    ) -> Self {
        let header = [0x80, 0x50, 0x00, profile.purse.p2()];
        let mut data = [profile.key_index; 11];
        data[1..5].copy_from_slice(&amount.to_bytes());
        data[5..].copy_from_slice(terminal_number.as_bytes());
        let name = CommandName::InitializeLoad;
        let command = CommandApdu::new(name, header, &data, Some(0x10), protocol);
        Self {
            exchange: Exchange::new(command, protocol),
        }
    }
}

fn initialized(answer: Answer) -> Result<InitLoadAnswer, CardError> {
    let data: [u8; 16] = answer.exactly()?;
    Ok(InitLoadAnswer::from_bytes(&data))
}

one_command_dialogue!(InitializeLoad => InitLoadAnswer, initialized);

impl InitLoadAnswer {
    fn from_bytes(data: &[u8; 16]) -> Self {
        let (old_balance, rest) = take(data);
        let (online_sn, rest) = take(rest);
        let ([key_version, algorithm_id], rest) = take(rest);
        let (random, rest) = take(rest);
        let (mac1, _) = take(rest);
        Self {
            old_balance: PurseAmount::from_bytes(old_balance),
            online_sn: OnlineSn::new(u16::from_be_bytes(online_sn)),
            key_version: KeyVersion(key_version),
            algorithm_id: AlgorithmId(algorithm_id),
            random: CardRandom::new(random),
            mac1: LoadMac1::new(mac1),
        }
    }

    fn to_bytes(self) -> [u8; 16] {
        let mut data = [0; 16];
        data[..4].copy_from_slice(&self.old_balance.to_bytes());
        data[4..6].copy_from_slice(&self.online_sn.to_bytes());
        data[6..8].copy_from_slice(&[self.key_version.0, self.algorithm_id.0]);
        data[8..12].copy_from_slice(self.random.as_bytes());
        data[12..].copy_from_slice(self.mac1.as_bytes());
        data
    }
}

/// One attempt to load a purse: what the provider is asked with, and what a card is asked about later.
///
/// Stored and synced before it is sent: from then on a MAC2 may exist.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct LoadAttempt {
    /// The card's issuer.
    pub issuer_id: IssuerId,
    /// The card.
    pub serial: SerialNumber,
    /// Which of its purses.
    pub purse: PurseKind,
    /// The index of the load key that was asked for.
    pub key_index: u8,
    /// The number that the terminal gave the card as its own.
    pub terminal_number: PsamTerminalNumber,
    /// The amount to load.
    pub amount: PurseAmount,
    /// What the card answered.
    pub init: InitLoadAnswer,
}

/// The first bytes of an encoded attempt to load: its kind, which no attempt to debit has, and its version.
const LOAD_ATTEMPT_TAG: [u8; 2] = [0x4C, 0x01];

/// Length of an encoded attempt to load.
pub const LOAD_ATTEMPT_LENGTH: usize = 48;

impl LoadAttempt {
    /// The attempt to load `amount` onto the card that answered `init` to an INITIALIZE for it.
    pub fn new(
        profile: &Profile,
        facts: &CardFacts,
        init: InitLoadAnswer,
        amount: PurseAmount,
        terminal_number: PsamTerminalNumber,
    ) -> Self {
        Self {
            issuer_id: facts.issuer_id,
            serial: facts.serial,
            purse: profile.purse,
            key_index: profile.key_index,
            terminal_number,
            amount,
            init,
        }
    }

    /// True where `facts` are of the card that the attempt was made with.
    pub fn is_of(&self, facts: &CardFacts) -> bool {
        self.serial == facts.serial && self.issuer_id == facts.issuer_id
    }

    /// The balance after the load; none for a purse that cannot hold so much.
    pub fn new_balance(&self) -> Option<PurseAmount> {
        let new = self.init.old_balance.minor().checked_add(self.amount.minor());
        new.map(PurseAmount::new)
    }

    /// The canonical bytes: the same attempt always gives the same ones.
    ///
    /// `4C 01` · issuer id 8 · serial number 10 · purse 1 (01 ED, 02 EP) · key index 1 · PSAM terminal number 6 · amount 4 ·
    /// the card's answer 16. Numbers are big-endian.
    pub fn encode(&self) -> Vec<u8> {
        [
            &LOAD_ATTEMPT_TAG[..],
            self.issuer_id.as_bytes(),
            self.serial.as_bytes(),
            &[self.purse.p2(), self.key_index],
            self.terminal_number.as_bytes(),
            &self.amount.to_bytes(),
            &self.init.to_bytes(),
        ]
        .concat()
    }

    /// Reads what [`encode`](Self::encode) wrote, and nothing else.
    ///
    /// # Errors
    /// [`DecodeError`]: the stored record is damaged, or from a newer Purser. Keep it and stop.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let begins_so = bytes
            .iter()
            .zip(&LOAD_ATTEMPT_TAG)
            .all(|(found, known)| found == known);
        if !begins_so {
            return Err(DecodeError::Version);
        }
        let found = bytes.len();
        let bytes: &[u8; LOAD_ATTEMPT_LENGTH] = bytes.try_into().map_err(|_| DecodeError::Length {
            expected: LOAD_ATTEMPT_LENGTH,
            found,
        })?;
        let ([_kind, _version], rest) = take(bytes);
        let (issuer_id, rest) = take(rest);
        let (serial, rest) = take(rest);
        let ([purse, key_index], rest) = take(rest);
        let (terminal_number, rest) = take(rest);
        let (amount, rest) = take(rest);
        let (init, _) = take(rest);
        let field = "the purse";
        Ok(Self {
            issuer_id: IssuerId::new(issuer_id),
            serial: SerialNumber::new(serial),
            purse: PurseKind::from_p2(purse).ok_or(DecodeError::Field { field })?,
            key_index,
            terminal_number: PsamTerminalNumber::new(terminal_number),
            amount: PurseAmount::from_bytes(amount),
            init: InitLoadAnswer::from_bytes(&init),
        })
    }
}

/// What the provider answers an attempt with: all that CREDIT FOR LOAD carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoadRelease {
    /// The provider's date and time: MAC2, the TAC and the card's log have them.
    pub time: TerminalTime,
    /// The provider's authenticator.
    pub mac2: LoadMac2,
}

impl LoadRelease {
    /// From the seven bytes of date and time and the four of MAC2, as the provider tells them.
    ///
    /// # Errors
    /// [`DecodeError::Field`]: the bytes are no date and time. Do not send them to a card.
    pub fn new(date_time: [u8; 7], mac2: [u8; 4]) -> Result<Self, DecodeError> {
        let [date @ .., _, _, _] = date_time;
        let [_, _, _, _, time @ ..] = date_time;
        let invalid = |field| DecodeError::Field { field };
        Ok(Self {
            time: TerminalTime {
                date: BcdDate::new(date).map_err(|_| invalid("the date"))?,
                time: BcdTime::new(time).map_err(|_| invalid("the time"))?,
            },
            mac2: LoadMac2::new(mac2),
        })
    }
}

/// CREDIT FOR LOAD: puts the value onto the card.
///
/// Send it only when it is stored and synced that it may be sent. It is **never repeated** (rule P2). From its first byte on,
/// any end but an `Ok` is *in doubt* until [`ProveLoad`] has asked the card: an `Err`, a lost answer. Even `9302` and `6985`
/// tell nothing for certain, as the first of two CREDITs may have been executed. A `61xx` is followed by GET RESPONSE, which
/// repeats nothing.
#[derive(Debug)]
pub struct CreditLoad {
    exchange: Exchange,
}

impl CreditLoad {
    /// The credit that the provider's answer authorises.
    pub fn new(release: &LoadRelease, protocol: Protocol) -> Self {
        let header = [0x80, 0x52, 0x00, 0x00];
        let mut data = [0; 11];
        data[..4].copy_from_slice(release.time.date.as_bytes());
        data[4..7].copy_from_slice(release.time.time.as_bytes());
        data[7..].copy_from_slice(release.mac2.as_bytes());
        let command = CommandApdu::new(CommandName::CreditLoad, header, &data, Some(0x04), protocol);
        Self {
            exchange: Exchange::new(command, protocol),
        }
    }
}

fn load_tac(answer: Answer) -> Result<LoadTac, CardError> {
    answer.exactly().map(LoadTac::new)
}

one_command_dialogue!(CreditLoad => LoadTac, load_tac);

/// GET TRANSACTION PROVE for the load that an attempt may have become. Needs no PIN.
///
/// Cards keep the proof of their last load only, and hand out *a* proof: that of the load that moved the counter from the
/// attempt's online SN to the next. Whether it is this load's is for the provider to say, who alone can check the TAC.
///
/// # Errors
/// [`CardError::ProofNotAvailable`] (`9406`) or another status word where the card has none.
#[derive(Debug)]
pub struct ProveLoad {
    exchange: Exchange,
}

impl ProveLoad {
    /// Asks for the proof of the load that began at this counter; none where the counter stood at its end, so that no load
    /// could follow.
    pub fn new(purse: PurseKind, before: OnlineSn, protocol: Protocol) -> Option<Self> {
        let header = [0x80, 0x5A, 0x00, purse.load_type()];
        let sn = before.next()?.to_bytes();
        let command = CommandApdu::new(CommandName::Prove, header, &sn, Some(0x04), protocol);
        Some(Self {
            exchange: Exchange::new(command, protocol),
        })
    }
}

one_command_dialogue!(ProveLoad => LoadTac, load_tac);
