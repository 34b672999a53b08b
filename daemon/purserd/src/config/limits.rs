//! `[limits]`: what is not said has the engine's default, and what contradicts itself is refused.

use std::collections::BTreeMap;
use std::path::Path;

use purser_engine::Limits;
use purser_ledger::Currency;
use purser_purse::pboc::IssuerId;

use super::ConfigError;
use super::file;
use super::values::Minor;

const HOUR_SECONDS: u64 = 60 * 60;

pub(super) fn limits(
    path: &Path,
    given: file::Limits,
    issuers: &BTreeMap<IssuerId, Currency>,
) -> Result<Limits, ConfigError> {
    for (key, named) in [("amount_max", &given.amount_max), ("total_max", &given.total_max)] {
        let is_unknown = |currency: &&Currency| !issuers.values().any(|known| known == *currency);
        if let Some(currency) = named.keys().find(is_unknown) {
            return Err(ConfigError::LimitCurrency {
                path: path.to_owned(),
                key,
                currency: *currency,
            });
        }
    }
    for (currency, Minor(amount)) in &given.amount_max {
        if let Some(Minor(total)) = given.total_max.get(currency).filter(|total| total.0 < *amount) {
            return Err(ConfigError::AmountAboveTotal {
                path: path.to_owned(),
                currency: *currency,
                amount: *amount,
                total: *total,
            });
        }
    }
    let usual = Limits::default();
    Ok(Limits {
        amount_max: minor(given.amount_max),
        count_max: given.count_max.map_or(usual.count_max, |claims| claims.0),
        total_max: minor(given.total_max),
        age_max_seconds: given.age_max_hours.map_or(usual.age_max_seconds, |hours| {
            hours.0.saturating_mul(HOUR_SECONDS)
        }),
        warn_percent: given
            .warn_percent
            .and_then(|percent| u8::try_from(percent.0).ok())
            .unwrap_or(usual.warn_percent),
    })
}

fn minor(named: BTreeMap<Currency, Minor>) -> BTreeMap<Currency, u64> {
    named
        .into_iter()
        .map(|(currency, minor)| (currency, minor.0))
        .collect()
}
