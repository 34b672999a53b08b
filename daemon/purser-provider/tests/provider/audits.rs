//! `audit`: silent on a clean history, and loud about everything that is planted.

use purser_provider_link::{Claim, Item, LateRefund};
use rusqlite::Connection;
use serde_json::json;

use crate::called::Standing;
use crate::card::Inserted;
use crate::client::Identity;
use crate::loads::{DESK, attempt, confirm, load_id, open, subject};
use crate::queries;
use crate::settling::{announced, claims, path, send};
use crate::shop::{Customer, forged, seal, yen};
use crate::support::{CARD, Provider};

/// A provider with one of everything: loads that are done, in doubt, void and open, and batches that are permitted, void and half
/// received, with a refund, a late refund, a forgery and a debt.
fn history() -> Provider {
    let provider = Provider::furnished();
    let desk = provider.done(&["terminal", "add", "desk", "--role", "provider", "--standing-link"]);
    let code = provider.till("till-1", "000000000001");
    let serving = provider.serve();
    let mut till = Identity::new(&provider.authority(), serving.address);
    till.enrol(&code);
    let mut terminal = Identity::new(&provider.authority(), serving.address);
    terminal.enrol(desk[0]["enrolment_code"].as_str().unwrap());
    loads(&provider, &terminal);
    batches(&till);
    queries(&provider, &till);
    issued_again(&provider);
    provider
}

/// The permit of the first batch, after the bank's word.
fn issued_again(provider: &Provider) {
    let permits = provider.done(&["permit", "list"]);
    let permit = permits.last().unwrap()["permit"].as_str().unwrap();
    provider.done(&["permit", "revoke", permit]);
    let answered = ["permit", "answered", permit, "--generation", "1"];
    let word = ["--word", "unusable", "--reference", "B 17"];
    provider.done(&[&answered[..], &word].concat());
    provider.done(&["permit", "reissue", permit]);
    provider.done(&["parameters", "show"]);
    provider.done(&["parameters", "set", "--software-sam", "allow"]);
}

fn loads(provider: &Provider, terminal: &Identity) {
    let mut card = Inserted::new();
    for load in 1..=4 {
        open(provider, load, "1000");
    }
    let mut line = Standing::called(terminal, 1, "load", subject(1, 1_000));
    let released = attempt(&mut line, 1, 1, &card.initialize(1_000, DESK)).done();
    confirm(&mut line, 1, &card.credit(&released)).done();
    drop(line);
    card.insert();
    let mut line = Standing::called(terminal, 2, "load", subject(2, 1_000));
    attempt(&mut line, 2, 1, &card.initialize(1_000, DESK)).done();
    let void = format!("/v1/loads/{}/void", load_id(2));
    let begun = line.ask("POST", &void, None).done();
    let proof = card.initialize(1_000, begun["void_challenge"].as_str().unwrap());
    line.ask("PUT", &void, Some(&proof)).done();
    drop(line);
    let mut line = Standing::called(terminal, 3, "load", subject(3, 1_000));
    attempt(&mut line, 3, 1, &card.initialize(1_000, DESK)).done();
}

fn batches(till: &Identity) {
    let mut customer = Customer::new(CARD);
    let settle = |number: u8, items: &[Item], end: &str| {
        let batch = seal(number, "till-1", items);
        let mut line = announced(till, number, &batch);
        if end.is_empty() {
            send(&mut line, &batch, 0, &items[..1]).done();
        } else {
            send(&mut line, &batch, 0, items).done();
            let document = json!({ "batch": hex::encode(batch.encode()) });
            let body = (end == "/void").then_some(&document);
            line.ask("POST", &path(&batch, end), body).done();
        }
    };
    let mut partly = customer.pay(500, 1, 1);
    partly.refund_owed = yen(200);
    let paid: Claim = customer.pay(400, 1, 2);
    let items = claims(&[partly, paid.clone(), forged(&customer.pay(90, 1, 3))]);
    settle(1, &items, "/permit");
    let late = Item::LateRefund(LateRefund {
        key: paid.key.clone(),
        claim: paid.digest(),
        amount: yen(400),
    });
    settle(2, &[late, Item::Claim(customer.pay(100, 1, 4))], "/permit");
    let open = claims(&[customer.pay(10, 1, 5), customer.pay(20, 1, 6)]);
    settle(3, &open, "/void");
    settle(4, &open, "");
}

