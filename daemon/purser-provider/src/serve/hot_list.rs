//! Delivery of the hot list, and the terminal's word from which sale on it is in force (money rule C3).

use std::sync::Arc;

use purser_provider_rules::hot_list::{Delivery, ListVersion};
use serde::Deserialize;
use serde_json::json;

use super::http::Reply;
use super::leg::Leg;
use super::{Shared, facts, peer};
use crate::authority::now_unix_seconds;
use crate::fault::{Failure, Fault};
use crate::store::{Store, alarm, signed};

/// So far beyond the highest terminal SN that a card has proven a terminal may be: what a busy till sells between two
/// settlements. Without a limit a merchant puts the list into force at a sale that never comes.
const SN_AHEAD_MAX: u32 = 100_000;

/// A terminal has put a version into force.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Acknowledged {
    version: u32,
    from_terminal_sn: u32,
}

/// The list as it is now.
pub(crate) async fn show(shared: &Arc<Shared>, leg: &Arc<Leg>) -> Result<Reply, Failure> {
    let leg = Arc::clone(leg);
    let done = move |_: &Shared, store: &Store| {
        // One snapshot: the version is of these cards.
        let sql = store.reader().unchecked_transaction()?;
        peer::terminal(&sql, leg.peer)?;
        let version: i64 = sql.query_row("SELECT hotlist_version FROM provider", (), |row| row.get(0))?;
        let query = "SELECT lower(hex(card)) FROM listing WHERE until_version IS NULL ORDER BY card";
        let mut statement = sql.prepare_cached(query)?;
        let cards = statement.query_map((), |row| row.get(0))?;
        let cards: Vec<String> = cards.collect::<Result<_, _>>()?;
        Ok(Reply::ok(json!({ "version": version, "cards": cards })))
    };
    shared.with_reader(done).await
}

/// Takes an acknowledgement. A repeat changes nothing.
pub(crate) async fn acknowledge(
    shared: &Arc<Shared>,
    leg: &Arc<Leg>,
    acknowledged: Acknowledged,
) -> Result<Reply, Failure> {
    let leg = Arc::clone(leg);
    let done = move |_: &Shared, store: &mut Store| {
        let sql = store.begin()?;
        let peer = peer::terminal(&sql, leg.peer)?;
        // A software SAM's serial numbers begin anew, higher, with each generation (money rule T1).
        let query = "SELECT psam_number,
                            max(coalesce(highest_sn, 0), iif(is_software_sam, min(generation, 255) << 24, 0))
                     FROM terminal WHERE name = ?1";
        let (number, highest_sn): (Option<[u8; 6]>, u32) =
            sql.query_row(query, [peer.name.as_str()], |row| Ok((row.get(0)?, row.get(1)?)))?;
        let number = number.ok_or_else(|| {
            let cause = "only a terminal of the role merchant has a hot list in force";
            Fault::forbidden("OtherRole", cause, "ask the provider's operator")
        })?;
        let version: i64 = sql.query_row("SELECT hotlist_version FROM provider", (), |row| row.get(0))?;
        if i64::from(acknowledged.version) > version {
            let cause = format!("version {} of the hot list does not exist", acknowledged.version);
            return Err(Fault::conflict("UnknownVersion", cause, "take the list again").into());
        }
        if acknowledged.from_terminal_sn > highest_sn.saturating_add(SN_AHEAD_MAX) {
            alarm(
                &sql,
                now_unix_seconds(),
                Some(peer.name.as_str()),
                "AcknowledgedAhead",
            )?;
            sql.commit()?;
            let cause = format!("the highest terminal SN that has been claimed is {highest_sn}");
            let remedy = "settle, then acknowledge the list again";
            return Err(Fault::conflict("AcknowledgedAhead", cause, remedy)
                .transient()
                .into());
        }
        let delivery = Delivery {
            from_terminal_sn: acknowledged.from_terminal_sn,
            version: ListVersion(u64::from(acknowledged.version)),
        };
        let record = facts::deliveries(&sql, &number)?
            .acknowledged(delivery)
            .map_err(|error| {
                Fault::conflict(
                    "GoesBack",
                    error.to_string(),
                    "ask the provider's operator: was the machine restored?",
                )
            })?;
        let recorded = record.newest().unwrap_or(delivery);
        sql.execute(
            "INSERT INTO delivery (psam_number, version, from_terminal_sn) VALUES (?1, ?2, ?3)
             ON CONFLICT (psam_number, version) DO NOTHING",
            (number, signed(recorded.version.0), recorded.from_terminal_sn),
        )?;
        sql.commit()?;
        Ok(Reply::ok(json!({
            "version": acknowledged.version, "from_terminal_sn": recorded.from_terminal_sn,
        })))
    };
    shared.with_store(done).await
}
