//! A daemon whose engine is scripted: it keeps sales and entries in memory and moves when a test says so.

mod facts;
mod loads;

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard};

use purser_api::model::{BatchItem, Counts, Device, Driver, Problem, ProviderReply, Time};
use purser_api::{
    Access, Answered, BatchFacts, BusState, Call, DriverRefusal, Durable, EntriesQuery, Facts,
    FactsUnavailable, Hub, InfoFacts, News, Recorded, Service, StatusFacts, TotalsFacts,
};
use purser_engine::load::{LoadProgress, LoadView};
use purser_engine::settlement::{BatchState, BatchView, PresentedAgain};
use purser_engine::{BeginSale, Limits, Peer, Progress, PurseView, Reply, Request, RequestError, SaleView};
use purser_ledger::{
    Amount, Asked, Books, CardId, CloseReason, Commit, Conclusion, Content, DebitKey, DeviceName,
    DoubtReason, Entry, Head, Kind, Monotonic, Now, Operation, OperationId, Owner, PaidProof, Part,
    Reference, Refused, SaleClosed, SaleConcluded, SaleInDoubt, SaleIntended, SalePaid, Scheme, SchemeBytes,
    Unsettled, Wall,
};
use tokio::sync::{mpsc, watch};

use crate::drivers;

/// A running daemon and its socket.
pub(crate) struct Shop {
    pub(crate) service: Service,
    pub(crate) hub: Hub,
    pub(crate) socket: PathBuf,
    pub(crate) state: Arc<Mutex<State>>,
    folder: tempfile::TempDir,
}

/// What the scripted engine and its journal know.
#[derive(Default)]
pub(crate) struct State {
    live: BTreeMap<Reference, SaleView<Progress>>,
    ended: BTreeMap<Reference, Operation>,
    loads: BTreeMap<Reference, LoadView<LoadProgress>>,
    entries: Vec<Recorded>,
    books: Books,
    operations: u32,
    is_unready: bool,
    changes: watch::Sender<()>,
    /// What was seen of PINs: their masked form.
    pub(crate) pins: Vec<String>,
    /// Calls are kept here and not answered while this is set.
    pub(crate) held: Option<Vec<Call>>,
}

pub(crate) const CARD: [u8; 10] = [0, 1, 2, 3, 4, 5, 6, 7, 0xab, 0xcd];

/// The entry that sealed the shop's one batch.
pub(crate) const SEALED: u64 = 7;

/// The shop's one batch.
pub(crate) fn sealed_batch() -> BatchFacts {
    let part = |count, minor| Part {
        count,
        amount: yen(minor),
    };
    BatchFacts {
        view: BatchView {
            id: OperationId::new([7; 16]),
            owner: Owner(0),
            currency: yen(0).currency(),
            state: BatchState::Exchanged,
            count: 2,
            sent: None,
            claims: part(2, 500),
            refunds: yen(0),
            total: Some(yen(300)),
            held: Some(part(1, 200)),
            entry: Some(SEALED + 1),
            why: None,
        },
        sealed: SEALED,
        sealed_at: at(5),
    }
}

fn asked(owner: Owner, amount: Amount) -> Asked {
    Asked {
        owner,
        kind: Kind::Sale,
        amount,
    }
}

fn yen(minor: u64) -> Amount {
    Amount::new(minor, "JPY".parse().expect("this is a currency")).expect("a small amount")
}

fn batch_item() -> BatchItem {
    let minor = |minor| purser_api::model::Amount {
        minor,
        currency: "JPY".to_owned(),
    };
    BatchItem {
        place: 0,
        kind: "claim".to_owned(),
        reference: "order-1".to_owned(),
        amount: minor(200),
        refund_owed: None,
        decision: Some("hold".to_owned()),
        reason: Some("hot_listed".to_owned()),
    }
}

pub(crate) fn name(text: &str) -> Reference {
    Reference::new(text).expect("test references are names")
}

