//! What the configuration takes, in which order, and what it says about what it does not take.

#![allow(clippy::unwrap_used, reason = "a helper that fails fails its test")]

use std::fs;
use std::path::Path;

use purser_ledger::{Currency, DeviceName};
use purser_provider_link::call_back::Mode;
use purser_purse::pboc::{FactorOrder, PsamLevels, PsamProfile};
use purserd::config::{Bus, Config, Devices, Sam};
use tempfile::TempDir;

const LEAST: &str = r#"
terminal.psam_terminal_number = "010203040506"
sam.credential = "sam.key"
[issuers]
"0102030405060708" = "JPY"
"#;

fn folder(files: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    folder
}

fn load(folder: &TempDir) -> Config {
    Config::load(&folder.path().join("purser.toml")).unwrap()
}

/// What is said, with the folder's name taken out.
fn refusal(files: &[(&str, &str)]) -> String {
    let folder = folder(files);
    let errors = Config::load(&folder.path().join("purser.toml")).unwrap_err();
    let texts: Vec<String> = errors.iter().map(ToString::to_string).collect();
    texts
        .join("\n\n")
        .replace(&format!("{}/", folder.path().display()), "")
}

fn refused(text: &str) -> String {
    refusal(&[("purser.toml", text)])
}

#[test]
fn an_unknown_key_is_shown_with_its_line_a_caret_and_the_key_that_was_meant() {
    let expected = "\
unknown key `through_apy`
  --> purser.toml:3:2
  |
3 | \tthrough_apy = true
  | \t^^^^^^^^^^^
   = help: did you mean `through_api`?";
    assert_eq!(refused("# PINs\n[pin]\n\tthrough_apy = true\n"), expected);
}

#[test]
fn an_unknown_section_is_shown_with_the_section_that_was_meant() {
    let expected = "\
unknown key `issuer`
  --> purser.toml:1:2
  |
1 | [issuer]
  |  ^^^^^^
   = help: did you mean `issuers`?";
    assert_eq!(refused("[issuer]\n"), expected);
}

#[test]
fn an_unknown_key_that_is_like_none_is_shown_with_all_that_are_known() {
    let expected = "\
unknown key `colour`
  --> purser.toml:1:1
  |
1 | colour = \"blue\"
  | ^^^^^^
   = help: known here: `terminal`, `purse`, `issuers`, `pin`, `timeouts`, `sam`, `journal`, `limits`, `provider`, `bus`";
    assert_eq!(refused("colour = \"blue\"\n"), expected);
}

