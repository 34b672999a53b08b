//! Loads with the product's own engine and ledger, the simulator's store, the lab's card and the provider's own rules.
//!
//! A world of its own: one terminal with one reader and one PIN pad, two cards, and a provider behind a line. A crash may come
//! between any two steps and in every append; the card may leave, or answer nonsense, at every command; every message to the
//! provider may be lost before or after it is acted on, or come twice; the POS may cancel at every step. After every step the
//! value is counted: it is on the card, or void, or owed, and never two of them.
//!
//! * [`exhaustive`]: one story with every one of these, and pairs of them.
//! * [`seeded`]: stories and faults drawn from a seed.

mod check;
mod device;
mod elsewhere;
mod pos;
mod run;
#[cfg(test)]
mod stories;

use std::collections::VecDeque;
use std::sync::Arc;

use purser_engine::{
    Abilities, Answer, CallFailure, CallId, Config, DeviceEvent, Engine, FindId, Input, LoadEnd, LoadOutcome,
    LoadProgress, LoadRefusal, LoadView, Output, Query, QueryTold, Reply, RequestId,
};
use purser_lab::card::{Card, Minor, Opening, PurseKind};
use purser_ledger::{
    Commit, DeviceName, Find, FindError, Monotonic, Now, Reference, Store, Wall, commit, find,
};
use purser_provider_link::LoadId;
use purser_purse::CommandName;
use purser_purse::pboc::Pin;

use crate::flaw::Flaw;
use crate::kit::{BUILT_UNIX_SECONDS, CARDS, CardKind, Kit, PIN, enrolment};
use crate::line::{Fate, Line, Talk, Went};
use crate::provider::{Issuer, Message, Provider};
use crate::rng::Rng;
use crate::store::SimStore;
use crate::told::load_is_kept;

pub use run::{Summary, exhaustive, seeded};

/// What is planted to prove that the checks can fail.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Planted {
    /// Nothing.
    #[default]
    Nothing,
    /// The store answers before it has synced.
    AnswersBeforeSync,
    /// The provider voids a load whose MAC2 has left, without the card's proof.
    VoidsWithoutProof,
    /// The card takes a credit twice.
    CreditsTwice,
    /// The door tells a load that is owed as one that is void, and drops the answers to whoever asked.
    TellsOther,
}

impl Planted {
    /// Every flaw that the counts must find.
    pub const ALL: [Self; 4] = [
        Self::AnswersBeforeSync,
        Self::VoidsWithoutProof,
        Self::CreditsTwice,
        Self::TellsOther,
    ];
}

/// What goes on by itself, in the order in which an undisturbed world does it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Output,
    Input,
    Journal,
    Reader,
    Pad,
    Line,
}

enum Job {
    Commit(Box<Commit>),
    Find(FindId, Find),
}

struct World {
    config: Config,
    kit: Arc<Kit>,
    engine: Option<Engine>,
    is_draining: bool,
    store: SimStore,
    jobs: VecDeque<Job>,
    inputs: VecDeque<Input>,
    line: VecDeque<Talk>,
    sent_messages: Vec<Message>,
    messages: u64,
    cards: Vec<Card>,
    reader: device::Reader,
    pad: Option<CallId>,
    provider: Provider,
    planted: Planted,
    now: Now,
    rng: Rng,
    requests: u64,
    /// Requests that have no answer yet.
    asked: Vec<RequestId>,
    steps: u64,
    /// Every command that reached a card.
    sent: Vec<CommandName>,
    /// How many other loads each card has taken elsewhere.
    loaded_elsewhere: [u32; CARDS],
    /// What each card has paid here.
    paid: [u32; CARDS],
    sales: u32,
    /// The POS sends the PIN.
    pin_through_api: bool,
    presentation: u8,
    /// The buyer presses cancel at the next PIN.
    refuses_pin: bool,
    /// The load was completed at another terminal: this one's journal cannot know.
    is_completed_elsewhere: bool,
    /// What the POS wants of the load.
    wants_void: bool,
    progress: Option<LoadProgress>,
    /// Why cards were refused.
    refusals: Vec<LoadRefusal>,
    /// The last durable word.
    told: Option<LoadEnd>,
    is_stopping: bool,
    is_stopped: bool,
    /// What a rule of the world itself found.
    broken: Option<String>,
}

/// What each card holds at first, in minor units.
const OPENING: u32 = 1_000;

/// What is loaded, in minor units.
const LOADED: u32 = 300;

fn load_id() -> LoadId {
    LoadId([0x4C; 16])
}

fn reference() -> Reference {
    Reference::new("load-1").expect("a name")
}

