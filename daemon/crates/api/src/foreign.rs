//! Work with callers' descriptors, each piece on a thread of its own: behind a descriptor may be a file system or a program of the
//! caller's, and no flag on it can be relied on. Whatever it does, the thread of the loop never waits for it.

use std::collections::BTreeSet;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;

use crate::fault;
use crate::model::Fault;

/// Does the work, one piece at a time for each user: a descriptor that never answers, which a hostile caller can make, holds up
/// its own user only.
#[derive(Clone, Default)]
pub(crate) struct ForeignWork {
    busy: Arc<Mutex<BTreeSet<u32>>>,
}

/// Marks a user's work as under way until it is dropped.
struct Place {
    busy: Arc<Mutex<BTreeSet<u32>>>,
    uid: u32,
}

impl ForeignWork {
    /// Does a user's work with its descriptor; none when it takes longer than this. Cancel safe: work that nobody waits for any
    /// more ends by itself, and what it gives is dropped.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        uid: u32,
        descriptor: OwnedFd,
        patience: Duration,
        work: impl FnOnce(OwnedFd) -> T + Send + 'static,
    ) -> Result<Option<T>, Fault> {
        let place = self.take_place(uid)?;
        let (sender, answer) = oneshot::channel();
        let spawned = std::thread::Builder::new()
            .name("descriptor".to_owned())
            .spawn(move || {
                let done = work(descriptor);
                drop(place);
                // The caller may have gone; then what was made is dropped here.
                drop(sender.send(done));
            });
        if let Err(error) = spawned {
            tracing::warn!(%error, "no thread for a caller's descriptor");
            return Err(fault::busy());
        }
        match tokio::time::timeout(patience, answer).await {
            Ok(Ok(done)) => Ok(Some(done)),
            Ok(Err(_)) | Err(_) => Ok(None),
        }
    }

    fn take_place(&self, uid: u32) -> Result<Place, Fault> {
        let mut busy = self.busy.lock().unwrap_or_else(PoisonError::into_inner);
        if busy.insert(uid) {
            Ok(Place {
                busy: Arc::clone(&self.busy),
                uid,
            })
        } else {
            Err(fault::busy())
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut busy = self.busy.lock().unwrap_or_else(PoisonError::into_inner);
        busy.remove(&self.uid);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ErrorName;

    #[tokio::test]
    async fn a_descriptor_that_hangs_holds_up_its_own_user_only_and_is_given_up() {
        let foreign = ForeignWork::default();
        let patience = Duration::from_millis(50);
        let (gate, opened) = std::sync::mpsc::channel::<()>();
        let pipe = || rustix::pipe::pipe().expect("a pipe can be made").0;
        let hung = foreign
            .run(7, pipe(), patience, move |_| opened.recv().is_ok())
            .await;
        assert_eq!(hung, Ok(None), "nobody waits for it any longer");
        let again = foreign.run(7, pipe(), patience, |_| ()).await;
        assert!(again.unwrap_err().is(ErrorName::Busy));
        let long = Duration::from_secs(30);
        assert_eq!(foreign.run(8, pipe(), long, |_| 1).await, Ok(Some(1)));
        drop(gate);
        // Its thread ends when it wants to; from then on the user is served.
        while foreign.run(7, pipe(), long, |_| ()).await.is_err() {
            tokio::task::yield_now().await;
        }
    }
}
