//! Starts driver hosts, watches their deadlines and restarts them.
//!
//! One [`Supervisor`] owns one driver instance, so that two readers of one vendor share no fate. Its life:
//!
//! ```text
//! Starting ── loaded, made ──▶ Ready ── crash, hang, flood, lie ──▶ Restarting ── time ──▶ Starting
//!    └── refused for good, or too many restarts ──▶ Failed ── Handle::restart ──▶ Starting
//! ```
//!
//! A driver that dies costs its calls under way an answer ([`CallError`] says what may have happened) and nothing else.
//! The supervisor holds no money state and guesses nothing. [`Handle::restart`] ends a call under way like a crash does: who
//! knows about the money asks for it only when no card is served.

mod config;
mod desk;
mod ending;
mod event;
mod handle;
mod host_link;
pub mod manifest;
mod mask;
mod run;
mod session;
mod slots;
mod spawn;
mod start;
mod status;
mod tape;

pub use config::{DriverConfig, RestartPolicy};
pub use event::{CallError, DeviceState, DriverEvent, NotSent};
pub use handle::{CallRefused, Handle};
pub use run::{EVENTS_MAX, Supervisor};
pub use spawn::Spawner;
pub use status::{Counters, DownReason, ProcessEnd, State, Status};
pub use tape::RECORDING_BYTES_MAX;

pub use purser_driver_wire as wire;
