//! From the provider's word to the value on the buyer's card (S5 to S14): real purserd, real purser-provider, TLS on the loopback,
//! both ways to be called back.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use e2e::buyer::Buyer;
use e2e::events::same_events;
use e2e::{Fault, ensure};
use purser_lab::card::{Fault as CardFault, Minor, ScriptedFault, instruction};
use purser_lab::issuer::{LAB_PIN, LAB_SERIAL};
use purser_lab::stack::{Options, PATIENCE, ProviderHost, Stack, free_port};
use purser_lab::vpcd::CardThread;
use serde_json::Value;

/// The name of the terminal that loads.
const LOADER: &str = "loader-1";
/// How often a load is looked at: nobody announces its progress.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

#[test]
fn a_card_is_loaded_down_a_standing_link_and_both_books_agree() -> Result<(), Fault> {
    let folder = tempfile::tempdir()?;
    load_torn_and_whole(Counter::open(folder.path(), None)?)
}

#[test]
fn a_card_is_loaded_when_the_provider_calls_and_both_books_agree() -> Result<(), Fault> {
    let folder = tempfile::tempdir()?;
    load_torn_and_whole(Counter::open(folder.path(), Some(free_port()?))?)
}

#[test]
fn what_the_provider_does_not_know_is_not_begun_and_what_no_card_has_is_void() -> Result<(), Fault> {
    let folder = tempfile::tempdir()?;
    let counter = Counter::open(folder.path(), None)?;
    let unknown = "00".repeat(16);
    let refused = counter.purserctl(
        &["load", "begin", "--load", &unknown, "--reference", "load-1"],
        500,
        1,
    )?;
    ensure(refused["error"] == "ProviderFailed", || format!("{refused}"))?;
    let load = counter.provider.open_load(LOADER, 500)?;
    let other = counter.purserctl(
        &["load", "begin", "--load", &load, "--reference", "load-1"],
        501,
        1,
    )?;
    ensure(other["error"] == "ProviderFailed", || format!("{other}"))?;
    let begun = counter.purserctl(
        &["load", "begin", "--load", &load, "--reference", "load-1"],
        500,
        0,
    )?;
    ensure(begun["load"]["state"] == "waiting_for_card", || {
        format!("{begun}")
    })?;
    counter.expect_owed_and_loaded(500, 0)?;
    let voided = counter.run(&["load", "cancel", "load-1"], 0)?;
    ensure(voided["outcome"] == "voided", || format!("{voided}"))?;
    counter.expect_owed_and_loaded(0, 0)?;
    // The same answer for ever, and no value any more.
    let again = counter.purserctl(
        &["load", "begin", "--load", &load, "--reference", "load-1"],
        500,
        3,
    )?;
    ensure(again["load"]["outcome"] == "voided", || format!("{again}"))?;
    counter.close(1_000)
}

#[test]
fn a_load_survives_the_death_of_either_program() -> Result<(), Fault> {
    let folder = tempfile::tempdir()?;
    let mut counter = Counter::open(folder.path(), None)?;
    let load = counter.provider.open_load(LOADER, 500)?;
    counter.begin("load-1", &load, 500)?;
    // The provider dies before the attempt, and purserd while it asks again: the card leaves without its value.
    counter.provider.kill();
    counter.card.insert();
    counter.wait_for("load-1", |load| load["state"] == "loading")?;
    counter.stack.kill();
    counter.card.remove();
    counter.provider.serve()?;
    counter.stack.start_again()?;
    let owed = counter.wait_for("load-1", |load| load["outcome"] == "owed")?;
    ensure(owed["may_be_on_card"] == false, || format!("{owed}"))?;
    counter.expect_owed_and_loaded(500, 0)?;
    // Torn after the card has executed, and purserd dies too: the card tells when it returns.
    counter.card.script(ScriptedFault::next(
        instruction::CREDIT,
        CardFault::TearAfterExecute,
    ));
    counter.begin("load-1", &load, 500)?;
    counter.card.insert();
    counter.wait_for_card_again("load-1")?;
    counter.stack.kill();
    counter.stack.start_again()?;
    let owed = counter.wait_for("load-1", |load| load["outcome"] == "owed")?;
    ensure(owed["may_be_on_card"] == true, || format!("{owed}"))?;
    let status = counter.run(&["status"], 0)?;
    let is_told = |problem: &Value| problem["name"] == "loads_owed";
    ensure(
        status["problems"]
            .as_array()
            .is_some_and(|it| it.iter().any(is_told)),
        || format!("{status}"),
    )?;
    counter.card.insert();
    counter.wait_for("load-1", |load| load["confirmed"] == true)?;
    counter.expect_owed_and_loaded(0, 500)?;
    counter.close(1_500)
}

