//! What is checked, and how it comes into a driver host.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use purser_driver_wire::limits::WIRE_VERSION;
use purser_driver_wire::{LoadFault, LoadOrder, Sha256, Text, ToDaemon, ToHost};
use sha2::Digest;

use crate::bench::{Bench, foreign};
use crate::host::Host;
use crate::report::Broken;
use crate::vitals::Vitals;

/// Time to load the driver: it touches no device at that.
const LOAD_TIME: Duration = Duration::from_secs(5);
/// Why a driver could not be checked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotChecked {
    /// The driver cannot be read.
    #[error("{0} cannot be read: {1}; give the path of the built shared object")]
    Driver(PathBuf, io::Error),
    /// Its path is no UTF-8, or too long.
    #[error("{0} cannot be named to the driver host; move it to a shorter path in UTF-8")]
    Path(PathBuf),
    /// The settings cannot be read.
    #[error("{0} cannot be read: {1}")]
    Settings(PathBuf, io::Error),
    /// The settings are too long.
    #[error("the settings are longer than the contract allows")]
    TooLong,
    /// The driver host cannot be started.
    #[error("{0} cannot be started: {1}; build or install purser-driver-host, or name it with --host")]
    Host(PathBuf, io::Error),
    /// The driver host is of another release.
    #[error("the driver host is of another release; build both anew")]
    OtherRelease,
}

/// Where cards come from.
#[derive(Clone, Copy, Debug)]
pub(crate) enum CardSource {
    /// There are none.
    None,
    /// A person has one.
    Hand,
    /// A virtual one is put in at this address.
    Virtual(SocketAddr),
}

/// What is checked.
#[derive(Debug)]
pub(crate) struct Subject {
    path: Text<{ purser_driver_wire::limits::PATH_MAX_BYTES }>,
    sha256: Sha256,
    pub(crate) settings: String,
    pub(crate) card: CardSource,
    pub(crate) cycles: u32,
    host: PathBuf,
}

impl Subject {
    pub(crate) fn new(
        driver: &Path,
        settings: String,
        card: CardSource,
        host: PathBuf,
        cycles: u32,
    ) -> Result<Self, NotChecked> {
        let unreadable = |error| NotChecked::Driver(driver.to_owned(), error);
        let path = fs::canonicalize(driver).map_err(unreadable)?;
        let bytes = fs::read(&path).map_err(unreadable)?;
        let text = path
            .to_str()
            .and_then(|path| Text::try_from(path.to_owned()).ok());
        Ok(Self {
            path: text.ok_or(NotChecked::Path(path))?,
            sha256: Sha256(sha2::Sha256::digest(bytes).into()),
            settings,
            card,
            cycles,
            host,
        })
    }

    /// Loads the driver in a new driver host.
    pub(crate) fn load(&self) -> Result<Result<Bench, Broken>, NotChecked> {
        let host = Host::start(&self.host).map_err(|error| NotChecked::Host(self.host.clone(), error))?;
        let mut bench = Bench::around(host);
        bench.host.send(&ToHost::Load(LoadOrder {
            wire_version: WIRE_VERSION,
            path: self.path.clone(),
            sha256: self.sha256,
        }));
        let hello = match bench.answer(Instant::now() + LOAD_TIME) {
            Ok(Some(ToDaemon::Hello(hello))) => hello,
            Ok(Some(ToDaemon::NotLoaded { fault, detail })) => {
                return not_loaded(fault, detail.as_str()).map(Err);
            }
            Ok(Some(_)) => return Ok(Err(foreign("a message out of place at the load"))),
            Ok(None) => {
                let what = format!("it was not loaded within {LOAD_TIME:?}");
                return Ok(Err(Broken::new("L-2", what)));
            }
            // What ended the process, ended it before the driver was asked for anything.
            Err(broken) => return Ok(Err(Broken::new("L-2", format!("at the load: {}", broken.what)))),
        };
        bench.hello = Some(hello);
        bench.at_load = Some(Vitals::of(bench.host.id()));
        Ok(Ok(bench))
    }

    /// Loads the driver and makes an instance with its settings.
    pub(crate) fn start(&self) -> Result<Result<Bench, Broken>, NotChecked> {
        let mut bench = match self.load()? {
            Ok(bench) => bench,
            Err(broken) => return Ok(Err(broken)),
        };
        Ok(match bench.create(&self.settings)? {
            Ok(Ok(())) => Ok(bench),
            Ok(Err(failure)) => Err(Broken::new(
                "R-1",
                format!("create answered: {failure} (are the settings right?)"),
            )),
            Err(broken) => Err(broken),
        })
    }
}

fn not_loaded(fault: LoadFault, detail: &str) -> Result<Broken, NotChecked> {
    let clause = match fault {
        LoadFault::WireVersion => return Err(NotChecked::OtherRelease),
        LoadFault::Unreadable | LoadFault::Digest | LoadFault::Link | LoadFault::NoEntry => "L-1",
        LoadFault::BadTable => "G-2",
        LoadFault::Abi => "G-3",
    };
    Ok(Broken::named_in(detail).unwrap_or_else(|| Broken::new(clause, format!("{fault} {detail}"))))
}
