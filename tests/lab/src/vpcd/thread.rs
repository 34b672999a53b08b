//! A card that lives in a thread of this process and can be put into a reader and taken out.
//!
//! ```text
//!          insert                 connected                    tear, remove
//!   Away ──────────▶ Approaching ───────────▶ InReader ──────────────────────▶ Away
//!                        ▲   reader went away    │
//!                        └───────────────────────┘
//! ```

use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::reader::serve;
use super::slot::{Slot, Wanted};
use super::status::{Place, PsamStatus, Status};
use crate::card::{Card, Life, Minor, OtherShop, PaidElsewhere, PurseKind, ScriptedFault, StatusWord};
use crate::chip::Chip;
use crate::psam::Psam;
use crate::store::{ChipFile, StoreError};

/// The first wait after a reader did not answer.
const BACK_OFF_MIN: Duration = Duration::from_millis(10);
/// The longest wait: half a second, so that a reader that starts late gets its card while a person watches.
const BACK_OFF_MAX: Duration = Duration::from_millis(500);
/// How long a connection may take to be made. The reader is on this machine.
const CONNECT_MAX: Duration = Duration::from_secs(1);

/// Why a wish cannot be met.
#[derive(Debug, thiserror::Error)]
pub enum CardThreadError {
    /// Other shops can have the card only when it is not here.
    #[error("the card is in the reader; remove it first")]
    NotAway,
    /// The other shop's command was refused.
    #[error("the card refused with {0}")]
    Refused(StatusWord),
    /// The card file failed.
    #[error("the card's file failed")]
    Store(#[from] StoreError),
}

impl CardThreadError {
    /// Whether the same wish can be met later without anybody changing the card.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::NotAway => true,
            Self::Refused(_) => false,
            Self::Store(error) => error.is_transient(),
        }
    }
}

/// A purse card in a thread of its own.
pub type CardThread = ChipThread<Card>;
/// A PSAM in a thread of its own.
pub type PsamThread = ChipThread<Psam>;

/// A card in a thread of its own. Dropping it takes the card away and ends the thread.
#[derive(Debug)]
pub struct ChipThread<C: Chip> {
    shared: Arc<Shared<C>>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared<C: Chip> {
    slot: Mutex<Slot<C>>,
    changed: Condvar,
}

impl<C: Chip> ChipThread<C> {
    /// Takes a card from its file. It is away until [`ChipThread::insert`].
    ///
    /// # Errors
    /// [`StoreError`]: no such card, or another process has it.
    pub fn start(card_file: &Path, reader: SocketAddr) -> Result<Self, StoreError> {
        let slot = Slot {
            file: ChipFile::open(card_file)?,
            wanted: Wanted::Away,
            connection: None,
            insertion: 0,
            failure: None,
        };
        let shared = Arc::new(Shared {
            slot: Mutex::new(slot),
            changed: Condvar::new(),
        });
        let thread = std::thread::spawn({
            let shared = Arc::clone(&shared);
            move || shared.run(reader)
        });
        Ok(Self {
            shared,
            thread: Some(thread),
        })
    }

    /// Puts the card into the reader, or waits with it until the reader listens.
    pub fn insert(&self) {
        let mut slot = self.shared.lock();
        if slot.wanted == Wanted::Away {
            slot.wanted = Wanted::Inserted;
            slot.failure = None;
        }
        self.shared.changed.notify_all();
    }

    /// Takes the card out. When this returns, no command reaches it any more.
    pub fn remove(&self) {
        self.shared.lock().leave();
        self.shared.changed.notify_all();
    }

    /// Scripts a fault, such as a tear.
    pub fn script(&self, fault: ScriptedFault<C::Fault>) {
        self.shared.lock().file.script(fault);
    }

    /// Takes back the faults that have not struck.
    pub fn clear_script(&self) {
        self.shared.lock().file.clear_script();
    }

    /// The card as it is now.
    pub fn card(&self) -> C {
        self.shared.lock().file.card().clone()
    }

