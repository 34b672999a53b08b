//! What a message does where it arrives: a bank's model, the terminal's journal, the provider's real rules.

use purser_provider_rules::Evidence;
use purser_provider_rules::load::{Answer, Known, LoadId, LoadRecord, Phase, Refusal};

use super::{Bank, CHALLENGES_MAX, Journal, Load, Message, State, amount, byte, card, void_challenge};
use crate::model::Planted;

impl Load {
    /// A message arrives, wherever it was sent to.
    pub(super) fn arrive(&self, state: &mut State, message: Message) {
        match message {
            Message::Debit(load) => {
                // The bank keeps a tombstone of what was reversed before it came.
                if state.bank[load] == Bank::Nothing {
                    state.bank[load] = Bank::Booked;
                }
                if state.bank[load] == Bank::Booked {
                    state.send(Message::Approved(load));
                }
            }
            Message::Reverse(load) => {
                state.bank[load] = Bank::Reversed;
                state.send(Message::Reversed(load));
            }
            Message::Approved(load) if state.journal[load] == Journal::Asked => {
                state.journal[load] = Journal::Booked;
            }
            Message::Reversed(load)
                if matches!(state.journal[load], Journal::Voided | Journal::Unanswered) =>
            {
                state.journal[load] = Journal::Reversed;
            }
            Message::Confirmed(load) if state.journal[load] == Journal::HasTac => {
                state.journal[load] = Journal::Loaded;
            }
            Message::Void(load) if state.journal[load] == Journal::Voiding => {
                state.journal[load] = Journal::Voided;
                state.send(Message::Reverse(load));
            }
            Message::Attempt {
                load,
                number,
                initialize,
            } => self.attempt(state, load, number, initialize),
            Message::Confirm(load) => {
                let confirmed = state.provider[load]
                    .as_ref()
                    .map(|it| it.confirm(Evidence::Valid));
                if let Some(Ok(record)) = confirmed {
                    state.provider[load] = Some(record);
                    state.send(Message::Confirmed(load));
                }
            }
            Message::AskVoid(load) => self.ask_void(state, load),
            Message::ProveVoid { load, initialize } => self.prove_void(state, load, initialize),
            Message::Approved(_)
            | Message::Reversed(_)
            | Message::Confirmed(_)
            | Message::Void(_)
            | Message::Mac2 { .. }
            | Message::Challenge { .. } => {}
        }
    }

    fn opened(state: &State, load: usize) -> Option<LoadRecord> {
        let id = LoadId([byte(load); 16]);
        LoadRecord::open(state.provider[load].as_ref(), id, amount(), Evidence::Valid).ok()
    }

    fn attempt(&self, state: &mut State, load: usize, number: u8, initialize: usize) {
        let Some(record) = Self::opened(state, load) else {
            return;
        };
        let in_doubt = |it: &&LoadRecord| it.phase() == Phase::Released && it.card() == Some(&card());
        let others = state
            .provider
            .iter()
            .flatten()
            .filter(|it| it.id() != record.id());
        let mut known = Known {
            in_doubt: others.clone().find(in_doubt).map(LoadRecord::id),
            online_sn_least: others.filter_map(proven).max().unwrap_or(0),
        };
        if self.planted == Planted::TwoLoadsInDoubt {
            known = Known::default();
        }
        match record.attempt(number, &state.initialized(initialize), &known) {
            Ok(Answer::Release(record)) => {
                if self.planted != Planted::ReleaseNotStored {
                    state.provider[load] = Some(record);
                }
                state.send(Message::Mac2 { load, initialize });
            }
            Ok(Answer::ReleaseAgain(_)) => state.send(Message::Mac2 { load, initialize }),
            // With two loads in doubt the counter is all that the provider has to go by.
            Err(Refusal::ItHappened) if self.planted == Planted::TwoLoadsInDoubt => {
                state.provider[load] = record.confirm(Evidence::Valid).ok();
            }
            Err(_) => {}
        }
    }

    fn ask_void(&self, state: &mut State, load: usize) {
        let is_known = state.provider[load].is_some();
        let Some(record) = Self::opened(state, load) else {
            return;
        };
        let next = state.challenges[load] + 1;
        let Ok(record) = record.begin_void(void_challenge(next)) else {
            return;
        };
        if record.phase() == Phase::Voided {
            if is_known || self.planted != Planted::VoidLeavesNoTrace {
                state.provider[load] = Some(record);
            }
            state.send(Message::Void(load));
        } else if record.challenge() == Some(void_challenge(next)) && next <= CHALLENGES_MAX {
            state.challenges[load] = next;
            state.provider[load] = Some(record);
            state.send(Message::Challenge {
                load,
                challenge: next,
            });
        }
    }

    fn prove_void(&self, state: &mut State, load: usize, initialize: usize) {
        let Some(record) = state.provider[load].clone() else {
            return;
        };
        let over = match state.answers[initialize].over {
            Some((of, challenge)) if of == load => challenge,
            _ => 0,
        };
        let mut answers = void_challenge(over);
        let mut record = record;
        if self.planted == Planted::VoidWithoutChallenge {
            // A provider that asks for no challenge believes every answer whose MAC1 is good.
            record = record.begin_void(void_challenge(99)).unwrap_or(record);
            answers = void_challenge(99);
        }
        if let Ok(voided) = record.void(&state.initialized(initialize), answers) {
            state.provider[load] = Some(voided);
            state.send(Message::Void(load));
        }
    }
}

/// The online SN that a load of the card has proven.
fn proven(record: &LoadRecord) -> Option<u16> {
    let last = record.last()?.online_sn;
    match record.phase() {
        Phase::Done => last.checked_add(1),
        Phase::Voided => Some(last),
        Phase::Open | Phase::Released => None,
    }
}
