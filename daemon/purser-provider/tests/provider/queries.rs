//! Sales in doubt: what is refused, what proves an end, and that an answer stays (money rule C4).

use purser_ledger::{DebitKey, OperationId, Scheme, SchemeBytes};
use purser_provider_link::{Claim, Query, QueryAnswer, QueryProof, Reason};
use purser_purse::pboc::{Attempt, ClaimEvidence, Proof, PsamTerminalNumber, PurseAmount, TerminalSn};
use rusqlite::Connection;
use serde_json::{Value, json};

use crate::client::{Answer, Identity};
use crate::settling::{Shop, announced, claims, reason, send};
use crate::shop::{Customer, seal, yen};
use crate::support::CARD;

fn evidence(claim: &Claim) -> ClaimEvidence {
    ClaimEvidence::decode(claim.evidence.bytes()).unwrap()
}

fn bytes(bytes: Vec<u8>) -> SchemeBytes {
    SchemeBytes::new(Scheme::Pboc, bytes).unwrap()
}

/// The query of a sale whose card answered, if it did, and proved nothing to the terminal.
pub(crate) fn query(claim: &Claim, has_answer: bool) -> Query {
    let told = evidence(claim);
    let answer = told.answer().filter(|_| has_answer);
    Query {
        operation: claim.operation,
        key: claim.key.clone(),
        amount: claim.amount,
        sold_at: claim.sold_at,
        attempt: bytes(told.attempt().encode()),
        answer: answer.map(|it| bytes(it.encode())),
    }
}

/// The query of a sale that was torn before the card executed it: the number that the card showed went to this other debit.
pub(crate) fn torn(other: &Claim, terminal: u8, terminal_sn: u32, amount: u32) -> Query {
    let number = [0, 0, 0, 0, 0, terminal];
    let attempt = Attempt {
        terminal_number: PsamTerminalNumber::new(number),
        terminal_sn: TerminalSn::new(terminal_sn),
        amount: PurseAmount::new(amount),
        ..evidence(other).attempt().clone()
    };
    Query {
        operation: OperationId::new([0xC0 | terminal; 16]),
        key: DebitKey {
            terminal_number: number,
            terminal_sn,
            ..other.key.clone()
        },
        amount: yen(u64::from(amount)),
        sold_at: other.sold_at,
        attempt: bytes(attempt.encode()),
        answer: None,
    }
}

/// The claim of a sale that the provider has proven: without a card's proof.
pub(crate) fn without_proof(claim: &Claim) -> Claim {
    let told = ClaimEvidence::new(evidence(claim).attempt().clone(), None, Proof::LogRecord).unwrap();
    Claim {
        evidence: bytes(told.encode()),
        ..claim.clone()
    }
}

/// The query with the card's answer damaged: TAC from byte 1 on, MAC2 from byte 5 on.
pub(crate) fn spoiled(claim: &Claim, byte: usize) -> Query {
    let good = query(claim, true);
    let mut answer = good.answer.as_ref().unwrap().bytes().to_vec();
    answer[byte] ^= 1;
    Query {
        answer: Some(bytes(answer)),
        ..good
    }
}

pub(crate) fn ask(till: &Identity, query: &Query) -> Answer {
    let path = format!("/v1/queries/{}", query.operation);
    till.ask(
        "PUT",
        &path,
        Some(&json!({ "query": hex::encode(query.encode()) })),
    )
}

fn proof(shop: &Shop, told: &Value, query: &Query) -> Option<QueryProof> {
    if told["answer"].is_null() {
        assert!(told["signature"].is_null());
        return None;
    }
    let answer = QueryAnswer::decode(&shop.signed(&told["answer"], &told["signature"])).unwrap();
    assert!(answer.is_of(query));
    Some(answer.proof)
}

pub(crate) fn answered(shop: &Shop, till: &Identity, query: &Query) -> Option<QueryProof> {
    proof(shop, &ask(till, query).done(), query)
}

/// Claims these in a batch of their own up to its permit: the reasons, and the total.
pub(crate) fn settle(
    shop: &Shop,
    till: (&Identity, &str),
    number: u8,
    sales: &[Claim],
) -> (Vec<Option<Reason>>, u64) {
    let items = claims(sales);
    let batch = seal(number, till.1, &items);
    let mut line = announced(till.0, number, &batch);
    let verdicts = shop.verdicts(&send(&mut line, &batch, 0, &items).done());
    let total = shop.permit(&mut line, &batch).sum.total.minor();
    (verdicts.iter().map(reason).collect(), total)
}

