//! What a load comes to, one story at a time.

use std::sync::Arc;

use purser_engine::{LoadEnd, LoadRefusal, OwedReason};
use purser_lab::card::{Card, Fault, Life, Minor, Opening, ScriptedFault, StatusWord, instruction};
use purser_ledger::{CloseReason, LoadProof, LoadStanding};
use purser_purse::CommandName;

use super::elsewhere::Errand;
use super::run::{Blow, Story};
use super::{LOADED, OPENING, Planted, World};
use crate::kit::{CardKind, Kit, PIN};
use crate::line::Fate;

/// CREDIT comes after SELECT, READ BINARY, VERIFY and INITIALIZE.
const CREDIT: u32 = 4;
/// The attempt is the second message, after the look at the load.
const ATTEMPT: u64 = 1;

fn story(blows: &[Blow]) -> Story {
    Story::new(&Arc::new(Kit::new()), 1, Planted::Nothing, blows)
}

fn told(blows: &[Blow]) -> World {
    end(story(blows))
}

fn end(story: Story) -> World {
    story.goes_on().unwrap_or_else(|what| panic!("{what}")).0
}

fn times(world: &World, name: CommandName) -> usize {
    world.sent.iter().filter(|sent| **sent == name).count()
}

fn is_loaded(world: &World, card: usize) {
    assert!(
        matches!(
            world.told,
            Some(LoadEnd::Loaded {
                is_confirmed: true,
                ..
            })
        ),
        "{}",
        world.state()
    );
    assert_eq!(world.balance(card), OPENING + LOADED);
}

fn is_void(world: &World) {
    assert_eq!(world.told, Some(LoadEnd::Voided), "{}", world.state());
    assert_eq!((world.balance(0), world.balance(1)), (OPENING, OPENING));
}

fn proof(world: &World) -> LoadProof {
    match world.store.load(world.operation()).map(|load| &load.standing) {
        Some(LoadStanding::Confirmed(proven)) => proven.proof,
        other => panic!("it is confirmed: {other:?}"),
    }
}

#[test]
fn an_undisturbed_load_takes_five_entries_one_pin_and_one_credit() {
    let world = told(&[]);
    is_loaded(&world, 0);
    assert_eq!(
        world.sent,
        [
            CommandName::Select,
            CommandName::ReadBinary,
            CommandName::Verify,
            CommandName::InitializeLoad,
            CommandName::CreditLoad,
        ]
    );
    assert_eq!((world.store.appends, world.messages), (5, 3));
    assert_eq!(proof(&world), LoadProof::Answer);
}

#[test]
fn a_card_torn_before_it_took_the_credit_is_loaded_when_it_comes_back() {
    let world = told(&[Blow::Card(CREDIT, Fault::TearBeforeExecute)]);
    is_loaded(&world, 0);
    assert_eq!(times(&world, CommandName::CreditLoad), 2, "one for each attempt");
    assert_eq!(times(&world, CommandName::Prove), 1);
}

#[test]
fn a_card_torn_after_it_took_the_credit_tells_so_without_a_pin_when_it_comes_back() {
    let world = told(&[Blow::Card(CREDIT, Fault::TearAfterExecute)]);
    is_loaded(&world, 0);
    assert_eq!(times(&world, CommandName::CreditLoad), 1);
    assert_eq!(times(&world, CommandName::Verify), 1);
    assert_eq!(proof(&world), LoadProof::Prove);
}

#[test]
fn a_credit_that_is_answered_with_a_status_word_is_proven_on_the_spot_and_never_repeated() {
    let refused = Fault::StatusAfterExecute(StatusWord(0x6985));
    let world = told(&[Blow::Card(CREDIT, refused)]);
    is_loaded(&world, 0);
    assert_eq!(times(&world, CommandName::CreditLoad), 1);
    assert_eq!(times(&world, CommandName::Select), 1, "the card stayed in");
    assert_eq!(proof(&world), LoadProof::Prove);
}

