//! How a sale in doubt ended, as far as the provider has proof of it (money rule C4).
//!
//! ```text
//!  asked ──► refused by name
//!        └─► not known yet ──asked again──► not known yet
//!                          └──a proof, or an operator's decision──► answered, for ever
//! ```
//! A proof is what a card has made. A terminal's own word about the card's counter proves nothing to another merchant: a TAC does
//! not cover it, the MAC2 of a debit does, and only where no purchase key is in the shop (money rule T3). The caller finds that out.

use purser_ledger::Currency;
use purser_provider_link::{Query, QueryProof};

use crate::judge::NumberOwner;

/// What the card's answer in a query comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CardAnswer {
    /// There is none.
    None,
    /// Its MAC2 is not the card's for this debit: what the terminal got was damaged, or no card's. Its TAC is not looked at, or a
    /// terminal could try one TAC after the other and harm nobody but the card's holder (money rule T3).
    NotOfCard,
    /// There is no key to check it with now.
    NotCheckable,
    /// MAC2 and TAC are the card's, for this debit.
    Proven,
    /// The MAC2 is right and the TAC is not: whoever made it has a purchase key, and is no card.
    Forged,
}

impl CardAnswer {
    /// Every fact.
    pub const ALL: [Self; 5] = [
        Self::None,
        Self::NotOfCard,
        Self::NotCheckable,
        Self::Proven,
        Self::Forged,
    ];
}

/// All that the answer to a query depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Facts {
    /// Whose PSAM terminal number it names; the owner of a batch is here who asks.
    pub number_owner: NumberOwner,
    /// The currency of the card's purse; none for a card that the provider has not issued (money rule P7).
    pub card_currency: Option<Currency>,
    /// True where the attempt is of the card, the numbers and the amount that the query names.
    pub is_of_attempt: bool,
    /// What the card's answer comes to.
    pub answer: CardAnswer,
    /// True where a claim or a query of this debit was forged: no other evidence is tried (money rule T3).
    pub is_forged_before: bool,
    /// True where a claim of this debit, with this amount, has the card's TAC.
    pub is_claimed: bool,
    /// True where another debit is proven to have used the number that the card would have used for this one.
    pub is_number_used: bool,
}

/// Why a query is refused. Nothing is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The PSAM terminal number is enrolled nowhere.
    #[error("the PSAM terminal number is enrolled nowhere")]
    UnknownTerminalNumber,
    /// The sale is another terminal's.
    #[error("the PSAM terminal number belongs to another terminal")]
    OtherTerminal,
    /// The provider has not issued this card.
    #[error("the provider has not issued this card")]
    UnknownCard,
    /// The card's purse is in another currency (money rule P7).
    #[error("the card's purse is in another currency")]
    OtherCurrency,
    /// The attempt is another debit's than the query says.
    #[error("the query says something else than the attempt in it")]
    Altered,
    /// The card's answer is forged: a terminal or its SAM is not what it should be.
    #[error("the card's answer is forged")]
    Forged,
    /// A claim or a query of this debit was forged before.
    #[error("evidence of this debit was forged before; a person has to look")]
    ForgedBefore,
    /// The sale was asked about with other content, or another sale with the same debit was.
    #[error("this sale, or this debit, was asked about with other content")]
    OtherContent,
    /// The terminal has asked about so many sales that nothing answers yet.
    #[error("the terminal has too many queries that are open")]
    TooManyQueries,
    /// An operator decides what is answered already: the first answer stays.
    #[error("the query is answered: {}", .0.name())]
    Answered(QueryProof),
}

