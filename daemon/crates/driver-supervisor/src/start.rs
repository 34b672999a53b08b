//! From nothing to a ready driver: check the manifest, start the driver host, load, make the instance.

use std::io;

use purser_driver_wire::limits::WIRE_VERSION;
use purser_driver_wire::{Hello, LoadOrder, Text, ToDaemon, ToHost};
use tokio::io::AsyncReadExt;
use tokio::process::ChildStderr;

use crate::desk::Desk;
use crate::host_link::HostLink;
use crate::manifest::{self, Manifest};
use crate::mask::masked;
use crate::slots::Slots;
use crate::spawn::{HostProcess, Spawner};
use crate::{DownReason, DriverConfig};

/// A driver host from its first moment on.
#[derive(Debug)]
pub(crate) struct Launched {
    pub(crate) process: HostProcess,
    pub(crate) link: HostLink,
    pub(crate) stderr: Stderr,
    pub(crate) slots: Slots,
    manifest: Manifest,
    hello: Option<Hello>,
}

/// Standard error of a driver host, until it ends.
#[derive(Debug)]
pub(crate) struct Stderr(Option<ChildStderr>);

/// Checks the driver, starts a driver host and orders it to load the driver.
pub(crate) async fn launch(config: &DriverConfig, spawner: &Spawner) -> Result<Launched, DownReason> {
    let path = config.path.clone();
    // Hashing a large driver takes long enough to hold up others on this thread.
    let checked = tokio::task::spawn_blocking(move || manifest::check(&path))
        .await
        .map_err(|_| DownReason::Spawn(io::ErrorKind::Other))??;
    let path = checked
        .path
        .to_str()
        .map(str::to_owned)
        .and_then(|path| Text::try_from(path).ok());
    let path = path.ok_or(DownReason::TooLong)?;
    let spawned = spawner.spawn().map_err(|error| DownReason::Spawn(error.kind()))?;
    let mut link = HostLink::new(spawned.socket).map_err(|error| DownReason::Spawn(error.kind()))?;
    let order = LoadOrder {
        wire_version: WIRE_VERSION,
        path,
        sha256: checked.manifest.sha256(),
    };
    // A driver host that ended at once is noticed by the end of its socket.
    link.send(&ToHost::Load(order)).await?;
    Ok(Launched {
        process: spawned.process,
        link,
        stderr: Stderr(spawned.stderr),
        slots: Slots::default(),
        manifest: checked.manifest,
        hello: None,
    })
}

impl Launched {
    /// Hears one message of the start; the driver's own words about itself once it is ready.
    pub(crate) async fn hear(
        &mut self,
        message: ToDaemon,
        config: &DriverConfig,
        desk: &mut Desk,
    ) -> Result<Option<Hello>, DownReason> {
        desk.heard();
        match (message, &self.hello) {
            (ToDaemon::Hello(hello), None) => {
                if !self.manifest.describes(&hello) {
                    return Err(DownReason::UnlikeManifest);
                }
                self.hello = Some(hello);
                let settings = Text::try_from(config.settings.clone()).map_err(|_| DownReason::TooLong)?;
                let deadline_ms = u32::try_from(config.start_time.as_millis())
                    .unwrap_or(u32::MAX)
                    .max(1);
                self.link
                    .send(&ToHost::Create {
                        settings,
                        deadline_ms,
                    })
                    .await?;
            }
            (ToDaemon::NotLoaded { fault, detail }, None) => {
                return Err(DownReason::NotLoaded { fault, detail });
            }
            (ToDaemon::Created(Ok(())), Some(hello)) => return Ok(Some(hello.clone())),
            (ToDaemon::Created(Err(failure)), Some(_)) => {
                return Err(DownReason::NotCreated(masked(failure)));
            }
            (ToDaemon::Event(event), Some(_)) => {
                if !self.slots.take(&event) {
                    desk.count(|counters| counters.breaches += 1);
                }
            }
            (ToDaemon::Log { level, text }, Some(_)) => desk.log(level, text.as_str()),
            (ToDaemon::LogsDropped { count }, Some(_)) => desk.logs_dropped(count),
            (ToDaemon::Breaches { count }, Some(_)) => {
                desk.count(|counters| counters.breaches += u64::from(count));
            }
            _ => return Err(DownReason::OutOfPlace),
        }
        desk.allow_unasked()?;
        Ok(None)
    }
}

impl Stderr {
    /// Waits for bytes and gives their number; 0 once at its end, and nothing ever after. Cancel safe.
    pub(crate) async fn read(&mut self, bytes: &mut [u8]) -> usize {
        let Some(stderr) = &mut self.0 else {
            return std::future::pending().await;
        };
        let length = stderr.read(bytes).await.unwrap_or(0);
        if length == 0 {
            self.0 = None;
        }
        length
    }
}
