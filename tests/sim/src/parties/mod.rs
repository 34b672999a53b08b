//! Both parties in one world: two terminals of a merchant, one of them the provider's counter, the provider, and the cards that
//! are carried between them.
//!
//! Cards are loaded, pay, and are torn; claims are settled; every message to the provider may be lost, come late, twice or again,
//! and its answer may be lost; all that can go wrong with a sale goes wrong too. After every step the money of the whole world is
//! counted; at the end every load has its end and every claim its permit, and both parties' books say the same.

mod check;
mod drain;
mod errands;
mod till;
mod told;

pub(crate) use errands::Errands;
pub(crate) use till::LoadTicket;

use std::collections::VecDeque;
use std::sync::Arc;

use purser_engine::settlement::CountBatch;
use purser_engine::{CallId, Input, Output, QueryTold};
use purser_lab::card::CardReply;
use purser_ledger::LoadStanding;
use purser_provider_link::TerminalName;
use purser_purse::CommandApdu;

use crate::fault::FaultKind;
use crate::flaw::Flaw;
use crate::kit::{SHOPS, enrolment};
use crate::line::{self, Fate, Line, Talk, Went};
use crate::provider::{Issuer, Provider};
use crate::rule::{Violation, hold};
use crate::trace::tell;
use crate::world::{Credit, Step, World};

/// What is under way between a terminal and its provider.
#[derive(Default)]
pub(crate) struct Uplink {
    counting: VecDeque<(CallId, CountBatch)>,
    talks: VecDeque<Talk>,
    /// What becomes of the next messages.
    pub(crate) fates: VecDeque<Fate>,
    /// Steps for which nothing gets on.
    pub(crate) stalled: u32,
    /// The data of every CREDIT FOR LOAD that was sent.
    credits_sent: Vec<Vec<u8>>,
}

impl Uplink {
    pub(crate) fn is_idle(&self) -> bool {
        self.counting.is_empty() && self.talks.is_empty()
    }

    /// True when a message is on its way.
    pub(crate) fn is_talking(&self) -> bool {
        !self.talks.is_empty()
    }

    /// The process that asked is gone. What it sent may still arrive.
    pub(crate) fn forget(&mut self) {
        self.counting.clear();
        self.talks.clear();
    }

    pub(crate) fn steps(&self, s: usize, into: &mut Vec<Step>) {
        if !self.counting.is_empty() {
            into.push(Step::Count(s));
        }
        if !self.talks.is_empty() && self.stalled == 0 {
            into.push(Step::Line(s));
        }
    }
}

pub(crate) fn terminal(s: usize) -> TerminalName {
    enrolment(s).terminal
}

impl World {
    /// The provider takes part: it has issued the cards, and enrolled the terminals.
    pub(crate) fn enrol(&mut self) {
        let issuer = Issuer::Keys(Arc::clone(&self.kit));
        let mut provider = Provider::new(self.kit.amount(0), issuer, self.flaw);
        for plastic in &self.cards {
            let made = plastic.card.personalisation();
            provider.issue(made.serial.0, &made.keys, self.kit.amount(plastic.opening));
        }
        for s in 0..SHOPS {
            let shop = &mut self.shops[s];
            let mut config = shop.config.clone().unwrap_or_else(|| self.kit.configs[s].clone());
            config.provider = Some(enrolment(s));
            let number = *config.terminal_number.as_bytes();
            provider.terminals.insert(terminal(s), number);
            shop.config = Some(config);
        }
        self.provider = Some(provider);
    }

    /// Carries out what the provider takes part in.
    pub(crate) fn poll_party(&mut self, s: usize, output: Output) -> Result<(), Violation> {
        let uplink = &mut self.shops[s].uplink;
        match output {
            Output::Count(call, asked) => uplink.counting.push_back((call, asked)),
            Output::Settle(call, send) => uplink.talks.push_back(Talk::settle(call, send.into_act())),
            Output::Void(call, send) => uplink.talks.push_back(Talk::void(call, send.into_act())),
            Output::AskProvider(call, ask) => uplink.talks.push_back(Talk::ask(call, ask)),
            Output::Attempt(call, send) => uplink.talks.push_back(Talk::attempt(call, send.into_act())),
            Output::TellBatch(told) => return self.batch_told(s, &told.into_act().view),
            Output::TellLoad(told) => {
                let mut told = told.into_act();
                self.distort_load(&mut told);
                return self.load_told(s, &told);
            }
            Output::HintLoad(view) => self.shops[s].pos.load_hint(&view),
            // This provider never learns of a sale: its card tells, or nobody.
            Output::QuerySale(id, _) => self.hand(
                s,
                Input::Queried {
                    id,
                    answered: Ok(QueryTold::NotYet),
                    random: [0; 16],
                },
            ),
            Output::HintBatch(_) | Output::AcknowledgeHotList(_) => {}
            other => unreachable!("this is no business of the provider's: {other:?}"),
        }
        Ok(())
    }

