//! Loads in the words of the API.

use purser_engine::load::{LoadEnd, LoadOutcome, LoadProgress, LoadRefusal, LoadView, OwedReason, refusal};

use super::{UNDER_WAY, amount, masked, time};
use crate::model;
use crate::reasons::{self, Reason};

/// A load under way.
pub(crate) fn loading(view: &LoadView<LoadProgress>) -> model::Load {
    let (state, refused) = match view.state {
        LoadProgress::CheckingReference => ("checking_reference", None),
        LoadProgress::AskingProvider => ("asking_provider", None),
        LoadProgress::WaitingForCard { refused } => ("waiting_for_card", refused),
        LoadProgress::SeveralCards => ("several_cards", None),
        LoadProgress::TakeCardOut { refused } => ("take_card_out", refused),
        LoadProgress::ReadingCard => ("reading_card", None),
        LoadProgress::Resolving => ("resolving", None),
        LoadProgress::WaitingForPin { .. } => ("waiting_for_pin", None),
        LoadProgress::CheckingPin => ("checking_pin", None),
        LoadProgress::Loading => ("loading", None),
        LoadProgress::Voiding => ("voiding", None),
        LoadProgress::Owed => ("owed", None),
        LoadProgress::NotRecorded => ("not_recorded", None),
    };
    let outcome = match view.state {
        LoadProgress::Owed => "owed",
        LoadProgress::NotRecorded => "not_begun",
        _ => UNDER_WAY,
    };
    let mut load = bare(view, outcome, state);
    set_reason(&mut load, refused.map(of_card));
    if let LoadProgress::WaitingForPin { tries_left, .. } = view.state {
        load.tries_left = tries_left.map(u64::from);
    }
    load
}

/// What is durable of a load.
pub(crate) fn loaded(view: &LoadView<LoadOutcome>) -> model::Load {
    let mut load = match view.state.end {
        LoadEnd::Loaded {
            balance_after,
            is_confirmed,
        } => model::Load {
            balance_after: balance_after.map(amount),
            confirmed: Some(is_confirmed),
            ..bare(view, "loaded", "loaded")
        },
        LoadEnd::Voided => bare(view, "voided", "voided"),
        LoadEnd::Owed { may_be_on_card, why } => {
            let mut load = bare(view, "owed", "owed");
            load.may_be_on_card = Some(may_be_on_card);
            set_reason(&mut load, why.map(owed));
            load
        }
    };
    load.entry = Some(view.state.entry);
    load.at = Some(time(view.state.at));
    load
}

fn bare<S>(view: &LoadView<S>, outcome: &str, state: &str) -> model::Load {
    model::Load {
        load: view.operation.to_string(),
        reference: view.reference.as_str().to_owned(),
        owner: u64::from(view.owner.0),
        amount: amount(view.amount),
        outcome: outcome.to_owned(),
        state: state.to_owned(),
        reason: None,
        cause: None,
        remedy: None,
        tries_left: None,
        may_be_on_card: None,
        card: view.card.as_ref().map(masked),
        balance_after: None,
        confirmed: None,
        entry: None,
        at: None,
        reader: view.reader.as_ref().map(|name| name.as_str().to_owned()),
    }
}

/// A reason whose name may be the provider's.
struct Why {
    name: String,
    cause: String,
    remedy: &'static str,
}

impl From<Reason> for Why {
    fn from(reason: Reason) -> Self {
        Self {
            name: reason.name.to_owned(),
            cause: reason.cause.to_owned(),
            remedy: reason.remedy,
        }
    }
}

fn why(name: &str, cause: impl Into<String>, remedy: &'static str) -> Why {
    Why {
        name: name.to_owned(),
        cause: cause.into(),
        remedy,
    }
}

fn set_reason(load: &mut model::Load, why: Option<Why>) {
    let Some(Why { name, cause, remedy }) = why else {
        return;
    };
    load.reason = Some(name);
    load.cause = Some(cause);
    load.remedy = Some(remedy.to_owned());
}

/// Why a card was not loaded.
fn of_card(refused: LoadRefusal) -> Why {
    match refused {
        LoadRefusal::OtherCard => why(
            "other_card",
            "another card may have the value already",
            "present that card",
        ),
        LoadRefusal::PurseFull => why(
            "purse_full",
            "the purse cannot hold so much",
            "present another card, or cancel the load",
        ),
        LoadRefusal::Card(close) => reasons::of_close(close).into(),
        LoadRefusal::Provider(name) if refusal::OF_CARD.contains(&name) => why(
            name,
            format!("the provider refuses this card by {name}"),
            "present another card, or cancel the load",
        ),
        LoadRefusal::Provider(name) => why(
            name,
            format!("the provider has not answered, or refuses the load, by {name}"),
            "put the same card in again, or cancel the load",
        ),
    }
}

/// Why a load does not get on.
fn owed(reason: OwedReason) -> Why {
    const GO_ON: &str = "begin it again with the same reference to complete it, or cancel it";
    match reason {
        OwedReason::NoCardInTime => why("no_card_in_time", "no card came in time", GO_ON),
        OwedReason::CardsFailed => why("cards_failed", "cards were refused, or failed, too often", GO_ON),
        OwedReason::ProofMissing => why(
            "proof_missing",
            "the card has moved on by one load and gives no proof of it",
            "show the provider the card",
        ),
        OwedReason::CounterMoved => why(
            "counter_moved",
            "the card's counter of loads stands where this load cannot have brought it",
            "show the provider the card",
        ),
        OwedReason::Provider(name) => why(
            name,
            format!("the provider has not answered, or refuses, by {name}"),
            GO_ON,
        ),
        OwedReason::NotRecorded => why(
            "not_recorded",
            "the journal takes no further attempt",
            "free disk space; where there is room, cancel the load, or show the provider the card",
        ),
        OwedReason::Stopped => why("stopped", "Purser is stopping", GO_ON),
    }
}
