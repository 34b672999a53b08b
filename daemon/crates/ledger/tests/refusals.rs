//! Why a commit is refused: of several reasons the first in the order of precedence is given.

mod common;

use common::{commit, concluded, currency, head, in_doubt, intended, load_begun, paid, yen};
use purser_ledger::{
    Account, Amount, AnyOperation, Batches, Books, Commit, Conclusion, Content, Entry, Existing, Load,
    LoadBegun, MINOR_MAX, Operation, OperationId, Owner, Reference, Refused, SaleIntended, admit,
};

const FREE: Existing<'_> = Existing {
    operation: None,
    by_reference: None,
    debit_key_is_taken: false,
    batches: &Batches::new(),
    has_room: true,
};

/// The sale that these entries make, in order.
fn operation(entries: &[Entry]) -> AnyOperation {
    AnyOperation::Sale(common::operation(entries))
}

fn full_books() -> Books {
    let jpy = currency("JPY");
    Books::from_balances([
        ((jpy, Account::Claims), MINOR_MAX),
        ((jpy, Account::Sales), MINOR_MAX),
    ])
    .expect("books")
}

fn answer(commit: &Commit, existing: Existing<'_>, books: &Books) -> Option<Refused> {
    admit(commit, head(9), existing, books).err()
}

fn intended_by(owner: Owner, amount: Amount) -> Commit {
    match intended() {
        Entry::SaleIntended(it) => commit(0, Entry::SaleIntended(SaleIntended { owner, amount, ..it })),
        other => commit(0, other),
    }
}

/// The sale that has the reference already.
fn earlier() -> AnyOperation {
    AnyOperation::Sale(Operation {
        id: OperationId::new([0x22; 16]),
        ..common::operation(&[intended()])
    })
}

fn load_by(owner: Owner, amount: Amount, reference: &str) -> Entry {
    Entry::LoadBegun(LoadBegun {
        reference: Reference::new(reference).expect("a name"),
        owner,
        amount,
    })
}

#[test]
fn an_opening_entry_is_refused_for_the_first_of_its_reasons() {
    let earlier = earlier();
    let dollars = Amount::new(5, currency("USD")).expect("small");
    let everything = Existing {
        by_reference: Some(&earlier),
        debit_key_is_taken: true,
        has_room: false,
        ..FREE
    };
    let cases = [
        (Owner(7), dollars, Refused::ExistsWithDifferentOwner),
        (common::OWNER, dollars, Refused::ExistsWithDifferentCurrency),
        (common::OWNER, yen(5), Refused::ExistsWithDifferentAmount),
        (common::OWNER, yen(300), Refused::Exists),
    ];
    for (owner, amount, expected) in cases {
        assert_eq!(
            answer(&intended_by(owner, amount), everything, &full_books()),
            Some(expected)
        );
    }
    let mine = intended_by(common::OWNER, yen(300));
    let rest = Existing {
        by_reference: None,
        ..everything
    };
    assert_eq!(answer(&mine, rest, &full_books()), Some(Refused::DebitKeyExists));
    let rest = Existing {
        debit_key_is_taken: false,
        ..rest
    };
    assert_eq!(
        answer(&mine, rest, &full_books()),
        Some(Refused::BalanceOutOfRange)
    );
    assert_eq!(answer(&mine, rest, &Books::default()), Some(Refused::NoRoom));
    assert_eq!(answer(&mine, FREE, &Books::default()), None);
}

#[test]
fn one_reference_is_a_sales_or_a_loads_and_the_kind_is_told_before_the_amount() {
    let sale = earlier();
    let begun = commit(0, load_begun()).content();
    let load = AnyOperation::Load(Load::begin(&begun, head(1)).expect("it opens"));
    let dollars = Amount::new(5, currency("USD")).expect("small");
    let of_load = |owner, amount| Commit {
        operation: OperationId::new([0x33; 16]),
        ..commit(0, load_by(owner, amount, "order-17"))
    };
    let of_sale = |owner, amount| Commit {
        operation: OperationId::new([0x33; 16]),
        ..intended_by(owner, amount)
    };
    let cases = [
        (
            Owner(7),
            dollars,
            Refused::ExistsWithDifferentOwner,
            Refused::ExistsWithDifferentOwner,
        ),
        (
            common::OWNER,
            dollars,
            Refused::ExistsWithDifferentKind,
            Refused::ExistsWithDifferentCurrency,
        ),
        (
            common::OWNER,
            yen(5),
            Refused::ExistsWithDifferentKind,
            Refused::ExistsWithDifferentAmount,
        ),
        (
            common::OWNER,
            yen(300),
            Refused::ExistsWithDifferentKind,
            Refused::Exists,
        ),
    ];
    for (owner, amount, other_kind, same_kind) in cases {
        for (existing, new, expected) in [
            (&sale, of_load(owner, amount), other_kind),
            (&load, of_sale(owner, amount), other_kind),
            (&load, of_load(owner, amount), same_kind),
            (&sale, of_sale(owner, amount), same_kind),
        ] {
            let existing = Existing {
                by_reference: Some(existing),
                has_room: false,
                ..FREE
            };
            assert_eq!(answer(&new, existing, &full_books()), Some(expected), "{new:?}");
        }
    }
}

