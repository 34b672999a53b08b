//! What a load does with a card in the reader, up to the attempt that is sent (S5 to S9).

use purser_ledger::{
    CloseReason, DeviceName, Entry, JournalReceipt, LoadAttempted, Monotonic, OperationId, Scheme,
    SchemeBytes,
};
use purser_provider_link::CardSaid;
use purser_purse::CardError;
use purser_purse::pboc::{
    InitLoadAnswer, InitializeLoad, LoadAttempt, LoadTac, OnlineSn, ProveLoad, PsamTerminalNumber, PurseKind,
};

use super::{
    ATTEMPT_AGAIN_MS, Aim, Asked, AtProvider, Attempting, Load, LoadRefusal, LoadWhat, OwedReason,
    PROVIDER_WAIT_MS, Phase, ROUNDS_MAX, SendAttempt,
};
use crate::visit::{State, Visit, card_id, close_reason};
use crate::{CallFailure, Engine, Output};

/// The name of a failure in which the provider gives the same answer again and again, and it leads nowhere.
pub(super) const TELLS_NOTHING: &str = "TellsNothing";

impl Engine {
    /// A load that this card may have executed, and has not been asked about in this visit.
    pub(crate) fn earlier_load(&self, visit: &Visit) -> Option<(OperationId, LoadAttempt)> {
        let facts = visit.card.as_ref()?;
        let card = card_id(facts);
        let mut loads = self.loads.values().filter(|load| {
            let is_elsewhere = matches!(load.phase, Phase::AtCard(_)) && visit.load() != Some(load.id);
            let is_its = load.released().is_some_and(|released| released.card == card);
            load.waits_for_proof() && is_its && !is_elsewhere && !visit.asked.contains(&load.id)
        });
        loads.find_map(|load| {
            let attempt = LoadAttempt::decode(load.released()?.initialize.bytes()).ok()?;
            attempt.is_of(facts).then_some((load.id, attempt))
        })
    }

    /// Asks the card for the proof of an earlier load.
    pub(crate) fn prove_load(
        &mut self,
        reader: &DeviceName,
        mut visit: Visit,
        id: OperationId,
        attempt: &LoadAttempt,
    ) {
        visit.asked.insert(id);
        self.fetch_tac(reader, visit, id, attempt.purse, attempt.init.online_sn);
    }

    fn fetch_tac(
        &mut self,
        reader: &DeviceName,
        visit: Visit,
        id: OperationId,
        purse: PurseKind,
        before: OnlineSn,
    ) {
        match ProveLoad::new(purse, before, visit.protocol()) {
            Some(prove) => {
                let state = move |dialogue| State::ProvingLoad(id, dialogue);
                self.transmit(reader, visit, prove, state);
            }
            None => self.load_proved(reader, visit, id, Err(CardError::CounterExhausted)),
        }
    }

    /// The provider says that the card has executed the load: its counter stands one behind the load that did it.
    pub(super) fn fetch_tac_before(
        &mut self,
        reader: &DeviceName,
        mut visit: Visit,
        id: OperationId,
        online_sn: u16,
    ) {
        visit.asked.insert(id);
        self.load_mut(id).why = Some(OwedReason::ProofMissing);
        match online_sn.checked_sub(1) {
            Some(before) => {
                let purse = self.config.profile.purse;
                visit.is_proof_missing = true;
                self.fetch_tac(reader, visit, id, purse, OnlineSn::new(before));
            }
            None => self.owe_at_card(reader, visit, id, OwedReason::CounterMoved),
        }
    }

    /// The card was asked for the proof of an earlier load. The TAC is a load's: the provider says whether it is this one's.
    pub(crate) fn load_proved(
        &mut self,
        reader: &DeviceName,
        visit: Visit,
        id: OperationId,
        result: Result<LoadTac, CardError>,
    ) {
        let is_own = visit.load() == Some(id);
        let is_at_card = |load: &Load| matches!(load.phase, Phase::AtCard(_));
        match result {
            // Meanwhile its card is served at another reader, or one that says so: that visit finds out.
            Ok(_) if !is_own && self.loads.get(&id).is_some_and(is_at_card) => self.advance(reader, visit),
            Ok(tac) => {
                if self.loads.contains_key(&id) {
                    self.load_tac_fetched(id, tac);
                }
                if is_own {
                    self.leave(reader, visit);
                } else {
                    self.advance(reader, visit);
                }
            }
            Err(_) if is_own && visit.is_proof_missing => {
                self.owe_at_card(reader, visit, id, OwedReason::ProofMissing);
            }
            // Nothing is concluded: the card is asked again when it is presented again.
            Err(_) => self.advance(reader, visit),
        }
    }

