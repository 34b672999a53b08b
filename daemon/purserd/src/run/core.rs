//! The one owner of the engine: feeds it, and carries out what it wants in the order in which it wants it.

use std::collections::{BTreeMap, VecDeque};

use purser_api::{Answered, Call, DriverCall, Durable, Hub, News, Recorded};
use purser_engine::load::LoadTold;
use purser_engine::settlement::{BatchState, BatchView};
use purser_engine::{Engine, Input, Output, Peer, Reply, Request, RequestError, RequestId, SaleView, Told};
use purser_journal::{Done, Job, JournalThread, NotTaken};
use purser_ledger::{Entry, Monotonic, Operation, Owner, Settlement, StoreBroken};
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::board::Board;
use super::clock::Clock;
use super::drivers::Drivers;
use super::journal_check::JournalCheck;
use super::journal_wait::JournalWait;
use super::journey;
use super::loading::Loader;
use super::orders::Reloads;
use super::parameters::{Following, Parameters};
use super::schedule::Schedule;
use super::settling::Settler;

/// Requests that may wait for the journal or a card at a time. Fewer than the journal's queue holds jobs, so that no job
/// is ever refused for want of room; further callers wait in the API's own queue, which tells them when it is full.
const REQUESTS_MAX: usize = 128;

/// What a caller gets.
type Answer = Result<Answered, RequestError>;

/// The engine and everything that its outputs go to.
pub(super) struct Core {
    engine: Engine,
    clock: Clock,
    journal: JournalThread,
    drivers: Drivers,
    reloads: Reloads,
    settler: Settler,
    loader: Loader,
    hub: Hub,
    board: Board,
    check: JournalCheck,
    /// None where nothing can be settled.
    schedule: Option<Schedule>,
    /// None where none are taken.
    parameters: Option<Parameters>,
    waiting: BTreeMap<RequestId, oneshot::Sender<Answer>>,
    request_last: u64,
    wait: JournalWait,
    /// What the loop itself has to tell the engine next.
    inputs: VecDeque<Input>,
    /// The entry that the present turn made durable, until it is published.
    fresh: Option<Recorded>,
}

impl Core {
    pub(super) fn new(
        engine: Engine,
        clock: Clock,
        journal: JournalThread,
        (drivers, settler): (Drivers, Settler),
        (hub, board): (Hub, Board),
        (check, schedule): (JournalCheck, Option<Schedule>),
    ) -> Self {
        board.update(&engine);
        Self {
            engine,
            clock,
            journal,
            drivers,
            reloads: Reloads::default(),
            loader: settler.loader(),
            settler,
            hub,
            board,
            check,
            schedule,
            parameters: None,
            waiting: BTreeMap::new(),
            request_last: 0,
            wait: JournalWait::default(),
            inputs: VecDeque::new(),
            fresh: None,
        }
    }

    /// Takes the provider's parameters, those that were kept before anything else.
    pub(super) fn follow(&mut self, following: Following) {
        self.inputs.extend(following.kept);
        self.parameters = Some(following.parameters);
        if let Some(follower) = following.follower {
            tokio::spawn(follower.follow());
        }
    }

    /// True while another request may be taken in.
    pub(super) fn has_room(&self) -> bool {
        self.waiting.len() < REQUESTS_MAX
    }

    /// True when what the start had to record is durable.
    pub(super) fn is_recovered(&self) -> bool {
        self.wait.is_over()
    }

    /// How long the journal has kept its next answer waiting.
    pub(super) fn journal_wait(&mut self) -> &mut JournalWait {
        &mut self.wait
    }

    /// Ends everything but the journal: whoever still waits for an answer is told that there is none.
    pub(super) fn into_journal(self) -> JournalThread {
        self.journal
    }

    /// When to call [`Self::handle`] with [`Input::Timer`].
    pub(super) fn timer(&self) -> Option<std::time::Instant> {
        let settles = self.schedule.as_ref().map(Schedule::look_at);
        let next: Option<Monotonic> = self.engine.poll_timeout().into_iter().chain(settles).min();
        next.and_then(|at| self.clock.instant(at))
    }

    /// Begins the settlements that are due by themselves (S30).
    pub(super) fn settle_by_itself(&mut self) {
        let Some(schedule) = &mut self.schedule else {
            return;
        };
        let under_way: Vec<_> = self.engine.batches().iter().map(|it| it.currency).collect();
        let waiting = self.engine.unsettled().open();
        let waiting = waiting.filter(|(currency, _)| !under_way.contains(currency));
        let due = schedule.due(waiting, &self.engine.claim_uses(), self.engine.judged_now());
        for currency in due {
            tracing::info!(%currency, step = "S30", "settling by itself");
            let (reply, answer) = oneshot::channel();
            self.request(ourselves(), Request::Settle(Some(currency)), reply);
            tokio::spawn(async move {
                // What comes of a batch is told in the log and by the status.
                if let Ok(Err(error)) = answer.await {
                    tracing::warn!(%currency, %error, "not settled by itself; it is tried again");
                }
            });
        }
    }

