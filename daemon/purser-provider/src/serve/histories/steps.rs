//! What can happen, and how it ends.

use purser_provider_link::call_back::Purpose;
use purser_provider_link::{
    Batch, BatchId, Claim, Decision, Digest, Item, LateRefund, Permit, Reason, Seal, Verdict,
};
use purser_provider_rules::Evidence;
use purser_provider_rules::load::LoadRecord;
use serde_json::{Value, json};

use super::parties::{CARDS, Card, DESKS, Dice, InDoubt, TILLS, forged, wall};
use super::scene::Scene;
use crate::serve::api::Endpoint;
use crate::store::loads;

/// Everything that has to happen somewhere.
pub(super) const KINDS: &[&str] = &[
    "batch: half of it came",
    "batch: it has a permit",
    "batch: it is void",
    "batch: it waits for its permit",
    "batch: it was left and goes on",
    "batch: the operator voids it",
    "claim: a refund is owed",
    "claim: again",
    "claim: altered",
    "claim: disputed",
    "claim: forged",
    "claim: of a generation before",
    "claim: taken by another batch before the permit",
    "late refund",
    "late refund: debt is carried",
    "load: at the next attempt, at another desk",
    "load: done",
    "load: in doubt",
    "load: in doubt, and refuses the next one",
    "load: left open",
    "load: proven later",
    "load: refused to a hot-listed card",
    "load: void before its MAC2",
    "load: void by the card's proof",
    "operator: hot list",
    "operator: key version is blocked for a while",
    "operator: terminal is reconciled",
    "terminal: suspended for its forgeries",
];

struct Till {
    terminal_sn: u32,
    generation: u32,
    pending: Vec<Claim>,
    paid: Vec<Claim>,
}

/// One history under way.
pub(super) struct History {
    pub(super) dice: Dice,
    pub(super) done: Vec<&'static str>,
    cards: Vec<Card>,
    tills: Vec<Till>,
    left: Vec<(usize, Batch, Vec<Item>)>,
    batches: u8,
    loads: u8,
}

impl History {
    pub(super) fn new(dice: Dice) -> Self {
        let till = |_: &_| Till {
            terminal_sn: 0,
            generation: 0,
            pending: Vec::new(),
            paid: Vec::new(),
        };
        Self {
            dice,
            done: Vec::new(),
            cards: Vec::new(),
            tills: TILLS.iter().map(till).collect(),
            left: Vec::new(),
            batches: 0,
            loads: 0,
        }
    }

    /// The next step.
    pub(super) fn step(&mut self, scene: &Scene) {
        if self.cards.is_empty() {
            self.cards = CARDS.map(|it| Card::new(it, &scene.shared.card_keys)).into();
        }
        match self.dice.below(12) {
            0..=4 => self.settle(scene),
            5 => self.go_on(scene),
            6..=8 => self.load(scene),
            9 => self.prove(scene),
            10 => self.hot_list(scene),
            _ => self.operate(scene),
        }
    }

    fn sale(&mut self, till: usize, card: usize) -> Claim {
        let amount = self.dice.amount();
        self.tills[till].terminal_sn += 1;
        let (_, _, number) = TILLS[till];
        let mut claim = self.cards[card].pay(amount, number, self.tills[till].terminal_sn);
        claim.generation = self.tills[till].generation;
        if self.dice.one_in(4) {
            let refund = 1 + u32::try_from(self.dice.below(u64::from(amount))).unwrap();
            claim.refund_owed = self.cards[card].amount(refund);
            self.done.push("claim: a refund is owed");
        }
        claim
    }

    /// What a till puts into its next batch beside its sales.
    fn odd(&mut self, till: usize, card: usize, items: &mut Vec<Item>) {
        let claim = self.sale(till, card);
        match self.dice.below(8) {
            0 => items.push(Item::Claim(forged(&claim))),
            1 => {
                let mut claim = claim;
                claim.amount = claim.amount.checked_add(self.cards[card].amount(1)).unwrap();
                items.push(Item::Claim(claim));
            }
            2 => {
                items.extend([claim.clone(), claim].map(Item::Claim));
                self.done.push("claim: again");
            }
            3 => {
                let (_, _, number) = TILLS[till];
                let mut other = self.cards[card].pay(7, number, claim.key.terminal_sn);
                other.generation = claim.generation;
                items.extend([claim, other].map(Item::Claim));
            }
            4 | 5 => {
                let currency = self.cards[card].currency;
                let paid = self.tills[till]
                    .paid
                    .iter()
                    .find(|it| it.amount.currency() == currency);
                if let Some(claim) = paid {
                    items.push(Item::LateRefund(LateRefund {
                        key: claim.key.clone(),
                        claim: claim.digest(),
                        amount: claim.amount,
                    }));
                }
            }
            6 if self.dice.one_in(4) => {
                for _ in 0..10 {
                    let claim = self.sale(till, card);
                    items.push(Item::Claim(forged(&claim)));
                }
            }
            _ => items.push(Item::Claim(claim)),
        }
    }

