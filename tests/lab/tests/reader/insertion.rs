use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::time::Duration;

use purser_lab::card::{Fault, Minor, OtherShop, ScriptedFault, instruction};
use purser_lab::store::CardFile;
use purser_lab::vpcd::{CardThread, CardThreadError, Place};

use crate::bench::*;

#[test]
fn control_bytes_but_get_atr_are_silent_and_every_command_is_answered() {
    let (_folder, path) = stored_card();
    let reader = Reader::new();
    let card = CardThread::start(&path, reader.address()).unwrap();
    card.insert();
    let mut inserted = reader.accept();
    inserted.send(&[0x02]);
    inserted.send(&[0x00]);
    inserted.send(&[0x01]);
    assert_eq!(inserted.ask(&[0x04]).unwrap(), [0x3B, 0x80, 0x80, 0x01, 0x01]);
    assert_eq!(inserted.ask(SELECT).unwrap(), OK);
    assert_eq!(inserted.ask(GET_BALANCE).unwrap(), [0, 0, 0x03, 0xE8, 0x90, 0]);
    inserted.send(&[0x02]);
    assert_eq!(
        inserted.ask(GET_BALANCE).unwrap(),
        [0x69, 0x85],
        "reset forgets the selection"
    );
}

#[test]
fn frames_may_come_byte_by_byte() {
    let (_folder, path) = stored_card();
    let reader = Reader::new();
    let card = CardThread::start(&path, reader.address()).unwrap();
    card.insert();
    let mut inserted = reader.accept();
    let length = u8::try_from(SELECT.len()).unwrap();
    for byte in [&[0, length], SELECT, &[0, 1, 4]].concat() {
        inserted.0.write_all(&[byte]).unwrap();
        inserted.0.flush().unwrap();
    }
    assert_eq!(inserted.receive().unwrap(), OK);
    assert_eq!(inserted.receive().unwrap().len(), 5);
}

#[test]
fn a_whole_purchase_over_the_wire_is_on_disk_when_its_answer_is_there() {
    let (_folder, path) = stored_card();
    let reader = Reader::new();
    let card = CardThread::start(&path, reader.address()).unwrap();
    card.insert();
    let mut inserted = reader.accept();
    let debit = inserted.begin_purchase(300, 1);
    let answer = inserted.ask(&debit).unwrap();
    assert!(answer.len() == 10 && answer.ends_with(OK), "{answer:02X?}");
    assert_eq!(stored_balance(&path), 700);
}

#[test]
fn a_tear_closes_the_connection_and_the_card_stays_away_until_it_is_inserted_again() {
    for (fault, money) in [(Fault::TearBeforeExecute, 1000), (Fault::TearAfterExecute, 700)] {
        let (_folder, path) = stored_card();
        let reader = Reader::new();
        let card = CardThread::start(&path, reader.address()).unwrap();
        card.script(ScriptedFault::next(instruction::DEBIT, fault));
        card.insert();
        let mut inserted = reader.accept();
        let debit = inserted.begin_purchase(300, 1);
        assert_eq!(inserted.ask(&debit), None);
        assert!(card.wait_until(Place::Away, PATIENCE));
        assert_eq!(stored_balance(&path), money);
        card.insert();
        assert_eq!(reader.accept().ask(SELECT).unwrap(), OK);
        assert_eq!(card.card().money(), money);
    }
}

#[test]
fn a_mute_card_keeps_its_connection_and_speaks_after_a_reset() {
    let (_folder, path) = stored_card();
    let reader = Reader::new();
    let card = CardThread::start(&path, reader.address()).unwrap();
    card.script(ScriptedFault::next(instruction::SELECT, Fault::MuteUntilReset));
    card.insert();
    let mut inserted = reader.accept();
    inserted.send(SELECT);
    inserted.send(&[0x02]);
    assert_eq!(
        inserted.ask(GET_BALANCE).unwrap(),
        [0x69, 0x85],
        "the first answer is to this command"
    );
}

#[test]
fn a_card_without_power_says_nothing_but_its_atr() {
    let (_folder, path) = stored_card();
    let reader = Reader::new();
    let card = CardThread::start(&path, reader.address()).unwrap();
    card.insert();
    let mut inserted = reader.accept();
    inserted.send(&[0x00]);
    inserted.send(SELECT);
    assert_eq!(
        inserted.ask(&[0x04]).unwrap().len(),
        5,
        "the first answer is the ATR"
    );
}

