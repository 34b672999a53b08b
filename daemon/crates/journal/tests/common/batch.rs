//! Batches of sales of 300, sealed and ended by hand.

use purser_journal::{Finding, Journal, SignedVerdict, VerifyError, verify};
use purser_ledger::{
    BatchExchanged, BatchSealed, BatchVoided, Commit, Currency, Entry, OperationId, Part, Wall,
};
use purser_provider_link::{Decision, Digest, Verdict, VerdictsDigest};
use tempfile::TempDir;

use super::{OWNER, Sale, store, yen};

pub fn jpy() -> Currency {
    yen(0).currency()
}

pub fn id(n: u8) -> OperationId {
    OperationId::new([n; 16])
}

pub fn commit(n: u8, step: u8, entry: Entry) -> Commit {
    let at = Wall {
        unix_seconds: 1_900_000_000,
        utc_offset_seconds: 32_400,
        trusted: true,
    };
    Commit {
        operation: id(n),
        step,
        at,
        entry,
    }
}

pub fn part(count: u32, minor: u64) -> Part {
    Part {
        count,
        amount: yen(minor),
    }
}

/// The seal of a range with so many claims of 300.
pub fn sealed(n: u8, (after, upto): (u64, u64), claims: u32) -> Commit {
    let entry = BatchSealed {
        owner: OWNER,
        after,
        upto,
        count: claims,
        claims: part(claims, 300 * u64::from(claims)),
        refunds: yen(0),
        batch: vec![n; 150],
    };
    commit(n, 0, Entry::BatchSealed(entry))
}

pub fn verdict(n: u8, place: u32) -> Verdict {
    Verdict {
        batch: digest(n),
        place,
        item: Digest([7; 32]),
        revision: 0,
        decision: Decision::Pay(yen(300)),
    }
}

/// The digest of a batch of these bytes.
pub fn digest(n: u8) -> Digest {
    use sha2::Digest as _;
    Digest(sha2::Sha256::digest(vec![n; 150]).into())
}

pub fn signed(verdict: &Verdict) -> SignedVerdict {
    SignedVerdict {
        place: verdict.place,
        bytes: verdict.encode(),
        signature: vec![0x51; 64],
    }
}

/// The exchange of a batch whose claims of 300 are all paid. The digest over its verdicts is the provider's own.
pub fn exchanged(n: u8, claims: u32) -> Commit {
    let verdicts = (0..claims).fold(VerdictsDigest::begin(digest(n)), |verdicts, place| {
        verdicts.with(&verdict(n, place))
    });
    let paid = part(claims, 300 * u64::from(claims));
    let entry = BatchExchanged {
        pay: paid,
        refunds: part(0, 0),
        held: part(0, 0),
        owe: part(0, 0),
        debt_before: yen(0),
        total: paid.amount,
        debt_after: yen(0),
        verdicts: verdicts.digest().0,
        permit: vec![0xAB; 300],
        signature: vec![0x51; 64],
    };
    commit(n, 1, Entry::BatchExchanged(entry))
}

/// The exchange of a batch of claims of 300, the last one of which is held back.
pub fn held_back(n: u8, claims: u32) -> Commit {
    let Entry::BatchExchanged(all) = exchanged(n, claims).entry else {
        unreachable!("it is an exchange");
    };
    let paid = part(claims - 1, 300 * u64::from(claims - 1));
    let entry = BatchExchanged {
        pay: paid,
        held: part(1, 300),
        total: paid.amount,
        ..all
    };
    commit(n, 1, Entry::BatchExchanged(entry))
}

pub fn voided(n: u8, claims: u32) -> Commit {
    let entry = BatchVoided {
        claims: part(claims, 300 * u64::from(claims)),
        void: vec![0xCD; 60],
        signature: vec![0x51; 64],
    };
    commit(n, 1, Entry::BatchVoided(entry))
}

/// Two entries for each sale, from entry 1 on.
pub fn sell(journal: &mut Journal, sales: std::ops::Range<u32>) {
    for sale in sales.map(Sale::new) {
        store(journal, sale.intended());
        store(journal, sale.paid(1, false));
    }
}

pub fn keep_all(journal: &mut Journal, n: u8, claims: u32) {
    let verdicts: Vec<_> = (0..claims).map(|place| signed(&verdict(n, place))).collect();
    journal
        .keep_verdicts(id(n), &verdicts)
        .expect("the journal works")
        .expect("they are kept");
}

pub fn whole(folder: &TempDir) {
    verify(folder.path(), None, |_, _| {}).expect("the journal is whole");
}

pub fn found(folder: &TempDir) -> Finding {
    match verify(folder.path(), None, |_, _| {}) {
        Err(VerifyError::Found(finding)) => finding,
        other => unreachable!("nothing is found: {other:?}"),
    }
}
