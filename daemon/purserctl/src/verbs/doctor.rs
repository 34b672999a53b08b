//! `purserctl doctor`: what the running daemon knows of itself, and what `purserd doctor` sees of this machine.

use std::env;
use std::io::ErrorKind;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use purser_api::client::{Client, ClientError};
use purser_api::model::{Device, Problem};
use serde::{Deserialize, Serialize};

use crate::cli::{Cli, Doctor};
use crate::exit::{Exit, Failure};
use crate::table::print_json;

/// What is wrong, as `purserd doctor --json` prints it too.
#[derive(Debug, Deserialize, Serialize)]
struct Findings {
    findings: Vec<Problem>,
}

pub(super) async fn doctor(cli: &Cli, asked: &Doctor) -> Result<Exit, Failure> {
    let mut findings = match ask(cli).await {
        Ok(findings) => findings,
        Err(error) => vec![not_reached(&cli.socket, &error)],
    };
    let is_told: Vec<String> = findings.iter().map(|finding| finding.name.clone()).collect();
    let seen = look(cli, asked).into_iter();
    // Where both know of something, the running daemon knows it better.
    findings.extend(seen.filter(|finding| !is_told.contains(&finding.name)));
    let exit = if findings.is_empty() {
        Exit::Done
    } else {
        Exit::Refused
    };
    if cli.json {
        print_json(&Findings { findings })?;
        return Ok(exit);
    }
    for Problem { name, cause, remedy } in &findings {
        println!("{name}: {cause}\n  what to do: {remedy}\n");
    }
    match findings.len() {
        0 => println!("nothing is wrong"),
        1 => println!("1 finding"),
        more => println!("{more} findings"),
    }
    Ok(exit)
}

fn problem(name: &str, cause: impl Into<String>, remedy: impl Into<String>) -> Problem {
    Problem {
        name: name.to_owned(),
        cause: cause.into(),
        remedy: remedy.into(),
    }
}

/// What the daemon says.
async fn ask(cli: &Cli) -> Result<Vec<Problem>, ClientError> {
    let mut client = Client::connect(&cli.socket).await?;
    let status = client.status().await?;
    let devices = client.devices().await?.devices;
    let mut findings = status.problems;
    // The status tells of failed drivers itself.
    let resting = devices
        .iter()
        .filter(|device| device.state != "ready" && device.state != "failed");
    findings.extend(resting.map(device_problem));
    if !status.ready && findings.is_empty() {
        findings.push(problem(
            "no_reader",
            "no card reader works",
            "plug one in, or see drivers.d in purser.toml(5)",
        ));
    }
    Ok(findings)
}

fn device_problem(device: &Device) -> Problem {
    let cause = device.cause.as_deref().unwrap_or("it does not work yet");
    let remedy = device.remedy.as_deref().unwrap_or("wait a moment, and ask again");
    problem(
        &format!("device_{}", device.state),
        format!("{}: {cause}", device.name),
        remedy,
    )
}

fn not_reached(socket: &Path, error: &ClientError) -> Problem {
    let at = socket.display();
    match UnixStream::connect(socket).map_err(|error| error.kind()) {
        Err(ErrorKind::PermissionDenied) => problem(
            "socket_closed",
            format!("this user may not open {at}"),
            "add the user to the socket's group (purser-pos on an installed system) and log in again",
        ),
        Err(ErrorKind::NotFound | ErrorKind::ConnectionRefused) => problem(
            "not_running",
            format!("no purserd listens at {at}"),
            "start it (systemctl start purserd); its log tells why it ended (journalctl -u purserd)",
        ),
        Ok(_) | Err(_) => problem(
            "not_answering",
            format!("purserd at {at} does not answer as it should: {error}"),
            "see its log; restart it if it stays so, sales are kept",
        ),
    }
}

/// What `purserd doctor` sees.
fn look(cli: &Cli, asked: &Doctor) -> Vec<Problem> {
    let program = purserd();
    let mut command = Command::new(&program);
    command.args(["doctor", "--json"]).stdin(Stdio::null());
    if let Some(config) = &asked.config {
        command.arg("--config").arg(config);
    }
    if let Some(state_dir) = &asked.state_dir {
        command.arg("--state-dir").arg(state_dir);
    }
    if let Some(run_dir) = cli.socket.parent() {
        command.arg("--run-dir").arg(run_dir);
    }
    let not_seen = |why: String| {
        let cause = format!("{} cannot look at this machine: {why}", program.display());
        vec![problem(
            "machine_not_seen",
            cause,
            "install purserd beside purserctl, or run `purserd doctor` yourself",
        )]
    };
    match command.output() {
        Err(error) => not_seen(error.to_string()),
        Ok(output) => match serde_json::from_slice::<Findings>(&output.stdout) {
            Ok(told) => told.findings,
            Err(_) => not_seen(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
        },
    }
}

/// The purserd beside this program (a checkout or an installation), else the one in the path.
fn purserd() -> PathBuf {
    env::current_exe()
        .ok()
        .map(|program| program.with_file_name("purserd"))
        .filter(|beside| beside.is_file())
        .unwrap_or_else(|| PathBuf::from("purserd"))
}
