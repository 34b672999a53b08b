//! Batches at the provider.

use purser_ledger::{Amount, DebitKey};
use purser_provider_link::{
    BankAccount, BankTerminalId, Batch, BatchId, BatchVoid, Claim, Decision, Digest, Item, Permit, PermitId,
    Seal, Sum, TerminalName, Verdict, VerdictsDigest, VoidReason,
};
use purser_provider_rules::batch::{BatchRecord, Page, Refusal};
use purser_provider_rules::books::{Account, permitted};
use purser_provider_rules::judge::{self, Before, Charging, Facts, NumberOwner};

use super::{Given, Issuer, Provider};
use crate::flaw::Flaw;
use crate::kit::ACCOUNT;

/// A permit is good for a day.
const PERMIT_SECONDS: i64 = 86_400;

/// What the provider keeps of one batch.
pub(crate) struct Kept {
    pub(crate) batch: Batch,
    record: BatchRecord,
    seal: Seal,
    /// By page: its content's digest, and its items with the last word on each.
    pages: Vec<(Digest, Vec<(Item, Verdict)>)>,
    pub(crate) permit: Option<Permit>,
    pub(crate) void: Option<BatchVoid>,
}

/// How the provider answers a request for the permit.
pub(crate) enum Answer {
    Permit(Permit),
    Void(BatchVoid),
    /// This page is wanted next.
    Wants(u32),
}

impl Provider {
    /// A batch is announced, for the first time or again.
    pub(crate) fn announce(&mut self, batch: &Batch) -> Answer {
        let existing = self.batches.get(&batch.id).map(|kept| &kept.record);
        let record = BatchRecord::announce(existing, batch).expect("a number has one batch");
        let currency = batch.claimed.currency();
        let kept = self.batches.entry(batch.id).or_insert_with(|| Kept {
            batch: batch.clone(),
            record,
            seal: Seal::begin(batch.id, currency),
            pages: Vec::new(),
            permit: None,
            void: None,
        });
        match kept.void {
            Some(void) => Answer::Void(void),
            None => Answer::Wants(kept.record.next_page()),
        }
    }

    /// A page comes, perhaps again, perhaps late.
    pub(crate) fn page(&mut self, id: BatchId, number: u32, items: &[Item]) {
        let Some(kept) = self.batches.get(&id) else { return };
        let mut seal = kept.seal.clone();
        let mut content = Seal::begin(id, kept.batch.claimed.currency());
        for item in items {
            content.add(item).expect("a page is small");
            // Of a page that came before this counts too much, and is not kept.
            seal.add(item).expect("the batch was sealed");
        }
        let known = usize::try_from(number)
            .ok()
            .and_then(|number| kept.pages.get(number));
        let known = known.map(|(content, _)| *content);
        let count = u32::try_from(items.len()).expect("a page is small");
        let digest = content.items();
        match kept.record.page(number, known, digest, count, seal.items()) {
            Ok(Page::Next { first_place, record }) => {
                let verdicts = self.judge(id, first_place, items);
                let kept = self.batches.get_mut(&id).expect("it was just there");
                kept.pages
                    .push((digest, items.iter().cloned().zip(verdicts).collect()));
                kept.record = record;
                kept.seal = seal;
            }
            Ok(Page::Repeat) => {}
            Err(Refusal::PageSkipped(_) | Refusal::Voided(_) | Refusal::Permitted(_)) => {}
            Err(refused) => unreachable!("an honest terminal is told {refused}"),
        }
    }

    fn judge(&self, id: BatchId, first_place: u32, items: &[Item]) -> Vec<Verdict> {
        let kept = &self.batches[&id];
        let batch = kept.batch.digest();
        let earlier: Vec<&DebitKey> = kept
            .pages
            .iter()
            .flat_map(|(_, page)| page)
            .map(|(it, _)| it.key())
            .collect();
        let judged = (first_place..).zip(items).map(|(place, item)| {
            let charge = self.charges.get(item.key());
            let owner = &kept.batch.owner;
            let decision = match item {
                Item::Claim(claim) => {
                    let before = match charge {
                        _ if earlier.contains(&item.key()) => Before::InThisBatch(evidence_digest(item)),
                        Some(charge) => Before::Charged(*charge),
                        None => Before::Nothing,
                    };
                    judge::claim(claim, &self.facts(owner, claim, before))
                }
                Item::LateRefund(late) => judge::refund(late, charge),
            };
            Verdict {
                batch,
                place,
                item: item.digest(),
                revision: 0,
                decision,
            }
        });
        judged.collect()
    }

    /// The permit is asked for: given, given again, or refused.
    pub(crate) fn permit(&mut self, id: BatchId, now_unix_seconds: i64) -> Answer {
        let Some(kept) = self.batches.get(&id) else {
            return Answer::Wants(0);
        };
        let number = PermitId([u8::try_from(self.given.len()).unwrap_or(u8::MAX); 16]);
        match (kept.record.permit(number), &kept.permit, kept.void) {
            (Ok(record), _, _) => Answer::Permit(self.charge(id, number, record, now_unix_seconds)),
            (Err(Refusal::Permitted(_)), Some(permit), _) => {
                let mut permit = permit.clone();
                if self.flaw == Flaw::ProviderPaysAgain {
                    permit.id = number;
                    self.gives(&permit, id);
                }
                Answer::Permit(permit)
            }
            (Err(Refusal::Voided(_)), _, Some(void)) => Answer::Void(void),
            (Err(_), _, _) => Answer::Wants(kept.record.next_page()),
        }
    }

