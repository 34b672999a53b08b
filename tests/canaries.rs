//! PINs and keys are searched for where an attacker with the machine's files or a core dump would look.

use std::collections::BTreeSet;
use std::io::Write;
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use des::cipher::{BlockCipherEncrypt, KeyInit};
use e2e::buyer::Buyer;
use e2e::canary::{Canaries, core_of};
use e2e::phase::DEBIT;
use e2e::point::children;
use e2e::pos::Pos;
use e2e::world::PRICE;
use purser_api::model::BeginSaleArguments;
use purser_journal::{Query, Reader};
use purser_lab::card::{Card, Fault as CardFault, Key16, Minor, Opening, ScriptedFault};
use purser_lab::issuer::{LAB_SERIAL, Masters, purchase_key_file};
use purser_lab::stack::{CURRENCY, Options, Stack};
use purser_lab::vpcd::CardThread;
use purser_ledger::Entry;
use purser_purse::pboc::Attempt;
use tempfile::TempDir;

/// A purserd whose card has a PIN and whose SAM has a key that nothing else in the world has.
struct Shop {
    stack: Stack,
    card: CardThread,
    folder: TempDir,
    pin: String,
    wrong_pin: String,
    master: [u8; 16],
    /// Stands in each reference: what must be found.
    control: String,
    /// Secrets and controls that were found in a core.
    in_cores: BTreeSet<String>,
    cores: usize,
}

fn random_digits() -> String {
    let number = getrandom::u64().expect("the kernel gives random bytes") % 1_000_000_000_000;
    format!("{number:012}")
}

impl Shop {
    fn open() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let options = Options {
            drop_in: "[pin]\nthrough_api = true\n".to_owned(),
            log: "trace".to_owned(),
            ..Options::default()
        };
        let stack = Stack::prepare(folder.path(), options).expect("the programs are built");
        let mut master = [0; 16];
        getrandom::fill(&mut master).expect("the kernel gives random bytes");
        let masters = Masters {
            purchase: Key16::new(master),
            ..Masters::public_lab()
        };
        let key_file = stack.layout().config_dir().join("sam.key");
        std::fs::write(key_file, purchase_key_file(&masters)).expect("the folder is ours");
        let (pin, wrong_pin) = (random_digits(), random_digits());
        let mut personalisation = masters.personalise(LAB_SERIAL);
        personalisation.pin = pin.parse().expect("twelve digits are a PIN");
        let opening = Opening { ep: Minor(10_000), ..Opening::default() };
        let card = Card::new(Arc::new(personalisation), opening);
        let card = stack.put_card("card", card, stack.layout().reader).expect("a new card");
        let control = format!("control-{}", random_digits());
        Self { stack, card, folder, pin, wrong_pin, master, control, in_cores: BTreeSet::new(), cores: 0 }
    }

    fn pos(&self) -> Pos {
        let purserd = self.stack.purserd_id().expect("purserd runs");
        Pos::connect(&self.stack.layout().socket(), purserd).expect("purserd answers")
    }

    fn sell_at_pad(&self, name: &str) -> String {
        let _buyer = Buyer::at(self.stack.layout().pad(), self.pin.clone());
        let reference = format!("{}-{name}", self.control);
        self.card.remove();
        let mut pos = self.pos();
        let told = pos.begin(&reference, PRICE).expect("it begins");
        self.card.insert();
        let told = pos.follow(&reference, told, |sale| sale.outcome != "under_way").expect("it ends");
        told.last().expect("something was told").outcome.clone()
    }

    /// The wrong PIN first, then the right one.
    fn sell_through_api(&self) -> String {
        let reference = format!("{}-api", self.control);
        self.card.remove();
        let mut pos = self.pos();
        let asked = BeginSaleArguments {
            reference: reference.clone(),
            amount: purser_api::model::Amount { minor: PRICE, currency: CURRENCY.to_owned() },
            reader: None,
            pin_through_api: Some(true),
        };
        pos.call(async |purser| purser.begin_sale(&asked).await).expect("in time").expect("it begins");
        self.card.insert();
        let mut tries: Vec<&str> = vec![&self.pin, &self.wrong_pin];
        let mut teller = self.pos();
        let mut last_tries = None;
        let told = pos.follow(&reference, Default::default(), |sale| {
            if sale.state == "waiting_for_pin" && (last_tries != Some(sale.tries_left)) {
                last_tries = Some(sale.tries_left);
                let pin = descriptor_of(tries.pop().expect("the second PIN is right"));
                let provided = teller.call(async |purser| purser.provide_pin(&reference, pin, false).await);
                provided.expect("in time").expect("the PIN is taken");
            }
            sale.outcome != "under_way"
        });
        told.expect("it ends").last().expect("something was told").outcome.clone()
    }

    /// A sale whose DEBIT has no answer yet.
    fn begin_stuck_sale(&self) -> Pos {
        let _buyer = Buyer::at(self.stack.layout().pad(), self.pin.clone());
        let reference = format!("{}-stuck", self.control);
        self.card.remove();
        self.card.script(ScriptedFault::next(DEBIT, CardFault::MuteUntilReset));
        let mut pos = self.pos();
        let told = pos.begin(&reference, PRICE).expect("it begins");
        self.card.insert();
        let told = pos.follow(&reference, told, |sale| sale.entry.is_some()).expect("the debit is intended");
        assert_eq!(told.last().expect("something was told").state, "debiting");
        pos
    }

    /// All secrets that were ever used here: what a SAM derives, derived once more by other code.
    fn secrets(&self) -> Canaries {
        let mut secrets = Canaries::default();
        secrets.add_pin("the PIN", &self.pin);
        secrets.add_pin("the wrong PIN", &self.wrong_pin);
        secrets.add_key("the master key", &self.master);
        let reader = Reader::open(&self.stack.layout().state_dir()).expect("the journal can be read");
        let query = Query { after: 0, limit: 1000, owner: None, reference: None };
        for recorded in reader.entries(&query).expect("the journal can be read") {
            if let Entry::SaleIntended(intended) = &recorded.content.entry {
                let attempt = Attempt::decode(intended.attempt.bytes()).expect("an attempt");
                let (card_key, session_key) = derive(self.master, &attempt);
                secrets.add_key("the card's key", &card_key);
                secrets.add_key("a session key", &session_key);
            }
        }
        secrets
    }

    /// Writes cores of purserd and its driver host, and looks into them.
    fn dump(&mut self, when: &str) {
        let mut sought = self.secrets();
        sought.add_exactly("control", self.control.as_bytes());
        let purserd = self.stack.purserd_id().expect("purserd runs");
        let host = children(purserd).expect("purserd runs").pop().expect("the driver host runs");
        for (name, process) in [("purserd", purserd), ("driver host", host)] {
            let core = core_of(process, self.folder.path()).expect("a core can be written");
            assert!(core.len() > 500_000, "{name}'s core has only {} bytes", core.len());
            let found = sought.found_in(&core);
            println!("{when}: core of {name}, {} KiB: {found:?}", core.len() / 1024);
            assert!(name != "purserd" || found.contains("control"), "what must be there is found");
            self.in_cores.extend(found.into_iter().map(|what| format!("{what}, {name}, {when}")));
            self.cores += 1;
        }
    }
}

