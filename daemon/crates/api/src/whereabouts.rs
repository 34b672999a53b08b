//! What happened to one payment, told so that somebody at a till can act on it.

use crate::model::{Entry, Sale, WhereReply};

/// Puts the facts into words. Pure: the same facts give the same words.
pub(crate) fn tell(sale: Sale, entries: Vec<Entry>) -> WhereReply {
    WhereReply {
        happened: happened(&sale),
        proof: proof(&sale, &entries),
        next: next(&sale),
        sale,
        entries,
    }
}

fn happened(sale: &Sale) -> String {
    let amount = format!("{} {}", sale.amount.minor, sale.amount.currency);
    let told = match (sale.outcome.as_str(), sale.state.as_str()) {
        ("paid", _) => format!("The buyer paid {amount}."),
        ("under_way", state) => {
            format!("The sale of {amount} is under way ({state}); nothing is decided yet.")
        }
        ("not_paid", "not_debited") => {
            format!("The buyer did not pay: {amount} were about to be debited, and were not.")
        }
        ("not_paid", _) => format!("The buyer did not pay: the sale of {amount} ended before any debit."),
        _ => format!("It is not known whether the card was debited {amount}."),
    };
    let why = sale.cause.as_ref().map(|cause| format!(" The reason: {cause}."));
    let refund = sale
        .refund_owed
        .as_ref()
        .map(|owed| format!(" The buyer is owed {} {}.", owed.minor, owed.currency));
    [Some(told), why, refund].into_iter().flatten().collect()
}

fn proof(sale: &Sale, entries: &[Entry]) -> String {
    let newest = |kind: &str| entries.iter().rev().find(|entry| entry.kind == kind);
    let Some(entry) = (match sale.state.as_str() {
        "paid" => newest("sale_paid"),
        "not_debited" => newest("sale_voided"),
        "closed" => newest("sale_closed"),
        "in_doubt" => newest("sale_in_doubt").or_else(|| newest("sale_intended")),
        "queried" => newest("sale_queried"),
        _ => None,
    }) else {
        return match newest("sale_intended") {
            Some(intent) => format!(
                "Entry {} records that the debit was about to be sent.",
                intent.number
            ),
            None => "Nothing is recorded yet, so nothing can have moved.".to_owned(),
        };
    };
    format!("Entry {}: {}.", entry.number, proof_words(sale, entry))
}

fn proof_words(sale: &Sale, entry: &Entry) -> String {
    let words = match (entry.kind.as_str(), entry.reason.as_deref()) {
        ("sale_paid", Some("answer")) => "the card's own answer to the debit, its code verified",
        ("sale_paid", Some("prove")) => "the proof that the card gave afterwards, its code verified",
        ("sale_paid", Some("prove_not_checkable")) => {
            "the card's own answer and its log, which names this debit; its code could not be checked here"
        }
        ("sale_paid", Some("provider")) => "the provider's signed answer",
        ("sale_paid", _) => "the card's log, which names this debit; the card no longer has its proof",
        ("sale_voided", Some("counter_unchanged")) => "the card's transaction counter did not move",
        ("sale_voided", Some("other_debit")) => "the card's counter moved for another shop's debit",
        ("sale_voided", Some("provider")) => "the provider's signed answer",
        ("sale_voided", _) => "the debit was never sent to the card",
        ("sale_closed", _) => "the sale ended before a debit was sent to any card",
        ("sale_intended", _) => "the debit was about to be sent, and there is no answer on record",
        _ => sale.cause.as_deref().unwrap_or("the outcome is not known"),
    };
    words.to_owned()
}

fn next(sale: &Sale) -> String {
    let concluded = sale.conclusion.as_deref();
    let words = match (sale.outcome.as_str(), sale.state.as_str()) {
        ("paid", _) if sale.refund_owed.is_some() => {
            "Pay the buyer back what is owed, once; the claim shows it as a refund owed."
        }
        ("paid", _) => "Nothing: the claim is kept until it is settled.",
        ("under_way", "waiting_for_card") => "Put the buyer's card into the reader, or cancel.",
        ("under_way", "several_cards") => "Take out all cards but one.",
        ("under_way", "take_card_out") => "Take the card out, and put the buyer's card in.",
        ("under_way", "waiting_for_pin") => "Let the buyer type the PIN, or cancel.",
        ("under_way", _) => "Wait; Watch tells the end.",
        ("not_paid", _) => return remedy_sentence(sale, "Nothing."),
        (_, "queried") if concluded.is_some() => "Nothing here: the provider is asked, every hour.",
        _ if concluded.is_some() => {
            "Nothing at the till. When the same card is presented again, Purser finds out what happened."
        }
        _ => return remedy_sentence(sale, "Present the same card again."),
    };
    words.to_owned()
}

