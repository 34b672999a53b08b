//! Damaged journals: refused with words, or told in the status; never a silent start on damage that loses money.

use std::fs;
use std::path::Path;

use e2e::world::World;
use e2e::{Fault, ensure};
use purser_lab::card::{Minor, Serial};
use serde_json::json;

use crate::purserd::{Home, Running, Started};
use crate::spoil::{
    DB, KEY, PAGE, WAL, another_data_base, change_text, cut, flip, folder, half, remove, sql,
};
use crate::table::{Group, says};
use crate::template::{IN_DOUBT, PAID, Template};

/// Frames of the WAL: a header each, and a page.
const WAL_HEADER: usize = 32;
/// The journal is refused.
pub(crate) const REFUSED: i32 = 65;

/// What is done to a state folder.
type Spoil = fn(&Path) -> Result<(), Fault>;
/// A row: its name, the file that is spoilt and how, and what must be said.
type Row = (&'static str, &'static str, Spoil, &'static [&'static str]);

const TAIL: &[&str] = &[
    "journal.head vouches for entry",
    "the WAL is damaged or missing",
    "put the newest",
];
const FIRST_PAGE: &[&str] = &[
    "first page of journal.db is damaged, or another file was put in its place",
    "put the right journal.db back",
];
const GONE: &[&str] = &[
    "journal.db is missing, empty or no file",
    "chain.key",
    "put journal.db and journal.db-wal back",
];
const VERIFY: &str = "run purserd verify-journal";

/// Given a journal whose newest entries are in its WAL.
const WITH_WAL: [Row; 11] = [
    ("WAL missing", WAL, |state| remove(state, WAL), TAIL),
    ("WAL header damaged", WAL, |state| flip(state, WAL, 0), TAIL),
    ("WAL salt damaged", WAL, |state| flip(state, WAL, 17), TAIL),
    (
        "first frame of the WAL damaged",
        WAL,
        |state| flip(state, WAL, WAL_HEADER + 500),
        TAIL,
    ),
    (
        "WAL cut short",
        WAL,
        |state| cut(state, WAL, WAL_HEADER + 3 * (PAGE + 24)),
        TAIL,
    ),
    ("data base missing", DB, |state| remove(state, DB), GONE),
    ("data base of no bytes", DB, |state| cut(state, DB, 0), GONE),
    ("folder instead of the data base", DB, folder, GONE),
    (
        "chain key missing",
        KEY,
        |state| remove(state, KEY),
        &["chain.key is missing", "restore it from your copy"],
    ),
    (
        "chain key of another journal",
        KEY,
        |state| Ok(fs::write(state.join(KEY), [7; 32])?),
        &[
            "does not fit the record chain",
            "chain.key is another journal's",
            "restore chain.key",
        ],
    ),
    (
        "chain key cut short",
        KEY,
        |state| cut(state, KEY, 31),
        &["chain.key does not hold 32 bytes", "restore it"],
    ),
];

/// Given a journal all of which is in the data base file.
const SETTLED: [Row; 11] = [
    (
        "not a data base",
        DB,
        |state| Ok(fs::write(state.join(DB), "a letter ".repeat(900))?),
        FIRST_PAGE,
    ),
    (
        "first bytes of the data base damaged",
        DB,
        |state| flip(state, DB, 3),
        FIRST_PAGE,
    ),
    (
        "data base cut in the middle",
        DB,
        half,
        &["the journal is damaged", VERIFY],
    ),
    ("another program's data base", DB, another_data_base, FIRST_PAGE),
    (
        "journal of a newer version",
        DB,
        |state| sql(state, "PRAGMA user_version = 99"),
        &["the journal has version 99", "install the newer Purser"],
    ),
    (
        "newest entry changed",
        DB,
        |state| change_text(state, "later-119\"", "later-911\""),
        &["entry", "was changed", "purserd verify-journal"],
    ),
    (
        "open sale forgotten",
        DB,
        |state| sql(state, "DELETE FROM open_operations"),
        &["a row of open_operations is not one that Purser writes", VERIFY],
    ),
    (
        "balances forgotten",
        DB,
        |state| sql(state, "DELETE FROM balances"),
        &["a row of open_operations is not one that Purser writes", VERIFY],
    ),
    (
        "balance changed",
        DB,
        |state| {
            sql(
                state,
                "UPDATE balances SET minor = minor + 1 WHERE account = 'claims'",
            )
        },
        &["the stored balances are no books", VERIFY],
    ),
    (
        "balance of a currency that is none",
        DB,
        |state| {
            sql(
                state,
                "UPDATE balances SET currency = 'yen' WHERE account = 'claims'",
            )
        },
        &["a row of balances is not one that Purser writes", VERIFY],
    ),
    (
        "table missing",
        DB,
        |state| sql(state, "DROP TABLE debits"),
        &["no such table", VERIFY],
    ),
];

