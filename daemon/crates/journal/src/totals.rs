//! The books with the number of operations behind each balance.

use std::collections::BTreeMap;

use purser_ledger::{Account, Batches, Books, Currency, Entry, Unsettled};
use rusqlite::Connection;

use crate::rows::{account_name, signed};
use crate::{ReadError, batches};

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

    /// The claims that wait for settlement.
    pub(crate) fn unsettled(&self, conn: &Connection, of: &Batches) -> Result<Unsettled, ReadError> {
        let mut unsettled = Unsettled::default();
        for currency in self.books.currencies() {
            let (open, in_batch) = batches::unsettled(conn, self, of, currency)?;
            unsettled = unsettled.with(currency, open, in_batch);
        }
        Ok(unsettled)
    }

    /// These totals with the entry's transfers counted and `books` as they are after it.
    pub(crate) fn after(&self, entry: &Entry, books: Books) -> Self {
        let mut counts = self.counts.clone();
        if let Some(currency) = entry
            .transfers()
            .first()
            .map(|transfer| transfer.amount.currency())
        {
            for (account, change) in entry.counts() {
                let before = counts.remove(&(currency, account)).unwrap_or(0);
                let after = before.saturating_add_signed(change);
                if after > 0 {
                    counts.insert((currency, account), after);
                }
            }
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
