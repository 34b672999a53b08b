//! How answers are printed: a table for people, one JSON object a line for programs.

use std::io::Write;

use comfy_table::{Table, presets};
use serde_json::Value;

use crate::fault::Failure;

/// Something to print.
pub(crate) struct Shown {
    /// One object a row.
    pub(crate) objects: Vec<Value>,
    /// The columns of the table, by the objects' fields; none for a single sentence.
    pub(crate) columns: &'static [&'static str],
    /// What is printed for people where there are no columns.
    pub(crate) sentence: String,
}

impl Shown {
    /// A sentence for people, an object for programs.
    pub(crate) fn one(sentence: impl Into<String>, object: Value) -> Self {
        Self {
            objects: vec![object],
            columns: &[],
            sentence: sentence.into(),
        }
    }

    /// A list.
    pub(crate) fn list(columns: &'static [&'static str], objects: Vec<Value>) -> Self {
        Self {
            objects,
            columns,
            sentence: String::new(),
        }
    }

    /// Prints it.
    pub(crate) fn print(&self, json: bool) -> Result<(), Failure> {
        let mut out = std::io::stdout().lock();
        if json {
            for object in &self.objects {
                writeln!(out, "{object}")?;
            }
        } else if self.columns.is_empty() {
            writeln!(out, "{}", self.sentence)?;
        } else {
            let mut table = Table::new();
            *table.style_mut() = presets::NOTHING;
            table.set_header(self.columns.iter().map(|it| it.replace('_', " ").to_uppercase()));
            for object in &self.objects {
                table.add_row(self.columns.iter().map(|column| cell(&object[*column])));
            }
            for column in table.column_iter_mut() {
                column.set_padding((0, 2));
            }
            for line in table.lines() {
                writeln!(out, "{}", line.trim_end())?;
            }
        }
        Ok(())
    }
}

fn cell(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        Value::Bool(true) => "yes".to_owned(),
        Value::Bool(false) => "no".to_owned(),
        other => other.to_string(),
    }
}
