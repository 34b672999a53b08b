//! A purserd with two readers: one behind a driver that misbehaves, and one where others go on buying.
//!
//! ```text
//! faulty   plugins/fault around the reader of plugins/example-c      the shop under attack
//! pad      a virtual PIN pad, for the shop under attack
//! lab      a virtual reader and PIN pad                              the neighbour
//! ```

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use purser_api::model::{Amount, BeginSaleArguments, Device, Sale};
use purser_lab::card::{Card, Minor, Opening, Serial};
use purser_lab::issuer::{LAB_PIN, Masters};
use purser_lab::stack::{CURRENCY, Options, PATIENCE, READER, Stack, Till};
use purser_lab::vpcd::CardThread;
use tempfile::TempDir;

use crate::buyer::Buyer;
use crate::world::{PRICE, WALLET};
use crate::{Fault, ensure};

/// The reader under attack, as purserd calls it.
pub const FAULTY: &str = "faulty";
/// The most time for one answer about a card, in milliseconds: short, so that a hang is over soon.
const ANSWER_MS: u64 = 2500;
/// Time to start a driver, in milliseconds. Long enough for a busy machine, since a start that hangs waits for it.
const START_MS: u64 = 2000;
/// How long a sale of the neighbour may take at most while a driver misbehaves: less than a hang of that driver, were it
/// felt. On an idle machine a sale takes about a tenth of a second.
pub const NEIGHBOUR_MAX: Duration = Duration::from_millis(2900);
/// How soon the neighbour's next buyer comes. Without a pause a driver tells more cards and digits than [E-5] allows, and is
/// killed for it.
const NEXT_BUYER: Duration = Duration::from_millis(40);
/// How often a state is looked at that nobody announces.
const LOOK_AGAIN: Duration = Duration::from_millis(3);

/// A driver under test, and how it is set.
#[derive(Clone, Debug, Default)]
pub struct Attack {
    /// What the compiler is told, such as `-DFAULT_ABI_MAJOR=2`.
    pub build: &'static [&'static str],
    /// The settings beside name and port.
    pub settings: String,
}

/// purserd, the shop under attack and the neighbour. The fields are dropped in this order.
#[derive(Debug)]
pub struct Shops {
    neighbour: Option<Neighbour>,
    /// purserd and its folders.
    pub stack: Stack,
    /// The card of the shop under attack.
    pub card: CardThread,
    _buyer: Buyer,
    folder: TempDir,
}

impl Shops {
    /// Starts all of it, with the neighbour selling.
    ///
    /// # Errors
    /// The compiler's, or the stack's own.
    pub fn open(attack: &Attack) -> Result<Self, Fault> {
        let folder = tempfile::tempdir()?;
        let pads = format!("[pin.pads]\n{FAULTY} = \"pad\"\n\"{READER}\" = \"lab/keypad\"\n");
        let options = Options {
            drop_in: pads,
            ..Options::default()
        };
        let stack = Stack::prepare(folder.path(), options)?;
        let layout = stack.layout().clone();
        let driver = install(&stack, folder.path(), "fault/fault.c", attack.build)?;
        let drivers = layout.config_dir().join("drivers.d");
        let port = layout.second_reader.port();
        let faulty = format!(
            "path = {driver:?}\nstart_ms = {START_MS}\nanswer_ms = {ANSWER_MS}\n[settings]\nport = {port}\n{}",
            attack.settings.replace("ARMED", &armed(folder.path()))
        );
        fs::write(drivers.join("faulty.toml"), faulty)?;
        let socket = layout.run_dir().join("pad");
        let pad = format!(
            "path = {:?}\n[settings.pin_pad]\nname = \"pad\"\nsocket = {socket:?}\n",
            stack.programs().driver
        );
        fs::write(drivers.join("pad.toml"), pad)?;
        let card = stack.put_card("victim", lab_card(1)?, layout.second_reader)?;
        let neighbour_card = stack.put_card("neighbour", lab_card(2)?, layout.reader)?;
        let buyer = Buyer::at(socket, LAB_PIN.to_owned());
        let mut shops = Self {
            neighbour: None,
            stack,
            card,
            _buyer: buyer,
            folder,
        };
        shops.stack.start_again()?;
        wait_for_device(&shops.stack, "pad", "ready", |device| device.state == "ready")?;
        shops.neighbour = Some(Neighbour::start(&shops.stack, neighbour_card)?);
        Ok(shops)
    }

    /// Lets the fault strike at the next occasion, once.
    ///
    /// # Errors
    /// The file system's.
    pub fn arm(&self) -> Result<(), Fault> {
        Ok(fs::write(armed(self.folder.path()), "")?)
    }

