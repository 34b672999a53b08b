//! PSAMs that fail at each step of a sale, with the purse card healthy, and with it torn at the same time.

use std::collections::VecDeque;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use purser_lab::card::{self, Fault as CardFault, ScriptedFault, StatusWord};
use purser_lab::chip::Chip;
use purser_lab::claims;
use purser_lab::psam::{PsamFault, instruction};
use purser_lab::stack::PATIENCE;
use purser_lab::vpcd::{ChipThread, Place};

use crate::judge::{Found, judge, wait_for_devices};
use crate::matrix::{processors, spread};
use crate::pos::Told;
use crate::templates::sold;
use crate::world::{PRICE, Sam, Template, World};
use crate::{Fault, ensure};

/// How soon a PSAM or a card is put in again that lost its power.
const HAND: Duration = Duration::from_millis(20);
/// Sales in the template, each with a claim.
const SOLD: usize = 2;

const INITIALIZE: u8 = instruction::INITIALIZE;
const RESPONSE: u8 = instruction::GET_RESPONSE;
const CREDIT: u8 = instruction::CREDIT;

/// What fails in a sale, and what has to come of it.
#[derive(Clone, Copy, Debug)]
struct Case {
    name: &'static str,
    psam: Option<(u8, PsamFault)>,
    card: &'static [(u8, CardFault)],
    /// Whether the PSAM is taken out when the card is torn.
    goes_with_card: bool,
    /// What the till is told at last: outcome and reason.
    told: (&'static str, Option<&'static str>),
    found: Found,
    /// By what the claim is proven, where there is one.
    proof: &'static str,
    /// How many terminal SNs the sale uses up.
    used: u32,
    /// Whether purserd may also see the loss before it sends DEBIT: the sale ends as not paid or, where its intent was not yet
    /// stored, is paid with the PSAM's next number once that is back.
    may_be_seen: bool,
}

/// A PSAM that fails alone and is put in again.
const fn alone(name: &'static str, instruction: u8, fault: PsamFault) -> Case {
    Case {
        name,
        psam: Some((instruction, fault)),
        card: &[],
        goes_with_card: false,
        told: ("paid", None),
        found: Found::Paid,
        proof: "answer",
        used: 1,
        may_be_seen: false,
    }
}

/// A PSAM that is lost between 8070 and the answer to 8072: MAC2 is not checked, and card and log tell (rule P6).
const fn unchecked(name: &'static str, fault: PsamFault) -> Case {
    Case {
        proof: "prove_not_checkable",
        ..alone(name, CREDIT, fault)
    }
}

/// A card that is torn at these commands.
const fn torn(name: &'static str, card: &'static [(u8, CardFault)]) -> Case {
    Case {
        psam: None,
        card,
        told: ("in_doubt", Some("answer_lost")),
        proof: "prove_not_checkable",
        ..alone(name, 0, PsamFault::GarbageAnswer)
    }
}

const DEBIT: u8 = card::instruction::DEBIT;
const PROVE: u8 = card::instruction::GET_PROOF;
const LOG: u8 = card::instruction::READ_RECORD;
const FAILED: StatusWord = StatusWord(0x6581);

