//! Loads that must not be, and MAC2s that must not leave.

use serde_json::Value;

use super::{Attack, World};
use crate::called::Standing;
use crate::card::Inserted;
use crate::client::{Identity, TlsLine};
use crate::loads::{DESK, attempt, confirm, load_id, open_at, subject};
use crate::support::{PROGRAM, Provider};

pub(super) const ATTACKS: &[Attack] = &[
    ("a load by hand at a provider that is no lab's", "NotALab", no_lab),
    (
        "a load's number again for another amount",
        "OtherContent",
        other_amount,
    ),
    ("a load without a call-back", "NotAuthenticated", no_call_back),
    (
        "another load than the one called back for",
        "NotAuthenticated",
        other_load,
    ),
    (
        "a load that was paid at another desk",
        "OtherTerminal",
        other_desk,
    ),
    (
        "a void of a load that was paid at another desk",
        "OtherTerminal",
        other_desks_void,
    ),
    ("a MAC1 that no card made", "Mac1", forged_mac1),
    ("another balance under the card's MAC1", "Mac1", other_balance),
    ("a key version that the card does not have", "Mac1", key_version),
    ("a key version that is blocked", "Mac1", blocked),
    ("a card that was not issued", "UnknownCard", unknown_card),
    ("a card in another currency", "OtherCurrency", other_currency),
    ("a hot-listed card", "HotListed", hot_listed),
    ("a purse that cannot hold so much", "PurseFull", purse_full),
    ("an attempt that is skipped", "AttemptNumber", skipped),
    (
        "the attempt's number with another answer of the card",
        "OtherContent",
        other_content,
    ),
    (
        "an answer of the card from before another load",
        "StaleInitialize",
        stale,
    ),
    (
        "a second load of a card while one is in doubt",
        "OtherLoadOpen",
        in_doubt,
    ),
    (
        "one more MAC2 after the card was credited",
        "ItHappened",
        happened,
    ),
    ("a load TAC that no card made", "Tac", forged_tac),
    ("a void before anybody asked for one", "StaleProof", void_unasked),
    (
        "a void with an answer that the card gave before",
        "StaleProof",
        void_kept,
    ),
    ("a void with a MAC1 that no card made", "Mac1", void_forged),
    ("a MAC2 again after the void", "Voided", after_void),
    ("an attempt after the load is done", "Done", after_done),
];

/// A loading desk with a load of 1,000 and a card.
struct Desk {
    identity: Identity,
    name: String,
    load: u8,
    serial: String,
    card: Inserted,
}

impl Desk {
    fn new(world: &mut World) -> Self {
        let load = world.next_terminal();
        let name = format!("desk-{load}");
        let serial = issue(world, load, "JPY");
        let identity = enrolled(world, &name);
        open_at(&world.shop.provider, load, &name, "1000");
        let card = Inserted::of(&serial);
        Self {
            identity,
            name,
            load,
            serial,
            card,
        }
    }

    /// Called back for its load.
    fn line(&self) -> TlsLine {
        Standing::called(&self.identity, self.load, "load", subject(self.load, 1_000))
    }

    fn initialize(&mut self) -> Value {
        self.card.initialize(1_000, DESK)
    }

    /// The refusal of what the card said, once it is changed.
    fn refused(&mut self, field: &str, value: Value) -> String {
        let mut said = self.initialize();
        said[field] = value;
        attempt(&mut self.line(), self.load, 1, &said)
            .refusal()
            .to_owned()
    }

    /// The first attempt is answered: the load is in doubt.
    fn released(&mut self, world: &mut World) -> (TlsLine, Value, Value) {
        let mut line = self.line();
        let said = self.initialize();
        let released = attempt(&mut line, self.load, 1, &said).done();
        world.mark();
        (line, said, released)
    }

    fn void(&self) -> String {
        format!("/v1/loads/{}/void", load_id(self.load))
    }
}

fn enrolled(world: &World, name: &str) -> Identity {
    let added = world.done(&["terminal", "add", name, "--role", "provider", "--standing-link"]);
    world.shop.enrolled(added[0]["enrolment_code"].as_str().unwrap())
}

