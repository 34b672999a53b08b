//! A load's words with the provider (S6 to S13), each on a leg that the provider's call-back opened for it: how the load
//! stands, an attempt, the load TAC, a void.
//!
//! Each is one exchange, and each may be repeated: the provider knows a load by its number and an attempt by its number and
//! content (money rule L2).

use std::time::Duration;

use purser_engine::ProviderFailure;
use purser_engine::load::{LoadAnswer, LoadAsk, LoadPhase, LoadWhat, SendAttempt};
use purser_provider_link::call_back::Purpose;
use purser_provider_link::{CardSaid, LoadOrder};
use serde::Deserialize;
use serde_json::{Value, json};

use super::failure::{self, names};
use super::link::Link;
use super::wire::{Ask, AskError};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Phase {
    Open,
    Released,
    Done,
    Voided,
}

impl From<Phase> for LoadPhase {
    fn from(phase: Phase) -> Self {
        match phase {
            Phase::Open => Self::Open,
            Phase::Released => Self::Released,
            Phase::Done => Self::Done,
            Phase::Voided => Self::Voided,
        }
    }
}

/// How the provider has the load.
#[derive(Debug, Deserialize)]
struct Stands {
    load: String,
    amount: u64,
    currency: String,
    phase: Phase,
    last_attempt: u8,
    void_challenge: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Released {
    attempt: u8,
    #[serde(with = "hex::serde")]
    date_time: [u8; 7],
    #[serde(with = "hex::serde")]
    mac2: [u8; 4],
}

impl Link {
    /// Asks what moves no value, or reports what has happened: how the load stands, a void, the load TAC.
    ///
    /// # Errors
    /// [`ProviderFailure`] by name: it may have been done. Ask again.
    ///
    /// # Cancel safety
    /// One that is dropped may have been done; ask again.
    pub async fn ask_of_load(&self, ask: &LoadAsk) -> Result<LoadAnswer, ProviderFailure> {
        let order = &ask.order;
        let time = Duration::from_millis(self.limits.leg_ms);
        let (root, void) = (path(order, ""), path(order, "/void"));
        let tac = path(order, "/tac");
        let (doing, ask) = match &ask.what {
            LoadWhat::Show => ("asking how the load stands", Ask::get(&root, time)),
            LoadWhat::BeginVoid => ("beginning a void", Ask::command(&void, time)),
            LoadWhat::ProveVoid(said) => ("proving a void", Ask::put(&void, written(said), time)),
            LoadWhat::Confirm(proof) => {
                let body = json!({ "tac": hex::encode(proof) });
                ("proving the load", Ask::put(&tac, body, time))
            }
        };
        let mut leg = self.open(Purpose::Load, order.digest()).await?;
        let told = leg.line().ask::<Stands>(ask).await;
        let stands = told.map_err(|error| match error {
            // The leg is open for this number and amount, and the provider has no such load.
            AskError::Refused(told) if told.error == "NotAuthenticated" => {
                let text = "the provider knows no load of this number and amount; have it opened there first";
                failure::lasting("UnknownLoad", text)
            }
            error => failure::of(doing, &error),
        })?;
        let is_of = stands.load == order.id.to_string()
            && (stands.amount, stands.currency.as_str())
                == (order.amount.minor(), order.amount.currency().code());
        let challenge = stands.void_challenge.map(|digits| {
            let mut challenge = [0; 6];
            hex::decode_to_slice(digits, &mut challenge).map(|()| challenge)
        });
        match challenge.transpose() {
            Ok(void_challenge) if is_of => Ok(LoadAnswer::Standing {
                phase: stands.phase.into(),
                last_attempt: stands.last_attempt,
                void_challenge,
            }),
            Ok(_) | Err(_) => Err(bad_answer(doing)),
        }
    }

    /// Sends an attempt, and takes its MAC2 (S11, S12). From here on the card's value may be on its way.
    ///
    /// # Errors
    /// [`ProviderFailure`] by name: the provider may have released a MAC2. The same attempt may be sent again.
    ///
    /// # Cancel safety
    /// One that is dropped may have been answered; send it again.
    pub async fn attempt(&self, act: &SendAttempt) -> Result<LoadAnswer, ProviderFailure> {
        let doing = "sending an attempt to load";
        let path = path(&act.order, &format!("/attempts/{}", act.number));
        let mut leg = self.open(Purpose::Load, act.order.digest()).await?;
        let time = Duration::from_millis(self.limits.leg_ms);
        let told = leg
            .line()
            .ask::<Released>(Ask::put(&path, written(&act.said), time))
            .await;
        let released = told.map_err(|error| failure::of(doing, &error))?;
        if released.attempt != act.number {
            return Err(bad_answer(doing));
        }
        Ok(LoadAnswer::Mac2 {
            number: released.attempt,
            date_time: released.date_time,
            mac2: released.mac2,
        })
    }
}

fn path(order: &LoadOrder, rest: &str) -> String {
    format!("/v1/loads/{}{rest}", order.id)
}

fn bad_answer(doing: &str) -> ProviderFailure {
    let text = format!("{doing}: what the provider says of the load contradicts itself");
    failure::lasting(names::BAD_ANSWER, text)
}

/// What the card said, as the provider's contract writes it.
fn written(said: &CardSaid) -> Value {
    json!({
        "card": hex::encode(said.card), "terminal_number": hex::encode(said.terminal_number),
        "old_balance": said.old_balance, "online_sn": said.online_sn, "key_version": said.key_version,
        "algorithm": said.algorithm, "random": hex::encode(said.random), "mac1": hex::encode(said.mac1),
    })
}
