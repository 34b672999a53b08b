//! A sale, its events and its slip.

use serde::{Deserialize, Serialize};
use zlink::introspect::{CustomType, Type};

/// An amount of money in minor units of its currency. Range: 0 to 2^53 − 1.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, CustomType)]
#[serde(deny_unknown_fields)]
pub struct Amount {
    /// Minor units: yen for `JPY`, cents for `USD`.
    pub minor: u64,
    /// Three capital letters of ISO 4217.
    pub currency: String,
}

/// Wall time as Purser took it down. For people; order is by entry number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, CustomType)]
pub struct Time {
    /// Seconds since 1970-01-01 00:00:00 UTC.
    pub unix_seconds: i64,
    /// Local time minus UTC, in seconds.
    pub utc_offset_seconds: i64,
    /// False when the clock stood before the last record or the build date.
    pub trusted: bool,
}

/// What a buyer gets in hand.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, CustomType)]
pub struct Slip {
    /// The price paid.
    pub amount: Amount,
    /// What is left on the purse, where the card told.
    pub balance_after: Option<Amount>,
    /// The card, masked: its last four hexadecimal digits.
    pub card: String,
    /// The PSAM terminal number, twelve hexadecimal digits.
    pub terminal_number: String,
    /// The terminal serial number of this debit.
    pub terminal_sn: u64,
    /// The terminal's time at the debit.
    pub at: Time,
    /// The head of the record chain at the entry that proves the payment, `NUMBER:DIGEST`.
    pub head: String,
    /// How the payment is proven: `answer`, `prove`, `prove_not_checkable` or `log_only`.
    pub proof: String,
}

/// A sale as its owner sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, CustomType)]
pub struct Sale {
    /// Purser's number of it, 32 hexadecimal digits.
    pub operation: String,
    /// The caller's reference.
    pub reference: String,
    /// The user id of the owner.
    pub owner: u64,
    /// The price.
    pub amount: Amount,
    /// What the POS acts on: `under_way`, `paid`, `not_paid` or `in_doubt`.
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
    /// True when the PIN is awaited by `ProvidePin`, false when at a PIN pad.
    pub pin_through_api: Option<bool>,
    /// The end that was chosen for a sale in doubt: `goods_given` or `abandoned`.
    pub conclusion: Option<String>,
    /// What the buyer is owed.
    pub refund_owed: Option<Amount>,
    /// The number of its newest journal entry; absent while nothing is durable.
    pub entry: Option<u64>,
    /// When that entry was made.
    pub at: Option<Time>,
    /// The reader, once a card is being served.
    pub reader: Option<String>,
    /// The card, masked, once a payment is proven.
    pub card: Option<String>,
    /// The slip of a paid sale.
    pub slip: Option<Slip>,
}

/// What a purse says without a sale.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, CustomType)]
pub struct Purse {
    /// The reader that holds the card.
    pub reader: String,
    /// The card, masked: its last four hexadecimal digits.
    pub card: String,
    /// The balance, in minor units.
    pub balance_minor: u64,
    /// The purse's currency, if its issuer is configured.
    pub currency: Option<String>,
    /// Valid from, `YYYY-MM-DD`.
    pub valid_from: String,
    /// Valid to, `YYYY-MM-DD`.
    pub valid_to: String,
}

/// The answer to `BeginSale`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Type)]
pub struct BeginSaleReply {
    /// `new`, `in_progress` or `completed`: whether this call began the sale, or found it.
    pub standing: String,
    /// The sale.
    pub sale: Sale,
}

/// The answer of every method that tells how one sale stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Type)]
pub struct SaleReply {
    /// The sale.
    pub sale: Sale,
}

/// The answer to `ReadPurse`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Type)]
pub struct PurseReply {
    /// The purse.
    pub purse: Purse,
}