fn remedy_sentence(sale: &Sale, otherwise: &str) -> String {
    let Some(remedy) = &sale.remedy else {
        return otherwise.to_owned();
    };
    let mut letters = remedy.chars();
    let first = letters.next().map(|letter| letter.to_ascii_uppercase());
    let rest = letters.as_str();
    format!("{}{rest}.", first.map(String::from).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Amount, Time};
    use crate::reasons;

    const AT: Time = Time {
        unix_seconds: 1_700_000_000,
        utc_offset_seconds: 0,
        trusted: true,
    };

    fn sale(outcome: &str, state: &str) -> Sale {
        Sale {
            operation: "00".repeat(16),
            reference: "order-1".to_owned(),
            owner: 1000,
            amount: Amount {
                minor: 300,
                currency: "JPY".to_owned(),
            },
            outcome: outcome.to_owned(),
            state: state.to_owned(),
            reason: None,
            cause: None,
            remedy: None,
            tries_left: None,
            pin_through_api: None,
            conclusion: None,
            refund_owed: None,
            entry: None,
            at: None,
            reader: None,
            card: None,
            slip: None,
        }
    }

    fn entry(number: u64, kind: &str, reason: Option<&str>) -> Entry {
        Entry {
            number,
            digest: "00".repeat(32),
            operation: "00".repeat(16),
            reference: "order-1".to_owned(),
            owner: 1000,
            step: 0,
            at: AT,
            kind: kind.to_owned(),
            reason: reason.map(str::to_owned),
            transfers: Vec::new(),
        }
    }

    #[test]
    fn a_payment_is_told_with_its_proof() {
        let entries = vec![
            entry(7, "sale_intended", None),
            entry(8, "sale_paid", Some("answer")),
        ];
        let told = tell(sale("paid", "paid"), entries);
        assert_eq!(told.happened, "The buyer paid 300 JPY.");
        assert_eq!(
            told.proof,
            "Entry 8: the card's own answer to the debit, its code verified."
        );
        assert!(told.next.starts_with("Nothing"));
    }

    #[test]
    fn an_abandoned_payment_that_was_proven_says_what_is_owed_and_to_pay_it_once() {
        let mut paid = sale("paid", "paid");
        paid.refund_owed = Some(paid.amount.clone());
        paid.conclusion = Some("abandoned".to_owned());
        let told = tell(paid, vec![entry(9, "sale_paid", Some("prove"))]);
        assert!(told.happened.contains("The buyer is owed 300 JPY."));
        assert!(told.next.contains("once"));
    }

    #[test]
    fn doubt_says_that_it_is_not_known_and_asks_for_the_card() {
        let why = reasons::of_doubt(purser_ledger::DoubtReason::AnswerLost);
        let mut doubt = sale("in_doubt", "in_doubt");
        doubt.cause = Some(why.cause.to_owned());
        doubt.remedy = Some(why.remedy.to_owned());
        let told = tell(
            doubt.clone(),
            vec![entry(4, "sale_in_doubt", Some("answer_lost"))],
        );
        assert!(told.happened.starts_with("It is not known"), "{}", told.happened);
        assert!(told.proof.starts_with("Entry 4"), "{}", told.proof);
        assert!(told.next.starts_with("Present the same card"), "{}", told.next);
        doubt.conclusion = Some("goods_given".to_owned());
        let told = tell(doubt, vec![entry(4, "sale_in_doubt", Some("answer_lost"))]);
        assert!(told.next.starts_with("Nothing at the till"), "{}", told.next);
    }

    #[test]
    fn a_debit_that_was_proven_not_to_have_happened_is_told_so() {
        let told = tell(
            sale("not_paid", "not_debited"),
            vec![entry(5, "sale_voided", Some("counter_unchanged"))],
        );
        assert!(told.happened.starts_with("The buyer did not pay"));
        assert_eq!(
            told.proof,
            "Entry 5: the card's transaction counter did not move."
        );
    }

    #[test]
    fn a_sale_under_way_without_entries_says_that_nothing_can_have_moved() {
        let told = tell(sale("under_way", "waiting_for_card"), Vec::new());
        assert!(told.proof.contains("nothing can have moved"));
        assert!(told.next.contains("reader"));
        let told = tell(
            sale("under_way", "debiting"),
            vec![entry(3, "sale_intended", None)],
        );
        assert!(told.proof.starts_with("Entry 3"));
    }
}
