//! The moments at which something is promised: a debit that executes, an outcome that is told.

use purser_engine::{End, LoadEnd, LoadOutcome, LoadView, SaleView, Told};
use purser_ledger::{DoubtReason, PaidProof, Standing, VoidProof};

use crate::flaw::Flaw;
use crate::kit::CardKind;
use crate::pos::is_certain;
use crate::rule::{Violation, hold};
use crate::store::SimStore;
use crate::trace::tell;
use crate::world::World;

/// A load is told as the store keeps it; what has changed since can only have been owed.
pub(crate) fn load_is_kept(store: &SimStore, view: &LoadView<LoadOutcome>) -> Result<(), String> {
    let told = &view.state;
    let Some(load) = store.load(view.operation) else {
        return Err(format!("{view:?} is told, and the store has no such load"));
    };
    let LoadView { state: kept, .. } = LoadView::of(load);
    let is_same = match (kept.end, told.end) {
        // Why it is owed only the process knows.
        (
            LoadEnd::Owed {
                may_be_on_card: one, ..
            },
            LoadEnd::Owed {
                may_be_on_card: other,
                ..
            },
        ) => one == other,
        (kept, told) => kept == told,
    };
    if told.entry == kept.entry && is_same && store.is_on_disk(&load.head) {
        return Ok(());
    }
    if told.entry < kept.entry
        && matches!(
            told.end,
            LoadEnd::Owed { .. }
                | LoadEnd::Loaded {
                    is_confirmed: false,
                    ..
                }
        )
    {
        return Ok(());
    }
    Err(format!("{told:?} is told, and the store has {kept:?}"))
}

impl World {
    /// A card has just executed a debit for a shop.
    pub(crate) fn debited(&mut self, s: usize, d: usize, terminal_sn: u32) -> Result<(), Violation> {
        let shop = &mut self.shops[s];
        let device = &mut shop.devices[d];
        device.debits += 1;
        hold!(
            OneDebitEachTime,
            device.debits == 1,
            "the card in {:?} of shop {s} pays twice without having been taken out",
            device.name
        );
        let live = device
            .connection
            .as_mut()
            .expect("a card that answers is connected");
        live.debits += 1;
        let by_sn =
            |it: &&purser_ledger::Operation| it.key().is_some_and(|key| key.terminal_sn == terminal_sn);
        let operation = shop.store.operations().iter().find(by_sn);
        hold!(
            DebitIsIntended,
            operation.is_some_and(|it| shop.store.is_durable(it)),
            "shop {s} debits with terminal SN {terminal_sn}, and the disk has no intent"
        );
        let operation = operation.expect("it was just seen");
        hold!(
            DebitIsIntended,
            operation.waits_for_card(),
            "shop {s} debits for {} which is {:?}",
            operation.reference,
            operation.standing
        );
        let amount = operation.amount.minor();
        let config = shop.config.as_ref().unwrap_or(&self.kit.configs[s]);
        let free = config.pin_free_up_to.get(&operation.amount.currency());
        let card = device.card.expect("a card that answers is in the slot");
        let pin_is_due = free.is_none_or(|free| amount > *free)
            || matches!(
                self.cards[card].kind,
                CardKind::NeedsPin | CardKind::RefusesZero | CardKind::SecretBalance
            );
        hold!(
            PinIsForThisSale,
            !pin_is_due || live.pin_for == Some(Some(amount)),
            "shop {s} debits {amount} with a PIN that was entered for {:?}",
            live.pin_for
        );
        let twice = self
            .debits
            .iter()
            .filter(|it| it.shop == s && it.terminal_sn == terminal_sn)
            .count();
        hold!(
            ReferenceIsOneSale,
            twice == 1,
            "{} was debited {twice} times",
            operation.reference
        );
        Ok(())
    }

    /// An outcome reaches the POS: it must be on the disk, and true.
    pub(crate) fn told(&mut self, s: usize, told: &Told) -> Result<(), Violation> {
        let view = &told.view;
        let shop = &mut self.shops[s];
        let operation = shop.store.operation(view.operation);
        hold!(
            ToldIsDurable,
            operation.is_some_and(|it| shop.store.is_durable(it) || it.head.number > view.state.entry),
            "shop {s} tells {:?} of {}, and the disk does not",
            view.state.end,
            view.reference
        );
        let operation = operation.expect("it was just seen");
        let is_newest = operation.head.number == view.state.entry;
        let stored = SaleView::of(operation);
        hold!(
            ToldIsTrue,
            if is_newest {
                *view == stored
            } else {
                !is_certain(&view.state.end)
            },
            "shop {s} tells {view:?}, and the journal has {stored:?}"
        );
        if let Standing::Paid(paid) = &operation.standing {
            let is_undisturbed = paid.proof == PaidProof::Answer;
            hold!(
                TwoCommits,
                !is_undisturbed || operation.next_step == 2,
                "{} took {} commits",
                operation.reference,
                operation.next_step
            );
        }
        let key = operation.key().map(|key| key.terminal_sn);
        let is_executed = key.is_some_and(|sn| self.debit(s, sn).is_some());
        let denies = matches!(view.state.end, End::Closed(_) | End::NotDebited(_));
        hold!(
            NoDebitIsDenied,
            !(denies && is_executed),
            "shop {s} tells {:?} of {}, and the card was debited",
            view.state.end,
            view.reference
        );
        self.hear(s, told)
    }

    fn hear(&mut self, s: usize, told: &Told) -> Result<(), Violation> {
        let pos = &mut self.shops[s].pos;
        let view = &told.view;
        for request in &told.requests {
            let pending = pos.take(*request);
            hold!(AnsweredOnce, pending.is_some(), "{request:?} is answered twice");
        }
        let ticket = pos.by_reference(&view.reference);
        hold!(
            ReferenceIsOneSale,
            ticket.is_some(),
            "nobody asked for {}",
            view.reference
        );
        let ticket = ticket.expect("it was just seen");
        if let Some(earlier) = ticket.told.as_ref().filter(|it| is_certain(&it.state.end)) {
            hold!(
                ToldIsTrue,
                earlier.operation == view.operation && earlier.state.end == view.state.end,
                "{} was told as {:?} and is now {:?}",
                view.reference,
                earlier.state.end,
                view.state.end
            );
        }
        ticket.hear(view.clone());
        tell!(self, "shop {s}: the POS hears {:?}", told.view.state.end);
        self.is_dirty = true;
        Ok(())
    }

    /// What a door that breaks its rules makes of what it is to tell.
    pub(crate) fn distort(&self, told: &mut Told) {
        match self.flaw {
            Flaw::DoorGuesses if told.view.state.end == End::InDoubt(DoubtReason::AnswerLost) => {
                told.view.state.end = End::NotDebited(VoidProof::CounterUnchanged);
            }
            Flaw::DoorDropsAnswers => told.requests.clear(),
            _ => {}
        }
    }
}
