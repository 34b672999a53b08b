//! The bytes of a document: a tag of four letters, a version, then fixed fields in a fixed order, numbers big-endian.
//!
//! One value has one encoding, and nothing else decodes: what decodes encodes to the same bytes again. A digest or a
//! signature is over these bytes, so they never change. A new layout is a new version beside the old one (money rule C5).

use purser_ledger::{Amount, CardId, Currency, DebitKey, OperationId, Scheme, SchemeBytes, Wall};
use sha2::{Digest as _, Sha256};

use crate::Digest;

/// A kind of document.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Document {
    /// A [`Claim`](crate::Claim).
    Claim,
    /// A [`LateRefund`](crate::LateRefund).
    LateRefund,
    /// A [`Batch`](crate::Batch).
    Batch,
    /// A [`Verdict`](crate::Verdict).
    Verdict,
    /// A [`Permit`](crate::Permit).
    Permit,
    /// A [`BatchVoid`](crate::BatchVoid).
    BatchVoid,
    /// A [`Challenge`](crate::call_back::Challenge) as a terminal signs it.
    Challenge,
    /// A [`LoadOrder`](crate::LoadOrder).
    LoadOrder,
    /// The provider's [`Parameters`](crate::Parameters).
    Parameters,
    /// A [`Query`](crate::Query).
    Query,
    /// A [`QueryAnswer`](crate::QueryAnswer).
    QueryAnswer,
}

impl Document {
    /// The four letters that a document of this kind begins with.
    pub fn tag(self) -> [u8; 4] {
        match self {
            Self::Claim => *b"PCLM",
            Self::LateRefund => *b"PLRF",
            Self::Batch => *b"PBAT",
            Self::Verdict => *b"PVER",
            Self::Permit => *b"PPMT",
            Self::BatchVoid => *b"PBVD",
            Self::Challenge => *b"PCHL",
            Self::LoadOrder => *b"PLOD",
            Self::Parameters => *b"PPAR",
            Self::Query => *b"PQRY",
            Self::QueryAnswer => *b"PQAN",
        }
    }

    /// The version that this crate writes and reads.
    pub fn version(self) -> u8 {
        match self {
            Self::Claim
            | Self::LateRefund
            | Self::Batch
            | Self::Verdict
            | Self::Permit
            | Self::BatchVoid
            | Self::Challenge
            | Self::LoadOrder
            | Self::Parameters
            | Self::Query
            | Self::QueryAnswer => 1,
        }
    }

    /// What people call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Claim => "claim",
            Self::LateRefund => "late refund",
            Self::Batch => "batch",
            Self::Verdict => "verdict",
            Self::Permit => "permit",
            Self::BatchVoid => "batch void",
            Self::Challenge => "challenge",
            Self::LoadOrder => "load order",
            Self::Parameters => "document of parameters",
            Self::Query => "query",
            Self::QueryAnswer => "answer to a query",
        }
    }
}

/// Why bytes are not the document that was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The bytes begin with another tag.
    #[error("the bytes are no {}", .0.name())]
    OtherDocument(Document),
    /// Written by another version.
    #[error("the {} has version {found}; this Purser reads version {}", .document.name(), .document.version())]
    Version {
        /// What it is.
        document: Document,
        /// Its version.
        found: u8,
    },
    /// The bytes end inside a field.
    #[error("the {} ends too early", .0.name())]
    Truncated(Document),
    /// There are bytes after the last field.
    #[error("the {} has bytes after its end", .0.name())]
    TrailingBytes(Document),
    /// A field holds what it cannot hold, or contradicts another.
    #[error("the {} is wrong in {field}", .document.name())]
    Field {
        /// What it is.
        document: Document,
        /// Which field.
        field: &'static str,
    },
}

impl DecodeError {
    /// False: the bytes do not change.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::OtherDocument(_)
            | Self::Version { .. }
            | Self::Truncated(_)
            | Self::TrailingBytes(_)
            | Self::Field { .. } => false,
        }
    }
}

/// SHA-256 over pieces, one after the other.
pub(crate) fn digest_of(pieces: &[&[u8]]) -> Digest {
    let mut hash = Sha256::new();
    for piece in pieces {
        hash.update(piece);
    }
    Digest(hash.finalize().into())
}

pub(crate) struct Writer(Vec<u8>);

impl Writer {
    pub(crate) fn new(document: Document) -> Self {
        let mut bytes = document.tag().to_vec();
        bytes.push(document.version());
        Self(bytes)
    }

    pub(crate) fn finish(self) -> Vec<u8> {
        self.0
    }

    pub(crate) fn fixed(&mut self, bytes: &[u8]) -> &mut Self {
        self.0.extend_from_slice(bytes);
        self
    }

    pub(crate) fn u8(&mut self, value: u8) -> &mut Self {
        self.fixed(&[value])
    }

    pub(crate) fn u32(&mut self, value: u32) -> &mut Self {
        self.fixed(&value.to_be_bytes())
    }

    pub(crate) fn u64(&mut self, value: u64) -> &mut Self {
        self.fixed(&value.to_be_bytes())
    }

    pub(crate) fn i64(&mut self, value: i64) -> &mut Self {
        self.fixed(&value.to_be_bytes())
    }

    /// Two bytes of length, then the bytes.
    pub(crate) fn sized(&mut self, bytes: &[u8]) -> &mut Self {
        let length = u16::try_from(bytes.len()).expect("every sized field is bounded far below 65,536 bytes");
        self.fixed(&length.to_be_bytes()).fixed(bytes)
    }

