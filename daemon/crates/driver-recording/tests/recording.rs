//! Recordings: fixed lines, what is masked, truncation at each byte, and anything at all.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a helper of a test fails the test"
)]

use proptest::prelude::*;
use purser_driver_recording::{
    Answer, Call, Cut, DeviceState, Entry, Hidden, Masked, Masker, Ready, What, fuzz, header, lines,
};
use purser_driver_wire as wire;
use wire::{CallId, ConnectionNumber, SlotId, Text};

const SLOT: SlotId = SlotId(0);

/// A command as a recording shows it, and then what it shows of these answers to it.
fn exchange(masker: &mut Masker, command: &[u8], response: &[u8]) -> (String, String) {
    let call = wire::Call::Transmit {
        slot: SLOT,
        connection: ConnectionNumber(1),
        command: wire::Command::new(command).unwrap(),
    };
    let Call::Transmit { command, .. } = masker.call(CallId(1), &call) else {
        panic!("another call")
    };
    let reply = wire::Reply::Response(wire::Response::new(response).unwrap());
    let Answer::Response { response } = masker.answer(CallId(1), &Ok(reply)) else {
        panic!("another answer")
    };
    (command.as_str().to_owned(), response.as_str().to_owned())
}

fn shown(command: &[u8], response: &[u8]) -> (String, String) {
    exchange(&mut Masker::default(), command, response)
}

#[test]
fn a_pin_is_masked_with_its_length_whoever_carries_it() {
    for class in [0x00, 0x04, 0x80, 0x84] {
        for instruction in [0x20, 0x24, 0x2C, 0x5E, 0xD4, 0x82] {
            let command = [class, instruction, 0, 0, 3, 0x12, 0x34, 0x56];
            let (command, response) = shown(&command, &[0xAA, 0x63, 0xC2]);
            assert_eq!(command, format!("{class:02X}{instruction:02X}0000*"));
            assert_eq!(response, "**63C2");
        }
    }
    let digits = wire::PinDigits::new(b"123456").unwrap();
    let blocks = wire::PinBlock::new(&[0x55; 8]).unwrap();
    for entry in [wire::PinEntry::Digits(digits), wire::PinEntry::Block(blocks)] {
        let answer = Masker::default().answer(CallId(1), &Ok(wire::Reply::Pin(entry)));
        assert_eq!(answer, Answer::Pin);
    }
}

#[test]
fn a_purse_id_is_masked_wherever_a_card_tells_it() {
    let mut file = [0x11; 32];
    file[10..20].fill(0x99);
    file[30..].copy_from_slice(&[0x90, 0x00]);
    let (_, response) = shown(&[0x00, 0xB0, 0x95, 0x00, 0x1E], &file);
    assert!(!response.contains("99"), "{response}");
    assert_eq!(response.matches("##").count(), 10);
    assert_eq!(response.matches("11").count(), 18);
    // From another place of the file, or of another file: nothing is known, nothing is shown.
    for parameters in [[0x95, 0x05], [0x96, 0x00], [0x00, 0x05]] {
        let read = [0x00, 0xB0, parameters[0], parameters[1], 0x1E];
        assert_eq!(shown(&read, &file).1, "**".repeat(30) + "9000");
    }
    let (select, response) = shown(&[0x00, 0xA4, 0x04, 0x00, 1, 0xA0], &file);
    assert_eq!(select, "00A4040001A0");
    assert_eq!(response, "**".repeat(30) + "9000");
    let card = wire::Card::new(
        ConnectionNumber(1),
        wire::Protocol::T0,
        false,
        &[0x3B, 0x92, 0x11, 0x01, 0x99, 0x99, 0x42],
    );
    let connected = wire::Reply::Connected(card.unwrap());
    let Answer::Connected { atr, .. } = Masker::default().answer(CallId(1), &Ok(connected)) else {
        panic!("another answer")
    };
    assert_eq!(atr.as_str(), "3B921101######");
}

#[test]
fn a_psams_serial_number_is_masked_although_it_stands_in_a_file_of_the_same_name() {
    let mut file = [0x11; 16];
    file[..10].fill(0x99);
    file[14..].copy_from_slice(&[0x90, 0x00]);
    let (_, response) = shown(&[0x00, 0xB0, 0x95, 0x00, 0x0E], &file);
    assert_eq!(response, "**".repeat(14) + "9000");
    let mut masker = Masker::default();
    exchange(&mut masker, &[0x00, 0xB0, 0x95, 0x00, 0x0E], &[0x61, 0x0E]);
    let (_, rest) = exchange(&mut masker, &[0x00, 0xC0, 0x00, 0x00, 0x0E], &file);
    assert_eq!(rest, "**".repeat(14) + "9000");
}

