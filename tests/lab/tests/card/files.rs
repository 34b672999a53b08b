use purser_lab::card::{LogSn, Minor, OtherShop, PurseKind};

use crate::shop::*;

const INFO: &str = "505552534552000103010000000020260000000120260101209912310000";

#[test]
fn the_application_is_selected_by_name_and_tells_who_it_is() {
    let answer = send(&mut card(), SELECT);
    let proprietary = format!("9F0801019F0C1E{INFO}");
    assert_eq!(answer, format!("6F328409A00000000386980701A525{proprietary}9000"));
    assert_eq!(send(&mut card(), "00A4040C09A00000000386980701"), "9000");
}

#[test]
fn a_foreign_card_answers_6a82_and_keeps_what_was_selected() {
    let mut foreign = card_with(|fixed| fixed.aid = "A000000333010106".parse().unwrap());
    assert_eq!(send(&mut foreign, SELECT), "6A82");
    let mut card = card();
    open(&mut card);
    assert_eq!(send(&mut card, "00A4040008A000000333010106"), "6A82");
    assert!(send(&mut card, &initialize(2, 1)).ends_with("9000"));
}

#[test]
fn directories_and_files_are_selected_by_id() {
    let mut card = card();
    assert_eq!(
        send(&mut card, "00A404000E315041592E5359532E4444463031"),
        "6F15840E315041592E5359532E4444463031A5038801019000"
    );
    assert_eq!(
        send(&mut card, "00A40000020015"),
        "6A82",
        "the MF has no such file"
    );
    assert!(send(&mut card, "00A40000023F01").ends_with("9000"));
    assert_eq!(send(&mut card, "00B0000008"), "6986");
    assert_eq!(send(&mut card, "00A40000020015"), "9000");
    assert_eq!(send(&mut card, "00B0000008"), "50555253455200019000");
    assert_eq!(
        send(&mut card, "00A40000020000"),
        "6A82",
        "the key file is nobody's"
    );
    assert!(send(&mut card, "00A40000").ends_with("9000"));
}

#[test]
fn file_0015_is_read_whole_and_in_parts() {
    let mut card = card();
    assert_eq!(send(&mut card, "00B095001E"), "6A82", "before SELECT");
    send(&mut card, SELECT);
    for le in ["1E", "00", "FF"] {
        assert_eq!(send(&mut card, &format!("00B09500{le}")), format!("{INFO}9000"));
    }
    assert_eq!(
        send(&mut card, "00B0950C08"),
        format!("{ASN}9000"),
        "bytes 12 to 19 are the ASN"
    );
    assert_eq!(send(&mut card, "00B0951D08"), "009000");
    assert_eq!(send(&mut card, "00B0951E01"), "6B00");
    assert_eq!(send(&mut card, "00B0960000").len(), 2 * 0x27 + 4);
}

#[test]
fn dates_of_an_expired_card_are_told() {
    let mut card = card_with(|fixed| fixed.expiry = "20200131".parse().unwrap());
    send(&mut card, SELECT);
    assert_eq!(send(&mut card, "00B0951804"), "202001319000");
    open(&mut card);
    assert!(
        send(&mut card, &initialize(2, 1)).ends_with("9000"),
        "to refuse is the terminal's duty"
    );
}

#[test]
fn files_of_another_type_and_unknown_files_are_told_apart() {
    let mut card = card();
    send(&mut card, SELECT);
    assert_eq!(send(&mut card, "00B0980017"), "6981");
    assert_eq!(send(&mut card, "00B0810004"), "6981");
    assert_eq!(send(&mut card, "00B201AC17"), "6981");
    assert_eq!(send(&mut card, "00B0970000"), "6A82");
    assert_eq!(send(&mut card, "00B201BC17"), "6A82");
    assert_eq!(send(&mut card, "00B2010417"), "6986");
}

#[test]
fn the_log_holds_ten_records_newest_first() {
    let mut card = card();
    send(&mut card, SELECT);
    assert_eq!(send(&mut card, "00B201C417"), "6A83");
    for amount in 1..=12 {
        card.pay_elsewhere(PurseKind::Ep, Minor(amount), &OtherShop::default())
            .unwrap();
    }
    card.power_on();
    send(&mut card, SELECT);
    for nth in 1..=10 {
        let record = send(&mut card, &format!("00B2{nth:02X}C417"));
        let (sn, amount) = (12 - nth, 13 - nth);
        assert_eq!(
            record,
            format!("{sn:04X}000000{amount:08X}06999999000001202611021200009000")
        );
    }
    assert_eq!(send(&mut card, "00B20BC417"), "6A83");
}

#[test]
fn what_a_log_record_counts_is_a_setting_of_the_card() {
    let mut card = card_with(|fixed| fixed.log_sn = LogSn::AfterIncrement);
    card.pay_elsewhere(PurseKind::Ep, Minor(1), &OtherShop::default())
        .unwrap();
    card.power_on();
    send(&mut card, SELECT);
    assert!(send(&mut card, "00B201C417").starts_with("0001000000"));
}
