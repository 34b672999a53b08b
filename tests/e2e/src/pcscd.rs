//! The real pcscd with vsmartcard's virtual readers, in namespaces of its own (`plugins/pcsc/tests/with-pcscd.sh`).

use std::env;
use std::fs;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::thread;
use std::time::Instant;

use purser_lab::stack::{PATIENCE, Programs, Stack};

use crate::{Fault, ensure};

/// Set inside the namespaces, to the path of the pcsc driver.
const INSIDE: &str = "PURSER_E2E_INSIDE";
const WITH_PCSCD: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../../plugins/pcsc/tests/with-pcscd.sh"
);
/// Where pcscd listens, inside.
const PCSCD_SOCKET: &str = "/run/pcscd/pcscd.comm";
/// What it writes there.
const PCSCD_LOG: &str = "/run/pcscd/pcscd.log";
/// What pcscd calls vpcd's first reader.
pub const NAME: &str = "Virtual PCD 00 00";
/// What it calls the second.
pub const SECOND_NAME: &str = "Virtual PCD 00 01";
/// Where vpcd's first reader waits for a card, inside.
pub const READER: &str = "127.0.0.1:35963";
/// Where its second reader does.
pub const SECOND_READER: &str = "127.0.0.1:35964";

/// Runs `test` inside the namespaces, given the path of the pcsc driver. Outside, it runs this program again, inside, for the
/// test of this name.
///
/// # Errors
/// The test's own, or the namespaces cannot be made.
pub fn inside(name: &str, test: impl FnOnce(&Path) -> Result<(), Fault>) -> Result<(), Fault> {
    if let Some(driver) = env::var_os(INSIDE) {
        return test(Path::new(&driver));
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
        .args([name, "--exact", "--nocapture", "--test-threads=1"])
        .env(INSIDE, programs.purserd.with_file_name("libpurser_pcsc.so"))
        .status()?;
    ensure(status.success(), || format!("inside the namespaces: {status}"))
}

/// Adds a driver instance `pcsc` for vpcd's first reader to the stack's configuration.
///
/// # Errors
/// The driver cannot be installed.
pub fn add_driver(stack: &Stack, built: &Path) -> Result<(), Fault> {
    add_drivers(stack, built, &[("pcsc", NAME)])
}

/// Adds driver instances of these names, each for the reader that pcscd calls so.
///
/// # Errors
/// The driver cannot be installed.
pub fn add_drivers(stack: &Stack, built: &Path, instances: &[(&str, &str)]) -> Result<(), Fault> {
    let folder = stack.layout().dir.join("pcsc-driver");
    fs::create_dir(&folder)?;
    let driver = folder.join("libpurser_pcsc.so");
    fs::copy(built, &driver)?;
    let beside = |program: &str| -> PathBuf { built.with_file_name(program) };
    let vouched = Command::new(beside("purser-driver-manifest"))
        .arg(&driver)
        .status()?;
    ensure(vouched.success(), || "the driver has no manifest".to_owned())?;
    let drivers = stack.layout().config_dir().join("drivers.d");
    for (name, reader) in instances {
        let text = format!("path = {driver:?}\n[settings]\nreaders = [{reader:?}]\n");
        fs::write(drivers.join(name).with_extension("toml"), text)?;
    }
    Ok(())
}

/// Waits until pcscd has seen the card leave the reader that it calls so.
///
/// pcscd looks into a slot every 0.4 s. A card that failed in a command and is back before the next look was never gone for
/// the thread that looks, and not there for the rest of pcscd 1.9: it stays so until it is taken out once more. No hand is so
/// fast.
///
/// # Errors
/// It does not see that, or its log cannot be read.
pub fn wait_until_gone(reader: &str) -> Result<(), Fault> {
    let (came, went) = (
        format!("Card inserted into {reader}"),
        format!("Card Removed From {reader}"),
    );
    wait_until("pcscd has seen the card leave", || {
        fs::read_to_string(PCSCD_LOG).is_ok_and(|log| log.rfind(&went) >= log.rfind(&came))
    })
}

/// The pcscd of these namespaces.
#[derive(Debug)]
pub struct Pcscd {
    id: String,
    own: Option<Child>,
}

impl Pcscd {
    /// The one that runs.
    ///
    /// # Errors
    /// This is not inside.
    pub fn running() -> Result<Self, Fault> {
        Ok(Self {
            id: env::var("PURSER_PCSCD_PID")?,
            own: None,
        })
    }

    /// Ends it at once, and waits until nobody answers any more.
    ///
    /// # Errors
    /// It does not run.
    pub fn kill(&mut self) -> Result<(), Fault> {
        let killed = Command::new("kill").args(["-KILL", &self.id]).status()?;
        ensure(killed.success(), || "pcscd does not run".to_owned())?;
        wait_until("pcscd is dead", || UnixStream::connect(PCSCD_SOCKET).is_err())
    }

    /// Starts another, and waits until it answers.
    ///
    /// # Errors
    /// It does not start.
    pub fn start(&mut self) -> Result<(), Fault> {
        // What the one before has seen is not true of this one.
        fs::write(PCSCD_LOG, "")?;
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
