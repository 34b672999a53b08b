//! Why a sale stands as it does: one name for programs, one cause and one remedy for people.

use purser_ledger::{CloseReason, DoubtReason, QueryReason, VoidProof};

/// A reason in the words of the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reason {
    /// A fixed name.
    pub(crate) name: &'static str,
    /// What is the matter, as a clause.
    pub(crate) cause: &'static str,
    /// What to do about it, as a clause.
    pub(crate) remedy: &'static str,
}

const fn reason(name: &'static str, cause: &'static str, remedy: &'static str) -> Reason {
    Reason { name, cause, remedy }
}

/// Why a sale ended before any debit.
pub(crate) fn of_close(why: CloseReason) -> Reason {
    match why {
        CloseReason::CancelledByPos => reason(
            "cancelled_by_pos",
            "the sale was cancelled through the API",
            "none needed",
        ),
        CloseReason::CancelledByBuyer => reason(
            "cancelled_by_buyer",
            "the buyer pressed cancel at the PIN pad",
            "ask the buyer how to go on",
        ),
        CloseReason::NoCardInTime => reason(
            "no_card_in_time",
            "no card came in time",
            "begin a new sale when the buyer has the card at hand",
        ),
        CloseReason::NoPinInTime => reason(
            "no_pin_in_time",
            "no PIN came in time",
            "begin a new sale when the buyer is ready",
        ),
        CloseReason::Stopped => reason(
            "stopped",
            "Purser was asked to stop",
            "begin a new sale when it has started again",
        ),
        CloseReason::InsufficientFunds
        | CloseReason::PinBlocked
        | CloseReason::ForeignCard
        | CloseReason::CardExpired
        | CloseReason::CardBlocked
        | CloseReason::CardExhausted
        | CloseReason::CardHeld
        | CloseReason::CardSuspect
        | CloseReason::CardHotListed
        | CloseReason::KeyVersionNotListed
        | CloseReason::CurrencyMismatch
        | CloseReason::CardMisbehaved => of_card(why),
        CloseReason::KeyMissing
        | CloseReason::PinNotPossible
        | CloseReason::ReaderFailed
        | CloseReason::NoRoom
        | CloseReason::BooksFull => of_terminal(why),
        CloseReason::PsamNotReady
        | CloseReason::PsamBusy
        | CloseReason::PsamMismatch
        | CloseReason::PsamLocked
        | CloseReason::PsamRefuses
        | CloseReason::TerminalSnRepeated => of_psam(why),
        CloseReason::ParametersForbid => reason(
            "parameters_forbid",
            "the provider's parameters changed or grew old while the sale was under way, and do not permit it",
            "begin a new sale, which tells what they do not permit",
        ),
    }
}

fn of_card(why: CloseReason) -> Reason {
    match why {
        CloseReason::InsufficientFunds => reason(
            "insufficient_funds",
            "the purse holds less than the price",
            "take another card or another way to pay; the buyer can load the purse",
        ),
        CloseReason::PinBlocked => reason(
            "pin_blocked",
            "the card's PIN is blocked",
            "take another card; the card's issuer can unblock it",
        ),
        CloseReason::ForeignCard => reason(
            "foreign_card",
            "the card is no purse, or of an issuer that is not configured",
            "take another card",
        ),
        CloseReason::CardExpired => reason(
            "card_expired",
            "the card's validity is over, or has not begun",
            "take another card; look at the terminal's clock if cards of today are refused",
        ),
        CloseReason::CardBlocked => reason(
            "card_blocked",
            "the card's purse is blocked by its issuer",
            "take another card; the issuer can tell why",
        ),
        CloseReason::CardExhausted => reason(
            "card_exhausted",
            "the card's transaction counter is used up",
            "take another card; the issuer replaces this one",
        ),
        CloseReason::CardHeld => reason(
            "card_held",
            "an earlier payment of this card is open, and the journal's entries of it are damaged",
            "take another card; tell the operator to run purserd verify-journal",
        ),
        CloseReason::CardSuspect => reason(
            "card_suspect",
            "the PSAM found this card's code wrong again and again, and locks itself after some of these",
            "take another card or another way to pay; this one is taken again after an hour",
        ),
        CloseReason::CardHotListed => reason(
            "card_hot_listed",
            "the provider has this card on its hot list",
            "take another card or another way to pay; the card's issuer can tell why",
        ),
        CloseReason::KeyVersionNotListed => reason(
            "key_version_not_listed",
            "the provider's parameters do not list the version of this card's key",
            "take another card; the provider's operator can tell which key versions are good",
        ),
        CloseReason::CurrencyMismatch => reason(
            "currency_mismatch",
            "the purse is in another currency than the price",
            "take another card",
        ),
        _ => reason(
            "card_misbehaved",
            "the card answered against its specification",
            "put it in again, or take another card",
        ),
    }
}

