//! Sales in doubt go to the provider as queries (money rule C4).
//!
//! ```text
//!  Queried ──────────────────────────┐
//!  InDoubt ── ten minutes later ──► due ──► asked ─┬─► the signed answer is recorded: paid, or voided
//!                                    ▲             ├─► not known yet, or refused: due in an hour
//!                                    │             └─► no answer: all wait, longer and longer
//!                                    └─────────────────────┘
//! ```
//! Nothing of it is stored but the answer: after a restart whatever is open is asked about again, and the provider gives the same
//! answer. The card goes on being asked whenever it is presented, and whoever tells first decides. One query is out at a time, and
//! never one of a sale whose card is being served: that card is about to tell.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use purser_ledger::{
    Conclusion, Entry, Monotonic, Operation, OperationId, PaidProof, ProviderAnswer, SalePaid, SaleVoided,
    Scheme, SchemeBytes, Standing, VoidProof,
};
use purser_provider_link::{Query, QueryAnswer, QueryProof};
use purser_purse::pboc::{ClaimEvidence, DebitAnswer, Proof};

use crate::commits::Resolved;
use crate::sale::attempt_of;
use crate::settlement::ProviderFailure;
use crate::visit::card_id;
use crate::{CallId, Engine, Output};

/// How long a sale is in doubt before the provider is asked, in milliseconds: a buyer whose card was torn mostly still holds it, and
/// the card's own word is the better one.
const DOUBT_MS: u64 = 10 * 60_000;

/// When what the provider does not know yet is asked again, in milliseconds. Its proofs come with batches of others, a few a day,
/// and its operator's word at any time.
const AGAIN_MS: u64 = 60 * 60_000;

/// The lasting refusals that are about the terminal, and not about a sale.
const OF_THE_LINK: [&str; 5] = [
    "NoCertificate",
    "OtherRole",
    "Revoked",
    "Suspended",
    "UnknownCertificate",
];

/// When a sale is asked about again whose card was served when the answer came, in milliseconds.
const SERVED_AGAIN_MS: u64 = 60_000;

/// What the provider says to a query. Its signature has been checked by whoever says so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum QueryTold {
    /// Nothing proves an end yet.
    NotYet,
    /// The last word.
    Answered {
        /// The answer.
        answer: QueryAnswer,
        /// The provider's signature over its canonical bytes.
        signature: Vec<u8>,
    },
}

/// What is asked, and when.
#[derive(Debug, Default)]
pub(crate) struct Queries {
    /// The sales to ask about.
    waiting: BTreeMap<OperationId, Waiting>,
    /// The query that is out.
    call: Option<(CallId, OperationId)>,
    /// Nothing is asked before: the provider was not reached.
    pause_until: Option<Monotonic>,
    /// So often in a row.
    failures: u32,
}

#[derive(Clone, Copy, Debug)]
struct Waiting {
    due: Monotonic,
    /// The card cannot tell any more.
    is_queried: bool,
    was_asked: bool,
}

impl Engine {
    /// How many open sales are the provider's to tell: no card can tell of them, or they were in doubt for so long that it was asked.
    pub fn queries(&self) -> usize {
        let waiting = self.queries.waiting.values();
        waiting.filter(|it| it.is_queried || it.was_asked).count()
    }

    /// Asks about the sale that is due for the longest time.
    pub(crate) fn serve_queries(&mut self) {
        self.keep_queries();
        let now = self.now.monotonic;
        let is_paused = self.queries.pause_until.is_some_and(|at| at > now);
        if self.is_stopping || is_paused || self.queries.call.is_some() || self.config.provider.is_none() {
            return;
        }
        let due = self.queries.waiting.iter().filter(|(_, it)| it.due <= now);
        let free = due.filter(|(id, _)| !self.is_being_decided(**id));
        let Some(id) = free.min_by_key(|(id, it)| (it.due, **id)).map(|(id, _)| *id) else {
            return;
        };
        match self.open.get(&id).and_then(query) {
            Some(query) => {
                if let Some(waiting) = self.queries.waiting.get_mut(&id) {
                    waiting.was_asked = true;
                }
                let call = self.next_call();
                self.queries.call = Some((call, id));
                self.outputs.push_back(Output::QuerySale(call, query));
            }
            // Of an attempt that cannot be read there is nothing to ask.
            None => self.ask_later(id, now.after_ms(AGAIN_MS)),
        }
    }

    /// When a query is due, if nothing else comes before.
    pub(crate) fn query_timeout(&self) -> Option<Monotonic> {
        if self.is_stopping || self.queries.call.is_some() || self.config.provider.is_none() {
            return None;
        }
        let waiting = self.queries.waiting.iter();
        let free = waiting.filter(|(id, _)| !self.is_being_decided(**id));
        let due = free.map(|(_, it)| it.due).min()?;
        Some(self.queries.pause_until.map_or(due, |pause| pause.max(due)))
    }

