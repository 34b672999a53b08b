//! The load of the demo: S5 to S14 at a terminal of its own, between two real programs.

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use purser_api::model::{Amount, BeginLoadArguments, Load, ReferenceArguments};
use purser_lab::card::{Card, Minor};
use purser_lab::issuer::{LAB_PIN, LAB_SERIAL};
use purser_lab::stack::{CURRENCY, Options, PATIENCE, ProviderHost, Stack, Till};

use super::show::Show;
use super::story::ISSUED;
use super::{DemoError, enrol};

/// How often a load is looked at: nobody announces its progress.
const LOOK_AGAIN: Duration = Duration::from_millis(5);
/// The terminal's name at the provider.
const COUNTER: &str = "counter-1";
const REFERENCE: &str = "demo-load";

/// Has an empty card loaded with all the money in the world, and gives it out.
pub(super) fn load(
    show: &mut Show<'_>,
    folder: &Path,
    provider: &ProviderHost,
) -> Result<(Card, Load), DemoError> {
    show.heading(&format!(
        "A load: {ISSUED} {CURRENCY} onto an empty card, at a counter with a purserd of its own."
    ))?;
    let code = provider.add_loader(COUNTER, None)?;
    let options = Options {
        drop_in: provider.drop_in(),
        ..Options::default()
    };
    std::fs::create_dir(folder).map_err(DemoError::Folder)?;
    let mut stack = Stack::prepare(folder, options)?;
    enrol(&stack, &code)?;
    let card = stack.new_card("buyer.card", LAB_SERIAL, Minor(0))?;
    stack.start_again()?;
    let number = provider.open_load(COUNTER, u64::from(ISSUED.0))?;
    let mut till = stack.till()?;
    let asked = BeginLoadArguments {
        reference: REFERENCE.to_owned(),
        load: number,
        amount: Amount {
            minor: u64::from(ISSUED.0),
            currency: CURRENCY.to_owned(),
        },
        reader: None,
    };
    till.call(async |purser| purser.begin_load(&asked).await)?;
    show.step(
        "S1-S4",
        "a bank has booked it (in this lab by hand), and the provider says so: from now on the buyer is owed it [L1, rule 1]",
    )?;
    let mut finger = stack.typist()?;
    card.insert();
    finger.wait_for_prompt()?;
    finger.enter(LAB_PIN)?;
    show.step("S5", "the empty card is put in; its PIN unlocks the e-money")?;
    let loaded = wait_for_end(&mut till)?;
    show.step(
        "S6-S11",
        "the attempt is recorded and sent; the provider hangs up, calls back, and the counter's device key answers [L2]",
    )?;
    show.step(
        "S12-S13",
        &format!(
            "the card's MAC1 is right, so the provider releases the value with its MAC2; the card takes it and holds {}",
            card.status().ep
        ),
    )?;
    show.step(
        "S14",
        "access is locked, the card returned; its load TAC is recorded here and proven to the provider [rule 3]",
    )?;
    card.remove();
    stack.stop()?;
    Ok((card.card(), loaded))
}

fn wait_for_end(till: &mut Till) -> Result<Load, DemoError> {
    let asked = ReferenceArguments {
        reference: REFERENCE.to_owned(),
    };
    let end = Instant::now() + PATIENCE;
    loop {
        let load = till.call(async |purser| purser.attach_load(&asked).await)?.load;
        if load.confirmed == Some(true) {
            return Ok(load);
        }
        if Instant::now() > end || ["voided", "owed"].contains(&load.outcome.as_str()) {
            return Err(DemoError::NotLoaded(Box::new(load)));
        }
        thread::sleep(LOOK_AGAIN);
    }
}