    pub(super) fn owe_at_card(
        &mut self,
        reader: &DeviceName,
        visit: Visit,
        id: OperationId,
        why: OwedReason,
    ) {
        self.leave(reader, visit);
        self.owe(id, why);
    }

    /// Begins with this presentation anew, because the provider said so.
    pub(super) fn serve_load_again(
        &mut self,
        reader: &DeviceName,
        mut visit: Visit,
        id: OperationId,
        name: &'static str,
    ) {
        visit.asked_until = None;
        visit.rounds = visit.rounds.saturating_add(1);
        if visit.rounds > ROUNDS_MAX {
            self.refuse_load(reader, visit, LoadRefusal::Provider(name));
        } else {
            self.serve_load(reader, visit, id);
        }
    }

    /// Checks the card, asks the provider how the load stands, then for the PIN, then the card for the load.
    pub(crate) fn serve_load(&mut self, reader: &DeviceName, visit: Visit, id: OperationId) {
        let load = self.load(id);
        let (aim, is_looked_at, challenge) = (load.aim, load.last_attempt.is_some(), load.challenge);
        if !visit.has_its_card(reader, &self.devices) {
            self.fail_visit(reader, visit, CallFailure::CardChanged);
        } else if let Some(refused) = self.refuse_to_load(load, &visit) {
            self.refuse_load(reader, visit, refused);
        } else if aim == Aim::Void && challenge.is_none() {
            self.ask_at_card(reader, visit, id, LoadWhat::BeginVoid, AtProvider::Standing);
        } else if aim == Aim::Load && !is_looked_at {
            self.ask_at_card(reader, visit, id, LoadWhat::Show, AtProvider::Standing);
        } else if !visit.pin_verified {
            self.wait_for_pin(reader, visit);
        } else {
            let own = self.config.terminal_number;
            let over = challenge
                .filter(|_| aim == Aim::Void)
                .map_or(own, PsamTerminalNumber::new);
            let amount = self.load(id).purse_amount();
            let dialogue = InitializeLoad::new(&self.config.profile, amount, over, visit.protocol());
            let state = move |dialogue| State::InitialisingLoad(over, dialogue);
            self.transmit(reader, visit, dialogue, state);
        }
    }

    /// What speaks against this card, before anything is asked of it (money rule L4).
    fn refuse_to_load(&self, load: &Load, visit: &Visit) -> Option<LoadRefusal> {
        let card = visit.card();
        if load
            .released()
            .is_some_and(|released| released.card != card_id(card))
        {
            return Some(LoadRefusal::OtherCard);
        }
        // Whatever speaks against loading it: that it has not executed the load it may prove (money rule L3).
        if load.aim == Aim::Void {
            return None;
        }
        self.unfit(card, load.asked.amount).map(LoadRefusal::Card)
    }

    fn ask_at_card(
        &mut self,
        reader: &DeviceName,
        mut visit: Visit,
        id: OperationId,
        what: LoadWhat,
        asking: AtProvider,
    ) {
        self.ask_provider(id, what);
        let until = self.now.monotonic.after_ms(PROVIDER_WAIT_MS);
        visit.deadline = *visit.asked_until.get_or_insert(until);
        visit.state = State::AskingProvider(asking);
        self.visits.insert(reader.clone(), visit);
    }

    /// This card does not do: the load waits for another one.
    pub(crate) fn refuse_load(&mut self, reader: &DeviceName, visit: Visit, refused: LoadRefusal) {
        let id = visit.load().expect("a load's card is refused");
        // Also one that could not be read: it is taken out before it is asked again.
        self.devices.set_served(reader, visit.card.as_ref().map(card_id));
        self.leave(reader, visit);
        let load = self.load_mut(id);
        load.refused = Some(refused);
        if let LoadRefusal::Provider(name) = refused {
            load.why = Some(OwedReason::Provider(name));
        }
        self.load_waits_for_card(id);
    }

    /// What a card's error makes of it.
    pub(crate) fn refuse_card_for_load(&mut self, reader: &DeviceName, visit: Visit, error: CardError) {
        self.refuse_load(reader, visit, LoadRefusal::Card(close_reason(error)));
    }

