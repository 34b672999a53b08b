//! `purserctl sale`: begin, and with `--wait` stay until the end is certain, also across a restart of the daemon.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use purser_api::client::{Client, ClientError};
use purser_api::model::{Amount, BeginSaleArguments, ErrorName, Sale};

use super::tell;
use crate::cli::{self, Cli};
use crate::exit::{Exit, Failure};
use crate::show::tell_progress;
use crate::table::print_json;

/// How long a daemon that went away is waited for: systemd has started it again long before.
const AWAY_SECONDS_MAX: u64 = 30;

/// How long to wait between two tries to reach it.
const RECONNECT: Duration = Duration::from_millis(200);

pub(super) async fn run(cli: &Cli, mut client: Client, asked: &cli::Sale) -> Result<Exit, Failure> {
    let mut pin = asked.pin_fd.map(open_descriptor).transpose()?;
    let arguments = BeginSaleArguments {
        reference: asked.reference.clone(),
        amount: Amount {
            minor: asked.amount,
            currency: asked.currency.clone(),
        },
        reader: asked.reader.clone(),
        pin_through_api: Some(pin.is_some()),
    };
    let begun = client.begin_sale(&arguments).await?;
    if !asked.wait && pin.is_none() {
        if cli.json {
            print_json(&begun)?;
        } else {
            println!("{} sale", begun.standing.replace('_', " "));
            tell(cli, &begun.sale)?;
        }
        return Ok(crate::show::exit_of(&begun.sale));
    }
    let end = wait_for_end(cli, asked, begun.sale, &mut pin).await?;
    tell(cli, &end)
}

/// Follows the sale until it is no longer under way.
async fn wait_for_end(
    cli: &Cli,
    asked: &cli::Sale,
    mut sale: Sale,
    pin: &mut Option<OwnedFd>,
) -> Result<Sale, Failure> {
    while sale.outcome == "under_way" {
        sale = match follow(cli, asked, pin).await {
            Ok(sale) => sale,
            Err(Failure::Client(ClientError::ConnectionLost(_) | ClientError::NotReachable { .. })) => {
                find_again(cli, &asked.reference).await?
            }
            Err(Failure::Client(ClientError::Refused(fault))) if fault.is(ErrorName::Lagged) => {
                find_again(cli, &asked.reference).await?
            }
            Err(failure) => return Err(failure),
        };
    }
    Ok(sale)
}

async fn follow(cli: &Cli, asked: &cli::Sale, pin: &mut Option<OwnedFd>) -> Result<Sale, Failure> {
    let mut events = Client::connect(&cli.socket)
        .await?
        .watch_sale(&asked.reference)
        .await?;
    let mut told = None;
    loop {
        // Watched by its reference, it is the sale that it was begun as.
        let Some(sale) = events.next().await?.sale else {
            continue;
        };
        if sale.outcome != "under_way" {
            return Ok(sale);
        }
        if !cli.json
            && told.replace((sale.state.clone(), sale.tries_left))
                != Some((sale.state.clone(), sale.tries_left))
        {
            tell_progress(&sale);
        }
        if sale.state == "waiting_for_pin" && sale.pin_through_api == Some(true) {
            let mut client = Client::connect(&cli.socket).await?;
            match pin.take() {
                Some(pin) => {
                    client.provide_pin(&asked.reference, pin, asked.last_try).await?;
                }
                // The one PIN that was given is wrong: no second try is made with it.
                None => return Ok(client.cancel(&asked.reference).await?.sale),
            }
        }
    }
}

/// Waits for a daemon that went away, and asks it how the sale stands.
async fn find_again(cli: &Cli, reference: &str) -> Result<Sale, Failure> {
    let begin = Instant::now();
    loop {
        let answer = match Client::connect(&cli.socket).await {
            Ok(mut client) => client.attach(reference).await,
            Err(error) => Err(error),
        };
        match answer {
            Ok(reply) => return Ok(reply.sale),
            Err(error @ (ClientError::Refused(_) | ClientError::NotUnderstood(_))) => {
                return Err(error.into());
            }
            Err(_) if begin.elapsed().as_secs() < AWAY_SECONDS_MAX => tokio::time::sleep(RECONNECT).await,
            Err(_) => {
                return Err(Failure::Away {
                    seconds: AWAY_SECONDS_MAX,
                });
            }
        }
    }
}

/// Opens the descriptor anew, so that this program owns what it sends on.
fn open_descriptor(descriptor: u32) -> Result<OwnedFd, Failure> {
    let opened = File::open(format!("/proc/self/fd/{descriptor}"));
    opened
        .map(OwnedFd::from)
        .map_err(|source| Failure::PinDescriptor { descriptor, source })
}
