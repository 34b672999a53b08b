//! The primitives against values that we did not make, and against values that we keep from changing.
//!
//! `tests/vectors/pboc_ep_vectors.json` marks each value: where `published` is set, it was printed by the source
//! that is named there; where it is null, it is our own regression value.

use serde_json::Value;

use super::*;

fn vector(name: &str) -> Value {
    let text = include_str!("../../../../../../tests/vectors/pboc_ep_vectors.json");
    let vectors: Vec<Value> = serde_json::from_str(text).unwrap();
    let mut found = vectors
        .into_iter()
        .filter(|vector| vector["name"].as_str().unwrap().starts_with(name));
    let vector = found.next().unwrap_or_else(|| panic!("no vector {name}"));
    assert!(found.next().is_none(), "two vectors {name}");
    vector
}

fn published(name: &str) -> Value {
    let vector = vector(name);
    assert_eq!(
        vector["published"], vector["value"],
        "{name} is not a published value"
    );
    vector
}

fn regression(name: &str) -> Value {
    let vector = vector(name);
    assert_eq!(vector["published"], Value::Null, "{name} is a published value");
    vector
}

fn bytes(vector: &Value, field: &str) -> Vec<u8> {
    hex::decode(vector[field].as_str().unwrap()).unwrap()
}

fn array<const N: usize>(vector: &Value, field: &str) -> [u8; N] {
    bytes(vector, field).try_into().unwrap()
}

fn session_key_of(key: &[u8; 16], data: [u8; 8]) -> Block {
    let mut block = data;
    TdesEde2::new(key.into()).encrypt_block((&mut block).into());
    block
}

/// The halves of a DTK, XORed: what an issuer makes TACs with.
fn tac_key(dtk: [u8; 16]) -> Block {
    std::array::from_fn(|index| dtk[index] ^ dtk[index + 8])
}

#[test]
fn vector_of_the_load_session_key() {
    let vector = published("LOAD session key");
    let mut data = [0x80; 8];
    data[..4].copy_from_slice(&bytes(&vector, "rnd"));
    data[4..6].copy_from_slice(&bytes(&vector, "online_sn"));
    data[7] = 0;
    assert_eq!(
        session_key_of(&array(&vector, "dlk"), data),
        array(&vector, "value")
    );
}

#[test]
fn vectors_of_the_load_macs() {
    let key = array(&published("LOAD session key"), "value");
    for name in ["LOAD MAC1", "LOAD MAC2"] {
        let vector = published(name);
        assert_eq!(
            mac(&key, &bytes(&vector, "data")),
            array(&vector, "value"),
            "{name}"
        );
    }
}

/// The attempt that the published purchase example is about.
fn published_attempt() -> Attempt {
    let session = published("PURCHASE session key");
    let mac1 = bytes(&published("PURCHASE MAC1"), "data");
    let field = |range: std::ops::Range<usize>| mac1[range].to_vec();
    let zeros = [0; 52];
    let mut encoded = zeros;
    encoded[0] = 0x01;
    encoded[17..19].copy_from_slice(&[0x02, 0x01]);
    encoded[19..25].copy_from_slice(&field(5..11));
    encoded[25..29].copy_from_slice(&bytes(&session, "terminal_sn"));
    encoded[29..31].copy_from_slice(&bytes(&session, "offline_sn"));
    encoded[31..35].copy_from_slice(&bytes(&session, "rnd"));
    encoded[41..45].copy_from_slice(&field(0..4));
    encoded[45..49].copy_from_slice(&field(11..15));
    encoded[49..52].copy_from_slice(&field(15..18));
    Attempt::decode(&encoded).unwrap()
}

#[test]
fn vectors_of_the_purchase_session_key_and_macs() {
    let attempt = published_attempt();
    let session = published("PURCHASE session key");
    let mut key = Block::default();
    session_key(&array(&session, "dpk"), &attempt, &mut key);
    assert_eq!(key, array(&session, "value"));
    let mac1 = array(&published("PURCHASE MAC1"), "value");
    assert_eq!(purchase_mac1(&key, &attempt), Mac1::new(mac1));
    let mac2 = array(&published("PURCHASE MAC2"), "value");
    assert_eq!(purchase_mac2(&key, &attempt), Mac2::new(mac2));
}

#[test]
fn vector_of_the_tac_key() {
    let vector = published("DTK halves xor");
    assert_eq!(tac_key(array(&vector, "dtk")), array(&vector, "value"));
}

#[test]
fn regression_values_of_tacs() {
    let purchase = regression("PURCHASE TAC (TT=06)");
    let key = tac_key(array(&purchase, "dtk"));
    for name in [
        "PURCHASE TAC (TT=06)",
        "PURCHASE TAC with the blog TT byte 01",
        "LOAD TAC",
    ] {
        let vector = regression(name);
        assert_eq!(
            mac(&key, &bytes(&vector, "data")),
            array(&vector, "value"),
            "{name}"
        );
    }
}

#[test]
fn regression_values_of_diversification_by_one_and_two_levels() {
    let one = regression("Diversify (one level)");
    let mut key = array(&one, "mk");
    diversify(&mut key, &array(&one, "factor"));
    assert_eq!(key, array(&one, "value"));
    let two = regression("Diversify (two levels");
    let mut key = array(&two, "mk");
    diversify(&mut key, &array(&two, "factor1"));
    diversify(&mut key, &array(&two, "factor2"));
    assert_eq!(key, array(&two, "value"));
}
