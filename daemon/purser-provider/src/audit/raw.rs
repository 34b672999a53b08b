//! The documents, read by their offsets. Sources: the layouts as `provider-link` and the PBOC evidence document them.

use sha2::{Digest as _, Sha256};

/// SHA-256 over pieces, one after the other.
pub(super) fn digest(pieces: &[&[u8]]) -> [u8; 32] {
    let mut hash = Sha256::new();
    for piece in pieces {
        hash.update(piece);
    }
    hash.finalize().into()
}

/// The bytes from an offset on.
pub(super) fn part<const N: usize>(bytes: &[u8], from: usize) -> Option<[u8; N]> {
    bytes.get(from..from.checked_add(N)?)?.try_into().ok()
}

pub(super) fn number(bytes: &[u8], from: usize) -> Option<u64> {
    part(bytes, from).map(u64::from_be_bytes)
}

pub(super) fn currency(bytes: &[u8], from: usize) -> Option<String> {
    let letters: [u8; 3] = part(bytes, from)?;
    String::from_utf8(letters.to_vec()).ok()
}

/// An item: a claim (`PCLM`) or a late refund (`PLRF`).
#[derive(Debug)]
pub(super) struct Item {
    pub(super) is_claim: bool,
    /// The sale's number; of a late refund zeros.
    pub(super) operation: [u8; 16],
    /// Card 10 · PSAM terminal number 6 · terminal SN 4.
    pub(super) key: [u8; 20],
    pub(super) currency: String,
    pub(super) amount: u64,
    /// Of a claim; 0 for a late refund.
    pub(super) refund_owed: u64,
    /// The digest of the claim that a late refund is of.
    pub(super) of: Option<[u8; 32]>,
    /// Of a claim; 0 for a late refund.
    pub(super) parameters_version: u64,
    pub(super) evidence: Vec<u8>,
}

impl Item {
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        match &part::<5>(bytes, 0)? {
            b"PCLM\x01" => Some(Self {
                is_claim: true,
                operation: part(bytes, 5)?,
                key: part(bytes, 22)?,
                currency: currency(bytes, 46)?,
                amount: number(bytes, 49)?,
                refund_owed: number(bytes, 57)?,
                of: None,
                parameters_version: number(bytes, 78)?,
                evidence: {
                    let length = usize::from(u16::from_be_bytes(part(bytes, 87)?));
                    let evidence = bytes.get(89..)?;
                    (evidence.len() == length).then(|| evidence.to_vec())?
                },
            }),
            b"PLRF\x01" => Some(Self {
                is_claim: false,
                operation: [0; 16],
                key: part(bytes, 6)?,
                of: Some(part(bytes, 26)?),
                currency: currency(bytes, 58)?,
                amount: number(bytes, 61)?,
                refund_owed: 0,
                parameters_version: 0,
                evidence: Vec::new(),
            }),
            _ => None,
        }
    }
}

/// A decision of a verdict.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Decision {
    Pay(String, u64),
    Owe(String, u64),
    /// Held or disputed, with the reason's code.
    Not(u8),
}

/// A verdict (`PVER`).
#[derive(Debug)]
pub(super) struct Verdict {
    pub(super) batch: [u8; 32],
    pub(super) place: u32,
    pub(super) item: [u8; 32],
    pub(super) decision: Decision,
}

impl Verdict {
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        if &part::<5>(bytes, 0)? != b"PVER\x01" {
            return None;
        }
        let decision = match bytes.get(74)? {
            1 => Decision::Pay(currency(bytes, 75)?, number(bytes, 78)?),
            2 => Decision::Owe(currency(bytes, 75)?, number(bytes, 78)?),
            3 | 4 => Decision::Not(*bytes.get(75)?),
            _ => return None,
        };
        Some(Self {
            batch: part(bytes, 5)?,
            place: u32::from_be_bytes(part(bytes, 37)?),
            item: part(bytes, 41)?,
            decision,
        })
    }
}

/// The parts of a batch (`PBAT`) whose fields come after names of any length.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) id: [u8; 16],
    pub(super) owner: String,
    pub(super) provider: String,
    pub(super) count: u32,
    pub(super) currency: String,
    pub(super) claimed: u64,
    pub(super) refunds: u64,
    pub(super) items: [u8; 32],
}

pub(super) fn text(bytes: &[u8], from: usize) -> Option<(String, usize)> {
    let length = usize::from(u16::from_be_bytes(part(bytes, from)?));
    let (start, end) = (from + 2, from + 2 + length);
    let text = String::from_utf8(bytes.get(start..end)?.to_vec()).ok()?;
    Some((text, end))
}

/// The version of the hot list in parameters (`PPAR`): behind the name, the version, three times, the mark of the software SAM, the
/// currencies of 19 bytes each, and the key versions.
pub(super) fn hot_list_version(bytes: &[u8]) -> Option<u64> {
    let (_, at) = text(bytes, 5)?;
    let currencies = usize::try_from(u32::from_be_bytes(part(bytes, at + 25)?)).ok()?;
    let keys = (at + 29).checked_add(currencies.checked_mul(19)?)?;
    let length = usize::from(u16::from_be_bytes(part(bytes, keys)?));
    number(bytes, keys + 2 + length)
}

