//! Claims that must not be paid.

use purser_ledger::{Amount, Scheme, SchemeBytes};
use purser_provider_link::{Claim, Item, LateRefund};
use purser_purse::pboc::{ClaimEvidence, KeyVersion};
use serde_json::json;

use super::{Attack, Till, World};
use crate::settling::{announced, claims, path, send};
use crate::shop::{Customer, forged, yen};
use crate::support::CARD;

pub(super) const ATTACKS: &[Attack] = &[
    ("a TAC that no card made", "Forged", forged_tac),
    (
        "a forged debit again with its good evidence",
        "ForgedBefore",
        forged_before,
    ),
    (
        "a good claim after ten forged ones of the till",
        "TerminalSuspended",
        many_forged,
    ),
    ("an altered amount", "Altered", altered_amount),
    (
        "one debit's evidence under another number",
        "Altered",
        other_number,
    ),
    ("a claim without the card's answer", "NoCardProof", no_card_proof),
    (
        "a currency that the card does not have",
        "OtherCurrency",
        relabelled,
    ),
    (
        "a claim in another currency than its batch",
        "OtherCurrency",
        mixed,
    ),
    (
        "a key version that does not exist",
        "UnknownKeyVersion",
        key_version,
    ),
    (
        "a key version that is blocked",
        "BlockedKeyVersion",
        blocked_version,
    ),
    (
        "a software SAM where none is allowed",
        "SoftwareSamNotAllowed",
        software_sam,
    ),
    ("a card that was not issued", "UnknownCard", unknown_card),
    ("a claim of another terminal", "OtherTerminal", other_terminal),
    (
        "a PSAM number that nobody has",
        "UnknownTerminalNumber",
        unknown_number,
    ),
    (
        "a claim of a generation that is not reconciled",
        "OtherGeneration",
        generation,
    ),
    ("the same claim twice in a batch", "TwiceInBatch", twice),
    (
        "two valid debits under one number in a batch",
        "disputed: TwiceInBatch",
        two_in_batch,
    ),
    ("a paid claim again in another batch", "AlreadyPaid", already_paid),
    (
        "another valid debit under the number of a paid one",
        "disputed: OtherClaimPaid",
        other_paid,
    ),
    (
        "one claim in two open batches: the later permit",
        "AlreadyPaid",
        two_open_batches,
    ),
    ("a refund owed above the amount", "BadItem", inflated_refund),
    (
        "a late refund above what was paid",
        "RefundTooLarge",
        late_too_large,
    ),
    ("a late refund twice", "RefundedBefore", late_twice),
    (
        "a late refund on top of a refund",
        "RefundedBefore",
        late_after_refund,
    ),
    (
        "a late refund of what was never paid",
        "RefundWithoutClaim",
        late_unpaid,
    ),
    (
        "a late refund of another merchant's claim",
        "RefundWithoutClaim",
        late_of_other,
    ),
    (
        "a hot-listed card where the list is in force",
        "HotListed",
        hot_listed,
    ),
    // Not refused: a till that could not know has sold in good faith (money rule C3).
    (
        "a hot-listed card where the list had not come",
        "paid",
        not_delivered,
    ),
    (
        "the hot list in force at a sale that never comes",
        "AcknowledgedAhead",
        ahead,
    ),
    ("the hot list in force, and then not", "GoesBack", goes_back),
    (
        "a version of the hot list that does not exist",
        "UnknownVersion",
        unknown_list,
    ),
];

fn one(claim: Claim) -> Vec<Item> {
    vec![Item::Claim(claim)]
}

/// The verdict on one claim that a till has changed.
fn changed(world: &mut World, change: impl FnOnce(&mut Till, Claim) -> Claim) -> String {
    let mut till = world.till();
    let claim = till.pay(300);
    let claim = change(&mut till, claim);
    world.judged(&mut till, &one(claim), 0)
}

fn forged_tac(world: &mut World) -> String {
    changed(world, |_, claim| forged(&claim))
}

fn forged_before(world: &mut World) -> String {
    let mut till = world.till();
    let good = till.pay(300);
    world.judged(&mut till, &one(forged(&good)), 0);
    world.judged(&mut till, &one(good), 0)
}

