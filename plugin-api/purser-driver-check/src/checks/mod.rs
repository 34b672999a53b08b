//! The checks, in the order in which a driver's author wants to hear of them.

mod cycles;
mod dialogue;
mod life;
mod pad;
mod trouble;

use std::time::Duration;

use purser_driver_wire::{Call, Card, Command, ConnectionNumber, DeviceEvent, Fault, Reply, SlotId};

use crate::bench::{Bench, USUAL_MS};
use crate::card::VirtualCard;
use crate::report::{Broken, Report};
use crate::subject::{CardSource, NotChecked, Subject};

/// Time in which a card that was put in or taken out is told.
const CARD_TIME: Duration = Duration::from_secs(5);
/// Time that a person has to do what is asked.
const HAND_TIME: Duration = Duration::from_secs(60);

/// Why a check was not passed.
#[derive(Debug)]
pub(crate) enum Setback {
    /// A clause is broken.
    Broken(Broken),
    /// The check could not be made.
    Skipped(String),
    /// No check can be made.
    NotChecked(NotChecked),
}

impl From<Broken> for Setback {
    fn from(broken: Broken) -> Self {
        Self::Broken(broken)
    }
}

impl From<NotChecked> for Setback {
    fn from(error: NotChecked) -> Self {
        Self::NotChecked(error)
    }
}

/// One check.
struct Check {
    title: &'static str,
    /// The clauses that it can find broken by what it does. Any call can find others.
    clauses: &'static [&'static str],
    run: fn(&Subject) -> Result<(), Setback>,
    /// Without it no other check means anything.
    is_needed: bool,
}

const CHECKS: &[Check] = &[
    Check {
        title: "it can be loaded, and does nothing by it",
        clauses: &["L-1", "L-2", "L-3", "G-2", "G-3", "G-4"],
        run: life::loads,
        is_needed: true,
    },
    Check {
        title: "it makes an instance with the settings given",
        clauses: &["E-1", "R-1", "T-4"],
        run: life::starts,
        is_needed: true,
    },
    Check {
        title: "it refuses settings that it does not know, by name",
        clauses: &["L-7"],
        run: life::refuses_unknown_settings,
        is_needed: false,
    },
    Check {
        title: "it waits without using the processor",
        clauses: &["T-5", "E-5", "E-6"],
        run: life::idles,
        is_needed: false,
    },
    Check {
        title: "it ends in order, and nothing of it runs on",
        clauses: &["L-6", "T-4", "T-6"],
        run: life::ends,
        is_needed: false,
    },
    Check {
        title: "calls without a card, or with wrong numbers, are answered and do nothing",
        clauses: &["C-5", "C-8", "C-9"],
        run: dialogue::wrong_numbers,
        is_needed: false,
    },
    Check {
        title: "a command and its answer pass once, unchanged and unspoken",
        clauses: &[
            "C-1", "C-2", "C-6", "C-7", "E-1", "E-3", "E-5", "E-6", "G-6", "G-7", "G-8", "M-2", "R-1", "T-4",
            "T-6",
        ],
        run: dialogue::commands,
        is_needed: false,
    },
    Check {
        title: "status words 61xx and 6Cxx, and long answers, are the caller's",
        clauses: &["C-6", "M-2"],
        run: dialogue::status_words,
        is_needed: false,
    },
    Check {
        title: "the end of a connection is a reset, and its number is worth nothing then",
        clauses: &["C-2", "C-4", "C-5"],
        run: dialogue::ends_connections,
        is_needed: false,
    },
    Check {
        title: "a card that does not answer is an unknown outcome, in time",
        clauses: &["C-7", "T-4"],
        run: trouble::silence,
        is_needed: false,
    },
    Check {
        title: "an answer without a status word is an unknown outcome",
        clauses: &["C-7", "C-1"],
        run: trouble::no_status_word,
        is_needed: false,
    },
    Check {
        title: "a card that leaves in the middle of a command is an unknown outcome, and is told",
        clauses: &["C-7", "C-5", "E-3"],
        run: trouble::removal_in_a_command,
        is_needed: false,
    },
    Check {
        title: "a card that left gets no command, nor does the next one",
        clauses: &["C-5", "C-9", "E-3"],
        run: trouble::removal_at_rest,
        is_needed: false,
    },
    Check {
        title: "a command under way is not ended by cancel",
        clauses: &["L-5", "T-2"],
        run: trouble::cancel_in_a_command,
        is_needed: false,
    },
    Check {
        title: "a PIN entry ends at cancel, also at one that overtakes it, and at its deadline",
        clauses: &["L-4", "L-5", "T-4", "E-4"],
        run: pad::entries,
        is_needed: false,
    },
    Check {
        title: "connections without number leave memory, threads and descriptors as they are",
        clauses: &["G-9", "C-2"],
        run: cycles::cycles,
        is_needed: false,
    },
];

