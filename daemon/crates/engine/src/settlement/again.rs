//! Claims that a batch left unpaid, presented again (money rule C1).
//!
//! ```text
//!  Idle ──PresentAgain──► Looking ──found──► Recording ──all answered──► Idle, and the request is answered
//!                            └─ none, or it cannot be read ─► Idle
//! ```
//! Which claims a batch left unpaid stands in its verdicts, which the journal's reader has. It tells of each sale as it stands: the
//! sale's next step is in the commit, so that nothing can have happened to a sale in between. Its new entry lies in the range of the
//! next batch. What one request begins is bounded; a crash in between leaves some of the claims presented again and the others held,
//! and the same request goes on with those.

use std::collections::VecDeque;

use purser_ledger::{
    Amount, BatchStanding, Currency, Entry, Operation, OperationId, SalePresentedAgain, Settlement,
};

use crate::commits::Resolved;
use crate::{CallId, Engine, Output, Peer, Reply, RequestError, RequestId};

/// The most claims that one request presents again: a few seconds' work for the journal, beside which sales go on.
const CLAIMS_MAX: u32 = 256;

/// The most commits of it that are on their way at once: they share syncs, and leave the journal's line to sales.
const ON_WAY_MAX: usize = 16;

/// Which unpaid claims to look for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FindUnpaid {
    /// The batch.
    pub batch: OperationId,
    /// Only the claim at this place of it.
    pub place: Option<u32>,
    /// At most so many.
    pub claims_max: u32,
}

/// Claims that an exchanged batch left unpaid, and that have not been presented again since.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unpaid {
    /// The batch's currency.
    pub currency: Currency,
    /// Their sales, folded from all of their entries, each found in its place in the record chain.
    pub sales: Vec<Operation>,
    /// True when there are more.
    pub has_more: bool,
}

/// Why there is no claim to present again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotUnpaid {
    /// No batch has this number.
    #[error("no batch has this number")]
    UnknownBatch,
    /// The batch is under way, or void.
    #[error("the batch is not exchanged; its claims are in it, or free already")]
    NotExchanged,
    /// No claim of the batch has this place.
    #[error("no claim of the batch has this place")]
    NoClaimThere,
    /// The batch paid this claim.
    #[error("the batch paid this claim")]
    Paid,
    /// The claim was presented again before: it waits, or a later batch has it.
    #[error("the claim was presented again before")]
    PresentedBefore,
    /// Verdicts or entries of the batch are damaged: nobody knows what it paid.
    #[error("what is kept of the batch is damaged")]
    Damaged,
    /// The journal cannot be read now.
    #[error("the journal cannot be read now")]
    NotRead,
}

impl NotUnpaid {
    /// True when the same call may succeed later without repair.
    pub fn is_transient(self) -> bool {
        match self {
            Self::NotRead => true,
            Self::UnknownBatch
            | Self::NotExchanged
            | Self::NoClaimThere
            | Self::Paid
            | Self::PresentedBefore
            | Self::Damaged => false,
        }
    }
}

/// What was presented again, and is durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PresentedAgain {
    /// How many claims.
    pub count: u32,
    /// Their sum.
    pub amount: Amount,
    /// True when claims of the batch are left that can be presented again: ask again.
    pub has_more: bool,
}

/// A request that is being carried out.
#[derive(Debug)]
pub(crate) struct Presenting {
    request: RequestId,
    state: State,
}

#[derive(Debug)]
enum State {
    /// The journal's reader looks.
    Looking(CallId),
    /// The entries are on their way to the store.
    Recording(Recording),
}

#[derive(Debug)]
struct Recording {
    left: VecDeque<Operation>,
    on_way: usize,
    done: PresentedAgain,
    /// Why the store did not take the newest one that it refused.
    refused: Option<RequestError>,
}

/// Whether this batch can have left claims unpaid.
///
/// # Errors
/// [`NotUnpaid::NotExchanged`]: it has not ended, or it left all of its claims free.
pub fn is_exchanged(settlement: &Settlement) -> Result<(), NotUnpaid> {
    match settlement.standing {
        BatchStanding::Exchanged(_) => Ok(()),
        BatchStanding::Sealed | BatchStanding::Voided(_) => Err(NotUnpaid::NotExchanged),
    }
}

