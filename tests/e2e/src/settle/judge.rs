//! What must hold after whatever happened: the claims are settled once, and both books say the same.

use super::shop::{CLAIMED, Shop};
use crate::{Fault, ensure};

/// Judges a shop and its provider. Both run again before, and what is left to settle is settled.
///
/// # Errors
/// Money was lost or made, the books do not agree, or a data base is not whole.
pub(super) fn judge(shop: &mut Shop) -> Result<(), Fault> {
    shop.rise()?;
    shop.settle()?;
    let total: u64 = CLAIMED.iter().sum();
    one_batch_is_exchanged(shop, total)?;
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

/// One batch at the shop, the same one at the provider, and one permit for it.
fn one_batch_is_exchanged(shop: &Shop, total: u64) -> Result<(), Fault> {
    let here = shop.batches()?;
    let [batch] = here.as_slice() else {
        return Err(format!("one batch should be at the shop: {here:?}").into());
    };
    let worth = batch.total.as_ref().map(|total| total.minor);
    ensure(
        batch.state == "exchanged" && worth == Some(total) && batch.held_count == Some(0),
        || format!("{batch:?}"),
    )?;
    let there = shop.provider.run(&["batch", "list"])?;
    ensure(
        there.len() == 1 && there[0]["batch"] == batch.id && there[0]["phase"] == "permitted",
        || format!("the provider should have {} alone: {there:?}", batch.id),
    )?;
    let permits = shop.provider.run(&["permit", "list"])?;
    ensure(permits.len() == 1 && permits[0]["total"] == total, || {
        format!("one permit over {total} should be given: {permits:?}")
    })
}

/// What the shop has as permits is what the provider owes by permits, and nothing is left in between.
fn books_agree(shop: &Shop, total: u64) -> Result<(), Fault> {
    let totals = shop.totals()?;
    let balance = |account: &str| -> u64 {
        let balances = totals.balances.iter();
        let of_account = balances.filter(|balance| balance.account == account);
        of_account.map(|balance| balance.amount.minor).sum()
    };
    ensure(totals.balanced, || format!("the shop's books: {totals:?}"))?;
    let left = ["claims", "in_batch", "in_doubt", "held", "refunds_owed"].map(balance);
    ensure(balance("permits") == total && left == [0; 5], || {
        format!("the shop should have {total} as a permit: {totals:?}")
    })?;
    let books = shop.provider.run(&["liability"])?;
    ensure(
        books.len() == 1 && books[0]["permits"] == total && books[0]["is_balanced"] == true,
        || format!("the provider's books should have {total} as permits: {books:?}"),
    )
}
