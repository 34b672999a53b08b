//! The link between terminal and provider, message by message, and the reader that counts.

use purser_engine::settlement::{
    Counter, Pages, ProviderFailure, SendBatch, SettleAnswer, Settleable, items,
};
use purser_engine::{CallId, Input};
use purser_provider_link::{Item, Permit, PermitCheck};

use super::provider::Answer;
use super::{Fate, Message, World};

/// A batch on its way to the provider.
pub(super) struct Run {
    call: CallId,
    send: SendBatch,
    state: State,
}

enum State {
    Announcing,
    Sending(u32),
    Asking,
    /// The verdicts are fetched, page by page.
    Checking(Box<Permit>, Box<PermitCheck>, u32),
}

/// What comes of one message.
#[expect(clippy::large_enum_variant, reason = "it lives for one step")]
enum Then {
    Next(State),
    Ends(Result<SettleAnswer, ProviderFailure>),
}

impl Run {
    pub(super) fn new(call: CallId, send: SendBatch) -> Self {
        Self {
            call,
            send,
            state: State::Announcing,
        }
    }
}

fn failed(name: &'static str, is_transient: bool) -> Then {
    Then::Ends(Err(ProviderFailure {
        name,
        is_transient,
        text: name.to_owned(),
    }))
}

impl World {
    /// The journal's reader counts a batch.
    pub(super) fn count(&mut self) {
        let (call, asked) = self.counting.remove(0);
        let (currency, after) = (asked.currency, asked.after);
        let (upto, open) = self.store.range(currency);
        let mut counter = Counter::new(asked);
        let mut read_to = after;
        loop {
            let page = self.store.settleable(currency, read_to, upto);
            let Some(last) = page.last() else { break };
            read_to = last.entry;
            for settleable in &page {
                counter.take(settleable).expect("the store is whole");
            }
        }
        let counted = counter.finish(upto, false, open).map_err(|_| ProviderFailure {
            name: "journal_damaged",
            is_transient: false,
            text: String::new(),
        });
        self.inputs.push_back(Input::Counted { id: call, counted });
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

    /// The next message of the oldest run.
    pub(super) fn link(&mut self, fate: Fate) {
        let run = self.links.remove(0);
        let then = if fate == Fate::Lost {
            failed("no_line", true)
        } else {
            let then = self.deliver(&run, fate == Fate::Twice);
            if fate == Fate::Unanswered {
                failed("no_answer", true)
            } else {
                then
            }
        };
        match then {
            Then::Next(state) => self.links.push(Run { state, ..run }),
            Then::Ends(answered) => {
                let random = self.rng.sixteen_bytes();
                self.inputs.push_back(Input::Settled {
                    id: run.call,
                    answered,
                    random,
                });
            }
        }
    }

    fn deliver(&mut self, run: &Run, is_twice: bool) -> Then {
        let id = run.send.batch.id;
        let now = self.now.wall.unix_seconds;
        match &run.state {
            State::Announcing => {
                self.sent
                    .push(Message::Announce(Box::new(run.send.batch.clone())));
                let first = self.provider.announce(&run.send.batch);
                let answer = if is_twice {
                    self.provider.announce(&run.send.batch)
                } else {
                    first
                };
                after_announcement(answer)
            }
            State::Sending(number) => {
                let items = self.items(&run.send, *number);
                if items.is_empty() {
                    return Then::Next(State::Asking);
                }
                self.sent.push(Message::Page(id, *number, items.clone()));
                for _ in 0..=u8::from(is_twice) {
                    self.provider.page(id, *number, &items);
                }
                Then::Next(State::Sending(number + 1))
            }
            State::Asking => {
                self.sent.push(Message::AskPermit(id));
                let first = self.provider.permit(id, now);
                let answer = if is_twice {
                    self.provider.permit(id, now)
                } else {
                    first
                };
                match answer {
                    Answer::Permit(permit) => {
                        let check = PermitCheck::begin(run.send.batch.clone());
                        Then::Next(State::Checking(Box::new(permit), Box::new(check), 0))
                    }
                    Answer::Void(void) => Then::Ends(Ok(SettleAnswer::Void {
                        void,
                        signature: vec![1; 64],
                    })),
                    Answer::Wants(_) => failed("pages_missing", true),
                }
            }
            State::Checking(permit, check, number) => self.check_page(run, permit, check, *number),
        }
    }

    fn check_page(&self, run: &Run, permit: &Permit, check: &PermitCheck, number: u32) -> Then {
        let items = self.items(&run.send, number);
        let mut check = check.clone();
        if items.is_empty() {
            return match check.finish(permit) {
                Ok(judged) => Then::Ends(Ok(SettleAnswer::Permit {
                    permit: permit.clone(),
                    signature: vec![1; 64],
                    judged,
                })),
                Err(error) => failed(error.name(), false),
            };
        }
        let page = usize::try_from(number).expect("there are few pages");
        match check.page(&items, &self.provider.verdicts(run.send.batch.id, page)) {
            Ok(()) => Then::Next(State::Checking(
                Box::new(permit.clone()),
                Box::new(check),
                number + 1,
            )),
            Err(error) => failed(error.name(), false),
        }
    }
}

/// The items of one page: few, so that a small batch has several.
const PAGE_ITEMS: usize = 2;

fn after_announcement(answer: Answer) -> Then {
    match answer {
        Answer::Wants(page) => Then::Next(State::Sending(page)),
        Answer::Void(void) => Then::Ends(Ok(SettleAnswer::Void {
            void,
            signature: vec![1; 64],
        })),
        Answer::Permit(_) => unreachable!("an announcement asks for no permit"),
    }
}
