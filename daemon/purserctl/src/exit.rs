//! Exit codes, and how a failure is told.

use std::error::Error;
use std::process::ExitCode;

use purser_api::client::ClientError;

/// How the program ends. The codes are part of the interface; `--help` and purserctl(1) list them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Done; for a sale that was waited for: paid.
    Done,
    /// Purser refused, and nothing was changed.
    Refused,
    /// The sale ended without a payment.
    NotPaid,
    /// The outcome of the sale is in doubt.
    InDoubt,
    /// Purser could not be asked, or its answer is not known. Repeat the command with the same reference.
    NotReached,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Done => 0_u8,
            Exit::Refused => 1,
            // 2 is clap's, for a wrong command line.
            Exit::NotPaid => 3,
            Exit::InDoubt => 4,
            Exit::NotReached => 5,
        })
    }
}

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The daemon refused, or could not be asked.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The descriptor of `--pin-fd` cannot be opened.
    #[error(
        "file descriptor {descriptor} cannot be read; give the number of an open one, such as 3 with 3<pin"
    )]
    PinDescriptor {
        /// Its number.
        descriptor: u32,
        /// The system's reason.
        #[source]
        source: std::io::Error,
    },
    /// The file of a recording cannot be made.
    #[error("{path} cannot be made; name a file that does not exist, in a folder where you may write")]
    Recording {
        /// Its path.
        path: std::path::PathBuf,
        /// The system's reason.
        #[source]
        source: std::io::Error,
    },
    /// The sale was begun, and then the daemon did not come back.
    #[error(
        "purserd has been away for {seconds} s; `purserctl sale` with the same reference finds the sale again"
    )]
    Away {
        /// How long it was waited for.
        seconds: u64,
    },
    /// The answer cannot be printed.
    #[error("the answer cannot be written")]
    Output(#[from] std::io::Error),
    /// This program cannot start.
    #[error("this program cannot start its event loop")]
    Runtime(#[source] std::io::Error),
}

impl Failure {
    pub(crate) fn exit(&self) -> Exit {
        match self {
            Self::Client(ClientError::Refused(_)) | Self::PinDescriptor { .. } | Self::Recording { .. } => {
                Exit::Refused
            }
            Self::Client(
                ClientError::NotReachable { .. }
                | ClientError::ConnectionLost(_)
                | ClientError::NotUnderstood(_)
                | ClientError::OutOfStep,
            )
            | Self::Away { .. }
            | Self::Output(_)
            | Self::Runtime(_) => Exit::NotReached,
        }
    }
}

/// Tells a failure: the whole chain on stderr, or one JSON object on stdout.
pub(crate) fn report(failure: &Failure, json: bool) {
    if let (true, Failure::Client(ClientError::Refused(fault))) = (json, failure) {
        let mut object = serde_json::to_value(fault).unwrap_or_default();
        object["error"] = (*fault.name).into();
        println!("{object}");
        return;
    }
    if json {
        println!(
            "{}",
            serde_json::json!({ "error": "NotReached", "cause": chain(failure), "transient": true })
        );
        return;
    }
    match failure {
        Failure::Client(ClientError::Refused(fault)) => {
            eprintln!(
                "purserctl: {} ({})\n  what to do: {}",
                fault.cause, fault.name, fault.remedy
            );
        }
        _ => eprintln!("purserctl: {}", chain(failure)),
    }
}

fn chain(failure: &Failure) -> String {
    let mut text = failure.to_string();
    let mut source = failure.source();
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