    fn settle(&mut self, scene: &Scene) {
        let (till, card) = (self.dice.low(TILLS.len()), self.dice.low(CARDS.len()));
        for _ in 0..self.dice.below(3) {
            let claim = self.sale(till, card);
            self.tills[till].pending.push(claim);
        }
        let currency = self.cards[card].currency;
        let mut items = Vec::new();
        if self.dice.one_in(2) {
            self.odd(till, card, &mut items);
        }
        let pending = &self.tills[till].pending;
        let of_currency = pending.iter().filter(|it| it.amount.currency() == currency);
        items.extend(of_currency.cloned().map(Item::Claim));
        if items.is_empty() {
            return;
        }
        self.batches += 1;
        let mut seal = Seal::begin(BatchId([self.batches; 16]), currency);
        for item in &items {
            seal.add(item).unwrap();
        }
        let (name, ..) = TILLS[till];
        let owner = purser_provider_link::TerminalName::new(name).unwrap();
        let provider = purser_provider_link::ProviderName::new("provider.example").unwrap();
        let generation = self.tills[till].generation;
        let batch = seal.finish(owner, generation, provider, wall()).unwrap();
        let announced = json!({ "batch": hex::encode(batch.encode()) });
        ask(scene, &batch, Endpoint::Announce, None, &announced).unwrap();
        self.pages(scene, till, batch, items);
    }

    /// Sends the pages and ends the batch, or leaves it.
    fn pages(&mut self, scene: &Scene, till: usize, batch: Batch, items: Vec<Item>) {
        let stands = ask(scene, &batch, Endpoint::ShowBatch, None, &Value::Null).unwrap();
        let received = usize::try_from(stands["received"].as_u64().unwrap()).unwrap();
        let mut number = u32::try_from(stands["next_page"].as_u64().unwrap()).unwrap();
        let mut rest = &items[received..];
        while !rest.is_empty() {
            let (page, after) = rest.split_at(1 + self.dice.index(rest.len()));
            let documents: Vec<String> = page.iter().map(|it| hex::encode(it.encode())).collect();
            let body = json!({ "items": documents });
            let told = ask(scene, &batch, Endpoint::Page, Some(number), &body).unwrap();
            let is_suspended = verdicts(&told)
                .iter()
                .any(|it| it.decision == Decision::Hold(Reason::TerminalSuspended));
            if is_suspended || ask(scene, &batch, Endpoint::ShowBatch, None, &Value::Null).is_err() {
                return self.pardon(scene, till, &batch);
            }
            if self.dice.one_in(4) {
                let again = ask(scene, &batch, Endpoint::Page, Some(number), &body).unwrap();
                assert_eq!(again, told);
            }
            number += 1;
            rest = after;
            if !rest.is_empty() && self.dice.one_in(6) {
                self.done.push("batch: half of it came");
                self.left.push((till, batch, items));
                return;
            }
        }
        match self.dice.below(6) {
            0 => {
                self.done.push("batch: it is void");
                ask(scene, &batch, Endpoint::VoidBatch, None, &Value::Null).unwrap();
            }
            1 => {
                self.done.push("batch: it waits for its permit");
                self.left.push((till, batch, items));
            }
            _ => self.permit(scene, till, &batch, &items, number),
        }
    }