/// Queries with each kind of answer, and a claim that is paid by one.
fn queries(provider: &Provider, till: &Identity) {
    let mut customer = Customer::new(CARD);
    let sale = |customer: &mut Customer, sn| {
        let mut claim = customer.pay(50, 1, sn);
        claim.operation = purser_ledger::OperationId::new([u8::try_from(sn).unwrap(); 16]);
        claim
    };
    let proven = sale(&mut customer, 50);
    queries::ask(till, &queries::query(&proven, true)).done();
    let forged = queries::spoiled(&sale(&mut customer, 51), 1);
    assert_eq!(queries::ask(till, &forged).refusal(), "Forged");
    let decided = sale(&mut customer, 52);
    let query = queries::query(&decided, false);
    queries::ask(till, &query).done();
    let operation = query.operation.to_string();
    provider.done(&["queries", "answer", &operation, "--happened", "--why", "seen"]);
    queries::ask(till, &queries::query(&sale(&mut customer, 53), false)).done();
    let other = sale(&mut customer, 54);
    let items = claims(&[queries::without_proof(&decided), other.clone()]);
    let batch = seal(5, "till-1", &items);
    let mut line = announced(till, 5, &batch);
    send(&mut line, &batch, 0, &items).done();
    line.ask("POST", &path(&batch, "/permit"), None).done();
    queries::ask(till, &queries::query(&other, false)).done();
    queries::ask(till, &queries::torn(&other, 1, 55, 50)).done();
}

