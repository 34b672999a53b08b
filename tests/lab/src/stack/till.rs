//! A till: POS software, as a test writes it. Blocking calls around Purser's own Varlink client.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use purser_api::client::{Client, ClientError, Events};
use purser_api::model::{
    Amount, BeginSaleArguments, BeginSaleReply, Event, ProviderReply, Sale, WatchArguments,
};
use tokio::runtime::Runtime;
use tokio::time::timeout;

use super::daemon::tail;
use super::error::{StackError, io_error};
use super::{Layout, PATIENCE};

/// How often a state is looked at that nobody announces.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// Connections to a running purserd. It breaks when purserd ends: take a new one after a restart.
#[derive(Debug)]
pub struct Till {
    runtime: Runtime,
    client: Client,
    socket: PathBuf,
    log: PathBuf,
}

impl Till {
    /// Connects.
    pub(super) fn connect(layout: &Layout) -> Result<Self, StackError> {
        let (socket, log) = (layout.socket(), layout.log());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(io_error("make a runtime for", &socket))?;
        let client = runtime.block_on(in_time("a connection", &log, Client::connect(&socket)))?;
        Ok(Self {
            runtime,
            client,
            socket,
            log,
        })
    }

    /// Makes any call of the client: `till.call(async |purser| purser.totals().await)`.
    ///
    /// # Errors
    /// [`StackError::Call`], or [`StackError::TooLate`].
    pub fn call<T>(
        &mut self,
        call: impl AsyncFnOnce(&mut Client) -> Result<T, ClientError>,
    ) -> Result<T, StackError> {
        self.runtime
            .block_on(in_time("an answer", &self.log, call(&mut self.client)))
    }

    /// Begins a sale at any reader, in the lab's currency.
    ///
    /// # Errors
    /// As [`Till::call`].
    pub fn begin_sale(&mut self, reference: &str, minor: u64) -> Result<BeginSaleReply, StackError> {
        let asked = BeginSaleArguments {
            reference: reference.to_owned(),
            amount: Amount {
                minor,
                currency: super::CURRENCY.to_owned(),
            },
            reader: None,
            pin_through_api: None,
        };
        self.call(async |purser| purser.begin_sale(&asked).await)
    }

    /// Waits until the provider is known so, which nobody announces; `wanted` names that in an error.
    ///
    /// # Errors
    /// As [`Till::call`].
    pub fn wait_for_provider(
        &mut self,
        wanted: &str,
        is_wanted: impl Fn(&ProviderReply) -> bool,
    ) -> Result<ProviderReply, StackError> {
        let end = Instant::now() + PATIENCE;
        loop {
            let provider = self.call(async |purser| purser.provider().await)?;
            if is_wanted(&provider) {
                return Ok(provider);
            }
            if Instant::now() >= end {
                return Err(StackError::TooLate {
                    awaited: format!("{wanted} ({provider:?})"),
                    time: PATIENCE,
                    log: tail(&self.log),
                });
            }
            std::thread::sleep(LOOK_AGAIN);
        }
    }

    /// How a sale stands.
    ///
    /// # Errors
    /// As [`Till::call`].
    pub fn attach(&mut self, reference: &str) -> Result<Sale, StackError> {
        Ok(self.call(async |purser| purser.attach(reference).await)?.sale)
    }

    /// Follows one sale on a connection of its own; its present state comes first.
    ///
    /// # Errors
    /// As [`Till::call`].
    pub fn watch(&mut self, reference: &str) -> Result<Watch<'_>, StackError> {
        self.follow(WatchArguments {
            reference: Some(reference.to_owned()),
            after: None,
        })
    }

    /// Follows all that this user may see, from the beginning of the journal on.
    ///
    /// # Errors
    /// As [`Till::call`].
    pub fn watch_all(&mut self) -> Result<Watch<'_>, StackError> {
        self.follow(WatchArguments {
            reference: None,
            after: Some(0),
        })
    }

    fn follow(&mut self, asked: WatchArguments) -> Result<Watch<'_>, StackError> {
        let socket = &self.socket;
        let watch = async { Client::connect(socket).await?.watch(&asked).await };
        let events = self.runtime.block_on(in_time("a watch", &self.log, watch))?;
        Ok(Watch {
            runtime: &self.runtime,
            events,
            log: &self.log,
        })
    }

    /// Waits until a sale has this outcome.
    ///
    /// # Errors
    /// As [`Till::call`].
    pub fn wait_for_outcome(&mut self, reference: &str, outcome: &str) -> Result<Sale, StackError> {
        self.watch(reference)?
            .until(outcome, |sale| sale.outcome == outcome)
    }

    /// Waits until a sale is decided: any outcome but `under_way`.
    ///
    /// # Errors
    /// As [`Till::call`].
    pub fn wait_for_end(&mut self, reference: &str) -> Result<Sale, StackError> {
        self.watch(reference)?
            .until("an end", |sale| sale.outcome != "under_way")
    }
}

/// Events as they come.
#[derive(Debug)]
pub struct Watch<'a> {
    runtime: &'a Runtime,
    events: Events,
    log: &'a Path,
}

impl Watch<'_> {
    /// The next event.
    ///
    /// # Errors
    /// As [`Till::call`].
    pub fn event(&mut self) -> Result<Event, StackError> {
        self.runtime
            .block_on(in_time("an event", self.log, self.events.next()))
    }

    /// The events of the next so many entries, without hints.
    ///
    /// # Errors
    /// As [`Till::call`].
    pub fn entries(&mut self, count: u64) -> Result<Vec<Event>, StackError> {
        let mut entries = Vec::new();
        while u64::try_from(entries.len()).is_ok_and(|it| it < count) {
            let event = self.event()?;
            if event.number.is_some() {
                entries.push(event);
            }
        }
        Ok(entries)
    }

    /// Takes events until the sale is as wanted. `wanted` names that in an error.
    ///
    /// # Errors
    /// As [`Till::call`].
    pub fn until(&mut self, wanted: &str, is_wanted: impl Fn(&Sale) -> bool) -> Result<Sale, StackError> {
        let (events, log) = (&mut self.events, self.log);
        let mut last = None;
        let wait = async {
            loop {
                let Some(sale) = events.next().await?.sale else {
                    continue;
                };
                if is_wanted(&sale) {
                    return Ok(sale);
                }
                last = Some(sale);
            }
        };
        let waited = self.runtime.block_on(in_time(wanted, log, wait));
        waited.map_err(|error| match (error, last) {
            (StackError::TooLate { time, log, .. }, Some(sale)) => StackError::TooLate {
                awaited: format!("{wanted} (the sale is {}, {})", sale.outcome, sale.state),
                time,
                log,
            },
            (error, _) => error,
        })
    }
}

async fn in_time<T>(
    awaited: &str,
    log: &Path,
    call: impl Future<Output = Result<T, ClientError>>,
) -> Result<T, StackError> {
    match timeout(PATIENCE, call).await {
        Ok(answer) => answer.map_err(|source| StackError::Call {
            source: Box::new(source),
            log: tail(log),
        }),
        Err(_) => Err(StackError::TooLate {
            awaited: awaited.to_owned(),
            time: PATIENCE,
            log: tail(log),
        }),
    }
}
