//! What a fuzzer calls: every decoder of this crate, on any bytes.

use crate::call_back::Challenge;
use crate::codec::DecodeError;
use crate::{
    Batch, BatchVoid, Claim, Item, LateRefund, LoadOrder, Parameters, Permit, Query, QueryAnswer, Verdict,
};

/// Decodes the bytes as each document. What decodes encodes to the same bytes again: one value, one encoding.
///
/// # Panics
/// When it does not: a finding.
pub fn documents(data: &[u8]) {
    check(data, Claim::decode, Claim::encode);
    check(data, LateRefund::decode, LateRefund::encode);
    check(data, Item::decode, Item::encode);
    check(data, Batch::decode, Batch::encode);
    check(data, Verdict::decode, Verdict::encode);
    check(data, Permit::decode, Permit::encode);
    check(data, BatchVoid::decode, BatchVoid::encode);
    check(data, LoadOrder::decode, LoadOrder::encode);
    check(data, Parameters::decode, Parameters::encode);
    check(data, Query::decode, Query::encode);
    check(data, QueryAnswer::decode, QueryAnswer::encode);
    check(data, Challenge::from_signed_bytes, |(challenge, binding)| {
        challenge.signed_bytes(binding)
    });
}

fn check<T>(data: &[u8], decode: impl Fn(&[u8]) -> Result<T, DecodeError>, encode: impl Fn(&T) -> Vec<u8>) {
    match decode(data) {
        Ok(document) => assert_eq!(encode(&document), data, "a document has two encodings"),
        Err(error) => assert!(!error.to_string().is_empty(), "a refusal has a name"),
    }
}
