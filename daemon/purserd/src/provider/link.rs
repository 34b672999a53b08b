//! The handle of the link, and what it begins with.

use std::fmt;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use purser_engine::ProviderFailure;
use purser_provider_link::call_back::{Limits, Mode, Purpose};
use purser_provider_link::{Digest, ProviderName};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot, watch};
use tokio_rustls::TlsConnector;

use super::address::Address;
use super::failure::{self, names};
use super::files::{self, FilesError};
use super::identity::{Identity, Pinned, mode_name};
use super::legs::OpenLeg;
use super::task::{Command, Task};
use super::tls::{self, TlsError};
use super::wire::{AskError, Line};
use crate::config;

/// Settlements and loads that wait while one is under way.
const WAITING_MAX: usize = 16;

/// How often a ticket is asked for before whoever waits is told why there is none. The engine asks again, for ever and with
/// longer pauses, so little is gained by more of them here.
const TRIES_MAX: u8 = 3;

/// Where the provider is and how it calls.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where it is reached. Its certificate must be good for the host.
    pub address: Address,
    /// Its name, which must be the one of the enrolment.
    pub name: ProviderName,
    /// How it calls, which must be the one of the enrolment.
    pub mode: Mode,
    /// Where its calls are taken, in the mode `answer`.
    pub listen: Option<SocketAddr>,
    /// How long each message and a call-back may take.
    pub limits: Limits,
}

impl From<&config::Provider> for Settings {
    fn from(config: &config::Provider) -> Self {
        Self {
            address: config.address.clone(),
            name: config.name.clone(),
            mode: config.mode,
            listen: config.listen,
            limits: Limits {
                leg_ms: config.answer_ms,
                ticket_ms: config.call_back_ms,
                tries_max: TRIES_MAX,
                ..Limits::default()
            },
        }
    }
}

impl Settings {
    /// Whether they are of the provider where the terminal is enrolled.
    ///
    /// # Errors
    /// [`StartError`] says what differs.
    pub(crate) fn fit(&self, pinned: &Pinned) -> Result<(), StartError> {
        if pinned.provider != self.name {
            return Err(StartError::OtherProvider {
                configured: self.name.clone(),
                enrolled: pinned.provider.clone(),
            });
        }
        if pinned.mode != self.mode {
            return Err(StartError::OtherMode {
                configured: mode_name(self.mode),
                enrolled: mode_name(pinned.mode),
            });
        }
        Ok(())
    }
}

/// Why the link cannot begin. Nothing of it goes away by itself, but for a port that is in use.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// This terminal is not enrolled, or what enrolment stored cannot be used.
    #[error(transparent)]
    Files(#[from] FilesError),
    /// Enrolled at another provider.
    #[error(
        "this terminal is enrolled at {enrolled}, and provider.name is {configured}; set the name, or enrol again"
    )]
    OtherProvider {
        /// The name in the configuration.
        configured: ProviderName,
        /// The name that enrolment pinned.
        enrolled: ProviderName,
    },
    /// The provider calls in another way.
    #[error(
        "the provider calls this terminal by {enrolled:?}, and provider.mode is {configured:?}; set the same on both sides"
    )]
    OtherMode {
        /// The mode in the configuration.
        configured: &'static str,
        /// The mode that enrolment pinned.
        enrolled: &'static str,
    },
    /// The mode `answer` without an address to listen at.
    #[error("provider.listen is not set; name the address and port at which the provider calls")]
    NoListen,
    /// The certificates cannot be used.
    #[error("the stored certificates cannot be used: {0}; enrol again with a new code")]
    Certificates(String),
    /// The address cannot be listened at.
    #[error("{address} cannot be listened at: {source}; look who uses it, or set provider.listen")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why. Told in this error's own words too, so it is no source.
        source: std::io::Error,
    },
}

impl StartError {
    /// True where another try may succeed without anybody's doing.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Files(error) => error.is_transient(),
            Self::Listen { .. } => true,
            Self::OtherProvider { .. } | Self::OtherMode { .. } | Self::NoListen | Self::Certificates(_) => {
                false
            }
        }
    }
}

impl From<TlsError> for StartError {
    fn from(error: TlsError) -> Self {
        Self::Certificates(error.to_string())
    }
}

