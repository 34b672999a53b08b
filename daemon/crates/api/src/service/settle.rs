//! Settlement: asked for, and shown.

use purser_engine::{Reply, Request};

use super::{Answered, Service, is_full};
use crate::access::Caller;
use crate::model::{self, Fault};
use crate::{fault, parse, project};

/// No batch has more items.
const ITEMS_MAX: u64 = 1_000_000;

impl Service {
    /// Settles what waits, or joins what is under way (S30). Answers when each batch is sealed; it goes on by itself then. For
    /// operators.
    ///
    /// # Errors
    /// The [`Fault`] names what to do; nothing was sealed by this call.
    pub async fn settle(
        &self,
        caller: &Caller,
        ask: &model::SettleArguments,
    ) -> Result<model::SettleReply, Fault> {
        self.access.may_operate(caller)?;
        let request = Request::Settle(parse::optional_currency(ask.currency.as_deref())?);
        match self.ask(self.peer(caller), request).await? {
            Answered::Reply(Reply::Settling(views)) => Ok(model::SettleReply {
                batches: views.iter().map(project::batch).collect(),
            }),
            Answered::Reply(_) | Answered::Told(_) | Answered::ToldLoad(_) => Err(fault::other_answer()),
        }
    }

    /// Has a batch voided that the provider has not permitted (money rule B3). Answers when the provider is being asked. For
    /// operators.
    ///
    /// # Errors
    /// The [`Fault`] names what to do; the batch is as sealed as before.
    pub async fn void_batch(
        &self,
        caller: &Caller,
        ask: &model::BatchArguments,
    ) -> Result<model::SettleReply, Fault> {
        self.access.may_operate(caller)?;
        let request = Request::VoidBatch(parse::batch(&ask.id)?);
        match self.ask(self.peer(caller), request).await? {
            Answered::Reply(Reply::Settling(views)) => Ok(model::SettleReply {
                batches: views.iter().map(project::batch).collect(),
            }),
            Answered::Reply(_) | Answered::Told(_) | Answered::ToldLoad(_) => Err(fault::other_answer()),
        }
    }

    /// Presents the claims again that an exchanged batch left unpaid, or one of them (money rule C1): the next settlement takes them.
    /// A bounded number at a time. For operators.
    ///
    /// # Errors
    /// The [`Fault`] names what to do; nothing was presented again.
    pub async fn present_again(
        &self,
        caller: &Caller,
        ask: &model::PresentAgainArguments,
    ) -> Result<model::PresentAgainReply, Fault> {
        self.access.may_operate(caller)?;
        // No batch has an item at a place that does not fit: it is refused by that name.
        let place = ask.place.map(|place| u32::try_from(place).unwrap_or(u32::MAX));
        let request = Request::PresentAgain(parse::batch(&ask.id)?, place);
        match self.ask(self.peer(caller), request).await? {
            Answered::Reply(Reply::PresentedAgain(done)) => Ok(model::PresentAgainReply {
                count: u64::from(done.count),
                claimed: project::amount(done.amount),
                more: done.has_more,
            }),
            Answered::Reply(_) | Answered::Told(_) | Answered::ToldLoad(_) => Err(fault::other_answer()),
        }
    }

    /// The batches that were sealed, newest first. For operators and members of the group that may sell.
    ///
    /// # Errors
    /// The [`Fault`] names what to do.
    pub async fn batches(
        &self,
        caller: &Caller,
        ask: &model::BatchesArguments,
    ) -> Result<model::BatchesReply, Fault> {
        self.access.may_see_totals(caller)?;
        let (before, limit) = (ask.before, parse::limit(ask.limit)?);
        let found = self.reads.run(move |facts| facts.batches(before, limit)).await?;
        Ok(model::BatchesReply {
            more: is_full(found.len(), limit),
            batches: found.iter().map(project::sealed_batch).collect(),
        })
    }

    /// The items of a batch, with what the provider says of each: sales of every user. For operators. Counts as reading all items
    /// up to the last one, because that is what it does.
    ///
    /// # Errors
    /// The [`Fault`] names what to do.
    pub async fn batch_items(
        &self,
        caller: &Caller,
        ask: &model::BatchItemsArguments,
    ) -> Result<model::BatchItemsReply, Fault> {
        self.access.may_operate(caller)?;
        let (id, from) = (parse::batch(&ask.id)?, ask.from.unwrap_or(0));
        let limit = parse::limit(ask.limit)?;
        let found = self
            .reads
            .run(move |facts| facts.batch_items(id, from, limit))
            .await?;
        let items = found.ok_or_else(fault::unknown_batch)?;
        let read = usize::try_from(from.min(ITEMS_MAX)).unwrap_or(usize::MAX);
        self.quotas
            .charge(self.user(caller), read.saturating_add(items.len()));
        Ok(model::BatchItemsReply {
            more: is_full(items.len(), limit),
            items,
        })
    }
}