    /// Keeps the list in step with the sales that are open.
    pub(crate) fn keep_queries(&mut self) {
        let Self {
            queries, open, now, ..
        } = self;
        queries.waiting.retain(|id, _| open.contains_key(id));
        for operation in open.values() {
            let (is_queried, due) = match operation.standing {
                Standing::Queried(_) => (true, now.monotonic),
                Standing::InDoubt(_) => (false, now.monotonic.after_ms(DOUBT_MS)),
                Standing::Intended | Standing::Closed(_) | Standing::Paid(_) | Standing::Voided(_) => {
                    continue;
                }
            };
            let new = Waiting {
                due,
                is_queried,
                was_asked: false,
            };
            let waiting = queries.waiting.entry(operation.id).or_insert(new);
            if is_queried && !waiting.is_queried {
                *waiting = new;
            }
        }
    }

    /// True while the sale's own card, or a commit, is about to tell its end.
    fn is_being_decided(&self, id: OperationId) -> bool {
        let card = self.open.get(&id).and_then(Operation::key).map(|key| &key.card);
        let is_here = |of: &purser_purse::pboc::CardFacts| Some(&card_id(of)) == card;
        let is_served = self
            .visits
            .values()
            .any(|visit| visit.card.as_ref().is_some_and(is_here));
        is_served || self.is_changing(id) || self.sale(id).is_some()
    }

    fn ask_later(&mut self, id: OperationId, due: Monotonic) {
        if let Some(waiting) = self.queries.waiting.get_mut(&id) {
            waiting.due = due;
        }
    }

    /// The link to the provider has answered a query. What has found its end meanwhile is not changed by it.
    pub(crate) fn handle_queried(
        &mut self,
        call: CallId,
        answered: Result<QueryTold, ProviderFailure>,
        random: [u8; 16],
    ) {
        let Some((_, id)) = self.queries.call.take_if(|(of, _)| *of == call) else {
            return;
        };
        let [a, b, c, d, ..] = random;
        let spread = u64::from(u32::from_be_bytes([a, b, c, d])) % (AGAIN_MS / 4);
        let again = self.now.monotonic.after_ms(AGAIN_MS.saturating_add(spread));
        match answered {
            Err(failure) if failure.is_transient => {
                let failures = self.queries.failures;
                self.queries.failures = failures.saturating_add(1);
                self.queries.pause_until = Some(self.ask_again_at(failures, true, random));
                // The others come before it then.
                return self.ask_later(id, self.now.monotonic.after_ms(1));
            }
            // Every other query would be refused so, too.
            Err(failure) if OF_THE_LINK.contains(&failure.name) => {
                self.queries.pause_until = Some(again);
                return self.ask_later(id, again);
            }
            Err(_) | Ok(QueryTold::NotYet) => self.ask_later(id, again),
            Ok(QueryTold::Answered { answer, signature }) => {
                if self.is_being_decided(id) {
                    self.ask_later(id, self.now.monotonic.after_ms(SERVED_AGAIN_MS));
                } else {
                    self.ask_later(id, again);
                    self.record_answer(id, &answer, signature);
                }
            }
        }
        self.queries.failures = 0;
        self.queries.pause_until = None;
    }

    fn record_answer(&mut self, id: OperationId, answer: &QueryAnswer, signature: Vec<u8>) {
        let Some(operation) = self.open.get(&id) else {
            return;
        };
        let is_of = query(operation).is_some_and(|query| answer.is_of(&query));
        if !is_of {
            return;
        }
        let entry = entry_for(operation, answer, signature);
        if let Some(entry) = entry.filter(|entry| operation.admits(entry)) {
            self.change_open(id, entry, Resolved::Tell);
        }
    }
}

/// What is asked about a sale: the same bytes at every time, but for the card's answer, which may come later. None where the journal's attempt cannot be read.
fn query(operation: &Operation) -> Option<Query> {
    let intended = operation.intended.as_ref()?;
    attempt_of(operation)?;
    Some(Query {
        operation: operation.id,
        key: intended.key.clone(),
        amount: operation.amount,
        sold_at: operation.opened_at,
        attempt: intended.attempt.clone(),
        answer: operation.unproven_answer.clone(),
    })
}

fn entry_for(operation: &Operation, answer: &QueryAnswer, signature: Vec<u8>) -> Option<Entry> {
    let amount = operation.amount;
    let word = Some(ProviderAnswer {
        document: answer.encode(),
        signature,
    });
    if !answer.proof.happened() {
        return Some(Entry::SaleVoided(SaleVoided {
            amount,
            proof: VoidProof::Provider,
            answer: word,
        }));
    }
    // The card's TAC goes along only where the provider has found it good: a wrong one would be a forged claim (money rule T3).
    let stored = operation.unproven_answer.as_ref();
    let stored = stored.filter(|_| answer.proof == QueryProof::CardAnswer);
    let of_card = stored.and_then(|bytes| DebitAnswer::decode(bytes.bytes()).ok());
    let evidence = ClaimEvidence::new(attempt_of(operation)?, of_card, Proof::Provider).ok()?;
    Some(Entry::SalePaid(SalePaid {
        amount,
        proof: PaidProof::Provider,
        evidence: SchemeBytes::new(Scheme::Pboc, evidence.encode())?,
        balance_after: None,
        refund_owed: operation.conclusion == Some(Conclusion::Abandoned),
        answer: word,
    }))
}