const CASES: [Case; 20] = [
    Case {
        psam: None,
        ..alone("nothing fails", 0, PsamFault::GarbageAnswer)
    },
    alone("power lost before 8070", INITIALIZE, PsamFault::LosePowerBefore),
    Case {
        used: 2,
        ..alone("power lost after 8070", INITIALIZE, PsamFault::LosePowerAfter)
    },
    Case {
        used: 2,
        ..alone(
            "power lost before 8070's GET RESPONSE",
            RESPONSE,
            PsamFault::LosePowerBefore,
        )
    },
    Case {
        used: 2,
        ..alone(
            "power lost after 8070's GET RESPONSE",
            RESPONSE,
            PsamFault::LosePowerAfter,
        )
    },
    Case {
        used: 2,
        ..alone(
            "garbage for an answer to 8070",
            INITIALIZE,
            PsamFault::GarbageAnswer,
        )
    },
    alone("6581 before 8070", INITIALIZE, PsamFault::StatusBefore(FAILED)),
    Case {
        used: 2,
        ..alone("6581 after 8070", INITIALIZE, PsamFault::StatusAfter(FAILED))
    },
    Case {
        told: ("not_paid", Some("psam_not_ready")),
        found: Found::Closed,
        used: 0,
        ..alone("silence at 8070", INITIALIZE, PsamFault::MuteUntilReset)
    },
    Case {
        told: ("not_paid", Some("counter_unchanged")),
        found: Found::NotDebited,
        ..alone("a wrong MAC1", INITIALIZE, PsamFault::WrongMac1)
    },
    Case {
        told: ("not_paid", Some("terminal_sn_repeated")),
        found: Found::Closed,
        used: 0,
        ..alone(
            "a lying PSAM: the terminal SN of before",
            INITIALIZE,
            PsamFault::RepeatTerminalSn,
        )
    },
    // It does not say so when it is looked at after its reset: so it was the card that it did not like, and it is asked again.
    alone(
        "6A81 (locked) to 8070",
        INITIALIZE,
        PsamFault::StatusBefore(StatusWord::APPLICATION_BLOCKED),
    ),
    Case {
        psam: Some((RESPONSE, PsamFault::LosePowerOnceAnswered)),
        may_be_seen: true,
        ..unchecked(
            "power lost between 8070 and DEBIT",
            PsamFault::LosePowerOnceAnswered,
        )
    },
    unchecked("power lost before 8072", PsamFault::LosePowerBefore),
    unchecked("power lost after 8072", PsamFault::LosePowerAfter),
    Case {
        proof: "prove",
        ..torn(
            "card torn after DEBIT, PSAM keeps power",
            &[(DEBIT, CardFault::TearAfterExecute)],
        )
    },
    Case {
        goes_with_card: true,
        ..torn(
            "card torn after DEBIT, PSAM loses power",
            &[(DEBIT, CardFault::TearAfterExecute)],
        )
    },
    Case {
        goes_with_card: true,
        found: Found::NotDebited,
        ..torn(
            "card torn before DEBIT, PSAM loses power",
            &[(DEBIT, CardFault::TearBeforeExecute)],
        )
    },
    Case {
        psam: Some((CREDIT, PsamFault::LosePowerBefore)),
        told: ("in_doubt", Some("mac2_not_checked")),
        ..torn(
            "power lost before 8072, card torn at its proof",
            &[(PROVE, CardFault::TearBeforeExecute)],
        )
    },
    Case {
        psam: Some((CREDIT, PsamFault::LosePowerAfter)),
        told: ("in_doubt", Some("mac2_not_checked")),
        ..torn(
            "power lost after 8072, card torn at its log",
            &[(LOG, CardFault::TearAfterExecute)],
        )
    },
];

/// What is told of a sale whose PSAM was seen to be lost before DEBIT was sent.
const NOT_SENT: (&str, Found) = ("not_paid: not_sent", Found::NotDebited);