    /// The buyer gave no PIN.
    pub(crate) fn load_without_pin(
        &mut self,
        reader: &DeviceName,
        visit: Visit,
        id: OperationId,
        reason: CloseReason,
    ) {
        let is_cancelled = reason == CloseReason::CancelledByBuyer;
        if is_cancelled && self.load(id).released().is_none() && self.load(id).aim == Aim::Load {
            self.leave(reader, visit);
            self.begin_void(id);
        } else {
            self.refuse_load(reader, visit, LoadRefusal::Card(reason));
        }
    }

    pub(crate) fn load_initialised(
        &mut self,
        reader: &DeviceName,
        visit: Visit,
        over: PsamTerminalNumber,
        result: Result<InitLoadAnswer, CardError>,
    ) {
        let Some(id) = visit.load() else {
            self.leave(reader, visit);
            return;
        };
        let load = self.load(id);
        let challenge = load.challenge.map(PsamTerminalNumber::new);
        match (result, load.aim) {
            _ if !visit.has_its_card(reader, &self.devices) => {
                self.fail_visit(reader, visit, CallFailure::CardChanged);
            }
            // A cancel came meanwhile.
            (_, Aim::Void) if challenge != Some(over) => self.serve_load(reader, visit, id),
            (Ok(init), Aim::Void) => {
                let asking = AtProvider::Void {
                    online_sn: init.online_sn.value(),
                };
                let attempt = self.load_attempt(&visit, id, init, over);
                self.ask_at_card(reader, visit, id, LoadWhat::ProveVoid(said(&attempt)), asking);
            }
            (Ok(init), Aim::Load) => {
                let attempt = self.load_attempt(&visit, id, init, over);
                self.attempt_load(reader, visit, id, attempt);
            }
            (Err(CardError::PinNeeded), _) if !visit.pin_verified => self.wait_for_pin(reader, visit),
            (Err(CardError::ConditionsNotSatisfied), _) => {
                self.refuse_load(reader, visit, LoadRefusal::PurseFull);
            }
            (Err(error), _) => self.refuse_card_for_load(reader, visit, error),
        }
    }

    fn load_attempt(
        &self,
        visit: &Visit,
        id: OperationId,
        init: InitLoadAnswer,
        over: PsamTerminalNumber,
    ) -> LoadAttempt {
        let amount = self.load(id).purse_amount();
        LoadAttempt::new(&self.config.profile, visit.card(), init, amount, over)
    }

    /// Records the attempt: from its receipt on it may be sent, and a MAC2 may leave the provider (money rule L2).
    fn attempt_load(&mut self, reader: &DeviceName, mut visit: Visit, id: OperationId, attempt: LoadAttempt) {
        let sn = attempt.init.online_sn.value();
        let load = self.load(id);
        let released = load.released().map(|released| released.online_sn);
        let number = load.last_attempt.and_then(|last| last.checked_add(1));
        let entry = Entry::LoadAttempted(LoadAttempted {
            number: number.unwrap_or(0),
            card: card_id(visit.card()),
            online_sn: sn,
            initialize: SchemeBytes::new(Scheme::Pboc, attempt.encode()).expect("an attempt is short"),
        });
        let is_admitted = load.stored.as_ref().is_some_and(|stored| stored.admits(&entry));
        if let Some(before) = released.filter(|before| *before != sn) {
            if before.checked_add(1) == Some(sn) {
                // It has executed a load: this one, says its proof.
                self.fetch_tac_before(reader, visit, id, sn);
            } else {
                self.owe_at_card(reader, visit, id, OwedReason::CounterMoved);
            }
        } else if attempt.new_balance().is_none() {
            self.refuse_load(reader, visit, LoadRefusal::PurseFull);
        } else if attempt.init.online_sn.next().is_none() {
            self.refuse_load(reader, visit, LoadRefusal::Card(CloseReason::CardExhausted));
        } else if !is_admitted {
            self.owe_at_card(reader, visit, id, OwedReason::NotRecorded);
        } else {
            self.commit_load(id, entry);
            visit.deadline = self.call_deadline();
            visit.state = State::RecordingAttempt(Box::new(attempt));
            self.visits.insert(reader.clone(), visit);
        }
    }

