//! From the request to the end of a batch.

use purser_ledger::{Entry, Refused};
use purser_provider_link::{BatchId, BatchVoid, VoidReason};

use super::till::{Till, Wants, batch_of, count, failure, jpy, permit, snapshot_of, yen};
use crate::settlement::{BatchState, ProviderFailure, SettleAnswer};
use crate::{Input, Request, RequestError};

#[test]
fn a_batch_is_counted_sealed_sent_and_exchanged_and_each_step_waits_for_the_one_before() {
    let mut till = Till::new();
    let begun = till.begin();
    assert_eq!((begun.1.after, begun.1.currency), (0, jpy()));
    let seal = till.counted(begun, 2, 9);
    assert!(matches!(&seal.entry, Entry::BatchSealed(it) if (it.after, it.upto, it.count) == (0, 9, 2)));
    let wants = till.committed(&seal);
    let [Wants::Send(call, send), Wants::Reply(Ok(views))] = &wants[..] else {
        panic!("{wants:?}");
    };
    assert_eq!((&send.batch, send.after, send.upto), (&batch_of(&seal), 0, 9));
    assert_eq!(views.len(), 1);
    assert_eq!(
        (views[0].state, views[0].count, views[0].claims.amount),
        (BatchState::Sending, 2, yen(600))
    );
    let wants = till.settled(*call, Ok(permit(send, |_| {})));
    let [Wants::Commit(exchange)] = &wants[..] else {
        panic!("{wants:?}");
    };
    assert_eq!((exchange.operation, exchange.step), (seal.operation, 1));
    let wants = till.committed(exchange);
    let [Wants::Ended(view)] = &wants[..] else {
        panic!("{wants:?}");
    };
    assert_eq!((view.state, view.total), (BatchState::Exchanged, Some(yen(600))));
    assert!(till.engine.batches().is_empty());
    assert_eq!(
        till.begin().1.after,
        9,
        "the next batch begins where this one ended"
    );
}

#[test]
fn a_repeat_joins_what_is_under_way_and_is_told_the_same() {
    let mut till = Till::new();
    let begun = till.begin();
    assert!(till.settle().is_empty(), "it waits for the same seal");
    let seal = till.counted(begun, 2, 9);
    assert!(till.settle().is_empty());
    let wants = till.committed(&seal);
    let replies = wants
        .iter()
        .filter(|it| matches!(it, Wants::Reply(Ok(views)) if views.len() == 1));
    assert_eq!(replies.count(), 3);
    let later = till.settle();
    assert!(matches!(&later[..], [Wants::Reply(Ok(views))] if views[0].state == BatchState::Sending));
}

#[test]
fn nothing_to_settle_is_an_answer() {
    let mut till = Till::new();
    let (id, _) = till.begin();
    let wants = till.handle(Input::Counted {
        id,
        counted: Ok(None),
    });
    assert!(matches!(&wants[..], [Wants::Reply(Ok(views))] if views.is_empty()));
}

#[test]
fn what_cannot_be_counted_or_sealed_is_told_and_can_be_asked_for_again() {
    let mut till = Till::new();
    let (id, _) = till.begin();
    let counted = Err(failure(false));
    let wants = till.handle(Input::Counted { id, counted });
    let [Wants::Reply(Ok(views))] = &wants[..] else {
        panic!("{wants:?}");
    };
    assert_eq!(views[0].state, BatchState::NotSealed);
    assert_eq!(views[0].why.as_ref().map(|why| why.0), Some("no_line"));
    let begun = till.begin();
    let seal = till.counted(begun, 2, 9);
    let wants = till.handle(Input::Refused {
        operation: seal.operation,
        step: 0,
        refused: Refused::NoRoom,
    });
    assert!(matches!(&wants[..], [Wants::Reply(Ok(views))] if views[0].state == BatchState::NotSealed));
    assert_eq!(till.begin().1.after, 0);
}

#[test]
fn a_failure_is_tried_again_with_longer_and_longer_pauses_for_ever() {
    let mut till = Till::new();
    let (mut call, send) = till.sealed();
    let mut pauses = Vec::new();
    for _ in 0..40 {
        assert!(till.settled(call, Err(failure(true))).is_empty());
        let views = till.engine.batches();
        assert_eq!(
            (views[0].state, views[0].why.as_ref().unwrap().0),
            (BatchState::Waiting, "no_line")
        );
        let pause = till.engine.poll_timeout().unwrap().0 - till.now.monotonic.0;
        pauses.push(pause);
        assert!(till.wait_ms(pause - 1).is_empty(), "not before its time");
        let wants = till.wait_ms(1);
        let [Wants::Send(next, again)] = &wants[..] else {
            panic!("{wants:?}");
        };
        assert_eq!(*again, send);
        assert_ne!(*next, call);
        call = *next;
    }
    assert!(pauses[0] >= 2_500 && pauses[0] <= 5_000, "{pauses:?}");
    assert!(
        pauses.is_sorted() && pauses[39] <= 15 * 60_000 && pauses[39] >= 7 * 60_000,
        "{pauses:?}"
    );
    assert!(till.settled(call, Err(failure(false))).is_empty());
    let wants = till.settle();
    assert!(
        matches!(&wants[..], [Wants::Send(_, again), Wants::Reply(Ok(_))] if *again == send),
        "who asks now is served now: {wants:?}"
    );
}

