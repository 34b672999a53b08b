//! The enrolment at the provider: there, fitting the configuration, and good for a while; and the parameters that are kept.

use std::path::Path;

use purser_ledger::Wall;

use super::Finding;
use crate::config::Config;
use crate::provider::parameters::read;
use crate::provider::{Identity, Pinned, Settings};
use crate::run::{Clock, age_problem};

/// So long before a certificate's end it is told: time for whoever looks once a month.
const ENDS_SOON_SECONDS: i64 = 40 * 86_400;

pub(super) fn look(config: &Config, state_dir: &Path) -> Vec<Finding> {
    let Some(provider) = &config.provider else {
        return Vec::new();
    };
    let identity = match Identity::read(state_dir) {
        Ok(identity) => identity,
        Err(error) => {
            let remedy = "run doctor as root or as purserd's user; else look at the file and its disk";
            return vec![Finding::of("enrolment_unusable", &error, remedy)];
        }
    };
    let pinned = identity.pinned();
    if let Err(error) = Settings::from(provider).fit(pinned) {
        return vec![Finding::of("enrolment_differs", &error, "enrol again")];
    }
    let now = Clock::new().now().wall;
    let parameters = parameters(state_dir, pinned, now);
    let ends = ends_soon(pinned, now.unix_seconds);
    ends.into_iter().chain(parameters).collect()
}

/// What is wrong with the parameters that are kept. That there are none yet is the running daemon's to tell.
fn parameters(state_dir: &Path, pinned: &Pinned, now: Wall) -> Option<Finding> {
    match read(state_dir, pinned) {
        Ok(known) => age_problem(&known?.heard, now).map(Finding::from),
        Err(error) => {
            let remedy = "let purserd reach the provider, which sends them again";
            Some(Finding::of("parameters_unusable", &error, remedy))
        }
    }
}

fn ends_soon(pinned: &Pinned, now_unix_seconds: i64) -> Option<Finding> {
    let left = pinned
        .certificate_expires_unix_seconds
        .saturating_sub(now_unix_seconds);
    (left < ENDS_SOON_SECONDS).then(|| {
        let days = left.div_euclid(86_400);
        Finding::new(
            "enrolment_ends",
            format!("the provider's certificate for this terminal ends in {days} days, and nothing settles after that"),
            "run `purserd enrol --renew` as purserd's user and restart purserd; after its end, enrol with a new code",
        )
    })
}
