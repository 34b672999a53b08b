//! The verbs that open the journal's files: the full check, and the head of the record chain.

use std::path::Path;

use jiff::Timestamp;
use purser_journal::{MendError, OpenError, Reader, Report, VerifyError, mend, verify};
use serde_json::json;

use crate::cli::VerifyJournal;
use crate::exit::Exit;
use crate::verbs::chain;

/// `purserd verify-journal`.
pub(crate) fn verify_journal(state_dir: &Path, how: &VerifyJournal) -> Exit {
    let checked = verify(state_dir, how.expect, |_, _| {});
    if how.json {
        println!("{}", as_json(&checked));
    } else {
        print(state_dir, &checked);
    }
    match checked {
        Ok(_) => Exit::Done,
        Err(VerifyError::Found(_)) => Exit::Failed,
        Err(VerifyError::Open(error)) => exit_of(&error),
        Err(VerifyError::Read(error)) if error.is_damage() => Exit::Failed,
        Err(VerifyError::Read(_)) => Exit::StoreBroken,
    }
}

/// `purserd mend-journal`.
pub(crate) fn mend_journal(state_dir: &Path, reason: &str) -> Exit {
    // One line, whatever was typed.
    let reason = reason.replace(char::is_control, " ");
    let (now, uid) = (Timestamp::now(), rustix::process::getuid().as_raw());
    match mend(state_dir, &format!("{now} user {uid}: {reason:?}")) {
        Ok(mended) => {
            let finding = mended.finding.map_or_else(
                || "a mend that was interrupted is ended".to_owned(),
                |finding| chain(&finding),
            );
            let kept = mended.kept.display();
            println!("mended: {finding}; the damaged file is kept as {kept}");
            print(state_dir, &Ok(mended.report));
            if let Some(left) = mended.left {
                eprintln!("note: {}", chain(&left));
            }
            Exit::Done
        }
        Err(MendError::Whole) => {
            println!("{}", MendError::Whole);
            Exit::Done
        }
        Err(error) => {
            tell(state_dir, &error);
            match error {
                MendError::Open(error) => exit_of(&error),
                MendError::Read(error) if !error.is_damage() => Exit::StoreBroken,
                MendError::Exchange(_) => Exit::StoreBroken,
                MendError::Whole
                | MendError::Entries(_)
                | MendError::Verdicts(_)
                | MendError::Twice { .. }
                | MendError::Read(_)
                | MendError::Again(_)
                | MendError::Unvouched => Exit::Failed,
            }
        }
    }
}

/// `purserd head`.
pub(crate) fn head(state_dir: &Path) -> Exit {
    let reader = match Reader::open(state_dir) {
        Ok(reader) => reader,
        Err(error) => {
            tell(state_dir, &error);
            return exit_of(&error);
        }
    };
    match reader.head() {
        Ok(head) => {
            println!("{head}");
            Exit::Done
        }
        Err(error) => {
            tell(state_dir, &error);
            if error.is_damage() {
                Exit::JournalRefused
            } else {
                Exit::StoreBroken
            }
        }
    }
}

fn tell(state_dir: &Path, error: &dyn std::error::Error) {
    eprintln!("error: {}: {}", state_dir.display(), chain(error));
}

/// How a process ends whose journal does not open.
pub(crate) fn exit_of(error: &OpenError) -> Exit {
    match error {
        OpenError::Locked { .. } | OpenError::ReaderHolds => Exit::InUse,
        OpenError::Io(_) | OpenError::NoSpace { .. } => Exit::StoreBroken,
        OpenError::NewerVersion { .. }
        | OpenError::NotAJournal
        | OpenError::Damaged(_)
        | OpenError::ChainBroken { .. }
        | OpenError::TailCut { .. }
        | OpenError::Replaced { .. }
        | OpenError::Gone
        | OpenError::FirstPage
        | OpenError::KeyMissing
        | OpenError::KeyUnusable => Exit::JournalRefused,
        OpenError::Absent
        | OpenError::FolderShared
        | OpenError::FolderOwner { .. }
        | OpenError::Permission(_) => Exit::Failed,
    }
}

fn print(state_dir: &Path, checked: &Result<Report, VerifyError>) {
    match checked {
        Ok(Report {
            head,
            operations,
            open,
            debits,
        }) => println!(
            "the journal is whole: {} entries, {operations} operations, {debits} debits, {open} in doubt\nhead {head}",
            head.number
        ),
        Err(error) => {
            tell(state_dir, error);
            if is_not_compared(error) {
                eprintln!("note: {NOT_COMPARED}");
            }
        }
    }
}

/// True where a full check left something out.
pub(crate) fn is_not_compared(error: &VerifyError) -> bool {
    matches!(error, VerifyError::Found(finding) if !finding.hits_all() && !finding.is_of_verdicts())
}

/// What a full check leaves out beside a damaged entry.
pub(crate) const NOT_COMPARED: &str = "the balances, the list of open payments and the counts of rows were not compared with the \
    entries, because one of these is damaged";

fn as_json(checked: &Result<Report, VerifyError>) -> serde_json::Value {
    match checked {
        Ok(Report {
            head,
            operations,
            open,
            debits,
        }) => json!({
            "whole": true, "head": head.to_string(), "entries": head.number,
            "operations": operations, "open": open, "debits": debits,
        }),
        Err(VerifyError::Found(finding)) => json!({ "whole": false, "finding": chain(finding) }),
        Err(error) => json!({ "whole": null, "error": chain(error) }),
    }
}
