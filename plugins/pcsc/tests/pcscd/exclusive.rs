//! Other PC/SC programs beside Purser.

use std::ffi::CString;
use std::thread;
use std::time::{Duration, Instant};

use pcsc::{Context, Disposition, Protocols, Scope, ShareMode};
use purser_lab::card::Interface;
use purser_plugin_api::sdk::{CardReader, Connection, Driver, Fault, Slot};

use crate::support::apdu::{GET_CHALLENGE, INITIALIZE, PIN_NEEDED, SELECT_PURSE, VERIFY};
use crate::support::bench::{Bench, Told};
use crate::support::card::LabCard;
use crate::support::namespace::inside;
use crate::support::rival::{Grip, Rival};
use crate::support::{FIRST_READER, PATIENCE};

#[test]
fn nobody_else_reaches_a_connected_card() {
    inside(|| {
        let (bench, slot) = Bench::with_first_reader();
        let _inserted = LabCard::new(Interface::Whole).insert();
        let connection = bench.connected(slot).connection;
        for grip in [Grip::Shared, Grip::Exclusive] {
            let rival = Rival::start(FIRST_READER, grip);
            assert!(!rival.has_card, "{grip:?}");
            rival.leave();
        }
        bench
            .transmit(slot, connection, &GET_CHALLENGE)
            .expect("an answer");
        bench.disconnect(slot, connection).expect("a living connection");
        let rival = Rival::start(FIRST_READER, Grip::Shared);
        assert!(rival.has_card, "a disconnected card is free");
        rival.leave();
    });
}

#[test]
fn a_card_that_another_program_holds_is_busy_and_the_program_is_named() {
    inside(|| {
        let (bench, slot) = Bench::with_first_reader();
        let _inserted = LabCard::new(Interface::Whole).insert();
        assert_eq!(bench.next(), Told::Inserted(slot));
        for grip in [Grip::Shared, Grip::Exclusive] {
            let rival = Rival::start(FIRST_READER, grip);
            assert!(rival.has_card, "{grip:?}");
            let busy = bench.connect(slot).expect_err("the rival has it");
            assert_eq!(busy.fault(), Fault::Busy);
            let named = format!("(pid {}) holds the card", rival.pid());
            assert!(busy.detail().contains(&named), "{}", busy.detail());
            rival.leave();
            let connection = bench.connect(slot).expect("the rival left").connection;
            bench.disconnect(slot, connection).expect("a living connection");
        }
    });
}

#[test]
fn what_another_program_left_in_a_card_is_gone_when_it_is_connected() {
    inside(|| {
        let (bench, slot) = Bench::with_first_reader();
        let _inserted = LabCard::new(Interface::Whole).insert();
        assert_eq!(bench.next(), Told::Inserted(slot));
        let context = Context::establish(Scope::System).expect("pcscd runs");
        let reader = CString::new(FIRST_READER).expect("a name");
        let other = context
            .connect(&reader, ShareMode::Shared, Protocols::ANY)
            .expect("a free card");
        let ask_other = |command: &[u8]| other.transmit(command, &mut [0; 300]).expect("an answer").len();
        ask_other(&SELECT_PURSE);
        ask_other(&VERIFY);
        assert_eq!(
            ask_other(&INITIALIZE),
            17,
            "the card takes the other program's PIN"
        );
        let left = other.disconnect(Disposition::LeaveCard);
        left.map_err(|(_, error)| error).expect("left");

        let connection = bench.connect(slot).expect("a free card").connection;
        bench
            .transmit(slot, connection, &SELECT_PURSE)
            .expect("an answer");
        assert_eq!(
            bench.transmit(slot, connection, &INITIALIZE).expect("an answer"),
            PIN_NEEDED
        );
    });
}

#[test]
fn a_connect_behind_a_foreign_lock_answers_in_time_and_can_be_cancelled() {
    inside(|| {
        let (bench, slot) = Bench::with_first_reader();
        let _inserted = LabCard::new(Interface::Whole).insert();
        assert_eq!(bench.next(), Told::Inserted(slot));
        let rival = Rival::start(FIRST_READER, Grip::Locked);
        assert!(rival.has_card);

        let call = bench.call();
        let cancelled = thread::scope(|scope| {
            let connecting = scope.spawn(|| bench.driver.connect(&call, slot));
            // A number that does not run yet is ignored, so that it is asked until it is heard.
            while !connecting.is_finished() {
                bench.driver.cancel(call.number());
                thread::yield_now();
            }
            connecting.join().expect("no panic")
        });
        assert_eq!(cancelled.expect_err("cancelled").fault(), Fault::Cancelled);
        let busy = bench
            .connect(slot)
            .expect_err("the first one still waits in pcscd");
        assert_eq!(busy.fault(), Fault::Busy);
        rival.leave();

        // What the cancelled connect opens late is let go of, and the card can be had again.
        let connection = wait_for_card(&bench, slot);
        bench
            .transmit(slot, connection, &GET_CHALLENGE)
            .expect("an answer");
    });
}

#[test]
fn a_connect_that_pcscd_does_not_answer_ends_before_its_deadline() {
    inside(|| {
        let (bench, slot) = Bench::with_first_reader();
        let _inserted = LabCard::new(Interface::Whole).insert();
        assert_eq!(bench.next(), Told::Inserted(slot));
        let rival = Rival::start(FIRST_READER, Grip::Locked);
        let time = Duration::from_secs(2);
        let call = bench.call_within(time);
        let before = Instant::now();
        let late = bench
            .driver
            .connect(&call, slot)
            .expect_err("a lock that does not end");
        assert!(before.elapsed() < time, "{:?}", before.elapsed());
        assert_eq!(late.fault(), Fault::Timeout);
        assert!(
            late.detail().contains(&format!("(pid {})", rival.pid())),
            "{}",
            late.detail()
        );
        rival.leave();
        wait_for_card(&bench, slot);
    });
}

/// Connects as soon as nobody else has the card.
fn wait_for_card(bench: &Bench, slot: Slot) -> Connection {
    let end = Instant::now() + PATIENCE;
    loop {
        match bench.connect(slot) {
            Ok(card) => return card.connection,
            Err(error) => {
                assert_eq!(error.fault(), Fault::Busy, "{error}");
                assert!(Instant::now() < end, "{error}");
                thread::yield_now();
            }
        }
    }
}