impl Refusal {
    /// Its name for people and programs: part of every interface that tells it.
    pub fn name(self) -> &'static str {
        match self {
            Self::UnknownTerminalNumber => "UnknownTerminalNumber",
            Self::OtherTerminal => "OtherTerminal",
            Self::UnknownCard => "UnknownCard",
            Self::OtherCurrency => "OtherCurrency",
            Self::Altered => "Altered",
            Self::Forged => "Forged",
            Self::ForgedBefore => "ForgedBefore",
            Self::OtherContent => "OtherContent",
            Self::TooManyQueries => "TooManyQueries",
            Self::Answered(_) => "Answered",
        }
    }

    /// True where the same query can be taken later. Else it gives the same answer, until a person does something.
    pub fn is_transient(self) -> bool {
        match self {
            Self::TooManyQueries => true,
            Self::UnknownTerminalNumber
            | Self::OtherTerminal
            | Self::UnknownCard
            | Self::OtherCurrency
            | Self::Altered
            | Self::Forged
            | Self::ForgedBefore
            | Self::OtherContent
            | Self::Answered(_) => false,
        }
    }
}

/// What is known of a query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Known {
    /// The sale's end is proven.
    Proven {
        /// By this.
        proof: QueryProof,
        /// True where another card proof says the opposite: a card that counts wrong, or two with the same keys. Somebody has to look.
        is_contradicted: bool,
    },
    /// Nothing proves an end yet.
    NotYet,
}

/// Whether a query may be asked at all. Look at this before anything is stored.
///
/// # Errors
/// [`Refusal`] by name.
pub fn admit(query: &Query, facts: &Facts) -> Result<(), Refusal> {
    match facts.number_owner {
        NumberOwner::BatchOwner => {}
        NumberOwner::Other => return Err(Refusal::OtherTerminal),
        NumberOwner::Unknown => return Err(Refusal::UnknownTerminalNumber),
    }
    match facts.card_currency {
        None => Err(Refusal::UnknownCard),
        Some(currency) if currency != query.amount.currency() => Err(Refusal::OtherCurrency),
        Some(_) if !facts.is_of_attempt => Err(Refusal::Altered),
        Some(_) => Ok(()),
    }
}

/// How a query that was asked before is asked again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repeat {
    /// As it was.
    Same,
    /// With the card's answer, which it had not: the card was presented again meanwhile. Nothing else is different, and this is once.
    WithAnswer,
}

/// Whether a repeat asks the same: a sale has one query, and a debit one sale.
///
/// # Errors
/// [`Refusal::OtherContent`].
pub fn repeat(stored: &Query, asked: &Query) -> Result<Repeat, Refusal> {
    if stored == asked {
        Ok(Repeat::Same)
    } else if *stored == asked.without_answer() {
        Ok(Repeat::WithAnswer)
    } else {
        Err(Refusal::OtherContent)
    }
}

/// What the facts prove about an admitted query. The card's own word about this debit wins over what follows from another one.
///
/// # Errors
/// [`Refusal::Forged`], which counts, and [`Refusal::ForgedBefore`].
pub fn judge(facts: &Facts) -> Result<Known, Refusal> {
    if facts.is_forged_before {
        return Err(Refusal::ForgedBefore);
    }
    let proof = match facts.answer {
        CardAnswer::Forged => return Err(Refusal::Forged),
        CardAnswer::Proven => QueryProof::CardAnswer,
        CardAnswer::None | CardAnswer::NotOfCard | CardAnswer::NotCheckable => {
            match (facts.is_claimed, facts.is_number_used) {
                (true, _) => QueryProof::Claim,
                (false, true) => QueryProof::OtherDebit,
                (false, false) => return Ok(Known::NotYet),
            }
        }
    };
    Ok(Known::Proven {
        proof,
        is_contradicted: proof.happened() && facts.is_number_used,
    })
}

/// What an operator decides about a query that is not answered.
///
/// # Errors
/// [`Refusal::Answered`]: the first answer stays. [`Refusal::ForgedBefore`] where a forged debit is to be paid.
pub fn decide(
    answered: Option<QueryProof>,
    is_forged: bool,
    has_happened: bool,
) -> Result<QueryProof, Refusal> {
    match (answered, has_happened) {
        (Some(proof), _) => Err(Refusal::Answered(proof)),
        (None, true) if is_forged => Err(Refusal::ForgedBefore),
        (None, true) => Ok(QueryProof::DecidedHappened),
        (None, false) => Ok(QueryProof::DecidedNot),
    }
}
