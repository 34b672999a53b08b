//! One leg: a connection on which a challenge is waited for, answered, and then worked on.

use std::time::Duration;

use purser_provider_link::call_back::{Answer, Challenge, LegId, Nonce, Purpose, Refusal, Ticket};
use purser_provider_link::{Digest, ProviderName, TerminalName};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot};

use super::failure;
use super::task::Event;
use super::wire::{Ask, AskError, Line};

/// How long the provider holds a `GET /v1/call` (its OpenAPI document).
const CALL_TIME: Duration = Duration::from_secs(25);
/// The least time between two of them: a provider that answers at once and says nothing costs little.
const CALL_PAUSE: Duration = Duration::from_millis(100);

/// What the machine wants said on a leg.
#[derive(Debug)]
pub(super) enum Order {
    Answer(Answer),
    Refuse(Refusal),
}

/// A purpose as it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum WrittenPurpose {
    Load,
    Settlement,
}

impl From<WrittenPurpose> for Purpose {
    fn from(written: WrittenPurpose) -> Self {
        match written {
            WrittenPurpose::Load => Self::Load,
            WrittenPurpose::Settlement => Self::Settlement,
        }
    }
}

#[derive(Debug, Deserialize)]
struct Called {
    challenge: Option<WrittenChallenge>,
}

#[derive(Debug, Deserialize)]
struct WrittenChallenge {
    #[serde(with = "hex::serde")]
    nonce: [u8; 32],
    #[serde(with = "hex::serde")]
    ticket: [u8; 16],
    purpose: WrittenPurpose,
    provider: String,
    terminal: String,
    #[serde(with = "hex::serde")]
    subject: [u8; 32],
}

impl WrittenChallenge {
    fn read(self) -> Result<Challenge, AskError> {
        let wrong = |name: &str| AskError::Odd(format!("the challenge's {name} is no name"));
        Ok(Challenge {
            nonce: Nonce(self.nonce),
            ticket: Ticket(self.ticket),
            purpose: self.purpose.into(),
            provider: ProviderName::new(self.provider).map_err(|_| wrong("provider"))?,
            terminal: TerminalName::new(self.terminal).map_err(|_| wrong("terminal"))?,
            subject: Digest(self.subject),
        })
    }
}

#[derive(Debug, Deserialize)]
struct Opened {
    purpose: WrittenPurpose,
    #[serde(with = "hex::serde")]
    subject: [u8; 32],
}

/// A leg while it waits.
pub(super) struct Waiting {
    pub(super) leg: LegId,
    pub(super) line: Line,
    /// True for the standing link, which goes on after a refusal.
    pub(super) is_link: bool,
    /// How long a message may take.
    pub(super) time: Duration,
    pub(super) events: mpsc::Sender<Event>,
    pub(super) orders: mpsc::Receiver<Order>,
}

impl Waiting {
    /// Waits for challenges and says what is ordered, until the leg is open, lost or dropped.
    pub(super) async fn run(mut self) {
        let (leg, events) = (self.leg, self.events.clone());
        let event = match self.wait().await {
            Ok(true) => Event::Opened(leg, Box::new(self.line)),
            Ok(false) => Event::Lost(leg, None),
            Err(error) => {
                let failure = failure::of("waiting for the provider's call", &error);
                Event::Lost(leg, Some(failure))
            }
        };
        // Nobody listens any more when the link has ended.
        let _ = events.send(event).await;
    }

    /// True when the leg is open, false when it is to be hung up.
    async fn wait(&mut self) -> Result<bool, AskError> {
        loop {
            let asked = self
                .line
                .ask::<Called>(Ask::get("/v1/call", CALL_TIME + self.time));
            let Some(written) = asked.await?.challenge else {
                tokio::time::sleep(CALL_PAUSE).await;
                continue;
            };
            let challenge = written.read()?;
            let about = (challenge.purpose, challenge.subject);
            let told = Event::Challenge(self.leg, self.line.binding, challenge);
            if self.events.send(told).await.is_err() {
                return Ok(false);
            }
            match self.orders.recv().await {
                None => return Ok(false),
                Some(Order::Answer(answer)) => {
                    if self.answer(&answer, about).await? {
                        return Ok(true);
                    }
                }
                Some(Order::Refuse(refusal)) => self.refuse(refusal).await?,
            }
            if !self.is_link {
                return Ok(false);
            }
        }
    }

    /// True when the provider has accepted the answer.
    async fn answer(&mut self, answer: &Answer, about: (Purpose, Digest)) -> Result<bool, AskError> {
        let body = json!({
            "ticket": answer.ticket.to_string(), "nonce": answer.nonce.to_string(),
            "signature": hex::encode(&answer.signature),
        });
        let asked = self
            .line
            .ask::<Opened>(Ask::post("/v1/call/answer", body, self.time));
        match asked.await {
            Ok(opened) if (Purpose::from(opened.purpose), Digest(opened.subject)) == about => Ok(true),
            Ok(_) => Err(AskError::Odd("it opens the leg for something else".to_owned())),
            Err(AskError::Refused(told)) => {
                match Refusal::ALL.into_iter().find(|it| it.name() == told.error) {
                    Some(refusal) => {
                        // Nobody listens any more when the link has ended.
                        let _ = self.events.send(Event::Refused(self.leg, refusal)).await;
                        Ok(false)
                    }
                    None => Err(AskError::Refused(told)),
                }
            }
            Err(error) => Err(error),
        }
    }

    async fn refuse(&mut self, refusal: Refusal) -> Result<(), AskError> {
        let body = json!({ "refusal": refusal.name() });
        let asked = self
            .line
            .ask::<Value>(Ask::post("/v1/call/refusal", body, self.time));
        match asked.await {
            Err(error) if error.ends_connection() => Err(error),
            // Whether the provider likes the refusal changes nothing.
            Ok(_) | Err(_) => Ok(()),
        }
    }
}

/// A leg that is open for one subject. When it goes, the task has the line back, if that can still be used.
#[derive(Debug)]
pub(super) struct OpenLeg {
    line: Option<Line>,
    back: Option<oneshot::Sender<Line>>,
}

impl OpenLeg {
    /// With the other end of its way back.
    pub(super) fn new(line: Line) -> (Self, oneshot::Receiver<Line>) {
        let (back, returned) = oneshot::channel();
        let leg = Self {
            line: Some(line),
            back: Some(back),
        };
        (leg, returned)
    }

    /// The connection.
    pub(super) fn line(&mut self) -> &mut Line {
        self.line.as_mut().expect("the line leaves in drop alone")
    }
}

impl Drop for OpenLeg {
    fn drop(&mut self) {
        if let (Some(line), Some(back)) = (self.line.take(), self.back.take())
            && line.is_usable()
        {
            // The link may have ended.
            let _ = back.send(line);
        }
    }
}

/// What the task keeps of a leg.
#[derive(Debug)]
pub(super) struct Leg {
    pub(super) orders: mpsc::Sender<Order>,
    pub(super) is_link: bool,
    pub(super) task: tokio::task::AbortHandle,
}

impl Drop for Leg {
    fn drop(&mut self) {
        self.task.abort();
    }
}
