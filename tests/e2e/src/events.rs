//! What watchers are told.

use purser_api::model::Event;
use purser_lab::stack::{Till, Watch};
use serde_json::Value;

use crate::{Fault, ensure};

/// The events of every entry up to this head, as they were told live and as they are told again: the same.
///
/// # Errors
/// An entry was told live in other words or not at all.
pub fn same_events(live: &mut Watch<'_>, again: &mut Till, head: &Value) -> Result<Vec<Event>, Fault> {
    let newest = head["head"].as_str().and_then(|head| head.split(':').next());
    let newest: u64 = newest.ok_or("no head")?.parse()?;
    let live = live.entries(newest)?;
    let again = again.watch_all()?.entries(newest)?;
    ensure(live == again, || format!("live: {live:#?}\nagain: {again:#?}"))?;
    Ok(live)
}
