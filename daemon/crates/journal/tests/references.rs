//! In a journal that is too long to be checked at its start, a sale that was paid is not hidden by a damaged index.

mod common;

use std::fs;
use std::path::Path;

use common::{Sale, append_one, fast_folder, open, store};
use purser_ledger::{Commit, Find, FindError, Store};
use tempfile::TempDir;

/// More entries than a start compares with their index.
const SALES: u32 = 20_100;
/// The one that is hidden: its reference stands in the middle of each tree.
const HIDDEN: u32 = 9_000;
/// Commits of one sync.
const GROUP: usize = 64;

fn long_journal() -> TempDir {
    let folder = fast_folder();
    let mut journal = open(&folder);
    store(&mut journal, Sale::new(0).intended());
    store(&mut journal, Sale::new(0).paid(1, false));
    let commits: Vec<Commit> = (1..SALES).map(|n| Sale::new(n).closed()).collect();
    for group in commits.chunks(GROUP) {
        let answers = journal.append(group).expect("the journal works");
        assert!(answers.iter().all(Result::is_ok));
        journal.maintain().expect("the journal works");
    }
    folder
}

/// Where the reference stands outside the entries: in the tree of operations, in that of references, and in what is left of
/// pages that were split.
fn bare_places(file: &[u8], reference: &str) -> Vec<usize> {
    let bytes = reference.as_bytes();
    (1..file.len() - bytes.len())
        .filter(|at| file[*at..].starts_with(bytes) && file[at - 1] != b'"')
        .collect()
}

fn spoil(folder: &Path, good: &[u8], at: usize) {
    let mut bytes = good.to_vec();
    bytes[at + 3] ^= 0x10;
    fs::write(folder.join("journal.db"), bytes).expect("written");
    for companion in ["journal.db-wal", "journal.db-shm"] {
        let _ = fs::remove_file(folder.join(companion));
    }
}

#[test]
fn a_reference_that_its_index_lost_is_never_taken_for_a_new_one() {
    let folder = long_journal();
    let good = fs::read(folder.path().join("journal.db")).expect("readable");
    let hidden = Sale::new(HIDDEN);
    let places = bare_places(&good, hidden.reference().as_str());
    assert!(places.len() >= 2, "{places:?}");
    let mut damaged = 0;
    for at in places {
        spoil(folder.path(), &good, at);
        let journal = open(&folder);
        match journal.find(&Find::Reference(hidden.reference())) {
            Ok(Some(found)) => assert_eq!(found.id(), hidden.id()),
            Err(FindError::Damaged(_)) => damaged += 1,
            other => panic!("byte {at}: its card would be debited twice: {other:?}"),
        }
    }
    assert!(damaged > 0, "no place hid it");
}

#[test]
fn a_new_sale_begins_while_the_full_check_runs_and_after_it() {
    let folder = long_journal();
    let mut journal = open(&folder);
    for n in [SALES, SALES + 1] {
        let new = Sale::new(n);
        let query = Find::Reference(new.reference());
        assert_eq!(journal.find(&query).expect("it is whole"), None);
        assert!(append_one(&mut journal, new.closed()).is_ok());
        assert!(journal.find(&query).expect("it is whole").is_some());
        journal.full_check().has_ended_well();
    }
}
