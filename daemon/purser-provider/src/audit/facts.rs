//! What does not move: the file itself, keys, accounts, certificates.

use sha2::{Digest as _, Sha256};

use super::Audit;
use super::raw::{number, text};
use crate::fault::Failure;

pub(super) fn check(audit: &mut Audit<'_>) -> Result<(), Failure> {
    let sql = audit.sql;
    let mut statement = sql.prepare("PRAGMA integrity_check(100)")?;
    let mut rows = statement.query(())?;
    while let Some(row) = rows.next()? {
        let told: String = row.get(0)?;
        audit.check(told == "ok", "File", || told.clone());
    }
    let mut statement = sql.prepare("PRAGMA foreign_key_check")?;
    let mut rows = statement.query(())?;
    while let Some(row) = rows.next()? {
        let (table, parent): (String, String) = (row.get(0)?, row.get(2)?);
        audit.find(
            "Reference",
            format!("a row of {table} names a row of {parent} that is not there"),
        );
    }
    keys(audit)?;
    accounts(audit)?;
    parameters(audit)?;
    certificates(audit)
}

/// Each version of the parameters is signed, under its number, and none is missing.
fn parameters(audit: &mut Audit<'_>) -> Result<(), Failure> {
    let query = "SELECT version, document, signature FROM parameters ORDER BY version";
    let mut statement = audit.sql.prepare(query)?;
    let mut rows = statement.query(())?;
    let mut next = 1_u64;
    while let Some(row) = rows.next()? {
        let (version, document): (i64, Vec<u8>) = (row.get(0)?, row.get(1)?);
        let signature: Vec<u8> = row.get(2)?;
        let told = text(&document, 5).and_then(|(name, at)| Some((name, number(&document, at)?)));
        let is_itself = document.starts_with(b"PPAR\x01")
            && told == Some((audit.provider.clone(), version.unsigned_abs()))
            && version.unsigned_abs() == next
            && audit.is_signed(&document, &signature);
        audit.check(is_itself, "Parameters", || {
            format!("version {version} of the parameters is not this provider's, or one before it is missing")
        });
        next = version.unsigned_abs().saturating_add(1);
    }
    Ok(())
}

fn keys(audit: &mut Audit<'_>) -> Result<(), Failure> {
    let mut statement = audit
        .sql
        .prepare("SELECT version, check_values FROM key_version")?;
    let mut rows = statement.query(())?;
    while let Some(row) = rows.next()? {
        let (version, values): (u8, Vec<u8>) = (row.get(0)?, row.get(1)?);
        let known = audit
            .keys
            .version(version)
            .map(|masters| masters.check_values().to_vec());
        audit.check(known == Some(values), "KeyVersion", || {
            format!("the card keys file has other keys, or none, under version {version}")
        });
    }
    Ok(())
}

fn accounts(audit: &mut Audit<'_>) -> Result<(), Failure> {
    let query = "SELECT merchant.name FROM merchant JOIN bank ON bank.name = merchant.bank
                 WHERE substr(merchant.account, 1, 4) <> bank.code";
    let mut statement = audit.sql.prepare(query)?;
    let mut rows = statement.query(())?;
    while let Some(row) = rows.next()? {
        let name: String = row.get(0)?;
        audit.find(
            "MerchantAccount",
            format!("the account of merchant {name} is not at its bank"),
        );
    }
    let query = "SELECT terminal.name FROM terminal JOIN merchant ON merchant.name = terminal.merchant
                 JOIN bank ON bank.name = merchant.bank
                 WHERE enrolled_at IS NOT NULL AND pinned_account IS NOT bank.account";
    let mut statement = audit.sql.prepare(query)?;
    let mut rows = statement.query(())?;
    while let Some(row) = rows.next()? {
        let name: String = row.get(0)?;
        audit.find(
            "PinnedAccount",
            format!("terminal {name} has another account pinned than its bank has (T4)"),
        );
    }
    Ok(())
}

fn certificates(audit: &mut Audit<'_>) -> Result<(), Failure> {
    let query = "SELECT terminal, fingerprint, der, public_key FROM certificate";
    let mut statement = audit.sql.prepare(query)?;
    let mut rows = statement.query(())?;
    while let Some(row) = rows.next()? {
        let (terminal, fingerprint): (String, Vec<u8>) = (row.get(0)?, row.get(1)?);
        let (der, key): (Vec<u8>, Vec<u8>) = (row.get(2)?, row.get(3)?);
        let is_its_own =
            Sha256::digest(&der)[..] == fingerprint[..] && der.windows(key.len()).any(|it| it == key);
        audit.check(is_its_own, "Certificate", || {
            format!("a certificate of terminal {terminal} is not the one that was made")
        });
    }
    Ok(())
}
