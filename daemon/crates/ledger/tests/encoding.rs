//! The canonical encoding of entries never changes: batches and the record chain stand on it.

mod common;

use common::{
    closed, concluded, content, in_doubt, in_doubt_with_answer, intended, intended_by_parameters,
    load_attempted, load_begun, load_confirmed, load_proven, load_released, load_voided, paid,
    paid_by_provider, queried, queried_with_answer, voided, voided_by_provider, yen,
};
use proptest::prelude::{ProptestConfig, any, prop, proptest};
use purser_ledger::{
    CloseReason, Conclusion, Content, DecodeError, DoubtReason, Entry, Head, LoadProof, PaidProof,
    QueryReason, SCHEME_BYTES_MAX, VoidProof, fuzz,
};

/// What comes before every entry of these tests, but for the step.
const BEFORE: &str = r#"{"v":1,"operation":"11111111111111111111111111111111","step":0,"at":{"unix_seconds":1800000000,"utc_offset_seconds":32400,"trusted":true},"entry":"#;

/// Every kind of entry with the text that is stored for it. Own regression values: never to be changed.
fn golden() -> Vec<(Entry, &'static str)> {
    vec![
        (
            intended(),
            r#"{"kind":"sale_intended","reference":"order-17","owner":1000,"amount":{"minor":300,"currency":"JPY"},"reader":"counter-1","key":{"card":{"scheme":"pboc","serial":"00010203040506070809"},"terminal_number":"010203040506","terminal_sn":42},"attempt":{"scheme":"pboc","bytes":"aabb"},"pin_verified":true}"#,
        ),
        (
            intended_by_parameters(7),
            r#"{"kind":"sale_intended","reference":"order-17","owner":1000,"amount":{"minor":300,"currency":"JPY"},"reader":"counter-1","key":{"card":{"scheme":"pboc","serial":"00010203040506070809"},"terminal_number":"010203040506","terminal_sn":42},"attempt":{"scheme":"pboc","bytes":"aabb"},"pin_verified":true,"parameters_version":7}"#,
        ),
        (
            paid(false),
            r#"{"kind":"sale_paid","amount":{"minor":300,"currency":"JPY"},"proof":"answer","evidence":{"scheme":"pboc","bytes":"ccdd"},"balance_after":{"minor":700,"currency":"JPY"},"refund_owed":false}"#,
        ),
        (in_doubt(), r#"{"kind":"sale_in_doubt","reason":"answer_lost"}"#),
        (
            in_doubt_with_answer(),
            r#"{"kind":"sale_in_doubt","reason":"mac2_not_checked","answer":{"scheme":"pboc","bytes":"eeff"}}"#,
        ),
        (queried(), r#"{"kind":"sale_queried","reason":"card_moved_on"}"#),
        (
            queried_with_answer(),
            r#"{"kind":"sale_queried","reason":"mac2_unproven","answer":{"scheme":"pboc","bytes":"ddee"}}"#,
        ),
        (
            voided(),
            r#"{"kind":"sale_voided","amount":{"minor":300,"currency":"JPY"},"proof":"counter_unchanged"}"#,
        ),
        (
            concluded(Conclusion::GoodsGiven, None),
            r#"{"kind":"sale_concluded","conclusion":"goods_given","refund_owed":null}"#,
        ),
        (
            concluded(Conclusion::Abandoned, Some(yen(300))),
            r#"{"kind":"sale_concluded","conclusion":"abandoned","refund_owed":{"minor":300,"currency":"JPY"}}"#,
        ),
        (
            closed(),
            r#"{"kind":"sale_closed","reference":"order-17","owner":1000,"amount":{"minor":300,"currency":"JPY"},"reason":"no_card_in_time"}"#,
        ),
        (
            load_begun(),
            r#"{"kind":"load_begun","reference":"order-17","owner":1000,"amount":{"minor":300,"currency":"JPY"}}"#,
        ),
        (
            load_attempted(1),
            r#"{"kind":"load_attempted","number":1,"card":{"scheme":"pboc","serial":"00010203040506070809"},"online_sn":7,"initialize":{"scheme":"pboc","bytes":"abcd"}}"#,
        ),
        (
            load_released(1),
            r#"{"kind":"load_released","number":1,"date_time":"20261123183059"}"#,
        ),
        (
            load_proven(1),
            r#"{"kind":"load_proven","amount":{"minor":300,"currency":"JPY"},"number":1,"proof":"answer","tac":{"scheme":"pboc","bytes":"def0"},"balance_after":{"minor":1000,"currency":"JPY"}}"#,
        ),
        (load_confirmed(), r#"{"kind":"load_confirmed"}"#),
        (
            load_voided(),
            r#"{"kind":"load_voided","amount":{"minor":300,"currency":"JPY"}}"#,
        ),
    ]
}

/// The same entries with the provider's word: a field that the others do not have.
#[test]
fn the_providers_word_is_stored_with_the_end_that_it_proves() {
    let paid = r#"{"kind":"sale_paid","amount":{"minor":300,"currency":"JPY"},"proof":"provider","evidence":{"scheme":"pboc","bytes":"ccdd"},"balance_after":{"minor":700,"currency":"JPY"},"refund_owed":false,"answer":{"document":"d00c","signature":"51"}}"#;
    let voided = r#"{"kind":"sale_voided","amount":{"minor":300,"currency":"JPY"},"proof":"provider","answer":{"document":"d00c","signature":"51"}}"#;
    for (entry, text) in [(paid_by_provider(), paid), (voided_by_provider(), voided)] {
        let content = content(0, entry);
        assert_eq!(
            String::from_utf8(content.encode()),
            String::from_utf8(stored(text))
        );
        assert_eq!(Content::decode(&stored(text)).expect("canonical"), content);
    }
}

fn stored(entry: &str) -> Vec<u8> {
    format!("{BEFORE}{entry}}}").into_bytes()
}

#[test]
fn each_kind_of_entry_has_its_canonical_text_and_comes_back_from_it() {
    for (entry, text) in golden() {
        let content = content(0, entry);
        assert_eq!(
            String::from_utf8(content.encode()),
            String::from_utf8(stored(text))
        );
        assert_eq!(Content::decode(&stored(text)).expect("canonical"), content);
    }
}

/// Asserts the stored words of every variant of a reason, in the order of their declaration.
fn assert_words<T: serde::Serialize>(variants: &[T], words: &str) {
    let text: Vec<_> = variants
        .iter()
        .map(|variant| serde_json::to_string(variant).expect("a word"))
        .collect();
    assert_eq!(text.join(" ").replace('"', ""), words);
}

#[test]
fn the_words_of_reasons_and_proofs_never_change() {
    assert_words(
        &[
            PaidProof::Answer,
            PaidProof::Prove,
            PaidProof::ProveNotCheckable,
            PaidProof::LogOnly,
            PaidProof::Provider,
        ],
        "answer prove prove_not_checkable log_only provider",
    );
    assert_words(
        &[
            DoubtReason::AnswerLost,
            DoubtReason::AnswerInvalid,
            DoubtReason::DriverLost,
            DoubtReason::Restarted,
            DoubtReason::Mac2Refused,
            DoubtReason::Mac2NotChecked,
            DoubtReason::Mac2Unanswered,
        ],
        "answer_lost answer_invalid driver_lost restarted mac2_refused mac2_not_checked mac2_unanswered",
    );
    assert_words(
        &[
            QueryReason::CardMovedOn,
            QueryReason::CardContradicts,
            QueryReason::CardRefuses,
            QueryReason::Mac2Unproven,
        ],
        "card_moved_on card_contradicts card_refuses mac2_unproven",
    );
    assert_words(
        &[LoadProof::Answer, LoadProof::Prove, LoadProof::Provider],
        "answer prove provider",
    );
    assert_words(
        &[
            VoidProof::CounterUnchanged,
            VoidProof::OtherDebit,
            VoidProof::NotSent,
            VoidProof::Provider,
        ],
        "counter_unchanged other_debit not_sent provider",
    );
}

#[test]
fn the_words_of_why_a_sale_was_closed_never_change() {
    use CloseReason as C;
    assert_words(
        &[
            C::CancelledByPos,
            C::CancelledByBuyer,
            C::NoCardInTime,
            C::NoPinInTime,
            C::InsufficientFunds,
            C::PinBlocked,
            C::ForeignCard,
            C::CardExpired,
            C::CardBlocked,
            C::CardExhausted,
            C::CardHeld,
            C::CurrencyMismatch,
            C::KeyMissing,
            C::PinNotPossible,
            C::CardMisbehaved,
            C::ReaderFailed,
            C::NoRoom,
            C::BooksFull,
            C::Stopped,
            C::PsamNotReady,
            C::PsamBusy,
            C::PsamMismatch,
            C::PsamLocked,
            C::TerminalSnRepeated,
            C::PsamRefuses,
            C::CardSuspect,
            C::CardHotListed,
            C::KeyVersionNotListed,
            C::ParametersForbid,
        ],
        "cancelled_by_pos cancelled_by_buyer no_card_in_time no_pin_in_time insufficient_funds pin_blocked \
         foreign_card card_expired card_blocked card_exhausted card_held currency_mismatch key_missing pin_not_possible \
         card_misbehaved reader_failed no_room books_full stopped psam_not_ready psam_busy psam_mismatch \
         psam_locked terminal_sn_repeated psam_refuses card_suspect card_hot_listed key_version_not_listed \
         parameters_forbid",
    );
}

#[test]
fn an_entry_that_is_cut_off_at_any_byte_is_damaged() {
    for (_, text) in golden() {
        let whole = stored(text);
        for length in 0..whole.len() {
            let cut = Content::decode(&whole[..length]);
            assert!(
                matches!(cut, Err(DecodeError::Damaged(_))),
                "{length} bytes of {text}"
            );
        }
    }
}

#[test]
fn a_generation_is_stored_from_the_second_on() {
    let (entry, first) = golden().remove(0);
    let Entry::SaleIntended(it) = entry else {
        unreachable!("the first is an intent");
    };
    let later = content(
        0,
        Entry::SaleIntended(purser_ledger::SaleIntended { generation: 3, ..it }),
    );
    let stored = String::from_utf8(later.encode()).expect("JSON");
    let text = first.replace(
        "\"pin_verified\":true}",
        "\"pin_verified\":true,\"generation\":3}",
    );
    assert_eq!(stored, format!("{BEFORE}{text}}}"));
    assert_eq!(Content::decode(stored.as_bytes()).expect("it decodes"), later);
}

#[test]
fn what_no_purser_writes_is_refused() {
    let (_, intended) = golden().remove(0);
    let spoilt = [
        intended.replace("\"owner\":1000", "\"owner\":1000,\"till\":3"),
        intended.replace("\"owner\":1000,", ""),
        intended.replace("sale_intended", "sale_imagined"),
        intended.replace("300", "-300"),
        intended.replace("300", "300.5"),
        intended.replace("300", "9007199254740992"),
        intended.replace("JPY", "jpy"),
        intended.replace("order-17", "order 17"),
        intended.replace("counter-1", ""),
        intended.replace("aabb", "aab"),
        intended.replace("aabb", &"aa".repeat(SCHEME_BYTES_MAX + 1)),
        intended.replace("00010203040506070809", "000102030405060708"),
        intended.replace("42", "4294967296"),
        intended.replace("pboc", "felica"),
        intended.to_owned() + "x",
        r#"{"kind":"load_confirmed","number":1}"#.to_owned(),
        r#"{"kind":"load_released","number":256,"date_time":"20261123183059"}"#.to_owned(),
        r#"{"kind":"load_released","number":1,"date_time":"202611231830"}"#.to_owned(),
    ];
    for text in &spoilt {
        assert!(
            matches!(Content::decode(&stored(text)), Err(DecodeError::Damaged(_))),
            "{text}"
        );
    }
}

#[test]
fn an_entry_of_another_version_is_told_apart_from_a_damaged_one() {
    let newer = String::from_utf8(content(0, closed()).encode())
        .expect("text")
        .replace("\"v\":1", "\"v\":2");
    assert!(matches!(
        Content::decode(newer.as_bytes()),
        Err(DecodeError::Version(2))
    ));
}

#[test]
fn scheme_bytes_of_the_greatest_length_are_kept() {
    let (_, text) = golden().remove(0);
    let longest = stored(&text.replace("aabb", &"ab".repeat(SCHEME_BYTES_MAX)));
    assert_eq!(Content::decode(&longest).expect("allowed").encode(), longest);
}

#[test]
fn a_head_is_read_as_it_is_shown() {
    let head = common::head(513);
    let shown = format!("513:{}", "01".repeat(32));
    assert_eq!(head.to_string(), shown);
    assert_eq!(shown.parse(), Ok(head));
    assert_eq!(Head::EMPTY.to_string().parse(), Ok(Head::EMPTY));
    assert_eq!(
        format!(" {shown}\n").parse(),
        Ok(head),
        "as it is copied from a slip"
    );
    for length in 0..shown.len() {
        assert!(shown[..length].parse::<Head>().is_err(), "{length} characters");
    }
    for wrong in [
        format!("-1:{}", "01".repeat(32)),
        format!("{shown}0"),
        shown.replace(':', ";"),
        shown.replace("01", "0g"),
    ] {
        assert!(wrong.parse::<Head>().is_err(), "{wrong}");
    }
}

#[test]
fn the_fuzz_entry_takes_every_golden_text_with_any_byte_changed() {
    for (_, text) in golden() {
        let whole = stored(text);
        for index in 0..whole.len() {
            for bit in 0..8 {
                let mut spoilt = whole.clone();
                spoilt[index] ^= 1 << bit;
                fuzz(&spoilt);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn no_bytes_make_a_decoder_panic(data in prop::collection::vec(any::<u8>(), 0..200)) {
        fuzz(&data);
    }

    #[test]
    fn no_text_makes_a_decoder_panic(text in "[0-9]{0,20}:?[0-9a-f]{60,66}") {
        fuzz(text.as_bytes());
    }
}
