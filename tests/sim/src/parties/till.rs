//! What the POS asks about loads and settlement, and what it knows of them.

use purser_engine::{BeginLoad, LoadEnd, LoadOutcome, LoadProgress, LoadView, Reply, Request, RequestError};
use purser_ledger::{Amount, OperationId, Reference};
use purser_provider_link::LoadId;
use purser_purse::pboc::Pin;

use crate::kit::PIN;
use crate::pos::{Ask, Pending, Pos, TicketState};
use crate::rule::{Violation, hold};
use crate::trace::tell;
use crate::world::World;

/// What the first load of a world is over; each further one is over one more, so that a card's balance tells which it took.
const LOADED: u64 = 401;

/// One load as its POS knows it.
#[derive(Debug)]
pub(crate) struct LoadTicket {
    pub(crate) reference: Reference,
    pub(crate) load: OperationId,
    pub(crate) amount: Amount,
    pub(crate) through_api: bool,
    pub(crate) state: TicketState,
    pub(crate) wants_void: bool,
    /// The durable word that was told last.
    pub(crate) told: Option<LoadView<LoadOutcome>>,
    pub(crate) progress: Option<LoadProgress>,
    presentation: u8,
    /// How often it was asked for.
    pub(crate) tries: u8,
}

impl LoadTicket {
    /// True when the POS has something to do about it.
    pub(crate) fn is_active(&self) -> bool {
        matches!(self.state, TicketState::New | TicketState::UnderWay)
    }

    /// True for an end that never changes.
    pub(crate) fn has_end(&self) -> bool {
        let end = self.told.as_ref().map(|told| told.state.end);
        matches!(end, Some(LoadEnd::Loaded { .. } | LoadEnd::Voided))
    }
}

impl Pos {
    pub(crate) fn is_asking_load(&self, ticket: usize) -> bool {
        let is_of = |it: &Pending| it.ticket == Some(ticket) && it.ask.is_of_party();
        self.pending.iter().any(is_of)
    }

    /// True while a PIN is on its way to this load.
    pub(crate) fn is_giving_pin(&self, ticket: usize) -> bool {
        let is_pin = |it: &Pending| it.ticket == Some(ticket) && it.ask == Ask::LoadPin;
        self.pending.iter().any(is_pin)
    }

    /// The first load that the POS is busy with.
    pub(crate) fn active_load(&self) -> Option<usize> {
        self.loads.iter().position(LoadTicket::is_active)
    }

    pub(crate) fn load_hint(&mut self, view: &LoadView<LoadProgress>) {
        let of = self.loads.iter_mut().find(|it| it.reference == view.reference);
        // One that is owed may be under way again when it is told: it was begun again meanwhile.
        let may_be = |it: &&mut LoadTicket| match it.state {
            TicketState::UnderWay => true,
            TicketState::Told => !it.has_end(),
            TicketState::New | TicketState::Dropped => false,
        };
        if let Some(load) = of.filter(may_be) {
            load.state = TicketState::UnderWay;
            load.presentation = view.presentation;
            load.progress = Some(view.state);
        }
    }
}

impl World {
    /// The bank books a load, and the POS of a shop gets it on its list. Another shop may get it too.
    pub(crate) fn new_load(&mut self, s: usize, of: Option<OperationId>) -> usize {
        let booked = self.provider.as_ref().map_or(0, |provider| provider.loads.len());
        let number = u8::try_from(booked + 1).unwrap_or(u8::MAX);
        let load = of.unwrap_or(OperationId::new([number; 16]));
        let of_load = |it: &&LoadTicket| it.load == load;
        let known = self.shops.iter().flat_map(|shop| &shop.pos.loads).find(of_load);
        let amount = match known {
            Some(known) => known.amount,
            None => self.kit.amount(LOADED + u64::try_from(booked).unwrap_or(0)),
        };
        if let (None, Some(provider)) = (of, &mut self.provider) {
            provider.open(LoadId(*load.bytes()), amount);
        }
        let loads = &mut self.shops[s].pos.loads;
        loads.push(LoadTicket {
            reference: Reference::new(format!("load-{}", loads.len())).expect("a short visible name"),
            load,
            amount,
            through_api: false,
            state: TicketState::New,
            wants_void: false,
            told: None,
            progress: None,
            presentation: 0,
            tries: 0,
        });
        loads.len() - 1
    }

