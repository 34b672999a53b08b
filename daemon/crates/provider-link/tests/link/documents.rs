//! The canonical encodings: golden bytes, round trips, every way in which they are refused.

use proptest::prelude::*;
use purser_provider_link::call_back::Challenge;
use purser_provider_link::{
    Batch, BatchVoid, Claim, CurrencyLimits, Decision, DecodeError, Document, Item, LateRefund, LoadId,
    LoadOrder, Parameters, Permit, Query, QueryAnswer, QueryProof, Reason, Seal, SealError, Verdict,
    VoidReason, fuzz,
};
use sha2::{Digest as _, Sha256};

use crate::support::*;

type Decode = fn(&[u8]) -> Result<(), DecodeError>;

struct Sample {
    document: Document,
    bytes: Vec<u8>,
    decode: Decode,
    /// SHA-256 of the bytes as version 1 writes them, computed from the layout by a program in another language. These
    /// numbers never change: money rule C5.
    golden: &'static str,
}

fn samples() -> Vec<Sample> {
    let (challenge, binding) = challenge();
    let sample = |document, bytes, decode: Decode, golden| Sample {
        document,
        bytes,
        decode,
        golden,
    };
    vec![
        sample(
            Document::Claim,
            claim(41, 300, 20).encode(),
            |bytes| Claim::decode(bytes).map(|_| ()),
            "93a174e580cad7fc7d638014b0e99dd915fb70a7bdc50a3c2ccea87120d7fc0b",
        ),
        sample(
            Document::LateRefund,
            late_refund().encode(),
            |bytes| LateRefund::decode(bytes).map(|_| ()),
            "91fa96b98251dcf63f992c1ce6b9d29107e176dbfe7aa824ef6a108a319c63a1",
        ),
        sample(
            Document::Batch,
            batch().encode(),
            |bytes| Batch::decode(bytes).map(|_| ()),
            "619e3738774d53a50a82d3e2dc543fadb38f76eaecdab1a0178f2400cd0b6b2c",
        ),
        sample(
            Document::Verdict,
            verdicts()[1].encode(),
            |bytes| Verdict::decode(bytes).map(|_| ()),
            "bacb22a22b1f7c1572ce9a44c37b91b4104405394d51e14aa05899d456fb812c",
        ),
        sample(
            Document::Permit,
            permit().encode(),
            |bytes| Permit::decode(bytes).map(|_| ()),
            "578dad09ccdec588bbc55f96a3e11216b0ae55da158c7a989a1a5ac1dfc453c8",
        ),
        sample(
            Document::BatchVoid,
            void().encode(),
            |bytes| BatchVoid::decode(bytes).map(|_| ()),
            "c67afc3831a17ce2f172b8a7316bcb16512cfa8c62387d8e1c10ff65bb5f939e",
        ),
        sample(
            Document::Challenge,
            challenge.signed_bytes(&binding),
            |bytes| Challenge::from_signed_bytes(bytes).map(|_| ()),
            "9aa1d4228064e892316714b9e813c41f3ded8481075c6388c59f3ddc652dc75c",
        ),
        sample(
            Document::LoadOrder,
            load_order().encode(),
            |bytes| LoadOrder::decode(bytes).map(|_| ()),
            "1ab5448e8f91c3de53bf54250535e8cd46d32649c61c99cb63f33c3f57ae3760",
        ),
        sample(
            Document::Parameters,
            parameters().encode(),
            |bytes| Parameters::decode(bytes).map(|_| ()),
            "d7e1e5c0e3fb83fbcaf5febfdc49bc63f1c93160f4409f0c7b1aeb06074b8bd3",
        ),
    ]
    .into_iter()
    .chain(query_samples())
    .collect()
}

fn query_samples() -> [Sample; 2] {
    [
        Sample {
            document: Document::Query,
            bytes: query().encode(),
            decode: |bytes| Query::decode(bytes).map(|_| ()),
            golden: "853fda2106f5787b9eed3c6b8efe0a7e17a6b86778d89561b388d8e0cfd7c7e0",
        },
        Sample {
            document: Document::QueryAnswer,
            bytes: query_answer(QueryProof::OtherDebit).encode(),
            decode: |bytes| QueryAnswer::decode(bytes).map(|_| ()),
            golden: "686ed4483af7903c5804964a58643b149cc59ddf203c90b0d161f1d3be4f43a8",
        },
    ]
}

