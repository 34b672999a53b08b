//! Loads in the ledger: an entry follows the rules or is refused, and what a bank has booked is owed or loaded.

mod common;

use std::collections::BTreeMap;

use common::{
    OWNER, at, content, head, id, load_attempted, load_begun, load_confirmed, load_proven, load_released,
    load_voided, yen,
};
use proptest::prelude::*;
use purser_ledger::{
    ATTEMPT_STEPS_END, Account, AnyOperation, Batches, Books, CardId, Commit, Entry, Existing, FoldError,
    Load, LoadAttempted, LoadBegun, LoadProof, LoadProven, LoadReleased, LoadStanding, LoadVoided,
    OperationId, Reference, Refused, Scheme, SchemeBytes, Snapshot, admit,
};

/// The load that these entries make, in order.
fn load(entries: &[Entry]) -> Load {
    let mut steps = (0..).zip(entries);
    let (_, first) = steps.next().expect("at least one entry");
    let mut load = Load::begin(&content(0, first.clone()), head(1)).expect("it opens");
    for (step, entry) in steps {
        load.apply(&content(step, entry.clone()), head(u64::from(step) + 1))
            .expect("an entry that follows");
    }
    load
}

#[test]
fn a_load_comes_to_its_card_step_by_step() {
    let entries = [
        load_begun(),
        load_attempted(1),
        load_released(1),
        load_proven(1),
        load_confirmed(),
    ];
    let open: Vec<_> = (1..=5).map(|steps| load(&entries[..steps])).collect();
    let is_open: Vec<_> = open.iter().map(Load::is_open).collect();
    assert_eq!(is_open, [true, true, true, true, false]);
    let waits: Vec<_> = open.iter().map(Load::waits_for_card).collect();
    assert_eq!(waits, [false, false, true, false, false]);
    let has_card: Vec<_> = open.iter().map(|it| it.card().is_some()).collect();
    assert_eq!(
        has_card,
        [false, false, true, true, true],
        "before its release the card has got nothing"
    );
    let last = open.last().expect("five");
    assert!(matches!(last.standing, LoadStanding::Confirmed(_)));
    assert_eq!((last.next_step, last.head, last.owner), (5, head(5), OWNER));
}

#[test]
fn a_load_that_is_not_on_its_card_can_be_voided_and_nothing_else_can() {
    for open in [
        vec![load_begun()],
        vec![load_begun(), load_attempted(1)],
        vec![load_begun(), load_attempted(1), load_released(1)],
        vec![
            load_begun(),
            load_attempted(1),
            load_released(1),
            load_attempted(2),
        ],
    ] {
        let open = load(&open);
        assert!(open.admits(&load_voided()));
        let void = [Some(&open), None];
        let void = void.into_iter().flatten().map(|it| {
            let mut void = it.clone();
            let voided = content(void.next_step, load_voided());
            void.apply(&voided, head(9)).expect("it is voided");
            void
        });
        for void in void {
            assert!(!void.is_open() && void.standing == LoadStanding::Voided);
            for entry in [
                load_attempted(3),
                load_released(2),
                load_proven(1),
                load_confirmed(),
                load_voided(),
            ] {
                assert!(!void.admits(&entry), "{entry:?}");
            }
        }
    }
    let proven = load(&[load_begun(), load_attempted(1), load_released(1), load_proven(1)]);
    assert!(!proven.admits(&load_voided()), "the card has it");
}

#[test]
fn a_released_attempt_binds_the_load_to_its_card_and_its_online_sn() {
    let other_card = |number| match load_attempted(number) {
        Entry::LoadAttempted(it) => Entry::LoadAttempted(LoadAttempted {
            card: CardId::new(Scheme::Pboc, [9; 10]),
            ..it
        }),
        other => other,
    };
    let other_sn = |number| match load_attempted(number) {
        Entry::LoadAttempted(it) => Entry::LoadAttempted(LoadAttempted {
            online_sn: it.online_sn + 1,
            ..it
        }),
        other => other,
    };
    let attempted = load(&[load_begun(), load_attempted(1)]);
    assert!(
        attempted.admits(&other_card(1)) && attempted.admits(&other_sn(2)),
        "no card has got anything, and the attempt may never have reached the provider"
    );
    for released in [
        load(&[load_begun(), load_attempted(1), load_released(1)]),
        load(&[
            load_begun(),
            load_attempted(1),
            load_released(1),
            load_attempted(2),
        ]),
    ] {
        assert!(released.admits(&load_attempted(2)));
        assert!(!released.admits(&load_attempted(1)), "its number is taken");
        assert!(!released.admits(&other_card(2)) && !released.admits(&other_sn(2)));
    }
}

