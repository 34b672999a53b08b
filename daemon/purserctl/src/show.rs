//! Sales, slips and entries for people.

use std::io;

use purser_api::model::{Entry, Event, Sale, Slip};

use crate::exit::Exit;
use crate::table::{money, print_facts, print_table, time};

/// What a sale's outcome is to the program that asked.
pub(crate) fn exit_of(sale: &Sale) -> Exit {
    match sale.outcome.as_str() {
        "not_paid" => Exit::NotPaid,
        "in_doubt" => Exit::InDoubt,
        _ => Exit::Done,
    }
}

/// A sale with everything that is known of it.
pub(crate) fn print_sale(sale: &Sale) -> io::Result<()> {
    let reason = sale
        .reason
        .as_ref()
        .map(|reason| format!(" ({reason})"))
        .unwrap_or_default();
    let mut facts = vec![
        ("reference", sale.reference.clone()),
        ("amount", money(&sale.amount)),
        ("outcome", sale.outcome.replace('_', " ")),
        ("state", format!("{}{reason}", sale.state.replace('_', " "))),
        ("cause", sale.cause.clone().unwrap_or_default()),
        ("what to do", sale.remedy.clone().unwrap_or_default()),
        (
            "PIN tries left",
            sale.tries_left.map(|tries| tries.to_string()).unwrap_or_default(),
        ),
        (
            "concluded",
            sale.conclusion
                .as_ref()
                .map(|end| end.replace('_', " "))
                .unwrap_or_default(),
        ),
        (
            "refund owed",
            sale.refund_owed.as_ref().map(money).unwrap_or_default(),
        ),
        ("reader", sale.reader.clone().unwrap_or_default()),
        (
            "entry",
            sale.entry.map(|entry| entry.to_string()).unwrap_or_default(),
        ),
    ];
    if let Some(slip) = &sale.slip {
        facts.extend(slip_facts(slip));
    }
    print_facts(&facts)
}

fn slip_facts(slip: &Slip) -> Vec<(&'static str, String)> {
    vec![
        ("card", slip.card.clone()),
        (
            "left on the purse",
            slip.balance_after.as_ref().map(money).unwrap_or_default(),
        ),
        ("paid at", time(&slip.at)),
        (
            "terminal",
            format!("{} no. {}", slip.terminal_number, slip.terminal_sn),
        ),
        ("journal head", slip.head.clone()),
    ]
}

/// What a sale is doing, on one line of stderr for who waits.
pub(crate) fn tell_progress(sale: &Sale) {
    let tries = sale
        .tries_left
        .map(|tries| format!(" ({tries} tries left)"))
        .unwrap_or_default();
    let words = match sale.state.as_str() {
        "waiting_for_card" => "present the card",
        "several_cards" => "more than one card is presented: leave one",
        "take_card_out" => "take the card out and put it in again",
        "waiting_for_pin" => "waiting for the PIN",
        other => &other.replace('_', " "),
    };
    eprintln!("{words}{tries}");
}

/// One event on one line.
pub(crate) fn event_line(event: &Event) -> String {
    let number = event
        .number
        .map_or_else(|| "-".to_owned(), |number| number.to_string());
    let (what, amount, state, reason) = match event {
        Event { sale: Some(sale), .. } => (&sale.reference, &sale.amount, &sale.state, &sale.reason),
        Event { load: Some(load), .. } => (&load.reference, &load.amount, &load.state, &load.reason),
        Event { batch: Some(it), .. } => (&it.id, &it.claimed, &it.state, &it.reason),
        // A newer daemon tells of something that this program does not know.
        Event { kind, .. } => return format!("{number:>6}  {kind}"),
    };
    let reason = reason.as_ref().map(|reason| format!(" {reason}"));
    format!(
        "{number:>6}  {:14} {what}  {}  {state}{}",
        event.kind,
        money(amount),
        reason.unwrap_or_default()
    )
}

/// Journal entries, one a line.
pub(crate) fn print_entries(entries: &[Entry]) -> io::Result<()> {
    let row = |entry: &Entry| {
        let moved = entry
            .transfers
            .iter()
            .map(|it| format!("{} {} > {}", money(&it.amount), it.credit, it.debit));
        vec![
            entry.number.to_string(),
            time(&entry.at),
            entry.kind.clone(),
            entry.reference.clone(),
            entry.reason.clone().unwrap_or_default(),
            moved.collect::<Vec<_>>().join(", "),
        ]
    };
    print_table(
        &["ENTRY", "TIME", "KIND", "REFERENCE", "REASON", "MONEY"],
        &[0],
        entries.iter().map(row).collect(),
    )
}
