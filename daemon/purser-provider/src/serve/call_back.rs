//! The routes of the call-back (S6, S7, S10, S11, S30 to S33).

use std::sync::Arc;
use std::time::Duration;

use purser_provider_link::call_back::{
    Answer, Nonce, Purpose, Refusal, Request, RequestId, SIGNATURE_BYTES_MAX, Ticket,
};
use purser_provider_link::{Digest, ProviderName};
use serde::Deserialize;
use serde_json::{Value, json};

use super::Shared;
use super::calls::Calls;
use super::http::Reply;
use super::leg::{Down, Leg};
use super::peer::{self, Peer};
use crate::authority::{random, verifies};
use crate::fault::{Failure, Fault};

/// How long `GET /v1/call` waits: shorter than what home routers forget a silent line after.
const CALL_TIME: Duration = Duration::from_secs(25);

/// A purpose as it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum WrittenPurpose {
    Load,
    Settlement,
}

/// A request for a call-back.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Asked {
    #[serde(with = "hex::serde")]
    id: [u8; 16],
    purpose: WrittenPurpose,
    provider: String,
    #[serde(with = "hex::serde")]
    subject: [u8; 32],
}

/// The answer to a challenge.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Answered {
    #[serde(with = "hex::serde")]
    ticket: [u8; 16],
    #[serde(with = "hex::serde")]
    nonce: [u8; 32],
    #[serde(with = "hex::serde")]
    signature: Vec<u8>,
}

/// The terminal refuses a challenge.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Refused {
    #[serde(with = "hex::serde")]
    ticket: [u8; 16],
    refusal: String,
}

fn purpose_name(purpose: Purpose) -> &'static str {
    match purpose {
        Purpose::Load => "load",
        Purpose::Settlement => "settlement",
    }
}

fn fault(refusal: Refusal) -> Failure {
    let remedy = "begin a new request with a new number";
    let fault = Fault::forbidden(refusal.name(), refusal.to_string(), remedy);
    if refusal.is_transient() {
        fault.transient().into()
    } else {
        fault.into()
    }
}

/// Takes a request: a ticket, and the connection ends. No value moves.
pub(crate) async fn request(shared: &Arc<Shared>, leg: &Arc<Leg>, asked: Asked) -> Result<Reply, Failure> {
    let peer = peer::of_leg(shared, leg).await?;
    if leg.is_called || leg.is_link() {
        let cause = "a request comes on a connection of its own";
        return Err(Fault::conflict("OnTheLink", cause, "open another connection for it").into());
    }
    let (purpose, role) = match asked.purpose {
        WrittenPurpose::Load => (Purpose::Load, "provider"),
        WrittenPurpose::Settlement => (Purpose::Settlement, "merchant"),
    };
    if purpose == Purpose::Load {
        peer.not_revoked()?;
    }
    if peer.role != role {
        let cause = format!("only a terminal of the role {role} can ask for that");
        return Err(Fault::forbidden("OtherRole", cause, "ask the provider's operator").into());
    }
    let provider = ProviderName::new(asked.provider).map_err(|error| {
        Fault::invalid(
            "BadBody",
            error.to_string(),
            "name the provider as enrolment told it",
        )
    })?;
    let request = Request {
        id: RequestId(asked.id),
        purpose,
        terminal: peer.name.clone(),
        provider,
        subject: Digest(asked.subject),
    };
    let ticket = Ticket(random()?);
    Calls::handle(shared, &peer, leg, |machine, now| {
        machine.handle_request(now, leg.id, &peer.name, request, ticket);
    });
    match leg.reply() {
        Some(Down::Ticket(ticket)) => Ok(Reply {
            hangs_up: true,
            ..Reply::ok(json!({ "ticket": ticket.to_string() }))
        }),
        Some(Down::Refused(refusal)) => Err(fault(refusal)),
        _ => Err(Failure::Damaged("a call-back's machine")),
    }
}

