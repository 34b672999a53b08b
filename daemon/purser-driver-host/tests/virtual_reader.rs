//! The virtual reader behind the real driver host: cards that come, answer, tear and go.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a helper of a test fails the test"
)]

mod common;

use std::time::Duration;

use common::shop::{ATR, READER, Shop, TestCard, fault, insert, port};
use common::{Bench, LONG, run, virtual_reader};
use purser_driver_supervisor::wire::{Call, Command, ConnectionNumber, DeviceEvent, Fault, Reply};
use purser_driver_supervisor::{CallError, DownReason, DriverConfig, DriverEvent, ProcessEnd};
use purser_virtual_reader::vpcd::ToCard;

fn transmit(connection: ConnectionNumber, command: &[u8]) -> Call {
    Call::Transmit {
        slot: READER,
        connection,
        command: Command::new(command).unwrap(),
    }
}

#[test]
fn a_card_is_connected_answers_each_command_once_and_loses_its_power() {
    run(async {
        let mut shop = Shop::open().await;
        assert_eq!(
            fault(shop.bench.call(Call::Connect { slot: READER }).await),
            Fault::NoCard
        );
        let card = shop
            .insert(|card| {
                card.power_up();
                assert_eq!(card.command(), [0x00, 0xB0, 0x95, 0x00, 0x1E]);
                card.say(&[0x6C, 0x0C]);
                assert_eq!(card.command(), [0x80, 0x5C, 0x00, 0x02, 0x04]);
                card.say(&[0x61, 0x04]);
                assert_eq!(card.hear(), Some(ToCard::PowerOff));
                card.power_up();
                assert_eq!(
                    card.hear(),
                    Some(ToCard::PowerOff),
                    "the driver's end powers it off"
                );
                assert_eq!(card.hear(), None);
            })
            .await;
        let connected = shop.bench.connect(READER).await;
        assert_eq!(connected.atr(), ATR);
        assert_eq!(
            fault(shop.bench.call(Call::Connect { slot: READER }).await),
            Fault::Busy
        );
        for (command, status) in [
            ([0x00, 0xB0, 0x95, 0x00, 0x1E], [0x6C, 0x0C]),
            ([0x80, 0x5C, 0x00, 0x02, 0x04], [0x61, 0x04]),
        ] {
            // 6Cxx and 61xx are the caller's: the card above hears no further command [C-6].
            let answer = shop
                .bench
                .call(transmit(connected.connection, &command))
                .await
                .unwrap();
            let Reply::Response(response) = answer else {
                panic!("{answer:?}")
            };
            assert_eq!(response.as_bytes(), status);
        }
        let end = Call::Disconnect {
            slot: READER,
            connection: connected.connection,
        };
        assert_eq!(shop.bench.call(end.clone()).await, Ok(Reply::Disconnected));
        assert_eq!(fault(shop.bench.call(end).await), Fault::CardChanged);
        let again = shop.bench.connect(READER).await;
        assert_ne!(again.connection, connected.connection);
        let stale = transmit(connected.connection, &[0; 5]);
        assert_eq!(fault(shop.bench.call(stale).await), Fault::CardChanged);
        shop.bench.handle.stop().unwrap();
        while shop.bench.event_or_end().await.is_some() {}
        card.join().unwrap();
    });
}

#[test]
fn removal_in_the_middle_is_an_unknown_outcome_and_the_connection_is_over() {
    run(async {
        let mut shop = Shop::open().await;
        let card = shop
            .insert(|card| {
                card.power_up();
                card.command();
            })
            .await;
        let connected = shop.bench.connect(READER).await;
        let debit = transmit(connected.connection, &[0x80, 0x54, 0x01, 0x00, 0x0F]);
        let id = shop.bench.begin(debit.clone(), LONG);
        let mut removed = false;
        let answer = shop
            .bench
            .wait(|event| match event {
                DriverEvent::Device(DeviceEvent::CardRemoved(READER)) => {
                    removed = true;
                    None
                }
                DriverEvent::Answer(of, result) if of == id => Some(result),
                _ => None,
            })
            .await;
        assert!(answer.as_ref().unwrap_err().may_have_happened());
        assert_eq!(fault(answer), Fault::OutcomeUnknown);
        if !removed {
            shop.see(DeviceEvent::CardRemoved(READER)).await;
        }
        card.join().unwrap();
        let _again = shop.insert(|card| card.power_up()).await;
        assert_eq!(
            fault(shop.bench.call(debit).await),
            Fault::CardChanged,
            "the new card hears nothing"
        );
    });
}

#[test]
fn removal_between_commands_sends_nothing() {
    run(async {
        let mut shop = Shop::open().await;
        let card = shop.insert(TestCard::power_up).await;
        let connected = shop.bench.connect(READER).await;
        card.join().unwrap();
        let answer = shop.bench.call(transmit(connected.connection, &[0; 5])).await;
        assert_eq!(fault(answer), Fault::CardChanged);
    });
}

#[test]
fn a_silent_card_is_an_unknown_outcome_at_the_deadline_and_is_thrown_out() {
    run(async {
        let mut shop = Shop::open().await;
        let card = shop
            .insert(|card| {
                card.power_up();
                card.command();
                assert_eq!(card.hear(), None, "the reader closes the link");
            })
            .await;
        let connected = shop.bench.connect(READER).await;
        let id = shop.bench.begin(
            transmit(connected.connection, &[0; 5]),
            Duration::from_millis(300),
        );
        assert_eq!(fault(shop.bench.answer(id).await), Fault::OutcomeUnknown);
        card.join().unwrap();
        assert_eq!(
            shop.bench.handle.status().counters.restarts,
            0,
            "the driver answered in time"
        );
    });
}

