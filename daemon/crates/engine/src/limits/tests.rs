//! No limit is passed by what has begun, whatever comes in which order.

use std::collections::BTreeMap;

use proptest::prelude::*;
use purser_ledger::{
    Amount, Currency, DeviceName, Head, JournalReceipt, Monotonic, Now, Owner, Reference, Refused, Snapshot,
    Store, StoreBroken, Unsettled, Wall,
};
use purser_purse::pboc::{IssuerId, Profile, PsamTerminalNumber, SoftwareSam};

use super::{LimitKind, LimitLevel, LimitUse, Limits, SALES_OF_USER_MAX};
use crate::{
    Abilities, BeginSale, Config, DeviceEvent, Engine, Input, Output, Peer, Reply, Request, RequestError,
    RequestId,
};

const KEYS: &str = "[[purchase_key]]\nversion = 1\nalgorithm = 0\nkey = \"00112233445566778899aabbccddeeff\"\nlevels = [\"asn\"]\n";
const TODAY: i64 = 1_800_000_000;
const READERS: u8 = 5;

fn at(unix_seconds: i64) -> Now {
    Now {
        monotonic: Monotonic(0),
        wall: Wall {
            unix_seconds,
            utc_offset_seconds: 0,
            trusted: true,
        },
    }
}

fn yen() -> Currency {
    "JPY".parse().unwrap()
}

fn amount(minor: u64) -> Amount {
    Amount::new(minor, yen()).unwrap()
}

fn claims(amounts: &[u64], since: i64) -> Unsettled {
    let mut unsettled = Unsettled::default();
    for minor in amounts {
        unsettled.add(amount(*minor), at(since).wall);
    }
    unsettled
}

fn limits(count: u64, total: u64) -> Limits {
    Limits {
        count_max: count,
        total_max: BTreeMap::from([(yen(), total)]),
        ..Limits::default()
    }
}

/// Takes every commit: what may follow is the engine's to know here.
#[derive(Debug, Default)]
pub(crate) struct Anything(u64);

impl Store for Anything {
    fn append(&mut self, group: &[purser_ledger::Commit]) -> Result<Vec<Result<Head, Refused>>, StoreBroken> {
        let taken = group.iter().map(|_| {
            self.0 += 1;
            let digest = [0; 32];
            Ok(Head {
                number: self.0,
                digest,
            })
        });
        Ok(taken.collect())
    }

    fn find(
        &self,
        _: &purser_ledger::Find,
    ) -> Result<Option<purser_ledger::AnyOperation>, purser_ledger::FindError> {
        Ok(None)
    }

    fn snapshot(&self) -> Result<Snapshot, StoreBroken> {
        Ok(Snapshot::default())
    }
}

/// An engine with some readers and no cards.
struct Till {
    engine: Engine,
    store: Anything,
    now: Now,
    requests: u64,
}

impl Till {
    fn new(limits: Limits, unsettled: Unsettled) -> Self {
        let config = Config {
            terminal_number: PsamTerminalNumber::new([0, 0, 0, 0, 0, 1]),
            profile: Profile::default(),
            issuers: BTreeMap::from([(IssuerId::new([1; 8]), yen())]),
            pin_free_up_to: BTreeMap::new(),
            pin_through_api: false,
            pin_pads: BTreeMap::new(),
            card_wait_ms: 60_000,
            pin_wait_ms: 60_000,
            limits,
            provider: None,
            built_unix_seconds: TODAY - 100_000,
            generation: 0,
        };
        let snapshot = Snapshot {
            unsettled,
            ..Snapshot::default()
        };
        let sam = SoftwareSam::from_credential(KEYS.as_bytes()).unwrap();
        let now = at(TODAY);
        let mut till = Self {
            engine: Engine::resume(config, sam, snapshot, now),
            store: Anything::default(),
            now,
            requests: 0,
        };
        for n in 0..READERS {
            let event = DeviceEvent::Arrived(Abilities {
                card_reader: true,
                pin_pad: false,
            });
            till.take(Input::Device {
                name: reader(n),
                event,
            });
        }
        till
    }

    fn take(&mut self, input: Input) -> Vec<(RequestId, Result<Reply, RequestError>)> {
        self.engine.handle(self.now, input);
        let mut replies = Vec::new();
        while let Some(output) = self.engine.poll_output() {
            match output {
                Output::Reply(id, reply) => replies.push((id, reply)),
                Output::Find(id, _) => self
                    .engine
                    .handle(self.now, Input::Found { id, stored: Ok(None) }),
                Output::Commit(commit) => {
                    let receipt: JournalReceipt = purser_ledger::commit(&mut self.store, &[commit])
                        .unwrap()
                        .remove(0)
                        .unwrap();
                    self.engine.handle(self.now, Input::Committed(receipt));
                }
                Output::Tell(_) | Output::Hint(_) => {}
                other => panic!("no card is there: {other:?}"),
            }
        }
        replies
    }

