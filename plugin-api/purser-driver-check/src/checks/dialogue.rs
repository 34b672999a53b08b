//! A card that behaves: its commands and answers, and the ends of its connections.

use std::time::Duration;

use purser_driver_wire::{Call, ConnectionNumber, Fault, Reply, SlotId};

use super::{InReader, Seated, Setback, connect, first_reader, insert, must_fail, skipped, transmit};
use crate::bench::{Bench, USUAL_MS};
use crate::card::{Manner, Seen, VirtualCard};
use crate::report::Broken;
use crate::subject::{CardSource, Subject};

/// A slot that no driver announces.
const NO_SLOT: SlotId = SlotId(u32::MAX);
/// A connection number that no driver has given.
const NO_CONNECTION: ConnectionNumber = ConnectionNumber(0x7FFF_FFF1);

/// Time for one command. A driver that hangs is found so much later.
pub(super) const COMMAND_MS: u32 = 1500;

/// A command whose data, and an answer, that may stand nowhere else: they are looked for in what the driver says.
const SECRET_COMMAND: [u8; 13] = [
    0x00, 0x20, 0x00, 0x81, 0x08, 0xD3, 0x5A, 0xC6, 0x97, 0xB1, 0x4E, 0x2D, 0xF8,
];
const SECRET_ANSWER: [u8; 10] = [0xA9, 0x7C, 0x36, 0xE5, 0x81, 0xDB, 0x6F, 0x94, 0x90, 0x00];

/// Bytes in a row that are looked for: few enough to find a part, enough not to find it by chance.
const SECRET_PART: usize = 4;

/// What any card understands: SELECT of the master file (ISO/IEC 7816-4 §11.2.2).
pub(super) const HARMLESS: [u8; 7] = [0x00, 0xA4, 0x00, 0x00, 0x02, 0x3F, 0x00];

pub(super) fn wrong_numbers(subject: &Subject) -> Result<(), Setback> {
    let mut bench = subject.start()??;
    let slot = first_reader(&bench)?;
    must_fail(
        &mut bench,
        Call::Connect { slot: NO_SLOT },
        USUAL_MS,
        &[Fault::DeviceGone],
        "C-8",
    )?;
    let gone = [Fault::DeviceGone, Fault::CardChanged];
    must_fail(
        &mut bench,
        transmit(NO_SLOT, NO_CONNECTION, &HARMLESS)?,
        USUAL_MS,
        &gone,
        "C-8",
    )?;
    if bench.devices.get(&slot).is_some_and(|present| !present.has_card) {
        must_fail(
            &mut bench,
            Call::Connect { slot },
            USUAL_MS,
            &[Fault::NoCard],
            "C-9",
        )?;
    }
    let card = match subject.card {
        CardSource::Virtual(address) => Some(insert(address)?),
        CardSource::Hand | CardSource::None => None,
    };
    let changed = [Fault::CardChanged];
    must_fail(
        &mut bench,
        transmit(slot, NO_CONNECTION, &HARMLESS)?,
        USUAL_MS,
        &changed,
        "C-5",
    )?;
    let disconnect = Call::Disconnect {
        slot,
        connection: NO_CONNECTION,
    };
    must_fail(&mut bench, disconnect, USUAL_MS, &changed, "C-5")?;
    if card.is_some_and(|card| has_command(&card)) {
        return Err(Broken::new("C-5", "the card got a command without a connection").into());
    }
    bench.stop()?;
    Ok(())
}

pub(super) fn commands(subject: &Subject) -> Result<(), Setback> {
    let Seated {
        mut bench,
        slot,
        card,
    } = Seated::new(subject)?;
    let connection = connect(&mut bench, slot)?.connection;
    must_fail(
        &mut bench,
        Call::Connect { slot },
        USUAL_MS,
        &[Fault::Busy],
        "C-1",
    )?;
    match &card {
        InReader::Real => {
            exchange(&mut bench, slot, connection, &HARMLESS)?;
        }
        InReader::Virtual(card) => {
            passes(
                &mut bench,
                (slot, connection),
                card,
                &SECRET_COMMAND,
                &SECRET_ANSWER,
            )?;
            passes(
                &mut bench,
                (slot, connection),
                card,
                &SECRET_COMMAND[..4],
                &[0x90, 0x00],
            )?;
            let long: Vec<u8> = [0x00, 0xD6, 0x00, 0x00, 0xFF]
                .into_iter()
                .chain(0..=254)
                .collect();
            passes(&mut bench, (slot, connection), card, &long, &[0x6A, 0x82])?;
        }
    }
    let disconnect = Call::Disconnect { slot, connection };
    if let Err(failure) = bench.call(disconnect, USUAL_MS)? {
        return Err(Broken::new("C-4", format!("disconnect answered: {failure}")).into());
    }
    // What is said late is said too.
    bench.listen(Duration::from_millis(100))?;
    is_unspoken(&bench)?;
    bench.stop()?;
    Ok(())
}

