//! Claims presented again: only what an exchanged batch left unpaid, and the books hold whatever becomes of it.

mod common;

use common::{OWNER, at, currency, head, in_doubt, intended, operation, paid, yen};
use proptest::prelude::*;
use purser_ledger::{
    Account, AnyOperation, BatchExchanged, BatchSealed, BatchVoided, Batches, Books, Commit, Conclusion,
    Content, Entry, Existing, FoldError, Operation, OperationId, Part, Refused, SaleConcluded,
    SalePresentedAgain, Settlement, admit,
};

/// What each sale costs.
const PRICE: u64 = 300;

fn again(minor: u64) -> Entry {
    Entry::SalePresentedAgain(SalePresentedAgain { amount: yen(minor) })
}

#[test]
fn only_a_paid_sale_is_presented_again_and_over_its_own_amount() {
    let sale = operation(&[intended(), paid(false)]);
    assert_eq!(sale.claim_entry, Some(2));
    assert!(sale.admits(&again(PRICE)) && !sale.admits(&again(PRICE - 1)));
    let open = [
        operation(&[common::closed()]),
        operation(&[intended()]),
        operation(&[intended(), in_doubt()]),
        operation(&[intended(), common::voided()]),
    ];
    for other in open {
        assert!(!other.admits(&again(PRICE)), "{:?}", other.standing);
    }
    let twice = operation(&[intended(), paid(false), again(PRICE), again(PRICE)]);
    assert_eq!((twice.claim_entry, twice.paid_head), (Some(4), Some(head(2))));
    let first = Operation::begin(&common::content(0, again(PRICE)), head(1));
    assert_eq!(first, Err(FoldError::NotOpened));
}

#[test]
fn a_sale_that_was_refused_again_and_again_can_still_be_abandoned() {
    let mut sale = operation(&[intended(), in_doubt(), paid(false)]);
    let mut presented = 0;
    while sale.admits(&again(PRICE)) {
        let content = common::content(sale.next_step, again(PRICE));
        sale.apply(&content, head(10 + presented)).expect("it follows");
        presented += 1;
    }
    assert!((100..250).contains(&presented), "{presented}");
    let owed = common::concluded(Conclusion::Abandoned, Some(yen(PRICE)));
    assert!(sale.admits(&owed));
}

#[test]
fn the_stored_form_never_changes() {
    let stored = String::from_utf8(common::content(2, again(PRICE)).encode()).expect("JSON");
    assert_eq!(
        stored,
        r#"{"v":1,"operation":"11111111111111111111111111111111","step":2,"at":{"unix_seconds":1800000000,"utc_offset_seconds":32400,"trusted":true},"entry":{"kind":"sale_presented_again","amount":{"minor":300,"currency":"JPY"}}}"#
    );
    let content = Content::decode(stored.as_bytes()).expect("it decodes");
    assert_eq!(content.entry, again(PRICE));
}

/// Where a claim is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    Open,
    InBatch,
    Held,
    Paid,
}

struct Sold {
    sale: Operation,
    at: At,
    /// The entry at which its refund became owed.
    refund_entry: Option<u64>,
    /// Whether the provider owes the refund.
    is_taken_over: bool,
}

/// A journal of one currency, and what each of its claims has come to.
#[derive(Default)]
struct World {
    sold: Vec<Sold>,
    batch: Option<(Settlement, Vec<usize>, Vec<usize>)>,
    batches: Batches,
    books: Books,
    number: u64,
    ids: u8,
}

impl World {
    fn take(
        &mut self,
        known: Option<AnyOperation>,
        id: OperationId,
        entry: Entry,
    ) -> Result<AnyOperation, Refused> {
        let step = known.as_ref().map_or(0, |known| match known {
            AnyOperation::Sale(sale) => sale.next_step,
            AnyOperation::Settlement(settlement) => settlement.next_step,
            AnyOperation::Load(load) => load.next_step,
        });
        let commit = Commit {
            operation: id,
            step,
            at: at(0),
            entry,
        };
        let existing = Existing {
            operation: known.as_ref(),
            by_reference: None,
            debit_key_is_taken: false,
            batches: &self.batches,
            has_room: true,
        };
        let (after, books) = admit(&commit, head(self.number + 1), existing, &self.books)?;
        self.number += 1;
        self.books = books;
        if let Some(settlement) = after.settlement() {
            self.batches.take(settlement);
        }
        Ok(after)
    }

