//! What the provider says to one item.

use purser_ledger::Amount;

use crate::codec::{DecodeError, Document, Reader, Writer, digest_of};
use crate::id::Digest;

/// Why an item is not paid, by name. Each says who has to do something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// The evidence does not verify: it was made by no card of this provider for this amount.
    Forged,
    /// The claim says something else than its evidence: another amount, card, terminal or number.
    Altered,
    /// The claim has no card proof: only the terminal's own word.
    NoCardProof,
    /// The same debit was claimed with evidence that did not verify: other evidence is not tried, a person has to look
    /// (money rule T3).
    ForgedBefore,
    /// The provider has no key of this version.
    UnknownKeyVersion,
    /// The key version is blocked (money rule T3).
    BlockedKeyVersion,
    /// The provider has not issued this card.
    UnknownCard,
    /// The card's purse is in another currency (money rule P7).
    OtherCurrency,
    /// The PSAM terminal number is enrolled nowhere.
    UnknownTerminalNumber,
    /// The PSAM terminal number belongs to another terminal.
    OtherTerminal,
    /// The claim's generation is later than the one that was reconciled (money rule T1).
    OtherGeneration,
    /// A software SAM made it, and the provider's parameters do not allow that (money rule T3).
    SoftwareSamNotAllowed,
    /// The card was hot-listed, and the list had reached this terminal before the sale (money rule C3).
    HotListed,
    /// The same claim is in an earlier place of this batch.
    TwiceInBatch,
    /// The same claim was paid in another batch.
    AlreadyPaid,
    /// Another claim of the same debit was paid: both stay, a person decides (money rule C2).
    OtherClaimPaid,
    /// A late refund of a claim that was not paid.
    RefundWithoutClaim,
    /// Part of this claim has been refunded already: a claim is refunded once (money rule C1).
    RefundedBefore,
    /// A late refund above what the claim was paid.
    RefundTooLarge,
    /// The terminal was suspended by the claims before it: this one was not looked at (money rule T3).
    TerminalSuspended,
}

impl Reason {
    /// Every reason.
    pub const ALL: [Self; 20] = [
        Self::Forged,
        Self::Altered,
        Self::NoCardProof,
        Self::ForgedBefore,
        Self::UnknownKeyVersion,
        Self::BlockedKeyVersion,
        Self::UnknownCard,
        Self::OtherCurrency,
        Self::UnknownTerminalNumber,
        Self::OtherTerminal,
        Self::OtherGeneration,
        Self::SoftwareSamNotAllowed,
        Self::HotListed,
        Self::TwiceInBatch,
        Self::AlreadyPaid,
        Self::OtherClaimPaid,
        Self::RefundWithoutClaim,
        Self::RefundedBefore,
        Self::RefundTooLarge,
        Self::TerminalSuspended,
    ];

    /// Its name for people and programs: part of every interface that tells it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Forged => "forged",
            Self::Altered => "altered",
            Self::NoCardProof => "no_card_proof",
            Self::ForgedBefore => "forged_before",
            Self::UnknownKeyVersion => "unknown_key_version",
            Self::BlockedKeyVersion => "blocked_key_version",
            Self::UnknownCard => "unknown_card",
            Self::OtherCurrency => "other_currency",
            Self::UnknownTerminalNumber => "unknown_terminal_number",
            Self::OtherTerminal => "other_terminal",
            Self::OtherGeneration => "other_generation",
            Self::SoftwareSamNotAllowed => "software_sam_not_allowed",
            Self::HotListed => "hot_listed",
            Self::TwiceInBatch => "twice_in_batch",
            Self::AlreadyPaid => "already_paid",
            Self::OtherClaimPaid => "other_claim_paid",
            Self::RefundWithoutClaim => "refund_without_claim",
            Self::RefundedBefore => "refunded_before",
            Self::RefundTooLarge => "refund_too_large",
            Self::TerminalSuspended => "terminal_suspended",
        }
    }

    fn code(self) -> u8 {
        match self {
            Self::Forged => 1,
            Self::Altered => 2,
            Self::NoCardProof => 3,
            Self::ForgedBefore => 4,
            Self::UnknownKeyVersion => 5,
            Self::BlockedKeyVersion => 6,
            Self::UnknownCard => 7,
            Self::OtherCurrency => 8,
            Self::UnknownTerminalNumber => 9,
            Self::OtherTerminal => 10,
            Self::OtherGeneration => 11,
            Self::SoftwareSamNotAllowed => 12,
            Self::HotListed => 13,
            Self::TwiceInBatch => 14,
            Self::AlreadyPaid => 15,
            Self::OtherClaimPaid => 16,
            Self::RefundWithoutClaim => 17,
            Self::RefundedBefore => 18,
            Self::RefundTooLarge => 19,
            Self::TerminalSuspended => 20,
        }
    }

    fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.code() == code)
    }
}

