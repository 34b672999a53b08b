//! What the provider is asked without a card, and what its answers come to.

use purser_ledger::{DeviceName, LoadStanding, OperationId};
use purser_purse::pboc::LoadTac;

use super::serve::TELLS_NOTHING;
use super::{
    Aim, Asked, AtProvider, Load, LoadAnswer, LoadAsk, LoadPhase, LoadRefusal, LoadWhat, OwedReason, Phase,
    refusal,
};
use crate::settlement::ProviderFailure;
use crate::visit::{State, Visit};
use crate::{CallId, Engine, Output, RequestError};

impl Load {
    /// What the provider is to be asked while no card is served for the load.
    pub(super) fn errand(&self) -> Option<LoadWhat> {
        let is_alone = matches!(self.phase, Phase::Ending | Phase::Owed);
        let confirm = |tac: Option<[u8; 4]>| tac.map_or(LoadWhat::Show, LoadWhat::Confirm);
        match (self.standing()?, self.fetched, self.phase == Phase::Ending) {
            _ if !is_alone => None,
            // Of one that the provider has told of there is no TAC here.
            (LoadStanding::Proven(proven), _, _) => Some(confirm(proven.tac.bytes().try_into().ok())),
            (LoadStanding::Confirmed(_) | LoadStanding::Voided, _, _) => None,
            (_, Some(tac), _) => Some(LoadWhat::Confirm(*tac.as_bytes())),
            (_, None, true) if self.aim == Aim::Void => Some(LoadWhat::BeginVoid),
            (_, None, true) => Some(LoadWhat::Show),
            (_, None, false) => None,
        }
    }
}

impl Engine {
    /// Asks the provider whatever is due. What nobody waits for goes on for ever, with longer and longer pauses.
    pub(crate) fn serve_loads(&mut self) {
        if self.is_stopping {
            // Also what an answer has set going since.
            return self.stop_loads();
        }
        if self.config.provider.is_none() {
            return;
        }
        let now = self.now.monotonic;
        let is_due = |load: &&Load| load.is_free() && load.retry_at.is_none_or(|at| at <= now);
        let errands: Vec<_> = self
            .loads
            .values()
            .filter(is_due)
            .filter_map(|load| Some((load.id, load.errand()?)))
            .collect();
        for (id, what) in errands {
            self.ask_provider(id, what);
        }
    }

    pub(super) fn ask_provider(&mut self, id: OperationId, what: LoadWhat) {
        let asked = match &what {
            LoadWhat::Show => Asked::Show,
            LoadWhat::BeginVoid => Asked::BeginVoid,
            LoadWhat::ProveVoid(_) => Asked::ProveVoid,
            LoadWhat::Confirm(_) => Asked::Confirm,
        };
        let call = self.begin_asking(id, asked);
        let order = self.load(id).order();
        self.outputs
            .push_back(Output::AskProvider(call, LoadAsk { order, what }));
    }

    /// A new call for the load; an answer to the one before changes nothing any more.
    pub(super) fn begin_asking(&mut self, id: OperationId, asked: Asked) -> CallId {
        let call = self.next_call();
        self.load_mut(id).call = Some((call, asked));
        call
    }

    /// The link to the provider has answered. What a load is not waiting for any more is asked again when it matters.
    pub(crate) fn handle_provider(
        &mut self,
        call: CallId,
        answered: Result<LoadAnswer, ProviderFailure>,
        random: [u8; 16],
    ) {
        let is_it = |load: &&mut Load| load.call.is_some_and(|(of, _)| of == call);
        let Some(load) = self.loads.values_mut().find(is_it) else {
            return;
        };
        let id = load.id;
        let (_, asked) = load.call.take().expect("the load was found by its call");
        if load.changing.is_some() && !matches!(load.phase, Phase::Opening(_)) {
            return;
        }
        match (answered, asked) {
            (
                Ok(LoadAnswer::Standing {
                    phase,
                    last_attempt,
                    void_challenge,
                }),
                _,
            ) => {
                load.failures = 0;
                load.retry_at = None;
                load.why = load.why.filter(|why| !matches!(why, OwedReason::Provider(_)));
                load.last_attempt = Some(last_attempt);
                load.challenge = void_challenge;
                self.handle_standing(id, asked, phase, random);
            }
            (
                Ok(LoadAnswer::Mac2 {
                    number,
                    date_time,
                    mac2,
                }),
                Asked::Attempt,
            ) => self.handle_mac2(id, number, date_time, mac2),
            (Ok(LoadAnswer::Mac2 { .. }), _) => self.handle_failure(id, asked, odd_answer(), random),
            (Err(failure), _) => self.handle_failure(id, asked, failure, random),
        }
    }

