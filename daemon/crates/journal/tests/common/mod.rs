//! Sales for the journal's tests, and the folders that they are kept in.
#![allow(
    dead_code,
    unreachable_pub,
    missing_docs,
    reason = "each test file uses its part of these helpers"
)]

pub mod batch;
pub mod disk;
pub mod load;

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use purser_journal::{Journal, OpenError, Options};
use purser_ledger::{
    Amount, CardId, CloseReason, Commit, Conclusion, DebitKey, DeviceName, DoubtReason, Entry, Head,
    OperationId, Owner, PaidProof, QueryReason, Reference, Refused, SCHEME_BYTES_MAX, SaleClosed,
    SaleConcluded, SaleInDoubt, SaleIntended, SalePaid, SalePresentedAgain, SaleQueried, SaleVoided, Scheme,
    SchemeBytes, Store, VoidProof, Wall,
};
use tempfile::TempDir;

pub const OWNER: Owner = Owner(1000);
pub const NO_RESERVE: Options = Options { reserve_bytes: 0 };

pub fn yen(minor: u64) -> Amount {
    Amount::new(minor, "JPY".parse().expect("a currency")).expect("a small amount")
}

/// The `n`th sale of a test; its id looks random, as real ones are.
#[derive(Clone, Copy, Debug)]
pub struct Sale {
    pub n: u32,
    pub amount: Amount,
    pub owner: Owner,
    pub scheme_bytes: usize,
}

impl Sale {
    pub fn new(n: u32) -> Self {
        Self {
            n,
            amount: yen(300),
            owner: OWNER,
            scheme_bytes: 64,
        }
    }

    /// A sale whose entries are as long as the ledger lets them be.
    pub fn longest(n: u32) -> Self {
        Self {
            scheme_bytes: SCHEME_BYTES_MAX,
            ..Self::new(n)
        }
    }

    pub fn id(&self) -> OperationId {
        let mixed = u128::from(self.n)
            .wrapping_add(1)
            .wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835);
        OperationId::new(mixed.to_be_bytes())
    }

    pub fn reference(&self) -> Reference {
        let length = if self.scheme_bytes == SCHEME_BYTES_MAX {
            64
        } else {
            8
        };
        let mixed = self.n.wrapping_mul(0x9E37_79B1);
        Reference::new(format!("{mixed:0>length$}")).expect("a name")
    }

    pub fn key(&self) -> DebitKey {
        DebitKey {
            card: CardId::new(Scheme::Pboc, [u8::try_from(self.n % 251).expect("below 251"); 10]),
            terminal_number: [1, 2, 3, 4, 5, 6],
            terminal_sn: self.n,
        }
    }

    fn bytes(&self) -> SchemeBytes {
        SchemeBytes::new(Scheme::Pboc, vec![0xA5; self.scheme_bytes]).expect("not too long")
    }

    fn commit(&self, step: u8, entry: Entry) -> Commit {
        let at = Wall {
            unix_seconds: 1_800_000_000 + i64::from(self.n) * 10 + i64::from(step),
            utc_offset_seconds: 32_400,
            trusted: true,
        };
        Commit {
            operation: self.id(),
            step,
            at,
            entry,
        }
    }

    pub fn intended(&self) -> Commit {
        let entry = Entry::SaleIntended(SaleIntended {
            reference: self.reference(),
            owner: self.owner,
            amount: self.amount,
            reader: DeviceName::new("counter-1").expect("a name"),
            key: self.key(),
            attempt: self.bytes(),
            pin_verified: true,
            parameters_version: 0,
            generation: 0,
        });
        self.commit(0, entry)
    }

    pub fn closed(&self) -> Commit {
        let entry = Entry::SaleClosed(SaleClosed {
            reference: self.reference(),
            owner: self.owner,
            amount: self.amount,
            reason: CloseReason::NoCardInTime,
        });
        self.commit(0, entry)
    }

    pub fn paid(&self, step: u8, refund_owed: bool) -> Commit {
        let entry = Entry::SalePaid(SalePaid {
            amount: self.amount,
            proof: PaidProof::Answer,
            evidence: self.bytes(),
            balance_after: Some(yen(700)),
            refund_owed,
            answer: None,
        });
        self.commit(step, entry)
    }

    pub fn voided(&self, step: u8) -> Commit {
        let entry = SaleVoided {
            amount: self.amount,
            proof: VoidProof::CounterUnchanged,
            answer: None,
        };
        self.commit(step, Entry::SaleVoided(entry))
    }

    pub fn in_doubt(&self, step: u8) -> Commit {
        self.commit(
            step,
            Entry::SaleInDoubt(SaleInDoubt {
                reason: DoubtReason::AnswerLost,
                answer: (self.scheme_bytes == SCHEME_BYTES_MAX).then(|| self.bytes()),
            }),
        )
    }

    pub fn queried(&self, step: u8) -> Commit {
        self.commit(
            step,
            Entry::SaleQueried(SaleQueried {
                reason: QueryReason::CardMovedOn,
                answer: None,
            }),
        )
    }

    pub fn presented_again(&self, step: u8) -> Commit {
        let amount = self.amount;
        self.commit(step, Entry::SalePresentedAgain(SalePresentedAgain { amount }))
    }

    pub fn concluded(&self, step: u8, conclusion: Conclusion, refund_owed: Option<Amount>) -> Commit {
        self.commit(
            step,
            Entry::SaleConcluded(SaleConcluded {
                conclusion,
                refund_owed,
            }),
        )
    }
}

