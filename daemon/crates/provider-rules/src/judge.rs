//! The verdict on one item, and what is charged when the permit commits (money rules C1, C2, C3, T3).
//!
//! [`claim`] and [`refund`] make the verdict that is told while the pages come. It charges nothing. [`charge`] is called for
//! every place in the commit that stores the permit: what another batch has taken in between is decided again there, and
//! gets a verdict of the next revision.

use purser_ledger::{Amount, Currency};
use purser_provider_link::{Claim, Decision, Digest, Item, LateRefund, Reason};

use crate::Evidence;

/// What a debit key was charged with, stored under the key when a permit commits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Charge {
    /// The digest of the claim.
    pub claim: Digest,
    /// The digest of the claim's evidence alone: two claims with the same evidence are the same debit.
    pub evidence: Digest,
    /// The digest of the batch.
    pub batch: Digest,
    /// The claim's place in it.
    pub place: u32,
    /// What the card was debited.
    pub amount: Amount,
    /// What of it was refunded, when it was paid or later. Once (money rule C1).
    pub refunded: Amount,
}

/// What is known of the debit key of a claim before this claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Before {
    /// Nothing.
    Nothing,
    /// An earlier place of the same batch has it, with evidence of this digest.
    InThisBatch(Digest),
    /// A permit has charged it.
    Charged(Charge),
    /// A claim of it was forged: no further evidence is tried, or a terminal could ask until one fits (money rule T3).
    Forged,
}

/// Whose PSAM terminal number a claim names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NumberOwner {
    /// The batch's owner.
    BatchOwner,
    /// Another terminal.
    Other,
    /// Nobody.
    Unknown,
}

/// All that a verdict on a claim depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Facts {
    /// What checking its evidence came to.
    pub evidence: Evidence,
    /// SHA-256 over the evidence's bytes.
    pub evidence_digest: Digest,
    /// The currency of the card's purse; none for a card that the provider has not issued (money rule P7).
    pub card_currency: Option<Currency>,
    /// Whose PSAM terminal number it names.
    pub number_owner: NumberOwner,
    /// True when the claim's generation is the one that was reconciled, or an earlier one (money rule T1).
    pub is_reconciled: bool,
    /// True when a software SAM made it, and none was allowed there (money rule T3).
    pub is_software_sam_forbidden: bool,
    /// True when the card was hot-listed and the list had reached the terminal before the sale (money rule C3).
    pub is_hot_listed: bool,
    /// What is known of its debit key.
    pub before: Before,
}

/// The verdict on a claim. Total: each claim with each facts has one.
pub fn claim(claim: &Claim, facts: &Facts) -> Decision {
    if let Some(reason) = stranger(claim, facts).or_else(|| unproven(facts.evidence)) {
        return Decision::Hold(reason);
    }
    match facts.before {
        Before::Nothing | Before::Forged => {}
        Before::InThisBatch(evidence) if evidence == facts.evidence_digest => {
            return Decision::Hold(Reason::TwiceInBatch);
        }
        Before::InThisBatch(_) => return Decision::Dispute(Reason::TwiceInBatch),
        Before::Charged(charge) => return taken(charge, facts.evidence_digest),
    }
    if facts.is_hot_listed {
        return Decision::Hold(Reason::HotListed);
    }
    if facts.is_software_sam_forbidden {
        return Decision::Hold(Reason::SoftwareSamNotAllowed);
    }
    let payable = claim.amount.checked_sub(claim.refund_owed);
    Decision::Pay(payable.expect("a decoded claim owes at most its amount, in its currency"))
}

fn stranger(claim: &Claim, facts: &Facts) -> Option<Reason> {
    if facts.before == Before::Forged {
        return Some(Reason::ForgedBefore);
    }
    match facts.number_owner {
        NumberOwner::BatchOwner => {}
        NumberOwner::Other => return Some(Reason::OtherTerminal),
        NumberOwner::Unknown => return Some(Reason::UnknownTerminalNumber),
    }
    if !facts.is_reconciled {
        return Some(Reason::OtherGeneration);
    }
    match facts.card_currency {
        None => Some(Reason::UnknownCard),
        Some(currency) if currency != claim.amount.currency() => Some(Reason::OtherCurrency),
        Some(_) => None,
    }
}

