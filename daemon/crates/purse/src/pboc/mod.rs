//! The PBOC electronic purse (JR/T 0025.1 and .2, "EP/ED"), terminal side.
//!
//! Facts are taken from the published descriptions and vectors that the project keeps with their sources; they
//! conform to each other, and have not yet been tried with a physical card.
//!
//! A purchase: [`Identify`] · [`VerifyPin`] · [`InitializePurchase`] · the SAM's MAC1, and the [`Attempt`] stored ·
//! [`Debit`] · the SAM checks MAC2 · the reader resets the card, which locks the purse (rule P4). After a lost answer:
//! [`Recover`], whose decision table stands at the module [`recover`].
//!
//! A load: [`Identify`] · [`VerifyPin`] · [`InitializeLoad`], and the [`LoadAttempt`] stored · the provider's MAC2, and that it
//! may be used stored · [`CreditLoad`] · the provider checks the [`LoadTac`]. After a lost answer: [`ProveLoad`].
//!
//! The terminal can check MAC2 and never the [`Tac`]: the key of the TAC is the issuer's alone.

mod amount;
mod attempt;
mod balance;
pub mod credential;
mod date;
mod evidence;
mod identify;
mod ids;
mod load;
mod log;
mod mac;
mod pin;
mod profile;
mod prove;
pub mod psam;
mod purchase;
pub mod recover;
mod sam;

pub use amount::{AmountTooLarge, PurseAmount};
pub use attempt::{ATTEMPT_LENGTH, Attempt, DecodeError};
pub use balance::GetBalance;
pub use credential::{CredentialError, CredentialField};
pub use date::{BcdDate, BcdTime, TerminalTime, TimeError};
pub use evidence::{AnswerMissing, ClaimEvidence, Proof};
pub use identify::{CardFacts, Identify};
pub use ids::{
    AlgorithmId, Asn, CardRandom, IdError, IssuerId, KeyVersion, LoadMac1, LoadMac2, LoadTac, Mac1, Mac2,
    OfflineSn, OnlineSn, PsamTerminalNumber, SerialNumber, Tac, TerminalSn,
};
pub use load::{
    CreditLoad, InitLoadAnswer, InitializeLoad, LOAD_ATTEMPT_LENGTH, LoadAttempt, LoadRelease, ProveLoad,
};
pub use log::{LOG_RECORDS_MAX, LogRecord, ReadLog};
pub(crate) use mac::DoubleKey;
pub use pin::{PIN_DIGITS_MAX, PIN_DIGITS_MIN, Pin, PinError, VerifyPin};
pub use profile::{Aid, AidError, Profile, PurseKind};
pub use prove::Prove;
pub use psam::{FactorOrder, PsamAdf, PsamError, PsamFacts, PsamLevels, PsamProfile};
pub use purchase::{Debit, DebitAnswer, InitAnswer, InitializePurchase};
pub use recover::{DoubtReason, PinState, Recover, Verdict};
pub use sam::{Mac2Check, SamError, SoftwareSam};
