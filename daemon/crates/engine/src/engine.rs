//! The engine: what it holds, and which part takes which input.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use purser_ledger::{
    Batches, CardId, ClockRange, Commit, Currency, DeviceName, Monotonic, Now, Operation, OperationId,
    Reference, Snapshot, Unsettled, Wall,
};

use crate::commits::{Changing, Resolved};
use crate::config::terminal_sn_before;
use crate::devices::Devices;
use crate::load::Load;
use crate::psam::{Authority, Sam, Suspects};
use crate::query::Queries;
use crate::requests::PendingFind;
use crate::sale::{Decision, Sale};
use crate::settlement::{Presenting, SettleRequest, Settling};
use crate::visit::{TriesLeft, Visit};
use crate::{CallId, Config, FindId, HeardParameters, Input, Output, Query, RequestId};

/// How long the engine waits for the answer to a call before it takes the driver for lost, in milliseconds. A backstop:
/// the supervisor's own deadlines are shorter.
pub(crate) const CALL_WAIT_MS: u64 = 30_000;

/// All money operations of this terminal, in one place, owned by one task.
pub struct Engine {
    pub(crate) config: Config,
    pub(crate) sam: Authority,
    pub(crate) now: Now,
    /// What the wall clock may say (money rule T2).
    pub(crate) clock: ClockRange,
    /// The time of the newest intent: the next one is later, so that card, log and provider can tell two debits apart.
    intended_unix_seconds: i64,
    /// The same in local time, which is what a card's log keeps: it goes back when summer time ends.
    intended_local_seconds: i64,
    /// The highest terminal SN that was ever given out, by whichever SAM.
    pub(crate) terminal_sn_last: u32,
    pub(crate) devices: Devices,
    /// Sales under way, oldest first.
    pub(crate) sales: Vec<Sale>,
    /// Loads that are open or about to begin.
    pub(crate) loads: BTreeMap<OperationId, Load>,
    /// What the provider is asked about sales in doubt.
    pub(crate) queries: Queries,
    /// Cards being served, by reader.
    pub(crate) visits: BTreeMap<DeviceName, Visit>,
    /// Operations whose debit is intended and not proven either way.
    pub(crate) open: BTreeMap<OperationId, Operation>,
    /// The claims that wait for settlement.
    pub(crate) unsettled: Unsettled,
    /// False while the journal's disk has no room for another sale's evidence (money rule P3).
    pub(crate) has_room: bool,
    /// True while damage to the journal keeps new sales from beginning.
    pub(crate) is_held: bool,
    /// The provider's parameters in force; none before the first ones.
    pub(crate) parameters: Option<HeardParameters>,
    /// Cards with an earlier payment that cannot be read: none of them is debited.
    pub(crate) held: BTreeSet<CardId>,
    /// Operations with a commit on its way to the store: one each.
    pub(crate) changing: BTreeMap<OperationId, Changing>,
    pub(crate) finds: BTreeMap<FindId, PendingFind>,
    /// PIN tries left as cards told them, so that a last try is known in a later sale (money rule T5).
    pub(crate) tries_left: TriesLeft,
    /// Cards whose MAC2 the PSAM found wrong.
    pub(crate) suspects: Suspects,
    /// Outcomes whose operation had another commit on its way when they became known.
    pub(crate) decided: Vec<Decision>,
    /// Where settlement stands, as it is durable.
    pub(crate) batches: Batches,
    /// Settlements under way: one of each currency.
    pub(crate) settling: BTreeMap<Currency, Settling>,
    /// Requests that wait for batches to be sealed.
    pub(crate) settle_requests: Vec<SettleRequest>,
    /// The request that presents claims again.
    pub(crate) presenting: Option<Presenting>,
    /// True from the first `Stop` on.
    pub(crate) is_stopping: bool,
    pub(crate) stop: Option<RequestId>,
    pub(crate) outputs: VecDeque<Output>,
    call_last: u64,
    find_last: u64,
}

