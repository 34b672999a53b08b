//! Sales in doubt about which somebody lies, or errs: whose word counts against whom, and what an operator may decide (money rules C4
//! and T3).

use purser_provider_link::{QueryAnswer, QueryProof, Reason};
use serde_json::json;

use crate::client::Identity;
use crate::queries::{
    alarms, answered, ask, findings, is_clean, query, settle, spoiled, torn, without_proof,
};
use crate::settling::Shop;
use crate::shop::Customer;
use crate::support::CARD;

fn merchant(shop: &Shop, name: &str) {
    let account = ["--account", "000100220000003"];
    shop.provider
        .done(&[&["merchant", "add", name, "--bank", "first"][..], &account].concat());
}

/// A terminal of `other` that has a purchase key.
fn soft_till(shop: &Shop) -> Identity {
    let numbers = ["--psam-number", "000000000003", "--bank-terminal", "KIOSK001"];
    let words = [
        "terminal",
        "add",
        "till-3",
        "--role",
        "merchant",
        "--merchant",
        "other",
    ];
    let rest = ["--standing-link", "--software-sam"];
    let added = shop.provider.done(&[&words[..], &numbers, &rest].concat());
    shop.provider
        .done(&["parameters", "set", "--software-sam", "allow"]);
    shop.enrolled(added[0]["enrolment_code"].as_str().unwrap())
}

fn decide<'a>(operation: &'a str, end: &'a str) -> [&'a str; 6] {
    ["queries", "answer", operation, end, "--why", "looked at it"]
}

/// With a purchase key a shop can debit a card under the number of any PSAM. Only the PSAM's own terminal may say anything by it.
#[test]
fn a_debit_under_somebody_elses_psam_number_says_nothing_about_a_third_merchants_sale() {
    let shop = Shop::new();
    merchant(&shop, "other");
    merchant(&shop, "third");
    shop.till_of("third", 2);
    let thief = soft_till(&shop);
    let claim = Customer::new(CARD).pay(300, 2, 1);
    let query = torn(&claim, 1, 9, 500);
    let held = settle(&shop, (&thief, "till-3"), 1, &[claim]);
    assert_eq!(held, (vec![Some(Reason::OtherTerminal)], 0));
    assert_eq!(answered(&shop, &shop.till, &query), None);
    is_clean(&shop);
}

/// Nor does it tell an operator that an answer was wrong.
#[test]
fn only_a_proven_other_debit_is_told_to_contradict_an_answer() {
    let shop = Shop::new();
    merchant(&shop, "other");
    let soft = soft_till(&shop);
    let hard = shop.till_of("other", 4);
    let mut customer = Customer::new(CARD);
    let (first, second) = (customer.pay(300, 3, 1), customer.pay(300, 4, 1));
    for (sn, other) in [(8, &first), (9, &second)] {
        let mut query = torn(other, 1, sn, 500);
        query.operation = purser_ledger::OperationId::new([u8::try_from(sn).unwrap(); 16]);
        assert_eq!(answered(&shop, &shop.till, &query), None);
        shop.provider
            .done(&decide(&query.operation.to_string(), "--happened"));
    }
    assert_eq!(settle(&shop, (&soft, "till-3"), 1, &[first]).1, 300);
    assert!(alarms(&shop).is_empty(), "it has a purchase key");
    is_clean(&shop);
    assert_eq!(settle(&shop, (&hard, "till-4"), 2, &[second]).1, 300);
    assert_eq!(alarms(&shop), ["QueryContradicted"]);
    assert_eq!(findings(&shop), ["QueryContradicted"]);
}

#[test]
fn an_operator_does_not_decide_against_what_the_card_has_proven() {
    let shop = Shop::new();
    merchant(&shop, "other");
    let hard = shop.till_of("other", 4);
    let mut customer = Customer::new(CARD);
    let (proven, paid) = (customer.pay(300, 4, 1), customer.pay(300, 1, 2));
    let asked = torn(&proven, 1, 9, 500);
    assert_eq!(answered(&shop, &shop.till, &asked), None);
    let by_card = answered(&shop, &hard, &query(&proven, true));
    assert_eq!(by_card, Some(QueryProof::CardAnswer));
    let happened = decide_words(&asked, "--happened");
    assert_eq!(refused(&shop, &happened), "Contradicted");
    // Paid, and asked about when there was no key to see it by any more.
    assert_eq!(
        settle(&shop, (&shop.till, "till-1"), 1, std::slice::from_ref(&paid)).1,
        300
    );
    shop.provider.done(&["key", "version", "block", "1"]);
    let lost = query(&paid, false);
    assert_eq!(answered(&shop, &shop.till, &lost), None);
    assert_eq!(
        refused(&shop, &decide_words(&lost, "--did-not-happen")),
        "Contradicted"
    );
    assert!(alarms(&shop).is_empty());
    is_clean(&shop);
}

