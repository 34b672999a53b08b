//! Histories that nobody has spoilt: random ones of sales and batches, in every order that the store takes.

use purser_journal::{Journal, verify};
use purser_ledger::{BatchExchanged, BatchSealed, Conclusion, Entry};
use purser_provider_link::VerdictsDigest;
use tempfile::TempDir;

use crate::common::batch::{commit, digest, keep_all, part, verdict, voided};
use crate::common::{OWNER, Sale, fast_folder, open, store, yen};

const HISTORIES: u64 = 300;
const STEPS: u64 = 60;
const PRICE: u64 = 300;

#[test]
fn no_alarm_is_raised_on_clean_histories() {
    let mut seen = [0; 4];
    for seed in 0..HISTORIES {
        let mut history = History::begin(seed);
        for _ in 0..STEPS {
            history.step();
        }
        let head = history.journal.head();
        let checked = verify(history.folder.path(), Some(head), |_, _| {});
        let report = checked.unwrap_or_else(|error| unreachable!("seed {seed}: {error:?}"));
        assert_eq!((report.head, report.operations), (head, history.operations));
        for (sum, count) in seen.iter_mut().zip(history.ends) {
            *sum += count;
        }
    }
    println!("exchanged, voided, late refunds, verdicts that hold: {seen:?}");
    assert!(seen.iter().all(|count| *count >= 20), "{seen:?}");
}

/// A sale that can get entries still.
struct Alive {
    sale: Sale,
    step: u8,
    /// Its debit is proven neither way.
    is_open: bool,
    was_in_doubt: bool,
    is_abandoned: bool,
    /// The entry that says "paid".
    paid: Option<u64>,
}

/// An entry that makes an item.
struct Waiting {
    number: u64,
    /// The entry that says "paid" of the same sale.
    paid: u64,
    refund: u64,
}

struct UnderWay {
    n: u8,
    sealed: BatchSealed,
    /// The refund that each of its claims owes.
    claims: Vec<u64>,
    late: u32,
}

struct History {
    folder: TempDir,
    journal: Journal,
    random: u64,
    sales: u32,
    batches: u8,
    operations: u64,
    alive: Vec<Alive>,
    waiting: Vec<Waiting>,
    after: u64,
    under_way: Option<UnderWay>,
    debt: u64,
    ends: [u32; 4],
}

impl History {
    fn begin(seed: u64) -> Self {
        let folder = fast_folder();
        let journal = open(&folder);
        Self {
            folder,
            journal,
            random: seed,
            sales: 0,
            batches: 0,
            operations: 0,
            alive: Vec::new(),
            waiting: Vec::new(),
            after: 0,
            under_way: None,
            debt: 0,
            ends: [0; 4],
        }
    }

    /// A random number below this one (splitmix64).
    fn below(&mut self, limit: u64) -> u64 {
        self.random = self.random.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.random;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % limit
    }

    fn step(&mut self) {
        match self.below(12) {
            0..4 => self.begin_sale(),
            4..9 => self.go_on(),
            9 if self.under_way.is_none() => self.seal(),
            9 | 10 => self.end_batch(),
            _ => {
                self.journal.maintain().expect("the journal works");
            }
        }
    }

    fn begin_sale(&mut self) {
        let sale = Sale::new(self.sales);
        self.sales += 1;
        self.operations += 1;
        if self.below(5) == 0 {
            store(&mut self.journal, sale.closed());
            return;
        }
        store(&mut self.journal, sale.intended());
        self.alive.push(Alive {
            sale,
            step: 1,
            is_open: true,
            was_in_doubt: false,
            is_abandoned: false,
            paid: None,
        });
    }

