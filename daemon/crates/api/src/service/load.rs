//! Loads: begun, looked at, and cancelled.

use purser_engine::{BeginLoad, Reply, Request};

use super::{Answered, Service};
use crate::access::Caller;
use crate::model::{self, Fault};
use crate::{fault, parse, project};

impl Service {
    /// Begins a load that the provider knows, or goes on with the one that has this reference (S5). For those who may sell.
    ///
    /// # Errors
    /// The [`Fault`] names what to do; nothing was begun.
    pub async fn begin_load(
        &self,
        caller: &Caller,
        ask: &model::BeginLoadArguments,
    ) -> Result<model::BeginLoadReply, Fault> {
        self.access.may_sell(caller)?;
        let request = Request::BeginLoad(BeginLoad {
            reference: parse::reference(&ask.reference)?,
            load: parse::load(&ask.load)?,
            amount: parse::amount(&ask.amount)?,
            reader: parse::optional_reader(ask.reader.as_deref())?,
            pin_through_api: false,
        });
        let (standing, load) = match self.ask(self.peer(caller), request).await? {
            Answered::Reply(Reply::Load { is_new: true, view }) => ("new", project::loading(&view)),
            Answered::Reply(Reply::Load { is_new: false, view }) => ("in_progress", project::loading(&view)),
            Answered::ToldLoad(view) => ("completed", project::loaded(&view)),
            Answered::Reply(_) | Answered::Told(_) => return Err(fault::other_kind()),
        };
        Ok(model::BeginLoadReply {
            standing: standing.to_owned(),
            load,
        })
    }

    /// How a load stands. For its owner and operators.
    ///
    /// # Errors
    /// The [`Fault`] names what to do.
    pub async fn attach_load(
        &self,
        caller: &Caller,
        ask: &model::ReferenceArguments,
    ) -> Result<model::LoadReply, Fault> {
        let request = Request::Attach(parse::reference(&ask.reference)?);
        self.ask_for_load(caller, request).await
    }

    /// Voids a load that no card has; answers with the certain end, or with what is owed where it cannot be ended now (money
    /// rule L3). For its owner and operators.
    ///
    /// # Errors
    /// The [`Fault`] names what to do; the load stands as it stood.
    pub async fn cancel_load(
        &self,
        caller: &Caller,
        ask: &model::ReferenceArguments,
    ) -> Result<model::LoadReply, Fault> {
        let reference = parse::reference(&ask.reference)?;
        // Not a sale by mistake: a cancel of the wrong kind would end it.
        self.attach_load(caller, ask).await?;
        self.ask_for_load(caller, Request::Cancel(reference)).await
    }

    async fn ask_for_load(&self, caller: &Caller, request: Request) -> Result<model::LoadReply, Fault> {
        let load = match self.ask(self.peer(caller), request).await? {
            Answered::Reply(Reply::Load { view, .. }) => project::loading(&view),
            Answered::ToldLoad(view) => project::loaded(&view),
            Answered::Reply(_) | Answered::Told(_) => return Err(fault::other_kind()),
        };
        Ok(model::LoadReply { load })
    }
}
