//! Verbs about settlement.

use std::collections::BTreeSet;
use std::io::{IsTerminal, stderr};
use std::time::Duration;

use purser_api::client::Client;
use purser_api::model::{
    self, BatchArguments, BatchItem, BatchItemsArguments, BatchesArguments, PresentAgainArguments,
    SettleArguments,
};

use crate::cli::{Batch, Cli, Settle};
use crate::exit::{Exit, Failure};
use crate::table::{money, print_json, print_table, time};

/// How often batches are looked at that are waited for: one of several may end in any order, and a hint may be lost.
const LOOK_AGAIN: Duration = Duration::from_millis(200);

/// Why a batch is not sent by the running daemon at all.
const PARKED: [&str; 3] = ["batch_unreadable", "other_enrolment", "provider_not_configured"];

pub(super) async fn run(cli: &Cli, client: Client, asked: &Batch) -> Result<(), Failure> {
    match asked {
        Batch::List { limit } => list(cli, client, *limit).await,
        Batch::Void { id } => void(cli, client, id).await,
        Batch::PresentAgain { id, place } => present_again(cli, client, id, *place).await,
        Batch::Show { id, held } => show(cli, client, id, *held).await,
    }
}

/// Asks for a settlement; with `--wait`, until each batch has come to its end.
pub(super) async fn settle(cli: &Cli, mut client: Client, asked: &Settle) -> Result<Exit, Failure> {
    let arguments = SettleArguments {
        currency: asked.currency.clone(),
    };
    let reply = client.settle(&arguments).await?;
    let mut batches = reply.batches;
    if asked.wait {
        batches = follow(&mut client, batches).await?;
    }
    if cli.json {
        print_json(&model::SettleReply {
            batches: batches.clone(),
        })?;
    } else if batches.is_empty() {
        println!("nothing waits for settlement");
    } else {
        table(&batches)?;
    }
    let is_any = |state: &str| batches.iter().any(|batch| batch.state == state);
    Ok(
        if is_any("not_sealed") || is_any("voided") || batches.iter().any(is_parked) {
            Exit::NotPaid
        } else if batches
            .iter()
            .any(|batch| batch.held_count.is_some_and(|count| count > 0))
        {
            Exit::InDoubt
        } else {
            Exit::Done
        },
    )
}

