//! The load: S2 to S14 with everything that can go wrong in between.
//!
//! Two loads of one card, one after the other or both at once. The terminal is honest, or a thief's: then it also sends voids
//! with whatever INITIALIZE answers it has kept.

mod arrive;

use std::collections::BTreeSet;

use purser_ledger::{Amount, CardId, Scheme};
use purser_provider_link::Digest;
use purser_provider_rules::Evidence;
use purser_provider_rules::load::{Initialized, LoadRecord, Phase, VoidChallenge};

use super::Planted;
use super::explore::{Model, Rest};

pub(super) struct Load {
    pub(super) planted: Planted,
    pub(super) is_thief: bool,
    /// 1 for everything about one load; 2 for a second load of the same card, which its bank has booked at once.
    pub(super) loads: usize,
}

const LOADS: usize = 2;
/// Attempts of one load.
const ATTEMPTS_MAX: u8 = 3;
/// Void challenges of one load.
const CHALLENGES_MAX: u8 = 2;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Message {
    Debit(usize),
    Approved(usize),
    Reverse(usize),
    Reversed(usize),
    Attempt {
        load: usize,
        number: u8,
        initialize: usize,
    },
    Mac2 {
        load: usize,
        initialize: usize,
    },
    Confirm(usize),
    Confirmed(usize),
    AskVoid(usize),
    Challenge {
        load: usize,
        challenge: u8,
    },
    ProveVoid {
        load: usize,
        initialize: usize,
    },
    Void(usize),
}

/// What the terminal's journal says of a load.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Journal {
    Nothing,
    Asked,
    Booked,
    /// So many attempts have been recorded, each before it was sent.
    Trying(u8),
    HasTac,
    Voiding,
    Voided,
    /// Given up before the bank's approval came: reversed until it is acknowledged.
    Unanswered,
    Loaded,
    Reversed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Bank {
    Nothing,
    Booked,
    Reversed,
}