fn many_forged(world: &mut World) -> String {
    let mut till = world.till();
    let mut sales: Vec<Claim> = (0..10).map(|_| forged(&till.pay(10))).collect();
    sales.push(till.pay(10));
    let items = claims(&sales);
    let (mut line, batch) = world.announce(&mut till, &items);
    let verdicts = world.shop.verdicts(&send(&mut line, &batch, 0, &items).done());
    let refused = line.ask("POST", &path(&batch, "/permit"), None);
    assert_eq!(refused.refusal(), "Suspended");
    super::told(verdicts.last().unwrap())
}

fn altered_amount(world: &mut World) -> String {
    changed(world, |_, mut claim| {
        claim.amount = yen(900);
        claim
    })
}

fn other_number(world: &mut World) -> String {
    changed(world, |_, mut claim| {
        claim.key.terminal_sn += 50;
        claim
    })
}

fn with_evidence(claim: Claim, evidence: Vec<u8>) -> Claim {
    let evidence = SchemeBytes::new(Scheme::Pboc, evidence).unwrap();
    Claim { evidence, ..claim }
}

fn no_card_proof(world: &mut World) -> String {
    changed(world, |_, claim| with_evidence(claim, b"P\x01".to_vec()))
}

fn relabelled(world: &mut World) -> String {
    changed(world, |_, claim| in_euro(claim))
}

fn in_euro(mut claim: Claim) -> Claim {
    let euro = |minor| Amount::new(minor, "EUR".parse().unwrap()).unwrap();
    claim.amount = euro(claim.amount.minor());
    claim.refund_owed = euro(0);
    claim
}

fn mixed(world: &mut World) -> String {
    let mut till = world.till();
    let items = claims(&[till.pay(300), till.pay(300)]);
    let (mut line, batch) = world.announce(&mut till, &items);
    let euro = Item::Claim(in_euro(till.pay(300)));
    send(&mut line, &batch, 0, &[items[0].clone(), euro])
        .refusal()
        .to_owned()
}

fn key_version(world: &mut World) -> String {
    changed(world, |_, claim| {
        let told = ClaimEvidence::decode(claim.evidence.bytes()).unwrap();
        let mut attempt = told.attempt().clone();
        attempt.key_version = KeyVersion(9);
        let evidence = ClaimEvidence::new(attempt, told.answer(), told.proof()).unwrap();
        with_evidence(claim, evidence.encode())
    })
}

fn blocked_version(world: &mut World) -> String {
    world.done(&["key", "version", "block", "1"]);
    let refused = changed(world, |_, claim| claim);
    world.done(&["key", "version", "unblock", "1"]);
    refused
}

fn software_sam(world: &mut World) -> String {
    let mut till = world.till();
    let number = world.next_terminal();
    let code = world
        .shop
        .provider
        .software_till(&format!("till-{number}"), &format!("{number:012x}"));
    (till.identity, till.number) = (world.shop.enrolled(&code), number);
    till.name = format!("till-{number}");
    let claim = till.pay(300);
    world.judged(&mut till, &one(claim), 0)
}

fn unknown_card(world: &mut World) -> String {
    let mut till = world.till();
    till.customer = Customer::new("00000000202600000009");
    let claim = till.pay(300);
    world.judged(&mut till, &one(claim), 0)
}

fn other_terminal(world: &mut World) -> String {
    let (mut till, mut other) = (world.till(), world.till());
    let claim = other.pay(300);
    world.judged(&mut till, &one(claim), 0)
}

fn unknown_number(world: &mut World) -> String {
    changed(world, |till, _| till.customer.pay(300, 0xFE, 1))
}

fn generation(world: &mut World) -> String {
    changed(world, |_, mut claim| {
        claim.generation = 7;
        claim
    })
}

fn twice(world: &mut World) -> String {
    let mut till = world.till();
    let claim = till.pay(300);
    world.judged(&mut till, &claims(&[claim.clone(), claim]), 300)
}

/// Two debits of the card under one number of the till: its PSAM was cloned.
fn two_debits(till: &mut Till) -> [Claim; 2] {
    [300, 200].map(|amount| till.customer.pay(amount, till.number, 1))
}

fn two_in_batch(world: &mut World) -> String {
    let mut till = world.till();
    let debits = two_debits(&mut till);
    world.judged(&mut till, &claims(&debits), 300)
}

fn other_paid(world: &mut World) -> String {
    let mut till = world.till();
    let [first, second] = two_debits(&mut till);
    world.settle(&mut till, &one(first), 300);
    world.judged(&mut till, &one(second), 0)
}

fn already_paid(world: &mut World) -> String {
    let mut till = world.till();
    let items = one(till.pay(300));
    world.settle(&mut till, &items, 300);
    world.judged(&mut till, &items, 0)
}

