//! The kill matrix on the real purserd.

use e2e::faults;
use e2e::matrix::{Cuts, run, run_with_psam};
use e2e::phase::Templates;
use e2e::table::Table;

#[test]
fn a_purserd_that_is_killed_at_any_call_loses_no_sale_and_doubles_none() {
    run(Cuts::Kills).expect("money is kept");
}

#[test]
fn a_purserd_that_is_killed_at_any_call_of_a_sale_with_a_psam_loses_no_sale_and_repeats_no_terminal_sn() {
    run_with_psam().expect("money is kept");
}

#[test]
fn a_purserd_whose_journal_fails_at_any_call_loses_no_sale_and_doubles_none() {
    run(Cuts::Errors).expect("money is kept");
}

#[test]
fn a_card_that_fails_or_a_till_that_dies_at_any_step_loses_no_sale_and_doubles_none() {
    let templates = Templates::new().expect("sales work");
    let mut table = Table::default();
    faults::cards(templates.sold(), &mut table).expect("money is kept");
    faults::tills(templates.sold(), env!("CARGO_BIN_EXE_till"), &mut table).expect("money is kept");
    println!("{table}");
}
