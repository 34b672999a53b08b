//! C1 to C3, P7, T3: verdicts, and what a permit charges.

use proptest::prelude::*;
use purser_ledger::Amount;
use purser_provider_link::{Decision, Item, LateRefund, Reason};
use purser_provider_rules::Evidence;
use purser_provider_rules::hot_list::{Delivery, DeliveryRecord, GoesBack, ListVersion, Listing};
use purser_provider_rules::judge::{self, Before, Charging, Facts, Flag, NumberOwner};
use purser_provider_rules::watch::{self, Forgeries, Measure, TerminalStanding, WatchLimits};

use crate::support::{charge, claim, digest, facts, yen};

fn hold(facts: Facts) -> Reason {
    match judge::claim(&claim(300, 0), &facts) {
        Decision::Hold(reason) => reason,
        other => panic!("not held: {other:?}"),
    }
}

#[test]
fn a_good_claim_is_paid_less_what_the_buyer_is_owed() {
    assert_eq!(judge::claim(&claim(300, 0), &facts()), Decision::Pay(yen(300)));
    assert_eq!(judge::claim(&claim(300, 120), &facts()), Decision::Pay(yen(180)));
    assert_eq!(judge::claim(&claim(300, 300), &facts()), Decision::Pay(yen(0)));
}

#[test]
fn each_thing_that_is_wrong_has_its_own_name() {
    let with = |change: fn(&mut Facts)| {
        let mut facts = facts();
        change(&mut facts);
        hold(facts)
    };
    assert_eq!(with(|it| it.evidence = Evidence::Invalid), Reason::Forged);
    assert_eq!(with(|it| it.evidence = Evidence::Differs), Reason::Altered);
    assert_eq!(with(|it| it.evidence = Evidence::Missing), Reason::NoCardProof);
    assert_eq!(
        with(|it| it.evidence = Evidence::UnknownKey),
        Reason::UnknownKeyVersion
    );
    assert_eq!(
        with(|it| it.evidence = Evidence::BlockedKey),
        Reason::BlockedKeyVersion
    );
    assert_eq!(with(|it| it.card_currency = None), Reason::UnknownCard);
    assert_eq!(
        with(|it| it.number_owner = NumberOwner::Other),
        Reason::OtherTerminal
    );
    assert_eq!(
        with(|it| it.number_owner = NumberOwner::Unknown),
        Reason::UnknownTerminalNumber
    );
    assert_eq!(with(|it| it.is_reconciled = false), Reason::OtherGeneration);
    assert_eq!(
        with(|it| it.is_software_sam_forbidden = true),
        Reason::SoftwareSamNotAllowed
    );
    assert_eq!(with(|it| it.is_hot_listed = true), Reason::HotListed);
}

#[test]
fn a_relabelled_currency_is_the_providers_to_refuse() {
    let mut facts = facts();
    facts.card_currency = Some("USD".parse().unwrap());
    assert_eq!(hold(facts), Reason::OtherCurrency);
}

/// A terminal claims a refund of 10,000 for a friend's card.
#[test]
fn a_refund_of_ten_thousand_for_a_friends_card_is_refused() {
    let paid = claim(300, 0);
    let late = |amount| LateRefund {
        key: paid.key.clone(),
        claim: paid.digest(),
        amount: yen(amount),
    };
    assert_eq!(
        judge::refund(&late(10_000), None),
        Decision::Hold(Reason::RefundWithoutClaim)
    );
    assert_eq!(
        judge::refund(&late(10_000), Some(&charge(&paid))),
        Decision::Hold(Reason::RefundTooLarge)
    );
    assert_eq!(
        judge::refund(&late(300), Some(&charge(&claim(400, 0)))),
        Decision::Hold(Reason::RefundWithoutClaim)
    );
    assert_eq!(
        judge::refund(&late(300), Some(&charge(&paid))),
        Decision::Owe(yen(300))
    );
    let mut refunded = charge(&paid);
    refunded.refunded = yen(1);
    assert_eq!(
        judge::refund(&late(299), Some(&refunded)),
        Decision::Hold(Reason::RefundedBefore)
    );
}

#[test]
fn the_same_debit_in_another_batch_is_refused_and_with_other_evidence_disputed() {
    let paid = charge(&claim(300, 0));
    let mut facts = facts();
    facts.before = Before::Charged(paid);
    assert_eq!(hold(facts), Reason::AlreadyPaid);
    facts.evidence_digest = digest(8);
    assert_eq!(
        judge::claim(&claim(300, 0), &facts),
        Decision::Dispute(Reason::OtherClaimPaid)
    );
    facts.evidence = Evidence::Invalid;
    assert_eq!(hold(facts), Reason::Forged, "a forgery disputes nothing");
}

