//! What the two legs carry.

use std::fmt;

use crate::codec::{DecodeError, Document, Reader, Writer};
use crate::id::bytes_id;
use crate::{Digest, ProviderName, TerminalName};

bytes_id! {
    /// The terminal's number of one request: random, the same in each repeat of it.
    RequestId, 16
}
bytes_id! {
    /// The provider's number of one request that it took: random, good for one authentication.
    Ticket, 16
}
bytes_id! {
    /// The provider's random bytes of one call-back, never used twice.
    Nonce, 32
}

/// How long a channel binding is: what `tls-exporter` gives (RFC 9266).
pub const CHANNEL_BINDING_BYTES: usize = 32;

/// What both ends of one TLS session, and nobody else, can derive from it (`tls-exporter`, RFC 9266). Shown masked.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ChannelBinding(pub [u8; CHANNEL_BINDING_BYTES]);

impl fmt::Debug for ChannelBinding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ChannelBinding(****)")
    }
}

/// What a terminal asks for. The value moves later, on the leg that the provider starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Purpose {
    /// Value for a card (S6). The subject is the digest of the load that is asked for.
    Load,
    /// A permit for a batch (S30). The subject is the batch's digest.
    Settlement,
}

impl Purpose {
    fn code(self) -> u8 {
        match self {
            Self::Load => 1,
            Self::Settlement => 2,
        }
    }
}

/// The request leg's only message up (S6, S30).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Request {
    /// Its number.
    pub id: RequestId,
    /// What it is for.
    pub purpose: Purpose,
    /// Who asks: the provider compares it with the certificate.
    pub terminal: TerminalName,
    /// Who is asked.
    pub provider: ProviderName,
    /// The digest of what it is about.
    pub subject: Digest,
}

/// What the provider asks on the leg that it started (S10, S32).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Challenge {
    /// Random, for this call-back only.
    pub nonce: Nonce,
    /// The request's ticket.
    pub ticket: Ticket,
    /// The request's purpose.
    pub purpose: Purpose,
    /// The provider that calls.
    pub provider: ProviderName,
    /// The terminal that is called.
    pub terminal: TerminalName,
    /// The request's subject.
    pub subject: Digest,
}

impl Challenge {
    /// The bytes that the terminal's device key signs, and the provider verifies. Each side puts in the channel binding of
    /// its own end of the leg: a signature that was carried to another TLS session does not verify.
    pub fn signed_bytes(&self, binding: &ChannelBinding) -> Vec<u8> {
        let mut writer = Writer::new(Document::Challenge);
        writer
            .fixed(&self.nonce.0)
            .fixed(&self.ticket.0)
            .u8(self.purpose.code())
            .text(self.provider.as_str())
            .text(self.terminal.as_str())
            .fixed(&self.subject.0)
            .fixed(&binding.0);
        writer.finish()
    }

    /// Reads what [`signed_bytes`](Self::signed_bytes) wrote: for a key store that shows or checks what it signs.
    ///
    /// # Errors
    /// [`DecodeError`] says what is wrong; do not sign.
    pub fn from_signed_bytes(bytes: &[u8]) -> Result<(Self, ChannelBinding), DecodeError> {
        let mut reader = Reader::new(Document::Challenge, bytes)?;
        let nonce = Nonce(reader.fixed()?);
        let ticket = Ticket(reader.fixed()?);
        let code = reader.u8()?;
        let purpose = [Purpose::Load, Purpose::Settlement]
            .into_iter()
            .find(|purpose| purpose.code() == code)
            .ok_or(reader.wrong("purpose"))?;
        let provider = reader.text("provider")?;
        let provider = ProviderName::new(provider).map_err(|_| reader.wrong("provider"))?;
        let terminal = reader.text("terminal")?;
        let terminal = TerminalName::new(terminal).map_err(|_| reader.wrong("terminal"))?;
        let subject = reader.digest()?;
        let binding = ChannelBinding(reader.fixed()?);
        reader.finish()?;
        let challenge = Self {
            nonce,
            ticket,
            purpose,
            provider,
            terminal,
            subject,
        };
        Ok((challenge, binding))
    }
}

/// The longest signature that is taken: an ECDSA signature in DER has 72 bytes at most, other kinds have room.
pub const SIGNATURE_BYTES_MAX: usize = 128;

/// The terminal's answer (S11, S33).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Answer {
    /// The challenge's ticket.
    pub ticket: Ticket,
    /// The challenge's nonce: on a standing link an answer may come after its challenge was given up, and is then no forgery.
    pub nonce: Nonce,
    /// The device key's signature over [`Challenge::signed_bytes`]. At most [`SIGNATURE_BYTES_MAX`] bytes.
    pub signature: Vec<u8>,
}