    /// Takes a request in; its answer goes to `call.reply`.
    pub(super) fn handle_call(&mut self, call: Call) {
        self.request(call.peer, call.request, call.reply);
    }

    /// Takes an operator's order about a driver in.
    pub(super) fn handle_driver_call(&mut self, call: DriverCall) {
        self.reloads.handle(call, &self.drivers, &self.engine);
    }

    /// Asks the engine to record what is under way. The answer is [`Reply::Stopped`].
    pub(super) fn stop(&mut self) -> oneshot::Receiver<Answer> {
        let (reply, stopped) = oneshot::channel();
        self.request(ourselves(), Request::Stop, reply);
        stopped
    }

    fn request(&mut self, peer: Peer, request: Request, reply: oneshot::Sender<Answer>) {
        self.request_last = self
            .request_last
            .checked_add(1)
            .expect("2^64 requests are never reached");
        let id = RequestId(self.request_last);
        self.waiting.insert(id, reply);
        self.handle(Input::Held(self.check.stops_sales()));
        self.handle(Input::Request {
            id,
            peer,
            request,
            random: random(),
        });
    }

    /// Takes an answer of the journal in.
    ///
    /// # Errors
    /// [`StoreBroken`]: what is on the disk is not known. End the process at once.
    pub(super) fn handle_done(&mut self, done: Done) -> Result<(), StoreBroken> {
        self.wait.end(Instant::now());
        match done {
            Done::Committed {
                receipt,
                content,
                head,
            } => {
                self.fresh = Some(Recorded { head, content });
                self.handle(Input::Committed(receipt));
                self.publish_opening();
            }
            Done::Refused {
                operation,
                step,
                refused,
            } => {
                tracing::warn!(%operation, step, %refused, "the journal refuses an entry");
                self.handle(Input::Refused {
                    operation,
                    step,
                    refused,
                });
            }
            Done::Found { id, found, disk } => {
                if let Some(disk) = disk {
                    self.board.see_disk(disk);
                    self.handle(Input::Room(disk.is_enough()));
                }
                self.handle(Input::Held(self.check.stops_sales()));
                if let Err(damaged) = &found {
                    tracing::error!(error = %crate::verbs::chain(damaged), "a sale cannot be read");
                }
                self.handle(Input::Found {
                    id: purser_engine::FindId(id),
                    stored: found,
                });
            }
            Done::Broken(broken) => return Err(broken),
        }
        self.board.update(&self.engine);
        self.settle_by_itself();
        Ok(())
    }

    /// Takes an event of a driver in.
    pub(super) fn handle_driver(&mut self, event: super::drivers::Event) {
        self.reloads.hear(event.driver, &event.event);
        self.inputs.extend(self.drivers.inputs(event));
        self.settle();
    }

    /// Takes what became of a batch, or what the provider says of a load or as its parameters, in.
    pub(super) fn handle_provider(&mut self, answer: Input) {
        self.handle(answer);
        self.board.update(&self.engine);
    }

    /// Takes one input in and carries out all that follows from it.
    pub(super) fn handle(&mut self, input: Input) {
        self.inputs.push_back(input);
        self.settle();
    }

    /// Carries out what the engine wanted before its first input.
    pub(super) fn settle(&mut self) {
        self.carry_out();
        while let Some(input) = self.inputs.pop_front() {
            self.engine.handle(self.clock.now(), input);
            self.carry_out();
        }
        self.drivers.lock().set_psam(self.engine.psam());
        if let Some(parameters) = &self.parameters {
            parameters.in_force(self.engine.parameters());
        }
    }

