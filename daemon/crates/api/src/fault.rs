//! From the engine's refusals to the API's errors: one name, one cause, one remedy each.

mod batch;
mod load;
mod parameters;

use purser_engine::RequestError;
use purser_ledger::Refused;

use crate::facts::FactsUnavailable;
use crate::model::{ErrorName, Fault};
use crate::quota::{CALLS_PER_SECOND, CALLS_WAITING_MAX, ENTRIES_PER_SECOND};

/// What a caller is told about a refused request.
pub(crate) fn of_request(error: RequestError) -> Fault {
    if let RequestError::ProviderFailed { name, is_transient } = error {
        return load::provider_failed(name, is_transient);
    }
    let (name, cause, remedy) = request_words(error);
    Fault::new(name, cause, remedy).with_transient(error.is_transient())
}

fn request_words(error: RequestError) -> (ErrorName, &'static str, &'static str) {
    match error {
        RequestError::Refused(refused) => refused_words(refused),
        RequestError::UnknownReference => (
            ErrorName::UnknownReference,
            "no sale has this reference",
            "look at the reference; if BeginSale was never answered, send it again",
        ),
        RequestError::NotOwner => (
            ErrorName::NotOwner,
            "the sale belongs to another user",
            "ask as the user who began it, or as an operator",
        ),
        RequestError::NotOperator
        | RequestError::UnknownBatch
        | RequestError::ProviderNotConfigured
        | RequestError::NotUnpaid(_) => batch::words(error),
        RequestError::ProviderFailed { .. }
        | RequestError::LoadEnded
        | RequestError::OtherLoad
        | RequestError::OtherReference
        | RequestError::LoadNotConcluded
        | RequestError::TooManyLoads => load::words(error),
        RequestError::AmountZero | RequestError::AmountTooLarge | RequestError::CurrencyNotAccepted => {
            amount_words(error)
        }
        RequestError::UnknownReader
        | RequestError::NoReader
        | RequestError::ReaderInUse
        | RequestError::NoCard
        | RequestError::SeveralCards => reader_words(error),
        RequestError::CardNotReadable
        | RequestError::PinNeeded
        | RequestError::PinThroughApiOff
        | RequestError::NoPinExpected
        | RequestError::LastTry => pin_words(error),
        RequestError::Damaged | RequestError::Held => damage_words(error),
        RequestError::Changing => (
            ErrorName::Changing,
            "the sale is being changed at this moment",
            "try again",
        ),
        RequestError::NeverInDoubt => (
            ErrorName::NeverInDoubt,
            "only a sale that was in doubt can be concluded",
            "act on its outcome; Attach tells it",
        ),
        RequestError::LimitAmount
        | RequestError::LimitCount
        | RequestError::LimitTotal
        | RequestError::LimitAge
        | RequestError::QuotaSales
        | RequestError::TooManySales => limit_words(error),
        RequestError::ParametersCurrency
        | RequestError::ParametersLimit
        | RequestError::ParametersStale
        | RequestError::ParametersSam => parameters::words(error),
        RequestError::Stopping => (
            ErrorName::Stopping,
            "Purser is stopping",
            "try again, with the same reference, when it has started",
        ),
    }
}

fn amount_words(error: RequestError) -> (ErrorName, &'static str, &'static str) {
    match error {
        RequestError::AmountZero => (
            ErrorName::AmountZero,
            "the amount is zero",
            "a sale needs a price of at least one minor unit",
        ),
        RequestError::AmountTooLarge => (
            ErrorName::AmountTooLarge,
            "the amount is larger than a card's purse can hold",
            "look at the price; amounts are in minor units",
        ),
        _ => (
            ErrorName::CurrencyNotAccepted,
            "no configured card issuer uses this currency",
            "use a currency that GetInfo lists, or add the issuer under [issuers] in the configuration",
        ),
    }
}

fn damage_words(error: RequestError) -> (ErrorName, &'static str, &'static str) {
    match error {
        RequestError::Held => (
            ErrorName::JournalDamaged,
            "the journal is damaged, so that a paid sale could be taken for a new one; no new sale begins",
            "nothing was begun; where this reference was used before, take its sale for one in doubt; tell the operator to \
             keep a copy of the state folder and to run purserd verify-journal",
        ),
        _ => (
            ErrorName::JournalDamaged,
            "the journal's entries of this reference are damaged",
            "tell the operator to run purserd verify-journal; a new sale needs another reference",
        ),
    }
}