fn two_open_batches(world: &mut World) -> String {
    let mut till = world.till();
    let items = one(till.pay(300));
    let (mut line, first) = world.announce(&mut till, &items);
    send(&mut line, &first, 0, &items).done();
    drop(line);
    world.settle(&mut till, &items, 300);
    let request = till.request();
    let mut line = announced(&till.identity, request, &first);
    assert!(world.shop.permit(&mut line, &first).sum.total.is_zero());
    let last = line.ask("GET", &path(&first, "/verdicts/0"), None).done();
    super::told(&world.shop.verdicts(&last)[0])
}

fn inflated_refund(world: &mut World) -> String {
    let mut till = world.till();
    let mut claim = till.pay(300);
    claim.refund_owed = yen(301);
    let items = one(claim);
    let (mut line, batch) = world.announce(&mut till, &items);
    send(&mut line, &batch, 0, &items).refusal().to_owned()
}

fn late(claim: &Claim, amount: u64) -> Item {
    Item::LateRefund(LateRefund {
        key: claim.key.clone(),
        claim: claim.digest(),
        amount: yen(amount),
    })
}

/// A till with a claim that is paid.
fn paid(world: &mut World, refund: u64) -> (Till, Claim) {
    let mut till = world.till();
    let mut claim = till.pay(400);
    claim.refund_owed = yen(refund);
    world.settle(&mut till, &one(claim.clone()), 400 - refund);
    (till, claim)
}

fn late_too_large(world: &mut World) -> String {
    let (mut till, claim) = paid(world, 0);
    world.judged(&mut till, &[late(&claim, 401)], 0)
}

fn late_twice(world: &mut World) -> String {
    let (mut till, claim) = paid(world, 0);
    // Netted by another sale at once, so that nothing is owed by the next till.
    let next = Item::Claim(till.pay(400));
    world.settle(&mut till, &[late(&claim, 400), next], 0);
    world.judged(&mut till, &[late(&claim, 400)], 0)
}

fn late_after_refund(world: &mut World) -> String {
    let (mut till, claim) = paid(world, 100);
    world.judged(&mut till, &[late(&claim, 300)], 0)
}

fn late_unpaid(world: &mut World) -> String {
    let mut till = world.till();
    let claim = till.pay(400);
    world.judged(&mut till, &[late(&claim, 400)], 0)
}

fn late_of_other(world: &mut World) -> String {
    let (_, claim) = paid(world, 0);
    let mut other = world.till_of("other");
    world.judged(&mut other, &[late(&claim, 400)], 0)
}

/// The version of the hot list with the card on it.
fn listed(world: &World) -> u64 {
    let added = world.done(&["hotlist", "add", CARD, "--reason", "lost"]);
    added[0]["version"].as_u64().unwrap()
}

/// What a till says about the hot list is refused.
fn acknowledged(till: &Till, version: u64, from: u32) -> Result<(), String> {
    let told = json!({ "version": version, "from_terminal_sn": from });
    let answer = till
        .identity
        .ask("POST", "/v1/hot-list/acknowledgement", Some(&told));
    if answer.status == 200 {
        Ok(())
    } else {
        Err(answer.refusal().to_owned())
    }
}

fn hot_listed(world: &mut World) -> String {
    let version = listed(world);
    let refused = changed(world, |till, claim| {
        acknowledged(till, version, 1).unwrap();
        claim
    });
    world.done(&["hotlist", "remove", CARD]);
    refused
}

fn not_delivered(world: &mut World) -> String {
    listed(world);
    let mut till = world.till();
    let claim = till.pay(300);
    let verdict = world.judged(&mut till, &one(claim), 300);
    world.done(&["hotlist", "remove", CARD]);
    verdict
}

fn ahead(world: &mut World) -> String {
    let version = listed(world);
    let till = world.till();
    let refused = acknowledged(&till, version, u32::MAX).unwrap_err();
    world.done(&["hotlist", "remove", CARD]);
    refused
}

fn goes_back(world: &mut World) -> String {
    let version = listed(world);
    let till = world.till();
    acknowledged(&till, version, 3).unwrap();
    let refused = acknowledged(&till, version - 1, 3).unwrap_err();
    world.done(&["hotlist", "remove", CARD]);
    refused
}

fn unknown_list(world: &mut World) -> String {
    let till = world.till();
    acknowledged(&till, 1_000_000, 1).unwrap_err()
}
