//! The claims that the shop holds, read from its journal and checked as the issuer will check them.

use std::path::Path;

use purser_journal::{OpenError, Query, ReadError, Reader};
pub use purser_ledger::PaidProof;
use purser_ledger::{Entry, SalePaid};
use purser_purse::pboc::{self, ClaimEvidence};
use serde::Serialize;

use crate::card::{Asn, CardDate, CardTime, Mac, Minor, PsamTerminalNumber, Purchase, PurseKind, TerminalSn};
use crate::issuer::{Masters, verify_purchase_tac};

/// More entries than a demo or a test makes.
const ENTRIES_MAX: u32 = 10_000;

/// Why the claims cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ClaimsError {
    /// The journal does not open.
    #[error("the journal cannot be opened")]
    Open(#[from] OpenError),
    /// An entry cannot be read.
    #[error("the journal cannot be read")]
    Read(#[from] ReadError),
    /// Evidence is none.
    #[error("the evidence in entry {number} cannot be read")]
    Evidence {
        /// The entry.
        number: u64,
        /// What is wrong with it.
        source: pboc::DecodeError,
    },
}

impl ClaimsError {
    /// Whether the same journal can be read later without anybody mending something.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Open(error) => error.is_transient(),
            Self::Read(error) => error.is_transient(),
            Self::Evidence { .. } => false,
        }
    }
}

/// One accumulated sale, as the provider will see it.
#[derive(Clone, Debug, Serialize)]
pub struct Claim {
    /// The number of the entry that says so.
    pub entry: u64,
    /// What is claimed.
    pub amount_minor: u64,
    /// How the terminal knows that the debit happened.
    pub proof: PaidProof,
    /// The terminal's counter.
    pub terminal_sn: u32,
    /// The card's counter before the debit.
    pub card_sn: u16,
    /// The card's evidence, which no shop can make or check; none where the card gave it out no more.
    pub tac: Option<String>,
    /// Whether the issuer's key confirms it.
    pub verified: bool,
}

/// Reads all claims of a journal, also while purserd writes it.
///
/// # Errors
/// [`ClaimsError`]: no journal, or one that does not hold what it should.
pub fn read(state_dir: &Path) -> Result<Vec<Claim>, ClaimsError> {
    paid(state_dir)?
        .iter()
        .map(|(number, paid)| claim(*number, paid))
        .collect()
}

/// The terminal SN of every debit that was ever intended, in the order of the journal. Each debit that was sent is one of
/// them.
///
/// # Errors
/// As [`read`].
pub fn terminal_sns(state_dir: &Path) -> Result<Vec<TerminalSn>, ClaimsError> {
    let entries = entries(state_dir)?.into_iter();
    let intended = entries.filter_map(|(_, entry)| match entry {
        Entry::SaleIntended(intended) => Some(TerminalSn(intended.key.terminal_sn)),
        _ => None,
    });
    Ok(intended.collect())
}

/// The entries that say "paid".
///
/// # Errors
/// As [`read`].
pub fn paid(state_dir: &Path) -> Result<Vec<(u64, SalePaid)>, ClaimsError> {
    let entries = entries(state_dir)?.into_iter();
    let paid = entries.filter_map(|(number, entry)| match entry {
        Entry::SalePaid(paid) => Some((number, paid)),
        _ => None,
    });
    Ok(paid.collect())
}

fn entries(state_dir: &Path) -> Result<Vec<(u64, Entry)>, ClaimsError> {
    let everything = Query {
        limit: ENTRIES_MAX,
        ..Query::default()
    };
    let entries = Reader::open(state_dir)?.entries(&everything)?.into_iter();
    Ok(entries
        .map(|recorded| (recorded.head.number, recorded.content.entry))
        .collect())
}

fn claim(number: u64, paid: &SalePaid) -> Result<Claim, ClaimsError> {
    let evidence = ClaimEvidence::decode(paid.evidence.bytes());
    let evidence = evidence.map_err(|source| ClaimsError::Evidence { number, source })?;
    let tac = evidence.answer().map(|answer| answer.tac);
    let attempt = evidence.attempt();
    // What the provider reads from the claim, and computes anew with the key that only it has.
    let purchase = Purchase {
        purse: match attempt.purse {
            pboc::PurseKind::Ep => PurseKind::Ep,
            pboc::PurseKind::Ed => PurseKind::Ed,
        },
        amount: Minor(attempt.amount.minor()),
        terminal: PsamTerminalNumber(*attempt.terminal_number.as_bytes()),
        terminal_sn: TerminalSn(attempt.terminal_sn.value()),
        date: CardDate(*attempt.time.date.as_bytes()),
        time: CardTime(*attempt.time.time.as_bytes()),
    };
    let asn = Asn(*attempt.asn.as_bytes());
    let masters = Masters::public_lab();
    let is_genuine =
        tac.is_some_and(|tac| verify_purchase_tac(&masters, asn, &purchase, Mac(*tac.as_bytes())));
    Ok(Claim {
        entry: number,
        amount_minor: paid.amount.minor(),
        proof: paid.proof,
        terminal_sn: attempt.terminal_sn.value(),
        card_sn: attempt.offline_sn.value(),
        tac: tac.map(|tac| tac.to_hex()),
        // The claimed amount has to be the one that the card vouches for.
        verified: is_genuine && paid.amount.minor() == u64::from(attempt.amount.minor()),
    })
}
