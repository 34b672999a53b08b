//! Each thing that an attacker may try has its own name, and is counted.

use p256::ecdsa::signature::{Signer as _, Verifier as _};
use p256::ecdsa::{Signature, SigningKey, VerifyingKey};
use purser_ledger::Monotonic;
use purser_provider_link::call_back::*;
use purser_provider_link::{Digest, ProviderName, TerminalName};

use crate::support::{provider, terminal};

const NOW: Monotonic = Monotonic(1_000);
const SUBJECT: Digest = Digest([4; 32]);
const TICKET: Ticket = Ticket([3; 16]);
const ID: RequestId = RequestId([1; 16]);
const LEG: LegId = LegId(7);

/// The device key of the terminal: a real one, of the kind that TPMs and HSMs hold.
fn device_key(seed: u8) -> SigningKey {
    SigningKey::from_slice(&[seed; 32]).unwrap()
}

fn verifies(key: &SigningKey) -> impl Fn(&[u8], &[u8]) -> bool {
    let key = VerifyingKey::from(key);
    move |bytes, signature| {
        Signature::from_der(signature).is_ok_and(|signature| key.verify(bytes, &signature).is_ok())
    }
}

struct Both {
    terminal: Terminal,
    provider: Provider,
}

fn both(mode: Mode) -> Both {
    Both {
        terminal: Terminal::new(NOW, terminal(), provider(), mode, Limits::default()),
        provider: Provider::new(provider(), terminal(), mode, Limits::default()),
    }
}

impl Both {
    fn told_to_terminal(&mut self) -> Vec<TerminalOutput> {
        std::iter::from_fn(|| self.terminal.poll_output()).collect()
    }

    fn told_to_provider(&mut self) -> Vec<ProviderOutput> {
        std::iter::from_fn(|| self.provider.poll_output()).collect()
    }

    /// Until the terminal holds a ticket and the provider calls.
    fn ask(&mut self) -> Request {
        self.terminal
            .begin(NOW, ID, Purpose::Settlement, SUBJECT)
            .unwrap();
        let Some(TerminalOutput::Ask(request)) = self.told_to_terminal().pop() else {
            panic!("the terminal asks");
        };
        self.provider
            .handle_request(NOW, LegId(1), &terminal(), request.clone(), TICKET);
        self.terminal.handle_ticket(NOW, ID, Some(Ok(TICKET)));
        self.provider.handle_leg_lost(NOW, Some(LegId(1)));
        request
    }

    fn challenge(&mut self, binding: ChannelBinding, nonce: u8) -> Challenge {
        self.provider
            .handle_connected(NOW, LEG, &terminal(), binding, Nonce([nonce; 32]));
        match self.told_to_provider().pop() {
            Some(ProviderOutput::Challenge(LEG, challenge)) => challenge,
            other => panic!("no challenge: {other:?}"),
        }
    }

    fn sign(&mut self, key: &SigningKey) -> Answer {
        let bytes = match self.told_to_terminal().pop() {
            Some(TerminalOutput::Sign { bytes, .. }) => bytes,
            other => panic!("nothing to sign: {other:?}"),
        };
        let signature: Signature = key.sign(&bytes);
        self.terminal
            .handle_signature(NOW, LEG, Some(signature.to_der().as_bytes().to_vec()));
        match self.told_to_terminal().pop() {
            Some(TerminalOutput::Answer(LEG, answer)) => answer,
            other => panic!("no answer: {other:?}"),
        }
    }
}

const HERE: ChannelBinding = ChannelBinding([5; 32]);

#[test]
fn a_device_key_on_the_right_leg_is_accepted_once() {
    let key = device_key(1);
    let mut it = both(Mode::Answer);
    let request = it.ask();
    let challenge = it.challenge(HERE, 1);
    it.terminal
        .handle_challenge(NOW, LEG, &provider(), &HERE, &challenge);
    let answer = it.sign(&key);
    it.provider.handle_answer(LEG, &answer, verifies(&key));
    assert_eq!(
        it.told_to_provider(),
        [ProviderOutput::Authenticated(LEG, request.clone())]
    );
    it.terminal.handle_opened(LEG);
    assert_eq!(
        it.told_to_terminal(),
        [TerminalOutput::Authenticated(LEG, request.clone())]
    );

    // The same answer again, the same challenge again, the same request again.
    it.provider.handle_answer(LEG, &answer, verifies(&key));
    assert_eq!(it.provider.refusals().of(Refusal::NotAsked), 1);
    it.terminal
        .handle_challenge(NOW, LegId(9), &provider(), &HERE, &challenge);
    assert_eq!(it.terminal.refusals().of(Refusal::SecondCallBack), 1);
    it.provider
        .handle_request(NOW, LegId(10), &terminal(), request, Ticket([8; 16]));
    assert_eq!(it.provider.refusals().of(Refusal::ReplayedRequest), 1);
}