fn query() -> Query {
    let bytes =
        |bytes: &[u8]| purser_ledger::SchemeBytes::new(purser_ledger::Scheme::Pboc, bytes.to_vec()).unwrap();
    Query {
        operation: purser_ledger::OperationId::new([0xA1; 16]),
        key: key(41),
        amount: yen(300),
        sold_at: at(1_795_420_800),
        attempt: bytes(b"\x01 what was intended"),
        answer: Some(bytes(b"TAC4MAC2")),
    }
}

fn query_answer(proof: QueryProof) -> QueryAnswer {
    QueryAnswer {
        query: query().digest(),
        operation: query().operation,
        proof,
    }
}

#[test]
fn a_query_and_each_answer_to_it_are_read_back_as_they_were() {
    let without = Query {
        answer: None,
        ..query()
    };
    for query in [query(), without.clone()] {
        assert_eq!(Query::decode(&query.encode()), Ok(query));
    }
    for proof in QueryProof::ALL {
        let answer = query_answer(proof);
        assert_eq!(QueryAnswer::decode(&answer.encode()), Ok(answer));
        assert!(answer.is_of(&query()));
        assert!(!answer.is_of(&without), "another query of the same sale");
    }
}

#[test]
fn a_query_of_nothing_and_one_with_an_odd_mark_are_refused() {
    let nothing = Query {
        amount: yen(0),
        ..query()
    };
    assert!(field(Query::decode(&nothing.encode())).starts_with("amount"));
    let mut bytes = query().encode();
    let mark = bytes.len() - 12;
    assert_eq!(bytes[mark], 1);
    bytes[mark] = 2;
    assert!(field(Query::decode(&bytes)).contains("mark"));
}

fn load_order() -> LoadOrder {
    LoadOrder {
        id: LoadId([0xB1; 16]),
        amount: purser_ledger::Amount::new(1_000, "JPY".parse().unwrap()).unwrap(),
    }
}

pub(crate) fn parameters() -> Parameters {
    let limits = |currency: &str, sale_max, stale_sale_max| {
        let amount = |minor| purser_ledger::Amount::new(minor, currency.parse().unwrap()).unwrap();
        CurrencyLimits {
            sale_max: amount(sale_max),
            stale_sale_max: amount(stale_sale_max),
        }
    };
    let card = |serial: &[u8; 10]| purser_ledger::CardId::new(purser_ledger::Scheme::Pboc, *serial);
    Parameters {
        provider: purser_provider_link::ProviderName::new("provider.example").unwrap(),
        version: 7,
        made_at_unix_seconds: 1_795_420_800,
        warn_after_seconds: 86_400,
        stale_after_seconds: 259_200,
        is_software_sam_allowed: false,
        currencies: vec![limits("EUR", 5_000, 1_000), limits("JPY", 30_000, 0)],
        key_versions: vec![1, 3],
        hot_list_version: 12,
        hot_list: vec![card(b"0123456789"), card(b"9876543210")],
    }
}

#[test]
fn parameters_that_contradict_themselves_are_refused() {
    let refused = |change: fn(&mut Parameters)| {
        let mut parameters = parameters();
        change(&mut parameters);
        field(Parameters::decode(&parameters.encode()))
    };
    assert_eq!(refused(|it| it.version = 0), "version");
    assert_eq!(refused(|it| it.stale_after_seconds = 1), "age");
    assert_eq!(refused(|it| it.currencies.swap(0, 1)), "currencies");
    let swapped = |it: &mut Parameters| {
        let limits = &mut it.currencies[0];
        std::mem::swap(&mut limits.sale_max, &mut limits.stale_sale_max);
    };
    assert_eq!(refused(swapped), "currencies");
    assert_eq!(refused(|it| it.key_versions = vec![3, 3]), "key versions");
    assert_eq!(refused(|it| it.hot_list.swap(0, 1)), "hot list");
    let twice = |it: &mut Parameters| it.hot_list = vec![it.hot_list[0].clone(); 2];
    assert_eq!(refused(twice), "hot list");
}

#[test]
fn a_currency_that_is_not_listed_has_no_limit_because_it_is_not_sold_in() {
    let limits = |code: &str| parameters().limits(code.parse().unwrap());
    assert_eq!(limits("JPY").unwrap().sale_max, yen(30_000));
    assert_eq!(limits("USD"), None);
}

#[test]
fn each_document_has_the_bytes_that_version_1_has_always_had() {
    for sample in samples() {
        let digest = hex::encode(Sha256::digest(&sample.bytes));
        assert_eq!(digest, sample.golden, "{}", sample.document.name());
    }
    assert_eq!(
        batch().items.to_string(),
        "07d7821eb90de3a69967c532ac8e41e269c3b725dc08a9dd141effc0831040ae",
        "the items' digest"
    );
    assert_eq!(
        permit().verdicts.to_string(),
        "823a643cc0e9ed0f1f19f770c0a4b189c3dd105cb874bb93e2b8583839dc8502",
        "the verdicts' digest"
    );
}

