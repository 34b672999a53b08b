//! Clients that mean harm, or sleep, cost sales nothing that a buyer would notice.

use std::time::{Duration, Instant};

use e2e::flood::Flood;
use e2e::pos::Pos;
use e2e::world::{PRICE, World};
use e2e::{Fault, ensure};

/// Sales in a row without the flood, then with it: outside noise hits both alike.
const BLOCK: usize = 10;
/// Sales of each kind that are measured at least: their 99th percentile is not the very worst of them.
const SALES_MIN: usize = 120;
/// After so many the answer stands. A machine that is busy with other things makes a few sales slow, in both kinds; more
/// sales make it fair.
const SALES_MAX: usize = 360;
const CALLS_MIN: u64 = 10_000;

/// How long sales took.
#[derive(Debug, Default)]
struct Times(Vec<Duration>);

impl Times {
    fn percentile(&self, percent: usize) -> Duration {
        let mut sorted = self.0.clone();
        sorted.sort_unstable();
        sorted[(sorted.len() * percent).div_ceil(100) - 1]
    }

    fn p99_over(&self, quiet: &Self) -> f64 {
        self.percentile(99).as_secs_f64() / quiet.percentile(99).as_secs_f64()
    }
}

/// From the call to the answer that it is paid.
fn timed_sale(world: &World, till: &mut Pos, reference: &str) -> Result<Duration, Fault> {
    world.card.remove();
    let begin = Instant::now();
    let told = till.begin(reference, PRICE)?;
    world.card.insert();
    let told = till.follow(reference, told, |sale| sale.outcome != "under_way")?;
    ensure(told.was("paid"), || format!("{reference}: {:?}", told.last()))?;
    Ok(begin.elapsed())
}

#[test]
fn ten_thousand_hostile_calls_leave_a_sales_p99_within_twice_its_quiet_value() -> Result<(), Fault> {
    let mut world = World::new()?;
    world.stack.start_again()?;
    let mut tills = [world.pos()?, world.pos()?];
    let flood = Flood::start(&world.stack.layout().socket())?;
    let (mut quiet, mut flooded) = (Times::default(), Times::default());
    timed_sale(&world, &mut tills[0], "quiet-1")?;
    loop {
        for (name, times) in [("quiet", &mut quiet), ("flooded", &mut flooded)] {
            flood.rage(name == "flooded");
            for n in 0..BLOCK {
                let reference = format!("{name}-{}-{n}", times.0.len());
                times.0.push(timed_sale(&world, &mut tills[n % 2], &reference)?);
            }
        }
        let is_enough = flooded.0.len() >= SALES_MIN && flood.calls() >= CALLS_MIN;
        if is_enough && (flooded.p99_over(&quiet) <= 2.0 || flooded.0.len() >= SALES_MAX) {
            break;
        }
    }
    let ratio = flooded.p99_over(&quiet);
    println!(
        "{} sales quiet: p50 {:?}, p99 {:?}; {} sales under {} hostile calls and {} connections: p50 {:?}, p99 {:?}; ratio {ratio:.2}",
        quiet.0.len(),
        quiet.percentile(50),
        quiet.percentile(99),
        flooded.0.len(),
        flood.calls(),
        flood.connections(),
        flooded.percentile(50),
        flooded.percentile(99),
    );
    ensure(ratio <= 2.0, || format!("the flood makes sales {ratio:.2} times as slow"))
}
