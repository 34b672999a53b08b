//! How long each side waits, and what it is that it waits on.

use purser_ledger::Monotonic;

/// One connection, by a number that its side gives it and never uses again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LegId(pub u64);

/// How the provider reaches a terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mode {
    /// At the address on file: the terminal listens.
    Answer,
    /// Down the one link that the terminal opened earlier: for a terminal that cannot be called.
    Standing,
}

/// How long is waited. Units: milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// For the next message on an open leg. A line that is silent for longer is lost.
    pub leg_ms: u64,
    /// A ticket's life: the terminal waits so long for its call-back, and the provider tries so long.
    pub ticket_ms: u64,
    /// The first pause before something is tried again; each further one is twice as long.
    pub pause_ms: u64,
    /// The longest pause.
    pub pause_ms_max: u64,
    /// How often a request is sent, and how often a ticket is called back.
    pub tries_max: u8,
}

impl Default for Limits {
    /// Ten seconds a message, ninety seconds a ticket: a customer stands beside a load.
    fn default() -> Self {
        Self {
            leg_ms: 10_000,
            ticket_ms: 90_000,
            pause_ms: 1_000,
            pause_ms_max: 15_000,
            tries_max: 6,
        }
    }
}

impl Limits {
    /// When to try again after this many tries.
    pub(super) fn after_pause(&self, now: Monotonic, tries: u8) -> Monotonic {
        let doublings = u32::from(tries.saturating_sub(1));
        let pause = self.pause_ms.saturating_mul(2_u64.saturating_pow(doublings));
        now.after_ms(pause.min(self.pause_ms_max))
    }
}
