//! A store of entries in memory: the same rules as every store, and a disk that a crash cuts to its last sync.

use purser_engine::settlement::Settleable;
use purser_ledger::{
    Account, AnyOperation, Batches, Books, Claims, Commit, Currency, Entry, Existing, Find, FindError, Head,
    Load, Operation, OperationId, Reference, Refused, Scheme, SchemeBytes, Settlement, Snapshot, Store,
    StoreBroken, Unsettled, admit,
};

use crate::flaw::Flaw;

/// How many entries a page of the reader has: few, so that small batches have several.
const SETTLEABLE_PAGE: usize = 2;

/// What the disk does with an append that the process does not live to see answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Disk {
    /// It was written, and stays.
    Kept,
    /// It was written to memory only, and is gone.
    Lost,
}

/// The process died in an append.
#[derive(Debug, thiserror::Error)]
#[error("the process died while it wrote")]
struct Died;

#[derive(Debug, Default)]
pub(crate) struct SimStore {
    /// Every entry written, in order. The first `synced` are on the disk.
    entries: Vec<(Commit, Head)>,
    synced: usize,
    operations: Vec<Operation>,
    loads: Vec<Load>,
    settlements: Vec<Settlement>,
    batches: Batches,
    books: Books,
    pub(crate) has_room: bool,
    /// This many appends find no room, even where there is some later.
    pub(crate) refusals: u8,
    /// The process dies in the next append, and this is what becomes of it.
    pub(crate) dies: Option<Disk>,
    /// Appends so far: one sync each.
    pub(crate) appends: u32,
    /// The highest terminal serial number of a history that is not simulated.
    pub(crate) terminal_sn_before: Option<u32>,
    /// It knows its debits, and tells no highest terminal serial number of them.
    pub(crate) hides_terminal_sn: bool,
    pub(crate) flaw: Flaw,
}

impl SimStore {
    pub(crate) fn new(flaw: Flaw) -> Self {
        Self {
            has_room: true,
            flaw,
            ..Self::default()
        }
    }

    /// Every sale that the store would tell, folded from all entries.
    pub(crate) fn operations(&self) -> &[Operation] {
        &self.operations
    }

    fn unsettled(&self) -> Unsettled {
        let mut unsettled = Unsettled::default();
        for (commit, head) in &self.entries {
            let amount = match &commit.entry {
                Entry::SalePaid(paid) => paid.amount,
                Entry::SalePresentedAgain(again) => again.amount,
                _ => continue,
            };
            let currency = amount.currency();
            let one = Claims {
                count: 1,
                minor: amount.minor(),
                oldest_unix_seconds: commit.at.trusted.then_some(commit.at.unix_seconds),
            };
            let under_way = self.batches.under_way(currency);
            let is_in_batch = under_way.is_some_and(|it| head.number <= it.sealed.upto);
            let none = Claims::default();
            unsettled = match (head.number > self.batches.next_after(currency), is_in_batch) {
                (false, _) => unsettled,
                (true, false) => unsettled.with(currency, one, none),
                (true, true) => unsettled.with(currency, none, one),
            };
        }
        unsettled
    }

    /// Every settlement that the store would tell.
    pub(crate) fn settlements(&self) -> &[Settlement] {
        &self.settlements
    }

    /// Where the last exchanged batch of a currency ends.
    pub(crate) fn next_after(&self, currency: Currency) -> u64 {
        self.batches.next_after(currency)
    }

    /// What can be settled in a currency, as the journal's reader tells it: the last entry, and the claims that are open.
    pub(crate) fn range(&self, currency: Currency) -> (u64, Claims) {
        let upto = u64::try_from(self.synced).unwrap_or(u64::MAX);
        let after = self.batches.next_after(currency);
        let paid = self.entries[..self.synced].iter().filter(|(commit, head)| {
            let is_claim = match &commit.entry {
                Entry::SalePaid(paid) => paid.amount.currency() == currency,
                Entry::SalePresentedAgain(again) => again.amount.currency() == currency,
                _ => false,
            };
            is_claim && head.number > after && !self.hides(commit)
        });
        let hidden = self
            .entries
            .iter()
            .filter(|(commit, head)| head.number > after && self.hides(commit));
        let hidden = hidden.map(|(commit, _)| match &commit.entry {
            Entry::SalePaid(paid) => paid.amount.minor(),
            _ => 0,
        });
        let booked = self.books.balance(Account::Claims, currency).minor();
        let open = Claims {
            count: u64::try_from(paid.count()).unwrap_or(u64::MAX),
            minor: booked.saturating_sub(hidden.sum()),
            oldest_unix_seconds: None,
        };
        (upto, open)
    }

