//! The claims of one terminal and what the provider made of them, counted after every step.

use std::collections::BTreeMap;

use purser_engine::settlement::items::item;
use purser_ledger::{Account, BatchStanding, Currency, DebitKey, Operation, Settlement, Standing};
use purser_provider_link::{BatchId, Decision, Item, TerminalName};

use crate::provider::Provider;
use crate::store::SimStore;

/// A terminal and its provider.
pub(crate) struct Settled<'a> {
    pub(crate) store: &'a SimStore,
    pub(crate) provider: &'a Provider,
    pub(crate) terminal: TerminalName,
    pub(crate) currency: Currency,
}

/// What became of a claim, as the terminal's journal has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Disposition {
    Open,
    InBatch,
    Exchanged(BatchId),
}

impl Settled<'_> {
    /// What is wrong now, if something is.
    pub(crate) fn check(&self) -> Result<(), String> {
        let books = self.store.books();
        if !books.are_balanced() || self.store.recounted().as_ref() != Some(books) {
            return Err(format!("the books are not what the entries make: {books:?}"));
        }
        let dispositions = self.dispositions()?;
        self.check_balances(&dispositions)?;
        for settlement in self.store.settlements() {
            self.check_end(settlement)?;
        }
        self.check_paid_once(&dispositions)
    }

    /// Where each claim is: in one place.
    fn dispositions(&self) -> Result<BTreeMap<DebitKey, Disposition>, String> {
        let mut all = BTreeMap::new();
        for sale in self.store.operations() {
            if let (Standing::Paid(_), Some(key)) = (&sale.standing, sale.key()) {
                all.insert(key.clone(), Disposition::Open);
            }
        }
        for settlement in self.store.settlements() {
            let id = BatchId(*settlement.id.bytes());
            let disposition = match settlement.standing {
                BatchStanding::Sealed => Disposition::InBatch,
                BatchStanding::Exchanged(_) => Disposition::Exchanged(id),
                BatchStanding::Voided(_) => continue,
            };
            for item in self.items_of(settlement) {
                if let Item::Claim(claim) = item {
                    let before = all.insert(claim.key.clone(), disposition);
                    if before != Some(Disposition::Open) {
                        return Err(format!("{:?} is {disposition:?} and {before:?}", claim.key));
                    }
                }
            }
        }
        let after = self.store.next_after(self.currency);
        for sale in self.store.operations() {
            let is_behind = sale.paid_head.is_some_and(|head| head.number <= after);
            let disposition = sale.key().and_then(|key| all.get(key));
            if is_behind && matches!(disposition, Some(Disposition::Open | Disposition::InBatch)) {
                return Err(format!("{} was lost at an exchange", sale.reference));
            }
        }
        Ok(all)
    }

    fn items_of(&self, settlement: &Settlement) -> Vec<Item> {
        let sealed = &settlement.sealed;
        let (mut items, mut read_to) = (Vec::new(), sealed.after);
        loop {
            let page = self.store.settleable(settlement.currency(), read_to, sealed.upto);
            let Some(last) = page.last() else { return items };
            read_to = last.entry;
            let made = page
                .iter()
                .map(|it| item(it, sealed.after).expect("the store is whole"));
            items.extend(made.flatten());
        }
    }

    fn check_balances(&self, dispositions: &BTreeMap<DebitKey, Disposition>) -> Result<(), String> {
        let sum = |of: Disposition| -> u64 {
            let sales = self.store.operations().iter();
            let chosen = sales.filter(|sale| sale.key().and_then(|key| dispositions.get(key)) == Some(&of));
            chosen.map(|sale| sale.amount.minor()).sum()
        };
        let held = |account| self.store.books().balance(account, self.currency).minor();
        let told = [held(Account::Claims), held(Account::InBatch)];
        let counted = [sum(Disposition::Open), sum(Disposition::InBatch)];
        if told != counted {
            return Err(format!(
                "open and in batch are {told:?} in the books, and {counted:?} by the claims"
            ));
        }
        let exchanged = |part: fn(&purser_ledger::BatchExchanged) -> u64| -> u64 {
            let ends = self.store.settlements().iter().map(|it| &it.standing);
            let ends = ends.filter_map(|it| match it {
                BatchStanding::Exchanged(end) => Some(part(end)),
                BatchStanding::Sealed | BatchStanding::Voided(_) => None,
            });
            ends.sum()
        };
        let taken = exchanged(|end| end.refunds.amount.minor() + end.owe.amount.minor());
        let owed: u64 = self
            .store
            .operations()
            .iter()
            .filter_map(|sale| sale.refund_owed)
            .map(|owed| owed.minor())
            .sum();
        if held(Account::RefundsOwed) + taken != owed {
            return Err(format!("{owed} was owed to buyers, and {taken} is taken over"));
        }
        let permits = exchanged(|end| end.total.minor());
        if held(Account::Permits) != permits
            || held(Account::Held) != exchanged(|end| end.held.amount.minor())
        {
            return Err(format!(
                "the permits are worth {permits}, and the books say otherwise"
            ));
        }
        Ok(())
    }

    /// A batch ended here as it did at the provider.
    fn check_end(&self, settlement: &Settlement) -> Result<(), String> {
        let id = BatchId(*settlement.id.bytes());
        let kept = self.provider.batches.get(&id);
        let wrong = |what: &str| Err(format!("batch {id}: {what}"));
        let (permit, void) = match kept {
            Some(kept) => (kept.permit.as_ref(), kept.void),
            None => (None, None),
        };
        if permit.is_some() && void.is_some() {
            return wrong("it has a permit and a void");
        }
        match &settlement.standing {
            BatchStanding::Sealed => {}
            BatchStanding::Voided(end) => {
                if void.is_none_or(|void| void.encode() != end.void) {
                    return wrong("it is void here, and not at the provider");
                }
            }
            BatchStanding::Exchanged(end) => {
                if permit.is_none_or(|permit| permit.encode() != end.permit) {
                    return wrong("it was exchanged for a permit that the provider has not given");
                }
            }
        }
        Ok(())
    }

    /// What a permit pays is exchanged here at most once, and not open when the terminal has the permit.
    fn check_paid_once(&self, dispositions: &BTreeMap<DebitKey, Disposition>) -> Result<(), String> {
        let mut paid: BTreeMap<&DebitKey, BatchId> = BTreeMap::new();
        let own = self
            .provider
            .batches
            .iter()
            .filter(|(_, kept)| kept.batch.owner == self.terminal);
        for (id, kept) in own {
            for (item, decision) in self.provider.decisions(*id) {
                if !matches!(decision, Decision::Pay(_)) {
                    continue;
                }
                if let Some(other) = paid.insert(item.key(), *id) {
                    return Err(format!("{:?} is paid in {other} and {id}", item.key()));
                }
                // It is in the batch that pays it, sealed or exchanged: no other batch can have it.
                match dispositions.get(item.key()) {
                    Some(Disposition::InBatch) => {}
                    Some(Disposition::Exchanged(by)) if by == id => {}
                    other => {
                        let batch = kept.batch.id;
                        return Err(format!("{:?} is paid by {batch}, and {other:?} here", item.key()));
                    }
                }
            }
        }
        Ok(())
    }

    /// Everything is settled: no claim is left, and each is paid or held as the provider decided.
    pub(crate) fn check_all(&self, is_proven: impl Fn(&Operation) -> bool) -> Result<(), String> {
        self.check()?;
        for (key, disposition) in self.dispositions()? {
            let Disposition::Exchanged(id) = disposition else {
                return Err(format!("{key:?} is left {disposition:?}"));
            };
            let decided = self.provider.decisions(id).any(|(item, _)| *item.key() == key);
            if !decided {
                return Err(format!("{key:?} was exchanged without a decision"));
            }
        }
        for sale in self.store.operations() {
            let Some(key) = sale.key() else { continue };
            let is_charged = self.provider.charges.contains_key(key);
            let is_due = matches!(sale.standing, Standing::Paid(_)) && is_proven(sale);
            if is_charged != is_due {
                return Err(format!("{key:?} is charged at the provider: {is_charged}"));
            }
        }
        Ok(())
    }
}
