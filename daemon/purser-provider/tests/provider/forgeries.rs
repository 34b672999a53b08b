//! Claims that no card made, and what is done about who brings them (money rule T3).

use purser_provider_link::{Claim, Reason};
use serde_json::json;

use crate::settling::{Shop, announced, claims, path, reason, send};
use crate::shop::{Customer, forged, seal};
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
    let items = claims(&bad[1..]);
    let batch = seal(3, "till-1", &items);
    let mut line = announced(&shop.till, 3, &batch);
    send(&mut line, &batch, 0, &items).done();
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
    assert_eq!(reasons, [altered, altered, None], "a wrong guess looks like a right one");
}
