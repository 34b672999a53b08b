//! The full check: every digest again, every derived row again, nothing believed.

mod batches;
mod derived;
mod fold;

use std::path::Path;

use purser_ledger::{BooksError, DecodeError, FoldError, Head};
use rusqlite::{Connection, TransactionBehavior};

use crate::chain::ChainKey;
use crate::files::StateFolder;
use crate::head_file;
use crate::reader::{Beside, connect, connect_alone};
use crate::rows::RawEntry;
use crate::{OpenError, ReadError, schema};
use fold::Refold;

/// Entries between two calls of the progress callback: some milliseconds of work.
const PROGRESS_ENTRIES: u64 = 1_000;

/// What SQLite says of a page that two structures use.
const SHARED_PAGE: &str = "2nd reference";

/// What a check found in a journal that is whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The newest entry's number and digest.
    pub head: Head,
    /// How many operations there are.
    pub operations: u64,
    /// How many of them have no end: a sale that is proven neither way, a load that is neither on its card, with the provider's
    /// knowledge, nor void.
    pub open: u64,
    /// How many debits were ever intended.
    pub debits: u64,
}

/// A table of rows that follow from the entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Derived {
    /// The operations with their references and owners.
    Operations,
    /// The keys of all debits.
    Debits,
    /// The loads with their cards.
    Loads,
    /// The operations that are open.
    OpenOperations,
    /// The balances.
    Balances,
    /// The entries that make items of batches.
    Settleable,
    /// The batches that were sealed.
    Batches,
}

/// What is wrong with a journal.
#[derive(Debug, thiserror::Error)]
pub enum Finding {
    /// An entry is not there.
    #[error("entry {number} is missing")]
    Missing {
        /// The entry.
        number: u64,
    },
    /// An entry, or one before it, was changed.
    #[error(
        "entry {number} does not fit the record chain: it was changed, or chain.key is another journal's"
    )]
    Changed {
        /// The entry.
        number: u64,
    },
    /// An entry cannot be read.
    #[error("entry {number} cannot be read")]
    Unreadable {
        /// The entry.
        number: u64,
        /// Why.
        source: DecodeError,
    },
    /// The row of an entry names another operation than its content.
    #[error("the row of entry {number} names another operation than its content")]
    OtherOperation {
        /// The entry.
        number: u64,
    },
    /// An entry does not follow from those before it.
    #[error("entry {number} does not follow from those before it")]
    OutOfOrder {
        /// The entry.
        number: u64,
        /// Why.
        source: FoldError,
    },
    /// An entry moves money that is not there.
    #[error("entry {number} breaks the books")]
    Books {
        /// The entry.
        number: u64,
        /// Why.
        source: BooksError,
    },
    /// A batch was sealed that does not begin where the last one ended, or whose sums are not those of its entries.
    #[error("the batch that entry {number} seals is not what the entries before it make")]
    Batch {
        /// The entry.
        number: u64,
    },
    /// The verdicts of an exchanged batch are not all there, or not those that its permit names.
    #[error("the verdicts of the batch that entry {number} exchanges are not those that its permit names")]
    Verdicts {
        /// The entry.
        number: u64,
    },
    /// SQLite finds the structure of the table of verdicts damaged, and of no other.
    #[error(
        "the table of the provider's verdicts is damaged; sales do not concern it, and mend-journal makes it anew"
    )]
    VerdictPages,
    /// Derived rows are not what the entries say.
    #[error("the table {0:?} is not what the entries say; the entries are whole")]
    Derived(Derived),
    /// SQLite finds its own structures damaged, or the tables are not those that Purser makes.
    #[error("the data base file is damaged")]
    Structure,
    /// The journal ends before the head that was given: its tail was cut off, or an old copy was put back.
    #[error("the journal ends at entry {found}, before entry {expected}: its tail is cut off")]
    TailCut {
        /// The newest entry's number.
        found: u64,
        /// The number of the head that was given.
        expected: u64,
    },
    /// The journal has another entry at the number of the head that was given.
    #[error("entry {number} is not the one that the given head, or journal.head, vouches for")]
    OtherHead {
        /// The entry.
        number: u64,
    },
}

impl Finding {
    /// True for damage that is everybody's: to the rows and pages by which a paid sale is found again, or to where the journal
    /// ends. No new sale may begin then: a repeat could be taken for one. False for a damaged entry, which is its own sale's
    /// misfortune.
    pub fn hits_all(&self) -> bool {
        match self {
            Self::Missing { .. }
            | Self::Changed { .. }
            | Self::Unreadable { .. }
            | Self::OtherOperation { .. }
            | Self::OutOfOrder { .. }
            | Self::Books { .. }
            | Self::Batch { .. }
            | Self::Verdicts { .. }
            | Self::VerdictPages => false,
            Self::Derived(_) | Self::Structure | Self::TailCut { .. } | Self::OtherHead { .. } => true,
        }
    }