    fn handle_standing(&mut self, id: OperationId, asked: Asked, phase: LoadPhase, random: [u8; 16]) {
        if matches!(self.load(id).phase, Phase::Opening(_)) {
            return self.load_opened(id, phase);
        }
        if self.is_crediting(id) {
            return;
        }
        match phase {
            // That contradicts what is recorded: somebody has to look.
            LoadPhase::Voided if !self.record_voided(id) => {
                let failure = ProviderFailure {
                    name: refusal::VOIDED_AND_HAPPENED,
                    is_transient: false,
                    text: "the provider says that the load is void, and its card has the value".to_owned(),
                };
                self.handle_failure(id, asked, failure, random);
            }
            LoadPhase::Voided => {}
            LoadPhase::Done => self.record_done(id),
            LoadPhase::Open | LoadPhase::Released => self.go_on(id, asked, random),
        }
    }

    /// The load has no end at the provider: goes on with what was asked for.
    fn go_on(&mut self, id: OperationId, asked: Asked, random: [u8; 16]) {
        let load = self.load(id);
        match (load.phase.clone(), asked) {
            (Phase::AtCard(reader), _) => {
                if let Some(visit) = self.take_asking(&reader, id) {
                    self.serve_load_again(&reader, visit, id, TELLS_NOTHING);
                }
            }
            (Phase::Ending, Asked::BeginVoid) if load.challenge.is_some() => {
                // Only its card can prove that it has not executed the load.
                if load.waiting.is_empty() || self.is_stopping {
                    let why = load.why.unwrap_or(OwedReason::NoCardInTime);
                    self.owe(id, why);
                } else {
                    self.load_waits_for_card(id);
                }
            }
            (Phase::Ending, Asked::Show) => self.owe(id, OwedReason::ProofMissing),
            (Phase::Ending | Phase::Owed, _) => self.handle_failure(id, asked, odd_answer(), random),
            (Phase::Checking(_) | Phase::Opening(_) | Phase::WaitingForCard, _) => {}
        }
    }

    fn handle_failure(&mut self, id: OperationId, asked: Asked, failure: ProviderFailure, random: [u8; 16]) {
        match self.load(id).phase.clone() {
            Phase::Opening(_) => {
                let error = RequestError::ProviderFailed {
                    name: failure.name,
                    is_transient: failure.is_transient,
                };
                self.refuse_to_begin(id, error);
            }
            Phase::AtCard(reader) => self.fail_at_card(&reader, id, &failure),
            Phase::Ending | Phase::Owed => self.fail_errand(id, asked, &failure, random),
            Phase::Checking(_) | Phase::WaitingForCard => {}
        }
    }

    /// An errand has no answer, or a refusal: it is tried again later, and whoever waits is told what is owed.
    fn fail_errand(&mut self, id: OperationId, asked: Asked, failure: &ProviderFailure, random: [u8; 16]) {
        let load = self.load_mut(id);
        let is_unproven = !matches!(load.standing(), Some(LoadStanding::Proven(_)));
        match (asked, failure.name) {
            // The card has moved on, and its proof is another load's: how did this one end?
            (Asked::Confirm, refusal::TAC | refusal::NOT_RELEASED) if is_unproven => {
                load.fetched = None;
                load.aim = Aim::Load;
                load.phase = Phase::Ending;
                return;
            }
            (Asked::BeginVoid, refusal::DONE) => {
                load.aim = Aim::Load;
                return;
            }
            _ => {}
        }
        let failures = load.failures;
        load.failures = failures.saturating_add(1);
        load.why = Some(OwedReason::Provider(failure.name));
        let until = self.ask_again_at(failures, failure.is_transient, random);
        let load = self.load_mut(id);
        load.retry_at = Some(until);
        if load.phase == Phase::Owed {
            return;
        }
        let is_nowhere = load.aim == Aim::Void && load.released().is_none();
        if is_nowhere {
            // It is voided as soon as the provider can be reached.
            if failures == 0 || !self.load(id).waiting.is_empty() {
                self.tell_owed(id);
            }
        } else {
            self.owe(id, OwedReason::Provider(failure.name));
        }
    }

