//! pcscd that is not there, dies, and comes back.

use std::thread;

use purser_lab::card::{Fault as CardFault, Interface, ScriptedFault, instruction};
use purser_plugin_api::sdk::Fault;

use crate::support::apdu::GET_CHALLENGE;
use crate::support::bench::{Bench, Told};
use crate::support::card::LabCard;
use crate::support::namespace::inside;
use crate::support::pcscd::Pcscd;

#[test]
fn readers_arrive_when_a_pcscd_that_was_missing_is_started() {
    inside(|| {
        let mut pcscd = Pcscd::running();
        pcscd.kill();
        let bench = Bench::open("");
        assert_eq!(bench.told_already(), []);
        assert!(
            bench
                .log()
                .iter()
                .any(|line| line.contains("pcscd does not answer"))
        );
        pcscd.start();
        bench.arrival();
        bench.arrival();
        assert!(
            bench
                .log()
                .iter()
                .any(|line| line.contains("pcscd answers again"))
        );
    });
}

#[test]
fn an_idle_driver_outlives_pcscd_again_and_again() {
    inside(|| {
        let mut pcscd = Pcscd::running();
        let (bench, mut slot) = Bench::with_first_reader();
        for _ in 0..3 {
            pcscd.kill();
            assert_eq!(bench.next(), Told::Left(slot));
            assert_eq!(bench.connect(slot).expect_err("gone").fault(), Fault::DeviceGone);
            pcscd.start();
            slot = bench.arrival();
            let inserted = LabCard::new(Interface::Whole).insert();
            let connection = bench.connected(slot).connection;
            bench
                .transmit(slot, connection, &GET_CHALLENGE)
                .expect("an answer");
            bench.disconnect(slot, connection).expect("a living connection");
            inserted.remove();
            assert_eq!(bench.next(), Told::Removed(slot));
        }
    });
}

#[test]
fn a_connection_ends_with_its_pcscd_and_nothing_more_is_sent() {
    inside(|| {
        let mut pcscd = Pcscd::running();
        let (bench, slot) = Bench::with_first_reader();
        let card = LabCard::new(Interface::Whole);
        let inserted = card.insert();
        let connection = bench.connected(slot).connection;
        bench
            .transmit(slot, connection, &GET_CHALLENGE)
            .expect("an answer");
        pcscd.kill();
        assert_eq!(bench.next(), Told::Left(slot));
        let refused = bench
            .transmit(slot, connection, &GET_CHALLENGE)
            .expect_err("ended");
        assert_eq!(refused.fault(), Fault::DeviceGone);
        let ended = bench.disconnect(slot, connection).expect_err("ended");
        assert_eq!(ended.fault(), Fault::DeviceGone);
        assert_eq!(card.commands().len(), 1);
        drop(inserted);
        pcscd.start();
        let slot = bench.arrival();
        let _inserted = card.insert();
        let fresh = bench.connected(slot).connection;
        assert_ne!(fresh, connection);
        bench.transmit(slot, fresh, &GET_CHALLENGE).expect("an answer");
    });
}

#[test]
fn a_command_in_pcscd_s_hands_when_it_dies_has_an_unknown_outcome() {
    inside(|| {
        let mut pcscd = Pcscd::running();
        let (bench, slot) = Bench::with_first_reader();
        let card = LabCard::new(Interface::Whole);
        card.script(ScriptedFault::next(
            instruction::GET_CHALLENGE,
            CardFault::MuteUntilReset,
        ));
        let inserted = card.insert();
        let connection = bench.connected(slot).connection;
        let outcome = thread::scope(|scope| {
            let transmitting = scope.spawn(|| bench.transmit(slot, connection, &GET_CHALLENGE));
            card.wait_for(instruction::GET_CHALLENGE);
            pcscd.kill();
            transmitting.join().expect("no panic")
        });
        assert_eq!(outcome.expect_err("pcscd died").fault(), Fault::OutcomeUnknown);
        assert_eq!(card.count(instruction::GET_CHALLENGE), 1, "it is not sent again");
        assert_eq!(bench.next(), Told::Left(slot));
        drop(inserted);
        pcscd.start();
        let slot = bench.arrival();
        let _inserted = card.insert();
        let connection = bench.connected(slot).connection;
        bench
            .transmit(slot, connection, &GET_CHALLENGE)
            .expect("an answer");
    });
}
