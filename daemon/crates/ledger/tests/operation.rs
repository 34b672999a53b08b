//! The fold's whole transition table: every standing an operation can reach × every entry that could come next.

mod common;

use std::fmt::Write;

use common::{
    closed, concluded, content, head, in_doubt, intended, operation, paid, paid_by_provider, queried, voided,
    voided_by_provider, word, yen,
};
use purser_ledger::{
    Conclusion, Content, Entry, FoldError, Operation, OperationId, SalePaid, SaleVoided, Standing, VoidProof,
};

fn goods_given() -> Entry {
    concluded(Conclusion::GoodsGiven, None)
}

fn abandoned() -> Entry {
    concluded(Conclusion::Abandoned, None)
}

fn abandoned_when_paid() -> Entry {
    concluded(Conclusion::Abandoned, Some(yen(300)))
}

/// Every way to stand, as the entries that lead there.
fn standings() -> Vec<(&'static str, Vec<Entry>)> {
    vec![
        ("closed", vec![closed()]),
        ("intended", vec![intended()]),
        ("paid", vec![intended(), paid(false)]),
        ("voided", vec![intended(), voided()]),
        ("in doubt", vec![intended(), in_doubt()]),
        (
            "in doubt, goods given",
            vec![intended(), in_doubt(), goods_given()],
        ),
        ("in doubt, abandoned", vec![intended(), in_doubt(), abandoned()]),
        ("queried", vec![intended(), in_doubt(), queried()]),
        (
            "queried, goods given",
            vec![intended(), in_doubt(), queried(), goods_given()],
        ),
        (
            "queried, abandoned",
            vec![intended(), in_doubt(), queried(), abandoned()],
        ),
        ("paid after doubt", vec![intended(), in_doubt(), paid(false)]),
        (
            "paid after doubt, goods given",
            vec![intended(), in_doubt(), paid(false), goods_given()],
        ),
        (
            "paid after doubt, then abandoned",
            vec![intended(), in_doubt(), paid(false), abandoned_when_paid()],
        ),
        (
            "abandoned, then paid",
            vec![intended(), in_doubt(), abandoned(), paid(true)],
        ),
        ("voided after doubt", vec![intended(), in_doubt(), voided()]),
        (
            "voided after doubt, abandoned",
            vec![intended(), in_doubt(), voided(), abandoned()],
        ),
    ]
}

/// Every entry that could come next, with every distinction that the fold makes.
fn entries() -> Vec<(&'static str, Entry)> {
    let paid_other = |entry: Entry| match entry {
        Entry::SalePaid(paid) => Entry::SalePaid(SalePaid {
            amount: yen(301),
            ..paid
        }),
        other => other,
    };
    vec![
        ("intended", intended()),
        ("closed", closed()),
        ("paid", paid(false)),
        ("paid, owed", paid(true)),
        ("paid, other", paid_other(paid(false))),
        ("in doubt", in_doubt()),
        ("queried", queried()),
        ("voided", voided()),
        (
            "voided, other",
            Entry::SaleVoided(SaleVoided {
                amount: yen(301),
                proof: VoidProof::NotSent,
                answer: None,
            }),
        ),
        ("goods given", goods_given()),
        (
            "goods given, owed",
            concluded(Conclusion::GoodsGiven, Some(yen(300))),
        ),
        ("abandoned", abandoned()),
        ("abandoned, owed", abandoned_when_paid()),
        (
            "abandoned, owed other",
            concluded(Conclusion::Abandoned, Some(yen(301))),
        ),
    ]
}

fn next(operation: &Operation, entry: &Entry) -> Content {
    content(operation.next_step, entry.clone())
}

/// For each standing, the entries that may follow; all others are out of order.
const TABLE: &str = "\
closed:
intended: paid | in doubt | voided
paid:
voided:
in doubt: paid | queried | voided | goods given | abandoned
in doubt, goods given: paid | queried | voided
in doubt, abandoned: paid, owed | queried | voided
queried: paid | voided | goods given | abandoned
queried, goods given: paid | voided
queried, abandoned: paid, owed | voided
paid after doubt: goods given | abandoned, owed
paid after doubt, goods given:
paid after doubt, then abandoned:
abandoned, then paid:
voided after doubt: goods given | abandoned
voided after doubt, abandoned:
";

#[test]
fn every_standing_takes_the_entries_of_the_table_and_no_other() {
    let mut table = String::new();
    for (name, history) in standings() {
        let before = operation(&history);
        let mut taken = Vec::new();
        for (entry_name, entry) in entries() {
            let mut after = before.clone();
            let result = after.apply(&next(&before, &entry), head(9));
            assert_eq!(before.admits(&entry), result.is_ok(), "{name}: {entry_name}");
            match result {
                Ok(()) => taken.push(entry_name),
                Err(error) => {
                    assert_eq!(error, FoldError::OutOfOrder, "{name}: {entry_name}");
                    assert_eq!(after, before, "a refused entry changes nothing");
                }
            }
        }
        writeln!(table, "{}", format!("{name}: {}", taken.join(" | ")).trim_end())
            .expect("a string takes all");
    }
    assert_eq!(table, TABLE);
}

