//! Where the value is, counted after every step.

use purser_engine::LoadEnd;
use purser_ledger::{Account, LoadStanding};
use purser_provider_rules::load::Phase;

use super::{LOADED, OPENING, World, load_id};

impl World {
    /// How many times the load is on the cards.
    fn credited(&self) -> Result<u32, String> {
        let mut times = 0;
        for card in 0..self.cards.len() {
            let before = OPENING + LOADED * self.loaded_elsewhere[card] - self.paid[card];
            let gained = self.balance(card).checked_sub(before);
            match gained {
                Some(0) => {}
                Some(LOADED) => times += 1,
                _ => return Err(format!("card {card} holds {}", self.balance(card))),
            }
        }
        Ok(times)
    }

    fn standing(&self) -> Option<&LoadStanding> {
        let load = self.store.load(self.operation());
        load.map(|load| &load.standing)
    }

    /// What is wrong now, if something is.
    pub(super) fn check(&self) -> Result<(), String> {
        if let Some(broken) = &self.broken {
            return Err(broken.clone());
        }
        let books = self.store.books();
        if !books.are_balanced() || self.store.recounted().as_ref() != Some(books) {
            return Err(format!("the books are not what the entries make: {books:?}"));
        }
        let credited = self.credited()?;
        let phase = self.provider.phase(load_id());
        let (is_done, is_void) = (phase == Some(Phase::Done), phase == Some(Phase::Voided));
        let standing = self.standing();
        let is_recorded_loaded = matches!(
            standing,
            Some(LoadStanding::Proven(_) | LoadStanding::Confirmed(_))
        );
        let is_recorded_void = matches!(standing, Some(LoadStanding::Voided));
        let is_told_loaded = matches!(self.told, Some(LoadEnd::Loaded { .. }));
        let is_told_void = self.told == Some(LoadEnd::Voided);
        let held = |account| self.store.books().balance(account, self.kit.currency).minor();
        let whole = u64::from(LOADED);
        let wrong = [
            (credited > 1, "the load is on the cards twice"),
            (credited > 0 && is_void, "a void load is on a card"),
            (credited == 0 && is_done, "a load is done that is on no card"),
            (
                credited > 0 && phase == Some(Phase::Open),
                "the provider does not know of the value on a card",
            ),
            (
                credited == 0 && is_recorded_loaded,
                "a load is recorded on a card that has nothing",
            ),
            (
                is_recorded_void && !is_void,
                "a load is recorded as void, and is not at the provider",
            ),
            (
                is_told_loaded && !is_recorded_loaded,
                "a load is told as loaded, and is not recorded so",
            ),
            (
                is_told_void && !is_recorded_void,
                "a load is told as void, and is not recorded so",
            ),
            (
                credited > 0
                    && !self.is_completed_elsewhere
                    && !matches!(standing, Some(LoadStanding::Released { .. }))
                    && !is_recorded_loaded,
                "value is on a card, and the journal says that it cannot be",
            ),
            (
                standing.is_some()
                    && held(Account::LoadsOwed) + held(Account::Loaded) != held(Account::Loads),
                "the books do not say where the value is",
            ),
            (
                standing.is_some() && !is_recorded_void && held(Account::Loads) != whole,
                "the bank's money is not in the books",
            ),
        ];
        match wrong.iter().find(|(is_wrong, _)| *is_wrong) {
            Some((_, what)) => Err(format!(
                "{what} (journal {standing:?}, provider {phase:?}, told {:?})",
                self.told
            )),
            None => Ok(()),
        }
    }

    /// How everything stands, for a report.
    pub(super) fn state(&self) -> String {
        format!(
            "journal {:?}, provider {:?}, engine {:?}, heard {:?}, told {:?}, balances {:?}, card in {:?}",
            self.standing(),
            self.provider
                .loads
                .get(&load_id())
                .map(|kept| kept.record.stored()),
            self.engine.as_ref().map(purser_engine::Engine::loads),
            self.progress,
            self.told,
            (0..self.cards.len())
                .map(|card| self.balance(card))
                .collect::<Vec<_>>(),
            self.reader.card,
        )
    }

    /// True when the load has its end here and at the provider.
    pub(super) fn is_over(&self) -> bool {
        matches!(
            (self.standing(), self.provider.phase(load_id())),
            (Some(LoadStanding::Confirmed(_)), Some(Phase::Done))
                | (Some(LoadStanding::Voided), Some(Phase::Voided))
        )
    }

    pub(super) fn is_void(&self) -> bool {
        matches!(self.standing(), Some(LoadStanding::Voided))
    }
}