    fn permit(&mut self, scene: &Scene, till: usize, batch: &Batch, items: &[Item], pages: u32) {
        let told = ask(scene, batch, Endpoint::Permit, None, &Value::Null).unwrap();
        let again = ask(scene, batch, Endpoint::Permit, None, &Value::Null).unwrap();
        assert_eq!(again, told, "a batch has one permit");
        self.done.push("batch: it has a permit");
        let permit = Permit::decode(&hex::decode(told["permit"].as_str().unwrap()).unwrap()).unwrap();
        if !permit.sum.debt_after.is_zero() {
            self.done.push("late refund: debt is carried");
        }
        let mut last = Vec::new();
        for page in 0..pages {
            let told = ask(scene, batch, Endpoint::Verdicts, Some(page), &Value::Null).unwrap();
            last.extend(verdicts(&told));
        }
        for (item, verdict) in items.iter().zip(last) {
            match (item, verdict.decision) {
                (Item::Claim(claim), Decision::Pay(_)) => {
                    if claim.generation < self.tills[till].generation {
                        self.done.push("claim: of a generation before");
                    }
                    self.tills[till].paid.insert(0, claim.clone());
                }
                (_, Decision::Owe(_)) => self.done.push("late refund"),
                (_, Decision::Dispute(_)) => self.done.push("claim: disputed"),
                (_, Decision::Hold(Reason::Forged)) => self.done.push("claim: forged"),
                (_, Decision::Hold(Reason::Altered)) => self.done.push("claim: altered"),
                _ => {}
            }
            if verdict.revision > 0 {
                self.done.push("claim: taken by another batch before the permit");
            }
        }
        self.tills[till]
            .pending
            .retain(|it| !items.contains(&Item::Claim(it.clone())));
    }

    /// The till is suspended for what it brought: a person voids its batch and lets it in again.
    fn pardon(&mut self, scene: &Scene, till: usize, batch: &Batch) {
        let (name, ..) = TILLS[till];
        self.done.push("terminal: suspended for its forgeries");
        self.done.push("batch: the operator voids it");
        scene.operator(&["batch", "void", &batch.id.to_string()]);
        scene.operator(&["terminal", "resume", name]);
    }

    /// A batch that was left goes on.
    fn go_on(&mut self, scene: &Scene) {
        if self.left.is_empty() {
            return;
        }
        let index = self.dice.index(self.left.len());
        let (till, batch, items) = self.left.remove(index);
        self.done.push("batch: it was left and goes on");
        self.pages(scene, till, batch, items);
    }

    fn load(&mut self, scene: &Scene) {
        self.loads += 1;
        let (minor, index) = (self.dice.amount(), self.dice.index(CARDS.len()));
        let order = self.cards[index].order(self.loads, minor);
        let record = LoadRecord::open(None, order.id, order.amount, Evidence::Valid).unwrap();
        let mut store = scene.shared.store.lock().unwrap();
        let sql = store.begin().unwrap();
        loads::open(&sql, &record, DESKS[0], 1).unwrap();
        sql.commit().unwrap();
        drop(store);
        let at = |desk: usize, endpoint, parameter: Option<u8>, body: &Value| {
            let mut parameters = vec![order.id.to_string()];
            parameters.extend(parameter.map(|it| it.to_string()));
            let subject = Some((Purpose::Load, order.digest()));
            scene.call(DESKS[desk], subject, endpoint, &parameters, body)
        };
        let end = self.dice.below(6);
        if end == 0 {
            return self.done.push("load: left open");
        }
        if end == 1 {
            self.done.push("load: void before its MAC2");
            at(0, Endpoint::BeginVoid, None, &Value::Null).unwrap();
            return;
        }
        let random = self.dice.below(u64::MAX);
        let card = &mut self.cards[index];
        let (mut initialize, said) = card.initialize(minor, [0xD1; 6], random);
        let released = at(0, Endpoint::Attempt, Some(1), &said);
        if card.in_doubt.is_some() {
            assert!(
                matches!(released, Err("OtherLoadOpen" | "HotListed")),
                "{released:?}"
            );
            return self.done.push("load: in doubt, and refuses the next one");
        }
        if released == Err("HotListed") {
            return self.done.push("load: refused to a hot-listed card");
        }
        let (mut released, mut desk) = (released.unwrap(), 0);
        if end == 2 {
            self.done.push("load: at the next attempt, at another desk");
            let said;
            (initialize, said) = card.initialize(minor, [0xD2; 6], !random);
            desk = 1;
            released = at(desk, Endpoint::Attempt, Some(2), &said).unwrap();
        }
        if end == 3 {
            self.done.push("load: in doubt");
            let is_credited = self.dice.one_in(2);
            let tac = is_credited.then(|| card.credit(&initialize, &released));
            card.in_doubt = Some(InDoubt { order, tac });
            return;
        }
        if end == 4 {
            self.done.push("load: void by the card's proof");
            return void(scene, card, &order, random);
        }
        self.done.push("load: done");
        let tac = json!({ "tac": card.credit(&initialize, &released) });
        for _ in 0..2 {
            assert_eq!(at(desk, Endpoint::Loaded, None, &tac).unwrap()["phase"], "done");
        }
    }

