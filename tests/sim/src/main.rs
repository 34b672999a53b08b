//! `sim`: runs the simulator.

use std::process::ExitCode;
use std::time::Instant;

use clap::{Parser, Subcommand};
use sim::model::{self, Planted};
use sim::seeded::{Kind, Plan};
use sim::{Flaw, LAST_LINES, Tally, batches, exhaustive, loads, seeded};

#[derive(Parser)]
#[command(about = "Simulates sales under crashes and faults, and counts the money after every step")]
struct Arguments {
    /// Run this one seed.
    #[arg(long)]
    seed: Option<u64>,
    /// Print the story of the seed.
    #[arg(long, requires = "seed")]
    trace: bool,
    /// The seed is one with both parties.
    #[arg(long, requires = "seed")]
    parties: bool,
    #[command(subcommand)]
    verb: Option<Verb>,
}

#[derive(Subcommand)]
enum Verb {
    /// Every crash point, and every pair of crash points, of a sale.
    Exhaustive {
        /// Threads to run on; as many as there are processors if not given.
        #[arg(long)]
        threads: Option<usize>,
        /// Single crash points only.
        #[arg(long)]
        singles: bool,
        /// End with one JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Every state of a load and of a settlement, over the provider's own rules.
    Model,
    /// Settlements with the engine's batches and the provider's own rules: every crash of a story, and stories from seeds.
    Batches {
        /// How many stories.
        #[arg(long, default_value_t = 10_000)]
        stories: u64,
        /// The first seed.
        #[arg(long, default_value_t = 1)]
        from: u64,
    },
    /// Loads with the provider's own rules: every pair of blows to a story, and stories from seeds.
    Loads {
        /// How many stories.
        #[arg(long, default_value_t = 10_000)]
        stories: u64,
        /// The first seed.
        #[arg(long, default_value_t = 1)]
        from: u64,
    },
    /// Schedules of faults drawn from seeds, with both parties: loads, sales and settlement.
    Parties {
        /// How many schedules.
        #[arg(long, default_value_t = 100_000)]
        schedules: u64,
        /// The first seed.
        #[arg(long, default_value_t = 1)]
        from: u64,
        /// Threads to run on; as many as there are processors if not given.
        #[arg(long)]
        threads: Option<usize>,
        /// End with one JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Schedules of faults drawn from seeds: sales.
    Seeded {
        /// How many schedules.
        #[arg(long, default_value_t = 100_000)]
        schedules: u64,
        /// The first seed.
        #[arg(long, default_value_t = 1)]
        from: u64,
        /// Threads to run on; as many as there are processors if not given.
        #[arg(long)]
        threads: Option<usize>,
        /// End with one JSON object.
        #[arg(long)]
        json: bool,
    },
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match (arguments.seed, arguments.verb) {
        (Some(seed), _) => replay(kind(arguments.parties), seed, arguments.trace),
        (
            None,
            Some(Verb::Exhaustive {
                threads,
                singles,
                json,
            }),
        ) => exhaust(threads, !singles, json),
        (
            None,
            Some(Verb::Seeded {
                schedules,
                from,
                threads,
                json,
            }),
        ) => run_seeded(plan(Kind::Sales, from, schedules, threads), json),
        (
            None,
            Some(Verb::Parties {
                schedules,
                from,
                threads,
                json,
            }),
        ) => run_seeded(plan(Kind::Parties, from, schedules, threads), json),
        (None, Some(Verb::Model)) => run_models(),
        (None, Some(Verb::Batches { stories, from })) => run_batches(stories, from),
        (None, Some(Verb::Loads { stories, from })) => run_loads(stories, from),
        (None, None) => {
            eprintln!(
                "say what to run: exhaustive, model, batches, loads, seeded, parties, or --seed N --trace"
            );
            ExitCode::FAILURE
        }
    }
}

fn kind(has_parties: bool) -> Kind {
    if has_parties { Kind::Parties } else { Kind::Sales }
}

fn plan(kind: Kind, from: u64, schedules: u64, threads: Option<usize>) -> Plan {
    Plan {
        kind,
        from,
        schedules,
        threads: threads.unwrap_or_else(processors),
        flaw: Flaw::None,
    }
}

fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

fn replay(kind: Kind, seed: u64, trace: bool) -> ExitCode {
    let ended = if trace {
        seeded::replay(kind, seed, Flaw::None)
    } else {
        tell_of_panics(kind);
        seeded::run(plan(kind, seed, 1, Some(1)))
    };
    match ended {
        Ok(_) => {
            println!("seed {seed}: every rule held");
            ExitCode::SUCCESS
        }
        Err(failure) => {
            println!("{failure}");
            ExitCode::FAILURE
        }
    }
}

fn exhaust(threads: Option<usize>, with_pairs: bool, json: bool) -> ExitCode {
    let began = Instant::now();
    let summary = match exhaustive::run(threads.unwrap_or_else(processors), with_pairs) {
        Ok(summary) => summary,
        Err(failure) => {
            println!("{failure}");
            return ExitCode::FAILURE;
        }
    };
    let all = |run: u64, of: u64| {
        if run == of {
            format!("all {run} of {of}")
        } else {
            format!("ONLY {run} of {of}")
        }
    };
    println!(
        "cases (card, its answer to DEBIT, its way): {}",
        all(summary.undisturbed, summary.cases)
    );
    println!("one crash: {} crash points", all(summary.singles, summary.points));
    println!(
        "two crashes: {} pairs",
        all(summary.pairs, summary.pairs_of_points)
    );
    for (end, count) in &summary.ends {
        println!("  {count:>9}  {end}");
    }
    println!("every sale proven or voided as its card was debited or not, every card bought again");
    println!("{} ms", began.elapsed().as_millis());
    if json {
        println!(
            "{}",
            serde_json::json!({ "exhaustive": summary, "failed": !summary.is_whole() })
        );
    }
    if summary.is_whole() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn run_models() -> ExitCode {
    let nothing = Planted::Nothing;
    let models = [
        ("load", model::load(nothing, 1, false)),
        ("load at a thief's terminal", model::load(nothing, 1, true)),
        ("two loads of one card", model::load(nothing, 2, false)),
        ("settlement", model::permit(nothing)),
    ];
    for (name, ran) in models {
        match ran {
            Ok(summary) => println!("{name}: {summary}"),
            Err(found) => {
                println!("{name}: {found}");
                return ExitCode::FAILURE;
            }
        }
    }
    println!(
        "no state loses or doubles money; from each one the money can come to rest, or the model ends at its bounds"
    );
    ExitCode::SUCCESS
}

fn run_batches(stories: u64, from: u64) -> ExitCode {
    let nothing = batches::Planted::Nothing;
    let held = tell_run("every crash of a story", batches::exhaustive(nothing, true))
        && tell_run("stories from seeds", batches::seeded(nothing, from, stories));
    let rule = "no claim is paid twice, none is lost, and the books of both parties agree";
    tell_rule(held, rule)
}

fn run_loads(stories: u64, from: u64) -> ExitCode {
    let nothing = loads::Planted::Nothing;
    let held = tell_run("pairs of blows to a story", loads::exhaustive(nothing, true))
        && tell_run("stories from seeds", loads::seeded(nothing, from, stories));
    let rule = "what a bank has booked is on one card, or void, or owed: never two of them, and none is lost";
    tell_rule(held, rule)
}

/// Tells what a run came to; false where a rule broke in it.
fn tell_run<S: std::fmt::Display>(name: &str, ran: Result<S, String>) -> bool {
    match &ran {
        Ok(summary) => println!("{name}: {summary}"),
        Err(what) => println!("{name}: {what}"),
    }
    ran.is_ok()
}

fn tell_rule(held: bool, rule: &str) -> ExitCode {
    if held {
        println!("{rule}");
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn run_seeded(plan: Plan, json: bool) -> ExitCode {
    tell_of_panics(plan.kind);
    let began = Instant::now();
    let tally = match seeded::run(plan) {
        Ok(tally) => tally,
        Err(failure) => {
            println!("{failure}");
            println!(
                "replay: cargo run --release -p sim -- --{} --trace{}",
                failure.name,
                flag(plan.kind)
            );
            return ExitCode::FAILURE;
        }
    };
    let elapsed_ms = began.elapsed().as_millis();
    print_tally(&tally);
    let missing = tally.missing();
    for line in &missing {
        println!("MISSING: {line}");
    }
    println!(
        "{} schedules from seed {}, {} sales, {} debits, {} loads, {} steps, {elapsed_ms} ms",
        tally.schedules, plan.from, tally.sales, tally.debits, tally.credits, tally.steps
    );
    if json {
        let rows: Vec<_> = tally
            .rows()
            .into_iter()
            .map(|(what, name, count)| serde_json::json!({ "what": what, "name": name, "count": count }))
            .collect();
        let summary = serde_json::json!({
            "schedules": tally.schedules,
            "from": plan.from,
            "sales": tally.sales,
            "debits": tally.debits,
            "loads": tally.credits,
            "steps": tally.steps,
            "elapsed_ms": u64::try_from(elapsed_ms).unwrap_or(u64::MAX),
            "reached": rows,
            "missing": missing,
            "failed": !missing.is_empty(),
        });
        println!("{summary}");
    }
    if missing.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// What a replay needs beside the seed.
fn flag(kind: Kind) -> &'static str {
    match kind {
        Kind::Sales => "",
        Kind::Parties => " --parties",
    }
}

fn print_tally(tally: &Tally) {
    for (what, name, count) in tally.rows() {
        println!("{what:>9}  {count:>10}  {name}");
    }
}

/// A panic of the engine is a failure like others: its seed is told, and the last lines of its story, by a process that
/// replays it.
fn tell_of_panics(kind: Kind) {
    std::panic::set_hook(Box::new(move |panic| {
        let seed = seeded::running_seed();
        let replayed = std::env::current_exe().and_then(|program| {
            std::process::Command::new(program)
                .args(["--seed", &seed.to_string(), "--trace"])
                .args((kind == Kind::Parties).then_some("--parties"))
                .output()
        });
        if let Ok(output) = replayed {
            let story = String::from_utf8_lossy(&output.stdout);
            let lines: Vec<&str> = story.lines().collect();
            for line in &lines[lines.len().saturating_sub(LAST_LINES)..] {
                println!("{line}");
            }
        }
        println!("seed {seed} FAILS. {panic}");
        println!(
            "replay: cargo run --release -p sim -- --seed {seed} --trace{}",
            flag(kind)
        );
        std::process::exit(1);
    }));
}
