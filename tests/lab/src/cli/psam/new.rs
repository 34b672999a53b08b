//! `purser-lab psam new FILE`.

use std::path::PathBuf;
use std::sync::Arc;

use clap::{Args, ValueEnum};
use purser_lab::card::{Interface, PsamTerminalNumber, Serial, TerminalSn};
use purser_lab::issuer::{LAB_MAC_TRIES, LAB_PSAM_SERIAL, LAB_TERMINAL_NUMBER, Masters};
use purser_lab::psam::{FactorOrder, Levels, Psam, PsamKey, PsamPersonalisation};
use purser_lab::store::PsamFile;

use crate::cli::Failed;

/// The key is the lab's public purchase master.
#[derive(Debug, Args)]
pub(crate) struct New {
    /// The PSAM file to make; an existing one is never overwritten
    file: PathBuf,
    /// The PSAM terminal number: 12 hexadecimal digits; Purser's configuration has to name the same
    #[arg(long, value_name = "HEX", default_value_t = LAB_TERMINAL_NUMBER)]
    terminal_number: PsamTerminalNumber,
    /// The PSAM's own serial number: 20 hexadecimal digits
    #[arg(long, value_name = "HEX", default_value_t = LAB_PSAM_SERIAL)]
    serial: Serial,
    /// How many factors diversify a card's key: 1 to 3
    #[arg(long, value_name = "N", default_value_t = Levels::ASN_ALONE)]
    levels: Levels,
    /// In which order factors come
    #[arg(long, value_enum, default_value_t = OrderChoice::AsnFirst)]
    factor_order: OrderChoice,
    /// Wrong MAC2 in a row until it is locked
    #[arg(long, value_name = "N", default_value_t = LAB_MAC_TRIES, value_parser = clap::value_parser!(u8).range(1..))]
    mac_tries: u8,
    /// The terminal SN that it gave out last; the counter ends at 4294967295
    #[arg(long, value_name = "N", default_value_t = 0)]
    last_terminal_sn: u32,
    /// It answers whole commands (T=1) and not in two steps (T=0)
    #[arg(long)]
    whole: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum OrderChoice {
    /// The card's ASN, then the levels above it
    AsnFirst,
    /// The uppermost level first, the ASN last
    UpperFirst,
}

impl New {
    pub(crate) fn run(self) -> Result<(), Failed> {
        let (file, last) = (self.file.clone(), TerminalSn(self.last_terminal_sn));
        PsamFile::create(&file, Psam::new(Arc::new(self.personalisation()), last))?;
        Ok(())
    }

    fn personalisation(self) -> PsamPersonalisation {
        let usual = Masters::public_lab().personalise_psam();
        PsamPersonalisation {
            terminal_number: self.terminal_number,
            serial: self.serial,
            key: PsamKey {
                levels: self.levels,
                ..usual.key
            },
            factor_order: match self.factor_order {
                OrderChoice::AsnFirst => FactorOrder::AsnFirst,
                OrderChoice::UpperFirst => FactorOrder::UpperFirst,
            },
            mac_tries_max: self.mac_tries,
            interface: if self.whole {
                Interface::Whole
            } else {
                Interface::T0
            },
            ..usual
        }
    }
}
