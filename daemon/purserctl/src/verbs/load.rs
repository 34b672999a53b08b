//! `purserctl load`: begin or go on, look, cancel; with `--wait` until nothing is under way, also across a restart of the daemon.

use std::time::{Duration, Instant};

use purser_api::client::{Client, ClientError};
use purser_api::model::{Amount, BeginLoadArguments, Load, ReferenceArguments};

use crate::cli::{self, Cli};
use crate::exit::{Exit, Failure};
use crate::table::{money, print_facts, print_json};

/// How often a load is looked at that is waited for: that nobody works on it any more is a hint, which may be lost.
const LOOK_AGAIN: Duration = Duration::from_millis(200);
/// How long a daemon that went away is waited for: systemd has started it again long before.
const AWAY_SECONDS_MAX: u64 = 30;

pub(super) async fn run(cli: &Cli, mut client: Client, asked: &cli::Load) -> Result<Exit, Failure> {
    let about = |reference: &str| ReferenceArguments {
        reference: reference.to_owned(),
    };
    match asked {
        cli::Load::Begin(asked) => begin(cli, client, asked).await,
        cli::Load::Show(asked) => {
            let load = client.attach_load(&about(&asked.reference)).await?.load;
            tell(cli, &load)
        }
        cli::Load::Cancel(asked) => {
            let about = about(&asked.reference);
            if client.attach_load(&about).await?.load.may_be_on_card == Some(true) {
                eprintln!("it may be on its card, which alone can prove that it is not: present the card");
            }
            let load = client.cancel_load(&about).await?.load;
            tell(cli, &load)?;
            // To have it voided is what was asked for.
            Ok(match load.outcome.as_str() {
                "voided" | "not_begun" => Exit::Done,
                "loaded" => Exit::NotPaid,
                _ => Exit::InDoubt,
            })
        }
    }
}

async fn begin(cli: &Cli, mut client: Client, asked: &cli::BeginLoad) -> Result<Exit, Failure> {
    let arguments = BeginLoadArguments {
        reference: asked.reference.clone(),
        load: asked.load.clone(),
        amount: Amount {
            minor: asked.amount,
            currency: asked.currency.clone(),
        },
        reader: asked.reader.clone(),
    };
    let begun = client.begin_load(&arguments).await?;
    if !asked.wait {
        if cli.json {
            print_json(&begun)?;
        } else {
            println!("{} load", begun.standing.replace('_', " "));
            print_load(&begun.load)?;
        }
        return Ok(exit_of(&begun.load));
    }
    let mut told = String::new();
    let mut load = begun.load;
    while load.outcome == "under_way" {
        if !cli.json && load.state != told {
            tell_progress(&load);
            told.clone_from(&load.state);
        }
        tokio::time::sleep(LOOK_AGAIN).await;
        load = look(cli, &asked.reference).await?;
    }
    tell(cli, &load)
}

/// Looks at it, and waits for a daemon that went away.
async fn look(cli: &Cli, reference: &str) -> Result<Load, Failure> {
    let begin = Instant::now();
    let about = ReferenceArguments {
        reference: reference.to_owned(),
    };
    loop {
        let answer = match Client::connect(&cli.socket).await {
            Ok(mut client) => client.attach_load(&about).await,
            Err(error) => Err(error),
        };
        match answer {
            Ok(reply) => return Ok(reply.load),
            Err(error @ (ClientError::Refused(_) | ClientError::NotUnderstood(_))) => {
                return Err(error.into());
            }
            Err(_) if begin.elapsed().as_secs() < AWAY_SECONDS_MAX => {
                tokio::time::sleep(LOOK_AGAIN).await;
            }
            Err(_) => {
                return Err(Failure::Away {
                    seconds: AWAY_SECONDS_MAX,
                });
            }
        }
    }
}

fn tell(cli: &Cli, load: &Load) -> Result<Exit, Failure> {
    if cli.json {
        print_json(load)?;
    } else {
        print_load(load)?;
    }
    Ok(exit_of(load))
}

fn exit_of(load: &Load) -> Exit {
    match load.outcome.as_str() {
        "voided" | "not_begun" => Exit::NotPaid,
        "owed" => Exit::InDoubt,
        _ => Exit::Done,
    }
}

fn tell_progress(load: &Load) {
    let words = match load.state.as_str() {
        "waiting_for_card" => "present the card",
        "several_cards" => "more than one card is presented: leave one",
        "take_card_out" => "take the card out and put it in again",
        "waiting_for_pin" => "waiting for the PIN",
        other => &other.replace('_', " "),
    };
    let cause = load.cause.as_deref().map(|cause| format!(" ({cause})"));
    eprintln!("{words}{}", cause.unwrap_or_default());
}

fn print_load(load: &Load) -> std::io::Result<()> {
    let or_none = |text: &Option<String>| text.clone().unwrap_or_default();
    let yes_no = |flag: Option<bool>| match flag {
        Some(true) => "yes".to_owned(),
        Some(false) => "no".to_owned(),
        None => String::new(),
    };
    print_facts(&[
        ("reference", load.reference.clone()),
        ("load", load.load.clone()),
        ("amount", money(&load.amount)),
        ("outcome", load.outcome.replace('_', " ")),
        ("state", load.state.replace('_', " ")),
        ("cause", or_none(&load.cause)),
        ("what to do", or_none(&load.remedy)),
        ("may be on the card", yes_no(load.may_be_on_card)),
        ("card", or_none(&load.card)),
        (
            "on the purse",
            load.balance_after.as_ref().map(money).unwrap_or_default(),
        ),
        ("the provider knows", yes_no(load.confirmed)),
        ("reader", or_none(&load.reader)),
        (
            "entry",
            load.entry.map(|entry| entry.to_string()).unwrap_or_default(),
        ),
    ])
}