    /// Whether the fault has struck since it was armed.
    pub fn has_struck(&self) -> bool {
        !Path::new(&armed(self.folder.path())).exists()
    }

    /// A till.
    ///
    /// # Errors
    /// purserd does not answer.
    pub fn till(&self) -> Result<Till, Fault> {
        Ok(self.stack.till()?)
    }

    /// Begins a sale at the reader under attack, and waits until it is decided or in doubt. The card lies in the reader
    /// all the time, and is put back where the driver threw it out.
    ///
    /// # Errors
    /// purserd refuses, or nothing happens in time.
    pub fn sell(&self, reference: &str) -> Result<Sale, Fault> {
        let mut till = self.till()?;
        begin(&mut till, reference, FAULTY)?;
        self.card.insert();
        Ok(till.wait_for_end(reference)?)
    }

    /// Waits until a sale is decided for good: the card is put in, as often as it was thrown out.
    ///
    /// # Errors
    /// It stays undecided.
    pub fn decided(&self, reference: &str) -> Result<Sale, Fault> {
        let mut till = self.till()?;
        let end = Instant::now() + PATIENCE;
        loop {
            self.card.insert();
            let sale = till.attach(reference)?;
            if !matches!(sale.outcome.as_str(), "under_way" | "in_doubt") {
                return Ok(sale);
            }
            ensure(Instant::now() < end, || format!("it stays undecided: {sale:?}"))?;
            thread::sleep(LOOK_AGAIN);
        }
    }

    /// Waits until the device of the attacked driver is as wanted.
    ///
    /// # Errors
    /// It does not come so.
    pub fn device(&self, wanted: &str, is_wanted: impl Fn(&Device) -> bool) -> Result<Device, Fault> {
        wait_for_device(&self.stack, FAULTY, wanted, is_wanted)
    }

    /// Ends the neighbour's day.
    ///
    /// # Errors
    /// One of its sales failed.
    pub fn close_neighbour(&mut self) -> Result<Takings, Fault> {
        self.neighbour.take().ok_or("the neighbour went home")?.close()
    }
}

/// Waits until a device is as wanted.
///
/// # Errors
/// It does not come so.
pub fn wait_for_device(
    stack: &Stack,
    name: &str,
    wanted: &str,
    is_wanted: impl Fn(&Device) -> bool,
) -> Result<Device, Fault> {
    let mut till = stack.till()?;
    let end = Instant::now() + PATIENCE;
    loop {
        let devices = till.call(async |purser| purser.devices().await)?.devices;
        let found = devices.iter().find(|device| device.name == name);
        if let Some(device) = found.filter(|device| is_wanted(device)) {
            return Ok(device.clone());
        }
        ensure(Instant::now() < end, || {
            let log = stack.log().unwrap_or_default();
            format!("{name} is not {wanted}: {found:?}; the log:\n{log}")
        })?;
        // The API has no event for devices.
        thread::sleep(LOOK_AGAIN);
    }
}

/// Where the file that arms the fault lies.
fn armed(folder: &Path) -> String {
    folder.join("armed").to_string_lossy().into_owned()
}

fn lab_card(number: u8) -> Result<Card, Fault> {
    let serial = Serial([0, 0, 0, 0, 0, 0, 0, 0, 0, number]);
    let opening = Opening {
        ep: Minor(WALLET.try_into()?),
        ..Opening::default()
    };
    Ok(Card::new(
        Arc::new(Masters::public_lab().personalise(serial)),
        opening,
    ))
}

fn begin(till: &mut Till, reference: &str, reader: &str) -> Result<(), Fault> {
    let asked = BeginSaleArguments {
        reference: reference.to_owned(),
        amount: Amount {
            minor: PRICE,
            currency: CURRENCY.to_owned(),
        },
        reader: Some(reader.to_owned()),
        pin_through_api: None,
    };
    till.call(async |purser| purser.begin_sale(&asked).await)?;
    Ok(())
}

/// Compiles a driver of `plugins/`, puts it where only its owner writes, and writes its manifest.
///
/// A driver that is built otherwise than it should be has the manifest of the one that is right, which says that it is about
/// these bytes: what cannot be loaded gets no manifest, and a vendor's bad update comes with one.
///
/// # Errors
/// The compiler's or the manifest tool's.
pub fn install(stack: &Stack, folder: &Path, source: &str, build: &[&str]) -> Result<PathBuf, Fault> {
    let plain = install_plain(stack, source)?;
    if build.is_empty() {
        return Ok(plain);
    }
    let drivers = folder.join("drivers");
    fs::create_dir(&drivers)?;
    fs::set_permissions(&drivers, Permissions::from_mode(0o755))?;
    let driver = drivers.join("libtried.so");
    compile(source, build, &driver)?;
    let summed = Command::new("sha256sum").arg(&driver).output()?;
    let digest: String = String::from_utf8(summed.stdout)?.chars().take(64).collect();
    let text = fs::read_to_string(plain.with_extension("driver.toml"))?;
    let lines = text.lines().filter(|line| !line.starts_with("sha256"));
    let text: String = lines.map(|line| format!("{line}\n")).collect();
    fs::write(
        driver.with_extension("driver.toml"),
        format!("{text}sha256 = \"{digest}\"\n"),
    )?;
    Ok(driver)
}

