//! Commands to the lab's card.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| purser_lab::card::fuzz(data));
