//! Responses of a card to every dialogue.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| purser_purse::fuzz::responses(data));
