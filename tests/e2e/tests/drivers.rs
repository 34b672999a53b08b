//! Drivers by command: reloaded, recorded, and a recording played as a driver.

use std::collections::BTreeSet;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use e2e::{Fault, ensure, point};
use purser_lab::card::{Fault as CardFault, Minor, ScriptedFault, instruction};
use purser_lab::issuer::{LAB_PIN, LAB_SERIAL};
use purser_lab::stack::{Options, READER, SECOND_READER, Stack, Till};
use serde_json::Value;

/// Runs `purserctl --json`; whether it succeeded, and what it told.
fn purserctl(stack: &Stack, arguments: &[&str]) -> Result<(bool, Value), Fault> {
    let program = stack.programs().purserctl.clone().ok_or("purserctl is built")?;
    let output = Command::new(program)
        .arg("--json")
        .args(arguments)
        .env("PURSER_SOCKET", stack.layout().socket())
        .output()?;
    let told = serde_json::from_slice(&output.stdout)
        .map_err(|error| format!("{arguments:?}: {error}: {output:?}"))?;
    Ok((output.status.success(), told))
}

fn refused(stack: &Stack, arguments: &[&str], error: &str) -> Result<(), Fault> {
    let (is_done, told) = purserctl(stack, arguments)?;
    ensure(!is_done && told["error"] == error, || {
        format!("{arguments:?} is refused with {error}: {told}")
    })
}

fn done(stack: &Stack, arguments: &[&str]) -> Result<Value, Fault> {
    let (is_done, told) = purserctl(stack, arguments)?;
    ensure(is_done, || format!("{arguments:?}: {told}"))?;
    Ok(told)
}

fn hosts(stack: &Stack) -> Result<BTreeSet<u32>, Fault> {
    let purserd = stack.purserd_id().ok_or("purserd does not run")?;
    Ok(point::children(purserd)?.into_iter().collect())
}

/// A driver of its own file, `third`, which nobody else loads.
fn add_third_driver(stack: &Stack) -> Result<PathBuf, Fault> {
    let folder = stack.layout().dir.join("third-driver");
    fs::create_dir(&folder)?;
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o755))?;
    let built = &stack.programs().driver;
    let driver = folder.join("libthird.so");
    fs::copy(built, &driver)?;
    fs::copy(
        built.with_extension("driver.toml"),
        driver.with_extension("driver.toml"),
    )?;
    let text = format!("path = {driver:?}\n[[settings.slot]]\nname = \"third\"\nport = 0\n");
    fs::write(stack.layout().config_dir().join("drivers.d/third.toml"), text)?;
    Ok(driver)
}

#[test]
fn a_driver_is_reloaded_alone_and_never_in_the_middle_of_a_sale() -> Result<(), Fault> {
    let folder = tempfile::tempdir()?;
    let options = Options {
        second_reader: true,
        ..Options::default()
    };
    let mut stack = Stack::prepare(folder.path(), options)?;
    let third = add_third_driver(&stack)?;
    stack.start_again()?;
    let card = stack.new_card("card", LAB_SERIAL, Minor(5000))?;
    let mut till = stack.till()?;
    let buyer = stack.buyer(LAB_PIN)?;

    // The card has debited and says nothing: a reload would lose the answer.
    card.script(ScriptedFault::next(
        instruction::DEBIT,
        CardFault::MuteAfterExecute,
    ));
    begin_at(&mut till, "order-1", READER)?;
    card.insert();
    till.watch("order-1")?.until("the debit", |sale| {
        sale.state == "debiting" && sale.entry.is_some()
    })?;
    let before = hosts(&stack)?;
    refused(&stack, &["driver", "reload", "lab"], "DriverInUse")?;
    refused(&stack, &["driver", "reload", "none"], "UnknownDriver")?;
    let second = done(&stack, &["driver", "reload", "second"])?;
    ensure(second["state"] == "ready", || format!("{second}"))?;
    let after = hosts(&stack)?;
    ensure(
        before.intersection(&after).count() == 2 && after.len() == 3,
        || format!("one driver host is another: {before:?}, {after:?}"),
    )?;
    ensure(till.attach("order-1")?.state == "debiting", || {
        "the sale at the other driver goes on".to_owned()
    })?;
    card.remove();
    till.wait_for_outcome("order-1", "in_doubt")?;

    refuses_a_file_that_does_not_check_out(&stack, &third)?;
    drop(buyer);
    let lab = done(&stack, &["driver", "reload", "lab"])?;
    ensure(lab["state"] == "ready" && lab["last_failure"].is_null(), || {
        format!("{lab}")
    })?;
    let _buyer = stack.buyer(LAB_PIN)?;
    card.insert();
    till.wait_for_outcome("order-1", "paid")?;
    card.remove();
    begin_at(&mut till, "order-2", READER)?;
    card.insert();
    till.wait_for_outcome("order-2", "paid")?;
    forgotten_card_stays_forgotten(&stack, &mut till, &card)?;
    stack.stop()?;
    Ok(())
}

