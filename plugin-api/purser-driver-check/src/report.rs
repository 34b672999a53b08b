//! What came of the checks: lines for a person, or one JSON object for a program.

use serde::Serialize;

/// A clause of `purser/driver.h` that a driver broke, and how that was seen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Broken {
    /// Its name, such as `C-6`.
    pub(crate) clause: String,
    /// What the driver did, in words.
    pub(crate) what: String,
}

impl Broken {
    pub(crate) fn new(clause: &str, what: impl Into<String>) -> Self {
        Self {
            clause: clause.to_owned(),
            what: what.into(),
        }
    }

    /// The clause that the driver host names at the start of a text of its own: `[M-2] a length above the capacity`.
    pub(crate) fn named_in(text: &str) -> Option<Self> {
        let (clause, what) = text.strip_prefix('[')?.split_once("] ")?;
        let (family, number) = clause.split_once('-')?;
        let is_clause = family.len() == 1
            && family.bytes().all(|letter| letter.is_ascii_uppercase())
            && number.bytes().all(|digit| digit.is_ascii_digit());
        is_clause.then(|| Self::new(clause, what))
    }
}

/// What came of one check.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "snake_case", tag = "verdict")]
enum Verdict {
    Kept,
    Broken(Broken),
    Skipped { why: String },
}

/// One check.
#[derive(Clone, Debug, Serialize)]
struct Line {
    title: &'static str,
    clauses: &'static [&'static str],
    #[serde(flatten)]
    verdict: Verdict,
}

/// All checks so far.
#[derive(Debug)]
pub(crate) struct Report {
    is_json: bool,
    lines: Vec<Line>,
}

impl Report {
    pub(crate) fn new(is_json: bool) -> Self {
        Self {
            is_json,
            lines: Vec::new(),
        }
    }

    pub(crate) fn kept(&mut self, title: &'static str, clauses: &'static [&'static str]) {
        self.add(title, clauses, Verdict::Kept);
    }

    pub(crate) fn broken(&mut self, title: &'static str, clauses: &'static [&'static str], broken: Broken) {
        self.add(title, clauses, Verdict::Broken(broken));
    }

    pub(crate) fn skipped(&mut self, title: &'static str, clauses: &'static [&'static str], why: &str) {
        let why = why.to_owned();
        self.add(title, clauses, Verdict::Skipped { why });
    }

    /// Tells how it ended.
    pub(crate) fn finish(&self) {
        if self.is_json {
            let object = serde_json::json!({ "broken": self.broken_clauses(), "checks": self.lines });
            println!("{object}");
            return;
        }
        let broken = self.broken_clauses();
        let skipped = self
            .lines
            .iter()
            .filter(|line| matches!(line.verdict, Verdict::Skipped { .. }))
            .count();
        println!();
        if skipped > 0 {
            println!("{skipped} of {} checks were skipped", self.lines.len());
        }
        if broken.is_empty() {
            println!("The clauses that were checked are kept.");
        } else {
            println!(
                "Broken: {}. The clauses stand in purser/driver.h.",
                broken.join(", ")
            );
        }
    }

    pub(crate) fn is_broken(&self) -> bool {
        !self.broken_clauses().is_empty()
    }

    /// True if no check could be made.
    pub(crate) fn is_empty(&self) -> bool {
        self.lines
            .iter()
            .all(|line| matches!(line.verdict, Verdict::Skipped { .. }))
    }

    fn broken_clauses(&self) -> Vec<&str> {
        let mut clauses: Vec<&str> = self
            .lines
            .iter()
            .filter_map(|line| match &line.verdict {
                Verdict::Broken(broken) => Some(broken.clause.as_str()),
                Verdict::Kept | Verdict::Skipped { .. } => None,
            })
            .collect();
        clauses.sort_unstable();
        clauses.dedup();
        clauses
    }

    fn add(&mut self, title: &'static str, clauses: &'static [&'static str], verdict: Verdict) {
        if !self.is_json {
            match &verdict {
                Verdict::Kept => println!("kept    {title}  [{}]", clauses.join("] [")),
                Verdict::Broken(broken) => {
                    println!("BROKEN  {title}\n        [{}] {}", broken.clause, broken.what)
                }
                Verdict::Skipped { why } => println!("skipped {title}: {why}"),
            }
        }
        self.lines.push(Line {
            title,
            clauses,
            verdict,
        });
    }
}
