//! The visit: one card at one reader, from power to no power, with exclusive access all the time (money rule P4).
//!
//! ```text
//!  Connecting ─► Identifying ─┬─► Recovering ──────────────┐    an earlier payment of this card first (money rule P1)
//!                             │     └► WaitingForPin …     │
//!                             ◄────────────────────────────┘
//!                             ├─► (sale) ─► WaitingForPin ─► VerifyingPin ─► Initialising ─► Intending ─► Debiting ─┐
//!                             │                   ▲               │ wrong PIN                  no valid answer │    │
//!                             │                   └───────────────┘                             CheckingDebit ◄┘    │
//!                             │      (with a PSAM: Initialising ─► AwaitingPsam ─► Authorising ─► Intending, and after
//!                             │       Debiting and CheckingDebit ─► CheckingMac2; see crate::psam)   │             │
//!                             ├─► (load) ─► AskingProvider ─► WaitingForPin … InitialisingLoad ─► RecordingAttempt           │
//!                             │      ─► AskingProvider ─► Releasing ─► Crediting (─► ProvingCredit) ──┤ (crate::load)        │
//!                             ├─► (purse) ─► ReadingBalance ─┐                                        │             │
//!                             └─► (nobody) ──────────────────┴──────────► Leaving ◄───────────────────┴─────────────┘
//! ```
//! Any failure leads to `Leaving`, which takes the card's power and with it its PIN state (S24). A failure from `Debiting` on
//! puts the sale in doubt; before that nothing has moved. At most one call to the reader is outstanding.

mod calls;
mod end;
mod pin;

pub(crate) use calls::{card_id, close_reason};
pub(crate) use pin::TriesLeft;

use std::collections::BTreeSet;

use purser_ledger::{DeviceName, Monotonic, OperationId};
use purser_purse::pboc::{
    Attempt, CardFacts, CreditLoad, Debit, GetBalance, Identify, InitializeLoad, InitializePurchase,
    LoadAttempt, LoadRelease, Mac1, ProveLoad, PsamTerminalNumber, Recover, VerifyPin,
};
use purser_purse::{Dialogue, Protocol};

use crate::devices::Devices;
use crate::load::AtProvider;
use crate::psam::{Known, Waiting};
use crate::{CallFailure, CallId, DeviceEvent, Engine, Progress, Query, RequestError, RequestId};

/// For whom a card is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Serving {
    /// A sale.
    Sale(OperationId),
    /// A load.
    Load(OperationId),
    /// A client that reads the purse.
    Reader(RequestId),
    /// Nobody waits: the card is asked for earlier payments.
    Nobody,
}

