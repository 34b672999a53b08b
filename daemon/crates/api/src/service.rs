//! The one service behind both doors: every rule of the API is here.

mod load;
mod provide_pin;
mod settle;

use std::sync::Arc;

use purser_engine::{BeginSale, Peer, Reply, Request};
use purser_ledger::{MINOR_MAX, NAME_BYTES_MAX, Owner};
use tokio::sync::{mpsc, oneshot};

use crate::access::{Access, Caller};
use crate::call::{Answered, Call};
use crate::drivers::DriverCall;
use crate::facts::{EntriesQuery, Facts, FactsUnavailable};
use crate::fold::{Folded, fold_each};
use crate::foreign::ForeignWork;
use crate::hub::{Filter, Hub};
use crate::model::{self, Fault, PAGE_MAX};
use crate::pin::PinReader;
use crate::project::Told;
use crate::quota::{Kind, Pass, Quotas, User};
use crate::reads::Reads;
use crate::status::{StatusTeller, StatusWatch};
use crate::watch::Watch;
use crate::{fault, parse, project, varlink, whereabouts};

/// The service. A handle; clones share everything. Does no IO of its own.
///
/// # Cancel safety
/// Every method is cancel safe in this sense: a dropped call loses the answer and nothing else. What it asked for is done all
/// the same; ask again with the same reference.
#[derive(Clone)]
pub struct Service {
    calls: mpsc::Sender<Call>,
    pub(crate) driver_calls: mpsc::Sender<DriverCall>,
    pub(crate) reads: Reads,
    hub: Hub,
    pub(crate) access: Access,
    pins: PinReader,
    /// Looks at files that callers hand in.
    pub(crate) files: ForeignWork,
    quotas: Quotas,
    status: StatusTeller,
}

impl Service {
    /// A service that asks the engine over `calls` and the owner of the drivers over `driver_calls` (both bounded; when one is
    /// full the caller is told `Busy`), reads `facts`, tells what is published in `hub`, and lets in whom `access` lets in.
    pub fn new(
        calls: mpsc::Sender<Call>,
        driver_calls: mpsc::Sender<DriverCall>,
        facts: Arc<dyn Facts>,
        hub: Hub,
        access: Access,
    ) -> Self {
        let reads = Reads::new(facts);
        Self {
            calls,
            driver_calls,
            status: StatusTeller::new(reads.clone()),
            reads,
            hub,
            access,
            pins: PinReader::default(),
            files: ForeignWork::default(),
            quotas: Quotas::new(),
        }
    }

    /// What the daemon is. For everyone.
    pub fn info(&self) -> model::InfoReply {
        let info = self.reads.facts().info();
        let mut currencies: Vec<_> = info.currencies.iter().map(|it| it.code().to_owned()).collect();
        currencies.sort_unstable();
        currencies.dedup();
        model::InfoReply {
            version: info.version,
            terminal_number: project::hex(&info.terminal_number),
            currencies,
            pin_through_api: info.pin_through_api,
            limits: model::Limits {
                reference_bytes_max: u64::try_from(NAME_BYTES_MAX).expect("a small number fits"),
                amount_minor_max: MINOR_MAX,
                message_bytes_max: model::MESSAGE_BYTES_MAX,
                page_max: PAGE_MAX,
                connections_max: u64::try_from(varlink::CONNECTIONS_MAX).expect("a small number fits"),
            },
        }
    }

