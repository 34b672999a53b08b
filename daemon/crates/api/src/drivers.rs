//! What operators do to drivers: list, reload, record.

use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::fs::{FileType, OFlags, fcntl_getfl, fstat};
use tokio::sync::{mpsc, oneshot};

use crate::access::Caller;
use crate::fault::{self, invalid_argument};
use crate::model::{self, ErrorName, Fault};
use crate::service::Service;

/// Mode bits by which others than its owner reach a file.
const REACHABLE_BY_OTHERS: u32 = 0o077;

/// How long a file system may take to tell what a file is.
const LOOK_DEADLINE: Duration = Duration::from_secs(2);

/// A request about a driver on its way to the task that owns them.
#[derive(Debug)]
pub struct DriverCall {
    /// The driver, by its name in the configuration.
    pub driver: String,
    /// What is asked.
    pub request: DriverRequest,
    /// Where the one answer goes. The asker may have gone; the request stands all the same.
    pub reply: oneshot::Sender<Result<(), DriverRefusal>>,
}

/// What can be asked about a driver.
#[derive(Debug)]
pub enum DriverRequest {
    /// End its process and start it from its file as it is now. Answered when it is ready or down.
    Reload,
    /// Record its traffic into this file, which is empty, regular and its owner's alone.
    Record(OwnedFd),
    /// End its recording. Answered when the file is whole.
    StopRecording,
}

/// Why nothing was done to a driver.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DriverRefusal {
    /// The configuration has none of this name.
    #[error("no driver has this name")]
    Unknown,
    /// A card or a PIN is being served at its devices.
    #[error("a card or a PIN is being served at the driver's devices")]
    InUse,
    /// Its file or manifest does not check out; the words say what and what to do.
    #[error("{0}")]
    Refused(String),
    /// It is being recorded already.
    #[error("the driver is being recorded already")]
    AlreadyRecording,
    /// It is not being recorded.
    #[error("the driver is not being recorded")]
    NotRecording,
    /// Its supervisor takes no more orders now.
    #[error("the driver has too much to do")]
    Busy,
}

impl DriverRefusal {
    /// True if the same request may succeed later without anybody changing anything.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::InUse | Self::Busy => true,
            Self::Unknown | Self::Refused(_) | Self::AlreadyRecording | Self::NotRecording => false,
        }
    }
}

impl From<DriverRefusal> for Fault {
    fn from(refusal: DriverRefusal) -> Self {
        let (name, remedy) = match &refusal {
            DriverRefusal::Unknown => (ErrorName::UnknownDriver, "use a name that Drivers lists"),
            DriverRefusal::InUse => (
                ErrorName::DriverInUse,
                "try again when the sale has ended; a payment is never cut",
            ),
            DriverRefusal::Refused(_) => (
                ErrorName::DriverRefused,
                "mend the file or its manifest, then reload again; the driver that runs was not touched",
            ),
            DriverRefusal::AlreadyRecording => (
                ErrorName::AlreadyRecording,
                "end the recording with StopRecording first",
            ),
            DriverRefusal::NotRecording => (ErrorName::NotRecording, "begin a recording with RecordDriver"),
            DriverRefusal::Busy => return fault::busy(),
        };
        Self::new(name, refusal.to_string(), remedy).with_transient(refusal.is_transient())
    }
}

impl Service {
    /// Every configured driver. For operators.
    ///
    /// # Errors
    /// The [`Fault`] names what to do.
    pub fn drivers(&self, caller: &Caller) -> Result<model::DriversReply, Fault> {
        self.access.may_operate(caller)?;
        Ok(model::DriversReply {
            drivers: self.reads.facts().drivers(),
        })
    }

    /// Ends a driver's process and starts it from its file as it is now. For operators.
    ///
    /// # Errors
    /// The [`Fault`] names what to do; the driver was not touched.
    pub async fn reload_driver(
        &self,
        caller: &Caller,
        ask: &model::DriverArguments,
    ) -> Result<model::DriverReply, Fault> {
        self.access.may_operate(caller)?;
        // A file that would be refused must not cost the shop the driver that runs.
        let name = ask.driver.clone();
        self.reads
            .run(move |facts| Ok(facts.check_driver(&name)))
            .await??;
        self.ask_driver(&ask.driver, DriverRequest::Reload).await
    }

