//! A load, cut at every call of either program that writes: the card gets the value once, and both books say so.

use std::collections::BTreeSet;
use std::thread;
use std::time::{Duration, Instant};

use purser_api::client::ClientError;
use purser_api::model::{Amount, BeginLoadArguments, Load, ReferenceArguments};
use purser_lab::card::Minor;
use purser_lab::issuer::{LAB_PIN, LAB_SERIAL};
use purser_lab::stack::{CURRENCY, PATIENCE};
use purser_lab::vpcd::CardThread;

use super::life::{Blow, Cutter, Side, aim, watch};
use super::shop::{Shop, Template};
use crate::buyer::Buyer;
use crate::matrix::{processors, spread};
use crate::pos::{Pos, is_gone};
use crate::strace::{Cut, is_cut};
use crate::table::{Column, Table};
use crate::{Fault, ensure};

const LOADER: &str = "loader-1";
const REFERENCE: &str = "load-1";
const CARD: &str = "card";
/// What the card holds at first.
const WALLET: u32 = 1_000;
const LOADED: u64 = 500;
const TRACES: usize = 3;
/// How often a point is aimed at until it is hit.
const AIMS_MAX: u32 = 20;
const WORKERS_PER_PROCESSOR: usize = 3;
/// After the end purserd lets go of the card. So long is waited for a cut that comes in there.
const AFTERMATH: Duration = Duration::from_millis(200);
/// How often a load is looked at: nobody announces its progress.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// What came of one cut: how much the card had then.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Cell {
    /// The card was as before; it was loaded afterwards.
    Before,
    /// The card had the value; it has it once.
    After,
    /// A rule was broken, or the point was never hit.
    Wrong,
}

impl Column for Cell {
    const COLUMNS: &'static [(&'static str, Self)] = &[
        ("not loaded", Self::Before),
        ("loaded", Self::After),
        ("WRONG", Self::Wrong),
    ];
    const WRONG: Self = Self::Wrong;
}

/// A counter where cards are loaded, with its provider, a card and a buyer.
struct Counter {
    shop: Shop,
    card: CardThread,
    load: String,
    _buyer: Buyer,
}

impl Counter {
    fn copy(template: &Template, load: &str) -> Result<Self, Fault> {
        let shop = Shop::copy(template)?;
        let layout = shop.stack.layout();
        let card = CardThread::start(&layout.cards_dir().join(CARD), layout.reader)?;
        let buyer = Buyer::at(layout.pad(), LAB_PIN.to_owned());
        Ok(Self {
            shop,
            card,
            load: load.to_owned(),
            _buyer: buyer,
        })
    }

    fn is_loaded(&self) -> bool {
        self.card.card().money() == u64::from(WALLET) + LOADED
    }

    /// Begins the load, or finds it.
    fn begin(&self, pos: &mut Pos) -> Result<Result<Load, ClientError>, Fault> {
        let asked = BeginLoadArguments {
            reference: REFERENCE.to_owned(),
            load: self.load.clone(),
            amount: Amount {
                minor: LOADED,
                currency: CURRENCY.to_owned(),
            },
            reader: None,
        };
        let begun = pos.call(async |purser| purser.begin_load(&asked).await)?;
        Ok(begun.map(|reply| reply.load))
    }

    fn look(pos: &mut Pos) -> Result<Result<Load, ClientError>, Fault> {
        let asked = ReferenceArguments {
            reference: REFERENCE.to_owned(),
        };
        let found = pos.call(async |purser| purser.attach_load(&asked).await)?;
        Ok(found.map(|reply| reply.load))
    }

    /// Follows the load to its confirmation, or to the death of either program.
    fn follow(&mut self, pos: &mut Pos) -> Result<(), Fault> {
        let end = Instant::now() + PATIENCE;
        let mut done = None;
        while self.shop.stack.purserd_id().is_some() && self.shop.provider.ended()?.is_none() {
            if done.is_none() {
                match Self::look(pos)? {
                    Ok(load) if load.confirmed == Some(true) => done = Some(Instant::now()),
                    Ok(_) => {}
                    Err(error) if is_gone(&error) => return Ok(()),
                    Err(error) => return Err(error.into()),
                }
            }
            if done.is_some_and(|done| done.elapsed() > AFTERMATH) {
                return Ok(());
            }
            ensure(Instant::now() < end, || "the load does not end".to_owned())?;
            thread::sleep(LOOK_AGAIN);
        }
        Ok(())
    }

