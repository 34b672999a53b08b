//! Frames between daemon and driver host.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| purser_driver_wire::fuzz::fuzz(data));
