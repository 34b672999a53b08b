//! One reader: at most one connection to the card in it.
//!
//! A *visit* is the time that one card lies in the reader. The watch thread ends visits; a connection of an earlier
//! visit has ended `[C-5]`. It does not wait for a call that runs: that call, or the next one, lets go of the card.

use std::ffi::CString;
use std::fmt;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};
use std::thread::JoinHandle;
use std::time::Duration;

use purser_plugin_api::sdk::{Call, CallNumber, Card, Connection, DriverError, Fault, Output, Slot};

use crate::connector::{self, News, Opened};
use crate::fault::{of_connect, of_disconnect, of_transmit};
use crate::holder::holder;

/// The next connection number of this process `[C-2]`.
static NEXT_CONNECTION: AtomicU32 = AtomicU32::new(1);

/// How long before its deadline a connect answers, so that the answer arrives in time `[T-4]`.
const ANSWER_MARGIN: Duration = Duration::from_millis(50);

/// The shortest response: a status word.
const STATUS_WORD_BYTES: usize = 2;

/// One reader.
pub(crate) struct Reader {
    pub(crate) slot: Slot,
    pub(crate) name: String,
    pub(crate) pcsc_name: CString,
    visit: AtomicU64,
    seat: Mutex<Seat>,
    waiting: Mutex<Option<Waiting>>,
}

/// What the calls know of the card.
#[derive(Default)]
struct Seat {
    live: Option<Live>,
    /// The thread of a connect that nobody waits for any more.
    late: Option<JoinHandle<()>>,
}

/// A connection.
struct Live {
    connection: Connection,
    visit: u64,
    card: pcsc::Card,
}

/// A connect that can be cancelled.
struct Waiting {
    call: CallNumber,
    sender: Sender<News>,
}

impl Reader {
    pub(crate) fn new(slot: Slot, name: String, pcsc_name: CString) -> Self {
        Self {
            slot,
            name,
            pcsc_name,
            visit: AtomicU64::new(0),
            seat: Mutex::default(),
            waiting: Mutex::default(),
        }
    }

    pub(crate) fn connect(&self, call: &Call) -> Result<Card, DriverError> {
        let mut seat = self.lock();
        if let Some(live) = seat.live.take() {
            if live.visit == self.visit() && live.card.status2_owned().is_ok() {
                seat.live = Some(live);
                return Err(Fault::Busy.because("a connection to this card lives already"));
            }
            connector::let_go(live.card);
        }
        let visit = self.visit();
        let opened = self.open(call, &mut seat)?;
        let connection = Connection(NEXT_CONNECTION.fetch_add(1, Ordering::Relaxed));
        seat.live = Some(Live {
            connection,
            visit,
            card: opened.card,
        });
        Ok(Card {
            connection,
            protocol: opened.protocol,
            contactless: opened.contactless,
            atr: opened.atr,
        })
    }

    pub(crate) fn transmit(
        &self,
        call: &Call,
        connection: Connection,
        command: &[u8],
        response: &mut Output<'_>,
    ) -> Result<(), DriverError> {
        let mut seat = self.lock();
        let live = self.take_living(&mut seat, connection)?;
        if call.time_left().is_zero() {
            seat.live = Some(live);
            return Err(Fault::Timeout.into());
        }
        let sent = response.fill(|buffer| live.card.transmit(command, buffer).map(|answer| answer.len()));
        let outcome = match sent {
            Ok(()) if response.filled().len() >= STATUS_WORD_BYTES => {
                seat.live = Some(live);
                return Ok(());
            }
            // A reader whose card leaves in the middle may answer nothing, and call it a success.
            Ok(()) => Err(Fault::OutcomeUnknown.because("the answer has no status word")),
            Err(error) => Err(of_transmit(error)),
        };
        connector::let_go(live.card);
        outcome
    }

    pub(crate) fn disconnect(&self, connection: Connection) -> Result<(), DriverError> {
        let live = self.take_living(&mut self.lock(), connection)?;
        connector::power_off(live.card).map_err(of_disconnect)
    }

    /// Ends a connect that waits; from any thread.
    pub(crate) fn cancel(&self, call: CallNumber) {
        let waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(waiting) = waiting.as_ref().filter(|waiting| waiting.call == call) {
            // A connect that is done by now hears nothing of it.
            let _ = waiting.sender.send(News::Cancelled);
        }
    }

    /// The card left, or the reader did: what was connected has ended.
    pub(crate) fn end_visit(&self) {
        self.visit.fetch_add(1, Ordering::SeqCst);
        let mut seat = match self.seat.try_lock() {
            Ok(seat) => seat,
            Err(TryLockError::Poisoned(seat)) => seat.into_inner(),
            // A call runs; it, or the next one, finds out.
            Err(TryLockError::WouldBlock) => return,
        };
        if let Some(live) = seat.live.take() {
            connector::let_go(live.card);
        }
    }

    /// Takes the power from a connected card, for the driver's end `[C-4]`.
    pub(crate) fn power_off(&self) {
        let mut seat = self.lock();
        if let Some(live) = seat.live.take() {
            // There is nobody left who could do more.
            let _ = connector::power_off(live.card);
        }
        if let Some(late) = seat.late.take_if(|late| late.is_finished()) {
            // A thread that panicked is at its end too.
            let _ = late.join();
        }
    }

    fn open(&self, call: &Call, seat: &mut Seat) -> Result<Opened, DriverError> {
        if seat.late.as_ref().is_some_and(|late| !late.is_finished()) {
            return Err(
                Fault::Busy.because("an earlier connect still waits for another program's PC/SC lock")
            );
        }
        let (sender, news) = mpsc::channel();
        let thread = connector::start(self.pcsc_name.clone(), sender.clone())?;
        let number = call.number();
        self.set_waiting(Some(Waiting { call: number, sender }));
        let heard = news.recv_timeout(call.time_left().saturating_sub(ANSWER_MARGIN));
        self.set_waiting(None);
        match heard {
            Ok(News::Opened(opened)) => opened.map_err(|error| of_connect(error, holder)),
            Ok(News::Cancelled) => {
                seat.late = Some(thread);
                Err(Fault::Cancelled.into())
            }
            Err(RecvTimeoutError::Timeout) => {
                seat.late = Some(thread);
                Err(Fault::Timeout.because(format!("pcscd did not power the card in time; {}", holder())))
            }
            Err(RecvTimeoutError::Disconnected) => Err(Fault::Internal.because("the connector ended early")),
        }
    }

    /// The connection if it lives; the caller puts it back.
    fn take_living(&self, seat: &mut Seat, connection: Connection) -> Result<Live, DriverError> {
        let live = seat.live.take_if(|live| live.connection == connection);
        let live = live.ok_or(Fault::CardChanged)?;
        if live.visit == self.visit() {
            return Ok(live);
        }
        connector::let_go(live.card);
        Err(Fault::CardChanged.into())
    }

    fn visit(&self) -> u64 {
        self.visit.load(Ordering::SeqCst)
    }

    fn set_waiting(&self, waiting: Option<Waiting>) {
        *self.waiting.lock().unwrap_or_else(PoisonError::into_inner) = waiting;
    }

    fn lock(&self) -> MutexGuard<'_, Seat> {
        self.seat.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Reader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader")
            .field("slot", &self.slot)
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}
