//! The call-back machines, one for each terminal that has asked, and the legs that they speak on.
//!
//! On every leg the terminal asks and the provider answers, whoever has opened the connection: on one that the provider
//! opened (mode answer) the TLS client is the HTTP server, as in RFC 8071. So there is one interface, and what the provider
//! says first is what it answers to `GET /v1/call`.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use purser_ledger::Monotonic;
use purser_provider_link::call_back::{
    ChannelBinding, LegId, Limits, Mode, Nonce, Provider as Machine, ProviderOutput, Refusal,
};
use purser_provider_link::{ProviderName, TerminalName};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_rustls::{TlsConnector, client};

use super::leg::{Down, Leg, monotonic};
use super::peer::{self, Fingerprint, Peer};
use super::{Shared, tls};
use crate::authority::{now_unix_seconds, random};
use crate::fault::Failure;
use crate::store::alarm;

/// How long a call may take to be taken: TCP and TLS.
const DIAL_TIME: Duration = Duration::from_secs(10);

/// A terminal's machine and its legs.
struct Terminal {
    machine: Machine,
    address: Option<String>,
    legs: BTreeMap<LegId, Arc<Leg>>,
}

/// Every machine.
pub(crate) struct Calls {
    name: ProviderName,
    started: Instant,
    next_leg: AtomicU64,
    terminals: Mutex<BTreeMap<TerminalName, Terminal>>,
    changed: Notify,
    connector: TlsConnector,
}

impl Calls {
    pub(crate) fn new(name: ProviderName, connector: TlsConnector) -> Self {
        Self {
            name,
            started: Instant::now(),
            next_leg: AtomicU64::new(1),
            terminals: Mutex::default(),
            changed: Notify::new(),
            connector,
        }
    }

    fn terminals(&self) -> MutexGuard<'_, BTreeMap<TerminalName, Terminal>> {
        self.terminals
            .lock()
            .expect("a panic ends the process, so no lock is poisoned")
    }

    /// A leg for a connection.
    pub(crate) fn leg(
        &self,
        peer: Option<Fingerprint>,
        binding: ChannelBinding,
        is_called: bool,
    ) -> Arc<Leg> {
        let id = LegId(self.next_leg.fetch_add(1, Ordering::Relaxed));
        Arc::new(Leg::new(id, peer, binding, is_called))
    }

    /// Gives an input to the terminal's machine, and does what it wants done.
    pub(crate) fn handle(
        shared: &Arc<Shared>,
        peer: &Peer,
        leg: &Arc<Leg>,
        input: impl FnOnce(&mut Machine, Monotonic),
    ) {
        let calls = &shared.calls;
        leg.set_terminal(&peer.name);
        let mut terminals = calls.terminals();
        let terminal = terminals.entry(peer.name.clone()).or_insert_with(|| {
            let mode = if peer.address.is_some() {
                Mode::Answer
            } else {
                Mode::Standing
            };
            Terminal {
                machine: Machine::new(calls.name.clone(), peer.name.clone(), mode, Limits::default()),
                address: peer.address.clone(),
                legs: BTreeMap::new(),
            }
        });
        terminal.legs.insert(leg.id, Arc::clone(leg));
        input(&mut terminal.machine, monotonic(calls.started));
        settle(shared, &peer.name, terminal);
        drop(terminals);
        calls.changed.notify_one();
    }

    /// A connection has ended.
    pub(crate) fn lost(shared: &Arc<Shared>, leg: &Arc<Leg>) {
        if let Some(name) = leg.terminal() {
            Self::lost_leg(shared, &name, Some(leg.id));
        }
    }

    fn lost_leg(shared: &Arc<Shared>, name: &TerminalName, leg: Option<LegId>) {
        let mut terminals = shared.calls.terminals();
        if let Some(terminal) = terminals.get_mut(name) {
            if let Some(leg) = leg {
                terminal.legs.remove(&leg);
            }
            terminal
                .machine
                .handle_leg_lost(monotonic(shared.calls.started), leg);
            settle(shared, name, terminal);
        }
        drop(terminals);
        shared.calls.changed.notify_one();
    }

    /// Runs the machines' timers, for ever.
    pub(crate) async fn run_timers(shared: Arc<Shared>) {
        loop {
            let due = shared
                .calls
                .terminals()
                .values()
                .filter_map(|it| it.machine.poll_timeout())
                .min();
            let changed = shared.calls.changed.notified();
            if let Some(due) = due {
                let at = shared.calls.started + Duration::from_millis(due.0);
                if tokio::time::timeout_at(at, changed).await.is_ok() {
                    continue;
                }
            } else {
                changed.await;
                continue;
            }
            let now = monotonic(shared.calls.started);
            let mut terminals = shared.calls.terminals();
            for (name, terminal) in terminals.iter_mut() {
                if terminal.machine.poll_timeout().is_some_and(|at| at <= now) {
                    terminal.machine.handle_timer(now);
                    settle(&shared, name, terminal);
                }
            }
        }
    }
}

