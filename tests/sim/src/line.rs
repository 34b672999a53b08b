//! The line between a terminal and the provider, message by message, and the reader that counts what is to be settled.

use purser_engine::settlement::{
    CountBatch, Counted, Counter, Pages, ProviderFailure, SendBatch, SettleAnswer, Settleable, items,
};
use purser_engine::{CallId, Input, LoadAnswer, LoadAsk, SendAttempt};
use purser_provider_link::{BatchVoid, Item, Permit, PermitCheck};

use crate::provider::batches::Answer;
use crate::provider::loads::failure;
use crate::provider::{Heard, Message, Provider};
use crate::store::SimStore;

/// The items of one page: few, so that a small batch has several.
const PAGE_ITEMS: usize = 2;

/// What becomes of a message and its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// Both arrive.
    Arrives,
    /// The message arrives twice.
    Twice,
    /// The message does not arrive now. It may still be on its way.
    Lost,
    /// The message arrives, its answer does not.
    Unanswered,
}

/// One call of the engine to the provider, and how far it has come.
pub(crate) struct Talk {
    pub(crate) call: CallId,
    about: About,
}

enum About {
    Batch(Box<SendBatch>, State),
    Void(Box<SendBatch>),
    Ask(LoadAsk),
    Attempt(SendAttempt),
}

/// How far a batch has come.
enum State {
    Announcing,
    Sending(u32),
    Asking,
    /// The verdicts are fetched, page by page.
    Checking(Box<Permit>, Box<PermitCheck>, u32),
}

/// What a call is answered with.
#[expect(clippy::large_enum_variant, reason = "it lives for one step")]
pub(crate) enum Answered {
    Settled(Result<SettleAnswer, ProviderFailure>),
    Load(Result<LoadAnswer, ProviderFailure>),
}

impl Answered {
    pub(crate) fn input(self, id: CallId, random: [u8; 16]) -> Input {
        match self {
            Self::Settled(answered) => Input::Settled { id, answered, random },
            Self::Load(answered) => Input::Provider { id, answered, random },
        }
    }
}

/// What comes of one message.
#[expect(clippy::large_enum_variant, reason = "it lives for one step")]
pub(crate) enum Went {
    /// The next one can be sent.
    On(Talk),
    /// The call has its answer.
    Ends(CallId, Answered),
}

impl Talk {
    pub(crate) fn settle(call: CallId, send: SendBatch) -> Self {
        let about = About::Batch(Box::new(send), State::Announcing);
        Self { call, about }
    }

    pub(crate) fn void(call: CallId, send: SendBatch) -> Self {
        let about = About::Void(Box::new(send));
        Self { call, about }
    }

    pub(crate) fn ask(call: CallId, ask: LoadAsk) -> Self {
        let about = About::Ask(ask);
        Self { call, about }
    }

    pub(crate) fn attempt(call: CallId, send: SendAttempt) -> Self {
        let about = About::Attempt(send);
        Self { call, about }
    }
}

/// The line that a talk goes over: what it reads, whom it asks, and what was ever sent.
pub(crate) struct Line<'a> {
    pub(crate) store: &'a SimStore,
    pub(crate) provider: &'a mut Provider,
    pub(crate) sent: &'a mut Vec<Message>,
    pub(crate) now_unix_seconds: i64,
}

/// How a settlement goes on.
type Step = Result<State, Ending>;

/// How a settlement ends: boxed, as it is seldom and large.
type Ending = Box<Result<SettleAnswer, ProviderFailure>>;

