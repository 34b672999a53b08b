//! TLS 1.3, and nothing older. The other side's certificate must be of this provider's own CA.

use std::sync::Arc;

use purser_provider_link::call_back::{CHANNEL_BINDING_BYTES, ChannelBinding};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, RootCertStore, ServerConfig, version};

use crate::authority::{Authority, TERMINAL_DNS_NAME};
use crate::fault::Failure;
use crate::folder::{Folder, read_private, read_public};

/// The label of the channel binding `tls-exporter` (RFC 9266 §2).
pub(crate) const EXPORTER_LABEL: &[u8] = b"EXPORTER-Channel-Binding";

/// This end's channel binding, from the session's exporter.
pub(crate) fn binding<'a>(
    export: impl FnOnce([u8; CHANNEL_BINDING_BYTES]) -> Result<[u8; CHANNEL_BINDING_BYTES], rustls::Error> + 'a,
) -> Option<ChannelBinding> {
    export([0; CHANNEL_BINDING_BYTES]).ok().map(ChannelBinding)
}

/// The name in every terminal's certificate.
pub(crate) fn terminal_name() -> Result<ServerName<'static>, Failure> {
    ServerName::try_from(TERMINAL_DNS_NAME).map_err(|_| Failure::Damaged("the terminals' DNS name"))
}

/// How terminals are called.
pub(crate) fn client(folder: &Folder, authority: &Authority) -> Result<ClientConfig, Failure> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let (chain, key) = identity(folder)?;
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&version::TLS13])?
        .with_root_certificates(roots(authority)?)
        .with_client_auth_cert(chain, key)?;
    config.resumption = rustls::client::Resumption::disabled();
    Ok(config)
}

/// What terminals reach. A terminal without a certificate gets in to enrol: every other route refuses it.
pub(crate) fn server(folder: &Folder, authority: &Authority) -> Result<ServerConfig, Failure> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = WebPkiClientVerifier::builder_with_provider(roots(authority)?, Arc::clone(&provider))
        .allow_unauthenticated()
        .build()
        .map_err(|_| Failure::Cryptography("setting up the check of certificates"))?;
    let config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&version::TLS13])?
        .with_client_cert_verifier(verifier);
    let (chain, key) = identity(folder)?;
    let mut config = config.with_single_cert(chain, key)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    // A resumed session would bring along the certificate of an earlier handshake.
    config.session_storage = Arc::new(rustls::server::NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(config)
}

fn roots(authority: &Authority) -> Result<Arc<RootCertStore>, Failure> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from(authority.certificate().to_vec()))?;
    Ok(Arc::new(roots))
}

fn identity(folder: &Folder) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), Failure> {
    let certificate = CertificateDer::from(read_public(&folder.server_certificate())?);
    let key = read_private(&folder.server_key())?;
    Ok((vec![certificate], PrivatePkcs8KeyDer::from(key.to_vec()).into()))
}
