//! A load at the provider: numbered attempts, one release of value, a void only with fresh proof (money rules L1 to L3).
//!
//! ```text
//!  Open ──attempt──► Released ──load TAC──► Done
//!   │                  │  ▲ attempt n+1, online SN unchanged
//!   │                  │  └──┘
//!   └──── void ────────┴── void with a fresh INITIALIZE, online SN unchanged ──► Voided
//! ```
//! Why a void needs a challenge: MAC1 covers the card's own random bytes and nothing of the host's, so an INITIALIZE answer
//! that was kept from before the CREDIT looks like a new one. The PSAM terminal number in the command's data is covered and
//! free: the host names six random bytes, and an answer over them was made after they were named.
//!
//! Why a card has one open load: the online SN counts every load. With two open ones, SN + 1 would prove both.

use purser_ledger::{Amount, CardId};
use purser_provider_link::Digest;
pub use purser_provider_link::LoadId;

use crate::Evidence;

/// The most attempts of one load: a card that is torn more often is broken, and a person looks.
pub const ATTEMPTS_MAX: u8 = 16;

/// What an INITIALIZE FOR LOAD that is to prove a void carries in place of the PSAM terminal number. Random.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VoidChallenge(pub [u8; 6]);

/// Where a load stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Phase {
    /// The bank has booked it; no MAC2 has left the host.
    Open,
    /// A MAC2 has left the host: the card may hold the value. Until there is proof the load is in doubt.
    Released,
    /// The card has the value: its load TAC is here.
    Done,
    /// The card has proven that it has not and will not have the value. No MAC2 ever again.
    Voided,
}

/// One attempt that was answered with a MAC2.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Attempt {
    /// 1 for the first.
    pub number: u8,
    /// The card's online SN, as INITIALIZE told it.
    pub online_sn: u16,
    /// The digest of the INITIALIZE answer and the terminal that sent it.
    pub content: Digest,
}

/// What a terminal sends of the card's INITIALIZE FOR LOAD.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Initialized {
    /// Which card.
    pub card: CardId,
    /// Its online SN.
    pub online_sn: u16,
    /// What checking its MAC1 came to.
    pub mac1: Evidence,
    /// The digest of the answer and the terminal that sent it.
    pub content: Digest,
}

/// Why a load is refused something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The bank's proof does not verify for this load.
    #[error("there is no proof that the bank has booked this load")]
    NotBooked,
    /// The number is known with another amount.
    #[error("the load's number is known with other content")]
    OtherContent,
    /// The MAC1 does not verify.
    #[error("the card's MAC1 is not good: {0:?}")]
    Mac1(Evidence),
    /// The load TAC does not verify.
    #[error("the card's load TAC is not good: {0:?}")]
    Tac(Evidence),
    /// The load has been begun with another card.
    #[error("the load belongs to another card")]
    OtherCard,
    /// The card has another load whose end is not known: that one first.
    #[error("the card has another load that is in doubt")]
    OtherLoadOpen(LoadId),
    /// The card's answer is older than another load of the card that has ended: have it answer anew.
    #[error("the card's answer is from before another load of it")]
    StaleInitialize,
    /// The attempt's number is not the next one.
    #[error("the attempt's number is not the next one; the last was {0}")]
    AttemptNumber(u8),
    /// [`ATTEMPTS_MAX`] have been made.
    #[error("the load has been tried {ATTEMPTS_MAX} times")]
    TooManyAttempts,
    /// The card's online SN is one higher: it has the value. Fetch its load TAC.
    #[error("the card has executed the load: fetch its TAC")]
    ItHappened,
    /// The card's online SN fits neither way: a person has to look.
    #[error("the card's counter fits neither way")]
    CounterMoved,
    /// It is done.
    #[error("the load is done")]
    Done,
    /// It is void.
    #[error("the load is void")]
    Voided,
    /// Nothing has been released, so there is nothing to prove.
    #[error("no MAC2 has been released")]
    NotReleased,
    /// The proof was not made for the newest void challenge.
    #[error("the proof is older than the challenge")]
    StaleProof,
    /// A card shows a valid TAC of a load that is void: an alarm.
    #[error("the card has the value of a load that is void")]
    VoidedAndHappened,
}

