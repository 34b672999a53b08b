//! What must hold after whatever happened: the claims are settled once, and both books say the same.

use std::collections::BTreeSet;

use purser_api::model::Batch;
use serde_json::Value;

use super::life::Story;
use super::shop::{CLAIMED, REFUNDED, Shop};
use crate::{Fault, ensure};

/// Judges a shop and its provider. Both run again before, and what is left to settle is settled.
///
/// # Errors
/// Money was lost or made, the books do not agree, or a data base is not whole.
pub(super) fn judge(shop: &mut Shop, story: Story) -> Result<(), Fault> {
    shop.rise()?;
    shop.settle()?;
    let total: u64 = CLAIMED.iter().sum();
    one_batch_is_exchanged(shop, story, total)?;
    books_agree(shop, total)?;
    let audit = shop.provider.run(&["audit"])?;
    ensure(audit.first().is_some_and(|it| it["findings"] == 0), || {
        format!("the audit finds {audit:?}")
    })?;
    let report = shop.verified()?;
    ensure(report["whole"] == true && report["open"] == 0, || {
        format!("verify-journal: {report}")
    })
}

/// One batch is exchanged, its claims all paid, and there is one permit for it. Both sides know the same batches by the same
/// ends, and only where a void was asked for is another one among them.
fn one_batch_is_exchanged(shop: &Shop, story: Story, total: u64) -> Result<(), Fault> {
    let here = shop.batches()?;
    let (exchanged, voided): (Vec<_>, Vec<_>) = here.iter().partition(|it| it.state == "exchanged");
    let is_one = |batch: &Batch| {
        let worth = batch.total.as_ref().map(|total| total.minor);
        (worth, batch.held_count) == (Some(total), Some(0))
    };
    let may_be_void = usize::from(story == Story::Void);
    ensure(
        exchanged.len() == 1 && is_one(exchanged[0]) && voided.len() <= may_be_void,
        || format!("{here:?}"),
    )?;
    let there = shop.provider.run(&["batch", "list"])?;
    let ends_here: BTreeSet<_> = here
        .iter()
        .map(|it| (it.id.as_str(), it.state.as_str()))
        .collect();
    let end_there = |it: &Value| match it["phase"].as_str() {
        Some("permitted") => "exchanged",
        Some("voided") => "voided",
        _ => "open",
    };
    let ends_there: BTreeSet<_> = there
        .iter()
        .map(|it| (it["batch"].as_str().unwrap_or_default(), end_there(it)))
        .collect();
    ensure(ends_here == ends_there, || {
        format!("the two do not know the same batches: {here:?}, {there:?}")
    })?;
    let permits = shop.provider.run(&["permit", "list"])?;
    ensure(permits.len() == 1 && permits[0]["total"] == total, || {
        format!("one permit over {total} should be given: {permits:?}")
    })
}

/// What the shop has as permits is what the provider owes by permits, and nothing is left in between. What the shop owed to a
/// buyer the provider owes now.
fn books_agree(shop: &Shop, total: u64) -> Result<(), Fault> {
    let totals = shop.totals()?;
    let balance = |account: &str| -> u64 {
        let balances = totals.balances.iter();
        let of_account = balances.filter(|balance| balance.account == account);
        of_account.map(|balance| balance.amount.minor).sum()
    };
    ensure(totals.balanced, || format!("the shop's books: {totals:?}"))?;
    let left = ["claims", "in_batch", "in_doubt", "held", "netted", "refunds_owed"].map(balance);
    ensure(balance("permits") == total && left == [0; 6], || {
        format!("the shop should have {total} as a permit: {totals:?}")
    })?;
    let books = shop.provider.run(&["liability"])?;
    ensure(
        books.len() == 1
            && books[0]["permits"] == total
            && books[0]["refunds_owed"] == REFUNDED
            && books[0]["is_balanced"] == true,
        || format!("the provider should owe {total} by permits and {REFUNDED} to a buyer: {books:?}"),
    )
}
