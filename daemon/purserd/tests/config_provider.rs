//! `[provider]`: whole, or not there.

#![allow(clippy::unwrap_used, reason = "a helper that fails fails its test")]

use std::fs;

use purser_provider_link::call_back::Mode;
use purserd::config::{Config, Settle};
use tempfile::TempDir;

const LEAST: &str = r#"
terminal.psam_terminal_number = "010203040506"
sam.credential = "sam.key"
[issuers]
"0102030405060708" = "JPY"
"#;

const PROVIDER: &str = r#"
[provider]
address = "provider.example:7443"
authority = "authority.der"
name = "provider.example"
"#;

fn folder(text: &str, drop_ins: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("purser.toml"), text).unwrap();
    fs::create_dir(folder.path().join("purser.toml.d")).unwrap();
    for (name, text) in drop_ins {
        fs::write(folder.path().join("purser.toml.d").join(name), text).unwrap();
    }
    folder
}

fn load(folder: &TempDir) -> Config {
    Config::load(&folder.path().join("purser.toml")).unwrap()
}

fn refused(text: &str) -> String {
    let folder = folder(text, &[]);
    let errors = Config::load(&folder.path().join("purser.toml")).unwrap_err();
    errors[0].to_string()
}

#[test]
fn a_provider_is_whole_with_its_address_authority_and_name_and_has_defaults_for_the_rest() {
    let folder = folder(&format!("{LEAST}{PROVIDER}"), &[]);
    let provider = load(&folder).provider.unwrap();
    assert_eq!(provider.address.to_string(), "provider.example:7443");
    assert_eq!(provider.authority, folder.path().join("authority.der"));
    assert_eq!((provider.mode, provider.listen), (Mode::Standing, None));
    assert_eq!((provider.answer_ms, provider.call_back_ms), (10_000, 90_000));
    let settle = Settle {
        at_minutes: Vec::new(),
        spread_minutes: 30,
        near_limits: true,
    };
    assert_eq!((provider.settle, provider.parameters_seconds), (settle, 3_600));
    let folder = self::folder(
        LEAST,
        &[
            ("provider.toml", PROVIDER),
            (
                "way.toml",
                "provider.mode = \"answer\"\nprovider.listen = \"[::]:7444\"\nprovider.answer_ms = 20000\n\
                 provider.settle_at = [\"03:30\", \"23:59\"]\nprovider.settle_near_limits = false\n\
                 provider.parameters_seconds = 600\n",
            ),
        ],
    );
    let provider = load(&folder).provider.unwrap();
    assert_eq!((provider.mode, provider.answer_ms), (Mode::Answer, 20_000));
    assert_eq!(provider.listen.unwrap().port(), 7444);
    assert_eq!(provider.settle.at_minutes, [210, 1_439]);
    assert!(!provider.settle.near_limits);
    assert_eq!(provider.parameters_seconds, 600);
    assert!(load(&self::folder(LEAST, &[])).provider.is_none());
}

#[test]
fn what_does_not_make_a_provider_is_shown_with_its_remedy() {
    let changed = |from: &str, to: &str| refused(&format!("{LEAST}{}", PROVIDER.replace(from, to)));
    for key in ["address", "authority", "name"] {
        let line = PROVIDER.lines().find(|line| line.starts_with(key)).unwrap();
        let said = changed(line, "");
        assert!(
            said.contains(&format!("provider.{key} is not set")) && said.contains("help: "),
            "{said}"
        );
    }
    for (from, to, words) in [
        ("provider.example:7443", "provider.example", "expected HOST:PORT"),
        (
            "provider.example:7443",
            "terminal.purser.internal:7443",
            "the name of every terminal",
        ),
        (
            "name = \"provider.example\"",
            "name = \"\"",
            "expected 1 to 64 visible ASCII characters",
        ),
        (
            "[provider]",
            "[provider]\nmode = \"dial\"",
            "expected `standing` or `answer`",
        ),
        (
            "[provider]",
            "[provider]\nmode = \"answer\"",
            "provider.listen is not set",
        ),
        (
            "[provider]",
            "[provider]\nlisten = \"0.0.0.0:7444\"",
            "nobody calls there",
        ),
        (
            "[provider]",
            "[provider]\nmode = \"answer\"\nlisten = \"7444\"",
            "expected an IP address and a port",
        ),
        (
            "[provider]",
            "[provider]\nanswer_ms = 10",
            "expected 1000 to 60000 milliseconds",
        ),
        (
            "[provider]",
            "[provider]\ncall_back_ms = 1000000",
            "expected 5000 to 600000 milliseconds",
        ),
        (
            "[provider]",
            "[provider]\nparameters_seconds = 1",
            "expected 2 to 86400 seconds",
        ),
        (
            "[provider]",
            "[provider]\nadress = \"x\"",
            "did you mean `address`?",
        ),
    ] {
        let said = changed(from, to);
        assert!(said.contains(words), "{said}");
    }
}

#[test]
fn what_is_no_time_to_settle_is_shown() {
    for (line, words) in [
        ("settle_at = [\"24:00\"]", "expected a time of the day"),
        ("settle_at = [\"3:30\"]", "expected a time of the day"),
        ("settle_spread_minutes = 721", "expected 0 to 720 minutes"),
    ] {
        let said = refused(&format!("{LEAST}{PROVIDER}{line}\n"));
        assert!(said.contains(words), "{said}");
    }
}
