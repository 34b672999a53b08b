//! The load (S5 to S14): value that a bank has booked is put onto a card, once, or void.
//!
//! ```text
//!  BeginLoad ─► Checking ─► Opening ─► WaitingForCard ─► AtCard ─────────────► told: loaded ─► confirmed to the provider
//!                  │           │ not known    │  ▲         │  (crate::visit)
//!                  ▼           ▼ there        │  └ card ───┤
//!            told as stored  refused          │    refused,│ cancelled
//!                                             ▼    pulled  ▼
//!                                          (no card) ─► Ending ─► told: void
//!                                             │            │ a card may have it
//!                                             └────► Owed ◄┘ ─► when begun again, cancelled, or its card is presented
//! ```
//! Nothing is recorded before the provider has told that it knows the load, open, of this amount. From then on the user is owed
//! the value until it is proven on a card or void at the provider; no time and no stop ends that.
//!
//! At the card: earlier payments and loads of it first (money rule P1), what speaks against it (L4), the PIN, INITIALIZE FOR LOAD,
//! `LoadAttempted`, the provider's MAC2, `LoadReleased`, CREDIT FOR LOAD, `LoadProven`. Each commit is durable before what comes
//! after it. CREDIT is never repeated (P2): a card that does not answer it with a TAC is asked at once for its proof, and whenever it
//! is presented again. A new attempt needs its counter unchanged, and kills the MAC2 of the one before.
//!
//! Who decides: the card's own answer under the power in which it was credited. A TAC that it hands out later may be another
//! load's, if ours was voided elsewhere meanwhile: the provider judges it before it is recorded. A void is the provider's word alone
//! (L3). What is asked of the provider may be asked again: it knows every repeat.

mod ask;
mod commits;
mod credit;
mod provider;
mod requests;
mod serve;
#[cfg(test)]
mod tests;
mod view;
mod wait;

pub use ask::{LoadAnswer, LoadAsk, LoadPhase, LoadWhat, SendAttempt, refusal};
pub use view::{LoadEnd, LoadOutcome, LoadProgress, LoadRefusal, LoadTold, LoadView, OwedReason};

use purser_ledger::{
    Asked as AskedFor, Authorised, Commit, DeviceName, Kind, LoadStanding, Monotonic, OperationId, Owner,
};
use purser_provider_link::{LoadId, LoadOrder};
use purser_purse::pboc::{LoadAttempt, LoadTac, PurseAmount};

use crate::{BeginLoad, CallId, RequestId};

/// How many loads may be under way: more than a provider terminal has readers.
const LOADS_MAX: usize = 16;

/// How long a card keeps its power while the provider is asked, in milliseconds: several times what a call-back takes.
const PROVIDER_WAIT_MS: u64 = 60_000;

/// How soon the provider is asked again when the line was lost, in milliseconds: the card waits with its power on.
const ATTEMPT_AGAIN_MS: u64 = 2_000;

/// How often one presentation goes on with what the provider says: twice as often as its refusals can ask for.
const ROUNDS_MAX: u8 = 6;

/// A load that is open, or about to begin.
#[derive(Debug)]
pub(crate) struct Load {
    pub(crate) id: OperationId,
    pub(crate) owner: Owner,
    pub(crate) asked: BeginLoad,
    pub(crate) phase: Phase,
    /// As it is durable; none before its first entry is.
    stored: Option<purser_ledger::Load>,
    /// Its commit on the way to the store.
    changing: Option<Commit>,
    aim: Aim,
    /// What the provider is being asked. An answer to any other call changes nothing.
    call: Option<(CallId, Asked)>,
    /// The provider's last attempt, where it is known for certain.
    last_attempt: Option<u8>,
    /// What a card has to answer over to prove a void.
    challenge: Option<[u8; 6]>,
    /// A TAC that its card handed out when it came back: the provider is to judge it.
    fetched: Option<LoadTac>,
    /// The provider has said that it is done.
    is_done: bool,
    /// Requests that are answered with its end, or with what is owed.
    waiting: Vec<RequestId>,
    /// When a wait for a card ends.
    deadline: Option<Monotonic>,
    /// When the provider is asked again.
    retry_at: Option<Monotonic>,
    failures: u32,
    pub(crate) presentations: u8,
    refused: Option<LoadRefusal>,
    why: Option<OwedReason>,
    hinted: Option<LoadProgress>,
}

/// Where a load is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// The store is asked whether the reference is known.
    Checking(RequestId),
    /// The provider is asked whether it knows the load; then its first entry is on its way.
    Opening(RequestId),
    /// Waiting for a card (S5).
    WaitingForCard,
    /// A card is being served at this reader.
    AtCard(DeviceName),
    /// The provider is asked for its end, without a card, or the end is on its way to the store.
    Ending,
    /// Nobody works on it.
    Owed,
}

