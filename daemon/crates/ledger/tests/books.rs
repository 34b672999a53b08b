//! Amounts and books: sums that are checked, balances that are never negative, debits that equal credits.

mod common;

use std::collections::BTreeMap;

use common::{concluded, currency, head, id, paid, voided, yen};
use proptest::prelude::{Just, ProptestConfig, Strategy, any, prop, prop_oneof, proptest};
use purser_ledger::{
    Account, Amount, AmountError, AnyOperation, Batches, Books, BooksError, Commit, Conclusion, Content,
    Entry, Existing, MINOR_MAX, Operation, OperationId, Refused, Transfer, admit,
};

#[test]
fn an_amount_is_kept_up_to_its_limit_and_not_above() {
    assert_eq!(
        MINOR_MAX, 9_007_199_254_740_991,
        "the largest integer that every JSON reader carries"
    );
    assert_eq!(yen(MINOR_MAX).minor(), MINOR_MAX);
    assert_eq!(
        Amount::new(MINOR_MAX + 1, currency("JPY")),
        Err(AmountError::TooLarge)
    );
    assert_eq!(Amount::new(u64::MAX, currency("JPY")), Err(AmountError::TooLarge));
}

#[test]
fn sums_are_checked() {
    assert_eq!(yen(2).checked_add(yen(3)), Ok(yen(5)));
    assert_eq!(yen(5).checked_sub(yen(3)), Ok(yen(2)));
    assert_eq!(yen(5).checked_sub(yen(5)), Ok(yen(0)));
    assert_eq!(yen(MINOR_MAX).checked_add(yen(1)), Err(AmountError::TooLarge));
    assert_eq!(
        yen(MINOR_MAX).checked_add(yen(MINOR_MAX)),
        Err(AmountError::TooLarge)
    );
    assert_eq!(yen(2).checked_sub(yen(3)), Err(AmountError::BelowZero));
    let dollars = Amount::new(3, currency("USD")).expect("small");
    assert_eq!(yen(3).checked_add(dollars), Err(AmountError::CurrencyMismatch));
    assert_eq!(yen(3).checked_sub(dollars), Err(AmountError::CurrencyMismatch));
}

#[test]
fn a_currency_is_three_capital_letters() {
    assert_eq!(currency("JPY").code(), "JPY");
    for wrong in ["", "JP", "JPYE", "jpy", "JP1", "JP ", "ЖPY", "円"] {
        assert_eq!(
            wrong.parse::<purser_ledger::Currency>(),
            Err(AmountError::NotACurrency),
            "{wrong}"
        );
    }
}

#[test]
fn a_transfer_that_cannot_be_changes_nothing() {
    let mut books = Books::default();
    let into_doubt = Transfer {
        debit: Account::InDoubt,
        credit: Account::Sales,
        amount: yen(MINOR_MAX),
    };
    books.transfer(into_doubt).expect("it fits exactly");
    let before = books.clone();
    let one_more = Transfer {
        amount: yen(1),
        ..into_doubt
    };
    assert_eq!(
        books.transfer(one_more),
        Err(BooksError::TooLarge(Account::InDoubt))
    );
    let from_nothing = Transfer {
        debit: Account::RefundsOwed,
        credit: Account::Claims,
        amount: yen(1),
    };
    assert_eq!(
        books.transfer(from_nothing),
        Err(BooksError::BelowZero(Account::RefundsOwed))
    );
    let half = Transfer {
        debit: Account::Sales,
        credit: Account::Claims,
        amount: yen(1),
    };
    assert_eq!(books.transfer(half), Err(BooksError::BelowZero(Account::Claims)));
    assert_eq!(books, before);
}

#[test]
fn stored_balances_that_are_no_books_are_refused() {
    let jpy = currency("JPY");
    let from = |balances: Vec<((_, Account), u64)>| Books::from_balances(balances);
    assert_eq!(
        from(vec![((jpy, Account::Claims), 1)]),
        Err(BooksError::Unbalanced)
    );
    assert_eq!(
        from(vec![((jpy, Account::Sales), MINOR_MAX + 1)]),
        Err(BooksError::TooLarge(Account::Sales))
    );
    let other = vec![
        ((jpy, Account::Claims), 1),
        ((currency("USD"), Account::Sales), 1),
    ];
    assert_eq!(
        from(other),
        Err(BooksError::Unbalanced),
        "each currency balances by itself"
    );
    let books = from(vec![
        ((jpy, Account::Claims), 5),
        ((jpy, Account::Sales), 5),
        ((jpy, Account::InDoubt), 0),
    ]);
    assert_eq!(books.expect("books").currencies(), [jpy]);
}

fn account() -> impl Strategy<Value = Account> {
    prop::sample::select(Account::ALL.to_vec())
}

fn amount() -> impl Strategy<Value = Amount> {
    let minor = prop_oneof![1..1_000_u64, Just(MINOR_MAX), Just(MINOR_MAX / 2)];
    (minor, any::<bool>()).prop_map(|(minor, is_yen)| {
        Amount::new(minor, currency(if is_yen { "JPY" } else { "USD" })).expect("within the limit")
    })
}