/// What is planted, and the finding that names it.
const PLANTED: &[(&str, &str)] = &[
    (
        "UPDATE merchant SET account = '000200220000002'",
        "MerchantAccount",
    ),
    (
        "UPDATE terminal SET pinned_account = '000100119999999' WHERE name = 'till-1'",
        "PinnedAccount",
    ),
    ("UPDATE bank SET account = '000100119999999'", "PinnedAccount"),
    (
        "UPDATE certificate SET fingerprint = zeroblob(32) WHERE terminal = 'desk'",
        "Certificate",
    ),
    (
        "UPDATE certificate SET public_key = zeroblob(65) WHERE terminal = 'desk'",
        "Certificate",
    ),
    ("UPDATE key_version SET check_values = zeroblob(9)", "KeyVersion"),
    ("UPDATE card SET loaded = loaded + 1", "ShadowAccount"),
    ("UPDATE card SET spent = 0", "ShadowAccount"),
    ("UPDATE card SET currency = 'EUR'", "PaidUnproven"),
    ("DELETE FROM card", "Reference"),
    ("UPDATE load SET minor = 2000 WHERE phase = 'done'", "LoadAttempt"),
    ("UPDATE load SET minor = 2000 WHERE phase = 'done'", "Books"),
    (
        "UPDATE load SET phase = 'done' WHERE phase = 'released'",
        "LoadPhase",
    ),
    ("UPDATE load SET phase = 'open' WHERE phase = 'done'", "LoadPhase"),
    (
        "UPDATE load SET phase = 'voided' WHERE phase = 'released'",
        "LoadPhase",
    ),
    (
        "UPDATE load SET phase = 'released' WHERE phase = 'open'",
        "LoadPhase",
    ),
    (
        "UPDATE load SET tac = zeroblob(4) WHERE phase = 'done'",
        "LoadPhase",
    ),
    (
        "UPDATE load SET void_proof = zeroblob(36) WHERE phase = 'voided'",
        "LoadPhase",
    ),
    // A genuine answer of the card, to another challenge than the void's, or for another amount.
    (
        "UPDATE load SET void_proof = (SELECT initialize FROM load_attempt WHERE load = id) WHERE phase = 'voided' AND void_proof IS NOT NULL",
        "LoadPhase",
    ),
    (
        "UPDATE load SET void_challenge = NULL WHERE phase = 'voided' AND void_proof IS NOT NULL",
        "LoadPhase",
    ),
    ("DELETE FROM load WHERE phase = 'done'", "Reference"),
    ("DELETE FROM load_attempt", "LoadPhase"),
    (
        "UPDATE load_attempt SET mac2 = zeroblob(4) WHERE rowid = 1",
        "LoadMac2",
    ),
    (
        "UPDATE load_attempt SET online_sn = 9 WHERE rowid = 1",
        "LoadAttempt",
    ),
    (
        "UPDATE load_attempt SET content = zeroblob(32) WHERE rowid = 1",
        "LoadAttempt",
    ),
    (
        "UPDATE load_attempt SET date_time = zeroblob(7) WHERE rowid = 1",
        "LoadMac2",
    ),
    (
        "UPDATE load_attempt SET initialize = zeroblob(35)",
        "LoadEvidence",
    ),
    (
        "UPDATE load_attempt SET initialize = zeroblob(36) WHERE rowid = 1",
        "LoadMac1",
    ),
    (
        "UPDATE batch SET document = zeroblob(9) WHERE number = 1",
        "BatchDocument",
    ),
    (
        "UPDATE batch SET digest = zeroblob(32) WHERE number = 1",
        "BatchDocument",
    ),
    (
        "UPDATE batch SET terminal = 'desk' WHERE number = 1",
        "BatchDocument",
    ),
    (
        "UPDATE batch SET phase = 'received', permit = NULL WHERE number = 1",
        "Permit",
    ),
    ("UPDATE batch SET received = 1 WHERE number = 1", "BatchPhase"),
    (
        "UPDATE batch SET void_signature = zeroblob(70) WHERE phase = 'voided'",
        "BatchPhase",
    ),
    (
        "UPDATE batch SET phase = 'receiving', void_document = NULL, void_signature = NULL WHERE number = 3",
        "BatchPhase",
    ),
    ("DELETE FROM item WHERE batch = 1 AND place = 1", "BatchPhase"),
    (
        "UPDATE item SET document = zeroblob(99) WHERE batch = 1 AND place = 0",
        "Item",
    ),
    (
        "UPDATE item SET key = zeroblob(20) WHERE batch = 1 AND place = 0",
        "Item",
    ),
    (
        "UPDATE item SET evidence = zeroblob(32) WHERE batch = 1 AND place = 0",
        "Item",
    ),
    (
        "UPDATE item SET signature = zeroblob(70) WHERE batch = 1 AND place = 0",
        "Verdict",
    ),
    (
        "UPDATE item SET verdict = (SELECT verdict FROM item WHERE batch = 1 AND place = 1) WHERE batch = 1 AND place = 0",
        "Verdict",
    ),
    ("UPDATE page SET content = zeroblob(32) WHERE batch = 1", "Page"),
    ("DELETE FROM page WHERE batch = 4", "Page"),
    ("UPDATE batch SET pages = 2 WHERE number = 1", "BatchCounts"),
    (
        "UPDATE batch SET items = zeroblob(32) WHERE number = 4",
        "BatchCounts",
    ),
    (
        "UPDATE batch SET claimed = claimed + 1 WHERE number = 4",
        "BatchCounts",
    ),
    ("UPDATE batch SET refunds = 1 WHERE number = 3", "BatchCounts"),
    ("DELETE FROM forged", "Forged"),
    ("UPDATE forged SET terminal = 'desk'", "Forged"),
    ("UPDATE forged SET key_version = NULL", "Forged"),
    (
        "INSERT INTO forged (key, terminal, key_version) SELECT key, 'till-1', 1 FROM item WHERE batch = 4",
        "Forged",
    ),
    ("UPDATE charge SET refunded = 50 WHERE minor = 100", "Refunds"),
    ("DELETE FROM charge WHERE minor = 500", "Charge"),
    ("UPDATE charge SET minor = 501 WHERE minor = 500", "Charge"),
    ("UPDATE charge SET refunded = 0 WHERE minor = 500", "Charge"),
    ("UPDATE charge SET refunded = 0 WHERE minor = 400", "Refund"),
    (
        "INSERT INTO charge SELECT zeroblob(20), claim, evidence, batch, place, currency, 7, 0 FROM charge LIMIT 1",
        "Charges",
    ),
    (
        "UPDATE permit SET signature = zeroblob(70) WHERE rowid = 1",
        "Permit",
    ),
    (
        "UPDATE permit SET document = (SELECT document FROM permit WHERE rowid = 2) WHERE rowid = 1",
        "Permit",
    ),
    ("DELETE FROM permit WHERE rowid = 1", "Permit"),
    ("UPDATE permit SET generation = 3 WHERE rowid = 1", "Permit"),
    ("DELETE FROM parameters WHERE version = 1", "Parameters"),
    (
        "UPDATE parameters SET signature = zeroblob(70) WHERE version = 2",
        "Parameters",
    ),
    (
        "UPDATE parameters SET document = (SELECT document FROM parameters WHERE version = 1), signature = (SELECT signature FROM parameters WHERE version = 1)",
        "Parameters",
    ),
    ("DELETE FROM bank_word", "PermitStanding"),
    ("UPDATE bank_word SET word = 'paid'", "PermitStanding"),
    (
        "UPDATE permit SET phase = 'live' WHERE phase = 'revoked'",
        "PermitStanding",
    ),
    (
        "UPDATE permit SET phase = 'redeemed' WHERE phase = 'live'",
        "PermitStanding",
    ),
    (
        "UPDATE permit SET phase = 'revoked' WHERE phase = 'live'",
        "PermitStanding",
    ),
    (
        "UPDATE terminal SET bank_terminal = 'KIOSK009' WHERE name = 'till-1'",
        "Permit",
    ),
    ("UPDATE merchant_debt SET minor = 0", "Debt"),
    (
        "UPDATE books SET minor = minor + 1 WHERE account = 'issued'",
        "Books",
    ),
    ("DELETE FROM books WHERE account = 'permits'", "Books"),
    ("INSERT INTO books VALUES ('EUR', 'issued', 5)", "Books"),
    ("UPDATE query SET minor = 51 WHERE operation = x'32323232323232323232323232323232'", "Query"),
    ("UPDATE query SET terminal = 'desk' WHERE answer IS NOT NULL", "Query"),
    (
        "UPDATE query SET document = CAST(substr(document, 1, 60) || x'FF' || substr(document, 62) AS BLOB)
         WHERE operation = x'32323232323232323232323232323232'",
        "QueryAnswer",
    ),
    ("UPDATE query SET signature = zeroblob(70) WHERE why IS NOT NULL", "QueryAnswer"),
    (
        "UPDATE query SET answer = (SELECT answer FROM query WHERE why IS NOT NULL),
                          signature = (SELECT signature FROM query WHERE why IS NOT NULL), answered_at = 1 WHERE answer IS NULL",
        "QueryAnswer",
    ),
    ("UPDATE query SET why = NULL", "QueryProof"),
    ("UPDATE query SET why = 'so' WHERE operation = x'32323232323232323232323232323232'", "QueryProof"),
    // The answers by a claim and by another debit have lost their proof.
    ("DELETE FROM item WHERE key = (SELECT max(key) FROM item)", "QueryProof"),
    // The claim that is paid by the operator's word has lost it.
    (
        "UPDATE query SET answer = NULL, signature = NULL, answered_at = NULL, why = NULL WHERE why IS NOT NULL",
        "PaidUnproven",
    ),
    // The query of a forged debit looks as if it had asked nothing bad.
    (
        "UPDATE query SET document = CAST(substr(document, 1, 121) || x'00' AS BLOB)
         WHERE operation = x'33333333333333333333333333333333'",
        "Forged",
    ),
];