fn limit_words(error: RequestError) -> (ErrorName, &'static str, &'static str) {
    match error {
        RequestError::LimitAmount => (
            ErrorName::LimitAmount,
            "the price is above the operator's limit for one sale",
            "take another way to pay; the operator can raise limits.amount_max in the configuration",
        ),
        RequestError::LimitCount => (
            ErrorName::LimitCount,
            "as many claims wait for settlement as the operator allows",
            "settle; the operator can raise limits.count_max in the configuration",
        ),
        RequestError::LimitTotal => (
            ErrorName::LimitTotal,
            "with this sale more money would wait for settlement than the operator allows",
            "settle; the operator can raise limits.total_max in the configuration",
        ),
        RequestError::LimitAge => (
            ErrorName::LimitAge,
            "the oldest claim has waited for settlement as long as the operator allows",
            "settle; the operator can raise limits.age_max_hours in the configuration",
        ),
        RequestError::QuotaSales => (
            ErrorName::QuotaSales,
            "too many sales of your user are under way",
            "end or cancel one, and try again",
        ),
        _ => (
            ErrorName::TooManySales,
            "as many sales are under way as Purser keeps at once",
            "try again when one has ended",
        ),
    }
}

fn reader_words(error: RequestError) -> (ErrorName, &'static str, &'static str) {
    match error {
        RequestError::UnknownReader => (
            ErrorName::UnknownReader,
            "no card reader has this name",
            "use a name that Devices lists",
        ),
        RequestError::NoReader => (
            ErrorName::NoReader,
            "no card reader is working",
            "see Devices for what is wrong with it; try again when one is ready",
        ),
        RequestError::ReaderInUse => (
            ErrorName::ReaderInUse,
            "a sale or another request has the reader",
            "try again when it has ended, or name another reader",
        ),
        RequestError::NoCard => (
            ErrorName::NoCard,
            "no card is in the reader",
            "put the card in and try again",
        ),
        _ => (
            ErrorName::SeveralCards,
            "several readers hold a card",
            "name the reader, or take out all cards but one",
        ),
    }
}

fn pin_words(error: RequestError) -> (ErrorName, &'static str, &'static str) {
    match error {
        RequestError::PinNeeded => (
            ErrorName::PinNeeded,
            "the card tells its balance only after its PIN",
            "begin a sale instead; Purser asks for the PIN there only",
        ),
        RequestError::PinThroughApiOff => pin_through_api_off_words(),
        RequestError::NoPinExpected => (
            ErrorName::NoPinExpected,
            "the sale does not wait for a PIN through the API now",
            "watch the sale, and send the PIN when its state is waiting_for_pin",
        ),
        RequestError::LastTry => (
            ErrorName::LastTry,
            "one try is left on the card; a wrong PIN blocks it",
            "ask the buyer; send the PIN with last_try, or cancel",
        ),
        _ => (
            ErrorName::CardNotReadable,
            "the card cannot be read as a purse",
            "put it in again, or take another card",
        ),
    }
}

fn refused_words(refused: Refused) -> (ErrorName, &'static str, &'static str) {
    match refused {
        Refused::ExistsWithDifferentOwner => (
            ErrorName::ReferenceOfOtherOwner,
            "the reference belongs to another user's sale",
            "choose another reference",
        ),
        Refused::ExistsWithDifferentKind => (
            ErrorName::ReferenceOfOtherKind,
            "the reference belongs to an operation of another kind",
            "choose another reference, or ask for what it is: Journal tells",
        ),
        Refused::ExistsWithDifferentCurrency => (
            ErrorName::ReferenceWithOtherCurrency,
            "the reference belongs to a sale in another currency",
            "choose another reference for a new sale, or repeat the old one with its own currency",
        ),
        Refused::ExistsWithDifferentAmount => (
            ErrorName::ReferenceWithOtherAmount,
            "the reference belongs to a sale over another amount",
            "choose another reference for a new sale, or repeat the old one with its own amount",
        ),
        Refused::Exists => (
            ErrorName::SaleExists,
            "the sale exists already",
            "use Attach to see how it stands",
        ),
        Refused::ExistsWithDifferentConclusion => (
            ErrorName::ConcludedOtherwise,
            "the sale was concluded otherwise, and a conclusion does not change",
            "see the sale's conclusion with Attach",
        ),
        Refused::OutOfOrder => (
            ErrorName::SaleMovedOn,
            "the sale has moved on meanwhile",
            "look at it again with Attach",
        ),
        Refused::DebitKeyExists => (
            ErrorName::DebitExists,
            "another debit has this terminal serial number",
            "tell the operator: the terminal's counter or its journal is not the newest one",
        ),
        Refused::BalanceOutOfRange => (
            ErrorName::BooksFull,
            "an account has reached its limit",
            "settle, then try again",
        ),
        Refused::NoRoom => (
            ErrorName::NoRoom,
            "the journal has no room for a payment's evidence",
            "free disk space, then try again",
        ),
    }
}

fn pin_through_api_off_words() -> (ErrorName, &'static str, &'static str) {
    (
        ErrorName::PinThroughApiOff,
        "PINs through the API are off",
        "use a PIN pad, or set pin.through_api in the configuration",
    )
}

/// PINs through the API are off.
pub(crate) fn pin_through_api_off() -> Fault {
    of_request(RequestError::PinThroughApiOff)
}

/// The user has called too often.
pub(crate) fn too_many_calls() -> Fault {
    Fault::new(
        ErrorName::QuotaCalls,
        format!("your user calls or connects more than {CALLS_PER_SECOND} times a second"),
        "call less often: follow sales with Watch instead of asking again; then repeat the call with the same reference",
    )
    .with_transient(true)
}