/// One card at one reader.
#[derive(Debug)]
pub(crate) struct Visit {
    pub(crate) serving: Serving,
    pub(crate) state: State,
    pub(crate) connection: Option<Connection>,
    pub(crate) card: Option<CardFacts>,
    pub(crate) pin_verified: bool,
    pub(crate) tries_left: Option<u8>,
    /// Earlier payments that this visit has asked the card about.
    pub(crate) asked: BTreeSet<OperationId>,
    /// The outstanding call.
    pub(crate) call: Option<CallId>,
    /// When a card that has to tell what came of a debit has taken too long, whatever it answers meanwhile.
    pub(crate) checked_until: Option<Monotonic>,
    /// When the outstanding call, or the wait for a PIN or the provider, ends by itself.
    pub(crate) deadline: Monotonic,
    /// How often what the provider said was gone on with.
    pub(crate) rounds: u8,
    /// How long the provider is asked again and again while its line is bad; none while it is not asked, or has answered.
    pub(crate) asked_until: Option<Monotonic>,
    /// The provider says that the card has executed the load, and nobody has the proof.
    pub(crate) is_proof_missing: bool,
    /// The insertion that it began with.
    insertion: u64,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Connection {
    pub(crate) number: u32,
    pub(crate) protocol: Protocol,
}

/// What the visit is doing.
#[derive(Debug)]
pub(crate) enum State {
    Connecting,
    Identifying(Identify),
    ReadingBalance(GetBalance),
    Recovering(OperationId, Recover),
    WaitingForPin {
        /// The pad that was asked; none when the PIN comes through the API.
        pad: Option<DeviceName>,
    },
    VerifyingPin(VerifyPin),
    Initialising(InitializePurchase),
    /// In line for the PSAM.
    AwaitingPsam(Waiting),
    /// The PSAM is asked for terminal SN and MAC1.
    Authorising(Waiting),
    Intending {
        attempt: Attempt,
        mac1: Mac1,
    },
    Debiting {
        attempt: Attempt,
        dialogue: Debit,
    },
    /// The debit had no valid answer; the card is asked at once what came of it (money rule P2).
    CheckingDebit {
        operation: OperationId,
        known: Known,
        dialogue: Recover,
    },
    /// The PSAM is asked about this operation's MAC2: the visit's own, or an earlier payment.
    CheckingMac2(OperationId),
    /// The provider is asked about the load.
    AskingProvider(AtProvider),
    /// The card is asked for a load, over this PSAM terminal number or void challenge.
    InitialisingLoad(PsamTerminalNumber, InitializeLoad),
    /// The attempt of a load is on its way to the store.
    RecordingAttempt(Box<LoadAttempt>),
    /// That MAC2 may be used is on its way to the store.
    Releasing(Box<Crediting>),
    Crediting(Box<Crediting>, CreditLoad),
    /// The credit had no valid answer; the card is asked at once what came of it (money rule P2).
    ProvingCredit(ProveLoad),
    /// The card is asked for the proof of an earlier load, or of one that the provider says it has executed.
    ProvingLoad(OperationId, ProveLoad),
    Leaving,
}

/// A load that the provider has released.
#[derive(Debug)]
pub(crate) struct Crediting {
    pub(crate) attempt: LoadAttempt,
    pub(crate) release: LoadRelease,
}

impl Visit {
    fn new(serving: Serving, call: CallId, deadline: Monotonic, insertion: u64) -> Self {
        Self {
            serving,
            state: State::Connecting,
            connection: None,
            card: None,
            pin_verified: false,
            tries_left: None,
            asked: BTreeSet::new(),
            call: Some(call),
            checked_until: None,
            deadline,
            rounds: 0,
            asked_until: None,
            is_proof_missing: false,
            insertion,
        }
    }

    /// The sale that is served.
    pub(crate) fn sale(&self) -> Option<OperationId> {
        match self.serving {
            Serving::Sale(operation) => Some(operation),
            Serving::Load(_) | Serving::Reader(_) | Serving::Nobody => None,
        }
    }

    /// The load that is served.
    pub(crate) fn load(&self) -> Option<OperationId> {
        match self.serving {
            Serving::Load(operation) => Some(operation),
            Serving::Sale(_) | Serving::Reader(_) | Serving::Nobody => None,
        }
    }

    /// The sale or the load that is served.
    pub(crate) fn served(&self) -> Option<OperationId> {
        self.sale().or(self.load())
    }

    /// Lets a sale or a load take over a card that is being asked for earlier payments. False when it has to wait: a PIN that was
    /// entered while no amount was shown is no consent to this one (S21).
    pub(crate) fn adopt(&mut self, serving: Serving) -> bool {
        let free = self.serving == Serving::Nobody
            && !self.pin_verified
            && !matches!(
                self.state,
                State::Leaving | State::WaitingForPin { .. } | State::VerifyingPin(_)
            );
        if free {
            self.serving = serving;
        }
        free
    }

    /// The pad at which the PIN is awaited.
    pub(crate) fn pad(&self) -> Option<&DeviceName> {
        match &self.state {
            State::WaitingForPin { pad } => pad.as_ref(),
            _ => None,
        }
    }

    /// The card, once it was read.
    pub(crate) fn card(&self) -> &CardFacts {
        self.card
            .as_ref()
            .expect("a sale is served by a card that was read")
    }

    pub(crate) fn protocol(&self) -> Protocol {
        self.connection
            .expect("a card that answers is connected")
            .protocol
    }

    /// True while its card is in the reader, as far as the reader has told.
    pub(crate) fn has_its_card(&self, reader: &DeviceName, devices: &Devices) -> bool {
        devices.is_still_in(reader, self.insertion)
    }

    pub(crate) fn progress(&self) -> Progress {
        match &self.state {
            State::Connecting | State::Identifying(_) | State::ReadingBalance(_) | State::Initialising(_) => {
                Progress::ReadingCard
            }
            State::Recovering(..) | State::ProvingLoad(..) => Progress::Resolving,
            State::AwaitingPsam(_) | State::Authorising(_) => Progress::WaitingForSam,
            State::CheckingMac2(operation) if self.sale() != Some(*operation) => Progress::Resolving,
            State::WaitingForPin { pad } => Progress::WaitingForPin {
                tries_left: self.tries_left,
                through_api: pad.is_none(),
            },
            State::VerifyingPin(_) => Progress::CheckingPin,
            State::Intending { .. }
            | State::Debiting { .. }
            | State::CheckingDebit { .. }
            | State::CheckingMac2(_)
            | State::AskingProvider(_)
            | State::InitialisingLoad(..)
            | State::RecordingAttempt(_)
            | State::Releasing(_)
            | State::Crediting(..)
            | State::ProvingCredit(_)
            | State::Leaving => Progress::Debiting,
        }
    }

