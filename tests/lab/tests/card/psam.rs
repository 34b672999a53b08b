//! The virtual PSAM, command by command.

use std::sync::Arc;

use purser_lab::card::{CardReply, Interface, TerminalSn};
use purser_lab::chip::Chip;
use purser_lab::issuer::Masters;
use purser_lab::psam::{FactorOrder, Psam, PsamPersonalisation};

use crate::shop::*;

pub(crate) const ADF: &str = "00A4000C02DF01";
/// Card's challenge, offline SN 7, 300 minor units, EP, the shop's time, key version 1, algorithm 0.
const FIXED: &str = "A1B2C3D400070000012C06202611021530000100";
const UPPER: &str = "5055525345520001";
const MIDDLE: &str = "0574057405740574";

/// A PSAM that answers whole and whose last terminal SN was 41, changed as the test wants, with power.
pub(crate) fn psam_with(change: impl FnOnce(&mut PsamPersonalisation)) -> Psam {
    let mut personalisation = Masters::public_lab().personalise_psam();
    personalisation.interface = Interface::Whole;
    personalisation.terminal_number = TERMINAL.parse().unwrap();
    change(&mut personalisation);
    let mut psam = Psam::new(Arc::new(personalisation), TerminalSn(41));
    psam.power_on(0);
    psam
}

pub(crate) fn psam() -> Psam {
    psam_with(|_| ())
}

pub(crate) fn initialize_with(factors: &[&str]) -> String {
    let data = format!("{FIXED}{}", factors.concat());
    format!("80700000{:02X}{data}08", data.len() / 2)
}

pub(crate) fn initialize_sam() -> String {
    initialize_with(&[ASN])
}

/// What the shop of these tests computes for [`FIXED`]: MAC1 and MAC2 under the key of these levels.
pub(crate) fn macs(terminal_sn: u32, levels: &[&str]) -> (String, String) {
    let master = PURCHASE_MASTER.to_owned();
    let key = levels
        .iter()
        .fold(master, |key, factor| diversify_by(&key, factor));
    let session = tdes(&key, &format!("A1B2C3D40007{:04X}", terminal_sn & 0xFFFF));
    let mac1 = mac(&session, &format!("0000012C06{TERMINAL}{DATE_TIME}"));
    (mac1, mac(&session, "0000012C"))
}

fn credit(mac2: &str) -> String {
    format!("8072000004{mac2}")
}

/// Selects, begins an attempt, and answers its terminal SN and right MAC2.
pub(crate) fn begin(psam: &mut Psam) -> (u32, String) {
    assert_eq!(send(psam, ADF), "9000");
    begin_again(psam)
}

fn begin_again(psam: &mut Psam) -> (u32, String) {
    let answer = send(psam, &initialize_sam());
    assert!(answer.len() == 20 && answer.ends_with("9000"), "{answer}");
    let terminal_sn = u32::from_str_radix(&answer[..8], 16).unwrap();
    let (mac1, mac2) = macs(terminal_sn, &[ASN]);
    assert_eq!(answer[8..16], mac1);
    (terminal_sn, mac2)
}

#[test]
fn the_files_of_the_psam_tell_its_serial_and_terminal_number() {
    let mut psam = psam();
    let info = "0000000020265000000101000000";
    assert_eq!(send(&mut psam, "00B095000E"), format!("{info}9000"));
    assert_eq!(send(&mut psam, "00B0960006"), format!("{TERMINAL}9000"));
    assert_eq!(send(&mut psam, "00B0960402"), "55669000");
    assert_eq!(send(&mut psam, "00B0960601"), "6B00");
    assert_eq!(send(&mut psam, "00B0970006"), "6A82");
    assert_eq!(send(&mut psam, "00A40000020016"), "9000");
    assert_eq!(send(&mut psam, "00B0000000"), format!("{TERMINAL}9000"));
    assert_eq!(send(&mut psam, ADF), "9000");
    assert_eq!(
        send(&mut psam, "00B0960006"),
        "6A82",
        "the purchase ADF has no such file"
    );
    assert_eq!(send(&mut psam, "00B0000006"), "6986");
}

