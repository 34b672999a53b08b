//! What is stored before a debit, so that every question about it can be answered after a crash (rule P6).

use super::amount::PurseAmount;
use super::date::{BcdDate, BcdTime, TerminalTime};
use super::identify::CardFacts;
use super::ids::{
    AlgorithmId, Asn, CardRandom, IssuerId, KeyVersion, OfflineSn, PsamTerminalNumber, TerminalSn,
};
use super::profile::{Profile, PurseKind};
use super::purchase::InitAnswer;
use crate::bytes::take;

/// One attempt to debit a purse: everything that DEBIT, the MACs, recovery and a claim are made of.
///
/// Stored and synced before the first byte of DEBIT. With it a software SAM derives the session key again after a
/// restart, so that a proof from the card can still be checked.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Attempt {
    /// The card's issuer.
    pub issuer_id: IssuerId,
    /// The card.
    pub asn: Asn,
    /// Which of its purses.
    pub purse: PurseKind,
    /// The index of the purchase key that was asked for.
    pub key_index: u8,
    /// The terminal's number in MACs, claim and log.
    pub terminal_number: PsamTerminalNumber,
    /// The terminal's counter: never used for another attempt.
    pub terminal_sn: TerminalSn,
    /// The card's counter before the debit.
    pub offline_sn: OfflineSn,
    /// The card's challenge.
    pub random: CardRandom,
    /// The version of the card's purchase key.
    pub key_version: KeyVersion,
    /// The algorithm of that key.
    pub algorithm_id: AlgorithmId,
    /// The balance before the debit.
    pub old_balance: PurseAmount,
    /// The amount to debit.
    pub amount: PurseAmount,
    /// The terminal's local time.
    pub time: TerminalTime,
}

/// The first byte of an encoded attempt. Another layout gets another number; this one is read for ever.
const ATTEMPT_VERSION: u8 = 0x01;

/// Length of an encoded attempt.
pub const ATTEMPT_LENGTH: usize = 52;

/// Why stored bytes are no attempt or no evidence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// There are too few or too many bytes.
    #[error("the stored bytes have {found} bytes instead of {expected}: the record is damaged")]
    Length {
        /// How many there have to be.
        expected: usize,
        /// How many there are.
        found: usize,
    },
    /// The bytes begin with something else: another technology or version.
    #[error("the stored bytes are of a kind or version that this Purser does not know: install a newer one")]
    Version,
    /// A field holds what it cannot hold.
    #[error("{field} in the stored bytes is not valid: the record is damaged")]
    Field {
        /// Which field.
        field: &'static str,
    },
}

impl DecodeError {
    /// False: the same bytes give the same answer.
    pub fn is_transient(self) -> bool {
        match self {
            Self::Length { .. } | Self::Version | Self::Field { .. } => false,
        }
    }
}

impl Attempt {
    /// The attempt to debit `amount` from the card that answered `init` to an INITIALIZE for it.
    pub fn new(
        profile: &Profile,
        facts: &CardFacts,
        init: &InitAnswer,
        amount: PurseAmount,
        terminal_number: PsamTerminalNumber,
        terminal_sn: TerminalSn,
        time: TerminalTime,
    ) -> Self {
        Self {
            issuer_id: facts.issuer_id,
            asn: facts.asn,
            purse: profile.purse,
            key_index: profile.key_index,
            terminal_number,
            terminal_sn,
            offline_sn: init.offline_sn,
            random: init.random,
            key_version: init.key_version,
            algorithm_id: init.algorithm_id,
            old_balance: init.old_balance,
            amount,
            time,
        }
    }

    /// True where `facts` are of the card that the attempt was made with.
    pub fn is_of(&self, facts: &CardFacts) -> bool {
        self.asn == facts.asn && self.issuer_id == facts.issuer_id
    }

    /// The canonical bytes: the same attempt always gives the same ones.
    ///
    /// `01` · issuer id 8 · ASN 8 · purse 1 (01 ED, 02 EP) · key index 1 · PSAM terminal number 6 · terminal SN 4 ·
    /// offline SN 2 · challenge 4 · key version 1 · algorithm id 1 · old balance 4 · amount 4 · date 4 · time 3.
    /// Numbers are big-endian.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(ATTEMPT_LENGTH);
        bytes.push(ATTEMPT_VERSION);
        bytes.extend_from_slice(self.issuer_id.as_bytes());
        bytes.extend_from_slice(self.asn.as_bytes());
        bytes.extend_from_slice(&[self.purse.p2(), self.key_index]);
        bytes.extend_from_slice(self.terminal_number.as_bytes());
        bytes.extend_from_slice(&self.terminal_sn.to_bytes());
        bytes.extend_from_slice(&self.offline_sn.to_bytes());
        bytes.extend_from_slice(self.random.as_bytes());
        bytes.extend_from_slice(&[self.key_version.0, self.algorithm_id.0]);
        bytes.extend_from_slice(&self.old_balance.to_bytes());
        bytes.extend_from_slice(&self.amount.to_bytes());
        bytes.extend_from_slice(self.time.date.as_bytes());
        bytes.extend_from_slice(self.time.time.as_bytes());
        bytes
    }

    /// Reads what [`encode`](Self::encode) wrote, and nothing else.
    ///
    /// # Errors
    /// [`DecodeError`]: the stored record is damaged, or from a newer Purser. Keep it and stop.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        if bytes.first().is_some_and(|&version| version != ATTEMPT_VERSION) {
            return Err(DecodeError::Version);
        }
        if bytes.len() != ATTEMPT_LENGTH {
            return Err(DecodeError::Length {
                expected: ATTEMPT_LENGTH,
                found: bytes.len(),
            });
        }
        let ([_version], rest) = take(bytes);
        let (issuer_id, rest) = take(rest);
        let (asn, rest) = take(rest);
        let ([purse, key_index], rest) = take(rest);
        let (terminal_number, rest) = take(rest);
        let (terminal_sn, rest) = take(rest);
        let (offline_sn, rest) = take(rest);
        let (random, rest) = take(rest);
        let ([key_version, algorithm_id], rest) = take(rest);
        let (old_balance, rest) = take(rest);
        let (amount, rest) = take(rest);
        let (date, rest) = take(rest);
        let (time, _) = take(rest);
        let invalid = |field| DecodeError::Field { field };
        Ok(Self {
            issuer_id: IssuerId::new(issuer_id),
            asn: Asn::new(asn),
            purse: PurseKind::from_p2(purse).ok_or(invalid("the purse"))?,
            key_index,
            terminal_number: PsamTerminalNumber::new(terminal_number),
            terminal_sn: TerminalSn::new(u32::from_be_bytes(terminal_sn)),
            offline_sn: OfflineSn::new(u16::from_be_bytes(offline_sn)),
            random: CardRandom::new(random),
            key_version: KeyVersion(key_version),
            algorithm_id: AlgorithmId(algorithm_id),
            old_balance: PurseAmount::from_bytes(old_balance),
            amount: PurseAmount::from_bytes(amount),
            time: TerminalTime {
                date: BcdDate::new(date).map_err(|_| invalid("the date"))?,
                time: BcdTime::new(time).map_err(|_| invalid("the time"))?,
            },
        })
    }
}
