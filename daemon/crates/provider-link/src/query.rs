//! What a terminal asks about a sale in doubt, and what the provider answers (money rule C4).

use purser_ledger::{Amount, DebitKey, OperationId, SchemeBytes, Wall};

use crate::codec::{DecodeError, Document, Reader, Writer, digest_of};
use crate::id::Digest;

/// A sale whose outcome neither card nor terminal can tell (money rules P1, C4). It has the same bytes whenever it is asked: what
/// may change, such as the terminal's generation, is not in it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Query {
    /// The terminal's own number of the sale: one query each.
    pub operation: OperationId,
    /// Card, PSAM terminal number, terminal serial number of the debit that was intended.
    pub key: DebitKey,
    /// What the card was to be debited.
    pub amount: Amount,
    /// When, by the terminal's clock.
    pub sold_at: Wall,
    /// The scheme's own record of the attempt (money rule P6). Opaque here.
    pub attempt: SchemeBytes,
    /// What the card answered to the debit, where that did not prove it to the terminal. Opaque here.
    pub answer: Option<SchemeBytes>,
}

impl Query {
    /// The same query without the card's answer.
    #[must_use]
    pub fn without_answer(&self) -> Self {
        Self {
            answer: None,
            ..self.clone()
        }
    }

    /// The canonical bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::new(Document::Query);
        writer
            .fixed(self.operation.bytes())
            .key(&self.key)
            .currency(self.amount.currency())
            .u64(self.amount.minor())
            .wall(self.sold_at)
            .scheme_bytes(&self.attempt)
            .u8(u8::from(self.answer.is_some()));
        if let Some(answer) = &self.answer {
            writer.scheme_bytes(answer);
        }
        writer.finish()
    }

    /// Reads what [`encode`](Self::encode) wrote, and nothing else.
    ///
    /// # Errors
    /// [`DecodeError`] says what is wrong; refuse the query by that name.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(Document::Query, bytes)?;
        let operation = reader.operation()?;
        let key = reader.key()?;
        let currency = reader.currency()?;
        let amount = reader.amount(currency, "amount")?;
        if amount.is_zero() {
            return Err(reader.wrong("amount: nothing was to be debited"));
        }
        let sold_at = reader.wall("time of sale")?;
        let attempt = reader.scheme_bytes("attempt")?;
        let answer = match reader.u8()? {
            0 => None,
            1 => Some(reader.scheme_bytes("answer")?),
            _ => return Err(reader.wrong("the mark of the card's answer")),
        };
        let schemes = [Some(&attempt), answer.as_ref()];
        if schemes
            .into_iter()
            .flatten()
            .any(|it| it.scheme() != key.card.scheme())
        {
            return Err(reader.wrong("attempt: of another scheme than the card"));
        }
        reader.finish()?;
        Ok(Self {
            operation,
            key,
            amount,
            sold_at,
            attempt,
            answer,
        })
    }

    /// SHA-256 over the canonical bytes.
    pub fn digest(&self) -> Digest {
        digest_of(&[&self.encode()])
    }
}

/// What proves how a sale in doubt ended. Each says which end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum QueryProof {
    /// It happened: TAC and MAC2 that the card had answered are its own, for this debit.
    CardAnswer,
    /// It happened: a claim of this debit has the card's TAC.
    Claim,
    /// It did not happen: the card used the number that it would have had for another debit.
    OtherDebit,
    /// The provider's operator has decided that it happened.
    DecidedHappened,
    /// The provider's operator has decided that it did not happen.
    DecidedNot,
}

impl QueryProof {
    /// Every proof.
    pub const ALL: [Self; 5] = [
        Self::CardAnswer,
        Self::Claim,
        Self::OtherDebit,
        Self::DecidedHappened,
        Self::DecidedNot,
    ];

    /// True where the debit happened.
    pub fn happened(self) -> bool {
        match self {
            Self::CardAnswer | Self::Claim | Self::DecidedHappened => true,
            Self::OtherDebit | Self::DecidedNot => false,
        }
    }

    /// True where a person has decided without a proof.
    pub fn is_decided(self) -> bool {
        match self {
            Self::DecidedHappened | Self::DecidedNot => true,
            Self::CardAnswer | Self::Claim | Self::OtherDebit => false,
        }
    }

    /// Its name for people and programs: part of every interface that tells it.
    pub fn name(self) -> &'static str {
        match self {
            Self::CardAnswer => "card_answer",
            Self::Claim => "claim",
            Self::OtherDebit => "other_debit",
            Self::DecidedHappened => "decided_happened",
            Self::DecidedNot => "decided_not",
        }
    }

    fn code(self) -> u8 {
        match self {
            Self::CardAnswer => 1,
            Self::Claim => 2,
            Self::OtherDebit => 3,
            Self::DecidedHappened => 4,
            Self::DecidedNot => 5,
        }
    }
}

/// The provider's last word on a query. Signed by the provider over [`encode`](Self::encode); there is one for each query, and it
/// never changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct QueryAnswer {
    /// The query's digest.
    pub query: Digest,
    /// The query's sale.
    pub operation: OperationId,
    /// How it ended, and what proves that.
    pub proof: QueryProof,
}

impl QueryAnswer {
    /// The canonical bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::new(Document::QueryAnswer);
        writer
            .fixed(&self.query.0)
            .fixed(self.operation.bytes())
            .u8(self.proof.code());
        writer.finish()
    }

    /// Reads what [`encode`](Self::encode) wrote, and nothing else.
    ///
    /// # Errors
    /// [`DecodeError`] says what is wrong; do not believe the answer, ask again.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(Document::QueryAnswer, bytes)?;
        let query = reader.digest()?;
        let operation = reader.operation()?;
        let code = reader.u8()?;
        let proof = QueryProof::ALL.into_iter().find(|it| it.code() == code);
        let proof = proof.ok_or(reader.wrong("proof"))?;
        reader.finish()?;
        Ok(Self {
            query,
            operation,
            proof,
        })
    }

    /// True for the answer to this query. Also for one to the same query from before the card's answer was known, if it says that the
    /// debit happened: against the card's word nothing counts that was said without it.
    pub fn is_of(&self, query: &Query) -> bool {
        let is_to = |query: &Query| self.query == query.digest();
        let is_to_bare = || {
            let fits = self.proof.happened() && self.proof != QueryProof::CardAnswer;
            fits && is_to(&query.without_answer())
        };
        self.operation == query.operation && (is_to(query) || is_to_bare())
    }
}
