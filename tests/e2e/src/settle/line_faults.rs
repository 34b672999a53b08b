//! Settlements and loads over a line that fails at any TLS record: each ends once, in both books, when the line is good again.
//!
//! A shop or a counter, its provider and the line between them are started once and used again and again: each turn sells or opens
//! a load, lets the line fail at one record, asks until all is done, and compares the books of both.

use std::collections::VecDeque;
use std::env;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use purser_api::client::ClientError;
use purser_api::model::{Amount, BeginLoadArguments, Load};
use purser_lab::card::Minor;
use purser_lab::issuer::{LAB_PIN, LAB_SERIAL};
use purser_lab::stack::{CURRENCY, Options, PATIENCE, ProviderHost, Stack, free_port};
use purser_lab::vpcd::CardThread;
use tempfile::TempDir;

use super::line::{Failing, Relay, Spot, Way};
use super::shop::ask;
use crate::buyer::Buyer;
use crate::matrix::spread;
use crate::pos::Pos;
use crate::table::{Column, Table};
use crate::{Fault, ensure};

/// Set, every spot is tried; else every [`STRIDE`]th.
const EVERY_SPOT: &str = "LINE_FAULTS_ALL";
/// So many spots apart are tried: coprime to the ways in which a line fails, so that each record is met in some way over the modes.
const STRIDE: usize = 11;
/// Stacks of each kind. They wait much more than they work.
const LANES: usize = 2;
const LOADER: &str = "loader-1";
/// What the card holds at first: enough for every sale.
const WALLET: u32 = 100_000;
/// What one sale, or one load, is over.
const PRICE: u64 = 30;
/// How often is asked for what is not done yet.
const ASK_AGAIN: Duration = Duration::from_millis(100);

/// What goes over the line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Story {
    Settlement,
    Load,
}

/// How the provider calls back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Mode {
    Standing,
    Answer,
}

/// The kinds of stacks.
const KINDS: [(Story, Mode); 4] = [
    (Story::Settlement, Mode::Standing),
    (Story::Settlement, Mode::Answer),
    (Story::Load, Mode::Standing),
    (Story::Load, Mode::Answer),
];

/// What came of one turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Cell {
    /// It was done at the first try: the line failed behind it, or was slow only.
    AtOnce,
    /// It was done at a later one.
    Later,
    /// There was no such record this time.
    NotMet,
    /// A rule was broken.
    Wrong,
}

impl Column for Cell {
    const COLUMNS: &'static [(&'static str, Self)] = &[
        ("at once", Self::AtOnce),
        ("later", Self::Later),
        ("not met", Self::NotMet),
        ("WRONG", Self::Wrong),
    ];
    const WRONG: Self = Self::Wrong;
}

/// Both programs, the line between them, a card and its holder.
struct Lane {
    relay: Relay,
    provider: ProviderHost,
    stack: Stack,
    card: CardThread,
    _buyer: Buyer,
    story: Story,
    turns: u64,
    _folder: TempDir,
}

impl Lane {
    fn open(story: Story, mode: Mode) -> Result<Self, Fault> {
        let folder = tempfile::tempdir()?;
        let relay = Relay::default();
        // purserd listens here in the mode "answer", and is called through the line.
        let listen = match mode {
            Mode::Standing => None,
            Mode::Answer => Some(free_port()?),
        };
        let called_at = listen.map(|to| relay.in_front_of(to, Way::Down)).transpose()?;
        let mut provider = ProviderHost::new(&folder.path().join("provider"), &[LAB_SERIAL], called_at)?;
        let code = match story {
            Story::Settlement => provider.code().to_owned(),
            Story::Load => provider.add_loader(LOADER, called_at)?,
        };
        provider.serve()?;
        let direct = provider.address();
        let near = relay.in_front_of(direct, Way::Up)?;
        let provider_part = provider
            .drop_in_at(listen)
            .replace(&direct.to_string(), &near.to_string());
        // The shortest times that purserd takes.
        let drop_in = provider_part + "answer_ms = 1000\ncall_back_ms = 5000\n";
        let mut stack = prepare(folder.path(), drop_in)?;
        let enrolled = stack.run_verb(&["enrol", "--code", &code])?;
        ensure(enrolled.status.success(), || format!("{enrolled:?}"))?;
        let card = stack.new_card("card", LAB_SERIAL, Minor(WALLET))?;
        stack.start_again()?;
        let buyer = Buyer::at(stack.layout().pad(), LAB_PIN.to_owned());
        Ok(Self {
            relay,
            provider,
            stack,
            card,
            _buyer: buyer,
            story,
            turns: 0,
            _folder: folder,
        })
    }

    fn pos(&self) -> Result<Pos, Fault> {
        let purserd = self.stack.purserd_id().ok_or("purserd does not run")?;
        Pos::connect(&self.stack.layout().socket(), purserd)
    }

