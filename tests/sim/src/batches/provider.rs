//! The provider of a settlement: its own rules, and as little around them as they need.

use std::collections::BTreeMap;

use purser_ledger::{Amount, DebitKey};
use purser_provider_link::{
    BankAccount, BankTerminalId, Batch, BatchId, BatchVoid, Decision, Digest, Item, Permit, PermitId, Seal,
    Sum, Verdict, VerdictsDigest, VoidReason,
};
use purser_provider_rules::Evidence;
use purser_provider_rules::batch::{BatchRecord, Page, Refusal};
use purser_provider_rules::judge::{self, Before, Charge, Charging, Facts, NumberOwner};

use super::Planted;

/// The provider's account that the terminal has pinned.
pub(super) const ACCOUNT: &[u8; 15] = b"001200310000042";

/// A permit is good for a day.
const PERMIT_SECONDS: i64 = 86_400;

/// What the provider keeps of one batch.
pub(super) struct Kept {
    pub(super) batch: Batch,
    record: BatchRecord,
    seal: Seal,
    /// By page: its content's digest, and its items with the last word on each.
    pages: Vec<(Digest, Vec<(Item, Verdict)>)>,
    pub(super) permit: Option<Permit>,
    pub(super) void: Option<BatchVoid>,
}

/// How the provider answers a request for the permit.
pub(super) enum Answer {
    Permit(Permit),
    Void(BatchVoid),
    /// This page is wanted next.
    Wants(u32),
}

pub(super) struct Provider {
    pub(super) batches: BTreeMap<BatchId, Kept>,
    pub(super) charges: BTreeMap<DebitKey, Charge>,
    /// What the merchant owes, also by its other terminals.
    pub(super) debt: Amount,
    permits: u8,
    planted: Planted,
}

impl Provider {
    pub(super) fn new(debt: Amount, planted: Planted) -> Self {
        Self {
            batches: BTreeMap::new(),
            charges: BTreeMap::new(),
            debt,
            permits: 0,
            planted,
        }
    }

    /// A batch is announced, for the first time or again.
    pub(super) fn announce(&mut self, batch: &Batch) -> Answer {
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
    pub(super) fn page(&mut self, id: BatchId, number: u32, items: &[Item]) {
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
            let decision = match item {
                Item::Claim(claim) => {
                    let before = match charge {
                        _ if earlier.contains(&item.key()) => Before::InThisBatch(evidence(item)),
                        Some(charge) => Before::Charged(*charge),
                        None => Before::Nothing,
                    };
                    judge::claim(claim, &facts(item, before))
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
    pub(super) fn permit(&mut self, id: BatchId, now_unix_seconds: i64) -> Answer {
        let Some(kept) = self.batches.get(&id) else {
            return Answer::Wants(0);
        };
        let number = PermitId([self.permits; 16]);
        match (kept.record.permit(number), &kept.permit, kept.void) {
            (Ok(record), _, _) => {
                self.permits += 1;
                Answer::Permit(self.charge(id, number, record, now_unix_seconds))
            }
            (Err(Refusal::Permitted(_)), Some(permit), _) => Answer::Permit(permit.clone()),
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
        let kept = self.batches.get_mut(&id).expect("it has a permit");
        let digest = kept.batch.digest();
        let mut sum = Sum::begin(self.debt);
        let mut verdicts = VerdictsDigest::begin(digest);
        for (item, verdict) in kept.pages.iter_mut().flat_map(|(_, page)| page) {
            let now = self.charges.get(item.key());
            let place = (digest, verdict.place);
            match judge::charge(item, verdict.decision, evidence(item), place, now) {
                Charging::Store(charge) => {
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
        permit
    }

    /// The last word on each item of a page.
    pub(super) fn verdicts(&self, id: BatchId, number: usize) -> Vec<Verdict> {
        let page = self.batches.get(&id).and_then(|kept| kept.pages.get(number));
        let verdicts = page.into_iter().flat_map(|(_, page)| page);
        verdicts.map(|(_, verdict)| *verdict).collect()
    }

    /// Every decision on a claim of a batch that has its permit.
    pub(super) fn decisions(&self, id: BatchId) -> impl Iterator<Item = (&Item, Decision)> {
        let permitted = self.batches.get(&id).filter(|kept| kept.permit.is_some());
        let pages = permitted.into_iter().flat_map(|kept| &kept.pages);
        pages
            .flat_map(|(_, page)| page)
            .map(|(item, verdict)| (item, verdict.decision))
    }

    /// An operator of the provider gives a batch up. One that has its permit keeps it.
    pub(super) fn give_up(&mut self, id: BatchId) {
        let Some(kept) = self.batches.get_mut(&id) else {
            return;
        };
        match kept.record.void(VoidReason::TerminalSuspended) {
            Ok(record) => kept.record = record,
            Err(_) if self.planted == Planted::VoidAfterPermit => {}
            Err(_) => return,
        }
        kept.void.get_or_insert(BatchVoid {
            batch_id: id,
            batch: kept.batch.digest(),
            reason: VoidReason::TerminalSuspended,
        });
    }
}

fn evidence(item: &Item) -> Digest {
    let sn = item.key().terminal_sn.to_be_bytes();
    let mut digest = [0; 32];
    digest[..4].copy_from_slice(&sn);
    Digest(digest)
}

fn facts(item: &Item, before: Before) -> Facts {
    let currency = match item {
        Item::Claim(claim) => claim.amount.currency(),
        Item::LateRefund(late) => late.amount.currency(),
    };
    Facts {
        // Every fifth debit's evidence is not the card's.
        evidence: if item.key().terminal_sn % 5 == 4 {
            Evidence::Invalid
        } else {
            Evidence::Valid
        },
        evidence_digest: evidence(item),
        card_currency: Some(currency),
        number_owner: NumberOwner::BatchOwner,
        is_reconciled: true,
        is_software_sam_forbidden: false,
        is_hot_listed: false,
        before,
    }
}
