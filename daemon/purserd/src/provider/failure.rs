//! Why the provider has not answered this time: a settlement or a load stands as it stood, and the same may be asked again.

use std::borrow::Cow;

use purser_engine::ProviderFailure;
use purser_provider_link::call_back::{Refusal, TerminalEnding};

use super::wire::{AskError, Told};

/// How much of what the other side says is shown: it chooses the words.
const SHOWN_CHARS_MAX: usize = 300;

/// The link's own names.
pub mod names {
    /// The link has as many waiting settlements as it takes.
    pub const LINK_BUSY: &str = "LinkBusy";
    /// The link has ended.
    pub const LINK_ENDED: &str = "LinkEnded";
    /// The provider cannot be reached.
    pub const NOT_REACHED: &str = "NotReached";
    /// Whoever answered at the provider's address has no certificate of its authority for that address, or has no TLS 1.3.
    pub const NOT_THE_PROVIDER: &str = "NotTheProvider";
    /// The line was lost.
    pub const LINE_LOST: &str = "LineLost";
    /// The provider did not answer in time.
    pub const NO_ANSWER: &str = "NoAnswer";
    /// The provider answered something that is not in the contract.
    pub const BAD_ANSWER: &str = "BadAnswer";
    /// A verdict is not the provider's, or of another batch or place.
    pub const BAD_VERDICT: &str = "BadVerdict";
    /// The permit is not the provider's, or of another batch, terminal or account.
    pub const BAD_PERMIT: &str = "BadPermit";
    /// The void is not the provider's, or of another batch.
    pub const BAD_VOID: &str = "BadVoid";
    /// The answer to a query is not the provider's, or of another query.
    pub const BAD_QUERY_ANSWER: &str = "BadQueryAnswer";
    /// The provider gave no ticket in as many tries as are allowed.
    pub const NO_TICKET: &str = "NoTicket";
    /// The provider did not call back in time.
    pub const NO_CALL_BACK: &str = "NoCallBack";
    /// The device key gave no signature.
    pub const NO_SIGNATURE: &str = "NoSignature";
    /// The page source gave no items, or more than were asked for.
    pub const NO_ITEMS: &str = "NoItems";
    /// The parameters are not the provider's.
    pub const BAD_PARAMETERS: &str = "BadParameters";
    /// The parameters are of an earlier version than those in force.
    pub const PARAMETERS_GO_BACK: &str = "ParametersGoBack";
    /// The parameters are other ones under the version in force.
    pub const PARAMETERS_DIFFER: &str = "ParametersDiffer";
    /// The parameters cannot be made durable.
    pub const PARAMETERS_NOT_KEPT: &str = "ParametersNotKept";
    /// The provider refused by a name that this Purser does not know.
    pub const REFUSED: &str = "ProviderRefused";
}

/// What the provider calls its refusals, beside those of a call-back (the reference provider's OpenAPI document).
const REFUSALS: &[&str] = &[
    "AcknowledgedAhead",
    "Altered",
    "AttemptNumber",
    "BadBatch",
    "BadBody",
    "BadItem",
    "BadPath",
    "BadProof",
    "BadQuery",
    "BodyBroken",
    "BodySlow",
    "BodyTooLong",
    "CodeExpired",
    "CodeUsed",
    "CounterMoved",
    "Done",
    "Forged",
    "ForgedBefore",
    "GoesBack",
    "HotListed",
    "ItHappened",
    "KeyKnown",
    "Mac1",
    "NoCertificate",
    "NoSuchMethod",
    "NoSuchPath",
    "NotAuthenticated",
    "NotBooked",
    "NotKnown",
    "NotReceived",
    "NotReconciled",
    "NotReleased",
    "OnTheLink",
    "OtherCard",
    "OtherContent",
    "OtherCurrency",
    "OtherLoadOpen",
    "OtherPresenter",
    "OtherRole",
    "OtherTerminal",
    "PageChanged",
    "PageSize",
    "PageSkipped",
    "PermitRevoked",
    "Permitted",
    "PurseFull",
    "Revoked",
    "StaleInitialize",
    "StaleProof",
    "Suspended",
    "Tac",
    "TooManyAttempts",
    "TooManyItems",
    "TooManyQueries",
    "UnknownBatch",
    "UnknownCard",
    "UnknownCertificate",
    "UnknownCode",
    "UnknownLoad",
    "UnknownTerminalNumber",
    "UnknownVersion",
    "Voided",
    "VoidedAndHappened",
];

