//! S30 to S34 with claims of the lab's card: pages, verdicts, permit, void.

use purser_provider_link::{BatchVoid, Claim, Item, LateRefund, Permit, Reason};
use serde_json::{Value, json};

use crate::called::Standing;
use crate::settling::{Shop, announced, check, claims, path, reason, send, void};
use crate::shop::{Customer, forged, seal, seal_at, yen};
use crate::support::{CARD, POINT};

/// Opens the token as the bank does. The bank's private key is 1 in this test, so the shared secret is the x of the ephemeral
/// point itself.
pub(crate) fn check_token(shop: &Shop, permit: &Permit) {
    use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
    use ring::hkdf::{HKDF_SHA256, Salt};
    let (point, sealed) = permit.sealed_token.split_at(65);
    let bank = hex::decode(POINT).unwrap();
    let secret = Salt::new(HKDF_SHA256, &[]).extract(&point[1..33]);
    let info = [&b"purser permit token 1"[..], point, &bank];
    let key = secret.expand(&info, &AES_256_GCM).unwrap();
    let key = LessSafeKey::new(UnboundKey::from(key));
    let mut token = sealed.to_vec();
    let nonce = Nonce::assume_unique_for_key([0; 12]);
    let token = key.open_in_place(nonce, Aad::empty(), &mut token).unwrap();
    let (told, signature) = token.split_at(83);
    shop.signed(&hex::encode(told).into(), &hex::encode(signature).into());
    let expected = [
        &b"PTKN\x01"[..],
        &permit.id.0,
        &permit.generation.to_be_bytes(),
        permit.account.digits(),
        permit.bank_terminal.as_bytes(),
        b"JPY",
        &permit.sum.total.minor().to_be_bytes(),
        &permit.expires_unix_seconds.to_be_bytes(),
    ];
    assert_eq!(told[..67], expected.concat());
}

#[test]
fn a_hot_listed_card_is_held_only_where_the_list_had_reached_the_till_before_the_sale() {
    let shop = Shop::new();
    let mut customer = Customer::new(CARD);
    shop.provider.done(&["hotlist", "add", CARD, "--reason", "lost"]);
    let list = shop.till.ask("GET", "/v1/hot-list", None).done();
    assert_eq!(list, json!({ "version": 1, "cards": [CARD] }));
    let told = |version, from| json!({ "version": version, "from_terminal_sn": from });
    let acknowledge = |body: &Value| shop.till.ask("POST", "/v1/hot-list/acknowledgement", Some(body));
    assert_eq!(acknowledge(&told(2, 3)).refusal(), "UnknownVersion");
    let never = acknowledge(&told(1, u32::MAX));
    assert_eq!(never.refusal(), "AcknowledgedAhead", "it would never be in force");
    let alarm = &shop.provider.done(&["alarms", "--limit", "1"])[0];
    assert_eq!(
        (&alarm["alarm"], &alarm["terminal"]),
        (&json!("AcknowledgedAhead"), &json!("till-1"))
    );
    acknowledge(&told(1, 3)).done();
    acknowledge(&told(1, 3)).done();
    // A till that did not hear the answer tells it again from where it stands then: the sale with SN 3 is refused all the same.
    acknowledge(&told(1, 4)).done();
    assert_eq!(
        acknowledge(&told(1, 2)).done(),
        told(1, 3),
        "the first word counts"
    );
    assert_eq!(acknowledge(&told(0, 4)).refusal(), "GoesBack");
    let items = claims(&[customer.pay(100, 1, 2), customer.pay(100, 1, 3)]);
    let batch = seal(1, "till-1", &items);
    let mut line = announced(&shop.till, 1, &batch);
    let verdicts = shop.verdicts(&send(&mut line, &batch, 0, &items).done());
    let reasons: Vec<_> = verdicts.iter().map(reason).collect();
    assert_eq!(reasons, [None, Some(Reason::HotListed)]);
    shop.provider.done(&["hotlist", "remove", CARD]);
    acknowledge(&told(2, 100_003)).done();
    shop.provider.done(&["hotlist", "add", CARD, "--reason", "lost"]);
    assert_eq!(acknowledge(&told(3, 100_004)).refusal(), "AcknowledgedAhead");
    let shown = shop
        .provider
        .done(&["claims", "list", "--batch", &batch.id.to_string()]);
    assert_eq!(
        (&shown[0]["decision"], &shown[1]["decision"]),
        (&json!("pay"), &json!("hold"))
    );
    assert_eq!(shown[1]["reason"], "HotListed");
    let shown = shop.provider.done(&["claims", "show", CARD, "000000000001", "3"]);
    assert_eq!(
        (&shown[0]["place"], &shown[0]["is_paid"]),
        (&json!(1), &json!(false))
    );
}

