//! What a start knows of the provider: the enrolment, and the link. Sales need neither, so nothing here keeps a start.

use std::path::Path;

use purser_api::model::{Problem, ProviderReply};
use purser_engine::ProviderFailure;
use purser_engine::settlement::Enrolment;

use super::health::problem;
use crate::config::Config;
use crate::provider::{Identity, Link, LinkState, Pinned, Settings, mode_name, names};
use crate::verbs::chain;

/// See the module.
pub(super) struct Provider {
    /// What the engine seals batches with, and loads cards under; none where neither can be.
    pub(super) enrolment: Option<Enrolment>,
    /// What enrolment pinned, also where there is no link: the provider's parameters are in force by it.
    pub(super) pinned: Option<Pinned>,
    /// The link, or why there is none.
    pub(super) link: Result<Link, ProviderFailure>,
    /// What an operator should know of it.
    pub(super) problem: Option<Problem>,
}

/// Begins with what is configured and enrolled.
pub(super) async fn begin(config: &Config, state_dir: &Path, generation: u32) -> Provider {
    let Some(configured) = &config.provider else {
        return without("no provider is configured", None);
    };
    let settings = Settings::from(configured);
    let identity = match Identity::read(state_dir) {
        Ok(identity) => identity,
        Err(error) => return refused("provider_not_enrolled", &chain(&error), "run purserd enrol"),
    };
    let pinned = identity.pinned().clone();
    let number = config.psam_terminal_number.to_hex();
    if let Some(merchant) = pinned.merchant()
        && merchant.psam_number != number
    {
        let cause = format!(
            "the provider enrolled PSAM terminal number {}, and psam_terminal_number is {number}",
            merchant.psam_number
        );
        let remedy = "set psam_terminal_number to the enrolled one, or have this terminal enrolled anew";
        return Provider {
            pinned: Some(pinned),
            ..refused("provider_other_terminal", &cause, remedy)
        };
    }
    match Link::start(settings, identity).await {
        Ok(link) => Provider {
            enrolment: Some(enrolment(&pinned, generation)),
            pinned: Some(pinned),
            link: Ok(link),
            problem: None,
        },
        Err(error) => Provider {
            pinned: Some(pinned),
            ..refused(
                "provider_link",
                &chain(&error),
                "do as it says, then restart purserd",
            )
        },
    }
}

fn enrolment(pinned: &Pinned, generation: u32) -> Enrolment {
    Enrolment {
        terminal: pinned.terminal.clone(),
        generation,
        provider: pinned.provider.clone(),
        accounts: pinned.merchant().map(|it| it.account).into_iter().collect(),
    }
}

fn refused(name: &str, cause: &str, remedy: &str) -> Provider {
    tracing::error!(
        cause,
        remedy,
        "nothing is settled; sales go on, and their claims wait"
    );
    without(cause, Some(problem(name, cause, remedy)))
}

fn without(cause: &str, problem: Option<Problem>) -> Provider {
    Provider {
        enrolment: None,
        pinned: None,
        link: Err(ProviderFailure {
            name: names::LINK_ENDED,
            is_transient: false,
            text: cause.to_owned(),
        }),
        problem,
    }
}

/// What the API tells of it.
pub(super) fn told(link: &Result<Link, ProviderFailure>, generation: u32) -> ProviderReply {
    let link = match link {
        Ok(link) => link,
        Err(failure) => {
            return ProviderReply {
                link: "none".to_owned(),
                cause: Some(failure.text.clone()),
                generation,
                ..ProviderReply::default()
            };
        }
    };
    let (state, cause) = match link.state() {
        LinkState::Listening => ("listening", None),
        LinkState::Connecting => ("connecting", None),
        LinkState::Up => ("up", None),
        LinkState::Down(failure) => ("down", Some(failure.text)),
    };
    let pinned = link.pinned();
    let merchant = pinned.merchant().map(|it| it.name.clone());
    let role = if merchant.is_some() {
        "merchant"
    } else {
        "provider"
    };
    ProviderReply {
        link: state.to_owned(),
        cause,
        provider: Some(pinned.provider.to_string()),
        terminal: Some(pinned.terminal.to_string()),
        role: Some(role.to_owned()),
        merchant,
        mode: Some(mode_name(pinned.mode).to_owned()),
        certificate_expires_unix_seconds: Some(pinned.certificate_expires_unix_seconds),
        generation,
        ..ProviderReply::default()
    }
}
