//! What the engine refuses: requests, and answers that a faulty link or a lying provider hands in.

use purser_provider_link::{BankAccount, BatchId, BatchVoid, Digest, Permit, TerminalName, VoidReason};

use super::till::{Till, Wants, count, permit, yen};
use crate::settlement::{BatchState, SettleAnswer};
use crate::{Input, Request, RequestError};

fn refused(wants: &[Wants]) -> RequestError {
    match wants {
        [Wants::Reply(Err(error))] => *error,
        other => panic!("nothing is refused: {other:?}"),
    }
}

#[test]
fn who_may_not_settle_is_told_so() {
    let mut till = Till::new();
    assert_eq!(
        refused(&till.ask(Request::Settle(None), false)),
        RequestError::NotOperator
    );
    let dollars = Some("USD".parse().unwrap());
    assert_eq!(
        refused(&till.ask(Request::Settle(dollars), true)),
        RequestError::CurrencyNotAccepted
    );
    let mut alone = Till::resumed(None, purser_ledger::Snapshot::default());
    assert_eq!(refused(&alone.settle()), RequestError::ProviderNotConfigured);
    till.begin();
    for _ in 1..super::super::WAITING_MAX {
        assert!(till.settle().is_empty());
    }
    assert_eq!(refused(&till.settle()), RequestError::Changing);
}

#[test]
fn each_lie_of_a_permit_leaves_the_batch_sealed_and_has_its_name() {
    type Change = fn(&mut Permit);
    let lies: [(Change, &str); 7] = [
        (|it| it.batch = Digest([9; 32]), "permit_of_other_batch"),
        (|it| it.verdicts = Digest([9; 32]), "verdicts_of_other_permit"),
        (|it| it.sum.total = yen(601), "verdicts_of_other_permit"),
        (
            |it| it.presenter = TerminalName::new("till-2").unwrap(),
            "permit_of_other_terminal",
        ),
        (
            |it| it.account = BankAccount::new(*b"001200310000043").unwrap(),
            "permit_of_other_account",
        ),
        (
            |it| it.expires_unix_seconds = super::till::NOW.wall.unix_seconds,
            "permit_expired",
        ),
        (|it| it.sum.debt_after = yen(1), "verdicts_of_other_permit"),
    ];
    for (lie, name) in lies {
        let mut till = Till::new();
        let (call, send) = till.sealed();
        assert!(till.settled(call, Ok(permit(&send, lie))).is_empty(), "{name}");
        let views = till.engine.batches();
        assert_eq!(views[0].state, BatchState::Waiting);
        assert_eq!(views[0].why.as_ref().unwrap().0, name);
    }
}

#[test]
fn an_expired_permit_is_taken_where_the_clock_cannot_say_so() {
    let mut till = Till::new();
    let (call, send) = till.sealed();
    till.now.wall.unix_seconds = 0;
    let expired = permit(&send, |it| it.expires_unix_seconds = 1_700_000_000);
    assert!(matches!(&till.settled(call, Ok(expired))[..], [Wants::Commit(_)]));
}

#[test]
fn the_void_of_another_batch_voids_nothing() {
    let mut till = Till::new();
    let (call, send) = till.sealed();
    let right = BatchVoid {
        batch_id: send.batch.id,
        batch: send.batch.digest(),
        reason: VoidReason::OtherDigest,
    };
    let other_id = BatchVoid {
        batch_id: BatchId([9; 16]),
        ..right
    };
    let other_digest = BatchVoid {
        batch: Digest([9; 32]),
        ..right
    };
    let mut call = call;
    for void in [other_id, other_digest] {
        let signature = vec![9; 64];
        let answer = SettleAnswer::Void { void, signature };
        assert!(till.settled(call, Ok(answer)).is_empty());
        assert_eq!(
            till.engine.batches()[0].why.as_ref().unwrap().0,
            "void_of_other_batch"
        );
        let [Wants::Send(next, _), ..] = &till.settle()[..] else {
            panic!("it is sent again");
        };
        call = *next;
    }
}

#[test]
fn a_batch_that_was_not_asked_for_is_not_sealed() {
    let mut till = Till::new();
    let (id, asked) = till.begin();
    let other = crate::settlement::CountBatch {
        id: purser_ledger::OperationId::new([0xEE; 16]),
        ..asked
    };
    let counted = Ok(Some(count(other, 2, 9, false)));
    let wants = till.handle(Input::Counted { id, counted });
    let [Wants::Reply(Ok(views))] = &wants[..] else {
        panic!("{wants:?}");
    };
    assert_eq!(views[0].why.as_ref().unwrap().0, "counted_other_batch");
}
