//! What is wrong with a configuration, shown where it stands.

use std::fmt;
use std::io::ErrorKind;
use std::ops::Range;
use std::path::{Path, PathBuf};

use purser_ledger::{Currency, DeviceName, NameError};

/// The longest configuration file, in bytes: thousands of lines.
pub(super) const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// What is wrong with the configuration. Every variant is the operator's to put right; none goes away by itself.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A file or folder cannot be read.
    #[error("cannot read {}: {source}\n   = help: {}", path.display(), help_unreadable(source))]
    Unreadable {
        /// The file or folder.
        path: PathBuf,
        /// Why. Told in this error's own words too, so it is no source.
        source: std::io::Error,
    },
    /// It is a folder, a pipe or a device.
    #[error("{} is not a file\n   = help: name a file; drop-ins belong into the folder beside it that ends in .toml.d", path.display())]
    NotAFile {
        /// What is not a file.
        path: PathBuf,
    },
    /// It is longer than any configuration.
    #[error(
        "{} is longer than {FILE_BYTES_MAX} bytes\n   = help: look whether it is the right file; a configuration is a page of text",
        path.display()
    )]
    TooLong {
        /// The file.
        path: PathBuf,
    },
    /// It is no text.
    #[error(
        "{} is not UTF-8 text: byte {at} does not fit\n   = help: save it as UTF-8, and look whether it is the right file",
        path.display()
    )]
    NotText {
        /// The file.
        path: PathBuf,
        /// The first byte that does not fit, counted from 1.
        at: usize,
    },
    /// `[pin.free_up_to]` names a currency that no configured issuer uses.
    #[error(
        "[pin.free_up_to] names {currency}, but no issuer of [issuers] has purses in {currency}\n  --> {}\n   = help: add the issuer, or take the line out",
        path.display()
    )]
    UnusedCurrency {
        /// The main configuration file.
        path: PathBuf,
        /// The currency.
        currency: Currency,
    },
    /// A text is not what it should be.
    #[error("{0}")]
    Text(Box<TextError>),
    /// A key that has no default is not set anywhere.
    #[error("{key} is not set\n  --> {}\n   = help: {help}", path.display())]
    Missing {
        /// The main configuration file.
        path: PathBuf,
        /// The key.
        key: &'static str,
        /// What to write.
        help: &'static str,
    },
    /// A key names a device of a driver that is not configured.
    #[error(
        "{key} names `{device}`, but no driver file is called `{}.toml`\n  --> {}\n   = help: {}",
        driver_of(device), path.display(), help_known(known)
    )]
    UnknownDriver {
        /// The main configuration file.
        path: PathBuf,
        /// The key.
        key: &'static str,
        /// The device.
        device: DeviceName,
        /// The drivers that are configured.
        known: Vec<String>,
    },
    /// `[limits]` names a currency that no issuer uses: most likely misspelt, and without effect.
    #[error(
        "limits.{key} names `{currency}`, but no issuer's purses are in that currency\n  --> {}\n   = help: name a currency \
         of [issuers]", path.display()
    )]
    LimitCurrency {
        /// The main configuration file.
        path: PathBuf,
        /// The key.
        key: &'static str,
        /// The currency.
        currency: Currency,
    },
    /// One sale may be higher than all claims together.
    #[error(
        "limits.amount_max lets one sale be {amount} {currency}, but limits.total_max lets no more than {total} {currency} wait \
         for settlement\n  --> {}\n   = help: raise the total, or lower the amount", path.display()
    )]
    AmountAboveTotal {
        /// The main configuration file.
        path: PathBuf,
        /// The currency.
        currency: Currency,
        /// The highest price, in minor units.
        amount: u64,
        /// The highest total, in minor units.
        total: u64,
    },
    /// Both kinds of SAM are configured.
    #[error(
        "sam.credential and sam.psam are both set\n  --> {}\n   = help: keep one: the file of a software SAM, \
         or the reader of a PSAM card; a drop-in can only add", path.display()
    )]
    TwoSams {
        /// The main configuration file.
        path: PathBuf,
    },
    /// A listener for calls that the provider does not make.
    #[error(
        "provider.listen is set, and provider.mode is \"standing\": nobody calls there\n  --> {}\n   = help: set mode = \"answer\" \
         where the provider calls this terminal at its address, or take listen out", path.display()
    )]
    UnusedListen {
        /// The main configuration file.
        path: PathBuf,
    },
    /// A driver file's name cannot be a device's name.
    #[error("the file name cannot name a driver\n  --> {}", path.display())]
    DriverName {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: NameError,
    },
}

impl ConfigError {
    /// False: the same files give the same answer.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unreadable { .. }
            | Self::NotAFile { .. }
            | Self::TooLong { .. }
            | Self::NotText { .. }
            | Self::UnusedCurrency { .. }
            | Self::Text(_)
            | Self::Missing { .. }
            | Self::UnknownDriver { .. }
            | Self::LimitCurrency { .. }
            | Self::AmountAboveTotal { .. }
            | Self::TwoSams { .. }
            | Self::UnusedListen { .. }
            | Self::DriverName { .. } => false,
        }
    }
}

