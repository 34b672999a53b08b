//! Users who mean harm: they call, connect, send garbage and hold on to connections as fast as they are let.

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
use crate::raw::Raw;

/// The hostile users. None of them is on any machine.
pub const USERS: [u32; 4] = [61_001, 61_002, 61_003, 61_004];
/// Connections of each user that call.
const CALLERS: usize = 20;
/// Connections of each user that are held and say nothing, or begin a message and never end it.
const HELD: usize = 8;
/// How often a caller that rests looks whether it is time again.
const REST: Duration = Duration::from_millis(5);

/// The users at work. They stop when dropped.
#[derive(Debug)]
pub struct Flood {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    socket: PathBuf,
    is_raging: AtomicBool,
    ends: AtomicBool,
    calls: AtomicU64,
    connections: AtomicU64,
}

impl Flood {
    /// Lets the users in at a socket of this process's user, and starts them; they rest until [`Flood::rage`].
    ///
    /// # Errors
    /// This process is not root's.
    pub fn start(socket: &Path) -> Result<Self, Fault> {
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
            is_raging: AtomicBool::new(false),
            ends: AtomicBool::new(false),
            calls: AtomicU64::new(0),
            connections: AtomicU64::new(0),
        });
        let mut threads = Vec::new();
        for uid in USERS {
            let works = (0..CALLERS).map(Work::Call).chain([Work::Hold, Work::Connect]);
            for work in works {
                let shared = Arc::clone(&shared);
                threads.push(thread::spawn(move || shared.work(uid, work)));
            }
        }
        Ok(Self { shared, threads })
    }

    /// Lets them rage, or rest.
    pub fn rage(&self, is_raging: bool) {
        self.shared.is_raging.store(is_raging, Ordering::Relaxed);
    }

    /// Calls that were answered, refused or cut so far.
    pub fn calls(&self) -> u64 {
        self.shared.calls.load(Ordering::Relaxed)
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
    fn work(&self, uid: u32, work: Work) {
        become_user(uid);
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
                }
                Work::Call(_) => {
                    caller = self.call(caller.take(), kind);
                    kind = kind.wrapping_add(1);
                }
            }
        }
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

/// Linux keeps credentials for each thread, and a socket remembers those of the thread that connected.
fn become_user(uid: u32) {
    let (gid, own) = (Gid::from_raw(uid), Uid::from_raw(uid));
    rustix::thread::set_thread_groups(&[]).expect("root may set groups");
    rustix::thread::set_thread_res_gid(gid, gid, gid).expect("root may set the group");
    rustix::thread::set_thread_res_uid(own, own, own).expect("root may become others");
}
