//! How the PSAM does, in words.

use purser_api::model::{Device, Problem};
use purser_engine::{PsamFault, PsamState, PsamView};
use purser_purse::pboc::PsamError;

use super::health::problem;
use crate::verbs::chain;

/// The line of the PSAM's reader: its state is the PSAM's, where the reader itself works.
pub(super) fn line(device: Device, psam: &PsamView) -> Device {
    let device = Device {
        card_reader: false,
        ..device
    };
    if device.state != "ready" {
        return device;
    }
    let cause = psam.fault.map(|fault| chain(&fault));
    match psam.state {
        PsamState::Ready => Device {
            psam_terminal_number: psam.terminal_number.map(|number| number.to_hex().to_lowercase()),
            cause,
            remedy: psam.fault.map(|fault| remedy(fault).to_owned()),
            ..device
        },
        PsamState::Absent => Device {
            state: "absent".to_owned(),
            cause: Some("there is no PSAM in its reader".to_owned()),
            remedy: Some("put the PSAM in".to_owned()),
            ..device
        },
        PsamState::Starting => Device {
            state: "starting".to_owned(),
            cause,
            remedy: psam.fault.map(|fault| remedy(fault).to_owned()),
            ..device
        },
        PsamState::Refused => Device {
            state: "failed".to_owned(),
            cause,
            remedy: psam.fault.map(|fault| remedy(fault).to_owned()),
            ..device
        },
    }
}

/// The line of a reader that is configured for the PSAM and is not there.
pub(super) fn reader_that_is_not_there(name: &str) -> Device {
    Device {
        name: name.to_owned(),
        driver: String::new(),
        card_reader: false,
        pin_pad: false,
        state: "absent".to_owned(),
        card_present: None,
        psam_terminal_number: None,
        cause: Some("the PSAM's reader is not there".to_owned()),
        remedy: Some("plug it in; if its name is wrong, mend sam.psam in the configuration".to_owned()),
        restarts: 0,
        last_answer_at: None,
    }
}

/// What keeps the PSAM from authorising debits, or will soon.
pub(super) fn problem_of(psam: &PsamView) -> Option<Problem> {
    let reader = &psam.reader;
    let told = |name: &str, fault: PsamFault| {
        Some(problem(
            name,
            &format!("{reader}: {}", chain(&fault)),
            remedy(fault),
        ))
    };
    match (psam.fault, psam.state) {
        // Counted below, over all cards.
        (Some(PsamFault::RefusedCard(PsamError::Mac2Wrong)), _) => None,
        (Some(fault), _) => told(name(fault), fault),
        (None, PsamState::Absent) => Some(problem(
            "psam_not_ready",
            &format!("{reader}: there is no PSAM in its reader"),
            "put the PSAM in",
        )),
        (None, PsamState::Starting | PsamState::Ready | PsamState::Refused) => None,
    }
}

/// The alarm that stays until a card's answer is right: the PSAM comes nearer to locking itself.
pub(super) fn alarm_of(psam: &PsamView) -> Option<Problem> {
    let PsamView {
        reader,
        wrong_in_a_row,
        ..
    } = psam;
    (*wrong_in_a_row > 0).then(|| {
        problem(
            "psam_mac2_wrong",
            &format!("{reader}: the PSAM found the codes of cards wrong {wrong_in_a_row} times, and none right since"),
            remedy(PsamFault::RefusedCard(PsamError::Mac2Wrong)),
        )
    })
}

fn name(fault: PsamFault) -> &'static str {
    match fault {
        PsamFault::OtherTerminalNumber { .. }
        | PsamFault::Error(PsamError::NotAPsam | PsamError::DataRefused)
        | PsamFault::RefusedCard(PsamError::DataRefused) => "psam_mismatch",
        PsamFault::Error(PsamError::Locked | PsamError::CounterExhausted) => "psam_locked",
        PsamFault::RefusedCard(PsamError::Mac2Wrong) => "psam_mac2_wrong",
        PsamFault::RefusedCard(PsamError::KeyMissing) => "psam_key_missing",
        PsamFault::RefusedCard(_) => "psam_refuses",
        PsamFault::RepeatsNumbers => "psam_repeats_numbers",
        PsamFault::Error(
            PsamError::KeyMissing | PsamError::Mac2Wrong | PsamError::WrongState | PsamError::Misbehaved(_),
        )
        | PsamFault::Unreachable(_)
        | PsamFault::Silent => "psam_not_ready",
    }
}

fn remedy(fault: PsamFault) -> &'static str {
    match fault {
        PsamFault::OtherTerminalNumber { .. } => {
            "put this terminal's PSAM in, or set terminal.psam_terminal_number to what the provider gave out"
        }
        PsamFault::Error(PsamError::NotAPsam) => "put the PSAM in; if it is in, check sam.psam.adf",
        PsamFault::Error(PsamError::DataRefused) | PsamFault::RefusedCard(PsamError::DataRefused) => {
            "check levels and factor_order of sam.psam"
        }
        PsamFault::Error(PsamError::Locked | PsamError::CounterExhausted) => {
            "have it unlocked or replaced by its issuer"
        }
        PsamFault::RefusedCard(PsamError::Mac2Wrong) => {
            "a card was not genuine, or its answer was damaged: look who pays; a PSAM locks itself after some of these"
        }
        PsamFault::RefusedCard(PsamError::KeyMissing) => {
            "take another card; the issuer of the PSAM can bring it up to date"
        }
        PsamFault::RefusedCard(_) => {
            "nothing if it was one card; if every card is refused, have the PSAM looked at by its issuer"
        }
        PsamFault::RepeatsNumbers => {
            "have it replaced by its issuer; debits with a repeated number are not sent"
        }
        PsamFault::Error(
            PsamError::KeyMissing | PsamError::Mac2Wrong | PsamError::WrongState | PsamError::Misbehaved(_),
        )
        | PsamFault::Unreachable(_)
        | PsamFault::Silent => {
            "it is tried again by itself; if it stays so, clean its contacts or replace it"
        }
    }
}
