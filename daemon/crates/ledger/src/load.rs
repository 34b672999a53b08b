//! The entries of a load, and a load as they tell it (S5 to S14).
//!
//! From its first entry on the user is owed the value, until it is proven on a card or void at the provider.
//!
//! ```text
//!  (nothing) ──► Begun ──► Attempted ──► Released ──► Proven ──► Confirmed
//!                  │         │ ▲  ▲         │ │
//!                  │         │ └──┘         │ │   a new attempt: the same card, at the same online SN
//!                  │         │ ▲            │ │
//!                  │         │ └────────────┘ │
//!                  └─────────┴────────────────┴──► Voided, or Proven by the provider's word
//!
//!  LoadBegun    Loads ─► LoadsOwed      what a bank has booked for a load here
//!  LoadProven   LoadsOwed ─► Loaded     the card has it
//!  LoadVoided   LoadsOwed ─► Loads      the bank takes it back
//! ```
//! `Begun` and `Attempted`: the card cannot have the value from this terminal. Nothing was sent to it, or what was sent before is
//! dead: an attempt is made of a fresh answer to INITIALIZE FOR LOAD, at the online SN of the released one, which proves that the
//! card did not execute that one and has forgotten it. `Released`: CREDIT FOR LOAD may have been sent, and only the card can tell.

use serde::{Deserialize, Serialize};

use crate::{
    Account, Amount, CardId, Content, Entry, FoldError, Head, OperationId, Owner, Reference, SchemeBytes,
    Transfer, Wall,
};

/// The step from which on a load gets no further attempt, so that its end always finds a number. A provider takes sixteen attempts
/// of one load at most; the others are attempts that were recorded and never reached it.
pub const ATTEMPT_STEPS_END: u8 = 200;

/// Content of [`Entry::LoadBegun`]: the provider has told that it knows this load, open, of this amount.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LoadBegun {
    /// The caller's reference.
    pub reference: Reference,
    /// Who asked.
    pub owner: Owner,
    /// The amount that the bank has booked.
    pub amount: Amount,
}

/// Content of [`Entry::LoadAttempted`]: from here on the attempt may be sent to the provider, and a MAC2 may leave it (money rule L2).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LoadAttempted {
    /// The attempt's number at the provider: 1 for a load's first.
    pub number: u8,
    /// The card.
    pub card: CardId,
    /// Its online SN, as INITIALIZE FOR LOAD told it.
    pub online_sn: u16,
    /// The scheme's own record of the card's answer.
    pub initialize: SchemeBytes,
}

/// Content of [`Entry::LoadReleased`]: from here on CREDIT FOR LOAD may be sent, and the card may hold the value. MAC2 is not stored:
/// it is dead with the card's power.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LoadReleased {
    /// The attempt: the newest one's number.
    pub number: u8,
    /// The provider's date and time, under its MAC2: seven bytes, packed decimal (year, month, day, hour, minute, second).
    #[serde(with = "hex::serde")]
    pub date_time: [u8; 7],
}

/// How a load was proven to be on its card.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LoadProof {
    /// The card's own answer to CREDIT FOR LOAD.
    Answer,
    /// GET TRANSACTION PROVE, at the released attempt's online SN and one.
    Prove,
    /// The provider's word: another terminal has brought it the card's TAC, or this one has, of an attempt that it did not release.
    Provider,
}

/// Content of [`Entry::LoadProven`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LoadProven {
    /// The amount loaded: the amount begun.
    pub amount: Amount,
    /// The attempt that the card executed: the newest one's number, or an earlier one's.
    pub number: u8,
    /// How that was proven.
    pub proof: LoadProof,
    /// The card's load TAC. Only the provider can check it. Empty where another terminal had it.
    pub tac: SchemeBytes,
    /// What is on the purse now, where the card tells.
    pub balance_after: Option<Amount>,
}

/// Content of [`Entry::LoadConfirmed`]: the provider has taken the load TAC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LoadConfirmed {}

