//! One settlement on an open leg (S33, S34): announce, pages, permit, verdicts; or the void of the batch.
//!
//! The verdicts are asked for after the permit: what another batch has taken in between changes them until then, and the
//! permit's digest is over the last ones (money rule C2). A try that ends anywhere leaves the provider with a batch that the
//! next try finds by its number.

use std::time::Duration;

use purser_engine::ProviderFailure;
use purser_provider_link::call_back::Purpose;
use purser_provider_link::{Batch, BatchVoid, Digest, Item, Permit, Verdict};
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::failure::{self, names};
use super::identity::{Merchant, Pinned};
use super::key::{PUBLIC_KEY_BYTES, verifies};
use super::link::Link;
use super::wire::{Ask, AskError, Line, VERDICTS_BYTES_MAX};

/// The most items of one page (the provider's OpenAPI document).
pub const PAGE_ITEMS_MAX: u32 = 1_000;
/// What a page has beside the time of any message: the provider takes a body for so long on a slow line.
const PAGE_TIME: Duration = Duration::from_secs(20);
/// What a permit has for each item of its batch: the provider charges all of them in one commit.
const PERMIT_TIME_AN_ITEM: Duration = Duration::from_millis(2);

/// A verdict with the provider's signature, which has been verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedVerdict {
    /// What it says.
    pub verdict: Verdict,
    /// Its canonical bytes, over which the signature is.
    pub bytes: Vec<u8>,
    /// The provider's signature: ECDSA P-256 with SHA-256, in DER.
    pub signature: Vec<u8>,
}

/// What a settlement came to. Signatures are verified with the key that enrolment pinned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SettleAnswer {
    /// The permit of exactly this batch, for this terminal, from the pinned account. That it is what its verdicts come to
    /// is for the caller to check: each of them went to its sink.
    Permit {
        /// What it says.
        permit: Permit,
        /// The signature over [`Permit::encode`].
        signature: Vec<u8>,
    },
    /// The void of exactly this batch: there is no permit, and never will be (money rule B3).
    Void {
        /// What it says.
        void: BatchVoid,
        /// The signature over [`BatchVoid::encode`].
        signature: Vec<u8>,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Phase {
    Receiving,
    Received,
    Permitted,
    Voided,
}

/// How far the provider has the batch.
#[derive(Debug, Deserialize)]
struct Stands {
    batch: String,
    phase: Phase,
    received: u32,
    next_page: u32,
}

#[derive(Debug, Deserialize)]
struct Verdicts {
    verdicts: Vec<Signed>,
}

#[derive(Debug, Deserialize)]
struct Signed {
    #[serde(with = "hex::serde")]
    verdict: Vec<u8>,
    #[serde(with = "hex::serde")]
    signature: Vec<u8>,
}

#[derive(Debug, Deserialize)]
struct SignedPermit {
    #[serde(with = "hex::serde")]
    permit: Vec<u8>,
    #[serde(with = "hex::serde")]
    signature: Vec<u8>,
}

#[derive(Debug, Deserialize)]
struct SignedVoid {
    #[serde(with = "hex::serde")]
    void: Vec<u8>,
    #[serde(with = "hex::serde")]
    signature: Vec<u8>,
}

#[derive(Debug, Serialize)]
struct Page {
    items: Vec<String>,
}

impl Link {
    /// Has a sealed batch settled up to the permit: asks, is called back, proves itself, sends what the provider has not
    /// got yet, and takes the permit with its verdicts; or the void of the batch.
    ///
    /// `pages` gives the items from a place on, at least one and at most [`PAGE_ITEMS_MAX`], in their order. `verdicts` gets
    /// the final verdicts page by page, from place 0 on, without gaps; it is called anew from 0 in each try. Their own
    /// failures are handed through. Both may take their time: the provider waits two minutes.
    ///
    /// May be called again and again for one batch, also after another answer was lost: the provider knows it by its number,
    /// and a batch has one permit. Settlements wait for each other.
    ///
    /// # Errors
    /// [`ProviderFailure`] by name. The batch is as sealed as before: try again, sooner where it is transient.
    ///
    /// # Cancel safety
    /// One that is dropped leaves the batch as a lost line would.
    pub async fn settle<P, PF, V, VF>(
        &self,
        batch: &Batch,
        pages: P,
        verdicts: V,
    ) -> Result<SettleAnswer, ProviderFailure>
    where
        P: FnMut(u32) -> PF + Send,
        PF: Future<Output = Result<Vec<Item>, ProviderFailure>> + Send,
        V: FnMut(Vec<SignedVerdict>) -> VF + Send,
        VF: Future<Output = Result<(), ProviderFailure>> + Send,
    {
        let mut leg = self.open(Purpose::Settlement, batch.digest()).await?;
        self.settling(leg.line(), batch)?.settle(pages, verdicts).await
    }

    /// Has a sealed batch voided, that the provider has not permitted (money rule B3), also one that it never saw or does not
    /// take. The void carries the provider's signature and is of exactly this batch.
    ///
    /// # Errors
    /// [`ProviderFailure`] by name: the batch is as sealed as before. One that is permitted is not voided: settle it.
    ///
    /// # Cancel safety
    /// One that is dropped leaves the batch as a lost line would.
    pub async fn void(&self, batch: &Batch) -> Result<(BatchVoid, Vec<u8>), ProviderFailure> {
        let mut leg = self.open(Purpose::Settlement, batch.digest()).await?;
        self.settling(leg.line(), batch)?.void().await
    }

    fn settling<'a>(&'a self, line: &'a mut Line, batch: &'a Batch) -> Result<Settling<'a>, ProviderFailure> {
        let pinned = self.pinned();
        // The provider refuses a terminal of the other role before it opens a leg.
        let merchant = pinned.merchant().ok_or_else(|| {
            failure::lasting(
                "OtherRole",
                "this terminal is enrolled to load cards, and settles nothing",
            )
        })?;
        Ok(Settling {
            line,
            batch,
            digest: batch.digest(),
            pinned,
            merchant,
            time: Duration::from_millis(self.limits.leg_ms),
        })
    }
}

