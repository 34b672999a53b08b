//! The two commands of a purchase.
//!
//! ```text
//!   INITIALIZE FOR PURCHASE ──▶ InitAnswer        repeatable, changes nothing but the challenge
//!          │ the SAM makes MAC1; the Attempt is stored (rule P6)
//!          ▼
//!   DEBIT FOR PURCHASE ──▶ DebitAnswer            sent once; MAC2 decides (rule P2)
//!          │
//!          └── anything else, or nothing ──▶ in doubt: Recover
//! ```

use super::amount::PurseAmount;
use super::attempt::{Attempt, DecodeError};
use super::ids::{AlgorithmId, CardRandom, KeyVersion, Mac1, Mac2, OfflineSn, PsamTerminalNumber, Tac};
use super::profile::{Profile, PurseKind};
use crate::apdu::{CommandApdu, CommandName, Protocol};
use crate::bytes::take;
use crate::dialogue::{Answer, Exchange, one_command_dialogue};
use crate::error::CardError;

/// What the card answers to INITIALIZE FOR PURCHASE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InitAnswer {
    /// The balance before the purchase.
    pub old_balance: PurseAmount,
    /// The card's counter before the purchase.
    pub offline_sn: OfflineSn,
    /// How far an ED may be overdrawn; zero for an EP.
    pub overdraft_limit: PurseAmount,
    /// The version of the card's purchase key.
    pub key_version: KeyVersion,
    /// The algorithm of that key.
    pub algorithm_id: AlgorithmId,
    /// The card's challenge. The next INITIALIZE makes another and kills this one.
    pub random: CardRandom,
}

/// INITIALIZE FOR PURCHASE: asks the card for a challenge for this amount. No money moves.
///
/// # Errors
/// [`CardError::InsufficientFunds`] (`9401`), [`CardError::PinNeeded`] (`6982`), and the card's other answers.
#[derive(Debug)]
pub struct InitializePurchase {
    exchange: Exchange,
}

impl InitializePurchase {
    /// Begins a purchase of `amount` from the purse of `profile`.
    pub fn new(
        profile: &Profile,
        amount: PurseAmount,
        terminal_number: PsamTerminalNumber,
        protocol: Protocol,
    ) -> Self {
        let command = initialize(
            profile.purse,
            profile.key_index,
            amount,
            terminal_number,
            protocol,
        );
        Self {
            exchange: Exchange::new(command, protocol),
        }
    }
}

one_command_dialogue!(InitializePurchase => InitAnswer, InitAnswer::from_answer);

pub(crate) fn initialize(
    purse: PurseKind,
    key_index: u8,
    amount: PurseAmount,
    terminal_number: PsamTerminalNumber,
    protocol: Protocol,
) -> CommandApdu {
    let header = [0x80, 0x50, 0x01, purse.p2()];
    let mut data = [key_index; 11];
    data[1..5].copy_from_slice(&amount.to_bytes());
    data[5..].copy_from_slice(terminal_number.as_bytes());
    CommandApdu::new(
        CommandName::InitializePurchase,
        header,
        &data,
        Some(0x0F),
        protocol,
    )
}

impl InitAnswer {
    pub(crate) fn from_answer(answer: Answer) -> Result<Self, CardError> {
        let data: [u8; 15] = answer.exactly()?;
        let (old_balance, rest) = take(&data);
        let (offline_sn, rest) = take(rest);
        let ([limit_high, limit_middle, limit_low], rest) = take(rest);
        let ([key_version, algorithm_id], rest) = take(rest);
        let (random, _) = take(rest);
        Ok(Self {
            old_balance: PurseAmount::from_bytes(old_balance),
            offline_sn: OfflineSn::new(u16::from_be_bytes(offline_sn)),
            overdraft_limit: PurseAmount::from_bytes([0, limit_high, limit_middle, limit_low]),
            key_version: KeyVersion(key_version),
            algorithm_id: AlgorithmId(algorithm_id),
            random: CardRandom::new(random),
        })
    }
}

/// What the card answers to a DEBIT, or later to GET TRANSACTION PROVE.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct DebitAnswer {
    /// The evidence for the issuer. The terminal cannot check it.
    pub tac: Tac,
    /// The card's authenticator for the terminal: check it with the SAM before believing that money moved.
    pub mac2: Mac2,
}

/// The first byte of a stored answer. Another layout gets another number.
const ANSWER_VERSION: u8 = 0x01;

/// Length of a stored answer.
const ANSWER_LENGTH: usize = 9;

impl DebitAnswer {
    /// The canonical bytes for the journal: `01` · TAC 4 · MAC2 4.
    pub fn encode(&self) -> Vec<u8> {
        [&[ANSWER_VERSION][..], self.tac.as_bytes(), self.mac2.as_bytes()].concat()
    }

    /// Reads what [`encode`](Self::encode) wrote, and nothing else.
    ///
    /// # Errors
    /// [`DecodeError`]: the bytes are damaged, or from a newer Purser. Go on without them, and keep them.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        if bytes.first().is_some_and(|&version| version != ANSWER_VERSION) {
            return Err(DecodeError::Version);
        }
        let bytes: &[u8; ANSWER_LENGTH] = bytes.try_into().map_err(|_| DecodeError::Length {
            expected: ANSWER_LENGTH,
            found: bytes.len(),
        })?;
        let ([_version], rest) = take(bytes);
        let (tac, rest) = take(rest);
        let (mac2, _) = take(rest);
        Ok(Self {
            tac: Tac::new(tac),
            mac2: Mac2::new(mac2),
        })
    }
}

/// DEBIT FOR PURCHASE: takes the money.
///
/// Send it only when the [`Attempt`] is stored and synced. It is **never repeated**. From its first byte on, any
/// end but an `Ok` whose MAC2 the SAM accepts is *in doubt* until [`Recover`](super::Recover) has asked the card:
/// an `Err`, a wrong MAC2, a lost answer. Even `9302` and `6985` tell nothing for certain, as the first of two
/// DEBITs may have been executed. A `61xx` is followed by GET RESPONSE, which repeats nothing.
#[derive(Debug)]
pub struct Debit {
    exchange: Exchange,
}

impl Debit {
    /// The debit that `attempt` describes and `mac1` authorises.
    pub fn new(attempt: &Attempt, mac1: &Mac1, protocol: Protocol) -> Self {
        let header = [0x80, 0x54, 0x01, 0x00];
        let mut data = [0; 15];
        data[..4].copy_from_slice(&attempt.terminal_sn.to_bytes());
        data[4..8].copy_from_slice(attempt.time.date.as_bytes());
        data[8..11].copy_from_slice(attempt.time.time.as_bytes());
        data[11..].copy_from_slice(mac1.as_bytes());
        let command = CommandApdu::new(CommandName::Debit, header, &data, Some(0x08), protocol);
        Self {
            exchange: Exchange::new(command, protocol),
        }
    }
}

fn debited(answer: Answer) -> Result<DebitAnswer, CardError> {
    let data: [u8; 8] = answer.exactly()?;
    let (tac, rest) = take(&data);
    let (mac2, _) = take(rest);
    Ok(DebitAnswer {
        tac: Tac::new(tac),
        mac2: Mac2::new(mac2),
    })
}

one_command_dialogue!(Debit => DebitAnswer, debited);
