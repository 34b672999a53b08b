//! Messages and frames: fixed bytes, round trips, truncation at each byte, and anything at all.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a helper of a test fails the test"
)]

use proptest::prelude::*;
use purser_driver_wire::{
    Abi, Account, BlockFormat, Call, CallFailure, CallId, CallRequest, Card, Classes, Command,
    ConnectionNumber, DecodeError, Device, DeviceEvent, Fault, FrameDecoder, FrameError, Hello, Interfaces,
    LoadFault, LoadOrder, LogLevel, PinBlock, PinDigits, PinEntry, PinFormat, PinRequest, Protocol, Quota,
    Reply, Response, Sha256, ShownAmount, SlotId, Text, ToDaemon, ToHost, decode, encode, fuzz, limits,
};

fn pin_request(format: PinFormat) -> PinRequest {
    let amount = Some(ShownAmount {
        minor: 300,
        currency: *b"JPY",
        minor_digits: 0,
    });
    PinRequest {
        digits_min: 4,
        digits_max: 12,
        amount,
        tries_left: Some(3),
        format,
    }
}

fn to_host() -> Vec<ToHost> {
    let (slot, connection) = (SlotId(1), ConnectionNumber(7));
    let block = PinFormat::Block {
        format: BlockFormat::Format4,
        key_id: Text::cut("k1"),
        account: Account::new(b"123456789012").unwrap(),
    };
    let call = |call| {
        ToHost::Call(CallRequest {
            id: CallId(5),
            deadline_ms: 1000,
            call,
        })
    };
    vec![
        ToHost::Load(LoadOrder {
            wire_version: 1,
            path: Text::cut("/x.so"),
            sha256: Sha256([0xAB; 32]),
        }),
        ToHost::Create {
            settings: Text::cut("a = 1"),
            deadline_ms: 15_000,
        },
        call(Call::Connect { slot }),
        call(Call::Transmit {
            slot,
            connection,
            command: Command::new(&[0, 0x20, 0, 0, 2, 0x12, 0x34]).unwrap(),
        }),
        call(Call::Disconnect { slot, connection }),
        call(Call::EnterPin {
            slot,
            request: pin_request(PinFormat::Digits),
        }),
        call(Call::EnterPin {
            slot,
            request: pin_request(block),
        }),
        ToHost::Cancel(CallId(5)),
        ToHost::Stop { deadline_ms: 2000 },
    ]
}

fn to_daemon() -> Vec<ToDaemon> {
    let answer = |result| ToDaemon::Answer {
        id: CallId(5),
        result,
    };
    let card = Card::new(ConnectionNumber(7), Protocol::Tcl, true, &[0x3B, 0x80]).unwrap();
    let device = Device {
        slot: SlotId(1),
        name: Text::cut("front reader"),
        classes: Classes {
            card_reader: true,
            pin_pad: false,
        },
        interfaces: Interfaces {
            contact: true,
            contactless: true,
        },
    };
    vec![
        ToDaemon::Hello(Hello {
            wire_version: limits::WIRE_VERSION,
            driver_id: Text::cut("pcsc"),
            driver_version: Text::cut("1.2.3"),
            abi: Abi { major: 1, minor: 0 },
            abilities: vec![Text::cut("purser.card-reader/1")],
        }),
        ToDaemon::NotLoaded {
            fault: LoadFault::Digest,
            detail: Text::cut("why"),
        },
        ToDaemon::Created(Ok(())),
        ToDaemon::Created(Err(CallFailure {
            fault: Fault::Busy,
            detail: Text::cut("held"),
        })),
        answer(Ok(Reply::Connected(card))),
        answer(Ok(Reply::Response(Response::new(&[0x90, 0x00]).unwrap()))),
        answer(Ok(Reply::Disconnected)),
        answer(Ok(Reply::Pin(PinEntry::Digits(PinDigits::new(b"1234").unwrap())))),
        answer(Ok(Reply::Pin(PinEntry::Block(PinBlock::new(&[9; 16]).unwrap())))),
        answer(Err(Fault::OutcomeUnknown.into())),
        ToDaemon::Event(DeviceEvent::DeviceArrived(device)),
        ToDaemon::Event(DeviceEvent::DeviceLeft(SlotId(1))),
        ToDaemon::Event(DeviceEvent::CardInserted(SlotId(1))),
        ToDaemon::Event(DeviceEvent::CardRemoved(SlotId(1))),
        ToDaemon::Event(DeviceEvent::PinDigits {
            slot: SlotId(1),
            digits: 3,
        }),
        ToDaemon::Log {
            level: LogLevel::Warn,
            text: Text::cut("line"),
        },
        ToDaemon::Breaches { count: 2 },
        ToDaemon::LogsDropped { count: 300 },
    ]
}

