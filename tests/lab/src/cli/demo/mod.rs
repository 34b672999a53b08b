//! `purser-lab demo`: a shop sells with purserd, things die, and the books balance.

mod acts;
mod books;
mod load;
mod settle;
mod show;
mod story;
mod tamper;

use std::io::{self, Write};
use std::path::Path;
use std::time::Instant;

use clap::Args;
use purser_api::model::{Batch, Load, ProviderReply, Sale};
use purser_lab::issuer::LAB_SERIAL;
use purser_lab::stack::{CURRENCY, Options, Programs, ProviderHost, SALE_MAX, Stack, StackError};
use serde_json::json;

use self::books::{Books, Findings};
use self::show::Show;
use self::story::Story;
use self::tamper::TamperError;

/// Builds purserd and a provider, loads a virtual card, sells three times with it, kills purserd once, settles, and checks that no
/// money was lost or made.
#[derive(Debug, Args)]
pub(crate) struct Demo {
    /// No story; one JSON object on standard output
    #[arg(long)]
    json: bool,
    /// Change one digit of a claim on the disk before the checks: they must find it, and the demo must fail
    #[arg(long)]
    tamper: bool,
    /// What stands behind `--` is taken as if it stood before it: `cargo demo -- --json`
    #[arg(last = true, value_parser = ["--json", "--tamper"], hide = true)]
    behind: Vec<String>,
}

/// Why the demo failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DemoError {
    /// The stack.
    #[error(transparent)]
    Stack(#[from] StackError),
    /// Standard output.
    #[error("cannot write to standard output")]
    Output(#[source] io::Error),
    /// The folder of the demo.
    #[error("cannot make a folder for the demo; set TMPDIR to one that can be written")]
    Folder(#[source] io::Error),
    /// purserd told something else than it should.
    #[error("{what} {} is {} ({})", sale.reference, sale.outcome, sale.state)]
    Unexpected { what: &'static str, sale: Box<Sale> },
    /// purserd found nothing to settle, or forgot it.
    #[error("there is no batch, although three sales are paid")]
    NothingSettled,
    /// The batch has not come to its permit.
    #[error("batch {} is {}: {}", .0.id, .0.state, .0.cause.as_deref().unwrap_or("no cause is told"))]
    NotSettled(Box<Batch>),
    /// The card has not been loaded.
    #[error("load {} is {}: {}", .0.load, .0.state, .0.cause.as_deref().unwrap_or("no cause is told"))]
    NotLoaded(Box<Load>),
    /// A terminal cannot enrol.
    #[error("purserd enrol failed: {0}")]
    NotEnrolled(String),
    /// The tampering that was asked for.
    #[error("cannot tamper with the journal")]
    Tamper(#[from] TamperError),
    /// A check does not hold.
    #[error("not everything balances; the checks that fail are shown above")]
    Unbalanced,
}

impl From<io::Error> for DemoError {
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}

impl Demo {
    pub(crate) fn run(&self) -> Result<(), DemoError> {
        let is_given = |flag: bool, name: &str| flag || self.behind.iter().any(|word| word == name);
        let (as_json, tampers) = (is_given(self.json, "--json"), is_given(self.tamper, "--tamper"));
        let mut out = io::stdout().lock();
        let mut nowhere = io::sink();
        let played = play(
            &mut Show::new(if as_json { &mut nowhere } else { &mut out }),
            tampers,
        );
        if as_json {
            let told = match &played {
                Ok(findings) => serde_json::to_value(findings).map_err(io::Error::from)?,
                Err(error) => json!({ "balanced": false, "error": error.to_string() }),
            };
            writeln!(out, "{told}")?;
        }
        match played {
            Ok(findings) if findings.balanced => Ok(()),
            Ok(_) => Err(DemoError::Unbalanced),
            Err(error) => Err(error),
        }
    }
}

/// A provider that serves, and a shop that is enrolled with it and runs.
fn begin(folder: &Path) -> Result<(ProviderHost, Stack), DemoError> {
    let mut provider = ProviderHost::new(&folder.join("provider"), &[LAB_SERIAL], None)?;
    provider.serve()?;
    let options = Options {
        drop_in: provider.drop_in(),
        ..Options::default()
    };
    let shop = folder.join("shop");
    std::fs::create_dir(&shop).map_err(DemoError::Folder)?;
    let mut stack = Stack::prepare(&shop, options)?;
    enrol(&stack, provider.code())?;
    stack.start_again()?;
    Ok((provider, stack))
}

/// Makes a terminal known to the provider that its configuration names.
fn enrol(stack: &Stack, code: &str) -> Result<(), DemoError> {
    let enrolled = stack.run_verb(&["enrol", "--code", code])?;
    if enrolled.status.success() {
        return Ok(());
    }
    let told = String::from_utf8_lossy(&enrolled.stderr).into_owned();
    Err(DemoError::NotEnrolled(told))
}

/// What the provider lets the shop do, once that is in force.
fn show_parameters(show: &mut Show<'_>, stack: &Stack) -> Result<(), DemoError> {
    let is_there = |provider: &ProviderReply| provider.parameters_version.is_some();
    let provider = stack.till()?.wait_for_provider("parameters", is_there)?;
    let number = |number: Option<u64>| number.unwrap_or(0);
    show.step(
        "T3",
        &format!(
            "version {} of the provider's signed parameters is in force: sales up to {SALE_MAX} {CURRENCY}, {} cards on its hot list [C3]",
            number(provider.parameters_version),
            number(provider.hot_list_cards)
        ),
    )?;
    Ok(())
}

fn play(show: &mut Show<'_>, tampers: bool) -> Result<Findings, DemoError> {
    eprintln!(
        "Building purserd, its driver host, the virtual reader and purser-provider; the first time takes minutes."
    );
    Programs::build()?;
    let began = Instant::now();
    let folder = tempfile::Builder::new().prefix("purser-demo-").tempdir();
    let folder = folder.map_err(DemoError::Folder)?;
    show.heading(
        "Purser: a shop takes electronic money from a card, and nothing that dies loses or doubles it.",
    )?;
    show.heading(
        "S-numbers are the steps of the settlement method, [brackets] the money rules that a step keeps.",
    )?;
    let (provider, mut stack) = begin(folder.path())?;
    let milliseconds = began.elapsed().as_millis();
    show.step(
        "start",
        &format!(
            "purserd is ready after {milliseconds} ms; card, reader and PIN pad are programs behind the real driver contract"
        ),
    )?;
    show.step(
        "enrolled",
        "a provider runs beside it: it has issued a card, and knows the shop's device key by a one-time code",
    )?;
    show_parameters(show, &stack)?;
    let (card, loaded) = load::load(show, &folder.path().join("counter"), &provider)?;
    let told = Story::begin(show, &mut stack, card)?.play(&provider, loaded)?;
    let books = Books::ask(&stack)?;
    stack.stop()?;
    show.heading("purserd has stopped in order. What is left is the card and the shop's files.")?;
    if tampers {
        for file in tamper::tamper(&stack.layout().state_dir())? {
            show.step("tampered", &format!("one digit of a claim in {}", file.display()))?;
        }
    }
    let mut findings = books.check(&stack, told)?;
    findings.milliseconds = began.elapsed().as_millis();
    findings.show(show)?;
    if findings.balanced {
        show.heading(&format!("Everything balances ({} ms).", findings.milliseconds))?;
    }
    Ok(findings)
}