    /// One more entry of some sale.
    fn go_on(&mut self) {
        let Some(count) = u64::try_from(self.alive.len()).ok().filter(|count| *count > 0) else {
            return;
        };
        let chosen = usize::try_from(self.below(count)).expect("small");
        let mut it = self.alive.swap_remove(chosen);
        let (sale, step) = (it.sale, it.step);
        let entry = match (it.is_open, it.was_in_doubt, self.below(4)) {
            (true, false, 0) => {
                it.was_in_doubt = true;
                sale.in_doubt(step)
            }
            (true, true, 0) if !it.is_abandoned => {
                it.is_abandoned = true;
                sale.concluded(step, Conclusion::Abandoned, None)
            }
            (true, _, 1) => {
                store(&mut self.journal, sale.voided(step));
                return;
            }
            (true, ..) => {
                it.is_open = false;
                let refund = if it.is_abandoned { PRICE } else { 0 };
                let head = store(&mut self.journal, sale.paid(step, it.is_abandoned));
                it.paid = Some(head.number);
                it.step += 1;
                self.waits(head.number, head.number, refund);
                self.alive.push(it);
                return;
            }
            (false, true, _) if !it.is_abandoned => {
                let concluded = sale.concluded(step, Conclusion::Abandoned, Some(yen(PRICE)));
                let head = store(&mut self.journal, concluded);
                self.waits(head.number, it.paid.expect("it is paid"), PRICE);
                return;
            }
            (false, ..) => return,
        };
        store(&mut self.journal, entry);
        it.step += 1;
        self.alive.push(it);
    }

    fn waits(&mut self, number: u64, paid: u64, refund: u64) {
        self.waiting.push(Waiting { number, paid, refund });
    }

    /// Seals what waits, or a first part of it.
    fn seal(&mut self) {
        let Some(count) = u64::try_from(self.waiting.len()).ok().filter(|count| *count > 0) else {
            return;
        };
        let upto = match self.below(2) {
            0 => self.journal.head().number,
            _ => {
                let last = usize::try_from(self.below(count)).expect("small");
                self.waiting[last].number
            }
        };
        let items = self.waiting.iter().filter(|it| it.number <= upto);
        let (mut claims, mut late) = (Vec::new(), 0);
        for it in items {
            if it.number == it.paid {
                let own = self.waiting.iter().filter(|other| other.number <= upto);
                let owed = own
                    .filter(|other| other.paid == it.number)
                    .map(|other| other.refund);
                claims.push(owed.sum());
            } else if it.paid <= self.after {
                late += 1;
            }
        }
        self.batches += 1;
        self.operations += 1;
        let number = u32::try_from(claims.len()).expect("small");
        let owed = claims.iter().sum::<u64>() + PRICE * u64::from(late);
        let sealed = BatchSealed {
            owner: OWNER,
            after: self.after,
            upto,
            count: number + late,
            claims: part(number, PRICE * u64::from(number)),
            refunds: yen(owed),
            batch: vec![self.batches; 150],
        };
        store(
            &mut self.journal,
            commit(self.batches, 0, Entry::BatchSealed(sealed.clone())),
        );
        self.under_way = Some(UnderWay {
            n: self.batches,
            sealed,
            claims,
            late,
        });
    }

    fn end_batch(&mut self) {
        let Some(batch) = self.under_way.take() else {
            return;
        };
        if self.below(3) == 0 {
            store(&mut self.journal, voided(batch.n, batch.sealed.claims.count));
            self.ends[1] += 1;
            return;
        }
        let (mut paid, mut refunds, mut held) = ((0, 0), (0, 0), (0, 0));
        for refund in &batch.claims {
            if self.below(5) == 0 {
                held = (held.0 + 1, held.1 + PRICE);
            } else {
                paid = (paid.0 + 1, paid.1 + PRICE - refund);
                refunds = (refunds.0 + u32::from(*refund > 0), refunds.1 + refund);
            }
        }
        let owe = PRICE * u64::from(batch.late);
        let debt = self.debt + owe;
        let (total, debt_after) = (paid.1.saturating_sub(debt), debt.saturating_sub(paid.1));
        let verdicts = (0..batch.sealed.count).fold(VerdictsDigest::begin(digest(batch.n)), |sum, place| {
            sum.with(&verdict(batch.n, place))
        });
        keep_all(&mut self.journal, batch.n, batch.sealed.count);
        let exchanged = BatchExchanged {
            pay: part(paid.0, paid.1),
            refunds: part(refunds.0, refunds.1),
            held: part(held.0, held.1),
            owe: part(batch.late, owe),
            debt_before: yen(self.debt),
            total: yen(total),
            debt_after: yen(debt_after),
            verdicts: verdicts.digest().0,
            permit: vec![0xAB; 300],
            signature: vec![0x51; 64],
        };
        let exchanged = commit(batch.n, 1, Entry::BatchExchanged(exchanged));
        store(&mut self.journal, exchanged);
        (self.after, self.debt) = (batch.sealed.upto, debt_after);
        self.waiting.retain(|it| it.number > batch.sealed.upto);
        self.ends[0] += 1;
        self.ends[2] += batch.late;
        self.ends[3] += held.0;
    }
}
