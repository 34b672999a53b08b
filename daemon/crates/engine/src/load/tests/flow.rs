//! Voids, confirms and what they wait for.

use purser_ledger::{
    CardId, Commit, Entry, LoadAttempted, LoadBegun, LoadProof, LoadProven, LoadReleased, OperationId, Owner,
    Reference, Scheme, SchemeBytes, Store,
};

use super::till::{CARD_WAIT_MS, Kept, Till, Wants, asked, begin, told, yen};
use crate::{LoadEnd, LoadPhase, LoadWhat, OwedReason, Reply, Request};

const TAC: [u8; 4] = [1, 2, 3, 4];

fn load() -> Reference {
    Reference::new("load").unwrap()
}

/// A store in which the load has come so far: begun, attempted, released, proven.
fn stored(entries: usize) -> Kept {
    let bytes = |bytes: &[u8]| SchemeBytes::new(Scheme::Pboc, bytes.to_vec()).unwrap();
    let all = [
        Entry::LoadBegun(LoadBegun {
            reference: load(),
            owner: Owner(7),
            amount: yen(300),
        }),
        Entry::LoadAttempted(LoadAttempted {
            number: 1,
            card: CardId::new(Scheme::Pboc, [9; 10]),
            online_sn: 7,
            initialize: bytes(&[0; 48]),
        }),
        Entry::LoadReleased(LoadReleased {
            number: 1,
            date_time: [0x20, 0x26, 0x11, 0x23, 0x12, 0, 0],
        }),
        Entry::LoadProven(LoadProven {
            amount: yen(300),
            number: 1,
            proof: LoadProof::Answer,
            tac: bytes(&TAC),
            balance_after: Some(yen(1_300)),
        }),
    ];
    let mut store = Kept::default();
    for (step, entry) in (0..).zip(all.into_iter().take(entries)) {
        let commit = Commit {
            operation: OperationId::new([1; 16]),
            step,
            at: purser_ledger::Wall {
                unix_seconds: 1_800_000_000,
                utc_offset_seconds: 0,
                trusted: true,
            },
            entry,
        };
        let answers = store.append(std::slice::from_ref(&commit)).unwrap();
        assert!(answers[0].is_ok(), "{answers:?}");
    }
    store
}

#[test]
fn a_load_for_which_no_card_comes_is_voided_at_once() {
    let mut till = Till::new();
    till.begun("load", 1);
    assert!(till.wait_ms(CARD_WAIT_MS - 1).is_empty());
    let (call, ask) = asked(&till.wait_ms(1));
    assert_eq!(ask.what, LoadWhat::BeginVoid);
    assert_eq!(told(&till.stands(call, LoadPhase::Voided)), (LoadEnd::Voided, 0));
    assert_eq!(till.recorded, ["begun", "voided"]);
    assert!(till.engine.loads().is_empty());
}

#[test]
fn a_cancel_is_answered_with_the_void_or_with_what_is_owed_and_the_void_is_asked_for_until_it_is_there() {
    let mut till = Till::new();
    till.begun("load", 1);
    let (call, ask) = asked(&till.ask(Request::Cancel(load())));
    assert_eq!(ask.what, LoadWhat::BeginVoid);
    let why = Some(OwedReason::Provider("NotReached"));
    let owed = LoadEnd::Owed {
        may_be_on_card: false,
        why,
    };
    assert_eq!(told(&till.fails(call, "NotReached", true)), (owed, 1));
    let mut pauses = Vec::new();
    for _ in 0..20 {
        let pause = till.engine.poll_timeout().unwrap().0 - till.now.monotonic.0;
        pauses.push(pause);
        let (call, ask) = asked(&till.wait_ms(pause));
        assert_eq!(ask.what, LoadWhat::BeginVoid);
        assert!(till.fails(call, "NotReached", true).is_empty(), "it was told");
    }
    assert!(pauses.is_sorted() && pauses[19] <= 15 * 60_000, "{pauses:?}");
    let pause = till.engine.poll_timeout().unwrap().0 - till.now.monotonic.0;
    let (call, _) = asked(&till.wait_ms(pause));
    assert_eq!(told(&till.stands(call, LoadPhase::Voided)), (LoadEnd::Voided, 0));
    assert_eq!(till.recorded, ["begun", "voided"]);
}