/// Issues one more card.
fn issue(world: &World, number: u8, currency: &str) -> String {
    let serial = format!("{:020x}", 0x2026_0000_2000_u64 + u64::from(number));
    let keys = world.shop.provider.path(&format!("card-{number}.json"));
    let keys = keys.to_str().unwrap();
    world.done(&[
        "card",
        "issue",
        "--serial",
        &serial,
        "--currency",
        currency,
        "--key-version",
        "1",
        "--keys-to",
        keys,
    ]);
    serial
}

fn no_lab(_: &mut World) -> String {
    let provider = Provider::new();
    let real = provider.path("real");
    let real = real.to_str().unwrap();
    provider.done(&["init", real, "--name", "real", "--host", "localhost"]);
    let id = load_id(1);
    let load = ["load", "open", &id, "--terminal", "desk", "--amount", "1"];
    let output = std::process::Command::new(PROGRAM)
        .args(["--json", "--dir", real])
        .args(load)
        .args(["--currency", "JPY"])
        .output()
        .unwrap();
    let fault: Value = serde_json::from_slice(&output.stdout).unwrap();
    fault["error"].as_str().unwrap().to_owned()
}

fn other_amount(world: &mut World) -> String {
    let desk = Desk::new(world);
    let id = load_id(desk.load);
    world.shop.provider.refused(&[
        "load",
        "open",
        &id,
        "--terminal",
        &desk.name,
        "--amount",
        "999",
        "--currency",
        "JPY",
    ])
}

fn no_call_back(world: &mut World) -> String {
    let mut desk = Desk::new(world);
    let said = desk.initialize();
    let answer = attempt(&mut desk.identity.connect(), desk.load, 1, &said);
    answer.refusal().to_owned()
}

fn other_load(world: &mut World) -> String {
    let (mut desk, other) = (Desk::new(world), Desk::new(world));
    let said = desk.initialize();
    attempt(&mut desk.line(), other.load, 1, &said)
        .refusal()
        .to_owned()
}

/// What another desk asks about a desk's load, of which nothing has been released: the bank would not know.
fn annexed(world: &mut World, ask: impl FnOnce(&mut Desk, &mut TlsLine) -> String) -> String {
    let mut desk = Desk::new(world);
    let name = format!("desk-{}", world.next_terminal());
    let annex = enrolled(world, &name);
    let mut there = Standing::called(&annex, 1, "load", subject(desk.load, 1_000));
    ask(&mut desk, &mut there)
}

fn other_desk(world: &mut World) -> String {
    annexed(world, |desk, there| {
        let said = desk.initialize();
        attempt(there, desk.load, 1, &said).refusal().to_owned()
    })
}

fn other_desks_void(world: &mut World) -> String {
    annexed(world, |desk, there| {
        there.ask("POST", &desk.void(), None).refusal().to_owned()
    })
}

fn forged_mac1(world: &mut World) -> String {
    Desk::new(world).refused("mac1", "00000000".into())
}

fn other_balance(world: &mut World) -> String {
    Desk::new(world).refused("old_balance", 1.into())
}

fn key_version(world: &mut World) -> String {
    Desk::new(world).refused("key_version", 9.into())
}

fn blocked(world: &mut World) -> String {
    let mut desk = Desk::new(world);
    world.done(&["key", "version", "block", "1"]);
    let refused = desk.refused("algorithm", 0.into());
    world.done(&["key", "version", "unblock", "1"]);
    refused
}

fn unknown_card(world: &mut World) -> String {
    Desk::new(world).refused("card", "00000000202600000009".into())
}

fn other_currency(world: &mut World) -> String {
    let mut desk = Desk::new(world);
    let number = world.next_terminal();
    desk.card = Inserted::of(&issue(world, number, "EUR"));
    let said = desk.initialize();
    attempt(&mut desk.line(), desk.load, 1, &said)
        .refusal()
        .to_owned()
}

fn hot_listed(world: &mut World) -> String {
    let mut desk = Desk::new(world);
    world.done(&["hotlist", "add", &desk.serial, "--reason", "lost"]);
    let said = desk.initialize();
    attempt(&mut desk.line(), desk.load, 1, &said)
        .refusal()
        .to_owned()
}