#[test]
fn a_line_with_wide_characters_before_the_fault_keeps_the_caret_below_it() {
    let expected = "\
unknown key `bos`
  --> purser.toml:2:21
  |
2 | bus = { bus = \"é:\", bos = \"\" }
  |                     ^^^
   = help: did you mean `bus`?";
    let said = refused("# é\nbus = { bus = \"é:\", bos = \"\" }\n");
    assert_eq!(said, expected);
}

#[test]
fn a_wrong_value_is_shown_where_it_stands() {
    let expected = "\
a PSAM terminal number is written as 12 hex digits
  --> purser.toml:2:24
  |
2 | psam_terminal_number = \"12\"
  |                        ^^^^";
    assert_eq!(refused("[terminal]\npsam_terminal_number = \"12\"\n"), expected);
}

#[test]
fn each_kind_of_wrong_value_has_its_own_sentence() {
    for (text, sentence) in [
        (
            "purse.aid = \"A0\"",
            "an application name (AID) is written as 10 to 32 hex digits",
        ),
        ("purse.purse = \"eq\"", "unknown value `eq`"),
        (
            "issuers.0102 = \"JPY\"",
            "an issuer id is written as 16 hex digits",
        ),
        (
            "issuers.0102030405060708 = \"yen\"",
            "a currency is three capital letters of ISO 4217, such as JPY",
        ),
        (
            "pin.through_api = 1",
            "invalid type: integer `1`, expected true or false",
        ),
        (
            "pin.free_up_to.JPY = -1",
            "invalid value: integer `-1`, expected a whole number",
        ),
        (
            "pin.pads.\"a b\" = \"x\"",
            "a name is made of visible ASCII characters without spaces",
        ),
        (
            "timeouts.card_wait_ms = 999",
            "expected 1000 to 3600000 milliseconds",
        ),
        (
            "timeouts.pin_wait_ms = 3600001",
            "expected 1000 to 3600000 milliseconds",
        ),
        (
            "bus.bus = \"session\"",
            "expected `system`, `off` or a bus address such as `unix:path=/run/bus`",
        ),
        ("[bus", "unclosed table, expected `]`"),
        ("bus.bus = \"off\"\nbus.bus = \"off\"", "duplicate key"),
    ] {
        assert_eq!(refused(text).lines().next(), Some(sentence), "{text}");
    }
}

#[test]
fn what_has_no_default_must_be_set() {
    for (line, key) in [
        (
            "terminal.psam_terminal_number = \"010203040506\"\n",
            "terminal.psam_terminal_number is not set",
        ),
        ("sam.credential = \"sam.key\"\n", "[sam] is not set"),
        ("\"0102030405060708\" = \"JPY\"\n", "[issuers] is not set"),
    ] {
        assert!(LEAST.contains(line));
        assert_eq!(refused(&LEAST.replace(line, "")).lines().next(), Some(key));
    }
}

#[test]
fn every_file_with_a_fault_is_named_at_once() {
    let said = refusal(&[
        ("purser.toml", "[pni]\n"),
        ("purser.toml.d/10-shop.toml", "timeouts.pin_wait = 3000\n"),
        ("drivers.d/reader.toml", "devices = \"one\"\n"),
        ("drivers.d/a b.toml", "path = \"a.so\"\n"),
    ]);
    for place in [
        "purser.toml:1:2",
        "purser.toml.d/10-shop.toml:1:10",
        "drivers.d/reader.toml:1:1",
        "drivers.d/a b.toml",
    ] {
        assert!(
            said.contains(&format!("--> {place}\n")) || said.ends_with(place),
            "{place} in:\n{said}"
        );
    }
}

#[test]
fn a_pin_pad_of_a_driver_that_is_not_configured_is_refused() {
    let text = format!("pin.pads.reader = \"keypad\"\n{LEAST}");
    let said = refusal(&[
        ("purser.toml", &text),
        ("drivers.d/reader.toml", "path = \"a.so\"\n"),
    ]);
    let expected = "\
[pin.pads] names `keypad`, but no driver file is called `keypad.toml`
  --> purser.toml
   = help: configured drivers are `reader`";
    assert_eq!(said, expected);
}

/// The least configuration with this SAM in place of the file.
fn with_sam(sam: &str) -> String {
    LEAST.replace("sam.credential = \"sam.key\"", sam)
}

/// What is said of this SAM where one reader is configured.
fn refused_sam(sam: &str) -> String {
    refusal(&[
        ("purser.toml", &with_sam(sam)),
        ("drivers.d/reader.toml", "path = \"a.so\"\n"),
    ])
}

#[test]
fn a_psam_is_its_reader_and_what_its_vendor_chose() {
    let loaded = |sam: &str| {
        let reader = ("drivers.d/counter.toml", "path = \"a.so\"\ndevices = \"many\"\n");
        load(&folder(&[("purser.toml", &with_sam(sam)), reader])).sam
    };
    let reader = DeviceName::new("counter/psam").unwrap();
    let least = loaded("sam.psam = { reader = \"counter/psam\" }");
    let profile = PsamProfile::default();
    assert_eq!(profile.factor_order, FactorOrder::AsnFirst);
    assert_eq!(
        least,
        Sam::Psam {
            reader: reader.clone(),
            profile
        }
    );
    let full = loaded(
        "[sam.psam]\nreader = \"counter/psam\"\nadf = \"A00000000386980701\"\n\
         levels = [\"issuer\", \"asn\"]\nfactor_order = \"upper-first\"\n",
    );
    let profile = PsamProfile {
        adf: String::from("A00000000386980701").try_into().unwrap(),
        levels: PsamLevels::try_from(vec!["issuer".to_owned(), "asn".to_owned()]).unwrap(),
        factor_order: FactorOrder::UpperFirst,
    };
    assert_eq!(full, Sam::Psam { reader, profile });
}

#[test]
fn each_kind_of_wrong_psam_has_its_own_sentence() {
    for (sam, sentence) in [
        ("sam.psam = {}", "missing key `reader`"),
        (
            "sam.psam = { reader = \"a b\" }",
            "a name is made of visible ASCII characters without spaces",
        ),
        (
            "sam.psam = { reader = \"psam\" }",
            "sam.psam names `psam`, but no driver file is called `psam.toml`",
        ),
        (
            "sam.psam = { reader = \"reader\", order = 1 }",
            "unknown key `order`",
        ),
        (
            "sam.psam = { reader = \"reader\", factor_order = \"asn_first\" }",
            "unknown value `asn_first`",
        ),
        (
            "sam.psam = { reader = \"reader\", adf = \"DF\" }",
            "a PSAM's application is written as 4 hex digits (a file id) or 10 to 32 (an application name)",
        ),
        (
            "sam.psam = { reader = \"reader\" }\nsam.credential = \"sam.key\"",
            "sam.credential and sam.psam are both set",
        ),
        ("", "[sam] is not set"),
    ] {
        assert_eq!(refused_sam(sam).lines().next(), Some(sentence), "{sam}");
    }
    for levels in [
        "",
        "\"issuer\"",
        "\"asn\", \"issuer\"",
        "\"asn\", \"asn\"",
        "\"city\", \"asn\"",
    ] {
        let sam = format!("sam.psam = {{ reader = \"reader\", levels = [{levels}] }}");
        let said = refused_sam(&sam);
        assert!(said.starts_with("levels are one to three of"), "{sam}: {said}");
    }
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let expected = "\
cannot read purser.toml: No such file or directory (os error 2)
   = help: write it, or name another file with --config; the sources have an example";
    assert_eq!(refusal(&[]), expected);
}

#[test]
fn the_least_configuration_has_the_documented_defaults() {
    let config = load(&folder(&[("purser.toml", LEAST)]));
    assert!(!config.pin_through_api);
    assert!(config.pin_free_up_to.is_empty());
    assert_eq!((config.card_wait.ms(), config.pin_wait.ms()), (60_000, 60_000));
    assert_eq!(config.bus, Bus::System);
    assert!(config.drivers.is_empty());
}

#[test]
fn what_a_later_drop_in_says_wins_key_by_key() {
    let folder = folder(&[
        (
            "purser.toml",
            &format!("timeouts.card_wait_ms = 1000\ntimeouts.pin_wait_ms = 1000\n{LEAST}"),
        ),
        (
            "purser.toml.d/20-b.toml",
            "timeouts.card_wait_ms = 3000\n[issuers]\n\"0102030405060708\" = \"EUR\"\n",
        ),
        (
            "purser.toml.d/10-a.toml",
            "timeouts.card_wait_ms = 2000\ntimeouts.pin_wait_ms = 2000\n",
        ),
        (
            "purser.toml.d/30-c.toml",
            "[issuers]\n\"0807060504030201\" = \"USD\"\n",
        ),
        ("purser.toml.d/40-d.toml.off", "not TOML at all"),
    ]);
    let config = load(&folder);
    assert_eq!((config.card_wait.ms(), config.pin_wait.ms()), (3000, 2000));
    let currencies: Vec<&str> = config.issuers.values().map(Currency::code).collect();
    assert_eq!(currencies, ["EUR", "USD"]);
}

#[test]
fn a_driver_is_called_as_its_file_and_its_path_counts_from_there() {
    let text = "path = \"../lib/a.so\"\ndevices = \"many\"\n[settings]\nport = 35963\n";
    let folder = folder(&[("purser.toml", LEAST), ("drivers.d/counter.toml", text)]);
    let config = load(&folder);
    let [driver] = config.drivers.as_slice() else {
        panic!("one driver")
    };
    assert_eq!(driver.name, DeviceName::new("counter").unwrap());
    assert_eq!(driver.path, folder.path().join("drivers.d/../lib/a.so"));
    assert_eq!(driver.devices, Devices::Many);
    assert_eq!(driver.settings, "port = 35963\n");
}

#[test]
fn a_drivers_times_are_within_what_the_engine_waits() {
    let driver = |line: &str| {
        let text = format!("path = \"a.so\"\n{line}\n");
        refusal(&[("purser.toml", LEAST), ("drivers.d/counter.toml", &text)])
    };
    for line in ["answer_ms = 99", "answer_ms = 15001"] {
        assert!(
            driver(line).contains("expected 100 to 15000 milliseconds"),
            "{line}"
        );
    }
    assert!(driver("start_ms = 0").contains("expected 100 to 120000 milliseconds"));
    let text = "path = \"a.so\"\nstart_ms = 100\nanswer_ms = 15000\n";
    let folder = folder(&[("purser.toml", LEAST), ("drivers.d/counter.toml", text)]);
    let config = load(&folder);
    let driver = &config.drivers[0];
    let ms = |time: Option<std::time::Duration>| time.map(|time| time.as_millis());
    assert_eq!(ms(driver.start_ms.map(|time| time.duration())), Some(100));
    assert_eq!(ms(driver.answer_ms.map(|time| time.duration())), Some(15_000));
}

#[test]
fn every_shipped_configuration_is_right() {
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../config");
    let config = Config::load(&shipped.join("purser.toml")).unwrap();
    let drivers = fs::read_dir(shipped.join("drivers.d")).unwrap().count();
    assert_eq!(config.drivers.len(), drivers);
    assert!(drivers > 0);
}

#[test]
fn the_shipped_configuration_with_every_default_written_out_is_the_same() {
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../config/purser.toml");
    let text = fs::read_to_string(shipped).unwrap();
    let written_out: Vec<&str> = text
        .lines()
        .map(|line| {
            line.strip_prefix("# ")
                .filter(|rest| is_setting(rest))
                .unwrap_or(line)
        })
        .collect();
    let reader = ("drivers.d/reader.toml", "path = \"a.so\"\n");
    let keypad = ("drivers.d/keypad.toml", "path = \"b.so\"\n");
    let config = load(&folder(&[
        ("purser.toml", &written_out.join("\n")),
        reader,
        keypad,
    ]));
    assert!(written_out.len() - text.lines().filter(|line| written_out.contains(line)).count() >= 8);
    assert_eq!((config.card_wait.ms(), config.pin_wait.ms()), (60_000, 60_000));
    assert_eq!(config.profile, purser_purse::pboc::Profile::default());
    assert!(!config.pin_through_api);
    assert_eq!(config.pin_pads.len(), 1);
    assert_eq!(config.bus, Bus::System);
    let provider = config.provider.unwrap();
    assert_eq!(
        (provider.mode, provider.answer_ms, provider.call_back_ms),
        (Mode::Standing, 10_000, 90_000)
    );
}

fn is_setting(line: &str) -> bool {
    line.split_once(" = ").is_some_and(|(key, _)| {
        key.bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    })
}

fn with_limits(text: &str) -> String {
    refused(&format!("{LEAST}{text}"))
}

#[test]
fn limits_that_cannot_be_meant_are_refused() {
    for (text, said) in [
        ("[limits]\ncount_max = 0\n", "expected 1 to 1000000 claims"),
        ("[limits]\nage_max_hours = 100000\n", "expected 1 to 87600 hours"),
        ("[limits]\nwarn_percent = 100\n", "expected 1 to 99 percent"),
        ("[limits.total_max]\nJPY = 0\n", "minor units"),
        ("[limits.total_max]\nJPY = -5\n", "expected a whole number"),
        ("[limits.total_max]\nyen = 5\n", "currency"),
        ("[limits]\ncount_maximum = 5\n", "did you mean `count_max`?"),
        (
            "[limits.amount_max]\nJPX = 5\n",
            "limits.amount_max names `JPX`, but no issuer's purses are in that currency",
        ),
        (
            "[limits]\namount_max.JPY = 600\ntotal_max.JPY = 500\n",
            "lets one sale be 600 JPY, but limits.total_max lets no more than 500 JPY wait",
        ),
    ] {
        let told = with_limits(text);
        assert!(told.contains(said), "{text}\n{told}");
    }
}

#[test]
fn a_drop_in_changes_single_limits_and_the_rest_have_their_defaults() {
    let main = format!("{LEAST}[limits]\ncount_max = 5\namount_max.JPY = 300\n");
    let later = "[limits]\nage_max_hours = 2\ntotal_max.JPY = 900\n";
    let config = load(&folder(&[
        ("purser.toml", &main),
        ("purser.toml.d/1.toml", later),
    ]));
    let limits = &config.limits;
    assert_eq!(
        (limits.count_max, limits.age_max_seconds, limits.warn_percent),
        (5, 7200, 80)
    );
    let yen: Currency = "JPY".parse().unwrap();
    assert_eq!((limits.amount_max[&yen], limits.total_max[&yen]), (300, 900));
    assert_eq!(
        load(&folder(&[("purser.toml", LEAST)])).limits,
        purser_engine::Limits::default()
    );
}
