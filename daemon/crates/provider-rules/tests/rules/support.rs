//! One claim, and the facts with which it is paid.

use purser_ledger::{Amount, CardId, DebitKey, OperationId, Scheme, SchemeBytes, Wall};
use purser_provider_link::{Batch, BatchId, Claim, Digest, Item, ProviderName, Seal, TerminalName};
use purser_provider_rules::Evidence;
use purser_provider_rules::judge::{Before, Charge, Facts, NumberOwner};

pub(crate) fn yen(minor: u64) -> Amount {
    Amount::new(minor, "JPY".parse().unwrap()).unwrap()
}

pub(crate) fn card(number: u8) -> CardId {
    CardId::new(Scheme::Pboc, [number; 10])
}

pub(crate) fn digest(number: u8) -> Digest {
    Digest([number; 32])
}

pub(crate) fn claim(amount: u64, refund_owed: u64) -> Claim {
    Claim {
        operation: OperationId::new([1; 16]),
        key: DebitKey {
            card: card(1),
            terminal_number: *b"TERM01",
            terminal_sn: 40,
        },
        generation: 0,
        amount: yen(amount),
        refund_owed: yen(refund_owed),
        sold_at: Wall {
            unix_seconds: 1_000_000,
            utc_offset_seconds: 0,
            trusted: true,
        },
        parameters_version: 1,
        evidence: SchemeBytes::new(Scheme::Pboc, vec![7; 20]).unwrap(),
    }
}

pub(crate) fn facts() -> Facts {
    Facts {
        evidence: Evidence::Valid,
        evidence_digest: digest(7),
        card_currency: Some("JPY".parse().unwrap()),
        number_owner: NumberOwner::BatchOwner,
        is_reconciled: true,
        is_software_sam_forbidden: false,
        is_hot_listed: false,
        before: Before::Nothing,
    }
}

pub(crate) fn charge(claim: &Claim) -> Charge {
    Charge {
        claim: claim.digest(),
        evidence: digest(7),
        batch: digest(100),
        place: 3,
        amount: claim.amount,
        refunded: claim.refund_owed,
    }
}

pub(crate) fn batch(id: u8, items: &[Item]) -> (Batch, Seal) {
    let mut seal = Seal::begin(BatchId([id; 16]), "JPY".parse().unwrap());
    items.iter().for_each(|item| seal.add(item).unwrap());
    let terminal = TerminalName::new("shop-7/till-2").unwrap();
    let provider = ProviderName::new("provider.example").unwrap();
    let batch = seal
        .clone()
        .finish(terminal, 0, provider, claim(1, 0).sold_at)
        .unwrap();
    (batch, seal)
}
