//! A terminal for tests: HTTP/1.1 written out by hand over a blocking TLS connection, so that it shares no code with the
//! server.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _};
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use serde_json::{Value, json};

use crate::document;

/// No test waits longer for anything.
pub(crate) const LONG: Duration = Duration::from_secs(120);

/// A key and, once enrolled, its certificate.
pub(crate) struct Identity {
    pkcs8: Vec<u8>,
    pub(crate) certificate: Option<Vec<u8>>,
    authority: Vec<u8>,
    pub(crate) server: SocketAddr,
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Value,
    pub(crate) hangs_up: bool,
}

impl Answer {
    /// The name of the refusal.
    pub(crate) fn refusal(&self) -> &str {
        assert!(self.status >= 400, "{self:?}");
        self.body["error"].as_str().unwrap()
    }

    /// What was answered with 200.
    pub(crate) fn done(self) -> Value {
        assert_eq!(self.status, 200, "{self:?}");
        self.body
    }
}

/// A connection on which this side asks.
pub(crate) struct Line<S>(pub(crate) S);

pub(crate) type TlsLine = Line<StreamOwned<ClientConnection, TcpStream>>;

pub(crate) fn client_config(authority: &[u8], identity: Option<(&[u8], &[u8])>) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from(authority.to_vec())).unwrap();
    let builder = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()));
    let builder = builder
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_root_certificates(roots);
    match identity {
        None => builder.with_no_client_auth(),
        Some((certificate, key)) => {
            let key = PrivatePkcs8KeyDer::from(key.to_vec()).into();
            builder
                .with_client_auth_cert(vec![CertificateDer::from(certificate.to_vec())], key)
                .unwrap()
        }
    }
}

impl Identity {
    pub(crate) fn new(authority: &[u8], server: SocketAddr) -> Self {
        let pkcs8 =
            EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &SystemRandom::new()).unwrap();
        Self {
            pkcs8: pkcs8.as_ref().to_vec(),
            certificate: None,
            authority: authority.to_vec(),
            server,
        }
    }

    pub(crate) fn take_certificate_of(&mut self, other: &Self) {
        self.pkcs8.clone_from(&other.pkcs8);
        self.certificate.clone_from(&other.certificate);
    }

    pub(crate) fn authority(&self) -> &[u8] {
        &self.authority
    }

    pub(crate) fn pkcs8(&self) -> &[u8] {
        &self.pkcs8
    }

    fn key(&self) -> EcdsaKeyPair {
        EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &self.pkcs8, &SystemRandom::new()).unwrap()
    }

    pub(crate) fn public_key(&self) -> Vec<u8> {
        self.key().public_key().as_ref().to_vec()
    }

    pub(crate) fn sign(&self, bytes: &[u8]) -> Vec<u8> {
        self.key()
            .sign(&SystemRandom::new(), bytes)
            .unwrap()
            .as_ref()
            .to_vec()
    }

    /// What proves to the provider that the new key is held.
    pub(crate) fn proof(&self, purpose: &str, about: &str) -> Value {
        let signed = [purpose.as_bytes(), about.as_bytes(), &self.public_key()].concat();
        hex::encode(self.sign(&signed)).into()
    }

    pub(crate) fn enrolment(&self, code: &str) -> Value {
        json!({
            "code": code, "public_key": hex::encode(self.public_key()), "proof": self.proof("purser enrolment", code),
        })
    }

    /// Enrols and keeps the certificate.
    pub(crate) fn enrol(&mut self, code: &str) -> Value {
        let enrolled = self
            .connect()
            .ask("POST", "/v1/enrolment", Some(&self.enrolment(code)))
            .done();
        self.certificate = Some(hex::decode(enrolled["certificate"].as_str().unwrap()).unwrap());
        assert_eq!(enrolled["authority"], hex::encode(&self.authority));
        enrolled
    }

    pub(crate) fn tcp(&self) -> TcpStream {
        let stream = TcpStream::connect(self.server).unwrap();
        stream.set_read_timeout(Some(LONG)).unwrap();
        stream.set_nodelay(true).unwrap();
        stream
    }

    pub(crate) fn connect(&self) -> TlsLine {
        let identity = self.certificate.as_deref().map(|it| (it, &self.pkcs8[..]));
        let config = client_config(&self.authority, identity);
        let name = ServerName::try_from("localhost").unwrap();
        let connection = ClientConnection::new(Arc::new(config), name).unwrap();
        Line(StreamOwned::new(connection, self.tcp()))
    }

    /// One request on a connection of its own.
    pub(crate) fn ask(&self, method: &str, path: &str, body: Option<&Value>) -> Answer {
        self.connect().ask(method, path, body)
    }
}

impl<S: Read + Write> Line<S> {
    /// Sends a request and takes the answer, which the document must have.
    pub(crate) fn ask(&mut self, method: &str, path: &str, body: Option<&Value>) -> Answer {
        self.send(method, path, &body.map(Value::to_string).unwrap_or_default());
        self.answer(method, path)
    }

    pub(crate) fn send(&mut self, method: &str, path: &str, body: &str) {
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: provider\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        self.0.write_all(head.as_bytes()).unwrap();
        self.0.write_all(body.as_bytes()).unwrap();
        self.0.flush().unwrap();
    }

    pub(crate) fn answer(&mut self, method: &str, path: &str) -> Answer {
        self.try_answer(method, path).expect("the provider answers")
    }

    pub(crate) fn try_answer(&mut self, method: &str, path: &str) -> std::io::Result<Answer> {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            self.0.read_exact(&mut byte)?;
            head.push(byte[0]);
        }
        let head = String::from_utf8(head).unwrap().to_lowercase();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "))
            .unwrap();
        let mut body = vec![0; length.parse().unwrap()];
        self.0.read_exact(&mut body)?;
        let body = serde_json::from_slice(&body).unwrap();
        document::check(method, path, status, &body);
        let hangs_up = head.contains("connection: close");
        Ok(Answer {
            status,
            body,
            hangs_up,
        })
    }
}
