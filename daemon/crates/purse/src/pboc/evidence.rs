//! What a claim carries to the provider.

use super::attempt::{ATTEMPT_LENGTH, Attempt, DecodeError};
use super::ids::{Mac2, Tac};
use super::purchase::DebitAnswer;
use crate::bytes::take;

/// How the terminal knows that a debit happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Proof {
    /// The card's MAC2 verified for the attempt's own challenge.
    Mac2Verified,
    /// The card's log names the attempt; the card has handed out TAC and MAC2, but no SAM here could check MAC2.
    Mac2NotCheckable,
    /// The card's log names the attempt, and that is all: there is no MAC2 that verifies.
    LogRecord,
    /// The provider has said so, in its signed answer to a query. It has the attempt, and verifies by that answer.
    Provider,
}

/// Everything that a provider needs to verify one claim.
///
/// The TAC is in it wherever the card gave one out; without it the provider has the terminal's word and the card's
/// log only, and decides by its own rules.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ClaimEvidence {
    attempt: Attempt,
    answer: Option<DebitAnswer>,
    proof: Proof,
}

/// The technology that the evidence is of (`P` for PBOC) and the version of its layout.
const EVIDENCE_TAG: [u8; 2] = [b'P', 0x01];

const WITHOUT_ANSWER: usize = EVIDENCE_TAG.len() + 2 + ATTEMPT_LENGTH;
const WITH_ANSWER: usize = WITHOUT_ANSWER + 8;

/// A MAC2 was said to exist, and there is no answer of the card that could hold one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this kind of proof needs the card's TAC and MAC2")]
pub struct AnswerMissing;

impl AnswerMissing {
    /// False: the same parts give the same answer.
    pub fn is_transient(self) -> bool {
        false
    }
}

impl ClaimEvidence {
    /// Puts the evidence together.
    ///
    /// # Errors
    /// [`AnswerMissing`] for a proof by MAC2 without the card's answer: a mistake of the caller.
    pub fn new(attempt: Attempt, answer: Option<DebitAnswer>, proof: Proof) -> Result<Self, AnswerMissing> {
        match (proof, answer) {
            (Proof::Mac2Verified | Proof::Mac2NotCheckable, None) => Err(AnswerMissing),
            (Proof::Mac2Verified | Proof::Mac2NotCheckable, Some(_))
            | (Proof::LogRecord | Proof::Provider, _) => Ok(Self {
                attempt,
                answer,
                proof,
            }),
        }
    }

    /// The attempt that became a debit.
    pub fn attempt(&self) -> &Attempt {
        &self.attempt
    }

    /// The card's TAC and MAC2, where it gave them out.
    pub fn answer(&self) -> Option<DebitAnswer> {
        self.answer
    }

    /// How the terminal knows.
    pub fn proof(&self) -> Proof {
        self.proof
    }

    /// The canonical bytes: the same evidence always gives the same ones.
    ///
    /// `50 01` · proof 1 (01 MAC2 verified, 02 MAC2 not checkable, 03 log record, 04 provider) · 01 TAC 4 MAC2 4, or 00 ·
    /// the attempt as [`Attempt::encode`] writes it.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(WITH_ANSWER);
        bytes.extend_from_slice(&EVIDENCE_TAG);
        bytes.push(self.proof.code());
        bytes.push(u8::from(self.answer.is_some()));
        if let Some(answer) = &self.answer {
            bytes.extend_from_slice(answer.tac.as_bytes());
            bytes.extend_from_slice(answer.mac2.as_bytes());
        }
        bytes.extend_from_slice(&self.attempt.encode());
        bytes
    }

    /// Reads what [`encode`](Self::encode) wrote, and nothing else.
    ///
    /// # Errors
    /// [`DecodeError`]: the bytes are damaged, or of another technology or version.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        if !bytes
            .iter()
            .zip(&EVIDENCE_TAG)
            .all(|(found, known)| found == known)
        {
            return Err(DecodeError::Version);
        }
        let expected = if bytes.get(3) == Some(&0x01) {
            WITH_ANSWER
        } else {
            WITHOUT_ANSWER
        };
        if bytes.len() != expected {
            let found = bytes.len();
            return Err(DecodeError::Length { expected, found });
        }
        let invalid = |field| DecodeError::Field { field };
        let ([_tag, _version, proof, has_answer], rest) = take(bytes);
        let (answer, rest) = match has_answer {
            0x00 => (None, rest),
            0x01 => {
                let (tac, rest) = take(rest);
                let (mac2, rest) = take(rest);
                let (tac, mac2) = (Tac::new(tac), Mac2::new(mac2));
                (Some(DebitAnswer { tac, mac2 }), rest)
            }
            _ => return Err(invalid("the mark of the card's answer")),
        };
        let proof = Proof::from_code(proof).ok_or(invalid("the proof"))?;
        Self::new(Attempt::decode(rest)?, answer, proof).map_err(|AnswerMissing| invalid("the proof"))
    }
}

impl Proof {
    fn code(self) -> u8 {
        match self {
            Self::Mac2Verified => 0x01,
            Self::Mac2NotCheckable => 0x02,
            Self::LogRecord => 0x03,
            Self::Provider => 0x04,
        }
    }

    fn from_code(code: u8) -> Option<Self> {
        [
            Self::Mac2Verified,
            Self::Mac2NotCheckable,
            Self::LogRecord,
            Self::Provider,
        ]
        .into_iter()
        .find(|proof| proof.code() == code)
    }
}
