//! Cards whose MAC2 the PSAM found wrong: a PSAM locks itself after some of these, and one card must not bring it there.

use std::collections::VecDeque;

use purser_ledger::{CardId, Monotonic};

/// How often the PSAM may find one card's MAC2 wrong before that card is left alone. A damaged answer may happen once; PSAMs
/// lock themselves after three wrong codes or more.
const WRONG_MAX: u8 = 2;

/// How long such a card is left alone, in milliseconds.
const LEFT_ALONE_MS: u64 = 3_600_000;

/// How many cards are remembered: the one that was not heard of for the longest time makes room.
const SUSPECTS_MAX: usize = 64;

/// Who gave a wrong MAC2, how often, and until when that is remembered. A restart forgets it.
#[derive(Debug, Default)]
pub(crate) struct Suspects(VecDeque<Suspect>);

#[derive(Debug)]
struct Suspect {
    card: CardId,
    wrong: u8,
    until: Monotonic,
}

impl Suspects {
    /// The PSAM found this card's MAC2 wrong.
    pub(crate) fn add(&mut self, card: CardId, now: Monotonic) {
        let wrong = self.wrong(&card, now).saturating_add(1);
        self.clear(&card);
        if self.0.len() >= SUSPECTS_MAX {
            self.0.pop_front();
        }
        let until = now.after_ms(LEFT_ALONE_MS);
        self.0.push_back(Suspect { card, wrong, until });
    }

    /// The PSAM found this card's MAC2 right.
    pub(crate) fn clear(&mut self, card: &CardId) {
        self.0.retain(|suspect| suspect.card != *card);
    }

    /// True for a card that is left alone.
    pub(crate) fn is_left_alone(&self, card: &CardId, now: Monotonic) -> bool {
        self.wrong(card, now) >= WRONG_MAX
    }

    fn wrong(&self, card: &CardId, now: Monotonic) -> u8 {
        let mut known = self.0.iter().filter(|suspect| suspect.until > now);
        known
            .find(|suspect| suspect.card == *card)
            .map_or(0, |suspect| suspect.wrong)
    }
}

#[cfg(test)]
mod tests {
    use purser_ledger::Scheme;

    use super::*;

    const NOW: Monotonic = Monotonic(5);

    fn card(number: usize) -> CardId {
        let mut serial = [0; 10];
        serial[9] = u8::try_from(number).unwrap();
        CardId::new(Scheme::Pboc, serial)
    }

    #[test]
    fn a_card_is_left_alone_from_its_second_wrong_mac2_on_for_an_hour_or_until_one_is_right() {
        let mut suspects = Suspects::default();
        suspects.add(card(1), NOW);
        assert!(!suspects.is_left_alone(&card(1), NOW));
        suspects.add(card(1), NOW);
        assert!(suspects.is_left_alone(&card(1), NOW));
        assert!(!suspects.is_left_alone(&card(2), NOW));
        assert!(!suspects.is_left_alone(&card(1), NOW.after_ms(LEFT_ALONE_MS)));
        suspects.clear(&card(1));
        assert!(!suspects.is_left_alone(&card(1), NOW));
    }

    #[test]
    fn the_card_that_was_not_heard_of_for_the_longest_time_makes_room() {
        let mut suspects = Suspects::default();
        for number in 0..=SUSPECTS_MAX {
            suspects.add(card(number), NOW);
            suspects.add(card(number), NOW);
        }
        assert!(!suspects.is_left_alone(&card(0), NOW));
        assert!(suspects.is_left_alone(&card(1), NOW));
        assert_eq!(suspects.0.len(), SUSPECTS_MAX);
    }
}