    fn next_id(&mut self) -> OperationId {
        self.ids += 1;
        OperationId::new([self.ids; 16])
    }

    fn sell(&mut self) {
        let id = self.next_id();
        let mut known = None;
        for entry in [intended(), in_doubt(), paid(false)] {
            known = Some(self.take(known, id, entry).expect("a sale is taken"));
        }
        let sale = known.and_then(AnyOperation::into_sale).expect("it is a sale");
        self.sold.push(Sold {
            sale,
            at: At::Open,
            refund_entry: None,
            is_taken_over: false,
        });
    }

    /// Another entry of a sale.
    fn change(&mut self, index: usize, entry: Entry) -> Result<(), Refused> {
        let before = self.sold[index].sale.clone();
        let after = self.take(Some(AnyOperation::Sale(before.clone())), before.id, entry)?;
        self.sold[index].sale = after.into_sale().expect("it is a sale");
        Ok(())
    }

    fn abandon(&mut self, index: usize) {
        let owed = Entry::SaleConcluded(SaleConcluded {
            conclusion: Conclusion::Abandoned,
            refund_owed: Some(yen(PRICE)),
        });
        if self.change(index, owed).is_ok() {
            self.sold[index].refund_entry = Some(self.number);
        }
    }

    fn present(&mut self, index: usize) {
        // Whether a batch paid is told by its verdicts, which the ledger does not have.
        if self.sold[index].at == At::Paid {
            return;
        }
        let is_held = self.sold[index].at == At::Held;
        let presented = self.change(index, again(PRICE));
        assert_eq!(presented.is_ok(), is_held, "{:?}", self.sold[index].at);
        if is_held {
            self.sold[index].at = At::Open;
        }
    }

    fn seal(&mut self) {
        if self.batch.is_some() {
            return;
        }
        let (after, upto) = (self.batches.next_after(currency("JPY")), self.number);
        let is_in = |entry: Option<u64>| entry.is_some_and(|entry| after < entry && entry <= upto);
        let all = 0..self.sold.len();
        let claims: Vec<usize> = all
            .clone()
            .filter(|it| is_in(self.sold[*it].sale.claim_entry))
            .collect();
        let is_late = |it: &usize| is_in(self.sold[*it].refund_entry) && !claims.contains(it);
        let late: Vec<usize> = all.filter(is_late).collect();
        let owing = claims
            .iter()
            .filter(|it| self.sold[**it].sale.refund_owed.is_some())
            .count();
        let count = |number: usize| u32::try_from(number).expect("few");
        let minor = |number: usize| PRICE * u64::from(count(number));
        let sealed = Entry::BatchSealed(BatchSealed {
            owner: OWNER,
            after,
            upto,
            count: count(claims.len() + late.len()),
            claims: Part {
                count: count(claims.len()),
                amount: yen(minor(claims.len())),
            },
            refunds: yen(minor(owing + late.len())),
            batch: vec![1],
        });
        let id = self.next_id();
        match self.take(None, id, sealed) {
            Ok(AnyOperation::Settlement(settlement)) => {
                claims.iter().for_each(|it| self.sold[*it].at = At::InBatch);
                self.batch = Some((settlement, claims, late));
            }
            other => assert!(claims.is_empty() && late.is_empty(), "{other:?}"),
        }
    }

    fn void(&mut self) {
        let Some((settlement, claims, _)) = self.batch.take() else {
            return;
        };
        let entry = Entry::BatchVoided(BatchVoided {
            claims: settlement.sealed.claims,
            void: vec![2],
            signature: vec![3],
        });
        let id = settlement.id;
        self.take(Some(AnyOperation::Settlement(settlement)), id, entry)
            .expect("it is voided");
        claims.iter().for_each(|it| self.sold[*it].at = At::Open);
    }

