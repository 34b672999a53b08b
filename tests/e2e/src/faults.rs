//! Cards that fail, and tills that die: the rest of the matrix, in the same table.

use std::io::Read;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use purser_lab::card::{Fault as CardFault, ScriptedFault, StatusWord};
use purser_lab::vpcd::{CardThread, Place};

use crate::judge::{Found, judge};
use crate::phase::DEBIT;
use crate::pos::Told;
use crate::table::{Cell, Table};
use crate::world::{PRICE, Template, World};
use crate::{Fault, ensure};

/// More commands than a sale has.
const COMMANDS_MAX: u32 = 64;
/// How soon the buyer puts a card in again that was torn out.
const HAND: Duration = Duration::from_millis(20);
/// More calls than a till makes.
const CALLS_MAX: u32 = 200;
/// The calls by which a till meets purserd.
const TILL_CALLS: &str = "connect,sendmsg,sendto,recvmsg,recvfrom,write";

/// What goes wrong at the DEBIT itself.
const AT_DEBIT: [(&str, CardFault); 7] = [
    ("torn before DEBIT executes", CardFault::TearBeforeExecute),
    ("torn after DEBIT executes", CardFault::TearAfterExecute),
    ("garbage for an answer to DEBIT", CardFault::GarbageAnswer),
    ("a counterfeit card: wrong MAC2", CardFault::WrongMac2),
    (
        "6F00 before DEBIT executes",
        CardFault::StatusBeforeExecute(StatusWord(0x6F00)),
    ),
    (
        "6F00 after DEBIT executes",
        CardFault::StatusAfterExecute(StatusWord(0x6F00)),
    ),
    (
        "6985 after DEBIT executes",
        CardFault::StatusAfterExecute(StatusWord(0x6985)),
    ),
];

/// Lets cards fail at every command of a sale, and at DEBIT in every way.
///
/// # Errors
/// The first broken rule.
pub fn cards(template: &Template, table: &mut Table) -> Result<(), Fault> {
    for (row, fault) in AT_DEBIT {
        let script = ScriptedFault::next(DEBIT, fault);
        let found = with_card_fault(template, script).map_err(|fault| format!("{row}: {fault}"))?;
        table.count(
            row,
            Cell::Found(found.ok_or_else(|| format!("{row}: never struck"))?),
        );
    }
    let tears = [
        ("torn before a command executes", CardFault::TearBeforeExecute),
        ("torn after a command executes", CardFault::TearAfterExecute),
    ];
    for (row, fault) in tears {
        let mut skip = 0;
        loop {
            ensure(skip < COMMANDS_MAX, || format!("{row}: a sale has no end"))?;
            let script = ScriptedFault {
                instruction: None,
                skip,
                fault,
            };
            let found =
                with_card_fault(template, script).map_err(|fault| format!("{row} {skip}: {fault}"))?;
            let Some(found) = found else { break };
            table.count(row, Cell::Found(found));
            skip += 1;
        }
        ensure(skip > 3, || format!("{row}: only {skip} commands were seen"))?;
    }
    Ok(())
}

/// What was found after a sale at which the card failed so; none where the sale was over before.
fn with_card_fault(template: &Template, script: ScriptedFault) -> Result<Option<Found>, Fault> {
    let mut world = World::copy(template)?;
    world.stack.start_again()?;
    world.card.script(script);
    let mut pos = world.pos()?;
    let told = pos.begin("sale", PRICE)?;
    let is_over = AtomicBool::new(false);
    let card = &world.card;
    let told = thread::scope(|scope| {
        card.insert();
        scope.spawn(|| put_in_again(card, &is_over));
        let told = pos.follow("sale", told, |sale| sale.outcome != "under_way");
        is_over.store(true, Ordering::Relaxed);
        told
    })?;
    let has_struck = world.card.status().faults_waiting == 0;
    world.card.clear_script();
    let found = judge(&mut world, "sale", &told)
        .map_err(|fault| format!("{fault}; the log:\n{}", world.stack.log().unwrap_or_default()))?;
    Ok(has_struck.then_some(found))
}

fn put_in_again(card: &CardThread, is_over: &AtomicBool) {
    while !is_over.load(Ordering::Relaxed) {
        if card.wait_until(Place::Away, HAND) {
            card.insert();
        }
    }
}

/// Kills a till at each call by which it meets purserd.
///
/// # Errors
/// The first broken rule.
pub fn tills(template: &Template, till: &str, table: &mut Table) -> Result<(), Fault> {
    for when in 1..CALLS_MAX {
        let mut world = World::copy(template)?;
        world.stack.start_again()?;
        world.card.insert();
        let (is_killed, told_paid) = kill_till(&world, till, when)?;
        let found = judge(&mut world, "sale", &Told::default())
            .map_err(|fault| format!("a till killed at its call {when}: {fault}"))?;
        ensure(!told_paid || found == Found::Paid, || {
            "the till was told paid, and it is not".to_owned()
        })?;
        if !is_killed {
            let killed = when - 1;
            ensure(killed > 8 && told_paid, || {
                format!("a whole sale has only {killed} calls")
            })?;
            return Ok(());
        }
        table.count("a till is killed", Cell::Found(found));
    }
    Err("a till makes no end of calls".into())
}

/// Whether the till was killed before its end, and whether it had been told that the sale is paid.
fn kill_till(world: &World, till: &str, when: u32) -> Result<(bool, bool), Fault> {
    let purserd = world.stack.purserd_id().ok_or("purserd does not run")?;
    let mut strace = Command::new("strace")
        .args(["-qq", "-o", "/dev/null", "-e", &format!("trace={TILL_CALLS}")])
        .args(["-e", &format!("inject={TILL_CALLS}:signal=SIGKILL:when={when}")])
        .arg(till)
        .arg(world.stack.layout().socket())
        .args([purserd.to_string(), "sale".to_owned(), PRICE.to_string()])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    let mut told = String::new();
    strace.stdout.take().ok_or("no pipe")?.read_to_string(&mut told)?;
    let is_killed = !strace.wait()?.success();
    Ok((is_killed, told.lines().any(|line| line == "paid")))
}
