//! A running purserd with everything around it: configuration, virtual readers, a PIN pad, cards, a till.
//!
//! ```no_run
//! use purser_lab::card::Minor;
//! use purser_lab::issuer::{LAB_PIN, LAB_SERIAL};
//! use purser_lab::stack::{Options, Stack};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let folder = tempfile::tempdir()?;
//! let mut stack = Stack::start(folder.path(), Options::default())?;
//! let card = stack.new_card("alice", LAB_SERIAL, Minor(1000))?;
//! let mut till = stack.till()?;
//! till.begin_sale("order-1", 300)?;
//! let buyer = stack.buyer(LAB_PIN)?;
//! card.insert();
//! assert_eq!(till.wait_for_end("order-1")?.outcome, "paid");
//! stack.kill();
//! stack.start_again()?;
//! stack.stop()?;
//! # Ok(())
//! # }
//! ```
//! A stack needs no root, no bus and no network but the loopback. What it starts dies with it.

mod daemon;
mod error;
mod layout;
mod pad;
mod programs;
mod provider;
mod till;

use std::ffi::OsString;
use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Output};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use crate::card::{Card, Minor, Opening, Serial, TerminalSn};
use crate::issuer::Masters;
use crate::psam::{FactorOrder, Psam, PsamPersonalisation};
use crate::store::{CardFile, PsamFile};
use crate::vpcd::{CardThread, PsamThread};
use daemon::Daemon;
use error::io_error;

pub use error::StackError;
pub use layout::{CURRENCY, Layout, PIN_PAD, PSAM_READER, READER, SECOND_READER, TERMINAL_NUMBER, free_port};
pub use pad::{Buyer, Prompt, Typist};
pub use programs::Programs;
pub use provider::{BANK_KEY, PROVIDER, ProviderHost, SALE_MAX, STALE_SALE_MAX, TILL};
pub use till::{Till, Watch};

/// How long the stack waits for what must happen. It is never waited out where all is well; a machine with other work to
/// do has to fit in.
pub const PATIENCE: Duration = Duration::from_secs(30);
/// How often a state is looked at that nobody announces.
const LOOK_AGAIN: Duration = Duration::from_millis(2);

/// What a test wants otherwise.
#[derive(Clone, Debug)]
pub struct Options {
    /// Text of a drop-in that wins over the stack's own configuration.
    pub drop_in: String,
    /// Environment of purserd, added to this process's.
    pub env: Vec<(OsString, OsString)>,
    /// A command that runs purserd, such as `strace -f -o FILE`; none: purserd is run itself.
    pub prefix: Vec<OsString>,
    /// An empty folder into which the programs are copied first: another user need not reach where cargo built them.
    pub programs_dir: Option<PathBuf>,
    /// `off`, `system`, or a bus address.
    pub bus: String,
    /// Whether there is a second reader, behind a driver instance of its own.
    pub second_reader: bool,
    /// Whether the purchase key is in a PSAM in a slot of its own, and the order in which that PSAM takes factors; none:
    /// it is in a credential.
    pub psam: Option<FactorOrder>,
    /// What purserd logs.
    pub log: String,
}

impl Default for Options {
    /// No bus, one reader, nothing in between.
    fn default() -> Self {
        Self {
            drop_in: String::new(),
            env: Vec::new(),
            prefix: Vec::new(),
            programs_dir: None,
            bus: "off".to_owned(),
            second_reader: false,
            psam: None,
            log: "info".to_owned(),
        }
    }
}

/// A purserd in a folder of its own, and what is around it. Dropping it kills purserd and leaves the folder.
#[derive(Debug)]
pub struct Stack {
    programs: Arc<Programs>,
    layout: Layout,
    options: Options,
    daemon: Option<Daemon>,
}

impl Stack {
    /// Builds what is needed, writes the configuration into `dir` and starts purserd; returns when a reader works. A
    /// state folder that is in `dir` already is kept.
    ///
    /// # Errors
    /// [`StackError`] says at which step and shows the end of purserd's log.
    pub fn start(dir: &Path, options: Options) -> Result<Self, StackError> {
        let mut stack = Self::prepare(dir, options)?;
        stack.start_again()?;
        Ok(stack)
    }

