//! A load and its ends.

use purser_provider_link::LoadOrder;
use purser_provider_link::call_back::Purpose;
use purser_provider_rules::Evidence;
use purser_provider_rules::load::LoadRecord;
use serde_json::{Value, json};

use super::parties::{CARDS, Card, DESKS, InDoubt};
use super::scene::Scene;
use super::steps::History;
use crate::serve::api::Endpoint;
use crate::store::loads;

impl History {
    /// One more load.
    pub(super) fn load(&mut self, scene: &Scene) {
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
    pub(super) fn prove(&mut self, scene: &Scene) {
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
}

/// The card proves that it was not credited.
fn void(scene: &Scene, card: &Card, order: &LoadOrder, random: u64) {
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
