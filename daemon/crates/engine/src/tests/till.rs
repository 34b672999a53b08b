//! An engine with one reader that has a PIN pad, cards that answer as good ones do, and a PSAM where one is wanted.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use purser_ledger::{
    Amount, CardId, CloseReason, Commit, Currency, DeviceName, Entry, JournalReceipt, Monotonic, Now, Owner,
    Reference, SaleIntended, Scheme, Snapshot, Wall,
};
use purser_provider_link::{CurrencyLimits, Parameters, ProviderName};
use purser_purse::Protocol;
use purser_purse::pboc::psam::PsamProfile;
use purser_purse::pboc::{IssuerId, Pin, Profile, PsamTerminalNumber, SoftwareSam};

use crate::limits::tests::Anything;
use crate::{
    Abilities, Answer, BeginSale, CallId, Config, DeviceEvent, Engine, HeardParameters, HotListTaken, Input,
    Limits, Output, Peer, PsamSettings, Query, Request, RequestError, RequestId, Sam,
};

const KEYS: &str = "[[purchase_key]]\nversion = 1\nalgorithm = 0\nkey = \"00112233445566778899aabbccddeeff\"\nlevels = [\"asn\"]\n";
pub(crate) const TODAY: i64 = 1_800_000_000;
const NUMBER: [u8; 6] = [0, 0, 0, 0, 0, 1];

/// READ BINARY.
pub(crate) const READ_BINARY: u8 = 0xB0;
/// INITIALIZE FOR PURCHASE.
pub(crate) const INITIALIZE: u8 = 0x50;
/// INIT_SAM_FOR_PURCHASE.
pub(crate) const INIT_SAM: u8 = 0x70;

pub(crate) fn card(serial: u8) -> CardId {
    CardId::new(Scheme::Pboc, [serial; 10])
}

fn yen(minor: u64) -> Amount {
    Amount::new(minor, jpy()).unwrap()
}

fn jpy() -> Currency {
    "JPY".parse().unwrap()
}

fn name(text: &str) -> DeviceName {
    DeviceName::new(text).unwrap()
}

/// Version 1: everything that the till needs is permitted, and nobody is listed.
pub(crate) fn permissive() -> Parameters {
    Parameters {
        provider: ProviderName::new("provider").unwrap(),
        version: 1,
        made_at_unix_seconds: TODAY,
        warn_after_seconds: 1_000,
        stale_after_seconds: 2_000,
        is_software_sam_allowed: true,
        currencies: vec![CurrencyLimits {
            sale_max: yen(500),
            stale_sale_max: yen(100),
        }],
        key_versions: vec![1],
        hot_list_version: 0,
        hot_list: Vec::new(),
    }
}

/// The next version, with these cards on its hot list.
pub(crate) fn listing(cards: &[u8]) -> Parameters {
    Parameters {
        version: 2,
        hot_list_version: 1,
        hot_list: cards.iter().copied().map(card).collect(),
        ..permissive()
    }
}

pub(crate) fn heard_at(parameters: Parameters, heard_at_unix_seconds: i64) -> HeardParameters {
    HeardParameters {
        parameters: Arc::new(parameters),
        heard_at_unix_seconds,
    }
}

/// See the module.
pub(crate) struct Till {
    pub(crate) engine: Engine,
    pub(crate) now: Now,
    store: Anything,
    requests: u64,
    asks: VecDeque<(CallId, DeviceName, Query)>,
    pub(crate) intents: Vec<SaleIntended>,
    pub(crate) closed: Vec<CloseReason>,
    pub(crate) debits: u32,
    pub(crate) acknowledged: Vec<HotListTaken>,
    /// The receipt of an intent that is kept back.
    receipt: Option<JournalReceipt>,
    pub(crate) keeps_receipts: bool,
    psam_sn: u32,
}

impl Till {
    /// With a software SAM, and this as the highest terminal SN in the journal.
    pub(crate) fn software(terminal_sn_max: u32) -> Self {
        let sam = SoftwareSam::from_credential(KEYS.as_bytes()).unwrap();
        Self::new(sam.into(), terminal_sn_max, 0)
    }

