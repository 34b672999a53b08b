//! The books and the shadow accounts, changed in the commit of what moves value.

use std::collections::BTreeMap;

use purser_ledger::Currency;
use purser_provider_rules::books::{Account, Books, Transfer};
use purser_provider_rules::shadow::Shadow;
use rusqlite::Connection;

use super::{amount, signed};
use crate::fault::Failure;

/// The books of one currency.
pub(crate) fn books(sql: &Connection, currency: Currency) -> Result<Books, Failure> {
    let mut balances = BTreeMap::new();
    let mut statement = sql.prepare_cached("SELECT account, minor FROM books WHERE currency = ?1")?;
    let mut rows = statement.query([currency.code()])?;
    while let Some(row) = rows.next()? {
        let (name, minor): (String, i64) = (row.get(0)?, row.get(1)?);
        let account = Account::ALL.into_iter().find(|it| it.name() == name);
        let account = account.ok_or(Failure::Damaged("the name of an account"))?;
        balances.insert(
            account,
            u64::try_from(minor).map_err(|_| Failure::Damaged("a balance"))?,
        );
    }
    Books::restore(currency, balances).map_err(|_| Failure::Damaged("a balance"))
}

/// Makes the transfers, all or none.
pub(crate) fn transfer(sql: &Connection, currency: Currency, transfers: &[Transfer]) -> Result<(), Failure> {
    let before = books(sql, currency)?;
    let after = before
        .after(transfers)
        .map_err(|_| Failure::Damaged("the books"))?;
    save(sql, &before, &after)
}

/// Stores books that have changed.
pub(crate) fn save(sql: &Connection, before: &Books, after: &Books) -> Result<(), Failure> {
    let currency = before.balance(Account::Issued).currency();
    if !before.are_balanced() || !after.are_balanced() {
        return Err(Failure::Damaged("the books: they do not balance"));
    }
    let mut statement = sql.prepare_cached(
        "INSERT INTO books (currency, account, minor) VALUES (?1, ?2, ?3)
         ON CONFLICT (currency, account) DO UPDATE SET minor = excluded.minor",
    )?;
    for account in Account::ALL {
        let minor = after.balance(account).minor();
        if minor != before.balance(account).minor() {
            statement.execute((currency.code(), account.name(), signed(minor)))?;
        }
    }
    Ok(())
}

/// A card's shadow account.
pub(crate) fn shadow(sql: &Connection, serial: &[u8; 10]) -> Result<Shadow, Failure> {
    let mut statement = sql.prepare_cached("SELECT loaded, spent, currency FROM card WHERE serial = ?1")?;
    let (loaded, spent, currency): (i64, i64, String) =
        statement.query_row([serial], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    Ok(Shadow {
        loaded: amount(loaded, &currency)?.minor(),
        spent: amount(spent, &currency)?.minor(),
    })
}

/// Stores a card's shadow account.
pub(crate) fn set_shadow(sql: &Connection, serial: &[u8; 10], shadow: Shadow) -> Result<(), Failure> {
    sql.prepare_cached("UPDATE card SET loaded = ?2, spent = ?3 WHERE serial = ?1")?
        .execute((serial, signed(shadow.loaded), signed(shadow.spent)))?;
    Ok(())
}
