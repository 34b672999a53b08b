//! Batches, pages and permits that a till has no right to.

use purser_provider_link::Item;
use serde_json::json;

use super::{Attack, World};
use crate::called::Standing;
use crate::client::TlsLine;
use crate::settling::{announced, claims, path, send, void};
use crate::shop::{seal, seal_at, yen};

pub(super) const ATTACKS: &[Attack] = &[
    ("a batch without a call-back", "NotAuthenticated", no_call_back),
    (
        "another batch than the one called back for",
        "NotAuthenticated",
        other_batch,
    ),
    (
        "the batch announced for a higher total",
        "NotAuthenticated",
        higher_total,
    ),
    (
        "the batch's number again for a higher total",
        "OtherContent",
        number_again,
    ),
    ("a batch in another terminal's name", "BadBatch", in_other_name),
    (
        "a page of another terminal's batch",
        "OtherTerminal",
        page_of_other,
    ),
    ("another terminal's permit", "OtherTerminal", permit_of_other),
    (
        "a void of another terminal's batch",
        "OtherTerminal",
        void_of_other,
    ),
    ("a skipped page", "PageSkipped", skipped),
    ("a page twice with other content", "PageChanged", page_changed),
    ("a page of 1,001 items", "PageSize", oversize),
    ("a page of no items", "PageSize", empty_page),
    ("more items than were sealed", "TooManyItems", too_many),
    ("an item that was not sealed", "OtherContent", not_sealed),
    ("an item that is none", "BadItem", junk),
    ("a permit before all items are there", "NotReceived", early_permit),
    ("a permit for a void batch", "Voided", permit_of_void),
    ("a void of a batch with a permit", "Permitted", void_of_permitted),
    (
        "a batch of a generation that is not reconciled",
        "NotReconciled",
        generation,
    ),
    (
        "a batch of an old image of the machine",
        "NotReconciled",
        old_image,
    ),
    ("a permit while the terminal is suspended", "Suspended", suspended),
    (
        "an operator's void of a batch in work",
        "NotSuspended",
        operators_void,
    ),
    (
        "a permit issued again without the bank's word",
        "NotProven",
        issued_again,
    ),
    (
        "a bank's word that it was not asked for",
        "NotAsked",
        unasked_word,
    ),
    (
        "a permit that was issued again to another terminal",
        "OtherPresenter",
        other_presenter,
    ),
];

fn sales(till: &mut super::Till, count: usize) -> Vec<Item> {
    let sales: Vec<_> = (0..count).map(|_| till.pay(100)).collect();
    claims(&sales)
}

fn no_call_back(world: &mut World) -> String {
    let mut till = world.till();
    let items = sales(&mut till, 1);
    let batch = world.seal(&till, &items);
    let body = json!({ "batch": hex::encode(batch.encode()) });
    let answer = till.identity.ask("PUT", &path(&batch, ""), Some(&body));
    answer.refusal().to_owned()
}

fn other_batch(world: &mut World) -> String {
    let mut till = world.till();
    let items = sales(&mut till, 1);
    let (mut line, _) = world.announce(&mut till, &items);
    let other = world.seal(&till, &items);
    send(&mut line, &other, 0, &items).refusal().to_owned()
}

fn higher_total(world: &mut World) -> String {
    let mut till = world.till();
    let items = sales(&mut till, 1);
    let (mut line, batch) = world.announce(&mut till, &items);
    let mut higher = batch.clone();
    higher.claimed = yen(999_999);
    let body = json!({ "batch": hex::encode(higher.encode()) });
    line.ask("PUT", &path(&batch, ""), Some(&body))
        .refusal()
        .to_owned()
}

fn number_again(world: &mut World) -> String {
    let mut till = world.till();
    let items = sales(&mut till, 1);
    let (line, batch) = world.announce(&mut till, &items);
    drop(line);
    let mut higher = batch;
    higher.claimed = yen(999_999);
    let request = till.request();
    let mut line = Standing::called(&till.identity, request, "settlement", higher.digest());
    let body = json!({ "batch": hex::encode(higher.encode()) });
    let answer = line.ask("PUT", &path(&higher, ""), Some(&body));
    answer.refusal().to_owned()
}

