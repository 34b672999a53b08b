//! A lab card's stored state.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| purser_lab::card::fuzz_snapshot(data));