    /// One turn over a line that fails there.
    fn turn(&mut self, spot: Option<Spot>) -> Result<Cell, Fault> {
        self.turns += 1;
        let tries = match self.story {
            Story::Settlement => self.settle(spot)?,
            Story::Load => self.load(spot)?,
        };
        let has_failed = self.relay.has_failed();
        self.relay.arm(None);
        self.books_agree()?;
        Ok(match (has_failed || spot.is_none(), tries) {
            (false, _) => Cell::NotMet,
            (true, 1) => Cell::AtOnce,
            (true, _) => Cell::Later,
        })
    }

    /// Sells, and asks for settlement until it is done; in how many tries.
    fn settle(&self, spot: Option<Spot>) -> Result<u32, Fault> {
        let reference = format!("order-{}", self.turns);
        let mut till = self.stack.till()?;
        till.begin_sale(&reference, PRICE)?;
        self.card.insert();
        till.wait_for_outcome(&reference, "paid")?;
        self.card.remove();
        self.relay.arm(spot);
        let end = Instant::now() + PATIENCE;
        let mut pos = self.pos()?;
        let mut tries = 0;
        loop {
            let left = ask(&mut pos)??;
            tries += u32::from(left.iter().any(|batch| batch.state == "sending") || tries == 0);
            if left.is_empty() {
                return Ok(tries);
            }
            let words = || format!("it is not settled: {left:?}; purserd's log:\n{}", self.log());
            ensure(Instant::now() < end, words)?;
            // While it is being sent, to ask is to wait.
            self.wait_while_sent(&mut pos)?;
        }
    }

    fn wait_while_sent(&self, pos: &mut Pos) -> Result<(), Fault> {
        let end = Instant::now() + PATIENCE;
        loop {
            let all = purser_api::model::BatchesArguments::default();
            let batches = pos.call(async |purser| purser.batches(&all).await)??.batches;
            let is_busy = |state: &str| ["counting", "sealing", "sending", "exchanging"].contains(&state);
            if !batches.iter().any(|batch| is_busy(&batch.state)) {
                return Ok(());
            }
            ensure(Instant::now() < end, || {
                format!("it is sent for ever: {batches:?}")
            })?;
            thread::sleep(ASK_AGAIN);
        }
    }

    /// Loads, and asks for the load until the provider knows that the card has it; in how many tries.
    fn load(&self, spot: Option<Spot>) -> Result<u32, Fault> {
        let asked = BeginLoadArguments {
            reference: format!("load-{}", self.turns),
            load: self.provider.open_load(LOADER, PRICE)?,
            amount: Amount {
                minor: PRICE,
                currency: CURRENCY.to_owned(),
            },
            reader: None,
        };
        let before = self.card.card().money();
        self.relay.arm(spot);
        let end = Instant::now() + PATIENCE;
        let mut pos = self.pos()?;
        let mut tries = 1;
        let begin = |pos: &mut Pos| -> Result<Result<Load, ClientError>, Fault> {
            let begun = pos.call(async |purser| purser.begin_load(&asked).await)?;
            Ok(begun.map(|reply| reply.load))
        };
        loop {
            let load = begin(&mut pos)?;
            match &load {
                Ok(load) if load.confirmed == Some(true) => break,
                Ok(load) if load.state == "waiting_for_card" => self.card.insert(),
                Ok(load) if load.state == "take_card_out" => self.card.remove(),
                Ok(_) => {}
                Err(_) => tries += 1,
            }
            tries += u32::from(load.as_ref().is_ok_and(|load| load.outcome == "owed"));
            let words = || format!("it is not loaded: {load:?}; purserd's log:\n{}", self.log());
            ensure(Instant::now() < end, words)?;
            thread::sleep(ASK_AGAIN);
        }
        self.card.remove();
        let after = self.card.card().money();
        ensure(after == before + PRICE, || {
            format!("the card had {before}, and has {after}")
        })?;
        Ok(tries)
    }

    fn log(&self) -> String {
        self.stack.log().unwrap_or_default()
    }

    /// After every turn: what the one has, the other owes.
    fn books_agree(&self) -> Result<(), Fault> {
        let whole = self.turns * PRICE;
        let totals = self.pos()?.call(async |purser| purser.totals().await)??;
        let balance = |account: &str| -> u64 {
            let balances = totals.balances.iter();
            let of_account = balances.filter(|balance| balance.account == account);
            of_account.map(|balance| balance.amount.minor).sum()
        };
        let books = self.provider.run(&["liability"])?;
        let there = |account: &str| books.first().map_or(0, |it| it[account].as_u64().unwrap_or(0));
        let (here, there) = match self.story {
            Story::Settlement => (
                ["permits", "claims", "in_batch", "in_doubt", "held"].map(balance),
                [there("permits"), 0, 0, 0, 0],
            ),
            Story::Load => (
                ["loaded", "loads", "loads_owed", "in_doubt", "claims"].map(balance),
                [
                    there("issued"),
                    there("outstanding"),
                    there("loads_in_doubt"),
                    0,
                    0,
                ],
            ),
        };
        ensure(totals.balanced && here == there && here[0] == whole, || {
            format!("{whole} should be at {here:?} and {there:?}: {totals:?}, {books:?}")
        })
    }

