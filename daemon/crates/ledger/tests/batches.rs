//! Settlement in the ledger: the books balance whatever a provider decides, and no claim comes into two batches.

mod common;

use std::collections::BTreeMap;

use common::{OWNER, at, currency, head, yen};
use proptest::prelude::*;
use purser_ledger::{
    Account, AnyOperation, BatchExchanged, BatchSealed, BatchVoided, Batches, Books, Commit, Content, Entry,
    Existing, FoldError, Head, OperationId, Part, Refused, Settlement, admit,
};

fn part(count: u32, minor: u64) -> Part {
    Part {
        count,
        amount: yen(minor),
    }
}

fn seal(after: u64, upto: u64, claims: Part) -> BatchSealed {
    BatchSealed {
        owner: OWNER,
        after,
        upto,
        count: claims.count,
        claims,
        refunds: yen(0),
        batch: vec![1, 2, 3],
    }
}

/// An exchange in which all of these claims are paid.
fn all_paid(claims: Part) -> BatchExchanged {
    BatchExchanged {
        pay: claims,
        refunds: part(0, 0),
        held: part(0, 0),
        owe: part(0, 0),
        debt_before: yen(0),
        total: claims.amount,
        debt_after: yen(0),
        verdicts: [7; 32],
        permit: vec![4, 5, 6],
        signature: vec![7; 64],
    }
}

fn void(claims: Part) -> BatchVoided {
    BatchVoided {
        claims,
        void: vec![8],
        signature: vec![9; 64],
    }
}

fn content(id: u8, step: u8, entry: Entry) -> Content {
    Commit {
        operation: OperationId::new([id; 16]),
        step,
        at: at(0),
        entry,
    }
    .content()
}

fn settlement() -> Settlement {
    let sealed = Entry::BatchSealed(seal(0, 9, part(2, 600)));
    Settlement::begin(&content(1, 0, sealed), head(10)).expect("a seal opens")
}

#[test]
fn a_settlement_is_sealed_and_then_ends_once() {
    let exchanged = Entry::BatchExchanged(all_paid(part(2, 600)));
    let voided = Entry::BatchVoided(void(part(2, 600)));
    for (end, other) in [(&exchanged, &voided), (&voided, &exchanged)] {
        let mut settlement = settlement();
        assert!(settlement.is_under_way());
        settlement
            .apply(&content(1, 1, end.clone()), head(11))
            .expect("it ends");
        assert!(!settlement.is_under_way() && settlement.head == head(11));
        for again in [end, other] {
            let applied = settlement.apply(&content(1, 2, again.clone()), head(12));
            assert_eq!(applied, Err(FoldError::OutOfOrder));
        }
    }
    let first = Settlement::begin(&content(1, 0, exchanged.clone()), head(1));
    assert_eq!(first, Err(FoldError::NotOpened));
    let mut settlement = settlement();
    assert_eq!(
        settlement.apply(&content(2, 1, exchanged.clone()), head(11)),
        Err(FoldError::OtherOperation)
    );
    assert_eq!(
        settlement.apply(&content(1, 2, exchanged), head(11)),
        Err(FoldError::OtherStep)
    );
    assert_eq!(
        settlement.apply(&content(1, 1, common::intended()), head(11)),
        Err(FoldError::OutOfOrder)
    );
}

#[test]
fn an_exchange_that_is_not_of_its_batch_cannot_follow() {
    let right = all_paid(part(2, 600));
    let changes: [&dyn Fn(&mut BatchExchanged); 9] = [
        &|it| it.pay = part(1, 600),
        &|it| it.pay = part(2, 599),
        &|it| it.held = part(0, 1),
        &|it| it.held = part(1, 0),
        &|it| it.refunds = part(1, 1),
        &|it| it.owe = part(1, 0),
        &|it| it.total = yen(599),
        &|it| it.debt_before = yen(1),
        &|it| (it.total, it.debt_after, it.debt_before) = (yen(600), yen(5), yen(5)),
    ];
    assert!(settlement().admits(&Entry::BatchExchanged(right.clone())));
    for (number, change) in changes.iter().enumerate() {
        let mut wrong = right.clone();
        change(&mut wrong);
        let admitted = settlement().admits(&Entry::BatchExchanged(wrong));
        assert!(!admitted, "change {number}");
    }
    assert!(!settlement().admits(&Entry::BatchVoided(void(part(2, 599)))));
}

