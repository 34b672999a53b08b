//! A load.

use serde::{Deserialize, Serialize};
use zlink::introspect::{CustomType, Type};

use super::sale::{Amount, Time};

/// A load as its owner sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, CustomType)]
pub struct Load {
    /// Its number at the provider, 32 hexadecimal digits.
    pub load: String,
    /// The caller's reference.
    pub reference: String,
    /// The user id of the owner.
    pub owner: u64,
    /// How much.
    pub amount: Amount,
    /// What to act on: `under_way`, `loaded`, `voided` or `owed`.
    pub outcome: String,
    /// What is going on exactly; the contract file lists the states.
    pub state: String,
    /// Why it is so, as a fixed name.
    pub reason: Option<String>,
    /// Why it is so, in words.
    pub cause: Option<String>,
    /// What to do about it, in words.
    pub remedy: Option<String>,
    /// PIN tries left on the card, where that is known.
    pub tries_left: Option<u64>,
    /// True when a card may have the value: only that card can tell. There with `owed` alone.
    pub may_be_on_card: Option<bool>,
    /// The card, masked, once it may have the value.
    pub card: Option<String>,
    /// What is on the purse, where the card told.
    pub balance_after: Option<Amount>,
    /// True when the provider knows that the card has the value. There with `loaded` alone.
    pub confirmed: Option<bool>,
    /// The number of its newest journal entry; absent while a load is under way.
    pub entry: Option<u64>,
    /// When that entry was made.
    pub at: Option<Time>,
    /// The reader, while a card is being served.
    pub reader: Option<String>,
}

/// The arguments of `BeginLoad`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(deny_unknown_fields)]
pub struct BeginLoadArguments {
    /// The caller's reference.
    pub reference: String,
    /// The load's number at the provider, 32 hexadecimal digits.
    pub load: String,
    /// How much the bank has booked.
    pub amount: Amount,
    /// The reader to use; any free one if none is named.
    pub reader: Option<String>,
}

/// The answer to `BeginLoad`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Type)]
pub struct BeginLoadReply {
    /// `new`, `in_progress` or `completed`: whether this call began the load, or found it.
    pub standing: String,
    /// The load.
    pub load: Load,
}

/// The answer of every method that tells how one load stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Type)]
pub struct LoadReply {
    /// The load.
    pub load: Load,
}
