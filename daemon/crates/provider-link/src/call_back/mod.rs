//! How the provider learns who asks: it calls back (S7, S10, S11, S31 to S33).
//!
//! ```text
//!  terminal                                                        provider
//!     │ ── request leg: Request ───────────────────────────────────► │   no value moves
//!     │ ◄───────────────────────────────────── Ticket, then hang up ─│
//!     │                                                              │   the provider starts the next leg:
//!     │ ◄── Challenge(nonce, ticket, purpose, both names, subject) ──│   to the registered address (answer), or
//!     │ ─── Answer(signature over it and this leg's binding) ──────► │   down the standing link (standing)
//!     │ ◄─────────────────────────────────────────────────── Opened ─│
//! ```
//! Then the leg is authenticated for that one purpose and subject, and whoever needs it works on it. Each side is a
//! machine: [`Terminal`] and, one for each enrolled terminal, [`Provider`]. Keys, TLS and clocks are outside: the terminal's
//! machine gives out the bytes to sign, the provider's is told whether a signature verifies.
//!
//! A ticket is good for one authentication. When a leg is lost before the terminal knows that it was accepted, the
//! terminal asks anew with a new request; what has been done for the same subject is found again by its own numbers
//! (pages of a batch, attempts of a load), so nothing depends on which of the two legs is believed.
//!
//! What does not fit is refused by its own name ([`Refusal`]) and counted ([`Refusals`]).

mod limits;
mod message;
mod output;
mod provider;
mod refusal;
mod standing;
mod terminal;

pub use limits::{LegId, Limits, Mode};
pub use message::{
    Answer, CHANNEL_BINDING_BYTES, Challenge, ChannelBinding, Nonce, Purpose, Request, RequestId,
    SIGNATURE_BYTES_MAX, Ticket,
};
pub use output::{Busy, ProviderEnding, ProviderOutput, TerminalEnding, TerminalOutput};
pub use provider::Provider;
pub use refusal::{Refusal, Refusals};
pub use terminal::Terminal;
