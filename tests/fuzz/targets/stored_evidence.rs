//! Evidence as the journal keeps it.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| purser_purse::fuzz::stored_evidence(data));
