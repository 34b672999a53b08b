//! What each state does with each input: compared with the tables beside this file. `UPDATE_TABLES=1 cargo test` writes them
//! anew; the difference is what is reviewed.

use std::fmt::{Debug, Write as _};

use purser_ledger::Monotonic;
use purser_provider_link::call_back::*;
use purser_provider_link::{Digest, ProviderName, TerminalName};

use crate::support::{provider, terminal};

const START: Monotonic = Monotonic(1_000);
const LATER: Monotonic = Monotonic(2_000);
const MUCH_LATER: Monotonic = Monotonic(1_000_000);
const ID: RequestId = RequestId([1; 16]);
const OTHER_ID: RequestId = RequestId([2; 16]);
const TICKET: Ticket = Ticket([3; 16]);
const SUBJECT: Digest = Digest([4; 32]);
const BINDING: ChannelBinding = ChannelBinding([5; 32]);
const LEG: LegId = LegId(7);
const OTHER_LEG: LegId = LegId(8);

fn challenge(ticket: Ticket, nonce: u8) -> Challenge {
    Challenge {
        nonce: Nonce([nonce; 32]),
        ticket,
        purpose: Purpose::Settlement,
        provider: provider(),
        terminal: terminal(),
        subject: SUBJECT,
    }
}

fn request(id: RequestId) -> Request {
    Request {
        id,
        purpose: Purpose::Settlement,
        terminal: terminal(),
        provider: provider(),
        subject: SUBJECT,
    }
}

/// The variant's name; of a refusal or an end also which.
fn short(output: &impl Debug) -> String {
    let text = format!("{output:?}");
    let name: String = text.chars().take_while(|it| it.is_alphanumeric()).collect();
    let marks = ["Refuse", "Alarm", "Ended"];
    let last = text
        .trim_end_matches(')')
        .rsplit([' ', '('])
        .next()
        .unwrap_or_default();
    if marks.contains(&name.as_str()) {
        format!("{name}({last})")
    } else {
        name
    }
}

fn line(table: &mut String, state: &str, input: &str, after: &str, outputs: &[String]) {
    let same = if state == after { "·" } else { after };
    writeln!(table, "{state:<11} {input:<34} {same:<11} {}", outputs.join(" ")).unwrap();
}

fn compare(name: &str, table: &str) {
    let path = format!("{}/tests/link/{name}.table.txt", env!("CARGO_MANIFEST_DIR"));
    if std::env::var_os("UPDATE_TABLES").is_some() {
        std::fs::write(&path, table).unwrap();
    }
    let stored = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(stored == table, "{path} says otherwise; now it is:\n{table}");
}

// The terminal's side.

fn outputs_of(terminal: &mut Terminal) -> Vec<String> {
    std::iter::from_fn(|| terminal.poll_output())
        .map(|it| short(&it))
        .collect()
}