/// The part of a device's name that is its driver's.
pub(crate) fn driver_of(device: &DeviceName) -> &str {
    let name = device.as_str();
    name.split_once('/').map_or(name, |(driver, _)| driver)
}

fn help_unreadable(error: &std::io::Error) -> &'static str {
    match error.kind() {
        ErrorKind::NotFound => "write it, or name another file with --config; the sources have an example",
        ErrorKind::PermissionDenied => "let purserd's user read it: chown or chmod it",
        _ => "check the disk and the path",
    }
}

fn help_known(known: &[String]) -> String {
    if known.is_empty() {
        "no driver is configured; write one file for each into drivers.d".to_owned()
    } else {
        format!("configured drivers are {}", list(known))
    }
}

fn list(names: &[String]) -> String {
    names
        .iter()
        .map(|name| format!("`{name}`"))
        .collect::<Vec<_>>()
        .join(", ")
}

/// Something wrong at one place of one file.
#[derive(Debug)]
pub struct TextError {
    path: PathBuf,
    message: String,
    place: Option<Place>,
    help: Option<String>,
}

#[derive(Debug)]
struct Place {
    line: usize,
    column: usize,
    text: String,
    width: usize,
}

impl TextError {
    /// What the TOML reader said about this file.
    pub(super) fn new(path: &Path, input: &str, error: &toml::de::Error) -> Self {
        let (message, help) = explain(error.message());
        Self {
            path: path.to_owned(),
            message,
            place: error.span().map(|span| Place::of(input, span)),
            help,
        }
    }
}

impl Place {
    fn of(input: &str, span: Range<usize>) -> Self {
        let start = floor_boundary(input, span.start);
        let before = &input[..start];
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        let text = input[line_start..].lines().next().unwrap_or_default().to_owned();
        let column = input[line_start..start].chars().count() + 1;
        let marked = input[start..floor_boundary(input, span.end.max(start))]
            .lines()
            .next()
            .unwrap_or_default();
        Self {
            line: before.matches('\n').count() + 1,
            column,
            text,
            width: marked.chars().count().max(1),
        }
    }
}

fn floor_boundary(input: &str, at: usize) -> usize {
    (0..=at.min(input.len()))
        .rev()
        .find(|&at| input.is_char_boundary(at))
        .unwrap_or(0)
}

impl fmt::Display for TextError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\n  --> {}", self.message, self.path.display())?;
        if let Some(Place {
            line,
            column,
            text,
            width,
        }) = &self.place
        {
            let gutter = line.to_string().len();
            write!(
                f,
                ":{line}:{column}\n{:gutter$} |\n{line} | {text}\n{:gutter$} | ",
                "", ""
            )?;
            // A tab in the text stays one in the margin, so that the caret stands below its key in any terminal.
            let margin = text
                .chars()
                .take(column - 1)
                .map(|c| if c == '\t' { '\t' } else { ' ' });
            write!(f, "{}{}", margin.collect::<String>(), "^".repeat(*width))?;
        }
        match &self.help {
            Some(help) => write!(f, "\n   = help: {help}"),
            None => Ok(()),
        }
    }
}

/// Turns serde's words for an unknown key or choice into ours, with a suggestion.
///
/// The names are only to be had from the message: serde's `unknown_field` hands them to the reader, which keeps text.
fn explain(message: &str) -> (String, Option<String>) {
    let (kind, rest) = match (
        message.strip_prefix("unknown field "),
        message.strip_prefix("unknown variant "),
    ) {
        (Some(rest), _) => ("unknown key", rest),
        (None, Some(rest)) => ("unknown value", rest),
        (None, None) => return (plain(message), None),
    };
    let mut quoted = rest.split('`').skip(1).step_by(2);
    let Some(name) = quoted.next() else {
        return (message.to_owned(), None);
    };
    let known: Vec<String> = quoted.map(str::to_owned).collect();
    let help = match nearest(name, &known) {
        Some(near) => format!("did you mean `{near}`?"),
        None if known.is_empty() => "nothing may be written here".to_owned(),
        None => format!("known here: {}", list(&known)),
    };
    (format!("{kind} `{name}`"), Some(help))
}

/// The reader's message without words that only a Rust programmer knows.
fn plain(message: &str) -> String {
    message
        .replace("missing field", "missing key")
        .replace("u64", "a whole number")
        .replace("u32", "a whole number")
        .replace("a boolean", "true or false")
}

/// The known name that is few typing slips away: at most one for each three letters.
fn nearest<'a>(name: &str, known: &'a [String]) -> Option<&'a str> {
    known
        .iter()
        .map(|candidate| (strsim::damerau_levenshtein(name, candidate), candidate.as_str()))
        .filter(|(slips, candidate)| *slips <= (name.len().max(candidate.len()) / 3).max(1))
        .min_by_key(|(slips, _)| *slips)
        .map(|(_, candidate)| candidate)
}
