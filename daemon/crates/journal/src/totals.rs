//! The books with the number of operations behind each balance.

use std::collections::BTreeMap;

use purser_ledger::{Account, Books, Currency, Entry, Transfer, Unsettled};
use rusqlite::Connection;

use crate::ReadError;
use crate::rows::{self, account_name, signed};

/// What the journal adds up to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    books: Books,
    counts: BTreeMap<(Currency, Account), u64>,
}

impl Totals {
    /// The balance of every account.
    pub fn books(&self) -> &Books {
        &self.books
    }

    /// How many operations a balance consists of: claims, debits in doubt, refunds owed, sales.
    pub fn count(&self, account: Account, currency: Currency) -> u64 {
        self.counts.get(&(currency, account)).copied().unwrap_or(0)
    }

    /// The claims that wait for settlement: until there is one, every claim.
    pub(crate) fn unsettled(&self, conn: &Connection) -> Result<Unsettled, ReadError> {
        let of = |currency| self.count(Account::Claims, currency);
        let count = self
            .books
            .currencies()
            .into_iter()
            .map(of)
            .fold(0, u64::saturating_add);
        let oldest = match rows::oldest_claim(conn) {
            // An old entry that is damaged must not keep the terminal from starting.
            Err(error) if error.is_damage() => None,
            found => found?,
        };
        Ok(Unsettled::of(&self.books, count, oldest))
    }

    /// These totals with the entry's transfers counted and `books` as they are after it.
    pub(crate) fn after(&self, entry: &Entry, books: Books) -> Self {
        let mut counts = self.counts.clone();
        for transfer in entry.transfers() {
            count(&mut counts, transfer);
        }
        Self { books, counts }
    }

    pub(crate) fn load(conn: &Connection) -> Result<Self, ReadError> {
        let mut statement =
            conn.prepare_cached("SELECT currency, account, minor, operations FROM balances")?;
        let mut rows = statement.query(())?;
        let mut balances = Vec::new();
        let mut counts = BTreeMap::new();
        let damaged = || ReadError::Row { table: "balances" };
        while let Some(row) = rows.next()? {
            let text = |column| row.get::<_, String>(column).map_err(|_| damaged());
            let number = |column| row.get::<_, i64>(column).map_err(|_| damaged());
            let currency: Currency = text(0)?.parse().map_err(|_| damaged())?;
            let name = text(1)?;
            let account = Account::ALL
                .into_iter()
                .find(|account| account_name(*account) == name);
            let key = (currency, account.ok_or_else(damaged)?);
            balances.push((key, u64::try_from(number(2)?).map_err(|_| damaged())?));
            counts.insert(key, u64::try_from(number(3)?).map_err(|_| damaged())?);
        }
        counts.retain(|_, number| *number > 0);
        Ok(Self {
            books: Books::from_balances(balances)?,
            counts,
        })
    }

    /// Writes every balance that differs from `before`.
    pub(crate) fn store(&self, before: &Self, conn: &Connection) -> Result<(), ReadError> {
        let mut statement = conn.prepare_cached(
            "INSERT INTO balances (currency, account, minor, operations) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT DO UPDATE SET minor = excluded.minor, operations = excluded.operations",
        )?;
        for key in self.counts.keys().chain(before.counts.keys()) {
            let row = |totals: &Self| {
                (
                    totals.books.balance(key.1, key.0).minor(),
                    totals.count(key.1, key.0),
                )
            };
            let (minor, operations) = row(self);
            if (minor, operations) != row(before) {
                statement.execute((
                    key.0.code(),
                    account_name(key.1),
                    signed(minor),
                    signed(operations),
                ))?;
            }
        }
        Ok(())
    }
}

fn count(counts: &mut BTreeMap<(Currency, Account), u64>, transfer: Transfer) {
    let grows = [
        (transfer.debit, transfer.debit.grows_by_debit()),
        (transfer.credit, !transfer.credit.grows_by_debit()),
    ];
    for (account, grows) in grows {
        let key = (transfer.amount.currency(), account);
        let before = counts.remove(&key).unwrap_or(0);
        let after = if grows {
            before.saturating_add(1)
        } else {
            before.saturating_sub(1)
        };
        if after > 0 {
            counts.insert(key, after);
        }
    }
}