/// Looks at the batches until none of them is under way; on a terminal it says how far they are.
async fn follow(client: &mut Client, begun: Vec<model::Batch>) -> Result<Vec<model::Batch>, Failure> {
    let is_sealed = |batch: &&model::Batch| batch.entry.is_some();
    let ids: BTreeSet<String> = begun
        .iter()
        .filter(is_sealed)
        .map(|batch| batch.id.clone())
        .collect();
    let mut told = String::new();
    loop {
        let mut now = begun.clone();
        let mut left = ids.clone();
        let mut before = None;
        while !left.is_empty() {
            let page = client.batches(&BatchesArguments { before, limit: None }).await?;
            before = page.batches.last().and_then(|batch| batch.entry);
            for batch in page.batches {
                if left.remove(&batch.id)
                    && let Some(place) = now.iter_mut().find(|it| it.id == batch.id)
                {
                    *place = batch;
                }
            }
            if !page.more {
                break;
            }
        }
        let line = now.iter().map(progress).collect::<Vec<_>>().join("; ");
        if stderr().is_terminal() && line != told {
            eprintln!("{line}");
            told = line;
        }
        if now.iter().all(|batch| !is_under_way(batch)) {
            return Ok(now);
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

/// True while something will happen to the batch without anybody's doing.
fn is_under_way(batch: &model::Batch) -> bool {
    !["exchanged", "voided", "not_sealed"].contains(&batch.state.as_str()) && !is_parked(batch)
}

fn is_parked(batch: &model::Batch) -> bool {
    batch
        .reason
        .as_deref()
        .is_some_and(|reason| PARKED.contains(&reason))
}

fn progress(batch: &model::Batch) -> String {
    let why = batch.cause.as_deref().map(|cause| format!(": {cause}"));
    let sent = batch.sent.map(|sent| format!(", {sent} of them taken"));
    format!(
        "{} {} over {} is {}{}{}",
        batch.count,
        if batch.count == 1 { "item" } else { "items" },
        money(&batch.claimed),
        batch.state,
        sent.unwrap_or_default(),
        why.unwrap_or_default()
    )
}

async fn void(cli: &Cli, mut client: Client, id: &str) -> Result<(), Failure> {
    let reply = client.void_batch(&BatchArguments { id: id.to_owned() }).await?;
    if cli.json {
        return Ok(print_json(&reply)?);
    }
    println!("the provider is asked; `purserctl batch list` tells what came of it");
    Ok(())
}

/// Presents claims again, part by part until none is left.
async fn present_again(cli: &Cli, mut client: Client, id: &str, place: Option<u64>) -> Result<(), Failure> {
    let asked = PresentAgainArguments {
        id: id.to_owned(),
        place,
    };
    let mut done = client.present_again(&asked).await?;
    while done.more {
        let part = client.present_again(&asked).await?;
        done.count = done.count.saturating_add(part.count);
        done.claimed.minor = done.claimed.minor.saturating_add(part.claimed.minor);
        // One that presents nothing has met what does not pass by itself: what is left is told.
        done.more = part.more;
        if part.count == 0 {
            break;
        }
    }
    if cli.json {
        return Ok(print_json(&done)?);
    }
    let claims = if done.count == 1 { "claim" } else { "claims" };
    println!(
        "{} {claims} over {} presented again",
        done.count,
        money(&done.claimed)
    );
    if done.more {
        println!("more are left: `purserctl batch present-again {id}` goes on with them");
    }
    if done.count > 0 {
        println!("`purserctl settle` sends them to the provider");
    }
    Ok(())
}

async fn list(cli: &Cli, mut client: Client, limit: Option<u64>) -> Result<(), Failure> {
    let mut batches = Vec::new();
    let mut before = None;
    loop {
        let left = limit.map(|limit| limit.saturating_sub(count(&batches)));
        let page = client.batches(&BatchesArguments { before, limit: left }).await?;
        before = page.batches.last().and_then(|batch| batch.entry);
        batches.extend(page.batches);
        if !page.more || limit.is_some_and(|limit| count(&batches) >= limit) {
            break;
        }
    }
    if cli.json {
        for batch in &batches {
            print_json(batch)?;
        }
        return Ok(());
    }
    Ok(table(&batches)?)
}

fn count(batches: &[model::Batch]) -> u64 {
    u64::try_from(batches.len()).unwrap_or(u64::MAX)
}

fn table(batches: &[model::Batch]) -> std::io::Result<()> {
    let or_none = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    let row = |batch: &model::Batch| {
        vec![
            batch.id.clone(),
            or_none(batch.sealed_at.as_ref().map(time)),
            batch.state.clone(),
            batch.count.to_string(),
            money(&batch.claimed),
            or_none(batch.total.as_ref().map(money)),
            or_none(batch.held.as_ref().map(money)),
        ]
    };
    print_table(
        &["BATCH", "SEALED", "STATE", "ITEMS", "CLAIMED", "PERMIT", "HELD"],
        &[3, 4, 5, 6],
        batches.iter().map(row).collect(),
    )?;
    for batch in batches {
        if let Some(cause) = &batch.cause {
            println!("\n{}: {cause}", batch.id);
        }
    }
    Ok(())
}

async fn show(cli: &Cli, mut client: Client, id: &str, held: bool) -> Result<(), Failure> {
    let mut from = 0;
    let mut rows = Vec::new();
    loop {
        let arguments = BatchItemsArguments {
            id: id.to_owned(),
            from: Some(from),
            limit: None,
        };
        let page = client.batch_items(&arguments).await?;
        let last = page.items.last().map(|item| item.place);
        let is_wanted = |item: &&BatchItem| !held || item.reason.is_some();
        for item in page.items.iter().filter(is_wanted) {
            if cli.json {
                print_json(item)?;
            } else {
                rows.push(item_row(item));
            }
        }
        match last {
            Some(last) if page.more => from = last.saturating_add(1),
            _ => break,
        }
    }
    if cli.json {
        return Ok(());
    }
    Ok(print_table(
        &[
            "PLACE",
            "KIND",
            "REFERENCE",
            "AMOUNT",
            "REFUND",
            "DECISION",
            "REASON",
        ],
        &[0, 3, 4],
        rows,
    )?)
}

fn item_row(item: &BatchItem) -> Vec<String> {
    let or_none = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    vec![
        item.place.to_string(),
        item.kind.clone(),
        item.reference.clone(),
        money(&item.amount),
        or_none(item.refund_owed.as_ref().map(money)),
        or_none(item.decision.clone()),
        or_none(item.reason.clone()),
    ]
}
