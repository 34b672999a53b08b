//! What must hold after every step, by name.

use std::fmt;

/// A rule of the world.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rule {
    /// What left a card is what our debits and other shops took (money conservation).
    Conservation,
    /// A debit that a card executed has a durable intent, and that intent was durable first.
    DebitIsIntended,
    /// No sale whose debit a card executed is voided or closed, or told so.
    NoDebitIsDenied,
    /// Each claim has an executed debit, and each debit one claim at most.
    ClaimHasItsDebit,
    /// A claim's evidence is what the issuer's own check accepts.
    EvidenceVerifies,
    /// A sale that is paid with a verified MAC2 had it verified: by the PSAM, where the shop has one (P2). One that is paid
    /// without could not be checked any more: the PSAM had lost its power, or, for one that was in doubt, served another
    /// sale (P6).
    Mac2WasChecked,
    /// What a POS is told is durable at that time.
    ToldIsDurable,
    /// What a POS is told is what is stored, and a certain end stays as it was told.
    ToldIsTrue,
    /// The books balance and equal a new count of the entries.
    BooksBalance,
    /// A refund is owed for exactly the sales that are abandoned and proven.
    RefundsAreOwedRightly,
    /// A reference is one operation, debited once at most.
    ReferenceIsOneSale,
    /// The card has no power, and so no PIN state, when no visit holds it (P4).
    PurseIsLocked,
    /// A debit for which a PIN is due had the PIN entered for its own amount in the same visit (S21).
    PinIsForThisSale,
    /// A card pays once for each time it is put in.
    OneDebitEachTime,
    /// DEBIT and VERIFY are sent once for each attempt and each PIN (P2).
    SentOnce,
    /// A sale without faults makes two commits, one that ends early makes one.
    TwoCommits,
    /// Each request is answered once.
    AnsweredOnce,
    /// The world comes to rest, and no sale stays under way for ever.
    NeverHangs,
    /// What a card can tell, it is asked, and the answer ends the sale (P1).
    Resolved,
    /// A card that could pay can pay again.
    BuysAgain,
    /// Every end is one that the simulator lists.
    EveryEndIsListed,
    /// A card takes a load only after its attempt was durable as released, and at that terminal (L2).
    LoadIsReleased,
    /// A load is on one card once, or void, or owed: never two of them, and journals and provider do not deny it.
    LoadIsInOnePlace,
    /// A claim is open, in one batch, or exchanged by the provider's decision, and paid by one permit (C2, B2).
    ClaimIsInOnePlace,
    /// A permit is given once for each batch, and pays what was charged.
    PaidOnce,
    /// Issued less redeemed is on cards, in claims, in permits, or in doubt.
    WholeWorld,
    /// At the end both parties' books say the same, and nothing is undecided.
    PartiesAgree,
}

/// A rule is broken.
#[derive(Clone, Debug, thiserror::Error)]
pub struct Violation {
    /// The rule.
    pub rule: Rule,
    /// What was seen.
    pub seen: String,
}

impl Violation {
    pub(crate) fn new(rule: Rule, seen: impl Into<String>) -> Self {
        Self {
            rule,
            seen: seen.into(),
        }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.rule, self.seen)
    }
}

/// Fails with a violation unless the condition holds. The text is made only then.
macro_rules! hold {
    ($rule:ident, $condition:expr, $($text:tt)+) => {
        if !$condition {
            return Err($crate::rule::Violation::new($crate::rule::Rule::$rule, format!($($text)+)));
        }
    };
}
pub(crate) use hold;