#[test]
fn a_card_that_the_list_of_the_sale_no_longer_names_is_paid_though_its_acknowledgement_is_lost() {
    let shop = Shop::new();
    let mut customer = Customer::new(CARD);
    shop.provider.done(&["hotlist", "add", CARD, "--reason", "lost"]);
    shop.till.ask("GET", "/v1/parameters", None).done();
    let told = json!({ "version": 1, "from_terminal_sn": 1 });
    shop.till
        .ask("POST", "/v1/hot-list/acknowledgement", Some(&told))
        .done();
    shop.provider.done(&["hotlist", "remove", CARD]);
    shop.till.ask("GET", "/v1/parameters", None).done();
    // By the newer parameters, by those that name the card, and by ones that never were.
    let mut sold = |terminal_sn, parameters_version| Claim {
        parameters_version,
        ..customer.pay(100, 1, terminal_sn)
    };
    let items = claims(&[sold(1, 2), sold(2, 1), sold(3, 99)]);
    let batch = seal(1, "till-1", &items);
    let mut line = announced(&shop.till, 1, &batch);
    let verdicts = shop.verdicts(&send(&mut line, &batch, 0, &items).done());
    let reasons: Vec<_> = verdicts.iter().map(reason).collect();
    let held = Some(Reason::HotListed);
    assert_eq!(reasons, [None, held, held]);
    // What comes late changes nothing of it.
    let told = json!({ "version": 2, "from_terminal_sn": 1 });
    shop.till
        .ask("POST", "/v1/hot-list/acknowledgement", Some(&told))
        .done();
    shop.provider.done(&["audit"]);
    let file = rusqlite::Connection::open(shop.provider.path("provider/provider.db")).unwrap();
    file.execute("DELETE FROM delivery WHERE version = 1", ())
        .unwrap();
    let found = String::from_utf8(shop.provider.run(&["audit"]).stdout).unwrap();
    assert!(found.contains("\"finding\":\"HotListed\""), "{found}");
}

#[test]
fn after_a_restore_a_till_is_reconciled_and_then_its_sales_from_before_and_after_are_paid_once() {
    let shop = Shop::new();
    let mut customer = Customer::new(CARD);
    let paid = customer.pay(100, 1, 1);
    let settle = |number: u8, generation: u32, sales: &[Claim]| {
        let items = claims(sales);
        let batch = seal_at(number, "till-1", generation, &items);
        let mut line = announced(&shop.till, number, &batch);
        let verdicts = shop.verdicts(&send(&mut line, &batch, 0, &items).done());
        shop.permit(&mut line, &batch);
        verdicts.iter().map(reason).collect::<Vec<_>>()
    };
    assert_eq!(settle(1, 0, std::slice::from_ref(&paid)), [None]);
    // Restored: a sale from before that is not settled, one that is, and one from after it.
    let before = customer.pay(100, 1, 2);
    let mut after = customer.pay(100, 1, 3);
    after.generation = 1;
    let sales = [paid, before, after];
    let early = settle(2, 0, &sales[2..]);
    assert_eq!(early, [Some(Reason::OtherGeneration)]);
    let batch = seal_at(3, "till-1", 1, &claims(&sales));
    let mut line = Standing::called(&shop.till, 3, "settlement", batch.digest());
    let body = json!({ "batch": hex::encode(batch.encode()) });
    let refused = line.ask("PUT", &path(&batch, ""), Some(&body));
    assert_eq!(refused.refusal(), "NotReconciled");
    drop(line);
    shop.provider
        .done(&["terminal", "reconcile", "till-1", "--generation", "1"]);
    assert_eq!(settle(4, 1, &sales), [Some(Reason::AlreadyPaid), None, None]);
    let old = seal_at(5, "till-1", 0, &claims(&sales));
    let mut line = Standing::called(&shop.till, 5, "settlement", old.digest());
    let body = json!({ "batch": hex::encode(old.encode()) });
    let refused = line.ask("PUT", &path(&old, ""), Some(&body));
    assert_eq!(refused.refusal(), "NotReconciled", "an old image of the machine");
    let told = refused.body.to_string();
    assert!(
        told.contains("--later-than") && told.contains("reconciled with 1"),
        "{told}"
    );
    let again = ["terminal", "reconcile", "till-1", "--generation", "1"];
    assert_eq!(shop.provider.refused(&again), "GenerationKnown", "restored twice");
    let back = ["terminal", "reconcile", "till-1", "--generation", "0"];
    assert_eq!(shop.provider.refused(&back), "GenerationGoesBack");
    assert_eq!(shop.provider.done(&["audit"])[0]["findings"], 0);
}

