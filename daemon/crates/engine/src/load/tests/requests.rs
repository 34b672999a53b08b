//! What may begin, and what a reference is for.

use purser_ledger::{Conclusion, DeviceName, Reference, Refused};

use super::till::{Kept, Till, Wants, asked, begin, told, yen};
use crate::{
    BeginSale, LoadEnd, LoadPhase, LoadProgress, LoadWhat, OwedReason, Reply, Request, RequestError,
};

fn reference(text: &str) -> Reference {
    Reference::new(text).unwrap()
}

#[test]
fn nothing_is_recorded_before_the_provider_knows_the_load() {
    let mut till = Till::new();
    till.arrive();
    let wants = till.ask(Request::BeginLoad(begin("load", 1, 300)));
    let (call, ask) = asked(&wants);
    assert_eq!(
        (ask.order.amount, &ask.order.id.0, ask.what),
        (yen(300), &[1; 16], LoadWhat::Show)
    );
    assert!(till.recorded.is_empty());
    let wants = till.fails(call, "UnknownLoad", false);
    let refused = RequestError::ProviderFailed {
        name: "UnknownLoad",
        is_transient: false,
    };
    assert!(
        matches!(&wants[..], [Wants::Reply(Err(error))] if *error == refused),
        "{wants:?}"
    );
    assert!(till.recorded.is_empty() && till.engine.loads().is_empty());
    till.begun("load", 1);
    assert_eq!(till.recorded, ["begun"]);
}

#[test]
fn of_two_loads_that_could_take_the_same_card_one_is_begun_however_late_the_provider_answers() {
    let mut till = Till::new();
    till.arrive();
    let (first, _) = asked(&till.ask(Request::BeginLoad(begin("one", 1, 300))));
    let second = till.refusal(Request::BeginLoad(begin("two", 2, 500)));
    assert_eq!(second, RequestError::ReaderInUse);
    let sale = crate::BeginSale {
        reference: reference("sale"),
        amount: yen(100),
        reader: None,
        pin_through_api: false,
    };
    assert_eq!(till.refusal(Request::BeginSale(sale)), RequestError::ReaderInUse);
    till.stands(first, LoadPhase::Open);
    assert_eq!(till.recorded, ["begun"]);
}

#[test]
fn a_load_that_has_ended_elsewhere_is_not_begun() {
    for phase in [LoadPhase::Done, LoadPhase::Voided] {
        let mut till = Till::new();
        till.arrive();
        let (call, _) = asked(&till.ask(Request::BeginLoad(begin("load", 1, 300))));
        let wants = till.stands(call, phase);
        assert!(matches!(&wants[..], [Wants::Reply(Err(RequestError::LoadEnded))]));
        assert!(till.recorded.is_empty() && till.engine.loads().is_empty());
    }
}

#[test]
fn a_reference_is_one_load_and_a_load_has_one_reference() {
    let mut till = Till::new();
    till.begun("load", 1);
    let again = till.ask(Request::BeginLoad(begin("load", 1, 300)));
    assert!(
        matches!(&again[..], [Wants::Reply(Ok(Reply::Load { is_new: false, .. }))]),
        "{again:?}"
    );
    let other_amount = till.refusal(Request::BeginLoad(begin("load", 1, 301)));
    assert_eq!(
        other_amount,
        RequestError::Refused(Refused::ExistsWithDifferentAmount)
    );
    let other_load = till.refusal(Request::BeginLoad(begin("load", 2, 300)));
    assert_eq!(other_load, RequestError::OtherLoad);
    let other_reference = till.refusal(Request::BeginLoad(begin("again", 1, 300)));
    assert_eq!(other_reference, RequestError::OtherReference);
    let stranger = till.ask_as(8, Request::BeginLoad(begin("load", 1, 300)));
    let owner = RequestError::Refused(Refused::ExistsWithDifferentOwner);
    assert!(matches!(&stranger[..], [Wants::Reply(Err(error))] if *error == owner));
    let sale = BeginSale {
        reference: reference("load"),
        amount: yen(300),
        reader: None,
        pin_through_api: false,
    };
    let kind = RequestError::Refused(Refused::ExistsWithDifferentKind);
    assert_eq!(till.refusal(Request::BeginSale(sale.clone())), kind);
    let busy = BeginSale {
        reference: reference("sale"),
        ..sale
    };
    assert_eq!(
        till.refusal(Request::BeginSale(busy)),
        RequestError::ReaderInUse,
        "the load waits for the card that the sale would take"
    );
}

#[test]
fn the_same_holds_for_what_is_stored() {
    let mut till = Till::new();
    till.begun("load", 1);
    let (call, _) = asked(&till.ask(Request::Cancel(reference("load"))));
    assert_eq!(told(&till.stands(call, LoadPhase::Voided)), (LoadEnd::Voided, 1));
    let mut till = Till::started(till.store, true);
    till.arrive();
    let again = till.ask(Request::BeginLoad(begin("load", 1, 300)));
    assert_eq!(told(&again), (LoadEnd::Voided, 1), "a repeat gets the stored end");
    assert_eq!(
        told(&till.ask(Request::Attach(reference("load")))),
        (LoadEnd::Voided, 1)
    );
    assert_eq!(
        told(&till.ask(Request::Cancel(reference("load")))),
        (LoadEnd::Voided, 1)
    );
    let other_load = till.refusal(Request::BeginLoad(begin("load", 2, 300)));
    assert_eq!(other_load, RequestError::OtherLoad);
    let sale = BeginSale {
        reference: reference("load"),
        amount: yen(300),
        reader: None,
        pin_through_api: false,
    };
    let kind = RequestError::Refused(Refused::ExistsWithDifferentKind);
    assert_eq!(till.refusal(Request::BeginSale(sale)), kind);
    // Its number under another reference: only the store still knows it.
    let (call, _) = asked(&till.ask(Request::BeginLoad(begin("again", 1, 300))));
    let wants = till.stands(call, LoadPhase::Open);
    assert!(matches!(
        &wants[..],
        [Wants::Reply(Err(RequestError::OtherReference))]
    ));
    assert!(till.engine.loads().is_empty());
}

