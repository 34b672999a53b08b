//! From the engine's and the ledger's types to the words of the API.

mod event;
mod load;

pub(crate) use event::{Told, event, folded_event};
pub(crate) use load::{loaded, loading};

use purser_engine::settlement::{BatchState, BatchView};
use purser_engine::{End, LimitKind, LimitLevel, LimitUse, Outcome, Progress, PurseView, SaleView, Slip};
use purser_ledger::{
    Account, Amount, Books, CardId, Conclusion, Entry, LoadProof, PaidProof, Reference, Wall,
};

use crate::facts::BatchFacts;
use crate::fold::Folded;
use crate::model;
use crate::reasons::{self, Reason};

const UNDER_WAY: &str = "under_way";
const PAID: &str = "paid";
const NOT_PAID: &str = "not_paid";
const IN_DOUBT: &str = "in_doubt";
const DEBITING: &str = "debiting";

/// A sale under way.
pub(crate) fn under_way(view: &SaleView<Progress>) -> model::Sale {
    let (outcome, state) = progress_words(view.state);
    let mut sale = bare(view, outcome, state);
    if let Progress::WaitingForPin {
        tries_left,
        through_api,
    } = view.state
    {
        sale.tries_left = tries_left.map(u64::from);
        sale.pin_through_api = Some(through_api);
    }
    if view.state == Progress::NotRecorded {
        sale.reason = Some("no_room".to_owned());
        sale.cause =
            Some("the sale ended before any debit, and the journal had no room to record that".to_owned());
        sale.remedy = Some("free disk space, then begin the sale again; its reference is free".to_owned());
    }
    sale
}

fn progress_words(progress: Progress) -> (&'static str, &'static str) {
    match progress {
        Progress::CheckingReference => (UNDER_WAY, "checking_reference"),
        Progress::WaitingForCard => (UNDER_WAY, "waiting_for_card"),
        Progress::SeveralCards => (UNDER_WAY, "several_cards"),
        Progress::TakeCardOut => (UNDER_WAY, "take_card_out"),
        Progress::ReadingCard => (UNDER_WAY, "reading_card"),
        Progress::Resolving => (UNDER_WAY, "resolving"),
        Progress::WaitingForPin { .. } => (UNDER_WAY, "waiting_for_pin"),
        Progress::CheckingPin => (UNDER_WAY, "checking_pin"),
        Progress::WaitingForSam => (UNDER_WAY, "waiting_for_sam"),
        Progress::Debiting => (UNDER_WAY, DEBITING),
        Progress::Ending => (UNDER_WAY, "ending"),
        Progress::NotRecorded => (NOT_PAID, "not_recorded"),
    }
}

/// A sale whose standing is durable.
pub(crate) fn durable(view: &SaleView<Outcome>) -> model::Sale {
    let (outcome, state, reason) = match &view.state.end {
        End::Paid(_) => (PAID, "paid", None),
        End::Closed(why) => (NOT_PAID, "closed", Some(reasons::of_close(*why))),
        End::NotDebited(proof) => (NOT_PAID, "not_debited", Some(reasons::of_void(*proof))),
        End::InDoubt(why) => (IN_DOUBT, "in_doubt", Some(reasons::of_doubt(*why))),
        End::Queried(why) => (IN_DOUBT, "queried", Some(reasons::of_query(*why))),
    };
    let mut sale = bare(view, outcome, state);
    set_reason(&mut sale, reason);
    if let End::Paid(paid) = &view.state.end {
        sale.card = Some(masked(&paid.card));
        sale.slip = Some(slip(paid));
    }
    sale.conclusion = view.state.conclusion.map(|end| conclusion(end).to_owned());
    sale.refund_owed = view.state.refund_owed.map(amount);
    sale.entry = Some(view.state.entry);
    sale.at = Some(time(view.state.at));
    sale
}