#[test]
fn a_batch_in_pages_gets_its_verdicts_and_one_permit_through_a_kill() {
    let mut shop = Shop::new();
    let mut customer = Customer::new(CARD);
    let sales: Vec<Claim> = (1..=5).map(|sn| customer.pay(100 * sn, 1, sn)).collect();
    let items = claims(&sales);
    let batch = seal(1, "till-1", &items);
    let mut line = announced(&shop.till, 1, &batch);
    let first = send(&mut line, &batch, 0, &items[..2]).done();
    assert_eq!(send(&mut line, &batch, 2, &items[4..]).refusal(), "PageSkipped");
    assert_eq!(
        line.ask("POST", &path(&batch, "/permit"), None).refusal(),
        "NotReceived"
    );
    drop(shop.serving);
    shop.serving = shop.provider.serve();
    shop.till.server = shop.serving.address;
    let mut line = announced(&shop.till, 2, &batch);
    let stands = line.ask("GET", &path(&batch, ""), None).done();
    assert_eq!(
        (&stands["received"], &stands["next_page"]),
        (&json!(2), &json!(1))
    );
    assert_eq!(
        send(&mut line, &batch, 0, &items[..2]).done(),
        first,
        "a repeat gets the first verdicts"
    );
    assert_eq!(send(&mut line, &batch, 0, &items[1..3]).refusal(), "PageChanged");
    let second = send(&mut line, &batch, 1, &items[2..4]).done();
    let third = send(&mut line, &batch, 2, &items[4..]).done();
    let verdicts = [first, second, third].map(|it| shop.verdicts(&it)).concat();
    let permit = shop.permit(&mut line, &batch);
    check(&permit, &batch, &verdicts);
    assert_eq!(permit.sum.total, yen(1_500));
    check_token(&shop, &permit);
    assert_eq!(shop.permit(&mut line, &batch), permit, "a batch has one permit");
    assert_eq!(void(&mut line, &batch).refusal(), "Permitted");
    let liability = &shop.provider.done(&["liability"])[0];
    assert_eq!(
        (&liability["permits"], &liability["unexplained"]),
        (&json!(1_500), &json!(1_500))
    );
    assert_eq!(liability["is_balanced"], true);
    let card = &shop.provider.done(&["card", "list"])[0];
    assert_eq!(
        (&card["spent"], &card["balance"]),
        (&json!(1_500), &json!(-1_500)),
        "spent and not known as loaded"
    );
}

#[test]
fn bad_claims_are_held_by_their_names_and_the_rest_of_the_batch_is_paid() {
    let shop = Shop::new();
    let mut customer = Customer::new(CARD);
    let good = customer.pay(300, 1, 1);
    let mut altered = customer.pay(300, 1, 2);
    altered.amount = yen(900);
    let sales = [
        (good.clone(), None),
        (altered, Some(Reason::Altered)),
        (forged(&customer.pay(300, 1, 3)), Some(Reason::Forged)),
        (customer.pay(100, 9, 1), Some(Reason::UnknownTerminalNumber)),
        (good, Some(Reason::TwiceInBatch)),
        (customer.pay(200, 1, 8), None),
    ];
    let items = claims(&sales.clone().map(|it| it.0));
    let batch = seal(1, "till-1", &items);
    let mut line = announced(&shop.till, 1, &batch);
    let verdicts = shop.verdicts(&send(&mut line, &batch, 0, &items).done());
    for (verdict, (claim, expected)) in verdicts.iter().zip(&sales) {
        assert_eq!(reason(verdict), *expected, "{claim:?}");
    }
    let permit = shop.permit(&mut line, &batch);
    check(&permit, &batch, &verdicts);
    assert_eq!(permit.sum.total, yen(500));
}

