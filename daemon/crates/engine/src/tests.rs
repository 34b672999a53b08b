//! What only shows at one engine, with its answers in a certain order.

pub(crate) mod till;

use std::collections::BTreeMap;

use purser_ledger::{
    Amount, CardId, CloseReason, Commit, Currency, DebitKey, DeviceName, Entry, Head, Monotonic, Now,
    Operation, OperationId, Owner, Reference, SaleIntended, Scheme, SchemeBytes, Snapshot, Wall,
};
use purser_purse::pboc::{IssuerId, Profile, PsamTerminalNumber, SoftwareSam};

use crate::{
    Abilities, BeginSale, CallFailure, CallId, Config, DeviceEvent, Engine, Input, Limits, Output, Peer,
    Query, Request, RequestId,
};

const KEYS: &str = "[[purchase_key]]\nversion = 1\nalgorithm = 0\nkey = \"00112233445566778899aabbccddeeff\"\nlevels = [\"asn\"]\n";

const NOW: Now = Now {
    monotonic: Monotonic(0),
    wall: Wall {
        unix_seconds: 1_800_000_000,
        utc_offset_seconds: 0,
        trusted: true,
    },
};

const BUILT_UNIX_SECONDS: i64 = 1_790_000_000;

fn started(newest_unix_seconds: Option<i64>) -> Engine {
    resumed(Snapshot {
        newest_unix_seconds,
        ..Snapshot::default()
    })
}

fn resumed(snapshot: Snapshot) -> Engine {
    resumed_as(0, snapshot)
}

fn resumed_as(generation: u32, snapshot: Snapshot) -> Engine {
    let config = Config {
        terminal_number: PsamTerminalNumber::new([0, 0, 0, 0, 0, 1]),
        profile: Profile::default(),
        issuers: BTreeMap::from([(IssuerId::new([1; 8]), yen())]),
        pin_free_up_to: BTreeMap::new(),
        pin_through_api: false,
        pin_pads: BTreeMap::new(),
        card_wait_ms: 60_000,
        pin_wait_ms: 60_000,
        limits: Limits::default(),
        provider: None,
        built_unix_seconds: BUILT_UNIX_SECONDS,
        generation,
    };
    let sam = SoftwareSam::from_credential(KEYS.as_bytes()).unwrap();
    Engine::resume(config, sam, snapshot, NOW)
}

fn yen() -> Currency {
    "JPY".parse().unwrap()
}

/// A sale whose reference is not known to the store.
fn begin_sale(engine: &mut Engine) {
    let asked = BeginSale {
        reference: Reference::new("order").unwrap(),
        amount: Amount::new(300, yen()).unwrap(),
        reader: None,
        pin_through_api: false,
    };
    let peer = Peer {
        owner: Owner(0),
        operator: false,
    };
    let (id, request) = (RequestId(1), Request::BeginSale(asked));
    engine.handle(
        NOW,
        Input::Request {
            id,
            peer,
            request,
            random: [1; 16],
        },
    );
    let Some(Output::Find(id, _)) = engine.poll_output() else {
        panic!("the reference is looked up");
    };
    engine.handle(NOW, Input::Found { id, stored: Ok(None) });
}

fn device(engine: &mut Engine, event: DeviceEvent) {
    let name = DeviceName::new("reader").unwrap();
    engine.handle(NOW, Input::Device { name, event });
}

/// The calls to connect a card that the engine wants now.
fn connects(engine: &mut Engine) -> Vec<CallId> {
    let outputs = std::iter::from_fn(|| engine.poll_output());
    let calls = outputs.filter_map(|output| match output {
        Output::Ask(id, _, Query::Connect) => Some(id),
        _ => None,
    });
    calls.collect()
}

#[test]
fn a_restart_gives_no_debit_the_time_of_an_earlier_one_although_the_clock_stands() {
    let mut engine = started(None);
    let first = engine.stamp_intent();
    engine.stamp();
    let second = engine.stamp_intent();
    assert!(second.unix_seconds > first.unix_seconds);
    let outcome = engine.stamp();
    assert!(outcome.trusted, "the clock was never wrong");
    let mut engine = started(Some(outcome.unix_seconds));
    assert!(engine.stamp_intent().unix_seconds > second.unix_seconds);
}