#[test]
fn an_entry_of_another_load_another_step_or_another_amount_is_refused() {
    let mut open = load(&[load_begun(), load_attempted(1), load_released(1)]);
    let before = open.clone();
    let mut foreign = content(3, load_proven(1));
    foreign.operation = OperationId::new([0x77; 16]);
    assert_eq!(open.apply(&foreign, head(4)), Err(FoldError::OtherOperation));
    assert_eq!(
        open.apply(&content(2, load_proven(1)), head(4)),
        Err(FoldError::OtherStep)
    );
    for entry in [load_proven(1), load_voided()] {
        let other = priced(entry, 301);
        assert_eq!(
            open.apply(&content(3, other), head(4)),
            Err(FoldError::OtherAmount)
        );
    }
    for number in [0, 2] {
        assert!(
            !open.admits(&load_proven(number)),
            "no attempt has number {number}"
        );
    }
    assert_eq!(open, before, "what is refused changes nothing");
    assert_eq!(
        Load::begin(&content(1, load_begun()), head(1)),
        Err(FoldError::OtherStep)
    );
    assert_eq!(
        Load::begin(&content(0, load_attempted(1)), head(1)),
        Err(FoldError::NotOpened)
    );
}

#[test]
fn attempts_end_early_enough_that_the_end_finds_a_number() {
    let mut load = load(&[load_begun()]);
    while load.next_step < ATTEMPT_STEPS_END {
        let next = content(load.next_step, load_attempted(1));
        load.apply(&next, head(u64::from(load.next_step)))
            .expect("an attempt");
    }
    assert!(!load.admits(&load_attempted(1)), "no further attempt");
    for entry in [load_released(1), load_proven(1), load_confirmed()] {
        let next = content(load.next_step, entry);
        load.apply(&next, head(u64::from(load.next_step)))
            .expect("the end");
    }
    assert!(!load.is_open());
}

#[test]
fn a_start_gets_one_receipt_for_each_open_load() {
    let open = load(&[load_begun(), load_attempted(1), load_released(1)]);
    let snapshot = Snapshot {
        loads: vec![open.clone()],
        ..Snapshot::default()
    };
    let receipts = snapshot.receipts();
    let told: Vec<_> = receipts
        .iter()
        .map(|it| (it.operation(), it.step(), it.head()))
        .collect();
    assert_eq!(told, [(id(), 2, open.head)]);
}

/// The load is proven by the provider's word.
fn told_by_the_provider(number: u8) -> Entry {
    match load_proven(number) {
        Entry::LoadProven(it) => Entry::LoadProven(LoadProven {
            proof: LoadProof::Provider,
            tac: SchemeBytes::new(Scheme::Pboc, Vec::new()).expect("short"),
            ..it
        }),
        other => other,
    }
}

#[test]
fn a_load_that_another_terminal_has_brought_to_its_card_ends_by_the_providers_word() {
    let ways = [
        vec![load_begun()],
        vec![load_begun(), load_attempted(1)],
        vec![load_begun(), load_attempted(1), load_released(1)],
    ];
    for entries in ways {
        let mut known = load(&entries);
        assert!(!known.admits(&told_by_the_provider(0)), "an attempt has a number");
        for entry in [told_by_the_provider(5), load_confirmed()] {
            let next = content(known.next_step, entry);
            known.apply(&next, head(9)).expect("the provider knows");
        }
        assert!(!known.is_open());
        assert!(!known.admits(&load_voided()) && !known.admits(&told_by_the_provider(5)));
    }
}

