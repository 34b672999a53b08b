//! TLS 1.3, and nothing older. The other side's certificate must be of this provider's own CA.

use std::sync::Arc;

use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, version};

use crate::authority::Authority;
use crate::fault::Failure;
use crate::folder::{Folder, read_private, read_public};

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
