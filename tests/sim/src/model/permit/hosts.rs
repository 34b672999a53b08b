//! The hosts of a settlement: the provider with its real rules, the bank as a model.

use purser_provider_link::{Digest, Item, VoidReason};
use purser_provider_rules::Evidence;
use purser_provider_rules::batch::{BatchRecord, Page, Refusal};
use purser_provider_rules::books::{self, Account};
use purser_provider_rules::judge::{self, Before, Charging, Facts, NumberOwner};
use purser_provider_rules::permit::{BankSays, Payment, PermitRecord};

use super::{
    CLAIMS, GENERATIONS_MAX, Journal, Message, PRICES, Settlement, State, currency, evidence_digest, item,
    permit_id, sealed, small, yen,
};
use crate::model::Planted;

impl Settlement {
    pub(super) fn page(&self, state: &mut State, batch: usize, number: usize) {
        let (sealed, after) = sealed(batch);
        let Ok(record) = BatchRecord::announce(state.batches[batch].as_ref(), &sealed) else {
            return;
        };
        let content = Digest([small(number); 32]);
        let known = (small::<u32>(number) < record.next_page()).then_some(content);
        let Ok(Page::Next { record, .. }) = record.page(small(number), known, content, 1, after[number])
        else {
            return;
        };
        let debit = CLAIMS[batch][number];
        let Item::Claim(claim) = item(debit) else {
            return;
        };
        let charge = state.charges.get(&claim.key);
        let facts = Facts {
            evidence: Evidence::Valid,
            evidence_digest: evidence_digest(debit),
            card_currency: Some(currency()),
            number_owner: NumberOwner::BatchOwner,
            is_reconciled: true,
            is_software_sam_forbidden: false,
            is_hot_listed: false,
            before: charge.map_or(Before::Nothing, |it| Before::Charged(*it)),
        };
        state.verdicts[batch].push(judge::claim(&claim, &facts));
        state.batches[batch] = Some(record);
    }

    /// The commit of the permit: charges, books, batch and permit together.
    pub(super) fn permit(&self, state: &mut State, batch: usize) {
        let Some(record) = state.batches[batch].clone() else {
            return;
        };
        match record.permit(permit_id(batch)) {
            Ok(record) => state.batches[batch] = Some(record),
            Err(Refusal::Permitted(_)) => {
                let generation = state.permits[batch].as_ref().map_or(1, PermitRecord::generation);
                state.send(Message::Permit { batch, generation });
                return;
            }
            Err(_) => return,
        }
        let digest = sealed(batch).0.digest();
        for (place, debit) in CLAIMS[batch].iter().enumerate() {
            let item = item(*debit);
            let told = state.verdicts[batch][place];
            let mut now = state.charges.get(item.key());
            if self.planted == Planted::ChargedAtVerdict {
                now = None;
            }
            match judge::charge(&item, told, evidence_digest(*debit), (digest, small(place)), now) {
                Charging::Store(charge) => {
                    state.charges.insert(item.key().clone(), charge);
                    state.totals[batch] += PRICES[*debit];
                    let (shadow, moves) = state.shadow.claim(charge.amount, Account::Permits);
                    state.shadow = shadow;
                    state.books = state.books.after(&moves).expect("a claim fits into the books");
                }
                Charging::Again(decision) => state.verdicts[batch][place] = decision,
                Charging::Nothing => {}
            }
        }
        let permit = PermitRecord::new(permit_id(batch), yen(state.totals[batch]));
        state.permits[batch] = Some(permit);
        state.send(Message::Permit { batch, generation: 1 });
    }

    pub(super) fn void(&self, state: &mut State, batch: usize) {
        let (sealed, _) = sealed(batch);
        let Ok(record) = BatchRecord::announce(state.batches[batch].as_ref(), &sealed) else {
            return;
        };
        match record.void(VoidReason::AskedByTerminal) {
            Ok(record) => {
                state.batches[batch] = Some(record);
                state.send(Message::Void(batch));
            }
            Err(_) if self.planted == Planted::VoidAfterPermit => state.send(Message::Void(batch)),
            Err(_) => {}
        }
    }

    pub(super) fn revoke(&self, state: &mut State, batch: usize) {
        let Some(Ok(record)) = state.permits[batch].as_ref().map(PermitRecord::revoke) else {
            return;
        };
        if state.journal[batch] == Journal::Broken && record.generation() < GENERATIONS_MAX {
            let generation = record.generation();
            state.permits[batch] = Some(record);
            state.send(Message::Revoke { batch, generation });
        }
    }

    pub(super) fn issue_again(&self, state: &mut State, batch: usize) {
        let Some(mut record) = state.permits[batch].clone() else {
            return;
        };
        if record.generation() >= GENERATIONS_MAX {
            return;
        }
        if self.planted == Planted::IssuedAgainOnExpiry {
            let assumed = record
                .revoke()
                .and_then(|it| it.bank_says(it.generation(), BankSays::Unusable));
            record = assumed.unwrap_or(record);
        }
        if let Ok(record) = record.issue_again() {
            let generation = record.generation();
            state.permits[batch] = Some(record);
            state.send(Message::Permit { batch, generation });
        }
    }

    pub(super) fn bank_pays(&self, state: &mut State, batch: usize, generation: u32, stan: u8) {
        let is_reversed =
            state.bank.reversed.contains(&(batch, generation, stan)) && self.planted != Planted::NoTombstone;
        if is_reversed || state.bank.unusable.contains(&(batch, generation)) {
            return;
        }
        let by = *state.bank.paid.entry((batch, generation)).or_insert(stan);
        if by == stan || self.planted == Planted::PresentedTwice {
            state.send(Message::Approved {
                batch,
                generation,
                stan,
            });
        }
    }

    pub(super) fn bank_reverses(&self, state: &mut State, batch: usize, generation: u32, stan: u8) {
        let is_paid_by_it = state.bank.paid.get(&(batch, generation)) == Some(&stan);
        if is_paid_by_it && state.bank.stated.contains(&batch) {
            state.send(Message::ReversalRefused {
                batch,
                generation,
                stan,
            });
            return;
        }
        if is_paid_by_it {
            state.bank.paid.remove(&(batch, generation));
        }
        state.bank.reversed.insert((batch, generation, stan));
        state.send(Message::Reversed {
            batch,
            generation,
            stan,
        });
    }
}

pub(super) fn bank_revokes(state: &mut State, batch: usize, generation: u32) {
    if state.bank.paid.contains_key(&(batch, generation)) {
        state.send(Message::PaidAlready { batch, generation });
    } else {
        state.bank.unusable.insert((batch, generation));
        state.send(Message::Unusable { batch, generation });
    }
}

pub(super) fn bank_said(state: &mut State, batch: usize, generation: u32, says: BankSays) {
    if let Some(Ok(record)) = state.permits[batch]
        .as_ref()
        .map(|it| it.bank_says(generation, says))
    {
        state.permits[batch] = Some(record);
    }
}

pub(super) fn matched(state: &mut State, batch: usize, stan: u8, is_report: bool) {
    let Some(record) = &state.permits[batch] else {
        return;
    };
    let payment = Payment {
        reference: format!("{stan}"),
        amount: yen(state.totals[batch]),
    };
    let was = record.phase();
    let (record, _) = if is_report {
        record.reported(payment)
    } else {
        record.stated(payment)
    };
    if record.phase() != was {
        let redeemed = books::redeemed(yen(state.totals[batch]));
        state.books = state
            .books
            .after(&[redeemed])
            .expect("a permit is in the books once");
    }
    state.permits[batch] = Some(record);
}