    /// At the end: both data bases are whole, and the card was asked for nothing twice.
    fn close(mut self) -> Result<(), Fault> {
        let money = self.card.card().money();
        let moved = self.turns * PRICE;
        let expected = match self.story {
            Story::Settlement => u64::from(WALLET) - moved,
            Story::Load => u64::from(WALLET) + moved,
        };
        ensure(money == expected, || {
            format!("the card has {money}, and should have {expected}")
        })?;
        let audit = self.provider.run(&["audit"])?;
        ensure(audit.first().is_some_and(|it| it["findings"] == 0), || {
            format!("the audit finds {audit:?}")
        })?;
        self.stack.stop()?;
        let output = self.stack.run_verb(&["verify-journal", "--json"])?;
        ensure(output.status.success(), || format!("{output:?}"))
    }
}

fn prepare(folder: &Path, drop_in: String) -> Result<Stack, Fault> {
    let options = Options {
        drop_in,
        ..Options::default()
    };
    let shop = folder.join("shop");
    std::fs::create_dir_all(&shop)?;
    Ok(Stack::prepare(&shop, options)?)
}

/// Runs every spot, or a fixed part of them, and prints the table.
///
/// # Errors
/// Every turn that went wrong, with its spot and reason.
pub fn run() -> Result<(), Fault> {
    let started = Instant::now();
    let stride = if env::var_os(EVERY_SPOT).is_some() {
        1
    } else {
        STRIDE
    };
    let lanes = (0..LANES)
        .flat_map(|lane| KINDS.map(|kind| (kind, lane)))
        .collect();
    let (mut table, mut failures, mut spots) = (Table::default(), Vec::new(), 0);
    let ran = spread(lanes, LANES * KINDS.len(), |((story, mode), lane)| {
        (story, mode, run_lane(story, mode, lane, stride))
    });
    for (story, mode, done) in ran {
        let turns = match done {
            Ok(turns) => turns,
            Err(fault) => {
                failures.push(format!("{story:?}, {mode:?}: {fault}"));
                continue;
            }
        };
        for (spot, cell) in turns {
            spots += 1;
            let row = format!("{story:?}, {mode:?}: {:?} {:?}", spot.failing, spot.way);
            table.count(&row, cell);
        }
    }
    println!("{table}\n{spots} spots, {:.0} s", started.elapsed().as_secs_f32());
    for failure in &failures {
        println!("WRONG: {failure}");
    }
    ensure(failures.is_empty(), || {
        format!("{} lanes went wrong", failures.len())
    })
}

/// The turns of one stack: of all spots that a turn without a fault shows, this lane's part.
fn run_lane(story: Story, mode: Mode, lane: usize, stride: usize) -> Result<Vec<(Spot, Cell)>, Fault> {
    let mut open = Lane::open(story, mode)?;
    // The first one makes what later ones find made: the standing link.
    open.turn(None)?;
    let undisturbed = open.settle_or_load_counted()?;
    let spots: VecDeque<Spot> = spots(undisturbed)
        .skip(lane * stride / LANES)
        .step_by(stride)
        .enumerate()
        .filter(|(index, _)| stride > 1 || index % LANES == lane)
        .map(|(_, spot)| spot)
        .collect();
    let mut turns = Vec::new();
    for spot in spots {
        let cell = open
            .turn(Some(spot))
            .map_err(|fault| format!("{spot:?}: {fault}"))?;
        turns.push((spot, cell));
    }
    open.close()?;
    Ok(turns)
}

impl Lane {
    /// An undisturbed turn: how many records it takes up and down.
    fn settle_or_load_counted(&mut self) -> Result<[(Way, u32); 2], Fault> {
        self.turns += 1;
        let tries = match self.story {
            Story::Settlement => self.settle(None)?,
            Story::Load => self.load(None)?,
        };
        ensure(tries == 1, || format!("an undisturbed turn takes {tries} tries"))?;
        let records = [Way::Up, Way::Down].map(|way| (way, self.relay.records(way)));
        self.books_agree()?;
        Ok(records)
    }
}

/// Every record of a turn, in every way in which the line fails.
fn spots(records: [(Way, u32); 2]) -> impl Iterator<Item = Spot> {
    let of_way = |(way, count): (Way, u32)| (0..count).map(move |record| (way, record));
    let all = records.into_iter().flat_map(of_way);
    all.flat_map(|(way, record)| Failing::ALL.map(|failing| Spot { way, record, failing }))
}
