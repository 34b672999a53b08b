//! Readers that leave in the middle of a sale and come back: by their cable, or with their pcscd.

use std::ffi::OsString;
use std::fmt;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use purser_api::model::Sale;
use purser_lab::card::{Fault as CardFault, ScriptedFault, instruction};
use purser_lab::stack::PATIENCE;

use crate::judge::{Found, judge};
use crate::pcscd::{self, Pcscd};
use crate::point;
use crate::pos::{Pos, Told};
use crate::strace::Strace;
use crate::world::{PRICE, World};
use crate::{Fault, ensure};

/// How often a state is looked at that nobody announces.
const LOOK_AGAIN: Duration = Duration::from_millis(3);
/// How long the journal's sync is held up while the reader goes.
const SYNC_HELD_UP: Duration = Duration::from_secs(2);

/// How a reader goes away and comes back, with the card in it.
#[derive(Debug)]
pub enum Away {
    /// Its cable is pulled out.
    Cable(PathBuf),
    /// Its pcscd is killed.
    Pcscd(Pcscd),
}

impl Away {
    /// It goes. When this returns, it is gone.
    ///
    /// # Errors
    /// It does not go.
    pub fn go(&mut self) -> Result<(), Fault> {
        match self {
            Self::Cable(socket) => pull(socket, "unplug"),
            Self::Pcscd(pcscd) => pcscd.kill(),
        }
    }

    /// It comes back.
    ///
    /// # Errors
    /// It does not come back.
    pub fn come(&mut self) -> Result<(), Fault> {
        match self {
            Self::Cable(socket) => pull(socket, "plug"),
            Self::Pcscd(pcscd) => pcscd.start(),
        }
    }
}

/// Pulls a virtual reader's cable, or puts it back.
///
/// # Errors
/// Nobody listens, or it is so already.
pub fn pull(socket: &Path, line: &str) -> Result<(), Fault> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(line.as_bytes())?;
    stream.shutdown(Shutdown::Write)?;
    let mut told = String::new();
    stream.read_to_string(&mut told)?;
    ensure(told == "done\n", || format!("{line}: {told}"))
}

/// What holds a sale in a state; dropped when it need not any more.
#[derive(Debug)]
enum Held {
    /// The journal's sync takes long.
    Journal(#[expect(dead_code, reason = "its end lets go of the journal")] Strace),
    /// A card that says nothing, not even its ATR.
    MuteCard(#[expect(dead_code, reason = "its end takes the card out")] TcpStream),
}

/// The states of a visit, in the engine's order and words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Connecting,
    Identifying,
    Reading0015,
    WaitingForPin,
    VerifyingPin,
    Initialising,
    Intending,
    DebitingBefore,
    DebitingAfter,
    CheckingDebit,
    Leaving,
    Recovering,
}

/// What must come of a sale whose reader goes in a state.
struct Row {
    state: State,
    name: &'static str,
    /// What the till is told while the reader is away.
    away: &'static str,
    /// What is found when it is back.
    found: Found,
}

const ROWS: [Row; 12] = [
    Row::new(State::Connecting, "connecting", "waiting_for_card", Found::Paid),
    Row::new(
        State::Identifying,
        "identifying (SELECT)",
        "waiting_for_card",
        Found::Paid,
    ),
    Row::new(
        State::Reading0015,
        "identifying (file 0015)",
        "waiting_for_card",
        Found::Paid,
    ),
    Row::new(
        State::WaitingForPin,
        "waiting for PIN",
        "waiting_for_card",
        Found::Paid,
    ),
    Row::new(
        State::VerifyingPin,
        "verifying PIN",
        "waiting_for_card",
        Found::Paid,
    ),
    Row::new(
        State::Initialising,
        "initialising",
        "waiting_for_card",
        Found::Paid,
    ),
    Row::new(State::Intending, "intending", "not_debited", Found::NotDebited),
    Row::new(
        State::DebitingBefore,
        "debiting, not executed",
        "in_doubt",
        Found::NotDebited,
    ),
    Row::new(
        State::DebitingAfter,
        "debiting, executed",
        "in_doubt",
        Found::Paid,
    ),
    Row::new(State::CheckingDebit, "checking debit", "in_doubt", Found::Paid),
    Row::new(State::Leaving, "leaving", "paid", Found::Paid),
    Row::new(
        State::Recovering,
        "recovering another",
        "waiting_for_card",
        Found::Paid,
    ),
];

impl Row {
    const fn new(state: State, name: &'static str, away: &'static str, found: Found) -> Self {
        Self {
            state,
            name,
            away,
            found,
        }
    }
}

/// What came of each state.
#[derive(Debug, Default)]
pub struct Table(Vec<[String; 4]>);

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:26} {:18} {:12} debits by then, with the judge's own sales",
            "the reader goes while", "the till is told", "found later"
        )?;
        for [state, away, found, debits] in &self.0 {
            write!(f, "\n{state:26} {away:18} {found:12} {debits}")?;
        }
        Ok(())
    }
}