    /// True when the visit only stays to take away the power that an outstanding connect may give.
    fn awaits_power(&self) -> bool {
        matches!(self.state, State::Leaving) && self.connection.is_none()
    }

    /// True while a call about the debit or the credit is outstanding. Its answer may be on its way although the device has left, and may
    /// hold the only proof: the visit stays until it is answered.
    fn awaits_debit(&self) -> bool {
        match self.state {
            State::Debiting { .. }
            | State::CheckingDebit { .. }
            | State::Crediting(..)
            | State::ProvingCredit(_) => self.call.is_some(),
            State::CheckingMac2(_) => true,
            _ => false,
        }
    }

    /// True from the commit of the intent, or of the release, on: the sale ends by its outcome only, and the load goes on from it.
    pub(crate) fn is_committed_to(&self, operation: OperationId) -> bool {
        match &self.state {
            State::Intending { .. } | State::Debiting { .. } | State::CheckingDebit { .. } => {
                self.sale() == Some(operation)
            }
            State::CheckingMac2(asked) => self.sale() == Some(operation) && *asked == operation,
            State::Releasing(_) | State::Crediting(..) | State::ProvingCredit(_) => {
                self.load() == Some(operation)
            }
            State::AskingProvider(_)
            | State::InitialisingLoad(..)
            | State::RecordingAttempt(_)
            | State::ProvingLoad(..)
            | State::Connecting
            | State::Identifying(_)
            | State::ReadingBalance(_)
            | State::Recovering(..)
            | State::WaitingForPin { .. }
            | State::VerifyingPin(_)
            | State::Initialising(_)
            | State::AwaitingPsam(_)
            | State::Authorising(_)
            | State::Leaving => false,
        }
    }
}

impl Engine {
    pub(crate) fn begin_visit(&mut self, reader: &DeviceName, serving: Serving) {
        if serving == Serving::Nobody {
            self.devices.count_look(reader);
        }
        let call = self.ask(reader, Query::Connect);
        let visit = Visit::new(
            serving,
            call,
            self.call_deadline(),
            self.devices.insertion(reader),
        );
        let earlier = self.visits.insert(reader.clone(), visit);
        assert!(earlier.is_none(), "a reader serves one card at a time");
    }

    /// Sends a dialogue's command and goes on in `state` when it is answered.
    pub(crate) fn transmit<D: Dialogue>(
        &mut self,
        reader: &DeviceName,
        mut visit: Visit,
        dialogue: D,
        state: impl FnOnce(D) -> State,
    ) {
        let connection = visit
            .connection
            .expect("a card that is spoken to is connected")
            .number;
        let command = dialogue.command().clone();
        visit.call = Some(self.ask(reader, Query::Transmit { connection, command }));
        let deadline = self.call_deadline();
        visit.deadline = visit.checked_until.map_or(deadline, |until| until.min(deadline));
        visit.state = state(dialogue);
        self.visits.insert(reader.clone(), visit);
    }

    /// Ends the visit: the card loses its power, and with it its PIN state (S24, money rule P4).
    pub(crate) fn leave(&mut self, reader: &DeviceName, mut visit: Visit) {
        // Another card may have come before this one's answer: that one has not served.
        if let (Some(_), Some(card)) = (visit.served(), &visit.card)
            && visit.has_its_card(reader, &self.devices)
        {
            self.devices.set_served(reader, Some(card_id(card)));
        }
        self.abort_pin_entry(&mut visit);
        let is_connecting = matches!(visit.state, State::Connecting);
        match visit.connection {
            None if !is_connecting => return,
            None => {}
            Some(Connection {
                number: connection, ..
            }) => {
                visit.call = Some(self.ask(reader, Query::Disconnect { connection }));
            }
        }
        visit.serving = Serving::Nobody;
        visit.deadline = self.call_deadline();
        visit.state = State::Leaving;
        self.visits.insert(reader.clone(), visit);
    }

