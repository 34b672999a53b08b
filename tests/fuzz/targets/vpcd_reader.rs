//! vpcd frames, reader side.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| purser_virtual_reader::vpcd::fuzz(data));