    /// Records a driver's traffic into a file. For operators. Without a descriptor it is refused.
    ///
    /// # Errors
    /// The [`Fault`] names what to do; nothing was written.
    pub async fn record_driver(
        &self,
        caller: &Caller,
        driver: &str,
        file: Option<OwnedFd>,
    ) -> Result<model::DriverReply, Fault> {
        self.access.may_operate(caller)?;
        let file = file.ok_or_else(|| not_a_file("no file descriptor with this index came with the call"))?;
        let look = |file: OwnedFd| check_file(&file).map(|()| file);
        let looked = self.files.run(caller.uid, file, LOOK_DEADLINE, look).await?;
        let file = looked.unwrap_or_else(|| Err(not_a_file("the descriptor does not answer")))?;
        self.ask_driver(driver, DriverRequest::Record(file)).await
    }

    /// Ends a driver's recording. For operators.
    ///
    /// # Errors
    /// The [`Fault`] names what to do.
    pub async fn stop_recording(
        &self,
        caller: &Caller,
        ask: &model::DriverArguments,
    ) -> Result<model::DriverReply, Fault> {
        self.access.may_operate(caller)?;
        self.ask_driver(&ask.driver, DriverRequest::StopRecording).await
    }

    async fn ask_driver(&self, name: &str, request: DriverRequest) -> Result<model::DriverReply, Fault> {
        let (reply, answer) = oneshot::channel();
        let call = DriverCall {
            driver: name.to_owned(),
            request,
            reply,
        };
        self.driver_calls.try_send(call).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => fault::busy(),
            mpsc::error::TrySendError::Closed(_) => fault::stopping(),
        })?;
        answer.await.map_err(|_| fault::stopping())??;
        let mut drivers = self.reads.facts().drivers().into_iter();
        let driver = drivers.find(|driver| driver.name == name);
        Ok(model::DriverReply {
            driver: driver.ok_or(DriverRefusal::Unknown)?,
        })
    }
}

/// A recording goes nowhere but into a file of the caller's: not over what is there, and not where others read it.
fn check_file(file: &OwnedFd) -> Result<(), Fault> {
    let found = fstat(file).map_err(|_| not_a_file("the descriptor cannot be looked at"))?;
    if FileType::from_raw_mode(found.st_mode) != FileType::RegularFile {
        return Err(not_a_file("the descriptor is no regular file"));
    }
    if found.st_size != 0 {
        return Err(not_a_file("the file is not empty"));
    }
    if found.st_mode & REACHABLE_BY_OTHERS != 0 {
        return Err(not_a_file("others than its owner may reach the file"));
    }
    let flags = fcntl_getfl(file).map_err(|_| not_a_file("the descriptor cannot be looked at"))?;
    if flags.intersection(OFlags::ACCMODE) == OFlags::RDONLY {
        return Err(not_a_file("the file is not open for writing"));
    }
    Ok(())
}

fn not_a_file(cause: &str) -> Fault {
    invalid_argument(
        "file",
        cause,
        "send the descriptor of a new file that only its owner may read and write, open for writing",
    )
}

#[cfg(test)]
mod tests {
    use std::fs::{File, OpenOptions, Permissions};
    use std::io::Write;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn only_an_empty_regular_file_that_is_its_owners_alone_is_written_to() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("recording");
        let mut file = File::create(&path).expect("a file");
        let set_mode = |mode| std::fs::set_permissions(&path, Permissions::from_mode(mode)).expect("a mode");
        set_mode(0o640);
        let of = |file: File| check_file(&file.into()).map_err(|fault| fault.cause);
        assert!(
            of(file.try_clone().expect("a copy"))
                .unwrap_err()
                .contains("others")
        );
        set_mode(0o600);
        assert_eq!(of(file.try_clone().expect("a copy")), Ok(()));
        let reading = File::open(&path).expect("it is there");
        assert!(of(reading).unwrap_err().contains("writing"));
        file.write_all(b"x").expect("it is written");
        assert!(of(file).unwrap_err().contains("empty"));
        let null = OpenOptions::new()
            .write(true)
            .open("/dev/null")
            .expect("it is there");
        assert!(of(null).unwrap_err().contains("regular"));
    }

    #[test]
    fn every_refusal_has_a_name_of_its_own_and_says_what_to_do() {
        let all = [
            DriverRefusal::Unknown,
            DriverRefusal::InUse,
            DriverRefusal::Refused("its digest".to_owned()),
            DriverRefusal::AlreadyRecording,
            DriverRefusal::NotRecording,
            DriverRefusal::Busy,
        ];
        let mut names = std::collections::BTreeSet::new();
        for refusal in all {
            let transient = refusal.is_transient();
            let fault = Fault::from(refusal);
            assert!(!fault.cause.is_empty() && !fault.remedy.is_empty());
            assert_eq!(fault.transient, transient);
            assert!(names.insert(fault.name.clone()), "{fault:?} shares its name");
        }
    }
}
