//! Batches: what is settled with the provider.

use serde::{Deserialize, Serialize};
use zlink::introspect::{CustomType, Type};

use super::{Amount, Time};

/// A batch of claims.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, CustomType)]
pub struct Batch {
    /// Its number, 32 hexadecimal digits.
    pub id: String,
    /// How it stands.
    pub state: String,
    /// How many items it has: claims and late refunds.
    pub count: u64,
    /// How many of them the provider has taken so far, while it is sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sent: Option<u64>,
    /// Its claims.
    pub claimed: Amount,
    /// What its items owe to buyers.
    pub refunds: Amount,
    /// When it was sealed; absent before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sealed_at: Option<Time>,
    /// What its permit is worth, once it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total: Option<Amount>,
    /// How many claims the provider did not pay, once there is a permit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held_count: Option<u64>,
    /// Their sum.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held: Option<Amount>,
    /// The number of the journal entry that sealed it; absent before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entry: Option<u64>,
    /// Why it does not get on, by a fixed name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The same in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
}

/// An item of a batch, and what the provider says of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, CustomType)]
pub struct BatchItem {
    /// Its place in the batch, from 0.
    pub place: u64,
    /// `claim` or `late_refund`.
    pub kind: String,
    /// The sale's reference.
    pub reference: String,
    /// What the card was debited; of a late refund, what the buyer is owed.
    pub amount: Amount,
    /// What of a claim the buyer is owed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refund_owed: Option<Amount>,
    /// `pay`, `owe`, `hold` or `dispute`; absent until the provider's final verdicts are there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decision: Option<String>,
    /// Why it is held or in dispute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Arguments of `Settle`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(deny_unknown_fields)]
pub struct SettleArguments {
    /// Only this currency.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub currency: Option<String>,
}

/// The answer to `Settle`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Type)]
pub struct SettleReply {
    /// The batches that are under way, and those that could not be sealed.
    pub batches: Vec<Batch>,
}

/// Arguments of `Batches`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(deny_unknown_fields)]
pub struct BatchesArguments {
    /// Only those that were sealed before this entry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<u64>,
    /// At most so many; `page_max` if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u64>,
}

/// The answer to `Batches`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Type)]
pub struct BatchesReply {
    /// Newest first.
    pub batches: Vec<Batch>,
    /// True when there may be older ones: ask again before the last one's seal.
    pub more: bool,
}

/// Arguments of `VoidBatch`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(deny_unknown_fields)]
pub struct BatchArguments {
    /// The batch's number.
    pub id: String,
}

/// Arguments of `PresentAgain`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(deny_unknown_fields)]
pub struct PresentAgainArguments {
    /// The batch's number.
    pub id: String,
    /// Only the claim at this place; all that are not paid if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<u64>,
}

/// The answer to `PresentAgain`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Type)]
pub struct PresentAgainReply {
    /// How many claims wait for another batch now.
    pub count: u64,
    /// Their sum.
    pub claimed: Amount,
    /// True when unpaid claims of the batch are left: ask again.
    pub more: bool,
}

/// Arguments of `BatchItems`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(deny_unknown_fields)]
pub struct BatchItemsArguments {
    /// The batch's number.
    pub id: String,
    /// From this place on; 0 if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<u64>,
    /// At most so many; `page_max` if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u64>,
}

/// The answer to `BatchItems`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Type)]
pub struct BatchItemsReply {
    /// The items in their order.
    pub items: Vec<BatchItem>,
    /// True when there may be more: ask again from the place behind the last one.
    pub more: bool,
}
