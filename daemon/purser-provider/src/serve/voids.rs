//! The void of a batch that has no permit: its claims are free again (money rule B3).
//!
//! A terminal's batch is never stuck: also one that never came here is voided, for the announcement was lost, or was refused as
//! long as it was sent. Then its row is a tombstone: the number and the digest are taken, and no page of it ever comes.

use std::sync::Arc;

use purser_provider_link::call_back::Purpose;
use purser_provider_link::{Batch, BatchId, BatchVoid, VoidReason};
use rusqlite::Connection;
use serde_json::json;

use super::batches::{Announced, fault, generation};
use super::http::Reply;
use super::leg::Leg;
use super::peer::{self, Peer};
use super::{Shared, call_back};
use crate::authority::now_unix_seconds;
use crate::fault::{Failure, Fault};
use crate::store::Store;
use crate::store::batches;

/// A void's canonical bytes, and the signature over them.
type Signed = (Vec<u8>, Vec<u8>);

/// Voids a batch that has no permit, known or not. A repeat gets the same void.
pub(crate) async fn void(
    shared: &Arc<Shared>,
    leg: &Arc<Leg>,
    id: BatchId,
    announced: Announced,
) -> Result<Reply, Failure> {
    let leg = Arc::clone(leg);
    let done = move |shared: &Shared, store: &mut Store| {
        let sql = store.begin()?;
        let peer = peer::known(&sql, leg.peer)?;
        let batch = announced.batch(shared, id)?;
        call_back::authenticated(&leg, &peer, Purpose::Settlement, batch.digest())?;
        // A digest is no secret: another terminal can be called back for it.
        if batch.owner != peer.name {
            let cause = "the batch was sealed by another terminal";
            return Err(Fault::forbidden("OtherTerminal", cause, "void your own batches").into());
        }
        let (document, signature) = end(shared, &sql, &batch, reason(&sql, &peer, &batch)?)?;
        sql.commit()?;
        Ok(Reply::ok(
            json!({ "void": hex::encode(document), "signature": hex::encode(signature) }),
        ))
    };
    shared.with_store(done).await
}

fn reason(sql: &Connection, peer: &Peer, batch: &Batch) -> Result<VoidReason, Failure> {
    Ok(if peer.is_revoked {
        VoidReason::TerminalRevoked
    } else if generation(sql, peer.name.as_str())? == batch.generation {
        VoidReason::AskedByTerminal
    } else {
        VoidReason::NotReconciled
    })
}

/// The signed void of a batch: the one that there is, else a new one.
///
/// # Errors
/// A refusal for a batch that has its permit.
pub(crate) fn end(
    shared: &Shared,
    sql: &Connection,
    batch: &Batch,
    reason: VoidReason,
) -> Result<Signed, Failure> {
    let sign = |reason| {
        let void = BatchVoid {
            batch_id: batch.id,
            batch: batch.digest(),
            reason,
        };
        let signature = shared.authority.sign(&void.encode())?;
        Ok::<_, Failure>((void, signature))
    };
    let found = match batches::find(sql, batch.id)? {
        None => {
            batches::announce(sql, batch, now_unix_seconds())?;
            batches::find(sql, batch.id)?
        }
        found => found,
    };
    let stored = found.ok_or(Failure::Damaged("a batch"))?;
    if stored.batch != *batch {
        // The number is taken by other content, for ever: this digest can have no permit, and its void needs no row.
        let (void, signature) = sign(VoidReason::OtherDigest)?;
        return Ok((void.encode(), signature));
    }
    let after = stored.record.void(reason).map_err(fault)?;
    if after.phase() != stored.record.phase() {
        let (void, signature) = sign(reason)?;
        batches::void(sql, stored.row, &void, &signature)?;
    }
    let query = "SELECT void_document, void_signature FROM batch WHERE number = ?1";
    Ok(sql.query_row(query, [stored.row], |row| Ok((row.get(0)?, row.get(1)?)))?)
}
