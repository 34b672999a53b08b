//! `purserctl provider`: the provider, as this terminal knows it.

use purser_api::client::Client;
use purser_api::model::{ProviderReply, Time};

use crate::cli::{Cli, Provider};
use crate::exit::{Exit, Failure};
use crate::table::{print_facts, print_json, time};

pub(super) async fn run(cli: &Cli, mut client: Client, asked: &Provider) -> Result<Exit, Failure> {
    match asked {
        Provider::Status => {
            let provider = client.provider().await?;
            if cli.json {
                print_json(&provider)?;
            } else {
                print(&provider)?;
            }
            Ok(if ["up", "listening"].contains(&provider.link.as_str()) {
                Exit::Done
            } else {
                Exit::Refused
            })
        }
    }
}

fn print(provider: &ProviderReply) -> std::io::Result<()> {
    let or_none = |text: &Option<String>| text.clone().unwrap_or_default();
    let role = match provider.role.as_deref() {
        Some("merchant") => "merchant: it settles what it sells",
        Some("provider") => "provider: it loads cards",
        _ => "",
    };
    print_facts(&[
        ("link", provider.link.clone()),
        ("cause", or_none(&provider.cause)),
        ("provider", or_none(&provider.provider)),
        ("terminal", or_none(&provider.terminal)),
        ("role", role.to_owned()),
        ("merchant", or_none(&provider.merchant)),
        ("generation", provider.generation.to_string()),
        ("called by", or_none(&provider.mode)),
        (
            "certificate until",
            provider
                .certificate_expires_unix_seconds
                .map(at)
                .unwrap_or_default(),
        ),
        ("parameters", parameters(provider)),
        ("hot list", hot_list(provider)),
        ("last failure", or_none(&provider.parameters_failure)),
    ])
}

fn at(unix_seconds: i64) -> String {
    time(&Time {
        unix_seconds,
        utc_offset_seconds: 0,
        trusted: true,
    })
}

fn parameters(provider: &ProviderReply) -> String {
    let Some(version) = provider.parameters_version else {
        return String::new();
    };
    let age = provider.parameters_age.as_deref().unwrap_or_default();
    let heard = provider.parameters_heard_unix_seconds.map(at);
    format!("version {version}, {age}, heard {}", heard.unwrap_or_default())
}

fn hot_list(provider: &ProviderReply) -> String {
    let (Some(version), Some(cards)) = (provider.hot_list_version, provider.hot_list_cards) else {
        return String::new();
    };
    let acknowledged = match provider.hot_list_acknowledged {
        Some(true) => ", acknowledged",
        Some(false) => ", not acknowledged yet",
        None => "",
    };
    format!("version {version}, {cards} cards{acknowledged}")
}