#[test]
fn the_purchase_adf_is_selected_by_its_id_and_by_its_name() {
    let name = "A00000000386980701";
    let answer = format!("6F0B8409{name}9000");
    for select in ["00A4000002DF0100", &format!("00A4040009{name}00")] {
        let mut psam = psam();
        assert_eq!(send(&mut psam, select), answer);
        begin_again(&mut psam);
    }
    let mut psam = psam();
    for (select, answer) in [
        ("00A40000021001", "6A82"),
        ("00A4040005A000000333", "6A82"),
        ("00A40400", "6700"),
        ("00A40100023F00", "6A86"),
        ("00A40004023F00", "6A86"),
        ("00A40000013F", "6700"),
    ] {
        assert_eq!(send(&mut psam, select), answer, "{select}");
    }
    let mf = "6F10840E315041592E5359532E44444630319000";
    for select in [
        "00A40000023F00",
        "00A40000",
        "00A404000E315041592E5359532E4444463031",
    ] {
        assert_eq!(send(&mut psam, select), mf);
    }
}

#[test]
fn mac1_fits_for_one_to_three_levels_in_both_factor_orders() {
    let levels: [&[&str]; 3] = [&[ASN], &[UPPER, ASN], &[UPPER, MIDDLE, ASN]];
    for downwards in levels {
        for factor_order in [FactorOrder::AsnFirst, FactorOrder::UpperFirst] {
            let mut psam = psam_with(|fixed| {
                fixed.key.levels = u8::try_from(downwards.len()).unwrap().try_into().unwrap();
                fixed.factor_order = factor_order;
            });
            let mut sent = downwards.to_vec();
            if factor_order == FactorOrder::AsnFirst {
                sent.reverse();
            }
            send(&mut psam, ADF);
            let (mac1, mac2) = macs(42, downwards);
            let answer = send(&mut psam, &initialize_with(&sent));
            assert_eq!(answer, format!("0000002A{mac1}9000"));
            assert_eq!(send(&mut psam, &credit(&mac2)), "9000");
            if sent.len() > 1 {
                sent.reverse();
                let answer = send(&mut psam, &initialize_with(&sent));
                let (mac1, _) = macs(43, downwards);
                assert_ne!(
                    answer[8..16],
                    mac1,
                    "a wrong order makes a MAC1 that no card takes"
                );
            }
        }
    }
}

#[test]
fn psam_and_card_complete_a_sale() {
    let (mut card, mut psam) = (card(), psam());
    open(&mut card);
    let begun = send(&mut card, &initialize(2, 300));
    let (sn, rnd) = (&begun[8..12], &begun[22..30]);
    let data = format!("{rnd}{sn}0000012C06{DATE_TIME}0100{ASN}");
    send(&mut psam, ADF);
    let answer = send(&mut psam, &format!("807000001C{data}08"));
    let (terminal_sn, mac1) = (&answer[..8], &answer[8..16]);
    let debited = send(&mut card, &format!("805401000F{terminal_sn}{DATE_TIME}{mac1}08"));
    assert!(debited.ends_with("9000"), "{debited}");
    assert_eq!(send(&mut psam, &credit(&debited[8..16])), "9000");
    assert_eq!((card.money(), psam.state().terminal_sn), (1700, TerminalSn(42)));
}

#[test]
fn each_8070_uses_up_one_terminal_sn_and_no_refused_one_does() {
    let mut psam = psam();
    assert_eq!(begin(&mut psam).0, 42);
    assert_eq!(begin_again(&mut psam).0, 43);
    for refused in [
        initialize_sam().replace("0100000020", "0200000020"),
        initialize_sam().replace("0100000020", "0101000020"),
        initialize_sam().replace("012C06", "012C07"),
        initialize_with(&[ASN, UPPER]),
        initialize_sam().replacen("80700000", "80700100", 1),
    ] {
        let answer = send(&mut psam, &refused);
        assert!(
            ["9403", "6A80", "6700", "6A86"].contains(&answer.as_str()),
            "{refused} got {answer}"
        );
    }
    psam.power_off();
    psam.power_on(1);
    assert_eq!(begin(&mut psam).0, 44, "also after a loss of power");
    let mut again = Psam::from_json(&psam.to_json()).unwrap();
    again.power_on(2);
    assert_eq!(begin(&mut again).0, 45, "also from its file");
}

#[test]
fn the_counter_ends_and_gives_no_number_twice() {
    let mut personalisation = Masters::public_lab().personalise_psam();
    personalisation.interface = Interface::Whole;
    let mut psam = Psam::new(Arc::new(personalisation), TerminalSn(u32::MAX - 1));
    psam.power_on(0);
    send(&mut psam, ADF);
    assert!(send(&mut psam, &initialize_sam()).starts_with("FFFFFFFF"));
    for _ in 0..3 {
        assert_eq!(send(&mut psam, &initialize_sam()), "9402");
    }
}