/// Sells once for each state of a sale, and lets the reader go away in it and come back; the judge then sees that the card, the books
/// and the till agree, and that the next sale works.
///
/// # Errors
/// The first broken rule, with its state.
pub fn sales_while_the_reader_goes(world: &mut World, away: &mut Away) -> Result<Table, Fault> {
    let mut table = Table::default();
    for (index, row) in ROWS.iter().enumerate() {
        let reference = format!("sale-{index}");
        let lived = live(world, away, row, &reference)
            .map_err(|fault| format!("{}: {fault}\n{}", row.name, world.stack.log().unwrap_or_default()))?;
        table.0.push(lived);
    }
    Ok(table)
}

fn live(world: &mut World, away: &mut Away, row: &Row, reference: &str) -> Result<[String; 4], Fault> {
    wait_for_reader(world)?;
    // The card that paid last has to be seen to leave: one that only its reader lost from sight is the forgotten one still.
    world.card.insert();
    world.wait_for_card(true)?;
    world.card.remove();
    world.wait_for_card(false)?;
    if row.state == State::Recovering {
        make_doubt(world, away, &format!("{reference}-earlier"))?;
    }
    let mut pos = world.pos()?;
    let (mut told, held) = reach(world, &mut pos, away, row.state, reference)?;
    away.go()?;
    told = pos.follow(reference, told, |sale| is_as_told(sale, row.away))?;
    drop(held);
    let while_away = told.last().map(|sale| sale.state.clone()).unwrap_or_default();
    away.come()?;
    world.buyer_comes();
    world.card.clear_script();
    if row.state == State::Recovering {
        // The earlier sale is paid too, by the proof that its card gives.
        pos.follow(&format!("{reference}-earlier"), Told::default(), |sale| {
            sale.outcome == "paid"
        })?;
        world.paid += 1;
    }
    let found = judge(world, reference, &told)?;
    ensure(found == row.found, || {
        format!("{:?} was expected, and {found:?} was found", row.found)
    })?;
    let debits = world.card.status().ep_offline_sn;
    Ok([
        row.name.to_owned(),
        while_away,
        format!("{found:?}"),
        debits.to_string(),
    ])
}

fn is_as_told(sale: &Sale, away: &str) -> bool {
    sale.state == away
}

