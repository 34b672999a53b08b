//! The two commands of a purchase that the PSAM takes.
//!
//! ```text
//!   INIT_SAM_FOR_PURCHASE ──▶ SamAnswer: terminal SN, MAC1       uses up one terminal SN, moves nothing
//!          │ the Attempt is stored; DEBIT; the card's MAC2
//!          ▼
//!   CREDIT_SAM_FOR_PURCHASE ──▶ Ok: MAC2 is the card's           sent once for each INIT_SAM, directly after it
//! ```
//! A second INIT_SAM, a reset or a lost power ends what the first one began: its MAC2 can then never be checked again
//! by this PSAM (rule P6).

use super::profile::PsamProfile;
use crate::apdu::{CommandApdu, CommandName, Protocol};
use crate::bytes::take;
use crate::dialogue::{Answer, Exchange, one_command_dialogue};
use crate::error::CardError;
use crate::pboc::amount::PurseAmount;
use crate::pboc::date::TerminalTime;
use crate::pboc::identify::CardFacts;
use crate::pboc::ids::{Mac1, Mac2, TerminalSn};
use crate::pboc::profile::PurseKind;
use crate::pboc::purchase::InitAnswer;

/// What a PSAM answers to INIT_SAM_FOR_PURCHASE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SamAnswer {
    /// The PSAM's counter for this attempt. Used up, whatever becomes of the attempt.
    pub terminal_sn: TerminalSn,
    /// The terminal's authenticator of the attempt.
    pub mac1: Mac1,
}

/// INIT_SAM_FOR_PURCHASE: the PSAM's terminal SN and MAC1 for one attempt. Source: epurse facts §1.7.
///
/// # Errors
/// [`CardError`]; [`PsamError`](super::PsamError) says what each means of a PSAM. Whether the terminal SN was used up
/// is not known then, and need not be: another attempt gets another one.
#[derive(Debug)]
pub struct InitSamForPurchase {
    exchange: Exchange,
}

/// What the command is about: the card's answer to INITIALIZE, and what is to be debited.
#[derive(Clone, Copy, Debug)]
pub struct SamRequest<'a> {
    /// The card that pays.
    pub card: &'a CardFacts,
    /// What it answered to INITIALIZE.
    pub init: &'a InitAnswer,
    /// Which of its purses pays.
    pub purse: PurseKind,
    /// How much.
    pub amount: PurseAmount,
    /// The terminal's local time, which DEBIT has to tell too.
    pub time: TerminalTime,
}

impl InitSamForPurchase {
    /// Begins one attempt, and ends what an earlier one left open in the PSAM.
    pub fn new(profile: &PsamProfile, request: SamRequest<'_>, protocol: Protocol) -> Self {
        let SamRequest {
            card,
            init,
            purse,
            amount,
            time,
        } = request;
        let mut data = Vec::with_capacity(DATA_MAX);
        data.extend_from_slice(init.random.as_bytes());
        data.extend_from_slice(&init.offline_sn.to_bytes());
        data.extend_from_slice(&amount.to_bytes());
        data.push(purse.purchase_type());
        data.extend_from_slice(time.date.as_bytes());
        data.extend_from_slice(time.time.as_bytes());
        data.extend_from_slice(&[init.key_version.0, init.algorithm_id.0]);
        for factor in profile.levels.factors(profile.factor_order, card) {
            data.extend_from_slice(&factor);
        }
        let header = [0x80, 0x70, 0x00, 0x00];
        let command = CommandApdu::new(CommandName::InitSam, header, &data, Some(0x08), protocol);
        Self {
            exchange: Exchange::new(command, protocol),
        }
    }
}

/// Length of the data with three factors. (The facts' "14 + 8N" counts in hex digits: 0x14 is 20.)
const DATA_MAX: usize = 20 + 3 * 8;

fn initialised(answer: Answer) -> Result<SamAnswer, CardError> {
    let data: [u8; 8] = answer.exactly()?;
    let (terminal_sn, rest) = take(&data);
    let (mac1, _) = take(rest);
    Ok(SamAnswer {
        terminal_sn: TerminalSn::new(u32::from_be_bytes(terminal_sn)),
        mac1: Mac1::new(mac1),
    })
}

one_command_dialogue!(InitSamForPurchase => SamAnswer, initialised);

/// CREDIT_SAM_FOR_PURCHASE: asks the PSAM whether MAC2 is the card's. Source: epurse facts §1.7.
///
/// It is **never repeated**: each wrong MAC2 brings the PSAM nearer to locking itself.
///
/// # Errors
/// [`CardError::MacInvalid`] (`9302`): the PSAM has checked MAC2, and it is wrong. Every other error tells nothing about
/// MAC2: it was not checked.
#[derive(Debug)]
pub struct CreditSamForPurchase {
    exchange: Exchange,
}

impl CreditSamForPurchase {
    /// Checks the MAC2 of the attempt that the PSAM's last INIT_SAM_FOR_PURCHASE was for.
    pub fn new(mac2: Mac2, protocol: Protocol) -> Self {
        let header = [0x80, 0x72, 0x00, 0x00];
        let command = CommandApdu::new(CommandName::CreditSam, header, mac2.as_bytes(), None, protocol);
        Self {
            exchange: Exchange::new(command, protocol),
        }
    }
}

fn checked(answer: Answer) -> Result<(), CardError> {
    answer.accepted().map(drop)
}

one_command_dialogue!(CreditSamForPurchase => (), checked);