#[test]
fn a_seal_of_nothing_or_of_a_range_that_is_none_opens_nothing() {
    let wrong = [
        seal(9, 9, part(1, 300)),
        seal(9, 8, part(1, 300)),
        seal(0, 9, part(0, 0)),
        seal(0, 9, part(1, 0)),
        BatchSealed {
            count: 1,
            ..seal(0, 9, part(2, 600))
        },
        BatchSealed {
            refunds: purser_ledger::Amount::zero(currency("USD")),
            ..seal(0, 9, part(1, 300))
        },
    ];
    for sealed in wrong {
        let opened = Settlement::begin(&content(1, 0, Entry::BatchSealed(sealed.clone())), head(10));
        assert_eq!(opened, Err(FoldError::OtherAmount), "{sealed:?}");
    }
}

#[test]
fn the_stored_forms_never_change() {
    let stored = |entry| String::from_utf8(content(1, 0, entry).encode()).expect("JSON");
    let sealed = stored(Entry::BatchSealed(seal(4, 9, part(2, 600))));
    assert_eq!(
        sealed,
        r#"{"v":1,"operation":"01010101010101010101010101010101","step":0,"at":{"unix_seconds":0,"utc_offset_seconds":32400,"trusted":true},"entry":{"kind":"batch_sealed","owner":1000,"after":4,"upto":9,"count":2,"claims":{"count":2,"amount":{"minor":600,"currency":"JPY"}},"refunds":{"minor":0,"currency":"JPY"},"batch":"010203"}}"#
    );
    for entry in [
        Entry::BatchSealed(seal(4, 9, part(2, 600))),
        Entry::BatchExchanged(all_paid(part(2, 600))),
        Entry::BatchVoided(void(part(2, 600))),
    ] {
        let content = content(1, 1, entry);
        assert_eq!(Content::decode(&content.encode()).expect("it decodes"), content);
    }
}

/// One claim of a batch: its price, whether its buyer is owed it, whether the provider pays.
type Claim = (u64, bool, bool);

/// A batch of these claims and late refunds (each an amount and whether it is taken over), and its exchange.
fn judged(claims: &[Claim], late: &[(u64, bool)], debt: u64) -> (BatchSealed, BatchExchanged) {
    let of = |chosen: &dyn Fn(&Claim) -> Option<u64>| {
        let amounts: Vec<u64> = claims.iter().filter_map(chosen).collect();
        part(u32::try_from(amounts.len()).expect("few"), amounts.iter().sum())
    };
    let taken: Vec<u64> = late.iter().filter(|it| it.1).map(|it| it.0).collect();
    let owe = part(u32::try_from(taken.len()).expect("few"), taken.iter().sum());
    let all = of(&|it| Some(it.0));
    let pay = of(&|it| it.2.then_some(if it.1 { 0 } else { it.0 }));
    let refunds = of(&|it| (it.1 && it.2).then_some(it.0));
    let debts = debt + owe.amount.minor();
    let total = pay.amount.minor().saturating_sub(debts);
    let owed = of(&|it| it.1.then_some(it.0)).amount.minor() + late.iter().map(|it| it.0).sum::<u64>();
    let sealed = BatchSealed {
        count: all.count + u32::try_from(late.len()).expect("few"),
        refunds: yen(owed),
        ..seal(0, 9, all)
    };
    let exchanged = BatchExchanged {
        pay,
        refunds,
        held: of(&|it| (!it.2).then_some(it.0)),
        owe,
        debt_before: yen(debt),
        total: yen(total),
        debt_after: yen(debts.saturating_sub(pay.amount.minor())),
        ..all_paid(part(0, 0))
    };
    (sealed, exchanged)
}

