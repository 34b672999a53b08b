//! What the end-to-end tests share: drivers in folders of their own, and a supervisor on a bench.
#![allow(dead_code, reason = "each test file uses its part")]

pub(crate) mod shop;

use std::fs::{self, Permissions};
use std::future::Future;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use purser_driver_supervisor::wire::{Call, CallId, Card, Reply, SlotId};
use purser_driver_supervisor::{CallError, DriverConfig, DriverEvent, Handle, Spawner, Supervisor, manifest};
use tempfile::TempDir;
use tokio::sync::mpsc::Receiver;
use tokio::time::timeout;

/// Far more than anything here takes; a test that waits so long has failed.
pub(crate) const LONG: Duration = Duration::from_secs(20);

pub(crate) fn host_program() -> PathBuf {
    PathBuf::from(env!("CARGO_BIN_EXE_purser-driver-host"))
}

/// A driver in a folder that only its owner can write, with its manifest.
pub(crate) struct Installed {
    pub(crate) folder: TempDir,
    pub(crate) driver: PathBuf,
}

/// Installs the virtual reader that was built as this package's dependency.
pub(crate) fn virtual_reader() -> Installed {
    let test_program = std::env::current_exe().unwrap();
    install(&test_program.with_file_name("libpurser_virtual_reader.so"))
}

/// Compiles and installs the driver that misbehaves.
pub(crate) fn fault_driver() -> Installed {
    let folder = TempDir::new().unwrap();
    install(&compile(folder.path(), &[]))
}

pub(crate) fn compile(folder: &Path, options: &[&str]) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let output = folder.join("libfault.so");
    let status = Command::new("cc")
        .args([
            "-std=gnu11",
            "-Wall",
            "-Wextra",
            "-Werror",
            "-shared",
            "-fPIC",
            "-pthread",
            "-o",
        ])
        .arg(&output)
        .args(options)
        .arg("-I")
        .arg(root.join("../../plugin-api/include"))
        .arg(root.join("../../plugins/fault/fault.c"))
        .status()
        .expect("a C compiler");
    assert!(status.success());
    output
}

pub(crate) fn install(built: &Path) -> Installed {
    let folder = TempDir::new().unwrap();
    fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
    let driver = folder.path().join(built.file_name().unwrap());
    fs::copy(built, &driver).unwrap();
    fs::set_permissions(&driver, Permissions::from_mode(0o755)).unwrap();
    manifest::write(&driver, &[], &host_program()).expect("the driver can be loaded");
    Installed { folder, driver }
}

/// A supervisor that runs, and what it told.
pub(crate) struct Bench {
    pub(crate) handle: Handle,
    events: Receiver<DriverEvent>,
    next_call: u64,
}

impl Bench {
    pub(crate) fn start(config: DriverConfig) -> Self {
        let spawner = Spawner::Child {
            program: host_program(),
        };
        let (supervisor, handle, events) = Supervisor::new(config, spawner);
        tokio::spawn(supervisor.run());
        Self {
            handle,
            events,
            next_call: 1,
        }
    }

    pub(crate) async fn event(&mut self) -> DriverEvent {
        timeout(LONG, self.events.recv())
            .await
            .expect("an event in time")
            .expect("the supervisor lives")
    }

    /// The next event; `None` when the supervisor has ended.
    pub(crate) async fn event_or_end(&mut self) -> Option<DriverEvent> {
        timeout(LONG, self.events.recv()).await.expect("an event in time")
    }

    /// Waits for the first event that `pick` picks; those before it are dropped.
    pub(crate) async fn wait<T>(&mut self, mut pick: impl FnMut(DriverEvent) -> Option<T>) -> T {
        loop {
            if let Some(picked) = pick(self.event().await) {
                return picked;
            }
        }
    }

    pub(crate) async fn ready(&mut self) {
        self.wait(|event| match event {
            DriverEvent::Ready { .. } => Some(()),
            DriverEvent::Failed { reason } => panic!("failed: {reason:?}"),
            _ => None,
        })
        .await;
    }

    pub(crate) fn begin(&mut self, call: Call, time: Duration) -> CallId {
        let id = CallId(self.next_call);
        self.next_call += 1;
        self.handle.call(id, call, time).unwrap();
        id
    }

    pub(crate) async fn answer(&mut self, id: CallId) -> Result<Reply, CallError> {
        self.wait(|event| match event {
            DriverEvent::Answer(of, result) if of == id => Some(result),
            _ => None,
        })
        .await
    }

    pub(crate) async fn call(&mut self, call: Call) -> Result<Reply, CallError> {
        let id = self.begin(call, LONG);
        self.answer(id).await
    }

    pub(crate) async fn connect(&mut self, slot: SlotId) -> Card {
        match self.call(Call::Connect { slot }).await {
            Ok(Reply::Connected(card)) => card,
            other => panic!("no connection: {other:?}"),
        }
    }
}

/// Runs a test on a runtime like the daemon's.
pub(crate) fn run<T>(test: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(test)
}
