//! What goes wrong, and how it is told: to an operator with its remedy, to a terminal as a named answer.

use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;

/// A refusal by name. Nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{cause}")]
pub(crate) struct Fault {
    /// Its name: part of the interface.
    pub(crate) name: &'static str,
    /// What is wrong.
    pub(crate) cause: String,
    /// What to do.
    pub(crate) remedy: &'static str,
    /// The HTTP status under which a terminal is told.
    pub(crate) status: u16,
    /// True when the same request can succeed later.
    pub(crate) is_transient: bool,
}

impl Fault {
    /// A refusal of something that contradicts what is stored.
    pub(crate) fn conflict(name: &'static str, cause: impl Into<String>, remedy: &'static str) -> Self {
        Self::with_status(409, name, cause, remedy)
    }

    /// Something that is not there.
    pub(crate) fn unknown(name: &'static str, cause: impl Into<String>, remedy: &'static str) -> Self {
        Self::with_status(404, name, cause, remedy)
    }

    /// A value that is not what it has to be.
    pub(crate) fn invalid(name: &'static str, cause: impl Into<String>, remedy: &'static str) -> Self {
        Self::with_status(400, name, cause, remedy)
    }

    /// Something that this caller may not do.
    pub(crate) fn forbidden(name: &'static str, cause: impl Into<String>, remedy: &'static str) -> Self {
        Self::with_status(403, name, cause, remedy)
    }

    pub(crate) fn with_status(
        status: u16,
        name: &'static str,
        cause: impl Into<String>,
        remedy: &'static str,
    ) -> Self {
        Self {
            name,
            cause: cause.into(),
            remedy,
            status,
            is_transient: false,
        }
    }

    pub(crate) fn transient(self) -> Self {
        Self {
            is_transient: true,
            ..self
        }
    }
}

/// Why something could not be done.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// Refused by name.
    #[error(transparent)]
    Refused(#[from] Fault),
    /// The data base gave no answer: what was asked may or may not be stored.
    #[error("the provider's data base cannot be used")]
    Storage(#[from] rusqlite::Error),
    /// The data base holds what cannot be there.
    #[error("the provider's data base contradicts itself in {0}; run `purser-provider audit`")]
    Damaged(&'static str),
    /// A file cannot be used.
    #[error("{} cannot be {done}", .path.display())]
    File {
        path: PathBuf,
        /// "read", "made"…
        done: &'static str,
        #[source]
        source: std::io::Error,
    },
    /// A key or certificate cannot be made or used.
    #[error("a certificate cannot be made")]
    Certificate(#[from] rcgen::Error),
    /// The signing key or the system's randomness fails.
    #[error("{0} failed")]
    Cryptography(&'static str),
    /// TLS cannot be set up.
    #[error("TLS cannot be set up")]
    Tls(#[from] rustls::Error),
    /// The address cannot be listened at.
    #[error("{address} cannot be listened at")]
    Listen {
        address: String,
        #[source]
        source: std::io::Error,
    },
    /// The answer cannot be written.
    #[error("the answer cannot be written")]
    Output(#[from] std::io::Error),
}

/// How the program ends; purser-provider(8) lists the codes. The same as purserctl's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Done.
    Done,
    /// Refused, and nothing was changed; `audit`: it found something.
    Refused,
    /// It is not known whether it is done. Repeat the command.
    NotKnown,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        // 2 is clap's, for a wrong command line; 3 and 4 are purserctl's, for sales.
        Self::from(match exit {
            Exit::Done => 0_u8,
            Exit::Refused => 1,
            Exit::NotKnown => 5,
        })
    }
}

impl Failure {
    pub(crate) fn exit(&self) -> Exit {
        match self {
            Self::Refused(_)
            | Self::File { .. }
            | Self::Listen { .. }
            | Self::Tls(_)
            | Self::Certificate(_)
            | Self::Cryptography(_) => Exit::Refused,
            Self::Storage(_) | Self::Damaged(_) | Self::Output(_) => Exit::NotKnown,
        }
    }

    /// The whole chain, each layer once.
    pub(crate) fn chain(&self) -> String {
        let mut text = self.to_string();
        let mut source = self.source();
        while let Some(error) = source {
            let told = error.to_string();
            if !text.contains(&told) {
                text.push_str(": ");
                text.push_str(&told);
            }
            source = error.source();
        }
        text
    }
}

/// Tells a failure: on stderr, or as one JSON object on stdout.
pub(crate) fn report(failure: &Failure, json: bool) {
    match (failure, json) {
        (Failure::Refused(fault), true) => println!("{}", fault_json(fault)),
        (_, true) => println!(
            "{}",
            serde_json::json!({ "error": "NotDone", "cause": failure.chain(), "transient": false })
        ),
        (Failure::Refused(fault), false) => eprintln!(
            "purser-provider: {} ({})\n  what to do: {}",
            fault.cause, fault.name, fault.remedy
        ),
        (_, false) => eprintln!("purser-provider: {}", failure.chain()),
    }
}

/// A refusal as terminals and programs get it.
pub(crate) fn fault_json(fault: &Fault) -> serde_json::Value {
    serde_json::json!({
        "error": fault.name,
        "cause": fault.cause,
        "remedy": fault.remedy,
        "transient": fault.is_transient,
    })
}