/// A failure that can go away by itself.
pub(super) fn transient(name: &'static str, text: impl Into<String>) -> ProviderFailure {
    ProviderFailure {
        name,
        is_transient: true,
        text: text.into(),
    }
}

/// A failure at which somebody has to look, though a repeat does no harm.
pub(super) fn lasting(name: &'static str, text: impl Into<String>) -> ProviderFailure {
    ProviderFailure {
        name,
        is_transient: false,
        text: text.into(),
    }
}

/// What an exchange came to that was not answered with 200. `doing` says which.
pub(super) fn of(doing: &str, error: &AskError) -> ProviderFailure {
    match error {
        AskError::NotReached(_) => transient(names::NOT_REACHED, format!("{doing}: {error}")),
        AskError::NotTheProvider(_) => lasting(names::NOT_THE_PROVIDER, format!("{doing}: {error}")),
        AskError::Lost(_) => transient(names::LINE_LOST, format!("{doing}: {error}")),
        AskError::Slow => transient(names::NO_ANSWER, format!("{doing}: {error}")),
        // It can quote the answer.
        AskError::Odd(_) => lasting(
            names::BAD_ANSWER,
            format!("{doing}: {}", shown(&error.to_string())),
        ),
        AskError::Refused(told) => ProviderFailure {
            name: known(&told.error),
            is_transient: told.transient,
            text: format!("{doing}: {}", refused(told)),
        },
    }
}

/// How a request for a call-back ended.
pub(super) fn ended(ending: TerminalEnding) -> ProviderFailure {
    match ending {
        TerminalEnding::Refused(refusal) => ProviderFailure {
            name: refusal.name(),
            is_transient: refusal.is_transient(),
            text: format!("the provider refuses the call-back: {refusal}"),
        },
        TerminalEnding::NoTicket => {
            transient(names::NO_TICKET, "the provider gives no ticket for a call-back")
        }
        TerminalEnding::NoCallBack => transient(names::NO_CALL_BACK, "the provider has not called back"),
        TerminalEnding::LegLost => transient(
            names::LINE_LOST,
            "the line was lost after the challenge was answered",
        ),
        TerminalEnding::NoSignature => lasting(names::NO_SIGNATURE, "the device key gives no signature"),
        TerminalEnding::Cancelled => transient(names::LINK_ENDED, "the request was given up"),
    }
}

/// The provider's name as one of ours.
fn known(name: &str) -> &'static str {
    let of_call_back = Refusal::ALL.into_iter().map(Refusal::name);
    let mut all = REFUSALS.iter().copied().chain(of_call_back);
    all.find(|it| *it == name).unwrap_or(names::REFUSED)
}

/// A refusal in one line. It is the other side's text: cut, and without what could steer a terminal.
pub(super) fn refused(told: &Told) -> String {
    let Told {
        error, cause, remedy, ..
    } = told;
    format!(
        "the provider refuses by {}: {}; {}",
        shown(error),
        shown(cause),
        shown(remedy)
    )
}

fn shown(text: &str) -> Cow<'_, str> {
    let is_plain = text.len() <= SHOWN_CHARS_MAX && !text.contains(char::is_control);
    if is_plain {
        return text.into();
    }
    let plain = |it: char| if it.is_control() { ' ' } else { it };
    text.chars()
        .take(SHOWN_CHARS_MAX)
        .map(plain)
        .collect::<String>()
        .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_provider_chooses_its_words_and_not_what_a_terminal_does_with_them() {
        let told = Told {
            error: "Ended\u{1b}[2J".to_owned(),
            cause: "x".repeat(10_000),
            remedy: "none\nERROR all is well".to_owned(),
            transient: true,
        };
        let failure = of("a page", &AskError::Refused(told));
        assert_eq!((failure.name, failure.is_transient), (names::REFUSED, true));
        assert!(failure.text.len() < 1_000, "{} bytes", failure.text.len());
        assert!(!failure.text.contains(char::is_control));
    }

    #[test]
    fn a_refusal_keeps_the_providers_name_where_it_is_one_of_the_contract() {
        for name in ["Revoked", "NotReconciled", "ReplayedRequest"] {
            assert_eq!(known(name), name);
        }
        assert_eq!(known("revoked"), names::REFUSED);
    }
}
