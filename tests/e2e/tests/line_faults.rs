//! Settlements and loads between the real purserd and the real purser-provider, over a line that fails. `LINE_FAULTS_ALL=1` tries
//! every record in every way.

#[test]
fn a_line_that_fails_at_any_record_loses_no_settlement_and_no_load_and_both_books_agree() {
    e2e::settle::line_faults::run().expect("money is kept");
}