    pub(crate) fn text(&mut self, text: &str) -> &mut Self {
        self.sized(text.as_bytes())
    }

    pub(crate) fn currency(&mut self, currency: Currency) -> &mut Self {
        self.fixed(currency.code().as_bytes())
    }

    pub(crate) fn wall(&mut self, wall: Wall) -> &mut Self {
        self.i64(wall.unix_seconds)
            .fixed(&wall.utc_offset_seconds.to_be_bytes())
            .u8(u8::from(wall.trusted))
    }

    pub(crate) fn card(&mut self, card: &CardId) -> &mut Self {
        self.u8(scheme_code(card.scheme())).fixed(card.serial())
    }

    pub(crate) fn key(&mut self, key: &DebitKey) -> &mut Self {
        self.card(&key.card)
            .fixed(&key.terminal_number)
            .u32(key.terminal_sn)
    }

    pub(crate) fn scheme_bytes(&mut self, bytes: &SchemeBytes) -> &mut Self {
        self.u8(scheme_code(bytes.scheme())).sized(bytes.bytes())
    }
}

fn scheme_code(scheme: Scheme) -> u8 {
    match scheme {
        Scheme::Pboc => 1,
    }
}

pub(crate) struct Reader<'a> {
    document: Document,
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) fn new(document: Document, bytes: &'a [u8]) -> Result<Self, DecodeError> {
        let mut reader = Self {
            document,
            rest: bytes,
        };
        if reader.fixed()? != document.tag() {
            return Err(DecodeError::OtherDocument(document));
        }
        let found = reader.u8()?;
        if found == document.version() {
            Ok(reader)
        } else {
            Err(DecodeError::Version { document, found })
        }
    }

    pub(crate) fn finish(self) -> Result<(), DecodeError> {
        if self.rest.is_empty() {
            Ok(())
        } else {
            Err(DecodeError::TrailingBytes(self.document))
        }
    }

    pub(crate) fn wrong(&self, field: &'static str) -> DecodeError {
        let document = self.document;
        DecodeError::Field { document, field }
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], DecodeError> {
        let Some((taken, rest)) = self.rest.split_at_checked(length) else {
            return Err(DecodeError::Truncated(self.document));
        };
        self.rest = rest;
        Ok(taken)
    }

    pub(crate) fn fixed<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let taken = self.take(N)?;
        Ok(taken
            .try_into()
            .expect("take gives as many bytes as were asked for"))
    }

    pub(crate) fn u8(&mut self) -> Result<u8, DecodeError> {
        self.fixed().map(u8::from_be_bytes)
    }

    pub(crate) fn u32(&mut self) -> Result<u32, DecodeError> {
        self.fixed().map(u32::from_be_bytes)
    }

    pub(crate) fn u64(&mut self) -> Result<u64, DecodeError> {
        self.fixed().map(u64::from_be_bytes)
    }

    pub(crate) fn i64(&mut self) -> Result<i64, DecodeError> {
        self.fixed().map(i64::from_be_bytes)
    }

    pub(crate) fn sized(&mut self) -> Result<&'a [u8], DecodeError> {
        let length = self.fixed().map(u16::from_be_bytes)?;
        self.take(usize::from(length))
    }

    pub(crate) fn text(&mut self, field: &'static str) -> Result<&'a str, DecodeError> {
        let bytes = self.sized()?;
        std::str::from_utf8(bytes).map_err(|_| self.wrong(field))
    }

    pub(crate) fn currency(&mut self) -> Result<Currency, DecodeError> {
        let letters: [u8; 3] = self.fixed()?;
        let code = std::str::from_utf8(&letters).ok();
        code.and_then(|code| code.parse().ok())
            .ok_or(self.wrong("currency"))
    }

    pub(crate) fn amount(&mut self, currency: Currency, field: &'static str) -> Result<Amount, DecodeError> {
        let minor = self.u64()?;
        Amount::new(minor, currency).map_err(|_| self.wrong(field))
    }

    pub(crate) fn wall(&mut self, field: &'static str) -> Result<Wall, DecodeError> {
        Ok(Wall {
            unix_seconds: self.i64()?,
            utc_offset_seconds: self.fixed().map(i32::from_be_bytes)?,
            trusted: match self.u8()? {
                0 => false,
                1 => true,
                _ => return Err(self.wrong(field)),
            },
        })
    }

    pub(crate) fn operation(&mut self) -> Result<OperationId, DecodeError> {
        self.fixed().map(OperationId::new)
    }

    pub(crate) fn digest(&mut self) -> Result<Digest, DecodeError> {
        self.fixed().map(Digest)
    }

    fn scheme(&mut self) -> Result<Scheme, DecodeError> {
        match self.u8()? {
            1 => Ok(Scheme::Pboc),
            _ => Err(self.wrong("scheme")),
        }
    }

    pub(crate) fn card(&mut self) -> Result<CardId, DecodeError> {
        let scheme = self.scheme()?;
        Ok(CardId::new(scheme, self.fixed()?))
    }

    pub(crate) fn key(&mut self) -> Result<DebitKey, DecodeError> {
        Ok(DebitKey {
            card: self.card()?,
            terminal_number: self.fixed()?,
            terminal_sn: self.u32()?,
        })
    }

    pub(crate) fn scheme_bytes(&mut self, field: &'static str) -> Result<SchemeBytes, DecodeError> {
        let scheme = self.scheme()?;
        let bytes = self.sized()?;
        SchemeBytes::new(scheme, bytes.to_vec()).ok_or(self.wrong(field))
    }
}