/// What may happen to a sale next, wanted or not.
fn entry() -> impl Strategy<Value = Entry> {
    prop_oneof![
        Just(common::intended()),
        Just(common::closed()),
        Just(common::in_doubt()),
        Just(common::queried()),
        Just(voided()),
        any::<bool>().prop_map(paid),
        Just(concluded(Conclusion::GoodsGiven, None)),
        Just(concluded(Conclusion::Abandoned, None)),
        Just(concluded(Conclusion::Abandoned, Some(yen(300)))),
    ]
}

/// The same entry about another amount.
fn priced(entry: Entry, amount: Amount) -> Entry {
    match entry {
        Entry::SaleIntended(it) => Entry::SaleIntended(purser_ledger::SaleIntended { amount, ..it }),
        Entry::SaleClosed(it) => Entry::SaleClosed(purser_ledger::SaleClosed { amount, ..it }),
        Entry::SalePaid(it) => Entry::SalePaid(purser_ledger::SalePaid { amount, ..it }),
        Entry::SaleVoided(it) => Entry::SaleVoided(purser_ledger::SaleVoided { amount, ..it }),
        Entry::SaleConcluded(it) => Entry::SaleConcluded(purser_ledger::SaleConcluded {
            refund_owed: it.refund_owed.map(|_| amount),
            ..it
        }),
        other => other,
    }
}

/// A little store: operations by id, and the books.
#[derive(Default)]
struct World {
    operations: BTreeMap<OperationId, Operation>,
    books: Books,
    number: u64,
}

impl World {
    fn take(&mut self, sale: u8, entry: Entry) -> Result<(), Refused> {
        let id = OperationId::new([sale; 16]);
        let known = self.operations.get(&id);
        let step = known.map_or(0, |operation| operation.next_step);
        let known = known.cloned().map(AnyOperation::Sale);
        let commit = Commit {
            operation: id,
            step,
            at: common::at(0),
            entry,
        };
        let existing = Existing {
            operation: known.as_ref(),
            by_reference: None,
            debit_key_is_taken: false,
            batches: &Batches::new(),
            has_room: true,
        };
        let (operation, books) = admit(&commit, head(self.number + 1), existing, &self.books)?;
        self.number += 1;
        let operation = operation.into_sale().expect("no batch is sealed here");
        self.operations.insert(id, operation);
        self.books = books;
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn any_sequence_of_transfers_leaves_the_books_balanced(
        transfers in prop::collection::vec((account(), account(), amount()), 0..60)
    ) {
        let mut books = Books::default();
        for (debit, credit, amount) in transfers {
            let before = books.clone();
            if debit == credit {
                continue;
            }
            if books.transfer(Transfer { debit, credit, amount }).is_err() {
                assert_eq!(books, before);
            }
            assert!(books.are_balanced());
            assert!(books.balances().all(|(_, minor)| minor > 0 && minor <= MINOR_MAX));
            assert_eq!(Books::from_balances(books.balances()).as_ref(), Ok(&books));
        }
    }

    #[test]
    fn any_sequence_of_entries_leaves_balances_that_the_operations_explain(
        steps in prop::collection::vec((0..6_u8, entry()), 0..120)
    ) {
        let mut world = World::default();
        let price = |sale: u8| yen(100 + u64::from(sale));
        for (sale, entry) in steps {
            // Refused or not, the books must hold.
            let _ = world.take(sale, priced(entry, price(sale)));
            assert!(world.books.are_balanced());
        }
        let sum = |counts: &dyn Fn(&Operation) -> bool| {
            world.operations.values().filter(|operation| counts(operation)).map(|it| it.amount.minor()).sum::<u64>()
        };
        let balance = |account| world.books.balance(account, currency("JPY")).minor();
        let is_paid = |operation: &Operation| matches!(operation.standing, purser_ledger::Standing::Paid(_));
        assert_eq!(balance(Account::InDoubt), sum(&Operation::is_open));
        assert_eq!(balance(Account::Claims), sum(&is_paid));
        assert_eq!(balance(Account::RefundsOwed), sum(&|operation| operation.refund_owed.is_some()));
    }
}

#[test]
fn an_intent_is_taken_only_when_its_claim_will_fit() {
    let jpy = currency("JPY");
    let claims = MINOR_MAX - 500;
    let balances = [((jpy, Account::Claims), claims), ((jpy, Account::Sales), claims)];
    let mut world = World {
        books: Books::from_balances(balances).expect("books"),
        ..World::default()
    };
    world.take(1, common::intended()).expect("300 of 500 are free");
    assert_eq!(world.take(2, common::intended()), Err(Refused::BalanceOutOfRange));
    world.take(1, paid(false)).expect("the claim fits");
    assert_eq!(world.take(2, common::intended()), Err(Refused::BalanceOutOfRange));
}

#[test]
fn contents_carry_what_their_commits_said() {
    let commit = common::commit(3, paid(true));
    let Content {
        v,
        operation,
        step,
        at,
        entry,
    } = commit.content();
    assert_eq!(
        (v, operation, step, at, entry),
        (1, id(), 3, commit.at, commit.entry)
    );
}