    /// The commit of a permit: charges, debt, batch and permit together.
    fn charge(
        &mut self,
        id: BatchId,
        number: PermitId,
        record: BatchRecord,
        now_unix_seconds: i64,
    ) -> Permit {
        let mut kept = self.batches.remove(&id).expect("it has a permit");
        let digest = kept.batch.digest();
        let mut sum = Sum::begin(self.debt);
        let mut verdicts = VerdictsDigest::begin(digest);
        let mut refunded = Amount::zero(self.debt.currency());
        for (item, verdict) in kept.pages.iter_mut().flat_map(|(_, page)| page) {
            let now = self.charges.get(item.key());
            let place = (digest, verdict.place);
            match judge::charge(item, verdict.decision, evidence_digest(item), place, now) {
                Charging::Store(charge) => {
                    if let Item::Claim(claim) = item {
                        refunded = refunded.checked_add(charge.refunded).expect("it is small");
                        let card = &claim.key.card;
                        let (shadow, transfers) = self.shadow(card).claim(charge.amount, Account::Permits);
                        self.shadows.insert(card.clone(), shadow);
                        self.book(&transfers);
                    }
                    self.charges.insert(item.key().clone(), charge);
                }
                Charging::Again(decision) => {
                    verdict.revision += 1;
                    verdict.decision = decision;
                }
                Charging::Nothing => {}
            }
            sum = sum.with(verdict.decision).expect("the amounts are small");
            verdicts = verdicts.with(verdict);
        }
        self.book(&permitted(&sum, refunded));
        self.debt = sum.debt_after;
        let permit = Permit {
            id: number,
            generation: 1,
            batch: digest,
            verdicts: verdicts.digest(),
            sum,
            presenter: kept.batch.owner.clone(),
            bank_terminal: BankTerminalId::new(*b"00000001").expect("eight characters"),
            account: BankAccount::new(*ACCOUNT).expect("fifteen digits"),
            expires_unix_seconds: now_unix_seconds + PERMIT_SECONDS,
            sealed_token: vec![1; if sum.total.is_zero() { 0 } else { 16 }],
        };
        kept.record = record;
        kept.permit = Some(permit.clone());
        self.batches.insert(id, kept);
        self.gives(&permit, id);
        permit
    }

    fn gives(&mut self, permit: &Permit, batch: BatchId) {
        self.given.push(Given {
            permit: permit.id,
            batch,
            total: permit.sum.total,
        });
    }

    /// The last word on each item of a page.
    pub(crate) fn verdicts(&self, id: BatchId, number: usize) -> Vec<Verdict> {
        let page = self.batches.get(&id).and_then(|kept| kept.pages.get(number));
        let verdicts = page.into_iter().flat_map(|(_, page)| page);
        verdicts.map(|(_, verdict)| *verdict).collect()
    }

    /// Every decision on a claim of a batch that has its permit.
    pub(crate) fn decisions(&self, id: BatchId) -> impl Iterator<Item = (&Item, Decision)> {
        let permitted = self.batches.get(&id).filter(|kept| kept.permit.is_some());
        let pages = permitted.into_iter().flat_map(|kept| &kept.pages);
        pages
            .flat_map(|(_, page)| page)
            .map(|(item, verdict)| (item, verdict.decision))
    }

    /// An operator of the provider gives a batch up. One that has its permit keeps it.
    pub(crate) fn give_up(&mut self, id: BatchId) {
        let Some(kept) = self.batches.get_mut(&id) else {
            return;
        };
        match kept.record.void(VoidReason::TerminalSuspended) {
            Ok(record) => kept.record = record,
            Err(_) if self.flaw == Flaw::ProviderVoidsPermitted => {}
            Err(_) => return,
        }
        kept.void.get_or_insert(BatchVoid {
            batch_id: id,
            batch: kept.batch.digest(),
            reason: VoidReason::TerminalSuspended,
        });
    }
}

/// Of the evidence alone, so that two claims with the same evidence are the same debit. Not a digest that withstands anybody.
fn evidence_digest(item: &Item) -> Digest {
    let mut digest = [0; 32];
    let (key, evidence) = match item {
        Item::Claim(claim) => (&claim.key, claim.evidence.bytes()),
        Item::LateRefund(late) => (&late.key, &[][..]),
    };
    digest[..4].copy_from_slice(&key.terminal_sn.to_be_bytes());
    for (index, byte) in evidence.iter().enumerate() {
        let mixed = &mut digest[4 + index % 28];
        *mixed = mixed.rotate_left(3) ^ byte;
    }
    Digest(digest)
}

impl Provider {
    fn facts(&self, owner: &TerminalName, claim: &Claim, before: Before) -> Facts {
        let is_issued = self.cards.contains_key(claim.key.card.serial());
        let currency = match self.issuer {
            Issuer::FifthIsForged => Some(claim.amount.currency()),
            Issuer::Keys(_) => is_issued.then(|| self.debt.currency()),
        };
        let number = self.terminals.get(owner);
        Facts {
            evidence: self.evidence(claim),
            evidence_digest: evidence_digest(&Item::Claim(claim.clone())),
            card_currency: currency,
            number_owner: if number.is_none_or(|number| *number == claim.key.terminal_number) {
                NumberOwner::BatchOwner
            } else {
                NumberOwner::Other
            },
            is_reconciled: true,
            is_software_sam_forbidden: false,
            is_hot_listed: false,
            before,
        }
    }
}