fn bare<S>(view: &SaleView<S>, outcome: &str, state: &str) -> model::Sale {
    model::Sale {
        operation: view.operation.to_string(),
        reference: view.reference.as_str().to_owned(),
        owner: u64::from(view.owner.0),
        amount: amount(view.amount),
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
        reader: view.reader.as_ref().map(|name| name.as_str().to_owned()),
        card: None,
        slip: None,
    }
}

fn set_reason(sale: &mut model::Sale, reason: Option<Reason>) {
    sale.reason = reason.map(|reason| reason.name.to_owned());
    sale.cause = reason.map(|reason| reason.cause.to_owned());
    sale.remedy = reason.map(|reason| reason.remedy.to_owned());
}

/// A journal entry.
pub(crate) fn entry(folded: &Folded) -> model::Entry {
    let content = &folded.recorded.content;
    let reference = folded.operation.reference().map_or("", Reference::as_str);
    let transfers = content
        .entry
        .transfers()
        .into_iter()
        .map(|transfer| model::Transfer {
            debit: account(transfer.debit).to_owned(),
            credit: account(transfer.credit).to_owned(),
            amount: amount(transfer.amount),
        });
    model::Entry {
        number: folded.recorded.head.number,
        digest: digest(&folded.recorded.head),
        operation: content.operation.to_string(),
        reference: reference.to_owned(),
        owner: u64::from(folded.operation.owner().0),
        step: u64::from(content.step),
        at: time(content.at),
        kind: kind(&content.entry).to_owned(),
        reason: entry_reason(&content.entry).map(str::to_owned),
        transfers: transfers.collect(),
    }
}

fn digest(head: &purser_ledger::Head) -> String {
    let text = head.to_string();
    text.split_once(':')
        .map_or_else(String::new, |(_, digest)| digest.to_owned())
}

fn kind(entry: &Entry) -> &'static str {
    match entry {
        Entry::SaleIntended(_) => "sale_intended",
        Entry::SalePaid(_) => "sale_paid",
        Entry::SaleInDoubt(_) => "sale_in_doubt",
        Entry::SaleQueried(_) => "sale_queried",
        Entry::SaleVoided(_) => "sale_voided",
        Entry::SaleConcluded(_) => "sale_concluded",
        Entry::SaleClosed(_) => "sale_closed",
        Entry::BatchSealed(_) => "batch_sealed",
        Entry::BatchExchanged(_) => "batch_exchanged",
        Entry::BatchVoided(_) => "batch_voided",
        Entry::LoadBegun(_) => "load_begun",
        Entry::LoadAttempted(_) => "load_attempted",
        Entry::LoadReleased(_) => "load_released",
        Entry::LoadProven(_) => "load_proven",
        Entry::LoadConfirmed(_) => "load_confirmed",
        Entry::LoadVoided(_) => "load_voided",
        Entry::SalePresentedAgain(_) => "sale_presented_again",
    }
}

fn entry_reason(entry: &Entry) -> Option<&'static str> {
    match entry {
        Entry::SaleIntended(_)
        | Entry::BatchSealed(_)
        | Entry::BatchExchanged(_)
        | Entry::BatchVoided(_)
        | Entry::LoadBegun(_)
        | Entry::LoadAttempted(_)
        | Entry::LoadReleased(_)
        | Entry::LoadConfirmed(_)
        | Entry::LoadVoided(_)
        | Entry::SalePresentedAgain(_) => None,
        Entry::LoadProven(proven) => Some(load_proof(proven.proof)),
        Entry::SalePaid(paid) => Some(paid_proof(paid.proof)),
        Entry::SaleInDoubt(doubt) => Some(reasons::of_doubt(doubt.reason).name),
        Entry::SaleQueried(queried) => Some(reasons::of_query(queried.reason).name),
        Entry::SaleVoided(voided) => Some(reasons::of_void(voided.proof).name),
        Entry::SaleConcluded(concluded) => Some(conclusion(concluded.conclusion)),
        Entry::SaleClosed(closed) => Some(reasons::of_close(closed.reason).name),
    }
}