    /// The journal's reader counts.
    pub(crate) fn count(&mut self, s: usize) {
        if let Some((id, asked)) = self.shops[s].uplink.counting.pop_front() {
            let counted = line::count(&self.shops[s].store, asked);
            self.hand(s, Input::Counted { id, counted });
        }
    }

    /// The next message goes over a shop's line; where several talks are under way, of any of them.
    pub(crate) fn go_on(&mut self, s: usize) {
        let shop = &mut self.shops[s];
        let Some(provider) = &mut self.provider else {
            return;
        };
        let fate = shop.uplink.fates.pop_front().unwrap_or(Fate::Arrives);
        let Some(talk) = shop.uplink.talks.pop_front() else {
            return;
        };
        let mut line = Line {
            store: &shop.store,
            provider,
            sent: &mut self.sent,
            now_unix_seconds: shop.clock.now().wall.unix_seconds,
        };
        let went = line.go_on(talk, fate);
        tell!(self, "shop {s}: a message to the provider: {fate:?}");
        self.is_dirty = true;
        match fate {
            Fate::Arrives => {}
            Fate::Lost => self.tally.fault(FaultKind::MessageLost),
            Fate::Unanswered => self.tally.fault(FaultKind::MessageUnanswered),
            Fate::Twice => self.tally.fault(FaultKind::MessageTwice),
        }
        match went {
            Went::On(talk) => self.shops[s].uplink.talks.push_back(talk),
            Went::Ends(call, answered) => {
                let random = self.rng.sixteen_bytes();
                self.hand(s, answered.input(call, random));
            }
        }
    }

    fn hand(&mut self, s: usize, input: Input) {
        self.shops[s].answers.push_back(input);
    }

    /// A message that was sent once arrives, perhaps again.
    pub(crate) fn arrives_late(&mut self) -> bool {
        if self.sent.is_empty() {
            return false;
        }
        let index = self.rng.below(self.sent.len());
        let now = self.shops[0].clock.now().wall.unix_seconds;
        if let Some(provider) = &mut self.provider {
            let message = self.sent[index].clone();
            provider.hear(&message, now);
        }
        self.is_dirty = true;
        true
    }

    /// The card gets CREDIT FOR LOAD; whoever watches the card sees whether it took the value, and of which load.
    pub(crate) fn execute_credit(
        &mut self,
        s: usize,
        card: usize,
        command: &CommandApdu,
    ) -> Result<CardReply, Violation> {
        let sent = &mut self.shops[s].uplink.credits_sent;
        let data = command.data().to_vec();
        hold!(SentOnce, !sent.contains(&data), "shop {s} sent one CREDIT twice");
        sent.push(data);
        let plastic = &mut self.cards[card];
        let before = plastic.balance();
        let reply = plastic.card.process(command.as_bytes());
        let gained = plastic.balance() - before;
        if gained == 0 {
            return Ok(reply);
        }
        let mut times = 1;
        if self.flaw == Flaw::CardCreditsTwice {
            plastic.gain(gained);
            times += 1;
        }
        plastic.loaded = plastic.loaded.saturating_add(plastic.balance() - before);
        let store = &self.shops[s].store;
        let serial = plastic.card.personalisation().serial.0;
        let load = store.loads().iter().find(|load| {
            let is_released = matches!(&load.standing, LoadStanding::Released { attempt, .. } if *attempt.card.serial() == serial);
            is_released && load.amount.minor() == gained && store.is_on_disk(&load.head)
        });
        hold!(
            LoadIsReleased,
            load.is_some(),
            "card {card} takes {gained} at shop {s}, whose disk has no such load released"
        );
        let load = load.expect("it was just seen").id;
        tell!(self, "card {card} TAKES the load of {gained}");
        self.credits
            .extend(std::iter::repeat_n(Credit { card, load }, times));
        self.tally.credits += 1;
        self.is_dirty = true;
        Ok(reply)
    }
}
