//! How far an append is from the disk's own floor: a bare append and fdatasync, taken in turns in the same process.
//!
//! `cargo run --release -p purser-journal --example append_floor [FOLDER]` prints both medians and their ratio. Without a
//! folder it works in the present one.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use purser_journal::{Journal, Options};
use purser_ledger::{
    Amount, CloseReason, Commit, Entry, OperationId, Owner, Reference, SaleClosed, Store, Wall,
};

/// Appends of each kind: enough for a steady median.
const ROUNDS: u32 = 2_000;

/// Appends between two rounds of upkeep, which are not measured.
const ROUNDS_BETWEEN_UPKEEP: u32 = 40;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = std::env::args()
        .nth(1)
        .map_or_else(std::env::current_dir, |folder| Ok(PathBuf::from(folder)))?;
    let folder = tempfile::tempdir_in(folder)?;
    let mut journal = Journal::open(&folder.path().join("state"), &Options { reserve_bytes: 0 })?;
    let mut bare = OpenOptions::new()
        .create(true)
        .append(true)
        .open(folder.path().join("bare"))?;
    let (mut appends, mut floors) = (Vec::new(), Vec::new());
    for n in 0..ROUNDS {
        let commit = sale(n)?;
        let content = commit.content().encode();
        floors.push(time(|| append_bare(&mut bare, &content))?);
        appends.push(time(|| journal.append(&[commit]).map(drop))?);
        if n % ROUNDS_BETWEEN_UPKEEP == 0 {
            journal.maintain()?;
        }
    }
    let (append, floor) = (median(appends), median(floors));
    let permille = append.as_nanos() * 1_000 / floor.as_nanos().max(1);
    println!(
        "append p50 {append:?}, floor p50 {floor:?}, ratio {}.{:03}",
        permille / 1_000,
        permille % 1_000
    );
    Ok(())
}

fn append_bare(file: &mut File, content: &[u8]) -> std::io::Result<()> {
    file.write_all(content)?;
    file.sync_data()
}

fn time<E>(work: impl FnOnce() -> Result<(), E>) -> Result<Duration, E> {
    let begin = Instant::now();
    work().map(|()| begin.elapsed())
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

fn sale(n: u32) -> Result<Commit, Box<dyn std::error::Error>> {
    let mixed = u128::from(n).wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835);
    Ok(Commit {
        operation: OperationId::new(mixed.to_be_bytes()),
        step: 0,
        at: Wall {
            unix_seconds: i64::from(n),
            utc_offset_seconds: 0,
            trusted: true,
        },
        entry: Entry::SaleClosed(SaleClosed {
            reference: Reference::new(format!("till-1-{n}"))?,
            owner: Owner(0),
            amount: Amount::new(300, "JPY".parse()?)?,
            reason: CloseReason::NoCardInTime,
        }),
    })
}
