//! The credential file: what it may say, and that no error repeats what it says.

use purser_purse::pboc::{CredentialError, CredentialField, SoftwareSam};

use crate::support::{CREDENTIAL, attempt};

const KEY: &str = "8C1B5E9A37D2604FB3E8A15C72964D0B";

fn read(text: &str) -> Result<SoftwareSam, CredentialError> {
    SoftwareSam::from_credential(text.as_bytes())
}

fn error(text: &str) -> CredentialError {
    let error = read(text).unwrap_err();
    let shown = format!("{error} {error:?}").to_uppercase();
    assert!(!shown.contains(&KEY[..8]), "{shown}");
    error
}

fn table(lines: &[&str]) -> String {
    format!("[[purchase_key]]\n{}\n", lines.join("\n"))
}

fn complete(changed: &str) -> String {
    let key = format!("key = \"{KEY}\"");
    let lines = ["version = 1", "algorithm = 0", &key, "levels = [\"asn\"]"];
    let field = changed.split('=').next().unwrap();
    let lines: Vec<_> = lines
        .iter()
        .map(|line| if line.starts_with(field) { changed } else { line })
        .collect();
    table(&lines)
}

#[test]
fn spaces_comments_line_ends_and_order_do_not_matter() {
    let expected = read(CREDENTIAL).unwrap().mac1(&attempt());
    let text = format!(
        "# keys\r\n\r\n  [[purchase_key]] # first\r\n levels=[ \"issuer\" ,\"asn\" ] # up to three\r\n\
         \tkey\t=\t\"{}\"\r\n algorithm = 0# DES\r\nversion=001",
        KEY.to_lowercase()
    );
    assert_eq!(read(&text).unwrap().mac1(&attempt()), expected);
}

#[test]
fn without_levels_the_key_is_derived_by_the_card_alone() {
    let key = format!("key = \"{KEY}\"");
    let short = read(&table(&["version = 1", "algorithm = 0", &key])).unwrap();
    let long = read(&complete("levels = [\"asn\"]")).unwrap();
    assert_eq!(short.mac1(&attempt()), long.mac1(&attempt()));
}

#[test]
fn a_fixed_factor_is_a_level_like_any_other() {
    let fixed = read(&complete("levels = [\"1111222233334444\", \"asn\"]")).unwrap();
    assert_eq!(fixed.mac1(&attempt()), read(CREDENTIAL).unwrap().mac1(&attempt()));
}

#[test]
fn a_wrong_value_is_named_by_line_and_field() {
    let short = format!("key = \"{}\"", &KEY[..30]);
    let not_hex = format!("key = \"{}G\"", &KEY[..31]);
    let open = format!("key = \"{KEY}");
    let bare = format!("key = {KEY}");
    let more = format!("key = \"{KEY}\" x");
    for (line, field, values) in [
        (
            2,
            CredentialField::Version,
            &["version = 256", "version = -1", "version = \"1\"", "version ="][..],
        ),
        (
            3,
            CredentialField::Algorithm,
            &["algorithm = 1", "algorithm = DES", "algorithm = 0 0"],
        ),
        (
            4,
            CredentialField::Key,
            &[&*short, &*not_hex, &*open, &*bare, &*more],
        ),
        (
            5,
            CredentialField::Levels,
            &[
                "levels = []",
                "levels = \"asn\"",
                "levels = [\"card\"]",
                "levels = [\"asn\"",
                "levels = [\"asn\",]",
                "levels = [\"11112222333344\"]",
                "levels = [\"asn\", \"asn\", \"asn\", \"asn\"]",
            ],
        ),
    ] {
        for value in values {
            assert_eq!(
                error(&complete(value)),
                CredentialError::WrongValue { line, field },
                "{value}"
            );
        }
    }
}

#[test]
fn a_line_that_is_nothing_is_named_and_not_repeated() {
    for line in [
        KEY,
        "[purchase_key]",
        "[[purchase_key]",
        "[[purchase_key]] x",
        "Version = 1",
        "secret = 1",
    ] {
        let text = format!("{}{line}\n", complete("version = 1"));
        assert_eq!(error(&text), CredentialError::UnknownLine { line: 6 }, "{line}");
    }
    let shown = error(&format!("{KEY} = 1")).to_string();
    assert_eq!(
        shown,
        "line 1 of the SAM credential is neither [[purchase_key]] nor field = value nor a comment"
    );
}

#[test]
fn tables_must_be_complete_and_differ() {
    let key = format!("key = \"{KEY}\"");
    let field = CredentialField::Version;
    assert_eq!(
        error("version = 1"),
        CredentialError::OutsideTable { line: 1, field }
    );
    let twice = table(&["version = 1", "version = 1"]);
    assert_eq!(error(&twice), CredentialError::RepeatedField { line: 3, field });
    for (field, lines) in [
        (CredentialField::Version, ["algorithm = 0", &*key]),
        (CredentialField::Algorithm, ["version = 1", &*key]),
        (CredentialField::Key, ["version = 1", "algorithm = 0"]),
    ] {
        let text = format!("\n{}", table(&lines));
        assert_eq!(error(&text), CredentialError::MissingField { line: 2, field });
    }
    let twice = complete("version = 1").repeat(2);
    assert_eq!(error(&twice), CredentialError::RepeatedVersion { line: 6 });
    assert_eq!(error("# nothing\n"), CredentialError::NoKeys);
    let many: String = (0..=64)
        .map(|version| complete(&format!("version = {version}")))
        .collect();
    assert_eq!(error(&many), CredentialError::TooManyKeys);
}

#[test]
fn a_file_cut_at_any_byte_is_refused_or_holds_the_whole_key() {
    let whole = complete("version = 1");
    for end in 0..whole.len() {
        if let Ok(sam) = read(&whole[..end]) {
            assert_eq!(
                sam.mac1(&attempt()),
                read(&whole).unwrap().mac1(&attempt()),
                "cut at {end}"
            );
        }
    }
}