/// An answer of the card to INITIALIZE FOR LOAD; its number stands for the card's random bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Initialize {
    online_sn: u16,
    over: Option<(usize, u8)>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Card {
    is_in: bool,
    online_sn: u16,
    credited: [u8; LOADS],
    /// Whose load it executed last: what PROVE hands out.
    last: Option<usize>,
    /// The INITIALIZE that a CREDIT may follow. Lost with the power.
    initialized: Option<usize>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct State {
    card: Card,
    answers: Vec<Initialize>,
    journal: [Journal; LOADS],
    /// The terminal's memory: the INITIALIZE that its newest attempt was made of, while the card is in.
    trying: Option<(usize, usize)>,
    provider: [Option<LoadRecord>; LOADS],
    challenges: [u8; LOADS],
    bank: [Bank; LOADS],
    sent: BTreeSet<Message>,
}

#[derive(Clone, Copy, Debug)]
#[allow(dead_code, reason = "what a step is about is shown in the way to a finding")]
pub(super) enum Step {
    Begin(usize),
    InsertCard,
    RemoveCard,
    TerminalCrashes,
    Try(usize),
    Credit(usize),
    CreditTornBefore(usize),
    CreditTornAfter(usize),
    FetchTac(usize),
    GiveUp(usize),
    InitializeForVoid(usize, u8),
    Arrives(Message),
    /// The thief has the bank reverse, or sends an answer that it kept.
    Steals(Message),
}

fn amount() -> Amount {
    Amount::new(300, "JPY".parse().expect("JPY is a currency")).expect("300 is an amount")
}

fn card() -> CardId {
    CardId::new(Scheme::Pboc, [1; 10])
}

fn byte(number: usize) -> u8 {
    u8::try_from(number).expect("the model is small")
}

fn void_challenge(challenge: u8) -> VoidChallenge {
    VoidChallenge([challenge; 6])
}

impl State {
    fn send(&mut self, message: Message) {
        self.sent.insert(message);
    }

    fn initialize(&mut self, over: Option<(usize, u8)>) -> usize {
        self.answers.push(Initialize {
            online_sn: self.card.online_sn,
            over,
        });
        let number = self.answers.len() - 1;
        self.card.initialized = Some(number);
        self.trying = None;
        number
    }

    fn power_off(&mut self) {
        self.card.initialized = None;
        self.trying = None;
    }

    fn execute(&mut self, load: usize) {
        self.card.credited[load] += 1;
        self.card.online_sn += 1;
        self.card.last = Some(load);
        self.card.initialized = None;
    }

    fn has_mac2(&self, load: usize, initialize: usize) -> bool {
        self.sent.contains(&Message::Mac2 { load, initialize })
    }

    fn initialized(&self, initialize: usize) -> Initialized {
        Initialized {
            card: card(),
            online_sn: self.answers[initialize].online_sn,
            mac1: Evidence::Valid,
            content: Digest([byte(initialize); 32]),
        }
    }
}

impl Model for Load {
    type State = State;
    type Step = Step;

    fn start(&self) -> State {
        State {
            card: Card {
                is_in: false,
                online_sn: 7,
                credited: [0; LOADS],
                last: None,
                initialized: None,
            },
            answers: Vec::new(),
            journal: [Journal::Nothing; LOADS],
            trying: None,
            provider: [None, None],
            challenges: [0; LOADS],
            bank: [Bank::Nothing; LOADS],
            sent: BTreeSet::new(),
        }
    }

    fn is_fault(step: Step) -> bool {
        match step {
            Step::TerminalCrashes
            | Step::CreditTornBefore(_)
            | Step::CreditTornAfter(_)
            | Step::Steals(_) => true,
            Step::Begin(_)
            | Step::InsertCard
            | Step::RemoveCard
            | Step::Try(_)
            | Step::Credit(_)
            | Step::FetchTac(_)
            | Step::GiveUp(_)
            | Step::InitializeForVoid(..)
            | Step::Arrives(_) => false,
        }
    }

    fn steps(&self, state: &State, steps: &mut Vec<(Step, State)>) {
        let mut take = |step, change: &dyn Fn(&mut State)| {
            let mut after = state.clone();
            change(&mut after);
            if after != *state {
                steps.push((step, after));
            }
        };
        if state.card.is_in {
            take(Step::RemoveCard, &|it| {
                it.card.is_in = false;
                it.power_off();
            });
        } else {
            take(Step::InsertCard, &|it| it.card.is_in = true);
        }
        take(Step::TerminalCrashes, &State::power_off);
        for load in 0..self.loads {
            self.at_terminal(state, load, &mut take);
        }
        for message in &state.sent {
            take(Step::Arrives(*message), &|it| self.arrive(it, *message));
        }
        if self.is_thief {
            for initialize in 0..state.answers.len() {
                for load in 0..LOADS {
                    let message = Message::ProveVoid { load, initialize };
                    take(Step::Steals(message), &|it| self.arrive(it, message));
                }
            }
        }
    }

    fn check(&self, state: &State) -> Result<(), &'static str> {
        for load in 0..LOADS {
            let credited = state.card.credited[load];
            let phase = state.provider[load].as_ref().map(LoadRecord::phase);
            let told = |message| state.sent.contains(&message);
            let wrong = [
                (credited > 1, "a load is on the card twice"),
                (
                    credited > 0 && state.bank[load] == Bank::Reversed,
                    "the buyer has the value and the money",
                ),
                (
                    credited > 0 && state.bank[load] != Bank::Booked,
                    "there is value on a card that nobody paid for",
                ),
                (
                    credited > 0 && phase == Some(Phase::Voided),
                    "a void load is on the card",
                ),
                (
                    credited == 0 && phase == Some(Phase::Done),
                    "a load is done that is not on the card",
                ),
                (
                    credited > 0 && !matches!(phase, Some(Phase::Released | Phase::Done)),
                    "there is value on a card that the provider does not know of",
                ),
                (
                    told(Message::Confirmed(load)) && told(Message::Void(load)),
                    "a load is told as done and as void",
                ),
            ];
            if let Some((_, what)) = wrong.iter().find(|(is_wrong, _)| *is_wrong) {
                return Err(what);
            }
        }
        Ok(())
    }

    fn rest(&self, state: &State) -> Rest {
        let is_over = |load: usize| {
            let is_in_doubt = state.provider[load]
                .as_ref()
                .is_some_and(|it| it.phase() == Phase::Released);
            match state.journal[load] {
                Journal::Nothing => true,
                Journal::Loaded => state.card.credited[load] == 1 && state.bank[load] == Bank::Booked,
                Journal::Reversed => state.card.credited[load] == 0 && !is_in_doubt,
                _ => false,
            }
        };
        let is_used_up = state.answers.len() == self.initializes_max()
            || state.challenges.contains(&CHALLENGES_MAX)
            || state.journal.contains(&Journal::Trying(ATTEMPTS_MAX));
        if (0..LOADS).all(is_over) {
            Rest::Reached
        } else if is_used_up {
            Rest::RanOut
        } else {
            Rest::Moving
        }
    }
}