#[test]
fn the_same_debit_twice_in_one_batch_is_paid_once() {
    let mut facts = facts();
    facts.before = Before::InThisBatch(digest(7));
    assert_eq!(hold(facts), Reason::TwiceInBatch);
    facts.evidence_digest = digest(8);
    assert_eq!(
        judge::claim(&claim(300, 0), &facts),
        Decision::Dispute(Reason::TwiceInBatch)
    );
}

#[test]
fn after_a_forgery_no_other_evidence_is_tried() {
    for evidence in Evidence::ALL {
        let mut facts = facts();
        facts.before = Before::Forged;
        facts.evidence = evidence;
        assert_eq!(
            hold(facts),
            Reason::ForgedBefore,
            "the answer tells nothing about {evidence:?}"
        );
    }
}

/// Two batches with the same claim are both judged good before either permit: the first permit takes it.
#[test]
fn what_another_batch_has_taken_in_between_is_decided_again_at_the_permit() {
    let item = Item::Claim(claim(300, 0));
    let decision = Decision::Pay(yen(300));
    let first = judge::charge(&item, decision, digest(7), (digest(1), 0), None);
    let Charging::Store(stored) = first else {
        panic!("nothing is charged: {first:?}");
    };
    let second = judge::charge(&item, decision, digest(7), (digest(2), 5), Some(&stored));
    assert_eq!(second, Charging::Again(Decision::Hold(Reason::AlreadyPaid)));
    let other = judge::charge(&item, decision, digest(8), (digest(2), 5), Some(&stored));
    assert_eq!(other, Charging::Again(Decision::Dispute(Reason::OtherClaimPaid)));
}

#[test]
fn a_late_refund_in_two_batches_is_owed_once() {
    let paid = claim(300, 0);
    let late = Item::LateRefund(LateRefund {
        key: paid.key.clone(),
        claim: paid.digest(),
        amount: yen(50),
    });
    let decision = Decision::Owe(yen(50));
    let first = judge::charge(&late, decision, digest(7), (digest(1), 0), Some(&charge(&paid)));
    let Charging::Store(stored) = first else {
        panic!("nothing is charged: {first:?}");
    };
    assert_eq!(stored.refunded, yen(50));
    assert_eq!(
        judge::charge(&late, decision, digest(7), (digest(2), 0), Some(&stored)),
        Charging::Again(Decision::Hold(Reason::RefundedBefore))
    );
}

#[test]
fn what_was_not_paid_is_not_charged() {
    let item = Item::Claim(claim(300, 0));
    for decision in [
        Decision::Hold(Reason::Forged),
        Decision::Dispute(Reason::OtherClaimPaid),
    ] {
        let charging = judge::charge(&item, decision, digest(7), (digest(1), 0), None);
        assert_eq!(charging, Charging::Nothing);
    }
}

#[test]
fn a_hot_list_refuses_only_sales_after_it_had_arrived() {
    let list = |version, from_terminal_sn| Delivery {
        from_terminal_sn,
        version: ListVersion(version),
    };
    let record = DeliveryRecord::default();
    let listing = Listing {
        from: ListVersion(5),
        until: Some(ListVersion(9)),
    };
    let refuses = |record: &DeliveryRecord, sn| record.refuses(&[listing], sn, ListVersion(0));
    assert!(!refuses(&record, 1_000), "a list that never came refuses nothing");
    let record = record.acknowledged(list(4, 100)).unwrap();
    let record = record.acknowledged(list(6, 200)).unwrap();
    let record = record.acknowledged(list(9, 300)).unwrap();
    assert!(!refuses(&record, 199));
    assert!(refuses(&record, 200));
    assert!(refuses(&record, 299));
    assert!(!refuses(&record, 300), "the card is listed no more");
    assert!(!record.refuses(&[], 250, ListVersion(0)));
}

#[test]
fn a_sale_by_a_newer_list_that_does_not_name_the_card_is_not_refused_by_the_older_one() {
    let older = Delivery {
        from_terminal_sn: 200,
        version: ListVersion(6),
    };
    let record = DeliveryRecord::default().acknowledged(older).unwrap();
    let listing = |from, until| Listing {
        from: ListVersion(from),
        until: Some(ListVersion(until)),
    };
    // Lost, found in version 9, and lost again in version 12.
    let listings = [listing(5, 9), listing(12, 15)];
    let refuses = |stamped| record.refuses(&listings, 250, ListVersion(stamped));
    assert!(
        !refuses(9) && !refuses(11),
        "the acknowledgement of version 9 is lost"
    );
    assert!(refuses(8) && refuses(12), "the list of the sale names it too");
    assert!(
        refuses(0) && refuses(4),
        "an older list than the one that had arrived proves nothing"
    );
}