    /// Does all of [`Stack::start`] but start purserd.
    ///
    /// # Errors
    /// As [`Stack::start`].
    pub fn prepare(dir: &Path, options: Options) -> Result<Self, StackError> {
        let mut programs = Programs::build()?;
        if let Some(folder) = &options.programs_dir {
            programs = Arc::new(programs.copy_to(folder)?);
        }
        let layout = Layout::prepare(dir, &programs.driver, &options)?;
        Ok(Self {
            programs,
            layout,
            options,
            daemon: None,
        })
    }

    /// Starts purserd on the same folder and returns when a reader works.
    ///
    /// # Errors
    /// [`StackError::Running`], or as [`Stack::start`].
    pub fn start_again(&mut self) -> Result<(), StackError> {
        if self.daemon.is_some() {
            return Err(StackError::Running);
        }
        let Layout {
            reader,
            second_reader,
            psam,
            ..
        } = self.layout;
        for reader in [reader, second_reader, psam] {
            wait_until_free(reader)?;
        }
        self.daemon = Some(Daemon::start(
            &self.programs.purserd,
            &self.layout,
            &self.options,
        )?);
        self.wait_for_readers()
    }

    /// Asks purserd to stop, and waits for its clean end.
    ///
    /// # Errors
    /// [`StackError::NotClean`] with its exit status, [`StackError::TooLate`] or [`StackError::NotRunning`].
    pub fn stop(&mut self) -> Result<(), StackError> {
        self.daemon.take().ok_or(StackError::NotRunning)?.stop()
    }

    /// Kills purserd without warning, if it runs. When this returns, nothing of it is left.
    pub fn kill(&mut self) {
        if let Some(daemon) = self.daemon.take() {
            daemon.kill();
        }
    }

    /// Waits until purserd has ended by itself.
    ///
    /// # Errors
    /// [`StackError::TooLate`] or [`StackError::NotRunning`].
    pub fn wait_for_end(&mut self, time: Duration) -> Result<ExitStatus, StackError> {
        self.daemon.take().ok_or(StackError::NotRunning)?.wait(time)
    }

    /// The process id of purserd itself; none while it does not run.
    pub fn purserd_id(&self) -> Option<u32> {
        let pid = self.daemon.as_ref()?.id()?;
        u32::try_from(pid.as_raw_pid()).ok()
    }

    /// Changes what the next start takes: prefix, environment and log. Configuration is written once, by
    /// [`Stack::prepare`].
    pub fn options_mut(&mut self) -> &mut Options {
        &mut self.options
    }

    /// Where everything is.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// The programs.
    pub fn programs(&self) -> &Programs {
        &self.programs
    }

    /// A till.
    ///
    /// # Errors
    /// [`StackError::Call`]: purserd does not run.
    pub fn till(&self) -> Result<Till, StackError> {
        Till::connect(&self.layout)
    }

    /// A buyer at the PIN pad who types this PIN whenever it asks.
    ///
    /// # Errors
    /// [`StackError::Io`]: the driver does not run.
    pub fn buyer(&self, digits: &str) -> Result<Buyer, StackError> {
        self.typist()?.keep_entering(digits)
    }

    /// A finger at the PIN pad, to be led key by key. The pad forgets the one before.
    ///
    /// # Errors
    /// [`StackError::Io`]: the driver does not run.
    pub fn typist(&self) -> Result<Typist, StackError> {
        Typist::step_up(&self.layout.pad())
    }

    /// Makes a lab card with money in its wallet and holds it before the first reader.
    ///
    /// # Errors
    /// [`StackError::Card`]: there is one of that name already.
    pub fn new_card(&self, name: &str, serial: Serial, wallet: Minor) -> Result<CardThread, StackError> {
        let personalisation = Masters::public_lab().personalise(serial);
        let opening = Opening {
            ep: wallet,
            ..Opening::default()
        };
        self.put_card(
            name,
            Card::new(Arc::new(personalisation), opening),
            self.layout.reader,
        )
    }

