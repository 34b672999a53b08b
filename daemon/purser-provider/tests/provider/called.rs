//! The call-back as a terminal lives it, in both modes.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;

use purser_provider_link::call_back::{Challenge, ChannelBinding, Nonce, Purpose, Ticket};
use purser_provider_link::{Digest, ProviderName, TerminalName};
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{ConnectionCommon, RootCertStore, ServerConfig, ServerConnection, StreamOwned};
use serde_json::{Value, json};

use crate::client::{Answer, Identity, LONG, Line, TlsLine};

pub(crate) const LABEL: &[u8] = b"EXPORTER-Channel-Binding";

/// This end's channel binding.
pub(crate) fn binding<D>(session: &ConnectionCommon<D>) -> ChannelBinding {
    // An empty context is the same as none in TLS 1.3 (RFC 9266 §2).
    ChannelBinding(session.export_keying_material([0; 32], LABEL, Some(&[])).unwrap())
}

fn bytes<const N: usize>(value: &Value) -> [u8; N] {
    let mut bytes = [0; N];
    hex::decode_to_slice(value.as_str().unwrap(), &mut bytes).unwrap();
    bytes
}

/// The challenge as the terminal's device key signs it.
pub(crate) fn challenge(told: &Value) -> Challenge {
    Challenge {
        nonce: Nonce(bytes(&told["nonce"])),
        ticket: Ticket(bytes(&told["ticket"])),
        purpose: if told["purpose"] == "load" {
            Purpose::Load
        } else {
            Purpose::Settlement
        },
        provider: ProviderName::new(told["provider"].as_str().unwrap()).unwrap(),
        terminal: TerminalName::new(told["terminal"].as_str().unwrap()).unwrap(),
        subject: Digest(bytes(&told["subject"])),
    }
}

/// The answer that the device key makes of a challenge.
pub(crate) fn answer(told: &Value, binding: &ChannelBinding, key: &Identity) -> Value {
    let signature = key.sign(&challenge(told).signed_bytes(binding));
    json!({ "ticket": told["ticket"], "nonce": told["nonce"], "signature": hex::encode(signature) })
}

pub(crate) fn request(id: u8, purpose: &str, subject: Digest) -> Value {
    json!({
        "id": hex::encode([id; 16]), "purpose": purpose, "provider": "provider.example", "subject": subject.to_string(),
    })
}

/// Asks on a connection of its own, and sees it end.
pub(crate) fn ask(terminal: &Identity, request: &Value) -> Answer {
    let answer = terminal.ask("POST", "/v1/requests", Some(request));
    assert!(
        answer.status != 200 || answer.hangs_up,
        "the provider hangs up after a ticket (S7, S31)"
    );
    answer
}

impl<S: Read + Write> Line<S> {
    /// Waits for the challenge.
    pub(crate) fn challenge(&mut self) -> Value {
        loop {
            let told = self.ask("GET", "/v1/call", None).done()["challenge"].clone();
            if !told.is_null() {
                return told;
            }
        }
    }
}

/// A terminal that keeps a link.
pub(crate) struct Standing;

impl Standing {
    /// Opens the link and waits for a call on it; the request is made meanwhile.
    pub(crate) fn called(terminal: &Identity, id: u8, purpose: &str, subject: Digest) -> TlsLine {
        let mut link = terminal.connect();
        link.send("GET", "/v1/call", "");
        ask(terminal, &request(id, purpose, subject)).done();
        let mut told = link.answer("GET", "/v1/call").done()["challenge"].clone();
        if told.is_null() {
            told = link.challenge();
        }
        let answer = answer(&told, &binding(&link.0.conn), terminal);
        let opened = link.ask("POST", "/v1/call/answer", Some(&answer)).done();
        assert_eq!(opened["subject"], subject.to_string());
        link
    }
}

/// A terminal that listens for the provider's call.
pub(crate) struct Listening {
    listener: TcpListener,
}

pub(crate) type CalledLine = Line<StreamOwned<ServerConnection, TcpStream>>;

impl Listening {
    pub(crate) fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        Self { listener }
    }

    pub(crate) fn address(&self) -> String {
        self.listener.local_addr().unwrap().to_string()
    }

    /// Takes the provider's next call with this identity. The provider has to show a certificate of its authority.
    pub(crate) fn accept(&self, identity: &Identity) -> CalledLine {
        let (stream, _) = self.listener.accept().unwrap();
        stream.set_read_timeout(Some(LONG)).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut roots = RootCertStore::empty();
        roots
            .add(CertificateDer::from(identity.authority().to_vec()))
            .unwrap();
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider));
        let config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .with_client_cert_verifier(verifier.build().unwrap());
        let certificate = CertificateDer::from(identity.certificate.clone().unwrap());
        let key = PrivatePkcs8KeyDer::from(identity.pkcs8().to_vec()).into();
        let config = config.with_single_cert(vec![certificate], key).unwrap();
        Line(StreamOwned::new(
            ServerConnection::new(Arc::new(config)).unwrap(),
            stream,
        ))
    }

    /// Asks, is called and answers.
    pub(crate) fn called(&self, terminal: &Identity, id: u8, purpose: &str, subject: Digest) -> CalledLine {
        ask(terminal, &request(id, purpose, subject)).done();
        let mut line = self.accept(terminal);
        let told = line.challenge();
        let answer = answer(&told, &binding(&line.0.conn), terminal);
        line.ask("POST", "/v1/call/answer", Some(&answer)).done();
        line
    }
}