impl Shop {
    /// Opens a shop: an engine task, and the Varlink door on a socket that everyone may open.
    pub(crate) async fn open(access: Access) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let everyone = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(folder.path(), everyone).expect("the folder is ours");
        let socket = folder.path().join("org.purser.Purser1");
        let listener = tokio::net::UnixListener::bind(&socket).expect("the socket can be bound");
        std::fs::set_permissions(&socket, std::fs::Permissions::from_mode(0o666))
            .expect("the socket is ours");
        let shop = Self::without_socket(access, folder, socket);
        tokio::spawn(purser_api::varlink::serve(listener, shop.service.clone()));
        shop
    }

    fn without_socket(access: Access, folder: tempfile::TempDir, socket: PathBuf) -> Self {
        let state = Arc::new(Mutex::new(State::default()));
        let hub = Hub::new();
        let (calls, queue) = mpsc::channel(8);
        let (driver_calls, driver_queue) = mpsc::channel(8);
        let facts = Arc::new(facts::Journal(Arc::clone(&state)));
        let service = Service::new(calls, driver_calls, facts, hub.clone(), access);
        tokio::spawn(drivers::own(driver_queue));
        tokio::spawn(engine(queue, Arc::clone(&state), hub.clone()));
        Self {
            service,
            hub,
            socket,
            state,
            folder,
        }
    }

    /// A path in the shop's folder.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no test panics under the lock")
    }

    /// Tells progress of a sale under way.
    pub(crate) fn progress(&self, reference: &str, progress: Progress) {
        let mut state = self.lock();
        let view = state
            .live
            .get_mut(&name(reference))
            .expect("the sale is under way");
        view.state = progress;
        let view = view.clone();
        drop(state);
        self.hub.publish(&News::Hint(view));
    }

    /// Tells that the card of a load is being read.
    pub(crate) fn load_hint(&self, reference: &str) {
        let mut view = self.lock().loads[&name(reference)].clone();
        view.state = LoadProgress::ReadingCard;
        self.hub.publish(&News::HintLoad(view));
    }

    /// Tells how much of this owner's batch the provider has taken.
    pub(crate) fn batch_hint(&self, owner: Owner, sent: u32) {
        self.hub.publish(&News::HintBatch(BatchView {
            owner,
            state: BatchState::Sending,
            sent: Some(sent),
            ..sealed_batch().view
        }));
    }

    /// The daemon can sell no more, or again.
    pub(crate) fn set_ready(&self, is_ready: bool) {
        let mut state = self.lock();
        state.is_unready = !is_ready;
        state.changes.send_replace(());
    }

    /// The card pays.
    pub(crate) fn pay(&self, reference: &str) {
        let intent = self.lock().intent(&name(reference));
        self.commit(reference, intent);
        let paid = self.lock().paid(&name(reference), PaidProof::Answer);
        self.commit(reference, paid);
    }

    /// The card is torn out in the debit.
    pub(crate) fn tear(&self, reference: &str) {
        let intent = self.lock().intent(&name(reference));
        self.commit(reference, intent);
        let reason = DoubtReason::AnswerLost;
        let answer = None;
        self.commit(reference, Entry::SaleInDoubt(SaleInDoubt { reason, answer }));
    }

    fn commit(&self, reference: &str, entry: Entry) {
        let news = self.lock().commit(&name(reference), entry);
        self.hub.publish(&news);
    }
}

/// What operators and sellers are in these tests.
pub(crate) fn access() -> Access {
    Access::new(DAEMON_UID, Some(OPERATORS), None)
}

pub(crate) const DAEMON_UID: u32 = 500;
pub(crate) const OPERATORS: u32 = 900;
pub(crate) const SELLERS: u32 = 901;

fn at(number: u64) -> Wall {
    Wall {
        unix_seconds: 1_700_000_000 + i64::try_from(number).expect("tests make few entries"),
        utc_offset_seconds: 32_400,
        trusted: true,
    }
}

impl State {
    pub(crate) fn is_under_way(&self, reference: &str) -> bool {
        self.live.contains_key(&name(reference))
    }

    fn view(&self, reference: &Reference) -> Option<SaleView<Progress>> {
        self.live.get(reference).cloned()
    }

