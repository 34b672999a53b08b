//! `terminal`: who may ask, bound to a role, a merchant and two numbers before it enrols.

use purser_provider_link::{BankTerminalId, TerminalName};
use rusqlite::{OptionalExtension, Transaction};
use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::hex_bytes;
use crate::authority::{now_unix_seconds, random};
use crate::cli::{Role, Terminal, TerminalAdd};
use crate::fault::{Failure, Fault};
use crate::show::Shown;
use crate::store::{Store, exists};

/// How long an enrolment code is good: a visit to the shop, and the day after.
pub(crate) const CODE_SECONDS: i64 = 48 * 3_600;

/// The digest under which a code is stored.
pub(crate) fn code_digest(code: &str) -> [u8; 32] {
    Sha256::digest(code.as_bytes()).into()
}

pub(crate) fn terminal(store: &mut Store, verb: &Terminal) -> Result<Shown, Failure> {
    match verb {
        Terminal::Add(add) => self::add(store, add),
        Terminal::Code { name } => new_code(store, name),
        Terminal::Reconcile { name, generation } => reconcile(store, name, *generation),
        Terminal::Suspend { name } => stand(store, name, "suspended", &["enrolled", "suspended"]),
        Terminal::Resume { name } => stand(store, name, "enrolled", &["enrolled", "suspended"]),
        Terminal::Revoke { name } => stand(store, name, "revoked", &["enrolled", "suspended", "revoked"]),
        Terminal::List => list(store),
    }
}

fn add(store: &mut Store, add: &TerminalAdd) -> Result<Shown, Failure> {
    let name = TerminalName::new(add.name.as_str()).map_err(|error| {
        Fault::invalid(
            "Name",
            error.to_string(),
            "give a name of 1 to 64 visible ASCII characters",
        )
    })?;
    if let (Role::Provider, Some(_), _, _)
    | (Role::Provider, _, Some(_), _)
    | (Role::Provider, _, _, Some(_)) = (add.role, &add.merchant, &add.psam_number, &add.bank_terminal)
    {
        let cause = "a provider's terminal loads cards: it has no merchant, PSAM and bank terminal id";
        return Err(Fault::invalid("Role", cause, "leave those three out, or use --role merchant").into());
    }
    let number: Option<[u8; 6]> = add
        .psam_number
        .as_deref()
        .map(|it| hex_bytes("PsamNumber", it))
        .transpose()?;
    if let Some(id) = &add.bank_terminal {
        let characters: Option<[u8; 8]> = id.as_bytes().try_into().ok();
        if characters.and_then(|it| BankTerminalId::new(it).ok()).is_none() {
            let cause = format!("{id:?} is not eight visible ASCII characters");
            return Err(
                Fault::invalid("BankTerminal", cause, "ask the bank for the terminal's number").into(),
            );
        }
    }
    let (role, now) = (role_name(add.role), now_unix_seconds());
    let sql = store.begin()?;
    check_free(&sql, name.as_str(), number)?;
    let has_merchant = |merchant: &String| exists(&sql, "SELECT 1 FROM merchant WHERE name = ?1", [merchant]);
    if let Some(merchant) = &add.merchant
        && !has_merchant(merchant)?
    {
        let cause = format!("there is no merchant {merchant}");
        return Err(Fault::unknown(
            "UnknownMerchant",
            cause,
            "add it with `purser-provider merchant add`",
        )
        .into());
    }
    sql.execute(
        "INSERT INTO terminal (name, role, merchant, psam_number, bank_terminal, address, standing, added_at, is_software_sam)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, 'enrolled', ?7, ?8)",
        (
            name.as_str(),
            role,
            &add.merchant,
            number,
            &add.bank_terminal,
            &add.address,
            now,
            add.software_sam,
        ),
    )?;
    let code = make_code(&sql, name.as_str(), now)?;
    sql.commit()?;
    Ok(code_shown(name.as_str(), &code, now))
}

/// Name and number say who somebody is: nobody else has them.
fn check_free(sql: &Transaction<'_>, name: &str, number: Option<[u8; 6]>) -> Result<(), Failure> {
    if exists(sql, "SELECT 1 FROM terminal WHERE name = ?1", [name])? {
        let cause = format!("there is a terminal {name}");
        let remedy = "choose another name, or see `purser-provider terminal code`";
        return Err(Fault::conflict("NameTaken", cause, remedy).into());
    }
    if exists(sql, "SELECT 1 FROM provider WHERE name = ?1", [name])? {
        let cause = format!("{name} is this provider itself");
        return Err(Fault::conflict("NameTaken", cause, "choose another name").into());
    }
    if exists(sql, "SELECT 1 FROM terminal WHERE psam_number = ?1", [number])? {
        let cause = "another terminal has this PSAM terminal number";
        let remedy = "a claim's number says whose sale it is: see `purser-provider terminal list`";
        return Err(Fault::conflict("NumberTaken", cause, remedy).into());
    }
    Ok(())
}

fn role_name(role: Role) -> &'static str {
    match role {
        Role::Merchant => "merchant",
        Role::Provider => "provider",
    }
}