/// A settlement on a leg that is open for it.
struct Settling<'a> {
    line: &'a mut Line,
    batch: &'a Batch,
    digest: Digest,
    pinned: &'a Pinned,
    merchant: &'a Merchant,
    /// How long a message may take.
    time: Duration,
}

impl Settling<'_> {
    async fn settle<P, PF, V, VF>(&mut self, pages: P, verdicts: V) -> Result<SettleAnswer, ProviderFailure>
    where
        P: FnMut(u32) -> PF + Send,
        PF: Future<Output = Result<Vec<Item>, ProviderFailure>> + Send,
        V: FnMut(Vec<SignedVerdict>) -> VF + Send,
        VF: Future<Output = Result<(), ProviderFailure>> + Send,
    {
        let mut stands = self.announce().await?;
        if stands.phase == Phase::Receiving {
            self.send_pages(&mut stands, pages).await?;
        }
        if stands.phase == Phase::Voided {
            return self.voided().await;
        }
        let (permit, signature) = match self.permit().await? {
            Some(signed) => signed,
            // Voided since it was announced.
            None => return self.voided().await,
        };
        self.verdicts(stands.next_page, verdicts).await?;
        Ok(SettleAnswer::Permit { permit, signature })
    }

    fn path(&self, rest: &str) -> String {
        format!("/v1/batches/{}{rest}", self.batch.id)
    }

    async fn announce(&mut self) -> Result<Stands, ProviderFailure> {
        let path = self.path("");
        let body = json!({ "batch": hex::encode(self.batch.encode()) });
        let told = self.line.ask::<Stands>(Ask::put(&path, body, self.time)).await;
        let stands = told.map_err(|error| failure::of("announcing the batch", &error))?;
        let is_whole = stands.received == self.batch.count;
        let fits = match stands.phase {
            Phase::Receiving => stands.received < self.batch.count,
            Phase::Received | Phase::Permitted => is_whole,
            Phase::Voided => true,
        };
        // A page has an item at least.
        if stands.batch != self.batch.id.to_string() || !fits || stands.next_page > stands.received {
            let text = "announcing the batch: what the provider says of it contradicts itself";
            return Err(failure::lasting(names::BAD_ANSWER, text));
        }
        Ok(stands)
    }

    /// Sends the pages that are missing.
    async fn send_pages<P, PF>(&mut self, stands: &mut Stands, mut pages: P) -> Result<(), ProviderFailure>
    where
        P: FnMut(u32) -> PF + Send,
        PF: Future<Output = Result<Vec<Item>, ProviderFailure>> + Send,
    {
        while stands.received < self.batch.count {
            let items = pages(stands.received).await?;
            let missing = self.batch.count - stands.received;
            let count = u32::try_from(items.len()).unwrap_or(u32::MAX);
            if count == 0 || count > PAGE_ITEMS_MAX.min(missing) {
                let text = format!(
                    "{count} items from place {} of {}",
                    stands.received, self.batch.count
                );
                return Err(failure::lasting(names::NO_ITEMS, text));
            }
            let page = Page {
                items: items.iter().map(|it| hex::encode(it.encode())).collect(),
            };
            let body = serde_json::to_value(page).unwrap_or(Value::Null);
            let path = self.path(&format!("/pages/{}", stands.next_page));
            let ask = Ask::put(&path, body, self.time + PAGE_TIME).up_to(VERDICTS_BYTES_MAX);
            // The verdicts in the answer are provisional: the final ones are asked for after the permit.
            match self.line.ask::<IgnoredAny>(ask).await {
                Ok(IgnoredAny) => {}
                Err(AskError::Refused(told)) if told.error == "Voided" => {
                    stands.phase = Phase::Voided;
                    return Ok(());
                }
                Err(error) => return Err(failure::of("sending a page", &error)),
            }
            stands.received += count;
            stands.next_page += 1;
        }
        Ok(())
    }

    /// The permit, or none where the batch is void.
    async fn permit(&mut self) -> Result<Option<(Permit, Vec<u8>)>, ProviderFailure> {
        let path = self.path("/permit");
        let time = self.time + PERMIT_TIME_AN_ITEM * self.batch.count;
        let told = self.line.ask::<SignedPermit>(Ask::command(&path, time));
        let told = match told.await {
            Ok(told) => told,
            Err(AskError::Refused(told)) if told.error == "Voided" => return Ok(None),
            Err(error) => return Err(failure::of("asking for the permit", &error)),
        };
        let bad = |text: String| failure::lasting(names::BAD_PERMIT, text);
        if !verifies(&self.pinned.signing_key, &told.permit, &told.signature) {
            return Err(bad("the permit's signature is not the provider's".to_owned()));
        }
        let permit = Permit::decode(&told.permit).map_err(|error| bad(error.to_string()))?;
        let differs = |what: &str| Err(bad(format!("the permit is for another {what}")));
        if permit.batch != self.digest {
            return differs("batch");
        }
        if permit.presenter != self.pinned.terminal {
            return differs("terminal");
        }
        if permit.bank_terminal != self.merchant.bank_terminal {
            return differs("bank terminal id than the pinned one");
        }
        if permit.account != self.merchant.account {
            return differs("account than the pinned one");
        }
        Ok(Some((permit, told.signature)))
    }

    /// Takes the final verdicts, a page at a time.
    async fn verdicts<V, VF>(&mut self, pages: u32, mut sink: V) -> Result<(), ProviderFailure>
    where
        V: FnMut(Vec<SignedVerdict>) -> VF + Send,
        VF: Future<Output = Result<(), ProviderFailure>> + Send,
    {
        let mut place = 0;
        for number in 0..pages {
            let path = self.path(&format!("/verdicts/{number}"));
            let ask = Ask::get(&path, self.time).up_to(VERDICTS_BYTES_MAX);
            let told = self.line.ask::<Verdicts>(ask).await;
            let told = told.map_err(|error| failure::of("asking for the verdicts", &error))?;
            let (key, batch) = (self.pinned.signing_key, self.digest);
            // A thousand signatures take a tenth of a second, and payments go on meanwhile.
            let checked = tokio::task::spawn_blocking(move || check(&key, batch, place, told));
            let page = checked
                .await
                .map_err(|_| failure::transient(names::LINK_ENDED, "the link to the provider ends"))??;
            place += u32::try_from(page.len()).unwrap_or(u32::MAX);
            if place > self.batch.count {
                return Err(bad_verdict("there are more verdicts than items"));
            }
            sink(page).await?;
        }
        if place == self.batch.count {
            Ok(())
        } else {
            Err(bad_verdict("there are fewer verdicts than items"))
        }
    }

    async fn voided(&mut self) -> Result<SettleAnswer, ProviderFailure> {
        let (void, signature) = self.void().await?;
        Ok(SettleAnswer::Void { void, signature })
    }

    /// The void of a batch: asked for where the provider has none yet, the same one ever after.
    async fn void(&mut self) -> Result<(BatchVoid, Vec<u8>), ProviderFailure> {
        let path = self.path("/void");
        let body = json!({ "batch": hex::encode(self.batch.encode()) });
        let told = self.line.ask::<SignedVoid>(Ask::post(&path, body, self.time));
        let told = told
            .await
            .map_err(|error| failure::of("asking for the void", &error))?;
        let bad = |text: String| failure::lasting(names::BAD_VOID, text);
        if !verifies(&self.pinned.signing_key, &told.void, &told.signature) {
            return Err(bad("the void's signature is not the provider's".to_owned()));
        }
        let void = BatchVoid::decode(&told.void).map_err(|error| bad(error.to_string()))?;
        if (void.batch_id, void.batch) != (self.batch.id, self.digest) {
            return Err(bad("the void is of another batch".to_owned()));
        }
        Ok((void, told.signature))
    }
}