/// The driver as it should be, beside the lab's own; built once by each test program.
fn install_plain(stack: &Stack, source: &str) -> Result<PathBuf, Fault> {
    static BUILT: Mutex<BTreeMap<String, PathBuf>> = Mutex::new(BTreeMap::new());
    let mut built = BUILT.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(driver) = built.get(source) {
        return Ok(driver.clone());
    }
    let name = Path::new(source)
        .file_stem()
        .unwrap_or_default()
        .to_string_lossy();
    let folder = stack.programs().driver.with_file_name(format!("tried-{name}"));
    fs::create_dir_all(&folder)?;
    fs::set_permissions(&folder, Permissions::from_mode(0o755))?;
    let driver = folder.join("libtried.so");
    let aside = folder.join("new.so");
    compile(source, &[], &aside)?;
    fs::rename(&aside, &driver)?;
    let tool = stack.programs().purserd.with_file_name("purser-driver-manifest");
    let made = Command::new(tool).arg(&driver).output()?;
    ensure(made.status.success(), || {
        String::from_utf8_lossy(&made.stderr).into_owned()
    })?;
    built.insert(source.to_owned(), driver.clone());
    Ok(driver)
}

fn compile(source: &str, build: &[&str], driver: &Path) -> Result<(), Fault> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let compiled = Command::new("cc")
        .args([
            "-std=gnu11",
            "-Wall",
            "-Wextra",
            "-Werror",
            "-shared",
            "-fPIC",
            "-pthread",
        ])
        .args(build)
        .arg("-I")
        .arg(root.join("plugin-api/include"))
        .arg("-o")
        .arg(driver)
        .arg(root.join("plugins").join(source))
        .output()?;
    fs::set_permissions(driver, Permissions::from_mode(0o755))?;
    ensure(compiled.status.success(), || {
        String::from_utf8_lossy(&compiled.stderr).into_owned()
    })
}

/// What the neighbour took.
#[derive(Clone, Copy, Debug, Default)]
pub struct Takings {
    /// How many sales were paid.
    pub paid: u64,
    /// The longest one.
    pub slowest: Duration,
    /// What the neighbour's card holds now, in minor units.
    pub left: u64,
}

/// A shop that sells one thing after the other at the good reader.
#[derive(Debug)]
struct Neighbour {
    goes_home: Arc<AtomicBool>,
    thread: Option<JoinHandle<Result<Takings, Fault>>>,
}

impl Neighbour {
    fn start(stack: &Stack, card: CardThread) -> Result<Self, Fault> {
        let mut till = stack.till()?;
        let buyer = Buyer::at(stack.layout().pad(), LAB_PIN.to_owned());
        let goes_home = Arc::new(AtomicBool::new(false));
        let home = Arc::clone(&goes_home);
        let thread = thread::spawn(move || {
            let _buyer = buyer;
            let mut takings = Takings::default();
            while !home.load(Ordering::Relaxed) {
                let reference = format!("neighbour-{}", takings.paid);
                let begun = Instant::now();
                begin(&mut till, &reference, READER)?;
                card.insert();
                let sale = till.wait_for_end(&reference)?;
                takings.slowest = takings.slowest.max(begun.elapsed());
                ensure(sale.outcome == "paid", || format!("the neighbour's {sale:?}"))?;
                takings.paid += 1;
                card.remove();
                thread::sleep(NEXT_BUYER);
            }
            takings.left = u64::from(card.status().ep.0);
            Ok(takings)
        });
        Ok(Self {
            goes_home,
            thread: Some(thread),
        })
    }

    fn close(mut self) -> Result<Takings, Fault> {
        self.end().ok_or("the neighbour went home twice")?
    }

    fn end(&mut self) -> Option<Result<Takings, Fault>> {
        self.goes_home.store(true, Ordering::Relaxed);
        let thread = self.thread.take()?;
        Some(
            thread
                .join()
                .unwrap_or_else(|_| Err("the neighbour's shop fell down".into())),
        )
    }
}

impl Drop for Neighbour {
    fn drop(&mut self) {
        // What went wrong with it is the second fault of a test that has failed already.
        drop(self.end());
    }
}
