//! Enrolment with a one-time code, and renewal.
//!
//! The terminal makes its key and never shows the private half. It proves that it has it with a signature over what it
//! asks. Whoever has a code can enrol once; the same key may ask again, because an answer can be lost.

use rusqlite::{OptionalExtension, Transaction};
use serde::Deserialize;
use serde_json::json;

use super::Shared;
use super::http::Reply;
use super::peer::{self, Fingerprint};
use crate::authority::{PUBLIC_KEY_BYTES, now_unix_seconds, verifies};
use crate::fault::{Failure, Fault};
use crate::store::{Store, exists};
use crate::verbs::code_digest;

/// What a terminal sends to enrol.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Enrolment {
    code: String,
    #[serde(with = "hex::serde")]
    public_key: [u8; PUBLIC_KEY_BYTES],
    /// ECDSA over `purser enrolment`, the code's bytes and the public key's.
    #[serde(with = "hex::serde")]
    proof: Vec<u8>,
}

/// What an enrolled terminal sends to get a certificate for a new key.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Renewal {
    #[serde(with = "hex::serde")]
    public_key: [u8; PUBLIC_KEY_BYTES],
    /// ECDSA over `purser renewal`, the terminal's name and the public key's bytes.
    #[serde(with = "hex::serde")]
    proof: Vec<u8>,
}

/// How the provider calls a terminal with this address.
pub(crate) fn call_back(address: Option<&str>) -> &'static str {
    if address.is_some() { "answer" } else { "standing" }
}

/// Enrols, or gives the same answer again to the same key.
pub(crate) fn enrol(shared: &Shared, store: &mut Store, asked: &Enrolment) -> Result<Reply, Failure> {
    prove(
        &asked.public_key,
        &[b"purser enrolment", asked.code.as_bytes()],
        &asked.proof,
    )?;
    let now = now_unix_seconds();
    let sql = store.begin()?;
    let query = "SELECT terminal, expires_at, used_by FROM enrolment_code WHERE digest = ?1";
    let found: Option<(String, i64, Option<Vec<u8>>)> = sql
        .query_row(query, [code_digest(&asked.code)], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?))
        })
        .optional()?;
    let refused = |name, cause| {
        let remedy = "have the provider's operator make a new code";
        Err(Fault::forbidden(name, cause, remedy).into())
    };
    let Some((terminal, expires_at, used_by)) = found else {
        return refused("UnknownCode", "there is no such enrolment code");
    };
    if used_by.as_deref().is_some_and(|key| key != asked.public_key) {
        return refused("CodeUsed", "the enrolment code has been used with another key");
    }
    if used_by.is_none() && expires_at < now {
        return refused("CodeExpired", "the enrolment code is too old");
    }
    if exists(
        &sql,
        "SELECT 1 FROM terminal WHERE name = ?1 AND standing = 'revoked'",
        [&terminal],
    )? {
        return refused("Revoked", "the terminal is revoked");
    }
    if used_by.is_none() {
        // Whoever held an earlier certificate of this terminal holds none now.
        sql.execute("DELETE FROM certificate WHERE terminal = ?1", [&terminal])?;
        certify(shared, &sql, &terminal, &asked.public_key, now)?;
        sql.execute(
            "UPDATE enrolment_code SET used_by = ?2 WHERE terminal = ?1",
            (&terminal, asked.public_key),
        )?;
        // The provider's account is pinned: a permit with another one is refused by the terminal (money rule T4).
        sql.execute(
            "UPDATE terminal SET enrolled_at = coalesce(enrolled_at, ?2), pinned_account =
               (SELECT bank.account FROM merchant JOIN bank ON bank.name = merchant.bank WHERE merchant.name = terminal.merchant)
             WHERE name = ?1",
            (&terminal, now),
        )?;
    }
    let reply = certificate(shared, &sql, &terminal, &asked.public_key)?;
    sql.commit()?;
    Ok(reply)
}

