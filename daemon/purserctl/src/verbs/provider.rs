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
                .map(|unix_seconds| {
                    time(&Time {
                        unix_seconds,
                        utc_offset_seconds: 0,
                        trusted: true,
                    })
                })
                .unwrap_or_default(),
        ),
    ])
}
