//! `permit`: revoked at the bank, then issued again (money rule B4). Until there is a line to the bank, a person asks it and
//! enters what it says.

use purser_provider_link::{Permit as Document, PermitId, TerminalName};
use purser_provider_rules::permit::{BankSays, PermitRecord, Phase, Refusal};
use rusqlite::{Connection, OptionalExtension};
use serde_json::{Value, json};

use super::hex_bytes;
use crate::authority::{Authority, now_unix_seconds};
use crate::cli::{Permit, Word};
use crate::fault::{Failure, Fault};
use crate::folder::Folder;
use crate::show::Shown;
use crate::store::permits::{self, Draft, Stored, phase_name};
use crate::store::{Store, alarm, exists};

/// So many are shown, the newest first.
const SHOWN_MAX: u32 = 1_000;
/// The longest reference of a bank.
const REFERENCE_BYTES_MAX: usize = 64;

pub(crate) fn permit(store: &mut Store, folder: &Folder, verb: &Permit) -> Result<Shown, Failure> {
    match verb {
        Permit::Revoke { permit } => revoke(store, permit),
        Permit::Answered {
            permit,
            generation,
            word,
            reference,
        } => answered(store, permit, *generation, *word, reference),
        Permit::Reissue { permit, terminal } => reissue(store, folder, permit, terminal.as_deref()),
        Permit::List => list(store),
    }
}

fn refused(refusal: Refusal) -> Failure {
    let remedy = match refusal {
        Refusal::NotProven => {
            "ask the bank with `permit revoke`, and enter its answer with `permit answered`"
        }
        Refusal::Paid => "nothing is to be issued again: it is paid, or there was nothing to pay",
        Refusal::OtherGeneration => "see `purser-provider permit list`",
        Refusal::Exhausted => "ask who maintains this program",
    };
    Fault::conflict(refusal.name(), refusal.to_string(), remedy).into()
}

fn find(sql: &Connection, permit: &str) -> Result<Stored, Failure> {
    let id = PermitId(hex_bytes("PermitId", permit)?);
    permits::newest(sql, id)?.ok_or_else(|| {
        let cause = format!("there is no permit {permit}");
        Fault::unknown("UnknownPermit", cause, "see `purser-provider permit list`").into()
    })
}

fn shown(permit: &Document, phase: Phase) -> Value {
    json!({
        "permit": permit.id.to_string(), "generation": permit.generation, "phase": phase_name(phase),
        "terminal": permit.presenter.as_str(), "bank_terminal": String::from_utf8_lossy(permit.bank_terminal.as_bytes()),
        "account": String::from_utf8_lossy(permit.account.digits()),
        "total": permit.sum.total.minor(), "currency": permit.sum.total.currency().code(),
        "expires_at": permit.expires_unix_seconds,
    })
}

fn revoke(store: &mut Store, permit: &str) -> Result<Shown, Failure> {
    let sql = store.begin()?;
    let stored = find(&sql, permit)?;
    let record = stored.record.revoke().map_err(refused)?;
    permits::set_phase(&sql, &record)?;
    sql.commit()?;
    let told = &stored.permit;
    let sentence = format!(
        "have the bank make permit {} generation {} unusable: {} from account {} at its terminal {}; then enter its answer",
        told.id,
        told.generation,
        told.sum.total,
        String::from_utf8_lossy(told.account.digits()),
        String::from_utf8_lossy(told.bank_terminal.as_bytes()),
    );
    Ok(Shown::one(sentence, shown(told, record.phase())))
}

fn answered(
    store: &mut Store,
    permit: &str,
    generation: u32,
    word: Word,
    reference: &str,
) -> Result<Shown, Failure> {
    if reference.is_empty() || reference.len() > REFERENCE_BYTES_MAX {
        let cause = format!("a reference has 1 to {REFERENCE_BYTES_MAX} bytes");
        return Err(Fault::invalid(
            "Reference",
            cause,
            "give the number under which the bank has said it",
        )
        .into());
    }
    let sql = store.begin()?;
    let stored = find(&sql, permit)?;
    if generation == 0 || generation > stored.permit.generation {
        return Err(refused(Refusal::OtherGeneration));
    }
    let (says, name) = match word {
        Word::Unusable => (BankSays::Unusable, "unusable"),
        Word::Paid => (BankSays::Paid, "paid"),
    };
    let is_known =
        "SELECT 1 FROM bank_word WHERE permit = ?1 AND generation = ?2 AND word = ?3 AND reference = ?4";
    let entered = (stored.permit.id.0, generation, name, reference);
    let is_repeat = exists(&sql, is_known, entered)?;
    // What it says without being asked to make it unusable proves nothing: it may pay it a moment later.
    if stored.record.phase() == Phase::Live && !is_repeat && generation == stored.permit.generation {
        let cause = "the bank has not been asked to make this generation unusable";
        return Err(Fault::conflict("NotAsked", cause, "begin with `permit revoke`").into());
    }
    let mut record = stored.record.clone();
    if !is_repeat {
        record = heard(&sql, &stored, generation, says)?;
        let insert =
            "INSERT INTO bank_word (permit, generation, word, reference, at) VALUES (?1, ?2, ?3, ?4, ?5)";
        let (permit, generation, name, reference) = entered;
        sql.execute(insert, (permit, generation, name, reference, now_unix_seconds()))?;
        permits::set_phase(&sql, &record)?;
    }
    sql.commit()?;
    let phase = record.phase();
    let sentence = format!("permit {permit} generation {generation} is {}", phase_name(phase));
    Ok(Shown::one(sentence, shown(&stored.permit, phase)))
}

