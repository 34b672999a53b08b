//! B4: a permit is issued again only after the bank has called the earlier one unpaid and unusable.

use purser_provider_link::{Batch, Item, Permit};
use serde_json::{Value, json};

use crate::called::Standing;
use crate::client::Identity;
use crate::settlements::check_token;
use crate::settling::{Shop, announced, check, claims, path, send, void};
use crate::shop::{Customer, seal, yen};
use crate::support::{CARD, Provider};

/// A batch of one claim of 300 with its permit.
fn permitted(shop: &Shop) -> (Batch, Permit) {
    let items = claims(&[Customer::new(CARD).pay(300, 1, 1)]);
    settled(shop, &items)
}

fn settled(shop: &Shop, items: &[Item]) -> (Batch, Permit) {
    let batch = seal(1, "till-1", items);
    let mut line = announced(&shop.till, 1, &batch);
    send(&mut line, &batch, 0, items).done();
    let permit = shop.permit(&mut line, &batch);
    (batch, permit)
}

/// The words of a command about a permit.
fn words<'a>(verb: &'a str, id: &'a str, rest: &[&'a str]) -> Vec<&'a str> {
    [&["permit", verb, id], rest].concat()
}

fn answer<'a>(generation: &'a str, word: &'a str, reference: &'a str) -> [&'a str; 6] {
    [
        "--generation",
        generation,
        "--word",
        word,
        "--reference",
        reference,
    ]
}

/// The bank is asked, and says that the first generation is unusable.
fn revoked(provider: &Provider, id: &str) {
    provider.done(&words("revoke", id, &[]));
    provider.done(&words("answered", id, &answer("1", "unusable", "B 17")));
}

#[test]
fn a_permit_is_issued_again_only_after_the_banks_word_and_then_only_its_newest_generation_is_given() {
    let shop = Shop::new();
    let (batch, first) = permitted(&shop);
    let id = first.id.to_string();
    let provider = &shop.provider;
    let books = provider.done(&["liability"]);
    let again = || provider.refused(&words("reissue", &id, &[]));
    let answered = |generation, word| words("answered", &id, &answer(generation, word, "B 17"));
    assert_eq!(again(), "NotProven");
    let early = provider.refused(&answered("1", "unusable"));
    assert_eq!(early, "NotAsked", "it may pay a moment later");
    let told = &provider.done(&words("revoke", &id, &[]))[0];
    assert_eq!(
        (&told["total"], &told["account"], &told["generation"]),
        (&json!(300), &json!("000100110000001"), &json!(1))
    );
    assert_eq!(again(), "NotProven", "asking is no proof");
    assert_eq!(provider.refused(&answered("2", "unusable")), "OtherGeneration");
    assert_eq!(provider.done(&answered("1", "paid"))[0]["phase"], "live");
    assert_eq!(
        provider.done(&answered("1", "paid"))[0]["phase"],
        "live",
        "a repeat"
    );
    assert_eq!(again(), "NotProven", "it is paid, or will be reversed");
    provider.done(&words("revoke", &id, &[]));
    for _ in 0..2 {
        assert_eq!(provider.done(&answered("1", "unusable"))[0]["phase"], "revoked");
    }
    let mut line = announced(&shop.till, 7, &batch);
    let refused = line.ask("POST", &path(&batch, "/permit"), None);
    assert_eq!(refused.body["transient"], true, "the next generation comes");
    assert_eq!(refused.refusal(), "PermitRevoked", "no bank pays it any more");
    drop(line);
    assert_eq!(provider.done(&words("reissue", &id, &[]))[0]["generation"], 2);
    assert_eq!(again(), "NotProven", "each generation needs its own proof");
    let mut line = announced(&shop.till, 2, &batch);
    let second = shop.permit(&mut line, &batch);
    assert_eq!(
        (second.id, second.generation, second.sum),
        (first.id, 2, first.sum)
    );
    assert!(second.expires_unix_seconds >= first.expires_unix_seconds);
    assert_ne!(second.sealed_token, first.sealed_token, "a secret of its own");
    check_token(&shop, &second);
    assert_eq!(provider.done(&["liability"]), books, "it is the same value");
    assert_eq!(provider.done(&["audit"]), [json!({ "findings": 0 })]);
}