impl Line<'_> {
    /// Sends a talk's next message.
    pub(crate) fn go_on(&mut self, talk: Talk, fate: Fate) -> Went {
        let call = talk.call;
        let answered = match talk.about {
            About::Ask(ask) => Answered::Load(self.load(Message::Ask(ask), fate)),
            About::Attempt(send) => Answered::Load(self.load(Message::Attempt(send), fate)),
            About::Void(send) => Answered::Settled(self.void(&send, fate)),
            About::Batch(send, state) => match self.batch(&send, state, fate) {
                Ok(state) => {
                    let about = About::Batch(send, state);
                    return Went::On(Talk { call, about });
                }
                Err(answered) => Answered::Settled(*answered),
            },
        };
        Went::Ends(call, answered)
    }

    /// The provider's answer; none where the line lost it.
    fn send(&mut self, message: Message, fate: Fate) -> Option<Heard> {
        let times = match fate {
            Fate::Lost => 0,
            Fate::Arrives | Fate::Unanswered => 1,
            Fate::Twice => 2,
        };
        let mut heard = None;
        for _ in 0..times {
            heard = Some(self.provider.hear(&message, self.now_unix_seconds));
        }
        self.sent.push(message);
        heard.filter(|_| fate != Fate::Unanswered)
    }

    fn load(&mut self, message: Message, fate: Fate) -> Result<LoadAnswer, ProviderFailure> {
        match self.send(message, fate) {
            Some(Heard::Load(answered)) => answered,
            _ => Err(failure("LineLost", true)),
        }
    }

    fn void(&mut self, send: &SendBatch, fate: Fate) -> Result<SettleAnswer, ProviderFailure> {
        match self.send(Message::Void(Box::new(send.batch.clone())), fate) {
            Some(Heard::Batch(Answer::Void(void))) => Ok(voided(void)),
            Some(_) => Err(failure("Permitted", false)),
            None => Err(failure("LineLost", true)),
        }
    }

    fn batch(&mut self, send: &SendBatch, state: State, fate: Fate) -> Step {
        let id = send.batch.id;
        match state {
            State::Announcing => {
                let announced = Message::Announce(Box::new(send.batch.clone()));
                match self.ask(announced, fate)? {
                    Answer::Wants(page) => Ok(State::Sending(page)),
                    Answer::Void(void) => Err(Box::new(Ok(voided(void)))),
                    Answer::Permit(_) => unreachable!("an announcement asks for no permit"),
                }
            }
            State::Sending(number) => {
                let items = self.items(send, number);
                if items.is_empty() {
                    return Ok(State::Asking);
                }
                match self.send(Message::Page(id, number, items), fate) {
                    Some(_) => Ok(State::Sending(number + 1)),
                    None => Err(Box::new(Err(failure("LineLost", true)))),
                }
            }
            State::Asking => match self.ask(Message::AskPermit(id), fate)? {
                Answer::Permit(permit) => {
                    let check = PermitCheck::begin(send.batch.clone());
                    Ok(State::Checking(Box::new(permit), Box::new(check), 0))
                }
                Answer::Void(void) => Err(Box::new(Ok(voided(void)))),
                Answer::Wants(_) => Err(Box::new(Err(failure("pages_missing", true)))),
            },
            State::Checking(..) if matches!(fate, Fate::Lost | Fate::Unanswered) => {
                Err(Box::new(Err(failure("LineLost", true))))
            }
            State::Checking(permit, check, number) => self.check_page(send, permit, *check, number),
        }
    }

    fn ask(&mut self, message: Message, fate: Fate) -> Result<Answer, Ending> {
        match self.send(message, fate) {
            Some(Heard::Batch(answer)) => Ok(answer),
            _ => Err(Box::new(Err(failure("LineLost", true)))),
        }
    }

    fn check_page(&self, send: &SendBatch, permit: Box<Permit>, mut check: PermitCheck, number: u32) -> Step {
        let items = self.items(send, number);
        if items.is_empty() {
            return Err(Box::new(match check.finish(&permit) {
                Ok(judged) => Ok(SettleAnswer::Permit {
                    permit: *permit,
                    signature: vec![1; 64],
                    judged,
                }),
                Err(error) => Err(failure(error.name(), false)),
            }));
        }
        let page = usize::try_from(number).expect("there are few pages");
        match check.page(&items, &self.provider.verdicts(send.batch.id, page)) {
            Ok(()) => Ok(State::Checking(permit, Box::new(check), number + 1)),
            Err(error) => Err(Box::new(Err(failure(error.name(), false)))),
        }
    }

    /// The items of a page, from the journal as it is now.
    fn items(&self, send: &SendBatch, number: u32) -> Vec<Item> {
        let currency = send.batch.claimed.currency();
        let mut pages = Pages::new(send.after, PAGE_ITEMS);
        let read = |after| {
            Ok::<Vec<Settleable>, items::NotSettleable>(self.store.settleable(currency, after, send.upto))
        };
        let mut page = Vec::new();
        for _ in 0..=number {
            page = pages.next(read).expect("the store is whole");
        }
        page
    }
}

fn voided(void: BatchVoid) -> SettleAnswer {
    SettleAnswer::Void {
        void,
        signature: vec![1; 64],
    }
}

/// The journal's reader counts a batch.
pub(crate) fn count(store: &SimStore, asked: CountBatch) -> Result<Option<Counted>, ProviderFailure> {
    let (currency, after) = (asked.currency, asked.after);
    let (upto, open) = store.range(currency);
    let mut counter = Counter::new(asked);
    let mut read_to = after;
    loop {
        let page = store.settleable(currency, read_to, upto);
        let Some(last) = page.last() else { break };
        read_to = last.entry;
        for settleable in &page {
            counter.take(settleable).expect("the store is whole");
        }
    }
    counter
        .finish(upto, false, open)
        .map_err(|_| failure("journal_damaged", false))
}
