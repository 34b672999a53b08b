//! The money steps in the log: each with its operation, its reference and the step of the method (S5–S14, S20–S24, S30–S34).
//!
//! No PIN, key or whole card serial number is ever near these lines: cards show themselves masked.

use purser_engine::load::{LoadEnd, LoadOutcome, LoadProgress, LoadView};
use purser_engine::settlement::{BatchState, BatchView};
use purser_engine::{End, Outcome, Progress, ProviderFailure, QueryTold, SaleView};
use purser_ledger::{Content, Entry, Head, Operation};
use purser_provider_link::Query;

/// Something is going on; for who looks closely.
pub(super) fn hint(view: &SaleView<Progress>) {
    let step = match view.state {
        Progress::CheckingReference
        | Progress::WaitingForCard
        | Progress::SeveralCards
        | Progress::TakeCardOut
        | Progress::ReadingCard
        | Progress::Resolving => "S20",
        Progress::WaitingForPin { .. } | Progress::CheckingPin => "S21",
        Progress::WaitingForSam | Progress::Debiting => "S22",
        Progress::Ending | Progress::NotRecorded => "S24",
    };
    let SaleView {
        operation,
        reference,
        state,
        ..
    } = view;
    tracing::debug!(%operation, %reference, step, progress = ?state, "sale under way");
}

/// A debit is recorded as intended, and may be sent to the card.
pub(super) fn intended(sale: &Operation) {
    let Operation {
        id,
        reference,
        amount,
        head,
        ..
    } = sale;
    let card = sale.key().map(|key| key.card.to_string());
    tracing::info!(operation = %id, %reference, step = "S22", %amount, card, entry = head.number, "debit intended");
}

/// An entry of a sale is durable.
pub(super) fn told(newest: Option<&Entry>, view: &SaleView<Outcome>) {
    if matches!(newest, Some(Entry::SalePresentedAgain(_))) {
        let (operation, reference, amount) = (view.operation, &view.reference, view.amount);
        let entry = view.state.entry;
        tracing::info!(%operation, %reference, step = "S30", %amount, entry, "its claim is presented again");
    } else {
        outcome(view);
    }
}

/// An outcome is durable.
fn outcome(view: &SaleView<Outcome>) {
    let SaleView {
        operation,
        reference,
        amount,
        state: Outcome {
            end,
            entry,
            conclusion,
            ..
        },
        ..
    } = view;
    match end {
        End::Paid(slip) => {
            let card = &slip.card;
            tracing::info!(%operation, %reference, step = "S23", %amount, %card, entry, ?conclusion, "paid");
        }
        End::Closed(reason) => {
            tracing::info!(%operation, %reference, step = "S24", %amount, entry, ?reason, "closed; nothing was debited");
        }
        End::NotDebited(proof) => {
            tracing::info!(%operation, %reference, step = "S24", %amount, entry, ?proof, "proven: nothing was debited");
        }
        End::InDoubt(reason) => {
            tracing::warn!(%operation, %reference, step = "S23", %amount, entry, ?reason, ?conclusion, "in doubt until the card returns");
        }
        End::Queried(reason) => {
            tracing::warn!(%operation, %reference, step = "S23", %amount, entry, ?reason, ?conclusion, "in doubt; the provider is asked");
        }
    }
}

/// The provider was asked about a sale in doubt.
pub(super) fn queried(query: &Query, answered: &Result<QueryTold, ProviderFailure>) {
    let (operation, amount) = (query.operation, query.amount);
    match answered {
        Ok(QueryTold::Answered { answer, .. }) => {
            let proof = answer.proof.name();
            tracing::info!(%operation, %amount, proof, "the provider has answered about a sale in doubt");
        }
        Ok(QueryTold::NotYet) => {
            tracing::info!(%operation, %amount, "the provider does not know yet about a sale in doubt");
        }
        Err(failure) => {
            tracing::warn!(%operation, %amount, %failure, "the provider has not answered about a sale in doubt");
        }
    }
}