impl World {
    fn new(kit: &Arc<Kit>, seed: u64, planted: Planted) -> Self {
        let config = Config {
            provider: Some(enrolment(0)),
            ..kit.configs[0].clone()
        };
        let flaw = match planted {
            Planted::AnswersBeforeSync => Flaw::StoreAnswersBeforeSync,
            Planted::VoidsWithoutProof => Flaw::ProviderVoidsWithoutProof,
            Planted::Nothing | Planted::CreditsTwice | Planted::TellsOther => Flaw::None,
        };
        let opening = Opening {
            ed: Minor(0),
            ep: Minor(OPENING),
            sn: 7,
        };
        let issuer = Issuer::Keys(Arc::clone(kit));
        let mut provider = Provider::new(kit.amount(0), issuer, flaw);
        let cards: Vec<Card> = (0..CARDS)
            .map(|number| Card::new(kit.personalisation(CardKind::NeedsPin, number), opening))
            .collect();
        for card in &cards {
            let made = card.personalisation();
            provider.issue(made.serial.0, &made.keys, kit.amount(u64::from(OPENING)));
        }
        provider.open(load_id(), kit.amount(u64::from(LOADED)));
        Self {
            config,
            kit: Arc::clone(kit),
            engine: None,
            is_draining: false,
            store: SimStore::new(flaw),
            jobs: VecDeque::new(),
            inputs: VecDeque::new(),
            line: VecDeque::new(),
            sent_messages: Vec::new(),
            messages: 0,
            cards,
            reader: device::Reader::default(),
            pad: None,
            provider,
            planted,
            now: Now {
                monotonic: Monotonic(1_000),
                wall: Wall {
                    unix_seconds: BUILT_UNIX_SECONDS + 86_400,
                    utc_offset_seconds: 9 * 3600,
                    trusted: true,
                },
            },
            rng: Rng::new(seed),
            requests: 0,
            asked: Vec::new(),
            steps: 0,
            sent: Vec::new(),
            loaded_elsewhere: [0; CARDS],
            paid: [0; CARDS],
            sales: 0,
            pin_through_api: false,
            presentation: 0,
            refuses_pin: false,
            is_completed_elsewhere: false,
            wants_void: false,
            progress: None,
            refusals: Vec::new(),
            told: None,
            is_stopping: false,
            is_stopped: false,
            broken: None,
        }
    }

    fn start(&mut self) {
        let snapshot = self.store.snapshot().expect("the store can be read");
        let engine = Engine::resume(self.config.clone(), self.kit.sam(true), snapshot, self.now);
        self.engine = Some(engine);
        self.is_draining = true;
        let abilities = Abilities {
            card_reader: false,
            pin_pad: true,
        };
        self.event(self.kit.pad.clone(), DeviceEvent::Arrived(abilities));
        self.reader_arrives(&self.kit.readers[0].clone());
    }

    fn event(&mut self, name: DeviceName, event: DeviceEvent) {
        self.inputs.push_back(Input::Device { name, event });
    }

    /// The process is gone, with all that was not synced, and the cards' power with its drivers.
    fn crash(&mut self) {
        self.engine = None;
        self.is_draining = false;
        self.jobs.clear();
        self.inputs.clear();
        self.line.clear();
        self.pad = None;
        self.reader.forget();
        for card in &mut self.cards {
            card.power_off();
        }
        self.asked.clear();
        self.progress = None;
        self.is_stopping = false;
        self.store.crash();
    }

    fn possible(&self) -> Vec<Step> {
        if self.engine.is_none() {
            return Vec::new();
        }
        let can = [
            (self.is_draining, Step::Output),
            (!self.is_draining && !self.inputs.is_empty(), Step::Input),
            (!self.jobs.is_empty(), Step::Journal),
            (!self.reader.calls.is_empty(), Step::Reader),
            (self.pad.is_some(), Step::Pad),
            (!self.line.is_empty(), Step::Line),
        ];
        can.into_iter()
            .filter(|(can, _)| *can)
            .map(|(_, step)| step)
            .collect()
    }

    fn take(&mut self, step: Step, fate: Fate) {
        self.steps += 1;
        self.now.monotonic = self.now.monotonic.after_ms(1);
        match step {
            Step::Output => self.poll(),
            Step::Input => {
                if let Some(input) = self.inputs.pop_front() {
                    self.handle(input);
                }
            }
            Step::Journal => self.write(),
            Step::Reader => self.read_card(),
            Step::Pad => self.enter_pin(),
            Step::Line => self.deliver(fate),
        }
    }

    fn handle(&mut self, input: Input) {
        if let Some(engine) = &mut self.engine {
            engine.handle(self.now, input);
            self.is_draining = true;
        }
    }