impl Batch {
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        if &part::<5>(bytes, 0)? != b"PBAT\x01" {
            return None;
        }
        let (owner, at) = text(bytes, 21)?;
        let (provider, at) = text(bytes, at + 4)?;
        // After the time of sealing.
        let at = at + 13;
        Some(Self {
            id: part(bytes, 5)?,
            owner,
            provider,
            count: u32::from_be_bytes(part(bytes, at)?),
            currency: currency(bytes, at + 4)?,
            claimed: number(bytes, at + 7)?,
            refunds: number(bytes, at + 15)?,
            items: part(bytes, at + 23)?,
        })
    }
}

/// A permit (`PPMT`).
#[derive(Debug)]
pub(super) struct Permit {
    pub(super) id: [u8; 16],
    pub(super) generation: u32,
    pub(super) batch: [u8; 32],
    pub(super) verdicts: [u8; 32],
    pub(super) currency: String,
    /// Pay, owe, debt before, total, debt after.
    pub(super) sums: [u64; 5],
    pub(super) presenter: String,
    pub(super) bank_terminal: [u8; 8],
    pub(super) account: [u8; 15],
}

impl Permit {
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        if &part::<5>(bytes, 0)? != b"PPMT\x01" {
            return None;
        }
        let (presenter, at) = text(bytes, 132)?;
        let sum = |index: usize| number(bytes, 92 + 8 * index);
        Some(Self {
            id: part(bytes, 5)?,
            generation: u32::from_be_bytes(part(bytes, 21)?),
            batch: part(bytes, 25)?,
            verdicts: part(bytes, 57)?,
            currency: currency(bytes, 89)?,
            sums: [sum(0)?, sum(1)?, sum(2)?, sum(3)?, sum(4)?],
            presenter,
            bank_terminal: part(bytes, at)?,
            account: part(bytes, at + 8)?,
        })
    }
}

/// A debit as a terminal has recorded it before it was sent (PBOC attempt, version 1).
#[derive(Clone, Copy, Debug)]
pub(super) struct Debit {
    asn: [u8; 8],
    pub(super) is_ep: bool,
    pub(super) terminal_number: [u8; 6],
    pub(super) terminal_sn: u32,
    pub(super) offline_sn: u16,
    pub(super) random: [u8; 4],
    pub(super) amount: u32,
    pub(super) at: [u8; 7],
}

impl Debit {
    fn read(attempt: &[u8]) -> Option<Self> {
        (attempt.first() == Some(&1) && attempt.len() == 52).then_some(())?;
        Some(Self {
            asn: part(attempt, 9)?,
            is_ep: attempt.get(17) == Some(&0x02),
            terminal_number: part(attempt, 19)?,
            terminal_sn: u32::from_be_bytes(part(attempt, 25)?),
            offline_sn: u16::from_be_bytes(part(attempt, 29)?),
            random: part(attempt, 31)?,
            amount: u32::from_be_bytes(part(attempt, 41)?),
            at: part(attempt, 45)?,
        })
    }

    /// It has this key and this amount.
    pub(super) fn is_of(&self, key: &[u8; 20], amount: u64) -> bool {
        key[2..10] == self.asn
            && key[10..16] == self.terminal_number
            && key[16..] == self.terminal_sn.to_be_bytes()
            && amount == u64::from(self.amount)
    }
}

/// What a PBOC claim's evidence says, where it has the card's answer.
#[derive(Debug)]
pub(super) struct Evidence {
    pub(super) tac: [u8; 4],
    pub(super) mac2: [u8; 4],
    pub(super) debit: Debit,
}

impl Evidence {
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let is_known = part::<2>(bytes, 0)? == *b"P\x01" && bytes.get(3) == Some(&1) && bytes.len() == 64;
        is_known.then_some(())?;
        Some(Self {
            tac: part(bytes, 4)?,
            mac2: part(bytes, 8)?,
            debit: Debit::read(bytes.get(12..)?)?,
        })
    }
}

/// A query (`PQRY`).
#[derive(Debug)]
pub(super) struct Query {
    pub(super) operation: [u8; 16],
    /// Card 10 · PSAM terminal number 6 · terminal SN 4.
    pub(super) key: [u8; 20],
    pub(super) currency: String,
    pub(super) amount: u64,
    pub(super) attempt: Vec<u8>,
    /// The attempt, where it is one of PBOC.
    pub(super) debit: Option<Debit>,
    /// TAC and MAC2 as the card answered them.
    pub(super) answer: Option<([u8; 4], [u8; 4])>,
}

impl Query {
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        if &part::<5>(bytes, 0)? != b"PQRY\x01" {
            return None;
        }
        let length = usize::from(u16::from_be_bytes(part(bytes, 67)?));
        let attempt = bytes.get(69..69 + length)?.to_vec();
        let rest = bytes.get(69 + length..)?;
        let answer = match rest {
            [0] => None,
            // The mark, the scheme, the length; then a version, TAC, MAC2.
            [1, _, 0, 9, 1, ..] if rest.len() == 13 => Some((part(rest, 5)?, part(rest, 9)?)),
            [1, ..] => None,
            _ => return None,
        };
        Some(Self {
            operation: part(bytes, 5)?,
            key: part(bytes, 22)?,
            currency: currency(bytes, 42)?,
            amount: number(bytes, 45)?,
            debit: Debit::read(&attempt),
            attempt,
            answer,
        })
    }
}