    /// With a PSAM, whose next terminal SN is above this one.
    pub(crate) fn psam(terminal_sn_max: u32) -> Self {
        Self::psam_of(0, terminal_sn_max)
    }

    /// The same, as a terminal of this generation.
    pub(crate) fn psam_of(generation: u32, terminal_sn_max: u32) -> Self {
        let settings = PsamSettings {
            reader: name("psam"),
            profile: PsamProfile::default(),
        };
        let mut till = Self::new(settings.into(), terminal_sn_max, generation);
        till.arrive("psam");
        till.device("psam", DeviceEvent::CardInserted);
        till.answer_while(|_| true, 0);
        till
    }

    fn new(sam: Sam, terminal_sn_max: u32, generation: u32) -> Self {
        let config = Config {
            terminal_number: PsamTerminalNumber::new(NUMBER),
            profile: Profile::default(),
            issuers: BTreeMap::from([(IssuerId::new([1; 8]), jpy())]),
            pin_free_up_to: BTreeMap::new(),
            pin_through_api: false,
            pin_pads: BTreeMap::new(),
            card_wait_ms: 60_000,
            pin_wait_ms: 60_000,
            limits: Limits::default(),
            provider: None,
            built_unix_seconds: TODAY - 100_000,
            generation,
        };
        let snapshot = Snapshot {
            terminal_sn_max: Some(terminal_sn_max),
            ..Snapshot::default()
        };
        let now = Now {
            monotonic: Monotonic(0),
            wall: Wall {
                unix_seconds: TODAY,
                utc_offset_seconds: 0,
                trusted: true,
            },
        };
        let mut till = Self {
            engine: Engine::resume(config, sam, snapshot, now),
            now,
            store: Anything::default(),
            requests: 0,
            asks: VecDeque::new(),
            intents: Vec::new(),
            closed: Vec::new(),
            debits: 0,
            acknowledged: Vec::new(),
            receipt: None,
            keeps_receipts: false,
            psam_sn: terminal_sn_max,
        };
        till.arrive("reader");
        till
    }

    fn arrive(&mut self, device: &str) {
        let abilities = Abilities {
            card_reader: true,
            pin_pad: device == "reader",
        };
        self.device(device, DeviceEvent::Arrived(abilities));
    }

    pub(crate) fn device(&mut self, device: &str, event: DeviceEvent) {
        let name = name(device);
        self.take(Input::Device { name, event });
    }

    /// The provider said just now that these are the newest.
    pub(crate) fn hears(&mut self, parameters: Parameters) {
        let heard = heard_at(parameters, self.now.wall.unix_seconds);
        self.take(Input::Parameters(heard));
    }

    pub(crate) fn take(&mut self, input: Input) -> Vec<RequestError> {
        let mut refused = Vec::new();
        self.engine.handle(self.now, input);
        while let Some(output) = self.engine.poll_output() {
            match output {
                Output::Reply(_, Err(error)) => refused.push(error),
                Output::Find(id, _) => {
                    let stored = Ok(None);
                    self.engine.handle(self.now, Input::Found { id, stored });
                }
                Output::Commit(commit) => self.commit(commit),
                Output::Ask(id, device, query) => self.asks.push_back((id, device, query)),
                Output::Move(..) => self.debits += 1,
                Output::AcknowledgeHotList(taken) => self.acknowledged.push(taken),
                Output::Reply(_, Ok(_)) | Output::Tell(_) | Output::Hint(_) => {}
                other => panic!("no sale wants this: {other:?}"),
            }
        }
        refused
    }

    fn commit(&mut self, commit: Commit) {
        let mut is_intent = false;
        match &commit.entry {
            Entry::SaleIntended(intended) => {
                self.intents.push(intended.clone());
                is_intent = true;
            }
            Entry::SaleClosed(closed) => self.closed.push(closed.reason),
            _ => {}
        }
        let mut receipts = purser_ledger::commit(&mut self.store, &[commit]).unwrap();
        let receipt = receipts.remove(0).unwrap();
        if is_intent && self.keeps_receipts {
            self.receipt = Some(receipt);
        } else {
            self.engine.handle(self.now, Input::Committed(receipt));
        }
    }

