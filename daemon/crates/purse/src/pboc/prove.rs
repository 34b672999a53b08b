//! GET TRANSACTION PROVE: the card's proof of a debit, asked for again.

use super::attempt::Attempt;
use super::ids::{Mac2, OfflineSn, Tac};
use super::profile::PurseKind;
use super::purchase::DebitAnswer;
use crate::apdu::{CommandApdu, CommandName, Protocol};
use crate::bytes::take;
use crate::dialogue::{Answer, Exchange, one_command_dialogue};
use crate::error::CardError;

/// GET TRANSACTION PROVE for the debit that an [`Attempt`] may have become.
///
/// Cards keep the proof of their last debit only: one payment at another terminal and it is gone. The proof that a
/// card hands out is *a* proof: whether it is ours is for MAC2 to say.
///
/// # Errors
/// [`CardError::ProofNotAvailable`] (`9406`) or another status word where the card has none.
#[derive(Debug)]
pub struct Prove {
    exchange: Exchange,
}

impl Prove {
    /// Asks for the proof of the attempt; None where its counter stood at its end, so that no debit could follow.
    pub fn new(attempt: &Attempt, protocol: Protocol) -> Option<Self> {
        let command = prove(attempt.purse, attempt.offline_sn.next()?, protocol);
        Some(Self {
            exchange: Exchange::new(command, protocol),
        })
    }
}

one_command_dialogue!(Prove => DebitAnswer, proof);

pub(crate) fn prove(purse: PurseKind, sn_after: OfflineSn, protocol: Protocol) -> CommandApdu {
    let header = [0x80, 0x5A, 0x00, purse.purchase_type()];
    CommandApdu::new(
        CommandName::Prove,
        header,
        &sn_after.to_bytes(),
        Some(0x08),
        protocol,
    )
}

/// MAC2 comes first here: the reverse of the answer to DEBIT (epurse facts §1.5).
pub(crate) fn proof(answer: Answer) -> Result<DebitAnswer, CardError> {
    let data: [u8; 8] = answer.exactly()?;
    let (mac2, rest) = take(&data);
    let (tac, _) = take(rest);
    Ok(DebitAnswer {
        tac: Tac::new(tac),
        mac2: Mac2::new(mac2),
    })
}