pub(crate) fn is_clean(shop: &Shop) {
    assert_eq!(shop.provider.done(&["audit"]), [json!({ "findings": 0 })]);
}

/// The names of what the audit finds.
pub(crate) fn findings(shop: &Shop) -> Vec<String> {
    let output = shop.provider.run(&["audit"]);
    let told = String::from_utf8(output.stdout).unwrap();
    let found = told.lines().map(|it| serde_json::from_str::<Value>(it).unwrap());
    found
        .map(|it| it["finding"].as_str().unwrap().to_owned())
        .collect()
}

pub(crate) fn alarms(shop: &Shop) -> Vec<String> {
    let alarms = shop.provider.done(&["alarms"]);
    alarms
        .iter()
        .map(|it| it["alarm"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn the_cards_own_answer_proves_the_sale_and_its_claim_is_paid_once() {
    let shop = Shop::new();
    let claim = Customer::new(CARD).pay(300, 1, 1);
    let query = query(&claim, true);
    let first = ask(&shop.till, &query).done();
    assert_eq!(proof(&shop, &first, &query), Some(QueryProof::CardAnswer));
    assert_eq!(
        ask(&shop.till, &query).done(),
        first,
        "asked again: the same bytes"
    );
    let answered = [
        "queries",
        "answer",
        &query.operation.to_string(),
        "--did-not-happen",
        "--why",
        "no",
    ];
    assert_eq!(shop.provider.refused(&answered), "Answered");
    let sales = [claim];
    assert_eq!(
        settle(&shop, (&shop.till, "till-1"), 1, &sales),
        (vec![None], 300)
    );
    assert_eq!(
        settle(&shop, (&shop.till, "till-1"), 2, &sales),
        (vec![Some(Reason::AlreadyPaid)], 0)
    );
    assert!(alarms(&shop).is_empty());
    is_clean(&shop);
}

#[test]
fn what_nothing_proves_is_in_doubt_until_the_operator_decides_and_then_it_is_paid_once() {
    let shop = Shop::new();
    let claim = Customer::new(CARD).pay(300, 1, 1);
    let query = query(&claim, false);
    let operation = query.operation.to_string();
    let bare = [without_proof(&claim)];
    let till = (&shop.till, "till-1");
    assert_eq!(
        settle(&shop, till, 1, &bare),
        (vec![Some(Reason::NoCardProof)], 0)
    );
    assert_eq!(answered(&shop, &shop.till, &query), None);
    assert_eq!(answered(&shop, &shop.till, &query), None, "asked again");
    let shown = || shop.provider.done(&["queries", "show", &operation])[0].clone();
    assert_eq!(
        (&shown()["state"], &shown()["has_card_answer"]),
        (&json!("open"), &json!(false))
    );
    let liability = &shop.provider.done(&["liability"])[0];
    assert_eq!(liability["queries_in_doubt"], 300);
    assert_eq!(
        settle(&shop, till, 2, &bare),
        (vec![Some(Reason::NoCardProof)], 0),
        "asked is not answered"
    );
    let decide = ["queries", "answer", &operation, "--happened", "--why"];
    let with = |why| [&decide[..], &[why]].concat();
    assert_eq!(shop.provider.refused(&with(" ")), "Why");
    let decided = &shop.provider.done(&with("the buyer has the goods"))[0];
    assert_eq!(
        (&decided["state"], &decided["proof"], &decided["why"]),
        (
            &json!("happened"),
            &json!("decided_happened"),
            &json!("the buyer has the goods")
        )
    );
    assert_eq!(shop.provider.refused(&with("again")), "Answered");
    assert_eq!(
        answered(&shop, &shop.till, &query),
        Some(QueryProof::DecidedHappened)
    );
    let mut dearer = bare[0].clone();
    dearer.amount = yen(301);
    assert_eq!(
        settle(&shop, till, 3, &[dearer]),
        (vec![Some(Reason::NoCardProof)], 0)
    );
    assert_eq!(settle(&shop, till, 4, &bare), (vec![None], 300));
    assert_eq!(
        settle(&shop, till, 5, &bare),
        (vec![Some(Reason::AlreadyPaid)], 0)
    );
    // The card's proof of it appears after all.
    assert_eq!(
        settle(&shop, till, 6, &[claim]),
        (vec![Some(Reason::OtherClaimPaid)], 0)
    );
    let liability = &shop.provider.done(&["liability"])[0];
    assert_eq!(
        (&liability["queries_in_doubt"], &liability["permits"]),
        (&json!(0), &json!(300))
    );
    is_clean(&shop);
}

/// Torn before execution here, a purchase at another shop: it must not count as ours.
#[test]
fn another_shops_debit_under_the_same_number_proves_that_ours_did_not_happen() {
    let shop = Shop::new();
    shop.provider.done(&[
        "merchant",
        "add",
        "other",
        "--bank",
        "first",
        "--account",
        "000100220000003",
    ]);
    let elsewhere = shop.till_of("other", 2);
    let claim = Customer::new(CARD).pay(300, 2, 1);
    let query = torn(&claim, 1, 9, 500);
    assert_eq!(answered(&shop, &shop.till, &query), None);
    assert_eq!(
        settle(&shop, (&elsewhere, "till-2"), 1, std::slice::from_ref(&claim)).1,
        300
    );
    assert_eq!(answered(&shop, &shop.till, &query), Some(QueryProof::OtherDebit));
    is_clean(&shop);
}

/// A merchant with a purchase key can make a MAC2 for any number: its word about the card's counter takes no money from another
/// merchant. A terminal with a PSAM that edits the number has no MAC2 for it.
#[test]
fn a_merchant_cannot_make_another_ones_sale_not_happen() {
    let shop = Shop::new();
    shop.provider.done(&[
        "merchant",
        "add",
        "other",
        "--bank",
        "first",
        "--account",
        "000100220000003",
    ]);
    let added = shop.provider.done(&[
        "terminal",
        "add",
        "till-2",
        "--role",
        "merchant",
        "--merchant",
        "other",
        "--psam-number",
        "000000000002",
        "--bank-terminal",
        "KIOSK001",
        "--standing-link",
        "--software-sam",
    ]);
    let elsewhere = shop.enrolled(added[0]["enrolment_code"].as_str().unwrap());
    shop.provider
        .done(&["parameters", "set", "--software-sam", "allow"]);
    let mut customer = Customer::new(CARD);
    let soft = customer.pay(300, 2, 1);
    let query = torn(&soft, 1, 9, 500);
    assert_eq!(
        settle(&shop, (&elsewhere, "till-2"), 1, std::slice::from_ref(&soft)).1,
        300
    );
    assert_eq!(answered(&shop, &shop.till, &query), None, "it has a purchase key");
    let hard = shop.till_of("other", 3);
    let claim = customer.pay(300, 3, 1);
    let told = evidence(&claim);
    let mut attempt = told.attempt().clone();
    attempt.offline_sn = evidence(&soft).attempt().offline_sn;
    let edited = Claim {
        evidence: bytes(
            ClaimEvidence::new(attempt, told.answer(), Proof::Mac2Verified)
                .unwrap()
                .encode(),
        ),
        ..claim
    };
    assert_eq!(
        settle(&shop, (&hard, "till-3"), 2, &[edited]).1,
        300,
        "its TAC is good"
    );
    assert_eq!(answered(&shop, &shop.till, &query), None, "and proves no number");
    is_clean(&shop);
}

#[test]
fn the_cards_proof_wins_over_the_operators_word_and_somebody_is_told() {
    let shop = Shop::new();
    let claim = Customer::new(CARD).pay(300, 1, 1);
    let query = query(&claim, false);
    assert_eq!(answered(&shop, &shop.till, &query), None);
    let operation = query.operation.to_string();
    shop.provider.done(&[
        "queries",
        "answer",
        &operation,
        "--did-not-happen",
        "--why",
        "nobody saw it",
    ]);
    assert_eq!(answered(&shop, &shop.till, &query), Some(QueryProof::DecidedNot));
    assert_eq!(
        settle(&shop, (&shop.till, "till-1"), 1, &[claim]),
        (vec![None], 300)
    );
    assert_eq!(alarms(&shop), ["QueryContradicted"]);
    assert_eq!(
        answered(&shop, &shop.till, &query),
        Some(QueryProof::DecidedNot),
        "the first answer stays"
    );
    assert_eq!(findings(&shop), ["QueryContradicted"]);
}

#[test]
fn each_query_that_is_wrong_is_refused_by_its_own_name() {
    let shop = Shop::new();
    let second = shop.till_of("kiosk", 2);
    let mut customer = Customer::new(CARD);
    let claim = customer.pay(300, 1, 1);
    let good = query(&claim, false);
    let refused = |till: &Identity, query: &Query| ask(till, query).refusal().to_owned();
    assert_eq!(refused(&second, &good), "OtherTerminal");
    let unknown = torn(&claim, 0x77, 1, 300);
    assert_eq!(refused(&shop.till, &unknown), "UnknownTerminalNumber");
    let stranger = query(&Customer::new("00000000202600000099").pay(300, 1, 5), false);
    assert_eq!(refused(&shop.till, &stranger), "UnknownCard");
    let euro = Query {
        amount: purser_ledger::Amount::new(300, "EUR".parse().unwrap()).unwrap(),
        ..good.clone()
    };
    assert_eq!(refused(&shop.till, &euro), "OtherCurrency");
    let dearer = Query {
        amount: yen(301),
        ..good.clone()
    };
    assert_eq!(refused(&shop.till, &dearer), "Altered");
    assert_eq!(answered(&shop, &shop.till, &good), None);
    let later = Query {
        sold_at: purser_ledger::Wall {
            unix_seconds: good.sold_at.unix_seconds + 1,
            ..good.sold_at
        },
        ..good.clone()
    };
    assert_eq!(refused(&shop.till, &later), "OtherContent");
    let again = Query {
        operation: OperationId::new([9; 16]),
        ..good.clone()
    };
    assert_eq!(
        refused(&shop.till, &again),
        "OtherContent",
        "the debit has a query"
    );
    let path = format!("/v1/queries/{}", "00".repeat(16));
    let body = json!({ "query": hex::encode(good.encode()) });
    assert_eq!(shop.till.ask("PUT", &path, Some(&body)).refusal(), "BadQuery");
    let body = json!({ "query": "00" });
    assert_eq!(shop.till.ask("PUT", &path, Some(&body)).refusal(), "BadQuery");
    assert_eq!(shop.provider.done(&["queries", "list"]).len(), 1, "the good one");
    is_clean(&shop);
}

/// A wrong MAC2 is no fault of the shop: it counts nothing and tries no TAC. A right one with a wrong TAC is made with a purchase
/// key, and counts like a forged claim, once for each debit.
#[test]
fn a_forged_answer_counts_and_a_false_cards_answer_does_not() {
    let shop = Shop::new();
    let mut customer = Customer::new(CARD);
    for sn in 1..=12 {
        let damaged = spoiled(&customer.pay(10, 1, sn), 5);
        assert_eq!(answered(&shop, &shop.till, &damaged), None, "no guess");
    }
    assert!(alarms(&shop).is_empty());
    let sale = customer.pay(10, 1, 20);
    let forged = spoiled(&sale, 1);
    assert_eq!(ask(&shop.till, &forged).refusal(), "Forged");
    for _ in 0..20 {
        assert_eq!(
            ask(&shop.till, &forged).refusal(),
            "ForgedBefore",
            "asked again counts nothing"
        );
    }
    assert_eq!(
        ask(&shop.till, &query(&sale, true)).refusal(),
        "OtherContent",
        "no second try"
    );
    let held = settle(&shop, (&shop.till, "till-1"), 1, &[sale]);
    assert_eq!(held, (vec![Some(Reason::ForgedBefore)], 0));
    let operation = forged.operation.to_string();
    let decide = |end| ["queries", "answer", &operation, end, "--why", "looked at it"];
    assert_eq!(shop.provider.refused(&decide("--happened")), "ForgedBefore");
    shop.provider.done(&decide("--did-not-happen"));
    assert!(ask(&shop.till, &forged).done()["answer"].is_string());
    for sn in 21..=28 {
        assert_eq!(
            ask(&shop.till, &spoiled(&customer.pay(10, 1, sn), 1)).refusal(),
            "Forged"
        );
    }
    let told = alarms(&shop);
    assert!(
        told.iter().all(|it| it == "ForgedClaims") && !told.is_empty(),
        "{told:?}"
    );
    is_clean(&shop);
    assert_eq!(
        ask(&shop.till, &spoiled(&customer.pay(10, 1, 29), 1)).refusal(),
        "Forged"
    );
    assert_eq!(ask(&shop.till, &forged).refusal(), "Suspended", "the tenth");
    is_clean(&shop);
}

#[test]
fn an_answer_outlives_a_restart_and_a_newer_data_base_is_left_alone() {
    let mut shop = Shop::new();
    let mut customer = Customer::new(CARD);
    let query_of = |claim: Claim| query(&claim, true);
    let query = query_of(customer.pay(300, 1, 1));
    let first = ask(&shop.till, &query).done();
    assert_eq!(proof(&shop, &first, &query), Some(QueryProof::CardAnswer));
    shop.serving = shop.provider.serve();
    shop.till.server = shop.serving.address;
    assert_eq!(ask(&shop.till, &query).done(), first);
    {
        let sql = Connection::open(shop.provider.path("provider/provider.db")).unwrap();
        sql.execute_batch("PRAGMA user_version = 99").unwrap();
    }
    assert_eq!(shop.provider.refused(&["queries", "list"]), "OtherVersion");
}