    /// A page of what the journal's reader gives of a range.
    pub(crate) fn settleable(&self, currency: Currency, after: u64, upto: u64) -> Vec<Settleable> {
        let in_range = |head: &Head| head.number > after && head.number <= upto;
        let makes_item = |entry: &Entry| match entry {
            Entry::SalePaid(paid) => paid.amount.currency() == currency,
            Entry::SalePresentedAgain(again) => again.amount.currency() == currency,
            Entry::SaleConcluded(it) => it.refund_owed.is_some_and(|owed| owed.currency() == currency),
            _ => false,
        };
        let chosen = self
            .entries
            .iter()
            .filter(|(commit, head)| in_range(head) && makes_item(&commit.entry) && !self.hides(commit));
        let page = chosen.take(SETTLEABLE_PAGE);
        page.map(|(commit, head)| Settleable {
            entry: head.number,
            operation: self.folded_upto(commit.operation, upto),
        })
        .collect()
    }

    /// What a reader that loses claims leaves out of a batch, and out of the balance that the batch is compared with.
    fn hides(&self, commit: &Commit) -> bool {
        let is_chosen = commit.operation.bytes()[0] % 2 == 1;
        self.flaw == Flaw::ReaderLosesClaims && is_chosen && matches!(commit.entry, Entry::SalePaid(_))
    }

    fn folded_upto(&self, id: OperationId, upto: u64) -> Operation {
        let of_it = |(commit, head): &&(Commit, Head)| commit.operation == id && head.number <= upto;
        let mut own = self.entries.iter().filter(of_it);
        let (first, head) = own.next().expect("an entry has an operation");
        let mut operation = Operation::begin(&first.content(), *head).expect("the store took it");
        for (commit, head) in own {
            let applied = operation.apply(&commit.content(), *head);
            applied.expect("the store took it");
        }
        operation
    }

    pub(crate) fn load(&self, id: OperationId) -> Option<&Load> {
        self.loads.iter().find(|load| load.id == id)
    }

    pub(crate) fn operation(&self, id: OperationId) -> Option<&Operation> {
        self.operations.iter().find(|operation| operation.id == id)
    }

    pub(crate) fn books(&self) -> &Books {
        &self.books
    }

    /// How many entries there are, and how many of them a crash cannot take.
    pub(crate) fn lengths(&self) -> (usize, usize) {
        (self.entries.len(), self.synced)
    }

    /// True when the operation's newest entry is on the disk.
    pub(crate) fn is_durable(&self, operation: &Operation) -> bool {
        self.is_on_disk(&operation.head)
    }

    /// True when an entry is on the disk.
    pub(crate) fn is_on_disk(&self, head: &Head) -> bool {
        usize::try_from(head.number).is_ok_and(|number| number <= self.synced)
    }

    /// Every load that the store would tell.
    pub(crate) fn loads(&self) -> &[Load] {
        &self.loads
    }

    /// The process is gone: what was not synced is gone with it.
    pub(crate) fn crash(&mut self) {
        self.dies = None;
        if self.synced == self.entries.len() {
            return;
        }
        self.entries.truncate(self.synced);
        self.operations.clear();
        self.loads.clear();
        self.settlements.clear();
        self.batches = Batches::new();
        self.books = Books::default();
        let has_room = std::mem::replace(&mut self.has_room, true);
        let refusals = std::mem::take(&mut self.refusals);
        for (commit, head) in std::mem::take(&mut self.entries) {
            let answer = self.write(&commit, head);
            assert!(answer.is_ok(), "what was taken once is taken again");
        }
        self.has_room = has_room;
        self.refusals = refusals;
    }

    /// The books, counted anew from the entries.
    pub(crate) fn recounted(&self) -> Option<Books> {
        let mut books = Books::default();
        for transfer in self
            .entries
            .iter()
            .flat_map(|(commit, _)| commit.entry.transfers())
        {
            books.transfer(transfer).ok()?;
        }
        Some(books)
    }

    fn next_head(&self, commit: &Commit) -> Head {
        let before = self.entries.last().map_or(Head::EMPTY, |(_, head)| *head);
        let number = before.number.saturating_add(1);
        let mut digest = before.digest;
        // A digest that tells entries apart; the real chain has its own tests.
        for (byte, mixed) in digest.iter_mut().zip(commit.operation.bytes()) {
            *byte = byte.rotate_left(3) ^ *mixed ^ commit.step;
        }
        Head { number, digest }
    }

