//! Arguments of API calls.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| purser_api::varlink::fuzz(data));