#[test]
fn nothing_is_told_of_a_digit_that_was_typed() {
    let (slot, masker) = (SLOT, Masker::default());
    for digits in 0..6 {
        assert_eq!(masker.event(&wire::DeviceEvent::PinDigits { slot, digits }), None);
    }
    let inserted = wire::DeviceEvent::CardInserted(slot);
    assert_eq!(masker.event(&inserted), Some(inserted));
}

#[test]
fn a_debit_shows_no_evidence_and_neither_does_its_proof() {
    let debit = [0x80, 0x54, 0x01, 0x00, 0x0F, 1, 2, 3];
    let answer = [0xDE, 0xAD, 0xDE, 0xAD, 1, 2, 3, 4, 0x90, 0x00];
    assert_eq!(
        shown(&debit, &answer),
        ("80540100*".to_owned(), "********010203049000".to_owned())
    );
    let proof = [1, 2, 3, 4, 0xDE, 0xAD, 0xDE, 0xAD, 0x90, 0x00];
    let (prove, response) = shown(&[0x80, 0x5A, 0x00, 0x06, 2, 0, 7, 8], &proof);
    assert_eq!(
        (prove.as_str(), response.as_str()),
        (
            "805A00060200 0708".replace(' ', "").as_str(),
            "01020304********9000"
        )
    );
    // An answer of another length is not known.
    assert_eq!(shown(&debit, &[9; 9]).1, "**".repeat(7) + "0909");
}

#[test]
fn what_get_response_brings_is_masked_as_the_command_before() {
    let mut masker = Masker::default();
    let read = exchange(&mut masker, &[0x00, 0xB0, 0x95, 0x00], &[0x61, 0x20]);
    assert_eq!(read, ("00B09500".to_owned(), "6120".to_owned()));
    let mut file = [0x22; 32];
    file[10..20].fill(0x99);
    let (_, rest) = exchange(&mut masker, &[0x00, 0xC0, 0x00, 0x00, 0x1E], &file);
    assert!(rest.contains("##") && !rest.contains("99"), "{rest}");
    let (_, beyond) = exchange(&mut masker, &[0x00, 0xC0, 0x00, 0x00, 0x1E], &file);
    assert_eq!(beyond, "**".repeat(30) + "2222");
    // After VERIFY nothing is shown but the status word.
    exchange(&mut masker, &[0x00, 0x20, 0, 0, 1, 1], &[0x61, 0x20]);
    let (_, rest) = exchange(&mut masker, &[0x00, 0xC0, 0x00, 0x00, 0x1E], &file);
    assert_eq!(rest, "**".repeat(30) + "2222");
}

#[test]
fn an_answer_that_nobody_waits_for_shows_nothing() {
    let mut masker = Masker::default();
    exchange(&mut masker, &[0x80, 0x5C, 0x00, 0x02, 4], &[1, 2, 3, 4, 0x90, 0]);
    let reply = wire::Reply::Response(wire::Response::new(&[1, 2, 0x90, 0]).unwrap());
    let answer = masker.answer(CallId(9), &Ok(reply));
    let Answer::Response { response } = answer else {
        panic!("{answer:?}")
    };
    assert_eq!(response.as_str(), "****9000");
}