impl Refusal {
    /// Its name, as it is told: stable.
    pub fn name(self) -> &'static str {
        match self {
            Self::NotBooked => "NotBooked",
            Self::OtherContent => "OtherContent",
            Self::Mac1(_) => "Mac1",
            Self::Tac(_) => "Tac",
            Self::OtherCard => "OtherCard",
            Self::OtherLoadOpen(_) => "OtherLoadOpen",
            Self::StaleInitialize => "StaleInitialize",
            Self::AttemptNumber(_) => "AttemptNumber",
            Self::TooManyAttempts => "TooManyAttempts",
            Self::ItHappened => "ItHappened",
            Self::CounterMoved => "CounterMoved",
            Self::Done => "Done",
            Self::Voided => "Voided",
            Self::NotReleased => "NotReleased",
            Self::StaleProof => "StaleProof",
            Self::VoidedAndHappened => "VoidedAndHappened",
        }
    }

    /// True for what succeeds after something else has been done first.
    pub fn is_transient(self) -> bool {
        match self {
            Self::OtherLoadOpen(_)
            | Self::StaleInitialize
            | Self::ItHappened
            | Self::StaleProof
            | Self::AttemptNumber(_) => true,
            Self::NotBooked
            | Self::OtherContent
            | Self::Mac1(_)
            | Self::Tac(_)
            | Self::OtherCard
            | Self::TooManyAttempts
            | Self::CounterMoved
            | Self::Done
            | Self::Voided
            | Self::NotReleased
            | Self::VoidedAndHappened => false,
        }
    }
}

/// What the provider keeps of a load.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct LoadRecord {
    id: LoadId,
    amount: Amount,
    phase: Phase,
    card: Option<CardId>,
    attempts: Vec<Attempt>,
    challenge: Option<VoidChallenge>,
}

/// A load as a store keeps it. What [`LoadRecord::stored`] gave comes back with [`LoadRecord::restore`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// Its number.
    pub id: LoadId,
    /// How much.
    pub amount: Amount,
    /// Where it stands.
    pub phase: Phase,
    /// The card, once a MAC2 has been released.
    pub card: Option<CardId>,
    /// Every attempt that was answered, in order.
    pub attempts: Vec<Attempt>,
    /// The challenge that a void waits for.
    pub challenge: Option<VoidChallenge>,
}

/// What the provider knows of a card beside the load in hand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Known {
    /// Another load of the card that is [`Phase::Released`], if there is one.
    pub in_doubt: Option<LoadId>,
    /// The least online SN that the card can have: what its other loads have proven. One more than the SN of a load that is done,
    /// the SN of one that is void; 0 when nothing is proven.
    pub online_sn_least: u16,
}

/// The answer to an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Make a MAC2, store it with this record, then release it.
    Release(LoadRecord),
    /// A repeat: release the stored MAC2 of this attempt again.
    ReleaseAgain(u8),
}

impl LoadRecord {
    /// Opens a load. `booked` is whether the bank's MAC over load number, terminal, amount and reference verifies
    /// (money rule L1). A repeat gives the record that is there.
    ///
    /// # Errors
    /// [`Refusal::NotBooked`], [`Refusal::OtherContent`].
    pub fn open(
        existing: Option<&Self>,
        id: LoadId,
        amount: Amount,
        booked: Evidence,
    ) -> Result<Self, Refusal> {
        match existing {
            Some(record) if record.amount == amount => Ok(record.clone()),
            Some(_) => Err(Refusal::OtherContent),
            None if booked != Evidence::Valid => Err(Refusal::NotBooked),
            None => Ok(Self {
                id,
                amount,
                phase: Phase::Open,
                card: None,
                attempts: Vec::new(),
                challenge: None,
            }),
        }
    }

    /// The record as a store keeps it.
    pub fn stored(&self) -> Stored {
        let Self {
            id,
            amount,
            phase,
            card,
            attempts,
            challenge,
        } = self.clone();
        Stored {
            id,
            amount,
            phase,
            card,
            attempts,
            challenge,
        }
    }

    /// The record out of a store.
    pub fn restore(stored: Stored) -> Self {
        Self {
            id: stored.id,
            amount: stored.amount,
            phase: stored.phase,
            card: stored.card,
            attempts: stored.attempts,
            challenge: stored.challenge,
        }
    }

    /// Its number.
    pub fn id(&self) -> LoadId {
        self.id
    }

    /// How much.
    pub fn amount(&self) -> Amount {
        self.amount
    }

    /// Where it stands.
    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// The card, once a MAC2 has been released for it.
    pub fn card(&self) -> Option<&CardId> {
        self.card.as_ref()
    }

    /// The newest attempt.
    pub fn last(&self) -> Option<&Attempt> {
        self.attempts.last()
    }

