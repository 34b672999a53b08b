//! What a load is about (S6).

use purser_ledger::Amount;

use crate::codec::{DecodeError, Document, Reader, Writer, digest_of};
use crate::id::{Digest, LoadId};

/// A load that is asked for. Its digest is the subject of the call-back; which card gets it is settled by the first attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LoadOrder {
    /// Its number.
    pub id: LoadId,
    /// How much.
    pub amount: Amount,
}

impl LoadOrder {
    /// The canonical bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::new(Document::LoadOrder);
        writer
            .fixed(&self.id.0)
            .currency(self.amount.currency())
            .u64(self.amount.minor());
        writer.finish()
    }

    /// Reads what [`encode`](Self::encode) wrote, and nothing else.
    ///
    /// # Errors
    /// [`DecodeError`] says what is wrong; refuse the load by that name.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(Document::LoadOrder, bytes)?;
        let id = LoadId(reader.fixed()?);
        let currency = reader.currency()?;
        let amount = reader.amount(currency, "amount")?;
        if amount.is_zero() {
            return Err(reader.wrong("amount: nothing is loaded"));
        }
        reader.finish()?;
        Ok(Self { id, amount })
    }

    /// SHA-256 over the canonical bytes.
    pub fn digest(&self) -> Digest {
        digest_of(&[&self.encode()])
    }
}
