//! Stored bytes of a card's answer to a debit.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| purser_purse::fuzz::stored_answer(data));