    /// A card that came back has handed out the TAC of the load that moved its counter from this load's online SN on.
    pub(super) fn load_tac_fetched(&mut self, id: OperationId, tac: LoadTac) {
        let load = self.load_mut(id);
        load.fetched = Some(tac);
        load.call = None;
        load.retry_at = None;
        load.deadline = None;
        if load.is_under_way() {
            load.phase = Phase::Ending;
        }
    }

    /// The visit that waits for the provider's answer about this load.
    pub(super) fn take_asking(&mut self, reader: &DeviceName, id: OperationId) -> Option<Visit> {
        let waits =
            |visit: &Visit| visit.load() == Some(id) && matches!(visit.state, State::AskingProvider(_));
        self.visits.get(reader).filter(|visit| waits(visit))?;
        self.visits.remove(reader)
    }

    /// True from the release's commit on until the outcome is known: nothing that the provider says decides then.
    fn is_crediting(&self, id: OperationId) -> bool {
        self.visits.values().any(|visit| visit.is_committed_to(id))
    }

    fn fail_at_card(&mut self, reader: &DeviceName, id: OperationId, failure: &ProviderFailure) {
        let Some(mut visit) = self.take_asking(reader, id) else {
            return;
        };
        let State::AskingProvider(asking) = std::mem::replace(&mut visit.state, State::Leaving) else {
            unreachable!("the visit was found by this state");
        };
        let name = failure.name;
        match (asking, name) {
            (_, refusal::DONE | refusal::VOIDED) => {
                let load = self.load_mut(id);
                load.last_attempt = None;
                load.aim = Aim::Load;
                self.serve_load_again(reader, visit, id, name);
            }
            (
                AtProvider::Mac2(_),
                refusal::ATTEMPT_NUMBER | refusal::OTHER_CONTENT | refusal::STALE_INITIALIZE,
            ) => {
                self.serve_load_again(reader, visit, id, name);
            }
            (AtProvider::Mac2(it), refusal::IT_HAPPENED) => {
                let online_sn = it.attempt.init.online_sn.value();
                self.fetch_tac_before(reader, visit, id, online_sn);
            }
            (AtProvider::Void { online_sn }, refusal::IT_HAPPENED) => {
                self.fetch_tac_before(reader, visit, id, online_sn);
            }
            (AtProvider::Void { .. }, refusal::STALE_PROOF | refusal::NOT_RELEASED) => {
                self.load_mut(id).challenge = None;
                self.serve_load_again(reader, visit, id, name);
            }
            (AtProvider::Mac2(it), _) if failure.is_transient && !refusal::OF_CARD.contains(&name) => {
                self.send_attempt_later(reader, visit, it);
            }
            (AtProvider::Standing | AtProvider::Void { .. }, _)
                if failure.is_transient && visit.asked_until > Some(self.now.monotonic) =>
            {
                let until = visit.asked_until.expect("it was just compared");
                self.ask_again_at_card(reader, visit, until);
            }
            (AtProvider::Standing | AtProvider::Mac2(_) | AtProvider::Void { .. }, _) => {
                self.refuse_load(reader, visit, LoadRefusal::Provider(name));
            }
        }
    }
}

/// The provider answered something else than what was asked.
fn odd_answer() -> ProviderFailure {
    ProviderFailure {
        name: "OddAnswer",
        is_transient: false,
        text: "the provider's answer does not fit to what it was asked".to_owned(),
    }
}
