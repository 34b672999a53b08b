//! Another terminal of the same provider, and the same card at it.

use purser_engine::{LoadAnswer, LoadAsk, LoadWhat, SendAttempt};
use purser_lab::card::CardReply;
use purser_ledger::OperationId;
use purser_provider_link::{CardSaid, LoadId, LoadOrder};
use purser_provider_rules::load::Phase;
use purser_purse::pboc::{
    CreditLoad, Identify, InitLoadAnswer, InitializeLoad, LoadRelease, LoadTac, Pin, Profile, ProveLoad,
    PsamTerminalNumber, PurseAmount, PurseKind, VerifyPin,
};
use purser_purse::{Dialogue, Protocol, Turn};

use super::{LOADED, World, load_id};
use crate::kit::PIN;

/// What the holder does there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Errand {
    /// Has the load completed, or its proof fetched.
    Completes,
    /// Has it voided.
    Voids,
    /// Has it voided, and another one loaded.
    LoadsAnother,
}

/// The number of the load that is made there.
fn other() -> LoadId {
    LoadId([0x4D; 16])
}

impl World {
    /// The holder takes the card there. What is refused there leaves everything as it was.
    pub(super) fn goes_elsewhere(&mut self, card: usize, errand: Errand) {
        self.remove();
        self.cards[card].clear_script();
        if self.provider.phase(load_id()) != Some(Phase::Released) {
            // The bank has booked it for the other terminal, and nothing of it has left the provider: begin it there.
            return;
        }
        match errand {
            Errand::Completes => {
                self.is_completed_elsewhere |= self.completes(card, load_id());
            }
            Errand::Voids => self.voids(card),
            Errand::LoadsAnother => {
                self.voids(card);
                if self.provider.phase(other()).is_none() {
                    self.provider.open(other(), self.kit.amount(u64::from(LOADED)));
                    if self.completes(card, other()) {
                        self.loaded_elsewhere[card] += 1;
                    }
                }
            }
        }
        self.cards[card].power_off();
    }

    fn order(&self, id: LoadId) -> LoadOrder {
        LoadOrder {
            id,
            amount: self.kit.amount(u64::from(LOADED)),
        }
    }

    fn asks(&mut self, id: LoadId, what: LoadWhat) -> Option<LoadAnswer> {
        let order = self.order(id);
        self.provider.ask(&LoadAsk { order, what }).ok()
    }

    /// True when the card took a credit there.
    fn completes(&mut self, card: usize, id: LoadId) -> bool {
        let Some(LoadAnswer::Standing { last_attempt, .. }) = self.asks(id, LoadWhat::Show) else {
            return false;
        };
        let Some(init) = self.initialize(card, [9; 6]) else {
            return false;
        };
        let send = SendAttempt {
            order: self.order(id),
            number: last_attempt + 1,
            said: self.said(card, &init, [9; 6]),
        };
        match self.provider.attempt(&send) {
            Ok(LoadAnswer::Mac2 { date_time, mac2, .. }) => {
                let release = LoadRelease::new(date_time, mac2).expect("the provider's time is one");
                let tac = self.drive(card, CreditLoad::new(&release, Protocol::TCl));
                let tac = tac.expect("a card that was just initialized takes the credit");
                self.asks(id, LoadWhat::Confirm(*tac.as_bytes()));
                true
            }
            Ok(LoadAnswer::Standing { .. }) => false,
            Err(failure) => {
                if failure.name == "ItHappened" {
                    self.fetches(card, id, init);
                }
                false
            }
        }
    }

    fn fetches(&mut self, card: usize, id: LoadId, init: InitLoadAnswer) {
        let before = purser_purse::pboc::OnlineSn::new(init.online_sn.value() - 1);
        let prove =
            ProveLoad::new(PurseKind::Ep, before, Protocol::TCl).expect("the counter is not at its end");
        if let Some(tac) = self.drive::<ProveLoad>(card, prove) {
            let tac: LoadTac = tac;
            self.asks(id, LoadWhat::Confirm(*tac.as_bytes()));
        }
    }

    fn voids(&mut self, card: usize) {
        let Some(LoadAnswer::Standing {
            void_challenge: Some(challenge),
            ..
        }) = self.asks(load_id(), LoadWhat::BeginVoid)
        else {
            return;
        };
        if let Some(init) = self.initialize(card, challenge) {
            let said = self.said(card, &init, challenge);
            self.asks(load_id(), LoadWhat::ProveVoid(said));
        }
    }

    fn initialize(&mut self, card: usize, over: [u8; 6]) -> Option<InitLoadAnswer> {
        self.cards[card].power_on();
        let profile = Profile::default();
        self.drive(card, Identify::new(&profile, Protocol::TCl))?;
        let pin = Pin::from_digits(&mut PIN.as_bytes().to_vec()).ok()?;
        self.drive(card, VerifyPin::new(&profile, pin, Protocol::TCl))?;
        let (amount, over) = (PurseAmount::new(LOADED), PsamTerminalNumber::new(over));
        self.drive(card, InitializeLoad::new(&profile, amount, over, Protocol::TCl))
    }

    fn said(&self, card: usize, init: &InitLoadAnswer, over: [u8; 6]) -> CardSaid {
        CardSaid {
            card: self.cards[card].personalisation().serial.0,
            terminal_number: over,
            old_balance: init.old_balance.minor(),
            online_sn: init.online_sn.value(),
            key_version: init.key_version.0,
            algorithm: init.algorithm_id.0,
            random: *init.random.as_bytes(),
            mac1: *init.mac1.as_bytes(),
        }
    }

    fn drive<D: Dialogue>(&mut self, card: usize, mut dialogue: D) -> Option<D::Done> {
        loop {
            let CardReply::Answer(answer) = self.cards[card].process(dialogue.command().as_bytes()) else {
                return None;
            };
            match dialogue.handle_response(&answer) {
                Turn::Transmit(next) => dialogue = next,
                Turn::Done(done) => return done.ok(),
            }
        }
    }

    /// The load's number in the journal.
    pub(super) fn operation(&self) -> OperationId {
        OperationId::new(load_id().0)
    }
}
