//! What strace shows of a sale in steady state: two syncs, no wait that expires, and nothing told as paid too early.

use std::thread;
use std::time::Duration;

use e2e::Fault;
use e2e::phase::Templates;
use e2e::point;
use e2e::strace::Strace;
use e2e::trace::{Call, calls};
use e2e::world::{PRICE, World};

/// The journal is maintained after two seconds without work.
const IDLE: Duration = Duration::from_millis(3_000);
/// More than any message is long.
const STRING_BYTES: &str = "100000";
const TRACED: &str = "trace=fsync,fdatasync,sync_file_range,syncfs,msync,write,writev,sendto,sendmsg,sendmmsg,\
                      epoll_wait,epoll_pwait,poll,ppoll,select,pselect6,futex,nanosleep,clock_nanosleep,recvfrom,recvmsg,\
                      accept4";

/// What was traced, and whose threads they are.
struct Traced {
    calls: Vec<Call>,
    of_purserd: Vec<u32>,
    of_host: Vec<u32>,
}

/// Two sales, idle maintenance, and the trace of a third.
fn third_sale() -> Result<Traced, Fault> {
    let templates = Templates::new()?;
    let mut world = World::copy(templates.sold())?;
    world.stack.start_again()?;
    world.sell_paid("first")?;
    world.sell_paid("second")?;
    world.card.remove();
    thread::sleep(IDLE);
    let purserd = world.stack.purserd_id().ok_or("purserd does not run")?;
    let host = point::children(purserd)?
        .first()
        .copied()
        .ok_or("no driver host runs")?;
    let of = |process| {
        Ok::<_, Fault>(
            point::threads(process)?
                .into_iter()
                .map(|(thread, _)| thread)
                .collect(),
        )
    };
    let (of_purserd, of_host): (Vec<u32>, Vec<u32>) = (of(purserd)?, of(host)?);
    let mut pos = world.pos()?;
    let host = host.to_string();
    let options = ["-f", "-s", STRING_BYTES, "-e", TRACED, "-p", &host].map(Into::into);
    let strace = Strace::attach(purserd, &world.trace_file("third"), &options)?;
    let told = pos.begin("third", PRICE)?;
    world.card.insert();
    let told = pos.follow("third", told, |sale| sale.outcome != "under_way")?;
    if !told.was("paid") {
        return Err(format!("the third sale is not paid: {:?}", told.last()).into());
    }
    let trace = strace.finish(false)?;
    Ok(Traced {
        calls: calls(&trace)?,
        of_purserd,
        of_host,
    })
}

#[test]
fn a_sale_in_steady_state_syncs_twice_waits_for_no_clock_and_tells_nothing_early() {
    let Traced {
        calls,
        of_purserd,
        of_host,
    } = third_sale().expect("a sale works");
    let known = |call: &&Call| of_purserd.contains(&call.thread) || of_host.contains(&call.thread);
    assert!(
        calls.iter().all(|call| known(&call)),
        "every thread was there before the sale"
    );

    let is_sync = |call: &&Call| {
        matches!(
            call.name.as_str(),
            "fsync" | "fdatasync" | "sync_file_range" | "syncfs" | "msync"
        )
    };
    let syncs: Vec<_> = calls.iter().filter(is_sync).collect();
    println!("syncs: {syncs:#?}");
    assert_eq!(syncs.len(), 2, "exactly two syncs");
    assert!(
        syncs
            .iter()
            .all(|sync| sync.arguments.contains("journal.db-wal") && sync.result.as_deref() == Some("0"))
    );

    // Entries in the journal are written by pwrite64: everything that is traced here is told to somebody.
    let is_told = |call: &&Call| {
        matches!(
            call.name.as_str(),
            "write" | "writev" | "sendto" | "sendmsg" | "sendmmsg"
        )
    };
    let tells_paid = |call: &&Call| is_told(call) && call.arguments.contains("paid");
    let told: Vec<_> = calls.iter().filter(tells_paid).collect();
    println!(
        "told as paid {} times, first in line {}",
        told.len(),
        told[0].began
    );
    assert!(
        told.iter()
            .any(|call| call.arguments.contains("\\\"outcome\\\":\\\"paid\\\"")),
        "the till was told"
    );
    assert!(
        told.iter().all(|call| call.began > syncs[1].ended),
        "nothing is told as paid before the second sync"
    );

    let is_present = |call: &&Call| call.name == "accept4" && of_host.contains(&call.thread);
    let present = calls.iter().find(is_present).expect("the card comes").began;
    let paid = told[0].ended;
    let window = calls.iter().filter(|call| (present..=paid).contains(&call.ended));
    let is_wait =
        |call: &&Call| call.name.contains("poll") || call.name == "futex" || call.name.contains("sleep");
    let waits: Vec<_> = window.clone().filter(is_wait).collect();
    println!("{} waits between card present and paid", waits.len());
    assert!(waits.len() > 10, "the waits are seen: {waits:#?}");
    let expired: Vec<_> = window.filter(|call| call.is_wait_that_expired()).collect();
    assert!(expired.is_empty(), "waits expired: {expired:#?}");
}
