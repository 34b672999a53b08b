//! What must hold while a driver misbehaves, and the table of what came of it.

use std::fmt::Write as _;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use purser_api::model::{Device, Sale, TotalsReply};
use purser_lab::stack::StackError;
use serde_json::Value;

use crate::faulty::{Attack, NEIGHBOUR_MAX, Shops, Takings};
use crate::world::{PRICE, WALLET};
use crate::{Fault, ensure};

/// What a driver's words in a log must not hold: what `plugins/fault` says in its mode `secrets`.
const SECRETS: [&str; 5] = [
    "pin=123456",
    "6222021234567890",
    "0123456789ABCDEF",
    "00 20 00 00",
    "0x12 0x34",
];

/// What must become of the driver, and which word the cause in `Devices` must have.
#[derive(Clone, Copy, Debug)]
pub enum Driver {
    /// It was started again and works; why it went down is told.
    StartedAgain(&'static str),
    /// It never went down; what it did wrong is told.
    GoesOn(&'static str),
    /// It never went down, and did nothing that can be told from a bad card.
    Silent,
    /// It is started again and again.
    Restarting(&'static str),
    /// It stays down until somebody acts.
    Failed(&'static str),
}

/// What must become of a sale in which a driver misbehaved.
#[derive(Clone, Copy, Debug)]
pub struct Ending {
    /// Whether it is paid in the end; none: either.
    pub paid: Option<bool>,
    /// The driver.
    pub driver: Driver,
}

/// What came of an attack: one row of the table.
#[derive(Clone, Debug)]
pub struct Outcome {
    sale: String,
    driver: String,
    takings: Takings,
}

/// Lets the fault strike in the middle of a sale.
///
/// # Errors
/// Money was lost or made, the fault is not told, or the neighbour was held up.
pub fn in_a_sale(attack: &Attack, ending: Ending) -> Result<Outcome, Fault> {
    let mut shops = Shops::open(attack)?;
    shops.device("ready", |device| device.state == "ready")?;
    sell_paid(&shops, "before")?;
    shops.card.remove();
    shops.arm()?;
    let first = shops.sell("struck")?;
    ensure(shops.has_struck(), || {
        format!("the fault did not strike: {first:?}")
    })?;
    let device = driver_is(&shops, ending.driver)?;
    let last = shops.decided("struck")?;
    let is_paid = last.outcome == "paid";
    ensure(ending.paid.is_none_or(|paid| paid == is_paid), || {
        format!("{:?} was awaited, and it is {last:?}", ending.paid)
    })?;
    ensure(
        first.outcome == "in_doubt" || first.outcome == last.outcome,
        || format!("the till was told {first:?}, and now it is {last:?}"),
    )?;
    shops.card.remove();
    sell_paid(&shops, "after")?;
    let takings = neighbour_felt_nothing(&mut shops)?;
    books_agree(&mut shops, 2 + u64::from(is_paid), takings)?;
    Ok(Outcome {
        sale: way(&first, &last),
        driver: words(&device),
        takings,
    })
}

/// A driver that never becomes ready.
///
/// # Errors
/// As [`in_a_sale`].
pub fn never_ready(attack: &Attack, driver: Driver) -> Result<Outcome, Fault> {
    let mut shops = Shops::open(attack)?;
    let device = driver_is(&shops, driver)?;
    let refused = shops.sell("refused");
    let refusal = match &refused {
        Ok(sale) => return Err(format!("it was sold at a reader that is not there: {sale:?}").into()),
        Err(error) => {
            let refusal = error.downcast_ref::<StackError>().and_then(StackError::refusal);
            refusal
                .ok_or_else(|| format!("it was not refused by name: {error}"))?
                .to_owned()
        }
    };
    std::thread::sleep(Duration::from_millis(500));
    let takings = neighbour_felt_nothing(&mut shops)?;
    books_agree(&mut shops, 0, takings)?;
    Ok(Outcome {
        sale: format!(
            "refused ({})",
            refusal.split([';', ':']).next().unwrap_or_default()
        ),
        driver: words(&device),
        takings,
    })
}

/// A driver that misbehaves when purserd stops: the stop is clean, and takes no longer than this.
///
/// # Errors
/// As [`in_a_sale`].
pub fn while_stopping(attack: &Attack, time_max: Duration) -> Result<Outcome, Fault> {
    let mut shops = Shops::open(attack)?;
    shops.device("ready", |device| device.state == "ready")?;
    sell_paid(&shops, "before")?;
    let takings = neighbour_felt_nothing(&mut shops)?;
    let begun = Instant::now();
    books_agree(&mut shops, 1, takings)?;
    let took = begun.elapsed();
    ensure(took < time_max, || format!("purserd took {took:?} to stop"))?;
    Ok(Outcome {
        sale: "paid".to_owned(),
        driver: "stopped".to_owned(),
        takings,
    })
}

fn sell_paid(shops: &Shops, reference: &str) -> Result<(), Fault> {
    let sale = shops.sell(reference)?;
    ensure(sale.outcome == "paid", || {
        format!("{sale:?}; the log:\n{}", shops.stack.log().unwrap_or_default())
    })
}

/// The fault stands in `Devices` and in `Status`, each with what to do about it.
fn driver_is(shops: &Shops, driver: Driver) -> Result<Device, Fault> {
    let has = |device: &Device, word: &str| device.cause.as_deref().is_some_and(|cause| cause.contains(word));
    let device = shops.device(&format!("{driver:?}"), |device| match driver {
        Driver::StartedAgain(word) => device.state == "ready" && device.restarts > 0 && has(device, word),
        Driver::GoesOn(word) => device.state == "ready" && device.restarts == 0 && has(device, word),
        Driver::Silent => device.state == "ready" && device.restarts == 0,
        Driver::Restarting(word) => device.state == "restarting" && has(device, word),
        Driver::Failed(word) => device.state == "failed" && has(device, word),
    })?;
    if matches!(driver, Driver::Silent) {
        return Ok(device);
    }
    ensure(device.remedy.is_some(), || format!("no remedy: {device:?}"))?;
    if matches!(driver, Driver::Restarting(_)) {
        // It may be on its way up again when the status is read.
        return Ok(device);
    }
    let problems = shops.till()?.call(async |purser| purser.status().await)?.problems;
    let is_told = problems.iter().any(|problem| {
        problem.name.starts_with("driver_")
            && problem.cause.starts_with(&device.name)
            && !problem.remedy.is_empty()
    });
    ensure(is_told, || format!("status does not tell it: {problems:?}"))?;
    Ok(device)
}

fn neighbour_felt_nothing(shops: &mut Shops) -> Result<Takings, Fault> {
    let takings = shops
        .close_neighbour()
        .map_err(|fault| format!("{fault}; the log:\n{}", shops.stack.log().unwrap_or_default()))?;
    ensure(takings.paid > 0 && takings.slowest < NEIGHBOUR_MAX, || {
        format!("the neighbour was held up: {takings:?}")
    })?;
    ensure(takings.left == WALLET - takings.paid * PRICE, || {
        format!("the neighbour's card: {takings:?}")
    })?;
    Ok(takings)
}

/// So many sales are paid at the attacked reader, each once, and nothing is in doubt. Stops purserd.
fn books_agree(shops: &mut Shops, paid_here: u64, takings: Takings) -> Result<(), Fault> {
    let totals = shops.till()?.call(async |purser| purser.totals().await)?;
    shops.stack.stop()?;
    let paid = paid_here + takings.paid;
    let counts = totals.counts;
    ensure(
        totals.balanced && (counts.paid, counts.in_doubt, counts.queried) == (paid, 0, 0),
        || format!("{paid} should be paid and nothing in doubt: {totals:?}"),
    )?;
    let money = paid * PRICE;
    let balances = [("claims", money), ("sales", money), ("in_doubt", 0)];
    let is_right = |(account, expected): &(&str, u64)| balance(&totals, account) == *expected;
    ensure(balances.iter().all(is_right), || {
        format!("{money} should be claimed: {totals:?}")
    })?;
    let card = shops.card.status();
    let left = u64::from(card.ep.0);
    ensure(
        left == WALLET - paid_here * PRICE && u64::from(card.ep_offline_sn) == paid_here,
        || format!("the card should have {paid_here} debits: {card}"),
    )?;
    let output = shops.stack.run_verb(&["verify-journal", "--json"])?;
    let report: Value = serde_json::from_slice(&output.stdout)?;
    ensure(report["whole"] == true && report["open"] == 0, || {
        format!("verify-journal: {report}")
    })?;
    let log = shops.stack.log()?;
    let said = SECRETS.iter().find(|secret| log.contains(*secret));
    ensure(said.is_none(), || format!("the log holds {said:?}:\n{log}"))
}

fn balance(totals: &TotalsReply, account: &str) -> u64 {
    let of_account = totals.balances.iter().filter(|it| it.account == account);
    of_account.map(|it| it.amount.minor).sum()
}

fn way(first: &Sale, last: &Sale) -> String {
    if first.outcome == last.outcome {
        last.outcome.clone()
    } else {
        format!("{}, then {}", first.outcome, last.outcome)
    }
}

fn words(device: &Device) -> String {
    let cause = device.cause.as_deref().unwrap_or("nothing to tell");
    format!("{} ({cause})", device.state)
}

/// Takes a row into the table; the last one prints it.
pub fn tell(fault: &str, row: Outcome, took: Duration, faults: usize) {
    static TABLE: Mutex<Vec<(String, Outcome, Duration)>> = Mutex::new(Vec::new());
    let mut table = TABLE.lock().unwrap_or_else(PoisonError::into_inner);
    table.push((fault.replace('_', " "), row, took));
    if table.len() < faults {
        return;
    }
    table.sort_by(|one, other| one.0.cmp(&other.0));
    let mut text = format!(
        "{:40} {:24} {:>5} {:>9} {:>6}  driver\n",
        "fault", "the sale", "sold", "slowest", "took"
    );
    for (fault, row, took) in &*table {
        let Takings { paid, slowest, .. } = row.takings;
        // Writing into a String does not fail.
        let _ = writeln!(
            text,
            "{fault:40} {:24} {paid:>5} {:>6} ms {:>4} s  {}",
            row.sale,
            slowest.as_millis(),
            took.as_secs(),
            row.driver
        );
    }
    println!("{text}");
}