    /// The attempt is durable: it is sent, if its card is still there and nobody has cancelled.
    pub(super) fn send_attempt(&mut self, id: OperationId, number: u8, receipt: JournalReceipt) {
        let Phase::AtCard(reader) = self.load(id).phase.clone() else {
            return;
        };
        let waits =
            |visit: &Visit| visit.load() == Some(id) && matches!(visit.state, State::RecordingAttempt(_));
        if !self.visits.get(&reader).is_some_and(waits) {
            return;
        }
        let mut visit = self.visits.remove(&reader).expect("the visit was just seen");
        if self.is_stopping {
            return self.owe_at_card(&reader, visit, id, OwedReason::Stopped);
        }
        if self.load(id).aim == Aim::Void || !visit.has_its_card(&reader, &self.devices) {
            return self.serve_load(&reader, visit, id);
        }
        let State::RecordingAttempt(attempt) = std::mem::replace(&mut visit.state, State::Leaving) else {
            unreachable!("the visit was found by this state");
        };
        let send = receipt.authorise(SendAttempt {
            order: self.load(id).order(),
            number,
            said: said(&attempt),
        });
        let until = self.now.monotonic.after_ms(PROVIDER_WAIT_MS);
        let attempting = Attempting {
            attempt: *attempt,
            send,
            until,
        };
        self.ask_for_mac2(&reader, visit, id, Box::new(attempting));
    }

    fn ask_for_mac2(
        &mut self,
        reader: &DeviceName,
        mut visit: Visit,
        id: OperationId,
        attempting: Box<Attempting>,
    ) {
        let call = self.begin_asking(id, Asked::Attempt);
        // Whether it was heard is not known before it is answered; and it ends every void that waits for its card.
        let load = self.load_mut(id);
        load.last_attempt = None;
        load.challenge = None;
        self.outputs
            .push_back(Output::Attempt(call, attempting.send.again()));
        visit.deadline = attempting.until;
        visit.state = State::AskingProvider(AtProvider::Mac2(attempting));
        self.visits.insert(reader.clone(), visit);
    }

    /// The line was lost: the same attempt is sent again a little later, and gets the same MAC2.
    pub(super) fn send_attempt_later(
        &mut self,
        reader: &DeviceName,
        mut visit: Visit,
        attempting: Box<Attempting>,
    ) {
        visit.deadline = self
            .now
            .monotonic
            .after_ms(ATTEMPT_AGAIN_MS)
            .min(attempting.until);
        visit.state = State::AskingProvider(AtProvider::Mac2(attempting));
        self.visits.insert(reader.clone(), visit);
    }

    /// The line was lost: the provider is asked again a little later, while the card keeps its power.
    pub(super) fn ask_again_at_card(&mut self, reader: &DeviceName, mut visit: Visit, until: Monotonic) {
        visit.deadline = self.now.monotonic.after_ms(ATTEMPT_AGAIN_MS).min(until);
        visit.state = State::AskingProvider(AtProvider::Standing);
        self.visits.insert(reader.clone(), visit);
    }

    /// The provider is not answering, or is to be asked again.
    pub(crate) fn provider_wait_expired(&mut self, reader: &DeviceName, mut visit: Visit) {
        let id = visit.load().expect("the provider is asked for a load");
        let now = self.now.monotonic;
        let is_unasked = self.load(id).call.is_none();
        match std::mem::replace(&mut visit.state, State::Leaving) {
            State::AskingProvider(AtProvider::Mac2(it)) if is_unasked && now < it.until => {
                self.ask_for_mac2(reader, visit, id, it);
            }
            State::AskingProvider(AtProvider::Standing) if is_unasked && visit.asked_until > Some(now) => {
                self.serve_load(reader, visit, id);
            }
            _ => {
                self.load_mut(id).call = None;
                self.refuse_load(reader, visit, LoadRefusal::Provider("NoAnswer"));
            }
        }
    }
}

/// What the provider is sent of the card's answer.
fn said(attempt: &LoadAttempt) -> CardSaid {
    let init = &attempt.init;
    CardSaid {
        card: *attempt.serial.as_bytes(),
        terminal_number: *attempt.terminal_number.as_bytes(),
        old_balance: init.old_balance.minor(),
        online_sn: init.online_sn.value(),
        key_version: init.key_version.0,
        algorithm: init.algorithm_id.0,
        random: *init.random.as_bytes(),
        mac1: *init.mac1.as_bytes(),
    }
}