#[test]
fn only_an_intent_or_a_closing_entry_begins_an_operation() {
    let beginnings: Vec<_> = entries()
        .into_iter()
        .filter(|(_, entry)| Operation::begin(&content(0, entry.clone()), head(1)).is_ok())
        .map(|(name, _)| name)
        .collect();
    assert_eq!(beginnings, ["intended", "closed"]);
    let error = |step, entry| Operation::begin(&content(step, entry), head(1)).expect_err("it cannot begin");
    assert_eq!(error(0, paid(false)), FoldError::NotOpened);
    assert_eq!(error(1, intended()), FoldError::OtherStep);
}

#[test]
fn an_entry_of_another_operation_or_step_is_not_taken() {
    let before = operation(&[intended()]);
    let apply = |content: Content| {
        let mut after = before.clone();
        let error = after.apply(&content, head(2)).expect_err("it cannot follow");
        assert_eq!(after, before);
        error
    };
    let other = Content {
        operation: OperationId::new([9; 16]),
        ..content(1, paid(false))
    };
    assert_eq!(apply(other), FoldError::OtherOperation);
    assert_eq!(apply(content(0, paid(false))), FoldError::OtherStep);
    assert_eq!(apply(content(2, paid(false))), FoldError::OtherStep);
}

#[test]
fn an_operation_tells_what_its_entries_told() {
    let open = operation(&[intended()]);
    assert!(open.is_open() && open.waits_for_card() && !open.was_in_doubt);
    assert_eq!(open.key().map(|key| key.terminal_sn), Some(42));
    let queried = operation(&[intended(), in_doubt(), queried()]);
    assert!(queried.is_open() && !queried.waits_for_card() && queried.was_in_doubt);
    let owed = operation(&[intended(), in_doubt(), abandoned(), paid(true)]);
    assert!(!owed.is_open() && matches!(owed.standing, Standing::Paid(_)));
    assert_eq!(
        (owed.refund_owed, owed.paid_head, owed.head),
        (Some(yen(300)), Some(head(4)), head(4))
    );
    assert_eq!(
        (owed.next_step, owed.conclusion),
        (4, Some(Conclusion::Abandoned))
    );
    let closed = operation(&[closed()]);
    assert!(!closed.is_open() && closed.key().is_none() && closed.refund_owed.is_none());
}

#[test]
fn what_a_buyer_would_be_owed_is_known_before_the_sale_is_concluded() {
    let paid = operation(&[intended(), in_doubt(), paid(false)]);
    assert_eq!(paid.owed_when(Conclusion::Abandoned), Some(yen(300)));
    assert_eq!(paid.owed_when(Conclusion::GoodsGiven), None);
    let doubtful = operation(&[intended(), in_doubt()]);
    assert_eq!(doubtful.owed_when(Conclusion::Abandoned), None);
}

/// The provider is asked about sales in doubt only, and its signed word is kept where it is the proof.
#[test]
fn the_providers_word_ends_a_sale_in_doubt_and_no_other() {
    let fold = |entries: &[Entry]| {
        let mut operation = Operation::begin(&content(0, entries[0].clone()), head(1)).expect("an opening");
        let rest = entries[1..].iter();
        rest.map(|entry| {
            let content = next(&operation, entry);
            operation.apply(&content, head(2))
        })
        .last()
        .expect("more than one entry")
    };
    for end in [paid_by_provider(), voided_by_provider()] {
        assert_eq!(fold(&[intended(), in_doubt(), end.clone()]), Ok(()));
        assert_eq!(fold(&[intended(), in_doubt(), queried(), end.clone()]), Ok(()));
        assert_eq!(fold(&[intended(), end.clone()]), Err(FoldError::OutOfOrder));
        let without = match end {
            Entry::SalePaid(paid) => Entry::SalePaid(SalePaid { answer: None, ..paid }),
            Entry::SaleVoided(voided) => Entry::SaleVoided(SaleVoided {
                answer: None,
                ..voided
            }),
            other => other,
        };
        assert_eq!(
            fold(&[intended(), in_doubt(), without]),
            Err(FoldError::OutOfOrder)
        );
    }
    let Entry::SalePaid(by_card) = paid(false) else {
        unreachable!("it is paid");
    };
    let with_word = Entry::SalePaid(SalePaid {
        answer: Some(word()),
        ..by_card
    });
    assert_eq!(
        fold(&[intended(), in_doubt(), with_word]),
        Err(FoldError::OutOfOrder)
    );
}
