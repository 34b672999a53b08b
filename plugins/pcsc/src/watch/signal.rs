//! How the watch thread is woken, ended and waited for.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use pcsc::Context;

/// How long a cancel may go unnoticed: SCardCancel reaches only a thread that sleeps already, so that it is repeated
/// until the thread has ended. Happens at the driver's end only.
const CANCEL_AGAIN: Duration = Duration::from_millis(10);

/// Between the watch thread and the others.
#[derive(Default)]
pub(crate) struct Signal {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    ending: bool,
    ended: bool,
    looked: bool,
    watching: Option<Context>,
}

impl Signal {
    /// Whether the thread shall end.
    pub(crate) fn is_ending(&self) -> bool {
        self.lock().ending
    }

    /// The thread sleeps in this context from now on.
    pub(crate) fn watching(&self, context: Context) {
        self.lock().watching = Some(context);
    }

    /// The thread sleeps in no context any more.
    pub(crate) fn not_watching(&self) {
        // Released outside the lock: it is a call to pcscd.
        let context = self.lock().watching.take();
        drop(context);
    }

    /// The thread has told of all that is there.
    pub(crate) fn looked(&self) {
        self.lock().looked = true;
        self.changed.notify_all();
    }

    /// The thread is at its end.
    pub(crate) fn ended(&self) {
        self.lock().ended = true;
        self.changed.notify_all();
    }

    /// Rests, unless the thread shall end.
    pub(crate) fn rest(&self, time: Duration) {
        let state = self.lock();
        let rested = self
            .changed
            .wait_timeout_while(state, time, |state| !state.ending);
        drop(rested.unwrap_or_else(PoisonError::into_inner));
    }

    /// Waits for the first look, at most this long.
    pub(crate) fn wait_for_look(&self, time: Duration) {
        let state = self.lock();
        let waited = self
            .changed
            .wait_timeout_while(state, time, |state| !state.looked);
        drop(waited.unwrap_or_else(PoisonError::into_inner));
    }

    /// Tells the thread to end, until it does.
    pub(crate) fn end(&self) {
        let mut state = self.lock();
        state.ending = true;
        self.changed.notify_all();
        while !state.ended {
            let context = state.watching.clone();
            drop(state);
            if let Some(context) = context {
                // It fails when pcscd is gone; the thread wakes by that too.
                let _ = context.cancel();
            }
            let waited = self.changed.wait_timeout(self.lock(), CANCEL_AGAIN);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
