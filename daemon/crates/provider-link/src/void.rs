//! A batch that will never be paid, so that its claims are free again (money rule B3).

use crate::codec::{DecodeError, Document, Reader, Writer, digest_of};
use crate::id::{BatchId, Digest};

/// Why a batch cannot be honoured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum VoidReason {
    /// The items that were sent are not the ones that were sealed.
    OtherDigest,
    /// The terminal is revoked.
    TerminalRevoked,
    /// The terminal is suspended.
    TerminalSuspended,
    /// The terminal's generation has not been reconciled (money rule T1).
    NotReconciled,
    /// The terminal asked for it before any permit.
    AskedByTerminal,
}

impl VoidReason {
    /// Every reason.
    pub const ALL: [Self; 5] = [
        Self::OtherDigest,
        Self::TerminalRevoked,
        Self::TerminalSuspended,
        Self::NotReconciled,
        Self::AskedByTerminal,
    ];

    fn code(self) -> u8 {
        match self {
            Self::OtherDigest => 1,
            Self::TerminalRevoked => 2,
            Self::TerminalSuspended => 3,
            Self::NotReconciled => 4,
            Self::AskedByTerminal => 5,
        }
    }
}

/// The provider's word that no permit exists or will exist for this batch. Signed by the provider over
/// [`encode`](Self::encode).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct BatchVoid {
    /// The batch's number.
    pub batch_id: BatchId,
    /// The batch's digest.
    pub batch: Digest,
    /// Why.
    pub reason: VoidReason,
}

impl BatchVoid {
    /// The canonical bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::new(Document::BatchVoid);
        writer
            .fixed(&self.batch_id.0)
            .fixed(&self.batch.0)
            .u8(self.reason.code());
        writer.finish()
    }

    /// Reads what [`encode`](Self::encode) wrote, and nothing else.
    ///
    /// # Errors
    /// [`DecodeError`] says what is wrong; keep the batch sealed and ask again.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(Document::BatchVoid, bytes)?;
        let batch_id = BatchId(reader.fixed()?);
        let batch = reader.digest()?;
        let code = reader.u8()?;
        let reason = VoidReason::ALL.into_iter().find(|reason| reason.code() == code);
        let reason = reason.ok_or(reader.wrong("reason"))?;
        reader.finish()?;
        Ok(Self {
            batch_id,
            batch,
            reason,
        })
    }

    /// SHA-256 over the canonical bytes.
    pub fn digest(&self) -> Digest {
        digest_of(&[&self.encode()])
    }
}