#[test]
fn a_load_whose_number_is_known_is_a_repeat_by_its_reference_and_else_out_of_order() {
    let begun: Content = commit(0, load_begun()).content();
    let load = AnyOperation::Load(Load::begin(&begun, head(1)).expect("it opens"));
    let both = Existing {
        operation: Some(&load),
        by_reference: Some(&load),
        ..FREE
    };
    let again = commit(0, load_begun());
    assert_eq!(answer(&again, both, &Books::default()), Some(Refused::Exists));
    let other_name = commit(0, load_by(common::OWNER, yen(300), "order-18"));
    let by_number = Existing {
        by_reference: None,
        ..both
    };
    assert_eq!(
        answer(&other_name, by_number, &Books::default()),
        Some(Refused::OutOfOrder)
    );
    let sale = operation(&[intended()]);
    let of_sale = Existing {
        operation: Some(&sale),
        ..by_number
    };
    assert_eq!(
        answer(&other_name, of_sale, &Books::default()),
        Some(Refused::OutOfOrder),
        "a number is used once, whatever has it"
    );
}

#[test]
fn only_what_a_load_can_do_without_is_refused_for_room() {
    let mut open = Load::begin(&commit(0, load_begun()).content(), head(1)).expect("it opens");
    let full = Existing {
        has_room: false,
        ..FREE
    };
    let mut books = Books::default();
    assert_eq!(
        answer(&commit(0, load_begun()), full, &books),
        Some(Refused::NoRoom)
    );
    books = admit(&commit(0, load_begun()), head(1), FREE, &books)
        .expect("taken")
        .1;
    let end = [
        (common::load_attempted(1), Some(Refused::NoRoom)),
        (common::load_released(1), None),
        (common::load_proven(1), None),
        (common::load_confirmed(), None),
    ];
    for (entry, expected) in end {
        let known = AnyOperation::Load(open.clone());
        let existing = Existing {
            operation: Some(&known),
            ..full
        };
        if !matches!(entry, Entry::LoadConfirmed(_) | Entry::LoadProven(_)) {
            let voiding = commit(open.next_step, common::load_voided());
            assert_eq!(
                answer(&voiding, existing, &books),
                None,
                "a void is never refused for room"
            );
        }
        let next = commit(open.next_step, entry);
        assert_eq!(answer(&next, existing, &books), expected, "{next:?}");
        open.apply(&next.content(), head(2)).expect("it follows");
        for transfer in next.entry.transfers() {
            books.transfer(transfer).expect("it fits");
        }
    }
}

#[test]
fn the_reasons_are_declared_in_their_order_of_precedence() {
    let order = [
        Refused::ExistsWithDifferentOwner,
        Refused::ExistsWithDifferentKind,
        Refused::ExistsWithDifferentCurrency,
        Refused::ExistsWithDifferentAmount,
        Refused::Exists,
        Refused::ExistsWithDifferentConclusion,
        Refused::OutOfOrder,
        Refused::DebitKeyExists,
        Refused::BalanceOutOfRange,
        Refused::NoRoom,
    ];
    assert!(order.is_sorted());
    let transient: Vec<_> = order
        .into_iter()
        .filter(|refused| refused.is_transient())
        .collect();
    assert_eq!(transient, [Refused::BalanceOutOfRange, Refused::NoRoom]);
}

#[test]
fn an_operation_is_opened_once_and_followed_only_when_it_is_open() {
    let open = operation(&[intended()]);
    let known = Existing {
        operation: Some(&open),
        ..FREE
    };
    let books = admit(&commit(0, intended()), head(1), FREE, &Books::default())
        .expect("taken")
        .1;
    assert_eq!(
        answer(&commit(0, intended()), known, &books),
        Some(Refused::OutOfOrder)
    );
    assert_eq!(
        answer(&commit(1, paid(false)), FREE, &books),
        Some(Refused::OutOfOrder)
    );
    assert_eq!(
        answer(&commit(2, paid(false)), known, &books),
        Some(Refused::OutOfOrder)
    );
    assert_eq!(answer(&commit(1, paid(false)), known, &books), None);
}

#[test]
fn evidence_is_never_refused_for_room() {
    let open = operation(&[intended()]);
    let full = Existing {
        operation: Some(&open),
        has_room: false,
        ..FREE
    };
    let books = admit(&commit(0, intended()), head(1), FREE, &Books::default())
        .expect("taken")
        .1;
    for entry in [paid(false), common::voided(), in_doubt()] {
        assert_eq!(answer(&commit(1, entry), full, &books), None);
    }
    let doubtful = operation(&[intended(), in_doubt()]);
    let full = Existing {
        operation: Some(&doubtful),
        ..full
    };
    assert_eq!(answer(&commit(2, common::queried()), full, &books), None);
    let concluding = commit(2, concluded(Conclusion::GoodsGiven, None));
    assert_eq!(answer(&concluding, full, &books), Some(Refused::NoRoom));
    assert_eq!(
        answer(
            &commit(0, common::closed()),
            Existing {
                has_room: false,
                ..FREE
            },
            &books
        ),
        Some(Refused::NoRoom)
    );
}

#[test]
fn a_conclusion_does_not_change() {
    let concluded_before = operation(&[intended(), in_doubt(), concluded(Conclusion::GoodsGiven, None)]);
    let existing = Existing {
        operation: Some(&concluded_before),
        ..FREE
    };
    let books = admit(&commit(0, intended()), head(1), FREE, &Books::default())
        .expect("taken")
        .1;
    let other = commit(3, concluded(Conclusion::Abandoned, None));
    assert_eq!(
        answer(&other, existing, &books),
        Some(Refused::ExistsWithDifferentConclusion)
    );
    let same = commit(3, concluded(Conclusion::GoodsGiven, None));
    assert_eq!(answer(&same, existing, &books), Some(Refused::OutOfOrder));
}

#[test]
fn a_refused_commit_leaves_the_books_as_they_are() {
    let books = full_books();
    let before = books.clone();
    assert_eq!(
        answer(&commit(0, intended()), FREE, &books),
        Some(Refused::BalanceOutOfRange)
    );
    assert_eq!(books, before);
}
