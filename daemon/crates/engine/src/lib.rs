//! Sale, load, settlement, resolution and purse reading as pure state machines: inputs in, effects out as data.
//!
//! One task owns the [`Engine`]. It feeds [`Input`]s with the present time, then polls [`Output`]s until there are none,
//! and calls again with [`Input::Timer`] when [`Engine::poll_timeout`] has come. The engine awaits nothing, reads no clock
//! and makes no random numbers: the same inputs give the same outputs, which is what the simulator relies on.

mod commits;
mod config;
mod devices;
mod engine;
mod input;
mod limits;
pub mod load;
mod output;
mod parameters;
mod psam;
pub mod query;
mod requests;
mod sale;
pub mod settlement;
#[cfg(test)]
mod tests;
mod view;
mod visit;

pub use config::{Config, GENERATION_MAX_SOFTWARE_SAM, generation_of};
pub use engine::Engine;
pub use input::{Abilities, Answer, BeginLoad, BeginSale, CallFailure, DeviceEvent, Input, Peer, Request};
pub use limits::{LimitKind, LimitLevel, LimitUse, Limits};
pub use load::{
    LoadAnswer, LoadAsk, LoadEnd, LoadOutcome, LoadPhase, LoadProgress, LoadRefusal, LoadTold, LoadView,
    LoadWhat, OwedReason, SendAttempt,
};
pub use output::{Act, EnterPin, Output, Query, Reply, RequestError, Told};
pub use parameters::{HeardParameters, HotListTaken, ParametersAge};
pub use psam::{PsamFault, PsamSettings, PsamState, PsamView, Sam};
pub use query::QueryTold;
pub use settlement::ProviderFailure;
pub use view::{End, Outcome, Progress, PurseView, SaleView, Slip};

/// The asker's number of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u64);

/// The engine's number of a call to a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CallId(pub u64);

/// The engine's number of a look-up in the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FindId(pub u64);
