//! `batch`: the batches that came, and the void of one whose terminal may not ask for it (money rule B3).

use purser_provider_link::{BatchId, BatchVoid, VoidReason};
use serde_json::json;

use super::hex_bytes;
use crate::authority::Authority;
use crate::cli::Batch;
use crate::fault::{Failure, Fault};
use crate::folder::Folder;
use crate::show::Shown;
use crate::store::{Store, batches};

/// So many are shown, the newest first.
const SHOWN_MAX: u32 = 1_000;

pub(crate) fn batch(store: &mut Store, folder: &Folder, verb: &Batch) -> Result<Shown, Failure> {
    match verb {
        Batch::Void { batch } => void(store, folder, batch),
        Batch::List => list(store),
    }
}

/// Voids a batch of a suspended or revoked terminal. Any other voids its batches itself, or is about to take a permit.
fn void(store: &mut Store, folder: &Folder, batch: &str) -> Result<Shown, Failure> {
    let id = BatchId(hex_bytes("BatchId", batch)?);
    let authority = Authority::open(folder, &store.provider()?.name)?;
    let sql = store.begin()?;
    let stored = batches::find(&sql, id)?.ok_or_else(|| {
        let cause = format!("there is no batch {batch}");
        Fault::unknown("UnknownBatch", cause, "see `purser-provider batch list`")
    })?;
    let owner = stored.batch.owner.as_str();
    let query = "SELECT standing FROM terminal WHERE name = ?1";
    let standing: String = sql.query_row(query, [owner], |row| row.get(0))?;
    let reason = match standing.as_str() {
        "suspended" => VoidReason::TerminalSuspended,
        "revoked" => VoidReason::TerminalRevoked,
        _ => {
            let cause = format!("terminal {owner} may settle the batch, and void it");
            let remedy = "void it at the terminal; or suspend the terminal first";
            return Err(Fault::conflict("NotSuspended", cause, remedy).into());
        }
    };
    let after = stored.record.void(reason).map_err(|refusal| {
        let remedy = "the terminal has or gets its permit: it is paid once";
        Fault::conflict(refusal.name(), refusal.to_string(), remedy)
    })?;
    if after.phase() != stored.record.phase() {
        let void = BatchVoid {
            batch_id: id,
            batch: stored.batch.digest(),
            reason,
        };
        batches::void(&sql, stored.row, &void, &authority.sign(&void.encode())?)?;
    }
    sql.commit()?;
    Ok(Shown::one(
        format!("batch {id} is void: its claims can be claimed again"),
        json!({ "batch": id.to_string(), "terminal": owner, "phase": batches::phase_name(after.phase()) }),
    ))
}

fn list(store: &Store) -> Result<Shown, Failure> {
    let query = "SELECT lower(hex(id)), terminal, phase, received, announced_at FROM batch
                 ORDER BY number DESC LIMIT ?1";
    let mut statement = store.reader().prepare(query)?;
    let rows = statement.query_map([SHOWN_MAX], |row| {
        let (id, terminal, phase): (String, String, String) = (row.get(0)?, row.get(1)?, row.get(2)?);
        let (received, announced_at): (u32, i64) = (row.get(3)?, row.get(4)?);
        Ok(json!({
            "batch": id, "terminal": terminal, "phase": phase, "received": received, "announced_at": announced_at,
        }))
    })?;
    let columns = &["batch", "terminal", "phase", "received", "announced_at"];
    Ok(Shown::list(columns, rows.collect::<Result<_, _>>()?))
}