    fn intent(&self, reference: &Reference) -> Entry {
        let view = self.view(reference).expect("the sale is under way");
        Entry::SaleIntended(SaleIntended {
            reference: view.reference,
            owner: view.owner,
            amount: view.amount,
            reader: DeviceName::new("front").expect("this is a name"),
            key: DebitKey {
                card: CardId::new(Scheme::Pboc, CARD),
                terminal_number: [1, 2, 3, 4, 5, 6],
                terminal_sn: self.operations,
            },
            attempt: SchemeBytes::new(Scheme::Pboc, vec![1]).expect("one byte fits"),
            pin_verified: true,
            parameters_version: 0,
            generation: 0,
        })
    }

    fn paid(&self, reference: &Reference, proof: PaidProof) -> Entry {
        let operation = self.ended.get(reference).expect("the debit was intended");
        Entry::SalePaid(SalePaid {
            amount: operation.amount,
            proof,
            evidence: SchemeBytes::new(Scheme::Pboc, vec![2]).expect("one byte fits"),
            balance_after: Some(Amount::zero(operation.amount.currency())),
            refund_owed: operation.conclusion == Some(Conclusion::Abandoned),
            answer: None,
        })
    }

    fn commit(&mut self, reference: &Reference, entry: Entry) -> News {
        let number = u64::try_from(self.entries.len()).expect("tests make few entries") + 1;
        let (id, step) = match (self.ended.get(reference), self.live.get(reference)) {
            (Some(operation), _) => (operation.id, operation.next_step),
            (None, Some(view)) => (view.operation, 0),
            (None, None) => panic!("the sale is not known"),
        };
        for transfer in entry.transfers() {
            self.books.transfer(transfer).expect("the books can take it");
        }
        let content: Content = Commit {
            operation: id,
            step,
            at: at(number),
            entry,
        }
        .content();
        let digest = [u8::try_from(number % 256).expect("a byte"); 32];
        let head = Head { number, digest };
        let operation = match self.ended.remove(reference) {
            Some(mut operation) => {
                operation.apply(&content, head).expect("the entry follows");
                operation
            }
            None => Operation::begin(&content, head).expect("the entry opens"),
        };
        self.live.remove(reference);
        let view = SaleView::of(&operation);
        self.ended.insert(reference.clone(), operation);
        let recorded = Recorded { head, content };
        self.entries.push(recorded.clone());
        let view = Durable::Sale(view);
        News::Entry { recorded, view }
    }

    fn begin(&mut self, peer: Peer, ask: BeginSale) -> Result<Answered, RequestError> {
        if let Some(operation) = self.ended.get(&ask.reference) {
            let (existing, new) = (
                asked(operation.owner, operation.amount),
                asked(peer.owner, ask.amount),
            );
            return match Refused::by_asked(existing, new) {
                Refused::Exists => Ok(Answered::Told(SaleView::of(operation))),
                refused => Err(refused.into()),
            };
        }
        if let Some(view) = self.view(&ask.reference) {
            return Ok(Answered::Reply(Reply::Sale { is_new: false, view }));
        }
        self.operations += 1;
        let view = SaleView {
            operation: OperationId::new(u128::from(self.operations).to_be_bytes()),
            reference: ask.reference.clone(),
            owner: peer.owner,
            amount: ask.amount,
            reader: ask.reader,
            presentation: 1,
            state: if ask.pin_through_api {
                Progress::WaitingForPin {
                    tries_left: Some(3),
                    through_api: true,
                }
            } else {
                Progress::WaitingForCard
            },
        };
        self.live.insert(ask.reference, view.clone());
        Ok(Answered::Reply(Reply::Sale { is_new: true, view }))
    }

    fn look(&self, peer: Peer, reference: &Reference) -> Result<Answered, RequestError> {
        let answered = match (self.live.get(reference), self.ended.get(reference)) {
            (Some(view), _) => (
                view.owner,
                Answered::Reply(Reply::Sale {
                    is_new: false,
                    view: view.clone(),
                }),
            ),
            (None, Some(operation)) => (operation.owner, Answered::Told(SaleView::of(operation))),
            (None, None) => return Err(RequestError::UnknownReference),
        };
        match answered {
            (owner, answered) if owner == peer.owner || peer.operator => Ok(answered),
            _ => Err(RequestError::NotOwner),
        }
    }

