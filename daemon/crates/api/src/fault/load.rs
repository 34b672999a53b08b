//! Words about loads.

use purser_engine::RequestError;

use crate::model::{ErrorName, Fault};

/// A refusal that is about loads; none for any other.
pub(super) fn words(error: RequestError) -> (ErrorName, &'static str, &'static str) {
    match error {
        RequestError::LoadEnded => (
            ErrorName::LoadEnded,
            "the provider says that this load has ended, and no load of this terminal has the reference",
            "ask the provider's operator where it was completed or voided",
        ),
        RequestError::OtherLoad => (
            ErrorName::ReferenceOfOtherLoad,
            "the reference belongs to another load",
            "choose another reference for a new load, or repeat the old one with its own number",
        ),
        RequestError::OtherReference => (
            ErrorName::LoadOfOtherReference,
            "the load is known under another reference",
            "use that reference; Journal tells it",
        ),
        RequestError::LoadNotConcluded => (
            ErrorName::LoadNotConcluded,
            "the reference is a load's, which its card and the provider end",
            "begin it again to complete it, or cancel it",
        ),
        RequestError::TooManyLoads => (
            ErrorName::TooManyLoads,
            "as many loads are under way as Purser keeps at once",
            "try again when one has ended",
        ),
        _ => (
            ErrorName::ProviderFailed,
            "the provider has not answered about the load, or refuses it",
            "try again; where it refuses, ask the provider's operator",
        ),
    }
}

/// The provider's own name is told with the words.
pub(super) fn provider_failed(name: &str, is_transient: bool) -> Fault {
    let remedy = if is_transient {
        "try again with the same reference; nothing was begun"
    } else {
        "look at the load's number and amount, and ask the provider's operator; nothing was begun"
    };
    let cause = format!("the provider has not answered about the load, or refuses it, by {name}");
    Fault::new(ErrorName::ProviderFailed, cause, remedy).with_transient(is_transient)
}