#[test]
fn insert_and_remove_many_times() {
    let (_folder, path) = stored_card();
    let reader = Reader::new();
    let card = CardThread::start(&path, reader.address()).unwrap();
    for round in 0..200 {
        assert_eq!(card.status().place, Place::Away);
        card.insert();
        let mut inserted = reader.accept();
        assert_eq!(inserted.ask(SELECT).unwrap(), OK, "round {round}");
        assert_eq!(card.status().place, Place::InReader);
        card.remove();
        assert_eq!(inserted.receive(), None);
    }
}

#[test]
fn a_command_that_arrives_after_remove_reaches_no_card() {
    let (_folder, path) = stored_card();
    let reader = Reader::new();
    let card = CardThread::start(&path, reader.address()).unwrap();
    card.insert();
    let mut inserted = reader.accept();
    let debit = inserted.begin_purchase(300, 1);
    card.remove();
    // The reader may not have noticed yet; whether this write succeeds does not matter.
    let late = [&[0, u8::try_from(debit.len()).unwrap()], &debit[..]].concat();
    drop(inserted.0.write_all(&late));
    assert_eq!(inserted.receive(), None);
    assert_eq!(card.card().money(), 1000);
}

#[test]
fn a_card_waits_for_a_reader_that_starts_later_and_for_one_that_starts_again() {
    let (_folder, path) = stored_card();
    let address = Reader::new().address();
    let card = CardThread::start(&path, address).unwrap();
    card.insert();
    assert!(!card.wait_until(Place::InReader, Duration::from_millis(50)));
    assert_eq!(card.status().place, Place::Approaching);
    for _ in 0..2 {
        let reader = TcpListener::bind(address).unwrap();
        let stream = accept(&reader);
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut inserted = Inserted(stream);
        assert_eq!(inserted.ask(&[0x04]).unwrap().len(), 5);
        assert!(card.wait_until(Place::InReader, PATIENCE));
    }
}

#[test]
fn the_same_challenge_is_not_made_in_two_insertions() {
    let (_folder, path) = stored_card();
    let reader = Reader::new();
    let card = CardThread::start(&path, reader.address()).unwrap();
    let challenge = || {
        card.insert();
        let mut inserted = reader.accept();
        let answer = inserted.ask(&[0, 0x84, 0, 0, 8]).unwrap();
        card.remove();
        answer
    };
    assert_ne!(challenge(), challenge());
}

#[test]
fn other_shops_have_the_card_only_while_it_is_away() {
    let (_folder, path) = stored_card();
    let reader = Reader::new();
    let card = CardThread::start(&path, reader.address()).unwrap();
    card.insert();
    let inserted = reader.accept();
    assert!(card.wait_until(Place::InReader, PATIENCE));
    assert!(matches!(
        card.load_elsewhere(Minor(5)),
        Err(CardThreadError::NotAway)
    ));
    card.remove();
    drop(inserted);
    card.load_elsewhere(Minor(5)).unwrap();
    card.pay_elsewhere(Minor(2), &OtherShop::default()).unwrap();
    assert!(matches!(
        card.pay_elsewhere(Minor(5000), &OtherShop::default()),
        Err(CardThreadError::Refused(_))
    ));
    assert_eq!(stored_balance(&path), 1003);
}

#[test]
fn a_peer_that_is_no_reader_is_told_in_the_status() {
    let (_folder, path) = stored_card();
    let reader = Reader::new();
    let card = CardThread::start(&path, reader.address()).unwrap();
    card.insert();
    let mut inserted = reader.accept();
    inserted.send(&[0x09]);
    assert_eq!(inserted.receive(), None);
    drop(reader.accept());
    assert!(card.status().failure.unwrap().contains("control byte 09"));
}

#[test]
fn a_card_file_that_cannot_be_written_takes_the_card_away_without_an_answer() {
    let (folder, path) = stored_card();
    let reader = Reader::new();
    let card = CardThread::start(&path, reader.address()).unwrap();
    card.insert();
    let mut inserted = reader.accept();
    assert_eq!(inserted.ask(SELECT).unwrap(), OK);
    // A folder in the place of the temporary file stops even root.
    std::fs::create_dir(folder.path().join("alice.card.new")).unwrap();
    assert_eq!(inserted.ask(WRONG_PIN), None);
    assert!(card.wait_until(Place::Away, PATIENCE));
    assert!(card.status().failure.unwrap().contains("alice.card.new"));
    assert_eq!(CardFile::read(&path).unwrap().state().pin_tries_left, 3);
}

#[test]
fn dropping_the_card_ends_its_thread_also_while_no_reader_listens() {
    let (_folder, path) = stored_card();
    let nobody = SocketAddr::from((Ipv4Addr::LOCALHOST, 9));
    let card = CardThread::start(&path, nobody).unwrap();
    card.insert();
    drop(card);
    CardFile::open(&path).unwrap();
}
