//! End to end: what the tests share around the real purserd.
//!
//! * [`world`]: a purserd with a card, a buyer and a till, on a copy of a state that was prepared once.
//! * [`calls`]: the calls of all threads of some processes, as one strace shows them.
//! * [`two_syncs`]: what a trace must show of a sale in steady state.
//! * [`canary`]: secrets that must be found nowhere, and the search for them.
//! * [`resources`]: what a process uses.
//! * [`strace`]: watches a thread of a process, and lets one of its calls fail or kill the process.
//! * [`point`]: the calls at which a process touches the world outside of it.
//! * [`phase`]: the parts of purserd's life that are watched and cut.
//! * [`templates`]: the states that these begin with.
//! * [`judge`]: what must hold after whatever happened.
//! * [`matrix`]: every phase cut at every point, counted.
//! * [`settle`]: a settlement, cut in the same way in purserd and in the provider.
//! * [`faults`]: cards and tills that fail.
//! * [`psams`]: PSAMs that fail.
//! * [`hotplug`]: readers that leave in the middle of a sale.
//! * [`pcscd`]: the real pcscd, in namespaces of its own.
//! * [`attack`]: what must hold while a driver misbehaves.
//! * [`faulty`]: a driver that misbehaves, and the neighbour who goes on selling.
//! * [`peer`]: clients that this project did not write.
//! * [`bus`]: a message bus of its own.
//! * [`raw`]: a client that sends what it likes.
//! * [`flood`]: users who mean harm.
//!
//! Needs root (to trace a process that lets nobody trace it), strace and a C compiler.

pub mod attack;
pub mod bus;
pub mod buyer;
pub mod calls;
pub mod canary;
pub mod events;
pub mod faults;
pub mod faulty;
pub mod flood;
mod hosts;
pub mod hotplug;
pub mod judge;
pub mod matrix;
pub mod pcscd;
pub mod peer;
pub mod phase;
pub mod point;
pub mod pos;
pub mod psams;
pub mod raw;
pub mod resources;
pub mod settle;
mod start;
pub mod strace;
pub mod table;
pub mod templates;
pub mod two_syncs;
pub mod world;

/// Why a test cannot go on, in words for the person who reads the test's output.
pub type Fault = Box<dyn std::error::Error + Send + Sync>;

/// Fails with these words unless the condition holds.
///
/// # Errors
/// The words.
pub fn ensure(holds: bool, words: impl FnOnce() -> String) -> Result<(), Fault> {
    if holds { Ok(()) } else { Err(words().into()) }
}