/// Waits for a challenge. On a connection that the terminal opened this makes it the standing link.
pub(crate) async fn call(shared: &Arc<Shared>, leg: &Arc<Leg>) -> Result<Reply, Failure> {
    let peer = peer::of_leg(shared, leg).await?;
    let is_new = !leg.is_called && leg.becomes_link();
    let is_pong = leg.takes_probe();
    if is_new || is_pong {
        Calls::handle(shared, &peer, leg, |machine, now| {
            if is_new {
                machine.handle_link(now, leg.id, &peer.name);
            } else {
                machine.handle_pong(now, leg.id);
            }
        });
    }
    let challenge = match leg.call(CALL_TIME).await {
        Some(Down::Challenge(challenge)) => json!({
            "nonce": challenge.nonce.to_string(),
            "ticket": challenge.ticket.to_string(),
            "purpose": purpose_name(challenge.purpose),
            "provider": challenge.provider.as_str(),
            "terminal": challenge.terminal.as_str(),
            "subject": challenge.subject.to_string(),
        }),
        Some(Down::Refused(refusal)) => return Err(fault(refusal)),
        // Nothing yet, or the provider wants to know whether this link still works: asking again is the sign of life.
        Some(Down::Probe | Down::Ticket(_) | Down::Opened(_)) | None => Value::Null,
    };
    Ok(Reply::ok(json!({ "challenge": challenge })))
}

/// Takes the answer to a challenge: then the connection is open for the request's purpose and subject.
pub(crate) async fn answer(
    shared: &Arc<Shared>,
    leg: &Arc<Leg>,
    answered: Answered,
) -> Result<Reply, Failure> {
    let peer = peer::of_leg(shared, leg).await?;
    let key = peer.public_key.clone();
    if answered.signature.len() > SIGNATURE_BYTES_MAX {
        let cause = format!("a signature has at most {SIGNATURE_BYTES_MAX} bytes");
        return Err(Fault::invalid("BadBody", cause, "sign with ECDSA P-256, in DER").into());
    }
    let answer = Answer {
        ticket: Ticket(answered.ticket),
        nonce: Nonce(answered.nonce),
        signature: answered.signature,
    };
    Calls::handle(shared, &peer, leg, |machine, _| {
        machine.handle_answer(leg.id, &answer, |bytes, signature| {
            verifies(&key, bytes, signature)
        });
    });
    match leg.reply() {
        Some(Down::Opened(request)) => Ok(Reply::ok(json!({
            "purpose": purpose_name(request.purpose), "subject": request.subject.to_string(),
        }))),
        Some(Down::Refused(refusal)) => Err(fault(refusal)),
        _ => Err(fault(Refusal::NotAsked)),
    }
}

/// Takes the terminal's refusal of a challenge.
pub(crate) async fn refused(
    shared: &Arc<Shared>,
    leg: &Arc<Leg>,
    refused: Refused,
) -> Result<Reply, Failure> {
    let peer = peer::of_leg(shared, leg).await?;
    let Some(refusal) = Refusal::ALL.into_iter().find(|it| it.name() == refused.refusal) else {
        let cause = format!("{:?} is no refusal of a challenge", refused.refusal);
        return Err(Fault::invalid("BadBody", cause, "send one of the names that the document lists").into());
    };
    Calls::handle(shared, &peer, leg, |machine, now| {
        machine.handle_refused(now, leg.id, Ticket(refused.ticket), refusal)
    });
    Ok(Reply::ok(json!({
        "ticket": hex::encode(refused.ticket), "refusal": refusal.name(),
    })))
}

/// The terminal, if this connection is open for this purpose and subject.
pub(crate) fn authenticated(
    leg: &Leg,
    peer: &Peer,
    purpose: Purpose,
    subject: Digest,
) -> Result<(), Failure> {
    match leg.open_for() {
        Some(request)
            if (request.purpose, request.subject) == (purpose, subject) && request.terminal == peer.name =>
        {
            Ok(())
        }
        _ => {
            let cause = "the connection is not open for this: the provider has not called back for it";
            let remedy = "ask with POST /v1/requests, answer the challenge, and go on where you answered it";
            Err(Fault::forbidden("NotAuthenticated", cause, remedy).into())
        }
    }
}
