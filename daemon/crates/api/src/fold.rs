//! From entries to the sale as it stood with each: what makes a resumed event equal the live one.

use std::collections::BTreeMap;

use purser_ledger::{AnyOperation, FoldError, OperationId};

use crate::facts::{Facts, FactsUnavailable, Recorded};

/// An entry and its operation as it stood with that entry.
pub(crate) struct Folded {
    /// The entry.
    pub(crate) recorded: Recorded,
    /// The operation, folded up to and with the entry.
    pub(crate) operation: AnyOperation,
}

/// Folds each entry's operation up to that entry. Blocks.
pub(crate) fn fold_each(facts: &dyn Facts, entries: Vec<Recorded>) -> Result<Vec<Folded>, FactsUnavailable> {
    let mut histories: BTreeMap<OperationId, Vec<Recorded>> = BTreeMap::new();
    entries
        .into_iter()
        .map(|recorded| {
            let id = recorded.content.operation;
            if let std::collections::btree_map::Entry::Vacant(place) = histories.entry(id) {
                place.insert(facts.history(id)?);
            }
            let history = histories.get(&id).map(Vec::as_slice).unwrap_or_default();
            let operation = fold_up_to(history, recorded.head.number)?;
            Ok(Folded { recorded, operation })
        })
        .collect()
}

fn fold_up_to(history: &[Recorded], number: u64) -> Result<AnyOperation, FactsUnavailable> {
    let mut upto = history.iter().take_while(|entry| entry.head.number <= number);
    let first = upto
        .next()
        .ok_or(FactsUnavailable::Damaged { entry: Some(number) })?;
    let mut operation =
        AnyOperation::begin(&first.content, first.head).map_err(|error| torn(error, number))?;
    for entry in upto {
        operation
            .apply(&entry.content, entry.head)
            .map_err(|error| torn(error, number))?;
    }
    Ok(operation)
}

fn torn(error: FoldError, number: u64) -> FactsUnavailable {
    tracing::error!(%error, number, "the journal's entries do not follow from each other; verify the journal");
    FactsUnavailable::Damaged { entry: Some(number) }
}
