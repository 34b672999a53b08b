//! What the POS asks for.

use purser_engine::{BeginLoad, BeginSale, Input, Peer, Request, RequestId};
use purser_ledger::{Owner, Reference};
use purser_purse::pboc::Pin;

use super::{LOADED, World, reference};

impl World {
    pub(super) fn ask(&mut self, request: Request) {
        self.requests += 1;
        self.asked.push(RequestId(self.requests));
        let input = Input::Request {
            id: RequestId(self.requests),
            peer: Peer {
                owner: Owner(0),
                operator: false,
            },
            request,
            random: self.rng.sixteen_bytes(),
        };
        self.inputs.push_back(input);
    }

    /// The POS asks for what it wants, again.
    pub(super) fn ask_again(&mut self) {
        if self.wants_void && self.store.load(self.operation()).is_some() {
            return self.ask(Request::Cancel(reference()));
        }
        let begin = BeginLoad {
            reference: reference(),
            load: self.operation(),
            amount: self.kit.amount(u64::from(LOADED)),
            reader: None,
            pin_through_api: self.pin_through_api,
        };
        self.ask(Request::BeginLoad(begin));
    }

    /// Somebody begins a sale.
    pub(super) fn sell(&mut self) {
        self.sales += 1;
        let begin = BeginSale {
            reference: Reference::new(format!("sale-{}", self.sales)).expect("a name"),
            amount: self.kit.amount(10),
            reader: None,
            pin_through_api: false,
        };
        self.ask(Request::BeginSale(begin));
    }

    /// The POS sends the PIN for a presentation, and that it may use the last try.
    pub(super) fn send_pin(&mut self, digits: &str, presentation: u8) {
        let pin = Pin::from_digits(&mut digits.as_bytes().to_vec()).expect("a PIN");
        self.ask(Request::ProvidePin {
            reference: reference(),
            pin,
            presentation,
            last_try: false,
        });
    }
}
