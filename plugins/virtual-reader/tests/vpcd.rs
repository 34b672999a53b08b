//! The vpcd codec: the bytes of vsmartcard's own protocol, round trips, truncation, and anything at all.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a helper of a test fails the test"
)]

use proptest::prelude::*;
use purser_virtual_reader::vpcd::{FrameDecoder, MESSAGE_MAX_BYTES, ToCard, VpcdError, frame, fuzz};
use zeroize::Zeroizing;

fn command(bytes: &[u8]) -> ToCard {
    ToCard::Command(Zeroizing::new(bytes.to_vec()))
}

/// Messages with their frames as vsmartcard's vpcd sends them (`vpcd.h`: VPCD_CTRL_OFF 0, ON 1, RESET 2, ATR 4).
fn golden() -> Vec<(ToCard, &'static str)> {
    vec![
        (ToCard::PowerOff, "000100"),
        (ToCard::PowerOn, "000101"),
        (ToCard::Reset, "000102"),
        (ToCard::GetAtr, "000104"),
        (command(&[0x00, 0xA4, 0x04, 0x00]), "000400a40400"),
    ]
}

#[test]
fn messages_have_the_bytes_that_vpcd_sends() {
    for (message, bytes) in golden() {
        assert_eq!(hex::encode(&**message.encode().unwrap()), bytes);
        assert_eq!(ToCard::decode(&hex::decode(&bytes[4..]).unwrap()), Ok(message));
    }
    assert_eq!(hex::encode(&**frame(&[0x90, 0x00]).unwrap()), "00029000");
}

#[test]
fn what_vpcd_does_not_know_is_refused() {
    assert_eq!(ToCard::decode(&[]), Err(VpcdError::Empty));
    assert_eq!(ToCard::decode(&[3]), Err(VpcdError::UnknownControl(3)));
    assert_eq!(command(&[]).encode().unwrap_err(), VpcdError::Empty);
    assert_eq!(command(&[4]).encode().unwrap_err(), VpcdError::UnknownControl(4));
    assert!(frame(&vec![0; MESSAGE_MAX_BYTES]).is_ok());
    assert_eq!(
        frame(&vec![0; MESSAGE_MAX_BYTES + 1]).unwrap_err(),
        VpcdError::TooLong
    );
}

#[test]
fn a_stream_cut_at_any_byte_gives_whole_messages_only() {
    let stream: Vec<u8> = golden()
        .iter()
        .flat_map(|(message, _)| message.encode().unwrap().to_vec())
        .collect();
    for cut in 0..=stream.len() {
        let mut decoder = FrameDecoder::default();
        let mut seen = 0;
        for mut part in [&stream[..cut], &stream[cut..]] {
            while let Some(message) = decoder.take(&mut part) {
                assert_eq!(ToCard::decode(&message).unwrap(), golden()[seen].0);
                seen += 1;
            }
        }
        assert_eq!(seen, golden().len());
        assert!(decoder.is_between_frames());
    }
}

#[test]
fn a_command_does_not_show_its_bytes() {
    assert_eq!(
        format!("{:?}", command(b"\0\x20\0\0\x04 1234")),
        "Command(10 bytes)"
    );
}

proptest! {
    #[test]
    fn anything_can_be_given_to_the_decoder(data: Vec<u8>) {
        fuzz(&data);
    }

    #[test]
    fn any_command_comes_back_as_it_was(bytes in proptest::collection::vec(any::<u8>(), 2..300)) {
        let frame = command(&bytes).encode().unwrap();
        let mut input = frame.as_slice();
        let message = FrameDecoder::default().take(&mut input).unwrap();
        prop_assert_eq!(ToCard::decode(&message).unwrap(), command(&bytes));
        prop_assert!(input.is_empty());
    }
}