fn load_torn_and_whole(counter: Counter) -> Result<(), Fault> {
    let whole = counter.provider.open_load(LOADER, 500)?;
    let mut witness = counter.stack.till()?;
    let mut live = witness.watch_all()?;
    counter.begin("load-1", &whole, 500)?;
    counter.card.insert();
    let loaded = counter.wait_for("load-1", |load| load["confirmed"] == true)?;
    let provider = counter.run(&["provider", "status"], 0)?;
    ensure(
        provider["terminal"] == LOADER && provider["role"] == "provider",
        || format!("{provider}"),
    )?;
    ensure(loaded["balance_after"]["minor"] == 1_500, || format!("{loaded}"))?;
    counter.card.remove();
    counter.expect_owed_and_loaded(0, 500)?;
    // Torn before the card executes: the second attempt loads it. Torn after: the card proves it.
    let torn = counter.provider.open_load(LOADER, 70)?;
    counter.card.script(ScriptedFault::next(
        instruction::CREDIT,
        CardFault::TearBeforeExecute,
    ));
    counter.begin("load-2", &torn, 70)?;
    counter.card.insert();
    counter.wait_for_card_again("load-2")?;
    counter.expect_owed_and_loaded(70, 500)?;
    counter.card.insert();
    counter.wait_for("load-2", |load| load["confirmed"] == true)?;
    counter.card.remove();
    counter.expect_owed_and_loaded(0, 570)?;
    let torn = counter.provider.open_load(LOADER, 30)?;
    counter.card.script(ScriptedFault::next(
        instruction::CREDIT,
        CardFault::TearAfterExecute,
    ));
    counter.begin("load-3", &torn, 30)?;
    counter.card.insert();
    counter.wait_for_card_again("load-3")?;
    counter.card.insert();
    counter.wait_for("load-3", |load| load["confirmed"] == true)?;
    counter.card.remove();
    counter.expect_owed_and_loaded(0, 600)?;
    let told = same_events(&mut live, &mut counter.stack.till()?, &counter.run(&["head"], 0)?)?;
    let of_loads = told.iter().filter_map(|event| event.load.as_ref());
    let ended: Vec<_> = of_loads
        .filter(|load| load.confirmed == Some(true))
        .map(|load| load.reference.as_str())
        .collect();
    ensure(ended == ["load-1", "load-2", "load-3"], || format!("{told:?}"))?;
    counter.close(1_600)
}

/// A counter where cards are loaded, with its provider.
struct Counter {
    provider: ProviderHost,
    stack: Stack,
    card: CardThread,
    _buyer: Buyer,
}

impl Counter {
    fn open(folder: &Path, called_at: Option<SocketAddr>) -> Result<Self, Fault> {
        let mut provider = ProviderHost::new(&folder.join("provider"), &[LAB_SERIAL], None)?;
        let code = provider.add_loader(LOADER, called_at)?;
        provider.serve()?;
        let options = Options {
            drop_in: provider.drop_in_at(called_at),
            ..Options::default()
        };
        let counter = folder.join("counter");
        std::fs::create_dir(&counter)?;
        let mut stack = Stack::prepare(&counter, options)?;
        let enrolled = stack.run_verb(&["enrol", "--code", &code])?;
        ensure(enrolled.status.success(), || format!("{enrolled:?}"))?;
        let card = stack.new_card("card", LAB_SERIAL, Minor(1000))?;
        stack.start_again()?;
        let buyer = Buyer::at(stack.layout().pad(), LAB_PIN.to_owned());
        Ok(Self {
            provider,
            stack,
            card,
            _buyer: buyer,
        })
    }