impl Identity {
    /// Reads what `purserd enrol` has stored in a state folder.
    ///
    /// # Errors
    /// [`FilesError`], with its remedy; without enrolment [`FilesError::NotEnrolled`].
    pub fn read(state_dir: &Path) -> Result<Self, FilesError> {
        files::identity(state_dir)
    }
}

/// How the link does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LinkState {
    /// The provider's calls are taken whenever they are asked for.
    Listening,
    /// The standing link is being opened.
    Connecting,
    /// The standing link stands.
    Up,
    /// It does not, and is tried again.
    Down(ProviderFailure),
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Link({:?})", self.identity.pinned.terminal)
    }
}

/// The link to the provider. Clones are the same link; it ends with the last of them.
#[derive(Clone)]
pub struct Link {
    commands: mpsc::Sender<Command>,
    identity: Arc<Identity>,
    state: watch::Receiver<LinkState>,
    pub(super) limits: Limits,
    /// What is asked on a connection of its own, without a call-back, goes this way.
    pub(super) connector: TlsConnector,
    pub(super) address: Address,
}

impl Link {
    /// Begins: in the mode `standing` the link is opened as soon as the provider is there, and opened again whenever it is
    /// lost; in the mode `answer` the listener is open when this returns.
    ///
    /// # Errors
    /// [`StartError`]: configuration and enrolment do not fit, or the listener cannot be opened.
    pub async fn start(settings: Settings, identity: Identity) -> Result<Self, StartError> {
        let pinned = &identity.pinned;
        settings.fit(pinned)?;
        let terminal = (&pinned.certificate[..], &identity.key);
        let connector = tls::client(&pinned.authority, Some(terminal))?;
        let taking = match settings.mode {
            Mode::Standing => None,
            Mode::Answer => {
                let acceptor = tls::server(&pinned.authority, terminal.0, terminal.1)?;
                let address = settings.listen.ok_or(StartError::NoListen)?;
                let bound = TcpListener::bind(address).await;
                let listener = bound.map_err(|source| StartError::Listen { address, source })?;
                Some((listener, acceptor))
            }
        };
        let (commands, queue) = mpsc::channel(WAITING_MAX);
        let identity = Arc::new(identity);
        let limits = settings.limits;
        let (told, state) = watch::channel(match settings.mode {
            Mode::Answer => LinkState::Listening,
            Mode::Standing => LinkState::Connecting,
        });
        let address = settings.address.clone();
        let task = Task::new(settings, Arc::clone(&identity), connector.clone(), taking, told);
        tokio::spawn(task.run(queue));
        Ok(Self {
            commands,
            identity,
            state,
            limits,
            connector,
            address,
        })
    }

    /// What enrolment pinned.
    pub fn pinned(&self) -> &Pinned {
        &self.identity.pinned
    }

    /// How it does now.
    pub fn state(&self) -> LinkState {
        self.state.borrow().clone()
    }

    /// The same as it changes.
    pub(crate) fn states(&self) -> watch::Receiver<LinkState> {
        self.state.clone()
    }

    /// A connection of its own, without a call-back: for what moves no value.
    pub(super) async fn line(&self) -> Result<Line, AskError> {
        let time = Duration::from_millis(self.limits.leg_ms);
        let connecting = tls::connect(&self.connector, &self.address, time);
        let connected = tokio::time::timeout(time, connecting).await;
        connected.unwrap_or(Err(AskError::Slow))
    }

    /// Has the provider call back for this subject, and takes the leg that is open for it.
    pub(super) async fn open(&self, purpose: Purpose, subject: Digest) -> Result<OpenLeg, ProviderFailure> {
        let (reply, opened) = oneshot::channel();
        let sent = self.commands.try_send(Command {
            purpose,
            subject,
            reply,
        });
        sent.map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => {
                failure::transient(names::LINK_BUSY, "others wait for the provider already")
            }
            mpsc::error::TrySendError::Closed(_) => ended(),
        })?;
        opened.await.map_err(|_| ended())?
    }
}

fn ended() -> ProviderFailure {
    failure::transient(names::LINK_ENDED, "the link to the provider has ended")
}
