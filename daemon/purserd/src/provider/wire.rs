//! One connection on which Purser asks and the provider answers, whoever has opened it: HTTP/1.1 and JSON over TLS 1.3.
//!
//! Whatever the other side does, an exchange ends within its time with an answer of bounded length or a named error.

use std::error::Error;
use std::time::Duration;

use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{CONTENT_TYPE, HOST};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use purser_provider_link::call_back::ChannelBinding;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::JoinHandle;

/// The longest head of an answer: status line and headers.
const HEAD_BYTES_MAX: usize = 16 * 1024;
/// The longest answer that is not a page of verdicts: an enrolment's, with two certificates.
pub(super) const ANSWER_BYTES_MAX: usize = 64 * 1024;
/// The longest page of verdicts: 1,000 of them have 400 KiB in hex with their signatures.
pub(super) const VERDICTS_BYTES_MAX: usize = 1024 * 1024;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum AskError {
    /// No connection could be made.
    #[error("the provider cannot be reached: {0}")]
    NotReached(String),
    /// The TLS handshake failed for a reason that does not go away by itself.
    #[error("whoever answers there is not the provider, or does not take this terminal: {0}")]
    NotTheProvider(String),
    /// The line is lost: what was asked may or may not have been done.
    #[error("the line is lost: {0}")]
    Lost(String),
    /// Nothing came in time: it may or may not have been done.
    #[error("there is no answer in time")]
    Slow,
    /// The answer is none of the contract.
    #[error("the provider's answer is none of the contract: {0}")]
    Odd(String),
    /// The provider refuses by name.
    #[error("{}", super::failure::refused(.0))]
    Refused(Told),
}

impl AskError {
    /// True when the same connection cannot be used any more.
    pub(super) fn ends_connection(&self) -> bool {
        !matches!(self, Self::Refused(_))
    }
}

/// A refusal as the provider tells it.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Told {
    pub(super) error: String,
    pub(super) cause: String,
    pub(super) remedy: String,
    pub(super) transient: bool,
}

/// What is asked.
#[derive(Debug)]
pub(super) struct Ask<'a> {
    pub(super) method: Method,
    pub(super) path: &'a str,
    pub(super) body: Option<Value>,
    /// How long the whole exchange may take.
    pub(super) time: Duration,
    /// How long the answer's body may be.
    pub(super) bytes_max: usize,
}

impl<'a> Ask<'a> {
    pub(super) fn get(path: &'a str, time: Duration) -> Self {
        Self {
            method: Method::GET,
            path,
            body: None,
            time,
            bytes_max: ANSWER_BYTES_MAX,
        }
    }

    /// A POST without a body.
    pub(super) fn command(path: &'a str, time: Duration) -> Self {
        Self {
            method: Method::POST,
            ..Self::get(path, time)
        }
    }

    pub(super) fn post(path: &'a str, body: Value, time: Duration) -> Self {
        Self {
            method: Method::POST,
            body: Some(body),
            ..Self::get(path, time)
        }
    }

    pub(super) fn put(path: &'a str, body: Value, time: Duration) -> Self {
        Self {
            method: Method::PUT,
            body: Some(body),
            ..Self::get(path, time)
        }
    }

    /// With an answer of at most so many bytes.
    pub(super) fn up_to(self, bytes_max: usize) -> Self {
        Self { bytes_max, ..self }
    }
}

/// A connection. It ends when this goes.
#[derive(Debug)]
pub(super) struct Line {
    sender: SendRequest<Full<Bytes>>,
    driver: JoinHandle<()>,
    host: String,
    /// False from the beginning of an exchange until its answer is here.
    is_usable: bool,
    /// This end's channel binding.
    pub(super) binding: ChannelBinding,
}

impl Drop for Line {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl Line {
    /// Speaks HTTP on a stream whose other end has been verified.
    pub(super) async fn new<S>(stream: S, host: String, binding: ChannelBinding) -> Result<Self, AskError>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let mut builder = http1::Builder::new();
        builder.max_buf_size(HEAD_BYTES_MAX);
        let made = builder.handshake(TokioIo::new(stream)).await;
        let (sender, connection) = made.map_err(|error| AskError::Lost(chain(&error)))?;
        let driver = tokio::spawn(async move {
            // Each exchange says for itself how it ended.
            let _ = connection.await;
        });
        Ok(Self {
            sender,
            driver,
            host,
            is_usable: true,
            binding,
        })
    }

    /// True when another exchange can be tried on it.
    pub(super) fn is_usable(&self) -> bool {
        self.is_usable && !self.sender.is_closed()
    }

    /// Asks, and reads the answer of 200.
    ///
    /// # Cancel safety
    /// One that is dropped leaves the line without use: drop it too.
    pub(super) async fn ask<T: DeserializeOwned>(&mut self, ask: Ask<'_>) -> Result<T, AskError> {
        self.is_usable = false;
        let exchange = tokio::time::timeout(ask.time, self.exchange(ask)).await;
        let (status, body) = exchange.map_err(|_| AskError::Slow)??;
        self.is_usable = true;
        if status == StatusCode::OK {
            return read(&body);
        }
        // A refusal is short, whatever was asked.
        let is_refusal = status.is_client_error() || status.is_server_error();
        if !is_refusal || body.len() > ANSWER_BYTES_MAX {
            return Err(AskError::Odd(format!("status {}", status.as_u16())));
        }
        Err(read(&body).map_or_else(|error| error, AskError::Refused))
    }

    async fn exchange(&mut self, ask: Ask<'_>) -> Result<(StatusCode, Bytes), AskError> {
        self.sender.ready().await.map_err(lost)?;
        let content = ask.body.map(|it| it.to_string()).unwrap_or_default();
        let request = Request::builder()
            .method(ask.method)
            .uri(ask.path)
            .header(HOST, &self.host)
            .header(CONTENT_TYPE, "application/json")
            .body(Full::new(Bytes::from(content)))
            .map_err(|error| AskError::Odd(error.to_string()))?;
        let response = self.sender.send_request(request).await.map_err(lost)?;
        body(response, ask.bytes_max).await
    }
}

/// Why an exchange broke off. A TLS alert is the other side's word: it does not take this terminal's certificate, say.
fn lost(error: hyper::Error) -> AskError {
    let mut cause = error.source();
    while let Some(of) = cause {
        let inner = of
            .downcast_ref::<std::io::Error>()
            .and_then(std::io::Error::get_ref);
        let of_tls = inner.and_then(|inner| inner.downcast_ref::<rustls::Error>());
        if let Some(error @ rustls::Error::AlertReceived(_)) = of_tls {
            return AskError::NotTheProvider(chain(error));
        }
        cause = of.source();
    }
    if error.is_parse() {
        AskError::Odd(chain(&error))
    } else {
        AskError::Lost(chain(&error))
    }
}

async fn body(response: Response<Incoming>, bytes_max: usize) -> Result<(StatusCode, Bytes), AskError> {
    let status = response.status();
    match Limited::new(response.into_body(), bytes_max).collect().await {
        Ok(whole) => Ok((status, whole.to_bytes())),
        Err(error) if error.is::<LengthLimitError>() => {
            Err(AskError::Odd(format!("it has more than {bytes_max} bytes")))
        }
        Err(error) => Err(AskError::Lost(error.to_string())),
    }
}

fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, AskError> {
    // What the error says has places and kinds, and none of the body's own text but names of fields.
    serde_json::from_slice(body).map_err(|error| AskError::Odd(error.to_string()))
}

/// An error with all its causes.
pub(super) fn chain(error: &dyn Error) -> String {
    crate::verbs::chain(error)
}
