//! An engine with a reader and no card, and a store that keeps every rule.

use std::collections::BTreeMap;

use purser_ledger::{
    Amount, AnyOperation, Batches, Books, Commit, Currency, DeviceName, Existing, Find, FindError, Head,
    Monotonic, Now, OperationId, Owner, Reference, Refused, Snapshot, Store, StoreBroken, Wall, admit,
    commit, find,
};
use purser_provider_link::{BankAccount, ProviderName, TerminalName};
use purser_purse::pboc::{IssuerId, Profile, PsamTerminalNumber, SoftwareSam};

use crate::settlement::Enrolment;
use crate::{
    Abilities, BeginLoad, CallId, Config, DeviceEvent, Engine, Input, Limits, LoadAnswer, LoadAsk, LoadEnd,
    LoadPhase, LoadTold, Output, Peer, ProviderFailure, Reply, Request, RequestError, RequestId,
};

const KEYS: &str = "[[purchase_key]]\nversion = 1\nalgorithm = 0\nkey = \"00112233445566778899aabbccddeeff\"\nlevels = [\"asn\"]\n";

pub(super) const CARD_WAIT_MS: u64 = 60_000;

const NOW: Now = Now {
    monotonic: Monotonic(0),
    wall: Wall {
        unix_seconds: 1_800_000_000,
        utc_offset_seconds: 0,
        trusted: true,
    },
};

pub(super) fn yen(minor: u64) -> Amount {
    let jpy: Currency = "JPY".parse().unwrap();
    Amount::new(minor, jpy).unwrap()
}

pub(super) fn begin(reference: &str, number: u8, minor: u64) -> BeginLoad {
    BeginLoad {
        reference: Reference::new(reference).unwrap(),
        load: OperationId::new([number; 16]),
        amount: yen(minor),
        reader: None,
        pin_through_api: false,
    }
}

/// Keeps operations by the rules of every store.
#[derive(Debug, Default)]
pub(super) struct Kept {
    operations: Vec<AnyOperation>,
    books: Books,
    number: u64,
    pub(super) is_full: bool,
}

impl Store for Kept {
    fn append(&mut self, group: &[Commit]) -> Result<Vec<Result<Head, Refused>>, StoreBroken> {
        let mut answers = Vec::new();
        for commit in group {
            let head = Head {
                number: self.number + 1,
                digest: [0; 32],
            };
            let index = self.operations.iter().position(|it| it.id() == commit.operation);
            let named = |it: &&AnyOperation| {
                let opens = commit.entry.opens().map(|(reference, _)| reference);
                opens.is_some() && it.reference() == opens
            };
            let existing = Existing {
                operation: index.map(|index| &self.operations[index]),
                by_reference: self.operations.iter().find(named),
                debit_key_is_taken: false,
                batches: &Batches::new(),
                has_room: !self.is_full,
            };
            answers.push(admit(commit, head, existing, &self.books).map(|(after, books)| {
                self.books = books;
                self.number += 1;
                match index {
                    Some(index) => self.operations[index] = after,
                    None => self.operations.push(after),
                }
                head
            }));
        }
        Ok(answers)
    }

    fn find(&self, query: &Find) -> Result<Option<AnyOperation>, FindError> {
        let Find::Reference(reference) = query;
        let mut all = self.operations.iter();
        Ok(all.find(|it| it.reference() == Some(reference)).cloned())
    }

    fn snapshot(&self) -> Result<Snapshot, StoreBroken> {
        let loads = self.operations.iter().filter_map(AnyOperation::load);
        Ok(Snapshot {
            loads: loads.filter(|load| load.is_open()).cloned().collect(),
            ..Snapshot::default()
        })
    }
}

/// What the engine wants, in short. Commits and finds have been carried out.
#[derive(Debug)]
pub(super) enum Wants {
    Ask(CallId, LoadAsk),
    Told(LoadTold),
    Reply(Result<Reply, RequestError>),
}

pub(super) struct Till {
    pub(super) engine: Engine,
    pub(super) store: Kept,
    pub(super) now: Now,
    pub(super) recorded: Vec<&'static str>,
    requests: u64,
}

impl Till {
    pub(super) fn new() -> Self {
        Self::started(Kept::default(), true)
    }

    pub(super) fn started(store: Kept, has_provider: bool) -> Self {
        let enrolment = Enrolment {
            terminal: TerminalName::new("till-1").unwrap(),
            generation: 0,
            provider: ProviderName::new("provider").unwrap(),
            accounts: vec![BankAccount::new(*b"001200310000042").unwrap()],
        };
        let config = Config {
            terminal_number: PsamTerminalNumber::new([0, 0, 0, 0, 0, 1]),
            profile: Profile::default(),
            issuers: BTreeMap::from([(IssuerId::new([1; 8]), yen(1).currency())]),
            pin_free_up_to: BTreeMap::new(),
            pin_through_api: false,
            pin_pads: BTreeMap::new(),
            card_wait_ms: CARD_WAIT_MS,
            pin_wait_ms: 60_000,
            limits: Limits::default(),
            provider: has_provider.then_some(enrolment),
            built_unix_seconds: 1_790_000_000,
            generation: 0,
        };
        let sam = SoftwareSam::from_credential(KEYS.as_bytes()).unwrap();
        Self {
            engine: Engine::resume(config, sam, store.snapshot().unwrap(), NOW),
            store,
            now: NOW,
            recorded: Vec::new(),
            requests: 0,
        }
    }

