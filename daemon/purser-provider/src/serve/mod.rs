//! `serve`: HTTPS and JSON over mutual TLS 1.3.
//!
//! One connection carries one request after the other. Who speaks is the certificate; each request asks the data base
//! anew whether that terminal may still ask, before it reads the body. Limits: the number of connections ([`places`]), a
//! body's length and time, and how long nothing may be asked on a connection.

mod api;
mod batches;
mod call_back;
mod calls;
mod enrol;
mod facts;
pub(crate) mod forgeries;
#[cfg(test)]
mod histories;
mod hot_list;
mod http;
mod leg;
mod loads;
mod parameters;
mod peer;
mod permits;
mod places;
pub(crate) mod queries;
mod tls;
mod voids;
mod writing;

use std::io::Write;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use purser_provider_link::ProviderName;
use serde_json::json;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_rustls::{TlsAcceptor, TlsConnector};

use crate::authority::Authority;
use crate::cli::Serve;
use crate::fault::{Exit, Failure};
use crate::folder::Folder;
use crate::masters::KeyFile;
use crate::store::{Provider, Store};
use calls::Calls;
use leg::Leg;
use places::Places;
use writing::Writing;

/// A peer that has not finished its TLS handshake by then is gone.
const HANDSHAKE_TIME: Duration = Duration::from_secs(10);
/// The longest request line with all headers.
const HEADER_BYTES_MAX: usize = 16 * 1024;

/// What every connection shares.
pub(crate) struct Shared {
    store: Mutex<Store>,
    /// A connection of its own for reading: who is asking is found out while a long commit is under way.
    reader: Mutex<Store>,
    places: Places,
    idle: Idle,
    pub(crate) authority: Authority,
    pub(crate) provider: Provider,
    pub(crate) card_keys: KeyFile,
    pub(crate) calls: Calls,
    /// How long a body may take.
    pub(crate) body_time: Duration,
}

/// How long nothing may be asked on a connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Idle {
    /// On any: the next request's headers have come by then.
    any: Duration,
    /// On a standing link, one that the provider has opened, and one that is open for a load or a settlement.
    leg: Duration,
}

impl Shared {
    /// Reads the data base, on a thread that may wait.
    pub(crate) async fn with_reader<T: Send + 'static>(
        self: &Arc<Self>,
        act: impl FnOnce(&Self, &Store) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, Failure> {
        let shared = Arc::clone(self);
        let done = tokio::task::spawn_blocking(move || {
            let store = shared
                .reader
                .lock()
                .expect("a panic ends the process, so no lock is poisoned");
            act(&shared, &store)
        });
        done.await
            .expect("a panic ends the process, and nothing cancels this task")
    }

    /// Does something with the data base, on a thread that may wait.
    pub(crate) async fn with_store<T: Send + 'static>(
        self: &Arc<Self>,
        act: impl FnOnce(&Self, &mut Store) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, Failure> {
        let shared = Arc::clone(self);
        let done = tokio::task::spawn_blocking(move || {
            let mut store = shared
                .store
                .lock()
                .expect("a panic ends the process, so no lock is poisoned");
            act(&shared, &mut store)
        });
        done.await
            .expect("a panic ends the process, and nothing cancels this task")
    }
}

/// Reads everything that serving needs.
fn open(folder: &Folder, serve: &Serve) -> Result<Shared, Failure> {
    let store = Store::open(folder)?;
    let provider = store.provider()?;
    let authority = Authority::open(folder, &provider.name)?;
    let card_keys = crate::verbs::key_file(folder, &serve.card_keys)?;
    check_versions(&store, &card_keys)?;
    let connector = TlsConnector::from(Arc::new(tls::client(folder, &authority)?));
    let name =
        ProviderName::new(provider.name.as_str()).map_err(|_| Failure::Damaged("the provider's name"))?;
    Ok(Shared {
        store: Mutex::new(store),
        reader: Mutex::new(Store::open(folder)?),
        places: Places::new(usize::try_from(serve.connections).unwrap_or(Semaphore::MAX_PERMITS)),
        idle: Idle {
            any: Duration::from_secs(serve.idle_seconds),
            leg: Duration::from_secs(serve.leg_idle_seconds),
        },
        authority,
        provider,
        card_keys,
        calls: Calls::new(name, connector),
        body_time: Duration::from_secs(serve.body_seconds),
    })
}

