//! A line between the two programs that fails at one TLS record: it is cut there, held up there, or says nothing from there on.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use crate::Fault;

/// A record's type, version and length.
const RECORD_HEADER: usize = 5;
/// How long a record is held back: longer than purserd waits for one message in these tests.
pub const HELD_BACK: Duration = Duration::from_millis(1_600);

/// Who speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Way {
    /// purserd.
    Up,
    /// The provider.
    Down,
}

/// What the line does with a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Failing {
    /// The connection ends before the record.
    Cut,
    /// The record comes late.
    HeldBack,
    /// It does not come, and nothing after it on this connection in this direction. The connection stays.
    Swallowed,
}

impl Failing {
    /// Each.
    pub const ALL: [Self; 3] = [Self::Cut, Self::HeldBack, Self::Swallowed];
}

/// Where the line fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Spot {
    /// Whose record.
    pub way: Way,
    /// Which of them, counted from 0 over all connections.
    pub record: u32,
    /// How.
    pub failing: Failing,
}

#[derive(Debug, Default)]
struct State {
    /// Records since it was armed, up and down.
    records: [u32; 2],
    spot: Option<Spot>,
    has_failed: bool,
}

/// The line. All its connections count together; they end with the process.
#[derive(Clone, Debug, Default)]
pub struct Relay(Arc<Mutex<State>>);

impl Relay {
    /// Takes connections somewhere and passes them on to this address. Who connects is purserd, or the provider that calls back.
    ///
    /// # Errors
    /// No port is free.
    pub fn in_front_of(&self, to: SocketAddr, who_connects: Way) -> Result<SocketAddr, Fault> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let relay = self.clone();
        thread::spawn(move || {
            for near in listener.incoming().flatten() {
                // Nobody listens there at the moment: the caller sees its connection end.
                let Ok(far) = TcpStream::connect(to) else { continue };
                // What cannot be passed on ends both connections.
                drop(relay.join(near, far, who_connects));
            }
        });
        Ok(address)
    }

    /// Begins to count anew, and fails there, once.
    pub fn arm(&self, spot: Option<Spot>) {
        *self.state() = State {
            spot,
            ..State::default()
        };
    }

    /// How many records went up and down since it was armed.
    pub fn records(&self, way: Way) -> u32 {
        self.state().records[index(way)]
    }

    /// Whether it has failed since it was armed.
    pub fn has_failed(&self) -> bool {
        self.state().has_failed
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn join(&self, near: TcpStream, far: TcpStream, who_connects: Way) -> io::Result<()> {
        near.set_nodelay(true)?;
        far.set_nodelay(true)?;
        let other = match who_connects {
            Way::Up => Way::Down,
            Way::Down => Way::Up,
        };
        let ways = [
            (who_connects, near.try_clone()?, far.try_clone()?),
            (other, far, near),
        ];
        for (way, mut from, mut to) in ways {
            let relay = self.clone();
            thread::spawn(move || {
                // However it ends, both ends hear of it.
                drop(relay.carry(way, &mut from, &mut to));
                drop((from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both)));
            });
        }
        Ok(())
    }

    /// Passes records on until one end has ended, or the line fails so.
    fn carry(&self, way: Way, from: &mut TcpStream, to: &mut TcpStream) -> io::Result<()> {
        let mut is_silent = false;
        loop {
            let mut record = vec![0; RECORD_HEADER];
            from.read_exact(&mut record)?;
            let length = usize::from(u16::from_be_bytes([record[3], record[4]]));
            record.resize(RECORD_HEADER + length, 0);
            from.read_exact(&mut record[RECORD_HEADER..])?;
            match self.pass(way) {
                Some(Failing::Cut) => return Ok(()),
                Some(Failing::HeldBack) => thread::sleep(HELD_BACK),
                Some(Failing::Swallowed) => is_silent = true,
                None => {}
            }
            if !is_silent {
                to.write_all(&record)?;
            }
        }
    }

    /// Counts a record; how the line fails at it.
    fn pass(&self, way: Way) -> Option<Failing> {
        let mut state = self.state();
        let number = state.records[index(way)];
        state.records[index(way)] = number.saturating_add(1);
        let failing = state
            .spot
            .filter(|spot| !state.has_failed && (spot.way, spot.record) == (way, number))
            .map(|spot| spot.failing);
        state.has_failed |= failing.is_some();
        failing
    }
}

fn index(way: Way) -> usize {
    match way {
        Way::Up => 0,
        Way::Down => 1,
    }
}