    /// The reader is there; gives what the engine has wanted since its start.
    pub(super) fn arrive(&mut self) -> Vec<Wants> {
        self.arrive_as("reader")
    }

    pub(super) fn arrive_as(&mut self, name: &str) -> Vec<Wants> {
        let abilities = Abilities {
            card_reader: true,
            pin_pad: true,
        };
        let name = DeviceName::new(name).unwrap();
        let event = DeviceEvent::Arrived(abilities);
        self.handle(Input::Device { name, event })
    }

    pub(super) fn handle(&mut self, input: Input) -> Vec<Wants> {
        let mut wants = Vec::new();
        let mut inputs = vec![input];
        while let Some(input) = inputs.pop() {
            self.engine.handle(self.now, input);
            while let Some(output) = self.engine.poll_output() {
                match output {
                    Output::Commit(one) => inputs.insert(0, self.commit(one)),
                    Output::Find(id, query) => {
                        let stored = find(&self.store, &query).unwrap();
                        inputs.insert(
                            0,
                            Input::Found {
                                id,
                                stored: Ok(stored),
                            },
                        );
                    }
                    Output::AskProvider(id, ask) => wants.push(Wants::Ask(id, ask)),
                    Output::TellLoad(told) => wants.push(Wants::Told(told.into_act())),
                    Output::Reply(_, reply) => wants.push(Wants::Reply(reply)),
                    Output::HintLoad(_) | Output::Hint(_) => {}
                    other => panic!("nobody has a card here: {other:?}"),
                }
            }
        }
        wants
    }

    fn commit(&mut self, one: Commit) -> Input {
        let mut answers = commit(&mut self.store, std::slice::from_ref(&one)).unwrap();
        match answers.remove(0) {
            Ok(receipt) => {
                self.recorded.push(kind(&one));
                Input::Committed(receipt)
            }
            Err(refused) => Input::Refused {
                operation: one.operation,
                step: one.step,
                refused,
            },
        }
    }

    pub(super) fn ask_as(&mut self, owner: u32, request: Request) -> Vec<Wants> {
        self.requests += 1;
        let peer = Peer {
            owner: Owner(owner),
            operator: false,
        };
        self.handle(Input::Request {
            id: RequestId(self.requests),
            peer,
            request,
            random: [0x33; 16],
        })
    }

    pub(super) fn ask(&mut self, request: Request) -> Vec<Wants> {
        self.ask_as(7, request)
    }

    pub(super) fn refusal(&mut self, request: Request) -> RequestError {
        match &self.ask(request)[..] {
            [Wants::Reply(Err(error))] => *error,
            other => panic!("it is refused: {other:?}"),
        }
    }

    /// A load that waits for a card.
    pub(super) fn begun(&mut self, reference: &str, number: u8) {
        self.arrive();
        let wants = self.ask(Request::BeginLoad(begin(reference, number, 300)));
        let [Wants::Ask(call, _)] = &wants[..] else {
            panic!("the provider is asked: {wants:?}");
        };
        let wants = self.stands(*call, LoadPhase::Open);
        assert!(
            matches!(&wants[..], [Wants::Reply(Ok(Reply::Load { is_new: true, .. }))]),
            "{wants:?}"
        );
    }

    pub(super) fn answered(
        &mut self,
        id: CallId,
        answered: Result<LoadAnswer, ProviderFailure>,
    ) -> Vec<Wants> {
        self.handle(Input::Provider {
            id,
            answered,
            random: [0x33; 16],
        })
    }

    pub(super) fn stands(&mut self, id: CallId, phase: LoadPhase) -> Vec<Wants> {
        let answer = LoadAnswer::Standing {
            phase,
            last_attempt: 0,
            void_challenge: None,
        };
        self.answered(id, Ok(answer))
    }

    pub(super) fn fails(&mut self, id: CallId, name: &'static str, is_transient: bool) -> Vec<Wants> {
        let failure = ProviderFailure {
            name,
            is_transient,
            text: name.to_owned(),
        };
        self.answered(id, Err(failure))
    }

    pub(super) fn wait_ms(&mut self, ms: u64) -> Vec<Wants> {
        self.now.monotonic = self.now.monotonic.after_ms(ms);
        self.handle(Input::Timer)
    }
}

fn kind(commit: &Commit) -> &'static str {
    use purser_ledger::Entry;
    match &commit.entry {
        Entry::LoadBegun(_) => "begun",
        Entry::LoadProven(_) => "proven",
        Entry::LoadConfirmed(_) => "confirmed",
        Entry::LoadVoided(_) => "voided",
        Entry::SaleClosed(_) => "closed",
        other => panic!("nobody has a card here: {other:?}"),
    }
}

/// The only thing that is wanted: the provider is asked.
pub(super) fn asked(wants: &[Wants]) -> (CallId, LoadAsk) {
    match wants {
        [Wants::Ask(id, ask)] => (*id, ask.clone()),
        other => panic!("the provider is asked: {other:?}"),
    }
}

/// The only thing that is wanted: this end is told, to so many requests.
pub(super) fn told(wants: &[Wants]) -> (LoadEnd, usize) {
    match wants {
        [Wants::Told(told)] => (told.view.state.end, told.requests.len()),
        other => panic!("an end is told: {other:?}"),
    }
}