/// Makes all checks, or those of these clauses and titles.
///
/// # Errors
/// No check can be made.
pub(crate) fn run(subject: &Subject, only: &[String], report: &mut Report) -> Result<(), NotChecked> {
    let is_wanted = |check: &&Check| {
        let is_of = |text: &String| check.title.contains(text) || check.clauses.contains(&text.as_str());
        only.is_empty() || only.iter().any(is_of)
    };
    let mut is_hopeless = false;
    for check in CHECKS.iter().filter(is_wanted) {
        let Check { title, clauses, .. } = check;
        if is_hopeless {
            report.skipped(title, clauses, "it does not get so far");
            continue;
        }
        match (check.run)(subject) {
            Ok(()) => report.kept(title, clauses),
            Err(Setback::Broken(broken)) => {
                is_hopeless = check.is_needed;
                report.broken(title, clauses, broken);
            }
            Err(Setback::Skipped(why)) => report.skipped(title, clauses, &why),
            Err(Setback::NotChecked(error)) => return Err(error),
        }
    }
    Ok(())
}

/// The card in the reader.
enum InReader {
    Virtual(VirtualCard),
    Real,
}

/// A driver with a card in one of its readers.
struct Seated {
    bench: Bench,
    slot: SlotId,
    card: InReader,
}

impl Seated {
    /// Starts the driver and puts a card in.
    fn new(subject: &Subject) -> Result<Self, Setback> {
        let mut bench = subject.start()??;
        first_reader(&bench)?;
        let (card, time) = match subject.card {
            CardSource::None => {
                return Err(skipped("no card; give --virtual-card or --by-hand"));
            }
            CardSource::Virtual(address) => {
                wait_until_empty(&mut bench)?;
                (InReader::Virtual(insert(address)?), CARD_TIME)
            }
            CardSource::Hand => {
                if !bench.devices.values().any(|present| present.has_card) {
                    eprintln!("Put a card into the reader.");
                }
                (InReader::Real, HAND_TIME)
            }
        };
        let end = std::time::Instant::now() + time;
        loop {
            if let Some((slot, _)) = bench.devices.iter().find(|(_, present)| present.has_card) {
                let slot = *slot;
                bench.events.clear();
                return Ok(Self { bench, slot, card });
            }
            if std::time::Instant::now() > end {
                return Err(Broken::new("E-3", "a card came and was not told").into());
            }
            bench.listen(Duration::from_millis(10))?;
        }
    }

    /// The same, for checks that need a card that does what they say.
    fn with_virtual(subject: &Subject) -> Result<(Bench, SlotId, VirtualCard), Setback> {
        if !matches!(subject.card, CardSource::Virtual(_)) {
            return Err(skipped("it needs --virtual-card"));
        }
        match Self::new(subject)? {
            Self {
                bench,
                slot,
                card: InReader::Virtual(card),
            } => Ok((bench, slot, card)),
            Self { .. } => Err(skipped("it needs --virtual-card")),
        }
    }
}

