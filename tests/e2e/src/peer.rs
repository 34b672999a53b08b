//! Peers that this project did not write: Python programs with clients from PyPI.

use std::io::{BufRead, BufReader};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

use serde_json::Value;

use crate::{Fault, ensure};

/// A Python program that tells a line of JSON for each thing that happens. It is killed when dropped.
#[derive(Debug)]
pub struct Peer {
    child: Child,
    lines: BufReader<ChildStdout>,
}

/// What a peer told up to its end.
#[derive(Debug)]
pub struct PeerEnd {
    /// Its exit code.
    pub code: Option<i32>,
    /// Each line.
    pub told: Vec<Value>,
}

impl Peer {
    /// Starts a script of the folder `peers`. `input` becomes its standard input.
    ///
    /// # Errors
    /// The Python environment is missing.
    pub fn start(script: &str, arguments: &[&str], input: Option<OwnedFd>) -> Result<Self, Fault> {
        let mut child = Command::new(python()?)
            .arg(script_path(script))
            .args(arguments)
            .stdin(input.map_or_else(Stdio::null, Stdio::from))
            .stdout(Stdio::piped())
            .spawn()?;
        let told = child.stdout.take().ok_or("standard output is a pipe")?;
        Ok(Self {
            child,
            lines: BufReader::new(told),
        })
    }

    /// The next thing that it tells; none at its end.
    ///
    /// # Errors
    /// What it tells is no JSON.
    pub fn hear(&mut self) -> Result<Option<Value>, Fault> {
        let mut line = String::new();
        if self.lines.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        Ok(Some(serde_json::from_str(&line)?))
    }

    /// Waits until it tells of a sale in this state.
    ///
    /// # Errors
    /// It ends before.
    pub fn wait_for_state(&mut self, state: &str) -> Result<Value, Fault> {
        while let Some(told) = self.hear()? {
            if told["event"]["sale"]["state"] == state || told["sale"]["state"] == state {
                return Ok(told);
            }
        }
        Err(format!("the peer ended before the sale was {state}").into())
    }

    /// Hears it to its end.
    ///
    /// # Errors
    /// What it tells is no JSON.
    pub fn finish(mut self) -> Result<PeerEnd, Fault> {
        let mut told = Vec::new();
        while let Some(line) = self.hear()? {
            told.push(line);
        }
        let code = self.child.wait()?.code();
        Ok(PeerEnd { code, told })
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // Both fail only for one that has ended.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

impl PeerEnd {
    /// Fails unless it ended with this code.
    ///
    /// # Errors
    /// Another code, with all that was told.
    pub fn expect_code(self, code: i32) -> Result<Self, Fault> {
        ensure(self.code == Some(code), || {
            format!("exit code {code} was expected: {self:?}")
        })?;
        Ok(self)
    }

    /// Kind and number of each journal entry that was told, in that order.
    pub fn entries(&self) -> Vec<(&str, u64)> {
        let events = self.told.iter().map(|told| &told["event"]);
        let entry = |event: &'_ Value| event["number"].as_u64();
        events
            .filter_map(|event| Some((event["kind"].as_str()?, entry(event)?)))
            .collect()
    }
}

/// Where a script of the folder `peers` is.
pub fn script_path(script: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("peers").join(script)
}

fn python() -> Result<PathBuf, Fault> {
    let python = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/peers/bin/python");
    ensure(python.exists(), || {
        "the peers' Python is missing: python3 -m venv target/peers && \
         target/peers/bin/pip install -r tests/e2e/peers/requirements.txt"
            .to_owned()
    })?;
    Ok(python)
}