fn in_other_name(world: &mut World) -> String {
    let mut till = world.till();
    let items = sales(&mut till, 1);
    let foreign = seal(0xFF, "till-1", &items);
    let request = till.request();
    let mut line = Standing::called(&till.identity, request, "settlement", foreign.digest());
    let body = json!({ "batch": hex::encode(foreign.encode()) });
    let answer = line.ask("PUT", &path(&foreign, ""), Some(&body));
    answer.refusal().to_owned()
}

/// A digest is no secret: the thief is called back for the victim's batch, which is all there. The victim has its permit
/// afterwards.
fn thieving(world: &mut World, method: &str, rest: &str) -> String {
    let (mut till, mut thief) = (world.till(), world.till());
    let items = sales(&mut till, 2);
    let (mut ours, batch) = world.announce(&mut till, &items);
    send(&mut ours, &batch, 0, &items).done();
    let request = thief.request();
    let mut theirs = Standing::called(&thief.identity, request, "settlement", batch.digest());
    let answer = if method == "PUT" {
        send(&mut theirs, &batch, 0, &items)
    } else if rest == "/void" {
        void(&mut theirs, &batch)
    } else {
        theirs.ask(method, &path(&batch, rest), None)
    };
    assert_eq!(world.done(&["liability"]), world.books);
    assert_eq!(world.shop.permit(&mut ours, &batch).sum.total, yen(200));
    world.mark();
    answer.refusal().to_owned()
}

fn page_of_other(world: &mut World) -> String {
    thieving(world, "PUT", "/pages/0")
}

fn permit_of_other(world: &mut World) -> String {
    thieving(world, "POST", "/permit")
}

fn void_of_other(world: &mut World) -> String {
    thieving(world, "POST", "/void")
}

/// A batch of three items, of which the first is there.
fn begun(world: &mut World) -> (TlsLine, purser_provider_link::Batch, Vec<Item>) {
    let mut till = world.till();
    let mut items = sales(&mut till, 3);
    let (mut line, batch) = world.announce(&mut till, &items);
    send(&mut line, &batch, 0, &items[..1]).done();
    items.push(Item::Claim(till.pay(100)));
    (line, batch, items)
}

fn skipped(world: &mut World) -> String {
    let (mut line, batch, items) = begun(world);
    send(&mut line, &batch, 2, &items[2..3]).refusal().to_owned()
}

fn page_changed(world: &mut World) -> String {
    let (mut line, batch, items) = begun(world);
    send(&mut line, &batch, 0, &items[1..2]).refusal().to_owned()
}

fn oversize(world: &mut World) -> String {
    let mut till = world.till();
    let items = vec![Item::Claim(till.pay(100)); 1_001];
    let (mut line, batch) = world.announce(&mut till, &items);
    send(&mut line, &batch, 0, &items).refusal().to_owned()
}

fn empty_page(world: &mut World) -> String {
    let (mut line, batch, _) = begun(world);
    send(&mut line, &batch, 1, &[]).refusal().to_owned()
}

fn too_many(world: &mut World) -> String {
    let (mut line, batch, items) = begun(world);
    send(&mut line, &batch, 1, &items[1..]).refusal().to_owned()
}

fn not_sealed(world: &mut World) -> String {
    let (mut line, batch, items) = begun(world);
    let swapped = [items[1].clone(), items[3].clone()];
    send(&mut line, &batch, 1, &swapped).refusal().to_owned()
}

fn junk(world: &mut World) -> String {
    let (mut line, batch, _) = begun(world);
    let answer = line.ask(
        "PUT",
        &path(&batch, "/pages/1"),
        Some(&json!({ "items": ["00"] })),
    );
    answer.refusal().to_owned()
}

