//! A private bus with a real dbus-daemon, and a client on it.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use purser_api::BusState;
use purser_api::dbus::{self, Bus, NAME, OBJECT};
use purser_api::model::INTERFACE;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::watch;
use zbus::{Connection, DynamicType, OwnedVariant, Type, connection};

use crate::shop::Shop;

pub(crate) type Dict = BTreeMap<String, OwnedVariant>;

/// A dbus-daemon that ends with this value.
pub(crate) struct PrivateBus {
    pub(crate) address: String,
    daemon: Child,
}

const CONFIGURATION: &str = r#"<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>system</type>
  <listen>unix:path=PATH</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow user="*"/><allow own="*"/>
    <allow send_type="method_call"/><allow send_type="signal"/>
    <allow send_requested_reply="true" send_type="method_return"/>
    <allow send_requested_reply="true" send_type="error"/>
    <allow receive_type="method_call"/><allow receive_type="signal"/>
    <allow receive_type="method_return"/><allow receive_type="error"/>
  </policy>
</busconfig>
"#;

impl PrivateBus {
    pub(crate) fn start(shop: &Shop) -> Self {
        let path = shop.path("bus");
        let path = path.to_str().expect("the path is a text");
        let file = shop.path("bus.conf");
        std::fs::write(&file, CONFIGURATION.replace("PATH", path)).expect("the folder is ours");
        let mut daemon = Command::new("dbus-daemon")
            .arg("--config-file")
            .arg(&file)
            .args(["--nofork", "--nopidfile", "--print-address"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("dbus-daemon is installed (package dbus)");
        let mut address = String::new();
        let out = daemon.stdout.take().expect("it was piped");
        BufReader::new(out)
            .read_line(&mut address)
            .expect("dbus-daemon prints its address");
        assert!(address.starts_with("unix:path="), "dbus-daemon did not start");
        // Without its guid: a bus that is started again has another one.
        let address = format!("unix:path={path}");
        Self { address, daemon }
    }

    /// Serves the shop on this bus and returns when the name is owned.
    pub(crate) async fn serve(&self, shop: &Shop) -> watch::Receiver<BusState> {
        let (sender, mut state) = watch::channel(BusState::Lost);
        let bus = Bus::Address(self.address.clone());
        let service = shop.service.clone();
        tokio::spawn(async move { dbus::serve(bus, service, sender).await });
        state
            .wait_for(|state| *state == BusState::Connected)
            .await
            .expect("the door goes on");
        state
    }

    pub(crate) fn stop(&mut self) {
        self.daemon.kill().expect("the bus is ours");
        self.daemon.wait().expect("the bus ends");
    }
}

impl Drop for PrivateBus {
    fn drop(&mut self) {
        self.stop();
    }
}

/// A client on the bus, as the user of this thread.
pub(crate) async fn client(address: &str) -> Connection {
    connection::Builder::address(address)
        .build()
        .await
        .expect("the bus lets us in")
}

/// Calls a method of ours: its reply, or the last part of its error's name with its text.
pub(crate) async fn call<A, R>(bus: &Connection, method: &str, arguments: &A) -> Result<R, (String, String)>
where
    A: Serialize + DynamicType,
    R: DeserializeOwned + Type,
{
    match bus
        .call_method(Some(NAME), OBJECT, Some(INTERFACE), method, arguments)
        .await
    {
        Ok(reply) => Ok(reply
            .body()
            .deserialize()
            .expect("the reply has the expected type")),
        Err(zbus::Error::MethodError(name, text, _)) => {
            let last = name
                .as_str()
                .strip_prefix("org.purser.Purser1.Error.")
                .unwrap_or(name.as_str());
            Err((last.to_owned(), text.unwrap_or_default()))
        }
        Err(zbus::Error::FDO(error)) => Err(("fdo".to_owned(), error.to_string())),
        Err(other) => panic!("{method}: {other}"),
    }
}

pub(crate) fn text(dict: &Dict, key: &str) -> String {
    let value = dict.get(key).unwrap_or_else(|| panic!("no {key} in {dict:?}"));
    <&str>::try_from(value).expect("it is a text").to_owned()
}
