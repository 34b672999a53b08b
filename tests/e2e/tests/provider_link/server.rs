//! A server with the real provider's certificate and signing key that says what the test wants it to say.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::Duration;

use purser_provider_link::{
    BankAccount, BankTerminalId, Batch, BatchVoid, Decision, Item, Permit, PermitId, Sum, TerminalName,
    Verdict, VerdictsDigest, VoidReason,
};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair};
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::{Value, json};

use crate::host::{NAME, TILL};

/// What is answered.
#[derive(Clone, Debug)]
pub(crate) enum Reply {
    /// A status and a body, as they should be.
    Json(u16, Value),
    /// These bytes, then the end of the connection.
    Raw(Vec<u8>),
    /// These bytes, then zeros for ever.
    Endless(Vec<u8>),
    /// These bytes, so slowly that a reader who only waits for the next one never ends.
    Drip(Vec<u8>),
    /// Nothing for ever.
    Silence,
}

/// Says something else than the truth, or nothing (`None`: the truth).
pub(crate) type Lie = Box<dyn Fn(&Server, &str) -> Option<Reply> + Send + Sync>;

/// The server.
pub(crate) struct Server {
    tls: Arc<ServerConfig>,
    signing: EcdsaKeyPair,
    public: Vec<u8>,
    pub(crate) batch: Batch,
    items: Vec<Item>,
    /// The newest request: every connection that waits is called for it once.
    request: Mutex<Option<Value>>,
    asked: Condvar,
    lie: Mutex<Arc<Lie>>,
}

