//! Verbs that look and change nothing.

use std::time::Duration;

use purser_api::client::{Client, ClientError};
use purser_api::model::{Amount, Entry, ErrorName, JournalArguments, LimitUse, ReadPurseArguments};

use crate::cli::{Cli, Journal, Purse};
use crate::exit::{Exit, Failure};
use crate::show::{print_entries, print_sale};
use crate::table::{money, print_facts, print_json, print_table, time};

/// How long to wait when the daemon says that this user reads too much at once.
const QUOTA_PAUSE: Duration = Duration::from_millis(250);

pub(super) async fn status(cli: &Cli, mut client: Client) -> Result<Exit, Failure> {
    let status = client.status().await?;
    let exit = if status.ready { Exit::Done } else { Exit::Refused };
    if cli.json {
        print_json(&status)?;
        return Ok(exit);
    }
    print_facts(&[
        (
            "can sell",
            if status.ready {
                "yes".to_owned()
            } else {
                "no".to_owned()
            },
        ),
        ("version", status.version.clone()),
        ("running since", time(&status.started_at)),
        ("D-Bus", status.bus.clone()),
    ])?;
    for problem in &status.problems {
        println!(
            "\n{}: {}\n  what to do: {}",
            problem.name, problem.cause, problem.remedy
        );
    }
    Ok(exit)
}

pub(super) async fn purse(cli: &Cli, mut client: Client, asked: &Purse) -> Result<(), Failure> {
    let purse = client
        .read_purse(&ReadPurseArguments {
            reader: asked.reader.clone(),
        })
        .await?
        .purse;
    if cli.json {
        return Ok(print_json(&purse)?);
    }
    let balance = match &purse.currency {
        Some(currency) => money(&Amount {
            minor: purse.balance_minor,
            currency: currency.clone(),
        }),
        None => format!("{} (its issuer is not configured)", purse.balance_minor),
    };
    Ok(print_facts(&[
        ("reader", purse.reader.clone()),
        ("card", purse.card.clone()),
        ("balance", balance),
        ("valid", format!("{} to {}", purse.valid_from, purse.valid_to)),
    ])?)
}

pub(super) async fn devices(cli: &Cli, mut client: Client) -> Result<(), Failure> {
    let reply = client.devices().await?;
    if cli.json {
        return Ok(print_json(&reply)?);
    }
    let mut rows = Vec::new();
    for device in &reply.devices {
        let abilities = [(device.card_reader, "card reader"), (device.pin_pad, "PIN pad")];
        let abilities: Vec<_> = abilities
            .iter()
            .filter(|(has, _)| *has)
            .map(|(_, name)| *name)
            .collect();
        let psam = device
            .psam_terminal_number
            .as_ref()
            .map(|number| format!("PSAM {number}"));
        let abilities = psam.unwrap_or_else(|| abilities.join(", "));
        let card = match device.card_present {
            Some(true) => "yes",
            Some(false) => "no",
            None => "",
        };
        rows.push(vec![
            device.name.clone(),
            device.driver.clone(),
            abilities,
            device.state.clone(),
            card.to_owned(),
            device.restarts.to_string(),
            device.last_answer_at.as_ref().map(time).unwrap_or_default(),
        ]);
    }
    print_table(
        &[
            "DEVICE",
            "DRIVER",
            "IS",
            "STATE",
            "CARD",
            "RESTARTS",
            "LAST ANSWER",
        ],
        &[5],
        rows,
    )?;
    for device in &reply.devices {
        if let Some(cause) = &device.cause {
            let remedy = device.remedy.as_deref().unwrap_or("see the log of purserd");
            println!("\n{}: {cause}\n  what to do: {remedy}", device.name);
        }
    }
    Ok(())
}

pub(super) async fn journal(cli: &Cli, mut client: Client, asked: &Journal) -> Result<(), Failure> {
    let mut left = asked.limit;
    let mut after = asked.after;
    let mut entries: Vec<Entry> = Vec::new();
    loop {
        let arguments = JournalArguments {
            after,
            limit: left,
            reference: asked.reference.clone(),
        };
        let page = match client.journal(&arguments).await {
            Err(ClientError::Refused(fault)) if fault.is(ErrorName::QuotaCalls) => {
                tokio::time::sleep(QUOTA_PAUSE).await;
                continue;
            }
            page => page?,
        };
        after = page.entries.last().map(|entry| entry.number).or(after);
        let count = u64::try_from(page.entries.len()).unwrap_or(u64::MAX);
        left = left.map(|left| left.saturating_sub(count));
        if cli.json {
            for entry in &page.entries {
                print_json(entry)?;
            }
        } else {
            entries.extend(page.entries);
        }
        if !page.more || count == 0 || left == Some(0) {
            break;
        }
    }
    if cli.json {
        Ok(())
    } else {
        Ok(print_entries(&entries)?)
    }
}

pub(super) async fn totals(cli: &Cli, mut client: Client) -> Result<(), Failure> {
    let totals = client.totals().await?;
    if cli.json {
        return Ok(print_json(&totals)?);
    }
    let row = |balance: &purser_api::model::Balance| {
        let is_debit = balance.side == "debit";
        let amount = money(&balance.amount);
        let (debit, credit) = if is_debit {
            (amount, String::new())
        } else {
            (String::new(), amount)
        };
        vec![balance.account.replace('_', " "), debit, credit]
    };
    print_table(
        &["ACCOUNT", "DEBIT", "CREDIT"],
        &[1, 2],
        totals.balances.iter().map(row).collect(),
    )?;
    println!();
    print_table(
        &["LIMIT", "USED", "WARNS AT", "MAX", "LEVEL"],
        &[1, 2, 3],
        totals.limits.iter().map(limit_row).collect(),
    )?;
    println!();
    Ok(print_facts(&[
        ("paid", totals.counts.paid.to_string()),
        ("not debited", totals.counts.not_debited.to_string()),
        ("closed", totals.counts.closed.to_string()),
        ("in doubt", totals.counts.in_doubt.to_string()),
        ("queried", totals.counts.queried.to_string()),
        (
            "balanced",
            if totals.balanced {
                "yes".to_owned()
            } else {
                "NO: verify the journal".to_owned()
            },
        ),
    ])?)
}

fn limit_row(limit: &LimitUse) -> Vec<String> {
    let told = |number: u64| match (&limit.currency, limit.name.as_str()) {
        (Some(currency), _) => money(&Amount {
            minor: number,
            currency: currency.clone(),
        }),
        (None, "age") => format!("{} h", number / 3600),
        (None, _) => number.to_string(),
    };
    vec![
        limit.name.clone(),
        told(limit.used),
        told(limit.warn_at),
        told(limit.max),
        limit.level.clone(),
    ]
}

pub(super) async fn whereabouts(cli: &Cli, mut client: Client, reference: &str) -> Result<(), Failure> {
    let answer = client.whereabouts(reference).await?;
    if cli.json {
        return Ok(print_json(&answer)?);
    }
    println!("{}\n{}\n{}\n", answer.happened, answer.proof, answer.next);
    print_sale(&answer.sale)?;
    if !answer.entries.is_empty() {
        println!();
        print_entries(&answer.entries)?;
    }
    Ok(())
}

pub(super) async fn head(cli: &Cli, mut client: Client) -> Result<(), Failure> {
    let reply = client.head().await?;
    if cli.json {
        return Ok(print_json(&reply)?);
    }
    println!("{}", reply.head);
    Ok(())
}