/// The same entry about another amount.
fn priced(entry: Entry, minor: u64) -> Entry {
    let amount = yen(minor);
    match entry {
        Entry::LoadBegun(it) => Entry::LoadBegun(LoadBegun { amount, ..it }),
        Entry::LoadProven(it) => Entry::LoadProven(LoadProven { amount, ..it }),
        Entry::LoadVoided(_) => Entry::LoadVoided(LoadVoided { amount }),
        other => other,
    }
}

/// What may be stored of a load next, wanted or not: few numbers, cards and counters, so that they meet.
fn entry() -> impl Strategy<Value = Entry> {
    let attempted = (0..4_u8, 0..2_u8, 0..2_u16).prop_map(|(number, card, online_sn)| {
        let Entry::LoadAttempted(it) = load_attempted(number) else {
            unreachable!("it is one");
        };
        Entry::LoadAttempted(LoadAttempted {
            card: CardId::new(Scheme::Pboc, [card; 10]),
            online_sn,
            ..it
        })
    });
    prop_oneof![
        2 => Just(load_begun()),
        8 => attempted,
        6 => (0..4_u8).prop_map(load_released),
        4 => (0..4_u8).prop_map(load_proven),
        1 => (0..4_u8).prop_map(told_by_the_provider),
        2 => Just(load_confirmed()),
        1 => Just(load_voided()),
        1 => Just(common::intended()),
        1 => Just(common::paid(false)),
    ]
}

/// The rules told once more, from the entries that were taken.
fn may_follow(taken: &[Entry], next: &Entry) -> bool {
    let released = |entry: &Entry| match entry {
        Entry::LoadReleased(LoadReleased { number, .. }) => Some(*number),
        _ => None,
    };
    let attempts = || {
        taken.iter().filter_map(|entry| match entry {
            Entry::LoadAttempted(it) => Some(it),
            _ => None,
        })
    };
    let last_released = taken.iter().enumerate().rev().find_map(|(at, entry)| {
        let number = released(entry)?;
        let mut before = taken[..at].iter().rev();
        let attempt = before.find_map(|entry| match entry {
            Entry::LoadAttempted(it) => Some(it.clone()),
            _ => None,
        });
        Some((number, attempt.expect("an attempt is released")))
    });
    let has = |wanted: fn(&Entry) -> bool| taken.iter().any(wanted);
    let is_over = has(|it| matches!(it, Entry::LoadVoided(_) | Entry::LoadConfirmed(_)));
    let is_proven = has(|it| matches!(it, Entry::LoadProven(_)));
    let (Some(newest), false) = (taken.last(), is_over) else {
        return taken.is_empty() && matches!(next, Entry::LoadBegun(_));
    };
    match next {
        Entry::LoadAttempted(it) => {
            let fits_released = last_released.is_none_or(|(number, bound)| {
                it.number > number && (&it.card, it.online_sn) == (&bound.card, bound.online_sn)
            });
            let least = attempts().next_back().map_or(1, |last| last.number);
            !is_proven && it.number >= least && it.number > 0 && fits_released
        }
        Entry::LoadReleased(it) => matches!(newest, Entry::LoadAttempted(last) if last.number == it.number),
        Entry::LoadProven(it) if it.proof == LoadProof::Provider => !is_proven && it.number > 0,
        Entry::LoadProven(it) => {
            matches!(newest, Entry::LoadReleased(last) if (1..=last.number).contains(&it.number))
        }
        Entry::LoadConfirmed(_) => matches!(newest, Entry::LoadProven(_)),
        Entry::LoadVoided(_) => !is_proven,
        _ => false,
    }
}

/// A little store: loads by id, what was taken of each, and the books.
#[derive(Default)]
struct World {
    loads: BTreeMap<u8, (AnyOperation, Vec<Entry>)>,
    books: Books,
    number: u64,
}

impl World {
    fn take(&mut self, of: u8, entry: Entry) -> Result<(), Refused> {
        let known = self.loads.get(&of).map(|(load, _)| load);
        let commit = Commit {
            operation: OperationId::new([of; 16]),
            step: known
                .and_then(AnyOperation::load)
                .map_or(0, |load| load.next_step),
            at: at(0),
            entry,
        };
        let existing = Existing {
            operation: known,
            by_reference: None,
            debit_key_is_taken: false,
            batches: &Batches::new(),
            has_room: true,
        };
        let (load, books) = admit(&commit, head(self.number + 1), existing, &self.books)?;
        self.number += 1;
        self.books = books;
        let (_, mut taken) = self
            .loads
            .remove(&of)
            .unwrap_or_else(|| (load.clone(), Vec::new()));
        taken.push(commit.entry);
        self.loads.insert(of, (load, taken));
        Ok(())
    }

