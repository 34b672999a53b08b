//! How a load looks from outside.

use purser_ledger::{
    Amount, CardId, CloseReason, DeviceName, Load, LoadProven, LoadStanding, OperationId, Owner, Reference,
    Wall,
};

use crate::RequestId;

/// A load as its owner sees it; `S` is [`LoadProgress`] for one under way and [`LoadOutcome`] for what is durable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoadView<S> {
    /// Its number: the provider's.
    pub operation: OperationId,
    /// The caller's reference.
    pub reference: Reference,
    /// Who asked.
    pub owner: Owner,
    /// How much.
    pub amount: Amount,
    /// The card that may have the value, or has it; none before value could get onto one.
    pub card: Option<CardId>,
    /// The reader, while a card is being served.
    pub reader: Option<DeviceName>,
    /// Which presentation of a card this is, counted from 1; 0 where no card is being served. A PIN is for one presentation.
    pub presentation: u8,
    /// How it stands.
    pub state: S,
}

/// What a load under way is doing. Not durable, and never a promise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoadProgress {
    /// Looking whether the reference is known.
    CheckingReference,
    /// Asking the provider whether it knows the load. Nothing is recorded yet.
    AskingProvider,
    /// Waiting for a card (S5).
    WaitingForCard {
        /// Why the last card did not do.
        refused: Option<LoadRefusal>,
    },
    /// More than one card is presented; waiting until one is left.
    SeveralCards,
    /// The only card there has been served; it must be taken out, and the same or another one put in.
    TakeCardOut {
        /// Why it did not do.
        refused: Option<LoadRefusal>,
    },
    /// Reading the card.
    ReadingCard,
    /// Finding out what became of an earlier payment or load with this card (money rule P1).
    Resolving,
    /// Waiting for the PIN (S5).
    WaitingForPin {
        /// Tries left on the card, where that is known.
        tries_left: Option<u8>,
        /// True when it is awaited by `ProvidePin`, false when at a PIN pad.
        through_api: bool,
    },
    /// The card checks the PIN.
    CheckingPin,
    /// The attempt is recorded and sent, the value put onto the card, its proof recorded (S6 to S13).
    Loading,
    /// The provider is asked to void it, with the card's proof where one is needed.
    Voiding,
    /// Nobody works on it: the user is owed its value. It goes on when it is begun again, cancelled, or when its card is presented.
    Owed,
    /// It ended before anything was recorded. Its reference may be used again.
    NotRecorded,
}

/// Why a card is not loaded. Another card may do; where one may have the value already, only that one does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoadRefusal {
    /// Another card may have the value: that one is needed.
    OtherCard,
    /// The purse cannot hold so much.
    PurseFull,
    /// What speaks against a sale with this card speaks against a load of it.
    Card(CloseReason),
    /// The provider refuses it, by this name.
    Provider(&'static str),
}

/// What is durable of a load that is not under way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoadOutcome {
    /// How it ended, or that it has not.
    pub end: LoadEnd,
    /// The number of its newest journal entry.
    pub entry: u64,
    /// When that entry was committed.
    pub at: Wall,
}

/// How a load ended, or that the user is owed its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoadEnd {
    /// The card has the value.
    Loaded {
        /// What is on the purse now, where the card told.
        balance_after: Option<Amount>,
        /// True when the provider knows.
        is_confirmed: bool,
    },
    /// The card will never have it: the bank takes it back.
    Voided,
    /// The user is owed the value: it can be completed at any terminal of the provider, or voided.
    Owed {
        /// True when a card may have the value: only that card can tell.
        may_be_on_card: bool,
        /// Why it did not get on, where this process knows.
        why: Option<OwedReason>,
    },
}

/// Why a load does not get on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OwedReason {
    /// No card came in time.
    NoCardInTime,
    /// Cards were refused, or failed, too often.
    CardsFailed,
    /// The card has moved on by one load and gives no proof of it.
    ProofMissing,
    /// The card's counter of loads stands where this load cannot have brought it.
    CounterMoved,
    /// The provider did not answer, or refuses, by this name.
    Provider(&'static str),
    /// The journal takes no further attempt.
    NotRecorded,
    /// Purser is stopping.
    Stopped,
}

/// What is durable of a load, and the requests that it answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoadTold {
    /// The requests that waited for it. Empty for news to listeners only.
    pub requests: Vec<RequestId>,
    /// How the load stands. A `BeginLoad` answered so was a repeat of a load that has ended.
    pub view: LoadView<LoadOutcome>,
}

impl LoadView<LoadOutcome> {
    /// The view of a load as the journal tells it.
    pub fn of(load: &Load) -> Self {
        Self::told(load, None)
    }

    /// The same, with why it does not get on.
    pub(super) fn told(load: &Load, why: Option<OwedReason>) -> Self {
        let loaded = |proven: &LoadProven, is_confirmed| LoadEnd::Loaded {
            balance_after: proven.balance_after,
            is_confirmed,
        };
        let end = match &load.standing {
            LoadStanding::Begun | LoadStanding::Attempted(_) | LoadStanding::Released { .. } => {
                let may_be_on_card = load.waits_for_card();
                LoadEnd::Owed { may_be_on_card, why }
            }
            LoadStanding::Proven(proven) => loaded(proven, false),
            LoadStanding::Confirmed(proven) => loaded(proven, true),
            LoadStanding::Voided => LoadEnd::Voided,
        };
        Self {
            operation: load.id,
            reference: load.reference.clone(),
            owner: load.owner,
            amount: load.amount,
            card: load.card().cloned(),
            reader: None,
            presentation: 0,
            state: LoadOutcome {
                end,
                entry: load.head.number,
                at: load.changed_at,
            },
        }
    }
}
