//! The folder of one stack, and what is written into it before purserd starts.
//!
//! ```text
//! DIR/config/purser.toml, purser.toml.d/*.toml, drivers.d/*.toml, sam.key
//! DIR/state/     the journal
//! DIR/run/       purserd's socket, the PIN pad's, the cable's, the readiness socket
//! DIR/cards/     cards that Stack::card made
//! DIR/purserd.log
//! ```

use std::collections::BTreeSet;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use super::Options;
use super::error::{StackError, io_error};
use crate::issuer::{LAB_ISSUER, Masters, purchase_key_file};

/// The PSAM terminal number of the stack's shop.
pub const TERMINAL_NUMBER: &str = "000000000001";
/// The currency of the lab's cards. It has no minor digits, so amounts read as they are.
pub const CURRENCY: &str = "JPY";
/// The driver of the first reader and of the PIN pad.
const DRIVER: &str = "lab";
/// The driver of the second reader: an instance of its own, so that its death leaves the first one alone.
const SECOND_DRIVER: &str = "second";
/// The first reader, as purserd calls it.
pub const READER: &str = "lab/reader";
/// The PIN pad.
pub const PIN_PAD: &str = "lab/keypad";
/// The second reader, where [`Options::second_reader`] asks for one.
pub const SECOND_READER: &str = "second/reader";

/// The driver of the PSAM's slot: an instance of its own, too.
const SAM_DRIVER: &str = "sam";
/// The PSAM's slot, where [`Options::psam`] asks for one.
pub const PSAM_READER: &str = "sam/psam";

/// Ports are taken from below the range that the kernel gives to outgoing connections (32768 and up on Linux), so that
/// nobody gets one in the moment before the driver listens.
const PORT_MIN: u16 = 20_000;
const PORTS: u16 = 12_000;
/// How many ports are tried: far more than programs that listen.
const PORT_TRIES: usize = 200;

/// What this process was given, and may not listen on yet.
static GIVEN: Mutex<BTreeSet<SocketAddr>> = Mutex::new(BTreeSet::new());

/// Where everything of one stack is.
#[derive(Clone, Debug)]
pub struct Layout {
    /// The stack's folder.
    pub dir: PathBuf,
    /// Port of the first reader.
    pub reader: SocketAddr,
    /// Port of the second reader. Nobody listens there unless it was asked for.
    pub second_reader: SocketAddr,
    /// Port of the PSAM's slot. Nobody listens there unless it was asked for.
    pub psam: SocketAddr,
}

impl Layout {
    /// Writes the configuration into `dir`, which may exist. A state folder that is there is kept.
    pub(super) fn prepare(dir: &Path, driver: &Path, options: &Options) -> Result<Self, StackError> {
        let layout = Self {
            dir: std::path::absolute(dir).map_err(io_error("find", dir))?,
            reader: free_port()?,
            second_reader: free_port()?,
            psam: free_port()?,
        };
        for folder in [
            &layout.config_dir().join("purser.toml.d"),
            &layout.config_dir().join("drivers.d"),
            &layout.state_dir(),
            &layout.run_dir(),
            &layout.cards_dir(),
        ] {
            let mut builder = fs::DirBuilder::new();
            let made = builder.recursive(true).mode(0o700).create(folder);
            made.map_err(io_error("make", folder))?;
        }
        let config = layout.config_dir();
        write(&layout.config(), &main_file(options), 0o644)?;
        write(
            &config.join("purser.toml.d/50-options.toml"),
            &options.drop_in,
            0o644,
        )?;
        if options.psam.is_none() {
            write(
                &config.join("sam.key"),
                &purchase_key_file(&Masters::public_lab()),
                0o600,
            )?;
        }
        let mut drivers = vec![(
            DRIVER,
            driver_file(
                driver,
                ("reader", layout.reader, "contactless"),
                Some((&layout.pad(), &layout.cable())),
            ),
        )];
        if options.second_reader {
            let slot = ("reader", layout.second_reader, "contactless");
            drivers.push((SECOND_DRIVER, driver_file(driver, slot, None)));
        }
        if options.psam.is_some() {
            let slot = ("psam", layout.psam, "contact");
            drivers.push((SAM_DRIVER, driver_file(driver, slot, None)));
        }
        for (name, text) in drivers {
            let path = config.join("drivers.d").join(name).with_extension("toml");
            write(&path, &text, 0o644)?;
        }
        Ok(layout)
    }

    /// The folder of the configuration.
    pub fn config_dir(&self) -> PathBuf {
        self.dir.join("config")
    }

    /// The main configuration file.
    pub fn config(&self) -> PathBuf {
        self.config_dir().join("purser.toml")
    }

