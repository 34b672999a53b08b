//! Every state of a load and of a settlement, and the flaws that the models find.

#![allow(clippy::panic, reason = "a test that finds something fails")]

use sim::model::{self, Found, Planted, Summary};

fn whole(what: &str, ran: Result<Summary, Box<Found>>) -> Summary {
    let summary = ran.unwrap_or_else(|found| panic!("{what}: {found}"));
    println!("{what}: {summary}");
    summary
}

#[test]
fn no_state_of_a_load_loses_doubles_or_freezes_money() {
    let honest = whole("load", model::load(Planted::Nothing, 1, false));
    let thief = whole(
        "load at a thief's terminal",
        model::load(Planted::Nothing, 1, true),
    );
    assert!(thief.states > honest.states, "a thief can do more");
    assert!(honest.states > 1_000, "{honest}");
}

#[test]
fn no_state_of_two_loads_of_one_card_loses_doubles_or_freezes_money() {
    let summary = whole("two loads", model::load(Planted::Nothing, 2, false));
    assert!(summary.states > 10_000, "{summary}");
}

#[test]
fn no_state_of_a_settlement_loses_doubles_or_freezes_money() {
    let summary = whole("settlement", model::permit(Planted::Nothing));
    assert!(summary.states > 10_000, "{summary}");
}

fn caught(planted: Planted, ran: Result<Summary, Box<Found>>) -> &'static str {
    match ran {
        Ok(summary) => panic!("{planted:?} is not found in {summary}"),
        Err(found) => {
            println!("{planted:?}: {}\n  {}", found.what, found.way.join("\n  "));
            found.what
        }
    }
}

#[test]
fn each_flaw_of_a_load_is_found() {
    for planted in Planted::IN_LOAD {
        let (loads, is_thief) = match planted {
            Planted::TwoLoadsInDoubt => (2, false),
            Planted::VoidWithoutChallenge => (1, true),
            _ => (1, false),
        };
        let what = caught(planted, model::load(planted, loads, is_thief));
        assert!(!what.contains("small"), "{what}");
    }
}

#[test]
fn each_flaw_of_a_settlement_is_found() {
    for planted in Planted::IN_PERMIT {
        let what = caught(planted, model::permit(planted));
        assert!(!what.contains("small"), "{what}");
    }
}
