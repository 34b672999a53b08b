use purser_lab::card::{Card, CardReply, Interface};

use crate::shop::*;

#[test]
fn unknown_instructions_are_6d00_and_unknown_classes_6e00() {
    let mut card = card();
    open(&mut card);
    for unknown in ["00FF0000", "80FF000000", "00D6950001AA", "801E000004AABBCCDD"] {
        assert_eq!(send(&mut card, unknown), "6D00", "{unknown}");
    }
    for class in [
        "FFCA000000",
        "04B095001E",
        "84B095001E",
        "90A4040009A00000000386980701",
    ] {
        assert_eq!(send(&mut card, class), "6E00", "{class}");
    }
    for swapped in [
        "80A4040009A00000000386980701",
        "005C000204",
        "8020000003123456",
        "80C0000004",
    ] {
        assert_eq!(send(&mut card, swapped), "6E00", "{swapped}");
    }
}

#[test]
fn each_command_refuses_p1_and_p2_that_are_not_its_own() {
    let mut card = card();
    let bad = [
        "00A4010002001500",
        "00A4040109A00000000386980701",
        "00B0F50001",
        "00B200C417",
        "00B201C017",
        "0020010003123456",
        "0084000104",
        "0084010004",
        "805C010204",
        "805C000304",
        "805C000004",
        "80500200",
        "80500103",
        "80500003",
        "805401010F000000012026110215300000000000",
        "805400000F000000012026110215300000000000",
        "805200010B2026110215300000000000",
        "805A01060200010A",
        "805A0007020001",
    ];
    for command in bad {
        open(&mut card);
        assert_eq!(send(&mut card, command), "6A86", "{command}");
    }
    assert_eq!(
        send(&mut card, "0020000103123456"),
        "9403",
        "there is one PIN, key id 00"
    );
}

#[test]
fn each_command_refuses_data_of_another_length() {
    let mut card = card();
    let whole = [
        initialize(2, 1),
        initialize_load(2, 1),
        "805401000F00000001202611021530000000000008".to_owned(),
        "805200000B202611021530000000000008".to_owned(),
        "805A0006020001".to_owned(),
    ];
    for command in whole {
        open(&mut card);
        let header = &command[..8];
        let right = usize::from_str_radix(&command[8..10], 16).unwrap();
        for length in (1..=20).filter(|length| *length != right) {
            let wrong = format!("{header}{length:02X}{}", "00".repeat(length));
            assert_eq!(send(&mut card, &wrong), "6700", "{wrong}");
        }
        assert_eq!(send(&mut card, header), "6700");
    }
    for with_data in ["805C000201AA", "00B0950001AA", "00B201C401AA", "0084000001AA"] {
        assert_eq!(send(&mut card, with_data), "6700", "{with_data}");
    }
    assert_eq!(
        send(&mut card, "0084000005"),
        "6700",
        "a challenge has 4 or 8 bytes"
    );
    assert_eq!(send(&mut card, "00A40400"), "6700");
    assert_eq!(send(&mut card, "00A40000013F"), "6700");
}

#[test]
fn a_whole_sale_cut_at_each_byte_of_each_command_never_moves_money() {
    let mut card = card();
    open(&mut card);
    let sale = Sale::begin(&mut card, 2, 100, 1);
    let debit = bytes(&sale.debit);
    // The last byte is Le: without it the command is whole.
    for length in 0..debit.len() - 1 {
        let mut again = card.clone();
        let CardReply::Answer(answer) = again.process(&debit[..length]) else {
            panic!("no answer")
        };
        assert_eq!(hex::encode(answer), "6700", "{length} bytes");
        assert_eq!(again.state(), card.state());
    }
    assert_eq!(
        send(&mut card, &sale.debit[..sale.debit.len() - 2]),
        sale.answer()
    );
}

#[test]
fn purse_commands_before_select_are_6985() {
    let mut card = card();
    for command in [
        VERIFY,
        "805C000204",
        &initialize(2, 1),
        &initialize_load(2, 1),
        "805A0006020001",
    ] {
        assert_eq!(send(&mut card, command), "6985", "{command}");
    }
    assert_eq!(
        send(&mut card, "00C0000008"),
        "6985",
        "nothing waits on a card that answers whole"
    );
}

#[test]
fn challenges_have_the_length_asked_for_and_differ() {
    let mut card = card();
    let first = send(&mut card, "0084000008");
    assert_eq!(first.len(), 20);
    assert_ne!(first, send(&mut card, "0084000008"));
    assert_eq!(send(&mut card, "0084000004").len(), 12);
}

#[test]
fn without_power_there_is_no_answer_and_the_atr_names_the_interface() {
    let mut card = card();
    card.power_off();
    assert_eq!(card.process(&bytes(SELECT)), CardReply::Torn);
    assert_eq!(hex::encode_upper(card.power_on()), "3B80800101");
    assert_eq!(
        hex::encode_upper(card_with(|fixed| fixed.interface = Interface::T0).reset()),
        "3B6500005055525345"
    );
}

#[test]
fn a_card_comes_back_from_json_as_it_was() {
    let mut card = card();
    open(&mut card);
    let sale = Sale::begin(&mut card, 2, 300, 7);
    send(&mut card, &sale.debit);
    send(&mut card, "0020000003999999");
    let mut again = Card::from_json(&card.to_json()).unwrap();
    assert_eq!(
        (again.state(), again.personalisation()),
        (card.state(), card.personalisation())
    );
    again.power_on();
    send(&mut again, SELECT);
    assert_eq!(send(&mut again, &sale.prove(2)), sale.proof());
}

#[test]
fn json_that_is_no_card_or_of_another_format_is_refused() {
    let text = card().to_json();
    let other = Card::from_json(&text.replace("\"format\": 1", "\"format\": 2"));
    assert!(other.unwrap_err().to_string().contains("format 2"));
    for length in 0..text.len() {
        assert!(Card::from_json(&text[..length]).is_err(), "{length} bytes");
        purser_lab::card::fuzz_snapshot(&text.as_bytes()[..length]);
    }
}

#[test]
fn a_card_file_with_any_digit_changed_is_refused_or_is_a_card() {
    let text = card().to_json().into_bytes();
    for at in (0..text.len()).filter(|at| text[*at].is_ascii_digit()) {
        let mut changed = text.clone();
        changed[at] = b'9';
        purser_lab::card::fuzz_snapshot(&changed);
    }
}

#[test]
fn the_fuzz_entry_holds_on_its_corpus() {
    let mut corpus = vec![vec![], vec![0], vec![255, 0]];
    let mut sale = Vec::new();
    for command in [
        SELECT,
        VERIFY,
        &initialize(2, 5),
        "805401000F00000001202611021530000000000008",
        "00C0000008",
    ] {
        let command = bytes(command);
        sale.push(u8::try_from(command.len()).unwrap());
        sale.extend(command);
    }
    corpus.extend((0..=sale.len()).map(|length| sale[..length].to_vec()));
    for entry in corpus {
        purser_lab::card::fuzz(&entry);
    }
}

proptest::proptest! {
    #[test]
    fn the_fuzz_entry_holds_on_random_bytes(data in proptest::collection::vec(proptest::num::u8::ANY, 0..200)) {
        purser_lab::card::fuzz(&data);
    }
}
