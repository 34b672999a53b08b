//! What a run that fails leaves behind.

use std::fmt;

use crate::rule::Violation;

/// A broken rule, and how it came to it.
#[derive(Clone, Debug, thiserror::Error)]
pub struct Failure {
    /// The run: a seed, or a case with its crash points.
    pub name: String,
    /// The rule and what was seen.
    #[source]
    pub violation: Violation,
    /// The last lines of the story.
    pub lines: Vec<String>,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in &self.lines {
            writeln!(f, "{line}")?;
        }
        write!(f, "{} FAILS. {}", self.name, self.violation)
    }
}
