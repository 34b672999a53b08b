//! A till that remembers what it was told, until purserd is gone.

use std::future::Future;
use std::path::{Path, PathBuf};

use purser_api::client::{Client, ClientError, Events};
use purser_api::model::{Amount, BeginSaleArguments, ErrorName, Sale};
use purser_lab::stack::{CURRENCY, PATIENCE};
use tokio::runtime::Runtime;
use tokio::time::timeout;

use crate::{Fault, point};

/// Two connections: one for calls, one for events.
#[derive(Debug)]
pub struct Pos {
    runtime: Runtime,
    socket: PathBuf,
    calls: Client,
    events: Option<Client>,
    links: Vec<(&'static str, String)>,
}

/// What a till was told of one sale.
#[derive(Debug, Default)]
pub struct Told {
    /// In the order in which it came.
    pub sales: Vec<Sale>,
    /// Whether purserd was gone before the sale was decided.
    pub is_cut_off: bool,
}

impl Told {
    /// The last thing that was told.
    pub fn last(&self) -> Option<&Sale> {
        self.sales.last()
    }

    /// Whether the sale was told to be as good as this outcome.
    pub fn was(&self, outcome: &str) -> bool {
        self.sales.iter().any(|sale| sale.outcome == outcome)
    }
}

impl Pos {
    /// Connects; when this returns, purserd has taken both connections.
    ///
    /// # Errors
    /// purserd does not answer.
    pub fn connect(socket: &Path, purserd: u32) -> Result<Self, Fault> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let mut links = Vec::new();
        let mut open = |name| {
            let before = point::links(purserd)?;
            let connect = async {
                let mut client = Client::connect(socket).await?;
                client.info().await?;
                Ok::<_, ClientError>(client)
            };
            let client = runtime.block_on(in_time(connect))??;
            let new = point::links(purserd)?
                .into_iter()
                .find(|link| !before.contains(link));
            links.push((name, new.ok_or("purserd has no socket for this till")?));
            Ok::<_, Fault>(client)
        };
        let (calls, events) = (open("pos")?, open("watch")?);
        Ok(Self {
            runtime,
            socket: socket.to_owned(),
            calls,
            events: Some(events),
            links,
        })
    }

    /// What purserd's descriptors of the two connections lead to.
    pub fn links(&self) -> &[(&'static str, String)] {
        &self.links
    }

    /// Makes any call.
    ///
    /// # Errors
    /// No answer in time. The inner error is the client's own.
    pub fn call<T>(
        &mut self,
        call: impl AsyncFnOnce(&mut Client) -> Result<T, ClientError>,
    ) -> Result<Result<T, ClientError>, Fault> {
        self.runtime.block_on(in_time(call(&mut self.calls)))
    }

    /// Begins a sale; what is told is that it is under way, or nothing where purserd is gone.
    ///
    /// # Errors
    /// purserd refuses, or nothing happens in time.
    pub fn begin(&mut self, reference: &str, minor: u64) -> Result<Told, Fault> {
        let asked = BeginSaleArguments {
            reference: reference.to_owned(),
            amount: Amount {
                minor,
                currency: CURRENCY.to_owned(),
            },
            reader: None,
            pin_through_api: None,
        };
        match self.call(async |purser| purser.begin_sale(&asked).await)? {
            Ok(begun) => Ok(Told {
                sales: vec![begun.sale],
                is_cut_off: false,
            }),
            Err(error) if is_gone(&error) => Ok(Told {
                sales: Vec::new(),
                is_cut_off: true,
            }),
            Err(error) => Err(error.into()),
        }
    }

    /// Follows a sale until it is as wanted, or to purserd's end.
    ///
    /// # Errors
    /// As [`Pos::begin`].
    pub fn follow(
        &mut self,
        reference: &str,
        mut told: Told,
        mut is_wanted: impl FnMut(&Sale) -> bool,
    ) -> Result<Told, Fault> {
        if told.is_cut_off {
            return Ok(told);
        }
        let client = self.events.take();
        let socket = &self.socket;
        let follow = async {
            let client = match client {
                Some(client) => client,
                None => Client::connect(socket).await?,
            };
            let mut events: Events = client.watch_sale(reference).await?;
            loop {
                let Some(sale) = events.next().await?.sale else {
                    continue;
                };
                let is_wanted = is_wanted(&sale);
                told.sales.push(sale);
                if is_wanted {
                    return Ok::<_, ClientError>(());
                }
            }
        };
        match self.runtime.block_on(in_time(follow))? {
            Ok(()) => {}
            Err(error) if is_gone(&error) => told.is_cut_off = true,
            Err(error) => return Err(error.into()),
        }
        Ok(told)
    }
}

/// Whether purserd ended, or is about to, rather than refused.
pub(crate) fn is_gone(error: &ClientError) -> bool {
    match error {
        ClientError::ConnectionLost(_) | ClientError::NotReachable { .. } => true,
        ClientError::Refused(fault) => fault.is(ErrorName::Stopping),
        _ => false,
    }
}

async fn in_time<T>(future: impl Future<Output = T>) -> Result<T, Fault> {
    timeout(PATIENCE, future)
        .await
        .map_err(|_| "purserd did not answer in time".into())
}
