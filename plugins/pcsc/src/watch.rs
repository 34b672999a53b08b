//! The thread that watches readers and cards, and alone tells of them.
//!
//! ```text
//!   Away ── SCardEstablishContext ──▶ Watching ── pcscd gone ──▶ Away        in Away, all devices have left
//!    ▲  └── no pcscd: rest, longer each time ──┐
//!    └─────────────────────────────────────────┘
//! ```
//!
//! In Watching the thread sleeps inside the library until pcscd tells it of a change. It neither polls pcscd nor holds
//! a lock while it sleeps or emits.

mod session;
mod signal;

use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use pcsc::{Context, Error, Scope};
use purser_plugin_api::sdk::{Call, DriverError, Fault, LogLevel};

use crate::Listener;
use crate::fault::{DENIED_REMEDY, Meaning, meaning};
use crate::readers::Readers;
use crate::settings::Settings;
use session::Session;
use signal::Signal;

/// The first rest when pcscd does not answer: a restarted pcscd is there within this time.
const REST_MIN: Duration = Duration::from_millis(100);

/// The longest rest: how late a pcscd that was away for long is noticed.
const REST_MAX: Duration = Duration::from_secs(5);

/// The time that create() keeps for its own answer.
const ANSWER_MARGIN: Duration = Duration::from_millis(50);

/// The running thread.
pub(crate) struct Watch {
    signal: Arc<Signal>,
    thread: Option<JoinHandle<()>>,
}

impl Watch {
    /// Starts the thread.
    pub(crate) fn start(
        listener: Arc<dyn Listener>,
        settings: Settings,
        readers: Arc<Readers>,
    ) -> Result<Self, DriverError> {
        let signal = Arc::new(Signal::default());
        let watcher = Watcher {
            listener,
            settings,
            readers,
            signal: Arc::clone(&signal),
            complaint: None,
        };
        let thread = thread::Builder::new()
            .name("watch".to_owned())
            .spawn(move || watcher.run())
            .map_err(|error| Fault::Internal.because(error.to_string()))?;
        Ok(Self {
            signal,
            thread: Some(thread),
        })
    }

    /// Waits until the readers and cards that are there have been told of, or pcscd was found missing.
    pub(crate) fn first_look(&self, call: &Call) {
        self.signal
            .wait_for_look(call.time_left().saturating_sub(ANSWER_MARGIN));
    }

    /// Ends the thread and waits for its end.
    pub(crate) fn end(&mut self) {
        self.signal.end();
        if let Some(thread) = self.thread.take() {
            // A thread that panicked is at its end too.
            let _ = thread.join();
        }
    }
}

struct Watcher {
    listener: Arc<dyn Listener>,
    settings: Settings,
    readers: Arc<Readers>,
    signal: Arc<Signal>,
    /// What was last complained about, so that the log is told of changes only.
    complaint: Option<Error>,
}

impl Watcher {
    fn run(mut self) {
        let mut rest = REST_MIN;
        while !self.signal.is_ending() {
            if let Err(error) = self.watch(&mut rest) {
                self.complain(error);
            }
            self.signal.looked();
            self.signal.rest(rest);
            rest = REST_MAX.min(rest * 2);
        }
        self.signal.ended();
    }

    /// One life of pcscd.
    fn watch(&mut self, rest: &mut Duration) -> Result<(), Error> {
        let context = Context::establish(Scope::System)?;
        self.signal.watching(context.clone());
        let outcome = self.follow(&context, rest);
        self.signal.not_watching();
        outcome
    }

    fn follow(&mut self, context: &Context, rest: &mut Duration) -> Result<(), Error> {
        let listed = context.list_readers_owned()?;
        *rest = REST_MIN;
        if self.complaint.take().is_some() {
            self.listener.log(LogLevel::Info, "pcscd answers again");
        }
        let mut session = Session::new(context, &*self.listener, &self.settings, &self.readers);
        session.compare(listed);
        session.follow(&self.signal)
    }

    fn complain(&mut self, error: Error) {
        if self.complaint.replace(error) == Some(error) {
            return;
        }
        let (level, text) = match meaning(error) {
            Meaning::Denied => (LogLevel::Error, DENIED_REMEDY.to_owned()),
            Meaning::ServiceGone => (
                LogLevel::Warn,
                format!("pcscd does not answer ({error}); start it, and the readers come back by themselves"),
            ),
            _ => (LogLevel::Warn, format!("readers cannot be watched: {error}")),
        };
        self.listener.log(level, &text);
    }
}