    fn poll(&mut self) {
        let Some(output) = self.engine.as_mut().and_then(Engine::poll_output) else {
            self.is_draining = false;
            return;
        };
        match output {
            Output::Commit(commit) => self.jobs.push_back(Job::Commit(Box::new(commit))),
            Output::Find(id, query) => self.jobs.push_back(Job::Find(id, query)),
            Output::Ask(id, _, Query::EnterPin(_)) => self.pad = Some(id),
            Output::Ask(id, _, query) => self.reader.calls.push_back((id, device::Call::of(query))),
            Output::Move(id, _, act) => self
                .reader
                .calls
                .push_back((id, device::Call::act(act.into_act()))),
            Output::Abort(id, _) => {
                if self.pad.take_if(|pad| *pad == id).is_some() {
                    let answer = Err(CallFailure::Cancelled);
                    self.inputs.push_back(Input::Answer { id, answer });
                }
            }
            Output::AskProvider(id, ask) => self.line.push_back(Talk::ask(id, ask)),
            Output::Attempt(id, send) => self.line.push_back(Talk::attempt(id, send.into_act())),
            // This provider never learns of a sale: its card tells, or nobody.
            Output::QuerySale(id, _) => self.inputs.push_back(Input::Queried {
                id,
                answered: Ok(QueryTold::NotYet),
                random: [0; 16],
            }),
            Output::TellLoad(told) => {
                let mut told = told.into_act();
                if self.planted == Planted::TellsOther && matches!(told.view.state.end, LoadEnd::Owed { .. })
                {
                    told.view.state.end = LoadEnd::Voided;
                    told.requests.clear();
                }
                told.requests.iter().for_each(|it| self.takes_answer(*it));
                self.hear(&told.view);
            }
            Output::HintLoad(view) => {
                if let LoadProgress::TakeCardOut { refused: Some(it) }
                | LoadProgress::WaitingForCard { refused: Some(it) } = view.state
                    && !self.refusals.contains(&it)
                {
                    self.refusals.push(it);
                }
                self.presentation = view.presentation;
                self.progress = Some(view.state);
            }
            Output::Reply(request, reply) => {
                self.takes_answer(request);
                match reply {
                    Ok(Reply::Load { view, .. }) => self.progress = Some(view.state),
                    Ok(Reply::Stopped) => self.is_stopped = true,
                    Ok(Reply::Sale { .. }) => {}
                    Ok(_) => self.broken = Some(format!("an answer of another kind: {reply:?}")),
                    // A sale's, or the load's: then it is asked for again.
                    Err(_) => {}
                }
            }
            Output::Tell(told) => {
                let requests = told.into_act().requests;
                requests.into_iter().for_each(|it| self.takes_answer(it));
            }
            Output::Hint(_) => {}
            other => unreachable!("nobody settles here: {other:?}"),
        }
    }

    /// A request has its answer: one, and not another.
    fn takes_answer(&mut self, request: RequestId) {
        match self.asked.iter().position(|it| *it == request) {
            Some(index) => drop(self.asked.swap_remove(index)),
            None => self.broken = Some(format!("{request:?} is answered twice, or was never asked")),
        }
    }

    /// What the POS is told is what the store keeps.
    fn hear(&mut self, view: &LoadView<LoadOutcome>) {
        let end = view.state.end;
        if let Err(broken) = load_is_kept(&self.store, view) {
            self.broken = Some(broken);
        }
        let contradicts = matches!(
            (self.told, end),
            (
                Some(LoadEnd::Loaded { .. }),
                LoadEnd::Voided | LoadEnd::Owed { .. }
            ) | (
                Some(LoadEnd::Voided),
                LoadEnd::Loaded { .. } | LoadEnd::Owed { .. }
            )
        );
        if contradicts {
            self.broken = Some(format!("told {:?}, and then {end:?}", self.told));
        }
        self.told = Some(end);
        self.progress = None;
    }

    fn write(&mut self) {
        match self.jobs.pop_front() {
            Some(Job::Commit(one)) => {
                let Ok(answers) = commit(&mut self.store, std::slice::from_ref(&*one)) else {
                    return self.crash();
                };
                for answer in answers {
                    self.inputs.push_back(match answer {
                        Ok(receipt) => Input::Committed(receipt),
                        Err(refused) => Input::Refused {
                            operation: one.operation,
                            step: one.step,
                            refused,
                        },
                    });
                }
            }
            Some(Job::Find(id, query)) => {
                let stored = find(&self.store, &query).map_err(|error| match error {
                    FindError::Damaged(damaged) => damaged,
                    FindError::Broken(_) => unreachable!("the store can be read"),
                });
                self.inputs.push_back(Input::Found { id, stored });
            }
            None => {}
        }
    }

    fn enter_pin(&mut self) {
        if let Some(id) = self.pad.take() {
            let pin = Pin::from_digits(&mut PIN.as_bytes().to_vec()).expect("a PIN");
            let answer = if std::mem::take(&mut self.refuses_pin) {
                Err(CallFailure::Cancelled)
            } else {
                Ok(Answer::Pin(pin))
            };
            self.inputs.push_back(Input::Answer { id, answer });
        }
    }

    fn deliver(&mut self, fate: Fate) {
        let Some(talk) = self.line.pop_front() else {
            return;
        };
        self.messages += 1;
        let mut line = Line {
            store: &self.store,
            provider: &mut self.provider,
            sent: &mut self.sent_messages,
            now_unix_seconds: self.now.wall.unix_seconds,
        };
        match line.go_on(talk, fate) {
            Went::On(talk) => self.line.push_front(talk),
            Went::Ends(call, answered) => {
                let random = self.rng.sixteen_bytes();
                self.inputs.push_back(answered.input(call, random));
            }
        }
    }

    fn balance(&self, card: usize) -> u32 {
        self.cards[card].balance(PurseKind::Ep).0
    }
}
