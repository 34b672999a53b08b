//! Limits, from the first warning to the refusal, and through a restart.

use e2e::buyer::Buyer;
use e2e::raw::Raw;
use e2e::{Fault, ensure};
use purser_api::model::{ErrorName, LimitUse};
use purser_lab::card::Minor;
use purser_lab::issuer::{LAB_PIN, LAB_SERIAL};
use purser_lab::stack::{Options, Stack, StackError};
use purser_lab::vpcd::CardThread;
use serde_json::{Value, json};

const PRICE: u64 = 300;
/// Four sales, with a warning from the second on; the prices of four sales, and one yen.
const LIMITS: &str =
    "[limits]\ncount_max = 4\nwarn_percent = 50\namount_max.JPY = 301\ntotal_max.JPY = 1201\n";

fn sell(stack: &Stack, card: &CardThread, reference: &str) -> Result<(), Fault> {
    card.remove();
    let mut till = stack.till()?;
    till.begin_sale(reference, PRICE)?;
    card.insert();
    let end = till.wait_for_end(reference)?;
    ensure(end.outcome == "paid", || format!("{end:?}"))
}

/// What a sale that must be refused is refused with.
fn refused(stack: &Stack, reference: &str, minor: u64) -> Result<String, Fault> {
    match stack.till()?.begin_sale(reference, minor) {
        Err(error @ StackError::Call { .. }) => {
            Ok(error.refusal().ok_or("it is not refused by name")?.to_owned())
        }
        Err(error) => Err(error.into()),
        Ok(begun) => Err(format!("it has begun: {begun:?}").into()),
    }
}

fn problems(status: &Value) -> Vec<&str> {
    let list = status["problems"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    list.iter()
        .filter_map(|problem| problem["name"].as_str())
        .collect()
}

/// Hears the status until these are its problems of limits.
fn wait_for(status: &mut Raw, wanted: &[&str]) -> Result<Value, Fault> {
    loop {
        let told = status.receive()?.ok_or("the stream ended")?["parameters"].take();
        let limits: Vec<&str> = problems(&told)
            .into_iter()
            .filter(|name| name.starts_with("limit_"))
            .collect();
        if limits == wanted {
            return Ok(told);
        }
    }
}

fn limit(stack: &Stack, name: &str) -> Result<LimitUse, Fault> {
    let totals = stack.till()?.call(async |purser| purser.totals().await)?;
    let found = totals.limits.into_iter().find(|limit| limit.name == name);
    Ok(found.ok_or("the totals tell of every limit")?)
}

#[test]
fn a_limit_warns_then_refuses_new_sales_by_name_and_a_restart_does_not_forget_it() -> Result<(), Fault> {
    let folder = tempfile::tempdir()?;
    let options = Options {
        drop_in: LIMITS.to_owned(),
        ..Options::default()
    };
    let mut stack = Stack::start(folder.path(), options)?;
    let card = stack.new_card("card", LAB_SERIAL, Minor(10_000))?;
    let _buyer = Buyer::at(stack.layout().pad(), LAB_PIN.to_owned());
    let mut status = Raw::connect(&stack.layout().socket())?;
    status.send("Status", &json!({}), true)?;
    wait_for(&mut status, &[])?;

    sell(&stack, &card, "order-1")?;
    ensure(limit(&stack, "count")?.level == "within", || {
        "one of four".to_owned()
    })?;
    sell(&stack, &card, "order-2")?;
    let near = wait_for(&mut status, &["limit_count_near"])?;
    ensure(near["ready"] == true, || {
        format!("a warning stops nothing: {near}")
    })?;
    ensure(
        refused(&stack, "high", 302)? == ErrorName::LimitAmount.as_str(),
        || "one sale is too high".to_owned(),
    )?;
    sell(&stack, &card, "order-3")?;
    sell(&stack, &card, "order-4")?;
    let reached = wait_for(&mut status, &["limit_count", "limit_total_near"])?;
    ensure(reached["ready"] == false, || format!("it cannot sell: {reached}"))?;
    let count = limit(&stack, "count")?;
    ensure(
        (count.used, count.max, count.level.as_str()) == (4, 4, "reached"),
        || format!("{count:?}"),
    )?;

    let head = stack.till()?.call(async |purser| purser.head().await)?.head;
    ensure(
        refused(&stack, "order-5", PRICE)? == ErrorName::LimitCount.as_str(),
        || "four wait".to_owned(),
    )?;
    let repeated = stack.till()?.begin_sale("order-4", PRICE)?;
    ensure(repeated.standing == "completed", || format!("{repeated:?}"))?;
    let after = stack.till()?.call(async |purser| purser.head().await)?.head;
    ensure(head == after, || "a refused sale leaves no entry".to_owned())?;

    stack.kill();
    stack.start_again()?;
    ensure(
        refused(&stack, "order-5", PRICE)? == ErrorName::LimitCount.as_str(),
        || "four wait after a restart too".to_owned(),
    )?;
    let log = stack.log()?;
    ensure(
        log.contains("the limit is near") && log.contains("the limit is reached"),
        || format!("the log warns first: {log}"),
    )?;
    // The total is judged by its own once the count is raised.
    stack.kill();
    let later = stack.layout().config_dir().join("purser.toml.d/zz-more.toml");
    std::fs::write(later, "limits.count_max = 9\n")?;
    stack.start_again()?;
    ensure(
        refused(&stack, "order-5", PRICE)? == ErrorName::LimitTotal.as_str(),
        || "1200 and 300 are more than 1201".to_owned(),
    )
}
