//! `bank` and `merchant`: whose account is debited, and whose is credited.

use purser_provider_link::BankAccount;
use ring::agreement::{ECDH_P256, EphemeralPrivateKey, UnparsedPublicKey, agree_ephemeral};
use ring::rand::SystemRandom;
use serde_json::json;

use super::hex_bytes;
use crate::authority::PUBLIC_KEY_BYTES;
use crate::cli::{Bank, Merchant};
use crate::fault::{Failure, Fault};
use crate::show::Shown;
use crate::store::{Store, exists};

fn account(digits: &str) -> Result<&str, Failure> {
    let checked: Result<BankAccount, _> = digits.parse();
    checked
        .map_err(|error| Fault::invalid("Account", error.to_string(), "ask the bank for the whole number"))?;
    Ok(digits)
}

fn name_taken(kind: &str, name: &str) -> Failure {
    let cause = format!("there is a {kind} {name} with other facts");
    Fault::conflict(
        "NameTaken",
        cause,
        "choose another name; what is there is not changed",
    )
    .into()
}

pub(crate) fn bank(store: &mut Store, verb: &Bank) -> Result<Shown, Failure> {
    match verb {
        Bank::Add {
            name,
            account: digits,
            sealing_key,
        } => {
            let digits = account(digits)?;
            let key: [u8; PUBLIC_KEY_BYTES] = hex_bytes("SealingKey", sealing_key)?;
            check_point(&key)?;
            let code = &digits[..4];
            let sql = store.begin()?;
            let same = "SELECT 1 FROM bank WHERE name = ?1 AND account = ?2 AND sealing_key = ?3";
            if !exists(&sql, same, (name, digits, key))? {
                if exists(
                    &sql,
                    "SELECT 1 FROM bank WHERE name = ?1 OR code = ?2",
                    (name, code),
                )? {
                    return Err(name_taken("bank", &format!("{name} or one with code {code}")));
                }
                sql.execute(
                    "INSERT INTO bank (name, code, account, sealing_key) VALUES (?1, ?2, ?3, ?4)",
                    (name, code, digits, key),
                )?;
            }
            sql.commit()?;
            Ok(Shown::one(
                format!("bank {name} with code {code}"),
                json!({ "bank": name, "code": code, "account": digits }),
            ))
        }
        Bank::List => {
            let query = "SELECT name, code, account FROM bank ORDER BY name";
            let mut statement = store.reader().prepare(query)?;
            let rows = statement.query_map((), |row| {
                let (name, code, account): (String, String, String) = (row.get(0)?, row.get(1)?, row.get(2)?);
                Ok(json!({ "bank": name, "code": code, "account": account }))
            })?;
            Ok(Shown::list(
                &["bank", "code", "account"],
                rows.collect::<Result<_, _>>()?,
            ))
        }
    }
}

/// A key to which nothing can be sealed is found when it is added, not when the first permit is due.
fn check_point(key: &[u8; PUBLIC_KEY_BYTES]) -> Result<(), Failure> {
    let ours = EphemeralPrivateKey::generate(&ECDH_P256, &SystemRandom::new())
        .map_err(|_| Failure::Cryptography("the system's randomness"))?;
    agree_ephemeral(ours, &UnparsedPublicKey::new(&ECDH_P256, key), |_| ()).map_err(|_| {
        let remedy = "ask the bank for its P-256 key: 04, then 32 bytes of x and 32 of y";
        Fault::invalid("SealingKey", "the sealing key is no point of P-256", remedy).into()
    })
}

pub(crate) fn merchant(store: &mut Store, verb: &Merchant) -> Result<Shown, Failure> {
    match verb {
        Merchant::Add {
            name,
            bank,
            account: digits,
        } => {
            let digits = account(digits)?;
            let sql = store.begin()?;
            let same = "SELECT 1 FROM merchant WHERE name = ?1 AND bank = ?2 AND account = ?3";
            if !exists(&sql, same, (name, bank, digits))? {
                if exists(&sql, "SELECT 1 FROM merchant WHERE name = ?1", [name])? {
                    return Err(name_taken("merchant", name));
                }
                if !exists(
                    &sql,
                    "SELECT 1 FROM bank WHERE name = ?1 AND code = ?2",
                    (bank, &digits[..4]),
                )? {
                    let cause = format!("account {digits} is at no bank {bank} of this provider");
                    let remedy = "see `purser-provider bank list`; the account's first four digits are the bank's code";
                    return Err(Fault::unknown("UnknownBank", cause, remedy).into());
                }
                sql.execute(
                    "INSERT INTO merchant (name, bank, account) VALUES (?1, ?2, ?3)",
                    (name, bank, digits),
                )?;
            }
            sql.commit()?;
            Ok(Shown::one(
                format!("merchant {name} at bank {bank}"),
                json!({ "merchant": name, "bank": bank, "account": digits }),
            ))
        }
        Merchant::List => {
            let query = "SELECT name, bank, account FROM merchant ORDER BY name";
            let mut statement = store.reader().prepare(query)?;
            let rows = statement.query_map((), |row| {
                let (name, bank, account): (String, String, String) = (row.get(0)?, row.get(1)?, row.get(2)?);
                Ok(json!({ "merchant": name, "bank": bank, "account": account }))
            })?;
            Ok(Shown::list(
                &["merchant", "bank", "account"],
                rows.collect::<Result<_, _>>()?,
            ))
        }
    }
}
