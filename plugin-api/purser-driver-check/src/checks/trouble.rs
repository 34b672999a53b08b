//! A card that misbehaves or leaves.

use std::time::{Duration, Instant};

use purser_driver_wire::{Call, DeviceEvent, Fault, Reply, ToHost};

use super::dialogue::{COMMAND_MS, HARMLESS};
use super::{Seated, Setback, connect, insert, must_come, must_fail, skipped, transmit};
use crate::bench::{GRACE, USUAL_MS};
use crate::card::{Manner, Seen};
use crate::report::Broken;
use crate::subject::{CardSource, Subject};

/// How long a slow card thinks, and how soon it is cancelled.
const SLOW: Duration = Duration::from_millis(400);
const CANCEL_AFTER: Duration = Duration::from_millis(100);

pub(super) fn silence(subject: &Subject) -> Result<(), Setback> {
    let (mut bench, slot, card) = Seated::with_virtual(subject)?;
    let connection = connect(&mut bench, slot)?.connection;
    card.behave(Manner::Silent);
    let call = transmit(slot, connection, &HARMLESS)?;
    must_fail(&mut bench, call, COMMAND_MS, &[Fault::OutcomeUnknown], "C-7")?;
    // What the card says now may not become the answer to the next command.
    let next = transmit(slot, connection, &HARMLESS)?;
    must_fail(&mut bench, next, COMMAND_MS, &[Fault::CardChanged], "C-1")?;
    bench.stop()?;
    Ok(())
}

pub(super) fn no_status_word(subject: &Subject) -> Result<(), Setback> {
    let (mut bench, slot, card) = Seated::with_virtual(subject)?;
    let connection = connect(&mut bench, slot)?.connection;
    card.behave(Manner::Answers(vec![0x90]));
    let call = transmit(slot, connection, &HARMLESS)?;
    must_fail(&mut bench, call, COMMAND_MS, &[Fault::OutcomeUnknown], "C-7")?;
    let next = transmit(slot, connection, &HARMLESS)?;
    must_fail(&mut bench, next, COMMAND_MS, &[Fault::CardChanged], "C-1")?;
    bench.stop()?;
    Ok(())
}

pub(super) fn removal_in_a_command(subject: &Subject) -> Result<(), Setback> {
    let (mut bench, slot, card) = Seated::with_virtual(subject)?;
    let connection = connect(&mut bench, slot)?.connection;
    card.behave(Manner::Leaves);
    let call = transmit(slot, connection, &HARMLESS)?;
    must_fail(&mut bench, call, USUAL_MS, &[Fault::OutcomeUnknown], "C-7")?;
    let next = transmit(slot, connection, &HARMLESS)?;
    must_fail(&mut bench, next, COMMAND_MS, &[Fault::CardChanged], "C-5")?;
    must_come(&mut bench, &DeviceEvent::CardRemoved(slot))?;
    bench.stop()?;
    Ok(())
}

pub(super) fn removal_at_rest(subject: &Subject) -> Result<(), Setback> {
    let CardSource::Virtual(address) = subject.card else {
        return Err(skipped("it needs --virtual-card"));
    };
    let (mut bench, slot, card) = Seated::with_virtual(subject)?;
    let connection = connect(&mut bench, slot)?.connection;
    card.remove();
    must_come(&mut bench, &DeviceEvent::CardRemoved(slot))?;
    let old = transmit(slot, connection, &HARMLESS)?;
    must_fail(&mut bench, old, COMMAND_MS, &[Fault::CardChanged], "C-5")?;
    must_fail(
        &mut bench,
        Call::Connect { slot },
        USUAL_MS,
        &[Fault::NoCard],
        "C-9",
    )?;
    let other = insert(address)?;
    must_come(&mut bench, &DeviceEvent::CardInserted(slot))?;
    let old = transmit(slot, connection, &HARMLESS)?;
    must_fail(&mut bench, old, COMMAND_MS, &[Fault::CardChanged], "C-5")?;
    if other.seen().iter().any(|seen| matches!(seen, Seen::Command(_))) {
        return Err(Broken::new("C-5", "the next card got a command of the one that left").into());
    }
    let new = connect(&mut bench, slot)?.connection;
    if new == connection {
        return Err(Broken::new("C-2", format!("the number {} was used twice", new.0)).into());
    }
    bench.stop()?;
    Ok(())
}

pub(super) fn cancel_in_a_command(subject: &Subject) -> Result<(), Setback> {
    let (mut bench, slot, card) = Seated::with_virtual(subject)?;
    let connection = connect(&mut bench, slot)?.connection;
    card.behave(Manner::Slow(SLOW));
    let begun = Instant::now();
    let id = bench.begin(transmit(slot, connection, &HARMLESS)?, USUAL_MS);
    bench.listen(CANCEL_AFTER)?;
    bench.host.send(&ToHost::Cancel(id));
    let time = Duration::from_millis(USUAL_MS.into()) + GRACE;
    match bench.await_answer(id, "transmit", time)? {
        Ok(Reply::Response(_)) if begun.elapsed() >= SLOW => {}
        other => {
            let what = format!("a transmit that was cancelled answered {other:?}");
            return Err(Broken::new("L-5", what).into());
        }
    }
    bench.stop()?;
    Ok(())
}