pub(crate) fn rows(template: &Template) -> Result<Group, Fault> {
    let mut group = Group::default();
    for (state, rows) in [
        (template.with_wal(), &WITH_WAL[..]),
        (template.settled(), &SETTLED[..]),
    ] {
        for row in rows {
            group.row(row.0, refused(template, &state, row));
        }
    }
    group.row("older copy put back", older_copy(template));
    group.row("old entry changed", old_entry(template));
    group.row(
        "reference changed in one tree",
        crate::pages::each_reference(template),
    );
    group.row("open sale's entry damaged", open_entry(template));
    group.row("one byte of each page changed", crate::pages::each_page(template));
    Ok(group)
}

/// A refused start. All but the spoilt file is as it was: with the good one put back, the journal is whole.
fn refused(template: &Template, state: &Path, row: &Row) -> Result<String, Fault> {
    let (_, file, spoil, words) = row;
    let home = Home::with_state(state)?;
    spoil(&home.state)?;
    let said = home.refused(&template.programs, REFUSED, words)?;
    let path = home.state.join(file);
    if path.is_dir() {
        fs::remove_dir(&path)?;
    }
    fs::copy(state.join(file), path)?;
    home.starts_whole(&template.programs, &template.head)?;
    Ok(said)
}

/// An older `journal.db` and its WAL beside a newer `journal.head`.
fn older_copy(template: &Template) -> Result<String, Fault> {
    let home = Home::with_state(&template.with_wal())?;
    for name in [DB, WAL] {
        fs::copy(template.early().join(name), home.state.join(name))?;
    }
    let said = home.refused(
        &template.programs,
        REFUSED,
        &["an older copy was put back", "put the newest"],
    )?;
    for name in [DB, WAL] {
        fs::copy(template.with_wal().join(name), home.state.join(name))?;
    }
    home.starts_whole(&template.programs, &template.head)?;
    Ok(said)
}

/// An entry that nobody reads at a start: its own sale is refused for good, all else goes on, and the status tells.
fn old_entry(template: &Template) -> Result<String, Fault> {
    let home = Home::with_state(&template.settled())?;
    change_text(
        &home.state,
        "\"reference\":\"cancelled-7\"",
        "\"referenze\":\"cancelled-7\"",
    )?;
    let running = match home.start(&template.programs)? {
        Started::Ready(running) => running,
        Started::Ended(ended) => return Err(format!("one old entry stops everything: {ended:?}").into()),
    };
    let told = running.checked()?.ok_or("the damage is not told")?;
    says(
        &told,
        &["does not fit the record chain", "run purserd verify-journal"],
    )?;
    for (method, parameters) in [
        ("Attach", json!({ "reference": "cancelled-7" })),
        ("Where", json!({ "reference": "cancelled-7" })),
        ("Journal", json!({ "reference": "cancelled-7" })),
        ("Events", json!({ "after": 7, "limit": 1 })),
        ("BeginSale", sale("cancelled-7")),
    ] {
        let answer = running.call(method, parameters)?;
        ensure(answer["error"] == "org.purser.Purser1.JournalDamaged", || {
            format!("{method}: {answer}")
        })?;
        ensure(answer["parameters"]["transient"] == false, || {
            format!("{method}: {answer}")
        })?;
        says(&answer["parameters"]["remedy"].to_string(), &["verify-journal"])?;
    }
    let next = running.call("BeginSale", sale("next"))?;
    // There is no driver here, and nothing else keeps it from beginning.
    ensure(next["error"] == "org.purser.Purser1.NoReader", || {
        format!("the next sale: {next}")
    })?;
    paid_sales_are_found(&running)?;
    Ok(told)
}

