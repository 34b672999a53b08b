//! The kill matrix of a settlement, on the real purserd and the real purser-provider.

#[test]
fn a_settlement_that_is_cut_at_any_write_of_either_program_is_paid_once_and_both_books_agree() {
    e2e::settle::matrix::run().expect("money is kept");
}
