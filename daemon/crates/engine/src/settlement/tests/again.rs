//! Claims presented again: what is looked for, committed and told, one request at a time.

use purser_ledger::{Batches, Commit, Entry, Operation, Refused, Snapshot};

use super::till::{Till, Wants, enrolment, jpy, paid, yen};
use crate::settlement::{FindUnpaid, NotUnpaid, PresentedAgain, Unpaid};
use crate::{CallId, Input, Request, RequestError};

fn batch() -> purser_ledger::OperationId {
    purser_ledger::OperationId::new([5; 16])
}

/// A till whose batches up to entry 1,000 were exchanged.
fn settled() -> Till {
    let batches = Batches::of([(jpy(), 1_000)], [], std::collections::BTreeSet::new());
    let snapshot = Snapshot {
        batches,
        ..Snapshot::default()
    };
    Till::resumed(Some(enrolment()), snapshot)
}

fn asks(till: &mut Till, place: Option<u32>) -> (CallId, FindUnpaid) {
    match &till.ask(Request::PresentAgain(batch(), place), true)[..] {
        [Wants::FindUnpaid(id, asked)] => (*id, *asked),
        other => panic!("the reader is asked: {other:?}"),
    }
}

fn sales(number: u32) -> Vec<Operation> {
    (0..number)
        .map(|sn| paid(sn, 2 * u64::from(sn) + 2).operation)
        .collect()
}

fn found(till: &mut Till, id: CallId, sales: Vec<Operation>, has_more: bool) -> Vec<Wants> {
    let found = Ok(Unpaid {
        currency: jpy(),
        sales,
        has_more,
    });
    till.handle(Input::Unpaid { id, found })
}

fn commits(wants: &[Wants]) -> Vec<Commit> {
    let commit = |it: &Wants| match it {
        Wants::Commit(commit) => commit.clone(),
        other => panic!("entries are recorded: {other:?}"),
    };
    wants.iter().map(commit).collect()
}

fn done(wants: &[Wants]) -> PresentedAgain {
    match wants {
        [Wants::Presented(done)] => *done,
        other => panic!("the request is answered: {other:?}"),
    }
}

fn error(wants: &[Wants]) -> RequestError {
    match wants {
        [Wants::Reply(Err(error))] => *error,
        other => panic!("it is refused: {other:?}"),
    }
}

fn refused(till: &mut Till, commit: &Commit, refused: Refused) -> Vec<Wants> {
    till.handle(Input::Refused {
        operation: commit.operation,
        step: commit.step,
        refused,
    })
}

#[test]
fn what_a_batch_left_unpaid_is_recorded_in_the_sales_and_then_told() {
    let mut till = settled();
    let (id, asked) = asks(&mut till, None);
    assert_eq!((asked.batch, asked.place, asked.claims_max), (batch(), None, 256));
    let wants = found(&mut till, id, sales(2), false);
    let [first, second] = &commits(&wants)[..] else {
        panic!("two claims: {wants:?}");
    };
    assert_eq!((first.step, first.operation), (2, sales(2)[0].id));
    assert!(matches!(&first.entry, Entry::SalePresentedAgain(it) if it.amount == yen(300)));
    assert_eq!(till.engine.unsettled().count(), 0);
    assert!(till.committed(first).is_empty());
    let told = done(&till.committed(second));
    assert_eq!((told.count, told.amount, told.has_more), (2, yen(600), false));
    let unsettled = till.engine.unsettled();
    assert_eq!(
        (unsettled.count(), unsettled.minor(jpy())),
        (2, 600),
        "they wait again"
    );
    asks(&mut till, None);
}

#[test]
fn many_claims_are_recorded_a_few_at_a_time() {
    let mut till = settled();
    let (id, _) = asks(&mut till, None);
    let wants = found(&mut till, id, sales(40), true);
    let mut on_way = commits(&wants);
    assert_eq!(on_way.len(), 16, "the journal's line is not filled");
    let mut recorded = 0;
    loop {
        let commit = on_way.remove(0);
        recorded += 1;
        let wants = till.committed(&commit);
        if on_way.is_empty() && recorded == 40 {
            let told = done(&wants);
            assert_eq!((told.count, told.has_more), (40, true));
            return;
        }
        on_way.extend(commits(&wants));
        assert!(on_way.len() <= 16);
    }
}

#[test]
fn one_request_at_a_time_and_operators_only() {
    let mut till = settled();
    let ask = || Request::PresentAgain(batch(), Some(3));
    assert_eq!(error(&till.ask(ask(), false)), RequestError::NotOperator);
    let (id, asked) = asks(&mut till, Some(3));
    assert_eq!(asked.place, Some(3));
    assert_eq!(error(&till.ask(ask(), true)), RequestError::Changing);
    let none = till.handle(Input::Unpaid {
        id,
        found: Err(NotUnpaid::Paid),
    });
    assert_eq!(error(&none), RequestError::NotUnpaid(NotUnpaid::Paid));
    let (id, _) = asks(&mut till, None);
    let told = done(&found(&mut till, id, Vec::new(), false));
    assert_eq!((told.count, told.amount), (0, yen(0)));
    till.handle(Input::Held(true));
    assert_eq!(error(&till.ask(ask(), true)), RequestError::Held);
}

#[test]
fn what_the_store_refuses_is_left_and_told() {
    let mut till = settled();
    let (id, _) = asks(&mut till, None);
    let wants = found(&mut till, id, sales(2), false);
    let commits = commits(&wants);
    assert!(refused(&mut till, &commits[0], Refused::OutOfOrder).is_empty());
    let told = done(&till.committed(&commits[1]));
    assert_eq!((told.count, told.has_more), (1, true));
    let (id, _) = asks(&mut till, None);
    let wants = found(&mut till, id, sales(1), false);
    let commits = self::commits(&wants);
    let none = refused(&mut till, &commits[0], Refused::NoRoom);
    assert_eq!(error(&none), RequestError::Refused(Refused::NoRoom));
}

#[test]
fn a_claim_that_is_in_no_exchanged_batch_is_not_presented_again_whatever_the_reader_says() {
    let mut till = settled();
    let (id, _) = asks(&mut till, None);
    let waiting = paid(7, 1_002).operation;
    let told = done(&found(&mut till, id, vec![waiting], false));
    assert_eq!((told.count, told.has_more), (0, true));
}

#[test]
fn a_stop_waits_for_what_is_on_its_way_and_begins_no_more() {
    let mut till = settled();
    let (id, _) = asks(&mut till, None);
    let wants = till.ask(Request::Stop, true);
    assert!(
        matches!(
            &wants[..],
            [Wants::Reply(Err(RequestError::Stopping)), Wants::Stopped]
        ),
        "{wants:?}"
    );
    assert!(
        found(&mut till, id, sales(1), false).is_empty(),
        "nobody waits for it"
    );
    let mut till = settled();
    let (id, _) = asks(&mut till, None);
    let wants = found(&mut till, id, sales(20), false);
    let on_way = commits(&wants);
    assert!(till.ask(Request::Stop, true).is_empty());
    let (last, first) = on_way.split_last().unwrap();
    for commit in first {
        assert!(till.committed(commit).is_empty());
    }
    let wants = till.committed(last);
    let [Wants::Presented(told), Wants::Stopped] = &wants[..] else {
        panic!("it is told, and Purser stops: {wants:?}");
    };
    assert_eq!((told.count, told.has_more), (16, true));
}