fn of_psam(why: CloseReason) -> Reason {
    match why {
        CloseReason::PsamBusy => reason(
            "psam_busy",
            "other sales kept the PSAM for too long",
            "begin a new sale",
        ),
        CloseReason::PsamMismatch => reason(
            "psam_mismatch",
            "what is in the PSAM's reader is not the configured PSAM",
            "see Status for what differs; put the right PSAM in, or mend the configuration",
        ),
        CloseReason::PsamLocked => reason(
            "psam_locked",
            "the PSAM has locked itself, or its counter is at its end",
            "have the PSAM unlocked or replaced by its issuer",
        ),
        CloseReason::PsamRefuses => reason(
            "psam_refuses",
            "the PSAM refused to authorise a debit of this card, also when it was asked again",
            "take another card; if other cards are refused too, see Status for what the PSAM says",
        ),
        CloseReason::TerminalSnRepeated => reason(
            "terminal_sn_repeated",
            "the terminal serial number of this debit was used before, so the debit was not sent",
            "begin a new sale; tell the operator that the PSAM repeats numbers if it happens again",
        ),
        _ => reason(
            "psam_not_ready",
            "the PSAM is not in its reader, or does not answer",
            "see Devices for what is wrong with it, then begin a new sale",
        ),
    }
}

fn of_terminal(why: CloseReason) -> Reason {
    match why {
        CloseReason::KeyMissing => reason(
            "key_missing",
            "the terminal has no key for this card's key version",
            "take another card; the operator installs the key",
        ),
        CloseReason::PinNotPossible => reason(
            "pin_not_possible",
            "a PIN is needed and there is no way to enter one",
            "connect a PIN pad, or see pin in the configuration",
        ),
        CloseReason::NoRoom => reason(
            "no_room",
            "the journal has no room for a payment's evidence",
            "free disk space, then begin a new sale",
        ),
        CloseReason::BooksFull => reason(
            "books_full",
            "an account of the books is at its limit",
            "settle, then begin a new sale",
        ),
        _ => reason(
            "reader_failed",
            "the reader failed",
            "see Devices for what is wrong with it, then begin a new sale",
        ),
    }
}

/// How it is known that an intended debit did not happen.
pub(crate) fn of_void(proof: VoidProof) -> Reason {
    match proof {
        VoidProof::CounterUnchanged => reason(
            "counter_unchanged",
            "the card's transaction counter shows that it was not debited",
            "begin a new sale if the buyer still wants to pay",
        ),
        VoidProof::OtherDebit => reason(
            "other_debit",
            "the card's counter moved for another shop's debit, not for this one",
            "begin a new sale if the buyer still wants to pay",
        ),
        VoidProof::NotSent => reason(
            "not_sent",
            "the debit was recorded but never sent to the card",
            "begin a new sale if the buyer still wants to pay",
        ),
        VoidProof::Provider => reason(
            "provider",
            "the provider has answered, signed, that the card was not debited",
            "begin a new sale if the buyer still wants to pay",
        ),
    }
}

