//! A sale through the real pcscd, with the lab's card behind vsmartcard's virtual reader.

use std::env;
use std::fs;
use std::net::SocketAddr;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::thread;
use std::time::Instant;

use e2e::buyer::Buyer;
use e2e::{Fault, ensure};
use purser_lab::card::{Fault as CardFault, Minor, ScriptedFault, instruction};
use purser_lab::issuer::{LAB_PIN, LAB_SERIAL};
use purser_lab::stack::{Options, PATIENCE, Programs, Stack};
use purser_lab::vpcd::CardThread;

const NAME: &str = "a_sale_through_pcscd_is_paid_and_survives_a_tear_and_a_restart_of_pcscd";
/// Set inside the namespaces.
const INSIDE: &str = "PURSER_E2E_INSIDE";
const WITH_PCSCD: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../../plugins/pcsc/tests/with-pcscd.sh"
);
/// Where pcscd listens, inside.
const PCSCD_SOCKET: &str = "/run/pcscd/pcscd.comm";
/// Where vpcd's first reader waits for a card, inside.
const READER: &str = "127.0.0.1:35963";

#[test]
fn a_sale_through_pcscd_is_paid_and_survives_a_tear_and_a_restart_of_pcscd() -> Result<(), Fault> {
    if env::var_os(INSIDE).is_some() {
        return sell_through_pcscd();
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

fn sell_through_pcscd() -> Result<(), Fault> {
    let folder = tempfile::tempdir()?;
    let drop_in = "[pin.pads]\npcsc = \"lab/keypad\"\n".to_owned();
    let mut stack = Stack::prepare(
        folder.path(),
        Options {
            drop_in,
            ..Options::default()
        },
    )?;
    add_pcsc_driver(&stack)?;
    drop(stack.new_card("card", LAB_SERIAL, Minor(1000))?);
    let card = CardThread::start(
        &stack.layout().cards_dir().join("card"),
        READER.parse::<SocketAddr>()?,
    )?;
    stack.start_again()?;
    let _buyer = Buyer::at(stack.layout().pad(), LAB_PIN.to_owned());
    let mut till = stack.till()?;

    till.begin_sale("order-1", 300)?;
    card.insert();
    let paid = till.wait_for_outcome("order-1", "paid")?;
    ensure(paid.reader.as_deref() == Some("pcsc"), || {
        format!("not through pcscd: {paid:?}")
    })?;
    card.remove();

    card.script(ScriptedFault::next(
        instruction::DEBIT,
        CardFault::TearAfterExecute,
    ));
    till.begin_sale("order-2", 500)?;
    card.insert();
    till.wait_for_outcome("order-2", "in_doubt")?;
    let mut pcscd = Pcscd::running()?;
    pcscd.kill()?;
    pcscd.start()?;
    card.insert();
    till.wait_for_outcome("order-2", "paid")?;
    card.remove();
    let left = card.status().ep;
    ensure(left == Minor(200), || {
        format!("two payments were made, and {left} is left of 1000")
    })?;
    stack.stop()?;
    let verified = stack.run_verb(&["verify-journal"])?;
    ensure(verified.status.success(), || format!("{verified:?}"))
}

/// Adds a driver instance `pcsc` for vpcd's first reader to the stack's configuration.
fn add_pcsc_driver(stack: &Stack) -> Result<(), Fault> {
    let built = PathBuf::from(env::var_os(INSIDE).ok_or("inside, it is set")?);
    let folder = stack.layout().dir.join("pcsc-driver");
    fs::create_dir(&folder)?;
    let driver = folder.join("libpurser_pcsc.so");
    fs::copy(&built, &driver)?;
    let beside = |program: &str| -> PathBuf { built.with_file_name(program) };
    let vouched = Command::new(beside("purser-driver-manifest"))
        .arg(&driver)
        .status()?;
    ensure(vouched.success(), || "the driver has no manifest".to_owned())?;
    write_driver_file(&stack.layout().config_dir(), &driver)
}

fn write_driver_file(config_dir: &Path, driver: &Path) -> Result<(), Fault> {
    let text = format!("path = {driver:?}\n[settings]\nreaders = [\"Virtual PCD 00 00\"]\n");
    Ok(fs::write(config_dir.join("drivers.d/pcsc.toml"), text)?)
}

/// The pcscd of these namespaces.
struct Pcscd {
    id: String,
    own: Option<Child>,
}

impl Pcscd {
    fn running() -> Result<Self, Fault> {
        Ok(Self {
            id: env::var("PURSER_PCSCD_PID")?,
            own: None,
        })
    }

    /// Ends it at once, and waits until nobody answers any more.
    fn kill(&mut self) -> Result<(), Fault> {
        let killed = Command::new("kill").args(["-KILL", &self.id]).status()?;
        ensure(killed.success(), || "pcscd does not run".to_owned())?;
        wait_until("pcscd is dead", || UnixStream::connect(PCSCD_SOCKET).is_err())
    }

    /// Starts another, and waits until it answers.
    fn start(&mut self) -> Result<(), Fault> {
        let child = Command::new(env::var("PURSER_WITH_PCSCD")?)
            .arg("--pcscd")
            .spawn()?;
        self.id = child.id().to_string();
        self.own = Some(child);
        wait_until("pcscd is back", || UnixStream::connect(PCSCD_SOCKET).is_ok())
    }
}

impl Drop for Pcscd {
    fn drop(&mut self) {
        if let Some(child) = &mut self.own {
            // The namespaces end with the test, and pcscd with them; this only takes its end notice.
            let _ = child.kill().and_then(|()| child.wait());
        }
    }
}

fn wait_until(what: &str, holds: impl Fn() -> bool) -> Result<(), Fault> {
    let end = Instant::now() + PATIENCE;
    while !holds() {
        ensure(Instant::now() < end, || format!("in vain: {what}"))?;
        thread::yield_now();
    }
    Ok(())
}
