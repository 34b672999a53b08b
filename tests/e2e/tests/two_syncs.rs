//! A sale in steady state, watched call by call.

use std::fs;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use e2e::strace::Strace;
use e2e::two_syncs::{CALLS, TwoSyncs, judge};
use e2e::world::{PRICE, World};
use e2e::{Fault, calls, ensure, point};
use purser_lab::stack::{PATIENCE, READER};

/// How often a state is looked at that nobody announces.
const LOOK_AGAIN: Duration = Duration::from_millis(5);
/// The thread that the journal works on.
const JOURNAL: &str = "journal";

#[test]
fn a_sale_in_steady_state_makes_two_syncs_waits_for_no_clock_and_is_told_when_it_is_durable() {
    let sale = third_sale().expect("the third sale holds");
    println!("two syncs: {sale:#?}");
    for on in &sale.on {
        assert!(on.contains("/state/journal.db"), "{on}");
    }
}

fn third_sale() -> Result<TwoSyncs, Fault> {
    let mut world = World::new()?;
    world.stack.start_again()?;
    for reference in ["first", "second"] {
        world.sell_paid(reference)?;
    }
    world.card.remove();
    let purserd = world.stack.purserd_id().ok_or("purserd does not run")?;
    wait_until_nothing_is_due(purserd)?;

    let mut pos = world.pos()?;
    let mut processes = vec![purserd];
    processes.extend(point::children(purserd)?);
    ensure(processes.len() > 1, || "there is no driver host".to_owned())?;
    let mut straces = Vec::new();
    for process in &processes {
        let log = world.trace_file(&process.to_string());
        let trace = format!("trace={CALLS}");
        let options = ["-f", "-yy", "-ttt", "-T", "-s", "65536", "-e", &trace];
        let options = options.map(Into::into);
        straces.push(Strace::attach(*process, &log, &options)?);
    }

    let told = pos.begin("third", PRICE)?;
    let card_at = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?;
    world.card.insert();
    let told = pos.follow("third", told, |sale| sale.outcome != "under_way")?;
    ensure(told.was("paid"), || format!("it is not paid: {:?}", told.last()))?;
    world.card.remove();
    wait_until(|| {
        let devices = pos.call(async |purser| purser.devices().await)??.devices;
        Ok(devices
            .iter()
            .any(|device| device.name == READER && device.card_present == Some(false)))
    })?;

    let logs: Result<Vec<String>, Fault> = straces.into_iter().map(|it| it.finish(false)).collect();
    let logs = logs?.concat();
    let card_at_us = u64::try_from(card_at.as_micros())?;
    let judged = judge(&calls::read(&logs)?, card_at_us);
    if judged.is_err() {
        println!("the card came at {card_at_us} µs\n{logs}");
    }
    judged
}

/// Waits until the journal waits for a job without a time limit: its upkeep is done.
fn wait_until_nothing_is_due(purserd: u32) -> Result<(), Fault> {
    let threads = point::threads(purserd)?;
    let (journal, _) = threads
        .iter()
        .find(|(_, role)| role == JOURNAL)
        .ok_or("purserd's journal has no thread")?;
    let path = format!("/proc/{purserd}/task/{journal}/syscall");
    wait_until(|| Ok(waits_without_limit(&fs::read_to_string(&path)?)))
}

/// Whether a thread's `/proc` line says that it is in futex(2) with no time limit: `NUMBER uaddr op val timeout …`.
fn waits_without_limit(line: &str) -> bool {
    let words: Vec<&str> = line.split_whitespace().collect();
    // The number of futex(2) on x86-64 and on the architectures with the common table.
    matches!(words[..], ["202" | "98", _, _, _, "0x0", ..])
}

fn wait_until(mut is_so: impl FnMut() -> Result<bool, Fault>) -> Result<(), Fault> {
    let end = Instant::now() + PATIENCE;
    while !is_so()? {
        ensure(Instant::now() < end, || "it did not become so in time".to_owned())?;
        thread::sleep(LOOK_AGAIN);
    }
    Ok(())
}

#[test]
fn a_journal_that_waits_for_its_upkeep_is_told_from_one_that_has_nothing_to_do() {
    assert!(waits_without_limit(
        "202 0x7f1 0x189 0xffffffff 0x0 0x0 0xffffffff 0x7f2 0x7f3\n"
    ));
    assert!(!waits_without_limit(
        "202 0x7f1 0x189 0xffffffff 0x7f4 0x0 0xffffffff 0x7f2 0x7f3\n"
    ));
    assert!(!waits_without_limit("75 0x5 0x0 0x0 0x0 0x0 0x0 0x7f2 0x7f3\n"));
    assert!(!waits_without_limit("running\n"));
}
