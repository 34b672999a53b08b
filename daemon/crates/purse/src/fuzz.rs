//! Entry points for fuzzers: any bytes in, no panic, and what must hold whatever comes in.
//!
//! For the dialogues the input is a row of responses: one byte of length, then so many bytes of response.

use crate::apdu::Protocol;
use crate::dialogue::{Dialogue, Turn};
use crate::pboc::psam::{CreditSamForPurchase, IdentifyPsam, InitSamForPurchase, PsamProfile, SamRequest};
use crate::pboc::{
    Asn, Attempt, CardFacts, ClaimEvidence, CreditLoad, Debit, DebitAnswer, GetBalance, Identify, InitAnswer,
    InitializeLoad, InitializePurchase, LoadAttempt, LoadRelease, Mac1, Mac2, Mac2Check, OnlineSn, Pin,
    PinState, Profile, Prove, ProveLoad, PsamTerminalNumber, PurseAmount, ReadLog, Recover, SoftwareSam,
    VerifyPin,
};

/// More commands than any dialogue of this crate may send: each of the log's records and four others, with all
/// their extra rounds.
const COMMANDS_MAX: usize = 256;

/// The stored attempt that dialogues are about here.
const ATTEMPT: &[u8; 52] = b"\x01IIIIIIIIAAAAAAAA\x02\x01TTTTTT\x00\x00\x00\x2A\x00\x07RRRR\x01\x00\
    \x00\x00\x03\xE8\x00\x00\x01\x2C\x20\x26\x11\x23\x09\x30\x15";

/// A provider's date and time of a load.
const DATE_TIME: &[u8; 7] = b"\x20\x26\x11\x23\x09\x30\x15";

/// File 0015 of the attempt's card.
const PUBLIC_INFORMATION: &[u8; 30] =
    b"IIIIIIII\x03\x01\x00\x00AAAAAAAA\x20\x25\x01\x01\x20\x99\x12\x31\x55\xAA";

/// Plays the row of responses to every dialogue with a buyer's card.
pub fn responses(data: &[u8]) {
    let profile = Profile::default();
    let attempt = attempt();
    let terminal_number = PsamTerminalNumber::new(*b"TTTTTT");
    for protocol in [Protocol::T0, Protocol::TCl] {
        drive(Identify::new(&profile, protocol), data);
        drive(GetBalance::new(profile.purse, protocol), data);
        if let Ok(pin) = Pin::from_digits(&mut b"123456".to_vec()) {
            drive_acting(VerifyPin::new(&profile, pin, protocol), data);
        }
        let amount = PurseAmount::SMALLEST;
        drive(
            InitializePurchase::new(&profile, amount, terminal_number, protocol),
            data,
        );
        drive_acting(Debit::new(&attempt, &Mac1::new(*b"MAC1"), protocol), data);
        if let Some(prove) = Prove::new(&attempt, protocol) {
            drive(prove, data);
        }
        drive(
            InitializeLoad::new(&profile, amount, terminal_number, protocol),
            data,
        );
        if let Ok(release) = LoadRelease::new(*DATE_TIME, *b"MAC2") {
            drive_acting(CreditLoad::new(&release, protocol), data);
        }
        if let Some(prove) = ProveLoad::new(profile.purse, OnlineSn::new(7), protocol) {
            drive(prove, data);
        }
        drive(ReadLog::new(protocol), data);
        for mac2 in [Mac2Check::Expected(Mac2::new(*b"MAC2")), Mac2Check::NotCheckable] {
            for pin in [PinState::Verified, PinState::NotVerified] {
                drive(Recover::new(attempt.clone(), mac2, pin, protocol), data);
            }
        }
    }
}

/// Plays the row of responses to every dialogue with a PSAM.
pub fn psam_responses(data: &[u8]) {
    let profile = PsamProfile::default();
    let attempt = attempt();
    let card = CardFacts::decode(PUBLIC_INFORMATION).expect("the constant is a card's file 0015");
    let init = InitAnswer {
        old_balance: attempt.old_balance,
        offline_sn: attempt.offline_sn,
        overdraft_limit: PurseAmount::ZERO,
        key_version: attempt.key_version,
        algorithm_id: attempt.algorithm_id,
        random: attempt.random,
    };
    let request = SamRequest {
        card: &card,
        init: &init,
        purse: attempt.purse,
        amount: attempt.amount,
        time: attempt.time,
    };
    for protocol in [Protocol::T0, Protocol::T1] {
        drive(IdentifyPsam::new(&profile, protocol), data);
        drive(InitSamForPurchase::new(&profile, request, protocol), data);
        drive_acting(CreditSamForPurchase::new(Mac2::new(*b"MAC2"), protocol), data);
    }
}

/// Reads the data as the stored answer to a debit: what is accepted is written again byte by byte.
pub fn stored_answer(data: &[u8]) {
    if let Ok(answer) = DebitAnswer::decode(data) {
        assert_eq!(answer.encode(), data, "an answer has one encoding");
    }
}

/// Reads the data as a stored attempt: what is accepted is written again byte by byte.
pub fn stored_attempt(data: &[u8]) {
    if let Ok(attempt) = Attempt::decode(data) {
        assert_eq!(attempt.encode(), data, "an attempt has one encoding");
    }
}

/// Reads the data as a stored attempt to load: what is accepted is written again byte by byte.
pub fn stored_load(data: &[u8]) {
    if let Ok(attempt) = LoadAttempt::decode(data) {
        assert_eq!(attempt.encode(), data, "an attempt has one encoding");
    }
}

/// Reads the data as stored evidence: what is accepted is written again byte by byte.
pub fn stored_evidence(data: &[u8]) {
    if let Ok(evidence) = ClaimEvidence::decode(data) {
        assert_eq!(evidence.encode(), data, "evidence has one encoding");
    }
}

/// Reads the data as a SAM credential, and uses what is accepted.
pub fn credential(data: &[u8]) {
    if let Ok(sam) = SoftwareSam::from_credential(data) {
        let attempt = Attempt {
            asn: Asn::new(*b"ANYCARD!"),
            ..attempt()
        };
        if let Mac2Check::Expected(mac2) = sam.mac2_check(&attempt) {
            assert_eq!(
                sam.check_mac2(&attempt, mac2),
                Ok(true),
                "a SAM accepts its own MAC2"
            );
        }
    }
}

fn attempt() -> Attempt {
    Attempt::decode(ATTEMPT).expect("the constant is a stored attempt")
}

/// A dialogue that only asks: it must never send what may not be repeated.
fn drive<D: Dialogue>(dialogue: D, data: &[u8]) {
    feed(dialogue, data, 0);
}

/// A dialogue that acts: it must send what may not be repeated once.
fn drive_acting<D: Dialogue>(dialogue: D, data: &[u8]) {
    feed(dialogue, data, 1);
}

/// Feeds the responses until they or the dialogue end.
fn feed<D: Dialogue>(mut dialogue: D, mut data: &[u8], acts_max: usize) {
    let mut acts = 0;
    for _ in 0..COMMANDS_MAX {
        acts += usize::from(!dialogue.command().name().may_be_repeated());
        assert!(acts <= acts_max, "{:?} must not be sent", dialogue.command());
        let Some((&length, rest)) = data.split_first() else {
            return;
        };
        let (response, rest) = rest.split_at(rest.len().min(usize::from(length)));
        data = rest;
        match dialogue.handle_response(response) {
            Turn::Transmit(next) => dialogue = next,
            Turn::Done(_) => return,
        }
    }
    assert!(data.is_empty(), "a dialogue has no end");
}
