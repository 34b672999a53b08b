//! A till with purserd's link, and what it checks as the daemon does.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use purser_provider_link::call_back::Limits;
use purser_provider_link::{Batch, BatchVoid, Item, Permit, Sum, VerdictsDigest};
use purserd::config::Config;
use purserd::provider::{
    EnrolError, Enrolment, Identity, Link, Pinned, ProviderFailure, Settings, SettleAnswer, SignedVerdict,
    StartError, enrol_with,
};
use tempfile::TempDir;

use crate::host::{Host, toml};

/// No test waits longer for anything.
pub(crate) const LONG: Duration = Duration::from_secs(30);

/// Short times, so that what is tried again is tried soon.
pub(crate) const LIMITS: Limits = Limits {
    leg_ms: 5_000,
    ticket_ms: 10_000,
    pause_ms: 20,
    pause_ms_max: 200,
    tries_max: 3,
};

/// A till's state folder and configuration.
pub(crate) struct Till {
    folder: TempDir,
}

impl Till {
    /// Configured for this provider.
    pub(crate) fn new(authority: &Path, address: SocketAddr, listen: Option<SocketAddr>) -> Self {
        let till = Self {
            folder: TempDir::new().unwrap(),
        };
        till.configure(&toml(authority, address, listen));
        till
    }

    /// Enrolled at the provider, which serves.
    pub(crate) async fn enrolled(host: &Host, address: SocketAddr, listen: Option<SocketAddr>) -> Self {
        let till = Self::new(&host.authority(), address, listen);
        till.enrol(&host.code).await.unwrap();
        till
    }

    pub(crate) fn configure(&self, provider: &str) {
        let text = format!(
            "terminal.psam_terminal_number = \"000000000001\"\nsam.credential = \"sam.key\"\n{provider}\
             [issuers]\n\"5055525345520001\" = \"JPY\"\n"
        );
        std::fs::write(self.path("purser.toml"), text).unwrap();
    }

    pub(crate) fn path(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn state(&self) -> std::path::PathBuf {
        self.path("state")
    }

    pub(crate) fn config(&self) -> Config {
        Config::load(&self.path("purser.toml")).unwrap()
    }

    pub(crate) async fn enrol(&self, code: &str) -> Result<Pinned, EnrolError> {
        self.enrol_by(&Enrolment::Code(code.to_owned())).await
    }

    pub(crate) async fn enrol_by(&self, how: &Enrolment) -> Result<Pinned, EnrolError> {
        let config = self.config();
        let number = config.psam_terminal_number;
        enrol_with(config.provider.as_ref(), number, &self.state(), how).await
    }

    pub(crate) fn settings(&self) -> Settings {
        let config = self.config();
        Settings {
            limits: LIMITS,
            ..Settings::from(config.provider.as_ref().unwrap())
        }
    }

    pub(crate) async fn start(&self) -> Result<Link, StartError> {
        Link::start(self.settings(), Identity::read(&self.state()).unwrap()).await
    }

    /// The link, as soon as the one before has let go of its listener.
    pub(crate) async fn link(&self) -> Link {
        let started = Instant::now();
        loop {
            match self.start().await {
                Ok(link) => return link,
                Err(error) => assert!(error.is_transient() && started.elapsed() < LONG, "{error}"),
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

/// How many items the tests' page source gives at once: batches of a few items have several pages.
pub(crate) const PAGE: usize = 2;

/// What a settlement asked its page source for, and what its verdict sink got.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    pub(crate) places: Vec<u32>,
    pub(crate) verdicts: Vec<SignedVerdict>,
}

/// A settlement can be a task of its own.
fn for_a_task<F: Future + Send>(settling: F) -> F {
    settling
}

/// Settles once, with these pages.
pub(crate) async fn settle_once(
    link: &Link,
    batch: &Batch,
    items: &[Item],
) -> (Result<SettleAnswer, ProviderFailure>, Seen) {
    let seen = Arc::new(Mutex::new(Seen::default()));
    let pages = |place: u32| {
        seen.lock().unwrap().places.push(place);
        let from = usize::try_from(place).unwrap();
        let page = items[from..].iter().take(PAGE).cloned().collect();
        std::future::ready(Ok(page))
    };
    let verdicts = |page: Vec<SignedVerdict>| {
        seen.lock().unwrap().verdicts.extend(page);
        std::future::ready(Ok(()))
    };
    let settling = tokio::time::timeout(LONG, for_a_task(link.settle(batch, pages, verdicts)));
    let answer = settling.await.expect("a settlement ends");
    let seen = seen.lock().unwrap().clone();
    (answer, seen)
}

/// Settles as the engine does: again and again while it can succeed by itself. What was lost on the way is told too.
pub(crate) async fn settle(
    link: &Link,
    batch: &Batch,
    items: &[Item],
) -> (Permit, Seen, Vec<ProviderFailure>) {
    let started = Instant::now();
    let mut lost = Vec::new();
    loop {
        match settle_once(link, batch, items).await {
            (Ok(SettleAnswer::Permit { permit, .. }), seen) => {
                check(&permit, batch, items, &seen);
                return (permit, seen, lost);
            }
            (Err(failure), _) if failure.is_transient && started.elapsed() < LONG => {
                lost.push(failure);
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            (other, _) => panic!("{other:?} after {lost:?}"),
        }
    }
}

/// The void instead of the permit.
pub(crate) async fn voided(link: &Link, batch: &Batch, items: &[Item]) -> BatchVoid {
    match settle_once(link, batch, items).await.0 {
        Ok(SettleAnswer::Void { void, .. }) => void,
        other => panic!("{other:?}"),
    }
}

/// The permit is what its verdicts come to.
fn check(permit: &Permit, batch: &Batch, items: &[Item], seen: &Seen) {
    let mut digest = VerdictsDigest::begin(batch.digest());
    let mut sum = Sum::begin(permit.sum.debt_before);
    assert_eq!(seen.verdicts.len(), items.len());
    for (signed, item) in seen.verdicts.iter().zip(items) {
        assert_eq!(signed.verdict.item, item.digest());
        digest = digest.with(&signed.verdict);
        sum = sum.with(signed.verdict.decision).unwrap();
    }
    assert_eq!((permit.verdicts, permit.sum), (digest.digest(), sum));
}
