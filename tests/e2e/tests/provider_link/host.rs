//! A provider in a folder of its own, run by the real program.

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};

use purser_lab::issuer::LAB_SERIAL;
use purser_lab::stack::{PROVIDER, ProviderHost};
use serde_json::Value;
use tempfile::TempDir;

pub(crate) const NAME: &str = PROVIDER;
pub(crate) use purser_lab::stack::TILL;
/// The serial number of the lab's first card.
pub(crate) const CARD: &str = "00000000202600000001";

/// A port that was free a moment ago.
pub(crate) fn free_address() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap()
}

/// A provider with a bank, a merchant, a card, and one till that waits for its enrolment.
pub(crate) struct Host {
    host: ProviderHost,
    folder: TempDir,
    /// Where it listens whenever it runs.
    pub(crate) address: SocketAddr,
    pub(crate) code: String,
}

impl Host {
    /// With a till that is called at this address, or keeps a standing link.
    pub(crate) fn new(called_at: Option<SocketAddr>) -> Self {
        let folder = TempDir::new().unwrap();
        let host = ProviderHost::new(&folder.path().join("provider"), &[LAB_SERIAL], called_at).unwrap();
        Self {
            address: host.address(),
            code: host.code().to_owned(),
            host,
            folder,
        }
    }

    /// The folder of an operator who has lost nothing: its certificates and keys, for a server that lies.
    pub(crate) fn provider_folder(&self) -> PathBuf {
        self.folder.path().join("provider")
    }

    pub(crate) fn authority(&self) -> PathBuf {
        self.provider_folder().join("authority.der")
    }

    /// Runs what has to succeed; the objects that it prints.
    pub(crate) fn done(&self, arguments: &[&str]) -> Vec<Value> {
        self.host.run(arguments).unwrap()
    }

    /// Serves at its address, and returns when it listens.
    pub(crate) fn serve(&mut self) {
        self.host.move_to(self.address);
        self.host.serve().unwrap();
    }

    /// Dies as in a power cut.
    pub(crate) fn kill(&mut self) {
        self.host.kill();
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
