//! B4 and B6: a permit is paid once, issued again only after proof, redeemed when both reports agree.

use proptest::prelude::*;
use purser_provider_link::PermitId;
use purser_provider_rules::permit::{BankSays, Matching, Payment, PermitRecord, Phase, Refusal};

use crate::support::yen;

fn permit() -> PermitRecord {
    PermitRecord::new(PermitId([9; 16]), yen(500))
}

fn payment(amount: u64) -> Payment {
    Payment {
        reference: "RRN 6327".to_owned(),
        amount: yen(amount),
    }
}

/// A terminal breaks down with a permit in it.
#[test]
fn a_permit_is_issued_again_only_after_the_bank_says_that_it_is_unusable() {
    let live = permit();
    assert_eq!(live.issue_again(), Err(Refusal::NotProven));
    let revoking = live.revoke().unwrap();
    assert_eq!(
        revoking.issue_again(),
        Err(Refusal::NotProven),
        "asking is no proof"
    );
    let revoked = revoking.bank_says(1, BankSays::Unusable).unwrap();
    let again = revoked.issue_again().unwrap();
    assert_eq!((again.generation(), again.phase()), (2, Phase::Live));
    assert_eq!(
        again.bank_says(1, BankSays::Unusable),
        Err(Refusal::OtherGeneration)
    );
}

#[test]
fn a_permit_on_a_statement_is_never_issued_again() {
    let (stated, _) = permit().stated(payment(500));
    assert_eq!(stated.revoke(), Err(Refusal::Paid));
    assert_eq!(stated.issue_again(), Err(Refusal::Paid));
    let (stated, _) = permit().revoke().unwrap().stated(payment(500));
    assert_eq!(stated.issue_again(), Err(Refusal::Paid));
}

/// The terminal breaks down after it sent a reversal; the bank is asked before the reversal comes.
#[test]
fn a_permit_that_is_reversed_after_the_bank_said_paid_can_be_revoked_again() {
    let paid = permit().revoke().unwrap().bank_says(1, BankSays::Paid).unwrap();
    assert_eq!(paid.issue_again(), Err(Refusal::NotProven));
    let revoked = paid.revoke().unwrap().bank_says(1, BankSays::Unusable).unwrap();
    assert_eq!(revoked.issue_again().unwrap().generation(), 2);
}

#[test]
fn a_permit_is_redeemed_when_terminal_and_bank_agree_and_not_before() {
    let (one, matching) = permit().reported(payment(500));
    assert_eq!((one.phase(), matching), (Phase::Live, Matching::Waiting));
    let (both, matching) = one.stated(payment(500));
    assert_eq!((both.phase(), matching), (Phase::Redeemed, Matching::Matched));
    let (again, matching) = both.reported(payment(500));
    assert_eq!((again.phase(), matching), (Phase::Redeemed, Matching::Matched));
}

#[test]
fn reports_that_contradict_each_other_or_the_permit_are_told() {
    let (_, matching) = permit().reported(payment(501));
    assert_eq!(matching, Matching::Mismatch);
    let (one, _) = permit().reported(payment(500));
    let mut other = payment(500);
    other.reference = "RRN 1".to_owned();
    let (record, matching) = one.stated(other);
    assert_eq!((record.phase(), matching), (Phase::Live, Matching::Mismatch));
}

#[test]
fn what_the_bank_booked_after_it_had_revoked_is_told() {
    let revoked = permit()
        .revoke()
        .unwrap()
        .bank_says(1, BankSays::Unusable)
        .unwrap();
    let (_, matching) = revoked.stated(payment(500));
    assert_eq!(matching, Matching::Mismatch);
}

#[test]
fn a_permit_of_nothing_has_nothing_to_redeem() {
    let nothing = PermitRecord::new(PermitId([9; 16]), yen(0));
    assert_eq!(nothing.phase(), Phase::Redeemed);
    assert_eq!(nothing.issue_again(), Err(Refusal::Paid));
}

proptest! {
    /// A bank that keeps its word, a provider that does anything: one generation at most is usable at the bank.
    #[test]
    fn two_generations_are_never_usable_together(acts in prop::collection::vec(0_u8..6, 0..40)) {
        let mut record = permit();
        // What the bank holds: usable generations, and whether it has paid.
        let mut usable = vec![1_u32];
        let mut is_paid = false;
        for act in acts {
            match act {
                0 => record = record.revoke().unwrap_or(record),
                1 if record.phase() == Phase::Revoking => {
                    let says = if is_paid {
                        BankSays::Paid
                    } else {
                        usable.retain(|generation| *generation != record.generation());
                        BankSays::Unusable
                    };
                    record = record.bank_says(record.generation(), says).unwrap();
                }
                2 => if let Ok(again) = record.issue_again() {
                    usable.push(again.generation());
                    record = again;
                },
                3 if !usable.is_empty() => is_paid = true,
                4 if is_paid => record = record.stated(payment(500)).0,
                5 if record.revoke() != Err(Refusal::Paid) => is_paid = false,
                _ => {}
            }
            prop_assert!(usable.len() <= 1, "{usable:?}");
            prop_assert!(!(is_paid && record.phase() == Phase::Revoked));
        }
    }
}