/// A claim written out by hand from the layout, so that writer and reader cannot agree on a mistake.
#[test]
fn a_claim_is_laid_out_as_described() {
    let mut bytes = b"PCLM\x01".to_vec();
    bytes.extend([0xA1; 16]);
    bytes.push(1);
    bytes.extend(b"0123456789");
    bytes.extend(b"TERM01");
    bytes.extend([0, 0, 0, 41]);
    bytes.extend([0, 0, 0, 2]);
    bytes.extend(b"JPY");
    bytes.extend([0, 0, 0, 0, 0, 0, 0x01, 0x2C]);
    bytes.extend([0, 0, 0, 0, 0, 0, 0, 20]);
    bytes.extend(1_795_420_800_i64.to_be_bytes());
    bytes.extend([0, 0, 0x7E, 0x90]);
    bytes.push(1);
    bytes.extend([0, 0, 0, 0, 0, 0, 0, 7]);
    bytes.push(1);
    bytes.extend([0, 21]);
    bytes.extend(b"P\x01 what the card made");
    assert_eq!(claim(41, 300, 20).encode(), bytes);
}

#[test]
fn each_document_is_read_back_as_it_was() {
    assert_eq!(
        Claim::decode(&claim(41, 300, 20).encode()),
        Ok(claim(41, 300, 20))
    );
    assert_eq!(LateRefund::decode(&late_refund().encode()), Ok(late_refund()));
    assert_eq!(Batch::decode(&batch().encode()), Ok(batch()));
    assert_eq!(Permit::decode(&permit().encode()), Ok(permit()));
    assert_eq!(LoadOrder::decode(&load_order().encode()), Ok(load_order()));
    assert_eq!(Parameters::decode(&parameters().encode()), Ok(parameters()));
    for item in items() {
        assert_eq!(Item::decode(&item.encode()), Ok(item));
    }
    let (challenge, binding) = challenge();
    assert_eq!(
        Challenge::from_signed_bytes(&challenge.signed_bytes(&binding)),
        Ok((challenge, binding))
    );
    for reason in VoidReason::ALL {
        let void = BatchVoid { reason, ..void() };
        assert_eq!(BatchVoid::decode(&void.encode()), Ok(void));
    }
    let reasons = Reason::ALL.into_iter();
    let decisions = reasons.flat_map(|reason| [Decision::Hold(reason), Decision::Dispute(reason)]);
    for decision in decisions.chain([Decision::Pay(yen(5)), Decision::Owe(yen(0))]) {
        let verdict = Verdict {
            decision,
            ..verdicts()[0]
        };
        assert_eq!(Verdict::decode(&verdict.encode()), Ok(verdict));
    }
}

#[test]
fn a_document_that_ends_early_at_any_byte_is_refused() {
    for sample in samples() {
        assert_eq!((sample.decode)(&sample.bytes), Ok(()));
        for length in 0..sample.bytes.len() {
            assert_eq!(
                (sample.decode)(&sample.bytes[..length]),
                Err(DecodeError::Truncated(sample.document)),
                "{} bytes of {}",
                length,
                sample.document.name()
            );
        }
    }
}

#[test]
fn a_document_with_a_byte_too_many_is_refused() {
    for sample in samples() {
        let bytes = [&sample.bytes[..], &[0]].concat();
        assert_eq!(
            (sample.decode)(&bytes),
            Err(DecodeError::TrailingBytes(sample.document))
        );
    }
}

#[test]
fn another_version_is_refused_by_name() {
    for sample in samples() {
        for found in [0, 2, 255] {
            let mut bytes = sample.bytes.clone();
            bytes[4] = found;
            let error = (sample.decode)(&bytes).unwrap_err();
            let document = sample.document;
            assert_eq!(error, DecodeError::Version { document, found });
            let told = error.to_string();
            assert!(
                told.contains(document.name()) && told.contains(&found.to_string()),
                "{told}"
            );
        }
    }
}

#[test]
fn one_document_is_not_taken_for_another() {
    for sample in samples() {
        for other in samples() {
            if other.document != sample.document {
                assert_eq!(
                    (sample.decode)(&other.bytes),
                    Err(DecodeError::OtherDocument(sample.document))
                );
            }
        }
    }
}

#[test]
fn a_changed_bit_changes_the_digest_or_is_refused() {
    for sample in samples() {
        for index in 0..sample.bytes.len() {
            let mut bytes = sample.bytes.clone();
            bytes[index] ^= 1;
            // What still decodes has these very bytes, so it has another digest.
            fuzz::documents(&bytes);
        }
    }
}