    fn write(&mut self, commit: &Commit, head: Head) -> Result<Head, Refused> {
        let by_reference = match commit.entry.opens() {
            Some((reference, _)) if self.flaw != Flaw::StoreForgetsSales => self.named(reference),
            _ => None,
        };
        let debit_key_is_taken = match &commit.entry {
            Entry::SaleIntended(it) if self.flaw != Flaw::StoreForgetsTerminalSn => {
                let is_taken = |op: &Operation| {
                    op.key().is_some_and(|key| {
                        let same_card = self.flaw != Flaw::PsamRepeatsNumbers || key.card == it.key.card;
                        same_card
                            && (key.terminal_number, key.terminal_sn)
                                == (it.key.terminal_number, it.key.terminal_sn)
                    })
                };
                self.operations.iter().any(is_taken)
            }
            _ => false,
        };
        let existing = self.any(commit.operation);
        let existing = Existing {
            operation: existing.as_ref(),
            by_reference: by_reference.as_ref(),
            debit_key_is_taken,
            batches: &self.batches,
            has_room: self.has_room && self.refusals == 0,
        };
        let (operation, books) = admit(commit, head, existing, &self.books)?;
        let id = operation.id();
        match operation {
            AnyOperation::Sale(sale) => put(&mut self.operations, sale, |it| it.id == id),
            AnyOperation::Load(load) => put(&mut self.loads, load, |it| it.id == id),
            AnyOperation::Settlement(settlement) => {
                if self.flaw != Flaw::StoreForgetsBatches {
                    self.batches.take(&settlement);
                }
                put(&mut self.settlements, settlement, |it| it.id == id);
            }
        }
        if !(self.flaw == Flaw::StoreMiscounts && matches!(commit.entry, Entry::SalePaid(_))) {
            self.books = books;
        }
        self.entries.push((commit.clone(), head));
        Ok(head)
    }

    /// The operation that has this number.
    fn any(&self, id: OperationId) -> Option<AnyOperation> {
        let sale = self.operation(id).cloned().map(AnyOperation::Sale);
        let load = || self.loads.iter().find(|it| it.id == id).cloned();
        let settlement = || self.settlements.iter().find(|it| it.id == id).cloned();
        sale.or_else(|| load().map(AnyOperation::Load))
            .or_else(|| settlement().map(AnyOperation::Settlement))
    }

    /// The operation that has this reference.
    fn named(&self, reference: &Reference) -> Option<AnyOperation> {
        let sale = self.operations.iter().find(|it| it.reference == *reference);
        let load = || self.loads.iter().find(|it| it.reference == *reference);
        let sale = sale.cloned().map(AnyOperation::Sale);
        sale.or_else(|| load().cloned().map(AnyOperation::Load))
    }

    fn spoil(&self, commit: &Commit) -> Commit {
        let mut spoilt = commit.clone();
        if let Entry::SalePaid(paid) = &mut spoilt.entry {
            let mut bytes = paid.evidence.bytes().to_vec();
            // The first byte of the TAC.
            if let Some(byte) = bytes.get_mut(4) {
                *byte ^= 1;
            }
            paid.evidence = SchemeBytes::new(Scheme::Pboc, bytes).expect("as short as before");
        }
        spoilt
    }
}

/// Puts an operation in its place, behind all others where it is new.
fn put<T>(all: &mut Vec<T>, new: T, is_it: impl Fn(&T) -> bool) {
    match all.iter_mut().find(|it| is_it(it)) {
        Some(known) => *known = new,
        None => all.push(new),
    }
}

impl Store for SimStore {
    fn append(&mut self, group: &[Commit]) -> Result<Vec<Result<Head, Refused>>, StoreBroken> {
        self.appends += 1;
        let mut answers = Vec::with_capacity(group.len());
        for commit in group {
            let head = self.next_head(commit);
            answers.push(if self.flaw == Flaw::StoreSpoilsEvidence {
                let spoilt = self.spoil(commit);
                self.write(&spoilt, head)
            } else {
                self.write(commit, head)
            });
        }
        self.refusals = self.refusals.saturating_sub(1);
        match self.dies {
            Some(Disk::Lost) => return Err(StoreBroken(Box::new(Died))),
            Some(Disk::Kept) => {
                self.synced = self.entries.len();
                return Err(StoreBroken(Box::new(Died)));
            }
            None => {}
        }
        if self.flaw == Flaw::StoreAnswersBeforeSync {
            // The disk is always one append behind.
            self.synced = self.entries.len().saturating_sub(group.len());
        } else {
            self.synced = self.entries.len();
        }
        Ok(answers)
    }

    fn find(&self, query: &Find) -> Result<Option<AnyOperation>, FindError> {
        let Find::Reference(reference) = query;
        let known = |it: &AnyOperation| self.flaw != Flaw::StoreForgetsSales || it.is_open();
        Ok(self.named(reference).filter(known))
    }

    fn snapshot(&self) -> Result<Snapshot, StoreBroken> {
        let sns = self
            .operations
            .iter()
            .filter_map(|operation| operation.key().map(|key| key.terminal_sn));
        let terminal_sn_max = sns.chain(self.terminal_sn_before).max();
        Ok(Snapshot {
            held: Vec::new(),
            open: self
                .operations
                .iter()
                .filter(|operation| operation.is_open())
                .cloned()
                .collect(),
            loads: self.loads.iter().filter(|load| load.is_open()).cloned().collect(),
            terminal_sn_max: terminal_sn_max
                .filter(|_| self.flaw != Flaw::StoreForgetsTerminalSn && !self.hides_terminal_sn),
            newest_unix_seconds: self.entries.last().map(|(commit, _)| commit.at.unix_seconds),
            newest_local_seconds: self.entries.last().map(|(commit, _)| commit.at.local_seconds()),
            unsettled: self.unsettled(),
            batches: self.batches.clone(),
        })
    }
}
