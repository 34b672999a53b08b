//! `purser-lab card show FILE`.

use std::io::{self, Write};
use std::path::PathBuf;

use clap::Args;
use purser_lab::card::{Card, Life, Log, LogRecord, PurseState};
use purser_lab::store::CardFile;
use serde::Serialize;

use crate::cli::Failed;

#[derive(Debug, Args)]
pub(crate) struct Show {
    /// The card file
    file: PathBuf,
    /// One JSON object instead of text (without keys and PIN)
    #[arg(long)]
    json: bool,
}

/// What is shown: neither keys nor the PIN.
#[derive(Serialize)]
struct Shown<'a> {
    serial: String,
    asn: String,
    issuer: String,
    aid: String,
    start: String,
    expiry: String,
    life: Life,
    pin_tries_left: u8,
    money_minor: u64,
    ep: &'a PurseState,
    ed: &'a PurseState,
    log: Vec<LogRecord>,
}

impl Show {
    pub(crate) fn run(self) -> Result<(), Failed> {
        let card = CardFile::read(&self.file)?;
        let shown = Shown::of(&card);
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

impl<'a> Shown<'a> {
    fn of(card: &'a Card) -> Self {
        let (fixed, state) = (card.personalisation(), card.state());
        Self {
            serial: fixed.serial.to_string(),
            asn: fixed.serial.asn().to_string(),
            issuer: fixed.issuer.to_string(),
            aid: fixed.aid.to_string(),
            start: fixed.start.to_string(),
            expiry: fixed.expiry.to_string(),
            life: state.life,
            pin_tries_left: state.pin_tries_left,
            money_minor: card.money(),
            ep: &state.ep,
            ed: &state.ed,
            log: (1..)
                .map_while(|nth| state.log.nth_newest(nth))
                .take(Log::RECORDS)
                .collect(),
        }
    }

    fn write(&self, out: &mut impl Write) -> io::Result<()> {
        writeln!(out, "serial number  {} (ASN {})", self.serial, self.asn)?;
        writeln!(out, "issuer         {}", self.issuer)?;
        writeln!(out, "application    {}", self.aid)?;
        writeln!(out, "valid          {} to {}", self.start, self.expiry)?;
        writeln!(
            out,
            "state          {:?}, {} PIN tries left",
            self.life, self.pin_tries_left
        )?;
        for (name, purse) in [("wallet (EP)", self.ep), ("passbook (ED)", self.ed)] {
            let PurseState {
                balance,
                online_sn,
                offline_sn,
                ..
            } = purse;
            writeln!(
                out,
                "{name:<14} {balance} minor units, {offline_sn} purchases, {online_sn} loads"
            )?;
        }
        for (nth, LogRecord(record)) in (1..).zip(&self.log) {
            let minor = u32::from_be_bytes([record[5], record[6], record[7], record[8]]);
            let (terminal, date) = (hex::encode(&record[10..16]), hex::encode(&record[16..20]));
            let (kind, time) = (record[9], hex::encode(&record[20..]));
            writeln!(
                out,
                "log {nth:>2}         type {kind:02X}, {minor} at {terminal}, {date} {time}"
            )?;
        }
        Ok(())
    }
}
