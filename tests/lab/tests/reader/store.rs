use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use purser_lab::card::{Life, Minor, OtherShop, PurseKind};
use purser_lab::store::{CardFile, StoreError};

use crate::bench::*;

#[test]
fn what_changed_is_on_disk_when_the_answer_is_there() {
    let (_folder, path) = stored_card();
    let mut file = CardFile::open(&path).unwrap();
    file.power_on(1);
    file.process(SELECT).unwrap();
    file.process(WRONG_PIN).unwrap();
    assert_eq!(CardFile::read(&path).unwrap().state().pin_tries_left, 2);
    file.change(|card| card.pay_elsewhere(PurseKind::Ep, Minor(7), &OtherShop::default()))
        .unwrap()
        .unwrap();
    assert_eq!(CardFile::read(&path).unwrap().state(), file.card().state());
    assert_eq!(stored_balance(&path), 993);
}

#[test]
fn what_does_not_change_the_card_does_not_write() {
    let (_folder, path) = stored_card();
    let mut file = CardFile::open(&path).unwrap();
    file.power_on(1);
    let before = fs::metadata(&path).unwrap().modified().unwrap();
    for command in [SELECT, VERIFY, GET_BALANCE] {
        file.process(command).unwrap();
    }
    assert_eq!(fs::metadata(&path).unwrap().modified().unwrap(), before);
}

#[test]
fn a_card_has_one_user_also_after_its_file_was_replaced() {
    let (_folder, path) = stored_card();
    let mut first = CardFile::open(&path).unwrap();
    assert!(matches!(CardFile::open(&path), Err(StoreError::InUse { .. })));
    first.change(|card| card.set_life(Life::Blocked)).unwrap();
    assert!(matches!(CardFile::open(&path), Err(StoreError::InUse { .. })));
    drop(first);
    assert_eq!(CardFile::open(&path).unwrap().card().state().life, Life::Blocked);
}

#[test]
fn a_card_is_never_overwritten_and_its_maker_is_its_user() {
    let (_folder, path) = stored_card();
    let text = fs::read_to_string(&path).unwrap();
    assert!(matches!(
        CardFile::create(&path, new_card()),
        Err(StoreError::Exists { .. })
    ));
    assert_eq!(fs::read_to_string(&path).unwrap(), text);
    let other = path.with_file_name("bob.card");
    let made = CardFile::create(&other, new_card()).unwrap();
    assert!(matches!(CardFile::open(&other), Err(StoreError::InUse { .. })));
    drop(made);
    assert_eq!(
        fs::read_dir(path.parent().unwrap()).unwrap().count(),
        2,
        "nothing else is left lying about"
    );
}

#[test]
fn a_card_file_is_its_owners_alone() {
    let (_folder, path) = stored_card();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn a_temporary_file_of_a_killed_process_is_in_nobodys_way() {
    let (_folder, path) = stored_card();
    fs::write(
        path.with_file_name("alice.card.new"),
        "{\"format\": 1, \"personal",
    )
    .unwrap();
    let mut file = CardFile::open(&path).unwrap();
    file.change(|card| card.set_life(Life::Dead)).unwrap();
    assert_eq!(CardFile::read(&path).unwrap().state().life, Life::Dead);
}

#[test]
fn what_is_no_card_is_told_by_name() {
    let (_folder, path) = stored_card();
    let missing = path.with_file_name("nobody.card");
    assert!(
        CardFile::open(&missing)
            .unwrap_err()
            .to_string()
            .contains("nobody.card")
    );
    fs::write(&path, "{}").unwrap();
    let damaged = CardFile::open(&path).unwrap_err();
    assert!(matches!(damaged, StoreError::Damaged { .. }));
    assert!(!damaged.is_transient());
}

#[test]
fn a_reader_of_the_file_sees_whole_cards_only() {
    let (_folder, path) = stored_card();
    let done = Arc::new(AtomicBool::new(false));
    let reader = std::thread::spawn({
        let (path, done) = (path.clone(), Arc::clone(&done));
        move || {
            let mut seen = 0;
            while !done.load(Ordering::Acquire) {
                let card = CardFile::read(&path).unwrap();
                let state = card.state();
                assert_eq!(u64::from(state.ep.offline_sn), 1000 - card.money());
                seen += 1;
            }
            seen
        }
    });
    let mut file = CardFile::open(&path).unwrap();
    for _ in 0..50 {
        file.change(|card| card.pay_elsewhere(PurseKind::Ep, Minor(1), &OtherShop::default()))
            .unwrap()
            .unwrap();
    }
    done.store(true, Ordering::Release);
    assert!(reader.join().unwrap() > 0);
    assert_eq!(stored_balance(&path), 950);
}
