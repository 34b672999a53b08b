//! The machine: what is asked, counted, sealed, sent and exchanged.

use std::collections::BTreeSet;

use purser_ledger::{
    Amount, BatchSealed, Commit, Currency, Entry, JournalReceipt, Monotonic, OperationId, Owner, Part,
    Refused, Settlement, Snapshot,
};
use purser_provider_link::{Batch, BatchId};

use super::{
    BatchState, BatchTold, BatchView, CountBatch, Counted, Ending, ProviderFailure, RETRY_MS, RETRY_MS_MAX,
    SealedBatch, SendBatch, SettleAnswer, SettleRequest, Settling, State, WAITING_MAX,
};
use crate::{CallId, Engine, Output, Peer, Reply, RequestError, RequestId};

impl Engine {
    /// Goes on with every batch that the store holds as sealed.
    pub(crate) fn resume_settlements(&mut self, snapshot: &Snapshot) {
        self.batches = snapshot.batches.clone();
        for receipt in snapshot.receipts() {
            // The others are of loads.
            let Some(settlement) = self.batches.by_id(receipt.operation()).cloned() else {
                continue;
            };
            let currency = settlement.currency();
            let settling = Settling {
                id: settlement.id,
                owner: settlement.sealed.owner,
                state: State::Parked(settlement),
                sent: None,
                failures: 0,
                why: None,
                has_more: false,
            };
            self.settling.insert(currency, settling);
            self.sealed(currency, receipt);
        }
    }

    /// Begins to settle, or joins what is under way (S30).
    pub(crate) fn settle(
        &mut self,
        id: RequestId,
        peer: Peer,
        asked: Option<Currency>,
        operation: OperationId,
    ) -> Result<(), RequestError> {
        if !peer.operator {
            return Err(RequestError::NotOperator);
        }
        if self.is_stopping {
            return Err(RequestError::Stopping);
        }
        // A terminal that loads cards is enrolled too, and has no account to be paid from.
        if self
            .config
            .provider
            .as_ref()
            .is_none_or(|it| it.accounts.is_empty())
        {
            return Err(RequestError::ProviderNotConfigured);
        }
        // What a batch is counted over may be what is damaged. What is sealed goes on.
        if self.is_held {
            return Err(RequestError::Held);
        }
        if self.settle_requests.len() >= WAITING_MAX {
            return Err(RequestError::Changing);
        }
        let known = self.currencies();
        if asked.is_some_and(|asked| !known.contains(&asked)) {
            return Err(RequestError::CurrencyNotAccepted);
        }
        let chosen = known
            .into_iter()
            .filter(|currency| asked.is_none_or(|asked| asked == *currency));
        let currencies: Vec<Currency> = chosen.collect();
        for (currency, id) in currencies.iter().zip(numbers(operation)) {
            match self.settling.get(currency).map(|settling| &settling.state) {
                None => self.begin_settling(*currency, id, peer.owner),
                Some(State::Waiting(..)) => self.send_again(*currency),
                Some(_) => {}
            }
        }
        self.settle_requests.push(SettleRequest {
            id,
            currencies,
            failed: Vec::new(),
        });
        Ok(())
    }

    /// Asks the provider to void a batch that it has not permitted (money rule B3): its claims are free again, for a batch of
    /// another kind or for another provider.
    pub(crate) fn void_batch(
        &mut self,
        id: RequestId,
        peer: Peer,
        batch: OperationId,
    ) -> Result<(), RequestError> {
        if !peer.operator {
            return Err(RequestError::NotOperator);
        }
        if self.is_stopping {
            return Err(RequestError::Stopping);
        }
        let (currency, settling) = self
            .take_settling(|settling| settling.id == batch)
            .ok_or(RequestError::UnknownBatch)?;
        let (state, answer) = match settling.state {
            State::Waiting(_, sealed) => {
                let call = self.next_call();
                self.outputs.push_back(Output::Void(call, sealed.send.again()));
                (State::Sending(call, sealed), Ok(()))
            }
            parked @ State::Parked(_) => (parked, Err(RequestError::ProviderNotConfigured)),
            busy => (busy, Err(RequestError::Changing)),
        };
        let settling = Settling { state, ..settling };
        let view = BatchView::under_way(currency, &settling);
        self.put(currency, settling);
        answer?;
        self.reply(id, Ok(Reply::Settling(vec![view])));
        Ok(())
    }

