//! Entries of every kind, and a small world to put them in.
#![allow(
    dead_code,
    unreachable_pub,
    missing_docs,
    reason = "each test file uses its part of these helpers"
)]

use purser_ledger::{
    Amount, CardId, CloseReason, Commit, Conclusion, Content, Currency, DebitKey, DeviceName, DoubtReason,
    Entry, Head, LoadAttempted, LoadBegun, LoadConfirmed, LoadProof, LoadProven, LoadReleased, LoadVoided,
    Operation, OperationId, Owner, PaidProof, ProviderAnswer, QueryReason, Reference, SaleClosed,
    SaleConcluded, SaleInDoubt, SaleIntended, SalePaid, SaleQueried, SaleVoided, Scheme, SchemeBytes,
    VoidProof, Wall,
};

pub const OWNER: Owner = Owner(1000);

pub fn currency(code: &str) -> Currency {
    code.parse().expect("a currency")
}

pub fn yen(minor: u64) -> Amount {
    Amount::new(minor, currency("JPY")).expect("not too large")
}

pub fn reference() -> Reference {
    Reference::new("order-17").expect("a name")
}

pub fn id() -> OperationId {
    OperationId::new([0x11; 16])
}

pub fn at(seconds: i64) -> Wall {
    Wall {
        unix_seconds: seconds,
        utc_offset_seconds: 32_400,
        trusted: true,
    }
}

pub fn head(number: u64) -> Head {
    Head {
        number,
        digest: [u8::try_from(number % 256).expect("below 256"); 32],
    }
}

pub fn intended() -> Entry {
    intended_by_parameters(0)
}

pub fn intended_by_parameters(parameters_version: u64) -> Entry {
    Entry::SaleIntended(SaleIntended {
        reference: reference(),
        owner: OWNER,
        amount: yen(300),
        reader: DeviceName::new("counter-1").expect("a name"),
        key: DebitKey {
            card: CardId::new(Scheme::Pboc, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]),
            terminal_number: [1, 2, 3, 4, 5, 6],
            terminal_sn: 42,
        },
        attempt: SchemeBytes::new(Scheme::Pboc, vec![0xAA, 0xBB]).expect("short"),
        pin_verified: true,
        parameters_version,
        generation: 0,
    })
}

pub fn paid(refund_owed: bool) -> Entry {
    Entry::SalePaid(SalePaid {
        amount: yen(300),
        proof: PaidProof::Answer,
        evidence: SchemeBytes::new(Scheme::Pboc, vec![0xCC, 0xDD]).expect("short"),
        balance_after: Some(yen(700)),
        refund_owed,
        answer: None,
    })
}

pub fn in_doubt() -> Entry {
    Entry::SaleInDoubt(SaleInDoubt {
        reason: DoubtReason::AnswerLost,
        answer: None,
    })
}

pub fn in_doubt_with_answer() -> Entry {
    Entry::SaleInDoubt(SaleInDoubt {
        reason: DoubtReason::Mac2NotChecked,
        answer: SchemeBytes::new(Scheme::Pboc, vec![0xEE, 0xFF]),
    })
}

pub fn queried() -> Entry {
    Entry::SaleQueried(SaleQueried {
        reason: QueryReason::CardMovedOn,
        answer: None,
    })
}

pub fn queried_with_answer() -> Entry {
    Entry::SaleQueried(SaleQueried {
        reason: QueryReason::Mac2Unproven,
        answer: SchemeBytes::new(Scheme::Pboc, vec![0xDD, 0xEE]),
    })
}

pub fn voided() -> Entry {
    Entry::SaleVoided(SaleVoided {
        amount: yen(300),
        proof: VoidProof::CounterUnchanged,
        answer: None,
    })
}

pub fn concluded(conclusion: Conclusion, refund_owed: Option<Amount>) -> Entry {
    Entry::SaleConcluded(SaleConcluded {
        conclusion,
        refund_owed,
    })
}

pub fn closed() -> Entry {
    Entry::SaleClosed(SaleClosed {
        reference: reference(),
        owner: OWNER,
        amount: yen(300),
        reason: CloseReason::NoCardInTime,
    })
}

pub fn load_begun() -> Entry {
    Entry::LoadBegun(LoadBegun {
        reference: reference(),
        owner: OWNER,
        amount: yen(300),
    })
}

pub fn load_attempted(number: u8) -> Entry {
    Entry::LoadAttempted(LoadAttempted {
        number,
        card: CardId::new(Scheme::Pboc, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]),
        online_sn: 7,
        initialize: SchemeBytes::new(Scheme::Pboc, vec![0xAB, 0xCD]).expect("short"),
    })
}

pub fn load_released(number: u8) -> Entry {
    Entry::LoadReleased(LoadReleased {
        number,
        date_time: [0x20, 0x26, 0x11, 0x23, 0x18, 0x30, 0x59],
    })
}

pub fn load_proven(number: u8) -> Entry {
    Entry::LoadProven(LoadProven {
        amount: yen(300),
        number,
        proof: LoadProof::Answer,
        tac: SchemeBytes::new(Scheme::Pboc, vec![0xDE, 0xF0]).expect("short"),
        balance_after: Some(yen(1_000)),
    })
}

pub fn load_confirmed() -> Entry {
    Entry::LoadConfirmed(LoadConfirmed {})
}

pub fn load_voided() -> Entry {
    Entry::LoadVoided(LoadVoided { amount: yen(300) })
}

pub fn commit(step: u8, entry: Entry) -> Commit {
    Commit {
        operation: id(),
        step,
        at: at(1_800_000_000),
        entry,
    }
}

pub fn content(step: u8, entry: Entry) -> Content {
    commit(step, entry).content()
}

/// The operation that these entries make, in order.
pub fn operation(entries: &[Entry]) -> Operation {
    let mut steps = (0..).zip(entries);
    let (_, first) = steps.next().expect("at least one entry");
    let mut operation = Operation::begin(&content(0, first.clone()), head(1)).expect("an opening entry");
    for (step, entry) in steps {
        operation
            .apply(&content(step, entry.clone()), head(u64::from(step) + 1))
            .expect("an entry that follows");
    }
    operation
}

pub fn word() -> ProviderAnswer {
    ProviderAnswer {
        document: vec![0xD0, 0x0C],
        signature: vec![0x51],
    }
}

/// Paid by the provider's signed answer.
pub fn paid_by_provider() -> Entry {
    match paid(false) {
        Entry::SalePaid(paid) => Entry::SalePaid(SalePaid {
            proof: PaidProof::Provider,
            answer: Some(word()),
            ..paid
        }),
        other => other,
    }
}

/// Voided by the provider's signed answer.
pub fn voided_by_provider() -> Entry {
    Entry::SaleVoided(SaleVoided {
        amount: yen(300),
        proof: VoidProof::Provider,
        answer: Some(word()),
    })
}
