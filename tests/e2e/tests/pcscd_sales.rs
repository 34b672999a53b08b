//! A sale through the real pcscd, with the lab's card behind vsmartcard's virtual reader.

use std::net::SocketAddr;
use std::path::Path;

use e2e::buyer::Buyer;
use e2e::hotplug::{Away, sales_while_the_reader_goes};
use e2e::pcscd::{NAME, Pcscd, READER, add_driver, inside, wait_until_gone};
use e2e::world::World;
use e2e::{Fault, ensure};
use purser_lab::card::{Fault as CardFault, Minor, ScriptedFault, instruction};
use purser_lab::issuer::{LAB_PIN, LAB_SERIAL};
use purser_lab::stack::{Options, Stack};
use purser_lab::vpcd::CardThread;

#[test]
fn a_sale_through_pcscd_is_paid_and_survives_a_tear_and_a_restart_of_pcscd() -> Result<(), Fault> {
    inside(
        "a_sale_through_pcscd_is_paid_and_survives_a_tear_and_a_restart_of_pcscd",
        sell_through_pcscd,
    )
}

#[test]
fn pcscd_may_die_and_come_back_in_every_state_of_a_sale() -> Result<(), Fault> {
    inside("pcscd_may_die_and_come_back_in_every_state_of_a_sale", |driver| {
        let mut world = World::through_pcscd(driver)?;
        world.stack.start_again()?;
        let table = sales_while_the_reader_goes(&mut world, &mut Away::Pcscd(Pcscd::running()?))?;
        println!("pcscd is killed and started again\n{table}");
        Ok(())
    })
}

fn sell_through_pcscd(driver: &Path) -> Result<(), Fault> {
    let folder = tempfile::tempdir()?;
    let drop_in = "[pin.pads]\npcsc = \"lab/keypad\"\n".to_owned();
    let mut stack = Stack::prepare(
        folder.path(),
        Options {
            drop_in,
            ..Options::default()
        },
    )?;
    add_driver(&stack, driver)?;
    drop(stack.new_card("card", LAB_SERIAL, Minor(1000))?);
    let card = CardThread::start(
        &stack.layout().cards_dir().join("card"),
        READER.parse::<SocketAddr>()?,
    )?;
    stack.start_again()?;
    let _buyer = Buyer::at(stack.layout().pad(), LAB_PIN.to_owned());
    let mut till = stack.till()?;

    till.begin_sale("order-1", 300)?;
    card.insert();
    let paid = till.wait_for_outcome("order-1", "paid")?;
    ensure(paid.reader.as_deref() == Some("pcsc"), || {
        format!("not through pcscd: {paid:?}")
    })?;
    card.remove();
    wait_until_gone(NAME)?;

    card.script(ScriptedFault::next(
        instruction::DEBIT,
        CardFault::TearAfterExecute,
    ));
    till.begin_sale("order-2", 500)?;
    card.insert();
    till.wait_for_outcome("order-2", "in_doubt")?;
    let mut pcscd = Pcscd::running()?;
    pcscd.kill()?;
    pcscd.start()?;
    card.insert();
    till.wait_for_outcome("order-2", "paid")?;
    card.remove();
    let left = card.status().ep;
    ensure(left == Minor(200), || {
        format!("two payments were made, and {left} is left of 1000")
    })?;
    stack.stop()?;
    let verified = stack.run_verb(&["verify-journal"])?;
    ensure(verified.status.success(), || format!("{verified:?}"))
}
