//! Stored bytes of an attempt to load a card.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| purser_purse::fuzz::stored_load(data));
