//! schemathesis, which we did not write, reads the OpenAPI document and asks the running server everything that it can think
//! of: what the document allows and what it does not. An answer that the document does not have, a 5xx, an accepted body that the
//! document forbids and a 405 without its methods are findings.
//!
//! It knows nothing of the call-back, so it is run three times. First as a terminal with its own certificate: every route, and
//! behind those of a batch or a load the answer that the connection is not open for it. Then behind a relay that is called back
//! first and passes each request on over that connection: the routes of one batch, and of one load. What it does not
//! reach: `GET /v1/call` with a challenge (its terminal has an address and is told `WrongMode`, where a link would wait for 25 s
//! each time), and what hyper answers to a request that is no HTTP. The other tests of this program hold every answer against
//! the document too.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::called::Standing;
use crate::client::{Identity, TlsLine};
use crate::loads::{load_id, open, subject};
use crate::settling::{Shop, claims, path, send};
use crate::shop::{Customer, seal};
use crate::support::CARD;

/// How many requests of its own invention for each route, beside those at the limits of the document.
const EXAMPLES: &str = "25";
const SEED: &str = "4";
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,\
                      response_headers_conformance,response_schema_conformance,negative_data_rejection,\
                      unsupported_method,allow_header_conformance";

fn program() -> PathBuf {
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/peers/bin/schemathesis");
    assert!(
        program.exists(),
        "schemathesis is missing: python3 -m venv target/peers && \
         target/peers/bin/pip install -r tests/e2e/peers/requirements.txt"
    );
    program
}

/// The document, with the one number that a leg is open for in place of any.
fn document(parameter: &str, number: &str) -> Value {
    let mut document: Value = serde_json::from_str(include_str!("../../openapi.json")).unwrap();
    for methods in document["paths"].as_object_mut().unwrap().values_mut() {
        let parameters = methods.get_mut("parameters").and_then(Value::as_array_mut);
        for described in parameters.into_iter().flatten() {
            if described["name"] == parameter {
                described["schema"] = json!({ "type": "string", "enum": [number] });
            }
        }
    }
    document
}

/// Runs it in a folder of its own.
fn run(folder: &Path, name: &str, url: &str, document: &Value, arguments: &[&str]) {
    let home = folder.join(name);
    std::fs::create_dir(&home).unwrap();
    std::fs::write(home.join("openapi.json"), document.to_string()).unwrap();
    let output = Command::new(program())
        .current_dir(&home)
        .args(["run", "openapi.json"])
        .args(["--url", url, "--checks", CHECKS, "--phases", "coverage,fuzzing"])
        .args(["--max-examples", EXAMPLES, "--seed", SEED, "--workers", "1"])
        .args(["--generation-database", "none", "--no-color", "--warnings", "off"])
        .args(["--request-timeout", "30", "--suppress-health-check", "all"])
        .args(arguments)
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    let summary = told.rfind("= SUMMARY =").map_or(&*told, |at| &told[at..]);
    println!("{name}: {summary}");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{name}: {told}{errors}");
}

/// The certificate and the key as OpenSSL reads them (RFC 7468).
fn pem(label: &str, der: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for (index, three) in der.chunks(3).enumerate() {
        if index > 0 && index.is_multiple_of(16) {
            text.push('\n');
        }
        let mut bits = [0; 4];
        bits[1..=three.len()].copy_from_slice(three);
        let bits = u32::from_be_bytes(bits);
        for place in 0..4 {
            let digit = usize::try_from((bits >> (18 - 6 * place)) & 0x3F).unwrap();
            text.push(if place <= three.len() {
                char::from(DIGITS[digit])
            } else {
                '='
            });
        }
    }
    format!("-----BEGIN {label}-----\n{text}\n-----END {label}-----\n")
}

/// One HTTP message: its head, and its body by the length that the head tells.
fn message(from: &mut impl Read, has_body: impl Fn(&str) -> bool) -> std::io::Result<(String, Vec<u8>)> {
    let mut bytes = Vec::new();
    while !bytes.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        from.read_exact(&mut byte)?;
        bytes.push(byte[0]);
    }
    let head = String::from_utf8_lossy(&bytes).to_lowercase();
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "));
    let length = length.map_or(0, |it| it.parse().unwrap());
    if has_body(&head) {
        let mut body = vec![0; length];
        from.read_exact(&mut body)?;
        bytes.extend(body);
    }
    Ok((head, bytes))
}

/// Passes requests on over a leg, one after the other, and opens the next leg where the provider has ended one.
struct Relay<F> {
    line: Option<TlsLine>,
    open: F,
}