#[test]
fn a_load_cannot_be_concluded_and_strangers_do_not_see_it() {
    let mut till = Till::new();
    till.begun("load", 1);
    let conclude = Request::Conclude(reference("load"), Conclusion::Abandoned);
    assert_eq!(till.refusal(conclude), RequestError::LoadNotConcluded);
    for request in [
        Request::Attach(reference("load")),
        Request::Cancel(reference("load")),
    ] {
        let wants = till.ask_as(8, request);
        assert!(matches!(&wants[..], [Wants::Reply(Err(RequestError::NotOwner))]));
    }
}

#[test]
fn what_is_missing_for_a_load_is_named() {
    let mut till = Till::started(Kept::default(), false);
    till.arrive();
    let begin_load = |minor| Request::BeginLoad(begin("load", 1, minor));
    assert_eq!(till.refusal(begin_load(300)), RequestError::ProviderNotConfigured);
    let mut till = Till::new();
    assert_eq!(till.refusal(begin_load(300)), RequestError::NoReader);
    till.arrive();
    assert_eq!(till.refusal(begin_load(0)), RequestError::AmountZero);
    assert_eq!(till.refusal(begin_load(1 << 32)), RequestError::AmountTooLarge);
    let through_api = crate::BeginLoad {
        pin_through_api: true,
        ..begin("load", 1, 300)
    };
    assert_eq!(
        till.refusal(Request::BeginLoad(through_api)),
        RequestError::PinThroughApiOff
    );
}

#[test]
fn a_full_journal_begins_no_load_and_forgets_it() {
    let mut till = Till::new();
    till.arrive();
    let (call, _) = asked(&till.ask(Request::BeginLoad(begin("load", 1, 300))));
    till.store.is_full = true;
    let wants = till.stands(call, LoadPhase::Open);
    let full = RequestError::Refused(Refused::NoRoom);
    assert!(matches!(&wants[..], [Wants::Reply(Err(error))] if *error == full));
    assert!(till.engine.loads().is_empty());
    till.store.is_full = false;
    till.begun("load", 1);
}

#[test]
fn there_are_so_many_loads_at_once_and_no_more() {
    let mut till = Till::new();
    let mut at_its_own_reader = |number: u8| {
        let name = format!("reader-{number}");
        till.arrive_as(&name);
        let asked = begin(&format!("load-{number}"), number, 300);
        till.ask(Request::BeginLoad(crate::BeginLoad {
            reader: Some(DeviceName::new(name).unwrap()),
            ..asked
        }))
    };
    for number in 1..=16 {
        asked(&at_its_own_reader(number));
    }
    let [Wants::Reply(Err(refused))] = at_its_own_reader(17)[..] else {
        panic!("it is refused");
    };
    assert_eq!(refused, RequestError::TooManyLoads);
    assert!(refused.is_transient());
}

#[test]
fn a_stop_leaves_a_load_as_it_is_recorded_and_says_so() {
    let mut till = Till::new();
    till.begun("load", 1);
    let wants = till.ask(Request::Stop);
    let [Wants::Told(told), Wants::Reply(Ok(Reply::Stopped))] = &wants[..] else {
        panic!("{wants:?}");
    };
    let why = Some(OwedReason::Stopped);
    let owed = LoadEnd::Owed {
        may_be_on_card: false,
        why,
    };
    assert_eq!(told.view.state.end, owed);
    assert_eq!(till.recorded, ["begun"]);
    assert_eq!(
        till.refusal(Request::BeginLoad(begin("other", 2, 300))),
        RequestError::Stopping
    );
    let mut till = Till::started(till.store, true);
    till.arrive();
    let again = till.ask(Request::BeginLoad(begin("load", 1, 300)));
    let [Wants::Reply(Ok(Reply::Load { is_new: false, view }))] = &again[..] else {
        panic!("it goes on: {again:?}");
    };
    assert_eq!(view.state, LoadProgress::WaitingForCard { refused: None });
}

#[test]
fn a_stop_while_the_provider_is_asked_begins_nothing() {
    let mut till = Till::new();
    till.arrive();
    let (call, _) = asked(&till.ask(Request::BeginLoad(begin("load", 1, 300))));
    let wants = till.ask(Request::Stop);
    assert!(
        matches!(
            &wants[..],
            [
                Wants::Reply(Err(RequestError::Stopping)),
                Wants::Reply(Ok(Reply::Stopped))
            ]
        ),
        "{wants:?}"
    );
    assert!(
        till.stands(call, LoadPhase::Open).is_empty(),
        "a late answer changes nothing"
    );
    assert!(till.recorded.is_empty());
}