impl Load {
    /// How often INITIALIZE is sent: attempts and voids in any mixture.
    fn initializes_max(&self) -> usize {
        if self.loads == 1 { 6 } else { 4 }
    }

    /// What the terminal can do about one load.
    fn at_terminal(&self, state: &State, load: usize, take: &mut impl FnMut(Step, &dyn Fn(&mut State))) {
        let may_initialize = state.card.is_in && state.answers.len() < self.initializes_max();
        match state.journal[load] {
            Journal::Nothing if load == 0 => take(Step::Begin(load), &|it| {
                it.journal[load] = Journal::Asked;
                it.send(Message::Debit(load));
            }),
            Journal::Nothing => take(Step::Begin(load), &|it| {
                it.journal[load] = Journal::Booked;
                it.bank[load] = Bank::Booked;
            }),
            Journal::Asked => take(Step::GiveUp(load), &|it| {
                it.journal[load] = Journal::Unanswered;
                it.send(Message::Reverse(load));
            }),
            Journal::Booked | Journal::Trying(_) => {
                let number = match state.journal[load] {
                    Journal::Trying(number) => number + 1,
                    _ => 1,
                };
                if may_initialize && number <= ATTEMPTS_MAX {
                    take(Step::Try(load), &|it| {
                        let initialize = it.initialize(None);
                        it.journal[load] = Journal::Trying(number);
                        it.trying = Some((load, initialize));
                        it.send(Message::Attempt {
                            load,
                            number,
                            initialize,
                        });
                    });
                }
                take(Step::GiveUp(load), &|it| {
                    it.journal[load] = Journal::Voiding;
                    it.trying = None;
                    it.send(Message::AskVoid(load));
                    if self.planted == Planted::ReversalWithoutVoid {
                        it.send(Message::Reverse(load));
                    }
                });
            }
            Journal::Voiding if may_initialize => {
                for challenge in 1..=state.challenges[load] {
                    if state.sent.contains(&Message::Challenge { load, challenge }) {
                        take(Step::InitializeForVoid(load, challenge), &|it| {
                            let initialize = it.initialize(Some((load, challenge)));
                            it.send(Message::ProveVoid { load, initialize });
                        });
                    }
                }
            }
            _ => {}
        }
        self.credit(state, load, take);
        let wants_tac = matches!(state.journal[load], Journal::Trying(_) | Journal::Voiding);
        if wants_tac && state.card.is_in && state.card.last == Some(load) {
            take(Step::FetchTac(load), &|it| {
                it.journal[load] = Journal::HasTac;
                it.power_off();
                it.send(Message::Confirm(load));
            });
        }
    }

    fn credit(&self, state: &State, load: usize, take: &mut impl FnMut(Step, &dyn Fn(&mut State))) {
        let Some(initialize) = state.card.initialized else {
            return;
        };
        let is_due = state.trying == Some((load, initialize)) || self.is_thief;
        if !is_due || !state.has_mac2(load, initialize) {
            return;
        }
        take(Step::Credit(load), &|it| {
            it.execute(load);
            it.trying = None;
            if matches!(it.journal[load], Journal::Trying(_)) {
                it.journal[load] = Journal::HasTac;
                it.send(Message::Confirm(load));
            }
        });
        take(Step::CreditTornBefore(load), &|it| {
            it.card.is_in = false;
            it.power_off();
        });
        take(Step::CreditTornAfter(load), &|it| {
            it.execute(load);
            it.card.is_in = false;
            it.power_off();
        });
    }
}
