//! Journal entries: what happened, in the order in which it became durable.

use serde::{Deserialize, Serialize};

use crate::{
    Account, Amount, BatchExchanged, BatchSealed, BatchVoided, DebitKey, DeviceName, LoadAttempted,
    LoadBegun, LoadConfirmed, LoadProven, LoadReleased, LoadVoided, OperationId, Owner, Reference,
    SchemeBytes, Transfer, Wall,
};

/// The version of the stored form of a [`Content`]. A newer one is refused by an older Purser.
pub const ENTRY_VERSION: u8 = 1;

/// One journal entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Entry {
    /// A debit is about to be sent to a card; from here on the money is in doubt until proven (S22).
    SaleIntended(SaleIntended),
    /// The debit is proven; the claim exists (S23, S24).
    SalePaid(SalePaid),
    /// The outcome of the debit is not known; the card can tell when it returns.
    SaleInDoubt(SaleInDoubt),
    /// The returned card could not tell either; the provider is asked (money rules P1, C4).
    SaleQueried(SaleQueried),
    /// The debit is proven not to have happened.
    SaleVoided(SaleVoided),
    /// The POS chose the end of a sale that was in doubt (money rule P5).
    SaleConcluded(SaleConcluded),
    /// The sale ended before any debit was intended; nothing moved.
    SaleClosed(SaleClosed),
    /// A batch of claims is fixed, and about to be sent (S30).
    BatchSealed(BatchSealed),
    /// The batch's claims leave and the permit enters (S34).
    BatchExchanged(BatchExchanged),
    /// The batch will never be paid: its claims are free again (money rule B3).
    BatchVoided(BatchVoided),
    /// The provider knows a load that the bank has booked; from here on the user is owed its value (S5).
    LoadBegun(LoadBegun),
    /// An attempt of a load is about to be sent to the provider (money rule L2).
    LoadAttempted(LoadAttempted),
    /// CREDIT FOR LOAD is about to be sent to the card; from here on the card may hold the value (S12).
    LoadReleased(LoadReleased),
    /// The card has the value (S13).
    LoadProven(LoadProven),
    /// The provider knows that the card has it.
    LoadConfirmed(LoadConfirmed),
    /// The load is void at the provider; the bank takes the amount back (money rule L3).
    LoadVoided(LoadVoided),
    /// The claim of a paid sale, which an exchanged batch left unpaid, waits for another batch (money rule C1).
    SalePresentedAgain(SalePresentedAgain),
}

/// Content of [`Entry::SaleIntended`]: all that a check after a restart needs (money rule P6).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SaleIntended {
    /// The caller's reference.
    pub reference: Reference,
    /// Who asked.
    pub owner: Owner,
    /// The price.
    pub amount: Amount,
    /// The reader that holds the card.
    pub reader: DeviceName,
    /// Card, PSAM terminal number and terminal serial number.
    pub key: DebitKey,
    /// The scheme's own record of the attempt.
    pub attempt: SchemeBytes,
    /// Whether the card's PIN was verified for this debit (S21).
    pub pin_verified: bool,
    /// The version of the provider's parameters that were in force (money rule T3); 0 for none.
    #[serde(default, skip_serializing_if = "is_none_in_force")]
    pub parameters_version: u64,
    /// The terminal's generation (money rule T1): its claim keeps it. Not stored before the first restore or clone.
    #[serde(default, skip_serializing_if = "is_first_generation")]
    pub generation: u32,
}

/// True of the version that stands for no parameters: it is not stored, so that an entry of an older Purser is byte-equal.
#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_none_in_force(version: &u64) -> bool {
    *version == 0
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_first_generation(generation: &u32) -> bool {
    *generation == 0
}

/// How a debit was proven.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PaidProof {
    /// The card's own answer to the debit, its MAC2 verified.
    Answer,
    /// GET TRANSACTION PROVE, its MAC2 verified for our challenge.
    Prove,
    /// The card's TAC and MAC2 are there and its log names our debit; MAC2 could not be checked (money rule P6).
    ProveNotCheckable,
    /// The card's log names our debit; the card no longer has its proof. No card proof for the provider.
    LogOnly,
    /// The provider's signed answer to a query: [`SalePaid::answer`] (money rule C4).
    Provider,
}