#[test]
fn a_clean_history_is_silent_and_each_planted_corruption_is_found_by_its_name() {
    let provider = history();
    assert_eq!(provider.done(&["audit"]), [json!({ "findings": 0 })]);
    let file = provider.path("provider/provider.db");
    let open = || Connection::open(&file).unwrap();
    // Everything into the one file, so that a copy of it is whole.
    open()
        .query_row("PRAGMA wal_checkpoint(TRUNCATE)", (), |_| Ok(()))
        .unwrap();
    let clean = std::fs::read(&file).unwrap();
    let mut missed = Vec::new();
    for (planted, expected) in PLANTED {
        {
            let sql = open();
            sql.execute_batch("PRAGMA foreign_keys = OFF; PRAGMA ignore_check_constraints = ON")
                .unwrap();
            let changed = sql.execute(planted, ());
            assert!(matches!(changed, Ok(1..)), "{planted}: {changed:?}");
            sql.query_row("PRAGMA wal_checkpoint(TRUNCATE)", (), |_| Ok(()))
                .unwrap();
        }
        let output = provider.run(&["audit"]);
        let told = String::from_utf8(output.stdout).unwrap();
        if output.status.code() != Some(1) || !told.contains(&format!("\"finding\":\"{expected}\"")) {
            missed.push(format!("{planted}: {expected} is not in {told}"));
        }
        for suffix in ["-wal", "-shm"] {
            let _ = std::fs::remove_file(provider.path(&format!("provider/provider.db{suffix}")));
        }
        std::fs::write(&file, &clean).unwrap();
    }
    assert!(missed.is_empty(), "{}", missed.join("\n"));
    assert!(PLANTED.len() >= 40);
    assert_eq!(
        provider.done(&["audit"]),
        [json!({ "findings": 0 })],
        "the original again"
    );
}