/// What came of all cases.
#[derive(Debug)]
pub struct Outcomes {
    rows: Vec<(&'static str, Came)>,
}

/// What came of one case.
#[derive(Debug)]
struct Came {
    told: String,
    found: Found,
    used: u32,
    proof: Option<String>,
}

/// Lives through every case, each in a world of its own, and judges it.
///
/// # Errors
/// Every case that broke a rule or did not come out as it has to.
pub fn run() -> Result<Outcomes, Fault> {
    let template = sold(Sam::Psam)?;
    let queue: VecDeque<(usize, Case)> = CASES.into_iter().enumerate().collect();
    let mut came = spread(queue, processors(), |(number, case)| {
        (
            number,
            case,
            live(&template, &case).map_err(|fault| fault.to_string()),
        )
    });
    came.sort_by_key(|(number, ..)| *number);
    let mut outcomes = Outcomes { rows: Vec::new() };
    let mut wrong = Vec::new();
    for (_, case, came) in came {
        match came {
            Ok(came) => {
                wrong.extend(case.judge(&came));
                outcomes.rows.push((case.name, came));
            }
            Err(fault) => wrong.push(format!("{}: {fault}", case.name)),
        }
    }
    println!("{outcomes}");
    ensure(wrong.is_empty(), || wrong.join("\n"))?;
    Ok(outcomes)
}

impl Case {
    fn judge(&self, came: &Came) -> Option<String> {
        let told = words(self.told.0, self.told.1);
        let proof = (self.found == Found::Paid).then_some(self.proof);
        let is_paid_with_the_next = (came.told.as_str(), came.found, came.used, came.proof.as_deref())
            == ("paid", Found::Paid, 2, Some("answer"));
        let is_not_sent = (came.told.as_str(), came.found) == NOT_SENT;
        if self.may_be_seen && (is_not_sent || is_paid_with_the_next) {
            return None;
        }
        let is_right = (came.told.as_str(), came.found, came.used, came.proof.as_deref())
            == (told.as_str(), self.found, self.used, proof);
        (!is_right).then(|| {
            format!(
                "{}: {came:?}, and not {told}, {:?}, {} used, {proof:?}",
                self.name, self.found, self.used
            )
        })
    }
}

fn live(template: &Template, case: &Case) -> Result<Came, Fault> {
    let mut world = World::copy(template)?;
    world.stack.start_again()?;
    // Faults strike the sale, and not the look at a PSAM that was just put in.
    wait_for_devices(&world)?;
    let psam = world.psam.as_ref().ok_or("this world has no PSAM")?;
    let before = psam.status().terminal_sn.0;
    if let Some((instruction, fault)) = case.psam {
        psam.script(ScriptedFault::next(instruction, fault));
    }
    for (instruction, fault) in case.card {
        world.card.script(ScriptedFault::next(*instruction, *fault));
    }
    let told = sell(&world, case)?;
    let used = psam.status().terminal_sn.0 - before;
    let waiting = psam.status().faults_waiting + world.card.status().faults_waiting;
    ensure(waiting == 0, || "the fault did not strike".to_owned())?;
    // What stays in doubt is asked about when the card comes back; a PSAM that was refused counts as another one.
    world.card.remove();
    if case.told.0 == "not_paid" {
        psam.remove();
    }
    let last = told.last().ok_or("the till was told nothing")?;
    let words = words(&last.outcome, last.reason.as_deref());
    let found = judge(&mut world, "sale", &told)
        .map_err(|fault| format!("{fault}; the log:\n{}", world.stack.log().unwrap_or_default()))?;
    let claims = claims::read(&world.stack.layout().state_dir())?;
    let proof = claims.get(SOLD).map(|claim| serde_json::to_value(claim.proof));
    let proof = proof
        .transpose()?
        .and_then(|proof| proof.as_str().map(str::to_owned));
    Ok(Came {
        told: words,
        found,
        used,
        proof: proof.filter(|_| found == Found::Paid),
    })
}

/// One sale; who loses power is put in again until the till is told an end.
fn sell(world: &World, case: &Case) -> Result<Told, Fault> {
    let psam = world.psam.as_ref().ok_or("this world has no PSAM")?;
    let mut pos = world.pos()?;
    let told = pos.begin("sale", PRICE)?;
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        world.card.insert();
        scope.spawn(|| {
            if case.goes_with_card {
                world.card.wait_until(Place::Away, PATIENCE);
                psam.remove();
            }
            put_in_again(psam, &is_over);
        });
        let told = pos.follow("sale", told, |sale| sale.outcome != "under_way");
        is_over.store(true, Ordering::Relaxed);
        told
    })
}

fn put_in_again<C: Chip>(chip: &ChipThread<C>, is_over: &AtomicBool) {
    while !is_over.load(Ordering::Relaxed) {
        if chip.wait_until(Place::Away, HAND) {
            chip.insert();
        }
    }
}

fn words(outcome: &str, reason: Option<&str>) -> String {
    match reason {
        Some(reason) => format!("{outcome}: {reason}"),
        None => outcome.to_owned(),
    }
}

impl fmt::Display for Outcomes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:<48} {:<32} {:<11} {:>7}  proof",
            "what fails", "the till is told", "found", "SN used"
        )?;
        for (name, came) in &self.rows {
            let (found, proof) = (format!("{:?}", came.found), came.proof.as_deref().unwrap_or(""));
            write!(
                f,
                "\n{name:<48} {:<32} {found:<11} {:>7}  {proof}",
                came.told, came.used
            )?;
        }
        Ok(())
    }
}
