//! From the buyer's card to the permit: real purserd, real purser-provider, TLS on the loopback, both ways to be called back.

#[path = "settlement/shop.rs"]
mod shop;

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use e2e::events::same_events;
use e2e::{Fault, ensure};
use purser_lab::card::{Fault as CardFault, ScriptedFault, instruction};
use purser_lab::issuer::{LAB_KEY_VERSION, LAB_SERIAL};
use purser_lab::stack::{PATIENCE, TILL, free_port};
use serde_json::Value;
use shop::{LOOK_AGAIN, Shop};

#[test]
fn sales_are_settled_down_a_standing_link_and_both_books_agree() -> Result<(), Fault> {
    settle_what_is_sold(None)
}

#[test]
fn sales_are_settled_when_the_provider_calls_the_till_and_both_books_agree() -> Result<(), Fault> {
    settle_what_is_sold(Some(free_port()?))
}

#[test]
fn a_batch_survives_the_death_of_either_program_and_is_paid_once() -> Result<(), Fault> {
    let folder = tempfile::tempdir()?;
    let mut shop = Shop::open(folder.path(), None)?;
    shop.sell("order-1", 300)?;
    shop.sell("order-2", 200)?;
    // Nobody answers: the batch is sealed, and waits.
    shop.provider.kill();
    let begun = shop.purserctl(&["settle"], 0)?;
    ensure(begun["batches"][0]["claimed"]["minor"] == 500, || {
        format!("{begun}")
    })?;
    let refunds = shop.totals("claims")?;
    ensure(refunds == 0 && shop.totals("in_batch")? == 500, || {
        format!("{refunds} are claims still")
    })?;
    // Sales go on, for the next batch.
    shop.sell("order-3", 70)?;
    shop.stack.kill();
    shop.provider.serve()?;
    shop.stack.start_again()?;
    let settled = shop.purserctl(&["settle", "--wait"], 0)?;
    ensure(settled["batches"][0]["total"]["minor"] == 500, || {
        format!("{settled}")
    })?;
    shop.expect_books(500, 70)?;
    let settled = shop.purserctl(&["settle", "--wait"], 0)?;
    ensure(settled["batches"][0]["total"]["minor"] == 70, || {
        format!("{settled}")
    })?;
    shop.expect_books(570, 0)?;
    shop.close()
}

#[test]
fn a_batch_that_waits_is_voided_and_its_claims_settle_in_the_next_one() -> Result<(), Fault> {
    let folder = tempfile::tempdir()?;
    let mut shop = Shop::open(folder.path(), None)?;
    let mut permitted = 0;
    // Purser's own next try may be faster than the operator: then there is a permit, and the next sale is tried.
    for attempt in 1..=5 {
        shop.sell(&format!("order-{attempt}"), 100)?;
        shop.provider.kill();
        let begun = shop.purserctl(&["settle"], 0)?;
        let id = begun["batches"][0]["id"].as_str().unwrap_or_default().to_owned();
        shop.wait_for_state(&id, &["waiting"])?;
        shop.provider.serve()?;
        let program = shop
            .stack
            .programs()
            .purserctl
            .clone()
            .ok_or("purserctl was not built")?;
        let asked = Command::new(program)
            .arg("--socket")
            .arg(shop.stack.layout().socket())
            .args(["batch", "void", &id])
            .output()?;
        let state = shop.wait_for_state(&id, &["voided", "exchanged"])?;
        if state == "exchanged" {
            permitted += 100;
            continue;
        }
        ensure(asked.status.success(), || format!("{asked:?}"))?;
        shop.expect_books(permitted, 100)?;
        let settled = shop.purserctl(&["settle", "--wait"], 0)?;
        ensure(settled["batches"][0]["total"]["minor"] == 100, || {
            format!("{settled}")
        })?;
        shop.expect_books(permitted + 100, 0)?;
        return shop.close();
    }
    Err("Purser was faster than the operator five times".into())
}

