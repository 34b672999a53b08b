//! The driver that a vendor reads first, in a real sale.

use std::fs;
use std::sync::Arc;

use e2e::Fault;
use e2e::faulty::{install, wait_for_device};
use purser_api::model::{Amount, BeginSaleArguments};
use purser_lab::card::{Card, Minor, Opening};
use purser_lab::issuer::{LAB_PIN, LAB_SERIAL, Masters};
use purser_lab::stack::{CURRENCY, Options, Stack};

#[test]
fn a_driver_in_one_c_file_sells() -> Result<(), Fault> {
    let folder = tempfile::tempdir()?;
    let options = Options {
        drop_in: "[pin.pads]\nexample = \"lab/keypad\"\n".to_owned(),
        ..Options::default()
    };
    let mut stack = Stack::prepare(folder.path(), options)?;
    let driver = install(&stack, folder.path(), "example-c/vpcd_reader.c", &[])?;
    let layout = stack.layout().clone();
    let port = layout.second_reader.port();
    fs::write(
        layout.config_dir().join("drivers.d/example.toml"),
        format!("path = {driver:?}\n[settings]\nname = \"one C file\"\nport = {port}\n"),
    )?;
    let card = Card::new(
        Arc::new(Masters::public_lab().personalise(LAB_SERIAL)),
        Opening {
            ep: Minor(1000),
            ..Opening::default()
        },
    );
    let card = stack.put_card("alice", card, layout.second_reader)?;
    stack.start_again()?;
    wait_for_device(&stack, "example", "ready", |device| device.state == "ready")?;
    let _buyer = stack.buyer(LAB_PIN)?;
    let mut till = stack.till()?;
    // Whichever reader the buyer takes.
    for (reference, reader) in [("first", Some("example".to_owned())), ("second", None)] {
        let asked = BeginSaleArguments {
            reference: reference.to_owned(),
            amount: Amount {
                minor: 300,
                currency: CURRENCY.to_owned(),
            },
            reader,
            pin_through_api: None,
        };
        till.call(async |purser| purser.begin_sale(&asked).await)?;
        card.insert();
        let sale = till.wait_for_end(reference)?;
        assert_eq!(sale.outcome, "paid", "{sale:?}");
        assert_eq!(sale.reader.as_deref(), Some("example"));
        card.remove();
    }
    let status = card.status();
    assert_eq!((status.ep, status.ep_offline_sn), (Minor(400), 2));
    let totals = till.call(async |purser| purser.totals().await)?;
    assert!(totals.balanced && totals.counts.paid == 2, "{totals:?}");
    let devices = till.call(async |purser| purser.devices().await)?.devices;
    let device = devices.iter().find(|device| device.name == "example");
    assert!(
        device.is_some_and(|device| device.driver == "example-c" && device.cause.is_none()),
        "{devices:?}"
    );
    stack.stop()?;
    Ok(())
}