    /// The intent that was kept back is durable.
    pub(crate) fn release_receipt(&mut self) {
        let receipt = self.receipt.take().expect("an intent was kept back");
        self.take(Input::Committed(receipt));
    }

    /// Asks for a sale; why it is refused.
    pub(crate) fn begin(&mut self, minor: u64) -> Result<(), RequestError> {
        self.begin_over(yen(minor))
    }

    pub(crate) fn begin_over(&mut self, amount: Amount) -> Result<(), RequestError> {
        self.requests += 1;
        let mut random = [0; 16];
        random[..8].copy_from_slice(&self.requests.to_be_bytes());
        let asked = BeginSale {
            reference: Reference::new(format!("order-{}", self.requests)).unwrap(),
            amount,
            reader: None,
            pin_through_api: false,
        };
        let refused = self.take(Input::Request {
            id: RequestId(self.requests),
            peer: Peer {
                owner: Owner(0),
                operator: false,
            },
            request: Request::BeginSale(asked),
            random,
        });
        refused.first().map_or(Ok(()), |error| Err(*error))
    }

    /// Begins a sale, puts this card in, and answers for it up to the command with this instruction, which is left waiting.
    pub(crate) fn sell_up_to(&mut self, instruction: u8, minor: u64, serial: u8) {
        self.begin(minor).unwrap();
        self.device("reader", DeviceEvent::CardRemoved);
        self.device("reader", DeviceEvent::CardInserted);
        let is_before =
            |query: &Query| !matches!(query, Query::Transmit { command, .. } if command.ins() == instruction);
        self.answer_while(is_before, serial);
        assert!(
            !self.asks.is_empty(),
            "the command was never sent: {:?}",
            self.closed
        );
    }

    /// The same to the sale's debit or end.
    pub(crate) fn sell(&mut self, minor: u64, serial: u8) {
        self.begin(minor).unwrap();
        self.device("reader", DeviceEvent::CardRemoved);
        self.device("reader", DeviceEvent::CardInserted);
        self.go_on(serial);
    }

    /// Answers all that is asked for this card.
    pub(crate) fn go_on(&mut self, serial: u8) {
        self.answer_while(|_| true, serial);
    }

    fn answer_while(&mut self, goes_on: impl Fn(&Query) -> bool, serial: u8) {
        while self.asks.front().is_some_and(|(_, _, query)| goes_on(query)) {
            let (id, device, query) = self.asks.pop_front().unwrap();
            let answer = match query {
                Query::Connect => Answer::Connected {
                    connection: 1,
                    protocol: Protocol::T1,
                },
                Query::Disconnect { .. } => Answer::Disconnected,
                Query::EnterPin(_) => Answer::Pin(Pin::from_digits(&mut b"1234".to_vec()).unwrap()),
                Query::Transmit { command, .. } => {
                    let is_psam = device == name("psam");
                    let mut response = match (is_psam, command.ins(), command.p1()) {
                        (false, READ_BINARY, _) => public_information(serial),
                        (false, INITIALIZE, _) => initialized(),
                        (true, READ_BINARY, 0x95) => vec![0; 14],
                        (true, READ_BINARY, _) => NUMBER.to_vec(),
                        (true, INIT_SAM, _) => {
                            self.psam_sn += 1;
                            [&self.psam_sn.to_be_bytes()[..], &[9; 4]].concat()
                        }
                        _ => Vec::new(),
                    };
                    response.extend([0x90, 0x00]);
                    Answer::Response(response)
                }
            };
            let answer = Ok(answer);
            self.take(Input::Answer { id, answer });
        }
    }
}

/// A card's file 0015.
fn public_information(serial: u8) -> Vec<u8> {
    let (from, until) = ([0x20, 0x20, 0x01, 0x01], [0x20, 0x90, 0x12, 0x31]);
    [&[1; 8][..], &[2, 1], &[serial; 10], &from, &until, &[0; 2]].concat()
}

/// A balance of 1,000, and a key of version 1.
fn initialized() -> Vec<u8> {
    let (balance, counter, overdraft) = (1_000_u32.to_be_bytes(), [0, 7], [0; 3]);
    [&balance[..], &counter, &overdraft, &[1, 0], &[5; 4]].concat()
}
