//! Claims that no card made, and what is done about who brings them (money rule T3).

use purser_provider_link::{BatchVoid, Claim, Reason, VoidReason};
use serde_json::json;

use crate::client::Identity;
use crate::settling::{Shop, announced, claims, path, reason, send, void};
use crate::shop::{Customer, forged, seal, yen};
use crate::support::CARD;

#[test]
fn a_forged_debit_is_not_tried_with_other_evidence_and_many_forgeries_suspend_the_terminal() {
    let shop = Shop::new();
    let mut customer = Customer::new(CARD);
    let good: Vec<Claim> = (1..=10).map(|sn| customer.pay(10, 1, sn)).collect();
    let bad: Vec<Claim> = good.iter().map(forged).collect();
    let items = claims(&bad[..1]);
    let batch = seal(1, "till-1", &items);
    let mut line = announced(&shop.till, 1, &batch);
    send(&mut line, &batch, 0, &items).done();
    drop(line);
    let items = claims(&good[..1]);
    let batch = seal(2, "till-1", &items);
    let mut line = announced(&shop.till, 2, &batch);
    let verdicts = shop.verdicts(&send(&mut line, &batch, 0, &items).done());
    assert_eq!(reason(&verdicts[0]), Some(Reason::ForgedBefore), "no oracle (T3)");
    drop(line);
    let after = customer.pay(10, 1, 11);
    let items = claims(&[&bad[1..], &[after]].concat());
    let batch = seal(3, "till-1", &items);
    let mut line = announced(&shop.till, 3, &batch);
    let verdicts = shop.verdicts(&send(&mut line, &batch, 0, &items).done());
    let last = verdicts.last().and_then(reason);
    assert_eq!(last, Some(Reason::TerminalSuspended), "it was not looked at");
    assert_eq!(
        line.ask("POST", &path(&batch, "/permit"), None).refusal(),
        "Suspended"
    );
    let alarms = shop.provider.done(&["alarms", "--limit", "1"]);
    assert_eq!(
        (&alarms[0]["alarm"], &alarms[0]["terminal"]),
        (&json!("TerminalSuspended"), &json!("till-1"))
    );
}

/// A right guess moved the highest number that a card has proven, and with it which hot list the provider takes for in force.
#[test]
fn nothing_that_a_terminal_sees_tells_it_that_a_guess_behind_a_forgery_was_right() {
    let shop = Shop::new();
    let good = Customer::new(CARD).pay(10, 1, 150_000);
    for (n, claim, told) in [
        (1, forged(&good), Reason::Forged),
        (2, good, Reason::ForgedBefore),
    ] {
        let items = claims(&[claim]);
        let batch = seal(n, "till-1", &items);
        let mut line = announced(&shop.till, n, &batch);
        let verdicts = shop.verdicts(&send(&mut line, &batch, 0, &items).done());
        assert_eq!(reason(&verdicts[0]), Some(told));
    }
    let data_base = shop.provider.path("provider/provider.db");
    let sql = rusqlite::Connection::open(data_base).unwrap();
    let query = "SELECT highest_sn FROM terminal WHERE name = 'till-1'";
    let proven: Option<u32> = sql.query_row(query, (), |row| row.get(0)).unwrap();
    assert_eq!(proven, None, "no card has proven anything");
}

/// A person frees one try at a time; it is no way to guess on.
#[test]
fn an_upheld_debit_is_judged_once_more_and_another_forgery_ends_that() {
    let shop = Shop::new();
    let mut customer = Customer::new(CARD);
    let good = customer.pay(300, 1, 1);
    let settle = |n: u8, claim: &Claim| {
        let items = claims(std::slice::from_ref(claim));
        let batch = seal(n, "till-1", &items);
        let mut line = announced(&shop.till, n, &batch);
        let verdicts = shop.verdicts(&send(&mut line, &batch, 0, &items).done());
        let total = shop.permit(&mut line, &batch).sum.total;
        (reason(&verdicts[0]), total)
    };
    let (card, number) = (
        hex::encode(good.key.card.serial()),
        hex::encode(good.key.terminal_number),
    );
    let debit = ["claims", "uphold", &card, &number, "1", "--why"];
    let uphold = |why: &'static str| [&debit[..], &[why]].concat();
    assert_eq!(shop.provider.refused(&uphold("nothing was wrong")), "NotForged");
    assert_eq!(settle(1, &forged(&good)), (Some(Reason::Forged), yen(0)));
    assert_eq!(settle(2, &good), (Some(Reason::ForgedBefore), yen(0)));
    assert_eq!(shop.provider.refused(&uphold(" ")), "Why");
    shop.provider.done(&uphold("the reader was faulty"));
    shop.provider.done(&uphold("said twice"));
    let shown = shop.provider.done(&["claims", "show", &card, &number, "1"]);
    assert!(
        shown.iter().all(|it| it["upheld"] == "the reader was faulty"),
        "{shown:?}"
    );
    assert_eq!(
        settle(3, &forged(&good)),
        (Some(Reason::Forged), yen(0)),
        "judged, and found forged"
    );
    assert_eq!(
        settle(4, &good),
        (Some(Reason::ForgedBefore), yen(0)),
        "one try was given"
    );
    shop.provider.done(&uphold("the reader was changed"));
    assert_eq!(settle(5, &good), (None, yen(300)));
    assert_eq!(settle(6, &good), (Some(Reason::AlreadyPaid), yen(0)), "paid once");
    let alarms = shop.provider.done(&["alarms"]);
    assert!(
        alarms.iter().any(|it| it["alarm"] == "ForgedUpheld"),
        "{alarms:?}"
    );
    assert_eq!(shop.provider.done(&["audit"])[0]["findings"], 0);
}