#[test]
fn a_card_without_an_atr_is_mute() {
    run(async {
        let mut shop = Shop::open().await;
        let _card = shop
            .insert(|card| {
                assert_eq!(card.hear(), Some(ToCard::PowerOn));
                assert_eq!(card.hear(), Some(ToCard::GetAtr));
                card.say(&[]);
            })
            .await;
        assert_eq!(
            fault(shop.bench.call(Call::Connect { slot: READER }).await),
            Fault::CardMute
        );
    });
}

#[test]
fn a_second_card_in_the_slot_is_refused_and_the_first_goes_on() {
    run(async {
        let mut shop = Shop::open().await;
        let _first = shop
            .insert(|card| {
                card.power_up();
                card.command();
                card.say(&[0x90, 0x00]);
                card.hear();
            })
            .await;
        let connected = shop.bench.connect(READER).await;
        let second = insert(shop.port, |card| assert_eq!(card.hear(), None, "refused"));
        second.join().unwrap();
        let id = shop.bench.begin(transmit(connected.connection, &[0; 5]), LONG);
        let answer = shop
            .bench
            .wait(|event| match event {
                DriverEvent::Answer(of, result) if of == id => Some(result),
                DriverEvent::Device(event) => panic!("{event:?}"),
                _ => None,
            })
            .await;
        assert!(answer.is_ok());
    });
}

#[test]
fn a_host_killed_in_the_middle_is_an_unknown_outcome_and_the_card_can_come_back() {
    run(async {
        let mut shop = Shop::open().await;
        let (heard, in_debit) = std::sync::mpsc::channel();
        let card = shop
            .insert(move |card| {
                card.power_up();
                card.command();
                heard.send(()).unwrap();
                assert_eq!(
                    card.hear(),
                    None,
                    "the kernel closes the link: the card loses its power"
                );
            })
            .await;
        let connected = shop.bench.connect(READER).await;
        let id = shop.bench.begin(transmit(connected.connection, &[0; 5]), LONG);
        let process = shop.bench.handle.status().process_id.unwrap();
        let killed = tokio::task::spawn_blocking(move || {
            in_debit.recv().unwrap();
            std::process::Command::new("kill")
                .args(["-KILL", &process.to_string()])
                .status()
                .unwrap()
        });
        assert_eq!(shop.bench.answer(id).await, Err(CallError::OutcomeUnknown));
        assert!(killed.await.unwrap().success());
        card.join().unwrap();
        let DriverEvent::Down { reason, .. } = shop.bench.event().await else {
            panic!("not down")
        };
        assert_eq!(reason, DownReason::Ended(ProcessEnd::Signal(9)));
        shop.port = port(&mut shop.bench).await;
        shop.bench.ready().await;
        let _card = shop
            .insert(|card| {
                card.power_up();
                card.hear();
            })
            .await;
        let again = shop.bench.connect(READER).await;
        assert_eq!(again.atr(), ATR);
    });
}

#[test]
fn settings_that_make_no_sense_are_refused_with_the_key() {
    run(async {
        let installed = virtual_reader();
        let mut bench = Bench::start(DriverConfig::new("counter", &installed.driver, "prot = 7"));
        let DriverEvent::Failed {
            reason: DownReason::NotCreated(failure),
        } = bench.event().await
        else {
            panic!("not refused")
        };
        assert_eq!(failure.fault, Fault::BadArgument);
        assert!(failure.detail.as_str().contains("prot"));
    });
}

#[test]
fn a_restart_that_is_asked_for_while_the_driver_starts_begins_anew_with_the_file_as_it_is_then() {
    run(async {
        let installed = virtual_reader();
        let settings = "[[slot]]\nname = \"reader\"\nport = 0\n";
        let mut bench = Bench::start(DriverConfig::new("reader", &installed.driver, settings));
        bench.handle.restart().unwrap();
        let asked = |event| match event {
            DriverEvent::Down { reason, .. } => Some(reason),
            DriverEvent::Ready { .. } => panic!("ready with a file that may be an older one"),
            _ => None,
        };
        assert_eq!(bench.wait(asked).await, DownReason::Asked);
        bench.ready().await;
        assert_eq!(
            bench.handle.status().counters.restarts,
            0,
            "an operator's wish is not counted"
        );
        assert_eq!(bench.handle.status().last_failure, None);
    });
}

#[test]
fn a_recording_goes_on_over_a_crash_of_the_driver_and_is_whole_when_it_was_ended() {
    run(async {
        let mut shop = Shop::open().await;
        let path = shop.installed.folder.path().join("recording");
        shop.bench
            .handle
            .record(std::fs::File::create(&path).unwrap())
            .unwrap();
        assert_eq!(
            fault(shop.bench.call(Call::Connect { slot: READER }).await),
            Fault::NoCard
        );
        assert!(shop.bench.handle.status().is_recorded);
        let process = shop.bench.handle.status().process_id.unwrap();
        let process = rustix::process::Pid::from_raw(process.try_into().unwrap()).unwrap();
        rustix::process::kill_process(process, rustix::process::Signal::KILL).unwrap();
        shop.bench.ready().await;
        let written = shop.bench.handle.stop_recording().unwrap();
        written.await.unwrap();
        assert!(!shop.bench.handle.status().is_recorded);
        let text = std::fs::read_to_string(&path).unwrap();
        let kinds: Vec<_> = text
            .lines()
            .skip(1)
            .map(|line| line.split('"').nth(3).unwrap())
            .collect();
        assert_eq!(kinds, ["ready", "call", "answer", "down", "ready"], "{text}");
        let ended = shop.bench.handle.stop_recording().unwrap();
        assert!(ended.await.is_err(), "there is nothing to end");
    });
}