fn paid_proof(proof: PaidProof) -> &'static str {
    match proof {
        PaidProof::Answer => "answer",
        PaidProof::Prove => "prove",
        PaidProof::ProveNotCheckable => "prove_not_checkable",
        PaidProof::LogOnly => "log_only",
        PaidProof::Provider => "provider",
    }
}

fn load_proof(proof: LoadProof) -> &'static str {
    match proof {
        LoadProof::Answer => "answer",
        LoadProof::Prove => "prove",
        LoadProof::Provider => "provider",
    }
}

fn conclusion(conclusion: Conclusion) -> &'static str {
    match conclusion {
        Conclusion::GoodsGiven => "goods_given",
        Conclusion::Abandoned => "abandoned",
    }
}

/// The balances that are not zero.
pub(crate) fn balances(books: &Books) -> Vec<model::Balance> {
    let balance = |currency, of: Account| model::Balance {
        account: account(of).to_owned(),
        side: if of.grows_by_debit() { "debit" } else { "credit" }.to_owned(),
        amount: amount(books.balance(of, currency)),
    };
    books
        .currencies()
        .into_iter()
        .flat_map(|currency| Account::ALL.map(|of| balance(currency, of)))
        .filter(|balance| balance.amount.minor > 0)
        .collect()
}

/// A batch.
pub(crate) fn batch(view: &BatchView) -> model::Batch {
    model::Batch {
        id: view.id.to_string(),
        state: match view.state {
            BatchState::Counting => "counting",
            BatchState::Sealing => "sealing",
            BatchState::Sending => "sending",
            BatchState::Waiting => "waiting",
            BatchState::Exchanging => "exchanging",
            BatchState::Exchanged => "exchanged",
            BatchState::Voided => "voided",
            BatchState::NotSealed => "not_sealed",
        }
        .to_owned(),
        count: u64::from(view.count),
        sent: view.sent.map(u64::from),
        claimed: amount(view.claims.amount),
        refunds: amount(view.refunds),
        sealed_at: None,
        total: view.total.map(amount),
        held_count: view.held.map(|held| u64::from(held.count)),
        held: view.held.map(|held| amount(held.amount)),
        entry: view.entry,
        reason: view.why.as_ref().map(|(name, _)| (*name).to_owned()),
        cause: view.why.as_ref().map(|(_, text)| text.clone()),
    }
}

/// A batch that is sealed.
pub(crate) fn sealed_batch(facts: &BatchFacts) -> model::Batch {
    model::Batch {
        entry: Some(facts.sealed),
        sealed_at: Some(time(facts.sealed_at)),
        ..batch(&facts.view)
    }
}

/// How much of each limit is used.
pub(crate) fn limits(uses: &[LimitUse]) -> Vec<model::LimitUse> {
    let told = |it: &LimitUse| model::LimitUse {
        name: match it.kind {
            LimitKind::Count => "count",
            LimitKind::Total(_) => "total",
            LimitKind::Age => "age",
        }
        .to_owned(),
        currency: match it.kind {
            LimitKind::Total(currency) => Some(currency.code().to_owned()),
            LimitKind::Count | LimitKind::Age => None,
        },
        used: it.used,
        warn_at: it.warn_at,
        max: it.max,
        level: match it.level() {
            LimitLevel::Within => "within",
            LimitLevel::Near => "near",
            LimitLevel::Reached => "reached",
        }
        .to_owned(),
    };
    uses.iter().map(told).collect()
}

fn account(account: Account) -> &'static str {
    match account {
        Account::Sales => "sales",
        Account::Claims => "claims",
        Account::InDoubt => "in_doubt",
        Account::RefundsOwed => "refunds_owed",
        Account::InBatch => "in_batch",
        Account::Permits => "permits",
        Account::Held => "held",
        Account::Netted => "netted",
        Account::LateRefunds => "late_refunds",
        Account::Loads => "loads",
        Account::LoadsOwed => "loads_owed",
        Account::Loaded => "loaded",
    }
}

