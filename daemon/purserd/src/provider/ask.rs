//! What is asked on a connection of its own: a ticket, and whether the standing link may be opened.

use std::time::Duration;

use purser_engine::ProviderFailure;
use purser_provider_link::call_back::{Purpose, Refusal, Request, Ticket};
use serde::Deserialize;
use serde_json::json;
use tokio_rustls::TlsConnector;

use super::address::Address;
use super::failure;
use super::identity::{Pinned, mode_name};
use super::tls;
use super::wire::{Ask, AskError, Line};

#[derive(Debug, Deserialize)]
struct Ticketed {
    #[serde(with = "hex::serde")]
    ticket: [u8; 16],
}

/// Who the provider says that it and this terminal are.
#[derive(Debug, Deserialize)]
struct Who {
    provider: String,
    terminal: String,
    call_back: String,
    #[serde(with = "hex::serde")]
    signing_key: Vec<u8>,
}

/// What became of the request leg.
#[derive(Debug)]
pub(super) enum Asked {
    /// A ticket, or the call-back's refusal of one.
    Replied(Result<Ticket, Refusal>),
    /// No reply: another try can have one.
    Lost(ProviderFailure),
    /// The provider refuses this terminal, or is none: no further try of this request has a ticket.
    Over(ProviderFailure),
}

fn purpose_name(purpose: Purpose) -> &'static str {
    match purpose {
        Purpose::Load => "load",
        Purpose::Settlement => "settlement",
    }
}

/// The request leg (S30): asks for a ticket within this time, and hangs up.
pub(super) async fn ticket(
    connector: &TlsConnector,
    address: &Address,
    time: Duration,
    request: &Request,
) -> Asked {
    let body = json!({
        "id": request.id.to_string(), "purpose": purpose_name(request.purpose),
        "provider": request.provider.as_str(), "subject": request.subject.to_string(),
    });
    let asking = async {
        let mut line = tls::connect(connector, address, time).await?;
        line.ask::<Ticketed>(Ask::post("/v1/requests", body, time)).await
    };
    let asked = tokio::time::timeout(time, asking).await;
    let error = match asked.unwrap_or(Err(AskError::Slow)) {
        Ok(Ticketed { ticket }) => return Asked::Replied(Ok(Ticket(ticket))),
        Err(error) => error,
    };
    if let AskError::Refused(told) = &error
        && let Some(refusal) = Refusal::ALL.into_iter().find(|it| it.name() == told.error)
    {
        return Asked::Replied(Err(refusal));
    }
    let failure = failure::of("asking for a call-back", &error);
    if failure.is_transient {
        Asked::Lost(failure)
    } else {
        Asked::Over(failure)
    }
}

/// A connection that can become the standing link: at its other end is the provider that was pinned, and it takes this
/// terminal.
pub(super) async fn standing(
    connector: &TlsConnector,
    address: &Address,
    time: Duration,
    pinned: &Pinned,
) -> Result<Line, ProviderFailure> {
    let opening = async {
        let mut line = tls::connect(connector, address, time).await?;
        let who = line.ask::<Who>(Ask::get("/v1/provider", time)).await?;
        let differs = |name: &str| Err(AskError::Odd(format!("its {name} is not what enrolment pinned")));
        if who.provider != pinned.provider.as_str() {
            return differs("name");
        }
        if who.terminal != pinned.terminal.as_str() {
            return differs("name of this terminal");
        }
        if who.call_back != mode_name(pinned.mode) {
            return differs("way of calling");
        }
        if who.signing_key != pinned.signing_key {
            return differs("signing key");
        }
        Ok(line)
    };
    let opened = tokio::time::timeout(time, opening).await;
    let opened = opened.unwrap_or(Err(AskError::Slow));
    opened.map_err(|error| failure::of("opening the standing link", &error))
}