    fn cancel(&mut self, reference: &Reference, news: &mut Vec<News>) {
        let Some(view) = self.view(reference) else {
            return;
        };
        let closed = Entry::SaleClosed(SaleClosed {
            reference: view.reference,
            owner: view.owner,
            amount: view.amount,
            reason: CloseReason::CancelledByPos,
        });
        news.push(self.commit(reference, closed));
    }

    fn conclude(
        &mut self,
        reference: &Reference,
        conclusion: Conclusion,
        news: &mut Vec<News>,
    ) -> Result<(), RequestError> {
        let operation = self.ended.get(reference).ok_or(RequestError::NeverInDoubt)?;
        if !operation.was_in_doubt {
            return Err(RequestError::NeverInDoubt);
        }
        let concluded = SaleConcluded {
            conclusion,
            refund_owed: operation.owed_when(conclusion),
        };
        news.push(self.commit(reference, Entry::SaleConcluded(concluded)));
        Ok(())
    }

    fn answer(
        &mut self,
        peer: Peer,
        request: Request,
        news: &mut Vec<News>,
    ) -> Result<Answered, RequestError> {
        if let Some(answered) = self.answer_load(peer, &request) {
            return answered;
        }
        match request {
            Request::BeginLoad(_) => unreachable!("answered with the loads"),
            Request::BeginSale(ask) => self.begin(peer, ask),
            Request::Attach(reference) => self.look(peer, &reference),
            Request::ProvidePin { reference, pin, .. } => {
                self.look(peer, &reference)?;
                let Some(view) = self.live.get_mut(&reference) else {
                    return Err(RequestError::NoPinExpected);
                };
                view.state = Progress::CheckingPin;
                self.pins.push(format!("{pin:?}"));
                self.look(peer, &reference)
            }
            Request::Cancel(reference) => {
                self.look(peer, &reference)?;
                self.cancel(&reference, news);
                self.look(peer, &reference)
            }
            Request::Conclude(reference, conclusion) => {
                self.look(peer, &reference)?;
                self.conclude(&reference, conclusion, news)?;
                self.look(peer, &reference)
            }
            Request::ReadPurse(reader) => match reader {
                Some(reader) if reader.as_str() != "front" => Err(RequestError::UnknownReader),
                _ => Ok(Answered::Reply(Reply::Purse(purse()))),
            },
            Request::Settle(_) if !peer.operator => Err(RequestError::NotOperator),
            Request::PresentAgain(..) => Ok(Answered::Reply(Reply::PresentedAgain(PresentedAgain {
                count: 1,
                amount: sealed_batch().view.claims.amount,
                has_more: false,
            }))),
            Request::VoidBatch(_) => Ok(Answered::Reply(Reply::Settling(vec![sealed_batch().view]))),
            Request::Settle(currency) => {
                let view = sealed_batch().view;
                let is_asked = currency.is_none_or(|asked| asked == view.currency);
                Ok(Answered::Reply(Reply::Settling(
                    is_asked.then_some(view).into_iter().collect(),
                )))
            }
            Request::Stop => Ok(Answered::Reply(Reply::Stopped)),
        }
    }
}

fn purse() -> PurseView {
    PurseView {
        reader: DeviceName::new("front").expect("this is a name"),
        card: CardId::new(Scheme::Pboc, CARD),
        balance_minor: 1234,
        currency: Some("JPY".parse().expect("this is a currency")),
        start: [0x20, 0x20, 0x01, 0x02],
        expiry: [0x20, 0x39, 0x12, 0x31],
    }
}

async fn engine(mut queue: mpsc::Receiver<Call>, state: Arc<Mutex<State>>, hub: Hub) {
    while let Some(call) = queue.recv().await {
        let mut news = Vec::new();
        {
            let mut state = state.lock().expect("no test panics under the lock");
            if let Some(held) = &mut state.held {
                held.push(call);
                continue;
            }
            let answer = state.answer(call.peer, call.request, &mut news);
            // The asker may have gone.
            drop(call.reply.send(answer));
        }
        news.iter().for_each(|news| hub.publish(news));
    }
}
