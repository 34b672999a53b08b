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

/// What a card answered to INITIALIZE FOR LOAD of the load's amount, and what it was asked with: the provider checks its MAC1.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CardSaid {
    /// The card's application serial number.
    pub card: [u8; 10],
    /// The PSAM terminal number that the card was told; the provider's challenge where a void is to be proven.
    pub terminal_number: [u8; 6],
    /// The balance before, in minor units.
    pub old_balance: u32,
    /// The card's counter of loads before.
    pub online_sn: u16,
    /// The version of the card's load key.
    pub key_version: u8,
    /// The algorithm of that key.
    pub algorithm: u8,
    /// The card's challenge.
    pub random: [u8; 4],
    /// The card's authenticator of all this and the amount.
    pub mac1: [u8; 4],
}
