//! Sales in doubt: asked about, proven or decided, and claimed.

use purser_ledger::{DebitKey, OperationId, Scheme, SchemeBytes};
use purser_provider_link::{Claim, Query};
use purser_purse::pboc::{Attempt, ClaimEvidence, Proof, PsamTerminalNumber, TerminalSn};
use serde_json::{Value, json};

use super::parties::{CARDS, TILLS};
use super::scene::Scene;
use super::steps::History;
use crate::cli::{Queries, Terminal, Verb};
use crate::serve::api::Endpoint;

fn bytes(bytes: Vec<u8>) -> SchemeBytes {
    SchemeBytes::new(Scheme::Pboc, bytes).unwrap()
}

fn evidence(claim: &Claim) -> ClaimEvidence {
    ClaimEvidence::decode(claim.evidence.bytes()).unwrap()
}

fn query(claim: &Claim, has_answer: bool) -> Query {
    let told = evidence(claim);
    Query {
        operation: claim.operation,
        key: claim.key.clone(),
        amount: claim.amount,
        sold_at: claim.sold_at,
        attempt: bytes(told.attempt().encode()),
        answer: told.answer().filter(|_| has_answer).map(|it| bytes(it.encode())),
    }
}

fn spoiled(claim: &Claim, byte: usize) -> Query {
    let good = query(claim, true);
    let mut answer = good.answer.as_ref().unwrap().bytes().to_vec();
    answer[byte] ^= 1;
    Query {
        answer: Some(bytes(answer)),
        ..good
    }
}

/// The claim of a sale of which only the provider has a proof.
fn without_proof(claim: &Claim) -> Claim {
    let told = ClaimEvidence::new(evidence(claim).attempt().clone(), None, Proof::LogRecord).unwrap();
    Claim {
        evidence: bytes(told.encode()),
        ..claim.clone()
    }
}

fn ask(scene: &Scene, till: usize, query: &Query) -> Result<Value, &'static str> {
    let body = json!({ "query": hex::encode(query.encode()) });
    let (name, ..) = TILLS[till];
    scene.call(name, None, Endpoint::Query, &[query.operation.to_string()], &body)
}

impl History {
    /// Sales in doubt are asked about; what was not known before is asked again.
    pub(super) fn ask_about(&mut self, scene: &Scene) {
        self.ask_again(scene);
        let (till, card) = (self.dice.low(TILLS.len()), self.dice.low(CARDS.len()));
        let claim = self.sale(till, card);
        match self.dice.below(6) {
            0 => {
                self.done.push("query: the card's answer proves it");
                let query = query(&claim, true);
                let first = ask(scene, till, &query).unwrap();
                assert!(first["answer"].is_string());
                assert_eq!(ask(scene, till, &query).unwrap(), first);
                self.pend(till, claim);
            }
            1 => {
                self.done.push("query: the operator decides");
                let query = query(&claim, false);
                assert!(ask(scene, till, &query).unwrap()["answer"].is_null());
                let happened = self.dice.one_in(2);
                scene.operator(&Verb::Queries(Queries::Answer {
                    operation: query.operation.to_string(),
                    happened,
                    did_not_happen: !happened,
                    why: "the buyer was asked".to_owned(),
                }));
                assert!(ask(scene, till, &query).unwrap()["answer"].is_string());
                if happened {
                    self.pend(till, without_proof(&claim));
                }
            }
            2 => {
                let query = query(&claim, false);
                assert!(ask(scene, till, &query).unwrap()["answer"].is_null());
                self.asked.push((till, query));
                // Perhaps the terminal was restored, and its earlier self has the proof.
                if self.dice.one_in(2) {
                    self.pend(till, claim);
                }
            }
            3 | 4 => self.torn(scene, till, card, &claim),
            _ => self.ask_badly(scene, till, &claim),
        }
    }

    /// Torn before execution at one till: the card has used its number at another one.
    fn torn(&mut self, scene: &Scene, till: usize, card: usize, claim: &Claim) {
        let elsewhere = self.dice.index(TILLS.len());
        let sold = self.sale(elsewhere, card);
        let (_, _, number) = TILLS[till];
        let attempt = Attempt {
            terminal_number: PsamTerminalNumber::new([0, 0, 0, 0, 0, number]),
            terminal_sn: TerminalSn::new(claim.key.terminal_sn),
            ..evidence(&sold).attempt().clone()
        };
        let mut operation = [0xD0 | number; 16];
        operation[12..].copy_from_slice(&claim.key.terminal_sn.to_be_bytes());
        let query = Query {
            operation: OperationId::new(operation),
            key: DebitKey {
                card: sold.key.card.clone(),
                ..claim.key.clone()
            },
            amount: sold.amount,
            sold_at: claim.sold_at,
            attempt: bytes(attempt.encode()),
            answer: None,
        };
        assert!(ask(scene, till, &query).unwrap()["answer"].is_null());
        self.asked.push((till, query));
        self.pend(elsewhere, sold);
    }

    fn ask_again(&mut self, scene: &Scene) {
        for (till, query) in std::mem::take(&mut self.asked) {
            let told = ask(scene, till, &query).unwrap();
            if told["answer"].is_null() {
                self.done.push("query: not known yet");
                self.asked.push((till, query));
                continue;
            }
            let show = Verb::Queries(Queries::Show {
                operation: query.operation.to_string(),
            });
            let proof = scene.operator(&show)[0]["proof"].clone();
            self.done.push(match proof.as_str() {
                Some("claim") => "query: a claim proves it",
                Some("other_debit") => "query: another debit has its number",
                other => panic!("{other:?}"),
            });
        }
    }

    fn ask_badly(&mut self, scene: &Scene, till: usize, claim: &Claim) {
        if self.dice.one_in(2) {
            self.done.push("query: a false card's answer");
            assert!(ask(scene, till, &spoiled(claim, 5)).unwrap()["answer"].is_null());
            return;
        }
        self.done.push("query: forged");
        let query = spoiled(claim, 1);
        assert_eq!(ask(scene, till, &query), Err("Forged"));
        match ask(scene, till, &query) {
            Err("ForgedBefore") => {}
            Err("Suspended") => {
                let (name, ..) = TILLS[till];
                let name = name.to_owned();
                scene.operator(&Verb::Terminal(Terminal::Resume { name }));
            }
            other => panic!("{other:?}"),
        }
    }
}
