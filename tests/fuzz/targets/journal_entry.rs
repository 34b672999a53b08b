//! Stored entries and heads.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| purser_ledger::fuzz(data));