/// What a purse says.
pub(crate) fn purse(view: &PurseView) -> model::Purse {
    model::Purse {
        reader: view.reader.as_str().to_owned(),
        card: masked(&view.card),
        balance_minor: u64::from(view.balance_minor),
        currency: view.currency.map(|currency| currency.code().to_owned()),
        valid_from: bcd_date(view.start),
        valid_to: bcd_date(view.expiry),
    }
}

fn bcd_date(bcd: [u8; 4]) -> String {
    let [century, year, month, day] = bcd;
    format!("{century:02x}{year:02x}-{month:02x}-{day:02x}")
}

fn slip(slip: &Slip) -> model::Slip {
    model::Slip {
        amount: amount(slip.amount),
        balance_after: slip.balance_after.map(amount),
        card: masked(&slip.card),
        terminal_number: hex(&slip.terminal_number),
        terminal_sn: u64::from(slip.terminal_sn),
        at: time(slip.at),
        head: slip.head.to_string(),
        proof: paid_proof(slip.proof).to_owned(),
    }
}

fn masked(card: &CardId) -> String {
    card.to_string()
}

/// Bytes as hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// An amount.
pub(crate) fn amount(amount: Amount) -> model::Amount {
    model::Amount {
        minor: amount.minor(),
        currency: amount.currency().code().to_owned(),
    }
}

/// A time.
pub(crate) fn time(wall: Wall) -> model::Time {
    wall.into()
}

impl From<Wall> for model::Time {
    fn from(wall: Wall) -> Self {
        Self {
            unix_seconds: wall.unix_seconds,
            utc_offset_seconds: i64::from(wall.utc_offset_seconds),
            trusted: wall.trusted,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::VARLINK_CONTRACT;

    #[test]
    fn every_state_and_outcome_is_listed_in_the_contract() {
        let waiting = Progress::WaitingForPin {
            tries_left: None,
            through_api: false,
        };
        let all = [
            Progress::CheckingReference,
            Progress::WaitingForCard,
            Progress::SeveralCards,
            Progress::TakeCardOut,
            Progress::ReadingCard,
            Progress::Resolving,
            waiting,
            Progress::CheckingPin,
            Progress::WaitingForSam,
            Progress::Debiting,
            Progress::Ending,
            Progress::NotRecorded,
        ];
        for (outcome, state) in all.map(progress_words) {
            assert!(
                VARLINK_CONTRACT.contains(outcome) && VARLINK_CONTRACT.contains(state),
                "{state}"
            );
        }
    }

    #[test]
    fn every_proof_of_a_payment_is_named_as_in_the_journal() {
        for proof in [
            PaidProof::Answer,
            PaidProof::Prove,
            PaidProof::ProveNotCheckable,
            PaidProof::LogOnly,
            PaidProof::Provider,
        ] {
            assert_eq!(
                serde_json::to_value(proof).expect("a proof is a name"),
                paid_proof(proof)
            );
        }
    }

    #[test]
    fn every_proof_of_a_load_is_named_as_in_the_journal() {
        for proof in [LoadProof::Answer, LoadProof::Prove, LoadProof::Provider] {
            assert_eq!(
                serde_json::to_value(proof).expect("a proof is a name"),
                load_proof(proof)
            );
        }
    }

    #[test]
    fn every_account_is_listed_in_the_contract() {
        for name in Account::ALL.map(account) {
            assert!(VARLINK_CONTRACT.contains(name), "{name}");
        }
    }

    #[test]
    fn a_date_in_bcd_is_told_with_dashes() {
        assert_eq!(bcd_date([0x20, 0x26, 0x11, 0x05]), "2026-11-05");
    }
}
