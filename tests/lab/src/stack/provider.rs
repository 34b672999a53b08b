//! A provider host: the real purser-provider in a folder of its own, with a bank, a merchant, cards, and one till.

use std::ffi::OsString;
use std::fmt;
use std::fs;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;

use serde_json::Value;

use super::error::{StackError, io_error};
use super::layout::{CURRENCY, TERMINAL_NUMBER, free_port};
use super::programs::Programs;
use crate::card::Serial;
use crate::issuer::{
    LAB_KEY_VERSION, PUBLIC_LAB_LOAD_MASTER, PUBLIC_LAB_PURCHASE_MASTER, PUBLIC_LAB_TAC_MASTER,
};

/// The provider's name.
pub const PROVIDER: &str = "provider.example";
/// The name of its one till.
pub const TILL: &str = "till-1";
/// The highest price of a sale by its parameters, in minor units of the lab's currency.
pub const SALE_MAX: u64 = 50_000;
/// The same while they are too old.
pub const STALE_SALE_MAX: u64 = 5_000;
/// The generator of P-256: the public key whose private half is 1, so that a test can open what is sealed for the bank.
pub const BANK_KEY: &str = "046b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296\
                        4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5";

/// A provider that has the lab's keys. Dropping it kills its server and leaves the folder.
pub struct ProviderHost {
    programs: Arc<Programs>,
    dir: PathBuf,
    /// Where it serves whenever it runs.
    address: SocketAddr,
    called_at: Option<SocketAddr>,
    code: String,
    env: Vec<(OsString, OsString)>,
    running: Option<Child>,
}

impl fmt::Debug for ProviderHost {
    /// Without the enrolment code.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ProviderHost({} at {})", self.dir.display(), self.address)
    }
}

impl ProviderHost {
    /// Builds what is needed and makes the provider in a new folder. Its till is called at `called_at`, or keeps a standing
    /// link. It does not serve yet.
    ///
    /// # Errors
    /// [`StackError`]: a command of purser-provider failed; its words are in it.
    pub fn new(dir: &Path, cards: &[Serial], called_at: Option<SocketAddr>) -> Result<Self, StackError> {
        let mut host = Self {
            programs: Programs::build()?,
            dir: dir.to_owned(),
            address: free_port()?,
            called_at,
            code: String::new(),
            env: Vec::new(),
            running: None,
        };
        let folder = dir.to_string_lossy().into_owned();
        host.run(&[
            "init",
            &folder,
            "--name",
            PROVIDER,
            "--host",
            "localhost",
            "--host",
            "127.0.0.1",
            "--lab",
        ])?;
        host.put_keys()?;
        let account = "000100110000001";
        host.run(&[
            "bank",
            "add",
            "first",
            "--account",
            account,
            "--sealing-key",
            BANK_KEY,
        ])?;
        host.run(&[
            "merchant",
            "add",
            "kiosk",
            "--bank",
            "first",
            "--account",
            "000100220000002",
        ])?;
        let version = LAB_KEY_VERSION.to_string();
        host.run(&["key", "version", "add", &version])?;
        for card in cards {
            let serial = hex(&card.0);
            let keys = dir.join(format!("card-{serial}.json"));
            let keys = keys.to_string_lossy().into_owned();
            host.run(&[
                "card",
                "issue",
                "--serial",
                &serial,
                "--currency",
                CURRENCY,
                "--key-version",
                &version,
                "--keys-to",
                &keys,
            ])?;
        }
        host.permit()?;
        host.add_till()?;
        Ok(host)
    }

    /// Lets terminals sell: without limits of its own a currency is not sold in, and the lab's till has a software SAM.
    fn permit(&self) -> Result<(), StackError> {
        self.run(&["parameters", "set", "--software-sam", "allow"])?;
        let (most, when_stale) = (SALE_MAX.to_string(), STALE_SALE_MAX.to_string());
        self.run(&[
            "parameters",
            "currency",
            CURRENCY,
            "--sale-max",
            &most,
            "--stale-sale-max",
            &when_stale,
        ])?;
        Ok(())
    }

    /// A provider whose folder is there already, such as a copy of one that [`ProviderHost::new`] made for a till with a
    /// standing link. It serves at an address of its own; its certificate is good for that, too.
    ///
    /// # Errors
    /// [`StackError`]: the programs cannot be built.
    pub fn at(dir: &Path) -> Result<Self, StackError> {
        Ok(Self {
            programs: Programs::build()?,
            dir: dir.to_owned(),
            address: free_port()?,
            called_at: None,
            code: String::new(),
            env: Vec::new(),
            running: None,
        })
    }

