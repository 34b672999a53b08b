//! The table: what came of each class of points.

use std::collections::BTreeMap;
use std::fmt;

use crate::judge::Found;
use crate::matrix::Counts;

/// What came of one cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Cell {
    /// What purserd knew of the sale afterwards.
    Found(Found),
    /// purserd ended itself with the code of a broken journal.
    StoreBroken,
    /// purserd went on, or ended as it was told to.
    CarriedOn,
    /// A rule was broken, or the point was never hit.
    Wrong,
}

const COLUMNS: [(&str, Cell); 7] = [
    ("unknown", Cell::Found(Found::Unknown)),
    ("paid", Cell::Found(Found::Paid)),
    ("undebited", Cell::Found(Found::NotDebited)),
    ("closed", Cell::Found(Found::Closed)),
    ("exit 74", Cell::StoreBroken),
    ("went on", Cell::CarriedOn),
    ("WRONG", Cell::Wrong),
];

/// Rows by class, columns by what came.
#[derive(Clone, Debug, Default)]
pub struct Table {
    rows: BTreeMap<String, Counts>,
}

impl Table {
    /// Counts one cut.
    pub fn count(&mut self, row: &str, cell: Cell) {
        let counts = self.rows.entry(row.to_owned()).or_default();
        *counts.entry(cell).or_default() += 1;
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = self.rows.keys().map(String::len).max().unwrap_or(0);
        write!(f, "{:width$} {:>6}", "cut at", "hits")?;
        for (name, _) in COLUMNS {
            write!(f, " {name:>9}")?;
        }
        let mut sums = Counts::new();
        for (row, counts) in &self.rows {
            write_row(f, row, width, counts)?;
            for (cell, count) in counts {
                *sums.entry(*cell).or_default() += count;
            }
        }
        write_row(f, "all", width, &sums)
    }
}

fn write_row(f: &mut fmt::Formatter<'_>, row: &str, width: usize, counts: &Counts) -> fmt::Result {
    let is_hit = |cell: &Cell| *cell != Cell::Wrong;
    let hits: u32 = counts
        .iter()
        .filter(|(cell, _)| is_hit(cell))
        .map(|(_, count)| count)
        .sum();
    write!(f, "\n{row:width$} {hits:>6}")?;
    for (_, cell) in COLUMNS {
        match counts.get(&cell) {
            Some(count) => write!(f, " {count:>9}")?,
            None => write!(f, " {:>9}", "")?,
        }
    }
    Ok(())
}