#[test]
fn a_cancel_before_the_load_has_begun_voids_it_too() {
    let mut till = Till::new();
    till.arrive();
    let (call, _) = asked(&till.ask(Request::BeginLoad(begin("load", 1, 300))));
    assert!(till.ask(Request::Cancel(load())).is_empty());
    let (call, ask) = asked(&till.stands(call, LoadPhase::Open));
    assert_eq!(ask.what, LoadWhat::BeginVoid);
    assert_eq!(told(&till.stands(call, LoadPhase::Voided)), (LoadEnd::Voided, 2));
}

#[test]
fn a_load_that_is_being_voided_can_be_begun_again_until_it_is_void() {
    let mut till = Till::new();
    till.begun("load", 1);
    let (void, _) = asked(&till.ask(Request::Cancel(load())));
    let again = till.ask(Request::BeginLoad(begin("load", 1, 300)));
    assert!(
        matches!(&again[..], [Wants::Reply(Ok(Reply::Load { is_new: false, .. }))]),
        "{again:?}"
    );
    assert_eq!(
        told(&till.stands(void, LoadPhase::Voided)),
        (LoadEnd::Voided, 1),
        "the void that was asked for came through"
    );
}

#[test]
fn a_start_gives_a_load_that_no_card_has_time_for_a_new_request_and_then_voids_it() {
    for entries in [1, 2] {
        let mut till = Till::started(stored(entries), true);
        assert!(till.arrive().is_empty());
        let (call, ask) = asked(&till.wait_ms(CARD_WAIT_MS));
        assert_eq!(ask.what, LoadWhat::BeginVoid);
        assert_eq!(told(&till.stands(call, LoadPhase::Voided)), (LoadEnd::Voided, 0));
    }
}

#[test]
fn a_load_that_a_card_may_have_is_voided_by_no_time_and_by_no_cancel_without_the_card() {
    let mut till = Till::started(stored(3), true);
    assert!(till.arrive().is_empty());
    assert!(till.wait_ms(100 * CARD_WAIT_MS).is_empty());
    let again = till.ask(Request::BeginLoad(begin("load", 1, 300)));
    assert!(matches!(&again[..], [Wants::Reply(Ok(Reply::Load { .. }))]));
    let owed = |why| LoadEnd::Owed {
        may_be_on_card: true,
        why: Some(why),
    };
    assert_eq!(
        told(&till.wait_ms(CARD_WAIT_MS)),
        (owed(OwedReason::NoCardInTime), 0)
    );
    let (call, ask) = asked(&till.ask(Request::Cancel(load())));
    assert_eq!(ask.what, LoadWhat::BeginVoid);
    let challenge = crate::LoadAnswer::Standing {
        phase: LoadPhase::Released,
        last_attempt: 1,
        void_challenge: Some([5; 6]),
    };
    assert!(
        till.answered(call, Ok(challenge)).is_empty(),
        "it waits for the card"
    );
    assert_eq!(
        told(&till.wait_ms(CARD_WAIT_MS)),
        (owed(OwedReason::NoCardInTime), 1)
    );
    assert!(till.recorded.is_empty());
}

#[test]
fn a_further_attempt_takes_back_nothing_of_what_was_released() {
    let mut store = stored(3);
    let bytes = SchemeBytes::new(Scheme::Pboc, vec![0; 48]).unwrap();
    let attempted = Entry::LoadAttempted(LoadAttempted {
        number: 2,
        card: CardId::new(Scheme::Pboc, [9; 10]),
        online_sn: 7,
        initialize: bytes,
    });
    let commit = Commit {
        operation: OperationId::new([1; 16]),
        step: 3,
        at: purser_ledger::Wall {
            unix_seconds: 1_800_000_000,
            utc_offset_seconds: 0,
            trusted: true,
        },
        entry: attempted,
    };
    assert!(store.append(&[commit]).unwrap()[0].is_ok());
    let mut till = Till::started(store, true);
    till.arrive();
    let owed = LoadEnd::Owed {
        may_be_on_card: true,
        why: None,
    };
    assert_eq!(told(&till.ask(Request::Attach(load()))), (owed, 1));
}

