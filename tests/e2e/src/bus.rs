//! A message bus of its own, with the rules that Purser's installation brings to the system bus.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::{Fault, ensure};

/// The part of the system bus's configuration that is not about starting services.
const SYSTEM: &str = r#"<busconfig>
  <type>system</type>
  <auth>EXTERNAL</auth>
  <listen>unix:path=SOCKET</listen>
  <policy context="default">
    <allow user="*"/>
    <deny own="*"/>
    <deny send_type="method_call"/>
    <allow send_type="signal"/>
    <allow send_requested_reply="true" send_type="method_return"/>
    <allow send_requested_reply="true" send_type="error"/>
    <allow receive_type="method_call"/>
    <allow receive_type="method_return"/>
    <allow receive_type="error"/>
    <allow receive_type="signal"/>
    <allow send_destination="org.freedesktop.DBus" send_interface="org.freedesktop.DBus"/>
  </policy>
  <include>RULES</include>
</busconfig>
"#;

/// The group that stands for `purser-pos` here: it is on every Debian machine, and nobody is in it.
pub const POS_GROUP: &str = "nogroup";

/// A running dbus-daemon. It is killed when dropped.
#[derive(Debug)]
pub struct Bus {
    child: Child,
    /// Where it is.
    pub address: String,
}

impl Bus {
    /// Starts one in this folder, which others must be able to enter.
    ///
    /// # Errors
    /// dbus-daemon is not installed or does not like its configuration.
    pub fn start(folder: &Path) -> Result<Self, Fault> {
        let rules = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../systemd/org.purser.Purser1.conf");
        let installed = fs::read_to_string(rules)?;
        // The accounts of an installation are not on this machine.
        let adapted = installed
            .replace("user=\"purser\"", "user=\"root\"")
            .replace("group=\"purser-pos\"", &format!("group=\"{POS_GROUP}\""))
            .replace("group=\"purser-operator\"", "group=\"root\"");
        let rules = folder.join("rules.conf");
        fs::write(&rules, adapted)?;
        let config = folder.join("bus.conf");
        let socket = folder.join("bus");
        let text = SYSTEM
            .replace("SOCKET", &socket.to_string_lossy())
            .replace("RULES", &rules.to_string_lossy());
        fs::write(&config, text)?;
        let mut child = Command::new("dbus-daemon")
            .arg(format!("--config-file={}", config.display()))
            .args(["--nofork", "--nopidfile", "--print-address=1"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("dbus-daemon cannot be run: {error}"))?;
        let told = child.stdout.take().ok_or("standard output is a pipe")?;
        let mut address = String::new();
        BufReader::new(told).read_line(&mut address)?;
        ensure(!address.is_empty(), || "dbus-daemon does not start".to_owned())?;
        let address = address.trim_end().to_owned();
        Ok(Self { child, address })
    }

    /// Kills it.
    ///
    /// # Errors
    /// It had ended before.
    pub fn kill(&mut self) -> Result<(), Fault> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }
}

impl Drop for Bus {
    fn drop(&mut self) {
        // Both fail only for one that has ended.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
