//! A sale through the real pcscd with two slots of vsmartcard's virtual reader: the purse card in one, the PSAM in the
//! other, each behind an instance of the pcsc driver.

use std::env;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use e2e::buyer::Buyer;
use e2e::{Fault, ensure};
use purser_lab::card::{Minor, ScriptedFault, TerminalSn};
use purser_lab::claims;
use purser_lab::issuer::{LAB_PIN, LAB_SERIAL};
use purser_lab::psam::{FactorOrder, PsamFault, instruction};
use purser_lab::stack::{Options, PATIENCE, Programs, Stack};
use purser_lab::vpcd::{CardThread, Place, PsamThread};

const NAME: &str =
    "a_sale_with_card_and_psam_in_two_slots_of_pcscd_is_paid_and_survives_a_psam_that_loses_power";
/// Set inside the namespaces.
const INSIDE: &str = "PURSER_E2E_INSIDE";
const WITH_PCSCD: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../../plugins/pcsc/tests/with-pcscd.sh"
);
/// Where vpcd's two readers wait for a card, inside.
const READER: &str = "127.0.0.1:35963";
const PSAM_READER: &str = "127.0.0.1:35964";

#[test]
fn a_sale_with_card_and_psam_in_two_slots_of_pcscd_is_paid_and_survives_a_psam_that_loses_power()
-> Result<(), Fault> {
    if env::var_os(INSIDE).is_some() {
        return sell_through_two_slots();
    }
    // There is no network inside, so all is built before.
    let programs = Programs::build()?;
    let built = Command::new(env!("CARGO"))
        .args(["build", "--package", "purser-pcsc"])
        .status()?;
    ensure(built.success(), || {
        "the pcsc driver cannot be built; is libpcsclite-dev installed?".to_owned()
    })?;
    let status = Command::new(WITH_PCSCD)
        .arg(env::current_exe()?)
        .args([NAME, "--exact", "--nocapture", "--test-threads=1"])
        .env(INSIDE, programs.purserd.with_file_name("libpurser_pcsc.so"))
        .status()?;
    ensure(status.success(), || format!("inside the namespaces: {status}"))
}

fn sell_through_two_slots() -> Result<(), Fault> {
    let folder = tempfile::tempdir()?;
    let drop_in = "[pin.pads]\npcsc = \"lab/keypad\"\n[sam]\npsam = { reader = \"slot2\" }\n".to_owned();
    let options = Options {
        drop_in,
        psam: Some(FactorOrder::AsnFirst),
        ..Options::default()
    };
    let mut stack = Stack::prepare(folder.path(), options)?;
    let driver = copy_driver(&stack)?;
    for (name, reader) in [("pcsc", "Virtual PCD 00 00"), ("slot2", "Virtual PCD 00 01")] {
        let text = format!("path = {driver:?}\n[settings]\nreaders = [{reader:?}]\n");
        let file = stack.layout().config_dir().join("drivers.d").join(name);
        fs::write(file.with_extension("toml"), text)?;
    }
    let cards = stack.layout().cards_dir();
    drop(stack.new_card("card", LAB_SERIAL, Minor(1000))?);
    drop(stack.new_psam("psam")?);
    let card = CardThread::start(&cards.join("card"), READER.parse::<SocketAddr>()?)?;
    let psam = PsamThread::start(&cards.join("psam"), PSAM_READER.parse::<SocketAddr>()?)?;
    psam.insert();
    stack.start_again()?;
    let _buyer = Buyer::at(stack.layout().pad(), LAB_PIN.to_owned());
    let mut till = stack.till()?;
    for (reference, fault) in [
        ("healthy", None),
        (
            "power-lost-before-8070",
            Some((instruction::INITIALIZE, PsamFault::LosePowerBefore)),
        ),
        (
            "power-lost-before-8072",
            Some((instruction::CREDIT, PsamFault::LosePowerBefore)),
        ),
        ("healthy-again", None),
    ] {
        if let Some((instruction, fault)) = fault {
            psam.script(ScriptedFault::next(instruction, fault));
        }
        till.begin_sale(reference, 100)?;
        card.insert();
        if fault.is_some() {
            let is_out = psam.wait_until(Place::Away, PATIENCE);
            ensure(is_out, || format!("{reference}: the fault did not strike"))?;
            psam.insert();
        }
        let sale = till.wait_for_end(reference)?;
        println!(
            "{reference:<24} {:<9} {}",
            sale.outcome,
            sale.reason.as_deref().unwrap_or("")
        );
        ensure(
            sale.outcome == "paid" && sale.reader.as_deref() == Some("pcsc"),
            || format!("not paid through pcscd: {sale:?}"),
        )?;
        card.remove();
    }
    check(&mut stack, &card, &psam)
}

/// Four sales were paid once each, with terminal SNs that rise.
fn check(stack: &mut Stack, card: &CardThread, psam: &PsamThread) -> Result<(), Fault> {
    let state = stack.layout().state_dir();
    let (claims, used) = (claims::read(&state)?, claims::terminal_sns(&state)?);
    println!("terminal SNs {used:?}; {}", psam.status());
    ensure(
        claims.len() == 4 && claims.iter().all(|claim| claim.verified),
        || format!("four genuine claims are due: {claims:?}"),
    )?;
    ensure(used == [1, 2, 3, 4].map(TerminalSn), || {
        format!("terminal SNs: {used:?}")
    })?;
    let left = card.status().ep;
    ensure(left == Minor(600), || {
        format!("four payments were made, and {left} is left of 1000")
    })?;
    stack.stop()?;
    let verified = stack.run_verb(&["verify-journal"])?;
    ensure(verified.status.success(), || format!("{verified:?}"))
}

/// The pcsc driver with its manifest, in a folder that only its owner writes.
fn copy_driver(stack: &Stack) -> Result<PathBuf, Fault> {
    let built = PathBuf::from(env::var_os(INSIDE).ok_or("inside, it is set")?);
    let folder = stack.layout().dir.join("pcsc-driver");
    fs::create_dir(&folder)?;
    let driver = folder.join("libpurser_pcsc.so");
    fs::copy(&built, &driver)?;
    let vouched = Command::new(beside(&built, "purser-driver-manifest"))
        .arg(&driver)
        .status()?;
    ensure(vouched.success(), || "the driver has no manifest".to_owned())?;
    Ok(driver)
}

fn beside(built: &Path, program: &str) -> PathBuf {
    built.with_file_name(program)
}
