//! A provider in a folder of its own, driven by the real program.

use std::path::PathBuf;
use std::process::{Command, Output};

use serde_json::Value;
use tempfile::TempDir;

pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_purser-provider");

/// The public keys of the lab: the same that its virtual cards have.
const CARD_KEYS: &str = "\
[[masters]]
version = 1
purchase = \"00112233445566778899AABBCCDDEEFF\"
load = \"0F1E2D3C4B5A69788796A5B4C3D2E1F0\"
tac = \"0123456789ABCDEFFEDCBA9876543210\"
";

/// The generator of P-256: a public key whose private half is 1.
pub(crate) const POINT: &str = "046b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296\
                                4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5";

pub(crate) const CARD: &str = "00000000202600000001";

/// A provider's folder.
pub(crate) struct Provider {
    pub(crate) folder: TempDir,
}

impl Provider {
    /// With its keys, and nothing else.
    pub(crate) fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let provider = Self { folder };
        let path = provider.path("provider");
        let path = path.to_str().unwrap();
        provider.done(&[
            "init",
            path,
            "--name",
            "provider.example",
            "--host",
            "localhost",
            "--host",
            "127.0.0.1",
            "--lab",
        ]);
        provider.write("provider/card-keys", CARD_KEYS, 0o600);
        provider
    }

    /// With a bank, a merchant, a key version and a card.
    pub(crate) fn furnished() -> Self {
        let provider = Self::new();
        provider.done(&[
            "bank",
            "add",
            "first",
            "--account",
            "000100110000001",
            "--sealing-key",
            POINT,
        ]);
        provider.done(&[
            "merchant",
            "add",
            "kiosk",
            "--bank",
            "first",
            "--account",
            "000100220000002",
        ]);
        provider.done(&["key", "version", "add", "1"]);
        let keys = provider.path("card.json");
        let keys = keys.to_str().unwrap();
        provider.done(&[
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
        provider
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str, mode: u32) {
        use std::os::unix::fs::PermissionsExt;
        std::fs::write(self.path(name), text).unwrap();
        std::fs::set_permissions(self.path(name), std::fs::Permissions::from_mode(mode)).unwrap();
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(PROGRAM);
        command.arg("--dir").arg(self.path("provider")).arg("--json");
        command
            .args(arguments)
            .env_remove("CREDENTIALS_DIRECTORY")
            .output()
            .unwrap()
    }

    /// Runs what has to succeed; the objects that it prints.
    pub(crate) fn done(&self, arguments: &[&str]) -> Vec<Value> {
        let output = self.run(arguments);
        let told = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(
            output.status.success(),
            "{arguments:?}: {told}{}",
            String::from_utf8_lossy(&output.stderr)
        );
        told.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    /// Runs what has to be refused; the name of the refusal.
    pub(crate) fn refused(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {output:?}");
        let fault: Value = serde_json::from_slice(&output.stdout).unwrap();
        for text in ["cause", "remedy"] {
            assert!(!fault[text].as_str().unwrap().is_empty(), "{fault}");
        }
        fault["error"].as_str().unwrap().to_owned()
    }
}

/// The program as a server: killed when it goes out of scope.
pub(crate) struct Serving {
    child: std::process::Child,
    pub(crate) address: std::net::SocketAddr,
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Provider {
    /// Starts the server on any free port and waits until it listens.
    pub(crate) fn serve(&self) -> Serving {
        self.serve_with(&[])
    }

    pub(crate) fn serve_with(&self, options: &[&str]) -> Serving {
        use std::io::BufRead;
        let mut command = Command::new(PROGRAM);
        command.arg("--dir").arg(self.path("provider")).args([
            "--json",
            "serve",
            "--listen",
            "127.0.0.1:0",
            "--body-seconds",
            "1",
        ]);
        command.args(options);
        command
            .env_remove("CREDENTIALS_DIRECTORY")
            .stdout(std::process::Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut line = String::new();
        std::io::BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        let told: Value = serde_json::from_str(&line).expect("serve tells where it listens");
        let address = told["listening"].as_str().unwrap().parse().unwrap();
        Serving { child, address }
    }

    pub(crate) fn authority(&self) -> Vec<u8> {
        std::fs::read(self.path("provider/authority.der")).unwrap()
    }

    /// A new terminal of the merchant, with a standing link; its enrolment code.
    pub(crate) fn till(&self, name: &str, number: &str) -> String {
        self.till_of("kiosk", name, number)
    }

    /// A new terminal of any merchant.
    pub(crate) fn till_of(&self, merchant: &str, name: &str, number: &str) -> String {
        self.added(merchant, name, number, "--standing-link")
    }

    /// A new terminal of the merchant with a software SAM and a standing link.
    pub(crate) fn software_till(&self, name: &str, number: &str) -> String {
        self.added("kiosk", name, number, "--software-sam")
    }

    fn added(&self, merchant: &str, name: &str, number: &str, option: &str) -> String {
        let link = (option != "--standing-link").then_some("--standing-link");
        let mut words = vec![
            "terminal",
            "add",
            name,
            "--role",
            "merchant",
            "--merchant",
            merchant,
            "--psam-number",
            number,
            "--bank-terminal",
            "KIOSK001",
            option,
        ];
        words.extend(link);
        let added = self.done(&words);
        added[0]["enrolment_code"].as_str().unwrap().to_owned()
    }
}
