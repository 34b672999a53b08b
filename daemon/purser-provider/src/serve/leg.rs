//! One connection as a leg of a call-back: what the machine wants sent down, and what it is open for.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use purser_ledger::Monotonic;
use purser_provider_link::TerminalName;
use purser_provider_link::call_back::{Challenge, ChannelBinding, LegId, Refusal, Request, Ticket};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::peer::Fingerprint;
use super::places::Place;

/// What is to be told on a leg.
#[derive(Clone, Debug)]
pub(crate) enum Down {
    Ticket(Ticket),
    Refused(Refusal),
    Challenge(Challenge),
    Probe,
    Opened(Request),
}

/// What changes on a leg.
#[derive(Default)]
struct State {
    messages: VecDeque<Down>,
    /// What the terminal has been authenticated for on this leg.
    open_for: Option<Request>,
    terminal: Option<TerminalName>,
    is_link: bool,
    is_probed: bool,
    /// Since when nothing is asked on it and no part of an answer goes out; none while a request is answered.
    idle_since: Option<Instant>,
    place: Option<Place>,
    /// True when it was no enrolled terminal's as it began.
    is_stranger: bool,
}

/// One connection.
pub(crate) struct Leg {
    pub(crate) id: LegId,
    pub(crate) peer: Option<Fingerprint>,
    pub(crate) binding: ChannelBinding,
    /// True when this provider has opened it.
    pub(crate) is_called: bool,
    state: Mutex<State>,
    told: Notify,
    closed: Notify,
}

impl Leg {
    pub(crate) fn new(
        id: LegId,
        peer: Option<Fingerprint>,
        binding: ChannelBinding,
        is_called: bool,
    ) -> Self {
        Self {
            id,
            peer,
            binding,
            is_called,
            state: Mutex::new(State {
                idle_since: Some(Instant::now()),
                ..State::default()
            }),
            told: Notify::new(),
            closed: Notify::new(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state
            .lock()
            .expect("a panic ends the process, so no lock is poisoned")
    }

    /// The terminal that has been seen on it.
    pub(crate) fn terminal(&self) -> Option<TerminalName> {
        self.state().terminal.clone()
    }

    pub(crate) fn set_terminal(&self, terminal: &TerminalName) {
        self.state().terminal.get_or_insert_with(|| terminal.clone());
    }

    /// Keeps the place that the connection has, until it ends or becomes a link.
    pub(crate) fn set_place(&self, place: Place, is_stranger: bool) {
        let mut state = self.state();
        state.place = Some(place);
        state.is_stranger = is_stranger;
    }

    /// True when one answer is all that it gets.
    pub(crate) fn is_stranger(&self) -> bool {
        self.state().is_stranger
    }

    /// Makes it the terminal's standing link; false when it was that before. The call-back's machine lets a terminal have one,
    /// so it does not count among those on which the terminal asks.
    pub(crate) fn becomes_link(&self) -> bool {
        let mut state = self.state();
        state.place = None;
        !std::mem::replace(&mut state.is_link, true)
    }

    /// A request is here with its headers.
    pub(crate) fn begin_request(&self) {
        self.state().idle_since = None;
    }

    /// It is answered.
    pub(crate) fn end_request(&self) {
        self.state().idle_since = Some(Instant::now());
    }

    /// The peer has taken a part of an answer: the next request cannot be here before the rest.
    pub(crate) fn wrote(&self) {
        if let Some(since) = &mut self.state().idle_since {
            *since = Instant::now();
        }
    }

    /// Waits until nothing has been asked for too long: `leg` where a call is waited for or a call-back has opened it, else `any`.
    pub(crate) async fn until_idle(&self, any: Duration, leg: Duration) {
        loop {
            let until = {
                let state = self.state();
                let is_leg = self.is_called || state.is_link || state.open_for.is_some();
                let limit = if is_leg { leg } else { any };
                match state.idle_since {
                    Some(since) if since + limit <= Instant::now() => return,
                    Some(since) => since + limit,
                    // Whatever is asked now, it is not idle for so long.
                    None => Instant::now() + any,
                }
            };
            tokio::time::sleep_until(until).await;
        }
    }

    pub(crate) fn is_link(&self) -> bool {
        self.state().is_link
    }

    /// True once after each probe that was told.
    pub(crate) fn takes_probe(&self) -> bool {
        std::mem::take(&mut self.state().is_probed)
    }

    /// What the terminal may do on it.
    pub(crate) fn open_for(&self) -> Option<Request> {
        self.state().open_for.clone()
    }

    /// To be told to the terminal.
    pub(crate) fn tell(&self, message: Down) {
        {
            let mut state = self.state();
            match &message {
                Down::Opened(request) => state.open_for = Some(request.clone()),
                // A new call-back ends what an earlier one had opened.
                Down::Challenge(_) => state.open_for = None,
                Down::Probe => state.is_probed = true,
                Down::Ticket(_) | Down::Refused(_) => {}
            }
            state.messages.push_back(message);
        }
        self.told.notify_one();
    }

    /// The connection shall end.
    pub(crate) fn close(&self) {
        self.closed.notify_one();
    }

    /// Waits until it shall end.
    pub(crate) async fn until_closed(&self) {
        self.closed.notified().await;
    }

    /// What answers a request or an answer to a challenge: the machine has said it already.
    pub(crate) fn reply(&self) -> Option<Down> {
        self.take(|it| matches!(it, Down::Ticket(_) | Down::Refused(_) | Down::Opened(_)))
    }

    fn take(&self, fits: impl Fn(&Down) -> bool) -> Option<Down> {
        let mut state = self.state();
        let index = state.messages.iter().position(fits)?;
        state.messages.remove(index)
    }

    /// What the terminal waits for, or nothing within this time.
    pub(crate) async fn call(&self, time: Duration) -> Option<Down> {
        let is_call = |it: &Down| matches!(it, Down::Challenge(_) | Down::Probe | Down::Refused(_));
        let waiting = async {
            loop {
                if let Some(message) = self.take(is_call) {
                    return message;
                }
                self.told.notified().await;
            }
        };
        tokio::time::timeout(time, waiting).await.ok()
    }
}

/// Milliseconds since the server started.
pub(crate) fn monotonic(since: tokio::time::Instant) -> Monotonic {
    Monotonic(u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX))
}
