//! Room for the evidence is reserved by the first commit (money rule P3): the disk is filled to the last byte after the
//! debit is sent; WAL growth counts.

mod common;

use common::disk::{SmallDisk, allocated_bytes};
use common::load::Load;
use common::{Sale, append_one, folder, open_when_free, store};
use purser_journal::{Journal, Maintained, OpenError, Options, Reader, verify};
use purser_ledger::{Head, Refused, Store};

fn open(disk: &SmallDisk) -> Journal {
    open_when_free(&disk.state_dir()).expect("the journal opens")
}

fn assert_whole(disk: &SmallDisk, head: Head) {
    let report = verify(&disk.state_dir(), Some(head), |_, _| {}).expect("whole");
    assert_eq!(report.head, head);
}

/// Opens debits until the journal refuses one more on the full disk, then ends every one of them in the longest way.
fn evidence_finds_room(disk: &SmallDisk) {
    let mut journal = open(disk);
    let first = Sale::longest(0);
    store(&mut journal, first.intended());
    disk.fill_but(64 << 10);
    let mut open_sales = vec![first];
    let refused = loop {
        let sale = Sale::longest(u32::try_from(open_sales.len()).expect("few"));
        match append_one(&mut journal, sale.intended()) {
            Ok(_) => open_sales.push(sale),
            Err(refused) => break refused,
        }
    };
    assert_eq!(refused, Refused::NoRoom);
    assert!(open_sales.len() > 3, "some debits fit: {}", open_sales.len());
    disk.fill();
    let closing = Sale::longest(9_000).closed();
    let head = journal.head();
    assert_eq!(
        append_one(&mut journal, closing),
        Err(Refused::NoRoom),
        "a closing entry eats no debit's reserve"
    );
    assert_eq!(journal.head(), head, "nothing of a refused commit is stored");
    for sale in &open_sales {
        store(&mut journal, sale.in_doubt(1));
        assert_ne!(
            journal
                .maintain()
                .expect("a full disk does not break the journal"),
            Maintained::Nothing
        );
    }
    for sale in &open_sales {
        store(&mut journal, sale.queried(2));
    }
    for sale in &open_sales {
        store(&mut journal, sale.paid(3, false));
    }
    let head = journal.head();
    assert!(journal.snapshot().expect("readable").open.is_empty());
    assert_whole(disk, head);
    disk.free();
    assert_eq!(
        journal.maintain().expect("the journal works"),
        Maintained::Restarted
    );
    let head = store(&mut journal, Sale::longest(9_001).intended());
    drop(journal);
    assert_whole(disk, head);
}

#[test]
fn the_end_of_a_load_whose_attempt_was_recorded_finds_room_on_a_full_disk() {
    let disk = SmallDisk::tmpfs(32);
    let mut journal = open(&disk);
    let first = Load::longest(0);
    store(&mut journal, first.begun());
    store(&mut journal, first.attempted(1, 1));
    disk.fill_but(64 << 10);
    let (mut attempted, mut begun) = (vec![first], Vec::new());
    loop {
        let load = Load::longest(u32::try_from(attempted.len()).expect("few"));
        if append_one(&mut journal, load.begun()).is_err() {
            break;
        }
        match append_one(&mut journal, load.attempted(1, 1)) {
            Ok(_) => attempted.push(load),
            Err(refused) => {
                assert_eq!(refused, Refused::NoRoom);
                begun.push(load);
                break;
            }
        }
    }
    assert!(attempted.len() > 3, "some loads fit: {}", attempted.len());
    disk.fill();
    for load in &attempted {
        store(&mut journal, load.released(2, 1));
        journal
            .maintain()
            .expect("a full disk does not break the journal");
    }
    let further = append_one(&mut journal, attempted[0].attempted(3, 2));
    assert_eq!(
        further,
        Err(Refused::NoRoom),
        "a further attempt eats no other load's reserve"
    );
    for load in &attempted {
        store(&mut journal, load.proven(3, 1));
        store(&mut journal, load.confirmed(4));
    }
    for load in &begun {
        store(&mut journal, load.told_by_the_provider(1));
        store(&mut journal, load.confirmed(2));
    }
    let head = journal.head();
    assert!(journal.snapshot().expect("readable").loads.is_empty());
    drop(journal);
    assert_whole(&disk, head);
}

#[test]
fn evidence_finds_room_on_an_ext4_disk_that_is_full_to_the_last_byte() {
    evidence_finds_room(&SmallDisk::ext4(32));
}

#[test]
fn evidence_finds_room_on_a_tmpfs_that_is_full_to_the_last_byte() {
    evidence_finds_room(&SmallDisk::tmpfs(32));
}

