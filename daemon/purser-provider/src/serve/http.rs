//! One request: its limits, its route, its answer.

use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::{Body as _, Bytes, Incoming};
use hyper::header::{ALLOW, CONNECTION, CONTENT_TYPE, HeaderValue};
use hyper::{Request, Response};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::api::Endpoint;
use super::leg::Leg;
use super::{Shared, api, peer};
use crate::fault::{Failure, Fault, fault_json};

/// The longest body: a full page of the longest claims, in hex.
pub(crate) const BODY_BYTES_MAX: usize = 4 * 1024 * 1024;

/// The longest body of an enrolment: anybody may send one.
const ENROLMENT_BYTES_MAX: usize = 4 * 1024;

/// What is answered.
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) body: Value,
    /// The connection ends with it.
    pub(crate) hangs_up: bool,
}

impl Reply {
    /// 200 with an object.
    pub(crate) fn ok(body: Value) -> Self {
        Self {
            status: 200,
            body,
            hangs_up: false,
        }
    }
}

/// Answers one request.
pub(crate) async fn answer(
    shared: Arc<Shared>,
    leg: Arc<Leg>,
    request: Request<Incoming>,
) -> Response<Full<Bytes>> {
    leg.begin_request();
    let path = request.uri().path().to_owned();
    let done = handle(shared, Arc::clone(&leg), request).await;
    leg.end_request();
    let reply = done.unwrap_or_else(|failure| refusal(&failure));
    let mut response = Response::new(Full::new(Bytes::from(reply.body.to_string())));
    *response.status_mut() = reply.status.try_into().expect("every status here is one of HTTP");
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if reply.status == 405 {
        let methods = HeaderValue::from_str(&api::methods(&path)).expect("methods are letters");
        headers.insert(ALLOW, methods);
    }
    if reply.hangs_up || leg.is_stranger() {
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

fn refusal(failure: &Failure) -> Reply {
    match failure {
        Failure::Refused(fault) => Reply {
            status: fault.status,
            body: fault_json(fault),
            hangs_up: match fault.status {
                // What is left of a body that was not read would be taken for a request.
                401 | 408 | 413 => true,
                // Who is not let in is sent away; a leg that works stays, whatever else was asked on it.
                403 => !matches!(fault.name, "NotAuthenticated" | "NotAsked"),
                _ => false,
            },
        },
        other => {
            // Not told to the terminal: causes of ours can hold paths.
            eprintln!("purser-provider: {}", other.chain());
            let cause = "the provider could not do it, and whether it is done is not known";
            let fault =
                Fault::with_status(503, "NotKnown", cause, "ask again with the same numbers").transient();
            Reply {
                status: fault.status,
                body: fault_json(&fault),
                hangs_up: false,
            }
        }
    }
}

async fn handle(shared: Arc<Shared>, leg: Arc<Leg>, request: Request<Incoming>) -> Result<Reply, Failure> {
    let (head, body) = request.into_parts();
    let path = head.uri.path().to_owned();
    let (endpoint, parameters) = api::find(head.method.as_str(), &path)?;
    let bytes_max = if endpoint == Endpoint::Enrol {
        ENROLMENT_BYTES_MAX
    } else {
        // Who is not let in sends no page either.
        let peer = peer::of_leg(&shared, &leg).await?;
        if !endpoint.is_of_an_end() {
            peer.not_revoked()?;
        }
        BODY_BYTES_MAX
    };
    let body = read(body, bytes_max, shared.body_time).await?;
    api::call(shared, leg, endpoint, parameters, body).await
}

async fn read(body: Incoming, bytes_max: usize, time: Duration) -> Result<Bytes, Failure> {
    let too_long = || {
        let cause = format!("a body has at most {bytes_max} bytes here");
        Fault::with_status(413, "BodyTooLong", cause, "send pages of at most 1,000 items")
    };
    // Said at once where the head tells the length.
    let told = body.size_hint().lower();
    if usize::try_from(told).map_or(true, |told| told > bytes_max) {
        return Err(too_long().into());
    }
    let whole = tokio::time::timeout(time, Limited::new(body, bytes_max).collect()).await;
    let fault = match whole {
        Ok(Ok(body)) => return Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => too_long(),
        Ok(Err(_)) => Fault::invalid("BodyBroken", "the body ended early", "send it again").transient(),
        Err(_) => {
            let cause = format!("the body took more than {} s", time.as_secs());
            let remedy = "send it again; use smaller pages on a slow line";
            Fault::with_status(408, "BodySlow", cause, remedy).transient()
        }
    };
    Err(fault.into())
}

/// The object of a body. What is too deep, has another field or a field of another kind is refused.
pub(crate) fn object<T: DeserializeOwned>(body: &[u8]) -> Result<T, Failure> {
    serde_json::from_slice(body).map_err(|error| {
        let remedy = "send what the provider's OpenAPI document says";
        Fault::invalid(
            "BadBody",
            format!("the body is not what belongs here: {error}"),
            remedy,
        )
        .into()
    })
}