/// The entry of a sale that is in doubt: its card is left alone, all others pay; mended, the sale is found out.
fn open_entry(template: &Template) -> Result<String, Fault> {
    const GOOD: &str = "\"reference\":\"doubt\"";
    const BAD: &str = "\"referenze\":\"doubt\"";
    let mut world = World::copy(&template.world)?;
    let state = world.stack.layout().state_dir();
    fs::remove_dir_all(&state)?;
    crate::purserd::copy_state(&template.settled(), &state)?;
    change_text(&state, GOOD, BAD)?;
    world.stack.start_again()?;
    let told = world.sell("same-card")?;
    let held = told.last().ok_or("nothing is told")?;
    let said = format!("{:?}: {:?}; {:?}", held.reason, held.cause, held.remedy);
    says(
        &said,
        &[
            "card_held",
            "entries of it are damaged",
            "take another card",
            "purserd verify-journal",
        ],
    )?;
    let debits = world.card.status().ep_offline_sn;
    ensure(u64::from(debits) == world.paid + 1, || {
        "the held card was debited".to_owned()
    })?;
    world.card.remove();

    let other = world.stack.new_card(
        "other",
        Serial([0, 0, 0, 0, 0x20, 0x26, 0, 0, 0, 9]),
        Minor(1_000),
    )?;
    let mut till = world.stack.till()?;
    till.begin_sale("other-card", e2e::world::PRICE)?;
    other.insert();
    till.wait_for_outcome("other-card", "paid")?;
    drop(other);
    let answer = crate::purserd::call(
        &world.stack.layout().socket(),
        "Attach",
        json!({ "reference": IN_DOUBT }),
    )?;
    ensure(answer["error"] == "org.purser.Purser1.JournalDamaged", || {
        format!("{answer}")
    })?;
    let totals = till.call(async |purser| purser.totals().await)?;
    ensure(totals.balanced && totals.counts.in_doubt == 1, || {
        format!("{totals:?}")
    })?;

    world.stack.stop()?;
    change_text(&state, BAD, GOOD)?;
    world.stack.start_again()?;
    world.card.insert();
    world.stack.till()?.wait_for_outcome(IN_DOUBT, "paid")?;
    world.stack.stop()?;
    let verified = world
        .stack
        .run_verb(&["verify-journal", "--expect", &template.head])?;
    ensure(verified.status.success(), || format!("{verified:?}"))?;
    Ok(said)
}

/// Whoever repeats a paid sale is told that it is paid, or that it cannot be told; never that a new one begins.
pub(crate) fn paid_sales_are_found(running: &Running) -> Result<(), Fault> {
    for reference in PAID {
        let answer = running.call("BeginSale", sale(reference))?;
        let is_paid = answer["parameters"]["sale"]["outcome"] == "paid";
        let is_damaged = answer["error"] == "org.purser.Purser1.JournalDamaged";
        ensure(is_paid || is_damaged, || {
            format!("{reference} would be debited twice: {answer}")
        })?;
    }
    Ok(())
}

pub(crate) fn sale(reference: &str) -> serde_json::Value {
    json!({ "reference": reference, "amount": { "minor": e2e::world::PRICE, "currency": "JPY" } })
}