type OnTerminal = (&'static str, fn(&mut Terminal));

fn call(terminal: &mut Terminal, leg: LegId, peer: &ProviderName, challenge: &Challenge) {
    terminal.handle_challenge(LATER, leg, peer, &BINDING, challenge);
}

fn terminal_inputs() -> Vec<OnTerminal> {
    vec![
        ("begin", |it| {
            let _ = it.begin(LATER, OTHER_ID, Purpose::Load, SUBJECT);
        }),
        ("ticket", |it| it.handle_ticket(LATER, ID, Some(Ok(TICKET)))),
        ("ticket of another request", |it| {
            it.handle_ticket(LATER, OTHER_ID, Some(Ok(TICKET)));
        }),
        ("request refused", |it| {
            it.handle_ticket(LATER, ID, Some(Err(Refusal::ReplayedRequest)));
        }),
        ("request leg lost", |it| it.handle_ticket(LATER, ID, None)),
        ("challenge", |it| {
            call(it, LEG, &provider(), &challenge(TICKET, 1))
        }),
        ("challenge of an unknown ticket", |it| {
            call(it, LEG, &provider(), &challenge(Ticket([9; 16]), 1));
        }),
        ("challenge on another leg", |it| {
            call(it, OTHER_LEG, &provider(), &challenge(TICKET, 2));
        }),
        ("challenge of another provider", |it| {
            let other = ProviderName::new("other.example").unwrap();
            call(it, LEG, &other, &challenge(TICKET, 1));
        }),
        ("challenge for another terminal", |it| {
            let terminal = TerminalName::new("shop-8/till-1").unwrap();
            let challenge = Challenge {
                terminal,
                ..challenge(TICKET, 1)
            };
            call(it, LEG, &provider(), &challenge);
        }),
        ("challenge about another subject", |it| {
            let subject = Digest([9; 32]);
            let challenge = Challenge {
                subject,
                ..challenge(TICKET, 1)
            };
            call(it, LEG, &provider(), &challenge);
        }),
        ("signature", |it| {
            it.handle_signature(LATER, LEG, Some(b"signature".to_vec()));
        }),
        ("no signature", |it| it.handle_signature(LATER, LEG, None)),
        ("signature that is too long", |it| {
            it.handle_signature(LATER, LEG, Some(vec![0; SIGNATURE_BYTES_MAX + 1]));
        }),
        ("accepted", |it| it.handle_opened(LEG)),
        ("accepted on another leg", |it| it.handle_opened(OTHER_LEG)),
        ("refused", |it| it.handle_refused(LEG, Refusal::BadSignature)),
        ("leg lost", |it| it.handle_leg_lost(LATER, LEG)),
        ("another leg lost", |it| it.handle_leg_lost(LATER, OTHER_LEG)),
        ("timer, not due", |it| it.handle_timer(START)),
        ("timer, due", |it| it.handle_timer(MUCH_LATER)),
        ("cancel", Terminal::cancel),
    ]
}

fn terminal_states() -> Vec<OnTerminal> {
    let asking: fn(&mut Terminal) = |it| it.begin(START, ID, Purpose::Settlement, SUBJECT).unwrap();
    vec![
        ("Idle", |_| {}),
        ("Asking", asking),
        ("Pausing", |it| {
            it.begin(START, ID, Purpose::Settlement, SUBJECT).unwrap();
            it.handle_ticket(START, ID, None);
        }),
        ("Waiting", |it| {
            it.begin(START, ID, Purpose::Settlement, SUBJECT).unwrap();
            it.handle_ticket(START, ID, Some(Ok(TICKET)));
        }),
        ("Signing", |it| {
            it.begin(START, ID, Purpose::Settlement, SUBJECT).unwrap();
            it.handle_ticket(START, ID, Some(Ok(TICKET)));
            it.handle_challenge(START, LEG, &provider(), &BINDING, &challenge(TICKET, 1));
        }),
        ("Answered", |it| {
            it.begin(START, ID, Purpose::Settlement, SUBJECT).unwrap();
            it.handle_ticket(START, ID, Some(Ok(TICKET)));
            it.handle_challenge(START, LEG, &provider(), &BINDING, &challenge(TICKET, 1));
            it.handle_signature(START, LEG, Some(b"signature".to_vec()));
        }),
    ]
}

#[test]
fn the_terminal_does_what_its_table_says() {
    let mut table = String::new();
    for (state, reach) in terminal_states() {
        for (input, give) in terminal_inputs() {
            let mut it = Terminal::new(START, terminal(), provider(), Mode::Answer, Limits::default());
            reach(&mut it);
            outputs_of(&mut it);
            assert_eq!(it.state_name(), state);
            give(&mut it);
            let outputs = outputs_of(&mut it);
            line(&mut table, state, input, it.state_name(), &outputs);
        }
    }
    compare("terminal", &table);
}

// The provider's side.

fn outputs_of_provider(provider: &mut Provider) -> Vec<String> {
    std::iter::from_fn(|| provider.poll_output())
        .map(|it| short(&it))
        .collect()
}

type OnProvider = (&'static str, fn(&mut Provider));

fn ask(it: &mut Provider, leg: LegId, request: Request) {
    it.handle_request(START, leg, &terminal(), request, TICKET);
}

fn connect(it: &mut Provider) {
    it.handle_connected(START, LEG, &terminal(), BINDING, Nonce([1; 32]));
}

fn answer(it: &mut Provider, leg: LegId, is_good: bool) {
    let answer = Answer {
        ticket: TICKET,
        nonce: Nonce([1; 32]),
        signature: b"signature".to_vec(),
    };
    it.handle_answer(leg, &answer, |_, _| is_good);
}

fn provider_inputs() -> Vec<OnProvider> {
    vec![
        ("request", |it| ask(it, OTHER_LEG, request(ID))),
        ("another request", |it| ask(it, OTHER_LEG, request(OTHER_ID))),
        ("request with other content", |it| {
            let purpose = Purpose::Load;
            ask(
                it,
                OTHER_LEG,
                Request {
                    purpose,
                    ..request(ID)
                },
            );
        }),
        ("request to another provider", |it| {
            let provider = ProviderName::new("other.example").unwrap();
            ask(
                it,
                OTHER_LEG,
                Request {
                    provider,
                    ..request(ID)
                },
            );
        }),
        ("request of another terminal", |it| {
            let other = TerminalName::new("shop-8/till-1").unwrap();
            it.handle_request(START, OTHER_LEG, &other, request(ID), TICKET);
        }),
        ("leg lost", |it| it.handle_leg_lost(LATER, Some(LEG))),
        ("another leg lost", |it| {
            it.handle_leg_lost(LATER, Some(OTHER_LEG))
        }),
        ("call failed", |it| it.handle_leg_lost(LATER, None)),
        ("connected", connect),
        ("connected to another terminal", |it| {
            let other = TerminalName::new("shop-8/till-1").unwrap();
            it.handle_connected(LATER, LEG, &other, BINDING, Nonce([1; 32]));
        }),
        ("good answer", |it| answer(it, LEG, true)),
        ("bad answer", |it| answer(it, LEG, false)),
        ("answer on another leg", |it| answer(it, OTHER_LEG, true)),
        ("refused: not yet known", |it| {
            it.handle_refused(LATER, LEG, TICKET, Refusal::TicketNotYetKnown);
        }),
        ("refused: unknown", |it| {
            it.handle_refused(LATER, LEG, TICKET, Refusal::UnknownTicket);
        }),
        ("refused: of another ticket", |it| {
            it.handle_refused(LATER, LEG, Ticket([9; 16]), Refusal::UnknownTicket);
        }),
        ("standing link", |it| {
            it.handle_link(LATER, OTHER_LEG, &terminal())
        }),
        ("timer, not due", |it| it.handle_timer(START)),
        ("timer, due", |it| it.handle_timer(MUCH_LATER)),
    ]
}

fn provider_states() -> Vec<OnProvider> {
    vec![
        ("Idle", |_| {}),
        ("Ticketed", |it| ask(it, LEG, request(ID))),
        ("Due", |it| {
            ask(it, LEG, request(ID));
            it.handle_leg_lost(START, Some(LEG));
            it.handle_leg_lost(START, None);
        }),
        ("Calling", |it| {
            ask(it, LEG, request(ID));
            it.handle_leg_lost(START, Some(LEG));
        }),
        ("Challenged", |it| {
            ask(it, LEG, request(ID));
            it.handle_leg_lost(START, Some(LEG));
            connect(it);
        }),
    ]
}

#[test]
fn the_provider_does_what_its_table_says() {
    let mut table = String::new();
    for (state, reach) in provider_states() {
        for (input, give) in provider_inputs() {
            let mut it = Provider::new(provider(), terminal(), Mode::Answer, Limits::default());
            reach(&mut it);
            outputs_of_provider(&mut it);
            assert_eq!(it.state_name(), state);
            give(&mut it);
            let outputs = outputs_of_provider(&mut it);
            line(&mut table, state, input, it.state_name(), &outputs);
        }
    }
    compare("provider", &table);
}
