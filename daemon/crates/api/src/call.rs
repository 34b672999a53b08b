//! What the service asks of the engine's task.

use purser_engine::load::{LoadOutcome, LoadView};
use purser_engine::{Outcome, Peer, Reply, Request, RequestError, SaleView};
use tokio::sync::oneshot;

/// A request on its way to the task that owns the engine.
#[derive(Debug)]
pub struct Call {
    /// Who asks.
    pub peer: Peer,
    /// What is asked.
    pub request: Request,
    /// Where the one answer goes. The asker may have gone; the request stands all the same.
    pub reply: oneshot::Sender<Result<Answered, RequestError>>,
}

/// What the engine answered.
#[derive(Debug)]
pub enum Answered {
    /// Something that is not durable.
    Reply(Reply),
    /// A durable outcome.
    Told(SaleView<Outcome>),
    /// What is durable of a load.
    ToldLoad(LoadView<LoadOutcome>),
}