/// Gives a certificate for a new key to a terminal that has one for its old key. The old one stays good: the answer can
/// be lost.
pub(crate) fn renew(
    shared: &Shared,
    store: &mut Store,
    peer: Option<Fingerprint>,
    asked: &Renewal,
) -> Result<Reply, Failure> {
    let sql = store.begin()?;
    let peer = peer::terminal(&sql, peer)?;
    let name = peer.name.as_str();
    prove(
        &asked.public_key,
        &[b"purser renewal", name.as_bytes()],
        &asked.proof,
    )?;
    let owner: Option<String> = sql
        .query_row(
            "SELECT terminal FROM certificate WHERE public_key = ?1",
            [asked.public_key],
            |row| row.get(0),
        )
        .optional()?;
    match owner {
        None => certify(shared, &sql, name, &asked.public_key, now_unix_seconds())?,
        Some(owner) if owner == name => {}
        Some(_) => return Err(key_known()),
    }
    let reply = certificate(shared, &sql, name, &asked.public_key)?;
    sql.commit()?;
    Ok(reply)
}

fn key_known() -> Failure {
    let cause = "the key is known from elsewhere";
    Fault::conflict(
        "KeyKnown",
        cause,
        "make a new key for each terminal and each renewal",
    )
    .into()
}

fn prove(key: &[u8; PUBLIC_KEY_BYTES], asked: &[&[u8]], proof: &[u8]) -> Result<(), Failure> {
    let signed = [&asked.concat()[..], key].concat();
    if verifies(key, &signed, proof) {
        Ok(())
    } else {
        let cause = "the proof is no signature of the public key over what is asked";
        Err(Fault::invalid(
            "BadProof",
            cause,
            "sign with the private half of the key that is sent",
        )
        .into())
    }
}

fn certify(
    shared: &Shared,
    sql: &Transaction<'_>,
    terminal: &str,
    key: &[u8; PUBLIC_KEY_BYTES],
    now: i64,
) -> Result<(), Failure> {
    if exists(sql, "SELECT 1 FROM certificate WHERE public_key = ?1", [key])? {
        return Err(key_known());
    }
    let issued = shared.authority.certify(terminal, key)?;
    sql.execute(
        "INSERT INTO certificate (fingerprint, terminal, public_key, der, issued_at, expires_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        (
            Fingerprint::of_der(&issued.der).bytes(),
            terminal,
            key,
            &issued.der,
            now,
            issued.expires_unix_seconds,
        ),
    )?;
    Ok(())
}

fn certificate(
    shared: &Shared,
    sql: &Transaction<'_>,
    terminal: &str,
    key: &[u8; PUBLIC_KEY_BYTES],
) -> Result<Reply, Failure> {
    let query =
        "SELECT der, expires_at, role, merchant, hex(psam_number), bank_terminal, address, pinned_account
                 FROM certificate JOIN terminal ON terminal.name = certificate.terminal
                 WHERE public_key = ?1 AND terminal = ?2";
    let reply = sql
        .query_row(query, (key, terminal), |row| {
            let (der, expires_at, role): (Vec<u8>, i64, String) = (row.get(0)?, row.get(1)?, row.get(2)?);
            let (merchant, number): (Option<String>, String) =
                (row.get(3)?, row.get::<_, Option<String>>(4)?.unwrap_or_default());
            let (bank_terminal, address): (Option<String>, Option<String>) = (row.get(5)?, row.get(6)?);
            let account: Option<String> = row.get(7)?;
            Ok(json!({
                "provider": shared.provider.name, "terminal": terminal, "role": role, "merchant": merchant,
                "psam_number": Some(number).filter(|it| !it.is_empty()), "bank_terminal": bank_terminal,
                "provider_account": account, "call_back": call_back(address.as_deref()),
                "certificate": hex::encode(der), "certificate_expires_at": expires_at,
                "authority": hex::encode(shared.authority.certificate()),
                "signing_key": hex::encode(shared.authority.signing_public_key()),
            }))
        })
        .optional()?;
    // The certificate went when the terminal enrolled anew with a later code.
    let gone = || {
        Fault::forbidden(
            "CodeUsed",
            "the code's certificate was replaced",
            "have a new code made",
        )
    };
    Ok(Reply::ok(reply.ok_or_else(gone)?))
}