#[test]
fn a_shop_settles_by_itself_when_a_limit_comes_near() -> Result<(), Fault> {
    let folder = tempfile::tempdir()?;
    let limits = "[limits]\ncount_max = 10\nwarn_percent = 20\n";
    let shop = Shop::open_with(folder.path(), None, limits)?;
    shop.sell("order-1", 300)?;
    ensure(shop.lines(&["batch", "list"], 0)?.is_empty(), || {
        "one of ten claims is far from the limit".to_owned()
    })?;
    shop.sell("order-2", 200)?;
    let end = Instant::now() + PATIENCE;
    loop {
        let list = shop.lines(&["batch", "list"], 0)?;
        if list.first().is_some_and(|batch| batch["state"] == "exchanged") {
            ensure(list.len() == 1 && list[0]["count"] == 2, || {
                format!("both in one batch: {list:?}")
            })?;
            break;
        }
        ensure(Instant::now() < end, || format!("{list:?}"))?;
        std::thread::sleep(LOOK_AGAIN);
    }
    shop.expect_books(500, 0)?;
    shop.close()
}

#[test]
fn a_claim_of_a_card_that_the_provider_did_not_know_is_presented_again_and_paid_once() -> Result<(), Fault> {
    let folder = tempfile::tempdir()?;
    let shop = Shop::open_for(folder.path(), None, "", &[])?;
    shop.sell("order-1", 300)?;
    let held = shop.purserctl(&["settle", "--wait"], 4)?;
    let id = held["batches"][0]["id"].as_str().unwrap_or_default().to_owned();
    let items = shop.lines(&["batch", "show", &id, "--held"], 0)?;
    ensure(items.len() == 1 && items[0]["reason"] == "unknown_card", || {
        format!("{items:?}")
    })?;
    shop.expect_books(0, 0)?;
    ensure(shop.totals("held")? == 300, || "it is held".to_owned())?;
    // Too early: the same verdict, and nothing is lost by it.
    let again = shop.purserctl(&["batch", "present-again", &id], 0)?;
    ensure(
        again["count"] == 1 && again["claimed"]["minor"] == 300 && again["more"] == false,
        || format!("{again}"),
    )?;
    let refused = shop.purserctl(&["batch", "present-again", &id, "--place", "0"], 1)?;
    ensure(refused["error"] == "ClaimPresented", || format!("{refused}"))?;
    let none = shop.purserctl(&["batch", "present-again", &id], 0)?;
    ensure(none["count"] == 0, || format!("{none}"))?;
    let held = shop.purserctl(&["settle", "--wait"], 4)?;
    let second = held["batches"][0]["id"].as_str().unwrap_or_default().to_owned();
    // The provider's operator enters the card; the claim is presented once more, with a new one beside it.
    let (serial, keys) = (
        LAB_SERIAL.0.map(|byte| format!("{byte:02x}")).concat(),
        folder.path().join("card.json"),
    );
    let version = LAB_KEY_VERSION.to_string();
    let issue = [
        "card",
        "issue",
        "--serial",
        &serial,
        "--currency",
        "JPY",
        "--key-version",
        &version,
    ];
    shop.provider
        .run(&[&issue[..], &["--keys-to", &keys.to_string_lossy()]].concat())?;
    shop.sell("order-2", 200)?;
    let again = shop.purserctl(&["batch", "present-again", &second, "--place", "0"], 0)?;
    ensure(again["count"] == 1, || format!("{again}"))?;
    shop.expect_books(0, 500)?;
    let settled = shop.purserctl(&["settle", "--wait"], 0)?;
    ensure(settled["batches"][0]["total"]["minor"] == 500, || {
        format!("{settled}")
    })?;
    shop.expect_books(500, 0)?;
    ensure(shop.totals("held")? == 0, || {
        "nothing is held any more".to_owned()
    })?;
    let third = settled["batches"][0]["id"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    for (batch, place, name) in [
        (&second, "0", "ClaimPresented"),
        (&third, "0", "ClaimPaid"),
        (&third, "7", "NoClaimThere"),
    ] {
        let refused = shop.purserctl(&["batch", "present-again", batch, "--place", place], 1)?;
        ensure(refused["error"] == name, || format!("{refused}"))?;
    }
    shop.close()
}

#[test]
fn a_restored_terminal_begins_a_new_generation_and_nothing_is_paid_twice() -> Result<(), Fault> {
    let folder = tempfile::tempdir()?;
    let mut shop = Shop::open(folder.path(), None)?;
    shop.sell("order-1", 300)?;
    shop.stack.stop()?;
    let (state, copy) = (shop.stack.layout().state_dir(), folder.path().join("copy"));
    copy_files(&state, &copy)?;
    shop.stack.start_again()?;
    shop.sell("order-2", 200)?;
    let settled = shop.purserctl(&["settle", "--wait"], 0)?;
    ensure(settled["batches"][0]["total"]["minor"] == 500, || {
        format!("{settled}")
    })?;
    shop.stack.stop()?;
    // The machine breaks, and its last copy is put back.
    std::fs::remove_dir_all(&state)?;
    copy_files(&copy, &state)?;
    let begun = shop.stack.run_verb(&["new-generation", "--yes", "--json"])?;
    let told: Value = serde_json::from_slice(&begun.stdout)?;
    ensure(told["generation"] == 1, || format!("{begun:?}"))?;
    shop.stack.start_again()?;
    let provider = shop.purserctl(&["provider", "status"], 0)?;
    ensure(provider["generation"] == 1, || format!("{provider}"))?;
    shop.sell("order-3", 70)?;
    let begun = shop.purserctl(&["settle"], 0)?;
    let id = begun["batches"][0]["id"].as_str().unwrap_or_default().to_owned();
    shop.wait_for_state(&id, &["waiting"])?;
    let list = shop.lines(&["batch", "list"], 0)?;
    ensure(list[0]["reason"] == "NotReconciled", || format!("{list:?}"))?;
    shop.provider
        .run(&["terminal", "reconcile", TILL, "--generation", "1"])?;
    // The sale that had been settled is claimed once more, and held; the new one is paid.
    let settled = shop.purserctl(&["settle", "--wait"], 4)?;
    ensure(settled["batches"][0]["total"]["minor"] == 70, || {
        format!("{settled}")
    })?;
    let items = shop.lines(&["batch", "show", &id], 0)?;
    let told: Vec<_> = items.iter().map(|it| (&it["reference"], &it["reason"])).collect();
    ensure(told[0] == (&"order-1".into(), &"already_paid".into()), || {
        format!("{items:?}")
    })?;
    ensure(items.len() == 2 && items[1]["decision"] == "pay", || {
        format!("{items:?}")
    })?;
    let books = shop.provider.run(&["liability"])?;
    ensure(
        books[0]["permits"] == 570 && books[0]["is_balanced"] == true,
        || format!("{books:?}"),
    )?;
    shop.close()
}

/// Copies a folder.
fn copy_files(from: &Path, to: &Path) -> Result<(), Fault> {
    std::fs::create_dir_all(to)?;
    std::fs::set_permissions(to, std::fs::metadata(from)?.permissions())?;
    for file in std::fs::read_dir(from)? {
        let file = file?;
        if file.file_type()?.is_dir() {
            copy_files(&file.path(), &to.join(file.file_name()))?;
        } else {
            std::fs::copy(file.path(), to.join(file.file_name()))?;
        }
    }
    Ok(())
}

fn settle_what_is_sold(called_at: Option<SocketAddr>) -> Result<(), Fault> {
    let folder = tempfile::tempdir()?;
    let shop = Shop::open(folder.path(), called_at)?;
    let mut witness = shop.till()?;
    let mut live = witness.watch_all()?;
    let nothing = shop.purserctl(&["settle", "--wait"], 0)?;
    ensure(nothing["batches"] == serde_json::json!([]), || {
        format!("{nothing}")
    })?;
    shop.sell("order-1", 300)?;
    // Torn, and proven when the card returns.
    shop.card.script(ScriptedFault::next(
        instruction::DEBIT,
        CardFault::TearAfterExecute,
    ));
    let mut till = shop.till()?;
    till.begin_sale("order-2", 200)?;
    shop.card.insert();
    till.wait_for_outcome("order-2", "in_doubt")?;
    shop.card.insert();
    till.wait_for_outcome("order-2", "paid")?;
    shop.card.remove();
    let settled = shop.purserctl(&["settle", "--wait"], 0)?;
    let batch = &settled["batches"][0];
    ensure(
        batch["state"] == "exchanged" && batch["count"] == 2 && batch["total"]["minor"] == 500,
        || format!("{settled}"),
    )?;
    shop.expect_books(500, 0)?;
    let id = batch["id"].as_str().unwrap_or_default().to_owned();
    let items = shop.lines(&["batch", "show", &id], 0)?;
    let decisions: Vec<_> = items.iter().map(|item| item["decision"].clone()).collect();
    ensure(decisions == ["pay", "pay"], || format!("{items:?}"))?;
    // A batch settles what was sold since, and nothing twice.
    shop.sell("order-3", 50)?;
    shop.purserctl(&["settle", "--wait"], 0)?;
    shop.expect_books(550, 0)?;
    let list = shop.lines(&["batch", "list"], 0)?;
    let totals: Vec<_> = list.iter().map(|it| it["total"]["minor"].clone()).collect();
    ensure(totals == [50, 500], || format!("{list:?}"))?;
    let told = same_events(&mut live, &mut shop.till()?, &shop.purserctl(&["head"], 0)?)?;
    let of_batches = told.iter().filter_map(|event| event.batch.as_ref());
    let states: Vec<_> = of_batches.map(|batch| batch.state.as_str()).collect();
    let expected = ["sending", "exchanged", "sending", "exchanged"];
    ensure(states == expected, || format!("{states:?}"))?;
    shop.close()
}

/// Torn, and used in other shops until its log has forgotten: neither card nor terminal can tell. One sale happened and one did not;
/// the provider's operator decides, the till asks again after a restart, and what is proven so is settled like any other.
#[test]
fn a_sale_that_no_card_can_tell_of_is_asked_about_and_paid_by_the_providers_word() -> Result<(), Fault> {
    let folder = tempfile::tempdir()?;
    let mut shop = Shop::open(folder.path(), None)?;
    let happened = shop.lose_in_doubt("happened", 300, CardFault::TearAfterExecute)?;
    let did_not = shop.lose_in_doubt("did-not-happen", 200, CardFault::TearBeforeExecute)?;
    for operation in [&happened, &did_not] {
        shop.wait_for_query(operation)?;
    }
    let books = shop.provider.run(&["liability"])?;
    ensure(books[0]["queries_in_doubt"] == 500, || format!("{books:?}"))?;
    ensure(shop.totals("in_doubt")? == 500, || {
        "500 are in doubt here".to_owned()
    })?;
    for (operation, end) in [(&happened, "--happened"), (&did_not, "--did-not-happen")] {
        let why = ["--why", "the buyer was asked"];
        let answer = ["queries", "answer", operation, end];
        shop.provider.run(&[&answer[..], &why].concat())?;
    }
    shop.stack.stop()?;
    shop.stack.start_again()?;
    let mut till = shop.till()?;
    till.wait_for_outcome("happened", "paid")?;
    till.wait_for_outcome("did-not-happen", "not_paid")?;
    for (reference, words) in [("happened", "paid 300"), ("did-not-happen", "did not pay")] {
        let told = shop.purserctl(&["where", reference], 0)?;
        let text = told.to_string();
        ensure(
            text.contains(words) && text.contains("the provider's signed answer"),
            || text,
        )?;
    }
    shop.expect_books(0, 300)?;
    let settled = shop.purserctl(&["settle", "--wait"], 0)?;
    ensure(settled["batches"][0]["total"]["minor"] == 300, || {
        format!("{settled}")
    })?;
    shop.expect_books(300, 0)?;
    let books = shop.provider.run(&["liability"])?;
    ensure(books[0]["queries_in_doubt"] == 0, || format!("{books:?}"))?;
    shop.close()
}
