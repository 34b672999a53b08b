//! Recordings of a driver's traffic.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| purser_driver_recording::fuzz::fuzz(data));