#[test]
fn an_attempt_whose_line_is_lost_is_sent_again_while_the_card_waits() {
    for fate in [Fate::Lost, Fate::Unanswered, Fate::Twice] {
        let world = told(&[Blow::Message(ATTEMPT, fate)]);
        is_loaded(&world, 0);
        assert_eq!(times(&world, CommandName::InitializeLoad), 1, "{fate:?}");
        assert_eq!(times(&world, CommandName::CreditLoad), 1, "{fate:?}");
    }
}

#[test]
fn a_void_whose_line_is_lost_at_the_card_is_asked_for_again_while_the_card_waits() {
    let mut story = story(&[Blow::Card(CREDIT, Fault::TearBeforeExecute), Blow::Outage(3, 4)]);
    story.cancels_when_torn = true;
    let world = end(story);
    is_void(&world);
    assert_eq!(
        times(&world, CommandName::Verify),
        2,
        "one for the load, one for the void"
    );
}

#[test]
fn a_cancel_before_the_card_needs_no_card() {
    let world = told(&[Blow::Pull(0), Blow::Cancel(0)]);
    is_void(&world);
    assert!(world.sent.is_empty());
}

#[test]
fn a_cancel_after_the_release_needs_the_card_and_voids_what_it_did_not_take() {
    let mut story = story(&[Blow::Card(CREDIT, Fault::TearBeforeExecute)]);
    story.cancels_when_torn = true;
    let world = end(story);
    is_void(&world);
    assert_eq!(
        times(&world, CommandName::InitializeLoad),
        2,
        "the second over the provider's challenge"
    );
}

#[test]
fn a_cancel_after_the_card_took_it_is_answered_with_that() {
    let mut story = story(&[Blow::Card(CREDIT, Fault::TearAfterExecute)]);
    story.cancels_when_torn = true;
    is_loaded(&end(story), 0);
}

#[test]
fn a_load_that_was_voided_elsewhere_is_not_proven_by_the_next_load_of_the_card() {
    let torn = Blow::Card(CREDIT, Fault::TearBeforeExecute);
    let mut story = story(&[torn]);
    story.goes_elsewhere_when_torn = Some(Errand::LoadsAnother);
    let world = end(story);
    assert_eq!(world.told, Some(LoadEnd::Voided), "{}", world.state());
    assert_eq!(world.loaded_elsewhere, [1, 0]);
}

#[test]
fn a_load_that_was_completed_elsewhere_is_recorded_here_when_the_provider_or_the_card_tells() {
    for fault in [Fault::TearBeforeExecute, Fault::TearAfterExecute] {
        let mut story = story(&[Blow::Card(CREDIT, fault)]);
        story.goes_elsewhere_when_torn = Some(Errand::Completes);
        is_loaded(&end(story), 0);
    }
}

#[test]
fn a_contact_card_that_hands_its_answers_over_on_request_is_loaded() {
    for fault in [
        None,
        Some(Fault::TearAfterExecute),
        Some(Fault::TearBeforeExecute),
    ] {
        let mut story = with_card(CardKind::Contact, |card| {
            // Each answer with data is fetched: CREDIT is the eighth command.
            let scripted = fault.map(|fault| ScriptedFault::next(instruction::CREDIT, fault));
            scripted.into_iter().for_each(|it| card.script(it));
        });
        story.in_hand = 0;
        let world = end(story);
        is_loaded(&world, 0);
        assert!(times(&world, CommandName::GetResponse) > 0, "{fault:?}");
    }
}

#[test]
fn a_buyer_who_cancels_at_the_pin_pad_has_the_load_voided_unless_a_card_may_have_it() {
    let mut first = story(&[]);
    first.world.refuses_pin = true;
    is_void(&end(first));
    let mut later = story(&[Blow::Card(CREDIT, Fault::TearBeforeExecute)]);
    later.refuses_pin_when_torn = true;
    is_loaded(&end(later), 0);
}