/// Begins a sale and brings it into the state. What is given back with what was told holds it there until it is dropped.
fn reach(
    world: &mut World,
    pos: &mut Pos,
    away: &Away,
    state: State,
    reference: &str,
) -> Result<(Told, Option<Held>), Fault> {
    let stuck_at = match state {
        State::Identifying => Some((instruction::SELECT, CardFault::MuteUntilReset)),
        State::Reading0015 => Some((instruction::READ_BINARY, CardFault::MuteUntilReset)),
        State::VerifyingPin => Some((instruction::VERIFY, CardFault::MuteUntilReset)),
        State::Initialising => Some((instruction::INITIALIZE, CardFault::MuteUntilReset)),
        State::DebitingBefore => Some((instruction::DEBIT, CardFault::MuteUntilReset)),
        State::DebitingAfter => Some((instruction::DEBIT, CardFault::MuteAfterExecute)),
        State::CheckingDebit | State::Recovering => Some((instruction::GET_PROOF, CardFault::MuteUntilReset)),
        State::Connecting | State::WaitingForPin | State::Intending | State::Leaving => None,
    };
    if let Some((instruction, fault)) = stuck_at {
        world.card.script(ScriptedFault::next(instruction, fault));
    }
    if state == State::CheckingDebit {
        world
            .card
            .script(ScriptedFault::next(instruction::DEBIT, CardFault::GarbageAnswer));
    }
    if matches!(state, State::Connecting | State::WaitingForPin) {
        world.buyer_goes();
    }
    let told = pos.begin(reference, PRICE)?;
    let held = match (state, away) {
        (State::Intending, _) => Some(Held::Journal(hold_up_journal(world)?)),
        (State::Connecting, Away::Cable(_)) => {
            Some(Held::MuteCard(TcpStream::connect(world.stack.layout().reader)?))
        }
        _ => None,
    };
    if !matches!(held, Some(Held::MuteCard(_))) {
        world.card.insert();
    }
    let told = match state {
        // A mute card would stop pcscd itself: there the sale may have come as far as to the PIN, which nobody types.
        State::Connecting => {
            let states = ["reading_card", "waiting_for_pin"];
            pos.follow(reference, told, |sale| states.contains(&sale.state.as_str()))?
        }
        State::WaitingForPin => pos.follow(reference, told, |sale| sale.state == "waiting_for_pin")?,
        State::Intending => pos.follow(reference, told, |sale| sale.state == "debiting")?,
        State::Leaving => pos.follow(reference, told, |sale| sale.outcome == "paid")?,
        _ => {
            wait_until(
                "the card is stuck",
                || Ok(world.card.status().faults_waiting == 0),
            )?;
            told
        }
    };
    Ok((told, held))
}

/// From here on each sync of the journal takes long.
fn hold_up_journal(world: &World) -> Result<Strace, Fault> {
    let purserd = world.stack.purserd_id().ok_or("purserd does not run")?;
    let threads = point::threads(purserd)?;
    let journal = threads.iter().find(|(_, role)| role == "journal");
    let (thread, _) = journal.ok_or("the journal has a thread")?;
    let delay = format!("inject=fsync,fdatasync:delay_enter={}", SYNC_HELD_UP.as_micros());
    let options = ["-e", "trace=fsync,fdatasync", "-e", &delay].map(OsString::from);
    Strace::attach(*thread, &world.trace_file("held-up"), &options)
}

/// A sale with this card that is in doubt, and that its card can tell about; the card is away.
fn make_doubt(world: &mut World, away: &Away, reference: &str) -> Result<(), Fault> {
    world.card.script(ScriptedFault::next(
        instruction::DEBIT,
        CardFault::TearAfterExecute,
    ));
    let mut pos = world.pos()?;
    let told = pos.begin(reference, PRICE)?;
    world.card.insert();
    pos.follow(reference, told, |sale| sale.outcome == "in_doubt")?;
    if let Away::Pcscd(_) = away {
        pcscd::wait_until_gone(pcscd::NAME)?;
    }
    world.wait_for_card(false)
}

/// Waits until every device works again.
fn wait_for_reader(world: &World) -> Result<(), Fault> {
    let mut pos = world.pos()?;
    wait_until("all devices work", || {
        let devices = pos.call(async |purser| purser.devices().await)??.devices;
        Ok(devices.iter().all(|device| device.state == "ready"))
    })
}

fn wait_until(what: &str, mut holds: impl FnMut() -> Result<bool, Fault>) -> Result<(), Fault> {
    let end = Instant::now() + PATIENCE;
    while !holds()? {
        ensure(Instant::now() < end, || format!("in vain: {what}"))?;
        thread::sleep(LOOK_AGAIN);
    }
    Ok(())
}