    /// The till repeats the load, and the buyer comes again with the card, until the provider knows that it is loaded.
    fn finish(&mut self) -> Result<(), Fault> {
        let end = Instant::now() + PATIENCE;
        let mut pos = self.shop.pos()?;
        loop {
            let load = self.begin(&mut pos)?;
            if load.as_ref().is_ok_and(|load| load.confirmed == Some(true)) {
                return Ok(());
            }
            if load.as_ref().is_ok_and(|load| load.state == "waiting_for_card") {
                self.card.remove();
                self.card.insert();
            }
            ensure(Instant::now() < end, || {
                let log = self.shop.stack.log().unwrap_or_default();
                format!("it is not loaded: {load:?}; purserd's log:\n{log}")
            })?;
            thread::sleep(10 * LOOK_AGAIN);
        }
    }

    fn judge(&mut self) -> Result<(), Fault> {
        self.shop.rise()?;
        self.finish()?;
        let money = self.card.card().money();
        ensure(self.is_loaded(), || format!("the card holds {money}"))?;
        let totals = self.shop.totals()?;
        let balance = |account: &str| -> u64 {
            let balances = totals.balances.iter();
            let of_account = balances.filter(|balance| balance.account == account);
            of_account.map(|balance| balance.amount.minor).sum()
        };
        let here = ["loads", "loads_owed", "loaded"].map(balance);
        ensure(totals.balanced && here == [LOADED, 0, LOADED], || {
            format!("the counter's books: {totals:?}")
        })?;
        let books = self.shop.provider.run(&["liability"])?;
        ensure(
            books.len() == 1
                && books[0]["is_balanced"] == true
                && books[0]["issued"] == LOADED
                && books[0]["outstanding"] == LOADED
                && books[0]["loads_in_doubt"] == 0,
            || format!("the provider's books: {books:?}"),
        )?;
        let audit = self.shop.provider.run(&["audit"])?;
        ensure(audit.first().is_some_and(|it| it["findings"] == 0), || {
            format!("the audit finds {audit:?}")
        })?;
        let report = self.shop.verified()?;
        ensure(report["whole"] == true && report["open"] == 0, || {
            format!("verify-journal: {report}")
        })
    }
}

/// What the stories begin with: the folders, and the load that the provider has open.
struct Begin {
    template: Template,
    cutter: Cutter,
    load: String,
}

/// Runs the matrix of a load and prints its table.
///
/// # Errors
/// Every cut that went wrong, with its point and reason.
pub fn run() -> Result<(), Fault> {
    let started = Instant::now();
    let folder = tempfile::tempdir()?;
    let mut shop = Shop::enrolled_as(&[LAB_SERIAL], "", Some(LOADER))?;
    drop(shop.stack.new_card(CARD, LAB_SERIAL, Minor(WALLET))?);
    shop.stack.start_again()?;
    let load = shop.provider.open_load(LOADER, LOADED)?;
    let begin = Begin {
        template: Template::of(shop)?,
        cutter: Cutter::compile(folder.path())?,
        load,
    };
    let points = trace_all(&begin)?;
    println!("{} points", points.len());
    let strike = |blow: Blow| (strike(&begin, &blow), blow);
    let workers = WORKERS_PER_PROCESSOR * processors();
    let (mut table, mut failures) = (Table::default(), Vec::new());
    for (struck, blow) in spread(points.into_iter().collect(), workers, strike) {
        let row = format!("{:?} {}", blow.side, blow.point.class());
        table.count(&row, struck.as_ref().copied().unwrap_or(Cell::Wrong));
        if let Err(fault) = struck {
            failures.push(format!("{:?} killed at {}: {fault}", blow.side, blow.point));
        }
    }
    println!("{table}\n{:.0} s", started.elapsed().as_secs_f32());
    for failure in &failures {
        println!("WRONG: {failure}");
    }
    ensure(failures.is_empty(), || {
        format!("{} cuts went wrong", failures.len())
    })
}

