//! A provider whose data base is as new in each history, and who is asked without a line.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use clap::Parser;
use hyper::body::Bytes;
use purser_provider_link::call_back::{ChannelBinding, Purpose, Request, RequestId};
use purser_provider_link::{Digest, ProviderName, TerminalName};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use super::parties::{CARDS, DESKS, TILLS};
use crate::cli::{Cli, Verb};
use crate::fault::Failure;
use crate::folder::Folder;
use crate::serve::api::{self, Endpoint};
use crate::serve::leg::Down;
use crate::serve::peer::Fingerprint;
use crate::serve::{Shared, open};
use crate::store::Store;
use crate::verbs;

const CARD_KEYS: &str = "\
[[masters]]
version = 1
purchase = \"00112233445566778899AABBCCDDEEFF\"
load = \"0F1E2D3C4B5A69788796A5B4C3D2E1F0\"
tac = \"0123456789ABCDEFFEDCBA9876543210\"
";

/// The generator of P-256.
const POINT: &str = "046b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296\
                     4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5";

/// A provider.
pub(super) struct Scene {
    home: TempDir,
    pub(super) shared: Arc<Shared>,
    runtime: Runtime,
    certificates: BTreeMap<String, Fingerprint>,
    /// The data base as each history begins with it.
    template: Vec<u8>,
    signing_key: Vec<u8>,
    /// The folder of the history under way.
    now: Option<TempDir>,
}

fn command(words: &[&str]) -> Cli {
    Cli::parse_from([&["purser-provider"], words].concat())
}

impl Scene {
    /// A provider with banks, merchants, terminals and cards.
    pub(super) fn new() -> Self {
        let home = folder();
        let path = home.path().join("provider");
        let words = [
            "init",
            path.to_str().unwrap(),
            "--name",
            "provider.example",
            "--host",
            "localhost",
        ];
        let Verb::Init(init) = command(&words).verb else {
            panic!()
        };
        verbs::make(&init).unwrap();
        let folder = Folder::new(&path);
        crate::folder::write_new(&path.join("card-keys"), CARD_KEYS.as_bytes()).unwrap();
        let Verb::Serve(serve) = command(&["serve"]).verb else {
            panic!()
        };
        let mut scene = Self {
            shared: Arc::new(open(&folder, &serve).unwrap()),
            runtime: tokio::runtime::Builder::new_current_thread()
                .max_blocking_threads(1)
                .enable_all()
                .build()
                .unwrap(),
            certificates: BTreeMap::new(),
            template: Vec::new(),
            signing_key: crate::folder::read_public(&folder.signing_public_key()).unwrap(),
            home,
            now: None,
        };
        scene.furnish();
        let store = scene.shared.store.lock().unwrap();
        store
            .reader()
            .query_row("PRAGMA wal_checkpoint(TRUNCATE)", (), |_| Ok(()))
            .unwrap();
        drop(store);
        scene.template = std::fs::read(folder.data_base()).unwrap();
        scene
    }

    fn furnish(&mut self) {
        self.command(&[
            "bank",
            "add",
            "first",
            "--account",
            "000100110000001",
            "--sealing-key",
            POINT,
        ]);
        for (merchant, account) in [("kiosk", "000100220000002"), ("other", "000100220000003")] {
            self.command(&[
                "merchant",
                "add",
                merchant,
                "--bank",
                "first",
                "--account",
                account,
            ]);
        }
        self.command(&["key", "version", "add", "1"]);
        for (serial, currency) in CARDS {
            let keys = self.home.path().join(serial);
            let keys = keys.to_str().unwrap();
            let card = ["card", "issue", "--serial", serial, "--currency", currency];
            self.command(&[&card[..], &["--key-version", "1", "--keys-to", keys]].concat());
        }
        for (name, merchant, number) in TILLS {
            let number = format!("{number:012x}");
            let till = [
                "terminal",
                "add",
                name,
                "--role",
                "merchant",
                "--merchant",
                merchant,
            ];
            let numbers = [
                "--psam-number",
                &number,
                "--bank-terminal",
                "KIOSK001",
                "--standing-link",
            ];
            let added = self.command(&[&till[..], &numbers].concat());
            self.enrol(name, &added[0]);
        }
        for name in DESKS {
            let added = self.command(&["terminal", "add", name, "--role", "provider", "--standing-link"]);
            self.enrol(name, &added[0]);
        }
    }

