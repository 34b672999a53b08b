//! The private CA, the certificates that it makes, and the key that signs what the provider says.
//!
//! A terminal is known by the SHA-256 of the certificate that the data base holds for it, so nothing here reads a
//! foreign certificate: TLS has checked that this CA made it and that the other side holds its key.

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, PublicKeyData, SanType, SerialNumber,
    SignatureAlgorithm,
};
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _, UnparsedPublicKey,
};
use time::{Duration, OffsetDateTime};
use zeroize::Zeroizing;

use crate::fault::{Failure, Fault};
use crate::folder::{Folder, read_private, read_public, write_new};

/// A P-256 point, uncompressed (SEC 1 §2.3.3).
pub(crate) const PUBLIC_KEY_BYTES: usize = 65;

/// The name in every terminal's certificate under which the provider calls it. Which terminal it is, the certificate
/// itself says: each is in the data base.
pub(crate) const TERMINAL_DNS_NAME: &str = "terminal.purser.internal";

/// How long a terminal's certificate is good: renewal is possible the whole time.
const TERMINAL_DAYS: i64 = 397;
/// The CA's and the server's certificate outlive any machine: a new installation begins with a new folder.
const AUTHORITY_DAYS: i64 = 36_525;
/// Clocks of terminals may be behind.
const EARLIER: Duration = Duration::days(2);

/// The CA and the signing key, as `serve` and enrolment need them.
pub(crate) struct Authority {
    name: String,
    key: KeyPair,
    certificate: Vec<u8>,
    signing: EcdsaKeyPair,
    random: SystemRandom,
}

/// A terminal's public key as rcgen takes it.
struct TerminalKey([u8; PUBLIC_KEY_BYTES]);

impl PublicKeyData for TerminalKey {
    fn der_bytes(&self) -> &[u8] {
        &self.0
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &PKCS_ECDSA_P256_SHA256
    }
}

/// A certificate that was made.
pub(crate) struct Issued {
    pub(crate) der: Vec<u8>,
    /// Seconds since 1970-01-01 00:00:00 UTC.
    pub(crate) expires_unix_seconds: i64,
}

fn authority_params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = common_name(&format!("Purser provider {name}: authority"));
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

fn common_name(text: &str) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, text);
    name
}

fn validity(params: &mut CertificateParams, now: OffsetDateTime, days: i64) {
    params.not_before = now - EARLIER;
    params.not_after = now + Duration::days(days);
}

fn key_pair(der: &[u8]) -> Result<KeyPair, Failure> {
    let pkcs8 = rustls::pki_types::PrivatePkcs8KeyDer::from(der);
    Ok(KeyPair::from_pkcs8_der_and_sign_algo(
        &pkcs8,
        &PKCS_ECDSA_P256_SHA256,
    )?)
}

/// Makes the folder's keys and certificates. `hosts` are the names and addresses at which terminals reach this server.
pub(crate) fn make(folder: &Folder, name: &str, hosts: &[String]) -> Result<(), Failure> {
    let now = OffsetDateTime::now_utc();
    let authority_key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    let mut params = authority_params(name);
    validity(&mut params, now, AUTHORITY_DAYS);
    let authority = params.self_signed(&authority_key)?;
    let issuer = Issuer::from_params(&params, &authority_key);

    let server_key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    let mut server = CertificateParams::default();
    server.distinguished_name = common_name(name);
    for host in hosts {
        server.subject_alt_names.push(host_name(host)?);
    }
    // It answers terminals, and it calls them.
    server.extended_key_usages = vec![
        ExtendedKeyUsagePurpose::ServerAuth,
        ExtendedKeyUsagePurpose::ClientAuth,
    ];
    server.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    validity(&mut server, now, AUTHORITY_DAYS);
    let server = server.signed_by(&server_key, &issuer)?;

    let signing = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    write_key(folder.authority_key(), &authority_key)?;
    write_new(&folder.authority_certificate(), authority.der())?;
    write_key(folder.server_key(), &server_key)?;
    write_new(&folder.server_certificate(), server.der())?;
    write_key(folder.signing_key(), &signing)?;
    write_new(&folder.signing_public_key(), signing.der_bytes())
}