/// Makes a code; an earlier one of the terminal is good no longer.
fn make_code(sql: &Transaction<'_>, name: &str, now: i64) -> Result<String, Failure> {
    let code = hex::encode(random::<16>()?);
    sql.execute("DELETE FROM enrolment_code WHERE terminal = ?1", [name])?;
    sql.execute(
        "INSERT INTO enrolment_code (digest, terminal, expires_at) VALUES (?1, ?2, ?3)",
        (code_digest(&code), name, now.saturating_add(CODE_SECONDS)),
    )?;
    Ok(code)
}

fn code_shown(name: &str, code: &str, now: i64) -> Shown {
    Shown::one(
        format!("enrolment code of {name}, for one use within 48 hours: {code}"),
        json!({ "terminal": name, "enrolment_code": code, "expires_at": now.saturating_add(CODE_SECONDS) }),
    )
}

fn unknown(name: &str) -> Failure {
    let cause = format!("there is no terminal {name}");
    Fault::unknown("UnknownTerminal", cause, "see `purser-provider terminal list`").into()
}

fn standing(sql: &Transaction<'_>, name: &str) -> Result<String, Failure> {
    let query = "SELECT standing FROM terminal WHERE name = ?1";
    let found = sql.query_row(query, [name], |row| row.get(0)).optional()?;
    found.ok_or_else(|| unknown(name))
}

fn revoked(name: &str) -> Failure {
    let cause = format!("terminal {name} is revoked");
    Fault::conflict("Revoked", cause, "add the machine anew under another name").into()
}

fn new_code(store: &mut Store, name: &str) -> Result<Shown, Failure> {
    let now = now_unix_seconds();
    let sql = store.begin()?;
    if standing(&sql, name)? == "revoked" {
        return Err(revoked(name));
    }
    let code = make_code(&sql, name, now)?;
    sql.commit()?;
    Ok(code_shown(name, &code, now))
}

fn stand(store: &mut Store, name: &str, to: &'static str, from: &[&str]) -> Result<Shown, Failure> {
    let sql = store.begin()?;
    if !from.contains(&standing(&sql, name)?.as_str()) {
        return Err(revoked(name));
    }
    // A person has looked: forgeries are counted anew.
    sql.execute(
        "UPDATE terminal SET standing = ?2, forgeries = 0 WHERE name = ?1",
        (name, to),
    )?;
    sql.commit()?;
    Ok(Shown::one(
        format!("terminal {name} is {to}"),
        json!({ "terminal": name, "standing": to }),
    ))
}

/// A restored terminal's claims are held until a person has compared its books with the provider's (money rule T1).
fn reconcile(store: &mut Store, name: &str, generation: u32) -> Result<Shown, Failure> {
    let sql = store.begin()?;
    standing(&sql, name)?;
    let query = "SELECT generation FROM terminal WHERE name = ?1";
    let known: u32 = sql.query_row(query, [name], |row| row.get(0))?;
    if generation < known {
        let cause = format!("terminal {name} has a later generation than {generation}: {known}");
        let remedy = "an old image of the machine is running: find out which one is the machine";
        return Err(Fault::conflict("GenerationGoesBack", cause, remedy).into());
    }
    // Two restores from one copy begin the same generation, and the second one's numbers are those of the first.
    if generation == known {
        let cause = format!("terminal {name} is reconciled with generation {known} already");
        let remedy = "if it was restored since, say `purserd new-generation --yes --later-than` this one on it, then reconcile what it tells";
        return Err(Fault::conflict("GenerationKnown", cause, remedy).into());
    }
    let change = "UPDATE terminal SET generation = ?2 WHERE name = ?1";
    sql.execute(change, (name, generation))?;
    sql.commit()?;
    Ok(Shown::one(
        format!("terminal {name} is reconciled with generation {generation}"),
        json!({ "terminal": name, "generation": generation }),
    ))
}

fn list(store: &Store) -> Result<Shown, Failure> {
    let query = "SELECT name, role, merchant, hex(psam_number), bank_terminal, address, standing, enrolled_at, generation
                 FROM terminal ORDER BY name";
    let mut statement = store.reader().prepare(query)?;
    let rows = statement.query_map((), |row| {
        let (name, role, merchant): (String, String, Option<String>) =
            (row.get(0)?, row.get(1)?, row.get(2)?);
        let number: Option<String> = row.get(3)?;
        let (bank_terminal, address): (Option<String>, Option<String>) = (row.get(4)?, row.get(5)?);
        let (standing, enrolled_at): (String, Option<i64>) = (row.get(6)?, row.get(7)?);
        let generation: u32 = row.get(8)?;
        Ok(json!({
            "terminal": name, "role": role, "merchant": merchant,
            "psam_number": number.filter(|it| !it.is_empty()), "bank_terminal": bank_terminal,
            "address": address, "standing": standing, "has_enrolled": enrolled_at.is_some(),
            "generation": generation,
        }))
    })?;
    let columns = &[
        "terminal",
        "role",
        "merchant",
        "psam_number",
        "bank_terminal",
        "address",
        "standing",
        "has_enrolled",
        "generation",
    ];
    Ok(Shown::list(columns, rows.collect::<Result<_, _>>()?))
}