/// Books that hold these claims and refunds, and no more.
fn books_before(sealed: &BatchSealed) -> Books {
    let (claims, refunds) = (sealed.claims.amount.minor(), sealed.refunds.minor());
    // The late refunds' claims were paid earlier: their worth is in an earlier permit.
    let paid_before = refunds;
    let jpy = currency("JPY");
    Books::from_balances([
        ((jpy, Account::Claims), claims),
        ((jpy, Account::Permits), paid_before),
        ((jpy, Account::RefundsOwed), refunds),
        ((jpy, Account::Sales), claims + paid_before - refunds),
    ])
    .expect("they balance")
}

/// The journal as the guards see it.
#[derive(Default)]
struct World {
    settlements: BTreeMap<u8, Settlement>,
    batches: Batches,
    books: Books,
    number: u64,
}

impl World {
    fn take(&mut self, id: u8, entry: Entry) -> Result<(), Refused> {
        let settlement = self.settlements.get(&id);
        let commit = Commit {
            operation: OperationId::new([id; 16]),
            step: settlement.map_or(0, |it| it.next_step),
            at: at(0),
            entry,
        };
        let known = settlement.cloned().map(AnyOperation::Settlement);
        let existing = Existing {
            operation: known.as_ref(),
            by_reference: None,
            debit_key_is_taken: false,
            batches: &self.batches,
            has_room: true,
        };
        let (operation, books) = admit(&commit, head(self.number + 1), existing, &self.books)?;
        if let AnyOperation::Settlement(settlement) = operation {
            self.batches.take(&settlement);
            self.settlements.insert(id, settlement);
        }
        self.books = books;
        self.number += 1;
        Ok(())
    }

    fn balance(&self, account: Account) -> u64 {
        self.books.balance(account, currency("JPY")).minor()
    }
}

fn claim() -> impl Strategy<Value = Claim> {
    (1..1_000_u64, any::<bool>(), any::<bool>())
}

/// What a store may be asked to store next: a seal of a range, or the end of a batch.
#[derive(Clone, Debug)]
enum Asked {
    Sell,
    Seal(u8, u64, u64),
    Exchange(u8),
    Void(u8),
}