    /// A load in doubt comes to its end.
    fn prove(&mut self, scene: &Scene) {
        let index = self.dice.index(CARDS.len());
        let random = self.dice.below(u64::MAX);
        let card = &mut self.cards[index];
        let Some(InDoubt { order, tac }) = card.in_doubt.take() else {
            return;
        };
        self.done.push("load: proven later");
        let Some(tac) = tac else {
            return void(scene, card, &order, random);
        };
        let subject = Some((Purpose::Load, order.digest()));
        let body = json!({ "tac": tac });
        let id = [order.id.to_string()];
        let ended = scene
            .call(DESKS[1], subject, Endpoint::Loaded, &id, &body)
            .unwrap();
        assert_eq!(ended["phase"], "done");
    }

    fn hot_list(&mut self, scene: &Scene) {
        self.done.push("operator: hot list");
        let (serial, _) = CARDS[self.dice.index(CARDS.len())];
        let listed = scene.operator(&["hotlist", "add", serial, "--reason", "lost"]);
        let version = listed[0]["version"].as_u64().unwrap();
        let till = self.dice.index(TILLS.len());
        let (name, ..) = TILLS[till];
        let told = json!({ "version": version, "from_terminal_sn": self.tills[till].terminal_sn + 1 });
        scene
            .call(name, None, Endpoint::AcknowledgeHotList, &[], &told)
            .unwrap();
        if self.dice.one_in(2) {
            self.settle(scene);
            scene.operator(&["hotlist", "remove", serial]);
        }
    }

    fn operate(&mut self, scene: &Scene) {
        if self.dice.one_in(2) {
            self.done.push("operator: key version is blocked for a while");
            scene.operator(&["key", "version", "block", "1"]);
            self.settle(scene);
            scene.operator(&["key", "version", "unblock", "1"]);
        } else {
            self.done.push("operator: terminal is reconciled");
            let (till, card) = (self.dice.low(TILLS.len()), self.dice.low(CARDS.len()));
            let (name, ..) = TILLS[till];
            // Sold before the restore, claimed after it.
            let claim = self.sale(till, card);
            self.tills[till].pending.push(claim);
            self.tills[till].generation += 1;
            let generation = self.tills[till].generation.to_string();
            scene.operator(&["terminal", "reconcile", name, "--generation", &generation]);
        }
    }
}

/// The card proves that it was not credited.
fn void(scene: &Scene, card: &Card, order: &purser_provider_link::LoadOrder, random: u64) {
    let id = [order.id.to_string()];
    let ask = |endpoint, body: &Value| {
        let subject = Some((Purpose::Load, order.digest()));
        scene.call(DESKS[0], subject, endpoint, &id, body).unwrap()
    };
    let begun = ask(Endpoint::BeginVoid, &Value::Null);
    let mut challenge = [0; 6];
    hex::decode_to_slice(begun["void_challenge"].as_str().unwrap(), &mut challenge).unwrap();
    let minor = u32::try_from(order.amount.minor()).unwrap();
    let (_, proof) = card.initialize(minor, challenge, random ^ 1);
    assert_eq!(ask(Endpoint::Void, &proof)["phase"], "voided");
}

/// What the batch's owner asks about it.
fn ask(
    scene: &Scene,
    batch: &Batch,
    endpoint: Endpoint,
    number: Option<u32>,
    body: &Value,
) -> Result<Value, &'static str> {
    let mut parameters = vec![batch.id.to_string()];
    parameters.extend(number.map(|it| it.to_string()));
    let subject: Digest = batch.digest();
    let open = Some((Purpose::Settlement, subject));
    scene.call(batch.owner.as_str(), open, endpoint, &parameters, body)
}

fn verdicts(told: &Value) -> Vec<Verdict> {
    let verdicts = told["verdicts"].as_array().unwrap().iter();
    let verdict = |it: &Value| hex::decode(it["verdict"].as_str().unwrap()).unwrap();
    verdicts
        .map(|it| Verdict::decode(&verdict(it)).unwrap())
        .collect()
}