    /// The currencies that are sold in, or have something to settle.
    fn currencies(&self) -> BTreeSet<Currency> {
        let sold = self.config.issuers.values().copied();
        let waiting = self.unsettled.currencies();
        sold.chain(waiting).chain(self.settling.keys().copied()).collect()
    }

    fn begin_settling(&mut self, currency: Currency, id: OperationId, owner: Owner) {
        let Some(enrolment) = self.config.provider.clone() else {
            return;
        };
        let call = self.next_call();
        let asked = CountBatch {
            id,
            currency,
            after: self.batches.next_after(currency),
            enrolment,
            sealed_at: self.present(),
        };
        self.outputs.push_back(Output::Count(call, asked));
        let settling = Settling {
            id,
            owner,
            state: State::Counting(call),
            sent: None,
            failures: 0,
            why: None,
            has_more: false,
        };
        self.settling.insert(currency, settling);
    }

    /// The journal's reader has counted. An answer to a call that nobody waits for any more changes nothing.
    pub(crate) fn handle_counted(&mut self, call: CallId, counted: Result<Option<Counted>, ProviderFailure>) {
        let waits = |settling: &Settling| matches!(settling.state, State::Counting(of) if of == call);
        let Some((currency, settling)) = self.take_settling(waits) else {
            return;
        };
        if self.is_stopping {
            return;
        }
        match counted {
            Ok(None) => {}
            Ok(Some(counted)) => match self.sealing(currency, &settling, counted) {
                Ok((commit, has_more)) => {
                    self.outputs.push_back(Output::Commit(commit.clone()));
                    let settling = Settling {
                        state: State::Sealing(commit),
                        has_more,
                        ..settling
                    };
                    self.put(currency, settling);
                }
                Err(failure) => self.not_sealed(currency, (settling.id, settling.owner), failure),
            },
            Err(failure) => self.not_sealed(currency, (settling.id, settling.owner), failure),
        }
    }

    /// The commit that seals what was counted.
    fn sealing(
        &mut self,
        currency: Currency,
        settling: &Settling,
        counted: Counted,
    ) -> Result<(Commit, bool), ProviderFailure> {
        let Counted {
            batch,
            upto,
            claims,
            has_more,
        } = counted;
        let enrolment = self.config.provider.as_ref();
        let is_ours = batch.id == BatchId(*settling.id.bytes())
            && batch.claimed.currency() == currency
            && enrolment.is_some_and(|it| it.terminal == batch.owner && it.provider == batch.provider);
        if !is_ours {
            return Err(ProviderFailure {
                name: "counted_other_batch",
                is_transient: false,
                text: "the batch that was counted is not the one that was asked for".to_owned(),
            });
        }
        let entry = Entry::BatchSealed(BatchSealed {
            owner: settling.owner,
            after: self.batches.next_after(currency),
            upto,
            count: batch.count,
            claims: Part {
                count: claims,
                amount: batch.claimed,
            },
            refunds: batch.refunds,
            batch: batch.encode(),
        });
        let at = self.stamp();
        let commit = Commit {
            operation: settling.id,
            step: 0,
            at,
            entry,
        };
        Ok((commit, has_more))
    }

    /// There is no batch after all: whoever waits for it is told why.
    fn not_sealed(
        &mut self,
        currency: Currency,
        (id, owner): (OperationId, Owner),
        failure: ProviderFailure,
    ) {
        let view = BatchView {
            id,
            owner,
            currency,
            state: BatchState::NotSealed,
            count: 0,
            sent: None,
            claims: Part::none(currency),
            refunds: Amount::zero(currency),
            total: None,
            held: None,
            entry: None,
            why: Some((failure.name, failure.text)),
        };
        self.outputs.push_back(Output::HintBatch(view.clone()));
        for request in &mut self.settle_requests {
            if request.currencies.contains(&currency) {
                request.failed.push(view.clone());
            }
        }
    }

