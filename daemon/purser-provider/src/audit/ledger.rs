//! Shadow accounts and books against what loads, charges and permits come to.

use super::Audit;
use crate::fault::Failure;

pub(super) fn check(audit: &mut Audit<'_>) -> Result<(), Failure> {
    shadows(audit)?;
    let mut statement = audit.sql.prepare("SELECT DISTINCT currency FROM books")?;
    let mut rows = statement.query(())?;
    while let Some(row) = rows.next()? {
        let currency: String = row.get(0)?;
        audit.expected(&currency);
    }
    drop(rows);
    drop(statement);
    for (currency, expected) in std::mem::take(&mut audit.expected) {
        let accounts = [
            ("issued", expected.issued),
            ("loads_in_doubt", expected.loads_in_doubt),
            ("outstanding", expected.outstanding),
            ("unexplained", expected.unexplained),
            ("refunds_owed", expected.refunds_owed),
            ("permits", expected.permits),
            ("merchant_debt", expected.merchant_debt),
            ("redeemed", 0),
        ];
        for (account, minor) in accounts {
            let query = "SELECT coalesce((SELECT minor FROM books WHERE currency = ?1 AND account = ?2), 0)";
            let stored: i64 = audit
                .sql
                .query_row(query, (&currency, account), |row| row.get(0))?;
            audit.check(i128::from(stored) == minor, "Books", || {
                format!("{account} holds {stored} {currency}; the evidence comes to {minor}")
            });
        }
        let query = "SELECT coalesce(sum(refunded), 0) FROM charge WHERE currency = ?1";
        let refunded: i64 = audit.sql.query_row(query, [&currency], |row| row.get(0))?;
        audit.check(i128::from(refunded) == expected.refunds_owed, "Refunds", || {
            let owed = expected.refunds_owed;
            format!("{refunded} {currency} of the charges is refunded; the permits' items owe {owed}")
        });
        let places =
            expected.outstanding + expected.loads_in_doubt + expected.refunds_owed + expected.permits;
        let sources = expected.issued + expected.unexplained + expected.merchant_debt;
        audit.check(places == sources, "Conservation", || {
            format!("{currency}: {sources} came in and {places} is there")
        });
    }
    Ok(())
}

fn shadows(audit: &mut Audit<'_>) -> Result<(), Failure> {
    let query = "SELECT serial, currency, loaded, spent,
                        (SELECT coalesce(sum(minor), 0) FROM load WHERE card = serial AND phase = 'done')
                 FROM card";
    let mut statement = audit.sql.prepare(query)?;
    let mut rows = statement.query(())?;
    while let Some(row) = rows.next()? {
        let (serial, currency): (Vec<u8>, String) = (row.get(0)?, row.get(1)?);
        let (loaded, spent, proven): (i64, i64, i64) = (row.get(2)?, row.get(3)?, row.get(4)?);
        let (first, last) = (
            [&serial[..], &[0; 10]].concat(),
            [&serial[..], &[0xFF; 10]].concat(),
        );
        let query = "SELECT coalesce(sum(minor), 0) FROM charge WHERE key BETWEEN ?1 AND ?2";
        let charged: i64 = audit
            .sql
            .prepare_cached(query)?
            .query_row((first, last), |row| row.get(0))?;
        audit.check((loaded, spent) == (proven, charged), "ShadowAccount", || {
            let card = hex::encode(&serial);
            format!(
                "card {card}: loaded {loaded}, spent {spent}; the evidence comes to {proven} and {charged}"
            )
        });
        let balance = i128::from(proven) - i128::from(charged);
        let expected = audit.expected(&currency);
        expected.outstanding += balance.max(0);
        expected.unexplained += (-balance).max(0);
    }
    Ok(())
}
