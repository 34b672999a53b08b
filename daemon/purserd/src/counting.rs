//! Batches over the journal's reader: what a currency has to settle, counted, and the items of a sealed batch made again.
//! Blocks, and holds a page at a time.

use std::path::{Path, PathBuf};

use purser_engine::settlement::items::{CountError, NotSettleable};
use purser_engine::settlement::{CountBatch, Counted, Counter, Pages, SendBatch, Settleable};
use purser_journal::{OpenError, Range, ReadError, Reader};
use purser_ledger::Currency;
use purser_provider_link::Item;

use crate::verbs::chain;

/// The most items of a page: what a provider takes.
const ITEMS_MAX: usize = 1_000;
/// Entries that are read at once.
const READ_MAX: u32 = 1_000;

/// Why a batch cannot be counted or read.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// The journal cannot be opened.
    #[error("the journal cannot be opened to read")]
    Open(#[from] OpenError),
    /// The batch that is under way is damaged.
    #[error(
        "a batch of this currency is under way that cannot be read, and none is sealed before it; run purserd verify-journal, and put the \
         right files of the journal back"
    )]
    Blocked,
    /// The payment that would be the first is damaged.
    #[error(
        "a payment that waits for settlement is damaged, and those behind it wait with it; run purserd verify-journal, and put the right \
         files of the journal back"
    )]
    Damaged(#[source] ReadError),
    /// The journal cannot be read.
    #[error("the journal cannot be read")]
    Read(#[from] ReadError),
    /// An entry is not what its row says.
    #[error(transparent)]
    NotSettleable(#[from] NotSettleable),
    /// What was counted is no batch.
    #[error(transparent)]
    NotCounted(#[from] CountError),
}

impl Fault {
    /// A fixed name.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Open(_) => "journal_not_open",
            Self::Blocked => "batch_damaged",
            Self::Damaged(_) | Self::NotSettleable(_) => "journal_damaged",
            Self::Read(_) => "journal_not_read",
            Self::NotCounted(_) => "not_counted",
        }
    }

    /// True when another try can succeed by itself.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Open(error) => error.is_transient(),
            Self::Damaged(error) | Self::Read(error) => error.is_transient(),
            Self::NotSettleable(error) => error.is_transient(),
            Self::NotCounted(error) => error.is_transient(),
            Self::Blocked => false,
        }
    }
}

/// Counts what can be settled; none where nothing waits. Damage ends the batch before it, and never keeps what is in front of it.
///
/// # Errors
/// [`Fault`]: nothing may be sealed.
pub fn count(state_dir: &Path, asked: CountBatch) -> Result<Option<Counted>, Fault> {
    let reader = Reader::open(state_dir)?;
    let mut range = reader.range(asked.currency, asked.after)?;
    if range.is_blocked {
        return Err(Fault::Blocked);
    }
    let mut damage = None;
    loop {
        let mut read_to = asked.after;
        match count_to(&reader, &asked, range, &mut read_to) {
            // What was counted is counted again as it stood at the new end.
            Err(Fault::Read(error)) => match range.before(&error, read_to) {
                Some(shorter) => {
                    let cause = chain(&error);
                    tracing::error!(%cause, upto = shorter.upto, "the batch ends before a damaged payment");
                    (range, damage) = (shorter, Some(error));
                }
                None if error.is_damage() => return Err(Fault::Damaged(error)),
                None => return Err(Fault::Read(error)),
            },
            Ok(None) => return damage.map_or(Ok(None), |error| Err(Fault::Damaged(error))),
            counted => return counted,
        }
    }
}

fn count_to(
    reader: &Reader,
    asked: &CountBatch,
    range: Range,
    read_to: &mut u64,
) -> Result<Option<Counted>, Fault> {
    let mut counter = Counter::new(asked.clone());
    loop {
        let page = settleable(reader, asked.currency, *read_to, range.upto)?;
        let Some(last) = page.last() else { break };
        *read_to = last.entry;
        for row in &page {
            counter.take(row)?;
        }
    }
    let booked = reader.booked(asked.currency, range)?;
    Ok(counter.finish(range.upto, range.has_more, booked)?)
}

/// A sealed batch's items from the journal, page by page.
#[derive(Debug)]
pub struct Items {
    state_dir: PathBuf,
    reader: Option<Reader>,
    currency: Currency,
    range: (u64, u64),
    pages: Pages,
    /// The place of the page that comes next.
    next: u32,
}

impl Items {
    /// The items of this batch. Opens the journal when the first page is asked for.
    pub fn new(state_dir: &Path, act: &SendBatch) -> Self {
        Self {
            state_dir: state_dir.to_owned(),
            reader: None,
            currency: act.batch.claimed.currency(),
            range: (act.after, act.upto),
            pages: Pages::new(act.after, ITEMS_MAX),
            next: 0,
        }
    }

    /// The items from a place on, none behind the last. Going back begins anew at the first.
    ///
    /// # Errors
    /// [`Fault`]: there is no page; ask again.
    pub fn page(&mut self, place: u32) -> Result<Vec<Item>, Fault> {
        if place < self.next {
            (self.pages, self.next) = (Pages::new(self.range.0, ITEMS_MAX), 0);
        }
        loop {
            let mut page = self.read()?;
            let begin = self.next;
            self.next = begin.saturating_add(u32::try_from(page.len()).unwrap_or(u32::MAX));
            if page.is_empty() || place < self.next {
                let skipped = usize::try_from(place - begin).unwrap_or(usize::MAX);
                return Ok(page.split_off(skipped.min(page.len())));
            }
        }
    }

    fn read(&mut self) -> Result<Vec<Item>, Fault> {
        let reader = match self.reader.take() {
            Some(reader) => reader,
            None => Reader::open(&self.state_dir)?,
        };
        let (currency, (_, upto)) = (self.currency, self.range);
        let page = self
            .pages
            .next(|after| settleable(&reader, currency, after, upto));
        self.reader = Some(reader);
        page
    }
}

fn settleable(reader: &Reader, currency: Currency, after: u64, upto: u64) -> Result<Vec<Settleable>, Fault> {
    let read = reader.settleable(currency, after, upto, READ_MAX)?;
    let words = |(entry, operation)| Settleable { entry, operation };
    Ok(read.into_iter().map(words).collect())
}
