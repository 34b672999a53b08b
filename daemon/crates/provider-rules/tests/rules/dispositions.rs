//! C1: one disposition for each claim, one table, total over all events.

use proptest::prelude::*;
use purser_provider_rules::disposition::{Disposition, Event, Fate, Impossible};

use crate::support::yen;

const AMOUNT: u64 = 300;

fn events() -> [Event; 10] {
    [
        Event::Sealed,
        Event::Permitted,
        Event::HeldBack,
        Event::Disputed,
        Event::BatchVoided,
        Event::RefundOwed(yen(100)),
        Event::RefundOwed(yen(AMOUNT)),
        Event::RefundOwed(yen(AMOUNT + 1)),
        Event::Upheld,
        Event::Disproved,
    ]
}

fn fate(events: &[Event]) -> Fate {
    events
        .iter()
        .fold(Fate::new(yen(AMOUNT)), |fate, event| fate.after(*event).unwrap())
}

fn reached(disposition: Disposition) -> Fate {
    let part = Event::RefundOwed(yen(100));
    let whole = Event::RefundOwed(yen(AMOUNT));
    let path: &[Event] = match disposition {
        Disposition::Open => &[],
        Disposition::InBatch => &[Event::Sealed],
        Disposition::Paid => &[Event::Sealed, Event::Permitted],
        Disposition::Held => &[Event::Sealed, Event::HeldBack],
        Disposition::InDispute => &[Event::Sealed, Event::Disputed],
        Disposition::RefundedInPart => &[part, Event::Sealed, Event::Permitted],
        Disposition::RefundedWhole => &[Event::Sealed, Event::Permitted, whole],
        Disposition::Void => &[Event::Disproved],
    };
    fate(path)
}

#[test]
fn each_disposition_answers_each_event_as_its_table_says() {
    let mut table = String::new();
    for disposition in Disposition::ALL {
        let fate = reached(disposition);
        assert_eq!(fate.disposition(), disposition);
        for event in events() {
            let after = match fate.after(event) {
                Ok(after) => format!("{:?}, pays {}", after.disposition(), after.payable()),
                Err(impossible) => format!("no: {impossible:?}"),
            };
            table += &format!(
                "{:<15} {:<21} {after}\n",
                format!("{disposition:?}"),
                format!("{event:?}")
            );
        }
    }
    let path = format!(
        "{}/tests/rules/dispositions.table.txt",
        env!("CARGO_MANIFEST_DIR")
    );
    if std::env::var_os("UPDATE_TABLES").is_some() {
        std::fs::write(&path, &table).unwrap();
    }
    let stored = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(stored == table, "{path} says otherwise; now it is:\n{table}");
}

#[test]
fn a_refund_of_a_sealed_claim_waits_for_the_end_of_its_batch() {
    let sealed = fate(&[Event::Sealed]);
    let refund = Event::RefundOwed(yen(100));
    assert_eq!(sealed.after(refund), Err(Impossible::AfterTheBatch));
    let voided = sealed.after(Event::BatchVoided).unwrap().after(refund).unwrap();
    assert_eq!(
        (voided.disposition(), voided.payable()),
        (Disposition::Open, yen(200))
    );
    let late = sealed.after(Event::Permitted).unwrap().after(refund).unwrap();
    assert_eq!(late.disposition(), Disposition::RefundedInPart);
}

#[test]
fn a_claim_whose_batch_is_void_can_be_sealed_again() {
    let again = fate(&[Event::Sealed, Event::BatchVoided, Event::Sealed, Event::Permitted]);
    assert_eq!(again.disposition(), Disposition::Paid);
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        prop::sample::select(events().to_vec()),
        (0_u64..=AMOUNT + 2).prop_map(|minor| Event::RefundOwed(yen(minor))),
    ]
}

proptest! {
    #[test]
    fn whatever_happens_a_claim_is_refunded_once_and_never_above_its_amount(
        events in prop::collection::vec(event(), 0..30),
    ) {
        let mut fate = Fate::new(yen(AMOUNT));
        let mut refunds = 0;
        for event in events {
            let before = fate;
            match before.after(event) {
                Ok(after) => {
                    prop_assert!(!before.disposition().is_final(), "{before:?} {event:?}");
                    refunds += usize::from(matches!(event, Event::RefundOwed(_)));
                    fate = after;
                }
                Err(_) => prop_assert_eq!(before, fate),
            }
            if fate.disposition() == Disposition::Void {
                prop_assert!(fate.payable().is_zero());
            } else {
                prop_assert_eq!(fate.payable().minor() + fate.refund().minor(), AMOUNT);
            }
            prop_assert!(refunds <= 1);
            prop_assert_eq!(refunds == 0, fate.refund().is_zero());
        }
    }
}