pub(super) fn status_words(subject: &Subject) -> Result<(), Setback> {
    let (mut bench, slot, card) = Seated::with_virtual(subject)?;
    let connection = connect(&mut bench, slot)?.connection;
    let longest: Vec<u8> = std::iter::repeat_n(0xE7, 256).chain([0x90, 0x00]).collect();
    for answer in [&[0x61, 0x10][..], &[0x6C, 0x08], &[0x63, 0xC2], &longest] {
        passes(
            &mut bench,
            (slot, connection),
            &card,
            &[0x00, 0xB0, 0x00, 0x00, 0x00],
            answer,
        )?;
    }
    bench.stop()?;
    Ok(())
}

pub(super) fn ends_connections(subject: &Subject) -> Result<(), Setback> {
    let (mut bench, slot, card) = Seated::with_virtual(subject)?;
    let first = connect(&mut bench, slot)?.connection;
    card.behave(Manner::Answers(vec![0x90, 0x00]));
    let disconnect = Call::Disconnect {
        slot,
        connection: first,
    };
    if let Err(failure) = bench.call(disconnect, USUAL_MS)? {
        return Err(Broken::new("C-4", format!("disconnect answered: {failure}")).into());
    }
    if !card.sees(&[Seen::PowerOff, Seen::PowerUp], super::CARD_TIME) {
        return Err(Broken::new("C-4", "disconnect neither took the card's power nor reset it").into());
    }
    let old = transmit(slot, first, &HARMLESS)?;
    must_fail(&mut bench, old, COMMAND_MS, &[Fault::CardChanged], "C-5")?;
    card.behave(Manner::Answers(vec![0x90, 0x00]));
    let second = connect(&mut bench, slot)?.connection;
    if second == first {
        return Err(Broken::new("C-2", format!("the number {} was used twice", first.0)).into());
    }
    let old = transmit(slot, first, &HARMLESS)?;
    must_fail(&mut bench, old, COMMAND_MS, &[Fault::CardChanged], "C-5")?;
    if has_command(&card) {
        return Err(Broken::new("C-5", "the card got a command of an earlier connection").into());
    }
    // The driver's end takes the power too.
    card.behave(Manner::Answers(vec![0x90, 0x00]));
    bench.stop()?;
    Ok(())
}

fn has_command(card: &VirtualCard) -> bool {
    card.seen().iter().any(|seen| matches!(seen, Seen::Command(_)))
}

/// Sends one command and gives its answer.
pub(super) fn exchange(
    bench: &mut Bench,
    slot: SlotId,
    connection: ConnectionNumber,
    command: &[u8],
) -> Result<Vec<u8>, Setback> {
    match bench.call(transmit(slot, connection, command)?, COMMAND_MS)? {
        Ok(Reply::Response(response)) => Ok(response.as_bytes().to_vec()),
        Ok(_) => Err(skipped("transmit answered no response")),
        Err(failure) => {
            let what = format!("the card answered, and transmit says: {failure}");
            Err(Broken::new("C-7", what).into())
        }
    }
}

/// A command reaches the card once and unchanged, and so does its answer the caller.
fn passes(
    bench: &mut Bench,
    (slot, connection): (SlotId, ConnectionNumber),
    card: &VirtualCard,
    command: &[u8],
    answer: &[u8],
) -> Result<(), Setback> {
    card.behave(Manner::Answers(answer.to_vec()));
    let response = exchange(bench, slot, connection, command)?;
    let came: Vec<Vec<u8>> = card
        .seen()
        .into_iter()
        .filter_map(|seen| match seen {
            Seen::Command(command) => Some(command),
            Seen::PowerUp | Seen::PowerOff => None,
        })
        .collect();
    if came != [command] || response != answer {
        // An answer that somebody else gave is followed by the driver host's own.
        bench.listen(Duration::from_millis(50))?;
    }
    if came != [command] {
        let what = format!(
            "one command of {} bytes became {} of {:?} bytes",
            command.len(),
            came.len(),
            came.iter().map(Vec::len).collect::<Vec<_>>()
        );
        return Err(Broken::new("C-6", what).into());
    }
    if response == answer {
        return Ok(());
    }
    let what = format!(
        "an answer of {} bytes became one of {}",
        answer.len(),
        response.len()
    );
    let clause = if response.starts_with(answer) {
        "M-2"
    } else {
        "C-6"
    };
    Err(Broken::new(clause, what).into())
}

/// The driver said nothing of the secret command and answer.
fn is_unspoken(bench: &Bench) -> Result<(), Broken> {
    let said = bench.said.join("\n").to_lowercase();
    // All forms in which programs print bytes, reduced to one.
    let hexadecimal: String = said
        .replace("0x", "")
        .chars()
        .filter(char::is_ascii_hexdigit)
        .collect();
    let secrets = [&SECRET_COMMAND[5..], &SECRET_ANSWER[..8]];
    for part in secrets.iter().flat_map(|secret| secret.windows(SECRET_PART)) {
        let hex: String = part.iter().map(|byte| format!("{byte:02x}")).collect();
        let list: Vec<String> = part.iter().map(u8::to_string).collect();
        if hexadecimal.contains(&hex) || said.contains(&list.join(", ")) {
            return Err(Broken::new("G-7", "it said bytes of a command or an answer"));
        }
    }
    Ok(())
}