/// The provider's signed last word on a sale in doubt (money rule C4).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProviderAnswer {
    /// The canonical bytes of the provider's document.
    #[serde(with = "hex::serde")]
    pub document: Vec<u8>,
    /// The provider's signature over it.
    #[serde(with = "hex::serde")]
    pub signature: Vec<u8>,
}

/// Content of [`Entry::SalePaid`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SalePaid {
    /// The amount debited: the amount intended.
    pub amount: Amount,
    /// How the debit was proven.
    pub proof: PaidProof,
    /// What the provider needs to verify the claim.
    pub evidence: SchemeBytes,
    /// What is left on the purse, where the card's answer tells.
    pub balance_after: Option<Amount>,
    /// True when the POS had abandoned the sale before the proof appeared: the buyer is owed the amount (money rule P5).
    pub refund_owed: bool,
    /// What proves it, where that is the provider's word; else none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<ProviderAnswer>,
}

/// Why the outcome of a debit is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DoubtReason {
    /// The card left, or its answer was lost.
    AnswerLost,
    /// The card answered, but not with a valid proof.
    AnswerInvalid,
    /// The driver died or hung.
    DriverLost,
    /// Purser ended between intent and answer.
    Restarted,
    /// The PSAM found the MAC2 of the card's answer wrong: the card is not genuine, or its answer was damaged.
    Mac2Refused,
    /// The card answered, but the PSAM was lost before it could check the answer, and the card could not tell more.
    Mac2NotChecked,
    /// The card answered, and the PSAM was there and did not tell whether the answer is right: it refused, or took too long.
    Mac2Unanswered,
}

/// Content of [`Entry::SaleInDoubt`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SaleInDoubt {
    /// Why.
    pub reason: DoubtReason,
    /// What the card answered to the debit, where it answered with a TAC and its MAC2 was not found right. The card
    /// may lose its own copy, and the TAC is what the provider pays for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<SchemeBytes>,
}

/// Why a returned card could not tell what became of a debit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum QueryReason {
    /// The card was used elsewhere since and its log no longer names our debit.
    CardMovedOn,
    /// The card's answers contradict each other.
    CardContradicts,
    /// The card refuses to answer.
    CardRefuses,
    /// The card's counter and log name our debit, but the PSAM had not told whether the answer to it was right, and cannot any
    /// more: no word of the card makes that good.
    Mac2Unproven,
}

/// Content of [`Entry::SaleQueried`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SaleQueried {
    /// Why.
    pub reason: QueryReason,
    /// The proof that the card handed out when it was asked, where nobody here can say whether it is right. The provider can. What
    /// was kept when the sale came in doubt stays.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<SchemeBytes>,
}

/// How it was proven that a debit did not happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VoidProof {
    /// The card's transaction counter did not move.
    CounterUnchanged,
    /// The counter moved by one, for another shop's debit.
    OtherDebit,
    /// Purser had recorded the intent and then did not send the debit.
    NotSent,
    /// The provider's signed answer to a query: [`SaleVoided::answer`] (money rule C4).
    Provider,
}

/// Content of [`Entry::SaleVoided`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SaleVoided {
    /// The amount that did not move: the amount intended.
    pub amount: Amount,
    /// How that was proven.
    pub proof: VoidProof,
    /// What proves it, where that is the provider's word; else none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<ProviderAnswer>,
}

/// The end that the POS chose for a sale in doubt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Conclusion {
    /// The buyer has the goods.
    GoodsGiven,
    /// The buyer left without, or paid in another way.
    Abandoned,
}

/// Content of [`Entry::SaleConcluded`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SaleConcluded {
    /// The end chosen.
    pub conclusion: Conclusion,
    /// Set when the debit was already proven and the sale is abandoned now: the buyer is owed this amount.
    pub refund_owed: Option<Amount>,
}

