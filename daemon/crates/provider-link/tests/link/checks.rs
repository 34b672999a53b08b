//! The terminal's own sum over the verdicts (money rule T4): what it takes, and every name by which it refuses.

use purser_provider_link::{
    Batch, CheckError, Decision, Digest, Judged, Permit, PermitCheck, Reason, Sum, Verdict, VerdictsDigest,
};

use crate::support::{batch, items, permit, verdicts, yen};

/// A permit over these verdicts, for a merchant with this debt.
fn permit_of(verdicts: &[Verdict], debt: u64) -> Permit {
    let digest = verdicts
        .iter()
        .fold(VerdictsDigest::begin(batch().digest()), VerdictsDigest::with);
    let sum = verdicts
        .iter()
        .try_fold(Sum::begin(yen(debt)), |sum, it| sum.with(it.decision))
        .unwrap();
    Permit {
        batch: batch().digest(),
        verdicts: digest.digest(),
        sum,
        ..permit()
    }
}

fn check(verdicts: &[Verdict], permit: &Permit) -> Result<Judged, CheckError> {
    let mut check = PermitCheck::begin(batch());
    check.page(&items(), verdicts)?;
    check.finish(permit)
}

fn with(place: usize, change: impl Fn(&mut Verdict)) -> Vec<Verdict> {
    let mut changed = verdicts();
    change(&mut changed[place]);
    changed
}

#[test]
fn verdicts_that_add_up_are_counted_by_what_becomes_of_each_item() {
    let judged = check(&verdicts(), &permit_of(&verdicts(), 50)).unwrap();
    let told = [judged.pay(), judged.refunds(), judged.held(), judged.owe()];
    let told = told.map(|part| (part.count, part.amount.minor()));
    assert_eq!(told, [(2, 1_050), (1, 250), (0, 0), (1, 150)]);
    assert_eq!(judged.permit(), permit_of(&verdicts(), 50).digest());
    let held = with(1, |it| it.decision = Decision::Hold(Reason::Forged));
    let mut held_and_disputed = held;
    held_and_disputed[0].decision = Decision::Dispute(Reason::OtherClaimPaid);
    held_and_disputed[2].decision = Decision::Hold(Reason::RefundWithoutClaim);
    let judged = check(&held_and_disputed, &permit_of(&held_and_disputed, 0)).unwrap();
    assert_eq!((judged.held().count, judged.held().amount), (2, yen(1_300)));
    assert_eq!(
        (judged.pay().count, judged.owe().count),
        (0, 0),
        "the late refund stays owed"
    );
}

#[test]
fn pages_come_one_by_one() {
    let mut check = PermitCheck::begin(batch());
    for (place, (item, verdict)) in (0..).zip(items().iter().zip(&verdicts())) {
        assert_eq!(check.place(), place);
        check
            .page(std::slice::from_ref(item), std::slice::from_ref(verdict))
            .unwrap();
    }
    assert!(check.finish(&permit_of(&verdicts(), 0)).is_ok());
}

#[test]
fn each_lie_of_a_verdict_is_refused_by_its_name() {
    let cases: [(Vec<Verdict>, CheckError); 9] = [
        (
            with(1, |it| it.batch = Digest([9; 32])),
            CheckError::OtherBatch { place: 1 },
        ),
        (
            with(1, |it| it.place = 2),
            CheckError::OtherPlace { place: 1, found: 2 },
        ),
        (
            with(2, |it| it.place = 1),
            CheckError::OtherPlace { place: 2, found: 1 },
        ),
        (
            with(0, |it| it.item = Digest([9; 32])),
            CheckError::OtherItem { place: 0 },
        ),
        (
            with(0, |it| it.decision = Decision::Pay(yen(299))),
            CheckError::OtherAmount { place: 0 },
        ),
        (
            with(1, |it| it.decision = Decision::Pay(yen(1_000))),
            CheckError::OtherAmount { place: 1 },
        ),
        (
            with(2, |it| it.decision = Decision::Owe(yen(151))),
            CheckError::OtherAmount { place: 2 },
        ),
        (
            with(0, |it| it.decision = Decision::Owe(yen(300))),
            CheckError::OtherKind { place: 0 },
        ),
        (
            with(2, |it| it.decision = Decision::Pay(yen(150))),
            CheckError::OtherKind { place: 2 },
        ),
    ];
    for (lie, error) in cases {
        assert_eq!(check(&lie, &permit_of(&lie, 0)), Err(error));
    }
    let mut exchanged = verdicts();
    exchanged.swap(0, 1);
    assert_eq!(
        check(&exchanged, &permit_of(&exchanged, 0)),
        Err(CheckError::OtherPlace { place: 0, found: 1 })
    );
}

#[test]
fn missing_and_surplus_verdicts_are_refused() {
    let few = PermitCheck::begin(batch());
    let count = |found| CheckError::OtherCount { expected: 3, found };
    assert_eq!(few.clone().finish(&permit_of(&[], 0)), Err(count(0)));
    assert_eq!(few.clone().page(&items(), &verdicts()[..2]), Err(count(2)));
    let mut full = few;
    full.page(&items(), &verdicts()).unwrap();
    let one_more = Verdict {
        place: 3,
        ..verdicts()[0]
    };
    assert_eq!(full.take(&items()[0], &one_more), Err(count(4)));
}

#[test]
fn items_that_were_not_sealed_are_refused() {
    let other = Batch {
        items: Digest([9; 32]),
        ..batch()
    };
    let digest = other.digest();
    let verdicts: Vec<_> = verdicts()
        .into_iter()
        .map(|it| Verdict { batch: digest, ..it })
        .collect();
    let mut check = PermitCheck::begin(other);
    check.page(&items(), &verdicts).unwrap();
    assert_eq!(
        check.finish(&permit_of(&verdicts, 0)),
        Err(CheckError::OtherItems)
    );
}

#[test]
fn each_lie_of_a_permit_is_refused_by_its_name() {
    let right = permit_of(&verdicts(), 0);
    let lie = |change: &dyn Fn(&mut Permit)| {
        let mut lie = right.clone();
        change(&mut lie);
        check(&verdicts(), &lie)
    };
    assert_eq!(
        lie(&|it| it.batch = Digest([9; 32])),
        Err(CheckError::PermitOfOtherBatch)
    );
    assert_eq!(
        lie(&|it| it.verdicts = Digest([9; 32])),
        Err(CheckError::PermitOfOtherVerdicts)
    );
    let sums: [&dyn Fn(&mut Permit); 5] = [
        &|it| it.sum.total = yen(899),
        &|it| it.sum.pay = yen(1_051),
        &|it| it.sum.owe = yen(149),
        &|it| it.sum.debt_after = yen(1),
        &|it| it.sum.debt_before = yen(1),
    ];
    for change in sums {
        assert_eq!(lie(change), Err(CheckError::PermitOfOtherSum));
    }
    let mut names: Vec<_> = [
        CheckError::OtherBatch { place: 0 },
        CheckError::OtherPlace { place: 0, found: 1 },
        CheckError::OtherItem { place: 0 },
        CheckError::OtherKind { place: 0 },
        CheckError::OtherAmount { place: 0 },
        CheckError::OtherCount {
            expected: 1,
            found: 0,
        },
        CheckError::OtherItems,
        CheckError::TooLarge,
        CheckError::PermitOfOtherBatch,
        CheckError::PermitOfOtherVerdicts,
        CheckError::PermitOfOtherSum,
    ]
    .map(CheckError::name)
    .into();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), 11, "each has a name of its own");
}
