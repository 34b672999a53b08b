//! What can happen, and how it ends; loads in a file of their own.

use purser_provider_link::call_back::Purpose;
use purser_provider_link::{
    Batch, BatchId, Claim, Decision, Digest, Item, LateRefund, Permit, Query, Reason, Seal, Verdict,
};
use serde_json::{Value, json};

use super::parties::{CARDS, Card, Dice, TILLS, forged, wall};
use super::scene::Scene;
use crate::cli::{self, Hotlist, Key, KeyVersion, Parameters, Permission, Terminal, Verb, Word};
use crate::serve::api::Endpoint;

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
    "operator: parameters",
    "operator: terminal is reconciled",
    "permit: issued again",
    "query: a claim proves it",
    "query: a false card's answer",
    "query: another debit has its number",
    "query: forged",
    "query: not known yet",
    "query: the card's answer proves it",
    "query: the operator decides",
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
    pub(super) cards: Vec<Card>,
    tills: Vec<Till>,
    left: Vec<(usize, Batch, Vec<Item>)>,
    batches: u8,
    pub(super) loads: u8,
    /// Queries that nothing answers yet.
    pub(super) asked: Vec<(usize, Query)>,
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
            asked: Vec::new(),
        }
    }

    /// The next step.
    pub(super) fn step(&mut self, scene: &Scene) {
        if self.cards.is_empty() {
            self.cards = CARDS.map(|it| Card::new(it, &scene.shared.card_keys)).into();
        }
        match self.dice.below(14) {
            0..=4 => self.settle(scene),
            5 => self.go_on(scene),
            6..=8 => self.load(scene),
            9 => self.prove(scene),
            10 => self.hot_list(scene),
            11 | 12 => self.ask_about(scene),
            _ => self.operate(scene),
        }
    }

    pub(super) fn sale(&mut self, till: usize, card: usize) -> Claim {
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

    /// The till's next batch of that currency has it.
    pub(super) fn pend(&mut self, till: usize, claim: Claim) {
        self.tills[till].pending.push(claim);
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
                let document = json!({ "batch": hex::encode(batch.encode()) });
                ask(scene, &batch, Endpoint::VoidBatch, None, &document).unwrap();
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
        if !permit.sum.total.is_zero() && self.dice.one_in(6) {
            self.issue_again(scene, batch, &permit);
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

    /// The bank makes the permit unusable, perhaps after it had been paid and reversed, and the next generation is given.
    fn issue_again(&mut self, scene: &Scene, batch: &Batch, permit: &Permit) {
        self.done.push("permit: issued again");
        let id = || permit.id.to_string();
        let operator = |verb| scene.operator(&Verb::Permit(verb));
        let is_reversed = self.dice.one_in(2);
        for word in is_reversed
            .then_some(Word::Paid)
            .into_iter()
            .chain([Word::Unusable])
        {
            operator(cli::Permit::Revoke { permit: id() });
            operator(cli::Permit::Answered {
                permit: id(),
                generation: 1,
                word,
                reference: "B 1".to_owned(),
            });
        }
        operator(cli::Permit::Reissue {
            permit: id(),
            terminal: None,
        });
        let told = ask(scene, batch, Endpoint::Permit, None, &Value::Null).unwrap();
        let again = Permit::decode(&hex::decode(told["permit"].as_str().unwrap()).unwrap()).unwrap();
        assert_eq!((again.generation, again.sum), (2, permit.sum));
    }

    /// The till is suspended for what it brought: a person voids its batch and lets it in again.
    fn pardon(&mut self, scene: &Scene, till: usize, batch: &Batch) {
        let (name, ..) = TILLS[till];
        self.done.push("terminal: suspended for its forgeries");
        self.done.push("batch: the operator voids it");
        let (batch, name) = (batch.id.to_string(), name.to_owned());
        scene.operator(&Verb::Batch(cli::Batch::Void { batch }));
        scene.operator(&Verb::Terminal(Terminal::Resume { name }));
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

    fn hot_list(&mut self, scene: &Scene) {
        self.done.push("operator: hot list");
        let (serial, _) = CARDS[self.dice.index(CARDS.len())];
        let serial = || serial.to_owned();
        let listed = scene.operator(&Verb::Hotlist(Hotlist::Add {
            serial: serial(),
            reason: "lost".to_owned(),
        }));
        let version = listed[0]["version"].as_u64().unwrap();
        let till = self.dice.index(TILLS.len());
        let (name, ..) = TILLS[till];
        let told = json!({ "version": version, "from_terminal_sn": self.tills[till].terminal_sn + 1 });
        let acknowledged = scene.call(name, None, Endpoint::AcknowledgeHotList, &[], &told);
        // The same version from a later sale on is a repeat: the first word counts.
        assert!(acknowledged.is_ok(), "{acknowledged:?}");
        if self.dice.one_in(2) {
            self.settle(scene);
            scene.operator(&Verb::Hotlist(Hotlist::Remove { serial: serial() }));
        }
    }

    fn operate(&mut self, scene: &Scene) {
        if self.dice.one_in(3) {
            self.done.push("operator: parameters");
            let permission = if self.dice.one_in(2) {
                Permission::Allow
            } else {
                Permission::Forbid
            };
            scene.operator(&Verb::Parameters(Parameters::Set {
                software_sam: Some(permission),
                warn_after_hours: None,
                stale_after_hours: None,
            }));
        } else if self.dice.one_in(2) {
            self.done.push("operator: key version is blocked for a while");
            scene.operator(&Verb::Key(Key::Version(KeyVersion::Block { version: 1 })));
            self.settle(scene);
            scene.operator(&Verb::Key(Key::Version(KeyVersion::Unblock { version: 1 })));
        } else {
            self.done.push("operator: terminal is reconciled");
            let (till, card) = (self.dice.low(TILLS.len()), self.dice.low(CARDS.len()));
            let (name, ..) = TILLS[till];
            // Sold before the restore, claimed after it.
            let claim = self.sale(till, card);
            self.tills[till].pending.push(claim);
            self.tills[till].generation += 1;
            scene.operator(&Verb::Terminal(Terminal::Reconcile {
                name: name.to_owned(),
                generation: self.tills[till].generation,
            }));
        }
    }
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