    fn ask(&mut self, owner: u32, request: Request) -> Vec<Result<Reply, RequestError>> {
        self.requests += 1;
        let mut random = [0; 16];
        random[..8].copy_from_slice(&self.requests.to_be_bytes());
        let id = RequestId(self.requests);
        let peer = Peer {
            owner: Owner(owner),
            operator: false,
        };
        let replies = self.take(Input::Request {
            id,
            peer,
            request,
            random,
        });
        replies.into_iter().map(|(_, reply)| reply).collect()
    }

    /// Begins a sale at a reader; what it was refused with.
    fn begin(&mut self, name: &str, minor: u64, at: u8) -> Result<(), RequestError> {
        let asked = BeginSale {
            reference: Reference::new(name).unwrap(),
            amount: amount(minor),
            reader: Some(reader(at)),
            pin_through_api: false,
        };
        let mut replies = self.ask(1, Request::BeginSale(asked));
        assert_eq!(replies.len(), 1, "one answer to one request");
        replies.remove(0).map(drop)
    }

    fn cancel(&mut self, name: &str) {
        let reference = Reference::new(name).unwrap();
        drop(self.ask(1, Request::Cancel(reference)));
    }

    fn uses(&self) -> Vec<LimitUse> {
        let wall = self.engine.clock_range().judge(self.now.wall);
        let now = Now { wall, ..self.now };
        self.engine.config.limits.uses(&self.engine.counted(), now)
    }

    fn used(&self, kind: LimitKind) -> LimitUse {
        let uses = self.uses();
        uses.into_iter().find(|it| it.kind == kind).unwrap()
    }
}

fn reader(n: u8) -> DeviceName {
    DeviceName::new(format!("reader-{n}")).unwrap()
}

#[test]
fn two_sales_under_way_cannot_pass_the_count_together_and_a_cancelled_one_makes_room() {
    let mut till = Till::new(limits(3, 10_000), claims(&[300, 300], TODAY));
    assert_eq!(till.begin("first", 300, 0), Ok(()));
    assert_eq!(till.begin("second", 300, 1), Err(RequestError::LimitCount));
    assert_eq!(till.begin("first", 300, 0), Ok(()), "a repeat is no new sale");
    till.cancel("first");
    assert_eq!(till.begin("second", 300, 1), Ok(()));
}

#[test]
fn two_sales_under_way_cannot_pass_the_total_together() {
    let mut till = Till::new(limits(100, 1_000), claims(&[400], TODAY));
    assert_eq!(till.begin("first", 500, 0), Ok(()));
    assert_eq!(till.begin("second", 101, 1), Err(RequestError::LimitTotal));
    assert_eq!(till.begin("third", 100, 2), Ok(()), "what fits is sold");
}

#[test]
fn one_sale_above_its_limit_is_refused_and_one_at_it_is_not() {
    let config = Limits {
        amount_max: BTreeMap::from([(yen(), 500)]),
        ..Limits::default()
    };
    let mut till = Till::new(config, Unsettled::default());
    assert_eq!(till.begin("high", 501, 0), Err(RequestError::LimitAmount));
    assert_eq!(till.begin("just", 500, 0), Ok(()));
}

#[test]
fn an_old_claim_warns_then_stops_new_sales_but_not_by_a_clock_that_is_not_trusted() {
    let config = Limits {
        age_max_seconds: 1_000,
        ..Limits::default()
    };
    let since = |age| Till::new(config.clone(), claims(&[300], TODAY - age));
    assert_eq!(since(799).used(LimitKind::Age).level(), LimitLevel::Within);
    assert_eq!(since(800).used(LimitKind::Age).level(), LimitLevel::Near);
    assert_eq!(since(999).begin("sale", 300, 0), Ok(()));
    let mut till = since(1_000);
    assert_eq!(till.used(LimitKind::Age).level(), LimitLevel::Reached);
    assert_eq!(till.begin("sale", 300, 0), Err(RequestError::LimitAge));
    // Below the newest entry's time nobody knows how late it is.
    let later = Wall {
        unix_seconds: TODAY + 1,
        ..till.now.wall
    };
    till.engine.clock = till.engine.clock.lifted_by(later);
    assert_eq!(till.begin("sale", 300, 0), Ok(()));
    let uses = till.uses();
    assert!(uses.iter().all(|it| it.kind != LimitKind::Age), "{uses:?}");
}

#[test]
fn a_small_limit_warns_before_it_stops() {
    let mut till = Till::new(limits(2, 10_000), Unsettled::default());
    assert_eq!(till.used(LimitKind::Count).level(), LimitLevel::Within);
    till.begin("first", 300, 0).unwrap();
    assert_eq!(till.used(LimitKind::Count).warn_at, 2);
    till.begin("second", 300, 1).unwrap();
    assert_eq!(till.used(LimitKind::Count).level(), LimitLevel::Reached);
}