fn write_key(path: std::path::PathBuf, key: &KeyPair) -> Result<(), Failure> {
    write_new(&path, &Zeroizing::new(key.serialize_der()))
}

fn host_name(host: &str) -> Result<SanType, Failure> {
    if let Ok(address) = host.parse() {
        return Ok(SanType::IpAddress(address));
    }
    let name = rustls::pki_types::DnsName::try_from(host).ok();
    let name = name.and_then(|_| host.try_into().ok().map(SanType::DnsName));
    name.ok_or_else(|| {
        let cause = format!("{host:?} is no host name and no IP address");
        Fault::invalid(
            "HostName",
            cause,
            "give the name or the address at which terminals reach this host",
        )
        .into()
    })
}

impl Authority {
    /// Reads the keys.
    pub(crate) fn open(folder: &Folder, name: &str) -> Result<Self, Failure> {
        let random = SystemRandom::new();
        let signing = read_private(&folder.signing_key())?;
        let signing = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &signing, &random);
        Ok(Self {
            name: name.to_owned(),
            key: key_pair(&read_private(&folder.authority_key())?)?,
            certificate: read_public(&folder.authority_certificate())?,
            signing: signing.map_err(|_| Failure::Cryptography("reading the signing key"))?,
            random,
        })
    }

    /// The CA's certificate.
    pub(crate) fn certificate(&self) -> &[u8] {
        &self.certificate
    }

    /// The public half of the signing key, for terminals.
    pub(crate) fn signing_public_key(&self) -> &[u8] {
        self.signing.public_key().as_ref()
    }

    /// Signs a document: ECDSA P-256 with SHA-256, in DER.
    pub(crate) fn sign(&self, document: &[u8]) -> Result<Vec<u8>, Failure> {
        let signature = self.signing.sign(&self.random, document);
        Ok(signature
            .map_err(|_| Failure::Cryptography("signing"))?
            .as_ref()
            .to_vec())
    }

    /// Makes a certificate for a terminal's key.
    pub(crate) fn certify(&self, terminal: &str, key: &[u8; PUBLIC_KEY_BYTES]) -> Result<Issued, Failure> {
        let issuer_params = authority_params(&self.name);
        let issuer = Issuer::from_params(&issuer_params, &self.key);
        let mut params = CertificateParams::default();
        params.distinguished_name = common_name(terminal);
        let name = TERMINAL_DNS_NAME.try_into().map_err(Failure::Certificate)?;
        params.subject_alt_names = vec![SanType::DnsName(name)];
        params.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ClientAuth,
            ExtendedKeyUsagePurpose::ServerAuth,
        ];
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.serial_number = Some(SerialNumber::from(random::<16>()?.to_vec()));
        validity(&mut params, OffsetDateTime::now_utc(), TERMINAL_DAYS);
        let certificate = params.signed_by(&TerminalKey(*key), &issuer)?;
        Ok(Issued {
            der: certificate.der().to_vec(),
            expires_unix_seconds: params.not_after.unix_timestamp(),
        })
    }
}

/// True when the signature is this key's over the bytes.
pub(crate) fn verifies(public_key: &[u8], bytes: &[u8], signature: &[u8]) -> bool {
    let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, public_key);
    key.verify(bytes, signature).is_ok()
}

/// Random bytes of the system.
pub(crate) fn random<const N: usize>() -> Result<[u8; N], Failure> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|_| Failure::Cryptography("the system's randomness"))?;
    Ok(bytes)
}

/// The time, in seconds since 1970-01-01 00:00:00 UTC.
pub(crate) fn now_unix_seconds() -> i64 {
    OffsetDateTime::now_utc().unix_timestamp()
}
