//! The enrolment at the provider: there, fitting the configuration, and good for a while.

use std::path::Path;

use super::Finding;
use crate::config::Config;
use crate::provider::{Identity, Pinned, Settings};

/// So long before a certificate's end it is told: time for whoever looks once a month.
const ENDS_SOON_SECONDS: i64 = 40 * 86_400;

pub(super) fn look(config: &Config, state_dir: &Path) -> Option<Finding> {
    let provider = config.provider.as_ref()?;
    let identity = match Identity::read(state_dir) {
        Ok(identity) => identity,
        Err(error) => {
            let remedy = "run doctor as root or as purserd's user; else look at the file and its disk";
            return Some(Finding::of("enrolment_unusable", &error, remedy));
        }
    };
    if let Err(error) = Settings::from(provider).fit(identity.pinned()) {
        return Some(Finding::of("enrolment_differs", &error, "enrol again"));
    }
    ends_soon(identity.pinned(), jiff::Timestamp::now().as_second())
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