    /// The state folder, which holds the journal.
    pub fn state_dir(&self) -> PathBuf {
        self.dir.join("state")
    }

    /// The run folder.
    pub fn run_dir(&self) -> PathBuf {
        self.dir.join("run")
    }

    /// The Varlink socket.
    pub fn socket(&self) -> PathBuf {
        self.run_dir().join(purser_api::model::INTERFACE)
    }

    /// The socket where somebody types at the PIN pad.
    pub fn pad(&self) -> PathBuf {
        self.run_dir().join("keypad")
    }

    /// The socket where somebody pulls the first reader's cable.
    pub fn cable(&self) -> PathBuf {
        self.run_dir().join("cable")
    }

    /// The folder of the cards.
    pub fn cards_dir(&self) -> PathBuf {
        self.dir.join("cards")
    }

    /// What purserd and its children said, over all starts.
    pub fn log(&self) -> PathBuf {
        self.dir.join("purserd.log")
    }
}

fn main_file(options: &Options) -> String {
    let mut pads = vec![(READER, PIN_PAD)];
    if options.second_reader {
        pads.push((SECOND_READER, PIN_PAD));
    }
    let table = |key: &str, value: toml::Value| toml::Table::from_iter([(key.to_owned(), value)]);
    let pads = pads
        .into_iter()
        .map(|(reader, pad)| (reader.to_owned(), pad.into()));
    let sections = [
        ("terminal", table("psam_terminal_number", TERMINAL_NUMBER.into())),
        ("issuers", table(&LAB_ISSUER.to_string(), CURRENCY.into())),
        ("pin", table("pads", toml::Table::from_iter(pads).into())),
        ("sam", sam_section(options)),
        ("bus", table("bus", options.bus.as_str().into())),
    ];
    let sections = sections
        .into_iter()
        .map(|(name, section)| (name.to_owned(), section.into()));
    toml::Table::from_iter(sections).to_string()
}

fn sam_section(options: &Options) -> toml::Table {
    let (key, value) = match options.psam {
        None => ("credential", "sam.key".into()),
        Some(order) => {
            let psam = [("reader", PSAM_READER), ("factor_order", order.name())];
            let psam = psam.map(|(key, value)| (key.to_owned(), value.into()));
            ("psam", toml::Table::from_iter(psam).into())
        }
    };
    toml::Table::from_iter([(key.to_owned(), value)])
}

/// A virtual reader with one slot (its name, its address and what kind of reader it plays), perhaps with a PIN pad and a
/// cable that somebody can pull.
fn driver_file(
    driver: &Path,
    slot: (&str, SocketAddr, &str),
    pad_and_cable: Option<(&Path, &Path)>,
) -> String {
    let (name, address, interface) = slot;
    let port = address.port();
    // Paths are written as TOML strings, whatever is in them.
    let quoted = |path: &Path| toml::Value::from(path.to_string_lossy().into_owned()).to_string();
    let mut text = format!(
        "path = {}\ndevices = \"many\"\n\n[[settings.slot]]\nname = \"{name}\"\nport = {port}\ninterface = \"{interface}\"\n",
        quoted(driver)
    );
    if let Some((pad, cable)) = pad_and_cable {
        text += &format!(
            "cable = {}\n\n[settings.pin_pad]\nname = \"keypad\"\nsocket = {}\n",
            quoted(cable),
            quoted(pad)
        );
    }
    text
}

fn write(path: &Path, text: &str, mode: u32) -> Result<(), StackError> {
    let write = || {
        let mut options = OpenOptions::new();
        let mut file = options
            .write(true)
            .create(true)
            .truncate(true)
            .mode(mode)
            .open(path)?;
        file.write_all(text.as_bytes())
    };
    write().map_err(io_error("write", path))
}

/// A port on which nobody listens, and that nobody else in this process was given.
///
/// # Errors
/// [`StackError::Io`]: none was found.
pub fn free_port() -> Result<SocketAddr, StackError> {
    let mut last = Err(std::io::ErrorKind::AddrInUse.into());
    for _ in 0..PORT_TRIES {
        let random = getrandom::u32().unwrap_or_else(|_| std::process::id());
        let offset =
            u16::try_from(random % u32::from(PORTS)).expect("the rest is smaller than the number of ports");
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, PORT_MIN + offset));
        if !GIVEN
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(address)
        {
            continue;
        }
        last = TcpListener::bind(address).map(|_| address);
        if last.is_ok() {
            break;
        }
    }
    last.map_err(io_error("find a free port on", Path::new("127.0.0.1")))
}
