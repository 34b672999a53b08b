//! Delivery of the parameters (money rule T3).

use std::sync::Arc;

use serde_json::json;

use super::Shared;
use super::http::Reply;
use super::leg::Leg;
use super::peer;
use crate::fault::Failure;
use crate::store::Store;
use crate::store::parameters::{self, Stored};

/// The parameters as they are now. What an operator has changed since they were asked for the last time is a new version.
pub(crate) async fn show(shared: &Arc<Shared>, leg: &Arc<Leg>) -> Result<Reply, Failure> {
    let fingerprint = leg.peer;
    let known = shared.with_reader(move |_, store| {
        // One snapshot: all of it is of one moment.
        let sql = store.reader().unchecked_transaction()?;
        peer::terminal(&sql, fingerprint)?;
        parameters::current(&sql)
    });
    if let Some(stored) = known.await? {
        return Ok(told(&stored));
    }
    let renew = |shared: &Shared, store: &mut Store| {
        let sql = store.begin()?;
        let stored = parameters::renew(&sql, &shared.authority)?;
        sql.commit()?;
        Ok(told(&stored))
    };
    shared.with_store(renew).await
}

fn told(stored: &Stored) -> Reply {
    Reply::ok(json!({
        "parameters": hex::encode(&stored.document), "signature": hex::encode(&stored.signature),
    }))
}