/// Why a sale ended before any debit was intended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CloseReason {
    /// The POS cancelled.
    CancelledByPos,
    /// The buyer pressed cancel at the PIN pad.
    CancelledByBuyer,
    /// No card came in time.
    NoCardInTime,
    /// No PIN came in time.
    NoPinInTime,
    /// The purse holds less than the price.
    InsufficientFunds,
    /// The card's PIN is blocked; its issuer can unblock it.
    PinBlocked,
    /// The card is no purse, or no configured issuer's.
    ForeignCard,
    /// The card's validity is over, or has not begun.
    CardExpired,
    /// The card's purse is blocked by its issuer.
    CardBlocked,
    /// The card's transaction counter is used up.
    CardExhausted,
    /// An earlier payment of this card is open, and the journal's entries of it cannot be read (money rule P1).
    CardHeld,
    /// The purse is in another currency than the price (money rule P7).
    CurrencyMismatch,
    /// No key for this card's key version.
    KeyMissing,
    /// A PIN is needed and there is no way to enter one.
    PinNotPossible,
    /// The card answered against its specification.
    CardMisbehaved,
    /// The reader failed.
    ReaderFailed,
    /// The journal has no room; free disk space (money rule P3).
    NoRoom,
    /// An account of the books is at its limit; settle first.
    BooksFull,
    /// Purser was asked to stop.
    Stopped,
    /// The PSAM is not in its reader, or does not answer.
    PsamNotReady,
    /// Other sales kept the PSAM for too long.
    PsamBusy,
    /// What is in the PSAM's reader is not the configured PSAM.
    PsamMismatch,
    /// The PSAM has locked itself, or its counter is at its end.
    PsamLocked,
    /// The SAM gave out a terminal serial number that an earlier debit has.
    TerminalSnRepeated,
    /// The PSAM refused, twice, to authorise a debit of this card.
    PsamRefuses,
    /// The PSAM found this card's MAC2 wrong again and again: the card is left alone for a while, lest the PSAM lock itself.
    CardSuspect,
    /// The provider's hot list names the card (money rule C3).
    CardHotListed,
    /// The provider's parameters do not list the version of the card's key (money rule T3).
    KeyVersionNotListed,
    /// The provider's parameters that came into force, or grew old, while the sale was under way do not permit it.
    ParametersForbid,
}

/// Content of [`Entry::SaleClosed`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SaleClosed {
    /// The caller's reference.
    pub reference: Reference,
    /// Who asked.
    pub owner: Owner,
    /// The price.
    pub amount: Amount,
    /// Why it ended.
    pub reason: CloseReason,
}

/// Content of [`Entry::SalePresentedAgain`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SalePresentedAgain {
    /// The amount claimed: the amount debited.
    pub amount: Amount,
}

impl Entry {
    /// The transfers that this entry makes. One place decides how each step moves money.
    pub fn transfers(&self) -> Vec<Transfer> {
        let transfer = |debit, credit, amount| Transfer {
            debit,
            credit,
            amount,
        };
        match self {
            Self::SaleIntended(intended) => {
                vec![transfer(Account::InDoubt, Account::Sales, intended.amount)]
            }
            Self::SalePaid(paid) => {
                let mut transfers = vec![transfer(Account::Claims, Account::InDoubt, paid.amount)];
                if paid.refund_owed {
                    transfers.push(transfer(Account::Sales, Account::RefundsOwed, paid.amount));
                }
                transfers
            }
            Self::SaleVoided(voided) => vec![transfer(Account::Sales, Account::InDoubt, voided.amount)],
            Self::SaleConcluded(SaleConcluded {
                refund_owed: Some(amount),
                ..
            }) => {
                vec![transfer(Account::Sales, Account::RefundsOwed, *amount)]
            }
            Self::SaleConcluded(_)
            | Self::SaleInDoubt(_)
            | Self::SaleQueried(_)
            | Self::SaleClosed(_)
            | Self::LoadAttempted(_)
            | Self::LoadReleased(_)
            | Self::LoadConfirmed(_) => Vec::new(),
            Self::BatchSealed(sealed) => sealed.transfers(),
            Self::BatchExchanged(exchanged) => exchanged.transfers(),
            Self::BatchVoided(voided) => voided.transfers(),
            Self::LoadBegun(begun) => begun.transfers(),
            Self::LoadProven(proven) => proven.transfers(),
            Self::LoadVoided(voided) => voided.transfers(),
            Self::SalePresentedAgain(again) => vec![transfer(Account::Claims, Account::Held, again.amount)],
        }
    }

