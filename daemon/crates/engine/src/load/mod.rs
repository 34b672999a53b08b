//! The load (S5 to S14).

mod ask;
mod view;

pub use ask::{LoadAnswer, LoadAsk, LoadPhase, LoadWhat, SendAttempt, refusal};
pub use view::{LoadEnd, LoadOutcome, LoadProgress, LoadRefusal, LoadTold, LoadView, OwedReason};