fn bad_verdict(text: &str) -> ProviderFailure {
    failure::lasting(names::BAD_VERDICT, text)
}

/// The verdicts of one page, from this place on.
fn check(
    key: &[u8; PUBLIC_KEY_BYTES],
    batch: Digest,
    first: u32,
    told: Verdicts,
) -> Result<Vec<SignedVerdict>, ProviderFailure> {
    let count = u32::try_from(told.verdicts.len()).unwrap_or(u32::MAX);
    if count == 0 || count > PAGE_ITEMS_MAX {
        return Err(bad_verdict(&format!("a page has {count} verdicts")));
    }
    let checked = (first..).zip(told.verdicts).map(|(place, signed)| {
        if !verifies(key, &signed.verdict, &signed.signature) {
            return Err(bad_verdict("a verdict's signature is not the provider's"));
        }
        let verdict = Verdict::decode(&signed.verdict).map_err(|error| bad_verdict(&error.to_string()))?;
        if verdict.batch != batch {
            return Err(bad_verdict("a verdict is of another batch"));
        }
        if verdict.place != place {
            return Err(bad_verdict(&format!(
                "the verdict on place {place} is of {}",
                verdict.place
            )));
        }
        Ok(SignedVerdict {
            verdict,
            bytes: signed.verdict,
            signature: signed.signature,
        })
    });
    checked.collect()
}
