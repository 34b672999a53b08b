//! A batch at the provider: its pages, then a permit or a void, never both (money rules C2, B3).
//!
//! ```text
//!  Receiving ──last page──► Received ──permit──► Permitted
//!      └───────────────────────┴──────void─────► Voided
//! ```

use purser_provider_link::{Batch, Digest, PermitId, VoidReason};

/// The most items of one page: bounds what a request may be.
pub const PAGE_ITEMS_MAX: u32 = 1_000;

/// Where a batch stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Phase {
    /// Pages are missing.
    Receiving,
    /// Every item is here, and they are the ones that were sealed.
    Received,
    /// It has its permit.
    Permitted(PermitId),
    /// It will never have a permit.
    Voided(VoidReason),
}

/// Why a batch is refused something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The number is known with another digest.
    #[error("the batch's number is known with other content")]
    OtherContent,
    /// The page is not the next one.
    #[error("page {0} is not the next one")]
    PageSkipped(u32),
    /// The page came before with other content.
    #[error("page {0} came before with other content")]
    PageChanged(u32),
    /// The page has no item, or more than [`PAGE_ITEMS_MAX`].
    #[error("a page has 1 to {PAGE_ITEMS_MAX} items")]
    PageSize,
    /// More items than were sealed.
    #[error("the batch has more items than were sealed")]
    TooManyItems,
    /// Items are missing.
    #[error("the batch's items are not all here")]
    NotReceived,
    /// It is void.
    #[error("the batch is void")]
    Voided(VoidReason),
    /// It has its permit: that is the answer, and it can only be issued again.
    #[error("the batch has its permit")]
    Permitted(PermitId),
}

impl Refusal {
    /// Its name, as it is told: stable.
    pub fn name(self) -> &'static str {
        match self {
            Self::OtherContent => "OtherContent",
            Self::PageSkipped(_) => "PageSkipped",
            Self::PageChanged(_) => "PageChanged",
            Self::PageSize => "PageSize",
            Self::TooManyItems => "TooManyItems",
            Self::NotReceived => "NotReceived",
            Self::Voided(_) => "Voided",
            Self::Permitted(_) => "Permitted",
        }
    }

    /// True for what succeeds once the missing pages have come.
    pub fn is_transient(self) -> bool {
        match self {
            Self::PageSkipped(_) | Self::NotReceived => true,
            Self::OtherContent
            | Self::PageChanged(_)
            | Self::PageSize
            | Self::TooManyItems
            | Self::Voided(_)
            | Self::Permitted(_) => false,
        }
    }
}

/// What the provider keeps of a batch, beside its items.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BatchRecord {
    batch: Digest,
    count: u32,
    items: Digest,
    received: u32,
    pages: u32,
    phase: Phase,
}

/// What a page that fits is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Page {
    /// The next one: judge its items, whose first place is this, and store both with the new record.
    Next {
        /// The place of its first item.
        first_place: u32,
        /// The record with the page.
        record: BatchRecord,
    },
    /// A repeat: give the first verdicts again.
    Repeat,
}

impl BatchRecord {
    /// Of a batch that is announced. A repeat of the announcement gives the record that is there.
    ///
    /// # Errors
    /// [`Refusal::OtherContent`]: the number is taken.
    pub fn announce(existing: Option<&Self>, batch: &Batch) -> Result<Self, Refusal> {
        match existing {
            Some(record) if record.batch == batch.digest() => Ok(record.clone()),
            Some(_) => Err(Refusal::OtherContent),
            None => Ok(Self {
                batch: batch.digest(),
                count: batch.count,
                items: batch.items,
                received: 0,
                pages: 0,
                phase: Phase::Receiving,
            }),
        }
    }

    /// The record out of a store: of this batch, with so many items and pages received.
    pub fn restore(batch: &Batch, received: u32, pages: u32, phase: Phase) -> Self {
        Self {
            batch: batch.digest(),
            count: batch.count,
            items: batch.items,
            received,
            pages,
            phase,
        }
    }

    /// How many items are here.
    pub fn received(&self) -> u32 {
        self.received
    }

    /// Where it stands.
    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// The number of the page that is wanted next, from 0.
    pub fn next_page(&self) -> u32 {
        self.pages
    }

    /// Takes a page of so many items. `known` is the content that a page of this number came with before, out of the store:
    /// the record itself stays small, however many pages there are. `content` is the digest over the page's bytes, `items` the batch's items' digest with
    /// this page counted.
    ///
    /// # Errors
    /// [`Refusal`] by name. [`Refusal::OtherContent`] for a last page with which the items are not the sealed ones: the
    /// batch can only be voided.
    pub fn page(
        &self,
        number: u32,
        known: Option<Digest>,
        content: Digest,
        items_in_page: u32,
        items: Digest,
    ) -> Result<Page, Refusal> {
        if let Some(known) = known {
            return if known == content {
                Ok(Page::Repeat)
            } else {
                Err(Refusal::PageChanged(number))
            };
        }
        match self.phase {
            Phase::Receiving => {}
            Phase::Received => return Err(Refusal::TooManyItems),
            Phase::Permitted(permit) => return Err(Refusal::Permitted(permit)),
            Phase::Voided(reason) => return Err(Refusal::Voided(reason)),
        }
        if number != self.pages {
            return Err(Refusal::PageSkipped(number));
        }
        if items_in_page == 0 || items_in_page > PAGE_ITEMS_MAX {
            return Err(Refusal::PageSize);
        }
        let received = self.received.saturating_add(items_in_page);
        if received > self.count {
            return Err(Refusal::TooManyItems);
        }
        let is_last = received == self.count;
        if is_last && items != self.items {
            return Err(Refusal::OtherContent);
        }
        let mut record = self.clone();
        record.pages = self.pages.saturating_add(1);
        record.received = received;
        if is_last {
            record.phase = Phase::Received;
        }
        Ok(Page::Next {
            first_place: self.received,
            record,
        })
    }

    /// The record with its permit. A batch that has one keeps it.
    ///
    /// # Errors
    /// [`Refusal::NotReceived`], [`Refusal::Voided`], or [`Refusal::Permitted`] with the permit that it has: give that one.
    pub fn permit(&self, permit: PermitId) -> Result<Self, Refusal> {
        match self.phase {
            Phase::Received => Ok(Self {
                phase: Phase::Permitted(permit),
                ..self.clone()
            }),
            Phase::Receiving => Err(Refusal::NotReceived),
            Phase::Permitted(permit) => Err(Refusal::Permitted(permit)),
            Phase::Voided(reason) => Err(Refusal::Voided(reason)),
        }
    }

    /// The void batch. A void that is there stays as it is.
    ///
    /// # Errors
    /// [`Refusal::Permitted`]: there is a permit, so there is no void; the permit can be issued again (money rule B4).
    pub fn void(&self, reason: VoidReason) -> Result<Self, Refusal> {
        match self.phase {
            Phase::Receiving | Phase::Received => Ok(Self {
                phase: Phase::Voided(reason),
                ..self.clone()
            }),
            Phase::Voided(_) => Ok(self.clone()),
            Phase::Permitted(permit) => Err(Refusal::Permitted(permit)),
        }
    }
}
