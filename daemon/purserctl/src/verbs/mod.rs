//! One function for each verb.

mod batch;
mod completion;
mod doctor;
mod driver;
mod load;
mod look;
mod provider;
mod sale;

use purser_api::client::Client;
use purser_api::model::{ConcludeArguments, WatchArguments};

use crate::cli::{Cli, Conclude, Conclusion, Verb, Watch};
use crate::exit::{Exit, Failure};
use crate::show::{event_line, exit_of, print_sale};
use crate::table::print_json;

/// Carries the command out.
pub(crate) async fn run(cli: &Cli) -> Result<Exit, Failure> {
    if let Verb::Completion { shell } = &cli.verb {
        completion::print(*shell);
        return Ok(Exit::Done);
    }
    if let Verb::Doctor(asked) = &cli.verb {
        return doctor::doctor(cli, asked).await;
    }
    let mut client = Client::connect(&cli.socket).await?;
    match &cli.verb {
        Verb::Sale(asked) => return sale::run(cli, client, asked).await,
        Verb::Watch(asked) => return watch(cli, client, asked).await,
        Verb::Attach(asked) => return tell(cli, &client.attach(&asked.reference).await?.sale),
        Verb::Cancel(asked) => {
            let sale = client.cancel(&asked.reference).await?.sale;
            tell(cli, &sale)?;
            // To have cancelled is what was asked for; a payment that was faster is not.
            return Ok(if sale.outcome == "not_paid" {
                Exit::Done
            } else {
                Exit::NotPaid
            });
        }
        Verb::Conclude(asked) => return conclude(cli, client, asked).await,
        Verb::Driver(asked) => return driver::run(cli, client, asked).await,
        Verb::Provider(asked) => return provider::run(cli, client, asked).await,
        Verb::Load(asked) => return load::run(cli, client, asked).await,
        Verb::Settle(asked) => return batch::settle(cli, client, asked).await,
        Verb::Batch(asked) => batch::run(cli, client, asked).await?,
        Verb::Status => return look::status(cli, client).await,
        Verb::Purse(asked) => look::purse(cli, client, asked).await?,
        Verb::Devices => look::devices(cli, client).await?,
        Verb::Journal(asked) => look::journal(cli, client, asked).await?,
        Verb::Totals => look::totals(cli, client).await?,
        Verb::Where(asked) => look::whereabouts(cli, client, &asked.reference).await?,
        Verb::Head => look::head(cli, client).await?,
        Verb::Words { kind } => completion::words(client, *kind).await?,
        Verb::Completion { .. } | Verb::Doctor(_) => unreachable!("they need no daemon"),
    }
    Ok(Exit::Done)
}

/// Prints a sale and tells by the exit code how it stands.
fn tell(cli: &Cli, sale: &purser_api::model::Sale) -> Result<Exit, Failure> {
    if cli.json {
        print_json(sale)?;
    } else {
        print_sale(sale)?;
    }
    Ok(exit_of(sale))
}

async fn conclude(cli: &Cli, mut client: Client, asked: &Conclude) -> Result<Exit, Failure> {
    let conclusion = match asked.conclusion {
        Conclusion::GoodsGiven => "goods_given",
        Conclusion::Abandoned => "abandoned",
    };
    let arguments = ConcludeArguments {
        reference: asked.reference.clone(),
        conclusion: conclusion.to_owned(),
    };
    tell(cli, &client.conclude(&arguments).await?.sale)?;
    Ok(Exit::Done)
}

async fn watch(cli: &Cli, client: Client, asked: &Watch) -> Result<Exit, Failure> {
    let arguments = WatchArguments {
        reference: asked.reference.clone(),
        after: asked.after,
    };
    let mut events = client.watch(&arguments).await?;
    loop {
        let event = events.next().await?;
        if cli.json {
            print_json(&event)?;
        } else {
            println!("{}", event_line(&event));
        }
    }
}
