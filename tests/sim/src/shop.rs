//! One shop: an engine, its store, its devices, its clock, its POS, and what is on its way between them.

use std::collections::VecDeque;

use purser_engine::{Config, Engine, FindId, Input};
use purser_ledger::{Commit, Find, Monotonic, Now, OperationId, Wall};

use crate::device::{Device, PinFor};
use crate::parties::Uplink;
use crate::pos::Pos;
use crate::psam::SimPsam;
use crate::store::SimStore;
use crate::world::{PAD, PSAM};

/// What the journal is to do.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "nearly every job is a commit")]
pub(crate) enum Job {
    Commit(Commit),
    Find(FindId, Find),
}

pub(crate) struct Shop {
    pub(crate) engine: Option<Engine>,
    /// The SAM has the key of these cards.
    pub(crate) has_key: bool,
    /// Its own settings; the kit's if none.
    pub(crate) config: Option<Config>,
    pub(crate) store: SimStore,
    pub(crate) jobs: VecDeque<Job>,
    /// Answers of the journal on their way to the engine.
    pub(crate) answers: VecDeque<Input>,
    pub(crate) requests: VecDeque<Input>,
    pub(crate) devices: Vec<Device>,
    /// How many readers it uses.
    pub(crate) readers: usize,
    pub(crate) has_pad: bool,
    /// Its PSAM; a software SAM if none.
    pub(crate) psam: Option<SimPsam>,
    /// Terminal serial numbers whose MAC2 the PSAM found right.
    pub(crate) mac2_verified: Vec<u32>,
    pub(crate) pos: Pos,
    /// Its way to the provider.
    pub(crate) uplink: Uplink,
    pub(crate) clock: Clock,
    /// The engine has outputs that have not been polled.
    pub(crate) is_draining: bool,
    pub(crate) journal_stalled: u32,
    pub(crate) pins_given: u32,
    pub(crate) verifies_sent: u32,
    /// Terminal serial numbers of the DEBITs that were sent.
    pub(crate) debits_sent: Vec<u32>,
    /// PINs on their way to the engine, by call, with what they were entered for.
    pub(crate) pin_answers: Vec<(purser_engine::CallId, PinFor)>,
    /// What the PIN in the engine's present input was entered for.
    pub(crate) pin_for: Option<PinFor>,
    pub(crate) is_stopping: bool,
    /// How many entries the books were last compared with.
    pub(crate) books_checked: usize,
    /// Claims whose evidence the issuer has accepted.
    pub(crate) claims_checked: Vec<OperationId>,
    /// How many entries are in the tally.
    pub(crate) entries_counted: usize,
}

/// Two clocks: one for timeouts, one for people.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    pub(crate) monotonic_ms: u64,
    pub(crate) wall_ms: i64,
    pub(crate) offset_seconds: i32,
}

impl Clock {
    pub(crate) fn now(&self) -> Now {
        Now {
            monotonic: Monotonic(self.monotonic_ms),
            wall: Wall {
                unix_seconds: self.wall_ms.div_euclid(1_000),
                utc_offset_seconds: self.offset_seconds,
                trusted: true,
            },
        }
    }

    pub(crate) fn pass_ms(&mut self, ms: u64) {
        self.monotonic_ms = self.monotonic_ms.saturating_add(ms);
        let ms = i64::try_from(ms).unwrap_or(0);
        self.wall_ms = self.wall_ms.saturating_add(ms);
    }
}

impl Shop {
    /// True for a device that this shop has.
    pub(crate) fn uses(&self, d: usize) -> bool {
        d < self.readers || (d == PAD && self.has_pad) || (d == PSAM && self.psam.is_some())
    }

    /// True when nothing is under way between the engine and its surroundings.
    pub(crate) fn is_at_rest(&self) -> bool {
        !self.is_draining
            && self.jobs.is_empty()
            && self.answers.is_empty()
            && self.requests.is_empty()
            && self.uplink.is_idle()
            && self.devices.iter().all(Device::is_idle)
    }
}
