//! A till that settles, and what it checks.

use purser_provider_link::{Batch, Claim, Decision, Item, Permit, Reason, Sum, Verdict, VerdictsDigest};
use ring::signature::{ECDSA_P256_SHA256_ASN1, UnparsedPublicKey};
use serde_json::{Value, json};

use crate::called::Standing;
use crate::client::{Answer, Identity, TlsLine};
use crate::support::{Provider, Serving};

/// A provider that serves a till.
pub(crate) struct Shop {
    pub(crate) provider: Provider,
    pub(crate) serving: Serving,
    pub(crate) till: Identity,
}

impl Shop {
    pub(crate) fn new() -> Self {
        let provider = Provider::furnished();
        let code = provider.till("till-1", "000000000001");
        let serving = provider.serve();
        let mut till = Identity::new(&provider.authority(), serving.address);
        till.enrol(&code);
        Self {
            provider,
            serving,
            till,
        }
    }

    /// Another till of a merchant: `till-N` with the PSAM number N.
    pub(crate) fn till_of(&self, merchant: &str, number: u8) -> Identity {
        let name = format!("till-{number}");
        self.enrolled(&self.provider.till_of(merchant, &name, &format!("{number:012x}")))
    }

    /// A terminal that has enrolled with this code.
    pub(crate) fn enrolled(&self, code: &str) -> Identity {
        let mut terminal = Identity::new(&self.provider.authority(), self.serving.address);
        terminal.enrol(code);
        terminal
    }

    pub(crate) fn signed(&self, document: &Value, signature: &Value) -> Vec<u8> {
        let bytes = |it: &Value| hex::decode(it.as_str().unwrap()).unwrap();
        let key = std::fs::read(self.provider.path("provider/signing.pub")).unwrap();
        let document = bytes(document);
        let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, key);
        key.verify(&document, &bytes(signature))
            .expect("the provider's signature");
        document
    }

    pub(crate) fn verdicts(&self, answer: &Value) -> Vec<Verdict> {
        let verdicts = answer["verdicts"].as_array().unwrap().iter();
        let verdict = |it: &Value| Verdict::decode(&self.signed(&it["verdict"], &it["signature"])).unwrap();
        verdicts.map(verdict).collect()
    }

    pub(crate) fn permit(&self, line: &mut TlsLine, batch: &Batch) -> Permit {
        let told = line.ask("POST", &path(batch, "/permit"), None).done();
        Permit::decode(&self.signed(&told["permit"], &told["signature"])).unwrap()
    }
}

pub(crate) fn path(batch: &Batch, rest: &str) -> String {
    format!("/v1/batches/{}{rest}", batch.id)
}

/// Called back for the batch and announced.
pub(crate) fn announced(till: &Identity, request: u8, batch: &Batch) -> TlsLine {
    let mut line = Standing::called(till, request, "settlement", batch.digest());
    let body = json!({ "batch": hex::encode(batch.encode()) });
    line.ask("PUT", &path(batch, ""), Some(&body)).done();
    line
}

pub(crate) fn send(line: &mut TlsLine, batch: &Batch, number: u32, items: &[Item]) -> Answer {
    let items: Vec<String> = items.iter().map(|it| hex::encode(it.encode())).collect();
    line.ask(
        "PUT",
        &path(batch, &format!("/pages/{number}")),
        Some(&json!({ "items": items })),
    )
}

/// Asks for the void of a batch, known there or not.
pub(crate) fn void(line: &mut TlsLine, batch: &Batch) -> Answer {
    let body = json!({ "batch": hex::encode(batch.encode()) });
    line.ask("POST", &path(batch, "/void"), Some(&body))
}

pub(crate) fn claims(claims: &[Claim]) -> Vec<Item> {
    claims.iter().cloned().map(Item::Claim).collect()
}

pub(crate) fn reason(verdict: &Verdict) -> Option<Reason> {
    match verdict.decision {
        Decision::Hold(reason) | Decision::Dispute(reason) => Some(reason),
        Decision::Pay(_) | Decision::Owe(_) => None,
    }
}

/// What a terminal checks before it gives up its claims.
pub(crate) fn check(permit: &Permit, batch: &Batch, verdicts: &[Verdict]) {
    let mut digest = VerdictsDigest::begin(batch.digest());
    let mut sum = Sum::begin(permit.sum.debt_before);
    for verdict in verdicts {
        digest = digest.with(verdict);
        sum = sum.with(verdict.decision).unwrap();
    }
    assert_eq!(permit.batch, batch.digest());
    assert_eq!(permit.verdicts, digest.digest());
    assert_eq!(permit.sum, sum);
    assert_eq!(permit.account.digits(), b"000100110000001", "the pinned one (T4)");
}
