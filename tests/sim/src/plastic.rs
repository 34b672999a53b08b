//! The cards of a world, and where the money on them came from and went.

use purser_lab::card::{
    Card, CardDate, CardTime, Life, Minor, Opening, OtherShop, PsamTerminalNumber, PurseKind, TerminalSn,
};

use crate::fault::FaultKind;
use crate::kit::{CardKind, Kit};

/// A card and its holder's memory.
#[derive(Clone, Debug)]
pub(crate) struct Plastic {
    pub(crate) card: Card,
    pub(crate) kind: CardKind,
    pub(crate) opening: u64,
    /// Loaded elsewhere since.
    pub(crate) loaded: u64,
    /// Paid to other shops since.
    pub(crate) paid_elsewhere: u64,
    pub(crate) place: Place,
    /// The fault that waits on it.
    pub(crate) scripted: Option<FaultKind>,
    /// It has lied about its MAC2, or will.
    pub(crate) is_counterfeit: bool,
    /// How often other shops served it, so that each of them stamps its own time.
    elsewhere: u32,
}

/// Where a card is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Wallet,
    In { shop: usize, device: usize },
}

impl Plastic {
    pub(crate) fn new(kit: &Kit, kind: CardKind, number: usize, balance: u32, sn: u16) -> Self {
        let sn = if kind == CardKind::WornOut { u16::MAX } else { sn };
        let opening = Opening {
            ed: Minor(0),
            ep: Minor(balance),
            sn,
        };
        Self {
            card: Card::new(kit.personalisation(kind, number), opening),
            kind,
            opening: u64::from(balance),
            loaded: 0,
            paid_elsewhere: 0,
            place: Place::Wallet,
            scripted: None,
            is_counterfeit: false,
            elsewhere: 0,
        }
    }

    pub(crate) fn balance(&self) -> u64 {
        u64::from(self.card.balance(PurseKind::Ep).0)
    }

    /// What left the card to the shops of this world, if no money was made or lost.
    pub(crate) fn paid_here(&self) -> i128 {
        i128::from(self.opening) + i128::from(self.loaded)
            - i128::from(self.paid_elsewhere)
            - i128::from(self.balance())
    }

    /// A purchase at a shop outside this world. False when the card refuses.
    pub(crate) fn pay_elsewhere(&mut self, minor: u32) -> bool {
        let shop = self.other_shop();
        let paid = self
            .card
            .pay_elsewhere(PurseKind::Ep, Minor(minor), &shop)
            .is_ok();
        if paid {
            self.paid_elsewhere += u64::from(minor);
        }
        paid
    }

    /// A load at a terminal outside this world. False when the card refuses.
    pub(crate) fn load_elsewhere(&mut self, minor: u32) -> bool {
        let shop = self.other_shop();
        let loaded = self
            .card
            .load_elsewhere(PurseKind::Ep, Minor(minor), &shop)
            .is_ok();
        if loaded {
            self.loaded += u64::from(minor);
        }
        loaded
    }

    /// A broken card: its counter stands where it stood before `sn`, with no proof of anything.
    pub(crate) fn break_counter(&mut self, sn: u16) {
        let mut state = self.card.state().clone();
        state.ep.offline_sn = sn.saturating_sub(1);
        state.ep.last_purchase = None;
        state.revision += 1;
        let personalisation = std::sync::Arc::new(self.card.personalisation().clone());
        self.card = Card::restore(personalisation, state);
    }

    /// A card that makes money.
    pub(crate) fn gain(&mut self, minor: u64) {
        let mut state = self.card.state().clone();
        state.ep.balance.0 += u32::try_from(minor).unwrap_or(0);
        let personalisation = std::sync::Arc::new(self.card.personalisation().clone());
        self.card = Card::restore(personalisation, state);
    }

    /// A card that loses money on its own.
    pub(crate) fn lose_a_unit(&mut self) {
        let mut state = self.card.state().clone();
        state.ep.balance.0 = state.ep.balance.0.saturating_sub(1);
        let personalisation = std::sync::Arc::new(self.card.personalisation().clone());
        self.card = Card::restore(personalisation, state);
    }

    pub(crate) fn set_blocked(&mut self, is_blocked: bool) {
        self.card
            .set_life(if is_blocked { Life::Blocked } else { Life::Usable });
    }

    pub(crate) fn is_pin_blocked(&self) -> bool {
        self.card.state().pin_tries_left == 0
    }

    fn other_shop(&mut self) -> OtherShop {
        self.elsewhere += 1;
        OtherShop {
            terminal: PsamTerminalNumber([0x99, 0x99, 0x99, 0, 0, 1]),
            terminal_sn: TerminalSn(self.elsewhere),
            date: CardDate([0x20, 0x26, 0x11, 0x02]),
            time: CardTime([0x12, 0x00, 0x00]),
        }
    }
}