#[test]
fn a_software_sam_counts_on_from_the_numbers_of_its_generation() {
    let last = |generation, terminal_sn_max| {
        let snapshot = Snapshot {
            terminal_sn_max,
            ..Snapshot::default()
        };
        resumed_as(generation, snapshot).terminal_sn_last
    };
    assert_eq!((last(0, None), last(0, Some(41))), (0, 41));
    assert_eq!(
        last(1, Some(41)),
        0x00FF_FFFF,
        "the next one is the first of generation 1"
    );
    assert_eq!(last(2, Some(0x0100_0007)), 0x01FF_FFFF);
    assert_eq!(last(1, Some(0x0100_0007)), 0x0100_0007, "a later start counts on");
    assert_eq!(last(255, None), 0xFEFF_FFFF);
}

#[test]
fn a_clock_in_2090_is_marked_and_lifts_no_floor_and_its_record_neither() {
    const FAR: i64 = 3_786_912_000;
    let mut engine = started(None);
    let true_time = engine.now;
    engine.now.wall.unix_seconds = FAR;
    let far = engine.stamp_intent();
    assert!(
        !far.trusted && far.unix_seconds < BUILT_UNIX_SECONDS + 10,
        "{far:?}"
    );
    engine.now = true_time;
    assert_eq!(engine.stamp(), NOW.wall, "the true time is believed at once");
    let mut engine = started(Some(FAR));
    assert_eq!(
        engine.stamp(),
        NOW.wall,
        "also after a start behind such a record"
    );
    let first = engine.stamp_intent();
    engine.now.wall.unix_seconds = 0;
    let second = engine.stamp_intent();
    assert!(!second.trusted && second.unix_seconds > first.unix_seconds);
}

#[test]
fn a_card_whose_open_payment_cannot_be_asked_about_is_never_debited() {
    let intended = |attempt: Vec<u8>, serial: u8| {
        let key = DebitKey {
            card: CardId::new(Scheme::Pboc, [serial; 10]),
            terminal_number: [0, 0, 0, 0, 0, 1],
            terminal_sn: u32::from(serial),
        };
        let content = Commit {
            operation: OperationId::new([serial; 16]),
            step: 0,
            at: NOW.wall,
            entry: Entry::SaleIntended(SaleIntended {
                reference: Reference::new(format!("order-{serial}")).unwrap(),
                owner: Owner(0),
                amount: Amount::new(300, yen()).unwrap(),
                reader: DeviceName::new("reader").unwrap(),
                key,
                attempt: SchemeBytes::new(Scheme::Pboc, attempt).unwrap(),
                pin_verified: true,
                parameters_version: 0,
                generation: 0,
            }),
        }
        .content();
        Operation::begin(&content, Head::EMPTY).unwrap()
    };
    let snapshot = Snapshot {
        open: vec![intended(vec![0xFF], 7)],
        ..Snapshot::default()
    };
    let engine = resumed(snapshot);
    assert!(engine.held.contains(&CardId::new(Scheme::Pboc, [7; 10])));
    assert_eq!(engine.open_operations().count(), 1, "it stays in doubt");
}

#[test]
fn a_card_that_came_back_before_the_answer_about_its_absence_is_served() {
    let mut engine = started(None);
    let abilities = Abilities {
        card_reader: true,
        pin_pad: false,
    };
    device(&mut engine, DeviceEvent::Arrived(abilities));
    begin_sale(&mut engine);
    device(&mut engine, DeviceEvent::CardInserted);
    let [first] = connects(&mut engine)[..] else {
        panic!("the card is looked at");
    };
    device(&mut engine, DeviceEvent::CardRemoved);
    device(&mut engine, DeviceEvent::CardInserted);
    assert!(connects(&mut engine).is_empty(), "one call at a time");
    let answer = Err(CallFailure::NoCard);
    engine.handle(NOW, Input::Answer { id: first, answer });
    assert_eq!(connects(&mut engine).len(), 1);
}

#[test]
fn a_card_that_comes_before_the_last_answer_of_a_refused_one_has_not_served() {
    let mut till = till::Till::software(40);
    till.hears(till::listing(&[7]));
    till.sell_up_to(till::READ_BINARY, 300, 7);
    till.device("reader", DeviceEvent::CardRemoved);
    till.device("reader", DeviceEvent::CardInserted);
    till.go_on(7);
    assert_eq!(till.closed, [CloseReason::CardHotListed]);
    till.begin(300).unwrap();
    till.go_on(8);
    let paid: Vec<_> = till.intents.iter().map(|it| it.key.card.clone()).collect();
    assert_eq!((till.debits, paid), (1, vec![till::card(8)]));
}