/// Where the permit stands after the bank's answer. That it has paid what it had called unusable is an alarm, and the permit is
/// not issued again on its earlier word.
fn heard(
    sql: &Connection,
    stored: &Stored,
    generation: u32,
    says: BankSays,
) -> Result<PermitRecord, Failure> {
    let id = stored.permit.id;
    let is_revoked = generation < stored.permit.generation || stored.record.phase() == Phase::Revoked;
    let record = match says {
        BankSays::Paid if is_revoked => {
            let terminal = stored.permit.presenter.as_str();
            alarm(sql, now_unix_seconds(), Some(terminal), "PaidThoughRevoked")?;
            if generation < stored.permit.generation {
                return Ok(stored.record.clone());
            }
            PermitRecord::restore(id, stored.permit.sum.total, generation, Phase::Revoking)
        }
        BankSays::Paid | BankSays::Unusable => stored.record.clone(),
    };
    record.bank_says(generation, says).map_err(refused)
}

/// The terminal that shall present it: of the batch's merchant, and let in.
fn presenter(sql: &Connection, earlier: &Document, name: &str) -> Result<TerminalName, Failure> {
    let query = "SELECT standing, pinned_account, merchant IS (SELECT merchant FROM terminal WHERE name = ?2)
                 FROM terminal WHERE name = ?1 AND role = 'merchant'";
    let found: Option<(String, Option<String>, bool)> = sql
        .query_row(query, (name, earlier.presenter.as_str()), |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?))
        })
        .optional()?;
    let remedy = "name an enrolled terminal of the same merchant with --terminal";
    let conflict = |fault: &'static str, cause: String| Err(Fault::conflict(fault, cause, remedy).into());
    match found {
        None => conflict(
            "UnknownTerminal",
            format!("there is no terminal {name} of a merchant"),
        ),
        Some((_, _, false)) => conflict("OtherMerchant", format!("terminal {name} is another merchant's")),
        Some((standing, ..)) if standing != "enrolled" => {
            conflict("NotEnrolled", format!("terminal {name} is {standing}"))
        }
        Some((_, account, true))
            if account.as_deref().map(str::as_bytes) != Some(earlier.account.digits()) =>
        {
            conflict(
                "NotEnrolled",
                format!("terminal {name} has not pinned the account of this permit"),
            )
        }
        Some(_) => TerminalName::new(name).map_err(|_| Failure::Damaged("a terminal's name")),
    }
}

fn reissue(
    store: &mut Store,
    folder: &Folder,
    permit: &str,
    terminal: Option<&str>,
) -> Result<Shown, Failure> {
    let authority = Authority::open(folder, &store.provider()?.name)?;
    let sql = store.begin()?;
    let Stored {
        row,
        record,
        permit: earlier,
        ..
    } = find(&sql, permit)?;
    let record = record.issue_again().map_err(refused)?;
    let presenter = presenter(&sql, &earlier, terminal.unwrap_or(earlier.presenter.as_str()))?;
    let draft = Draft {
        id: earlier.id,
        generation: record.generation(),
        batch: (row, earlier.batch),
        verdicts: earlier.verdicts,
        sum: earlier.sum,
        presenter,
    };
    let again = permits::issue(&authority, &sql, draft, now_unix_seconds())?;
    sql.commit()?;
    let sentence = format!(
        "permit {} is issued again as generation {}, to terminal {}",
        again.id, again.generation, again.presenter
    );
    Ok(Shown::one(sentence, shown(&again, record.phase())))
}

fn list(store: &Store) -> Result<Shown, Failure> {
    let query = "SELECT id FROM permit WHERE generation = 1 ORDER BY rowid DESC LIMIT ?1";
    let sql = store.reader();
    let mut statement = sql.prepare(query)?;
    let ids = statement.query_map([SHOWN_MAX], |row| row.get(0))?;
    let mut objects = Vec::new();
    for id in ids {
        let stored = permits::newest(sql, PermitId(id?))?.ok_or(Failure::Damaged("a permit"))?;
        objects.push(shown(&stored.permit, stored.record.phase()));
    }
    let columns = &[
        "permit",
        "generation",
        "phase",
        "terminal",
        "bank_terminal",
        "account",
        "total",
        "currency",
        "expires_at",
    ];
    Ok(Shown::list(columns, objects))
}