    /// The seal is durable: the batch may be sent.
    fn sealed(&mut self, currency: Currency, receipt: JournalReceipt) {
        let Some(settling) = self.settling.remove(&currency) else {
            return;
        };
        let settlement = self.batches.under_way(currency).cloned();
        let settlement = settlement.expect("a batch that was sealed is under way");
        let parked = |name, text: &str| {
            let text = text.to_owned();
            Settling {
                state: State::Parked(settlement.clone()),
                why: Some(ProviderFailure {
                    name,
                    is_transient: false,
                    text,
                }),
                ..settling
            }
        };
        let Ok(batch) = Batch::decode(&settlement.sealed.batch) else {
            let text = "this version of Purser cannot read the batch; install the one that sealed it";
            return self.put(currency, parked("batch_unreadable", text));
        };
        let enrolment = self.config.provider.as_ref();
        if enrolment.is_none() {
            let text = "this terminal is not enrolled with a configured provider; see purserctl status";
            return self.put(currency, parked("provider_not_configured", text));
        }
        if enrolment.is_none_or(|it| it.terminal != batch.owner || it.provider != batch.provider) {
            let text = "the batch was sealed under another enrolment; only its provider can end it";
            return self.put(currency, parked("other_enrolment", text));
        }
        let digest = batch.digest();
        let (after, upto) = (settlement.sealed.after, settlement.sealed.upto);
        let sealed = SealedBatch {
            settlement: settlement.clone(),
            send: receipt.authorise(SendBatch { batch, after, upto }),
            digest,
        };
        let state = State::Waiting(None, sealed);
        self.settling.insert(currency, Settling { state, ..settling });
        self.send_again(currency);
    }

    /// Asks the provider, once more or for the first time.
    pub(super) fn send_again(&mut self, currency: Currency) {
        let Some(settling) = self.settling.remove(&currency) else {
            return;
        };
        let state = match settling.state {
            State::Waiting(_, sealed) if self.is_stopping => State::Waiting(None, sealed),
            State::Waiting(_, sealed) => {
                let call = self.next_call();
                self.outputs.push_back(Output::Settle(call, sealed.send.again()));
                State::Sending(call, sealed)
            }
            other => other,
        };
        let settling = Settling {
            state,
            sent: None,
            ..settling
        };
        self.put(currency, settling);
    }

    /// The provider has taken so many of a batch's items. Tells whoever listens, and nothing depends on it.
    pub(crate) fn handle_sent(&mut self, call: CallId, sent: u32) {
        let waits = |settling: &Settling| matches!(settling.state, State::Sending(of, _) if of == call);
        if let Some((currency, settling)) = self.take_settling(waits) {
            let sent = Some(sent);
            self.put(currency, Settling { sent, ..settling });
        }
    }

    /// The provider has answered, or not. An answer to a call that nobody waits for any more changes nothing: the batch is
    /// asked about again, and the provider gives the same answer.
    pub(crate) fn handle_settled(
        &mut self,
        call: CallId,
        answered: Result<SettleAnswer, ProviderFailure>,
        random: [u8; 16],
    ) {
        let waits = |settling: &Settling| matches!(settling.state, State::Sending(of, _) if of == call);
        let Some((currency, settling)) = self.take_settling(waits) else {
            return;
        };
        let State::Sending(_, sealed) = settling.state else {
            unreachable!("a batch that waits for an answer is being sent");
        };
        if self.is_stopping {
            let state = State::Waiting(None, sealed);
            self.settling.insert(currency, Settling { state, ..settling });
            return;
        }
        let settling = match answered.and_then(|answer| self.ending(&sealed, answer)) {
            Ok(entry) => {
                let commit = Commit {
                    operation: settling.id,
                    step: sealed.settlement.next_step,
                    at: self.stamp(),
                    entry,
                };
                self.outputs.push_back(Output::Commit(commit.clone()));
                let state = State::Exchanging(sealed, Ending { commit, random });
                Settling {
                    state,
                    failures: 0,
                    why: None,
                    ..settling
                }
            }
            Err(failure) => {
                let until = self.ask_again_at(settling.failures, failure.is_transient, random);
                Settling {
                    state: State::Waiting(Some(until), sealed),
                    failures: settling.failures.saturating_add(1),
                    why: Some(failure),
                    ..settling
                }
            }
        };
        self.put(currency, settling);
    }

