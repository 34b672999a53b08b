//! MAC2, the credit, and its outcome (S12, S13).

use purser_ledger::{DeviceName, Entry, JournalReceipt, LoadProof, LoadReleased, OperationId};
use purser_purse::pboc::{CreditLoad, LoadRelease, LoadTac, ProveLoad};
use purser_purse::{CardError, Dialogue};

use super::{AtProvider, LoadRefusal, Phase};
use crate::sale::CHECK_WAIT_MS;
use crate::visit::{Crediting, State, Visit, card_id};
use crate::{Act, CallFailure, Engine, Output};

impl Engine {
    /// The provider has answered the attempt with MAC2: that it may be used is recorded first.
    pub(super) fn handle_mac2(&mut self, id: OperationId, number: u8, date_time: [u8; 7], mac2: [u8; 4]) {
        let Phase::AtCard(reader) = self.load(id).phase.clone() else {
            return;
        };
        let Some(mut visit) = self.take_asking(&reader, id) else {
            return;
        };
        let State::AskingProvider(AtProvider::Mac2(attempting)) =
            std::mem::replace(&mut visit.state, State::Leaving)
        else {
            return self.refuse_load(&reader, visit, LoadRefusal::Provider("OddAnswer"));
        };
        let release = match LoadRelease::new(date_time, mac2) {
            Ok(release) if number == attempting.send.act().number => release,
            _ => return self.refuse_load(&reader, visit, LoadRefusal::Provider("OddAnswer")),
        };
        self.load_mut(id).last_attempt = Some(number);
        if !visit.has_its_card(&reader, &self.devices) {
            return self.fail_visit(&reader, visit, CallFailure::CardChanged);
        }
        // From here on it may take the value, whatever becomes of its reader.
        self.devices.set_served(&reader, Some(card_id(visit.card())));
        self.commit_load(id, Entry::LoadReleased(LoadReleased { number, date_time }));
        let attempt = attempting.attempt;
        visit.deadline = self.call_deadline();
        visit.state = State::Releasing(Box::new(Crediting { attempt, release }));
        self.visits.insert(reader, visit);
    }

    /// The release is durable: sends CREDIT, once (S13). If the card has left meanwhile, it is not sent.
    pub(super) fn send_credit(&mut self, id: OperationId, receipt: JournalReceipt) {
        let waits = |visit: &Visit| visit.load() == Some(id) && matches!(visit.state, State::Releasing(_));
        let found = self.visits.iter().find(|(_, visit)| waits(visit));
        let Some(reader) = found.map(|(reader, _)| reader.clone()) else {
            return;
        };
        let mut visit = self.visits.remove(&reader).expect("the visit was just seen");
        if !visit.has_its_card(&reader, &self.devices) {
            return self.fail_visit(&reader, visit, CallFailure::CardChanged);
        }
        let State::Releasing(crediting) = std::mem::replace(&mut visit.state, State::Leaving) else {
            unreachable!("the visit was found by this state");
        };
        let dialogue = CreditLoad::new(&crediting.release, visit.protocol());
        let connection = visit
            .connection
            .expect("a card that answered is connected")
            .number;
        let act = Act::Credit {
            connection,
            command: dialogue.command().clone(),
        };
        let call = self.next_call();
        self.outputs
            .push_back(Output::Move(call, reader.clone(), receipt.authorise(act)));
        visit.call = Some(call);
        visit.deadline = self.call_deadline();
        visit.state = State::Crediting(crediting, dialogue);
        self.visits.insert(reader, visit);
    }

    /// The card answered the credit. Only 9000 with a TAC is a load; all else is asked about at once (money rule P2).
    pub(crate) fn credit_answered(
        &mut self,
        reader: &DeviceName,
        mut visit: Visit,
        crediting: &Crediting,
        result: Result<LoadTac, CardError>,
    ) {
        let attempt = &crediting.attempt;
        if let (Ok(tac), Some(id)) = (result, visit.load()) {
            let balance = attempt.new_balance();
            self.leave(reader, visit);
            return self.record_credited(id, LoadProof::Answer, tac, balance);
        }
        visit.checked_until = Some(self.now.monotonic.after_ms(CHECK_WAIT_MS));
        match ProveLoad::new(attempt.purse, attempt.init.online_sn, visit.protocol()) {
            Some(prove) => self.transmit(reader, visit, prove, State::ProvingCredit),
            None => self.credit_proved(reader, visit, Err(CardError::CounterExhausted)),
        }
    }

    /// The card was asked at once what came of the credit. Its power was not gone since, so that a proof is this load's.
    pub(crate) fn credit_proved(
        &mut self,
        reader: &DeviceName,
        visit: Visit,
        result: Result<LoadTac, CardError>,
    ) {
        let id = visit.load().expect("a credit belongs to a load");
        self.leave(reader, visit);
        match result {
            Ok(tac) => self.record_credited(id, LoadProof::Prove, tac, None),
            Err(_) => self.load_waits_for_card(id),
        }
    }

    /// The answer to the credit is lost: its card can tell when it is presented again.
    pub(crate) fn lose_credit(&mut self, reader: &DeviceName, id: OperationId) {
        self.devices.set_unresolved(reader);
        self.load_waits_for_card(id);
    }
}