/// A batch has come a step further, or not.
pub(super) fn batch(view: &BatchView) {
    let BatchView {
        id,
        currency,
        count,
        claims,
        total,
        held,
        entry,
        why,
        ..
    } = view;
    let (batch, claims) = (id, claims.amount);
    match view.state {
        BatchState::Counting | BatchState::Sealing => {
            tracing::debug!(%batch, %currency, step = "S30", state = ?view.state, "settling");
        }
        BatchState::Sending => {
            tracing::info!(%batch, step = "S30", count, %claims, entry, "sealed; the provider is asked");
        }
        BatchState::Waiting | BatchState::NotSealed => {
            let (why, cause) = why.clone().unwrap_or_default();
            tracing::warn!(%batch, %currency, count, %claims, entry, why, cause, state = ?view.state, "the batch does not get on");
        }
        BatchState::Exchanging => tracing::debug!(%batch, step = "S34", "the provider has answered"),
        BatchState::Exchanged => {
            let total = total.map(|total| total.to_string());
            let held = held.map(|held| held.amount.to_string());
            tracing::info!(%batch, step = "S34", count, %claims, total, held, entry, "the claims have left and the permit has entered");
        }
        BatchState::Voided => {
            tracing::warn!(%batch, count, %claims, entry, "the provider voids the batch; its claims are free again");
        }
    }
}

/// An entry of a load that is not its end. Nothing else is told here.
pub(super) fn load_step(content: &Content, head: Head) {
    let (operation, entry) = (content.operation, head.number);
    match &content.entry {
        Entry::LoadBegun(begun) => {
            let (reference, amount) = (&begun.reference, begun.amount);
            tracing::info!(%operation, %reference, step = "S6", %amount, entry, "load begun; its value is owed until a card has it");
        }
        Entry::LoadAttempted(attempted) => {
            let (number, card) = (attempted.number, &attempted.card);
            tracing::info!(%operation, step = "S6", number, %card, entry, "attempt recorded, and sent to the provider");
        }
        Entry::LoadReleased(released) => {
            let number = released.number;
            tracing::info!(%operation, step = "S12", number, entry, "the provider has released it; the card may take it");
        }
        _ => {}
    }
}

/// A load is going on; for who looks closely.
pub(super) fn loading(view: &LoadView<LoadProgress>) {
    let step = match view.state {
        LoadProgress::CheckingReference
        | LoadProgress::AskingProvider
        | LoadProgress::WaitingForCard { .. }
        | LoadProgress::SeveralCards
        | LoadProgress::TakeCardOut { .. }
        | LoadProgress::ReadingCard
        | LoadProgress::Resolving
        | LoadProgress::WaitingForPin { .. }
        | LoadProgress::CheckingPin => "S5",
        LoadProgress::Loading => "S6",
        LoadProgress::Voiding | LoadProgress::Owed | LoadProgress::NotRecorded => "S14",
    };
    let LoadView {
        operation,
        reference,
        state,
        ..
    } = view;
    tracing::debug!(%operation, %reference, step, progress = ?state, "load under way");
}

/// What is durable of a load.
pub(super) fn loaded(view: &LoadView<LoadOutcome>) {
    let LoadView {
        operation,
        reference,
        amount,
        card,
        state: LoadOutcome { end, entry, .. },
        ..
    } = view;
    let card = card.as_ref().map(ToString::to_string);
    match end {
        LoadEnd::Loaded { is_confirmed, .. } => {
            tracing::info!(%operation, %reference, step = "S13", %amount, card, entry, is_confirmed, "loaded");
        }
        LoadEnd::Voided => {
            tracing::warn!(%operation, %reference, step = "S14", %amount, entry, "void: no card has it, and none will");
        }
        LoadEnd::Owed { may_be_on_card, why } => {
            tracing::warn!(%operation, %reference, step = "S14", %amount, card, entry, may_be_on_card, ?why, "owed: begin it again, or cancel it");
        }
    }
}