#[test]
fn a_mac2_is_checked_once_and_only_right_after_8070() {
    let mut psam = psam();
    let (_, mac2) = begin(&mut psam);
    assert_eq!(send(&mut psam, &credit(&mac2)), "9000");
    assert_eq!(send(&mut psam, &credit(&mac2)), "6901", "it is checked once");
    for between in ["00B095000E", "00A4000002DF01", "80FF0000", "8072000103AABBCC"] {
        let (_, mac2) = begin_again(&mut psam);
        send(&mut psam, between);
        send(&mut psam, ADF);
        assert_eq!(send(&mut psam, &credit(&mac2)), "6901", "{between} stood between");
    }
    let (_, first) = begin_again(&mut psam);
    begin_again(&mut psam);
    assert_eq!(
        send(&mut psam, &credit(&first)),
        "9302",
        "a second 8070 kills the first one's MAC2"
    );
}

#[test]
fn purse_commands_before_select_are_6985() {
    let mut psam = psam();
    assert_eq!(send(&mut psam, &initialize_sam()), "6985");
    assert_eq!(send(&mut psam, &credit("00000000")), "6985");
    assert_eq!(send(&mut psam, "00C0000008"), "6985");
    assert_eq!(psam.state().terminal_sn, TerminalSn(41));
}

#[test]
fn wrong_mac2_are_counted_and_lock_until_the_issuer_unlocks() {
    let mut psam = psam();
    let (_, mac2) = begin(&mut psam);
    assert_eq!(send(&mut psam, &credit("00000000")), "9302");
    assert_eq!(send(&mut psam, &credit(&mac2)), "6901", "there is no second try");
    begin_again(&mut psam);
    assert_eq!(send(&mut psam, &credit("00000000")), "9302");
    assert_eq!(psam.state().mac_tries_left, 1);
    let (_, mac2) = begin_again(&mut psam);
    assert_eq!(send(&mut psam, &credit(&mac2)), "9000");
    assert_eq!(psam.state().mac_tries_left, 3, "a right one gives all tries back");
    for _ in 0..3 {
        begin_again(&mut psam);
        assert_eq!(send(&mut psam, &credit("00000000")), "9302");
    }
    for locked in [&initialize_sam(), &credit("00000000")] {
        assert_eq!(send(&mut psam, locked), "6A81");
    }
    psam.power_off();
    psam.power_on(1);
    assert_eq!(send(&mut psam, ADF), "6283", "the lock survives a loss of power");
    assert_eq!(send(&mut psam, &initialize_sam()), "6A81");
    assert_eq!(psam.state().terminal_sn, TerminalSn(47));
    psam.unlock();
    assert_eq!(begin(&mut psam).0, 48);
}

#[test]
fn a_loss_of_power_and_a_reset_forget_what_was_begun() {
    let forget: [fn(&mut Psam); 2] = [
        |psam| {
            psam.power_off();
            psam.power_on(1);
        },
        |psam| Chip::reset(psam),
    ];
    for forget in forget {
        let mut psam = psam();
        let (_, mac2) = begin(&mut psam);
        forget(&mut psam);
        assert_eq!(send(&mut psam, &credit(&mac2)), "6985");
        assert_eq!(send(&mut psam, ADF), "9000");
        assert_eq!(send(&mut psam, &credit(&mac2)), "6901");
        assert_eq!(psam.state().mac_tries_left, 3, "nothing was checked");
        assert_eq!(begin_again(&mut psam).0, 43);
    }
}

#[test]
fn classes_instructions_and_parameters_that_are_not_its_own_are_refused() {
    let mut psam = psam();
    begin(&mut psam);
    for (command, answer) in [
        ("00FF0000", "6D00"),
        ("8050010200", "6D00"),
        ("0020000003123456", "6D00"),
        ("04B095000E", "6E00"),
        ("80B095000E", "6E00"),
        ("0070000000", "6E00"),
        ("00720000", "6E00"),
        ("80A4000002DF01", "6E00"),
        ("80C0000008", "6E00"),
        ("00C0000108", "6A86"),
        ("8072000003000000", "6700"),
        ("807200010400000000", "6A86"),
        ("807201000400000000", "6A86"),
        ("00B0A50001", "6A86"),
        ("00B0950001AA", "6700"),
    ] {
        assert_eq!(send(&mut psam, command), answer, "{command}");
    }
}

