//! A load's entries on their way to the store, and what follows when they are durable.

use purser_ledger::{
    Commit, Entry, JournalReceipt, LoadConfirmed, LoadProof, LoadProven, LoadStanding, LoadVoided,
    OperationId, Refused, Scheme, SchemeBytes, Snapshot,
};
use purser_purse::pboc::{LoadTac, PurseAmount};

use super::{Aim, Load, LoadTold, LoadView, OwedReason, Phase};
use crate::{Engine, Output, RequestError};

impl Engine {
    /// Goes on with every load that the store holds as open. Of one that no card can have a new request may come soon; else it is
    /// voided (money rule L4).
    pub(crate) fn resume_loads(&mut self, snapshot: &mut Snapshot) {
        let until = self.now.monotonic.after_ms(self.config.card_wait_ms);
        for stored in std::mem::take(&mut snapshot.loads) {
            let is_anywhere = stored.released.is_some();
            let mut load = Load::resumed(stored);
            load.deadline = Some(until).filter(|_| !is_anywhere);
            self.loads.insert(load.id, load);
        }
    }

    /// Sends a load's next entry to the store. At most one is on its way.
    pub(super) fn commit_load(&mut self, id: OperationId, entry: Entry) {
        let at = self.stamp();
        let load = self.load_mut(id);
        let step = load.stored.as_ref().map_or(0, |stored| stored.next_step);
        let commit = Commit {
            operation: id,
            step,
            at,
            entry,
        };
        assert!(load.changing.is_none(), "a load has one commit on its way");
        load.changing = Some(commit.clone());
        self.outputs.push_back(Output::Commit(commit));
    }

    /// A commit of a load is durable. Gives the receipt back where it is no load's.
    pub(crate) fn handle_load_committed(&mut self, receipt: JournalReceipt) -> Option<JournalReceipt> {
        let id = receipt.operation();
        let is_it = |commit: &mut Commit| commit.step == receipt.step();
        let changed = self.loads.get_mut(&id).and_then(|load| {
            let commit = load.changing.take_if(is_it)?;
            Some((load, commit))
        });
        let Some((load, commit)) = changed else {
            return Some(receipt);
        };
        let content = commit.content();
        let stored = match load.stored.take() {
            None => purser_ledger::Load::begin(&content, receipt.head()),
            Some(mut stored) => stored.apply(&content, receipt.head()).map(|()| stored),
        };
        let stored = stored.expect("the store took the entry by the same rules");
        load.stored = Some(stored);
        match commit.entry {
            Entry::LoadBegun(_) => self.load_begun(id),
            Entry::LoadAttempted(attempted) => self.send_attempt(id, attempted.number, receipt),
            Entry::LoadReleased(_) => self.send_credit(id, receipt),
            Entry::LoadProven(_) => {
                self.tell_load(id, receipt);
                if self.load(id).is_done {
                    self.commit_load(id, Entry::LoadConfirmed(LoadConfirmed {}));
                }
            }
            Entry::LoadConfirmed(_) | Entry::LoadVoided(_) => {
                self.tell_load(id, receipt);
                self.loads.remove(&id);
            }
            entry => unreachable!("no load sends {entry:?}"),
        }
        None
    }

    /// A commit of a load was refused; false where it was no load's.
    pub(crate) fn handle_load_refused(&mut self, id: OperationId, step: u8, refused: Refused) -> bool {
        let is_it = |commit: &mut Commit| commit.step == step;
        let commit = self
            .loads
            .get_mut(&id)
            .and_then(|load| load.changing.take_if(is_it));
        match commit.map(|commit| commit.entry) {
            None => return false,
            Some(Entry::LoadBegun(_)) => {
                let error = if refused == Refused::OutOfOrder {
                    RequestError::OtherReference
                } else {
                    RequestError::Refused(refused)
                };
                self.refuse_to_begin(id, error);
            }
            // Nothing was sent, and nothing more can be tried now.
            Some(Entry::LoadAttempted(_)) => {
                self.free_card(id);
                self.give_up_cards(id, OwedReason::NotRecorded);
            }
            Some(entry) => {
                // A broken invariant: end the process, and let card and provider tell after the restart.
                unreachable!("the store refuses {entry:?} for a load that reserved its room: {refused}");
            }
        }
        true
    }

