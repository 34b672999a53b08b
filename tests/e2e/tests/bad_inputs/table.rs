//! The rows, and whether what was said is what must be said.

use std::fmt;
use std::time::Duration;

use e2e::Fault;

/// How much of what was said the table shows, in characters.
const SHOWN_CHARS: usize = 110;

/// One bad input.
struct Row {
    name: String,
    said: String,
    wrong: Option<String>,
}

/// The rows of one group.
#[derive(Default)]
pub(crate) struct Group {
    rows: Vec<Row>,
    broken: Option<String>,
}

impl Group {
    /// A group that could not be given.
    pub(crate) fn failed(fault: &Fault) -> Self {
        Self {
            rows: Vec::new(),
            broken: Some(fault.to_string()),
        }
    }

    /// Adds a row: what was said, where all is as it must be; else what is not.
    pub(crate) fn row(&mut self, name: impl Into<String>, given: Result<String, Fault>) {
        let (said, wrong) = match given {
            Ok(said) => (said, None),
            Err(fault) => (String::new(), Some(fault.to_string())),
        };
        self.rows.push(Row {
            name: name.into(),
            said,
            wrong,
        });
    }

    /// Adds the rows of another group.
    pub(crate) fn append(&mut self, other: Self) {
        self.rows.extend(other.rows);
        self.broken = self.broken.take().or(other.broken);
    }
}

/// All rows.
#[derive(Default)]
pub(crate) struct Table(Vec<(&'static str, Group, Duration)>);

impl Table {
    /// Adds a group that took so long.
    pub(crate) fn add(&mut self, name: &'static str, group: Group, took: Duration) {
        self.0.push((name, group, took));
    }

    /// How many rows there are.
    pub(crate) fn rows(&self) -> usize {
        self.0.iter().map(|(_, group, _)| group.rows.len()).sum()
    }

    /// What is not as it must be.
    pub(crate) fn failures(&self) -> Vec<String> {
        let of_group = |(name, group, _): &(&str, Group, Duration)| {
            let broken = group.broken.iter().map(|fault| format!("{name}: {fault}"));
            let rows = group.rows.iter();
            let wrong = rows.filter_map(|row| {
                row.wrong
                    .as_ref()
                    .map(|wrong| format!("{name}: {}: {wrong}", row.name))
            });
            broken.chain(wrong).collect::<Vec<_>>()
        };
        self.0.iter().flat_map(of_group).collect()
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self
            .0
            .iter()
            .flat_map(|(_, group, _)| &group.rows)
            .map(|row| row.name.chars().count());
        let width = names.max().unwrap_or(0);
        for (name, group, took) in &self.0 {
            writeln!(
                f,
                "\n{name}: {} rows, {:.1} s",
                group.rows.len(),
                took.as_secs_f32()
            )?;
            for row in &group.rows {
                let said = if row.wrong.is_some() { "WRONG" } else { &row.said };
                let line = said.split_whitespace().collect::<Vec<_>>().join(" ");
                let shown: String = line.chars().take(SHOWN_CHARS).collect();
                writeln!(f, "  {:width$}  {shown}", row.name)?;
            }
        }
        Ok(())
    }
}

/// Fails unless each fragment is in what was said.
pub(crate) fn says(said: &str, fragments: &[&str]) -> Result<(), Fault> {
    match fragments.iter().find(|fragment| !said.contains(**fragment)) {
        None => Ok(()),
        Some(missing) => Err(format!("{missing:?} is not in what was said: {said}").into()),
    }
}