impl<F: FnMut() -> TlsLine + Send + 'static> Relay<F> {
    /// Listens without TLS. Its threads end with the test.
    fn listen(open: F) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let relay = Arc::new(Mutex::new(Self { line: None, open }));
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let relay = Arc::clone(&relay);
                std::thread::spawn(move || Self::serve(&relay, stream));
            }
        });
        address
    }

    fn serve(relay: &Mutex<Self>, mut stream: TcpStream) {
        while let Ok((head, request)) = message(&mut stream, |_| true) {
            let answer = relay.lock().unwrap().pass(&head, &request);
            if stream.write_all(&answer).is_err() {
                return;
            }
        }
    }

    fn pass(&mut self, head: &str, request: &[u8]) -> Vec<u8> {
        let line = self.line.get_or_insert_with(&mut self.open);
        line.0.write_all(request).unwrap();
        line.0.flush().unwrap();
        let is_head = head.starts_with("head ");
        let (head, answer) = message(&mut line.0, |_| !is_head).expect("the provider answers");
        if head.contains("connection: close") {
            self.line = None;
        }
        answer
    }
}

/// A terminal of the shop with an address at which nobody listens.
fn called(shop: &Shop) -> Identity {
    let added = shop.provider.done(&[
        "terminal",
        "add",
        "far",
        "--role",
        "merchant",
        "--merchant",
        "kiosk",
        "--psam-number",
        "0000000000fa",
        "--bank-terminal",
        "KIOSK001",
        "--address",
        "127.0.0.1:1",
    ]);
    shop.enrolled(added[0]["enrolment_code"].as_str().unwrap())
}

fn as_a_terminal(shop: &Shop) {
    let far = called(shop);
    let folder = shop.provider.folder.path();
    let file = |name: &str, label, der: &[u8]| {
        let path = folder.join(name);
        std::fs::write(&path, pem(label, der)).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let certificate = file("far.crt", "CERTIFICATE", far.certificate.as_deref().unwrap());
    let key = file("far.key", "PRIVATE KEY", far.pkcs8());
    let authority = file("authority.crt", "CERTIFICATE", far.authority());
    let url = format!("https://localhost:{}", shop.serving.address.port());
    let tls = [
        "--tls-verify",
        &authority,
        "--request-cert",
        &certificate,
        "--request-cert-key",
        &key,
    ];
    run(folder, "terminal", &url, &document("", ""), &tls);
}

/// A batch of which the first of two pages is here.
fn on_a_leg_for_a_batch(shop: &Shop) {
    let mut customer = Customer::new(CARD);
    let items = claims(&[customer.pay(100, 1, 1), customer.pay(100, 1, 2)]);
    let batch = seal(1, "till-1", &items);
    let mut till = Identity::new(&shop.provider.authority(), shop.serving.address);
    till.take_certificate_of(&shop.till);
    let (digest, mut request) = (batch.digest(), 0);
    let mut open = move || {
        request += 1;
        Standing::called(&till, request, "settlement", digest)
    };
    let mut line = open();
    let body = json!({ "batch": hex::encode(batch.encode()) });
    line.ask("PUT", &path(&batch, ""), Some(&body)).done();
    send(&mut line, &batch, 0, &items[..1]).done();
    drop(line);
    let url = format!("http://{}", Relay::listen(open));
    let document = document("batch", &batch.id.to_string());
    let routes = ["--include-path-regex", "^/v1/batches/"];
    run(shop.provider.folder.path(), "batch", &url, &document, &routes);
}

fn on_a_leg_for_a_load(shop: &Shop) {
    let added = shop
        .provider
        .done(&["terminal", "add", "desk", "--role", "provider", "--standing-link"]);
    let desk = shop.enrolled(added[0]["enrolment_code"].as_str().unwrap());
    open(&shop.provider, 1, "1000");
    let mut request = 0;
    let relay = Relay::listen(move || {
        request += 1;
        Standing::called(&desk, request, "load", subject(1, 1_000))
    });
    let document = document("load", &load_id(1));
    let routes = ["--include-path-regex", "^/v1/loads/"];
    let url = format!("http://{relay}");
    run(shop.provider.folder.path(), "load", &url, &document, &routes);
}

#[test]
fn a_stranger_to_this_project_finds_no_undocumented_answer_and_no_5xx() {
    let shop = Shop::new();
    as_a_terminal(&shop);
    on_a_leg_for_a_batch(&shop);
    on_a_leg_for_a_load(&shop);
    assert_eq!(shop.provider.done(&["audit"])[0]["findings"], 0);
    assert!(
        shop.provider.done(&["liability"]).is_empty(),
        "no value has moved"
    );
}