#[test]
fn what_is_proven_is_confirmed_for_ever() {
    let mut till = Till::started(stored(4), true);
    let wants = till.arrive();
    let (mut call, ask) = asked(&wants);
    assert_eq!(ask.what, LoadWhat::Confirm(TAC));
    for (name, is_transient) in [("NotReached", true), ("Tac", false), ("VoidedAndHappened", false)] {
        assert!(till.fails(call, name, is_transient).is_empty());
        let (_, why) = till.engine.loads().remove(0);
        assert_eq!(why, Some(OwedReason::Provider(name)), "it is shown");
        let pause = till.engine.poll_timeout().unwrap().0 - till.now.monotonic.0;
        assert!(is_transient || pause >= 7 * 60_000, "{pause}");
        let (next, ask) = asked(&till.wait_ms(pause));
        assert_eq!(ask.what, LoadWhat::Confirm(TAC));
        call = next;
    }
    let loaded = |is_confirmed| LoadEnd::Loaded {
        balance_after: Some(yen(1_300)),
        is_confirmed,
    };
    assert_eq!(
        told(&till.ask(Request::Cancel(load()))),
        (loaded(false), 1),
        "nothing takes it back"
    );
    assert!(
        till.stands(call, LoadPhase::Voided).is_empty(),
        "nor does the provider"
    );
    assert_eq!(
        till.engine.loads().remove(0).1,
        Some(OwedReason::Provider("VoidedAndHappened"))
    );
    let wants = till.ask(Request::BeginLoad(begin("load", 1, 300)));
    let [Wants::Ask(call, _), Wants::Told(_)] = &wants[..] else {
        panic!("who asks for it has it asked for at once: {wants:?}");
    };
    let call = *call;
    assert_eq!(told(&till.stands(call, LoadPhase::Done)), (loaded(true), 0));
    assert_eq!(till.recorded, ["confirmed"]);
    assert!(till.engine.loads().is_empty());
}

#[test]
fn what_the_provider_knows_to_be_done_is_recorded_though_another_terminal_brought_the_proof() {
    let mut till = Till::started(stored(3), true);
    till.arrive();
    let (call, _) = asked(&till.ask(Request::Cancel(load())));
    let (call, ask) = asked(&till.fails(call, "Done", false));
    assert_eq!(ask.what, LoadWhat::Show);
    let wants = till.stands(call, LoadPhase::Done);
    let ends: Vec<_> = wants
        .iter()
        .map(|it| match it {
            Wants::Told(told) => told.view.state.end,
            other => panic!("its end is told: {other:?}"),
        })
        .collect();
    let loaded = |is_confirmed| LoadEnd::Loaded {
        balance_after: None,
        is_confirmed,
    };
    assert_eq!(ends, [loaded(false), loaded(true)]);
    assert_eq!(till.recorded, ["proven", "confirmed"]);
}

#[test]
fn an_answer_to_a_call_that_nobody_waits_for_changes_nothing() {
    let mut till = Till::new();
    till.begun("load", 1);
    let (call, _) = asked(&till.wait_ms(CARD_WAIT_MS));
    assert!(
        till.stands(crate::CallId(call.0 + 7), LoadPhase::Voided)
            .is_empty(),
        "nobody asked"
    );
    assert_eq!(told(&till.stands(call, LoadPhase::Voided)), (LoadEnd::Voided, 0));
    assert!(till.stands(call, LoadPhase::Voided).is_empty(), "it came twice");
}