    /// Ends a visit whose card or reader failed.
    pub(crate) fn fail_visit(&mut self, reader: &DeviceName, mut visit: Visit, failure: CallFailure) {
        match failure {
            CallFailure::NoCard => self.devices.set_absent(reader, visit.insertion),
            CallFailure::Busy => self.devices.set_busy(reader, self.now.monotonic),
            CallFailure::CardMute => self.devices.set_served(reader, None),
            _ => {}
        }
        self.end_serving(reader, &mut visit, failure);
        if matches!(failure, CallFailure::DeviceGone | CallFailure::DriverLost) {
            visit.connection = None;
        }
        let awaits_power = matches!(visit.state, State::Connecting) && visit.call.is_some();
        if awaits_power {
            // A driver that came back at once may yet carry out the connect that was meant for the one before it.
            visit.state = State::Leaving;
            self.visits.insert(reader.clone(), visit);
            return;
        }
        visit.call = visit
            .call
            .filter(|_| matches!(visit.state, State::WaitingForPin { .. }));
        if !matches!(visit.state, State::Connecting) {
            self.leave(reader, visit);
        }
    }

    /// Takes what a visit was for away from it, because its card or reader failed.
    fn end_serving(&mut self, reader: &DeviceName, visit: &mut Visit, failure: CallFailure) {
        if visit.sale().is_some_and(|sale| visit.is_committed_to(sale)) {
            self.lose_debit(reader, visit, failure);
            return;
        }
        match visit.serving {
            Serving::Load(load) if visit.is_committed_to(load) => self.lose_credit(reader, load),
            Serving::Load(load) => self.load_waits_for_card(load),
            Serving::Sale(operation) => self.wait_for_card(operation),
            Serving::Reader(request) => self.reply(request, Err(purse_failure(failure))),
            Serving::Nobody => {}
        }
        // A card that left before it had paid may come back at once.
        visit.serving = Serving::Nobody;
    }

    /// Ends a visit whose driver has not answered in time. Nobody said that the driver is gone, so the card may still have
    /// its power, and may yet get it: the visit stays until the driver has answered that it took it away, or has left.
    fn give_up_visit(&mut self, reader: &DeviceName, mut visit: Visit) {
        self.end_serving(reader, &mut visit, CallFailure::DriverLost);
        self.leave(reader, visit);
    }

    pub(crate) fn handle_device(&mut self, name: DeviceName, event: DeviceEvent) {
        self.devices.handle(&name, event);
        if self.is_psam_reader(&name) {
            return self.psam_device(event);
        }
        match event {
            DeviceEvent::Left | DeviceEvent::Arrived(_) => {
                if self
                    .visits
                    .get(&name)
                    .is_some_and(|visit| !visit.awaits_power() && !visit.awaits_debit())
                {
                    let visit = self.visits.remove(&name).expect("the visit was just seen");
                    self.fail_visit(&name, visit, CallFailure::DeviceGone);
                }
            }
            DeviceEvent::CardRemoved | DeviceEvent::CardInserted => {
                // Nothing is asked of the reader that could tell so.
                let waits = |visit: &Visit| {
                    matches!(
                        visit.state,
                        State::WaitingForPin { .. }
                            | State::AwaitingPsam(_)
                            | State::Authorising(_)
                            | State::AskingProvider(_)
                    )
                };
                if self.visits.get(&name).is_some_and(waits) {
                    let visit = self.visits.remove(&name).expect("the visit was just seen");
                    self.fail_visit(&name, visit, CallFailure::CardChanged);
                }
            }
            DeviceEvent::PinProgress => {
                let deadline = self.now.monotonic.after_ms(self.config.pin_wait_ms);
                for visit in self.visits.values_mut() {
                    if matches!(&visit.state, State::WaitingForPin { pad: Some(pad) } if *pad == name) {
                        visit.deadline = deadline;
                    }
                }
            }
        }
    }
}

fn purse_failure(failure: CallFailure) -> RequestError {
    match failure {
        CallFailure::NoCard | CallFailure::CardChanged => RequestError::NoCard,
        CallFailure::Busy => RequestError::ReaderInUse,
        CallFailure::DeviceGone | CallFailure::DriverLost => RequestError::NoReader,
        CallFailure::CardMute
        | CallFailure::OutcomeUnknown
        | CallFailure::Cancelled
        | CallFailure::TimedOut
        | CallFailure::Unsupported => RequestError::CardNotReadable,
    }
}