/// Every point on a file that any trace showed, and every one on a connection that all of them showed.
fn trace_all(begin: &Begin) -> Result<BTreeSet<Blow>, Fault> {
    let traced = spread((0..TRACES).collect(), TRACES, |_| {
        let (mut counter, points, _) = live(begin, None)?;
        counter.judge().map_err(|fault| format!("uncut: {fault}"))?;
        Ok(points.into_iter().collect())
    });
    let traces: Vec<BTreeSet<Blow>> = traced.into_iter().collect::<Result<_, Fault>>()?;
    let mut all: BTreeSet<Blow> = traces.iter().flatten().cloned().collect();
    // What the till is told depends on when it asks.
    all.retain(|blow| blow.point.object != "pos" && !blow.point.is_wake_up());
    let is_on_file = |blow: &Blow| blow.point.object.contains('/');
    all.retain(|blow| is_on_file(blow) || traces.iter().all(|trace| trace.contains(blow)));
    for side in [Side::Purserd, Side::Provider] {
        ensure(
            all.iter().any(|blow| blow.side == side && is_on_file(blow)),
            || format!("no write to a file of {side:?} was seen"),
        )?;
    }
    Ok(all)
}

/// Cuts until the cut hits, and judges each time.
fn strike(begin: &Begin, blow: &Blow) -> Result<Cell, Fault> {
    for _ in 0..AIMS_MAX {
        let (mut counter, _, cell) = live(begin, Some(blow))?;
        counter
            .judge()
            .map_err(|fault| format!("cut {cell:?}: {fault}"))?;
        if let Some(cell) = cell {
            return Ok(cell);
        }
    }
    Err(format!("never hit in {AIMS_MAX} aims").into())
}

/// Lives through a load, watched at every point, or cut at one: what is left, the points, and what the card had at the cut.
fn live(begin: &Begin, blow: Option<&Blow>) -> Result<(Counter, Vec<Blow>, Option<Cell>), Fault> {
    let mut counter = Counter::copy(&begin.template, &begin.load)?;
    if let Some(blow) = blow.filter(|blow| blow.side == Side::Provider) {
        let env = begin.cutter.env(&blow.point, counter.shop.dir());
        counter.shop.provider.set_env(env);
    }
    counter.shop.provider.serve()?;
    let mut watches = Vec::new();
    if blow.is_none() {
        watches.push(watch(&counter.shop, Side::Provider)?);
    }
    let mut objects = counter.shop.objects();
    if let Some(link) = counter.shop.start_with_link()? {
        objects.name("link", &link);
    }
    let mut pos = counter.shop.pos()?;
    for (name, link) in pos.links() {
        objects.name(name, link);
    }
    if blow.is_none() {
        watches.push(watch(&counter.shop, Side::Purserd)?);
    }
    let strace = blow.filter(|blow| blow.side == Side::Purserd);
    let strace = strace
        .map(|blow| aim(&counter.shop, blow, &objects))
        .transpose()?;
    match counter.begin(&mut pos)? {
        Err(error) if blow.is_none() => return Err(error.into()),
        Ok(_) => {
            counter.card.insert();
            counter.follow(&mut pos)?;
        }
        // It is cut off, or its provider is.
        Err(_) => {}
    }
    let was_cut = match strace {
        Some(strace) => is_cut(
            &strace.finish(counter.shop.stack.purserd_id().is_none())?,
            Cut::Kill,
        ),
        None => counter.shop.is_provider_killed()?,
    };
    let cell = if counter.is_loaded() {
        Cell::After
    } else {
        Cell::Before
    };
    let mut points = Vec::new();
    for watch in watches {
        points.extend(watch.finish(&objects)?);
    }
    Ok((counter, points, was_cut.then_some(cell)))
}