    fn enrol(&mut self, name: &str, added: &Value) {
        let code = added["enrolment_code"].as_str().unwrap();
        let random = SystemRandom::new();
        let algorithm = &ECDSA_P256_SHA256_ASN1_SIGNING;
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(algorithm, &random).unwrap();
        let key = EcdsaKeyPair::from_pkcs8(algorithm, pkcs8.as_ref(), &random).unwrap();
        let public = key.public_key().as_ref();
        let proof = key.sign(&random, &[b"purser enrolment", code.as_bytes(), public].concat());
        let asked = json!({
            "code": code, "public_key": hex::encode(public), "proof": hex::encode(proof.unwrap()),
        });
        let enrolled = self.call("", None, Endpoint::Enrol, &[], &asked).unwrap();
        let der = hex::decode(enrolled["certificate"].as_str().unwrap()).unwrap();
        self.certificates
            .insert(name.to_owned(), Fingerprint::of_der(&der));
    }

    /// Begins a history with the data base as new.
    pub(super) fn begin(&mut self, number: u64) {
        let now = tempfile::Builder::new()
            .prefix(&format!("{number}-"))
            .tempdir_in(self.home.path());
        let now = now.unwrap();
        std::fs::write(now.path().join("provider.db"), &self.template).unwrap();
        let folder = Folder::new(now.path());
        *self.shared.store.lock().unwrap() = Store::open(&folder).unwrap();
        *self.shared.reader.lock().unwrap() = Store::open(&folder).unwrap();
        self.now = Some(now);
    }

    /// A command of the operator, by its words.
    fn command(&self, words: &[&str]) -> Vec<Value> {
        self.operator(&command(words).verb)
    }

    /// A command of the operator.
    pub(super) fn operator(&self, verb: &Verb) -> Vec<Value> {
        let store = &mut *self.shared.store.lock().unwrap();
        // The keys are not part of the data base.
        let folder = Folder::new(&self.home.path().join("provider"));
        let shown = match verb {
            Verb::Bank(verb) => verbs::accounts::bank(store, verb),
            Verb::Merchant(verb) => verbs::accounts::merchant(store, verb),
            Verb::Terminal(verb) => verbs::terminals::terminal(store, verb),
            Verb::Card(verb) => verbs::cards::card(store, &folder, verb),
            Verb::Key(verb) => verbs::keys::key(store, &folder, verb),
            Verb::Hotlist(verb) => verbs::hotlist::hotlist(store, verb),
            Verb::Parameters(verb) => verbs::parameters::parameters(store, &folder, verb),
            Verb::Permit(verb) => verbs::permits::permit(store, &folder, verb),
            Verb::Batch(verb) => verbs::batches::batch(store, &folder, verb),
            Verb::Queries(verb) => verbs::queries::queries(store, &folder, verb),
            other => panic!("{other:?}"),
        };
        shown.unwrap().objects
    }

    /// What a terminal asks on a connection that is open for this: the answer, or the name of the refusal.
    pub(super) fn call(
        &self,
        terminal: &str,
        open_for: Option<(Purpose, Digest)>,
        endpoint: Endpoint,
        parameters: &[String],
        body: &Value,
    ) -> Result<Value, &'static str> {
        let shared = Arc::clone(&self.shared);
        let leg = shared.calls.leg(
            self.certificates.get(terminal).copied(),
            ChannelBinding([0; 32]),
            false,
        );
        if let Some((purpose, subject)) = open_for {
            leg.tell(Down::Opened(Request {
                id: RequestId([1; 16]),
                purpose,
                terminal: TerminalName::new(terminal).unwrap(),
                provider: ProviderName::new("provider.example").unwrap(),
                subject,
            }));
        }
        let body = Bytes::from(body.to_string());
        let answered = api::call(shared, leg, endpoint, parameters.to_vec(), body);
        match self.runtime.block_on(answered) {
            Ok(reply) => Ok(reply.body),
            Err(Failure::Refused(fault)) => Err(fault.name),
            Err(failure) => panic!("{}", failure.chain()),
        }
    }

    /// What `audit` finds.
    pub(super) fn audit(&self) -> Vec<Value> {
        let store = self.shared.store.lock().unwrap();
        crate::audit::audit(&store, &self.shared.card_keys, &self.signing_key).unwrap()
    }
}

/// In memory where there is such a place: a data base that lives for milliseconds need not reach a disk.
fn folder() -> TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() {
        TempDir::new_in(memory).unwrap()
    } else {
        TempDir::new().unwrap()
    }
}
