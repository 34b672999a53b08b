//! `purser-lab card new FILE`.

use std::path::PathBuf;
use std::sync::Arc;

use clap::{Args, ValueEnum};
use purser_lab::card::{
    Aid, Card, CardDate, Interface, IssuerId, LogSn, Minor, Opening, Personalisation, Pin, Purses, Serial,
};
use purser_lab::issuer::{LAB_BALANCE_MAX, LAB_ISSUER, LAB_PIN, LAB_PIN_TRIES, LAB_SERIAL, Masters};
use purser_lab::store::CardFile;

use crate::cli::Failed;

/// Amounts are in minor units (yen, cents). Keys derive from the lab's public masters and the serial number.
#[derive(Debug, Args)]
pub(crate) struct New {
    /// The card file to make; an existing card is never overwritten
    file: PathBuf,
    /// Money in the wallet (EP)
    #[arg(long, value_name = "N", default_value_t = 0)]
    balance: u32,
    /// Money in the passbook (ED)
    #[arg(long, value_name = "N", default_value_t = 0)]
    ed_balance: u32,
    /// The most that each purse may hold
    #[arg(long, value_name = "N", default_value_t = LAB_BALANCE_MAX.0)]
    balance_max: u32,
    /// The holder's PIN: 4 to 12 digits, an even number of them
    #[arg(long, value_name = "DIGITS", default_value = LAB_PIN)]
    pin: Pin,
    /// Wrong PINs in a row until it is blocked
    #[arg(long, value_name = "N", default_value_t = LAB_PIN_TRIES, value_parser = clap::value_parser!(u8).range(1..=15))]
    pin_tries: u8,
    /// The issuer's id: 16 hexadecimal digits
    #[arg(long, value_name = "HEX", default_value_t = LAB_ISSUER)]
    issuer: IssuerId,
    /// The serial number: 20 hexadecimal digits; the last 16 are the ASN that diversifies the keys
    #[arg(long, value_name = "HEX", default_value_t = LAB_SERIAL)]
    serial: Serial,
    /// First day of validity
    #[arg(long, value_name = "YYYYMMDD", default_value = "20260101")]
    start: CardDate,
    /// Last day of validity
    #[arg(long, value_name = "YYYYMMDD", default_value = "20991231")]
    expiry: CardDate,
    /// The application's name: another one makes a foreign card
    #[arg(long, value_name = "HEX", default_value_t)]
    aid: Aid,
    /// Which purses the card has
    #[arg(long, value_enum, default_value_t = PursesChoice::Both)]
    purses: PursesChoice,
    /// How the card talks
    #[arg(long, value_enum, default_value_t = InterfaceChoice::Whole)]
    interface: InterfaceChoice,
    /// Purchases from the wallet need no PIN (the passbook always needs it)
    #[arg(long)]
    pin_free: bool,
    /// GET BALANCE needs the PIN
    #[arg(long)]
    balance_behind_pin: bool,
    /// INITIALIZE refuses amount 0
    #[arg(long)]
    refuse_zero: bool,
    /// Log records carry the counter after the operation instead of before
    #[arg(long)]
    log_sn_after: bool,
    /// Where all counters start; they end at 65535
    #[arg(long, value_name = "N", default_value_t = 0)]
    first_sn: u16,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum PursesChoice {
    /// Passbook only
    Ed,
    /// Wallet only
    Ep,
    /// Passbook and wallet
    Both,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum InterfaceChoice {
    /// T=CL or T=1: whole answers
    Whole,
    /// Contact T=0: 61xx and 6Cxx
    T0,
}

impl New {
    pub(crate) fn run(self) -> Result<(), Failed> {
        if self.balance.max(self.ed_balance) > self.balance_max {
            return Err(Failed::AboveMaximum {
                max: self.balance_max,
            });
        }
        let opening = Opening {
            ed: Minor(self.ed_balance),
            ep: Minor(self.balance),
            sn: self.first_sn,
        };
        let file = self.file.clone();
        CardFile::create(&file, Card::new(Arc::new(self.personalisation()), opening))?;
        Ok(())
    }

    fn personalisation(self) -> Personalisation {
        Personalisation {
            aid: self.aid,
            issuer: self.issuer,
            purses: match self.purses {
                PursesChoice::Ed => Purses::EdOnly,
                PursesChoice::Ep => Purses::EpOnly,
                PursesChoice::Both => Purses::Both,
            },
            start: self.start,
            expiry: self.expiry,
            pin: self.pin,
            pin_tries_max: self.pin_tries,
            ep_purchase_needs_pin: !self.pin_free,
            balance_needs_pin: self.balance_behind_pin,
            zero_amount_accepted: !self.refuse_zero,
            balance_max: Minor(self.balance_max),
            interface: match self.interface {
                InterfaceChoice::Whole => Interface::Whole,
                InterfaceChoice::T0 => Interface::T0,
            },
            log_sn: if self.log_sn_after {
                LogSn::AfterIncrement
            } else {
                LogSn::BeforeIncrement
            },
            ..Masters::public_lab().personalise(self.serial)
        }
    }
}
