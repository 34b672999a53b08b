//! Batches and their items for the API, from the journal.

use std::collections::BTreeMap;

use purser_api::BatchFacts;
use purser_api::model::{Amount, BatchItem};
use purser_engine::settlement::items::item;
use purser_engine::settlement::{BatchView, Settleable};
use purser_journal::{ReadError, Reader};
use purser_ledger::{AnyOperation, OperationId, Settlement};
use purser_provider_link::{Decision, Item, Verdict};

/// Entries that are read at once.
const READ_MAX: u32 = 1_000;

/// Batches as the journal has them; those that are under way as the loop knows them.
pub(super) fn facts(sealed: Vec<(u64, Settlement)>, under_way: &[BatchView]) -> Vec<BatchFacts> {
    let fact = |(sealed, settlement): (u64, Settlement)| {
        let live = under_way
            .iter()
            .find(|it| it.id == settlement.id && settlement.is_under_way());
        BatchFacts {
            view: live.cloned().unwrap_or_else(|| BatchView::of(&settlement)),
            sealed,
            sealed_at: settlement.opened_at,
        }
    };
    sealed.into_iter().map(fact).collect()
}

/// The items of a batch from a place on; none if there is no such batch. Reads the batch from its beginning: its items have no
/// places but their order.
pub(super) fn items(
    reader: &Reader,
    batch: OperationId,
    from: u64,
    limit: u64,
) -> Result<Option<Vec<BatchItem>>, ReadError> {
    let Some(settlement) = settlement(reader, batch)? else {
        return Ok(None);
    };
    let (currency, upto) = (settlement.currency(), settlement.sealed.upto);
    let end = from.saturating_add(limit);
    let (mut after, mut place) = (settlement.sealed.after, 0);
    let mut items = Vec::new();
    while place < end {
        let page = reader.settleable(currency, after, upto, READ_MAX)?;
        let Some((last, _)) = page.last() else { break };
        after = *last;
        for (entry, operation) in page {
            let settleable = Settleable { entry, operation };
            let made = item(&settleable, settlement.sealed.after);
            let made = made.map_err(|_| ReadError::Row { table: "settleable" })?;
            let Some(made) = made else { continue };
            if (from..end).contains(&place) {
                items.push(of_item(place, &settleable, &made));
            }
            place += 1;
        }
    }
    if !settlement.is_under_way() {
        decide(reader, batch, &mut items)?;
    }
    Ok(Some(items))
}

fn settlement(reader: &Reader, batch: OperationId) -> Result<Option<Settlement>, ReadError> {
    let mut history = reader.history(batch)?.into_iter();
    let Some(first) = history.next() else {
        return Ok(None);
    };
    let damaged = |_| ReadError::Row { table: "batches" };
    let mut operation = AnyOperation::begin(&first.content, first.head).map_err(damaged)?;
    for next in history {
        operation.apply(&next.content, next.head).map_err(damaged)?;
    }
    Ok(match operation {
        AnyOperation::Settlement(settlement) => Some(settlement),
        AnyOperation::Sale(_) | AnyOperation::Load(_) => None,
    })
}

fn of_item(place: u64, settleable: &Settleable, item: &Item) -> BatchItem {
    let (kind, amount, refund_owed) = match item {
        Item::Claim(claim) => {
            let owed = (!claim.refund_owed.is_zero()).then_some(claim.refund_owed);
            ("claim", claim.amount, owed)
        }
        Item::LateRefund(late) => ("late_refund", late.amount, None),
    };
    BatchItem {
        place,
        kind: kind.to_owned(),
        reference: settleable.operation.reference.as_str().to_owned(),
        amount: words(amount),
        refund_owed: refund_owed.map(words),
        decision: None,
        reason: None,
    }
}

/// Adds what the provider said last of each.
fn decide(reader: &Reader, batch: OperationId, items: &mut [BatchItem]) -> Result<(), ReadError> {
    let Some(first) = items.first() else {
        return Ok(());
    };
    let from = u32::try_from(first.place).unwrap_or(u32::MAX);
    let limit = u32::try_from(items.len()).unwrap_or(u32::MAX);
    let mut said = BTreeMap::new();
    for signed in reader.verdicts(batch, from, limit)? {
        let verdict = Verdict::decode(&signed.bytes).map_err(|_| ReadError::Row { table: "verdicts" })?;
        said.insert(u64::from(signed.place), verdict.decision);
    }
    for item in items {
        let (decision, reason) = match said.get(&item.place) {
            None => continue,
            Some(Decision::Pay(_)) => ("pay", None),
            Some(Decision::Owe(_)) => ("owe", None),
            Some(Decision::Hold(reason)) => ("hold", Some(reason.name())),
            Some(Decision::Dispute(reason)) => ("dispute", Some(reason.name())),
        };
        item.decision = Some(decision.to_owned());
        item.reason = reason.map(str::to_owned);
    }
    Ok(())
}

fn words(amount: purser_ledger::Amount) -> Amount {
    Amount {
        minor: amount.minor(),
        currency: amount.currency().code().to_owned(),
    }
}
