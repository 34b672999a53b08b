//! The kill matrix of a settlement, on the real purserd and the real purser-provider.

use e2e::matrix::Cuts;
use e2e::settle::matrix::run;

#[test]
fn a_settlement_that_is_cut_at_any_write_of_either_program_is_paid_once_and_both_books_agree() {
    run(Cuts::Kills).expect("money is kept");
}

#[test]
fn a_settlement_whose_journal_fails_at_any_write_is_paid_once_and_both_books_agree() {
    run(Cuts::Errors).expect("money is kept");
}
