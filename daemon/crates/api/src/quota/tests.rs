//! What is taken, what is refused, and what is only delayed.

use super::*;
use crate::model::ErrorName;

fn user(uid: u32) -> User {
    User {
        uid,
        is_operator: false,
    }
}

fn operator(uid: u32) -> User {
    User {
        uid,
        is_operator: true,
    }
}

/// How many calls are taken of very many.
fn taken(quotas: &Quotas, user: User, kind: Kind, now: Instant) -> Option<u32> {
    let calls = (0..10_000).filter(|_| quotas.admit_at(user, kind, now).is_ok());
    u32::try_from(calls.count()).ok()
}

#[test]
fn a_burst_is_taken_then_so_many_a_second_and_another_user_is_not_meant() {
    let (quotas, now) = (Quotas::new(), Instant::now());
    assert_eq!(taken(&quotas, user(7), Kind::Other, now), Some(CALLS_AT_ONCE));
    let refused = quotas.admit_at(user(7), Kind::Other, now).unwrap_err();
    assert!(
        refused.is(ErrorName::QuotaCalls) && refused.transient,
        "{refused:?}"
    );
    assert!(quotas.admit_at(user(8), Kind::Other, now).is_ok());
    let later = now + Duration::from_secs(1);
    assert_eq!(
        taken(&quotas, user(7), Kind::Other, later),
        Some(CALLS_PER_SECOND)
    );
    let operators = CALLS_AT_ONCE * OPERATOR_FACTOR;
    assert_eq!(taken(&quotas, operator(7), Kind::Other, later), Some(operators));
}

#[test]
fn who_is_now_an_operator_and_now_none_gains_no_more_than_both_together() {
    let (quotas, now) = (Quotas::new(), Instant::now());
    let mut calls = 0;
    for _ in 0..100 {
        for user in [user(7), operator(7)] {
            calls += taken(&quotas, user, Kind::Other, now).unwrap();
        }
    }
    assert_eq!(calls, CALLS_AT_ONCE * (1 + OPERATOR_FACTOR));
}

#[test]
fn who_has_read_much_may_read_no_more_for_a_while_and_call_and_connect_all_the_same() {
    let quotas = Quotas::new();
    let now = Instant::now();
    for _ in 0..100 {
        quotas.charge(user(7), 200);
    }
    assert!(quotas.is_in_debt(user(7)));
    let refused = quotas.admit_at(user(7), Kind::Reading, now).unwrap_err();
    assert!(
        refused.is(ErrorName::QuotaCalls) && refused.transient,
        "{refused:?}"
    );
    for kind in [Kind::Other, Kind::Settling] {
        let (_pass, pause) = quotas.admit_at(user(7), kind, now).unwrap();
        assert!(pause.is_zero());
    }
    assert!(quotas.admit_connection(7));
    let later = now + Duration::from_secs(60);
    assert!(quotas.admit_at(user(7), Kind::Reading, later).is_ok());
    assert!(!quotas.is_in_debt(user(8)));
}

#[test]
fn what_settles_a_sale_is_delayed_above_its_number_and_never_refused() {
    let (quotas, now) = (Quotas::new(), Instant::now());
    taken(&quotas, user(7), Kind::Other, now);
    while quotas.admit_connection(7) {}
    for n in 0..10_000 {
        let (_pass, pause) = quotas.admit_at(user(7), Kind::Settling, now).unwrap();
        assert_eq!(pause.is_zero(), n < SETTLING_AT_ONCE, "{n}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_what_settles_sales_is_as_slow_as_one_of_refusals() {
    let quotas = Quotas::new();
    for _ in 0..SETTLING_AT_ONCE {
        drop(quotas.admit(user(7), Kind::Settling).await.unwrap());
    }
    let begin = Instant::now();
    let mut at_once = tokio::task::JoinSet::new();
    for _ in 0..CALLS_WAITING_MAX {
        let quotas = quotas.clone();
        at_once.spawn(async move {
            for _ in 0..4 {
                drop(quotas.admit(user(7), Kind::Settling).await.unwrap());
            }
        });
    }
    at_once.join_all().await;
    // What time brings meanwhile is not delayed.
    assert!(begin.elapsed() >= 2 * REFUSED_PAUSE, "{:?}", begin.elapsed());
}

#[test]
fn calls_that_wait_are_counted_until_they_are_answered_and_those_that_settle_have_places_of_their_own() {
    let (quotas, now) = (Quotas::new(), Instant::now());
    let admit = |kind| quotas.admit_at(user(7), kind, now);
    for (kind, other) in [(Kind::Other, Kind::Settling), (Kind::Settling, Kind::Other)] {
        let mut passes: Vec<_> = (0..CALLS_WAITING_MAX).map(|_| admit(kind).unwrap()).collect();
        assert!(admit(kind).unwrap_err().is(ErrorName::QuotaCalls));
        assert!(admit(other).is_ok());
        passes.pop();
        assert!(admit(kind).is_ok());
    }
}

#[test]
fn many_users_are_not_remembered_for_ever() {
    let (quotas, mut now) = (Quotas::new(), Instant::now());
    for uid in 0..10_000 {
        drop(quotas.admit_at(user(uid), Kind::Other, now));
        now += Duration::from_millis(100);
    }
    assert!(quotas.lock().len() <= USERS_MAX);
}