fn begin_at(till: &mut Till, reference: &str, reader: &str) -> Result<(), Fault> {
    let asked = purser_api::model::BeginSaleArguments {
        reference: reference.to_owned(),
        amount: purser_api::model::Amount {
            minor: 300,
            currency: purser_lab::stack::CURRENCY.to_owned(),
        },
        reader: Some(reader.to_owned()),
        pin_through_api: None,
    };
    till.call(async |purser| purser.begin_sale(&asked).await)?;
    Ok(())
}

/// The driver that runs goes on when its file was damaged meanwhile, and the list tells what is wrong with one that has failed.
fn refuses_a_file_that_does_not_check_out(stack: &Stack, driver: &Path) -> Result<(), Fault> {
    let whole = fs::read(driver)?;
    OpenOptions::new().append(true).open(driver)?.write_all(b"x")?;
    refused(stack, &["driver", "reload", "third"], "DriverRefused")?;
    let list = done(stack, &["driver", "list"])?;
    let drivers = list["drivers"].as_array().ok_or("a list")?;
    let named = |name: &str| drivers.iter().find(|driver| driver["name"] == name);
    let third = named("third").ok_or("third is listed")?;
    ensure(
        third["state"] == "ready"
            && third["id"] == "virtual-reader"
            && third["classes"][0] == "purser.card-reader/1"
            && third["recording"] == false,
        || format!("{third}"),
    )?;
    ensure(named("lab").is_some() && named("second").is_some(), || {
        format!("{list}")
    })?;
    fs::write(driver, whole)?;
    done(stack, &["driver", "reload", "third"])?;
    ensure(SECOND_READER.starts_with("second/"), || "names".to_owned())
}

/// The card that has paid lies in the reader while its driver is reloaded: it pays for nobody else until it was taken out.
fn forgotten_card_stays_forgotten(
    stack: &Stack,
    till: &mut Till,
    card: &purser_lab::vpcd::CardThread,
) -> Result<(), Fault> {
    done(stack, &["driver", "reload", "lab"])?;
    begin_at(till, "order-3", READER)?;
    till.watch("order-3")?
        .until("take it out", |sale| sale.state == "take_card_out")?;
    card.remove();
    till.watch("order-3")?
        .until("an empty reader", |sale| sale.state == "waiting_for_card")?;
    // The pad has forgotten its buyer with its driver.
    let _buyer = stack.buyer(LAB_PIN)?;
    card.insert();
    till.wait_for_outcome("order-3", "paid")?;
    Ok(())
}

#[test]
fn a_sale_is_recorded_without_its_secrets_and_played_as_a_driver_in_another_purserd() -> Result<(), Fault> {
    let folder = tempfile::tempdir()?;
    let recording = folder.path().join("lab.recording");
    let balance_after = record_a_sale(&recording)?;
    shows_no_secret(&recording)?;

    // A test that knows the purse id gets the whole sale, with any PIN.
    let purse_id = hex_of(&LAB_SERIAL.0);
    let paid = play(&recording, Some(&purse_id), 300)?;
    ensure(paid.outcome == "paid", || format!("{paid:?}"))?;
    let slip = paid.slip.ok_or("a paid sale has a slip")?;
    ensure(
        slip.balance_after.map(|left| left.minor) == Some(balance_after),
        || "the card answers as it was recorded".to_owned(),
    )?;

    // Who does not, gets another card's keys, and never a payment.
    let unknown = play(&recording, None, 300)?;
    ensure(unknown.outcome == "in_doubt", || format!("{unknown:?}"))?;

    // Another sale is not in the recording, and a debit less.
    let other = play(&recording, Some(&purse_id), 400)?;
    ensure(other.outcome == "not_paid", || format!("{other:?}"))
}

