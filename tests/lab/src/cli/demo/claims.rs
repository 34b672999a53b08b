//! The claims that the shop holds, read from its journal and checked as the issuer will check them.

use std::fs;
use std::path::{Path, PathBuf};

use purser_journal::{OpenError, Query, ReadError, Reader};
use purser_lab::card::{
    Asn, CardDate, CardTime, Mac, Minor, PsamTerminalNumber, Purchase, PurseKind, TerminalSn,
};
use purser_lab::issuer::{Masters, verify_purchase_tac};
use purser_ledger::{Entry, SalePaid};
use purser_purse::pboc::{self, ClaimEvidence};
use serde::Serialize;

/// More entries than the demo makes.
const ENTRIES_MAX: u32 = 1_000;
/// Where the TAC begins in the evidence, in bytes: behind technology, version, proof and the answer's mark.
const TAC_OFFSET: usize = 4;
/// The files of a journal that hold entries.
const JOURNAL_FILES: [&str; 2] = ["journal.db", "journal.db-wal"];

/// Why the claims cannot be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ClaimsError {
    /// The journal does not open.
    #[error("the journal cannot be opened")]
    Open(#[from] OpenError),
    /// An entry cannot be read.
    #[error("the journal cannot be read")]
    Read(#[from] ReadError),
    /// Evidence is none.
    #[error("the evidence in entry {number} cannot be read")]
    Evidence { number: u64, source: pboc::DecodeError },
    /// The card gave out no TAC.
    #[error("the evidence in entry {number} has no TAC")]
    NoTac { number: u64 },
}

/// One accumulated sale, as the provider will see it.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Claim {
    pub(super) entry: u64,
    pub(super) amount_minor: u64,
    /// How the terminal knows that the debit happened.
    pub(super) proof: purser_ledger::PaidProof,
    /// The terminal's counter.
    pub(super) terminal_sn: u32,
    /// The card's counter before the debit.
    pub(super) card_sn: u16,
    /// The card's evidence, which no shop can make or check.
    pub(super) tac: String,
    /// Whether the issuer's key confirms it.
    pub(super) verified: bool,
}

/// Reads all claims of a journal.
pub(super) fn read(state_dir: &Path) -> Result<Vec<Claim>, ClaimsError> {
    paid(state_dir)?
        .iter()
        .map(|(number, paid)| claim(*number, paid))
        .collect()
}

/// Changes one hexadecimal digit of the oldest claim's TAC on the disk, below SQLite: what somebody could do who has the
/// disk and no key. Answers the files that it changed.
pub(super) fn tamper(state_dir: &Path) -> Result<Vec<PathBuf>, TamperError> {
    let paid = paid(state_dir).map_err(TamperError::Claims)?;
    let (_, first) = paid.first().ok_or(TamperError::NoClaim)?;
    let evidence = hex::encode(first.evidence.bytes());
    let mut changed = Vec::new();
    for path in JOURNAL_FILES
        .map(|name| state_dir.join(name))
        .into_iter()
        .filter(|path| path.exists())
    {
        let failed = |source| TamperError::Io {
            path: path.clone(),
            source,
        };
        let mut bytes = fs::read(&path).map_err(failed)?;
        let needle = evidence.as_bytes();
        let places = bytes.windows(needle.len()).enumerate();
        let places: Vec<usize> = places
            .filter(|(_, window)| *window == needle)
            .map(|(at, _)| at)
            .collect();
        for at in &places {
            let digit = &mut bytes[at + 2 * TAC_OFFSET];
            *digit = if *digit == b'0' { b'1' } else { b'0' };
        }
        if !places.is_empty() {
            fs::write(&path, bytes).map_err(failed)?;
            changed.push(path);
        }
    }
    if changed.is_empty() {
        return Err(TamperError::NoClaim);
    }
    Ok(changed)
}

/// Why the journal could not be tampered with.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TamperError {
    /// There is no claim to change.
    #[error("there is no claim in the journal's files")]
    NoClaim,
    /// It cannot be read to begin with.
    #[error("there is no claim to change")]
    Claims(#[source] ClaimsError),
    /// A file.
    #[error("cannot change {path}")]
    Io { path: PathBuf, source: std::io::Error },
}

/// The entries that say "paid".
fn paid(state_dir: &Path) -> Result<Vec<(u64, SalePaid)>, ClaimsError> {
    let everything = Query {
        limit: ENTRIES_MAX,
        ..Query::default()
    };
    let entries = Reader::open(state_dir)?.entries(&everything)?.into_iter();
    let paid = entries.filter_map(|recorded| match recorded.content.entry {
        Entry::SalePaid(paid) => Some((recorded.head.number, paid)),
        _ => None,
    });
    Ok(paid.collect())
}

fn claim(number: u64, paid: &SalePaid) -> Result<Claim, ClaimsError> {
    let evidence = ClaimEvidence::decode(paid.evidence.bytes());
    let evidence = evidence.map_err(|source| ClaimsError::Evidence { number, source })?;
    let tac = evidence.answer().ok_or(ClaimsError::NoTac { number })?.tac;
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
    let is_genuine = verify_purchase_tac(&Masters::public_lab(), asn, &purchase, Mac(*tac.as_bytes()));
    Ok(Claim {
        entry: number,
        amount_minor: paid.amount.minor(),
        proof: paid.proof,
        terminal_sn: attempt.terminal_sn.value(),
        card_sn: attempt.offline_sn.value(),
        tac: tac.to_hex(),
        // The claimed amount has to be the one that the card vouches for.
        verified: is_genuine && paid.amount.minor() == u64::from(attempt.amount.minor()),
    })
}