fn field(error: Result<impl std::fmt::Debug, DecodeError>) -> &'static str {
    match error {
        Err(DecodeError::Field { field, .. }) => field,
        other => panic!("no field is wrong: {other:?}"),
    }
}

#[test]
fn a_refund_above_the_amount_is_refused() {
    assert!(field(Claim::decode(&claim(1, 300, 301).encode())).starts_with("refund owed"));
    assert!(Claim::decode(&claim(1, 300, 300).encode()).is_ok());
}

#[test]
fn a_permit_whose_sums_do_not_add_up_is_refused() {
    let mut inflated = permit();
    inflated.sum.total = yen(inflated.sum.total.minor() + 1);
    assert!(field(Permit::decode(&inflated.encode())).starts_with("total"));
}

#[test]
fn a_permit_has_a_token_exactly_when_it_has_a_total() {
    let without = Permit {
        sealed_token: Vec::new(),
        ..permit()
    };
    assert_eq!(field(Permit::decode(&without.encode())), "sealed token");
    let closing = Permit {
        sum: purser_provider_link::Sum::begin(yen(100)),
        ..without
    };
    assert_eq!(Permit::decode(&closing.encode()), Ok(closing.clone()));
    let mut with = closing;
    with.sealed_token = b"token".to_vec();
    assert_eq!(field(Permit::decode(&with.encode())), "sealed token");
}

#[test]
fn a_batch_of_nothing_or_of_too_much_is_refused() {
    for count in [0, purser_provider_link::ITEMS_MAX + 1] {
        let batch = Batch { count, ..batch() };
        assert_eq!(field(Batch::decode(&batch.encode())), "count");
    }
    let empty = Seal::begin(batch().id, "JPY".parse().unwrap());
    assert_eq!(
        empty.finish(terminal(), 1, provider(), at(0)),
        Err(SealError::Empty)
    );
}

#[test]
fn the_same_items_in_another_order_or_batch_are_another_batch() {
    let count = |id, items: &[Item]| {
        let mut seal = Seal::begin(id, "JPY".parse().unwrap());
        items.iter().for_each(|item| seal.add(item).unwrap());
        seal
    };
    let mut items = items();
    assert!(count(batch().id, &items).is_of(&batch()));
    assert!(!count(purser_provider_link::BatchId([1; 16]), &items).is_of(&batch()));
    items.swap(0, 1);
    assert!(!count(batch().id, &items).is_of(&batch()));
}

#[test]
fn an_item_of_another_currency_does_not_enter_a_batch() {
    let mut seal = Seal::begin(batch().id, "USD".parse().unwrap());
    let before = seal.clone();
    assert_eq!(seal.add(&items()[0]), Err(SealError::OtherCurrency));
    assert_eq!(seal, before, "a refused item changes nothing");
}

#[test]
fn a_token_is_not_shown() {
    assert!(!format!("{:?}", permit()).contains("only the bank"));
}

proptest! {
    #[test]
    fn no_bytes_panic(data in prop::collection::vec(any::<u8>(), 0..400)) {
        fuzz::documents(&data);
    }

    #[test]
    fn no_document_with_changed_bytes_panics(
        which in 0_usize..11,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..5),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut bytes = samples().swap_remove(which).bytes;
        for (index, value) in changes {
            let index = index.index(bytes.len());
            bytes[index] = value;
        }
        fuzz::documents(&bytes);
        fuzz::documents(&bytes[..cut.index(bytes.len())]);
    }

    #[test]
    fn any_claim_is_read_back_as_it_was(
        operation in any::<[u8; 16]>(), sn in any::<u32>(), generation in any::<u32>(),
        amount in 0..=purser_ledger::MINOR_MAX, share in 0_u64..=100, seconds in any::<i64>(), offset in any::<i32>(),
        trusted in any::<bool>(), version in any::<u64>(),
        evidence in prop::collection::vec(any::<u8>(), 0..=purser_ledger::SCHEME_BYTES_MAX),
    ) {
        let claim = Claim {
            operation: purser_ledger::OperationId::new(operation),
            key: key(sn),
            generation,
            amount: yen(amount),
            refund_owed: yen(amount / 100 * share),
            sold_at: purser_ledger::Wall { unix_seconds: seconds, utc_offset_seconds: offset, trusted },
            parameters_version: version,
            evidence: purser_ledger::SchemeBytes::new(purser_ledger::Scheme::Pboc, evidence).unwrap(),
        };
        prop_assert_eq!(Claim::decode(&claim.encode()), Ok(claim));
    }
}