    fn put_keys(&self) -> Result<(), StackError> {
        let text = format!(
            "[[masters]]\nversion = {LAB_KEY_VERSION}\npurchase = \"{}\"\nload = \"{}\"\ntac = \"{}\"\n",
            PUBLIC_LAB_PURCHASE_MASTER.to_hex(),
            PUBLIC_LAB_LOAD_MASTER.to_hex(),
            PUBLIC_LAB_TAC_MASTER.to_hex()
        );
        let path = self.dir.join("card-keys");
        fs::write(&path, text).map_err(io_error("write", &path))?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600))
            .map_err(io_error("set the mode of", &path))
    }

    fn add_till(&mut self) -> Result<(), StackError> {
        let number = TERMINAL_NUMBER;
        let called_at = self.called_at.map(|address| address.to_string());
        let way: &[&str] = match &called_at {
            Some(address) => &["--address", address],
            None => &["--standing-link"],
        };
        let add = [
            "terminal",
            "add",
            TILL,
            "--role",
            "merchant",
            "--merchant",
            "kiosk",
            "--psam-number",
            number,
            "--bank-terminal",
            "KIOSK001",
        ];
        let added = self.run(&[&add, way].concat())?;
        let code = added.first().and_then(|told| told["enrolment_code"].as_str());
        self.code = code.unwrap_or_default().to_owned();
        Ok(())
    }

    /// Where it serves whenever it runs.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves somewhere else from its next start on.
    pub fn move_to(&mut self, address: SocketAddr) {
        self.address = address;
    }

    /// The code with which the till enrols.
    pub fn code(&self) -> &str {
        &self.code
    }

    /// Adds a terminal that loads cards; the code with which it enrols. It is called at `called_at`, or keeps a standing link.
    ///
    /// # Errors
    /// [`StackError::Provider`]: there is one of this name.
    pub fn add_loader(&self, name: &str, called_at: Option<SocketAddr>) -> Result<String, StackError> {
        let called_at = called_at.map(|address| address.to_string());
        let way: &[&str] = match &called_at {
            Some(address) => &["--address", address],
            None => &["--standing-link"],
        };
        let added = self.run(&[&["terminal", "add", name, "--role", "provider"], way].concat())?;
        let code = added.first().and_then(|told| told["enrolment_code"].as_str());
        Ok(code.unwrap_or_default().to_owned())
    }

    /// Opens a load by hand, as if a bank had booked it at this terminal; its number.
    ///
    /// # Errors
    /// [`StackError::Provider`]: there is no such terminal.
    pub fn open_load(&self, terminal: &str, minor: u64) -> Result<String, StackError> {
        let mut number = [0; 16];
        getrandom::fill(&mut number).map_err(|_| StackError::Provider {
            command: "load open".to_owned(),
            told: "the system gives no random bytes".to_owned(),
        })?;
        let (number, minor) = (hex(&number).to_lowercase(), minor.to_string());
        let opened = [
            "load",
            "open",
            &number,
            "--terminal",
            terminal,
            "--amount",
            &minor,
        ];
        self.run(&[&opened[..], &["--currency", CURRENCY]].concat())?;
        Ok(number)
    }

    /// What purserd's configuration says of this provider, for the till.
    pub fn drop_in(&self) -> String {
        self.drop_in_at(self.called_at)
    }

    /// The same, for a terminal that is called at this address, or keeps a standing link.
    pub fn drop_in_at(&self, called_at: Option<SocketAddr>) -> String {
        let mode = match called_at {
            Some(listen) => format!("mode = \"answer\"\nlisten = \"{listen}\""),
            None => "mode = \"standing\"".to_owned(),
        };
        let authority = self.dir.join("authority.der");
        let address = self.address;
        format!(
            "[provider]\naddress = \"{address}\"\nauthority = {authority:?}\nname = \"{PROVIDER}\"\n{mode}\n"
        )
    }

    /// Runs a command of purser-provider; the objects that it prints.
    ///
    /// # Errors
    /// [`StackError::Provider`]: it failed.
    pub fn run(&self, arguments: &[&str]) -> Result<Vec<Value>, StackError> {
        let mut command = self.command();
        let ran = command.arg("--json").args(arguments).output();
        let output = ran.map_err(io_error("run", &self.programs.provider))?;
        let told = String::from_utf8_lossy(&output.stdout).into_owned();
        let lines: Result<Vec<Value>, _> = told.lines().map(serde_json::from_str).collect();
        match lines {
            Ok(lines) if output.status.success() => Ok(lines),
            _ => Err(StackError::Provider {
                command: arguments.join(" "),
                told: told + &String::from_utf8_lossy(&output.stderr),
            }),
        }
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.programs.provider);
        command.arg("--dir").arg(&self.dir);
        command.env_remove("CREDENTIALS_DIRECTORY");
        command
    }

    /// Environment of its server, added to this process's, from its next start on.
    pub fn set_env(&mut self, env: Vec<(OsString, OsString)>) {
        self.env = env;
    }

    /// The process id of its server; none while it was not started.
    pub fn id(&self) -> Option<u32> {
        self.running.as_ref().map(Child::id)
    }

    /// How its server has ended by itself; none while it runs, or was not started.
    ///
    /// # Errors
    /// [`StackError::Io`]: the system does not tell.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>, StackError> {
        let ended = self.running.as_mut().map(Child::try_wait).transpose();
        Ok(ended
            .map_err(io_error("wait for", &self.programs.provider))?
            .flatten())
    }

    /// Serves, and returns when it listens.
    ///
    /// # Errors
    /// [`StackError::Provider`]: it does not listen.
    pub fn serve(&mut self) -> Result<(), StackError> {
        let address = self.address.to_string();
        let mut command = self.command();
        command.args(["--json", "serve", "--listen", &address]);
        command.envs(self.env.iter().map(|(name, value)| (name, value)));
        let program = &self.programs.provider;
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(io_error("run", program))?;
        let mut line = String::new();
        let told = child.stdout.take().expect("standard output is a pipe");
        self.running = Some(child);
        BufReader::new(told)
            .read_line(&mut line)
            .map_err(io_error("hear", program))?;
        if line.contains(&address) {
            Ok(())
        } else {
            Err(StackError::Provider {
                command: "serve".to_owned(),
                told: line,
            })
        }
    }

    /// Its server dies as in a power cut.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.running.take() {
            // It may have ended by itself; either way it is gone.
            let _ = child.kill().and_then(|()| child.wait());
        }
    }
}

impl Drop for ProviderHost {
    fn drop(&mut self) {
        self.kill();
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02X}")).collect()
}
