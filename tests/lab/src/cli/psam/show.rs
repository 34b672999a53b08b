//! `purser-lab psam show FILE`.

use std::io::{self, Write};
use std::path::PathBuf;

use clap::Args;
use purser_lab::psam::Psam;
use purser_lab::store::PsamFile;
use serde::Serialize;

use crate::cli::Failed;

#[derive(Debug, Args)]
pub(crate) struct Show {
    /// The PSAM file
    file: PathBuf,
    /// One JSON object instead of text (without the key)
    #[arg(long)]
    json: bool,
}

/// What is shown: not the key.
#[derive(Serialize)]
struct Shown {
    serial: String,
    terminal_number: String,
    terminal_sn: u32,
    levels: u8,
    factor_order: &'static str,
    key_version: u8,
    mac_tries_left: u8,
    locked: bool,
}

impl Show {
    pub(crate) fn run(self) -> Result<(), Failed> {
        let shown = Shown::of(&PsamFile::read(&self.file)?);
        let mut out = io::stdout().lock();
        if self.json {
            serde_json::to_writer(&mut out, &shown).map_err(io::Error::from)?;
            writeln!(out)?;
        } else {
            shown.write(&mut out)?;
        }
        Ok(())
    }
}

impl Shown {
    fn of(psam: &Psam) -> Self {
        let (fixed, state) = (psam.personalisation(), psam.state());
        Self {
            serial: fixed.serial.to_string(),
            terminal_number: fixed.terminal_number.to_string(),
            terminal_sn: state.terminal_sn.0,
            levels: fixed.key.levels.into(),
            factor_order: fixed.factor_order.name(),
            key_version: fixed.key.version,
            mac_tries_left: state.mac_tries_left,
            locked: psam.is_locked(),
        }
    }

    fn write(&self, out: &mut impl Write) -> io::Result<()> {
        let state = if self.locked { "locked" } else { "usable" };
        writeln!(out, "serial number    {}", self.serial)?;
        writeln!(out, "terminal number  {}", self.terminal_number)?;
        writeln!(out, "terminal SN      {} was given out last", self.terminal_sn)?;
        writeln!(
            out,
            "key              version {}, {} level(s), {}",
            self.key_version, self.levels, self.factor_order
        )?;
        writeln!(
            out,
            "state            {state}, {} MAC tries left",
            self.mac_tries_left
        )
    }
}
