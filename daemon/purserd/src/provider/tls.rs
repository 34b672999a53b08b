//! TLS 1.3, and nothing older, with the provider's own authority as the only one that is believed.
//!
//! The authority certifies terminals too. So its name alone makes nobody the provider: the other side's certificate must be
//! good for the host of the provider's address, whoever has opened the connection.

use std::sync::Arc;
use std::time::Duration;

use purser_provider_link::call_back::{CHANNEL_BINDING_BYTES, ChannelBinding};
use rustls::client::{Resumption, verify_server_name};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::server::{NoServerSessionStorage, ParsedCertificate, WebPkiClientVerifier};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ClientConfig, RootCertStore, ServerConfig, version};
use tokio::net::TcpStream;
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::address::Address;
use super::key::DeviceKey;
use super::wire::{AskError, Line, chain};

/// The label of the channel binding `tls-exporter` (RFC 9266 §2).
const EXPORTER_LABEL: &[u8] = b"EXPORTER-Channel-Binding";

/// A certificate or key with which no TLS can be set up.
#[derive(Debug, thiserror::Error)]
pub(super) enum TlsError {
    /// The authority's file is no certificate in DER.
    #[error("the authority is no X.509 certificate in DER: {0}")]
    Authority(String),
    /// The terminal's certificate is not of its device key.
    #[error("the terminal's certificate is not of its device key: {0}")]
    Certificate(String),
    /// Anything else.
    #[error("TLS cannot be set up: {0}")]
    Other(String),
}

fn roots(authority: &[u8]) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    let added = roots.add(CertificateDer::from(authority.to_vec()));
    added.map_err(|error| TlsError::Authority(chain(&error)))?;
    Ok(roots)
}

fn other(error: &rustls::Error) -> TlsError {
    TlsError::Other(chain(error))
}

fn identity(certificate: &[u8], key: &DeviceKey) -> Result<Arc<SingleCertAndKey>, TlsError> {
    let chain_of_one = vec![CertificateDer::from(certificate.to_vec())];
    let certified = CertifiedKey::new(chain_of_one, key.for_tls());
    let matches = certified.keys_match();
    matches.map_err(|error| TlsError::Certificate(chain(&error)))?;
    Ok(Arc::new(SingleCertAndKey::from(certified)))
}

/// How the provider is reached. Without an identity there is enrolment only.
pub(super) fn client(
    authority: &[u8],
    terminal: Option<(&[u8], &DeviceKey)>,
) -> Result<TlsConnector, TlsError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&version::TLS13])
        .map_err(|error| other(&error))?
        .with_root_certificates(roots(authority)?);
    let mut config = match terminal {
        Some((certificate, key)) => builder.with_client_cert_resolver(identity(certificate, key)?),
        None => builder.with_no_client_auth(),
    };
    // A resumed session would bring along what an earlier handshake proved.
    config.resumption = Resumption::disabled();
    Ok(TlsConnector::from(Arc::new(config)))
}

/// How the provider's calls are taken.
pub(super) fn server(authority: &[u8], certificate: &[u8], key: &DeviceKey) -> Result<TlsAcceptor, TlsError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let roots = Arc::new(roots(authority)?);
    let verifier = WebPkiClientVerifier::builder_with_provider(roots, Arc::clone(&provider))
        .build()
        .map_err(|error| TlsError::Other(chain(&error)))?;
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&version::TLS13])
        .map_err(|error| other(&error))?
        .with_client_cert_verifier(verifier)
        .with_cert_resolver(identity(certificate, key)?);
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// Connects to the provider within this time.
pub(super) async fn connect(
    connector: &TlsConnector,
    address: &Address,
    time: Duration,
) -> Result<Line, AskError> {
    let connecting = async {
        let tcp = TcpStream::connect((address.host(), address.port())).await;
        let tcp = tcp.map_err(|error| AskError::NotReached(error.to_string()))?;
        // Small requests go out at once.
        let _ = tcp.set_nodelay(true);
        let stream = connector.connect(address.server_name(), tcp).await;
        let stream = stream.map_err(handshake)?;
        let session = stream.get_ref().1;
        let binding = binding(|out| session.export_keying_material(out, EXPORTER_LABEL, None))?;
        Line::new(stream, address.host_header(), binding).await
    };
    let connected = tokio::time::timeout(time, connecting).await;
    connected.map_err(|_| AskError::NotReached(format!("no connection in {} ms", time.as_millis())))?
}

/// Takes a call within this time, from the provider and nobody else.
pub(super) async fn accept(
    acceptor: &TlsAcceptor,
    tcp: TcpStream,
    address: &Address,
    time: Duration,
) -> Result<Line, AskError> {
    let accepting = async {
        let _ = tcp.set_nodelay(true);
        let stream = acceptor.accept(tcp).await.map_err(handshake)?;
        let session = stream.get_ref().1;
        is_provider(session.peer_certificates(), &address.server_name())?;
        let binding = binding(|out| session.export_keying_material(out, EXPORTER_LABEL, None))?;
        Line::new(stream, address.host_header(), binding).await
    };
    tokio::time::timeout(time, accepting)
        .await
        .map_err(|_| AskError::Slow)?
}

/// The chain has been verified; what is left is whether it is the provider's own, and not one of its terminals'.
fn is_provider(certificates: Option<&[CertificateDer<'_>]>, name: &ServerName<'_>) -> Result<(), AskError> {
    let wrong = |text: String| AskError::NotTheProvider(text);
    let certificate = certificates.and_then(<[_]>::first);
    let certificate = certificate.ok_or_else(|| wrong("it showed no certificate".to_owned()))?;
    let parsed = ParsedCertificate::try_from(certificate).map_err(|error| wrong(chain(&error)))?;
    verify_server_name(&parsed, name).map_err(|error| wrong(chain(&error)))
}

fn binding(
    export: impl FnOnce([u8; CHANNEL_BINDING_BYTES]) -> Result<[u8; CHANNEL_BINDING_BYTES], rustls::Error>,
) -> Result<ChannelBinding, AskError> {
    let exported = export([0; CHANNEL_BINDING_BYTES]);
    exported
        .map(ChannelBinding)
        .map_err(|error| AskError::Lost(chain(&error)))
}

/// A handshake that failed: a wrong certificate or version stays wrong; a line that was cut does not.
fn handshake(error: std::io::Error) -> AskError {
    let of_tls = error
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match of_tls {
        Some(error) => AskError::NotTheProvider(chain(error)),
        None => AskError::Lost(error.to_string()),
    }
}
