//! Responses of a PSAM to every dialogue with it.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| purser_purse::fuzz::psam_responses(data));