/// The user has read too much of the journal.
pub(crate) fn too_much_read() -> Fault {
    Fault::new(
        ErrorName::QuotaCalls,
        format!("your user reads more than {ENTRIES_PER_SECOND} entries a second"),
        "read on in a second; Attach tells how one sale stands all the same, and Watch tells what is new",
    )
    .with_transient(true)
}

/// The user waits for too many answers.
pub(crate) fn too_many_waiting() -> Fault {
    Fault::new(
        ErrorName::QuotaCalls,
        format!("your user waits for {CALLS_WAITING_MAX} answers already"),
        "wait for one of them, then repeat the call with the same reference",
    )
    .with_transient(true)
}

/// The user has too many connections.
pub(crate) fn too_many_connections() -> Fault {
    Fault::new(
        ErrorName::QuotaConnections,
        "your user, or all users together, have too many connections",
        "close one of them and connect again; one connection serves any number of calls",
    )
    .with_transient(true)
}

/// The user has too many watchers.
pub(crate) fn too_many_watchers() -> Fault {
    Fault::new(
        ErrorName::QuotaWatchers,
        "your user, or all users together, watch sales with too many programs",
        "end one of them and watch again; one watcher can follow all sales of its user",
    )
    .with_transient(true)
}

/// The engine's task takes no more calls now.
pub(crate) fn busy() -> Fault {
    Fault::new(
        ErrorName::Busy,
        "Purser has too much to do",
        "try again, with the same reference",
    )
    .with_transient(true)
}

/// The engine's task has ended.
pub(crate) fn stopping() -> Fault {
    of_request(RequestError::Stopping)
}

/// The engine answered something else than what was asked.
pub(crate) fn other_answer() -> Fault {
    tracing::error!("the engine answered another question than the one that was asked");
    busy()
}

/// The operation is a load and was asked for as a sale, or the other way round.
pub(crate) fn other_kind() -> Fault {
    Fault::new(
        ErrorName::ReferenceOfOtherKind,
        "the reference belongs to an operation of another kind",
        "choose another reference, or ask for what it is: Journal tells",
    )
}

/// The journal has no such batch.
pub(crate) fn unknown_batch() -> Fault {
    Fault::new(
        ErrorName::UnknownBatch,
        "no batch has this number",
        "use one that Batches lists",
    )
}

/// The journal cannot be read.
pub(crate) fn of_facts(unavailable: FactsUnavailable) -> Fault {
    let fault = match unavailable {
        FactsUnavailable::Busy => Fault::new(
            ErrorName::JournalUnavailable,
            "the journal cannot be read now",
            "try again; if it stays so, see Purser's log",
        ),
        FactsUnavailable::Unreadable => Fault::new(
            ErrorName::JournalUnavailable,
            "the journal cannot be read",
            "tell the operator to see Purser's log and to check the disk of the state folder",
        ),
        FactsUnavailable::Damaged { entry: Some(number) } => Fault::new(
            ErrorName::JournalDamaged,
            format!("entry {number} of the journal is damaged"),
            format!(
                "tell the operator to run purserd verify-journal; to read on behind the damage, ask for what is after {number}"
            ),
        ),
        FactsUnavailable::Damaged { entry: None } => Fault::new(
            ErrorName::JournalDamaged,
            "the journal is damaged",
            "tell the operator to keep a copy of the state folder and to run purserd verify-journal",
        ),
    };
    fault.with_transient(unavailable.is_transient())
}

/// An argument that cannot be understood.
pub(crate) fn invalid_argument(argument: &str, cause: impl Into<String>, remedy: impl Into<String>) -> Fault {
    Fault {
        argument: Some(argument.into()),
        ..Fault::new(ErrorName::InvalidArgument, cause, remedy)
    }
}

/// A caller goes on behind a number that this journal never had.
pub(crate) fn never_told(after: u64, newest: u64) -> Fault {
    invalid_argument(
        "after",
        format!("the newest entry is {newest}; {after} was never told by this journal"),
        "begin again after 0; if this terminal did tell the number, tell the operator that its journal is an older one",
    )
}

/// A message that cannot be read; the connection ends behind it.
pub(crate) fn unreadable_message(cause: &str) -> Fault {
    invalid_argument(
        "message",
        cause,
        "send one JSON object with a method and its parameters, then a zero byte, within the limit that GetInfo tells",
    )
}

/// A PIN was announced and did not come.
pub(crate) fn no_descriptor() -> Fault {
    invalid_argument(
        "pin",
        "no file descriptor with this index came with the call",
        "send the read end of a pipe with the call, and its index, counted from 0",
    )
}

/// The watcher did not keep up; `after` is what it was told last.
pub(crate) fn lagged(after: Option<u64>) -> Fault {
    Fault {
        after,
        ..Fault::new(
            ErrorName::Lagged,
            "the watcher did not read its events in time",
            "watch again, after the number of the last event read",
        )
    }
    .with_transient(true)
}

#[cfg(test)]
mod tests;
