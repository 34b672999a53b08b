//! What parameters forbid, and from which moment on.

use purser_ledger::{Amount, CloseReason, Wall};

use super::{HotListTaken, Parameters, ParametersAge};
use crate::tests::till::{INIT_SAM, INITIALIZE, TODAY, Till, card, heard_at, listing, permissive};
use crate::{Input, RequestError};

#[test]
fn before_the_first_parameters_a_sale_goes_on_and_is_stamped_with_none() {
    let mut till = Till::software(40);
    till.sell(900, 7);
    assert_eq!((till.debits, till.intents[0].parameters_version), (1, 0));
}

#[test]
fn a_sale_is_refused_in_a_currency_that_is_not_listed_above_its_limit_and_with_a_sam_that_is_not_permitted() {
    let mut till = Till::software(40);
    till.hears(permissive());
    assert_eq!(till.begin(501), Err(RequestError::ParametersLimit));
    assert_eq!(till.begin(500), Ok(()));
    let mut till = Till::software(40);
    till.hears(Parameters {
        currencies: Vec::new(),
        ..permissive()
    });
    assert_eq!(till.begin(1), Err(RequestError::ParametersCurrency));
    let forbidding = Parameters {
        is_software_sam_allowed: false,
        ..permissive()
    };
    let mut till = Till::software(40);
    till.hears(forbidding.clone());
    assert_eq!(till.begin(1), Err(RequestError::ParametersSam));
    let mut till = Till::psam(40);
    till.hears(forbidding);
    till.sell(300, 7);
    assert_eq!(till.debits, 1, "a PSAM is always permitted");
}

#[test]
fn another_currencys_limit_permits_nothing() {
    let mut till = Till::software(40);
    till.hears(permissive());
    let euro = Amount::new(1, "EUR".parse().unwrap()).unwrap();
    assert!(till.begin_over(euro).is_err());
    let heard = heard_at(permissive(), TODAY);
    let refused = heard.permit(euro, true, till.now.wall);
    assert_eq!(refused, Err(RequestError::ParametersCurrency));
}

#[test]
fn old_parameters_warn_and_stale_ones_sell_up_to_the_lower_limit() {
    let ages = [
        (999, ParametersAge::Fresh, Ok(())),
        (1_000, ParametersAge::Old, Ok(())),
        (1_999, ParametersAge::Old, Ok(())),
        (2_000, ParametersAge::Stale, Err(RequestError::ParametersStale)),
        (-1, ParametersAge::Fresh, Ok(())),
    ];
    for (seconds, age, begun) in ages {
        let mut till = Till::software(40);
        till.take(Input::Parameters(heard_at(permissive(), TODAY - seconds)));
        let heard = till.engine.parameters().unwrap();
        assert_eq!(heard.age(till.now.wall), age, "{seconds}");
        assert_eq!(till.begin(101), begun, "{seconds}");
        let mut till = Till::software(40);
        till.take(Input::Parameters(heard_at(permissive(), TODAY - seconds)));
        assert_eq!(till.begin(100), Ok(()), "{seconds}");
    }
}

#[test]
fn a_clock_that_is_not_trusted_warns_and_refuses_nothing() {
    let mut till = Till::software(40);
    till.take(Input::Parameters(heard_at(permissive(), TODAY - 100_000)));
    assert_eq!(till.begin(500), Err(RequestError::ParametersStale));
    // Below the newest record's time: the floor is what counts then, and it is not trusted.
    let newest = till.now.wall;
    till.engine.clock = till.engine.clock.lifted_by(newest);
    till.now.wall.unix_seconds = TODAY - 1;
    assert_eq!(till.begin(500), Ok(()));
    let judged = till.engine.judged_now().wall;
    assert!(!judged.trusted && judged.unix_seconds == TODAY);
    let age = till.engine.parameters().unwrap().age(judged);
    assert_eq!(age, ParametersAge::Old);
}

#[test]
fn what_is_heard_again_is_fresh_again() {
    let mut till = Till::software(40);
    till.take(Input::Parameters(heard_at(permissive(), TODAY - 2_000)));
    assert_eq!(till.begin(500), Err(RequestError::ParametersStale));
    till.hears(permissive());
    assert_eq!(till.begin(500), Ok(()));
}

#[test]
fn an_earlier_version_and_other_content_under_the_same_one_change_nothing() {
    let mut till = Till::software(40);
    till.hears(listing(&[9]));
    till.hears(permissive());
    till.hears(Parameters {
        hot_list: Vec::new(),
        ..listing(&[])
    });
    let in_force = till.engine.parameters().unwrap();
    assert_eq!(*in_force.parameters, listing(&[9]));
    assert_eq!(till.acknowledged.len(), 1);
}

