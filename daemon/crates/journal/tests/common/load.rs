//! Loads for the journal's tests.

use purser_journal::Journal;
use purser_ledger::{
    Amount, CardId, Commit, Entry, LoadAttempted, LoadBegun, LoadConfirmed, LoadProof, LoadProven,
    LoadReleased, LoadVoided, OperationId, Reference, SCHEME_BYTES_MAX, Scheme, SchemeBytes, Wall,
};

use super::{OWNER, store, yen};

/// The `n`th load of a test; its id looks random, as real ones are.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    pub n: u32,
    pub amount: Amount,
    pub scheme_bytes: usize,
}

impl Load {
    pub fn new(n: u32) -> Self {
        Self {
            n,
            amount: yen(5_000),
            scheme_bytes: 24,
        }
    }

    /// A load whose entries are as long as the ledger lets them be.
    pub fn longest(n: u32) -> Self {
        Self {
            scheme_bytes: SCHEME_BYTES_MAX,
            ..Self::new(n)
        }
    }

    pub fn id(&self) -> OperationId {
        let mixed = u128::from(self.n)
            .wrapping_add(1)
            .wrapping_mul(0xD129_8A9F_03B1_5C4D_9E37_79B9_7F4A_7C15);
        OperationId::new(mixed.to_be_bytes())
    }

    pub fn reference(&self) -> Reference {
        let mixed = self.n.wrapping_mul(0x9E37_79B1);
        Reference::new(format!("load-{mixed:0>10}")).expect("a name")
    }

    pub fn card(&self) -> CardId {
        CardId::new(
            Scheme::Pboc,
            [u8::try_from(self.n % 251).expect("below 251") ^ 0x80; 10],
        )
    }

    fn bytes(&self) -> SchemeBytes {
        SchemeBytes::new(Scheme::Pboc, vec![0x5A; self.scheme_bytes]).expect("not too long")
    }

    fn commit(&self, step: u8, entry: Entry) -> Commit {
        Commit {
            operation: self.id(),
            step,
            at: Wall {
                unix_seconds: 1_810_000_000 + i64::from(self.n) * 10 + i64::from(step),
                utc_offset_seconds: 32_400,
                trusted: true,
            },
            entry,
        }
    }

    pub fn begun(&self) -> Commit {
        let entry = LoadBegun {
            reference: self.reference(),
            owner: OWNER,
            amount: self.amount,
        };
        self.commit(0, Entry::LoadBegun(entry))
    }

    pub fn attempted(&self, step: u8, number: u8) -> Commit {
        let entry = LoadAttempted {
            number,
            card: self.card(),
            online_sn: 7,
            initialize: self.bytes(),
        };
        self.commit(step, Entry::LoadAttempted(entry))
    }

    pub fn released(&self, step: u8, number: u8) -> Commit {
        let date_time = [0x20, 0x26, 0x11, 0x23, 0x18, 0x30, 0x59];
        self.commit(step, Entry::LoadReleased(LoadReleased { number, date_time }))
    }

    pub fn proven(&self, step: u8, number: u8) -> Commit {
        let entry = LoadProven {
            amount: self.amount,
            number,
            proof: LoadProof::Prove,
            tac: self.bytes(),
            balance_after: None,
        };
        self.commit(step, Entry::LoadProven(entry))
    }

    /// Another terminal had it.
    pub fn told_by_the_provider(&self, step: u8) -> Commit {
        let entry = LoadProven {
            amount: self.amount,
            number: 1,
            proof: LoadProof::Provider,
            tac: SchemeBytes::new(Scheme::Pboc, Vec::new()).expect("short"),
            balance_after: None,
        };
        self.commit(step, Entry::LoadProven(entry))
    }

    pub fn confirmed(&self, step: u8) -> Commit {
        self.commit(step, Entry::LoadConfirmed(LoadConfirmed {}))
    }

    pub fn voided(&self, step: u8) -> Commit {
        self.commit(step, Entry::LoadVoided(LoadVoided { amount: self.amount }))
    }

    /// Its way to the card, with one attempt that came to nothing.
    pub fn steps(&self) -> [Commit; 7] {
        [
            self.begun(),
            self.attempted(1, 1),
            self.released(2, 1),
            self.attempted(3, 2),
            self.released(4, 2),
            self.proven(5, 1),
            self.confirmed(6),
        ]
    }
}

/// How many loads [`store_loads_of_each_standing`] stores, and how many of them are open.
pub const LOADS: (u64, u64) = (7, 5);

/// A load of each standing: on its card and confirmed, proven, released twice, attempted after a release, begun, and two that are
/// void, one of them after a release.
pub fn store_loads_of_each_standing(journal: &mut Journal) -> [Load; 7] {
    let loads = [1, 2, 3, 4, 5, 6, 7].map(Load::new);
    for (load, steps) in loads.iter().zip([7, 6, 5, 4, 1, 1, 3]) {
        for commit in load.steps().into_iter().take(steps) {
            store(journal, commit);
        }
    }
    store(journal, loads[5].voided(1));
    store(journal, loads[6].voided(3));
    loads
}
