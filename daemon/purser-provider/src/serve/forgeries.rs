//! Who brings too many forged claims, and what is done about it (money rule T3).

use purser_provider_rules::watch::{self, Forgeries, Measure, WatchLimits};
use rusqlite::Connection;

use crate::authority::now_unix_seconds;
use crate::fault::Failure;
use crate::store::{alarm, exists};

/// True for a debit of which evidence was forged and which no person has upheld since: no other evidence of it is tried (money rule
/// T3).
pub(crate) fn is_forged(sql: &Connection, key: &[u8; 20]) -> Result<bool, Failure> {
    exists(
        sql,
        "SELECT 1 FROM forged WHERE key = ?1 AND upheld_at IS NULL",
        [key],
    )
}

/// True for a debit that counts as a forgery already, also one that a person has upheld.
pub(crate) fn was_counted(sql: &Connection, key: &[u8; 20]) -> Result<bool, Failure> {
    exists(sql, "SELECT 1 FROM forged WHERE key = ?1", [key])
}

/// Counts a forged claim or query of a terminal, and does what is to be done about it. True when its terminal is suspended by it.
pub(crate) fn count(sql: &Connection, terminal: &str, key: &[u8; 20]) -> Result<bool, Failure> {
    let serial = &key[..10];
    let version: Option<u8> = sql.query_row(
        "SELECT (SELECT key_version FROM card WHERE serial = ?1)",
        [serial],
        |row| row.get(0),
    )?;
    sql.prepare_cached(
        "INSERT INTO forged (key, terminal, key_version) VALUES (?1, ?2, ?3)
         ON CONFLICT (key) DO UPDATE SET upheld_at = NULL, upheld_why = NULL",
    )?
    .execute((key, terminal, version))?;
    let limits = WatchLimits::default();
    of_key_version(sql, terminal, version, &limits)?;
    of_terminal(sql, terminal, &limits)
}

fn of_terminal(sql: &Connection, terminal: &str, limits: &WatchLimits) -> Result<bool, Failure> {
    let query = "UPDATE terminal SET forgeries = forgeries + 1 WHERE name = ?1 RETURNING forgeries";
    let count = sql
        .prepare_cached(query)?
        .query_row([terminal], |row| row.get(0))?;
    let now = now_unix_seconds();
    match watch::of_terminal(Forgeries { count, merchants: 1 }, limits) {
        Measure::SuspendTerminal => {
            sql.execute(
                "UPDATE terminal SET standing = 'suspended' WHERE name = ?1 AND standing = 'enrolled'",
                [terminal],
            )?;
            alarm(sql, now, Some(terminal), "TerminalSuspended")?;
            Ok(true)
        }
        Measure::Alarm => {
            alarm(sql, now, Some(terminal), "ForgedClaims")?;
            Ok(false)
        }
        Measure::Nothing | Measure::BlockKeyVersion => Ok(false),
    }
}

/// No terminal counts for more than what suspends it, and no merchant for more than half: one merchant's many forgeries and
/// a stray one of another's block nothing.
fn of_key_version(
    sql: &Connection,
    terminal: &str,
    version: Option<u8>,
    limits: &WatchLimits,
) -> Result<(), Failure> {
    let query = "SELECT coalesce(sum(min(forgeries, ?3)), 0), count(*) FROM
                   (SELECT sum(min(of_terminal, ?2)) AS forgeries FROM
                      (SELECT terminal AS name, count(*) AS of_terminal FROM forged
                       WHERE key_version = ?1 AND is_counted = 1 GROUP BY terminal)
                    JOIN terminal USING (name) GROUP BY merchant)";
    let parameters = (version, limits.suspend_terminal, limits.block_key_version / 2);
    let (count, merchants) = sql
        .prepare_cached(query)?
        .query_row(parameters, |row| Ok((row.get(0)?, row.get(1)?)))?;
    if watch::of_key_version(Forgeries { count, merchants }, limits) == Measure::BlockKeyVersion {
        let blocked = sql.execute(
            "UPDATE key_version SET is_blocked = 1 WHERE version = ?1 AND NOT is_blocked",
            [version],
        )?;
        if blocked > 0 {
            alarm(sql, now_unix_seconds(), Some(terminal), "KeyVersionBlocked")?;
        }
    }
    Ok(())
}
