//! Entries for fuzzers: any bytes may be given, and nothing may panic.

use crate::{FrameDecoder, ToDaemon, ToHost, codec::Message, decode, encode};

/// Cuts `data` into frames, decodes each in both directions, and checks that what was decoded encodes to the same.
pub fn fuzz(data: &[u8]) {
    check::<ToHost>(data);
    check::<ToDaemon>(data);
    let mut decoder = FrameDecoder::default();
    let mut input = data;
    while let Ok(Some(frame)) = decoder.take(&mut input) {
        check::<ToHost>(frame.as_bytes());
        check::<ToDaemon>(frame.as_bytes());
    }
}

fn check<M: Message>(frame: &[u8]) {
    if let Ok(message) = decode::<M>(frame) {
        let again = encode(&message).expect("what was decoded fits a frame");
        assert_eq!(&again[4..], frame, "a decoded message encodes to other bytes");
    }
}