    /// How the daemon does. For everyone.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn status(&self) -> model::StatusReply {
        self.status.now().await
    }

    /// How the daemon does, now and whenever it changes.
    pub(crate) fn watch_status(&self) -> StatusWatch {
        self.status.watch()
    }

    /// Counts a call of this caller to this method (its name without the interface) when it is its turn; a refusal for lack of
    /// quota takes a while. Cancel safe.
    pub(crate) async fn admit(&self, caller: &Caller, method: &str) -> Result<Pass, Fault> {
        self.quotas.admit(self.user(caller), Kind::of(method)).await
    }

    fn user(&self, caller: &Caller) -> User {
        User {
            uid: caller.uid,
            is_operator: self.is_operator(caller),
        }
    }

    /// Counts a new connection of this user. False: it connects too often.
    pub(crate) fn admit_connection(&self, uid: u32) -> bool {
        self.quotas.admit_connection(uid)
    }

    /// Waits until this caller may read more of the journal. Cancel safe.
    pub(crate) async fn wait_for_quota(&self, caller: &Caller) {
        self.quotas.wait(self.user(caller)).await;
    }

    /// The devices. For everyone.
    pub fn devices(&self) -> model::DevicesReply {
        model::DevicesReply {
            devices: self.reads.facts().devices(),
        }
    }

    /// The provider and the link to it. For everyone.
    pub fn provider(&self) -> model::ProviderReply {
        self.reads.facts().provider()
    }

    /// Begins a sale, or finds the one with this reference. For those who may sell.
    ///
    /// # Errors
    /// The [`Fault`] names what to do; nothing was changed.
    pub async fn begin_sale(
        &self,
        caller: &Caller,
        ask: &model::BeginSaleArguments,
    ) -> Result<model::BeginSaleReply, Fault> {
        self.access.may_sell(caller)?;
        let request = Request::BeginSale(BeginSale {
            reference: parse::reference(&ask.reference)?,
            amount: parse::amount(&ask.amount)?,
            reader: parse::optional_reader(ask.reader.as_deref())?,
            pin_through_api: ask.pin_through_api.unwrap_or(false),
        });
        let (standing, sale) = match self.ask(self.peer(caller), request).await? {
            Answered::Reply(Reply::Sale { is_new: true, view }) => ("new", project::under_way(&view)),
            Answered::Reply(Reply::Sale { is_new: false, view }) => {
                ("in_progress", project::under_way(&view))
            }
            Answered::Told(view) => ("completed", project::durable(&view)),
            Answered::Reply(Reply::Load { .. }) | Answered::ToldLoad(_) => return Err(fault::other_kind()),
            Answered::Reply(
                Reply::Purse(_) | Reply::Settling(_) | Reply::Stopped | Reply::PresentedAgain(_),
            ) => {
                return Err(fault::other_answer());
            }
        };
        Ok(model::BeginSaleReply {
            standing: standing.to_owned(),
            sale,
        })
    }

    /// How a sale stands. For its owner and operators.
    ///
    /// # Errors
    /// The [`Fault`] names what to do.
    pub async fn attach(
        &self,
        caller: &Caller,
        ask: &model::ReferenceArguments,
    ) -> Result<model::SaleReply, Fault> {
        let request = Request::Attach(parse::reference(&ask.reference)?);
        self.ask_for_sale(self.peer(caller), request).await
    }

    /// Ends a sale if nothing has been debited; answers with the certain end. For its owner and operators.
    ///
    /// # Errors
    /// The [`Fault`] names what to do; the sale stands as it stood.
    pub async fn cancel(
        &self,
        caller: &Caller,
        ask: &model::ReferenceArguments,
    ) -> Result<model::SaleReply, Fault> {
        let reference = parse::reference(&ask.reference)?;
        // Not a load by mistake: a cancel of the wrong kind would void it.
        self.attach(caller, ask).await?;
        self.ask_for_sale(self.peer(caller), Request::Cancel(reference))
            .await
    }

    /// Chooses the end of a sale that was in doubt (money rule P5). For its owner and operators.
    ///
    /// # Errors
    /// The [`Fault`] names what to do; the sale stands as it stood.
    pub async fn conclude(
        &self,
        caller: &Caller,
        ask: &model::ConcludeArguments,
    ) -> Result<model::SaleReply, Fault> {
        let request = Request::Conclude(
            parse::reference(&ask.reference)?,
            parse::conclusion(&ask.conclusion)?,
        );
        self.ask_for_sale(self.peer(caller), request).await
    }

    /// Reads the purse in a reader. For those who may sell.
    ///
    /// # Errors
    /// The [`Fault`] names what to do.
    pub async fn read_purse(
        &self,
        caller: &Caller,
        ask: &model::ReadPurseArguments,
    ) -> Result<model::PurseReply, Fault> {
        self.access.may_sell(caller)?;
        let request = Request::ReadPurse(parse::optional_reader(ask.reader.as_deref())?);
        match self.ask(self.peer(caller), request).await? {
            Answered::Reply(Reply::Purse(view)) => Ok(model::PurseReply {
                purse: project::purse(&view),
            }),
            Answered::Reply(_) | Answered::Told(_) | Answered::ToldLoad(_) => Err(fault::stopping()),
        }
    }

    /// Watches sales, loads and batches: one, or all that the caller may see.
    ///
    /// # Errors
    /// The [`Fault`] names what to do; nothing is watched.
    pub async fn watch(&self, caller: &Caller, ask: &model::WatchArguments) -> Result<Watch, Fault> {
        let filter = Filter {
            owner: self.only_owner(caller),
            reference: parse::optional_reference(ask.reference.as_deref())?,
        };
        let heard = self.hub.subscribe(caller.uid, filter)?;
        let reference = ask.reference.clone();
        if let Some(after) = ask.after {
            return Ok(Watch::resumed(
                self.clone(),
                caller.clone(),
                reference,
                heard,
                after,
            ));
        }
        let present = match &reference {
            Some(reference) => Some(self.present(caller, reference).await?),
            None => None,
        };
        Ok(Watch::live(
            self.clone(),
            caller.clone(),
            reference,
            heard,
            present,
        ))
    }

    /// True for an operator.
    pub(crate) fn is_operator(&self, caller: &Caller) -> bool {
        self.access.is_operator(caller)
    }

    /// Watches what is the caller's own, an operator's too.
    pub(crate) fn watch_own(&self, caller: &Caller) -> Result<Watch, Fault> {
        let filter = Filter {
            owner: Some(Owner(caller.uid)),
            reference: None,
        };
        let heard = self.hub.subscribe(caller.uid, filter)?;
        Ok(Watch::live(self.clone(), caller.clone(), None, heard, None))
    }

    async fn present(&self, caller: &Caller, reference: &str) -> Result<model::Event, Fault> {
        let (entry, told) = match self
            .ask(self.peer(caller), Request::Attach(parse::reference(reference)?))
            .await?
        {
            Answered::Reply(Reply::Sale { view, .. }) => (None, Told::Sale(project::under_way(&view))),
            Answered::Reply(Reply::Load { view, .. }) => (None, Told::Load(project::loading(&view))),
            Answered::Told(view) => (Some(view.state.entry), Told::Sale(project::durable(&view))),
            Answered::ToldLoad(view) => (Some(view.state.entry), Told::Load(project::loaded(&view))),
            Answered::Reply(_) => return Err(fault::other_answer()),
        };
        let Some(number) = entry else {
            return Ok(told.progress());
        };
        // The journal tells an entry in its own words, so that the event is the same as ever.
        let page = model::EventsArguments {
            after: number.saturating_sub(1),
            limit: Some(1),
            reference: Some(reference.to_owned()),
        };
        let found = self.events(caller, &page).await?.events.pop();
        // The engine knows it: the journal had it.
        found.ok_or_else(|| fault::of_facts(FactsUnavailable::Damaged { entry: Some(number) }))
    }

    /// The events of entries after a number. Callers who are not operators see those of their own sales.
    ///
    /// # Errors
    /// The [`Fault`] names what to do.
    pub async fn events(
        &self,
        caller: &Caller,
        ask: &model::EventsArguments,
    ) -> Result<model::EventsReply, Fault> {
        let query = self.query(caller, Some(ask.after), ask.limit, ask.reference.as_deref())?;
        let (events, more) = self.read_page(caller, query, project::folded_event).await?;
        Ok(model::EventsReply { more, events })
    }

    /// Journal entries after a number. Callers who are not operators see those of their own sales.
    ///
    /// # Errors
    /// The [`Fault`] names what to do.
    pub async fn journal(
        &self,
        caller: &Caller,
        ask: &model::JournalArguments,
    ) -> Result<model::JournalReply, Fault> {
        let query = self.query(caller, ask.after, ask.limit, ask.reference.as_deref())?;
        let (entries, more) = self.read_page(caller, query, project::entry).await?;
        Ok(model::JournalReply { more, entries })
    }

    /// Reads and words entries, and says whether there may be more, all on a thread that no sale waits for; counts them as the caller's use. A number that was never
    /// told is refused: who asks for what is behind it remembers another journal, and would miss all that happens until this one
    /// is as long.
    async fn read_page<T: Send + 'static>(
        &self,
        caller: &Caller,
        query: EntriesQuery,
        word: fn(&Folded) -> T,
    ) -> Result<(Vec<T>, bool), Fault> {
        let after = query.after;
        let (page, more, newest) = self
            .reads
            .run(move |facts| {
                let folded = fold_each(facts, facts.entries(&query)?)?;
                let page: Vec<_> = folded.iter().map(word).collect();
                Ok((page, is_full(folded.len(), query.limit), facts.head()?.number))
            })
            .await?;
        if after > newest {
            return Err(fault::never_told(after, newest));
        }
        self.quotas.charge(self.user(caller), page.len());
        Ok((page, more))
    }

    /// The books. For operators and members of the group that may sell.
    ///
    /// # Errors
    /// The [`Fault`] names what to do.
    pub async fn totals(&self, caller: &Caller) -> Result<model::TotalsReply, Fault> {
        self.access.may_see_totals(caller)?;
        let totals = self.reads.run(|facts| facts.totals()).await?;
        Ok(model::TotalsReply {
            balances: project::balances(&totals.books),
            counts: totals.counts,
            balanced: totals.books.are_balanced(),
            limits: project::limits(&totals.limits),
        })
    }

    /// The head of the record chain. For everyone: it is printed on every slip.
    ///
    /// # Errors
    /// The [`Fault`] names what to do.
    pub async fn head(&self) -> Result<model::HeadReply, Fault> {
        let head = self.reads.run(|facts| facts.head()).await?;
        Ok(model::HeadReply {
            head: head.to_string(),
        })
    }

    /// What happened to one payment. For its owner and operators.
    ///
    /// # Errors
    /// The [`Fault`] names what to do.
    pub async fn whereabouts(
        &self,
        caller: &Caller,
        ask: &model::ReferenceArguments,
    ) -> Result<model::WhereReply, Fault> {
        let sale = self.attach(caller, ask).await?.sale;
        let entries = model::JournalArguments {
            reference: Some(ask.reference.clone()),
            ..model::JournalArguments::default()
        };
        let entries = self.journal(caller, &entries).await?.entries;
        Ok(whereabouts::tell(sale, entries))
    }

    fn query(
        &self,
        caller: &Caller,
        after: Option<u64>,
        limit: Option<u64>,
        reference: Option<&str>,
    ) -> Result<EntriesQuery, Fault> {
        Ok(EntriesQuery {
            after: after.unwrap_or(0),
            limit: parse::limit(limit)?,
            reference: parse::optional_reference(reference)?,
            owner: self.only_owner(caller),
        })
    }

    fn only_owner(&self, caller: &Caller) -> Option<Owner> {
        (!self.access.is_operator(caller)).then_some(Owner(caller.uid))
    }

    fn peer(&self, caller: &Caller) -> Peer {
        Peer {
            owner: Owner(caller.uid),
            operator: self.access.is_operator(caller),
        }
    }

    async fn ask_for_sale(&self, peer: Peer, request: Request) -> Result<model::SaleReply, Fault> {
        let sale = match self.ask(peer, request).await? {
            Answered::Reply(Reply::Sale { view, .. }) => project::under_way(&view),
            Answered::Told(view) => project::durable(&view),
            Answered::Reply(Reply::Load { .. }) | Answered::ToldLoad(_) => return Err(fault::other_kind()),
            Answered::Reply(
                Reply::Purse(_) | Reply::Settling(_) | Reply::Stopped | Reply::PresentedAgain(_),
            ) => {
                return Err(fault::other_answer());
            }
        };
        Ok(model::SaleReply { sale })
    }

    async fn ask(&self, peer: Peer, request: Request) -> Result<Answered, Fault> {
        let (reply, answer) = oneshot::channel();
        let call = Call { peer, request, reply };
        self.calls.try_send(call).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => fault::busy(),
            mpsc::error::TrySendError::Closed(_) => fault::stopping(),
        })?;
        match answer.await {
            Ok(Ok(answered)) => Ok(answered),
            Ok(Err(error)) => Err(fault::of_request(error)),
            // The engine's task ended with the request in hand.
            Err(_) => Err(fault::stopping()),
        }
    }
}

fn is_full(found: usize, limit: u64) -> bool {
    u64::try_from(found).is_ok_and(|found| found >= limit)
}