    /// The provider pays the claims whose bit is set, and takes over late refunds of paid claims only.
    fn exchange(&mut self, pays: u8) {
        let Some((settlement, claims, late)) = self.batch.take() else {
            return;
        };
        let (paid, held): (Vec<usize>, Vec<usize>) =
            claims.iter().partition(|it| pays & (1 << (**it % 8)) != 0);
        let refunded: Vec<usize> = paid
            .iter()
            .copied()
            .filter(|it| self.sold[*it].sale.refund_owed.is_some())
            .collect();
        let owe: Vec<usize> = late
            .iter()
            .copied()
            .filter(|it| self.sold[*it].at == At::Paid)
            .collect();
        // A refund that became owed after the seal is the next batch's.
        let upto = settlement.sealed.upto;
        let refunded: Vec<usize> = refunded
            .into_iter()
            .filter(|it| self.sold[*it].refund_entry.is_some_and(|entry| entry <= upto))
            .collect();
        let part = |of: &[usize]| {
            let count = u32::try_from(of.len()).expect("few");
            Part {
                count,
                amount: yen(PRICE * u64::from(count)),
            }
        };
        let worth = PRICE * u64::try_from(paid.len() - refunded.len()).expect("few");
        let debt = part(&owe).amount.minor();
        let entry = Entry::BatchExchanged(BatchExchanged {
            pay: Part {
                amount: yen(worth),
                ..part(&paid)
            },
            refunds: part(&refunded),
            held: part(&held),
            owe: part(&owe),
            debt_before: yen(0),
            total: yen(worth.saturating_sub(debt)),
            debt_after: yen(debt.saturating_sub(worth)),
            verdicts: [7; 32],
            permit: vec![4],
            signature: vec![5],
        });
        let id = settlement.id;
        self.take(Some(AnyOperation::Settlement(settlement)), id, entry)
            .expect("it is exchanged");
        paid.iter().for_each(|it| self.sold[*it].at = At::Paid);
        held.iter().for_each(|it| self.sold[*it].at = At::Held);
        refunded
            .iter()
            .chain(&owe)
            .for_each(|it| self.sold[*it].is_taken_over = true);
    }

    fn check(&self) {
        assert!(self.books.are_balanced());
        let balance = |account| self.books.balance(account, currency("JPY")).minor() / PRICE;
        let count = |at: At| u64::try_from(self.sold.iter().filter(|it| it.at == at).count()).expect("few");
        assert_eq!(balance(Account::Claims), count(At::Open));
        assert_eq!(balance(Account::InBatch), count(At::InBatch));
        assert_eq!(balance(Account::Held), count(At::Held));
        let owed = self
            .sold
            .iter()
            .filter(|it| it.refund_entry.is_some() && !it.is_taken_over);
        assert_eq!(
            balance(Account::RefundsOwed),
            u64::try_from(owed.count()).expect("few")
        );
    }
}

#[derive(Clone, Debug)]
enum Step {
    Sell,
    Abandon(prop::sample::Index),
    Present(prop::sample::Index),
    Seal,
    Exchange(u8),
    Void,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => Just(Step::Sell),
        3 => any::<prop::sample::Index>().prop_map(Step::Abandon),
        5 => any::<prop::sample::Index>().prop_map(Step::Present),
        4 => Just(Step::Seal),
        4 => any::<u8>().prop_map(Step::Exchange),
        1 => Just(Step::Void),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn whatever_is_held_refunded_and_presented_again_the_books_say_where_each_claim_is(
        steps in prop::collection::vec(step(), 0..60)
    ) {
        let mut world = World::default();
        world.sell();
        for step in steps {
            let sold = world.sold.len();
            match step {
                Step::Sell => world.sell(),
                Step::Abandon(which) => world.abandon(which.index(sold)),
                Step::Present(which) => world.present(which.index(sold)),
                Step::Seal => world.seal(),
                Step::Exchange(pays) => world.exchange(pays),
                Step::Void => world.void(),
            }
            world.check();
        }
    }
}