    fn carry_out(&mut self) {
        while let Some(output) = self.engine.poll_output() {
            match output {
                Output::Commit(commit) => self.submit(Job::Commit(commit)),
                Output::Find(id, query) => self.submit(Job::Find { id: id.0, query }),
                Output::Ask(id, device, query) => {
                    let failed = self.drivers.ask(id, &device, query);
                    self.inputs.extend(failed);
                }
                Output::Move(id, device, act) => {
                    let failed = self.drivers.carry_out(id, &device, act);
                    self.inputs.extend(failed);
                }
                Output::Abort(id, device) => self.drivers.abort(id, &device),
                Output::Count(id, asked) => self.settler.count(id, asked),
                Output::FindUnpaid(id, asked) => self.settler.find_unpaid(id, asked),
                Output::Settle(id, act) => self.settler.send(id, act.into_act()),
                Output::Void(id, act) => self.settler.void(id, act.into_act()),
                Output::TellBatch(told) => {
                    let view = &told.act().view;
                    journey::batch(view);
                    self.publish(Durable::Batch(view.clone()));
                    if let Some(schedule) = self
                        .schedule
                        .as_mut()
                        .filter(|_| view.state == BatchState::Voided)
                    {
                        schedule.voided(view.currency, self.engine.judged_now());
                    }
                }
                Output::HintBatch(view) => {
                    journey::batch(&view);
                    self.hub.publish(&News::HintBatch(view));
                }
                Output::AskProvider(id, ask) => self.loader.ask(id, ask),
                Output::QuerySale(id, query) => self.loader.query(id, query),
                Output::Attempt(id, act) => self.loader.attempt(id, act.into_act()),
                Output::TellLoad(told) => {
                    let LoadTold { requests, view } = told.into_act();
                    // Only what is new: whoever asks again is told again.
                    if self.is_fresh(view.state.entry) {
                        journey::loaded(&view);
                        self.publish(Durable::Load(view.clone()));
                    }
                    for id in requests {
                        self.answer(id, Ok(Answered::ToldLoad(view.clone())));
                    }
                }
                Output::HintLoad(view) => {
                    journey::loading(&view);
                    self.hub.publish(&News::HintLoad(view));
                }
                Output::AcknowledgeHotList(taken) => {
                    if let Some(parameters) = &self.parameters {
                        parameters.acknowledge(taken);
                    }
                }
                Output::Reply(id, reply) => self.reply(id, reply),
                Output::Tell(told) => self.tell(told.into_act()),
                Output::Hint(view) => {
                    journey::hint(&view);
                    self.hub.publish(&News::Hint(view));
                }
            }
        }
    }

    fn submit(&mut self, job: Job) {
        match self.journal.submit(job) {
            Ok(()) => self.wait.begin(Instant::now()),
            // The journal's last answer, which ends the process, is on its way.
            Err(NotTaken::Ended) => {}
            Err(NotTaken::Full) => unreachable!("the journal has room for every request that was taken in"),
        }
    }

    fn reply(&mut self, id: RequestId, reply: Result<Reply, RequestError>) {
        self.answer(id, reply.map(Answered::Reply));
    }

    fn tell(&mut self, told: Told) {
        let Told { requests, view } = told;
        if self.is_fresh(view.state.entry) {
            let newest = self.fresh.as_ref().map(|fresh| &fresh.content.entry);
            journey::told(newest, &view);
            self.publish(Durable::Sale(view.clone()));
        }
        for id in requests {
            self.answer(id, Ok(Answered::Told(view.clone())));
        }
    }

    /// True for the entry that the present turn made durable, until it is published.
    fn is_fresh(&self, entry: u64) -> bool {
        self.fresh
            .as_ref()
            .is_some_and(|fresh| fresh.head.number == entry)
    }

    /// Tells watchers the entry that the present turn made durable.
    fn publish(&mut self, view: Durable) {
        if let Some(recorded) = self.fresh.take() {
            self.hub.publish(&News::Entry { recorded, view });
        }
    }

    /// Tells the entries that the engine has nothing to tell about: a debit that is intended, a batch that is sealed, and what goes
    /// before a load's end.
    fn publish_opening(&mut self) {
        let Some(Recorded { content, head }) = self.fresh.clone() else {
            return;
        };
        let view = match &content.entry {
            Entry::SaleIntended(_) => {
                let sale = Operation::begin(&content, head).expect("an intent opens a sale");
                journey::intended(&sale);
                Durable::Sale(SaleView::of(&sale))
            }
            Entry::BatchSealed(_) => {
                let batch = Settlement::begin(&content, head).expect("a seal opens a settlement");
                Durable::Batch(BatchView::of(&batch))
            }
            _ => {
                journey::load_step(&content, head);
                match self.engine.stored_load(content.operation) {
                    Some(load) => Durable::Load(load),
                    // Told already, by the engine.
                    None => return,
                }
            }
        };
        self.publish(view);
    }

    fn answer(&mut self, id: RequestId, answer: Answer) {
        let reply = self.waiting.remove(&id).expect("each request is answered once");
        // An asker that has gone asks again with its reference.
        let _ = reply.send(answer);
    }
}

/// Who asks for what the daemon does by itself.
fn ourselves() -> Peer {
    Peer {
        owner: Owner(rustix::process::geteuid().as_raw()),
        operator: true,
    }
}

/// Sixteen fresh random bytes.
pub(super) fn random() -> [u8; 16] {
    let mut random = [0; 16];
    getrandom::fill(&mut random).expect("a running kernel gives random bytes");
    random
}
