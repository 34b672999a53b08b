//! A sale through Varlink with the client from PyPI.

use e2e::buyer::Buyer;
use e2e::peer::{Peer, PeerEnd};
use e2e::{Fault, ensure};
use purser_lab::card::Minor;
use purser_lab::issuer::{LAB_PIN, LAB_SERIAL};
use purser_lab::stack::{Options, Stack};

#[test]
fn a_till_in_python_sells_repeats_is_refused_and_cancels_over_varlink() -> Result<(), Fault> {
    let folder = tempfile::tempdir()?;
    let stack = Stack::start(folder.path(), Options::default())?;
    let card = stack.new_card("card", LAB_SERIAL, Minor(1000))?;
    let _buyer = Buyer::at(stack.layout().pad(), LAB_PIN.to_owned());
    let socket = stack.layout().socket().to_string_lossy().into_owned();
    let till = |arguments: &[&str]| {
        let arguments = [&[socket.as_str()], arguments].concat();
        Peer::start("varlink_sale.py", &arguments, None)
    };

    let mut sale = till(&["order-1", "300", "JPY"])?;
    sale.wait_for_state("waiting_for_card")?;
    card.insert();
    let sold = sale.finish()?.expect_code(0)?;
    let kinds: Vec<&str> = sold.entries().into_iter().map(|(kind, _)| kind).collect();
    ensure(kinds == ["sale_intended", "sale_paid"], || format!("{sold:?}"))?;
    let paid = last_sale(&sold);
    ensure(
        paid["slip"]["amount"]["minor"] == 300 && paid["slip"]["head"].is_string(),
        || format!("the slip is wrong: {paid}"),
    )?;

    let repeated = till(&["order-1", "300", "JPY"])?.finish()?.expect_code(0)?;
    ensure(repeated.told[0]["standing"] == "completed", || {
        format!("a repeat is told apart: {repeated:?}")
    })?;
    let other = till(&["order-1", "301", "JPY"])?.finish()?.expect_code(1)?;
    ensure(
        other.told[0]["refused"] == "org.purser.Purser1.ReferenceWithOtherAmount",
        || format!("{other:?}"),
    )?;
    ensure(other.told[0]["remedy"].is_string(), || format!("{other:?}"))?;

    card.remove();
    let cancelled = till(&["order-2", "300", "JPY", "--cancel"])?
        .finish()?
        .expect_code(3)?;
    ensure(last_sale(&cancelled)["reason"] == "cancelled_by_pos", || {
        format!("{cancelled:?}")
    })?;
    let left = card.status().ep;
    ensure(left == Minor(700), || {
        format!("one payment was made, and {left} is left of 1000")
    })
}

fn last_sale(end: &PeerEnd) -> &serde_json::Value {
    let events = end.told.iter().rev().map(|told| &told["event"]["sale"]);
    events
        .clone()
        .find(|sale| sale.is_object())
        .unwrap_or(&serde_json::Value::Null)
}