/// Does what the machine wants done.
fn settle(shared: &Arc<Shared>, name: &TerminalName, terminal: &mut Terminal) {
    while let Some(output) = terminal.machine.poll_output() {
        let tell = |leg: LegId, message| {
            if let Some(leg) = terminal.legs.get(&leg) {
                leg.tell(message);
            }
        };
        match output {
            ProviderOutput::Ticket(leg, _, ticket) => tell(leg, Down::Ticket(ticket)),
            ProviderOutput::Refuse(leg, refusal) => tell(leg, Down::Refused(refusal)),
            ProviderOutput::Challenge(leg, challenge) => tell(leg, Down::Challenge(challenge)),
            ProviderOutput::Authenticated(leg, request) => tell(leg, Down::Opened(request)),
            ProviderOutput::Probe(leg) => tell(leg, Down::Probe),
            ProviderOutput::Close(leg) => {
                if let Some(leg) = terminal.legs.get(&leg) {
                    leg.close();
                }
            }
            ProviderOutput::Call => {
                let address = terminal.address.clone().unwrap_or_default();
                tokio::spawn(call(Arc::clone(shared), name.clone(), address));
            }
            ProviderOutput::CallOn(leg) => {
                let now = monotonic(shared.calls.started);
                match (terminal.legs.get(&leg).map(|it| it.binding), random()) {
                    (Some(binding), Ok(nonce)) => {
                        terminal
                            .machine
                            .handle_connected(now, leg, name, binding, Nonce(nonce));
                    }
                    _ => terminal.machine.handle_leg_lost(now, Some(leg)),
                }
            }
            ProviderOutput::Ended(..) => {}
            ProviderOutput::Alarm(refusal) => raise(shared, name, refusal),
        }
    }
}

/// Tells an operator.
fn raise(shared: &Arc<Shared>, terminal: &TerminalName, refusal: Refusal) {
    let (shared, terminal) = (Arc::clone(shared), terminal.clone());
    tokio::spawn(async move {
        let stored = shared.with_store(move |_, store| {
            let sql = store.begin()?;
            alarm(&sql, now_unix_seconds(), Some(terminal.as_str()), refusal.name())?;
            Ok(sql.commit()?)
        });
        if let Err(failure) = stored.await {
            eprintln!("purser-provider: an alarm is not stored: {}", failure.chain());
        }
    });
}

/// Calls a terminal at its address and serves it on that connection.
async fn call(shared: Arc<Shared>, name: TerminalName, address: String) {
    let Ok(Ok(stream)) = tokio::time::timeout(DIAL_TIME, dial(&shared, &address)).await else {
        Calls::lost_leg(&shared, &name, None);
        return;
    };
    let session = stream.get_ref().1;
    let fingerprint = Fingerprint::of(session.peer_certificates());
    let binding = tls::binding(|out| session.export_keying_material(out, tls::EXPORTER_LABEL, None));
    let found = shared
        .with_reader(move |_, store| peer::known(store.reader(), fingerprint))
        .await;
    let (Ok(answering), Some(binding), Ok(nonce)) = (found, binding, random()) else {
        Calls::lost_leg(&shared, &name, None);
        return;
    };
    let leg = shared.calls.leg(fingerprint, binding, true);
    leg.set_terminal(&name);
    let called = {
        let mut terminals = shared.calls.terminals();
        terminals.get_mut(&name).map(|terminal| {
            terminal.legs.insert(leg.id, Arc::clone(&leg));
            let now = monotonic(shared.calls.started);
            terminal
                .machine
                .handle_connected(now, leg.id, &answering.name, binding, Nonce(nonce));
            settle(&shared, &name, terminal);
        })
    };
    shared.calls.changed.notify_one();
    if called.is_some() {
        super::serve_leg(stream, leg, shared).await;
    }
}

async fn dial(shared: &Shared, address: &str) -> Result<client::TlsStream<TcpStream>, Failure> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    Ok(shared
        .calls
        .connector
        .connect(tls::terminal_name()?, stream)
        .await?)
}
