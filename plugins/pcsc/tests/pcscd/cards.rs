//! Cards: coming, going, answering once, and forgetting.

use std::time::Duration;

use purser_lab::card::{Fault as CardFault, Interface, ScriptedFault, instruction};
use purser_plugin_api::sdk::{CardReader, Fault, Output, Protocol};

use crate::support::apdu::{GET_CHALLENGE, INITIALIZE, PIN_NEEDED, SELECT_PURSE, VERIFY, WRONG_VERIFY};
use crate::support::bench::{Bench, Told};
use crate::support::card::LabCard;
use crate::support::namespace::inside;

#[test]
fn fifty_cards_come_and_go_in_turn() {
    inside(|| {
        let (bench, slot) = Bench::with_first_reader();
        let card = LabCard::new(Interface::Whole);
        for _ in 0..50 {
            let inserted = card.insert();
            assert_eq!(bench.next(), Told::Inserted(slot));
            inserted.remove();
            assert_eq!(bench.next(), Told::Removed(slot));
        }
        assert_eq!(bench.told_already(), []);
    });
}

#[test]
fn a_contactless_card_is_told_by_its_atr_and_commands_pass_unchanged_and_once() {
    inside(|| {
        let (bench, slot) = Bench::with_first_reader();
        let card = LabCard::new(Interface::Whole);
        let _inserted = card.insert();
        let connected = bench.connected(slot);
        assert!(connected.contactless);
        assert_eq!(connected.protocol, Protocol::Tcl);
        assert_eq!(connected.atr, Interface::Whole.atr());
        let answer = bench
            .transmit(slot, connected.connection, &GET_CHALLENGE)
            .expect("an answer");
        assert_eq!((answer.len(), &answer[4..]), (6, [0x90, 0x00].as_slice()));
        assert_eq!(card.commands(), [GET_CHALLENGE.to_vec()]);
    });
}

#[test]
fn a_contact_card_s_61xx_and_6cxx_reach_the_caller_untouched() {
    inside(|| {
        let (bench, slot) = Bench::with_first_reader();
        let card = LabCard::new(Interface::T0);
        let _inserted = card.insert();
        let connected = bench.connected(slot);
        assert_eq!((connected.contactless, connected.protocol), (false, Protocol::T0));
        assert_eq!(connected.atr, Interface::T0.atr());
        let selected = bench
            .transmit(slot, connected.connection, &SELECT_PURSE)
            .expect("an answer");
        assert!(
            matches!(selected.as_slice(), [0x61, more] if *more > 0),
            "{selected:02X?}"
        );
        let read = [0x00, 0xB0, 0x95, 0x00, 0x00];
        let length = bench
            .transmit(slot, connected.connection, &read)
            .expect("an answer");
        assert_eq!(length, [0x6C, 0x1E]);
        assert_eq!(card.commands(), [SELECT_PURSE.to_vec(), read.to_vec()]);
    });
}

#[test]
fn a_card_s_protocol_is_told_as_it_is() {
    inside(|| {
        let (bench, slot) = Bench::with_first_reader();
        let block_card = LabCard::with_atr(&[0x3B, 0x80, 0x01, 0x81]);
        let inserted = block_card.insert();
        let connected = bench.connected(slot);
        assert_eq!((connected.contactless, connected.protocol), (false, Protocol::T1));
        bench
            .disconnect(slot, connected.connection)
            .expect("a living connection");
        inserted.remove();
        assert_eq!(bench.next(), Told::Removed(slot));

        let no_card = LabCard::with_atr(&[0x00, 0x00]);
        let _inserted = no_card.insert();
        assert_eq!(bench.next(), Told::Inserted(slot));
        let refused = bench.connect(slot).expect_err("nothing that speaks T=0 or T=1");
        assert_eq!(refused.fault(), Fault::Unsupported, "{refused}");
    });
}

#[test]
fn after_a_disconnect_the_card_has_forgotten_its_pin() {
    inside(|| {
        let (bench, slot) = Bench::with_first_reader();
        let card = LabCard::new(Interface::Whole);
        let _inserted = card.insert();
        let first = bench.connected(slot).connection;
        let ask = |connection, command: &[u8]| bench.transmit(slot, connection, command).expect("an answer");
        ask(first, &SELECT_PURSE);
        assert_eq!(ask(first, &INITIALIZE), PIN_NEEDED);
        assert_eq!(ask(first, &VERIFY), [0x90, 0x00]);
        assert_eq!(ask(first, &INITIALIZE).len(), 17);
        bench.disconnect(slot, first).expect("a living connection");
        let again = bench.disconnect(slot, first).expect_err("it has ended");
        assert_eq!(again.fault(), Fault::CardChanged);

        let second = bench.connect(slot).expect("the card is still there").connection;
        assert_ne!(first, second);
        ask(second, &SELECT_PURSE);
        assert_eq!(ask(second, &INITIALIZE), PIN_NEEDED);
        assert_eq!(bench.told_already(), [], "the card never left");
    });
}

