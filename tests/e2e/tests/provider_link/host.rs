//! A provider in a folder of its own, run by the real program.

use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use purser_lab::stack::Programs;
use serde_json::Value;
use tempfile::TempDir;

pub(crate) const NAME: &str = "provider.example";
pub(crate) const TILL: &str = "till-1";
pub(crate) const CARD: &str = "00000000202600000001";
/// The generator of P-256: a public key whose private half is 1.
const POINT: &str = "046b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296\
                     4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5";

/// The public keys of the lab: the same that its virtual cards have.
const CARD_KEYS: &str = "\
[[masters]]
version = 1
purchase = \"00112233445566778899AABBCCDDEEFF\"
load = \"0F1E2D3C4B5A69788796A5B4C3D2E1F0\"
tac = \"0123456789ABCDEFFEDCBA9876543210\"
";

/// A port that was free a moment ago.
pub(crate) fn free_address() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap()
}

/// A provider with a bank, a merchant, a card, and one till that waits for its enrolment.
pub(crate) struct Host {
    folder: TempDir,
    program: PathBuf,
    /// Where it listens whenever it runs.
    pub(crate) address: SocketAddr,
    pub(crate) code: String,
    running: Option<Child>,
}

impl Drop for Host {
    fn drop(&mut self) {
        self.kill();
    }
}

impl Host {
    /// With a till that is called at this address, or keeps a standing link.
    pub(crate) fn new(called_at: Option<SocketAddr>) -> Self {
        let mut host = Self {
            folder: TempDir::new().unwrap(),
            program: Programs::build().unwrap().provider.clone(),
            address: free_address(),
            code: String::new(),
            running: None,
        };
        let folder = host.path("provider");
        let folder = folder.to_str().unwrap().to_owned();
        host.done(&[
            "init",
            &folder,
            "--name",
            NAME,
            "--host",
            "localhost",
            "--host",
            "127.0.0.1",
            "--lab",
        ]);
        host.furnish();
        let address = called_at.map(|it| it.to_string());
        let reached: &[&str] = match &address {
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
            "000000000001",
            "--bank-terminal",
            "KIOSK001",
        ];
        let added = host.done(&[&add, reached].concat());
        host.code = added[0]["enrolment_code"].as_str().unwrap().to_owned();
        host
    }

    fn furnish(&self) {
        let file = self.path("provider/card-keys");
        std::fs::write(&file, CARD_KEYS).unwrap();
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
        self.done(&[
            "bank",
            "add",
            "first",
            "--account",
            "000100110000001",
            "--sealing-key",
            POINT,
        ]);
        self.done(&[
            "merchant",
            "add",
            "kiosk",
            "--bank",
            "first",
            "--account",
            "000100220000002",
        ]);
        self.done(&["key", "version", "add", "1"]);
        let keys = self.path("card.json");
        let keys = keys.to_str().unwrap();
        self.done(&[
            "card",
            "issue",
            "--serial",
            CARD,
            "--currency",
            "JPY",
            "--key-version",
            "1",
            "--keys-to",
            keys,
        ]);
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The folder of an operator who has lost nothing: its certificates and keys, for a server that lies.
    pub(crate) fn provider_folder(&self) -> PathBuf {
        self.path("provider")
    }

    pub(crate) fn authority(&self) -> PathBuf {
        self.path("provider/authority.der")
    }

    /// Runs what has to succeed; the objects that it prints.
    pub(crate) fn done(&self, arguments: &[&str]) -> Vec<Value> {
        let output = self.command().arg("--json").args(arguments).output().unwrap();
        let told = String::from_utf8_lossy(&output.stdout).into_owned();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {told}{said}");
        told.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.arg("--dir").arg(self.provider_folder());
        command.env_remove("CREDENTIALS_DIRECTORY");
        command
    }

    /// Serves at its address, and returns when it listens.
    pub(crate) fn serve(&mut self) {
        let address = self.address.to_string();
        let mut command = self.command();
        command.args(["--json", "serve", "--listen", &address]);
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        let told = child.stdout.take().unwrap();
        BufReader::new(told).read_line(&mut line).unwrap();
        self.running = Some(child);
        assert!(line.contains(&address), "serve tells where it listens: {line:?}");
    }

    /// Dies as in a power cut.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.running.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// What the provider owes by permits, in minor units. Its books balance.
    pub(crate) fn permitted(&self) -> i64 {
        let books = &self.done(&["liability"])[0];
        assert_eq!(books["is_balanced"], true, "{books}");
        books["permits"].as_i64().unwrap_or(0)
    }

    /// Everything that is stored agrees.
    pub(crate) fn audit(&self) {
        let audit = self.done(&["audit"]);
        assert_eq!(audit[0]["findings"], 0, "{audit:?}");
    }
}

/// What a configuration says of this provider, reached through this address.
pub(crate) fn toml(authority: &Path, address: SocketAddr, listen: Option<SocketAddr>) -> String {
    let mode = match listen {
        Some(listen) => format!("mode = \"answer\"\nlisten = \"{listen}\""),
        None => "mode = \"standing\"".to_owned(),
    };
    format!("[provider]\naddress = \"{address}\"\nauthority = {authority:?}\nname = \"{NAME}\"\n{mode}\n")
}
