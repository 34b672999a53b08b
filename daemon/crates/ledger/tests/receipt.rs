//! Record, then act: only durable entries make a receipt, and a receipt is spent by one act.

mod common;

use common::{commit, head, id, intended, load_begun, operation, reference, yen};
use purser_ledger::{
    AnyOperation, Commit, Entry, Find, FindError, Head, Load, Reference, Refused, SaleVoided, Snapshot,
    Store, StoreBroken, StoredKind, VoidProof, find,
};

/// A store that answers what it is told to.
struct Told(Vec<Result<Head, Refused>>);

impl Store for Told {
    fn append(&mut self, _: &[Commit]) -> Result<Vec<Result<Head, Refused>>, StoreBroken> {
        Ok(std::mem::take(&mut self.0))
    }

    fn find(&self, query: &Find) -> Result<Option<AnyOperation>, FindError> {
        let Find::Reference(asked) = query;
        Ok(Some(if *asked == reference() {
            AnyOperation::Sale(operation(&[intended()]))
        } else {
            let begun = commit(0, load_begun()).content();
            AnyOperation::Load(Load::begin(&begun, head(1)).expect("it opens"))
        }))
    }

    fn snapshot(&self) -> Result<Snapshot, StoreBroken> {
        Err(StoreBroken("not asked for".into()))
    }
}

#[test]
fn receipts_cannot_be_forged() {
    trybuild::TestCases::new().compile_fail("tests/compile_fail/*.rs");
}

#[test]
fn each_stored_commit_gets_a_receipt_and_each_refused_one_its_reason() {
    let group = [commit(0, intended()), commit(1, common::in_doubt())];
    let mut store = Told(vec![Ok(head(7)), Err(Refused::OutOfOrder)]);
    let mut answers = purser_ledger::commit(&mut store, &group)
        .expect("it answers")
        .into_iter();
    let receipt = answers.next().expect("two answers").expect("stored");
    assert_eq!(
        (receipt.operation(), receipt.step(), receipt.head()),
        (id(), 0, head(7))
    );
    let authorised = receipt.authorise("send the debit");
    assert_eq!(
        (*authorised.act(), authorised.into_act()),
        ("send the debit", "send the debit")
    );
    assert_eq!(
        answers.next().expect("two answers").err(),
        Some(Refused::OutOfOrder)
    );
}

#[test]
fn what_is_stored_may_be_told() {
    let stored = find(&Told(Vec::new()), &Find::Reference(reference()))
        .expect("it answers")
        .expect("stored");
    assert_eq!(stored.operation().id(), id());
    let StoredKind::Sale(sale) = stored.into_kind() else {
        unreachable!("a sale is stored");
    };
    assert_eq!(sale.operation().id, id());
    let told = sale.authorise(|operation| operation.amount);
    assert_eq!(told.into_act(), yen(300));
    let other = Find::Reference(Reference::new("order-18").expect("a name"));
    let stored = find(&Told(Vec::new()), &other)
        .expect("it answers")
        .expect("stored");
    let StoredKind::Load(load) = stored.into_kind() else {
        unreachable!("a load is stored");
    };
    assert_eq!(load.operation().amount, yen(300));
}

#[test]
#[should_panic(expected = "a store answers each commit")]
fn a_store_that_answers_for_another_number_of_commits_is_not_trusted() {
    let _ = purser_ledger::commit(&mut Told(vec![]), &[commit(0, intended())]);
}

#[test]
#[should_panic(expected = "a transfer moves money")]
fn a_transfer_of_nothing_is_not_recorded() {
    let nothing = Entry::SaleVoided(SaleVoided {
        amount: yen(0),
        proof: VoidProof::NotSent,
        answer: None,
    });
    let _ = purser_ledger::commit(&mut Told(vec![Ok(head(1))]), &[commit(0, nothing)]);
}