/// Content of [`Entry::LoadVoided`]: the provider has voided the load, and answers no attempt of it again (money rule L3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LoadVoided {
    /// The amount that is not loaded: the amount begun.
    pub amount: Amount,
}

impl LoadBegun {
    pub(crate) fn transfers(&self) -> Vec<Transfer> {
        transfer(Account::Loads, Account::LoadsOwed, self.amount)
    }
}

impl LoadProven {
    pub(crate) fn transfers(&self) -> Vec<Transfer> {
        transfer(Account::LoadsOwed, Account::Loaded, self.amount)
    }
}

impl LoadVoided {
    pub(crate) fn transfers(self) -> Vec<Transfer> {
        transfer(Account::LoadsOwed, Account::Loads, self.amount)
    }
}

fn transfer(debit: Account, credit: Account, amount: Amount) -> Vec<Transfer> {
    vec![Transfer {
        debit,
        credit,
        amount,
    }]
}

/// Where a load stands in the journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LoadStanding {
    /// The provider knows it; no attempt has been recorded.
    Begun,
    /// An attempt may have been sent to the provider; the card has got nothing of it.
    Attempted(LoadAttempted),
    /// CREDIT FOR LOAD may have been sent to the card.
    Released {
        /// The attempt.
        attempt: LoadAttempted,
        /// The provider's date and time, under its MAC2.
        date_time: [u8; 7],
    },
    /// The card has the value; the provider may not know yet.
    Proven(LoadProven),
    /// The card has the value, and the provider knows.
    Confirmed(LoadProven),
    /// The card will never have the value from this load.
    Voided,
}

/// One load, folded from its entries. Its number is the provider's of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Load {
    /// The load's number: the provider's.
    pub id: OperationId,
    /// The caller's reference.
    pub reference: Reference,
    /// Who asked.
    pub owner: Owner,
    /// The amount that the bank has booked.
    pub amount: Amount,
    /// When its first entry was committed.
    pub opened_at: Wall,
    /// When its newest entry was committed.
    pub changed_at: Wall,
    /// Where it stands.
    pub standing: LoadStanding,
    /// The newest attempt for which CREDIT FOR LOAD may ever have been sent; none before the first. It binds the load to its card.
    pub released: Option<LoadAttempted>,
    /// The step that the next commit of this load has.
    pub next_step: u8,
    /// The head at its newest entry.
    pub head: Head,
}

impl Load {
    /// Begins a load with its first entry, which must have step 0.
    ///
    /// # Errors
    /// [`FoldError`]: the entry cannot be a load's first.
    pub fn begin(content: &Content, head: Head) -> Result<Self, FoldError> {
        let Entry::LoadBegun(begun) = &content.entry else {
            return Err(FoldError::NotOpened);
        };
        if content.step != 0 {
            return Err(FoldError::OtherStep);
        }
        Ok(Self {
            id: content.operation,
            reference: begun.reference.clone(),
            owner: begun.owner,
            amount: begun.amount,
            opened_at: content.at,
            changed_at: content.at,
            standing: LoadStanding::Begun,
            released: None,
            next_step: 1,
            head,
        })
    }

    /// Takes the next entry in, or changes nothing.
    ///
    /// # Errors
    /// [`FoldError`]: the entry cannot follow.
    pub fn apply(&mut self, content: &Content, head: Head) -> Result<(), FoldError> {
        if content.operation != self.id {
            return Err(FoldError::OtherOperation);
        }
        if content.step != self.next_step {
            return Err(FoldError::OtherStep);
        }
        let next_step = self.next_step.checked_add(1).ok_or(FoldError::OtherStep)?;
        self.standing = self.after(&content.entry)?;
        if let LoadStanding::Released { attempt, .. } = &self.standing {
            self.released = Some(attempt.clone());
        }
        self.changed_at = content.at;
        self.next_step = next_step;
        self.head = head;
        Ok(())
    }

