//! The signed parameters: a new version for each change, and what they forbid.

use purser_provider_link::{Parameters, Reason};
use serde_json::json;

use crate::settling::{Shop, announced, claims, reason, send};
use crate::shop::{Customer, seal, yen};
use crate::support::CARD;

fn taken(shop: &Shop) -> Parameters {
    let told = shop.till.ask("GET", "/v1/parameters", None).done();
    Parameters::decode(&shop.signed(&told["parameters"], &told["signature"])).unwrap()
}

#[test]
fn each_change_is_a_new_signed_version_and_no_change_is_none() {
    let shop = Shop::new();
    let provider = &shop.provider;
    let first = taken(&shop);
    assert_eq!((first.version, first.provider.as_str()), (1, "provider.example"));
    assert_eq!((&first.key_versions[..], first.hot_list.len()), (&[1_u8][..], 0));
    assert!(!first.is_software_sam_allowed, "not without a decision");
    assert_eq!(first.limits("JPY".parse().unwrap()), None);
    assert_eq!(taken(&shop), first, "asked again");
    let limit = |sale_max| {
        [
            "parameters",
            "currency",
            "JPY",
            "--sale-max",
            sale_max,
            "--stale-sale-max",
            "1000",
        ]
    };
    for _ in 0..2 {
        assert_eq!(
            provider.done(&limit("30000"))[0]["version"],
            2,
            "a repeat changes nothing"
        );
    }
    provider.done(&["hotlist", "add", CARD, "--reason", "lost"]);
    let third = taken(&shop);
    let limits = third.limits("JPY".parse().unwrap()).unwrap();
    assert_eq!(
        (limits.sale_max, limits.stale_sale_max),
        (yen(30_000), yen(1_000))
    );
    assert_eq!((third.version, third.hot_list_version), (3, 1));
    assert_eq!(hex::encode(third.hot_list[0].serial()), CARD);
    provider.done(&["key", "version", "block", "1"]);
    let fourth = taken(&shop);
    assert_eq!((fourth.version, fourth.key_versions.len()), (4, 0));
    let hours = |warn, stale| {
        [
            "parameters",
            "set",
            "--warn-after-hours",
            warn,
            "--stale-after-hours",
            stale,
        ]
    };
    assert_eq!(provider.refused(&hours("9", "8")), "Age");
    assert_eq!(provider.done(&hours("8", "9"))[0]["stale_after_seconds"], 32_400);
    assert_eq!(provider.refused(&limit("999")), "Limit");
    let shown = &provider.done(&["parameters", "show"])[0];
    assert_eq!((&shown["version"], &shown["hot_list"]), (&json!(5), &json!(1)));
    assert_eq!(taken(&shop).version, 5);
    assert_eq!(provider.done(&["audit"]), [json!({ "findings": 0 })]);
}

/// A software SAM puts a purchase key into a shop (money rule T3).
#[test]
fn a_software_sams_claims_are_held_until_the_provider_allows_it_and_paid_once_then() {
    let shop = Shop::new();
    let code = shop.provider.software_till("till-2", "000000000002");
    let till = shop.enrolled(&code);
    let items = claims(&[Customer::new(CARD).pay(300, 2, 1)]);
    let settle = |number| {
        let batch = seal(number, "till-2", &items);
        let mut line = announced(&till, number, &batch);
        let verdicts = shop.verdicts(&send(&mut line, &batch, 0, &items).done());
        (reason(&verdicts[0]), shop.permit(&mut line, &batch).sum.total)
    };
    assert_eq!(settle(1), (Some(Reason::SoftwareSamNotAllowed), yen(0)));
    shop.provider
        .done(&["parameters", "set", "--software-sam", "allow"]);
    assert_eq!(settle(2), (None, yen(300)));
    assert_eq!(settle(3), (Some(Reason::AlreadyPaid), yen(0)));
    assert!(taken(&shop).is_software_sam_allowed);
    assert_eq!(shop.provider.done(&["audit"]), [json!({ "findings": 0 })]);
}
