//! A sale through the real pcscd with two slots of vsmartcard's virtual reader: the purse card in one, the PSAM in the
//! other, each behind an instance of the pcsc driver.

use std::net::SocketAddr;
use std::path::Path;

use e2e::buyer::Buyer;
use e2e::pcscd::{NAME, READER, SECOND_NAME, SECOND_READER, add_drivers, inside, wait_until_gone};
use e2e::{Fault, ensure};
use purser_lab::card::{Minor, ScriptedFault, TerminalSn};
use purser_lab::claims;
use purser_lab::issuer::{LAB_PIN, LAB_SERIAL};
use purser_lab::psam::{FactorOrder, PsamFault, instruction};
use purser_lab::stack::{Options, PATIENCE, Stack};
use purser_lab::vpcd::{CardThread, Place, PsamThread};

#[test]
fn a_sale_with_card_and_psam_in_two_slots_of_pcscd_is_paid_and_survives_a_psam_that_loses_power()
-> Result<(), Fault> {
    inside(
        "a_sale_with_card_and_psam_in_two_slots_of_pcscd_is_paid_and_survives_a_psam_that_loses_power",
        sell_through_two_slots,
    )
}

fn sell_through_two_slots(driver: &Path) -> Result<(), Fault> {
    let folder = tempfile::tempdir()?;
    let drop_in = "[pin.pads]\npcsc = \"lab/keypad\"\n[sam]\npsam = { reader = \"slot2\" }\n".to_owned();
    let options = Options {
        drop_in,
        psam: Some(FactorOrder::AsnFirst),
        ..Options::default()
    };
    let mut stack = Stack::prepare(folder.path(), options)?;
    let readers = [("pcsc", NAME), ("slot2", SECOND_NAME)];
    add_drivers(&stack, driver, &readers)?;
    let cards = stack.layout().cards_dir();
    drop(stack.new_card("card", LAB_SERIAL, Minor(1000))?);
    drop(stack.new_psam("psam")?);
    let card = CardThread::start(&cards.join("card"), READER.parse::<SocketAddr>()?)?;
    let psam = PsamThread::start(&cards.join("psam"), SECOND_READER.parse::<SocketAddr>()?)?;
    psam.insert();
    stack.start_again()?;
    let _buyer = Buyer::at(stack.layout().pad(), LAB_PIN.to_owned());
    let mut till = stack.till()?;
    for (reference, fault) in [
        ("healthy", None),
        (
            "power-lost-before-8070",
            Some((instruction::INITIALIZE, PsamFault::LosePowerBefore)),
        ),
        (
            "power-lost-before-8072",
            Some((instruction::CREDIT, PsamFault::LosePowerBefore)),
        ),
        ("healthy-again", None),
    ] {
        if let Some((instruction, fault)) = fault {
            psam.script(ScriptedFault::next(instruction, fault));
        }
        till.begin_sale(reference, 100)?;
        card.insert();
        if fault.is_some() {
            let is_out = psam.wait_until(Place::Away, PATIENCE);
            ensure(is_out, || format!("{reference}: the fault did not strike"))?;
            wait_until_gone(SECOND_NAME)?;
            psam.insert();
        }
        let sale = till.wait_for_end(reference)?;
        println!(
            "{reference:<24} {:<9} {}",
            sale.outcome,
            sale.reason.as_deref().unwrap_or("")
        );
        ensure(
            sale.outcome == "paid" && sale.reader.as_deref() == Some("pcsc"),
            || format!("not paid through pcscd: {sale:?}"),
        )?;
        card.remove();
        wait_until_gone(NAME)?;
    }
    check(&mut stack, &card, &psam)
}

/// Four sales were paid once each, with terminal SNs that rise.
fn check(stack: &mut Stack, card: &CardThread, psam: &PsamThread) -> Result<(), Fault> {
    let state = stack.layout().state_dir();
    let (claims, used) = (claims::read(&state)?, claims::terminal_sns(&state)?);
    println!("terminal SNs {used:?}; {}", psam.status());
    ensure(
        claims.len() == 4 && claims.iter().all(|claim| claim.verified),
        || format!("four genuine claims are due: {claims:?}"),
    )?;
    ensure(used == [1, 2, 3, 4].map(TerminalSn), || {
        format!("terminal SNs: {used:?}")
    })?;
    let left = card.status().ep;
    ensure(left == Minor(600), || {
        format!("four payments were made, and {left} is left of 1000")
    })?;
    stack.stop()?;
    let verified = stack.run_verb(&["verify-journal"])?;
    ensure(verified.status.success(), || format!("{verified:?}"))
}