    fn send_party(&mut self, s: usize, ticket: Option<usize>, ask: Ask, request: Request) {
        tell!(self, "shop {s}: the POS asks {ask:?} of load {ticket:?}");
        let pos = &mut self.shops[s].pos;
        let id = pos.next_request();
        pos.pending.push(Pending { id, ticket, ask });
        self.request(s, id, request);
    }

    /// Asks for what the POS wants of a load, once more or for the first time.
    pub(crate) fn ask_load(&mut self, s: usize, ticket: usize) {
        let it = &mut self.shops[s].pos.loads[ticket];
        it.state = TicketState::UnderWay;
        it.tries = it.tries.saturating_add(1);
        let reference = it.reference.clone();
        let begin = BeginLoad {
            reference: reference.clone(),
            load: it.load,
            amount: it.amount,
            reader: None,
            pin_through_api: it.through_api,
        };
        let is_begun = self.shops[s].store.load(begin.load).is_some();
        if self.shops[s].pos.loads[ticket].wants_void && is_begun {
            self.send_party(s, Some(ticket), Ask::CancelLoad, Request::Cancel(reference));
        } else {
            self.send_party(s, Some(ticket), Ask::Load, Request::BeginLoad(begin));
        }
    }

    /// The load that waits for a PIN from its POS.
    pub(crate) fn waits_for_load_pin(&self, s: usize) -> Option<usize> {
        self.shops[s].pos.loads.iter().position(|load| {
            matches!(
                load.progress,
                Some(LoadProgress::WaitingForPin {
                    through_api: true,
                    ..
                })
            )
        })
    }

    /// The POS sends the PIN that the load waits for.
    pub(crate) fn provide_load_pin(&mut self, s: usize, ticket: usize) {
        let it = &mut self.shops[s].pos.loads[ticket];
        it.progress = Some(LoadProgress::CheckingPin);
        let request = Request::ProvidePin {
            reference: it.reference.clone(),
            pin: Pin::from_digits(&mut PIN.as_bytes().to_vec()).expect("six digits"),
            presentation: it.presentation,
            last_try: true,
        };
        self.send_party(s, Some(ticket), Ask::LoadPin, request);
    }

    pub(crate) fn ask_settle(&mut self, s: usize) {
        self.send_party(s, None, Ask::Settle, Request::Settle(None));
    }

    /// An operator has the batch voided that is under way. False where none is.
    pub(crate) fn ask_void_batch(&mut self, s: usize) -> bool {
        let sealed = |it: &&purser_ledger::Settlement| it.standing == purser_ledger::BatchStanding::Sealed;
        let batch = self.shops[s]
            .store
            .settlements()
            .iter()
            .find(sealed)
            .map(|it| it.id);
        if let Some(batch) = batch {
            self.send_party(s, None, Ask::VoidBatch, Request::VoidBatch(batch));
        }
        batch.is_some()
    }

    /// An answer to what the provider takes part in.
    pub(crate) fn party_replied(
        &mut self,
        s: usize,
        pending: Pending,
        reply: Result<Reply, RequestError>,
    ) -> Result<(), Violation> {
        let pos = &mut self.shops[s].pos;
        // A refusal says nothing about what was asked after it.
        let is_asked_again = pending.ticket.is_some_and(|index| pos.is_asking_load(index));
        let ticket = pending.ticket.map(|index| &mut pos.loads[index]);
        match (reply, ticket) {
            (Ok(Reply::Load { view, .. }), Some(ticket)) => {
                ticket.state = TicketState::UnderWay;
                ticket.presentation = view.presentation;
                ticket.progress = Some(view.state);
            }
            (Ok(Reply::Settling(views)), None) => {
                for view in views {
                    self.batch_hinted(s, &view)?;
                }
            }
            (Err(error), Some(ticket)) if pending.ask != Ask::LoadPin && !is_asked_again => {
                ticket.progress = None;
                ticket.state = match error {
                    RequestError::LoadEnded => TicketState::Dropped,
                    _ => TicketState::New,
                };
            }
            (Err(_), _) => {}
            (Ok(other), _) => {
                hold!(
                    AnsweredOnce,
                    false,
                    "{:?} is answered with {other:?}",
                    pending.ask
                );
            }
        }
        Ok(())
    }
}