fn entries() -> Vec<Entry> {
    let device = wire::Device {
        slot: SLOT,
        name: Text::cut("front"),
        classes: wire::Classes {
            card_reader: true,
            pin_pad: false,
        },
        interfaces: wire::Interfaces::default(),
    };
    let (slot, connection) = (SLOT, ConnectionNumber(7));
    let masked = |text: &str| Masked::try_from(text.to_owned()).unwrap();
    let call = |call| What::Call {
        id: CallId(3),
        time_ms: 1000,
        call,
    };
    let answer = |answer| What::Answer {
        id: CallId(3),
        answer,
    };
    let whats = vec![
        What::Ready(Ready {
            id: Text::cut("virtual-reader"),
            version: Text::cut("0.1.0"),
            devices: vec![DeviceState {
                device: device.clone(),
                has_card: false,
            }],
        }),
        What::Event(wire::DeviceEvent::CardInserted(SLOT)),
        call(Call::Connect { slot }),
        answer(Answer::Connected {
            connection,
            protocol: wire::Protocol::T1,
            contactless: true,
            atr: masked("3B8001##"),
        }),
        call(Call::Transmit {
            slot,
            connection,
            command: masked("00200000*"),
        }),
        answer(Answer::Response {
            response: masked("9000"),
        }),
        call(Call::EnterPin {
            slot,
            amount_minor: Some(300),
            tries_left: None,
            block: false,
        }),
        What::Cancel { id: CallId(3) },
        answer(Answer::Pin),
        call(Call::Disconnect { slot, connection }),
        answer(Answer::Disconnected),
        answer(Answer::Failed {
            fault: wire::Fault::OutcomeUnknown,
        }),
        What::Event(wire::DeviceEvent::DeviceArrived(device)),
        What::Gap { lines: 2 },
        What::Down {},
        What::Full {},
    ];
    let at = |(index, what)| Entry {
        at_ms: u64::try_from(index).unwrap(),
        what,
    };
    whats.into_iter().enumerate().map(at).collect()
}

fn recording() -> String {
    header() + &entries().iter().map(Entry::line).collect::<String>()
}

#[test]
fn lines_have_these_texts() {
    let text = recording();
    let expected = [
        r#"{"purser_recording":1}"#,
        r#"{"at_ms":0,"ready":{"id":"virtual-reader","version":"0.1.0","devices":[{"device":{"slot":0,"name":"front","classes":{"card_reader":true,"pin_pad":false},"interfaces":{"contact":false,"contactless":false}},"has_card":false}]}}"#,
        r#"{"at_ms":1,"event":{"CardInserted":0}}"#,
        r#"{"at_ms":2,"call":{"id":3,"time_ms":1000,"call":"connect","slot":0}}"#,
        r#"{"at_ms":3,"answer":{"id":3,"answer":"connected","connection":7,"protocol":"T1","contactless":true,"atr":"3B8001##"}}"#,
        r#"{"at_ms":4,"call":{"id":3,"time_ms":1000,"call":"transmit","slot":0,"connection":7,"command":"00200000*"}}"#,
        r#"{"at_ms":5,"answer":{"id":3,"answer":"response","response":"9000"}}"#,
    ];
    for (line, expected) in text.lines().zip(expected) {
        assert_eq!(line, expected);
    }
}

#[test]
fn a_recording_comes_back_as_it_was_and_one_that_is_cut_says_so() {
    let (text, entries) = (recording(), entries());
    assert_eq!(lines(&text).unwrap(), (entries.clone(), Cut::Whole));
    for end in 0..text.len() {
        let cut = &text[..end];
        let header = header().len();
        if end < header {
            assert!(lines(cut).is_err(), "cut at {end}");
            continue;
        }
        let (read, state) = lines(cut).unwrap();
        assert_eq!(read, entries[..cut.matches('\n').count() - 1], "cut at {end}");
        assert_eq!(state == Cut::Whole, cut.ends_with('\n'), "cut at {end}");
    }
}

#[test]
fn another_version_and_a_damaged_line_are_refused() {
    assert!(lines("{\"purser_recording\":2}\n").is_err());
    let text = recording();
    for damaged in [
        text.replace("\"connect\"", "\"conect\""),
        text.replace("00200000*", "00200000*1"),
        text.replace("\"at_ms\":3", "\"at_ms\":-3"),
        text.replace("OutcomeUnknown", "Unknown"),
    ] {
        assert_ne!(damaged, text);
        assert!(lines(&damaged).is_err());
    }
}

#[test]
fn the_corpus_runs_through_the_fuzz_entry() {
    let text = recording();
    fuzz::fuzz(text.as_bytes());
    for line in text.lines() {
        for at in 0..line.len() {
            let mut changed = line.as_bytes().to_vec();
            changed[at] ^= 0x11;
            changed.push(b'\n');
            fuzz::fuzz(&changed);
        }
    }
    assert_eq!(
        Masked::try_from("##".to_owned())
            .unwrap()
            .fill(|hidden| u8::from(hidden == Hidden::PurseId)),
        Some(vec![1])
    );
}

proptest! {
    #[test]
    fn anything_can_be_read_as_a_recording(data: Vec<u8>) {
        fuzz::fuzz(&data);
    }
}