#[test]
fn a_listed_card_and_a_key_that_is_not_listed_are_refused_by_name_and_another_card_is_sold_to() {
    let mut till = Till::software(40);
    till.hears(listing(&[3, 7, 9]));
    for serial in [3, 7, 9] {
        till.sell(300, serial);
    }
    assert_eq!(till.closed, [CloseReason::CardHotListed; 3]);
    till.sell(300, 8);
    assert_eq!((till.debits, till.intents.len()), (1, 1));
    assert_eq!(
        (&till.intents[0].key.card, till.intents[0].parameters_version),
        (&card(8), 2)
    );
    let mut till = Till::software(40);
    till.hears(Parameters {
        key_versions: vec![0, 2],
        ..permissive()
    });
    till.sell(300, 8);
    assert_eq!(
        (till.debits, till.closed),
        (0, vec![CloseReason::KeyVersionNotListed])
    );
}

#[test]
fn a_list_that_comes_between_the_pin_and_the_intent_counts() {
    let mut till = Till::software(40);
    till.hears(permissive());
    till.sell_up_to(INITIALIZE, 300, 7);
    till.hears(listing(&[7]));
    let told = HotListTaken {
        version: 1,
        from_terminal_sn: 41,
    };
    assert_eq!(till.acknowledged, [told]);
    till.go_on(7);
    assert_eq!((till.debits, till.intents.len()), (0, 0));
    assert_eq!(till.closed, [CloseReason::CardHotListed]);
    till.sell(300, 8);
    assert_eq!(till.intents[0].key.terminal_sn, 41, "no number is used up by it");
}

#[test]
fn a_list_that_comes_while_the_psam_gives_out_a_number_counts() {
    let mut till = Till::psam(40);
    till.hears(permissive());
    till.sell_up_to(INIT_SAM, 300, 7);
    till.hears(listing(&[7]));
    assert_eq!(till.acknowledged[0].from_terminal_sn, 41);
    till.go_on(7);
    assert_eq!((till.debits, till.intents.len()), (0, 0));
    assert_eq!(till.closed, [CloseReason::CardHotListed]);
    till.sell(300, 8);
    assert_eq!((till.debits, till.intents[0].key.terminal_sn), (1, 42));
    assert_eq!(till.intents[0].parameters_version, 2);
}

#[test]
fn a_debit_that_is_intended_when_the_list_comes_is_made_and_the_list_counts_from_a_higher_number_on() {
    for mut till in [Till::software(40), Till::psam(40)] {
        till.hears(permissive());
        till.keeps_receipts = true;
        till.sell(300, 7);
        till.hears(listing(&[7]));
        assert_eq!(till.intents[0].key.terminal_sn, 41);
        assert_eq!(till.acknowledged[0].from_terminal_sn, 42);
        till.release_receipt();
        assert_eq!((till.debits, till.intents[0].parameters_version), (1, 1));
    }
}

#[test]
fn a_list_is_in_force_from_the_psams_next_number_on_in_every_generation() {
    let mut till = Till::psam_of(1, 40);
    till.hears(listing(&[7]));
    assert_eq!(till.acknowledged[0].from_terminal_sn, 41);
    till.sell(300, 8);
    assert_eq!((till.debits, till.intents[0].key.terminal_sn), (1, 41));
}

#[test]
fn a_number_that_the_psam_gave_out_for_nothing_is_below_the_acknowledged_one() {
    let mut till = Till::psam(40);
    till.hears(listing(&[7]));
    till.sell_up_to(INIT_SAM, 300, 8);
    till.hears(Parameters {
        version: 3,
        hot_list_version: 2,
        ..listing(&[7, 8])
    });
    till.go_on(8);
    till.hears(Parameters {
        version: 4,
        hot_list_version: 3,
        ..listing(&[8])
    });
    let told: Vec<_> = till.acknowledged.iter().map(|it| it.from_terminal_sn).collect();
    assert_eq!(told, [41, 41, 42]);
}

#[test]
fn a_permission_that_goes_while_the_sale_is_under_way_ends_it() {
    let without_sam = Parameters {
        version: 2,
        is_software_sam_allowed: false,
        ..permissive()
    };
    let mut till = Till::software(40);
    till.hears(permissive());
    till.sell_up_to(INITIALIZE, 300, 7);
    till.hears(without_sam);
    till.go_on(7);
    assert_eq!(
        (till.debits, till.closed),
        (0, vec![CloseReason::ParametersForbid])
    );
}

#[test]
fn a_list_is_acknowledged_once_and_the_empty_one_of_the_beginning_never() {
    let mut till = Till::software(40);
    till.hears(permissive());
    assert!(till.acknowledged.is_empty());
    till.hears(listing(&[7]));
    till.hears(listing(&[7]));
    till.hears(Parameters {
        version: 3,
        ..listing(&[7])
    });
    assert_eq!(till.acknowledged.len(), 1);
}

#[test]
fn with_the_last_number_given_out_no_list_is_acknowledged() {
    let mut till = Till::software(u32::MAX);
    till.hears(listing(&[7]));
    assert!(till.acknowledged.is_empty());
    let far = Wall {
        unix_seconds: i64::MAX,
        ..till.now.wall
    };
    assert_eq!(heard_at(permissive(), i64::MIN).age(far), ParametersAge::Stale);
}