pub fn folder() -> TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

/// Opens it once the lock is free: a child that a test beside this one starts holds the lock's descriptor from its fork to
/// its exec.
pub fn open(folder: &TempDir) -> Journal {
    open_when_free(folder.path()).expect("the journal opens")
}

/// The same where it may be refused for another reason.
pub fn open_when_free(state_dir: &Path) -> Result<Journal, OpenError> {
    let until = Instant::now() + Duration::from_secs(30);
    loop {
        match Journal::open(state_dir, &NO_RESERVE) {
            Err(OpenError::Locked { .. }) if Instant::now() < until => thread::yield_now(),
            opened => return opened,
        }
    }
}

pub fn append_one(journal: &mut Journal, commit: Commit) -> Result<Head, Refused> {
    let mut answers = journal.append(&[commit]).expect("the journal works");
    assert_eq!(answers.len(), 1);
    answers.remove(0)
}

/// Appends what must be taken.
pub fn store(journal: &mut Journal, commit: Commit) -> Head {
    append_one(journal, commit).expect("the commit is taken")
}

/// A journal with a sale of each kind in it.
pub fn store_some_of_each(journal: &mut Journal) {
    let [paid, doubtful, abandoned, queried, voided, closed, open] = [1, 2, 3, 4, 5, 6, 7].map(Sale::new);
    store(journal, paid.intended());
    store(journal, paid.paid(1, false));
    store(journal, doubtful.intended());
    store(journal, doubtful.in_doubt(1));
    store(journal, abandoned.intended());
    store(journal, abandoned.in_doubt(1));
    store(journal, abandoned.concluded(2, Conclusion::Abandoned, None));
    store(journal, abandoned.paid(3, true));
    store(journal, queried.intended());
    store(journal, queried.in_doubt(1));
    store(journal, queried.queried(2));
    store(journal, voided.intended());
    store(journal, voided.voided(1));
    store(journal, closed.closed());
    store(journal, open.intended());
}

/// A folder in memory where the machine has one: for tests of many commits that are not about the disk.
pub fn fast_folder() -> TempDir {
    let memory = std::path::Path::new("/dev/shm");
    if memory.is_dir() {
        TempDir::new_in(memory).expect("a temporary folder")
    } else {
        folder()
    }
}