/// The provider's decision on one item.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Decision {
    /// The claim is good: the merchant is paid this (the amount less the refund owed; it may be nothing).
    Pay(Amount),
    /// The late refund is good: the merchant owes this.
    Owe(Amount),
    /// Not paid. The terminal parks the item and shows the reason; it may be presented again with more evidence.
    Hold(Reason),
    /// Not paid: another valid claim contradicts it, and a person decides between them.
    Dispute(Reason),
}

/// The provider's word on the item at one place of one batch. Signed by the provider over [`encode`](Self::encode).
///
/// A verdict is provisional until a permit names it: uniqueness is charged when the permit commits (money rule C2), and
/// what another batch has taken in between gets a verdict of the next revision.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Verdict {
    /// The batch's digest.
    pub batch: Digest,
    /// The place in the batch, from 0.
    pub place: u32,
    /// The item's digest.
    pub item: Digest,
    /// 0 for the first verdict on this place; a higher one replaces it.
    pub revision: u8,
    /// The decision.
    pub decision: Decision,
}

impl Verdict {
    /// The canonical bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::new(Document::Verdict);
        writer
            .fixed(&self.batch.0)
            .u32(self.place)
            .fixed(&self.item.0)
            .u8(self.revision);
        match self.decision {
            Decision::Pay(amount) => writer.u8(1).currency(amount.currency()).u64(amount.minor()),
            Decision::Owe(amount) => writer.u8(2).currency(amount.currency()).u64(amount.minor()),
            Decision::Hold(reason) => writer.u8(3).u8(reason.code()),
            Decision::Dispute(reason) => writer.u8(4).u8(reason.code()),
        };
        writer.finish()
    }

    /// Reads what [`encode`](Self::encode) wrote, and nothing else.
    ///
    /// # Errors
    /// [`DecodeError`] says what is wrong; do not believe the verdict, ask for it again.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(Document::Verdict, bytes)?;
        let batch = reader.digest()?;
        let place = reader.u32()?;
        if place >= crate::ITEMS_MAX {
            return Err(reader.wrong("place"));
        }
        let item = reader.digest()?;
        let revision = reader.u8()?;
        let decision = match reader.u8()? {
            1 => Decision::Pay(amount(&mut reader)?),
            2 => Decision::Owe(amount(&mut reader)?),
            3 => Decision::Hold(reason(&mut reader)?),
            4 => Decision::Dispute(reason(&mut reader)?),
            _ => return Err(reader.wrong("decision")),
        };
        reader.finish()?;
        Ok(Self {
            batch,
            place,
            item,
            revision,
            decision,
        })
    }

    /// SHA-256 over the canonical bytes.
    pub fn digest(&self) -> Digest {
        digest_of(&[&self.encode()])
    }
}

fn amount(reader: &mut Reader<'_>) -> Result<Amount, DecodeError> {
    let currency = reader.currency()?;
    reader.amount(currency, "amount")
}

fn reason(reader: &mut Reader<'_>) -> Result<Reason, DecodeError> {
    Reason::from_code(reader.u8()?).ok_or(reader.wrong("reason"))
}

/// The digest over a batch's final verdicts in the order of their places; a permit names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VerdictsDigest(Digest);

impl VerdictsDigest {
    /// Of no verdict yet.
    pub fn begin(batch: Digest) -> Self {
        Self(digest_of(&[b"PVRS\x01", &batch.0]))
    }

    /// With the verdict on the next place.
    #[must_use]
    pub fn with(self, verdict: &Verdict) -> Self {
        Self(digest_of(&[&self.0.0, &verdict.digest().0]))
    }

    /// The digest.
    pub fn digest(self) -> Digest {
        self.0
    }
}
