//! The lab's PSAM files.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| purser_lab::psam::fuzz_stored(data));
