//! Attempts as the journal keeps them.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| purser_purse::fuzz::stored_attempt(data));