/// The PIN on a descriptor, with its end.
fn descriptor_of(pin: &str) -> OwnedFd {
    let (ours, theirs) = UnixStream::pair().expect("a pair of sockets");
    (&ours).write_all(pin.as_bytes()).expect("twelve bytes fit");
    ours.shutdown(Shutdown::Write).expect("it is open");
    theirs.into()
}

/// The card's key and the session key, by the published formulas (PBOC EP, SESPK) and not by Purser's code.
fn derive(master: [u8; 16], attempt: &Attempt) -> ([u8; 16], [u8; 8]) {
    let encrypt = |key: [u8; 16], block: [u8; 8]| -> [u8; 8] {
        let mut block = block.into();
        des::TdesEde2::new(&key.into()).encrypt_block(&mut block);
        block.into()
    };
    let asn = *attempt.asn.as_bytes();
    let mut card_key = [0; 16];
    card_key[..8].copy_from_slice(&encrypt(master, asn));
    card_key[8..].copy_from_slice(&encrypt(master, asn.map(|byte| !byte)));
    let mut input = [0; 8];
    input[..4].copy_from_slice(attempt.random.as_bytes());
    input[4..6].copy_from_slice(&attempt.offline_sn.value().to_be_bytes());
    input[6..].copy_from_slice(&attempt.terminal_sn.value().to_be_bytes()[2..]);
    (card_key, encrypt(card_key, input))
}

#[test]
fn no_pin_and_no_key_is_in_logs_journal_or_cores() {
    let mut shop = Shop::open();
    shop.stack.start_again().expect("purserd starts");
    assert_eq!(shop.sell_at_pad("pad"), "paid");
    assert_eq!(shop.sell_through_api(), "paid");
    shop.dump("after sales");
    let stuck = shop.begin_stuck_sale();
    shop.dump("while a debit waits");
    drop(stuck);
    shop.stack.kill();
    shop.stack.start_again().expect("purserd starts");
    assert_eq!(shop.sell_at_pad("after-crash"), "paid");
    shop.dump("after a crash, a recovery and a sale");

    let secrets = shop.secrets();
    assert!(secrets.count() > 60, "{} forms", secrets.count());
    let mut control = Canaries::default();
    control.add_exactly("control", shop.control.as_bytes());
    let layout = shop.stack.layout();
    let (log, state, run) = (layout.log(), layout.state_dir(), layout.run_dir());
    let places: [&Path; 3] = [&log, &state, &run];
    for place in &places[..2] {
        let found = control.found_below(place).expect("it can be read");
        assert!(!found.is_empty(), "what must be there is found in {}", place.display());
    }
    let in_files = places.map(|place| secrets.found_below(place).expect("it can be read")).concat_all();
    let secret = |found: &&String| !found.starts_with("control");
    let in_cores: Vec<_> = shop.in_cores.iter().filter(secret).collect();
    println!("{} forms of secrets, {} cores: none found", secrets.count(), shop.cores);
    assert!(in_files.is_empty(), "secrets in files: {in_files:#?}");
    assert!(in_cores.is_empty(), "secrets in cores: {in_cores:#?}");
}

trait ConcatAll {
    fn concat_all(self) -> BTreeSet<String>;
}

impl<const N: usize> ConcatAll for [BTreeSet<String>; N] {
    fn concat_all(self) -> BTreeSet<String> {
        self.into_iter().flatten().collect()
    }
}

#[test]
fn a_secret_in_a_program_s_memory_is_found_in_its_core() {
    let (pin, folder) = (random_digits(), tempfile::tempdir().expect("a folder"));
    let mut child = Command::new("sleep")
        .arg("60")
        .env("CANARY", &pin)
        .stdin(Stdio::null())
        .spawn()
        .expect("sleep runs");
    let core = core_of(child.id(), folder.path());
    child.kill().and_then(|()| child.wait()).expect("it ends");
    let mut secrets = Canaries::default();
    secrets.add_pin("the PIN", &pin);
    let found = secrets.found_in(&core.expect("a core can be written"));
    assert!(found.contains("the PIN as text"), "{found:?}");
}