    fn after(&self, entry: &Entry) -> Result<LoadStanding, FoldError> {
        match (entry, &self.standing) {
            (
                Entry::LoadAttempted(new),
                LoadStanding::Begun | LoadStanding::Attempted(_) | LoadStanding::Released { .. },
            ) if self.may_attempt(new) => Ok(LoadStanding::Attempted(new.clone())),
            (Entry::LoadReleased(released), LoadStanding::Attempted(attempt))
                if released.number == attempt.number =>
            {
                Ok(LoadStanding::Released {
                    attempt: attempt.clone(),
                    date_time: released.date_time,
                })
            }
            (Entry::LoadProven(proven), LoadStanding::Released { attempt, .. })
                if (1..=attempt.number).contains(&proven.number) =>
            {
                self.require_amount(proven.amount)?;
                Ok(LoadStanding::Proven(proven.clone()))
            }
            // What the provider knows of a load it may know from elsewhere.
            (
                Entry::LoadProven(proven),
                LoadStanding::Begun | LoadStanding::Attempted(_) | LoadStanding::Released { .. },
            ) if proven.proof == LoadProof::Provider && proven.number > 0 => {
                self.require_amount(proven.amount)?;
                Ok(LoadStanding::Proven(proven.clone()))
            }
            (Entry::LoadConfirmed(LoadConfirmed {}), LoadStanding::Proven(proven)) => {
                Ok(LoadStanding::Confirmed(proven.clone()))
            }
            (
                Entry::LoadVoided(voided),
                LoadStanding::Begun | LoadStanding::Attempted(_) | LoadStanding::Released { .. },
            ) => {
                self.require_amount(voided.amount)?;
                Ok(LoadStanding::Voided)
            }
            _ => Err(FoldError::OutOfOrder),
        }
    }

    /// Whether this can be the next attempt. One that was released binds the next to its card and to its online SN, and its number is
    /// the provider's word: it is not given again. One that was recorded and never reached the provider leaves its number free.
    fn may_attempt(&self, new: &LoadAttempted) -> bool {
        let follows = match (&self.standing, &self.released) {
            (LoadStanding::Attempted(last), None) => new.number >= last.number,
            (LoadStanding::Attempted(last), Some(released)) => {
                new.number >= last.number && new.number > released.number
            }
            (_, released) => new.number > released.as_ref().map_or(0, |it| it.number),
        };
        let is_bound = self
            .released
            .as_ref()
            .is_none_or(|released| (&released.card, released.online_sn) == (&new.card, new.online_sn));
        follows && new.number > 0 && is_bound && self.next_step < ATTEMPT_STEPS_END
    }

    fn require_amount(&self, amount: Amount) -> Result<(), FoldError> {
        if amount == self.amount {
            Ok(())
        } else {
            Err(FoldError::OtherAmount)
        }
    }

    /// True when this entry may be the load's next one.
    pub fn admits(&self, entry: &Entry) -> bool {
        self.after(entry).is_ok()
    }

    /// True until the load is void, or on its card with the provider's knowledge.
    pub fn is_open(&self) -> bool {
        match self.standing {
            LoadStanding::Begun
            | LoadStanding::Attempted(_)
            | LoadStanding::Released { .. }
            | LoadStanding::Proven(_) => true,
            LoadStanding::Confirmed(_) | LoadStanding::Voided => false,
        }
    }

    /// True while a card may hold the value without proof: that card is asked whenever it is presented (money rules L3, P1).
    pub fn waits_for_card(&self) -> bool {
        let is_unproven = matches!(
            self.standing,
            LoadStanding::Attempted(_) | LoadStanding::Released { .. }
        );
        // A further attempt takes nothing back: the released one may have been executed all the same.
        is_unproven && self.released.is_some()
    }

    /// The card that may hold the value, or has it: none before CREDIT FOR LOAD could be sent to one.
    pub fn card(&self) -> Option<&CardId> {
        self.released.as_ref().map(|attempt| &attempt.card)
    }
}
