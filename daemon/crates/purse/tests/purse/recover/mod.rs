//! Rule P1: each row of the table at the module `recover`, as a card plays it.

mod refused;
mod told;

use purser_purse::pboc::*;
use purser_purse::{CardError, Protocol, StatusWord};

use crate::support::{MAC2, array, attempt, play};

const PROVE: &str = "805A0006 02 0008 08";
const INITIALIZE_ZERO: &str = "80500102 0B 01 00000000 001122334455 0F";
const INITIALIZE_SMALLEST: &str = "80500102 0B 01 00000001 001122334455 0F";

/// What PROVE answers: MAC2 of our challenge, MAC2 of another, or nothing.
const OUR_PROOF: &str = "8234E085 01020304 9000";
const ANOTHERS_PROOF: &str = "DEADBEEF 01020304 9000";
const NO_PROOF: &str = "9406";

/// Log records: ours, another shop's, a load, a purchase from the card's other purse.
const OURS: &str = "0008 000000 0000012C 06 001122334455 20261123 093015 9000";
const ANOTHERS: &str = "0009 000000 0000012C 06 998877665544 20261123 093016 9000";
const LOAD: &str = "0003 000000 0000012C 02 998877665544 20261124 120000 9000";
const DEPOSIT: &str = "0044 000000 0000012C 05 998877665544 20261124 120000 9000";
const END: &str = "6A83";

/// What INITIALIZE answers with this counter.
fn counter(sn: u16) -> String {
    format!("000003E8 {sn:04X} 000000 01 00 55667788 9000")
}

fn expected() -> Mac2Check {
    Mac2Check::Expected(Mac2::new(array(MAC2)))
}

/// One case: what the terminal knows, and what the card answers.
struct Case<'a> {
    mac2: Mac2Check,
    pin: PinState,
    proof: &'a str,
    initialize: &'a [&'a str],
    log: &'a [&'a str],
}

impl Case<'_> {
    fn script(&self) -> Vec<(String, String)> {
        let initialize = [INITIALIZE_ZERO, INITIALIZE_SMALLEST]
            .into_iter()
            .zip(self.initialize);
        let log = (1..)
            .zip(self.log)
            .map(|(number, record)| (format!("00B2{number:02X}C4 17"), (*record).to_owned()));
        std::iter::once((PROVE.to_owned(), self.proof.to_owned()))
            .chain(initialize.map(|(command, response)| (command.to_owned(), (*response).to_owned())))
            .chain(log)
            .collect()
    }

    fn result(&self) -> Result<Verdict, CardError> {
        let script = self.script();
        let script: Vec<_> = script
            .iter()
            .map(|(command, response)| (&**command, &**response))
            .collect();
        play(
            Recover::new(attempt(), self.mac2, self.pin, Protocol::TCl),
            &script,
        )
    }

    fn verdict(&self) -> Verdict {
        self.result().unwrap()
    }
}

/// A case in which the counter is told.
fn told<'a>(mac2: Mac2Check, proof: &'a str, counter: &'a str, log: &'a [&'a str]) -> Verdict {
    let initialize = &[counter];
    let pin = PinState::Verified;
    Case {
        mac2,
        pin,
        proof,
        initialize,
        log,
    }
    .verdict()
}

/// A case in which INITIALIZE is refused.
fn refused<'a>(mac2: Mac2Check, proof: &'a str, log: &'a [&'a str]) -> Verdict {
    let initialize = &["6A80", "9401"];
    let pin = PinState::Verified;
    Case {
        mac2,
        pin,
        proof,
        initialize,
        log,
    }
    .verdict()
}

fn happened(answer: Option<&str>, proof: Proof) -> Verdict {
    let answer = answer.map(|mac2| DebitAnswer {
        tac: Tac::new(array("01020304")),
        mac2: Mac2::new(array(mac2)),
    });
    Verdict::Happened { answer, proof }
}

fn mac2_verified() -> Verdict {
    happened(Some(MAC2), Proof::Mac2Verified)
}

fn unchecked() -> Verdict {
    happened(Some(MAC2), Proof::Mac2NotCheckable)
}

fn by_log_alone() -> Verdict {
    happened(None, Proof::LogRecord)
}

fn in_doubt(reason: DoubtReason) -> Verdict {
    Verdict::InDoubt(reason)
}

const EMPTIED: DoubtReason = DoubtReason::CounterNotReadable {
    status: StatusWord::new(0x9401),
};
const FILE_GONE: DoubtReason = DoubtReason::LogNotReadable {
    status: StatusWord::new(0x6A82),
};
