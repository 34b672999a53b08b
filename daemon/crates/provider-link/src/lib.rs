//! What terminal and provider say to each other, and how the provider learns who speaks.
//!
//! Two halves, both without IO, clock, randomness and keys:
//!
//! * **documents**: [`Claim`], [`LateRefund`], [`Batch`], [`Verdict`], [`Permit`], [`BatchVoid`], [`Parameters`], [`Query`]
//!   and [`QueryAnswer`]. Each has one canonical encoding, fixed for ever by golden digests (money rule C5); signatures and
//!   digests are over those bytes.
//! * [`call_back`]: the request leg that moves no value, and the authentication leg that the provider starts
//!   (S7, S10, S11, S31 to S33).

#![forbid(unsafe_code)]

mod batch;
pub mod call_back;
mod check;
mod claim;
mod codec;
#[doc(hidden)]
pub mod fuzz;
mod id;
mod load;
mod parameters;
mod permit;
mod query;
mod seal;
mod verdict;
mod void;

pub use batch::Batch;
pub use check::{CheckError, Judged, PermitCheck};
pub use claim::{Claim, Item, LateRefund};
pub use codec::{DecodeError, Document};
pub use id::{
    BANK_TERMINAL_ID_BYTES, BankAccount, BankAccountError, BankTerminalId, BatchId, Digest, LoadId, PermitId,
    ProviderName, TerminalName,
};
pub use load::{CardSaid, LoadOrder};
pub use parameters::{CURRENCIES_MAX, CurrencyLimits, HOT_LIST_MAX, Parameters};
pub use permit::{Permit, SEALED_TOKEN_BYTES_MAX, Sum, SumError};
pub use query::{Query, QueryAnswer, QueryProof};
pub use seal::{ITEMS_MAX, Seal, SealError};
pub use verdict::{Decision, Reason, Verdict, VerdictsDigest};
pub use void::{BatchVoid, VoidReason};
