//! What the demo says to people: plain lines, aligned.

use std::io::{self, Write};

/// The widest line, in characters: fits a terminal and a mail.
const WIDTH: usize = 100;
/// Where the text of a step begins.
const INDENT: usize = 12;

/// Writes the demo's lines.
pub(super) struct Show<'a> {
    out: &'a mut dyn Write,
}

impl<'a> Show<'a> {
    /// Writes to `out`; [`io::sink`] where nobody reads.
    pub(super) fn new(out: &'a mut dyn Write) -> Self {
        Self { out }
    }

    /// Begins a part.
    pub(super) fn heading(&mut self, text: &str) -> io::Result<()> {
        writeln!(self.out, "\n{text}")
    }

    /// One step: its mark (an S-number or a word) and what happened, on as many lines as it needs.
    pub(super) fn step(&mut self, mark: &str, text: &str) -> io::Result<()> {
        let mut mark = mark;
        for line in wrapped(text, WIDTH - INDENT) {
            writeln!(self.out, "  {mark:<width$}{line}", width = INDENT - 2)?;
            mark = "";
        }
        Ok(())
    }

    /// Lines of cells, each column as wide as its widest cell; the columns of `right` to the right.
    pub(super) fn table(&mut self, right: &[usize], rows: &[Vec<String>]) -> io::Result<()> {
        let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
        let width = |column: usize| {
            rows.iter()
                .filter_map(|row| row.get(column))
                .map(|cell| cell.chars().count())
                .max()
        };
        let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or(0)).collect();
        for row in rows {
            let cells = row.iter().zip(&widths).enumerate();
            let cells = cells.map(|(column, (cell, width))| {
                if right.contains(&column) {
                    format!("{cell:>width$}")
                } else {
                    format!("{cell:<width$}")
                }
            });
            let line = cells.collect::<Vec<_>>().join("   ");
            writeln!(self.out, "{:INDENT$}{}", "", line.trim_end())?;
        }
        Ok(())
    }
}

fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let line = lines.last_mut().expect("there is always a line");
        if line.is_empty() {
            line.push_str(word);
        } else if line.len() + 1 + word.len() <= width {
            line.push(' ');
            line.push_str(word);
        } else {
            lines.push(word.to_owned());
        }
    }
    lines
}