/// A TAC has four bytes. Each guess would need a claim; a claim's own key is refused after the first one, so the guesses come
/// under other keys.
#[test]
fn the_tac_of_one_debit_is_not_found_by_claims_of_others() {
    let shop = Shop::new();
    let mut customer = Customer::new(CARD);
    let good = customer.pay(10, 1, 1);
    let relabelled = |claim: &Claim, terminal_sn: u32| {
        let mut claim = claim.clone();
        claim.key.terminal_sn = terminal_sn;
        claim
    };
    let items = claims(&[relabelled(&forged(&good), 2), relabelled(&good, 3), good.clone()]);
    let batch = seal(1, "till-1", &items);
    let mut line = announced(&shop.till, 1, &batch);
    let verdicts = shop.verdicts(&send(&mut line, &batch, 0, &items).done());
    let reasons: Vec<_> = verdicts.iter().map(reason).collect();
    let altered = Some(Reason::Altered);
    assert_eq!(
        reasons,
        [altered, altered, None],
        "a wrong guess looks like a right one"
    );
}

/// The terminal cannot ask for the void itself, and its batch must not be stuck (money rule B3).
#[test]
fn an_operator_voids_the_batch_of_a_suspended_terminal_and_no_other() {
    let shop = Shop::new();
    let mut customer = Customer::new(CARD);
    let items = claims(&[customer.pay(300, 1, 1)]);
    let (first, second) = (seal(1, "till-1", &items), seal(2, "till-1", &items));
    let mut line = announced(&shop.till, 1, &first);
    send(&mut line, &first, 0, &items).done();
    drop(line);
    let refused = |id: &str| shop.provider.refused(&["batch", "void", id]);
    let id = first.id.to_string();
    assert_eq!(refused(&id), "NotSuspended");
    assert_eq!(refused(&"00".repeat(16)), "UnknownBatch");
    shop.provider.done(&["terminal", "suspend", "till-1"]);
    for _ in 0..2 {
        let told = shop.provider.done(&["batch", "void", &id]);
        assert_eq!(told[0]["phase"], "voided", "a repeat is the same");
    }
    shop.provider.done(&["terminal", "resume", "till-1"]);
    let mut line = announced(&shop.till, 2, &first);
    assert_eq!(
        line.ask("POST", &path(&first, "/permit"), None).refusal(),
        "Voided"
    );
    let told = void(&mut line, &first).done();
    let document = BatchVoid::decode(&shop.signed(&told["void"], &told["signature"])).unwrap();
    assert_eq!(
        (document.batch, document.reason),
        (first.digest(), VoidReason::TerminalSuspended)
    );
    drop(line);
    let mut line = announced(&shop.till, 3, &second);
    send(&mut line, &second, 0, &items).done();
    assert_eq!(shop.permit(&mut line, &second).sum.total, yen(300), "paid once");
    shop.provider.done(&["terminal", "suspend", "till-1"]);
    assert_eq!(refused(&second.id.to_string()), "Permitted");
    let phases = shop.provider.done(&["batch", "list"]);
    let phases: Vec<_> = phases.iter().map(|it| it["phase"].clone()).collect();
    assert_eq!(phases, ["permitted", "voided"]);
    assert_eq!(shop.provider.done(&["audit"])[0]["findings"], 0);
}

/// A merchant's tills are suspended one by one, and all other shops go on.
#[test]
fn one_merchant_alone_blocks_no_key_version_and_a_person_ends_a_block() {
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
    let mut customer = Customer::new(CARD);
    let mut attack = |merchant: &str, terminal: u8| {
        let name = format!("bad-{terminal}");
        let code = provider.till_of(merchant, &name, &format!("{terminal:012x}"));
        let mut till = Identity::new(&provider.authority(), shop.serving.address);
        till.enrol(&code);
        let bad: Vec<Claim> = (1..=10)
            .map(|sn| forged(&customer.pay(1, terminal, sn)))
            .collect();
        let items = claims(&bad);
        let batch = seal(terminal, &name, &items);
        let mut line = announced(&till, 1, &batch);
        send(&mut line, &batch, 0, &items).done();
    };
    let is_blocked = || provider.done(&["key", "version", "list"])[0]["is_blocked"] == true;
    (0x21..=0x26).for_each(|terminal| attack("kiosk", terminal));
    attack("other", 0x31);
    assert!(!is_blocked(), "sixty of one merchant and ten of another");
    attack("other", 0x32);
    attack("other", 0x33);
    assert!(is_blocked());
    let add = ["key", "version", "add", "1"];
    assert_eq!(provider.refused(&add), "KeyVersionBlocked");
    provider.done(&["key", "version", "unblock", "1"]);
    provider.done(&add);
    attack("other", 0x34);
    assert!(!is_blocked(), "counted anew");
    assert_eq!(provider.done(&["audit"])[0]["findings"], 0);
}