fn decide_words(query: &purser_provider_link::Query, end: &str) -> Vec<String> {
    let operation = query.operation.to_string();
    decide(&operation, end).map(str::to_owned).to_vec()
}

fn refused(shop: &Shop, words: &[String]) -> String {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    shop.provider.refused(&words)
}

/// The operator is told where a paid claim names the number; whether a card made its MAC2 the audit finds out.
#[test]
fn a_decision_against_another_paid_claim_of_the_number_is_told() {
    let shop = Shop::new();
    merchant(&shop, "other");
    let hard = shop.till_of("other", 4);
    let other = Customer::new(CARD).pay(300, 4, 1);
    assert_eq!(
        settle(&shop, (&hard, "till-4"), 1, std::slice::from_ref(&other)).1,
        300
    );
    shop.provider.done(&["key", "version", "block", "1"]);
    let asked = torn(&other, 1, 9, 500);
    assert_eq!(
        answered(&shop, &shop.till, &asked),
        None,
        "there is no key to see it by"
    );
    shop.provider
        .done(&decide(&asked.operation.to_string(), "--happened"));
    assert_eq!(alarms(&shop), ["QueryContradicted"]);
    assert_eq!(findings(&shop), ["QueryContradicted"]);
}

#[test]
fn what_was_answered_is_paid_after_its_key_version_is_blocked() {
    let shop = Shop::new();
    let mut customer = Customer::new(CARD);
    let (claim, unasked) = (customer.pay(300, 1, 1), customer.pay(40, 1, 2));
    let proven = query(&claim, true);
    assert_eq!(answered(&shop, &shop.till, &proven), Some(QueryProof::CardAnswer));
    shop.provider.done(&["key", "version", "block", "1"]);
    let (reasons, total) = settle(&shop, (&shop.till, "till-1"), 1, &[claim, unasked]);
    assert_eq!(
        (reasons, total),
        (vec![None, Some(Reason::BlockedKeyVersion)], 300)
    );
    is_clean(&shop);
}

/// The terminal's claim comes before it asks again, or it asks no more: the query is answered all the same.
#[test]
fn a_claim_with_the_cards_proof_answers_the_query_that_is_open() {
    let shop = Shop::new();
    let claim = Customer::new(CARD).pay(300, 1, 1);
    let query = query(&claim, false);
    assert_eq!(answered(&shop, &shop.till, &query), None);
    let till = (&shop.till, "till-1");
    assert_eq!(
        settle(&shop, till, 1, &[without_proof(&claim)]),
        (vec![Some(Reason::NoCardProof)], 0)
    );
    let shown = || {
        shop.provider
            .done(&["queries", "show", &query.operation.to_string()])[0]
            .clone()
    };
    assert_eq!(shown()["state"], json!("open"));
    assert_eq!(settle(&shop, till, 2, &[claim]).1, 300);
    assert_eq!(shown()["proof"], json!("claim"));
    assert_eq!(shop.provider.done(&["liability"])[0]["queries_in_doubt"], 0);
    assert_eq!(answered(&shop, &shop.till, &query), Some(QueryProof::Claim));
    assert!(alarms(&shop).is_empty());
    is_clean(&shop);
}

/// The terminal asks the same again by itself: that is no other forgery, and does not take back what a person has said.
#[test]
fn an_upheld_debit_can_be_decided_and_claimed_though_its_terminal_asks_again() {
    let shop = Shop::new();
    let mut customer = Customer::new(CARD);
    let uphold = |sn: &str| {
        let words = ["claims", "uphold", CARD, "000000000001", sn, "--why", "a letter"];
        shop.provider.done(&words);
    };
    let (first, second) = (customer.pay(10, 1, 1), customer.pay(20, 1, 2));
    for claim in [&first, &second] {
        assert_eq!(ask(&shop.till, &spoiled(claim, 1)).refusal(), "Forged");
    }
    let operation = spoiled(&first, 1).operation.to_string();
    assert_eq!(
        shop.provider.refused(&decide(&operation, "--happened")),
        "ForgedBefore"
    );
    uphold("1");
    uphold("2");
    for claim in [&first, &second] {
        assert_eq!(ask(&shop.till, &spoiled(claim, 1)).refusal(), "ForgedBefore");
    }
    shop.provider.done(&decide(&operation, "--happened"));
    let bare = without_proof(&first);
    assert_eq!(
        settle(&shop, (&shop.till, "till-1"), 1, &[bare, second]),
        (vec![None, None], 30)
    );
    is_clean(&shop);
}

