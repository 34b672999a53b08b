//! What checking a card's evidence came to.

/// A fact about a TAC or a MAC1, found out by whoever holds the keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Evidence {
    /// It verifies, and says what the message says.
    Valid,
    /// It does not verify.
    Invalid,
    /// The message says something else than its proof: another amount, card, terminal or number. The proof is not checked then.
    Differs,
    /// There is none.
    Missing,
    /// There is none, and the provider has answered a query of this very debit: it happened (money rule C4).
    Answered,
    /// There is no key of its version.
    UnknownKey,
    /// Its key version is blocked.
    BlockedKey,
}

impl Evidence {
    /// Every fact.
    pub const ALL: [Self; 7] = [
        Self::Valid,
        Self::Invalid,
        Self::Differs,
        Self::Missing,
        Self::Answered,
        Self::UnknownKey,
        Self::BlockedKey,
    ];
}