/// What is to become of a load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Aim {
    Load,
    Void,
}

/// What the provider is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    Show,
    BeginVoid,
    ProveVoid,
    Confirm,
    Attempt,
}

/// What a visit waits for while the provider is asked about its load.
#[derive(Debug)]
pub(crate) enum AtProvider {
    /// How the load stands, or the void's challenge.
    Standing,
    /// MAC2 for this attempt.
    Mac2(Box<Attempting>),
    /// The void, or why not. The card answered at this online SN.
    Void { online_sn: u16 },
}

/// An attempt that may be sent, while its card keeps its power.
#[derive(Debug)]
pub(crate) struct Attempting {
    attempt: LoadAttempt,
    send: Authorised<SendAttempt>,
    /// When the card is kept waiting no longer.
    until: Monotonic,
}

impl Load {
    fn new(owner: Owner, asked: BeginLoad, phase: Phase) -> Self {
        Self {
            id: asked.load,
            owner,
            asked,
            phase,
            stored: None,
            changing: None,
            aim: Aim::Load,
            call: None,
            last_attempt: None,
            challenge: None,
            fetched: None,
            is_done: false,
            waiting: Vec::new(),
            deadline: None,
            retry_at: None,
            failures: 0,
            presentations: 0,
            refused: None,
            why: None,
            hinted: None,
        }
    }

    /// A load that a start finds open.
    fn resumed(stored: purser_ledger::Load) -> Self {
        let asked = BeginLoad {
            reference: stored.reference.clone(),
            load: stored.id,
            amount: stored.amount,
            reader: None,
            pin_through_api: false,
        };
        Self {
            stored: Some(stored.clone()),
            ..Self::new(stored.owner, asked, Phase::Owed)
        }
    }

    /// What is asked for under its reference.
    pub(crate) fn asked_for(&self) -> AskedFor {
        AskedFor {
            owner: self.owner,
            kind: Kind::Load,
            amount: self.asked.amount,
        }
    }

    fn order(&self) -> LoadOrder {
        LoadOrder {
            id: LoadId(*self.id.bytes()),
            amount: self.asked.amount,
        }
    }

    /// The amount as its card counts it.
    fn purse_amount(&self) -> PurseAmount {
        PurseAmount::try_from(self.asked.amount).expect("the amount was checked when the load began")
    }

    /// As it is durable.
    pub(crate) fn stored(&self) -> Option<&purser_ledger::Load> {
        self.stored.as_ref()
    }

    fn standing(&self) -> Option<&LoadStanding> {
        self.stored.as_ref().map(|stored| &stored.standing)
    }

    /// The attempt for which CREDIT may have been sent, ever.
    fn released(&self) -> Option<&purser_ledger::LoadAttempted> {
        self.stored.as_ref()?.released.as_ref()
    }

    /// True while its card alone can tell, and is asked whenever it is presented (money rule L3).
    fn waits_for_proof(&self) -> bool {
        let waits = self
            .stored
            .as_ref()
            .is_some_and(purser_ledger::Load::waits_for_card);
        waits && self.changing.is_none() && self.fetched.is_none()
    }

    /// True when nothing of it is on its way to the store or the provider.
    fn is_free(&self) -> bool {
        self.changing.is_none() && self.call.is_none()
    }

    /// True while somebody may be waiting for it.
    fn is_under_way(&self) -> bool {
        self.phase != Phase::Owed
    }

    /// True when the load could take the card that a sale or another load is meant for.
    pub(crate) fn competes_for(&self, reader: Option<&DeviceName>) -> bool {
        let holds = match &self.phase {
            // Also one that is at a card: when that is pulled out it waits for any card again. And one that the provider is asked about:
            // it waits for a card as soon as the answer is there.
            Phase::Opening(_) | Phase::WaitingForCard | Phase::AtCard(_) => self.asked.reader.as_ref(),
            Phase::Checking(_) | Phase::Ending | Phase::Owed => return false,
        };
        holds.is_none() || reader.is_none() || holds == reader
    }

    fn view(&self, state: LoadProgress) -> LoadView<LoadProgress> {
        let (reader, presentation) = match &self.phase {
            Phase::AtCard(reader) => (Some(reader.clone()), self.presentations),
            _ => (None, 0),
        };
        LoadView {
            operation: self.id,
            reference: self.asked.reference.clone(),
            owner: self.owner,
            amount: self.asked.amount,
            card: self.stored.as_ref().and_then(|stored| stored.card().cloned()),
            reader,
            presentation,
            state,
        }
    }
}
