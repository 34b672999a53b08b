//! A sealed set of items.

use purser_ledger::{Amount, Wall};

use crate::codec::{DecodeError, Document, Reader, Writer, digest_of};
use crate::id::{BatchId, Digest, ProviderName, TerminalName};

/// A sealed batch: what a settlement request is about. Its digest stands for every byte of every item.
///
/// Made with a [`Seal`](crate::Seal); a provider makes the same one from the items that it was sent and compares.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Batch {
    /// Its number.
    pub id: BatchId,
    /// The terminal that sealed it: its owner (money rule K2).
    pub owner: TerminalName,
    /// The owner's generation at the seal (money rule T1).
    pub generation: u32,
    /// Whom it is for: another provider refuses it.
    pub provider: ProviderName,
    /// When it was sealed, by the owner's clock.
    pub sealed_at: Wall,
    /// How many items it has. Range: 1 to [`ITEMS_MAX`](crate::ITEMS_MAX).
    pub count: u32,
    /// The sum of the claims' amounts.
    pub claimed: Amount,
    /// The sum of what the claims and the late refunds owe to buyers, in the same currency.
    pub refunds: Amount,
    /// The items' digest, in their order.
    pub items: Digest,
}

impl Batch {
    /// The canonical bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::new(Document::Batch);
        writer
            .fixed(&self.id.0)
            .text(self.owner.as_str())
            .u32(self.generation)
            .text(self.provider.as_str())
            .wall(self.sealed_at)
            .u32(self.count)
            .currency(self.claimed.currency())
            .u64(self.claimed.minor())
            .u64(self.refunds.minor())
            .fixed(&self.items.0);
        writer.finish()
    }

    /// Reads what [`encode`](Self::encode) wrote, and nothing else.
    ///
    /// # Errors
    /// [`DecodeError`] says what is wrong; refuse the batch by that name.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(Document::Batch, bytes)?;
        let id = BatchId(reader.fixed()?);
        let owner = reader.text("owner")?;
        let owner = TerminalName::new(owner).map_err(|_| reader.wrong("owner"))?;
        let generation = reader.u32()?;
        let provider = reader.text("provider")?;
        let provider = ProviderName::new(provider).map_err(|_| reader.wrong("provider"))?;
        let sealed_at = reader.wall("time of sealing")?;
        let count = reader.u32()?;
        if count == 0 || count > crate::ITEMS_MAX {
            return Err(reader.wrong("count"));
        }
        let currency = reader.currency()?;
        let batch = Self {
            id,
            owner,
            generation,
            provider,
            sealed_at,
            count,
            claimed: reader.amount(currency, "sum of claims")?,
            refunds: reader.amount(currency, "sum of refunds")?,
            items: reader.digest()?,
        };
        reader.finish()?;
        Ok(batch)
    }

    /// SHA-256 over the canonical bytes: what challenge, verdicts and permit name.
    pub fn digest(&self) -> Digest {
        digest_of(&[&self.encode()])
    }
}