    /// Takes attempt `number`. Any terminal of the provider may make it.
    ///
    /// An INITIALIZE answer from before another load of the card is refused: with a MAC2 for it the load would be in doubt at a
    /// counter that the card has left, and neither its TAC nor a void could end it.
    ///
    /// # Errors
    /// [`Refusal`] by name; nothing is released.
    pub fn attempt(&self, number: u8, it: &Initialized, known: &Known) -> Result<Answer, Refusal> {
        match self.phase {
            Phase::Open | Phase::Released => {}
            Phase::Done => return Err(Refusal::Done),
            Phase::Voided => return Err(Refusal::Voided),
        }
        let last = self.attempts.last();
        if let Some(last) = last.filter(|last| last.number == number) {
            return if last.content == it.content {
                Ok(Answer::ReleaseAgain(number))
            } else {
                Err(Refusal::OtherContent)
            };
        }
        let last_number = last.map_or(0, |last| last.number);
        if number != last_number.saturating_add(1) {
            return Err(Refusal::AttemptNumber(last_number));
        }
        if number > ATTEMPTS_MAX {
            return Err(Refusal::TooManyAttempts);
        }
        self.admit(it)?;
        if let Some(other) = known.in_doubt.filter(|other| *other != self.id) {
            return Err(Refusal::OtherLoadOpen(other));
        }
        if it.online_sn < known.online_sn_least {
            return Err(Refusal::StaleInitialize);
        }
        let mut record = self.clone();
        record.phase = Phase::Released;
        record.card = Some(it.card.clone());
        // A proof for an earlier challenge says nothing about the MAC2 that leaves now.
        record.challenge = None;
        record.attempts.push(Attempt {
            number,
            online_sn: it.online_sn,
            content: it.content,
        });
        Ok(Answer::Release(record))
    }

    /// True MAC1, right card, and an online SN at which the card has not executed this load.
    fn admit(&self, it: &Initialized) -> Result<(), Refusal> {
        if it.mac1 != Evidence::Valid {
            return Err(Refusal::Mac1(it.mac1));
        }
        if self.card.as_ref().is_some_and(|card| *card != it.card) {
            return Err(Refusal::OtherCard);
        }
        match self.attempts.last() {
            None => Ok(()),
            Some(last) if last.online_sn == it.online_sn => Ok(()),
            Some(last) if last.online_sn.checked_add(1) == Some(it.online_sn) => Err(Refusal::ItHappened),
            Some(_) => Err(Refusal::CounterMoved),
        }
    }

    /// Takes the card's load TAC: proof that it has the value. A repeat is fine.
    ///
    /// # Errors
    /// [`Refusal::Tac`]; [`Refusal::NotReleased`]; [`Refusal::VoidedAndHappened`], an alarm.
    pub fn confirm(&self, tac: Evidence) -> Result<Self, Refusal> {
        match (self.phase, tac) {
            (Phase::Released | Phase::Done, Evidence::Valid) => Ok(Self {
                phase: Phase::Done,
                challenge: None,
                ..self.clone()
            }),
            (Phase::Voided, Evidence::Valid) => Err(Refusal::VoidedAndHappened),
            (Phase::Open, _) => Err(Refusal::NotReleased),
            (Phase::Released | Phase::Done | Phase::Voided, evidence) => Err(Refusal::Tac(evidence)),
        }
    }

    /// Begins a void. `challenge` is random, and used if none is waited for: a repeat gets the first again. Before any MAC2 has
    /// been released the load is void at once; after that the record waits for [`void`](Self::void) with its
    /// [`challenge`](Self::challenge).
    ///
    /// # Errors
    /// [`Refusal::Done`].
    pub fn begin_void(&self, challenge: VoidChallenge) -> Result<Self, Refusal> {
        let mut record = self.clone();
        match self.phase {
            Phase::Open => record.phase = Phase::Voided,
            Phase::Released => record.challenge = self.challenge.or(Some(challenge)),
            Phase::Voided => {}
            Phase::Done => return Err(Refusal::Done),
        }
        Ok(record)
    }

    /// The challenge that a void waits for.
    pub fn challenge(&self) -> Option<VoidChallenge> {
        self.challenge
    }

    /// Takes the proof of a void: the card's INITIALIZE answer over the challenge. The card has thereby forgotten every MAC2
    /// that was released before, and none will be released again.
    ///
    /// # Errors
    /// [`Refusal::ItHappened`]: no void, fetch the load TAC. The others by name.
    pub fn void(&self, it: &Initialized, answers: VoidChallenge) -> Result<Self, Refusal> {
        match self.phase {
            Phase::Released => {}
            Phase::Voided => return Ok(self.clone()),
            Phase::Done => return Err(Refusal::Done),
            Phase::Open => return Err(Refusal::NotReleased),
        }
        self.admit(it)?;
        if self.challenge != Some(answers) {
            return Err(Refusal::StaleProof);
        }
        Ok(Self {
            phase: Phase::Voided,
            challenge: None,
            ..self.clone()
        })
    }
}