fn unproven(evidence: Evidence) -> Option<Reason> {
    match evidence {
        // The provider stands by its own word.
        Evidence::Valid | Evidence::Answered => None,
        Evidence::Invalid => Some(Reason::Forged),
        Evidence::Differs => Some(Reason::Altered),
        Evidence::Missing => Some(Reason::NoCardProof),
        Evidence::UnknownKey => Some(Reason::UnknownKeyVersion),
        Evidence::BlockedKey => Some(Reason::BlockedKeyVersion),
    }
}

fn taken(charge: Charge, evidence: Digest) -> Decision {
    if charge.evidence == evidence {
        Decision::Hold(Reason::AlreadyPaid)
    } else {
        Decision::Dispute(Reason::OtherClaimPaid)
    }
}

/// The verdict on a late refund; `charge` is what the claim's debit key was charged with, if it was this merchant's.
pub fn refund(refund: &LateRefund, charge: Option<&Charge>) -> Decision {
    match charge {
        Some(charge) if charge.claim == refund.claim => {
            if !charge.refunded.is_zero() {
                Decision::Hold(Reason::RefundedBefore)
            } else if charge.amount.checked_sub(refund.amount).is_err() {
                Decision::Hold(Reason::RefundTooLarge)
            } else {
                Decision::Owe(refund.amount)
            }
        }
        Some(_) | None => Decision::Hold(Reason::RefundWithoutClaim),
    }
}

/// What the commit of a permit does at one place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Charging {
    /// Store this under the item's debit key.
    Store(Charge),
    /// Nothing is charged: the verdict did not pay.
    Nothing,
    /// Another batch has taken it since the verdict: this is the decision now. Nothing is charged.
    Again(Decision),
}

/// Charges one place of a batch whose permit commits. `now` is what the item's debit key is charged with in the same commit.
pub fn charge(
    item: &Item,
    decision: Decision,
    evidence: Digest,
    (batch, place): (Digest, u32),
    now: Option<&Charge>,
) -> Charging {
    match (item, decision) {
        (_, Decision::Hold(_) | Decision::Dispute(_)) => Charging::Nothing,
        (Item::Claim(claim), Decision::Pay(_) | Decision::Owe(_)) => match now {
            Some(charge) => Charging::Again(taken(*charge, evidence)),
            None => Charging::Store(Charge {
                claim: claim.digest(),
                evidence,
                batch,
                place,
                amount: claim.amount,
                refunded: claim.refund_owed,
            }),
        },
        (Item::LateRefund(late), Decision::Pay(_) | Decision::Owe(_)) => match (refund(late, now), now) {
            (Decision::Owe(amount), Some(charge)) => Charging::Store(Charge {
                refunded: amount,
                ..*charge
            }),
            (again, _) => Charging::Again(again),
        },
    }
}

/// What is odd about a claim that is paid all the same (money rule C3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Flag {
    /// Its time lies more than [`ODD_TIME_SECONDS`] after now, or before the terminal was enrolled.
    OddTime,
    /// The terminal did not trust its clock.
    UntrustedClock,
    /// The card has spent more than the provider knows it was loaded with.
    ShadowBelowZero,
}

/// How far ahead a terminal's clock may be without a flag: one day, for a wrong time zone.
pub const ODD_TIME_SECONDS: i64 = 86_400;

/// What is odd about a claim.
pub fn flags(
    claim: &Claim,
    now_unix_seconds: i64,
    enrolled_unix_seconds: i64,
    is_shadow_below_zero: bool,
) -> Vec<Flag> {
    let at = claim.sold_at.unix_seconds;
    let is_odd = at > now_unix_seconds.saturating_add(ODD_TIME_SECONDS) || at < enrolled_unix_seconds;
    [
        (is_odd, Flag::OddTime),
        (!claim.sold_at.trusted, Flag::UntrustedClock),
        (is_shadow_below_zero, Flag::ShadowBelowZero),
    ]
    .into_iter()
    .filter_map(|(holds, flag)| holds.then_some(flag))
    .collect()
}