    /// When to ask again: between half and all of a pause that doubles, so that terminals do not come together.
    pub(crate) fn ask_again_at(&self, failures: u32, is_transient: bool, random: [u8; 16]) -> Monotonic {
        let doubled = RETRY_MS.checked_shl(failures.min(16)).unwrap_or(RETRY_MS_MAX);
        let pause = if is_transient { doubled } else { RETRY_MS_MAX }.min(RETRY_MS_MAX);
        let [a, b, c, d, ..] = random;
        let spread = u64::from(u32::from_be_bytes([a, b, c, d])) % (pause / 2 + 1);
        self.now.monotonic.after_ms(pause / 2 + spread)
    }

    /// A commit of a settlement is durable. Gives the receipt back where it is no settlement's.
    pub(crate) fn handle_batch_committed(&mut self, receipt: JournalReceipt) -> Option<JournalReceipt> {
        let id = receipt.operation();
        let Some((currency, settling)) = self.take_settling(|settling| settling.id == id) else {
            return Some(receipt);
        };
        match settling.state {
            State::Sealing(commit) => {
                let content = commit.content();
                let settlement = Settlement::begin(&content, receipt.head())
                    .expect("the store took the entry by the same rules");
                self.batches.take(&settlement);
                self.unsettled.seal(settlement.sealed.claims);
                let state = State::Parked(settlement);
                self.settling.insert(currency, Settling { state, ..settling });
                self.sealed(currency, receipt);
            }
            State::Exchanging(sealed, ending) => {
                let mut settlement = sealed.settlement;
                settlement
                    .apply(&ending.commit.content(), receipt.head())
                    .expect("the store took the entry by the same rules");
                self.batches.take(&settlement);
                let is_exchanged = self.batches.next_after(currency) == settlement.sealed.upto;
                if is_exchanged {
                    self.unsettled.exchange(currency);
                } else {
                    self.unsettled.free(currency);
                }
                let view = BatchView::of(&settlement);
                let told = receipt.authorise(BatchTold { view });
                self.outputs.push_back(Output::TellBatch(told));
                if is_exchanged && settling.has_more && !self.is_stopping && !self.is_held {
                    self.begin_settling(currency, OperationId::new(ending.random), settling.owner);
                }
            }
            State::Counting(_) | State::Sending(..) | State::Waiting(..) | State::Parked(_) => {
                unreachable!("a receipt answers a commit that was sent");
            }
        }
        None
    }

    /// A commit of a settlement was refused; false where it was no settlement's.
    pub(crate) fn handle_batch_refused(&mut self, id: OperationId, refused: Refused) -> bool {
        let Some((currency, settling)) = self.take_settling(|settling| settling.id == id) else {
            return false;
        };
        let failure = ProviderFailure {
            name: "journal_refused",
            is_transient: refused.is_transient(),
            text: refused.to_string(),
        };
        match settling.state {
            State::Exchanging(sealed, ending) => {
                // The seal reserved room in the journal and in the books; whatever this is, the batch stays sealed.
                let until = self.ask_again_at(settling.failures, failure.is_transient, ending.random);
                let state = State::Waiting(Some(until), sealed);
                let settling = Settling {
                    state,
                    failures: settling.failures.saturating_add(1),
                    why: Some(failure),
                    ..settling
                };
                self.put(currency, settling);
            }
            State::Sealing(_) => self.not_sealed(currency, (id, settling.owner), failure),
            State::Counting(_) | State::Sending(..) | State::Waiting(..) | State::Parked(_) => {
                unreachable!("a refusal answers a commit that was sent");
            }
        }
        true
    }

    fn take_settling(&mut self, is_it: impl Fn(&Settling) -> bool) -> Option<(Currency, Settling)> {
        let found = self.settling.iter().find(|(_, settling)| is_it(settling));
        let currency = *found?.0;
        Some((currency, self.settling.remove(&currency)?))
    }

    /// Keeps a settlement in its new state, and tells whoever listens.
    fn put(&mut self, currency: Currency, settling: Settling) {
        let view = BatchView::under_way(currency, &settling);
        self.outputs.push_back(Output::HintBatch(view));
        self.settling.insert(currency, settling);
    }
}

/// A number for each currency's batch, from the one that came with the request: no two of a terminal's batches share one.
fn numbers(first: OperationId) -> impl Iterator<Item = OperationId> {
    (0..=u8::MAX).map(move |index| {
        let mut bytes = *first.bytes();
        bytes[15] ^= index;
        OperationId::new(bytes)
    })
}
