//! Power, identification and failures of the PSAM.

use purser_ledger::{DeviceName, Monotonic};
use purser_purse::pboc::psam::{IdentifyPsam, PsamFacts};
use purser_purse::pboc::{PsamError, PsamProfile};
use purser_purse::{CardError, CommandApdu, Dialogue, Turn};

use super::{
    Authority, Call, Link, PROMPT_MS, Psam, PsamFault, RETRY_DOUBLINGS_MAX, RETRY_MS, Service, State, Then,
};
use crate::devices::CardAt;
use crate::{Answer, CallFailure, CallId, DeviceEvent, Engine, Query};

impl Engine {
    pub(crate) fn psam_card(&self) -> Option<&Psam> {
        match &self.sam {
            Authority::Psam(psam) => Some(psam),
            Authority::Software(_) => None,
        }
    }

    pub(super) fn psam_mut(&mut self) -> &mut Psam {
        match &mut self.sam {
            Authority::Psam(psam) => psam,
            Authority::Software(_) => unreachable!("only what the PSAM did leads here"),
        }
    }

    /// True when the device is the PSAM's reader.
    pub(crate) fn is_psam_reader(&self, name: &DeviceName) -> bool {
        self.psam_card().is_some_and(|psam| psam.settings.reader == *name)
    }

    /// The PSAM's reader while a sale under way waits for the PSAM, or is authorised by it: without power it could not check
    /// that sale's MAC2 any more (money rule P6).
    pub(crate) fn served_psam_reader(&self) -> Option<&DeviceName> {
        let psam = self.psam_card()?;
        let is_asked = matches!(psam.state, State::Authorising(..) | State::Checking(..));
        let is_open = psam.open.is_some_and(|operation| self.sale(operation).is_some());
        (is_asked || is_open || !psam.queue.is_empty()).then_some(&psam.settings.reader)
    }

    fn psam_profile(&self) -> (DeviceName, PsamProfile) {
        let psam = self.psam_card().expect("only what the PSAM did leads here");
        (psam.settings.reader.clone(), psam.settings.profile.clone())
    }

    pub(super) fn set_psam(&mut self, state: State) {
        self.psam_mut().state = state;
    }

    /// Takes the PSAM's state out, to be put back by the caller.
    pub(super) fn take_psam(&mut self) -> State {
        std::mem::replace(&mut self.psam_mut().state, State::Absent)
    }

    /// Something happened at the PSAM's reader.
    pub(crate) fn psam_device(&mut self, event: DeviceEvent) {
        match (event, &mut self.psam_mut().state) {
            // An answer is outstanding, and tells more: a connect may yet give power, a command may yet have been heard. Then
            // it is seen whether the PSAM is still the one that was put in.
            (DeviceEvent::CardRemoved, State::Leaving { .. })
            | (
                DeviceEvent::CardRemoved | DeviceEvent::CardInserted,
                State::Connecting { .. }
                | State::Identifying(..)
                | State::Authorising(..)
                | State::Checking(..),
            )
            | (DeviceEvent::Left | DeviceEvent::Arrived(_), State::Connecting { .. } | State::Checking(..))
            | (DeviceEvent::PinProgress, _) => {}
            (DeviceEvent::Left | DeviceEvent::Arrived(_), _) => {
                let (_, service) = self.take_psam().into_service();
                self.set_psam_absent();
                self.end_psam_service(service);
            }
            // Another one, whatever was wrong with the one before.
            (DeviceEvent::CardInserted, State::Leaving { then, .. }) => *then = Then::TryAgain,
            (DeviceEvent::CardRemoved, State::Ready(link)) => {
                let link = *link;
                let psam = self.psam_mut();
                psam.unpowered = psam.open;
                self.leave_psam(link, Then::TryAgain);
            }
            // Told twice, or a removal was missed; the next command finds out.
            (DeviceEvent::CardInserted, State::Ready(_)) => {}
            (DeviceEvent::CardRemoved, State::Absent | State::Resting { .. } | State::Refused) => {
                self.set_psam_absent();
            }
            (DeviceEvent::CardInserted, State::Absent | State::Resting { .. } | State::Refused) => {
                let psam = self.psam_mut();
                psam.failures = 0;
                psam.fault = None;
                self.connect_psam();
            }
        }
    }