/// Frames of both directions with their prefixes.
fn frames() -> Vec<Vec<u8>> {
    let host = to_host()
        .into_iter()
        .map(|message| encode(&message).unwrap().to_vec());
    let daemon = to_daemon()
        .into_iter()
        .map(|message| encode(&message).unwrap().to_vec());
    host.chain(daemon).collect()
}

#[test]
fn messages_have_these_bytes() {
    // Regression values of our own: the wire is internal and version-locked, and has no other speaker.
    let transmit = &to_host()[3];
    assert_eq!(
        hex::encode(&**encode(transmit).unwrap()),
        "0000000f0205e807010107070020000002 1234".replace(' ', "")
    );
    let answer = &to_daemon()[5];
    assert_eq!(
        hex::encode(&**encode(answer).unwrap()),
        "00000007030500010290 00".replace(' ', "")
    );
}

#[test]
fn every_message_comes_back_as_it_was() {
    for message in to_host() {
        assert_eq!(
            decode::<ToHost>(&encode(&message).unwrap()[4..]).unwrap(),
            message
        );
    }
    for message in to_daemon() {
        assert_eq!(
            decode::<ToDaemon>(&encode(&message).unwrap()[4..]).unwrap(),
            message
        );
    }
}

#[test]
fn a_message_cut_at_any_byte_or_with_one_more_is_none() {
    for message in to_host() {
        let bytes = encode(&message).unwrap()[4..].to_vec();
        for length in 0..bytes.len() {
            assert!(
                decode::<ToHost>(&bytes[..length]).is_err(),
                "{message:?} cut at {length}"
            );
        }
        assert_eq!(
            decode::<ToHost>(&[bytes, vec![0]].concat()),
            Err(DecodeError::NotCanonical)
        );
    }
    for message in to_daemon() {
        let bytes = encode(&message).unwrap()[4..].to_vec();
        for length in 0..bytes.len() {
            assert!(
                decode::<ToDaemon>(&bytes[..length]).is_err(),
                "{message:?} cut at {length}"
            );
        }
    }
}

#[test]
fn a_number_in_more_bytes_than_it_needs_is_refused() {
    // Cancel of call 5, once in one byte and once in two.
    assert!(decode::<ToHost>(&[3, 5]).is_ok());
    assert_eq!(decode::<ToHost>(&[3, 0x85, 0x00]), Err(DecodeError::NotCanonical));
}

#[test]
fn values_out_of_range_are_refused() {
    let mut pin = encode(&to_daemon()[7]).unwrap()[4..].to_vec();
    *pin.last_mut().unwrap() = b'x';
    assert_eq!(decode::<ToDaemon>(&pin), Err(DecodeError::Malformed));
    let stop = ToHost::Stop { deadline_ms: 0 };
    assert_eq!(
        decode::<ToHost>(&encode(&stop).unwrap()[4..]),
        Err(DecodeError::Malformed)
    );
}

#[test]
fn a_stream_byte_by_byte_gives_the_same_frames() {
    let frames = frames();
    let mut decoder = FrameDecoder::default();
    let mut seen = Vec::new();
    for byte in frames.concat() {
        let byte = [byte];
        if let Some(frame) = decoder.take(&mut byte.as_slice()).unwrap() {
            seen.push(frame.as_bytes().to_vec());
        }
    }
    assert!(decoder.is_between_frames());
    assert_eq!(
        seen,
        frames.iter().map(|frame| frame[4..].to_vec()).collect::<Vec<_>>()
    );
}

#[test]
fn empty_and_too_long_frames_are_refused_before_memory_is_taken() {
    let take = |bytes: [u8; 4]| FrameDecoder::default().take(&mut bytes.as_slice());
    assert_eq!(take([0; 4]).unwrap_err(), FrameError::Empty);
    assert_eq!(take([0xFF; 4]).unwrap_err(), FrameError::TooLong(u32::MAX));
    let limit = u32::try_from(limits::FRAME_MAX_BYTES).unwrap();
    assert!(take(limit.to_be_bytes()).unwrap().is_none());
    assert!(take((limit + 1).to_be_bytes()).is_err());
}