    /// True for damage to the provider's verdicts alone: nothing follows from them, so all else was compared beside it.
    pub fn is_of_verdicts(&self) -> bool {
        matches!(self, Self::Verdicts { .. } | Self::VerdictPages)
    }
}

/// Why a check does not end with a report.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// The journal cannot be opened.
    #[error("the journal cannot be opened for the check")]
    Open(#[from] OpenError),
    /// The journal cannot be read to its end.
    #[error("the journal cannot be read to its end")]
    Read(#[from] ReadError),
    /// Something is wrong. Keep the folder and check its disk; where the finding is about rows that follow from the entries, or
    /// about the file's structure, stop selling.
    #[error("the journal is not as Purser wrote it; keep a copy of the state folder as it is")]
    Found(#[from] Finding),
}

impl VerifyError {
    /// True when the same call may succeed later without repair.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Open(error) => error.is_transient(),
            Self::Read(error) => error.is_transient(),
            Self::Found(_) => false,
        }
    }
}

impl From<rusqlite::Error> for VerifyError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Read(error.into())
    }
}

/// Checks a whole journal, or a copy of one, also while its writer is at work. Changes nothing. Goes on behind a damaged entry,
/// and tells the gravest that it found: a finding that hits all sales ([`Finding::hits_all`]) before one that hits its own, and of
/// two such the first.
///
/// Beside a damaged entry it is not known what follows from all of them: then the counts of rows, the balances and the list of
/// open operations are not compared, and damage to these is found when the entry is whole again. The structure of the file, and
/// that its indexes are equal to its tables, is checked always.
///
/// `expect` is a head that was printed earlier: the journal must hold that very entry, and may have grown since. The same
/// holds for the head in `journal.head`, where that is there.
/// `progress` is called now and then with the number of entries checked and the number of all.
///
/// # Errors
/// [`VerifyError::Found`] is the answer that the check is for; the others say why it could not be made.
pub fn verify(
    state_dir: &Path,
    expect: Option<Head>,
    progress: impl FnMut(u64, u64),
) -> Result<Report, VerifyError> {
    let folder = StateFolder::new(state_dir);
    let key = folder.key()?;
    // Before the data base is looked at, which may grow meanwhile.
    let noted = key.as_ref().map(|key| head_file::noted(&folder, key)).transpose();
    let noted = noted.map_err(OpenError::from)?.flatten();
    let vouched: Vec<Head> = expect.into_iter().chain(noted).collect();
    let conn = connect(&folder, Beside::NobodyWithoutWal)?;
    match verify_on(&conn, key.as_ref(), &vouched, progress)? {
        (report, None) => Ok(report),
        (_, Some(gravest)) => Err(gravest.into()),
    }
}

/// Checks a journal that was made anew and has not its name yet: it must hold `expect`. Tells what is left of damage to verdicts,
/// which follow from no entry.
pub(crate) fn verify_new(
    folder: &StateFolder,
    expect: Head,
) -> Result<(Report, Option<Finding>), VerifyError> {
    let key = folder.key()?;
    let vouched: Vec<Head> = Some(expect)
        .filter(|head| *head != Head::EMPTY)
        .into_iter()
        .collect();
    let conn = connect_alone(&folder.new_journal())?;
    match verify_on(&conn, key.as_ref(), &vouched, |_, _| {})? {
        (_, Some(gravest)) if !matches!(gravest, Finding::Verdicts { .. }) => Err(gravest.into()),
        checked => Ok(checked),
    }
}

fn verify_on(
    conn: &Connection,
    key: Option<&ChainKey>,
    vouched: &[Head],
    progress: impl FnMut(u64, u64),
) -> Result<(Report, Option<Finding>), VerifyError> {
    let moment = rusqlite::Transaction::new_unchecked(conn, TransactionBehavior::Deferred)?;
    let mut check = Check {
        head: Head::EMPTY,
        refold: Refold::default(),
        findings: Findings::default(),
    };
    check.entries(&moment, key, vouched, progress)?;
    if !check.findings.has_damaged_entry() {
        // What follows from all entries is not known where one of them is not.
        check.findings.take(check.refold.compare(&moment))?;
    }
    check.findings.take(check_structure(&moment))?;
    let head = check.head;
    if let Some(expected) = vouched.iter().map(|head| head.number).max()
        && expected > head.number
    {
        let found = head.number;
        check.findings.add(Finding::TailCut { found, expected });
    }
    if let Some(number) = check.refold.other_verdicts() {
        check.findings.add(Finding::Verdicts { number });
    }
    Ok((check.refold.report(head), check.findings.gravest()))
}

