//! Kinds of corruption, each planted alone into a terminal's journal, and each found by its own name; and no alarm on histories
//! that are clean.

#[path = "../common/mod.rs"]
mod common;

mod clean;
mod journal;
mod kinds;
mod rows;

use journal::{Original, Plant};
use kinds::{ENTRIES, FILES, SCHEMA};
use rows::{PRESENTED_AGAIN, ROWS, SETTLEMENT};

/// What it is, how it is planted, and how what the check has to say begins.
type Kind = (&'static str, Plant, &'static str);

#[test]
fn each_kind_of_planted_corruption_is_found_by_its_name() {
    let original = Original::make();
    let mut missed = Vec::new();
    let mut kinds = 0;
    let presented = Original::make_presented_again();
    let in_original = [ENTRIES, ROWS, SETTLEMENT, SCHEMA, FILES].into_iter().flatten();
    let all = in_original.map(|kind| (&original, kind));
    for (original, (name, plant, expected)) in
        all.chain(PRESENTED_AGAIN.iter().map(|kind| (&presented, kind)))
    {
        let found = original.planted(plant);
        if found.starts_with(expected) {
            println!("{name}: {found}");
        } else {
            missed.push(format!("{name}: {found}, and not {expected}"));
        }
        kinds += 1;
    }
    println!("{kinds} kinds");
    assert!(missed.is_empty(), "{}", missed.join("\n"));
    assert!(kinds >= 40, "{kinds} kinds");
}