fn asked() -> impl Strategy<Value = Asked> {
    prop_oneof![
        4 => Just(Asked::Sell),
        4 => (0..8_u8, 0..40_u64, 0..40_u64).prop_map(|(id, after, upto)| Asked::Seal(id, after, upto)),
        2 => (0..8_u8).prop_map(Asked::Exchange),
        1 => (0..8_u8).prop_map(Asked::Void),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn the_books_balance_whatever_the_provider_decides(
        claims in prop::collection::vec(claim(), 0..8),
        late in prop::collection::vec((1..1_000_u64, any::<bool>()), 0..4),
        debt in prop_oneof![Just(0), 0..200_u64, 0..20_000_u64],
    ) {
        prop_assume!(!claims.is_empty() || !late.is_empty());
        let (sealed, exchanged) = judged(&claims, &late, debt);
        let mut world = World { books: books_before(&sealed), number: 9, ..World::default() };
        let before = world.books.clone();
        world.take(1, Entry::BatchSealed(sealed.clone())).expect("it is sealed");
        prop_assert_eq!(world.balance(Account::InBatch), sealed.claims.amount.minor());
        prop_assert_eq!(world.balance(Account::Claims), 0);
        let mut voided = World {
            settlements: world.settlements.clone(),
            batches: world.batches.clone(),
            books: world.books.clone(),
            number: world.number,
        };
        voided.take(1, Entry::BatchVoided(void(sealed.claims))).expect("it is voided");
        prop_assert_eq!(&voided.books, &before);
        world.take(1, Entry::BatchExchanged(exchanged.clone())).expect("it is exchanged");
        prop_assert!(world.books.are_balanced());
        prop_assert_eq!(world.balance(Account::InBatch), 0);
        prop_assert_eq!(world.balance(Account::Held), exchanged.held.amount.minor());
        let taken = exchanged.refunds.amount.minor() + exchanged.owe.amount.minor();
        prop_assert_eq!(world.balance(Account::RefundsOwed) + taken, sealed.refunds.minor());
        // What the merchant made of debt here, less what was netted here, is what its debt changed by.
        let made = world.balance(Account::LateRefunds) + debt;
        prop_assert_eq!(made - world.balance(Account::Netted), exchanged.debt_after.minor());
    }

    #[test]
    fn no_sequence_of_entries_takes_a_claim_into_two_batches(steps in prop::collection::vec(asked(), 0..80)) {
        // Each entry that is sold is a claim of 300 at its own number.
        let jpy = currency("JPY");
        let mut world = World::default();
        let mut sold = Vec::new();
        let mut taken: Vec<(u64, u64)> = Vec::new();
        for step in steps {
            let sealed = |world: &World, id: u8| world.settlements.get(&id).map(|it| it.sealed.clone());
            match step {
                Asked::Sell => {
                    world.number += 1;
                    sold.push(world.number);
                    let claims = world.balance(Account::Claims) + 300;
                    let rest = world.books.balances().filter(|((_, account), _)| *account != Account::Claims);
                    let sales = world.balance(Account::Sales) + 300;
                    let rest: Vec<_> = rest.filter(|((_, account), _)| *account != Account::Sales).collect();
                    let own = [((jpy, Account::Claims), claims), ((jpy, Account::Sales), sales)];
                    world.books = Books::from_balances(rest.into_iter().chain(own)).expect("they balance");
                }
                Asked::Seal(id, after, upto) => {
                    let count = sold.iter().filter(|it| **it > after && **it <= upto).count();
                    let claims = part(u32::try_from(count).expect("few"), 300 * u64::try_from(count).expect("few"));
                    let _ = world.take(id, Entry::BatchSealed(seal(after, upto, claims)));
                }
                Asked::Exchange(id) => {
                    if let Some(sealed) = sealed(&world, id)
                        && world.take(id, Entry::BatchExchanged(all_paid(sealed.claims))).is_ok()
                    {
                        taken.push((sealed.after, sealed.upto));
                    }
                }
                Asked::Void(id) => {
                    if let Some(sealed) = sealed(&world, id) {
                        let _ = world.take(id, Entry::BatchVoided(void(sealed.claims)));
                    }
                }
            }
            prop_assert!(world.batches.all_under_way().count() <= 1);
            prop_assert!(taken.windows(2).all(|pair| pair[0].1 == pair[1].0), "{taken:?}");
            let exchanged = taken.iter().flat_map(|(after, upto)| sold.iter().filter(move |it| *it > after && *it <= upto));
            prop_assert_eq!(world.balance(Account::Permits), 300 * u64::try_from(exchanged.count()).expect("few"));
        }
    }
}

#[test]
fn a_start_gets_a_receipt_for_each_batch_under_way_and_no_other() {
    let mut batches = Batches::new();
    let settlement = settlement();
    batches.take(&settlement);
    let snapshot = purser_ledger::Snapshot {
        batches: batches.clone(),
        ..purser_ledger::Snapshot::default()
    };
    let receipts = snapshot.receipts();
    let told: Vec<_> = receipts
        .iter()
        .map(|it| (it.operation(), it.step(), it.head()))
        .collect();
    assert_eq!(told, [(settlement.id, 0, head(10))]);
    let mut ended = settlement;
    ended
        .apply(&content(1, 1, Entry::BatchVoided(void(part(2, 600)))), head(11))
        .expect("it ends");
    batches.take(&ended);
    let snapshot = purser_ledger::Snapshot {
        batches,
        ..purser_ledger::Snapshot::default()
    };
    assert_eq!(snapshot.receipts().len(), 0);
    assert_eq!(
        Head::EMPTY.number,
        snapshot.batches.next_after(currency("JPY")),
        "its range is free"
    );
}