impl Engine {
    /// An engine that goes on where the store's entries end. Every sale whose intent is stored without an outcome is in
    /// doubt from here on, and says so in the journal.
    ///
    /// The keys of a software SAM may be shared with whoever else needs them: they lie in protected pages, which are made once.
    pub fn resume(config: Config, sam: impl Into<Sam>, mut snapshot: Snapshot, now: Now) -> Self {
        let clock = ClockRange::new(config.built_unix_seconds, snapshot.newest_unix_seconds);
        let sam = sam.into();
        // A PSAM owns its counter: no generation lifts it, and a number that it is far from would put no hot list into force.
        let (reserved, sn_before) = match &sam {
            Sam::Psam(settings) => (Some(settings.reader.clone()), 0),
            Sam::Software(_) => (None, terminal_sn_before(config.generation)),
        };
        let terminal_sn_last = snapshot.terminal_sn_max.unwrap_or(0).max(sn_before);
        let mut engine = Self {
            config,
            sam: Authority::from(sam),
            now,
            clock,
            intended_unix_seconds: clock.floor_unix_seconds(),
            intended_local_seconds: snapshot.newest_local_seconds.unwrap_or(i64::MIN),
            terminal_sn_last,
            devices: Devices::without(reserved),
            sales: Vec::new(),
            loads: BTreeMap::new(),
            queries: Queries::default(),
            visits: BTreeMap::new(),
            open: std::mem::take(&mut snapshot.open)
                .into_iter()
                .map(|operation| (operation.id, operation))
                .collect(),
            unsettled: std::mem::take(&mut snapshot.unsettled),
            has_room: true,
            is_held: false,
            parameters: None,
            held: std::mem::take(&mut snapshot.held).into_iter().collect(),
            changing: BTreeMap::new(),
            finds: BTreeMap::new(),
            tries_left: TriesLeft::default(),
            suspects: Suspects::default(),
            decided: Vec::new(),
            batches: Batches::default(),
            settling: BTreeMap::new(),
            settle_requests: Vec::new(),
            presenting: None,
            is_stopping: false,
            stop: None,
            outputs: VecDeque::new(),
            call_last: 0,
            find_last: 0,
        };
        engine.hold_cards_that_cannot_be_asked();
        engine.put_interrupted_sales_in_doubt();
        engine.resume_settlements(&snapshot);
        engine.resume_loads(&mut snapshot);
        engine.serve_loads();
        engine.keep_queries();
        engine
    }

    /// Takes one input in. Poll the outputs until there are none before the next one.
    pub fn handle(&mut self, now: Now, input: Input) {
        self.now = now;
        match input {
            Input::Request {
                id,
                peer,
                request,
                random,
            } => {
                self.handle_request(id, peer, request, OperationId::new(random));
            }
            Input::Found { id, stored } => self.handle_found(id, stored),
            Input::Room(has_room) => self.has_room = has_room,
            Input::Held(is_held) => self.is_held = is_held,
            Input::Committed(receipt) => self.handle_committed(receipt),
            Input::Refused {
                operation,
                step,
                refused,
            } => self.handle_refused(operation, step, refused),
            Input::Answer { id, answer } => self.handle_answer(id, answer),
            Input::Device { name, event } => self.handle_device(name, event),
            Input::Provider { id, answered, random } => self.handle_provider(id, answered, random),
            Input::Queried { id, answered, random } => self.handle_queried(id, answered, random),
            Input::Counted { id, counted } => self.handle_counted(id, counted),
            Input::Sent { id, sent } => self.handle_sent(id, sent),
            Input::Settled { id, answered, random } => self.handle_settled(id, answered, random),
            Input::Unpaid { id, found } => self.handle_unpaid(id, found),
            Input::Timer => {}
            Input::Parameters(heard) => self.take_parameters(heard),
        }
        self.handle_expired();
        self.serve_cards();
        self.serve_psam();
        self.serve_settlements();
        self.serve_loads();
        self.serve_queries();
        self.hint_progress();
        self.hint_loads();
        self.answer_stop();
    }

    /// The next effect to carry out; none when the engine waits for an input.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When to call `handle` with `Input::Timer`, if nothing else comes before. Ask again after each `handle`.
    pub fn poll_timeout(&self) -> Option<Monotonic> {
        let sales = self.sales.iter().filter_map(|sale| sale.deadline);
        let visits = self.visits.values().map(|visit| visit.deadline);
        let psam = self.psam_card().and_then(|psam| psam.deadline());
        sales
            .chain(visits)
            .chain(self.devices.next_retry())
            .chain(psam)
            .chain(self.settle_timeout())
            .chain(self.load_timeout())
            .chain(self.query_timeout())
            .min()
    }

    /// The operations that are in doubt, with when they began.
    pub fn open_operations(&self) -> impl Iterator<Item = &Operation> {
        self.open.values()
    }

    /// The loads that have no end, as they are durable.
    pub fn open_loads(&self) -> impl Iterator<Item = &purser_ledger::Load> {
        self.loads.values().filter_map(Load::stored)
    }

