//! What verdicts come to (money rule C1: netted, carried, never negative).

use proptest::prelude::*;
use purser_provider_link::{Decision, Reason, Sum, SumError};

use crate::support::yen;

#[test]
fn a_debt_is_netted_from_what_is_paid() {
    let sum = Sum::begin(yen(100)).with(Decision::Pay(yen(300))).unwrap();
    assert_eq!((sum.total, sum.debt_after), (yen(200), yen(0)));
}

#[test]
fn a_debt_above_what_is_paid_is_carried_and_the_permit_is_of_nothing() {
    let sum = Sum::begin(yen(100)).with(Decision::Pay(yen(50))).unwrap();
    let sum = sum.with(Decision::Owe(yen(30))).unwrap();
    assert_eq!((sum.total, sum.debt_after), (yen(0), yen(80)));
}

#[test]
fn a_verdict_in_another_currency_is_not_summed() {
    let dollars = purser_ledger::Amount::new(1, "USD".parse().unwrap()).unwrap();
    assert_eq!(
        Sum::begin(yen(0)).with(Decision::Pay(dollars)),
        Err(SumError::OtherCurrency)
    );
}

fn decision() -> impl Strategy<Value = Decision> {
    prop_oneof![
        (0_u64..10_000).prop_map(|minor| Decision::Pay(yen(minor))),
        (0_u64..10_000).prop_map(|minor| Decision::Owe(yen(minor))),
        Just(Decision::Hold(Reason::Forged)),
        Just(Decision::Dispute(Reason::OtherClaimPaid)),
    ]
}

proptest! {
    #[test]
    fn money_is_neither_made_nor_lost_by_netting(
        debt in 0_u64..20_000,
        decisions in prop::collection::vec(decision(), 0..30),
    ) {
        let mut sum = Sum::begin(yen(debt));
        for decision in decisions {
            sum = sum.with(decision).unwrap();
            prop_assert_eq!(
                sum.pay.minor() + sum.debt_after.minor(),
                sum.total.minor() + sum.owe.minor() + sum.debt_before.minor()
            );
            prop_assert!(sum.total.is_zero() || sum.debt_after.is_zero());
        }
    }
}
