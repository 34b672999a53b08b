//! Many connections: what one call takes it gives back.

use std::collections::BTreeSet;

use purser_driver_wire::{Call, Reply};

use super::dialogue::{HARMLESS, exchange};
use super::{Seated, Setback, connect};
use crate::bench::USUAL_MS;
use crate::report::Broken;
use crate::subject::Subject;
use crate::vitals::Vitals;

/// Memory that a process may gain over all cycles, in KiB: what an allocator keeps to itself.
const GROWTH_KIB_MAX: u64 = 512;
/// Threads and descriptors that may be more than at first: one that a library makes late.
const GROWTH_MAX: u64 = 1;

pub(super) fn cycles(subject: &Subject) -> Result<(), Setback> {
    let Seated {
        mut bench,
        slot,
        card: _card,
    } = Seated::new(subject)?;
    // Caches fill in the first tenth.
    let warm_up = (subject.cycles / 10).max(2);
    let mut numbers = BTreeSet::new();
    let mut before = None;
    for cycle in 0..subject.cycles {
        if cycle == warm_up {
            before = Some(Vitals::of(bench.host.id()));
        }
        let connection = connect(&mut bench, slot)?.connection;
        if !numbers.insert(connection) {
            let what = format!("the number {} was used twice", connection.0);
            return Err(Broken::new("C-2", what).into());
        }
        exchange(&mut bench, slot, connection, &HARMLESS)?;
        match bench.call(Call::Disconnect { slot, connection }, USUAL_MS)? {
            Ok(Reply::Disconnected) => {}
            other => {
                let what = format!("disconnect answered {other:?}");
                return Err(Broken::new("C-4", what).into());
            }
        }
    }
    let after = Vitals::of(bench.host.id());
    if let Some(before) = before {
        is_flat(&before, &after, subject.cycles - warm_up)?;
    }
    bench.stop()?;
    Ok(())
}

fn is_flat(before: &Vitals, after: &Vitals, cycles: u32) -> Result<(), Broken> {
    let grown = [
        ("threads", before.threads, after.threads, GROWTH_MAX),
        ("descriptors", before.descriptors, after.descriptors, GROWTH_MAX),
        (
            "KiB of memory",
            before.memory_kib,
            after.memory_kib,
            GROWTH_KIB_MAX,
        ),
    ];
    for (what, before, after, most) in grown {
        if let (Some(before), Some(after)) = (before, after)
            && after > before + most
        {
            let what = format!("{cycles} connections took it from {before} {what} to {after}");
            return Err(Broken::new("G-9", what));
        }
    }
    Ok(())
}