    /// Waits until the card is at this place; false when the time is over first.
    pub fn wait_until(&self, place: Place, timeout: Duration) -> bool {
        let end = Instant::now() + timeout;
        let mut slot = self.shared.lock();
        while slot.place() != place {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            slot = self.shared.wait(slot, left);
        }
        true
    }
}

impl ChipThread<Card> {
    /// A complete load of the wallet elsewhere.
    ///
    /// # Errors
    /// [`CardThreadError::NotAway`] while the card is in the reader, [`CardThreadError::Refused`] with the card's word.
    pub fn load_elsewhere(&self, amount: Minor) -> Result<(), CardThreadError> {
        let load = |card: &mut Card| card.load_elsewhere(PurseKind::Ep, amount, &OtherShop::default());
        self.shared.lock().elsewhere(load).map(drop)
    }

    /// A complete purchase from the wallet in another shop.
    ///
    /// # Errors
    /// As [`CardThread::load_elsewhere`].
    pub fn pay_elsewhere(&self, amount: Minor, shop: &OtherShop) -> Result<PaidElsewhere, CardThreadError> {
        self.shared
            .lock()
            .elsewhere(|card| card.pay_elsewhere(PurseKind::Ep, amount, shop))
    }

    /// Blocks or unblocks the application.
    ///
    /// # Errors
    /// [`CardThreadError::Store`]: the change may be lost.
    pub fn set_life(&self, life: Life) -> Result<(), CardThreadError> {
        Ok(self.shared.lock().file.change(|card| card.set_life(life))?)
    }

    /// Where the card is and what is on it.
    pub fn status(&self) -> Status {
        self.shared.lock().status()
    }
}

impl ChipThread<Psam> {
    /// Takes the lock back that too many wrong MAC2 made, as its issuer would.
    ///
    /// # Errors
    /// [`CardThreadError::Store`]: the change may be lost.
    pub fn unlock(&self) -> Result<(), CardThreadError> {
        Ok(self.shared.lock().file.change(Psam::unlock)?)
    }

    /// Where the PSAM is and how it stands.
    pub fn status(&self) -> PsamStatus {
        self.shared.lock().status()
    }
}

impl<C: Chip> Drop for ChipThread<C> {
    fn drop(&mut self) {
        {
            let mut slot = self.shared.lock();
            slot.leave();
            slot.wanted = Wanted::End;
        }
        self.shared.changed.notify_all();
        if let Some(thread) = self.thread.take() {
            // A thread that panicked has already told so; there is nobody to tell here.
            drop(thread.join());
        }
    }
}

impl<C: Chip> Shared<C> {
    fn lock(&self) -> MutexGuard<'_, Slot<C>> {
        self.slot.lock().expect("nothing panics while it holds the card")
    }

    fn wait<'a>(&self, slot: MutexGuard<'a, Slot<C>>, timeout: Duration) -> MutexGuard<'a, Slot<C>> {
        self.changed
            .wait_timeout(slot, timeout)
            .expect("nothing panics while it holds the card")
            .0
    }

    fn run(&self, reader: SocketAddr) {
        let mut back_off = BACK_OFF_MIN;
        while self.wait_for_insertion() {
            let served = TcpStream::connect_timeout(&reader, CONNECT_MAX)
                .is_ok_and(|stream| self.one_insertion(&stream));
            if served {
                back_off = BACK_OFF_MIN;
            } else {
                let slot = self.lock();
                if slot.wanted == Wanted::Inserted {
                    drop(self.wait(slot, back_off));
                }
                back_off = BACK_OFF_MAX.min(back_off * 2);
            }
        }
    }

    /// Waits until the card shall be in the reader; false when the thread shall end.
    fn wait_for_insertion(&self) -> bool {
        let slot = self.lock();
        let waited = self.changed.wait_while(slot, |slot| slot.wanted == Wanted::Away);
        waited.expect("nothing panics while it holds the card").wanted == Wanted::Inserted
    }

    /// Serves one reader over one connection; true when the reader said anything at all.
    fn one_insertion(&self, stream: &TcpStream) -> bool {
        let Ok(handle) = stream.try_clone() else {
            return false;
        };
        let insertion = {
            let mut slot = self.lock();
            if slot.wanted != Wanted::Inserted {
                return true;
            }
            slot.enter(handle)
        };
        self.changed.notify_all();
        let mut heard = false;
        let ended = serve(stream, |frame| {
            heard = true;
            self.lock().handle(insertion, &frame)
        });
        // However it ended, the card has lost its power.
        self.lock().end_insertion(insertion, ended);
        self.changed.notify_all();
        heard
    }
}
