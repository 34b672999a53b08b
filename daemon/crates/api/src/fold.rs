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

#[cfg(test)]
mod tests {
    use purser_ledger::{
        Amount, Commit, Content, Entry, Head, LoadBegun, LoadVoided, Owner, Reference, SaleClosed, Wall,
    };

    use super::*;
    use crate::project;

    fn folded(entries: Vec<Entry>) -> Folded {
        let contents = (0..).zip(entries).map(|(step, entry)| -> Content {
            Commit {
                operation: OperationId::new([7; 16]),
                step,
                at: Wall {
                    unix_seconds: 1_800_000_000,
                    utc_offset_seconds: 0,
                    trusted: true,
                },
                entry,
            }
            .content()
        });
        let numbered = (1..).zip(contents).map(|(number, content)| Recorded {
            head: Head {
                number,
                digest: [0; 32],
            },
            content,
        });
        let history: Vec<_> = numbered.collect();
        let newest = history.last().cloned().expect("at least one entry");
        let operation = fold_up_to(&history, newest.head.number).expect("they follow from each other");
        Folded {
            recorded: newest,
            operation,
        }
    }

    #[test]
    fn a_loads_entries_are_told_with_reference_owner_and_what_they_moved_and_make_events() {
        let amount = Amount::new(5_000, "JPY".parse().expect("a currency")).expect("small");
        let reference = Reference::new("load-1").expect("a name");
        let begun = Entry::LoadBegun(LoadBegun {
            reference: reference.clone(),
            owner: Owner(1000),
            amount,
        });
        let voided = Entry::LoadVoided(LoadVoided { amount });
        for (entries, kind, debit, credit) in [
            (vec![begun.clone()], "load_begun", "loads", "loads_owed"),
            (vec![begun, voided], "load_voided", "loads_owed", "loads"),
        ] {
            let folded = folded(entries);
            let told = project::entry(&folded);
            assert_eq!(
                (told.kind.as_str(), told.reference.as_str(), told.owner),
                (kind, "load-1", 1000)
            );
            let moved: Vec<_> = told
                .transfers
                .iter()
                .map(|it| (it.debit.as_str(), it.credit.as_str(), it.amount.minor))
                .collect();
            assert_eq!(moved, [(debit, credit, 5_000)]);
            let event = project::folded_event(&folded);
            assert_eq!(
                (event.kind.as_str(), event.number),
                (kind, Some(folded.recorded.head.number))
            );
            let load = event.load.expect("the event is about the load");
            assert_eq!(
                (load.reference.as_str(), load.owner, event.sale),
                ("load-1", 1000, None)
            );
        }
        let closed = folded(vec![Entry::SaleClosed(SaleClosed {
            reference,
            owner: Owner(1000),
            amount,
            reason: purser_ledger::CloseReason::Stopped,
        })]);
        assert!(project::folded_event(&closed).sale.is_some());
    }
}
