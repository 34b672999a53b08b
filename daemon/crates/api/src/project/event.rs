//! What watchers are told: the sale, the load or the batch as it stood with an entry, or as it stands now.

use purser_engine::load::{LoadOutcome, LoadView};
use purser_engine::settlement::{BatchState, BatchView};
use purser_engine::{Outcome, SaleView};
use purser_ledger::{AnyOperation, Entry};

use super::{DEBITING, UNDER_WAY, batch, durable, kind, loaded, loading, set_reason, under_way};
use crate::fold::Folded;
use crate::hub::{Durable, News};
use crate::model;

/// What an event is about.
#[expect(clippy::large_enum_variant, reason = "made and taken apart at once")]
pub(crate) enum Told {
    /// A sale.
    Sale(model::Sale),
    /// A load.
    Load(model::Load),
    /// A batch.
    Batch(model::Batch),
}

impl Told {
    /// The event of this entry, or of a progress hint.
    pub(crate) fn event(self, number: Option<u64>, kind: &str) -> model::Event {
        let mut event = model::Event {
            number,
            kind: kind.to_owned(),
            sale: None,
            load: None,
            batch: None,
        };
        match self {
            Self::Sale(sale) => event.sale = Some(sale),
            Self::Load(load) => event.load = Some(load),
            Self::Batch(batch) => event.batch = Some(batch),
        }
        event
    }

    /// The event of a progress hint.
    pub(crate) fn progress(self) -> model::Event {
        self.event(None, "progress")
    }
}

/// What watchers are told.
pub(crate) fn event(news: &News) -> model::Event {
    match news {
        News::Entry { recorded, view } => entry_event(recorded.head.number, &recorded.content.entry, view),
        News::Hint(view) => Told::Sale(under_way(view)).progress(),
        News::HintLoad(view) => Told::Load(loading(view)).progress(),
        News::HintBatch(view) => Told::Batch(batch(view)).progress(),
    }
}

/// The event of an entry that was read back.
pub(crate) fn folded_event(folded: &Folded) -> model::Event {
    let view = match &folded.operation {
        AnyOperation::Sale(sale) => Durable::Sale(SaleView::of(sale)),
        AnyOperation::Load(load) => Durable::Load(LoadView::of(load)),
        AnyOperation::Settlement(settlement) => Durable::Batch(BatchView::of(settlement)),
    };
    let recorded = &folded.recorded;
    entry_event(recorded.head.number, &recorded.content.entry, &view)
}

fn entry_event(number: u64, entry: &Entry, view: &Durable) -> model::Event {
    let told = match view {
        Durable::Sale(view) => Told::Sale(sale(entry, view)),
        Durable::Load(view) => Told::Load(load(entry, view)),
        Durable::Batch(view) => Told::Batch(batch_with(entry, view)),
    };
    told.event(Some(number), kind(entry))
}

fn sale(entry: &Entry, view: &SaleView<Outcome>) -> model::Sale {
    let mut sale = durable(view);
    if matches!(entry, Entry::SaleIntended(_)) {
        // With its intent a sale is being debited; in doubt it is only when an entry says so.
        UNDER_WAY.clone_into(&mut sale.outcome);
        DEBITING.clone_into(&mut sale.state);
        set_reason(&mut sale, None);
    }
    sale
}

fn load(entry: &Entry, view: &LoadView<LoadOutcome>) -> model::Load {
    let mut load = loaded(view);
    if let Entry::LoadBegun(_) | Entry::LoadAttempted(_) | Entry::LoadReleased(_) = entry {
        // Somebody works on it who has just recorded this; that it is owed is told when nobody does any more.
        UNDER_WAY.clone_into(&mut load.outcome);
        "loading".clone_into(&mut load.state);
        load.may_be_on_card = None;
    }
    load
}

/// A batch that is sealed goes to the provider at once. Later on its seal has another number than the event.
fn batch_with(entry: &Entry, view: &BatchView) -> model::Batch {
    if matches!(entry, Entry::BatchSealed(_)) {
        batch(&BatchView {
            state: BatchState::Sending,
            ..view.clone()
        })
    } else {
        batch(&BatchView {
            entry: None,
            ..view.clone()
        })
    }
}