    fn set_psam_absent(&mut self) {
        let psam = self.psam_mut();
        psam.state = State::Absent;
        psam.open = None;
    }

    fn connect_psam(&mut self) {
        let (reader, _) = self.psam_profile();
        let call = self.call_psam(Query::Connect);
        let insertion = self.devices.insertion(&reader);
        self.set_psam(State::Connecting { call, insertion });
    }

    fn call_psam(&mut self, query: Query) -> Call {
        let (reader, _) = self.psam_profile();
        Call {
            id: self.ask(&reader, query),
            deadline: self.call_deadline(),
            prompt_until: self.now.monotonic.after_ms(PROMPT_MS),
        }
    }

    /// Sends a command to the PSAM.
    pub(super) fn ask_psam(&mut self, link: Link, command: &CommandApdu) -> Call {
        self.call_psam(Query::Transmit {
            connection: link.connection,
            command: command.clone(),
        })
    }

    /// True while the PSAM of this connection is in its reader, as far as the reader has told.
    pub(super) fn is_psam_in(&self, link: Link) -> bool {
        let psam = self.psam_card();
        psam.is_some_and(|psam| self.devices.is_still_in(&psam.settings.reader, link.insertion))
    }

    /// The PSAM has done what it was asked for, and is ready for more if nobody has taken it out meanwhile.
    pub(super) fn psam_is_free(&mut self, link: Link) {
        if self.is_psam_in(link) {
            self.set_psam(State::Ready(link));
        } else {
            self.leave_psam(link, Then::TryAgain);
        }
    }

    /// True when the answer is to a call to the PSAM.
    pub(crate) fn is_psam_call(&self, id: CallId) -> bool {
        self.psam_card()
            .is_some_and(|psam| psam.call().is_some_and(|call| call.id == id))
    }

    /// The PSAM, or its reader, answers.
    pub(crate) fn psam_answered(&mut self, answer: Result<Answer, CallFailure>) {
        match (self.take_psam(), answer) {
            (State::Connecting { insertion, .. }, Ok(Answer::Connected { connection, protocol })) => {
                let link = Link {
                    connection,
                    protocol,
                    insertion,
                };
                let (_, profile) = self.psam_profile();
                self.identify_psam(link, IdentifyPsam::new(&profile, protocol));
            }
            (State::Connecting { insertion, .. }, answer) => {
                self.psam_unreachable(answer.err().unwrap_or(CallFailure::DriverLost), insertion);
            }
            (State::Leaving { then, .. }, _) => self.psam_left(then),
            (State::Identifying(link, _, dialogue), Ok(Answer::Response(response))) => {
                match dialogue.handle_response(&response) {
                    Turn::Transmit(dialogue) => self.identify_psam(link, dialogue),
                    Turn::Done(result) => self.psam_identified(link, result),
                }
            }
            (State::Authorising(link, _, authorising), Ok(Answer::Response(response))) => {
                self.authorise_response(link, *authorising, &response);
            }
            (State::Checking(link, _, checking), Ok(Answer::Response(response))) => {
                self.check_response(link, *checking, &response);
            }
            (State::Checking(link, call, checking), answer) => {
                let failure = answer.err().unwrap_or(CallFailure::DriverLost);
                self.check_failed(link, call, *checking, failure);
            }
            (state, answer) => {
                let failure = answer.err().unwrap_or(CallFailure::DriverLost);
                let (link, service) = state.into_service();
                self.fail_psam(link, service, PsamFault::Unreachable(failure), Then::TryAgain);
            }
        }
    }

    fn identify_psam(&mut self, link: Link, dialogue: IdentifyPsam) {
        let call = self.ask_psam(link, dialogue.command());
        self.set_psam(State::Identifying(link, call, dialogue));
    }

