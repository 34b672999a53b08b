//! The software SAM's credential file.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| purser_purse::fuzz::credential(data));