#[test]
fn the_longest_command_response_and_settings_fit_a_frame() {
    let command = Command::new(&vec![0xFF; limits::COMMAND_MAX_BYTES]).unwrap();
    let call = Call::Transmit {
        slot: SlotId(u32::MAX),
        connection: ConnectionNumber(u32::MAX),
        command,
    };
    assert!(
        encode(&ToHost::Call(CallRequest {
            id: CallId(u64::MAX),
            deadline_ms: u32::MAX,
            call
        }))
        .is_ok()
    );
    let response = Response::new(&vec![0xFF; limits::RESPONSE_MAX_BYTES]).unwrap();
    assert!(
        encode(&ToDaemon::Answer {
            id: CallId(u64::MAX),
            result: Ok(Reply::Response(response))
        })
        .is_ok()
    );
    let settings = Text::cut(&"x".repeat(limits::SETTINGS_MAX_BYTES));
    assert!(
        encode(&ToHost::Create {
            settings,
            deadline_ms: u32::MAX
        })
        .is_ok()
    );
}

#[test]
fn secrets_mask_themselves() {
    let shown = format!("{:?}{:?}", to_host(), to_daemon());
    assert!(!shown.contains("1234") && !shown.contains("[49, 50"), "{shown}");
    assert!(PinDigits::new(b"123").is_err() && PinDigits::new(b"12a4").is_err());
    assert!(PinDigits::new(b"1234567890123").is_err());
}

#[test]
fn a_reply_answers_its_own_kind_of_call_only() {
    let digits = |digits: &[u8]| Reply::Pin(PinEntry::Digits(PinDigits::new(digits).unwrap()));
    let request = PinRequest {
        digits_max: 6,
        ..pin_request(PinFormat::Digits)
    };
    let enter = Call::EnterPin {
        slot: SlotId(1),
        request,
    };
    assert!(digits(b"123456").answers(&enter));
    assert!(
        !digits(b"1234567").answers(&enter),
        "more digits than were asked for"
    );
    assert!(!Reply::Pin(PinEntry::Block(PinBlock::new(&[0; 8]).unwrap())).answers(&enter));
    assert!(!Reply::Disconnected.answers(&enter));
}

#[test]
fn only_faults_that_prove_that_nothing_was_sent_stay_what_they_are_for_a_transmit() {
    for (fault, meant) in [
        (Fault::CardChanged, Fault::CardChanged),
        (Fault::Timeout, Fault::Timeout),
        (Fault::Internal, Fault::OutcomeUnknown),
        (Fault::Busy, Fault::OutcomeUnknown),
        (Fault::Cancelled, Fault::OutcomeUnknown),
    ] {
        assert_eq!(fault.of_transmit(), meant);
        assert!(meant != Fault::OutcomeUnknown || !meant.is_transient());
    }
}

#[test]
fn a_quota_refuses_beyond_its_burst_and_refills_with_time() {
    use std::time::Duration;
    let mut quota = Quota::new(2, 10);
    let at = Duration::from_millis;
    assert_eq!(quota.take(at(0)), Some(0));
    assert_eq!(quota.take(at(0)), Some(0));
    assert_eq!(quota.take(at(0)), None);
    assert_eq!(quota.take(at(50)), None);
    assert_eq!(quota.take(at(100)), Some(2));
    assert_eq!(quota.take(at(100)), None);
    assert_eq!(quota.take(at(1_000_000)), Some(1));
    assert_eq!(quota.take(at(1_000_000)), Some(0));
    assert_eq!(quota.take(at(1_000_000)), None);
}

#[test]
fn the_corpus_runs_through_the_fuzz_entry() {
    for frame in frames() {
        fuzz::fuzz(&frame);
        for at in 0..frame.len() {
            let mut changed = frame.clone();
            changed[at] ^= 0x81;
            fuzz::fuzz(&changed);
            fuzz::fuzz(&changed[4.min(at)..]);
        }
    }
}

proptest! {
    #[test]
    fn anything_can_be_given_to_the_decoders(data: Vec<u8>) {
        fuzz::fuzz(&data);
    }
}