#[test]
fn the_end_of_the_driver_powers_its_cards_off() {
    inside(|| {
        let (bench, slot) = Bench::with_first_reader();
        let card = LabCard::new(Interface::Whole);
        let _inserted = card.insert();
        let connection = bench.connected(slot).connection;
        bench
            .transmit(slot, connection, &SELECT_PURSE)
            .expect("an answer");
        bench.transmit(slot, connection, &VERIFY).expect("an answer");
        drop(bench);
        let (bench, slot) = Bench::with_first_reader();
        let connection = bench.connected(slot).connection;
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
fn an_empty_reader_has_no_card_and_a_living_connection_is_the_only_one() {
    inside(|| {
        let (bench, slot) = Bench::with_first_reader();
        assert_eq!(bench.connect(slot).expect_err("empty").fault(), Fault::NoCard);
        let _inserted = LabCard::new(Interface::Whole).insert();
        let connection = bench.connected(slot).connection;
        assert_eq!(bench.connect(slot).expect_err("taken").fault(), Fault::Busy);
        bench
            .transmit(slot, connection, &GET_CHALLENGE)
            .expect("the first one lives on");
    });
}

#[test]
fn a_connection_ends_with_its_card_even_if_the_same_card_returns() {
    inside(|| {
        let (bench, slot) = Bench::with_first_reader();
        let card = LabCard::new(Interface::Whole);
        let inserted = card.insert();
        let stale = bench.connected(slot).connection;
        inserted.remove();
        assert_eq!(bench.next(), Told::Removed(slot));
        let _inserted = card.insert();
        let fresh = bench.connected(slot).connection;
        let refused = bench
            .transmit(slot, stale, &WRONG_VERIFY)
            .expect_err("an old number");
        assert_eq!(refused.fault(), Fault::CardChanged);
        assert_eq!(card.commands().len(), 0, "nothing was sent");
        bench
            .transmit(slot, fresh, &GET_CHALLENGE)
            .expect("the new number");
    });
}

#[test]
fn a_card_that_leaves_inside_a_command_leaves_its_outcome_unknown() {
    inside(|| {
        for fault in [CardFault::TearBeforeExecute, CardFault::TearAfterExecute] {
            let (bench, slot) = Bench::with_first_reader();
            let card = LabCard::new(Interface::Whole);
            card.script(ScriptedFault::next(instruction::VERIFY, fault));
            let inserted = card.insert();
            let connection = bench.connected(slot).connection;
            bench
                .transmit(slot, connection, &SELECT_PURSE)
                .expect("an answer");
            let torn = bench.transmit(slot, connection, &WRONG_VERIFY).expect_err("torn");
            assert_eq!(torn.fault(), Fault::OutcomeUnknown, "{torn}");
            assert_eq!(card.count(instruction::VERIFY), 1);
            let ended = bench
                .transmit(slot, connection, &WRONG_VERIFY)
                .expect_err("ended");
            assert_eq!(ended.fault(), Fault::CardChanged, "{ended}");
            assert_eq!(card.count(instruction::VERIFY), 1);
            inserted.remove();
            assert_eq!(bench.next(), Told::Removed(slot));
        }
    });
}

#[test]
fn a_command_without_time_is_not_sent_and_its_connection_lives() {
    inside(|| {
        let (bench, slot) = Bench::with_first_reader();
        let card = LabCard::new(Interface::Whole);
        let _inserted = card.insert();
        let connection = bench.connected(slot).connection;
        let call = bench.call_within(Duration::ZERO);
        let mut memory = [0; 64];
        let mut response = Output::new(&mut memory);
        let late = bench
            .driver
            .transmit(&call, slot, connection, &WRONG_VERIFY, &mut response);
        assert_eq!(late.expect_err("late").fault(), Fault::Timeout);
        assert_eq!(card.commands().len(), 0);
        bench
            .transmit(slot, connection, &GET_CHALLENGE)
            .expect("it lives");
    });
}

#[test]
fn two_readers_work_beside_each_other() {
    inside(|| {
        let bench = Bench::open("");
        let slots = [bench.arrival(), bench.arrival()];
        let cards = [LabCard::new(Interface::Whole), LabCard::new(Interface::T0)];
        let _first = cards[0].insert_into(0);
        let first = bench.connected(slots[0]).connection;
        let _second = cards[1].insert_into(1);
        let second = bench.connected(slots[1]).connection;
        bench
            .transmit(slots[0], first, &GET_CHALLENGE)
            .expect("an answer");
        bench
            .transmit(slots[1], second, &GET_CHALLENGE)
            .expect("an answer");
        let crossed = bench
            .transmit(slots[1], first, &GET_CHALLENGE)
            .expect_err("another slot's");
        assert_eq!(crossed.fault(), Fault::CardChanged);
        assert_eq!((cards[0].commands().len(), cards[1].commands().len()), (1, 1));
    });
}
