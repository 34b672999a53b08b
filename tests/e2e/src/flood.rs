//! A user who means harm: it calls, connects, sends garbage and holds on to connections as fast as it is let, at both doors.

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use purser_api::model::MESSAGE_BYTES_MAX;
use rustix::process::{Gid, Uid};
use serde_json::{Value, json};

use crate::Fault;
use crate::bus::POS_GROUP;
use crate::raw::Raw;

/// The hostile user: daemon. A bus lets in whom the machine knows, and this one is on every Debian machine.
const USER: u32 = 1;
/// Connections of it that call.
const CALLERS: usize = 20;
/// Connections of it that are held and say nothing, or begin a message and never end it.
const HELD: usize = 8;
/// Connections of it that call over the bus.
const BUS_CALLERS: usize = 4;
/// Calls that each of those has on their way at a time.
const PIPELINED: usize = 8;
/// How often a caller that rests looks whether it is time again.
const REST: Duration = Duration::from_millis(5);
/// A loop without any pause takes the processor from everybody, whatever it does; that is the system's to divide, and not measured.
const BETWEEN_CONNECTIONS: Duration = Duration::from_millis(1);

/// The user at work. It stops when dropped.
#[derive(Debug)]
pub struct Flood {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    socket: PathBuf,
    bus: String,
    is_raging: AtomicBool,
    ends: AtomicBool,
    calls: AtomicU64,
    bus_calls: AtomicU64,
    connections: AtomicU64,
}

impl Flood {
    /// Lets the user in at a socket of this process's user and at the bus of this address, and starts it; it rests until
    /// [`Flood::rage`].
    ///
    /// # Errors
    /// This process is not root's.
    pub fn start(socket: &Path, bus: &str) -> Result<Self, Fault> {
        crate::ensure(rustix::process::geteuid().is_root(), || {
            "only root can become others".to_owned()
        })?;
        fs::set_permissions(socket, Permissions::from_mode(0o666))?;
        for folder in socket.ancestors().skip(1) {
            let mode = fs::metadata(folder)?.permissions().mode();
            if mode & 0o001 == 0 {
                fs::set_permissions(folder, Permissions::from_mode(mode | 0o055))?;
            }
        }
        let shared = Arc::new(Shared {
            socket: socket.to_owned(),
            bus: bus.to_owned(),
            is_raging: AtomicBool::new(false),
            ends: AtomicBool::new(false),
            calls: AtomicU64::new(0),
            bus_calls: AtomicU64::new(0),
            connections: AtomicU64::new(0),
        });
        // A bus lets in who may sell.
        let sellers = group_id(POS_GROUP)?;
        let mut threads = Vec::new();
        let works = (0..CALLERS).map(Work::Call).chain([Work::Hold, Work::Connect]);
        for work in works {
            let shared = Arc::clone(&shared);
            threads.push(thread::spawn(move || {
                become_user(USER, USER);
                shared.work(work);
            }));
        }
        for first in 0..BUS_CALLERS {
            let shared = Arc::clone(&shared);
            threads.push(thread::spawn(move || {
                become_user(USER, sellers);
                shared
                    .work_on_the_bus(first)
                    .expect("the bus takes every user in");
            }));
        }
        Ok(Self { shared, threads })
    }

    /// Lets it rage, or rest.
    pub fn rage(&self, is_raging: bool) {
        self.shared.is_raging.store(is_raging, Ordering::Relaxed);
    }

    /// Calls over the socket that were answered, refused or cut so far.
    pub fn calls(&self) -> u64 {
        self.shared.calls.load(Ordering::Relaxed)
    }

    /// Calls over the bus that were answered or refused so far.
    pub fn bus_calls(&self) -> u64 {
        self.shared.bus_calls.load(Ordering::Relaxed)
    }

    /// Connections that were made beside those calls.
    pub fn connections(&self) -> u64 {
        self.shared.connections.load(Ordering::Relaxed)
    }
}

impl Drop for Flood {
    fn drop(&mut self) {
        self.shared.ends.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            // One that panicked has told so itself.
            drop(thread.join());
        }
    }
}

#[derive(Clone, Copy, Debug)]
enum Work {
    /// Call, from this kind of call on.
    Call(usize),
    /// Hold connections.
    Hold,
    /// Connect and leave.
    Connect,
}

impl Shared {
    fn work(&self, work: Work) {
        let mut held = Vec::new();
        let mut kind = if let Work::Call(first) = work { first } else { 0 };
        let mut caller: Option<Raw> = None;
        while !self.ends.load(Ordering::Relaxed) {
            if !self.is_raging.load(Ordering::Relaxed) {
                thread::sleep(REST);
                continue;
            }
            match work {
                Work::Hold => {
                    if held.len() < HELD
                        && let Ok(mut raw) = Raw::connect(&self.socket)
                    {
                        // Half of them begin a call and never end it.
                        let begun = if held.len() % 2 == 0 {
                            &b"{\"method\":"[..]
                        } else {
                            b""
                        };
                        drop(raw.send_bytes(begun));
                        held.push(raw);
                    }
                    thread::sleep(REST);
                }
                Work::Connect => {
                    drop(Raw::connect(&self.socket));
                    self.connections.fetch_add(1, Ordering::Relaxed);
                    thread::sleep(BETWEEN_CONNECTIONS);
                }
                Work::Call(_) => {
                    caller = self.call(caller.take(), kind);
                    kind = kind.wrapping_add(1);
                }
            }
        }
    }

