//! Words about batches.

use purser_engine::RequestError;
use purser_engine::settlement::NotUnpaid;

use crate::model::ErrorName;

/// A refusal that is about settlement; that only operators may for any other.
pub(super) fn words(error: RequestError) -> (ErrorName, &'static str, &'static str) {
    match error {
        RequestError::UnknownBatch => (
            ErrorName::UnknownBatch,
            "no batch of this number is under way",
            "use one that Batches lists as waiting",
        ),
        RequestError::ProviderNotConfigured => (
            ErrorName::ProviderNotConfigured,
            "no provider is configured, or this terminal is not enrolled with it",
            "configure the provider and enrol this terminal with it",
        ),
        RequestError::NotUnpaid(why) => not_unpaid(why),
        _ => (
            ErrorName::NotAllowed,
            "only an operator may settle",
            "ask an operator",
        ),
    }
}

fn not_unpaid(why: NotUnpaid) -> (ErrorName, &'static str, &'static str) {
    match why {
        NotUnpaid::UnknownBatch => (
            ErrorName::UnknownBatch,
            "no batch has this number",
            "use one that Batches lists",
        ),
        NotUnpaid::NotExchanged => (
            ErrorName::BatchNotExchanged,
            "the batch is under way, or void: it has left no claim unpaid",
            "wait for its end; the claims of a void batch settle with the next one",
        ),
        NotUnpaid::NoClaimThere => (
            ErrorName::NoClaimThere,
            "no claim of the batch has this place",
            "use the place of a claim that BatchItems tells as hold or dispute",
        ),
        NotUnpaid::Paid => (
            ErrorName::ClaimPaid,
            "the batch paid this claim",
            "nothing is to be done; BatchItems tells the claims that are not paid",
        ),
        NotUnpaid::PresentedBefore => (
            ErrorName::ClaimPresented,
            "the claim was presented again before",
            "settle; a later batch has it, or will: its verdict is told there",
        ),
        NotUnpaid::Damaged => (
            ErrorName::JournalDamaged,
            "what is kept of the batch is damaged, so that nobody knows what it paid",
            "tell the operator to keep a copy of the state folder and to run purserd verify-journal",
        ),
        NotUnpaid::NotRead => (
            ErrorName::JournalUnavailable,
            "the journal cannot be read now",
            "try again; if it stays so, see Purser's log",
        ),
    }
}