fn hex_of(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Records the first sale of a new terminal; what it leaves on the card.
fn record_a_sale(recording: &Path) -> Result<u64, Fault> {
    let folder = tempfile::tempdir()?;
    let mut stack = Stack::start(folder.path(), Options::default())?;
    let card = stack.new_card("card", LAB_SERIAL, Minor(5000))?;
    let buyer = stack.buyer(LAB_PIN)?;
    let path = recording.to_str().ok_or("a path of this test")?;
    refused(&stack, &["driver", "record", "lab", "--stop"], "NotRecording")?;
    done(&stack, &["driver", "record", "lab", path])?;
    let second = format!("{path}.second");
    refused(&stack, &["driver", "record", "lab", &second], "AlreadyRecording")?;
    ensure(!Path::new(&second).exists(), || {
        "a file that nothing is written to is taken away".to_owned()
    })?;
    let mut till = stack.till()?;
    till.begin_sale("order-1", 300)?;
    card.insert();
    let paid = till.wait_for_outcome("order-1", "paid")?;
    card.remove();
    drop(buyer);
    let stopped = done(&stack, &["driver", "record", "lab", "--stop"])?;
    ensure(stopped["recording"] == false, || format!("{stopped}"))?;
    stack.stop()?;
    let left = paid.slip.and_then(|slip| slip.balance_after);
    Ok(left.ok_or("a slip tells what is left")?.minor)
}

fn shows_no_secret(recording: &Path) -> Result<(), Fault> {
    let mode = fs::metadata(recording)?.permissions().mode() & 0o777;
    ensure(mode == 0o600, || format!("its owner's alone: {mode:o}"))?;
    let text = fs::read_to_string(recording)?;
    for (name, secret) in [
        ("the PIN", LAB_PIN.to_owned()),
        ("the purse id", hex_of(&LAB_SERIAL.0).to_uppercase()),
        (
            "the end of the purse id",
            hex_of(&LAB_SERIAL.0[4..]).to_uppercase(),
        ),
    ] {
        ensure(!text.to_uppercase().contains(&secret), || {
            format!("{name} stands in the recording:\n{text}")
        })?;
    }
    // The positive control: the same search finds what is shown.
    for shown in ["00200000*", "80540100*", "00B09500", "805001", "enter_pin", "##"] {
        ensure(text.contains(shown), || format!("{shown} is missing:\n{text}"))?;
    }
    Ok(())
}

/// Plays the recording to a new terminal's first sale over this amount; how the sale ends.
fn play(recording: &Path, purse_id: Option<&str>, minor: u64) -> Result<purser_api::model::Sale, Fault> {
    let folder = tempfile::tempdir()?;
    let mut stack = Stack::prepare(folder.path(), Options::default())?;
    let driver = replay_driver(&stack)?;
    let purse_id = purse_id
        .map(|id| format!("purse_id = \"{id}\"\n"))
        .unwrap_or_default();
    let text =
        format!("path = {driver:?}\ndevices = \"many\"\n[settings]\nrecording = {recording:?}\n{purse_id}");
    fs::write(stack.layout().config_dir().join("drivers.d/lab.toml"), text)?;
    stack.start_again()?;
    let mut till = stack.till()?;
    till.begin_sale("played", minor)?;
    let end = till.wait_for_end("played")?;
    stack.kill();
    Ok(end)
}

/// The replay driver in a folder of its own, with its manifest.
fn replay_driver(stack: &Stack) -> Result<PathBuf, Fault> {
    let built = Command::new(env!("CARGO"))
        .args(["build", "--package", "purser-replay"])
        .status()?;
    ensure(built.success(), || "the replay driver is built".to_owned())?;
    let beside = |name: &str| stack.programs().purserd.with_file_name(name);
    let folder = stack.layout().dir.join("replay-driver");
    fs::create_dir(&folder)?;
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o755))?;
    let driver = folder.join("libpurser_replay.so");
    fs::copy(beside("libpurser_replay.so"), &driver)?;
    let vouched = Command::new(beside("purser-driver-manifest"))
        .arg(&driver)
        .output()?;
    ensure(vouched.status.success(), || format!("{vouched:?}"))?;
    Ok(driver)
}