#[test]
fn an_answer_to_an_earlier_call_changes_nothing() {
    let mut till = Till::new();
    let (first, send) = till.sealed();
    till.settled(first, Err(failure(true)));
    assert!(
        till.settled(first, Ok(permit(&send, |_| {}))).is_empty(),
        "it waits"
    );
    let [Wants::Send(second, _), ..] = &till.settle()[..] else {
        panic!("it is sent again");
    };
    let second = *second;
    assert!(till.settled(first, Err(failure(true))).is_empty());
    let wants = till.settled(second, Ok(permit(&send, |_| {})));
    assert!(matches!(&wants[..], [Wants::Commit(_)]));
    assert!(
        till.settled(second, Ok(permit(&send, |_| {}))).is_empty(),
        "exchanged once"
    );
    let (id, _) = (second, ());
    assert!(
        till.handle(Input::Counted {
            id,
            counted: Ok(None)
        })
        .is_empty()
    );
}

#[test]
fn a_void_frees_the_claims_for_the_next_batch() {
    let mut till = Till::new();
    let (call, send) = till.sealed();
    let void = BatchVoid {
        batch_id: send.batch.id,
        batch: send.batch.digest(),
        reason: VoidReason::TerminalSuspended,
    };
    let answer = SettleAnswer::Void {
        void,
        signature: vec![9; 64],
    };
    let wants = till.settled(call, Ok(answer));
    let [Wants::Commit(commit)] = &wants[..] else {
        panic!("{wants:?}");
    };
    let wants = till.committed(&commit.clone());
    assert!(matches!(&wants[..], [Wants::Ended(view)] if view.state == BatchState::Voided));
    let (_, asked) = till.begin();
    assert_eq!(asked.after, 0);
    assert_ne!(BatchId(*asked.id.bytes()), send.batch.id, "a number is used once");
}

#[test]
fn what_does_not_fit_into_one_batch_follows_in_the_next_by_itself() {
    let mut till = Till::new();
    let (id, asked) = till.begin();
    let counted = Ok(Some(count(asked.clone(), 2, 4, true)));
    let wants = till.handle(Input::Counted { id, counted });
    let [Wants::Commit(seal)] = &wants[..] else {
        panic!("{wants:?}");
    };
    let wants = till.committed(&seal.clone());
    let [Wants::Send(call, send), ..] = &wants[..] else {
        panic!("{wants:?}");
    };
    let wants = till.settled(*call, Ok(permit(send, |_| {})));
    let [Wants::Commit(exchange)] = &wants[..] else {
        panic!("{wants:?}");
    };
    let wants = till.committed(&exchange.clone());
    let [Wants::Ended(_), Wants::Count(_, next)] = &wants[..] else {
        panic!("{wants:?}");
    };
    assert_eq!(next.after, 4);
    assert_ne!(next.id, asked.id);
}

#[test]
fn an_end_that_the_store_refuses_leaves_the_batch_sealed() {
    let mut till = Till::new();
    let (call, send) = till.sealed();
    let wants = till.settled(call, Ok(permit(&send, |_| {})));
    let [Wants::Commit(commit)] = &wants[..] else {
        panic!("{wants:?}");
    };
    let (operation, step) = (commit.operation, commit.step);
    let refused = Refused::BalanceOutOfRange;
    let input = Input::Refused {
        operation,
        step,
        refused,
    };
    assert!(till.handle(input).is_empty());
    let views = till.engine.batches();
    assert_eq!(
        (views[0].state, views[0].why.as_ref().unwrap().0),
        (BatchState::Waiting, "journal_refused")
    );
    assert!(matches!(&till.settle()[..], [Wants::Send(..), Wants::Reply(..)]));
}

