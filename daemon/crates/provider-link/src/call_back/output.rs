//! What the machines want done, and how a request ends without a leg.

use super::{Answer, Challenge, LegId, Refusal, Request, RequestId, Ticket};

/// What the terminal's machine wants done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TerminalOutput {
    /// Open a request leg and send this; hand the reply to [`Terminal::handle_ticket`](super::Terminal::handle_ticket).
    Ask(Request),
    /// Open the standing link; say so with [`Terminal::handle_link_up`](super::Terminal::handle_link_up).
    OpenStanding,
    /// Have the device key sign these bytes; hand the signature to [`Terminal::handle_signature`](super::Terminal::handle_signature).
    Sign {
        /// The leg that it is for.
        leg: LegId,
        /// What is signed.
        bytes: Vec<u8>,
    },
    /// Send the answer.
    Answer(LegId, Answer),
    /// Send the refusal of the challenge with this ticket. Not on the standing link: hang up after it.
    Refuse(LegId, Ticket, Refusal),
    /// Hang up.
    Close(LegId),
    /// The provider has accepted the answer: the leg is open for this request's purpose and subject.
    Authenticated(LegId, Request),
    /// The request is over. To try again, begin another with a new number.
    Ended(RequestId, TerminalEnding),
    /// Tell an operator.
    Alarm(Refusal),
}

/// Why a request is over without a leg.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TerminalEnding {
    /// The provider refused it.
    Refused(Refusal),
    /// The provider gave no ticket in as many tries as are allowed.
    NoTicket,
    /// Nobody called back in time.
    NoCallBack,
    /// The leg was lost after the answer: the provider may have accepted it. Begin another request.
    LegLost,
    /// The device key gave no signature.
    NoSignature,
    /// It was cancelled.
    Cancelled,
}

/// Another request is being authenticated; begin when it has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("another request is being authenticated")]
pub struct Busy;

impl Busy {
    /// True: the other request ends.
    pub fn is_transient(self) -> bool {
        true
    }
}

/// What the provider's machine wants done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProviderOutput {
    /// Send the ticket down the request leg, then hang up.
    Ticket(LegId, RequestId, Ticket),
    /// Send the refusal, then hang up. Not on the standing link that works: that stays.
    Refuse(LegId, Refusal),
    /// Call the terminal at its registered address; say so with [`Provider::handle_connected`](super::Provider::handle_connected).
    Call,
    /// Use the standing link: hand its binding to [`Provider::handle_connected`](super::Provider::handle_connected).
    CallOn(LegId),
    /// Send the challenge.
    Challenge(LegId, Challenge),
    /// Tell the terminal that its answer is accepted; then the leg is open for this request's purpose and subject.
    Authenticated(LegId, Request),
    /// Ask the terminal's end of this standing link for a sign of life; hand it to [`Provider::handle_pong`](super::Provider::handle_pong).
    Probe(LegId),
    /// Hang up.
    Close(LegId),
    /// The request is over without a leg.
    Ended(RequestId, ProviderEnding),
    /// Tell an operator.
    Alarm(Refusal),
}

/// Why a request is over without a leg.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ProviderEnding {
    /// The answer, or the terminal's own refusal, ended it.
    Refused(Refusal),
    /// The terminal could not be reached in time.
    NotReached,
    /// The terminal has made another request since.
    Replaced,
}
