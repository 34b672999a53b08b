//! What a batch is made of.

use purser_ledger::{Amount, DebitKey, OperationId, SchemeBytes, Wall};

use crate::codec::{DecodeError, Document, Reader, Writer, digest_of};
use crate::id::Digest;

/// One accumulated sale, as the provider gets it (S24, S30).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Claim {
    /// The terminal's own number of the sale.
    pub operation: OperationId,
    /// Card, PSAM terminal number, terminal serial number: unique in the world (money rule C2).
    pub key: DebitKey,
    /// The terminal's generation: one higher after each restore or clone (money rule T1).
    pub generation: u32,
    /// What the card was debited.
    pub amount: Amount,
    /// What of it the buyer is owed because there were no goods: at most the amount, in the same currency. The
    /// merchant is paid the difference (money rule C1).
    pub refund_owed: Amount,
    /// When, by the terminal's clock. Odd times are flagged, never refused (money rule C3).
    pub sold_at: Wall,
    /// The version of the provider's parameters that were in force at the sale; 0 before the first.
    pub parameters_version: u64,
    /// What the card made, and what its scheme needs to verify it. Opaque here.
    pub evidence: SchemeBytes,
}

impl Claim {
    /// The canonical bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::new(Document::Claim);
        writer
            .fixed(self.operation.bytes())
            .key(&self.key)
            .u32(self.generation)
            .currency(self.amount.currency())
            .u64(self.amount.minor())
            .u64(self.refund_owed.minor())
            .wall(self.sold_at)
            .u64(self.parameters_version)
            .scheme_bytes(&self.evidence);
        writer.finish()
    }

    /// Reads what [`encode`](Self::encode) wrote, and nothing else.
    ///
    /// # Errors
    /// [`DecodeError`] says what is wrong; refuse the claim by that name.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(Document::Claim, bytes)?;
        let operation = reader.operation()?;
        let key = reader.key()?;
        let generation = reader.u32()?;
        let currency = reader.currency()?;
        let claim = Self {
            operation,
            key,
            generation,
            amount: reader.amount(currency, "amount")?,
            refund_owed: reader.amount(currency, "refund owed")?,
            sold_at: reader.wall("time of sale")?,
            parameters_version: reader.u64()?,
            evidence: reader.scheme_bytes("evidence")?,
        };
        if claim.refund_owed.minor() > claim.amount.minor() {
            return Err(reader.wrong("refund owed: above the amount"));
        }
        if claim.evidence.scheme() != claim.key.card.scheme() {
            return Err(reader.wrong("evidence: of another scheme than the card"));
        }
        reader.finish()?;
        Ok(claim)
    }

    /// SHA-256 over the canonical bytes.
    pub fn digest(&self) -> Digest {
        digest_of(&[&self.encode()])
    }
}

/// A refund that became owed after its claim had been paid: it is netted from the merchant's batches (money rule C1).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct LateRefund {
    /// The key of the paid claim.
    pub key: DebitKey,
    /// The digest of the paid claim.
    pub claim: Digest,
    /// What the buyer is owed.
    pub amount: Amount,
}

impl LateRefund {
    /// The canonical bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::new(Document::LateRefund);
        writer
            .key(&self.key)
            .fixed(&self.claim.0)
            .currency(self.amount.currency())
            .u64(self.amount.minor());
        writer.finish()
    }

    /// Reads what [`encode`](Self::encode) wrote, and nothing else.
    ///
    /// # Errors
    /// [`DecodeError`] says what is wrong; refuse the refund by that name.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(Document::LateRefund, bytes)?;
        let key = reader.key()?;
        let claim = reader.digest()?;
        let currency = reader.currency()?;
        let amount = reader.amount(currency, "amount")?;
        if amount.is_zero() {
            return Err(reader.wrong("amount: nothing is owed"));
        }
        reader.finish()?;
        Ok(Self { key, claim, amount })
    }

    /// SHA-256 over the canonical bytes.
    pub fn digest(&self) -> Digest {
        digest_of(&[&self.encode()])
    }
}

/// One place of a batch.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Item {
    /// A sale.
    Claim(Claim),
    /// A refund of a sale that was paid earlier.
    LateRefund(LateRefund),
}

impl Item {
    /// The canonical bytes; their tag says which kind it is.
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Self::Claim(claim) => claim.encode(),
            Self::LateRefund(refund) => refund.encode(),
        }
    }

    /// Reads what [`encode`](Self::encode) wrote, and nothing else.
    ///
    /// # Errors
    /// [`DecodeError`] says what is wrong; bytes of neither kind are said to be no claim.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        if bytes.starts_with(&Document::LateRefund.tag()) {
            LateRefund::decode(bytes).map(Self::LateRefund)
        } else {
            Claim::decode(bytes).map(Self::Claim)
        }
    }

    /// SHA-256 over the canonical bytes.
    pub fn digest(&self) -> Digest {
        digest_of(&[&self.encode()])
    }

    /// The key of the sale that it is about.
    pub fn key(&self) -> &DebitKey {
        match self {
            Self::Claim(claim) => &claim.key,
            Self::LateRefund(refund) => &refund.key,
        }
    }
}