#[test]
fn a_bank_that_has_paid_what_it_called_unusable_is_an_alarm_and_stops_the_next_generation() {
    let shop = Shop::new();
    let (_, permit) = permitted(&shop);
    let id = permit.id.to_string();
    let provider = &shop.provider;
    revoked(provider, &id);
    let alarm = || {
        provider
            .done(&["alarms", "--limit", "1"])
            .pop()
            .map(|it| it["alarm"].clone())
    };
    assert_eq!(alarm(), None);
    for generation in ["0", "2"] {
        let never_given = words("answered", &id, &answer(generation, "paid", "B 18"));
        assert_eq!(provider.refused(&never_given), "OtherGeneration");
    }
    let paid = |reference| words("answered", &id, &answer("1", "paid", reference));
    assert_eq!(provider.done(&paid("B 18"))[0]["phase"], "live");
    assert_eq!(alarm(), Some(json!("PaidThoughRevoked")));
    assert_eq!(provider.refused(&words("reissue", &id, &[])), "NotProven");
    // Reversed after all; and once it is issued again the bank changes its mind.
    provider.done(&words("revoke", &id, &[]));
    provider.done(&words("answered", &id, &answer("1", "unusable", "B 19")));
    provider.done(&words("reissue", &id, &[]));
    let told = provider.done(&paid("B 20"));
    assert_eq!(
        (&told[0]["generation"], &told[0]["phase"]),
        (&json!(2), &json!("live"))
    );
    assert_eq!(provider.done(&["alarms"]).len(), 2);
    assert_eq!(provider.done(&["audit"]), [json!({ "findings": 0 })]);
}

#[test]
fn after_a_breakdown_another_terminal_of_the_merchant_gets_the_permit_and_the_broken_one_does_not() {
    let shop = Shop::new();
    let provider = &shop.provider;
    let other = [
        "merchant",
        "add",
        "other",
        "--bank",
        "first",
        "--account",
        "000100220000003",
    ];
    provider.done(&other);
    let (second, stranger) = (shop.till_of("kiosk", 2), shop.till_of("other", 3));
    provider.till("till-4", "000000000004");
    let (batch, permit) = permitted(&shop);
    let id = permit.id.to_string();
    revoked(provider, &id);
    provider.done(&["terminal", "suspend", "till-1"]);
    let refused = |rest: &[&str]| provider.refused(&words("reissue", &id, rest));
    assert_eq!(refused(&[]), "NotEnrolled");
    assert_eq!(refused(&["--terminal", "till-3"]), "OtherMerchant");
    assert_eq!(
        refused(&["--terminal", "till-4"]),
        "NotEnrolled",
        "it has pinned nothing"
    );
    assert_eq!(refused(&["--terminal", "till-9"]), "UnknownTerminal");
    let given = provider.done(&words("reissue", &id, &["--terminal", "till-2"]));
    assert_eq!(given[0]["terminal"], "till-2");
    let called = |till: &Identity, request| Standing::called(till, request, "settlement", batch.digest());
    let mut line = called(&second, 1);
    let stands: Value = line.ask("GET", &path(&batch, ""), None).done();
    assert_eq!(stands["phase"], "permitted");
    let verdicts = shop.verdicts(&line.ask("GET", &path(&batch, "/verdicts/0"), None).done());
    let again = shop.permit(&mut line, &batch);
    check(&again, &batch, &verdicts);
    assert_eq!((again.presenter.as_str(), again.sum.total), ("till-2", yen(300)));
    assert_eq!(void(&mut line, &batch).refusal(), "OtherTerminal");
    provider.done(&["terminal", "resume", "till-1"]);
    let broken = called(&shop.till, 2).ask("POST", &path(&batch, "/permit"), None);
    assert_eq!(broken.refusal(), "OtherPresenter");
    let thief = called(&stranger, 1).ask("POST", &path(&batch, "/permit"), None);
    assert_eq!(thief.refusal(), "OtherTerminal");
    assert_eq!(provider.done(&["audit"]), [json!({ "findings": 0 })]);
}

#[test]
fn a_permit_of_nothing_and_one_that_is_none_are_not_issued_again() {
    let shop = Shop::new();
    let items = claims(&[Customer::new(CARD).pay(300, 9, 1)]);
    let (_, permit) = settled(&shop, &items);
    assert!(permit.sum.total.is_zero());
    let id = permit.id.to_string();
    for verb in ["revoke", "reissue"] {
        assert_eq!(shop.provider.refused(&words(verb, &id, &[])), "Paid");
        assert_eq!(
            shop.provider.refused(&words(verb, &"00".repeat(16), &[])),
            "UnknownPermit"
        );
    }
}
