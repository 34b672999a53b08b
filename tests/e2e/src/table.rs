//! The table: what came of each class of points.

use std::collections::BTreeMap;
use std::fmt;

use crate::judge::Found;

/// What a cut can come to: the columns of a table.
pub trait Column: Copy + Ord + 'static {
    /// Each with its title, from left to right.
    const COLUMNS: &'static [(&'static str, Self)];
    /// A rule was broken, or the point was never hit.
    const WRONG: Self;
}

/// How often what was found.
type Counts<C> = BTreeMap<C, u32>;

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

impl Column for Cell {
    const COLUMNS: &'static [(&'static str, Self)] = &[
        ("unknown", Self::Found(Found::Unknown)),
        ("paid", Self::Found(Found::Paid)),
        ("undebited", Self::Found(Found::NotDebited)),
        ("closed", Self::Found(Found::Closed)),
        ("exit 74", Self::StoreBroken),
        ("went on", Self::CarriedOn),
        ("WRONG", Self::Wrong),
    ];
    const WRONG: Self = Self::Wrong;
}

/// Rows by class, columns by what came.
#[derive(Clone, Debug)]
pub struct Table<C = Cell> {
    rows: BTreeMap<String, Counts<C>>,
}

impl<C> Default for Table<C> {
    fn default() -> Self {
        Self {
            rows: BTreeMap::new(),
        }
    }
}

impl<C: Column> Table<C> {
    /// Counts one cut.
    pub fn count(&mut self, row: &str, cell: C) {
        let counts = self.rows.entry(row.to_owned()).or_default();
        *counts.entry(cell).or_default() += 1;
    }
}

impl<C: Column> fmt::Display for Table<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = self.rows.keys().map(String::len).max().unwrap_or(0);
        write!(f, "{:width$} {:>6}", "cut at", "hits")?;
        for (name, _) in C::COLUMNS {
            write!(f, " {name:>9}")?;
        }
        let mut sums = Counts::<C>::new();
        for (row, counts) in &self.rows {
            write_row(f, row, width, counts)?;
            for (cell, count) in counts {
                *sums.entry(*cell).or_default() += count;
            }
        }
        write_row(f, "all", width, &sums)
    }
}

fn write_row<C: Column>(
    f: &mut fmt::Formatter<'_>,
    row: &str,
    width: usize,
    counts: &Counts<C>,
) -> fmt::Result {
    let is_hit = |cell: &C| *cell != C::WRONG;
    let hits: u32 = counts
        .iter()
        .filter(|(cell, _)| is_hit(cell))
        .map(|(_, count)| count)
        .sum();
    write!(f, "\n{row:width$} {hits:>6}")?;
    for (_, cell) in C::COLUMNS {
        match counts.get(cell) {
            Some(count) => write!(f, " {count:>9}")?,
            None => write!(f, " {:>9}", "")?,
        }
    }
    Ok(())
}
