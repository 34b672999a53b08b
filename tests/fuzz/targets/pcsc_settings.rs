//! Settings of the pcsc driver.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| purser_pcsc::fuzz(data));