#[test]
fn a_stop_parks_what_is_sealed_and_drops_what_is_counted() {
    let mut till = Till::new();
    let (id, asked) = till.begin();
    let wants = till.ask(Request::Stop, true);
    assert!(matches!(
        &wants[..],
        [Wants::Reply(Err(RequestError::Stopping)), Wants::Stopped]
    ));
    let counted = Ok(Some(count(asked, 2, 9, false)));
    assert!(
        till.handle(Input::Counted { id, counted }).is_empty(),
        "nothing is sealed any more"
    );

    let mut till = Till::new();
    let (call, send) = till.sealed();
    assert!(matches!(&till.ask(Request::Stop, true)[..], [Wants::Stopped]));
    assert!(
        till.settled(call, Ok(permit(&send, |_| {}))).is_empty(),
        "it is asked for again after the start"
    );
    assert_eq!(till.engine.poll_timeout(), None);
    assert!(matches!(
        &till.settle()[..],
        [Wants::Reply(Err(RequestError::Stopping))]
    ));
}

#[test]
fn a_stop_waits_for_a_commit_that_is_on_its_way() {
    let mut till = Till::new();
    let begun = till.begin();
    let seal = till.counted(begun, 2, 9);
    let wants = till.ask(Request::Stop, true);
    assert!(matches!(&wants[..], [Wants::Reply(Err(RequestError::Stopping))]));
    assert!(
        matches!(&till.committed(&seal)[..], [Wants::Stopped]),
        "and sends nothing"
    );

    let mut till = Till::new();
    let (call, send) = till.sealed();
    let wants = till.settled(call, Ok(permit(&send, |_| {})));
    let [Wants::Commit(exchange)] = &wants[..] else {
        panic!("{wants:?}");
    };
    let exchange = exchange.clone();
    assert!(till.ask(Request::Stop, true).is_empty());
    let wants = till.committed(&exchange);
    assert!(
        matches!(&wants[..], [Wants::Ended(_), Wants::Stopped]),
        "{wants:?}"
    );
}

#[test]
fn a_start_sends_the_very_batch_that_was_sealed() {
    let mut till = Till::new();
    let begun = till.begin();
    let seal = till.counted(begun, 2, 9);
    let enrolled = Some(super::till::enrolment());
    let mut till = Till::resumed(enrolled, snapshot_of(&seal));
    let wants = till.wants();
    let [Wants::Send(call, send)] = &wants[..] else {
        panic!("{wants:?}");
    };
    assert_eq!((&send.batch, send.after, send.upto), (&batch_of(&seal), 0, 9));
    let wants = till.settled(*call, Ok(permit(send, |_| {})));
    assert!(matches!(&wants[..], [Wants::Commit(it)] if it.step == 1));
}

#[test]
fn a_batch_of_another_enrolment_is_shown_and_not_sent() {
    let mut till = Till::new();
    let begun = till.begin();
    let seal = till.counted(begun, 2, 9);
    let other = crate::settlement::Enrolment {
        provider: purser_provider_link::ProviderName::new("another").unwrap(),
        ..super::till::enrolment()
    };
    for (enrolled, why) in [
        (Some(other), "other_enrolment"),
        (None, "provider_not_configured"),
    ] {
        let mut till = Till::resumed(enrolled, snapshot_of(&seal));
        assert!(till.wants().is_empty());
        let views = till.engine.batches();
        assert_eq!(views[0].why.as_ref().unwrap().0, why);
        assert_eq!(views[0].count, 2);
    }
}

#[test]
fn claims_in_a_batch_count_against_the_limits_until_they_are_exchanged() {
    let mut snapshot = purser_ledger::Snapshot::default();
    for n in 0..2 {
        snapshot.unsettled.add(yen(300), super::till::NOW.wall);
        assert_eq!(snapshot.unsettled.count(), n + 1);
    }
    let mut till = Till::resumed(Some(super::till::enrolment()), snapshot);
    let (call, send) = till.sealed();
    assert_eq!(till.engine.counted().count(), 2);
    let wants = till.settled(call, Ok(permit(&send, |_| {})));
    let [Wants::Commit(exchange)] = &wants[..] else {
        panic!("{wants:?}");
    };
    assert_eq!(till.engine.counted().count(), 2);
    till.committed(&exchange.clone());
    assert_eq!(
        (till.engine.counted().count(), till.engine.counted().minor(jpy())),
        (0, 0)
    );
}

#[test]
fn a_failure_is_told_in_its_own_words() {
    let mut till = Till::new();
    let (call, _) = till.sealed();
    let told = ProviderFailure {
        name: "certificate_expired",
        is_transient: false,
        text: "the provider's certificate has expired".to_owned(),
    };
    till.settled(call, Err(told.clone()));
    assert_eq!(till.engine.batches()[0].why, Some((told.name, told.text)));
}
