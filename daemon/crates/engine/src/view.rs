//! How a sale looks from outside.

use purser_ledger::{
    Amount, CardId, CloseReason, Conclusion, DeviceName, DoubtReason, Head, Operation, OperationId, Owner,
    PaidProof, QueryReason, Reference, Standing, VoidProof, Wall,
};

/// A sale as its owner sees it; `S` is [`Progress`] for one under way and [`Outcome`] for one whose end is durable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SaleView<S> {
    /// Purser's number of it.
    pub operation: OperationId,
    /// The caller's reference.
    pub reference: Reference,
    /// Who asked.
    pub owner: Owner,
    /// The price.
    pub amount: Amount,
    /// The reader, once a card is being served.
    pub reader: Option<DeviceName>,
    /// Which presentation of a card this is, counted from 1; 0 where no card is being served. A PIN is for one presentation.
    pub presentation: u8,
    /// How it stands.
    pub state: S,
}

/// What a sale under way is doing. Not durable, and never a promise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Looking whether the reference is known.
    CheckingReference,
    /// Waiting for a card (S20).
    WaitingForCard,
    /// More than one card is presented; waiting until one is left.
    SeveralCards,
    /// The only card there has served an earlier sale; it must be taken out and put in again.
    TakeCardOut,
    /// Reading the card.
    ReadingCard,
    /// Finding out what became of an earlier payment with this card (money rule P1).
    Resolving,
    /// Waiting for the PIN (S21).
    WaitingForPin {
        /// Tries left on the card, where that is known.
        tries_left: Option<u8>,
        /// True when it is awaited by `ProvidePin`, false when at a PIN pad.
        through_api: bool,
    },
    /// The card checks the PIN.
    CheckingPin,
    /// Waiting for the PSAM: it serves another sale, or is not ready. Nothing has moved.
    WaitingForSam,
    /// Recording the intent, debiting the card, recording the evidence (S22–S24).
    Debiting,
    /// Recording an end at which nothing was debited.
    Ending,
    /// The sale ended before any debit and could not be recorded for lack of room. Its reference may be used again.
    NotRecorded,
}

/// The durable standing of a sale that is not under way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Where it stands.
    pub end: End,
    /// The end that the POS chose, if it chose one (money rule P5).
    pub conclusion: Option<Conclusion>,
    /// What the buyer is owed.
    pub refund_owed: Option<Amount>,
    /// The number of its newest journal entry.
    pub entry: u64,
    /// When that entry was committed.
    pub at: Wall,
}

/// How a sale ended, or where it is held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// The debit is proven.
    Paid(Slip),
    /// Nothing was debited, for this reason.
    Closed(CloseReason),
    /// Nothing was debited: a debit was intended and is proven not to have happened.
    NotDebited(VoidProof),
    /// The outcome is not known; the card can tell when it is presented again.
    InDoubt(DoubtReason),
    /// The outcome is not known and the card could not tell; the provider is asked.
    Queried(QueryReason),
}

/// What a buyer gets in hand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slip {
    /// The price paid.
    pub amount: Amount,
    /// What is left on the purse, where the card told.
    pub balance_after: Option<Amount>,
    /// The card; shown masked.
    pub card: CardId,
    /// The PSAM terminal number, six bytes.
    pub terminal_number: [u8; 6],
    /// The terminal serial number.
    pub terminal_sn: u32,
    /// The terminal's time at the intent.
    pub at: Wall,
    /// The head of the record chain at the entry that proves the payment.
    pub head: Head,
    /// How the payment is proven; not every way has a verified MAC2 (money rule P6).
    pub proof: PaidProof,
}

/// What a purse says without a sale.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PurseView {
    /// The reader that holds the card.
    pub reader: DeviceName,
    /// The card; shown masked.
    pub card: CardId,
    /// The balance, in minor units.
    pub balance_minor: u32,
    /// The purse's currency, if its issuer is configured.
    pub currency: Option<purser_ledger::Currency>,
    /// Valid from, `YYYYMMDD` in BCD.
    pub start: [u8; 4],
    /// Valid to, `YYYYMMDD` in BCD.
    pub expiry: [u8; 4],
}

impl SaleView<Outcome> {
    /// The view of an operation that is not under way.
    pub fn of(operation: &Operation) -> Self {
        Self {
            operation: operation.id,
            reference: operation.reference.clone(),
            owner: operation.owner,
            amount: operation.amount,
            reader: operation
                .intended
                .as_ref()
                .map(|intended| intended.reader.clone()),
            presentation: 0,
            state: Outcome {
                end: End::of(operation),
                conclusion: operation.conclusion,
                refund_owed: operation.refund_owed,
                entry: operation.head.number,
                at: operation.changed_at,
            },
        }
    }
}

impl End {
    fn of(operation: &Operation) -> Self {
        match &operation.standing {
            Standing::Closed(reason) => Self::Closed(*reason),
            Standing::Voided(proof) => Self::NotDebited(*proof),
            Standing::Intended => Self::InDoubt(DoubtReason::Restarted),
            Standing::InDoubt(reason) => Self::InDoubt(*reason),
            Standing::Queried(reason) => Self::Queried(*reason),
            Standing::Paid(paid) => {
                let intended = operation.intended.as_ref().expect("a paid sale was intended");
                Self::Paid(Slip {
                    amount: paid.amount,
                    balance_after: paid.balance_after,
                    card: intended.key.card.clone(),
                    terminal_number: intended.key.terminal_number,
                    terminal_sn: intended.key.terminal_sn,
                    at: operation.opened_at,
                    head: operation
                        .paid_head
                        .expect("a paid sale has the head of its proof"),
                    proof: paid.proof,
                })
            }
        }
    }
}
