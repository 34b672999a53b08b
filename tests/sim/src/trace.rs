//! The story of a run, told only to those who ask.

use std::collections::VecDeque;

/// How many lines of a failed run are shown.
pub const LAST_LINES: usize = 40;

/// Where a run's story goes.
#[derive(Debug, Default)]
pub(crate) enum Trace {
    /// Nowhere: nothing is even formatted.
    #[default]
    Off,
    /// To standard output, line by line.
    Print,
    /// The last lines are kept.
    Keep(VecDeque<String>),
}

impl Trace {
    pub(crate) fn is_on(&self) -> bool {
        !matches!(self, Self::Off)
    }

    pub(crate) fn line(&mut self, line: String) {
        match self {
            Self::Off => {}
            Self::Print => println!("{line}"),
            Self::Keep(lines) => {
                if lines.len() == LAST_LINES {
                    lines.pop_front();
                }
                lines.push_back(line);
            }
        }
    }

    pub(crate) fn into_lines(self) -> Vec<String> {
        match self {
            Self::Off | Self::Print => Vec::new(),
            Self::Keep(lines) => lines.into(),
        }
    }
}

/// Adds a line to the story of a world.
macro_rules! tell {
    ($world:expr, $($text:tt)+) => {
        if $world.trace.is_on() {
            let line = format!($($text)+);
            $world.note(line);
        }
    };
}
pub(crate) use tell;
