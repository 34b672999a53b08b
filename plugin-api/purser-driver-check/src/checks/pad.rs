//! A PIN pad at which nobody types.

use std::time::{Duration, Instant};

use purser_driver_wire::{Call, Fault, PinFormat, PinRequest, SlotId, ToHost};

use super::{Setback, must_fail, skipped};
use crate::bench::{Bench, GRACE};
use crate::report::Broken;
use crate::subject::Subject;

/// Time for a PIN that nobody types.
const ENTRY_MS: u32 = 10_000;
/// Time for one that ends by its deadline.
const SHORT_MS: u32 = 700;
/// Time in which a cancelled entry must end, as the daemon gives it.
const CANCEL_TIME: Duration = Duration::from_secs(2);
/// How soon it is cancelled.
const CANCEL_AFTER: Duration = Duration::from_millis(100);

pub(super) fn entries(subject: &Subject) -> Result<(), Setback> {
    let mut bench = subject.start()??;
    let mut pads = bench
        .devices
        .iter()
        .filter(|(_, present)| present.device.classes.pin_pad);
    let slot = pads.next().map(|(slot, _)| *slot);
    let slot = slot.ok_or_else(|| skipped("it has no PIN pad"))?;
    bench.is_pin_asked = true;
    ends_at_cancel(&mut bench, slot, true)?;
    ends_at_cancel(&mut bench, slot, false)?;
    must_fail(&mut bench, enter(slot), SHORT_MS, &[Fault::Timeout], "T-4")?;
    bench.is_pin_asked = false;
    bench.listen(CANCEL_AFTER)?;
    bench.stop()?;
    Ok(())
}

fn ends_at_cancel(bench: &mut Bench, slot: SlotId, overtakes: bool) -> Result<(), Broken> {
    if overtakes {
        bench.host.send(&ToHost::Cancel(bench.next_number()));
    }
    let id = bench.begin(enter(slot), ENTRY_MS);
    if !overtakes {
        bench.listen(CANCEL_AFTER)?;
        bench.host.send(&ToHost::Cancel(id));
    }
    let clause = if overtakes { "L-4" } else { "L-5" };
    let begun = Instant::now();
    let time = Duration::from_millis(ENTRY_MS.into()) + GRACE;
    match bench.await_answer(id, "enter_pin", time)? {
        Err(failure) if failure.fault == Fault::Cancelled && begun.elapsed() < CANCEL_TIME => Ok(()),
        Err(failure) => {
            let what = format!(
                "cancelled, it answered {} after {:?}",
                super::code(failure.fault),
                begun.elapsed()
            );
            Err(Broken::new(clause, what))
        }
        Ok(_) => Err(Broken::new(clause, "a PIN came that nobody typed")),
    }
}

fn enter(slot: SlotId) -> Call {
    Call::EnterPin {
        slot,
        request: PinRequest {
            digits_min: 4,
            digits_max: 12,
            amount: None,
            tries_left: None,
            format: PinFormat::Digits,
        },
    }
}
