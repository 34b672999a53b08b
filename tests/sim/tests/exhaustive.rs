//! Every crash point of a sale. The pairs of crash points run with `cargo run --release -p sim -- exhaustive`.

use sim::exhaustive;

#[test]
fn after_every_crash_point_the_sale_ends_as_its_card_was_debited_and_the_card_buys_again() {
    let summary = exhaustive::run(2, false).unwrap_or_else(|failure| panic!("{failure}"));
    assert_eq!(summary.cases, 340);
    assert!(summary.is_whole(), "{summary:?}");
    assert!(
        summary.singles > 50 * summary.cases,
        "a sale has more steps than {} in {} cases",
        summary.singles,
        summary.cases
    );
    let ended: u64 = summary.ends.values().sum();
    assert_eq!(ended, summary.undisturbed + summary.singles);
    for end in [
        "Paid(Answer), card debited: true",
        "Paid(Prove), card debited: true",
        "Paid(LogOnly), card debited: true",
        "Paid(ProveNotCheckable), card debited: true",
        "Queried(Mac2Unproven), card debited: true",
        "Voided(CounterUnchanged), card debited: false",
        "Voided(OtherDebit), card debited: false",
    ] {
        assert!(
            summary.ends.contains_key(end),
            "{end} was not reached: {:?}",
            summary.ends
        );
    }
}
