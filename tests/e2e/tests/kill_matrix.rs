//! The kill matrix on the real purserd.

use e2e::matrix::{Cuts, run};

#[test]
fn a_purserd_that_is_killed_at_any_call_loses_no_sale_and_doubles_none() {
    run(Cuts::Kills).expect("money is kept");
}

#[test]
fn a_purserd_whose_journal_fails_at_any_call_loses_no_sale_and_doubles_none() {
    run(Cuts::Errors).expect("money is kept");
}