/// The first finding of each kind.
#[derive(Default)]
struct Findings {
    hits_all: Option<Finding>,
    hits_its_own: Option<Finding>,
    of_verdicts: Option<Finding>,
}

impl Findings {
    fn add(&mut self, finding: Finding) {
        let first = if finding.hits_all() {
            &mut self.hits_all
        } else if finding.is_of_verdicts() {
            &mut self.of_verdicts
        } else {
            &mut self.hits_its_own
        };
        first.get_or_insert(finding);
    }

    /// Keeps a finding, and hands on why there is no more to be found.
    fn take(&mut self, checked: Result<(), VerifyError>) -> Result<(), VerifyError> {
        match checked {
            Err(VerifyError::Found(finding)) => {
                self.add(finding);
                Ok(())
            }
            other => other,
        }
    }

    fn has_damaged_entry(&self) -> bool {
        self.hits_all.is_some() || self.hits_its_own.is_some()
    }

    fn gravest(self) -> Option<Finding> {
        self.hits_all.or(self.hits_its_own).or(self.of_verdicts)
    }
}

/// A check under way.
struct Check {
    /// The entry that was read last, as it says itself.
    head: Head,
    refold: Refold,
    findings: Findings,
}

impl Check {
    fn entries(
        &mut self,
        conn: &Connection,
        key: Option<&ChainKey>,
        vouched: &[Head],
        mut progress: impl FnMut(u64, u64),
    ) -> Result<(), VerifyError> {
        let newest = crate::rows::head(conn)?.number;
        let mut statement =
            conn.prepare("SELECT number, digest, operation, content FROM entries ORDER BY number")?;
        let mut rows = statement.query(())?;
        while let Some(row) = rows.next()? {
            let entry = RawEntry::read(row)?;
            self.entry(conn, key.ok_or(OpenError::KeyMissing)?, &entry)?;
            let number = entry.number;
            let is_other = |vouched: &Head| vouched.number == number && *vouched != self.head;
            if vouched.iter().any(is_other) {
                self.findings.add(Finding::OtherHead { number });
            }
            if number.is_multiple_of(PROGRESS_ENTRIES) {
                progress(number, newest);
            }
        }
        progress(newest, newest);
        Ok(())
    }

    /// One entry. Whatever is wrong with it, the next one is checked against what it says.
    fn entry(&mut self, conn: &Connection, key: &ChainKey, entry: &RawEntry) -> Result<(), VerifyError> {
        let before = std::mem::replace(&mut self.head, entry.head());
        let number = before.number.saturating_add(1);
        if entry.number != number {
            self.findings.add(Finding::Missing { number });
            return Ok(());
        }
        if key.digest(number, &before.digest, &entry.content) != entry.digest {
            self.findings.add(Finding::Changed { number });
            return Ok(());
        }
        let taken = self.refold.take(conn, entry);
        self.findings.take(taken)
    }
}

fn check_structure(conn: &Connection) -> Result<(), VerifyError> {
    if !schema::is_as_made(conn)? {
        return Err(Finding::Structure.into());
    }
    let complaint = match conn.query_row("PRAGMA integrity_check", (), |row| row.get::<_, String>(0)) {
        Ok(answer) if answer == "ok" => return Ok(()),
        Ok(answer) => answer,
        Err(error) => match ReadError::from(error) {
            busy if busy.is_transient() => return Err(busy.into()),
            // Where it is not in the verdicts, the other tables tell the same.
            _ => String::new(),
        },
    };
    // A verdict could be written into another table's page.
    if !complaint.contains(SHARED_PAGE) && all_others_are_sound(conn)? {
        Err(Finding::VerdictPages.into())
    } else {
        Err(Finding::Structure.into())
    }
}

/// True when every table but that of verdicts is sound, and the list of free pages.
fn all_others_are_sound(conn: &Connection) -> Result<bool, VerifyError> {
    let mut statement =
        conn.prepare("SELECT name FROM sqlite_schema WHERE type = 'table' AND name <> 'verdicts'")?;
    let names = statement.query_map((), |row| row.get::<_, String>(0))?;
    let names: Vec<String> = names.collect::<Result<_, _>>()?;
    for name in names.iter().map(String::as_str).chain(["sqlite_schema"]) {
        let answer: String =
            conn.query_row(&format!("PRAGMA integrity_check({name})"), (), |row| row.get(0))?;
        if answer != "ok" {
            return Ok(false);
        }
    }
    Ok(true)
}