/// Why the outcome of a debit is not known.
pub(crate) fn of_doubt(why: DoubtReason) -> Reason {
    let remedy = "present the same card again and Purser finds out; or choose the end with Conclude";
    match why {
        DoubtReason::AnswerLost => reason(
            "answer_lost",
            "the card left, or its answer was lost, while it was being debited",
            remedy,
        ),
        DoubtReason::AnswerInvalid => reason(
            "answer_invalid",
            "the card answered the debit without a valid proof",
            remedy,
        ),
        DoubtReason::DriverLost => reason(
            "driver_lost",
            "the reader's driver died or hung while the card was being debited",
            remedy,
        ),
        DoubtReason::Restarted => reason(
            "restarted",
            "Purser ended while the card was being debited",
            remedy,
        ),
        DoubtReason::Mac2Refused => reason(
            "mac2_refused",
            "the PSAM found the code of the card's answer wrong: the card is not genuine, or its answer was damaged",
            "give no goods; present the same card again, or choose the end with Conclude",
        ),
        DoubtReason::Mac2NotChecked => reason(
            "mac2_not_checked",
            "the card answered, but the PSAM was lost before it could check the answer",
            remedy,
        ),
        DoubtReason::Mac2Unanswered => reason(
            "mac2_unanswered",
            "the card answered, and the PSAM refused to check the answer, or took too long",
            "give no goods on the card's word; present the same card again, or choose the end with Conclude",
        ),
    }
}

/// Why the card could not tell what became of a debit.
pub(crate) fn of_query(why: QueryReason) -> Reason {
    let remedy = "the provider is asked, again every hour; choose the end for the buyer with Conclude";
    match why {
        QueryReason::CardMovedOn => reason(
            "card_moved_on",
            "the card was used elsewhere since, and its log no longer reaches back to this debit",
            remedy,
        ),
        QueryReason::CardContradicts => reason(
            "card_contradicts",
            "the card's answers contradict each other",
            remedy,
        ),
        QueryReason::CardRefuses => reason(
            "card_refuses",
            "the card refuses to tell what became of the debit",
            remedy,
        ),
        QueryReason::Mac2Unproven => reason(
            "mac2_unproven",
            "the card says that it was debited, but the PSAM never told whether its answer was right",
            remedy,
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::VARLINK_CONTRACT;

    #[test]
    fn every_reason_has_its_own_name_and_the_contract_lists_it() {
        let all = every_reason();
        for (index, reason) in all.iter().enumerate() {
            assert!(
                VARLINK_CONTRACT.contains(reason.name),
                "{} is not listed",
                reason.name
            );
            assert!(!reason.cause.is_empty() && !reason.remedy.is_empty());
            assert!(all[..index].iter().all(|other| other.name != reason.name));
        }
    }

    #[test]
    fn names_are_those_of_the_journal() {
        for why in every_close_reason() {
            let stored = serde_json::to_value(why).expect("a reason is a name");
            assert_eq!(stored, of_close(why).name);
        }
    }

    fn every_close_reason() -> Vec<CloseReason> {
        use CloseReason::*;
        vec![
            CancelledByPos,
            CancelledByBuyer,
            NoCardInTime,
            NoPinInTime,
            InsufficientFunds,
            PinBlocked,
            ForeignCard,
            CardExpired,
            CardBlocked,
            CardExhausted,
            CardHeld,
            CurrencyMismatch,
            KeyMissing,
            PinNotPossible,
            CardMisbehaved,
            ReaderFailed,
            NoRoom,
            BooksFull,
            Stopped,
            PsamNotReady,
            PsamBusy,
            PsamMismatch,
            PsamLocked,
            TerminalSnRepeated,
            PsamRefuses,
            CardSuspect,
            CardHotListed,
            KeyVersionNotListed,
            ParametersForbid,
        ]
    }

    fn every_reason() -> Vec<Reason> {
        let mut all: Vec<_> = every_close_reason().into_iter().map(of_close).collect();
        all.extend(
            [
                VoidProof::CounterUnchanged,
                VoidProof::OtherDebit,
                VoidProof::NotSent,
                VoidProof::Provider,
            ]
            .map(of_void),
        );
        all.extend(
            [
                DoubtReason::AnswerLost,
                DoubtReason::AnswerInvalid,
                DoubtReason::DriverLost,
                DoubtReason::Restarted,
                DoubtReason::Mac2Refused,
                DoubtReason::Mac2NotChecked,
                DoubtReason::Mac2Unanswered,
            ]
            .map(of_doubt),
        );
        all.extend(
            [
                QueryReason::CardMovedOn,
                QueryReason::CardContradicts,
                QueryReason::CardRefuses,
                QueryReason::Mac2Unproven,
            ]
            .map(of_query),
        );
        all
    }
}