/// Uniqueness is charged when the permit commits: between verdict and permit another batch takes the claim.
#[test]
fn of_two_open_batches_with_one_claim_the_first_permit_takes_it_and_the_other_is_told() {
    let shop = Shop::new();
    let mut customer = Customer::new(CARD);
    let items = claims(&[customer.pay(300, 1, 1)]);
    let (first, second) = (seal(1, "till-1", &items), seal(2, "till-1", &items));
    let mut line = announced(&shop.till, 1, &first);
    assert_eq!(
        reason(&shop.verdicts(&send(&mut line, &first, 0, &items).done())[0]),
        None
    );
    drop(line);
    let mut line = announced(&shop.till, 2, &second);
    assert_eq!(
        reason(&shop.verdicts(&send(&mut line, &second, 0, &items).done())[0]),
        None
    );
    assert_eq!(shop.permit(&mut line, &second).sum.total, yen(300));
    drop(line);
    let mut line = announced(&shop.till, 3, &first);
    let permit = shop.permit(&mut line, &first);
    assert_eq!(permit.sum.total, yen(0));
    let last = shop.verdicts(&line.ask("GET", &path(&first, "/verdicts/0"), None).done());
    assert_eq!(
        (last[0].revision, reason(&last[0])),
        (1, Some(Reason::AlreadyPaid))
    );
    check(&permit, &first, &last);
}

#[test]
fn a_late_refund_is_netted_once_and_the_rest_is_carried_as_debt() {
    let shop = Shop::new();
    let mut customer = Customer::new(CARD);
    let mut partly = customer.pay(500, 1, 1);
    partly.refund_owed = yen(200);
    let paid = customer.pay(400, 1, 2);
    let items = claims(&[partly.clone(), paid.clone()]);
    let batch = seal(1, "till-1", &items);
    let mut line = announced(&shop.till, 1, &batch);
    send(&mut line, &batch, 0, &items).done();
    assert_eq!(shop.permit(&mut line, &batch).sum.total, yen(700));
    drop(line);
    let late = |claim: &Claim, amount| {
        Item::LateRefund(LateRefund {
            key: claim.key.clone(),
            claim: claim.digest(),
            amount: yen(amount),
        })
    };
    let sale = Item::Claim(customer.pay(100, 1, 3));
    let items = vec![
        late(&paid, 400),
        late(&paid, 400),
        late(&partly, 100),
        late(&paid, 401),
        sale,
    ];
    let batch = seal(2, "till-1", &items);
    let mut line = announced(&shop.till, 2, &batch);
    send(&mut line, &batch, 0, &items).done();
    let permit = shop.permit(&mut line, &batch);
    let verdicts = shop.verdicts(&line.ask("GET", &path(&batch, "/verdicts/0"), None).done());
    let reasons: Vec<_> = verdicts.iter().map(reason).collect();
    let before = Some(Reason::RefundedBefore);
    assert_eq!(
        reasons,
        [None, before, before, Some(Reason::RefundTooLarge), None]
    );
    check(&permit, &batch, &verdicts);
    assert_eq!((permit.sum.total, permit.sum.debt_after), (yen(0), yen(300)));
    drop(line);
    let items = claims(&[customer.pay(1_000, 1, 4)]);
    let batch = seal(3, "till-1", &items);
    let mut line = announced(&shop.till, 3, &batch);
    send(&mut line, &batch, 0, &items).done();
    assert_eq!(
        shop.permit(&mut line, &batch).sum.total,
        yen(700),
        "the debt is netted"
    );
}

#[test]
fn a_voided_batch_frees_its_claims_and_never_has_a_permit() {
    let shop = Shop::new();
    let mut customer = Customer::new(CARD);
    let items = claims(&[customer.pay(300, 1, 1)]);
    let batch = seal(1, "till-1", &items);
    let mut line = announced(&shop.till, 1, &batch);
    send(&mut line, &batch, 0, &items).done();
    let told = void(&mut line, &batch).done();
    let document = BatchVoid::decode(&shop.signed(&told["void"], &told["signature"])).unwrap();
    assert_eq!(document.batch, batch.digest());
    assert_eq!(void(&mut line, &batch).done(), told, "a repeat is the same");
    assert_eq!(
        line.ask("POST", &path(&batch, "/permit"), None).refusal(),
        "Voided"
    );
    drop(line);
    let batch = seal(2, "till-1", &items);
    let mut line = announced(&shop.till, 2, &batch);
    send(&mut line, &batch, 0, &items).done();
    assert_eq!(shop.permit(&mut line, &batch).sum.total, yen(300));
}
