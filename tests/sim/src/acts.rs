//! What people do: the POS and its cashier, the buyer with the card.

use purser_engine::{Answer, BeginSale, CallFailure, Progress, Request};
use purser_ledger::{Conclusion, Reference};
use purser_purse::pboc::Pin;

use crate::kit::{PIN, WRONG_PIN};
use crate::plastic::Place;
use crate::pos::{Ask, Pending, Ticket, TicketState};
use crate::trace::tell;
use crate::world::World;

impl World {
    /// A new sale on a POS's list. It has not been asked for yet.
    pub(crate) fn new_ticket(&mut self, s: usize, minor: u64) -> usize {
        let amount = self.kit.amount(minor);
        let tickets = &mut self.shops[s].pos.tickets;
        let reference = Reference::new(format!("sale-{}", tickets.len())).expect("a short visible name");
        tickets.push(Ticket::new(reference, amount));
        tickets.len() - 1
    }

    fn send(&mut self, s: usize, ticket: Option<usize>, ask: Ask, request: Request) {
        tell!(self, "shop {s}: the POS asks {ask:?} of {ticket:?}");
        let pos = &mut self.shops[s].pos;
        let id = pos.next_request();
        pos.pending.push(Pending { id, ticket, ask });
        self.request(s, id, request);
    }

    /// Begins the sale, or begins it again.
    pub(crate) fn begin(&mut self, s: usize, ticket: usize) {
        let it = &mut self.shops[s].pos.tickets[ticket];
        if it.state == TicketState::New {
            it.state = TicketState::UnderWay;
        }
        let asked = BeginSale {
            reference: it.reference.clone(),
            amount: it.amount,
            reader: it.reader.clone(),
            pin_through_api: it.through_api,
        };
        self.send(s, Some(ticket), Ask::Begin, Request::BeginSale(asked));
    }

    /// Uses the sale's reference for another amount.
    pub(crate) fn begin_other(&mut self, s: usize, ticket: usize) {
        let it = &self.shops[s].pos.tickets[ticket];
        let asked = BeginSale {
            reference: it.reference.clone(),
            amount: self.kit.amount(it.amount.minor() + 1),
            reader: None,
            pin_through_api: false,
        };
        self.send(s, None, Ask::Begin, Request::BeginSale(asked));
    }

    pub(crate) fn attach(&mut self, s: usize, ticket: usize) {
        let reference = self.shops[s].pos.tickets[ticket].reference.clone();
        self.send(s, Some(ticket), Ask::Attach, Request::Attach(reference));
    }

    pub(crate) fn cancel(&mut self, s: usize, ticket: usize) {
        let reference = self.shops[s].pos.tickets[ticket].reference.clone();
        self.send(s, Some(ticket), Ask::Cancel, Request::Cancel(reference));
    }

    /// The POS ends a sale that it was told to be in doubt. It never changes its mind.
    pub(crate) fn conclude(&mut self, s: usize, ticket: usize, conclusion: Conclusion) {
        let it = &mut self.shops[s].pos.tickets[ticket];
        let chosen = *it.chose.get_or_insert(conclusion);
        it.has_goods |= chosen == Conclusion::GoodsGiven;
        let reference = it.reference.clone();
        let request = Request::Conclude(reference, chosen);
        self.send(s, Some(ticket), Ask::Conclude(chosen), request);
    }

    pub(crate) fn read_purse(&mut self, s: usize) {
        self.send(s, None, Ask::Purse, Request::ReadPurse(None));
    }

    pub(crate) fn stop(&mut self, s: usize) {
        self.shops[s].is_stopping = true;
        self.send(s, None, Ask::Stop, Request::Stop);
    }

    /// The POS sends the PIN of the sale that waits for it.
    pub(crate) fn provide_pin(&mut self, s: usize, ticket: usize, is_right: bool) {
        let reference = self.shops[s].pos.tickets[ticket].reference.clone();
        let request = Request::ProvidePin {
            reference,
            pin: pin(is_right),
            presentation: self.shops[s].pos.tickets[ticket].presentation,
            last_try: true,
        };
        self.send(s, Some(ticket), Ask::Pin, request);
    }

    /// The buyer types at the pad that asks. False when none asks.
    pub(crate) fn type_pin(&mut self, s: usize, is_right: bool) -> bool {
        tell!(self, "shop {s}: the buyer types a PIN, right: {is_right}");
        let shop = &mut self.shops[s];
        let Some(pad) = shop.devices.iter_mut().find(|device| device.asks_pin().is_some()) else {
            return false;
        };
        let shown = pad.asks_pin().and_then(|enter| enter.amount);
        if let Some((call, _)) = pad.calls.front() {
            shop.pin_answers.push((*call, shown.map(|amount| amount.minor())));
        }
        pad.answer_pin(Ok(Answer::Pin(pin(is_right))));
        true
    }

    /// The pad gives up, or the buyer does.
    pub(crate) fn fail_pin(&mut self, s: usize, failure: CallFailure) -> bool {
        tell!(self, "shop {s}: no PIN: {failure:?}");
        let devices = &mut self.shops[s].devices;
        match devices.iter_mut().find(|device| device.asks_pin().is_some()) {
            Some(pad) => {
                pad.answer_pin(Err(failure));
                true
            }
            None => false,
        }
    }

    /// The sale that waits for a PIN from its POS.
    pub(crate) fn waits_for_api_pin(&self, s: usize) -> Option<usize> {
        self.shops[s].pos.tickets.iter().position(|ticket| {
            matches!(
                ticket.progress,
                Some(Progress::WaitingForPin {
                    through_api: true,
                    ..
                })
            )
        })
    }

    /// The cards that nobody has put anywhere.
    pub(crate) fn wallet(&self) -> impl Iterator<Item = usize> + '_ {
        let cards = self.cards.iter().enumerate();
        cards
            .filter(|(_, card)| card.place == Place::Wallet)
            .map(|(index, _)| index)
    }

    /// The card in a slot.
    pub(crate) fn card_at(&self, s: usize, d: usize) -> Option<usize> {
        self.shops[s].devices[d].card
    }

    /// Time passes in a shop.
    pub(crate) fn pass_ms(&mut self, s: usize, ms: u64) {
        self.shops[s].clock.pass_ms(ms);
    }

    /// Time passes until the shop's engine wants to look again. False when it waits for nothing.
    pub(crate) fn pass_to_timeout(&mut self, s: usize) -> bool {
        let shop = &mut self.shops[s];
        let at = shop.engine.as_ref().and_then(|engine| engine.poll_timeout());
        let Some(at) = at else { return false };
        let ms = at.0.saturating_sub(shop.clock.monotonic_ms);
        shop.clock.pass_ms(ms);
        true
    }
}

fn pin(is_right: bool) -> Pin {
    let mut digits = [0; 6];
    digits.copy_from_slice(if is_right { PIN } else { WRONG_PIN }.as_bytes());
    Pin::from_digits(&mut digits).expect("six decimal digits")
}