    /// Stores any card and holds it before a reader.
    ///
    /// # Errors
    /// As [`Stack::new_card`].
    pub fn put_card(&self, name: &str, card: Card, reader: SocketAddr) -> Result<CardThread, StackError> {
        let path = self.layout.cards_dir().join(name);
        drop(CardFile::create(&path, card)?);
        Ok(CardThread::start(&path, reader)?)
    }

    /// Makes a lab PSAM that takes factors in the order of [`Options::psam`] and holds it before its slot.
    ///
    /// # Errors
    /// As [`Stack::new_card`].
    pub fn new_psam(&self, name: &str) -> Result<PsamThread, StackError> {
        let personalisation = PsamPersonalisation {
            factor_order: self.options.psam.unwrap_or_default(),
            ..Masters::public_lab().personalise_psam()
        };
        self.put_psam(name, Psam::new(Arc::new(personalisation), TerminalSn(0)))
    }

    /// Stores any PSAM and holds it before its slot.
    ///
    /// # Errors
    /// As [`Stack::new_card`].
    pub fn put_psam(&self, name: &str, psam: Psam) -> Result<PsamThread, StackError> {
        let path = self.layout.cards_dir().join(name);
        drop(PsamFile::create(&path, psam)?);
        Ok(PsamThread::start(&path, self.layout.psam)?)
    }

    /// Runs a verb of purserd on this stack's folders, such as `verify-journal`, and waits for its end.
    ///
    /// # Errors
    /// [`StackError::Io`]: it cannot be run at all.
    pub fn run_verb(&self, arguments: &[&str]) -> Result<Output, StackError> {
        let program = &self.programs.purserd;
        let mut command = Command::new(program);
        let ran = command
            .args(arguments)
            .args(daemon::arguments(&self.layout))
            .output();
        ran.map_err(io_error("run", program))
    }

    /// Everything that purserd and its children have said so far, over all starts.
    ///
    /// # Errors
    /// [`StackError::Io`]: it was never started.
    pub fn log(&self) -> Result<String, StackError> {
        let path = self.layout.log();
        let read = fs::read(&path).map_err(io_error("read", &path))?;
        Ok(String::from_utf8_lossy(&read).into_owned())
    }

    /// Waits until every reader that was asked for works, and the PIN pad, and until the PSAM's slot is there.
    fn wait_for_readers(&self) -> Result<(), StackError> {
        let mut wanted = vec![READER, PIN_PAD];
        wanted.extend(self.options.second_reader.then_some(SECOND_READER));
        let mut till = self.till()?;
        let end = Instant::now() + PATIENCE;
        loop {
            let devices = till.call(async |purser| purser.devices().await)?.devices;
            let is_ready = |name: &&str| devices.iter().any(|it| it.name == **name && it.state == "ready");
            // Its state is the PSAM's, which may not be in it.
            let has_slot = || {
                devices
                    .iter()
                    .any(|it| it.name == PSAM_READER && it.card_present.is_some())
            };
            if wanted.iter().all(is_ready) && (self.options.psam.is_none() || has_slot()) {
                return Ok(());
            }
            let is_of = |driver: &str| wanted.iter().any(|name| name.split('/').next() == Some(driver));
            let has_failed = devices.iter().any(|it| it.state == "failed" && is_of(&it.name));
            if Instant::now() > end || has_failed {
                return Err(StackError::TooLate {
                    awaited: format!("a ready reader (devices: {devices:?})"),
                    time: PATIENCE,
                    log: daemon::tail(&self.layout.log()),
                });
            }
            // The API has no event for devices.
            thread::sleep(LOOK_AGAIN);
        }
    }
}

/// A driver host of a purserd that was killed a moment ago may still listen.
fn wait_until_free(address: SocketAddr) -> Result<(), StackError> {
    let end = Instant::now() + PATIENCE;
    loop {
        match TcpListener::bind(address) {
            Ok(_) => return Ok(()),
            Err(error) if error.kind() == std::io::ErrorKind::AddrInUse && Instant::now() < end => {
                thread::sleep(LOOK_AGAIN);
            }
            Err(error) => return Err(io_error("listen at", Path::new(&address.to_string()))(error)),
        }
    }
}