#[test]
fn sales_stop_before_free_space_reaches_the_reserve() {
    let disk = SmallDisk::tmpfs(32);
    let options = Options {
        reserve_bytes: 16 << 20,
    };
    let mut journal = Journal::open(&disk.state_dir(), &options).expect("the journal opens");
    let sale = Sale::new(1);
    store(&mut journal, sale.intended());
    std::fs::write(disk.state_dir().join("other"), vec![0; 14 << 20]).expect("there is room");
    assert_eq!(
        append_one(&mut journal, Sale::new(2).intended()),
        Err(Refused::NoRoom)
    );
    store(&mut journal, sale.paid(1, false));
    std::fs::remove_file(disk.state_dir().join("other")).expect("it goes");
    store(&mut journal, Sale::new(2).intended());
}

#[test]
fn a_journal_that_was_killed_on_a_full_disk_says_what_it_needs_and_goes_on_when_it_has_it() {
    let disk = SmallDisk::ext4(32);
    let mut journal = open(&disk);
    for n in 0..50 {
        store(&mut journal, Sale::longest(n).intended());
    }
    disk.fill();
    let head = store(&mut journal, Sale::longest(0).paid(1, false));
    drop(journal);
    let refused = open_when_free(&disk.state_dir()).expect_err("the checkpoint has no room");
    assert!(
        matches!(refused, OpenError::NoSpace { bytes } if bytes > 0),
        "{refused:?}"
    );
    assert!(refused.is_transient());
    disk.free();
    let mut journal = open(&disk);
    assert_eq!(journal.head(), head);
    for n in 1..50 {
        store(&mut journal, Sale::longest(n).paid(1, false));
    }
}

#[test]
fn a_wal_that_was_copied_with_holes_is_allocated_again() {
    let disk = SmallDisk::ext4(32);
    drop(open(&disk));
    // The second start moves the tables into the data base file: without them the WAL could not be missed.
    drop(open(&disk));
    let wal = disk.state_dir().join("journal.db-wal");
    let length = std::fs::metadata(&wal).expect("it is there").len();
    std::fs::remove_file(&wal).expect("it goes");
    std::fs::File::create(&wal)
        .and_then(|file| file.set_len(length))
        .expect("a file of one hole");
    assert!(allocated_bytes(&wal) < length);
    drop(open(&disk));
    assert!(allocated_bytes(&wal) >= length);
}

#[test]
fn more_debits_than_the_first_block_of_the_wal_index_covers_find_room_for_their_evidence() {
    let disk = SmallDisk::tmpfs(64);
    let mut journal = open(&disk);
    let sales: Vec<_> = (0..300).map(Sale::longest).collect();
    let path = disk.state_dir().join("journal.db");
    let stuck = rusqlite::Connection::open_with_flags(path, rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY)
        .expect("it opens");
    stuck
        .execute_batch("BEGIN; SELECT count(*) FROM entries")
        .expect("a read that does not end");
    for sale in &sales {
        store(&mut journal, sale.intended());
        store(&mut journal, sale.in_doubt(1));
    }
    assert_eq!(
        journal.maintain().expect("the journal works"),
        Maintained::ReaderHolds
    );
    let reader = Reader::open(&disk.state_dir()).expect("readable");
    disk.fill();
    for sale in &sales {
        store(&mut journal, sale.queried(2));
    }
    for sale in &sales {
        store(&mut journal, sale.paid(3, false));
    }
    assert!(
        journal.wal_frames() > 4_062,
        "the index has a second block: {}",
        journal.wal_frames()
    );
    assert_eq!(reader.head().expect("readable"), journal.head());
    assert_whole(&disk, journal.head());
}

/// The WAL's length once so many sales stand as `steps` left them, each followed by upkeep.
fn wal_bytes(sales: u32, steps: impl Fn(&mut Journal, Sale)) -> u64 {
    let folder = folder();
    let mut journal = common::open(&folder);
    for n in 0..sales {
        steps(&mut journal, Sale::new(n));
        assert_eq!(
            journal.maintain().expect("the journal works"),
            Maintained::Restarted
        );
    }
    std::fs::metadata(folder.path().join("journal.db-wal"))
        .expect("it is there")
        .len()
}

#[test]
fn a_sale_keeps_room_for_the_commits_that_it_may_still_need_and_no_more() {
    // Enough that two further commits for each make the WAL longer.
    let sales = 25;
    let intend = |journal: &mut Journal, sale: Sale| {
        store(journal, sale.intended());
    };
    let (least, intended) = (wal_bytes(1, intend), wal_bytes(sales, intend));
    let queried = wal_bytes(sales, |journal, sale| {
        store(journal, sale.intended());
        store(journal, sale.in_doubt(1));
        store(journal, sale.queried(2));
    });
    assert!(intended > least, "{intended} {least}");
    assert_eq!(queried, least);
}
