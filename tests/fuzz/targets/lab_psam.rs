//! Commands to the lab's PSAM.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| purser_lab::psam::fuzz(data));