/// Serves until the process is told to end.
pub(crate) fn serve(folder: &Folder, serve: &Serve, json: bool) -> Result<Exit, Failure> {
    // A core would hold keys.
    let _ = rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable);
    let shared = Arc::new(open(folder, serve)?);
    let tls = TlsAcceptor::from(Arc::new(tls::server(folder, &shared.authority)?));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let listening = TcpListener::bind(&serve.listen).await;
        let listener = listening.map_err(|source| Failure::Listen {
            address: serve.listen.clone(),
            source,
        })?;
        tell(listener.local_addr()?, json)?;
        tokio::spawn(Calls::run_timers(Arc::clone(&shared)));
        let ended = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate());
        let mut ended = ended?;
        tokio::select! {
            () = accept(listener, tls, shared) => {}
            _ = ended.recv() => {}
            interrupted = tokio::signal::ctrl_c() => interrupted?,
        }
        Ok(Exit::Done)
    })
}

fn tell(address: SocketAddr, json: bool) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    if json {
        writeln!(out, "{}", json!({ "listening": address.to_string() }))?;
    } else {
        writeln!(out, "listening at {address}")?;
    }
    Ok(out.flush()?)
}

async fn accept(listener: TcpListener, tls: TlsAcceptor, shared: Arc<Shared>) {
    loop {
        // Without a place nobody is accepted: the system's queue holds the next ones for a while.
        let Some(place) = shared.places.any().await else {
            return;
        };
        let Ok((stream, _)) = listener.accept().await else {
            // No descriptor left, or a peer that is gone already: others end, then there is one.
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        let (tls, shared) = (tls.clone(), Arc::clone(&shared));
        tokio::spawn(async move {
            connection(stream, tls, shared).await;
            drop(place);
        });
    }
}

async fn connection(stream: TcpStream, tls: TlsAcceptor, shared: Arc<Shared>) {
    // Small answers go out at once.
    let _ = stream.set_nodelay(true);
    let Ok(Ok(stream)) = tokio::time::timeout(HANDSHAKE_TIME, tls.accept(stream)).await else {
        return;
    };
    let session = stream.get_ref().1;
    let peer = peer::Fingerprint::of(session.peer_certificates());
    let binding = tls::binding(|out| session.export_keying_material(out, tls::EXPORTER_LABEL, None));
    let Some(binding) = binding else { return };
    let found = shared
        .with_reader(move |_, store| peer::known(store.reader(), peer))
        .await;
    let known = match &found {
        Ok(terminal) => shared.places.terminal(&terminal.name, shared.idle.any).await,
        Err(_) => shared.places.stranger(),
    };
    // Too many: it ends without an answer, which costs the least.
    let Some(place) = known else { return };
    let leg = shared.calls.leg(peer, binding, false);
    leg.set_place(place, found.is_err());
    serve_leg(stream, leg, shared).await;
}

/// Answers what is asked on a connection, whoever has opened it, until it ends.
pub(crate) async fn serve_leg<S>(stream: S, leg: Arc<Leg>, shared: Arc<Shared>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (ours, of_requests) = (Arc::clone(&leg), Arc::clone(&shared));
    let service = hyper::service::service_fn(move |request| {
        let (shared, leg) = (Arc::clone(&of_requests), Arc::clone(&ours));
        async move { Ok::<_, std::convert::Infallible>(http::answer(shared, leg, request).await) }
    });
    let mut server = http1::Builder::new();
    // Without hyper's own clock for headers: it knows nothing of legs, and ends them all after the same time.
    server
        .header_read_timeout(None)
        .max_buf_size(HEADER_BYTES_MAX)
        .half_close(false);
    let stream = Writing::new(stream, Arc::clone(&leg));
    // How a connection ends is the peer's business: what was asked on it can be asked again.
    tokio::select! {
        _ = server.serve_connection(TokioIo::new(stream), service) => {}
        () = leg.until_closed() => {}
        () = leg.until_idle(shared.idle.any, shared.idle.leg) => {}
    }
    Calls::lost(&shared, &leg);
}

/// The file must have every version that is in use: a load under a missing one would be refused at the counter.
fn check_versions(store: &Store, keys: &KeyFile) -> Result<(), Failure> {
    let mut statement = store
        .reader()
        .prepare("SELECT version FROM key_version WHERE NOT is_blocked")?;
    let versions = statement.query_map((), |row| row.get(0))?;
    for version in versions {
        crate::verbs::in_use(store, keys, version?)?;
    }
    Ok(())
}
