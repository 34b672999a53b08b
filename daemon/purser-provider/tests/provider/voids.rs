//! Batches that never came, and those of a terminal that is no more: none is stuck (money rule B3).

use purser_provider_link::{Batch, BatchVoid, Claim, Digest, VoidReason};
use serde_json::{Value, json};

use crate::called::{Standing, ask, request};
use crate::settling::{Shop, announced, claims, path, send, void};
use crate::shop::{Customer, seal, seal_at, yen};
use crate::support::CARD;

fn called(shop: &Shop, number: u8, batch: &Batch) -> crate::client::TlsLine {
    Standing::called(&shop.till, number, "settlement", batch.digest())
}

fn document(batch: &Batch) -> Value {
    json!({ "batch": hex::encode(batch.encode()) })
}

/// The void that the provider has signed, of exactly this batch.
fn reason(shop: &Shop, told: &Value, batch: &Batch) -> VoidReason {
    let void = BatchVoid::decode(&shop.signed(&told["void"], &told["signature"])).unwrap();
    assert_eq!((void.batch_id, void.batch), (batch.id, batch.digest()));
    void.reason
}

fn pays(shop: &Shop, number: u8, batch: &Batch, claim: &Claim) {
    let mut line = announced(&shop.till, number, batch);
    send(&mut line, batch, 0, &claims(std::slice::from_ref(claim))).done();
    assert_eq!(shop.permit(&mut line, batch).sum.total, yen(300), "paid once");
    drop(line);
    assert_eq!(shop.provider.done(&["audit"])[0]["findings"], 0);
}

#[test]
fn a_batch_that_never_came_is_voided_and_never_taken_and_its_claims_are_paid_in_another() {
    let shop = Shop::new();
    let claim = Customer::new(CARD).pay(300, 1, 1);
    let items = claims(std::slice::from_ref(&claim));
    let (lost, next) = (seal(1, "till-1", &items), seal(2, "till-1", &items));
    let thief = shop.till_of("kiosk", 2);
    let mut theirs = Standing::called(&thief, 1, "settlement", lost.digest());
    assert_eq!(void(&mut theirs, &lost).refusal(), "OtherTerminal");
    drop(theirs);
    let mut line = called(&shop, 1, &lost);
    let told = void(&mut line, &lost).done();
    assert_eq!(reason(&shop, &told, &lost), VoidReason::AskedByTerminal);
    assert_eq!(void(&mut line, &lost).done(), told, "a repeat is the same");
    let stands = line.ask("PUT", &path(&lost, ""), Some(&document(&lost))).done();
    assert_eq!(stands["phase"], "voided", "too late");
    assert_eq!(send(&mut line, &lost, 0, &items).refusal(), "Voided");
    drop(line);
    let mut other = lost.clone();
    other.claimed = yen(301);
    let mut line = called(&shop, 2, &other);
    let refused = line.ask("PUT", &path(&other, ""), Some(&document(&other)));
    assert_eq!(refused.refusal(), "OtherContent");
    let told = void(&mut line, &other).done();
    assert_eq!(reason(&shop, &told, &other), VoidReason::OtherDigest);
    drop(line);
    pays(&shop, 3, &next, &claim);
}

#[test]
fn a_batch_of_an_older_generation_is_voided_and_its_claims_are_paid_in_one_of_the_new() {
    let shop = Shop::new();
    let claim = Customer::new(CARD).pay(300, 1, 1);
    let items = claims(std::slice::from_ref(&claim));
    let old = seal_at(1, "till-1", 0, &items);
    let reconcile = ["terminal", "reconcile", "till-1", "--generation", "1"];
    shop.provider.done(&reconcile);
    let mut line = called(&shop, 1, &old);
    let refused = line.ask("PUT", &path(&old, ""), Some(&document(&old)));
    assert_eq!(refused.refusal(), "NotReconciled");
    let told = void(&mut line, &old).done();
    assert_eq!(reason(&shop, &told, &old), VoidReason::NotReconciled);
    drop(line);
    pays(&shop, 2, &seal_at(2, "till-1", 1, &items), &claim);
}

#[test]
fn a_revoked_terminal_has_the_end_of_what_it_sealed_and_nothing_else() {
    let shop = Shop::new();
    let mut customer = Customer::new(CARD);
    let (paid, claim) = (customer.pay(300, 1, 1), customer.pay(300, 1, 2));
    let permitted = seal(1, "till-1", &claims(std::slice::from_ref(&paid)));
    pays(&shop, 1, &permitted, &paid);
    let items = claims(std::slice::from_ref(&claim));
    let (whole, unseen) = (seal(2, "till-1", &items), seal(3, "till-1", &items));
    let mut line = announced(&shop.till, 2, &whole);
    send(&mut line, &whole, 0, &items).done();
    shop.provider.done(&["terminal", "revoke", "till-1"]);
    // On the leg that is open, too.
    let permit = line.ask("POST", &path(&whole, "/permit"), None);
    assert_eq!(permit.refusal(), "Revoked");
    drop(line);
    let mut line = announced(&shop.till, 3, &permitted);
    let permit = shop.permit(&mut line, &permitted);
    assert_eq!(permit.sum.total, yen(300), "the permit that there is");
    line.ask("GET", &path(&permitted, "/verdicts/0"), None).done();
    drop(line);
    for (number, batch) in [(4, &whole), (5, &unseen)] {
        let mut line = called(&shop, number, batch);
        let stands = line.ask("PUT", &path(batch, ""), Some(&document(batch))).done();
        assert_eq!(stands["phase"], "voided", "nothing is taken");
        let told = void(&mut line, batch).done();
        assert_eq!(reason(&shop, &told, batch), VoidReason::TerminalRevoked);
        let permit = line.ask("POST", &path(batch, "/permit"), None);
        assert_eq!(permit.refusal(), "Voided");
    }
    let load = ask(&shop.till, &request(6, "load", Digest([1; 32])));
    assert_eq!(load.refusal(), "Revoked");
    assert_eq!(shop.till.ask("GET", "/v1/hot-list", None).refusal(), "Revoked");
    assert_eq!(shop.provider.done(&["audit"])[0]["findings"], 0);
}