    fn balance(&self, account: Account) -> u64 {
        self.books.balance(account, yen(0).currency()).minor()
    }

    fn sum(&self, counts: impl Fn(&LoadStanding) -> bool) -> u64 {
        let loads = self.loads.values().filter_map(|(load, _)| load.load());
        loads
            .filter(|load| counts(&load.standing))
            .map(|load| load.amount.minor())
            .sum()
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn any_order_of_entries_follows_the_rules_or_is_refused_and_the_books_hold(
        steps in prop::collection::vec((0..3_u8, entry()), 0..80)
    ) {
        let mut world = World::default();
        for (of, entry) in steps {
            let entry = priced(entry, 100 + u64::from(of));
            let taken = world.loads.get(&of).map(|(_, taken)| taken.clone()).unwrap_or_default();
            if taken.is_empty() && !matches!(entry, Entry::LoadBegun(_)) {
                // A sale's, or an entry that opens nothing.
                if !matches!(entry, Entry::SaleIntended(_)) {
                    prop_assert_eq!(world.take(of, entry), Err(Refused::OutOfOrder));
                }
                continue;
            }
            let is_right = may_follow(&taken, &entry);
            let books = world.books.clone();
            let answer = world.take(of, entry.clone());
            prop_assert_eq!(answer.is_ok(), is_right, "{:?} after {:?}: {:?}", entry, taken, answer);
            if answer.is_err() {
                prop_assert_eq!(&world.books, &books);
            }
            prop_assert!(world.books.are_balanced());
            let (booked, owed, loaded) =
                (world.balance(Account::Loads), world.balance(Account::LoadsOwed), world.balance(Account::Loaded));
            prop_assert_eq!(booked, owed + loaded, "nothing is lost, and nothing made");
            let is_proven = |it: &LoadStanding| matches!(it, LoadStanding::Proven(_) | LoadStanding::Confirmed(_));
            prop_assert_eq!(loaded, world.sum(is_proven));
            prop_assert_eq!(owed, world.sum(|it| !is_proven(it) && *it != LoadStanding::Voided));
        }
    }

    #[test]
    fn each_account_of_loads_counts_the_loads_that_it_consists_of(
        steps in prop::collection::vec((0..3_u8, entry()), 0..80)
    ) {
        let mut world = World::default();
        let mut counts: BTreeMap<Account, i64> = BTreeMap::new();
        for (of, entry) in steps {
            let is_load = world.loads.contains_key(&of) || matches!(entry, Entry::LoadBegun(_));
            if is_load && world.take(of, entry.clone()).is_ok() {
                for (account, change) in entry.counts() {
                    *counts.entry(account).or_default() += change;
                }
            }
        }
        for account in [Account::Loads, Account::LoadsOwed, Account::Loaded] {
            let minor = i64::try_from(world.balance(account)).expect("small");
            prop_assert_eq!(counts.get(&account).copied().unwrap_or(0) * 300, minor);
        }
    }
}

#[test]
fn a_load_moves_no_money_of_sales() {
    let mut world = World::default();
    world.take(1, load_begun()).expect("it begins");
    let Entry::LoadBegun(begun) = load_begun() else {
        unreachable!("it is one");
    };
    let reference = Reference::new("order-18").expect("a name");
    let second = Entry::LoadBegun(LoadBegun { reference, ..begun });
    world.take(2, second).expect("it begins");
    world.take(2, load_voided()).expect("it is voided");
    let of_sales = world.books.balances().filter(|((_, account), _)| {
        !matches!(account, Account::Loads | Account::LoadsOwed | Account::Loaded)
    });
    assert_eq!(of_sales.count(), 0);
    assert_eq!(
        (world.balance(Account::Loads), world.balance(Account::LoadsOwed)),
        (300, 300)
    );
}
