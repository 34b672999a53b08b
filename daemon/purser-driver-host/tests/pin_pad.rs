//! The virtual reader's PIN pad behind the real driver host, and a buyer who types.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a helper of a test fails the test"
)]

mod common;

use std::io::{BufRead, BufReader, Write};
use std::thread;
use std::time::Duration;

use common::shop::{PAD, Shop, fault};
use common::{LONG, run};
use purser_driver_supervisor::DriverEvent;
use purser_driver_supervisor::wire::{
    BlockFormat, Call, DeviceEvent, Fault, PinEntry, PinFormat, PinRequest, Reply, ShownAmount, Text,
};

fn pin_request() -> PinRequest {
    PinRequest {
        digits_min: 4,
        digits_max: 6,
        amount: Some(ShownAmount {
            minor: 1250,
            currency: *b"EUR",
            minor_digits: 2,
        }),
        tries_left: Some(3),
        format: PinFormat::Digits,
    }
}

#[test]
fn a_pin_is_typed_with_progress_but_without_its_digits() {
    run(async {
        let mut shop = Shop::open().await;
        let mut keypad = shop.keypad();
        let call = Call::EnterPin {
            slot: PAD,
            request: pin_request(),
        };
        let id = shop.bench.begin(call, LONG);
        let mut lines = BufReader::new(keypad.try_clone().unwrap()).lines();
        let typist = thread::spawn(move || {
            assert_eq!(lines.next().unwrap().unwrap(), "enter 4 6 1250 EUR 2 3");
            keypad.write_all(b"12\n").unwrap();
            assert_eq!(lines.next().unwrap().unwrap(), "short");
            keypad.write_all(b"9876\n").unwrap();
            assert_eq!(lines.next().unwrap().unwrap(), "confirmed");
            keypad.write_all(b"1111\n").unwrap();
            assert_eq!(lines.next().unwrap().unwrap(), "ignored");
        });
        let mut seen = Vec::new();
        let answer = shop
            .bench
            .wait(|event| match event {
                DriverEvent::Device(DeviceEvent::PinDigits { slot: PAD, digits }) => {
                    seen.push(digits);
                    None
                }
                DriverEvent::Answer(of, result) if of == id => Some(result),
                other => {
                    assert!(!format!("{other:?}").contains("9876"));
                    None
                }
            })
            .await;
        let Ok(Reply::Pin(PinEntry::Digits(pin))) = &answer else {
            panic!("{answer:?}")
        };
        assert_eq!(pin.as_bytes(), b"9876");
        assert!(!format!("{answer:?}").contains("9876"));
        assert_eq!(seen, [1, 2, 0, 1, 2, 3, 4]);
        typist.join().unwrap();
    });
}

#[test]
fn a_pin_entry_is_cancelled_by_the_buyer_or_by_us_and_times_out() {
    run(async {
        let mut shop = Shop::open().await;
        let call = Call::EnterPin {
            slot: PAD,
            request: pin_request(),
        };
        let mut keypad = shop.keypad();
        let buyer = thread::spawn(move || {
            let mut lines = BufReader::new(keypad.try_clone().unwrap()).lines();
            assert!(lines.next().unwrap().unwrap().starts_with("enter"));
            keypad.write_all(b"12\ncancel\n").unwrap();
            assert_eq!(lines.next().unwrap().unwrap(), "short");
            assert_eq!(lines.next().unwrap().unwrap(), "cancelled");
        });
        let id = shop.bench.begin(call.clone(), LONG);
        assert_eq!(fault(shop.bench.answer(id).await), Fault::Cancelled);
        buyer.join().unwrap();

        let id = shop.bench.begin(call.clone(), LONG);
        shop.bench.handle.cancel(id).unwrap();
        assert_eq!(fault(shop.bench.answer(id).await), Fault::Cancelled);

        let id = shop.bench.begin(call, Duration::from_millis(200));
        assert_eq!(fault(shop.bench.answer(id).await), Fault::Timeout);
        assert_eq!(shop.bench.handle.status().counters.restarts, 0);
    });
}

#[test]
fn a_pin_block_is_unsupported_and_never_becomes_digits() {
    run(async {
        let mut shop = Shop::open().await;
        let account = purser_driver_supervisor::wire::Account::new(b"123456789012").unwrap();
        let format = PinFormat::Block {
            format: BlockFormat::Format4,
            key_id: Text::cut("k1"),
            account,
        };
        let call = Call::EnterPin {
            slot: PAD,
            request: PinRequest {
                format,
                ..pin_request()
            },
        };
        assert_eq!(fault(shop.bench.call(call).await), Fault::Unsupported);
    });
}