    /// The devices at which a card is being served, a PIN awaited, or a sale authorised: whoever ends a driver of theirs cuts
    /// what they do.
    pub fn served_devices(&self) -> impl Iterator<Item = &DeviceName> {
        let pads = self.visits.values().filter_map(Visit::pad);
        self.visits.keys().chain(pads).chain(self.served_psam_reader())
    }

    pub(crate) fn ask(&mut self, device: &DeviceName, query: Query) -> CallId {
        let id = self.next_call();
        self.outputs.push_back(Output::Ask(id, device.clone(), query));
        id
    }

    pub(crate) fn next_call(&mut self) -> CallId {
        self.call_last = self
            .call_last
            .checked_add(1)
            .expect("2^64 calls are never reached");
        CallId(self.call_last)
    }

    pub(crate) fn next_find(&mut self) -> FindId {
        self.find_last = self
            .find_last
            .checked_add(1)
            .expect("2^64 finds are never reached");
        FindId(self.find_last)
    }

    /// The present on the wall; the clock floor where the clock is not believed (money rule T2).
    pub(crate) fn present(&self) -> Wall {
        self.clock.judge(self.now.wall)
    }

    /// The present on the wall as it is recorded; the floor rises with it (money rule T2). Never before the newest intent: a
    /// start takes the time of the newest entry for that of the newest intent.
    pub(crate) fn stamp(&mut self) -> Wall {
        let at = self.present();
        self.clock = self.clock.lifted_by(at);
        let at = Wall {
            unix_seconds: at.unix_seconds.max(self.intended_unix_seconds),
            ..at
        };
        local_not_before(at, self.intended_local_seconds)
    }

    /// The present as a debit is stamped with it: a second later than the debit before, if the clock has not moved since.
    /// A card's log knows a debit by terminal, local time and amount alone (money rule P1).
    pub(crate) fn stamp_intent(&mut self) -> Wall {
        let at = self.stamp();
        let after_last = self.intended_unix_seconds.saturating_add(1);
        self.intended_unix_seconds = at.unix_seconds.max(after_last);
        let at = Wall {
            unix_seconds: self.intended_unix_seconds,
            ..at
        };
        let at = local_not_before(at, self.intended_local_seconds.saturating_add(1));
        self.intended_local_seconds = at.local_seconds();
        at
    }

    pub(crate) fn call_deadline(&self) -> Monotonic {
        self.now.monotonic.after_ms(CALL_WAIT_MS)
    }

    pub(crate) fn sale(&self, operation: OperationId) -> Option<&Sale> {
        self.sales.iter().find(|sale| sale.operation == operation)
    }

    pub(crate) fn sale_mut(&mut self, operation: OperationId) -> Option<&mut Sale> {
        self.sales.iter_mut().find(|sale| sale.operation == operation)
    }

    pub(crate) fn sale_by_reference(&mut self, reference: &Reference) -> Option<&mut Sale> {
        self.sales
            .iter_mut()
            .find(|sale| sale.asked.reference == *reference)
    }

    /// Sends the operation's next step to the store. At most one is on its way for each operation.
    pub(crate) fn commit(&mut self, commit: Commit, before: Option<Operation>, then: Resolved) {
        let operation = commit.operation;
        self.outputs.push_back(Output::Commit(commit.clone()));
        let earlier = self.changing.insert(operation, Changing { commit, before, then });
        assert!(earlier.is_none(), "an operation has one commit on its way");
    }

    fn answer_stop(&mut self) {
        let idle = self.sales.is_empty() && self.visits.is_empty() && self.changing.is_empty();
        let idle = idle && !self.is_recording_batch() && !self.is_recording_load();
        if let Some(id) = self.stop.take_if(|_| idle) {
            self.outputs
                .push_back(Output::Reply(id, Ok(crate::Reply::Stopped)));
        }
    }
}

/// The largest difference of a time zone from UTC, in seconds. More than that between two records is a clock that was wrong.
const UTC_OFFSET_MAX_SECONDS: i32 = 14 * 3_600;

/// The same moment, in the first zone in which its local time is not before this: in the hour that summer time repeats, and
/// after a move to another zone, local time stands still until it has caught up.
fn local_not_before(at: Wall, local_seconds: i64) -> Wall {
    let offset = local_seconds.saturating_sub(at.unix_seconds);
    let offset = i32::try_from(offset)
        .ok()
        .filter(|offset| (at.utc_offset_seconds..=UTC_OFFSET_MAX_SECONDS).contains(offset));
    Wall {
        utc_offset_seconds: offset.unwrap_or(at.utc_offset_seconds),
        ..at
    }
}
