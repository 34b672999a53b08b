//! Readers that are pulled out and put back: in every state of a sale, and a thousand times.

use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use e2e::hotplug::{Away, pull, sales_while_the_reader_goes};
use e2e::point;
use e2e::pos::Pos;
use e2e::resources::Resources;
use e2e::world::World;
use e2e::{Fault, ensure};
use purser_lab::stack::{PATIENCE, READER};

/// How often the reader is plugged in, and a card put into it.
const CYCLES: u32 = 1_000;
/// After so many, every pool and cache is as full as it gets.
const WARM: u32 = 100;
/// Shortest cycle: its four events stay below the 200 a second that the driver contract allows for long.
const CYCLE_TIME: Duration = Duration::from_micros(21_000);
/// What the allocator may keep in so many cycles, in KiB: a leak of 600 bytes in each would be seen.
const RSS_GROWTH_MAX_KIB: u64 = 512;

#[test]
fn a_reader_may_be_unplugged_in_every_state_of_a_sale() -> Result<(), Fault> {
    let mut world = World::new()?;
    world.stack.start_again()?;
    let mut cable = Away::Cable(world.stack.layout().cable());
    let table = sales_while_the_reader_goes(&mut world, &mut cable)?;
    println!("the reader is unplugged\n{table}");
    Ok(())
}

#[test]
fn a_thousand_plugs_and_cards_cost_no_memory_no_descriptors_and_no_threads() -> Result<(), Fault> {
    let mut world = World::new()?;
    world.stack.start_again()?;
    let cable = world.stack.layout().cable();
    let purserd = world.stack.purserd_id().ok_or("purserd does not run")?;
    let hosts = point::children(purserd)?;
    let host = *hosts.first().ok_or("a driver host runs")?;
    let look = || Ok::<_, Fault>([Resources::of(purserd)?, Resources::of(host)?]);
    let mut pos = world.pos()?;
    let mut warm = look()?;
    for cycle in 1..=CYCLES {
        let due = Instant::now() + CYCLE_TIME;
        pull(&cable, "unplug")?;
        pull(&cable, "plug")?;
        let card = TcpStream::connect(world.stack.layout().reader)?;
        wait_for_card(&mut pos, true)?;
        drop(card);
        wait_for_card(&mut pos, false)?;
        if cycle == WARM {
            warm = look()?;
        }
        thread::sleep(due.saturating_duration_since(Instant::now()));
    }
    let end = look()?;
    for (name, warm, end) in [("purserd", warm[0], end[0]), ("driver host", warm[1], end[1])] {
        println!("{name:12} after {WARM:>4} plugs: {warm}\n{name:12} after {CYCLES:>4} plugs: {end}");
        let grown = end.rss_kib.saturating_sub(warm.rss_kib);
        ensure(
            grown <= RSS_GROWTH_MAX_KIB && end.descriptors <= warm.descriptors && end.threads <= warm.threads,
            || format!("{name} grows: {warm}, then {end}"),
        )?;
    }
    ensure(point::children(purserd)? == hosts, || {
        "the driver host was started anew".to_owned()
    })?;
    world.sell_paid("after-all-that")
}

fn wait_for_card(pos: &mut Pos, is_there: bool) -> Result<(), Fault> {
    let end = Instant::now() + PATIENCE;
    loop {
        let devices = pos.call(async |purser| purser.devices().await)??.devices;
        let reader = devices.iter().find(|device| device.name == READER);
        if reader.is_some_and(|reader| reader.card_present == Some(is_there)) {
            return Ok(());
        }
        ensure(Instant::now() < end, || {
            format!("a card is not seen: {devices:?}")
        })?;
        thread::yield_now();
    }
}