    fn begin(&self, reference: &str, load: &str, minor: u64) -> Result<Value, Fault> {
        let begun = ["load", "begin", "--load", load, "--reference", reference];
        self.purserctl(&begun, minor, 0)
    }

    /// Waits until a load whose card was torn waits for it again.
    fn wait_for_card_again(&self, reference: &str) -> Result<(), Fault> {
        let is_torn = |load: &Value| load["state"] == "waiting_for_card" && !load["card"].is_null();
        self.wait_for(reference, is_torn).map(drop)
    }

    /// Waits until a load looks so.
    fn wait_for(&self, reference: &str, is_wanted: impl Fn(&Value) -> bool) -> Result<Value, Fault> {
        let end = Instant::now() + PATIENCE;
        loop {
            let (load, _) = self.ask(&["load", "show", reference])?;
            if is_wanted(&load) {
                return Ok(load);
            }
            ensure(Instant::now() < end, || {
                format!("{load}\n{}", self.stack.log().unwrap_or_default())
            })?;
            std::thread::sleep(LOOK_AGAIN);
        }
    }

    /// With an amount.
    fn purserctl(&self, arguments: &[&str], minor: u64, code: i32) -> Result<Value, Fault> {
        let minor = minor.to_string();
        self.run(
            &[arguments, &["--amount", &minor, "--currency", "JPY"]].concat(),
            code,
        )
    }

    /// What purserctl prints; it must end with this code.
    fn run(&self, arguments: &[&str], code: i32) -> Result<Value, Fault> {
        let (told, ended) = self.ask(arguments)?;
        ensure(ended == Some(code), || {
            format!(
                "{arguments:?} ended with {ended:?}: {told}\n{}",
                self.stack.log().unwrap_or_default()
            )
        })?;
        Ok(told)
    }

    fn ask(&self, arguments: &[&str]) -> Result<(Value, Option<i32>), Fault> {
        let program = self.stack.programs().purserctl.clone();
        let output = Command::new(program.ok_or("purserctl was not built")?)
            .arg("--json")
            .arg("--socket")
            .arg(self.stack.layout().socket())
            .args(arguments)
            .output()?;
        let told = [output.stdout, output.stderr].concat();
        let told = String::from_utf8(told)?;
        let first = told.lines().next().unwrap_or("null");
        Ok((serde_json::from_str(first)?, output.status.code()))
    }

    /// What the counter's books say, and that the provider's balance.
    fn expect_owed_and_loaded(&self, owed: u64, loaded: u64) -> Result<(), Fault> {
        let totals = self.run(&["totals"], 0)?;
        let balances = totals["balances"].as_array().ok_or("no balances")?;
        let of = |account: &str| {
            let balance = balances.iter().find(|it| it["account"] == account);
            balance.and_then(|it| it["amount"]["minor"].as_u64()).unwrap_or(0)
        };
        let here = [of("loads"), of("loads_owed"), of("loaded")];
        let books = self.provider.run(&["liability"])?;
        println!("counter: loads, owed, loaded {here:?}; provider: {books:?}");
        ensure(
            totals["balanced"] == true && here == [owed + loaded, owed, loaded],
            || format!("{here:?}"),
        )?;
        // Before the first MAC2 it has no books to show.
        let there = |key: &str| books.first().and_then(|it| it[key].as_u64()).unwrap_or(0);
        let in_doubt = there("loads_in_doubt");
        let is_sound = books.first().is_none_or(|it| it["is_balanced"] == true);
        let agrees = there("outstanding") == loaded && there("issued") == loaded + in_doubt;
        ensure(is_sound && agrees && in_doubt <= owed, || {
            format!("{here:?}: {books:?}")
        })
    }

    /// Every record of both is whole, and the card holds so much.
    fn close(mut self, on_card: u64) -> Result<(), Fault> {
        let card = self.card.card().money();
        ensure(card == on_card, || format!("{card} on the card"))?;
        let audit = self.provider.run(&["audit"])?;
        ensure(audit.first().is_some_and(|it| it["findings"] == 0), || {
            format!("{audit:?}")
        })?;
        self.stack.stop()?;
        let verified = self.stack.run_verb(&["verify-journal"])?;
        ensure(verified.status.success(), || format!("{verified:?}"))
    }
}