fn early_permit(world: &mut World) -> String {
    let (mut line, batch, _) = begun(world);
    let answer = line.ask("POST", &path(&batch, "/permit"), None);
    answer.refusal().to_owned()
}

fn permit_of_void(world: &mut World) -> String {
    let mut till = world.till();
    let items = sales(&mut till, 2);
    let (mut line, batch) = world.announce(&mut till, &items);
    send(&mut line, &batch, 0, &items).done();
    void(&mut line, &batch).done();
    let answer = line.ask("POST", &path(&batch, "/permit"), None);
    answer.refusal().to_owned()
}

fn void_of_permitted(world: &mut World) -> String {
    let mut till = world.till();
    let items = sales(&mut till, 2);
    let batch = world.settle(&mut till, &items, 200);
    let request = till.request();
    let mut line = announced(&till.identity, request, &batch);
    let answer = void(&mut line, &batch);
    answer.refusal().to_owned()
}

/// Announces a batch of a generation.
fn of_generation(world: &mut World, till: &mut super::Till, generation: u32) -> String {
    let items = sales(till, 1);
    world.batches += 1;
    let batch = seal_at(world.batches, &till.name, generation, &items);
    let request = till.request();
    let mut line = Standing::called(&till.identity, request, "settlement", batch.digest());
    let body = json!({ "batch": hex::encode(batch.encode()) });
    let answer = line.ask("PUT", &path(&batch, ""), Some(&body));
    answer.refusal().to_owned()
}

fn generation(world: &mut World) -> String {
    let mut till = world.till();
    of_generation(world, &mut till, 1)
}

fn old_image(world: &mut World) -> String {
    let mut till = world.till();
    world.done(&["terminal", "reconcile", &till.name, "--generation", "1"]);
    of_generation(world, &mut till, 0)
}

fn suspended(world: &mut World) -> String {
    let mut till = world.till();
    let items = sales(&mut till, 2);
    let (mut line, batch) = world.announce(&mut till, &items);
    send(&mut line, &batch, 0, &items).done();
    world.done(&["terminal", "suspend", &till.name]);
    let answer = line.ask("POST", &path(&batch, "/permit"), None);
    answer.refusal().to_owned()
}

fn operators_void(world: &mut World) -> String {
    let (_line, batch, _) = begun(world);
    world
        .shop
        .provider
        .refused(&["batch", "void", &batch.id.to_string()])
}

/// A till whose batch of 200 has its permit: the till, the batch and the permit's number.
fn permitted(world: &mut World) -> (super::Till, purser_provider_link::Batch, String) {
    let mut till = world.till();
    let items = sales(&mut till, 2);
    let batch = world.settle(&mut till, &items, 200);
    let newest = world.done(&["permit", "list"])[0]["permit"].clone();
    (till, batch, newest.as_str().unwrap().to_owned())
}

/// However long ago it has expired: it may have been paid before.
fn issued_again(world: &mut World) -> String {
    let (_, _, permit) = permitted(world);
    world.done(&["permit", "revoke", &permit]);
    world.shop.provider.refused(&["permit", "reissue", &permit])
}

fn word(permit: &str) -> [&str; 9] {
    [
        "permit",
        "answered",
        permit,
        "--generation",
        "1",
        "--word",
        "unusable",
        "--reference",
        "B 1",
    ]
}

fn unasked_word(world: &mut World) -> String {
    let (_, _, permit) = permitted(world);
    world.shop.provider.refused(&word(&permit))
}

fn other_presenter(world: &mut World) -> String {
    let other = world.till();
    let (mut till, batch, permit) = permitted(world);
    world.done(&["permit", "revoke", &permit]);
    world.done(&word(&permit));
    world.done(&["permit", "reissue", &permit, "--terminal", &other.name]);
    let request = till.request();
    let mut line = announced(&till.identity, request, &batch);
    let answer = line.ask("POST", &path(&batch, "/permit"), None);
    answer.refusal().to_owned()
}