/// The card of the check before may still be seen, where something between reader and driver looks only now and then.
fn wait_until_empty(bench: &mut Bench) -> Result<(), Broken> {
    let end = std::time::Instant::now() + CARD_TIME;
    while bench.devices.values().any(|present| present.has_card) {
        if std::time::Instant::now() > end {
            return Err(Broken::new(
                "E-3",
                "a card that is not there any more was not told as removed",
            ));
        }
        bench.listen(Duration::from_millis(10))?;
    }
    Ok(())
}

fn insert(address: std::net::SocketAddr) -> Result<VirtualCard, Setback> {
    VirtualCard::insert(address)
        .map_err(|error| skipped(&format!("no virtual card can be put in at {address}: {error}")))
}

fn skipped(why: &str) -> Setback {
    Setback::Skipped(why.to_owned())
}

/// The first card reader.
fn first_reader(bench: &Bench) -> Result<SlotId, Setback> {
    let mut readers = bench
        .devices
        .iter()
        .filter(|(_, present)| present.device.classes.card_reader);
    readers
        .next()
        .map(|(slot, _)| *slot)
        .ok_or_else(|| skipped("it has no card reader"))
}

/// Powers the card. A card that gave no ATR may be asked once more.
fn connect(bench: &mut Bench, slot: SlotId) -> Result<Card, Broken> {
    let mut answer = bench.call(Call::Connect { slot }, USUAL_MS)?;
    if matches!(&answer, Err(failure) if failure.fault == Fault::CardMute) {
        answer = bench.call(Call::Connect { slot }, USUAL_MS)?;
    }
    match answer {
        Ok(Reply::Connected(card)) => Ok(card),
        Ok(other) => Err(Broken::new("R-1", format!("connect answered {other:?}"))),
        Err(failure) => Err(Broken::new(
            "C-9",
            format!("a card lies in the slot, and connect answered: {failure}"),
        )),
    }
}

fn transmit(slot: SlotId, connection: ConnectionNumber, command: &[u8]) -> Result<Call, Setback> {
    let command = Command::new(command).map_err(|_| skipped("no command"))?;
    Ok(Call::Transmit {
        slot,
        connection,
        command,
    })
}

/// Expects that a call fails with one of these faults.
fn must_fail(
    bench: &mut Bench,
    call: Call,
    deadline_ms: u32,
    faults: &[Fault],
    clause: &str,
) -> Result<(), Broken> {
    let name = crate::bench::name(&call);
    let expected: Vec<&str> = faults.iter().map(|fault| code(*fault)).collect();
    match bench.call(call, deadline_ms)? {
        Err(failure) if faults.contains(&failure.fault) => Ok(()),
        Err(failure) => Err(Broken::new(
            clause,
            format!(
                "{name} answered {} and should answer {}",
                code(failure.fault),
                expected.join(" or ")
            ),
        )),
        Ok(_) => Err(Broken::new(
            clause,
            format!("{name} was done and should answer {}", expected.join(" or ")),
        )),
    }
}

/// What the header calls it.
fn code(fault: Fault) -> &'static str {
    match fault {
        Fault::NoCard => "PURSER_NO_CARD",
        Fault::CardChanged => "PURSER_CARD_CHANGED",
        Fault::CardMute => "PURSER_CARD_MUTE",
        Fault::Cancelled => "PURSER_CANCELLED",
        Fault::Busy => "PURSER_BUSY",
        Fault::DeviceGone => "PURSER_DEVICE_GONE",
        Fault::Timeout => "PURSER_TIMEOUT",
        Fault::OutcomeUnknown => "PURSER_OUTCOME_UNKNOWN",
        Fault::BadArgument => "PURSER_BAD_ARGUMENT",
        Fault::Unsupported => "PURSER_UNSUPPORTED",
        Fault::Internal => "PURSER_INTERNAL",
    }
}

/// Expects that an event comes.
fn must_come(bench: &mut Bench, event: &DeviceEvent) -> Result<(), Broken> {
    if bench.wait_for(event, CARD_TIME)? {
        Ok(())
    } else {
        Err(Broken::new("E-3", format!("{event:?} was not told")))
    }
}