fn purse_full(world: &mut World) -> String {
    Desk::new(world).refused("old_balance", u32::MAX.into())
}

fn skipped(world: &mut World) -> String {
    let mut desk = Desk::new(world);
    let (mut line, _, _) = desk.released(world);
    desk.card.insert();
    let said = desk.initialize();
    attempt(&mut line, desk.load, 3, &said).refusal().to_owned()
}

fn other_content(world: &mut World) -> String {
    let mut desk = Desk::new(world);
    let (mut line, _, _) = desk.released(world);
    desk.card.insert();
    let said = desk.initialize();
    attempt(&mut line, desk.load, 1, &said).refusal().to_owned()
}

/// Another load for the desk's card.
fn second_load(world: &mut World, desk: &Desk) -> (u8, TlsLine) {
    let load = world.next_terminal();
    open_at(&world.shop.provider, load, &desk.name, "1000");
    let line = Standing::called(&desk.identity, load, "load", subject(load, 1_000));
    (load, line)
}

/// The answer was made before the first load was executed, and arrives late.
fn stale(world: &mut World) -> String {
    let mut desk = Desk::new(world);
    let late = desk.initialize();
    let (mut line, _, released) = desk.released(world);
    confirm(&mut line, desk.load, &desk.card.credit(&released)).done();
    drop(line);
    world.mark();
    let (load, mut line) = second_load(world, &desk);
    attempt(&mut line, load, 1, &late).refusal().to_owned()
}

/// With two loads of a card in doubt, one counter would prove both.
fn in_doubt(world: &mut World) -> String {
    let mut desk = Desk::new(world);
    drop(desk.released(world));
    let (load, mut line) = second_load(world, &desk);
    let said = desk.initialize();
    attempt(&mut line, load, 1, &said).refusal().to_owned()
}

fn happened(world: &mut World) -> String {
    let mut desk = Desk::new(world);
    let (mut line, _, released) = desk.released(world);
    desk.card.credit(&released);
    desk.card.insert();
    let said = desk.initialize();
    attempt(&mut line, desk.load, 2, &said).refusal().to_owned()
}

fn forged_tac(world: &mut World) -> String {
    let mut desk = Desk::new(world);
    let (mut line, _, _) = desk.released(world);
    confirm(&mut line, desk.load, "00000000").refusal().to_owned()
}

fn void_unasked(world: &mut World) -> String {
    let mut desk = Desk::new(world);
    let (mut line, said, _) = desk.released(world);
    line.ask("PUT", &desk.void(), Some(&said)).refusal().to_owned()
}

fn void_kept(world: &mut World) -> String {
    let mut desk = Desk::new(world);
    let (mut line, said, _) = desk.released(world);
    line.ask("POST", &desk.void(), None).done();
    line.ask("PUT", &desk.void(), Some(&said)).refusal().to_owned()
}

/// A void under way, with the card's proof of it.
fn voiding(world: &mut World) -> (Desk, TlsLine, Value, Value) {
    let mut desk = Desk::new(world);
    let (mut line, said, _) = desk.released(world);
    let begun = line.ask("POST", &desk.void(), None).done();
    let challenge = begun["void_challenge"].as_str().unwrap();
    let proof = desk.card.initialize(1_000, challenge);
    (desk, line, said, proof)
}

fn void_forged(world: &mut World) -> String {
    let (desk, mut line, _, mut proof) = voiding(world);
    proof["mac1"] = "00000000".into();
    line.ask("PUT", &desk.void(), Some(&proof)).refusal().to_owned()
}

fn after_void(world: &mut World) -> String {
    let (desk, mut line, said, proof) = voiding(world);
    line.ask("PUT", &desk.void(), Some(&proof)).done();
    world.mark();
    attempt(&mut line, desk.load, 1, &said).refusal().to_owned()
}

fn after_done(world: &mut World) -> String {
    let mut desk = Desk::new(world);
    let (mut line, _, released) = desk.released(world);
    confirm(&mut line, desk.load, &desk.card.credit(&released)).done();
    world.mark();
    desk.card.insert();
    let said = desk.initialize();
    attempt(&mut line, desk.load, 2, &said).refusal().to_owned()
}