impl Engine {
    /// Presents the claims again that a batch left unpaid, or the one at a place of it.
    pub(crate) fn present_again(
        &mut self,
        id: RequestId,
        peer: Peer,
        batch: OperationId,
        place: Option<u32>,
    ) -> Result<(), RequestError> {
        if !peer.operator {
            return Err(RequestError::NotOperator);
        }
        if self.is_stopping {
            return Err(RequestError::Stopping);
        }
        // What the batch paid is read from what may be damaged.
        if self.is_held {
            return Err(RequestError::Held);
        }
        if self.presenting.is_some() {
            return Err(RequestError::Changing);
        }
        let call = self.next_call();
        let claims_max = CLAIMS_MAX;
        let asked = FindUnpaid {
            batch,
            place,
            claims_max,
        };
        self.outputs.push_back(Output::FindUnpaid(call, asked));
        let state = State::Looking(call);
        self.presenting = Some(Presenting { request: id, state });
        Ok(())
    }

    /// The journal's reader has looked. An answer to a call that nobody waits for any more changes nothing.
    pub(crate) fn handle_unpaid(&mut self, call: CallId, found: Result<Unpaid, NotUnpaid>) {
        let waits = |it: &mut Presenting| matches!(it.state, State::Looking(of) if of == call);
        let Some(Presenting { request, .. }) = self.presenting.take_if(waits) else {
            return;
        };
        match found {
            Ok(found) => {
                let recording = Recording {
                    left: found.sales.into(),
                    on_way: 0,
                    done: PresentedAgain {
                        count: 0,
                        amount: Amount::zero(found.currency),
                        has_more: found.has_more,
                    },
                    refused: None,
                };
                self.record_presented(request, recording);
            }
            Err(why) => self.reply(request, Err(RequestError::NotUnpaid(why))),
        }
    }

    /// Sends the next entries to the store, or answers when there are no more.
    fn record_presented(&mut self, request: RequestId, mut recording: Recording) {
        while recording.on_way < ON_WAY_MAX
            && let Some(sale) = recording.left.pop_front()
        {
            // Whoever changes it at this moment makes what was read of it old.
            if self.is_stopping || self.is_changing(sale.id) || !self.batches.has_left(&sale) {
                recording.done.has_more = true;
                continue;
            }
            let amount = sale.amount;
            let entry = Entry::SalePresentedAgain(SalePresentedAgain { amount });
            self.change(sale, entry, Resolved::PresentAgain);
            recording.on_way = recording.on_way.saturating_add(1);
        }
        if recording.on_way > 0 {
            let state = State::Recording(recording);
            self.presenting = Some(Presenting { request, state });
            return;
        }
        let reply = match recording.refused {
            Some(why) if recording.done.count == 0 => Err(why),
            _ => Ok(Reply::PresentedAgain(recording.done)),
        };
        self.reply(request, reply);
    }

    /// An entry is durable, or was refused.
    pub(crate) fn handle_presented(&mut self, recorded: Result<Amount, RequestError>) {
        let Some(Presenting {
            request,
            state: State::Recording(mut recording),
        }) = self.presenting.take()
        else {
            unreachable!("a claim is presented again by a request that is being carried out");
        };
        recording.on_way = recording.on_way.saturating_sub(1);
        let done = &mut recording.done;
        match recorded {
            Ok(amount) => {
                done.count = done.count.saturating_add(1);
                let sum = done.amount.checked_add(amount);
                done.amount = sum.expect("the store has them in one account, whose limit is an amount's");
            }
            Err(why) => {
                done.has_more = true;
                recording.refused = Some(why);
            }
        }
        self.record_presented(request, recording);
    }

    /// Purser stops: what is on its way is recorded, and no more.
    pub(crate) fn stop_presenting(&mut self) {
        let is_looking = |it: &mut Presenting| matches!(it.state, State::Looking(_));
        if let Some(presenting) = self.presenting.take_if(is_looking) {
            self.reply(presenting.request, Err(RequestError::Stopping));
        }
    }
}