#[test]
fn a_signature_carried_to_another_tls_session_does_not_verify() {
    let key = device_key(1);
    let mut it = both(Mode::Answer);
    it.ask();
    let challenge = it.challenge(HERE, 1);
    // Somebody in the middle: the terminal's end of the leg is another session.
    let elsewhere = ChannelBinding([6; 32]);
    it.terminal
        .handle_challenge(NOW, LEG, &provider(), &elsewhere, &challenge);
    let answer = it.sign(&key);
    it.provider.handle_answer(LEG, &answer, verifies(&key));
    assert_eq!(it.provider.refusals().of(Refusal::BadSignature), 1);
    let told = it.told_to_provider();
    assert!(
        told.contains(&ProviderOutput::Alarm(Refusal::BadSignature)),
        "{told:?}"
    );
    assert!(told.contains(&ProviderOutput::Ended(
        ID,
        ProviderEnding::Refused(Refusal::BadSignature)
    )));
}

#[test]
fn another_device_key_is_not_accepted() {
    let mut it = both(Mode::Answer);
    it.ask();
    let challenge = it.challenge(HERE, 1);
    it.terminal
        .handle_challenge(NOW, LEG, &provider(), &HERE, &challenge);
    let answer = it.sign(&device_key(2));
    it.provider.handle_answer(LEG, &answer, verifies(&device_key(1)));
    assert_eq!(it.provider.refusals().of(Refusal::BadSignature), 1);
}

#[test]
fn a_replayed_challenge_is_refused_after_its_leg_was_lost() {
    let mut it = both(Mode::Answer);
    it.ask();
    let challenge = it.challenge(HERE, 1);
    it.terminal
        .handle_challenge(NOW, LEG, &provider(), &HERE, &challenge);
    it.terminal.handle_leg_lost(NOW, LEG);
    it.terminal
        .handle_challenge(NOW, LegId(8), &provider(), &HERE, &challenge);
    assert_eq!(it.terminal.refusals().of(Refusal::ReplayedChallenge), 1);
    // The provider's own next try has another nonce.
    it.provider.handle_leg_lost(NOW, Some(LEG));
    let again = Monotonic(NOW.0 + 60_000);
    it.provider.handle_timer(again);
    let challenge = it.challenge(HERE, 2);
    it.terminal
        .handle_challenge(again, LEG, &provider(), &HERE, &challenge);
    assert_eq!(it.terminal.state_name(), "Signing");
}

#[test]
fn a_call_back_of_another_provider_is_refused_and_an_operator_told() {
    let mut it = both(Mode::Answer);
    it.ask();
    let challenge = it.challenge(HERE, 1);
    let other = ProviderName::new("other.example").unwrap();
    it.terminal.handle_challenge(NOW, LEG, &other, &HERE, &challenge);
    assert_eq!(it.terminal.refusals().of(Refusal::WrongProvider), 1);
    assert!(
        it.told_to_terminal()
            .contains(&TerminalOutput::Alarm(Refusal::WrongProvider))
    );
    assert_eq!(
        it.terminal.state_name(),
        "Waiting",
        "the right one may still call"
    );
}

#[test]
fn a_call_back_after_cancel_is_stale_and_one_out_of_the_blue_unknown() {
    let mut it = both(Mode::Answer);
    it.ask();
    let challenge = it.challenge(HERE, 1);
    it.terminal.cancel();
    it.terminal
        .handle_challenge(NOW, LEG, &provider(), &HERE, &challenge);
    assert_eq!(it.terminal.refusals().of(Refusal::StaleCallBack), 1);
    let unknown = Challenge {
        ticket: Ticket([9; 16]),
        ..challenge
    };
    it.terminal
        .handle_challenge(NOW, LEG, &provider(), &HERE, &unknown);
    assert_eq!(it.terminal.refusals().of(Refusal::UnknownTicket), 1);
}