#[test]
fn every_command_cut_at_any_byte_uses_nothing_up() {
    let mut psam = psam();
    let (_, mac2) = begin(&mut psam);
    for whole in [initialize_sam(), credit(&mac2), ADF.to_owned()] {
        let whole = bytes(&whole);
        // A last byte after the data is Le: without it the command is whole.
        let data_end = 5 + usize::from(whole[4]);
        for length in 0..data_end {
            let mut again = psam.clone();
            let CardReply::Answer(answer) = again.process(&whole[..length]) else {
                panic!("no answer to {length} bytes")
            };
            let answer = hex::encode_upper(answer);
            // Without its data the command is the SELECT of the MF.
            let is_select_mf = whole[1] == 0xA4 && matches!(length, 4 | 5);
            assert_eq!(answer == "9000", is_select_mf, "{length} bytes got {answer}");
            assert_eq!(again.state(), psam.state());
        }
    }
    for length in 0..=64 {
        let wrong = format!("80700000{length:02X}{}", "00".repeat(length));
        if length != 28 && length != 0 {
            assert_eq!(send(&mut psam.clone(), &wrong), "6700", "{wrong}");
        }
    }
    assert_eq!(psam.state().mac_tries_left, 3);
}

#[test]
fn over_t0_answers_wait_for_get_response_and_8072_needs_none() {
    let mut psam = psam_with(|fixed| fixed.interface = Interface::T0);
    assert_eq!(send(&mut psam, "00B0950000"), "6C0E");
    assert_eq!(send(&mut psam, "00B0960006"), format!("{TERMINAL}9000"));
    assert_eq!(send(&mut psam, "00A4000002DF01"), "610D");
    assert_eq!(send(&mut psam, "00C000000D"), "6F0B8409A000000003869807019000");
    assert_eq!(send(&mut psam, &initialize_sam()), "6108");
    assert_eq!(psam.state().terminal_sn, TerminalSn(42));
    assert_eq!(send(&mut psam, "00C0000004"), "6C08");
    let (mac1, mac2) = macs(42, &[ASN]);
    assert_eq!(send(&mut psam, "00C0000008"), format!("0000002A{mac1}9000"));
    assert_eq!(send(&mut psam, "00C0000008"), "6985", "it is given once");
    assert_eq!(send(&mut psam, &credit(&mac2)), "9000");
}

#[test]
fn a_psam_comes_back_from_json_as_it_was_and_nothing_else_is_one() {
    let mut psam = psam();
    begin(&mut psam);
    send(&mut psam, &credit("00000000"));
    let text = psam.to_json();
    let again = Psam::from_json(&text).unwrap();
    assert_eq!(
        (again.state(), again.personalisation()),
        (psam.state(), psam.personalisation())
    );
    for length in 0..text.len() {
        assert!(Psam::from_json(&text[..length]).is_err(), "{length} bytes");
        purser_lab::psam::fuzz_stored(&text.as_bytes()[..length]);
    }
    assert!(
        Psam::from_json(&card().to_json()).is_err(),
        "a purse card is no PSAM"
    );
    assert!(
        purser_lab::card::Card::from_json(&text).is_err(),
        "nor the other way round"
    );
    for at in (0..text.len()).filter(|at| text.as_bytes()[*at].is_ascii_digit()) {
        let mut changed = text.clone().into_bytes();
        changed[at] = b'9';
        purser_lab::psam::fuzz_stored(&changed);
    }
}

#[test]
fn the_fuzz_entry_holds_on_its_corpus() {
    let mut sale = Vec::new();
    for command in [
        ADF,
        &initialize_sam(),
        "00C0000008",
        &credit("00000000"),
        "00B0960006",
    ] {
        let command = bytes(command);
        sale.push(u8::try_from(command.len()).unwrap());
        sale.extend(command);
    }
    for length in 0..=sale.len() {
        purser_lab::psam::fuzz(&sale[..length]);
    }
    // The same behind a command of one byte, which makes it a PSAM that answers whole.
    let whole = [&[1, 0][..], &sale].concat();
    purser_lab::psam::fuzz(&whole);
}

proptest::proptest! {
    #[test]
    fn the_fuzz_entry_holds_on_random_bytes(data in proptest::collection::vec(proptest::num::u8::ANY, 0..200)) {
        purser_lab::psam::fuzz(&data);
    }
}