    /// Tells what has just become durable, to all who wait for it.
    fn tell_load(&mut self, id: OperationId, receipt: JournalReceipt) {
        let load = self.load_mut(id);
        load.phase = Phase::Owed;
        load.deadline = None;
        load.why = None;
        let requests = std::mem::take(&mut load.waiting);
        let stored = load.stored.as_ref().expect("an entry of it has just been stored");
        let view = LoadView::of(stored);
        let told = receipt.authorise(LoadTold { requests, view });
        self.outputs.push_back(Output::TellLoad(told));
    }

    /// Records that the card has the value: its own TAC says so, under the power in which it was credited.
    pub(super) fn record_credited(
        &mut self,
        id: OperationId,
        proof: LoadProof,
        tac: LoadTac,
        balance_after: Option<PurseAmount>,
    ) {
        let load = self.load_mut(id);
        load.phase = Phase::Ending;
        let number = load.released().map_or(0, |it| it.number);
        let amount = load.asked.amount;
        let proven = LoadProven {
            amount,
            number,
            proof,
            tac: tac_bytes(Some(tac)),
            balance_after: balance_after.map(|it| it.in_currency(amount.currency())),
        };
        self.commit_load(id, Entry::LoadProven(proven));
    }

    /// The provider has said that the card has the value.
    pub(super) fn record_done(&mut self, id: OperationId) {
        self.free_card(id);
        let load = self.load_mut(id);
        load.phase = Phase::Ending;
        load.is_done = true;
        let (number, proof) = match load.standing() {
            Some(LoadStanding::Proven(_)) => {
                return self.commit_load(id, Entry::LoadConfirmed(LoadConfirmed {}));
            }
            Some(LoadStanding::Released { attempt, .. }) if load.fetched.is_some() => {
                (attempt.number, LoadProof::Prove)
            }
            _ => (load.last_attempt.unwrap_or(1).max(1), LoadProof::Provider),
        };
        let proven = LoadProven {
            amount: load.asked.amount,
            number,
            proof,
            tac: tac_bytes(load.fetched),
            balance_after: None,
        };
        self.commit_load(id, Entry::LoadProven(proven));
    }

    /// The provider has said that the load is void. False where the journal says that its card has the value.
    pub(super) fn record_voided(&mut self, id: OperationId) -> bool {
        let amount = self.load(id).asked.amount;
        let entry = Entry::LoadVoided(LoadVoided { amount });
        let stored = self.load(id).stored.as_ref();
        if !stored.is_some_and(|stored| stored.admits(&entry)) {
            return false;
        }
        self.free_card(id);
        let load = self.load_mut(id);
        load.phase = Phase::Ending;
        load.aim = Aim::Void;
        self.commit_load(id, entry);
        true
    }

    /// Lets the card go that is being served for this load: the load has its end.
    pub(super) fn free_card(&mut self, id: OperationId) {
        let Phase::AtCard(reader) = self.load(id).phase.clone() else {
            return;
        };
        let is_its = self
            .visits
            .get(&reader)
            .is_some_and(|visit| visit.load() == Some(id));
        if is_its && let Some(visit) = self.visits.remove(&reader) {
            self.leave(&reader, visit);
        }
    }
}

/// A TAC as it is stored; empty where only the provider has it.
fn tac_bytes(tac: Option<LoadTac>) -> SchemeBytes {
    let bytes = tac.map_or(Vec::new(), |tac| tac.as_bytes().to_vec());
    SchemeBytes::new(Scheme::Pboc, bytes).expect("a TAC is short")
}
