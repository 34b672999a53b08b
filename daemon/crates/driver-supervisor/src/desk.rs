//! What a supervisor keeps over all of its driver hosts: the way to its reader, its status, its quotas.

use std::collections::VecDeque;
use std::fs::File;

use purser_driver_recording::What;
use purser_driver_wire::{CallId, LogLevel, Quota, Reply, Text};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;

use crate::mask::mask;
use crate::run::EVENTS_MAX;
use crate::tape::{Ended, Tape};
use crate::{CallError, Counters, DownReason, DriverEvent, State, Status};

/// See the module.
#[derive(Debug)]
pub(crate) struct Desk {
    events: mpsc::Sender<DriverEvent>,
    /// Events that the channel had no room for. While there are many, nothing is read from the driver, so that its
    /// length is limited: by `EVENTS_MAX` and what one message or order adds.
    waiting: VecDeque<DriverEvent>,
    status: watch::Sender<Status>,
    /// When the present driver host was started; quotas count from it.
    since: Instant,
    unasked: Quota,
    lines: Quota,
    /// The recording under way.
    tape: Option<Tape>,
}

impl Desk {
    pub(crate) fn new(events: mpsc::Sender<DriverEvent>) -> (Self, watch::Receiver<Status>) {
        let (status, seen) = watch::channel(Status {
            state: State::Starting,
            last_exchange: None,
            process_id: None,
            counters: Counters::default(),
            last_failure: None,
            is_recorded: false,
        });
        let desk = Self {
            events,
            waiting: VecDeque::new(),
            status,
            since: Instant::now(),
            unasked: Quota::unasked_messages(),
            lines: Quota::log_lines(),
            tape: None,
        };
        (desk, seen)
    }

    /// Begins with a new driver host.
    pub(crate) fn begin(&mut self) {
        self.since = Instant::now();
        self.unasked = Quota::unasked_messages();
        self.lines = Quota::log_lines();
        self.set(State::Starting);
    }

    pub(crate) fn tell(&mut self, event: DriverEvent) {
        self.waiting.push_back(event);
    }

    pub(crate) fn answer(&mut self, id: CallId, result: Result<Reply, CallError>) {
        self.tell(DriverEvent::Answer(id, result));
    }

    pub(crate) fn is_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    pub(crate) fn has_room(&self) -> bool {
        self.waiting.len() < EVENTS_MAX
    }

    /// Passes the oldest event to the reader once it has room. Cancel safe.
    pub(crate) async fn pass_on(&mut self) {
        match self.events.reserve().await {
            Ok(permit) => {
                if let Some(event) = self.waiting.pop_front() {
                    permit.send(event);
                }
            }
            // Nobody listens any more.
            Err(_) => self.waiting.clear(),
        }
    }

    /// Begins a recording in the place of any that is under way.
    pub(crate) fn begin_recording(&mut self, file: File) {
        match Tape::begin(file) {
            Ok(tape) => self.set_tape(Some(tape)),
            Err(error) => {
                let line = format!("the recording cannot begin: {error}");
                self.log(LogLevel::Error, &line);
            }
        }
    }

    /// Ends the recording under way; `done` hears when its file is whole.
    pub(crate) fn end_recording(&mut self, done: oneshot::Sender<()>) {
        let tape = self.tape.take();
        self.set_tape(None);
        let Some(tape) = tape else { return };
        let written = tape.end();
        tokio::spawn(async move {
            // A recorder that failed has told so; the one who asked may have gone.
            let _ = written.await;
            let _ = done.send(());
        });
    }

    /// Notes something in the recording, if there is one.
    pub(crate) fn record(&mut self, note: impl FnOnce(&mut Tape) -> Result<(), Ended>) {
        if let Some(Err(Ended)) = self.tape.as_mut().map(note) {
            self.set_tape(None);
            let line = "the recording has ended: its file is full, or cannot be written";
            self.log(LogLevel::Warn, line);
        }
    }

    fn set_tape(&mut self, tape: Option<Tape>) {
        let is_recorded = tape.is_some();
        self.tape = tape;
        self.status.send_modify(|status| status.is_recorded = is_recorded);
    }

    /// Notes why the driver is down, unless an operator wanted it.
    pub(crate) fn set_failure(&mut self, reason: &DownReason) {
        self.record(|tape| tape.note(What::Down {}));
        if *reason != DownReason::Asked {
            self.status
                .send_modify(|status| status.last_failure = Some(reason.clone()));
        }
    }

    pub(crate) fn set(&self, state: State) {
        self.status.send_modify(|status| status.state = state);
    }

    /// Notes the present driver host's process id and gives the one before.
    pub(crate) fn set_process(&self, id: Option<u32>) -> Option<u32> {
        let mut before = None;
        self.status
            .send_modify(|status| before = std::mem::replace(&mut status.process_id, id));
        before
    }

    /// Notes that the driver host said something; a driver host that says too much is to be ended.
    pub(crate) fn heard(&self) {
        self.status
            .send_modify(|status| status.last_exchange = Some(Instant::now()));
    }

    /// Counts a message that is no answer.
    pub(crate) fn allow_unasked(&mut self) -> Result<(), DownReason> {
        self.unasked
            .take(self.since.elapsed())
            .map(drop)
            .ok_or(DownReason::Flood)
    }

    pub(crate) fn count(&self, count: impl FnOnce(&mut Counters)) {
        self.status.send_modify(|status| count(&mut status.counters));
    }

    /// A line that the driver host limited already.
    pub(crate) fn log(&mut self, level: LogLevel, text: &str) {
        let text = Text::cut(&mask(text));
        self.tell(DriverEvent::Log { level, text });
    }

    /// Tells how many lines of standard error were dropped since that was last told, where no line tells it.
    pub(crate) fn tell_dropped(&mut self) {
        let dropped = self.lines.take_refused();
        if dropped > 0 {
            self.logs_dropped(dropped);
        }
    }

    pub(crate) fn logs_dropped(&mut self, lines: u32) {
        self.count(|counters| counters.logs_dropped += u64::from(lines));
        self.tell(DriverEvent::LogsDropped(lines));
    }

    /// What came over standard error, which nobody limited.
    pub(crate) fn log_stderr(&mut self, bytes: &[u8]) {
        for line in String::from_utf8_lossy(bytes)
            .lines()
            .filter(|line| !line.trim().is_empty())
        {
            if let Some(dropped) = self.lines.take(self.since.elapsed()) {
                if dropped > 0 {
                    self.logs_dropped(dropped);
                }
                self.log(LogLevel::Warn, line);
            }
        }
    }
}