#[test]
fn an_acknowledgement_does_not_go_back() {
    let at = |version, from_terminal_sn| Delivery {
        from_terminal_sn,
        version: ListVersion(version),
    };
    let record = DeliveryRecord::default().acknowledged(at(6, 200)).unwrap();
    for again in [200, 300, 199, 0] {
        let first_word = record.acknowledged(at(6, again));
        assert_eq!(first_word, Ok(record.clone()), "the first word counts");
    }
    assert_eq!(record.acknowledged(at(5, 300)), Err(GoesBack));
    assert_eq!(record.acknowledged(at(5, 100)), Err(GoesBack));
    // A number of the PSAM was burnt: the list is in force all the same, and not before the one that it follows on.
    let next = record.acknowledged(at(7, 100)).unwrap();
    assert_eq!(next.newest(), Some(at(7, 200)));
    assert_eq!(next.version_at(199), ListVersion(0));
    assert_eq!(next.version_at(200), ListVersion(7));
}

#[test]
fn an_odd_time_or_a_shadow_below_zero_is_a_flag_and_no_refusal() {
    let mut odd = claim(300, 0);
    odd.sold_at.unix_seconds = 5_000_000;
    odd.sold_at.trusted = false;
    assert_eq!(judge::claim(&odd, &facts()), Decision::Pay(yen(300)));
    assert_eq!(
        judge::flags(&odd, 2_000_000, 0, true),
        [Flag::OddTime, Flag::UntrustedClock, Flag::ShadowBelowZero]
    );
    assert_eq!(judge::flags(&claim(1, 0), 2_000_000, 0, false), []);
    assert_eq!(
        judge::flags(&claim(1, 0), 2_000_000, 1_500_000, false),
        [Flag::OddTime]
    );
}

#[test]
fn many_forgeries_alarm_then_suspend_and_one_merchant_blocks_no_key() {
    let limits = WatchLimits::default();
    let of = |count| watch::of_terminal(Forgeries { count, merchants: 1 }, &limits);
    assert_eq!(of(2), Measure::Nothing);
    assert_eq!(of(3), Measure::Alarm);
    assert_eq!(of(10), Measure::SuspendTerminal);
    let key = |count, merchants| watch::of_key_version(Forgeries { count, merchants }, &limits);
    assert_eq!(key(1_000, 1), Measure::Alarm);
    assert_eq!(key(50, 2), Measure::BlockKeyVersion);
    let suspended = TerminalStanding::Enrolled.after(Measure::SuspendTerminal);
    assert_eq!(suspended, TerminalStanding::Suspended);
    assert_eq!(
        TerminalStanding::Revoked.after(Measure::SuspendTerminal),
        TerminalStanding::Revoked
    );
}

fn before() -> impl Strategy<Value = Before> {
    prop_oneof![
        Just(Before::Nothing),
        Just(Before::Forged),
        any::<u8>().prop_map(|it| Before::InThisBatch(digest(it))),
        any::<u8>().prop_map(|it| {
            let mut charge = charge(&claim(300, 0));
            charge.evidence = digest(it);
            Before::Charged(charge)
        }),
    ]
}

proptest! {
    #[test]
    fn only_a_claim_without_any_fault_is_paid(
        evidence in prop::sample::select(Evidence::ALL.to_vec()),
        owner in prop::sample::select(vec![NumberOwner::BatchOwner, NumberOwner::Other, NumberOwner::Unknown]),
        currency in prop::sample::select(vec![None, Some("JPY"), Some("USD")]),
        reconciled in any::<bool>(), forbidden in any::<bool>(), listed in any::<bool>(), before in before(),
        amount in 0_u64..1_000, share in 0_u64..=100,
    ) {
        let claim = claim(amount, amount * share / 100);
        let facts = Facts {
            evidence,
            evidence_digest: digest(7),
            card_currency: currency.map(|code| code.parse().unwrap()),
            number_owner: owner,
            is_reconciled: reconciled,
            is_software_sam_forbidden: forbidden,
            is_hot_listed: listed,
            before,
        };
        let is_proven = matches!(evidence, Evidence::Valid | Evidence::Answered);
        let is_clean = is_proven && owner == NumberOwner::BatchOwner && currency == Some("JPY")
            && reconciled && !forbidden && !listed && before == Before::Nothing;
        let paid: Option<Amount> = match judge::claim(&claim, &facts) {
            Decision::Pay(amount) => Some(amount),
            Decision::Owe(_) => None,
            Decision::Hold(_) | Decision::Dispute(_) => None,
        };
        prop_assert_eq!(paid.is_some(), is_clean);
        if let Some(paid) = paid {
            prop_assert_eq!(paid.minor() + claim.refund_owed.minor(), claim.amount.minor());
        }
    }
}