#[test]
fn a_disk_without_room_refuses_before_a_card_is_asked_for_and_a_repeat_is_told() {
    let mut till = Till::new(Limits::default(), Unsettled::default());
    till.begin("first", 300, 0).unwrap();
    till.take(Input::Room(false));
    let full = RequestError::Refused(Refused::NoRoom);
    assert_eq!(till.begin("second", 300, 1), Err(full));
    assert_eq!(till.begin("first", 300, 0), Ok(()));
    till.take(Input::Room(true));
    assert_eq!(till.begin("second", 300, 1), Ok(()));
}

#[test]
fn a_damaged_journal_refuses_a_new_sale_by_name_and_a_repeat_is_told() {
    let mut till = Till::new(Limits::default(), Unsettled::default());
    till.begin("first", 300, 0).unwrap();
    till.take(Input::Held(true));
    assert_eq!(till.begin("second", 300, 1), Err(RequestError::Held));
    assert_eq!(till.begin("first", 300, 0), Ok(()));
    till.take(Input::Held(false));
    assert_eq!(till.begin("second", 300, 1), Ok(()));
}

#[test]
fn one_user_cannot_take_the_places_of_all_sales() {
    let mut till = Till::new(Limits::default(), Unsettled::default());
    // Sales whose references the store is still asked for: the quota counts them too.
    let mut begin = |owner: u32, n: usize| {
        let asked = BeginSale {
            reference: Reference::new(format!("order-{owner}-{n}")).unwrap(),
            amount: amount(300),
            reader: Some(reader(0)),
            pin_through_api: false,
        };
        let id = RequestId(u64::try_from(n).unwrap());
        let peer = Peer {
            owner: Owner(owner),
            operator: false,
        };
        let mut random = [0; 16];
        random[0] = u8::try_from(n).unwrap();
        random[1] = u8::try_from(owner).unwrap();
        till.engine.handle(
            till.now,
            Input::Request {
                id,
                peer,
                request: Request::BeginSale(asked),
                random,
            },
        );
        std::iter::from_fn(|| till.engine.poll_output()).find_map(|output| match output {
            Output::Reply(_, Err(error)) => Some(error),
            _ => None,
        })
    };
    for n in 0..SALES_OF_USER_MAX {
        assert_eq!(begin(7, n), None);
    }
    assert_eq!(begin(7, SALES_OF_USER_MAX), Some(RequestError::QuotaSales));
    assert_eq!(begin(8, SALES_OF_USER_MAX), None, "another user's sale begins");
}

#[derive(Clone, Debug)]
enum Step {
    Begin { name: u8, minor: u64, reader: u8 },
    Cancel { name: u8 },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let begin = (0..12_u8, 1..2_000_u64, 0..READERS).prop_map(|(name, minor, reader)| Step::Begin {
        name,
        minor,
        reader,
    });
    let cancel = (0..12_u8).prop_map(|name| Step::Cancel { name });
    proptest::collection::vec(prop_oneof![3 => begin, 1 => cancel], 1..60)
}

proptest! {
    #[test]
    fn what_has_begun_never_passes_a_limit_and_a_refused_sale_leaves_only_its_reply(
        steps in steps(),
        before in proptest::collection::vec(1..1_000_u64, 0..4),
        count_max in 4..9_u64,
        total_max in 4_000..9_000_u64,
        amount_max in 500..2_000_u64,
    ) {
        let config = Limits {
            amount_max: BTreeMap::from([(yen(), amount_max)]),
            ..limits(count_max, total_max)
        };
        let mut till = Till::new(config, claims(&before, TODAY));
        for step in steps {
            let uses = till.uses();
            match step {
                Step::Begin { name, minor, reader } => {
                    let name = format!("order-{name}");
                    let known = till.engine.sales.len();
                    let begun = till.begin(&name, minor, reader);
                    if let Err(error) = begun {
                        prop_assert_eq!(till.engine.sales.len(), known);
                        prop_assert_eq!(till.uses(), uses);
                        prop_assert!(till.engine.finds.is_empty() && till.engine.changing.is_empty());
                        let is_limit = matches!(
                            error,
                            RequestError::LimitAmount | RequestError::LimitCount | RequestError::LimitTotal
                        );
                        let is_other = matches!(error, RequestError::ReaderInUse | RequestError::Refused(_));
                        prop_assert!(is_limit || is_other, "{error:?}");
                    } else {
                        prop_assert!(minor <= amount_max || known == till.engine.sales.len());
                    }
                }
                Step::Cancel { name } => till.cancel(&format!("order-{name}")),
            }
            prop_assert!(till.used(LimitKind::Count).used <= count_max);
            prop_assert!(till.used(LimitKind::Total(yen())).used <= total_max);
        }
    }
}