/// The server is killed while it works on a page, and on a permit, ever later. After each kill the data base agrees with its
/// evidence, and in the end everything is there once.
#[test]
fn a_kill_in_the_middle_of_a_page_or_a_permit_leaves_all_of_it_or_nothing() {
    let provider = Provider::furnished();
    let code = provider.till("till-1", "000000000001");
    let mut serving = provider.serve();
    let mut till = Identity::new(&provider.authority(), serving.address);
    till.enrol(&code);
    let mut customer = Customer::new(CARD);
    let sales: Vec<Claim> = (1..=400).map(|sn| customer.pay(1, 1, sn)).collect();
    let items = claims(&sales);
    let batch = seal(1, "till-1", &items);
    let hex: Vec<String> = items.iter().map(|it| hex::encode(it.encode())).collect();
    let page = json!({ "items": hex }).to_string();
    let steps = [("PUT", "/pages/0", page.as_str()), ("POST", "/permit", "")];
    let (mut request, mut phases) = (0, Vec::new());
    for (method, rest, body) in steps {
        for milliseconds in [2, 20, 60, 120, 240] {
            request += 1;
            let mut line = announced(&till, request, &batch);
            line.send(method, &path(&batch, rest), body);
            // Not waited for: this is how far the server gets.
            std::thread::sleep(std::time::Duration::from_millis(milliseconds));
            drop(serving);
            assert_eq!(
                provider.done(&["audit"]),
                [json!({ "findings": 0 })],
                "{rest} {milliseconds}"
            );
            serving = provider.serve();
            till.server = serving.address;
        }
        request += 1;
        let mut line = announced(&till, request, &batch);
        line.send(method, &path(&batch, rest), body);
        assert_eq!(line.answer(method, &path(&batch, rest)).status, 200);
        phases.push(line.ask("GET", &path(&batch, ""), None).done()["phase"].clone());
    }
    assert_eq!(phases, ["received", "permitted"]);
    let liability = &provider.done(&["liability"])[0];
    assert_eq!(
        (&liability["permits"], &liability["is_balanced"]),
        (&json!(400), &json!(true))
    );
    assert_eq!(provider.done(&["audit"]), [json!({ "findings": 0 })]);
}