    /// How many operations each account gets by this entry; negative for what it loses. One sale is one operation, as is one
    /// permit or one load; a batch moves as many as it has claims.
    pub fn counts(&self) -> Vec<(Account, i64)> {
        match self {
            Self::BatchSealed(sealed) => sealed.counts(),
            Self::BatchExchanged(exchanged) => exchanged.counts(),
            Self::BatchVoided(voided) => voided.counts(),
            Self::SaleIntended(_)
            | Self::SalePaid(_)
            | Self::SaleInDoubt(_)
            | Self::SaleQueried(_)
            | Self::SaleVoided(_)
            | Self::SaleConcluded(_)
            | Self::SaleClosed(_)
            | Self::LoadBegun(_)
            | Self::LoadAttempted(_)
            | Self::LoadReleased(_)
            | Self::LoadProven(_)
            | Self::LoadConfirmed(_)
            | Self::LoadVoided(_)
            | Self::SalePresentedAgain(_) => {
                let of_transfer = |transfer: Transfer| {
                    let grown = |grows: bool| if grows { 1 } else { -1 };
                    [
                        (transfer.debit, grown(transfer.debit.grows_by_debit())),
                        (transfer.credit, grown(!transfer.credit.grows_by_debit())),
                    ]
                };
                self.transfers().into_iter().flat_map(of_transfer).collect()
            }
        }
    }

    /// True for an entry that is refused when the journal is nearly full. The others follow from one that was let in, and
    /// find the room that it reserved (money rule P3).
    pub fn needs_free_room(&self) -> bool {
        match self {
            Self::SaleIntended(_)
            | Self::SaleClosed(_)
            | Self::SaleConcluded(_)
            | Self::BatchSealed(_)
            | Self::LoadBegun(_)
            | Self::LoadAttempted(_)
            | Self::SalePresentedAgain(_) => true,
            Self::SalePaid(_)
            | Self::SaleInDoubt(_)
            | Self::SaleQueried(_)
            | Self::SaleVoided(_)
            | Self::BatchExchanged(_)
            | Self::BatchVoided(_)
            | Self::LoadReleased(_)
            | Self::LoadProven(_)
            | Self::LoadConfirmed(_)
            | Self::LoadVoided(_) => false,
        }
    }
}

/// What is stored, and chained, for one entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Content {
    /// [`ENTRY_VERSION`] of the writer.
    pub v: u8,
    /// The operation that the entry belongs to.
    pub operation: OperationId,
    /// Which commit of the operation brought it: 0 for the first.
    pub step: u8,
    /// When it was committed.
    pub at: Wall,
    /// The entry.
    pub entry: Entry,
}

impl Content {
    /// The canonical bytes: JSON with fields in declared order, which an operator can read in the data base.
    pub fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("an entry holds only strings, numbers and lists")
    }

    /// Reads stored bytes back.
    ///
    /// # Errors
    /// [`DecodeError`]: the bytes are damaged or of a newer Purser; verify the journal, or install the newer version.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let versioned: Versioned = serde_json::from_slice(bytes).map_err(DecodeError::Damaged)?;
        if versioned.v == ENTRY_VERSION {
            serde_json::from_slice(bytes).map_err(DecodeError::Damaged)
        } else {
            Err(DecodeError::Version(versioned.v))
        }
    }
}

/// What every version of a stored entry has: a newer one may differ in all else.
#[derive(Deserialize)]
struct Versioned {
    v: u8,
}

/// Why stored bytes are not an entry.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// Not the JSON of an entry.
    #[error("the stored entry is damaged")]
    Damaged(#[source] serde_json::Error),
    /// Written by another version.
    #[error("the entry has version {0}; this Purser reads version {ENTRY_VERSION}")]
    Version(u8),
}

impl DecodeError {
    /// False: the bytes do not change.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Damaged(_) | Self::Version(_) => false,
        }
    }
}