    fn psam_identified(&mut self, link: Link, result: Result<PsamFacts, CardError>) {
        let expected = self.config.terminal_number;
        match result {
            Ok(facts) if facts.terminal_number == expected => {
                let psam = self.psam_mut();
                psam.fault = psam.fault.filter(|fault| fault.is_about_a_card());
                self.psam_is_free(link);
            }
            Ok(facts) => {
                let found = facts.terminal_number;
                let fault = PsamFault::OtherTerminalNumber { found, expected };
                self.fail_psam(Some(link), Service::Nothing, fault, Then::Refuse);
            }
            Err(error) => {
                let error = PsamError::from(error);
                let then = after(error);
                self.fail_psam(Some(link), Service::Nothing, PsamFault::Error(error), then);
            }
        }
    }

    /// Takes the PSAM's power away, and ends what it was doing for a sale.
    pub(super) fn fail_psam(&mut self, link: Option<Link>, service: Service, fault: PsamFault, then: Then) {
        let psam = self.psam_mut();
        psam.fault = Some(fault);
        psam.failures = psam.failures.saturating_add(u32::from(fault.is_its_own()));
        match link {
            Some(link) => self.leave_psam(link, then),
            None => self.psam_left(then),
        }
        self.end_psam_service(service);
    }

    fn leave_psam(&mut self, link: Link, then: Then) {
        let connection = link.connection;
        let call = self.call_psam(Query::Disconnect { connection });
        let psam = self.psam_mut();
        psam.open = None;
        psam.state = State::Leaving { call, then };
    }

    fn psam_unreachable(&mut self, failure: CallFailure, insertion: u64) {
        let (reader, _) = self.psam_profile();
        if failure == CallFailure::NoCard {
            self.devices.set_absent(&reader, insertion);
        }
        let fault = PsamFault::Unreachable(failure);
        self.fail_psam(None, Service::Nothing, fault, Then::TryAgain);
    }

    /// The PSAM has no power now.
    fn psam_left(&mut self, then: Then) {
        let (reader, _) = self.psam_profile();
        let until = self.retry_at();
        let is_there = self.devices.card_at(&reader) != CardAt::None;
        let psam = self.psam_mut();
        psam.open = None;
        psam.state = match then {
            _ if !is_there => State::Absent,
            Then::TryAgain => State::Resting { until },
            Then::Refuse => State::Refused,
        };
    }

    fn retry_at(&mut self) -> Monotonic {
        let doublings = self
            .psam_mut()
            .failures
            .saturating_sub(1)
            .min(RETRY_DOUBLINGS_MAX);
        self.now.monotonic.after_ms(RETRY_MS << doublings)
    }

    /// The time of what the PSAM is at may have come.
    pub(crate) fn handle_psam_expired(&mut self) {
        let now = self.now.monotonic;
        let Some(psam) = self.psam_card() else { return };
        if psam.deadline().is_none_or(|deadline| deadline > now) {
            return;
        }
        match self.take_psam() {
            State::Resting { .. } => self.connect_psam(),
            // The driver answers, or leaves; until then nobody knows whether the PSAM has power.
            State::Connecting { call, insertion } => {
                let deadline = self.call_deadline();
                self.psam_mut().fault = Some(PsamFault::Silent);
                let call = Call { deadline, ..call };
                self.set_psam(State::Connecting { call, insertion });
            }
            State::Leaving { call, then } => {
                let deadline = self.call_deadline();
                self.set_psam(State::Leaving {
                    call: Call { deadline, ..call },
                    then,
                });
            }
            state => {
                let (link, service) = state.into_service();
                self.fail_psam(link, service, PsamFault::Silent, Then::TryAgain);
            }
        }
    }
}

/// What follows from what a PSAM answers when it is looked at, with no card in play. Only what no reset can change keeps it
/// out until somebody takes it out: a machine has nobody to do that for a bad contact.
fn after(error: PsamError) -> Then {
    match error {
        PsamError::NotAPsam | PsamError::Locked | PsamError::CounterExhausted => Then::Refuse,
        PsamError::KeyMissing
        | PsamError::Mac2Wrong
        | PsamError::DataRefused
        | PsamError::WrongState
        | PsamError::Misbehaved(_) => Then::TryAgain,
    }
}
