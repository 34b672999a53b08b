//! Small exhaustive models of load and permit: every order in which messages are lost, late and repeated, programs crash and
//! cards are torn, for one card, one terminal, one provider and one bank. Every state is reached, counted and checked.
//!
//! The provider is the real one ([`purser_provider_rules`]); terminal, card and bank are as small as they can be. What a
//! message may do it may do at any later time, any number of times, or never: a message once sent stays. So loss, delay and
//! repeats need no steps of their own.
//!
//! Two things are checked: no state breaks a rule, and from each state steps that are no faults lead to rest, or to the bounds of
//! the model (so many INITIALIZEs, so many presentments): those states are counted apart, for nothing is said beyond them.

mod explore;
mod load;
mod permit;

pub use explore::{Found, Summary};

/// What is planted to prove that the models can find something.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Planted {
    /// Nothing.
    #[default]
    Nothing,
    /// Load: a void is believed whatever its INITIALIZE was made over.
    VoidWithoutChallenge,
    /// Load: a card may have two loads in doubt.
    TwoLoadsInDoubt,
    /// Load: the terminal has the bank reverse as soon as it gives up.
    ReversalWithoutVoid,
    /// Load: a void of a load that the provider has not heard of leaves no trace.
    VoidLeavesNoTrace,
    /// Load: the provider releases a MAC2 before its record is durable, and forgets.
    ReleaseNotStored,
    /// Permit: uniqueness is charged when the verdict is told, and not looked at again.
    ChargedAtVerdict,
    /// Permit: the terminal erases its claims before it has stored the permit.
    ErasedBeforeStored,
    /// Permit: a void is given although there is a permit.
    VoidAfterPermit,
    /// Permit: a permit is issued again when it has expired, without asking the bank.
    IssuedAgainOnExpiry,
    /// Permit: the bank keeps no tombstone of a presentment that was reversed before it came.
    NoTombstone,
    /// Permit: the terminal presents again without having heard that its reversal is done.
    PresentedTwice,
}

impl Planted {
    /// Every flaw that can be planted in the load.
    pub const IN_LOAD: [Self; 5] = [
        Self::VoidWithoutChallenge,
        Self::TwoLoadsInDoubt,
        Self::ReversalWithoutVoid,
        Self::VoidLeavesNoTrace,
        Self::ReleaseNotStored,
    ];

    /// Every flaw that can be planted in the settlement.
    pub const IN_PERMIT: [Self; 6] = [
        Self::ChargedAtVerdict,
        Self::ErasedBeforeStored,
        Self::VoidAfterPermit,
        Self::IssuedAgainOnExpiry,
        Self::NoTombstone,
        Self::PresentedTwice,
    ];
}

/// Runs through every state of one load, or of two of the same card; `is_thief` for a terminal that sends whatever it can make.
///
/// # Errors
/// The first state that breaks a rule, with the shortest way to it.
pub fn load(planted: Planted, loads: usize, is_thief: bool) -> Result<Summary, Box<Found>> {
    explore::explore(&load::Load {
        planted,
        is_thief,
        loads,
    })
}

/// Runs through every state of the settlement up to the bank's payment.
///
/// # Errors
/// The first state that breaks a rule, with the shortest way to it.
pub fn permit(planted: Planted) -> Result<Summary, Box<Found>> {
    explore::explore(&permit::Settlement { planted })
}
