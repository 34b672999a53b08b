//! The PSAM: the card in the terminal's own slot that holds the purchase key (epurse facts §1.7).
//!
//! A sale: the card's INITIALIZE · [`InitSamForPurchase`] gives terminal SN and MAC1 · the attempt is stored · the card's
//! DEBIT · [`CreditSamForPurchase`] checks MAC2. Between the two the PSAM serves this attempt only: another
//! INIT_SAM, a reset or a lost power makes its MAC2 uncheckable for ever.
//!
//! The dialogues end with a [`CardError`](crate::CardError) like all others; [`PsamError`] is what it means here.

mod error;
mod identify;
mod profile;
mod purchase;

pub use error::PsamError;
pub use identify::{IdentifyPsam, PsamFacts};
pub use profile::{FactorOrder, PsamAdf, PsamAdfError, PsamLevels, PsamLevelsError, PsamProfile};
pub use purchase::{CreditSamForPurchase, InitSamForPurchase, SamAnswer, SamRequest};
