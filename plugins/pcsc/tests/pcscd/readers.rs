//! Readers: which are there, and what they are called.

use std::time::{Duration, Instant};

use purser_lab::card::Interface as CardInterface;
use purser_pcsc::Pcsc;
use purser_plugin_api::sdk::{Call, CallNumber, Driver, Fault, Host, Interface, Slot};

use crate::support::bench::{Bench, Told};
use crate::support::card::LabCard;
use crate::support::namespace::inside;
use crate::support::{FIRST_READER, SECOND_READER};

#[test]
fn each_reader_of_pcscd_is_a_device_that_is_announced_before_create_returns() {
    inside(|| {
        let contact = vec![Interface::Contact];
        // pcscd adds its readers one after the other while it starts.
        let bench = Bench::open("");
        let first = bench.next();
        let second = bench.next();
        assert_eq!(
            first,
            Told::Arrived(Slot(0), FIRST_READER.to_owned(), contact.clone())
        );
        assert_eq!(second, Told::Arrived(Slot(1), SECOND_READER.to_owned(), contact));
        let again = Bench::open("");
        assert_eq!(again.told_already(), [first, second]);
    });
}

#[test]
fn a_card_that_is_there_first_is_announced_right_after_its_device() {
    inside(|| {
        let (witness, slot) = Bench::with_first_reader();
        let card = LabCard::new(CardInterface::Whole).insert();
        assert_eq!(witness.next(), Told::Inserted(slot));
        let bench = Bench::open("ignore = [\"*01\"]");
        let told = bench.told_already();
        assert!(
            matches!(told.as_slice(), [Told::Arrived(..), Told::Inserted(_)]),
            "{told:?}"
        );
        card.remove();
    });
}

#[test]
fn settings_pick_readers_and_give_them_names_and_interfaces() {
    inside(|| {
        let bench = Bench::open(
            r#"
            readers = ["Virtual*"]
            ignore = ["* 00 00"]
            [[alias]]
            reader = "Virtual PCD*"
            name = "counter reader"
            interface = "contactless"
            "#,
        );
        let counter = Told::Arrived(Slot(0), "counter reader".to_owned(), vec![Interface::Contactless]);
        assert_eq!(bench.next(), counter);
        assert_eq!(bench.told_already(), []);
    });
}

#[test]
fn a_slot_that_never_was_is_a_device_that_is_gone() {
    inside(|| {
        let (bench, _) = Bench::with_first_reader();
        assert_eq!(
            bench.connect(Slot(77)).expect_err("no such slot").fault(),
            Fault::DeviceGone
        );
    });
}

#[test]
fn a_driver_ends_at_once_whatever_it_waits_for() {
    inside(|| {
        for _ in 0..20 {
            let (bench, _) = Bench::with_first_reader();
            let before = Instant::now();
            drop(bench);
            // The library's own sleep is a minute long.
            assert!(before.elapsed() < Duration::from_secs(10));
        }
    });
}

#[test]
fn wrong_settings_are_refused_before_anything_is_touched() {
    let call = Call::new(CallNumber::new(0), Duration::from_secs(1));
    let refused = Pcsc::create(Host::deaf(), "reader = 1", &call).expect_err("refused");
    assert_eq!(refused.fault(), Fault::BadArgument);
    assert!(refused.detail().contains("reader"), "{}", refused.detail());
}
