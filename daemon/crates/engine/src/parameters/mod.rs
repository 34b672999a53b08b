//! The provider's parameters (money rules T3, C3): what is in force, what they forbid, and when a new hot list counts.
//!
//! ```text
//!  Input::Parameters ─► in force, as a whole ─► (a new hot list) Output::AcknowledgeHotList, above every terminal SN so far
//!          │
//!          ├─ a request: currency, limit, software SAM           ─► RequestError::Parameters…
//!          ├─ a card: hot list; once it names its key, that too  ─► CloseReason
//!          └─ the intent: all of it again, and the version is stamped
//! ```
//! The intent is the last moment: the terminal SN in it is known, and its commit goes out in the same step. So a list that comes
//! in between the PIN and the intent counts, and one that comes behind the intent is acknowledged from a higher number on.
//!
//! Parameters grow old where nothing is heard from the provider. That is judged by a trusted clock only: one that is not trusted
//! warns, and refuses nothing (money rule T2). Before the first ones only the operator's own limits count.

#[cfg(test)]
mod tests;

use std::sync::Arc;

use purser_ledger::{Amount, CardId, CloseReason, Wall};
use purser_provider_link::Parameters;
use purser_purse::pboc::KeyVersion;

use crate::psam::Authority;
use crate::{Engine, Output, RequestError};

/// Parameters with when they were heard. Whoever makes one has verified the provider's signature, and that they are durable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeardParameters {
    /// What they say. Shared: a hot list may have 100,000 cards.
    pub parameters: Arc<Parameters>,
    /// When the provider last said that these are the newest, by the judged clock, in seconds since 1970-01-01 00:00:00 UTC.
    pub heard_at_unix_seconds: i64,
}

/// How old parameters are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ParametersAge {
    /// The provider was heard not long ago.
    Fresh,
    /// As long ago as they say to warn after; or longer, by a clock that is not trusted.
    Old,
    /// As long ago as they say to sell up to the lower limit after.
    Stale,
}

/// A hot list that is in force (money rule C3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HotListTaken {
    /// The version of the list.
    pub version: u64,
    /// The first terminal SN of which it is certain that no listed card is debited with it: above every one that was given out.
    pub from_terminal_sn: u32,
}

impl HeardParameters {
    /// How old they are at this moment, which was judged. A moment before they were heard is none at which they are old.
    pub fn age(&self, now: Wall) -> ParametersAge {
        let age = now.unix_seconds.saturating_sub(self.heard_at_unix_seconds);
        let is_after = |seconds: u32| age >= i64::from(seconds);
        if is_after(self.parameters.stale_after_seconds) && now.trusted {
            ParametersAge::Stale
        } else if is_after(self.parameters.warn_after_seconds) {
            ParametersAge::Old
        } else {
            ParametersAge::Fresh
        }
    }

    /// Whether so much may be sold at this moment, which was judged.
    fn permit(&self, amount: Amount, is_sam_software: bool, now: Wall) -> Result<(), RequestError> {
        if is_sam_software && !self.parameters.is_software_sam_allowed {
            return Err(RequestError::ParametersSam);
        }
        let limits = self.parameters.limits(amount.currency());
        let limits = limits.ok_or(RequestError::ParametersCurrency)?;
        if amount.minor() > limits.sale_max.minor() {
            return Err(RequestError::ParametersLimit);
        }
        let is_stale = self.age(now) == ParametersAge::Stale;
        if is_stale && amount.minor() > limits.stale_sale_max.minor() {
            return Err(RequestError::ParametersStale);
        }
        Ok(())
    }
}

impl Engine {
    /// The parameters in force; none before the first ones.
    pub fn parameters(&self) -> Option<&HeardParameters> {
        self.parameters.as_ref()
    }

    /// The version that an intent is stamped with; 0 before the first ones.
    pub(crate) fn parameters_version(&self) -> u64 {
        self.parameters.as_ref().map_or(0, |it| it.parameters.version)
    }

    /// Takes parameters over, as a whole. Never an earlier version, and never other content under the version in force.
    pub(crate) fn take_parameters(&mut self, heard: HeardParameters) {
        let list = heard.parameters.hot_list_version;
        // Version 0 is the empty list that every provider begins with.
        let mut known = 0;
        if let Some(before) = &self.parameters {
            let (new, old) = (&heard.parameters, &before.parameters);
            if new.version < old.version || (new.version == old.version && new != old) {
                return;
            }
            known = old.hot_list_version;
        }
        self.parameters = Some(heard);
        // With the last number given out there is no sale that it could be in force at.
        if list != known
            && let Some(from_terminal_sn) = self.terminal_sn_last.checked_add(1)
        {
            let version = list;
            self.outputs.push_back(Output::AcknowledgeHotList(HotListTaken {
                version,
                from_terminal_sn,
            }));
        }
    }

    /// Whether a new sale over this amount may begin.
    pub(crate) fn permitted_by_parameters(&self, amount: Amount) -> Result<(), RequestError> {
        let is_sam_software = matches!(self.sam, Authority::Software(_));
        self.parameters
            .as_ref()
            .map_or(Ok(()), |it| it.permit(amount, is_sam_software, self.present()))
    }

    /// What speaks against this card, as far as it is known before its key is.
    pub(crate) fn hot_listed(&self, card: &CardId) -> Option<CloseReason> {
        let is_listed = |it: &HeardParameters| it.parameters.lists(card);
        let found = self.parameters.as_ref().is_some_and(is_listed);
        found.then_some(CloseReason::CardHotListed)
    }

    /// What speaks against debiting this card by this key now.
    pub(crate) fn forbidden_by_parameters(
        &self,
        amount: Amount,
        card: &CardId,
        key: KeyVersion,
    ) -> Option<CloseReason> {
        let parameters = &self.parameters.as_ref()?.parameters;
        if let Some(reason) = self.hot_listed(card) {
            return Some(reason);
        }
        if !parameters.key_versions.contains(&key.0) {
            return Some(CloseReason::KeyVersionNotListed);
        }
        let is_forbidden = self.permitted_by_parameters(amount).is_err();
        is_forbidden.then_some(CloseReason::ParametersForbid)
    }
}
