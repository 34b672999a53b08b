//! vpcd frames, card side.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| purser_lab::vpcd::fuzz(data));