    /// Several calls at a time over the bus, in a runtime of this thread: a socket remembers the user of the thread that connected.
    fn work_on_the_bus(self: &Arc<Self>, first: usize) -> zbus::Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        runtime.block_on(async {
            let bus = zbus::connection::Builder::address(self.bus.as_str())
                .build()
                .await?;
            let mut kind = first;
            while !self.ends.load(Ordering::Relaxed) {
                if !self.is_raging.load(Ordering::Relaxed) {
                    // The connection's own work goes on.
                    tokio::time::sleep(REST).await;
                    continue;
                }
                let mut calls = tokio::task::JoinSet::new();
                for kind in kind..kind.wrapping_add(PIPELINED) {
                    let (shared, bus) = (Arc::clone(self), bus.clone());
                    calls.spawn(async move { shared.bus_call(&bus, kind).await });
                }
                calls.join_all().await;
                kind = kind.wrapping_add(PIPELINED);
            }
            Ok(())
        })
    }

    async fn bus_call(&self, bus: &zbus::Connection, kind: usize) {
        let (name, object) = (Some("org.purser.Purser1"), "/org/purser/Purser1");
        let attached = match kind % 8 {
            0 => bus.call_method(name, object, name, "GetInfo", &()).await,
            1 => {
                bus.call_method(name, object, name, "Journal", &(0_u64, 0_u32, ""))
                    .await
            }
            2 => {
                let sale = ("x".repeat(65), (1_u64, "JPY"), Options::new());
                bus.call_method(name, object, name, "BeginSale", &sale).await
            }
            3 => bus.call_method(name, object, name, "Attach", &"quiet-1").await,
            4 => bus.call_method(name, object, name, "Cancel", &"flooded-1").await,
            5 => bus.call_method(name, object, name, "Status", &()).await,
            6 => bus.call_method(name, object, name, "Watch", &"").await,
            _ => bus.call_method(name, object, name, "Unwatch", &"too much").await,
        };
        // What is answered is what the door thinks of it: refused or not, it was a call.
        drop(attached);
        self.bus_calls.fetch_add(1, Ordering::Relaxed);
    }

    /// One call; gives the connection back while it is good.
    fn call(&self, caller: Option<Raw>, kind: usize) -> Option<Raw> {
        let mut raw = match caller {
            Some(raw) => raw,
            None => Raw::connect(&self.socket).ok()?,
        };
        let answered = answered(&mut raw, kind);
        self.calls.fetch_add(1, Ordering::Relaxed);
        answered.then_some(raw)
    }
}

/// True while the connection can be used on.
fn answered(raw: &mut Raw, kind: usize) -> bool {
    let mut call = |method: &str, parameters: Value| {
        let sent = raw.send(method, &parameters, false);
        sent.is_ok() && matches!(raw.receive(), Ok(Some(_)))
    };
    let long = usize::try_from(MESSAGE_BYTES_MAX)
        .unwrap_or(usize::MAX)
        .saturating_add(1);
    match kind % 12 {
        0 => call("GetInfo", json!({})),
        1 => call("Journal", json!({ "after": 0 })),
        2 => call(
            "BeginSale",
            json!({ "reference": "x".repeat(65), "amount": { "minor": -1 } }),
        ),
        3 => call("Sell", json!({ "everything": true })),
        4 => call("Attach", json!({ "reference": "quiet-1" })),
        5 => call("Cancel", json!({ "reference": "flooded-1" })),
        6 => call("Status", json!({})),
        7 => call("Events", json!({ "after": 0, "limit": 200 })),
        8 => call("ReadPurse", json!({ "reader": "no-such-reader" })),
        9 => call("Totals", json!({})),
        10 => {
            // Longer than any message: the connection is cut.
            raw.send_bytes(&vec![b' '; long]).is_ok() && matches!(raw.receive(), Ok(Some(_)))
        }
        _ => raw.send_bytes(b"{\"method\":[[[[\0").is_ok() && matches!(raw.receive(), Ok(Some(_))),
    }
}

/// The options of a sale over the bus: none.
type Options = BTreeMap<&'static str, zbus::Variant<'static>>;

fn group_id(name: &str) -> Result<u32, Fault> {
    let groups = fs::read_to_string("/etc/group")?;
    let mut found = groups.lines().filter_map(|line| {
        let mut fields = line.split(':');
        (fields.next() == Some(name)).then(|| fields.nth(1))?
    });
    Ok(found
        .next()
        .ok_or("the group is on every Debian machine")?
        .parse()?)
}

/// Linux keeps credentials for each thread, and a socket remembers those of the thread that connected.
fn become_user(uid: u32, gid: u32) {
    let (gid, own) = (Gid::from_raw(gid), Uid::from_raw(uid));
    rustix::thread::set_thread_groups(&[]).expect("root may set groups");
    rustix::thread::set_thread_res_gid(gid, gid, gid).expect("root may set the group");
    rustix::thread::set_thread_res_uid(own, own, own).expect("root may become others");
}