#[test]
fn a_claim_of_the_same_debit_proves_it_for_a_restored_terminal() {
    let shop = Shop::new();
    let claim = Customer::new(CARD).pay(300, 1, 1);
    let till = (&shop.till, "till-1");
    assert_eq!(settle(&shop, till, 1, std::slice::from_ref(&claim)).1, 300);
    let query = query(&claim, false);
    assert_eq!(answered(&shop, &shop.till, &query), Some(QueryProof::Claim));
    assert_eq!(
        settle(&shop, till, 2, &[without_proof(&claim)]),
        (vec![Some(Reason::OtherClaimPaid)], 0),
        "and is not paid again"
    );
    is_clean(&shop);
}

/// The card is presented again and hands out its proof, which only the provider can check.
#[test]
fn a_query_is_taken_again_once_with_the_cards_answer() {
    let shop = Shop::new();
    let mut customer = Customer::new(CARD);
    let (claim, decided) = (customer.pay(300, 1, 1), customer.pay(40, 1, 2));
    assert_eq!(answered(&shop, &shop.till, &query(&claim, false)), None);
    let damaged = spoiled(&claim, 5);
    assert_eq!(answered(&shop, &shop.till, &damaged), None);
    let good = query(&claim, true);
    assert_eq!(ask(&shop.till, &good).refusal(), "OtherContent", "once");
    let bare = query(&decided, false);
    assert_eq!(answered(&shop, &shop.till, &bare), None);
    let operation = bare.operation.to_string();
    shop.provider.done(&decide(&operation, "--did-not-happen"));
    // The word that is there is told, and is none about what the card says now.
    let with = query(&decided, true);
    let told = ask(&shop.till, &with).done();
    let word = QueryAnswer::decode(&shop.signed(&told["answer"], &told["signature"])).unwrap();
    assert_eq!(word.proof, QueryProof::DecidedNot);
    assert_eq!((word.is_of(&bare), word.is_of(&with)), (true, false));
    let other = customer.pay(50, 1, 3);
    assert_eq!(answered(&shop, &shop.till, &query(&other, false)), None);
    let with = query(&other, true);
    assert_eq!(answered(&shop, &shop.till, &with), Some(QueryProof::CardAnswer));
    assert_eq!(settle(&shop, (&shop.till, "till-1"), 1, &[other]).1, 50);
    is_clean(&shop);
}

#[test]
fn a_terminal_with_a_thousand_open_queries_asks_no_new_one_until_one_is_answered() {
    let shop = Shop::new();
    let second = shop.till_of("kiosk", 2);
    let mut customer = Customer::new(CARD);
    let (first, next) = (customer.pay(10, 1, 1), customer.pay(20, 1, 2));
    let foreign = customer.pay(30, 2, 3);
    assert_eq!(answered(&shop, &shop.till, &query(&first, false)), None);
    let sql = rusqlite::Connection::open(shop.provider.path("provider/provider.db")).unwrap();
    let filling = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 999)
                   INSERT INTO query (operation, terminal, key, currency, minor, document, asked_at)
                   SELECT randomblob(16), terminal, randomblob(20), currency, minor, document, asked_at FROM query, n";
    assert_eq!(sql.execute(filling, ()).unwrap(), 999);
    let refused = ask(&shop.till, &query(&next, false));
    assert_eq!(refused.body["transient"], json!(true));
    assert_eq!(refused.refusal(), "TooManyQueries");
    assert_eq!(
        answered(&shop, &shop.till, &query(&first, false)),
        None,
        "a repeat"
    );
    assert_eq!(
        answered(&shop, &second, &query(&foreign, false)),
        None,
        "nor another's"
    );
    shop.provider
        .done(&decide(&first.operation.to_string(), "--did-not-happen"));
    assert_eq!(answered(&shop, &shop.till, &query(&next, false)), None);
}
