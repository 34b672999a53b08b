//! The kill matrix of a load, on the real purserd and the real purser-provider.

#[test]
fn a_load_that_is_cut_at_any_write_of_either_program_reaches_its_card_once_and_both_books_agree() {
    e2e::settle::load::run().expect("money is kept");
}
