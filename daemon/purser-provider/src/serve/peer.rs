//! Who is at the other end of a connection.

use std::sync::Arc;

use purser_provider_link::TerminalName;
use rusqlite::{Connection, OptionalExtension};
use rustls::pki_types::CertificateDer;
use sha2::{Digest as _, Sha256};

use super::Shared;
use super::leg::Leg;
use crate::fault::{Failure, Fault};

/// The SHA-256 of a peer's certificate: the data base knows each that was ever made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// Of the peer's certificate, if it showed one.
    pub(crate) fn of(certificates: Option<&[CertificateDer<'_>]>) -> Option<Self> {
        let certificate = certificates.and_then(<[_]>::first)?;
        Some(Self::of_der(certificate))
    }

    pub(crate) fn of_der(certificate: &[u8]) -> Self {
        Self(Sha256::digest(certificate).into())
    }

    pub(crate) fn bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

/// A terminal with a certificate that was not replaced.
#[derive(Clone, Debug)]
pub(crate) struct Peer {
    pub(crate) name: TerminalName,
    pub(crate) role: String,
    pub(crate) address: Option<String>,
    pub(crate) certificate_expires_at: i64,
    /// The device key of this certificate.
    pub(crate) public_key: Vec<u8>,
    /// It may have the end of the batches that it has sealed, and nothing else (money rule B3).
    pub(crate) is_revoked: bool,
}

impl Peer {
    /// # Errors
    /// A refusal for a revoked terminal.
    pub(crate) fn not_revoked(&self) -> Result<(), Failure> {
        if self.is_revoked {
            let (cause, remedy) = ("the terminal is revoked", "ask the provider's operator");
            return Err(Fault::forbidden("Revoked", cause, remedy).into());
        }
        Ok(())
    }
}

/// Which terminal a certificate is of.
///
/// # Errors
/// A refusal for a certificate that is not known or was replaced, and for a terminal that may not ask.
pub(crate) fn terminal(sql: &Connection, fingerprint: Option<Fingerprint>) -> Result<Peer, Failure> {
    let peer = known(sql, fingerprint)?;
    peer.not_revoked()?;
    Ok(peer)
}

/// Which terminal a certificate is of, also a revoked one: what it asks has to look.
///
/// # Errors
/// A refusal for a certificate that is not known or was replaced, and for a suspended terminal.
pub(crate) fn known(sql: &Connection, fingerprint: Option<Fingerprint>) -> Result<Peer, Failure> {
    let Some(fingerprint) = fingerprint else {
        let cause = "the connection has no terminal's certificate";
        return Err(Fault::with_status(
            401,
            "NoCertificate",
            cause,
            "enrol, then connect with the certificate",
        )
        .into());
    };
    let query = "SELECT terminal.name, role, address, standing, expires_at, public_key
                 FROM certificate JOIN terminal ON terminal.name = certificate.terminal WHERE fingerprint = ?1";
    let found = sql
        .prepare_cached(query)?
        .query_row([fingerprint.bytes()], |row| {
            let (name, role): (String, String) = (row.get(0)?, row.get(1)?);
            let (address, standing, expires): (Option<String>, String, i64) =
                (row.get(2)?, row.get(3)?, row.get(4)?);
            Ok((name, role, address, standing, expires, row.get::<_, Vec<u8>>(5)?))
        })
        .optional()?;
    let Some((name, role, address, standing, certificate_expires_at, public_key)) = found else {
        let cause = "the certificate is of this provider's authority, and of no enrolled terminal";
        return Err(Fault::forbidden("UnknownCertificate", cause, "enrol the terminal again").into());
    };
    if standing == "suspended" {
        let (cause, remedy) = ("the terminal is suspended", "ask the provider's operator");
        return Err(Fault::forbidden("Suspended", cause, remedy).into());
    }
    Ok(Peer {
        name: TerminalName::new(name).map_err(|_| Failure::Damaged("a terminal's name"))?,
        role,
        address,
        certificate_expires_at,
        public_key,
        is_revoked: standing != "enrolled",
    })
}

/// Which terminal is at the other end of a leg, also a revoked one.
pub(crate) async fn of_leg(shared: &Arc<Shared>, leg: &Leg) -> Result<Peer, Failure> {
    let fingerprint = leg.peer;
    shared
        .with_reader(move |_, store| known(store.reader(), fingerprint))
        .await
}