#[test]
fn the_pin_may_come_through_the_api_for_the_presentation_that_it_was_asked_for() {
    let mut story = Story::asked_through_api(&Arc::new(Kit::new()));
    story.world.send_pin(PIN, 9);
    let world = end(story);
    is_loaded(&world, 0);
    assert_eq!(
        times(&world, CommandName::Verify),
        1,
        "one for another presentation is not taken"
    );
}

#[test]
fn a_released_load_wants_its_own_card_by_name() {
    let mut story = story(&[Blow::Card(CREDIT, Fault::TearBeforeExecute)]);
    story.in_hand = 1;
    let world = end(story);
    assert_eq!(world.refusals, [LoadRefusal::OtherCard]);
    is_loaded(&world, 0);
}

fn with_card(kind: CardKind, change: impl FnOnce(&mut Card)) -> Story {
    let mut story = story(&[]);
    let opening = Opening {
        ed: Minor(0),
        ep: Minor(OPENING),
        sn: 7,
    };
    let made = story.world.kit.personalisation(kind, 0);
    let mut card = Card::new(made, opening);
    change(&mut card);
    story.world.cards[0] = card;
    story.in_hand = 1;
    story
}

#[test]
fn a_card_that_cannot_be_loaded_is_refused_by_name_before_anything_is_asked_of_it() {
    let card = |reason| LoadRefusal::Card(reason);
    for (kind, refused) in [
        (CardKind::Foreign, card(CloseReason::ForeignCard)),
        (CardKind::OtherCurrency, card(CloseReason::CurrencyMismatch)),
    ] {
        let world = end(with_card(kind, |_| {}));
        assert_eq!(world.refusals, [refused], "{kind:?}");
        is_loaded(&world, 1);
        assert_eq!(times(&world, CommandName::Verify), 1, "of the other card");
    }
    let world = end(with_card(CardKind::NeedsPin, |card| card.set_life(Life::Blocked)));
    assert_eq!(world.refusals, [card(CloseReason::CardBlocked)]);
    is_loaded(&world, 1);
}

#[test]
fn a_cancel_while_a_card_is_looked_at_that_does_not_do_waits_for_no_other_card() {
    for at in 0..30 {
        let mut story = with_card(CardKind::Foreign, |_| {});
        story.blows.push(Blow::Cancel(at));
        story.is_empty_handed = true;
        let began = story.world.now.monotonic;
        let world = end(story);
        is_void(&world);
        assert!(world.now.monotonic < began.after_ms(5_000), "step {at}");
    }
}

#[test]
fn a_load_for_which_the_journal_has_no_room_is_void_and_nothing_was_sent() {
    let mut story = story(&[]);
    for _ in 0..1_000 {
        let is_next = matches!(story.world.sent.last(), Some(CommandName::InitializeLoad));
        if is_next {
            story.world.store.refusals = 1;
            break;
        }
        story
            .step(|_, possible| possible[0])
            .unwrap_or_else(|what| panic!("{what}"));
    }
    story.is_empty_handed = true;
    let world = end(story);
    is_void(&world);
    assert_eq!(times(&world, CommandName::CreditLoad), 0);
    assert_eq!(world.messages, 2, "the look, and the void");
}

#[test]
fn a_load_for_which_no_card_comes_again_stays_owed_and_says_that_a_card_may_have_it() {
    let mut story = story(&[Blow::Card(CREDIT, Fault::TearAfterExecute)]);
    story.is_empty_handed = true;
    for _ in 0..2_000 {
        let goes_on = story
            .step(|_, possible| possible[0])
            .unwrap_or_else(|what| panic!("{what}"));
        if !goes_on || matches!(story.world.told, Some(LoadEnd::Owed { .. })) {
            break;
        }
    }
    let owed = LoadEnd::Owed {
        may_be_on_card: true,
        why: Some(OwedReason::NoCardInTime),
    };
    assert_eq!(story.world.told, Some(owed));
}