#[test]
fn a_call_back_that_overtakes_its_ticket_is_asked_to_come_again() {
    let mut it = both(Mode::Answer);
    it.terminal.begin(NOW, ID, Purpose::Settlement, SUBJECT).unwrap();
    let Some(TerminalOutput::Ask(request)) = it.told_to_terminal().pop() else {
        panic!("the terminal asks");
    };
    it.provider
        .handle_request(NOW, LegId(1), &terminal(), request, TICKET);
    it.provider.handle_leg_lost(NOW, Some(LegId(1)));
    let challenge = it.challenge(HERE, 1);
    it.terminal
        .handle_challenge(NOW, LEG, &provider(), &HERE, &challenge);
    assert_eq!(it.terminal.refusals().of(Refusal::TicketNotYetKnown), 1);
    // Of an earlier call: it crossed this one.
    it.provider
        .handle_refused(NOW, LEG, Ticket([9; 16]), Refusal::StaleCallBack);
    assert_eq!(it.provider.state_name(), "Challenged");
    it.provider
        .handle_refused(NOW, LEG, challenge.ticket, Refusal::TicketNotYetKnown);
    assert_eq!(it.provider.state_name(), "Due");
}

#[test]
fn a_standing_terminal_takes_no_call_at_its_door() {
    let mut it = both(Mode::Standing);
    it.terminal.handle_timer(NOW);
    it.terminal.handle_link_up(LegId(2));
    it.ask();
    let challenge = Challenge {
        nonce: Nonce([1; 32]),
        ticket: TICKET,
        purpose: Purpose::Settlement,
        provider: provider(),
        terminal: terminal(),
        subject: SUBJECT,
    };
    it.terminal
        .handle_challenge(NOW, LEG, &provider(), &HERE, &challenge);
    assert_eq!(it.terminal.refusals().of(Refusal::WrongMode), 1);
    it.terminal
        .handle_challenge(NOW, LegId(2), &provider(), &HERE, &challenge);
    assert_eq!(it.terminal.state_name(), "Signing");
}

#[test]
fn a_second_standing_link_is_an_alarm_while_the_first_lives() {
    let mut it = both(Mode::Standing);
    it.provider.handle_link(NOW, LegId(1), &terminal());
    it.provider.handle_link(NOW, LegId(2), &terminal());
    assert_eq!(it.told_to_provider(), [ProviderOutput::Probe(LegId(1))]);
    it.provider.handle_pong(NOW, LegId(1));
    assert_eq!(
        it.told_to_provider(),
        [
            ProviderOutput::Alarm(Refusal::SecondStandingLink),
            ProviderOutput::Refuse(LegId(2), Refusal::SecondStandingLink),
        ]
    );
}

#[test]
fn a_terminal_that_lost_its_power_gets_its_second_link_when_the_first_is_silent() {
    let mut it = both(Mode::Standing);
    it.provider.handle_link(NOW, LegId(1), &terminal());
    it.provider.handle_link(NOW, LegId(2), &terminal());
    it.told_to_provider();
    let silent = it.provider.poll_timeout().unwrap();
    it.provider.handle_timer(silent);
    assert_eq!(it.told_to_provider(), [ProviderOutput::Close(LegId(1))]);
    assert_eq!(it.provider.refusals().all().count(), 0, "no alarm");
    it.ask();
    assert!(it.told_to_provider().contains(&ProviderOutput::CallOn(LegId(2))));
}

#[test]
fn a_link_or_request_in_another_terminals_name_is_refused() {
    let mut it = both(Mode::Standing);
    let other = TerminalName::new("shop-8/till-1").unwrap();
    it.provider.handle_link(NOW, LegId(1), &other);
    assert_eq!(it.provider.refusals().of(Refusal::WrongTerminal), 1);
    let request = it.ask();
    it.provider
        .handle_request(NOW, LegId(3), &other, request, Ticket([8; 16]));
    assert_eq!(it.provider.refusals().of(Refusal::WrongTerminal), 2);
}

#[test]
fn alarms_and_transients_are_told_apart() {
    for refusal in Refusal::ALL {
        assert!(!(refusal.is_alarm() && refusal.is_transient()), "{refusal:?}");
        assert!(!refusal.to_string().is_empty());
    }
}