impl Server {
    /// Begins to serve, at this address, with what lies in the provider's folder.
    pub(crate) fn start(folder: &Path, address: SocketAddr, batch: Batch, items: Vec<Item>) -> Arc<Self> {
        let file = |name: &str| std::fs::read(folder.join(name)).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let key = PrivatePkcs8KeyDer::from(file("server.key")).into();
        let config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![CertificateDer::from(file("server.der"))], key)
            .unwrap();
        let signing = file("signing.key");
        let random = SystemRandom::new();
        let server = Arc::new(Self {
            tls: Arc::new(config),
            signing: EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &signing, &random).unwrap(),
            public: file("signing.pub"),
            batch,
            items,
            request: Mutex::default(),
            asked: Condvar::new(),
            lie: Mutex::new(Arc::new(Box::new(|_, _| None))),
        });
        let listener = TcpListener::bind(address).unwrap();
        let ours = Arc::clone(&server);
        // It ends with the process.
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (stream, server) = (stream.unwrap(), Arc::clone(&ours));
                thread::spawn(move || server.serve(stream));
            }
        });
        server
    }

    pub(crate) fn set_lie(&self, lie: Lie) {
        *self.lie.lock().unwrap() = Arc::new(lie);
        *self.request.lock().unwrap() = None;
    }

    fn serve(&self, stream: TcpStream) {
        stream.set_nodelay(true).unwrap();
        let mut called = None;
        let session = ServerConnection::new(Arc::clone(&self.tls)).unwrap();
        let mut stream = StreamOwned::new(session, stream);
        while let Some((route, body)) = hear(&mut stream) {
            // A server's connection that was lost in the middle is the test's business.
            if self.answer(&mut stream, &mut called, &route, &body).is_err() {
                return;
            }
        }
    }

    fn answer(
        &self,
        stream: &mut impl Write,
        called: &mut Option<Value>,
        route: &str,
        body: &Value,
    ) -> std::io::Result<()> {
        // What a call waits for is waited for, also before a lie.
        let call = (route == "GET /v1/call").then(|| self.call(called));
        let lie = Arc::clone(&self.lie.lock().unwrap());
        let honest = || Reply::Json(200, call.unwrap_or_else(|| self.truth(route, body)));
        let reply = lie(self, route).unwrap_or_else(honest);
        let hang_up = Err(std::io::ErrorKind::ConnectionAborted.into());
        match reply {
            Reply::Json(status, body) => {
                let bytes = response(status, &body);
                stream.write_all(&bytes)?;
                stream.flush()
            }
            Reply::Raw(bytes) => {
                stream.write_all(&bytes)?;
                stream.flush()?;
                hang_up
            }
            Reply::Endless(head) => {
                stream.write_all(&head)?;
                loop {
                    stream.write_all(&[b'0'; 4096])?;
                }
            }
            Reply::Drip(bytes) => {
                for byte in bytes {
                    stream.write_all(&[byte])?;
                    stream.flush()?;
                    thread::sleep(Duration::from_millis(50));
                }
                Ok(())
            }
            Reply::Silence => loop {
                thread::sleep(Duration::from_secs(60));
            },
        }
    }

    /// What an honest provider says.
    pub(crate) fn truth(&self, route: &str, body: &Value) -> Value {
        let (method, path) = route.split_once(' ').unwrap();
        let batch = format!("/v1/batches/{}", self.batch.id);
        match (method, path.strip_prefix(&batch)) {
            ("PUT", Some("")) => self.stands("receiving", 0, 0),
            ("PUT", Some(_)) => json!({ "verdicts": [] }),
            ("POST", Some("/permit")) => self.permit(|_| ()),
            ("POST", Some("/void")) => self.void(|_| ()),
            ("GET", Some(_)) => {
                let number = path.rsplit('/').next().unwrap().parse().unwrap();
                self.page(number, |_| ())
            }
            _ => self.truth_of_call(route, body),
        }
    }

    fn truth_of_call(&self, route: &str, body: &Value) -> Value {
        match route {
            "GET /v1/provider" => json!({
                "provider": NAME, "terminal": TILL, "role": "merchant", "call_back": "standing",
                "signing_key": hex::encode(&self.public), "certificate_expires_at": 0, "time": 0,
            }),
            "POST /v1/requests" => {
                *self.request.lock().unwrap() = Some(body.clone());
                self.asked.notify_all();
                json!({ "ticket": "11".repeat(16) })
            }
            _ => json!({ "purpose": "settlement", "subject": self.batch.digest().to_string() }),
        }
    }

    /// The call that a connection waits for, which was called for this request last.
    fn call(&self, called: &mut Option<Value>) -> Value {
        let waiting = self.request.lock().unwrap();
        let waits = |it: &mut Option<Value>| it.is_none() || *it == *called;
        let (request, waited) = self
            .asked
            .wait_timeout_while(waiting, Duration::from_secs(1), waits)
            .unwrap();
        let request = request.clone().filter(|_| !waited.timed_out());
        called.clone_from(&request);
        let challenge = request.map(|request| {
            json!({
                "nonce": hex::encode(nonce()), "ticket": "11".repeat(16), "purpose": "settlement",
                "provider": NAME, "terminal": TILL, "subject": request["subject"],
            })
        });
        json!({ "challenge": challenge })
    }

    pub(crate) fn stands(&self, phase: &str, received: u32, next_page: u32) -> Value {
        let batch = self.batch.id.to_string();
        json!({ "batch": batch, "phase": phase, "received": received, "next_page": next_page })
    }

    pub(crate) fn sign(&self, bytes: &[u8]) -> String {
        let signature = self.signing.sign(&SystemRandom::new(), bytes).unwrap();
        hex::encode(signature.as_ref())
    }

    fn verdict(&self, place: u32) -> Verdict {
        let item = &self.items[usize::try_from(place).unwrap()];
        let Item::Claim(claim) = item else {
            unreachable!("sales alone")
        };
        Verdict {
            batch: self.batch.digest(),
            place,
            item: item.digest(),
            revision: 0,
            decision: Decision::Pay(claim.amount),
        }
    }

    /// A page of signed verdicts, each changed before it is signed.
    pub(crate) fn page(&self, number: u32, change: impl Fn(&mut Verdict)) -> Value {
        let places = (number * 2)..(number * 2 + 2).min(self.batch.count);
        let verdicts = places.map(|place| {
            let mut verdict = self.verdict(place);
            change(&mut verdict);
            let bytes = verdict.encode();
            json!({ "verdict": hex::encode(&bytes), "signature": self.sign(&bytes) })
        });
        json!({ "verdicts": verdicts.collect::<Vec<_>>() })
    }

    /// A signed permit, changed before it is signed.
    pub(crate) fn permit(&self, change: impl Fn(&mut Permit)) -> Value {
        let mut verdicts = VerdictsDigest::begin(self.batch.digest());
        let mut sum = Sum::begin(purser_ledger::Amount::zero(self.batch.claimed.currency()));
        for place in 0..self.batch.count {
            let verdict = self.verdict(place);
            verdicts = verdicts.with(&verdict);
            sum = sum.with(verdict.decision).unwrap();
        }
        let mut permit = Permit {
            id: PermitId([7; 16]),
            generation: 1,
            batch: self.batch.digest(),
            verdicts: verdicts.digest(),
            sum,
            presenter: TerminalName::new(TILL).unwrap(),
            bank_terminal: BankTerminalId::new(*b"KIOSK001").unwrap(),
            account: "000100110000001".parse::<BankAccount>().unwrap(),
            expires_unix_seconds: i64::MAX,
            sealed_token: vec![1],
        };
        change(&mut permit);
        let bytes = permit.encode();
        json!({ "permit": hex::encode(&bytes), "signature": self.sign(&bytes) })
    }

    /// A signed void, changed before it is signed.
    pub(crate) fn void(&self, change: impl Fn(&mut BatchVoid)) -> Value {
        let mut void = BatchVoid {
            batch_id: self.batch.id,
            batch: self.batch.digest(),
            reason: VoidReason::AskedByTerminal,
        };
        change(&mut void);
        let bytes = void.encode();
        json!({ "void": hex::encode(&bytes), "signature": self.sign(&bytes) })
    }
}

fn nonce() -> [u8; 32] {
    use ring::rand::SecureRandom;
    let mut nonce = [0; 32];
    SystemRandom::new().fill(&mut nonce).unwrap();
    nonce
}

/// An answer as it goes over the line.
pub(crate) fn response(status: u16, body: &Value) -> Vec<u8> {
    let body = body.to_string();
    let length = body.len();
    format!(
        "HTTP/1.1 {status} Told\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}

/// One request: method and path, and the body; none at the end of the connection.
fn hear(stream: &mut impl Read) -> Option<(String, Value)> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).ok()?;
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap();
    let route = head.split(" HTTP/1.1").next()?.to_owned();
    let length = head
        .to_lowercase()
        .lines()
        .find_map(|line| line.strip_prefix("content-length: ").map(str::to_owned));
    let mut body = vec![0; length.map_or(0, |it| it.parse().unwrap())];
    stream.read_exact(&mut body).ok()?;
    Some((route, serde_json::from_slice(&body).unwrap_or(Value::Null)))
}
