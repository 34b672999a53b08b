//! Verbs about drivers.

use std::fs::{self, OpenOptions};
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use purser_api::client::Client;
use purser_api::model::{self, DriverArguments};

use crate::cli::{Cli, Driver, Record};
use crate::exit::{Exit, Failure};
use crate::table::{print_facts, print_json, print_table};

/// Only its owner reads and writes it: a recording is masked, and still tells what a shop sells.
const RECORDING_MODE: u32 = 0o600;

pub(super) async fn run(cli: &Cli, mut client: Client, asked: &Driver) -> Result<Exit, Failure> {
    match asked {
        Driver::List => list(cli, client).await,
        Driver::Reload { name } => {
            let driver = client.reload_driver(&of(name)).await?.driver;
            tell(cli, &driver)?;
            // To have it running again is what was asked for.
            Ok(if driver.state == "ready" {
                Exit::Done
            } else {
                Exit::Refused
            })
        }
        Driver::Record(asked) => record(cli, client, asked).await,
    }
}

async fn list(cli: &Cli, mut client: Client) -> Result<Exit, Failure> {
    let reply = client.drivers().await?;
    if cli.json {
        print_json(&reply)?;
        return Ok(Exit::Done);
    }
    let or_unknown = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
    let row = |driver: &model::Driver| {
        vec![
            driver.name.clone(),
            or_unknown(&driver.id),
            or_unknown(&driver.version),
            classes(driver),
            driver.state.clone(),
            driver.restarts.to_string(),
            if driver.recording { "yes" } else { "no" }.to_owned(),
            driver.manifest.clone(),
        ]
    };
    print_table(
        &[
            "DRIVER", "ID", "VERSION", "CLASS", "STATE", "RESTARTS", "RECORDED", "MANIFEST",
        ],
        &[5],
        reply.drivers.iter().map(row).collect(),
    )?;
    for driver in &reply.drivers {
        if let Some(failure) = &driver.last_failure {
            let remedy = driver.remedy.as_deref().unwrap_or("see the log of purserd");
            println!("\n{}: {failure}\n  what to do: {remedy}", driver.name);
        }
    }
    Ok(Exit::Done)
}

async fn record(cli: &Cli, mut client: Client, asked: &Record) -> Result<Exit, Failure> {
    let driver = match &asked.file {
        None => client.stop_recording(&of(&asked.name)).await?.driver,
        Some(path) => {
            let file = new_file(path)?;
            let recorded = client.record_driver(&asked.name, file).await;
            if recorded.is_err() {
                // It is empty and ours. Where it cannot be removed it harms nobody.
                let _ = fs::remove_file(path);
            }
            recorded?.driver
        }
    };
    tell(cli, &driver)?;
    Ok(Exit::Done)
}

fn new_file(path: &Path) -> Result<OwnedFd, Failure> {
    let opened = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(RECORDING_MODE)
        .open(path);
    opened.map(OwnedFd::from).map_err(|source| Failure::Recording {
        path: path.to_owned(),
        source,
    })
}

fn tell(cli: &Cli, driver: &model::Driver) -> Result<(), Failure> {
    if cli.json {
        return Ok(print_json(driver)?);
    }
    let recorded = if driver.recording { "yes" } else { "no" };
    Ok(print_facts(&[
        ("driver", driver.name.clone()),
        ("id", driver.id.clone().unwrap_or_default()),
        ("version", driver.version.clone().unwrap_or_default()),
        ("class", classes(driver)),
        ("manifest", driver.manifest.clone()),
        ("state", driver.state.clone()),
        ("last failure", driver.last_failure.clone().unwrap_or_default()),
        ("what to do", driver.remedy.clone().unwrap_or_default()),
        ("recorded", recorded.to_owned()),
    ])?)
}

fn classes(driver: &model::Driver) -> String {
    driver.classes.as_deref().unwrap_or_default().join(", ")
}

fn of(name: &str) -> DriverArguments {
    DriverArguments {
        driver: name.to_owned(),
    }
}
