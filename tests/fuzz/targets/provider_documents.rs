//! Claims, batches, verdicts, permits: what terminal and provider send each other.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| purser_provider_link::fuzz::documents(data));
