//! The program as a script sees it: what it prints and how it exits.

#![allow(clippy::unwrap_used, reason = "a helper that fails fails its test")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

use purserd::credential::{KeyFileError, load_sam};

fn purserd(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_purserd"))
        .env_clear()
        .args(arguments)
        .output()
        .unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn check_config_says_that_a_right_configuration_is_right() {
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../config/purser.toml");
    let output = purserd(&["check-config", "--config", shipped.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(0));
    assert!(text(&output.stdout).contains("is right"));
}

#[test]
fn a_refused_configuration_exits_with_78_from_both_verbs_that_read_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("purser.toml");
    fs::write(&path, "[pni]\n").unwrap();
    for verb in ["check-config", "run"] {
        let output = purserd(&[verb, "--config", path.to_str().unwrap()]);
        assert_eq!(output.status.code(), Some(78), "{verb}");
        assert!(text(&output.stderr).contains("did you mean `pin`?"), "{verb}");
    }
}

#[test]
fn a_wrong_command_line_exits_with_2() {
    for arguments in [
        &["sell"][..],
        &["--confg", "x"],
        &["verify-journal", "--expect", "7"],
    ] {
        assert_eq!(purserd(arguments).status.code(), Some(2), "{arguments:?}");
    }
}

#[test]
fn help_names_every_exit_code_and_version_names_the_program() {
    let help = text(&purserd(&["--help"]).stdout);
    for code in [
        "   0  ", "   1  ", "   2  ", "  65  ", "  74  ", "  75  ", "  78  ", " 134  ",
    ] {
        assert!(help.contains(&format!("\n{code}")), "{code}");
    }
    let version = text(&purserd(&["--version"]).stdout);
    assert_eq!(version.trim(), format!("purserd {}", env!("CARGO_PKG_VERSION")));
}

const CREDENTIAL: &str =
    "[[purchase_key]]\nversion = 1\nalgorithm = 0\nkey = \"0123456789ABCDEFFEDCBA9876543210\"\n";

#[test]
fn a_credential_is_read_when_closed_and_refused_when_open_to_others() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sam.key");
    fs::write(&path, CREDENTIAL).unwrap();
    let uid = rustix::process::geteuid().as_raw();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    load_sam(&path, uid).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    let error = load_sam(&path, uid).unwrap_err();
    assert!(matches!(error, KeyFileError::OpenToOthers { mode: 0o640, .. }));
    assert!(error.to_string().contains("chmod 0600"));
}

#[test]
fn what_is_no_credential_is_refused_by_its_own_name() {
    let folder = tempfile::tempdir().unwrap();
    let uid = rustix::process::geteuid().as_raw();
    let at = |name: &str| folder.path().join(name);
    let write = |name: &str, bytes: &[u8]| {
        fs::write(at(name), bytes).unwrap();
        fs::set_permissions(at(name), fs::Permissions::from_mode(0o600)).unwrap();
        load_sam(&at(name), uid).unwrap_err()
    };
    assert!(matches!(
        write("text", b"key = 1\n"),
        KeyFileError::Refused { .. }
    ));
    assert!(matches!(
        write("long", &[b'#'; 64 * 1024 + 1]),
        KeyFileError::TooLong { .. }
    ));
    assert!(matches!(
        load_sam(&at("absent"), uid),
        Err(KeyFileError::Unreadable { .. })
    ));
    assert!(matches!(
        load_sam(folder.path(), uid),
        Err(KeyFileError::NotAFile { .. })
    ));
}

#[test]
fn doctor_names_what_is_missing_with_its_remedy_and_exits_with_1() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../config/purser.toml");
    let (config, state, run) = (shipped.to_str().unwrap(), path("state"), path("run"));
    let places = ["--config", config, "--state-dir", &state, "--run-dir", &run];
    let output = purserd(&[&["doctor", "--json"], &places[..]].concat());
    assert_eq!(output.status.code(), Some(1));
    let told: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let findings = told["findings"].as_array().unwrap();
    let names: Vec<&str> = findings.iter().map(|it| it["name"].as_str().unwrap()).collect();
    for wanted in ["credential_not_seen", "driver_refused", "no_journal", "no_socket"] {
        assert!(names.contains(&wanted), "{wanted} is not among {names:?}");
    }
    assert!(
        findings
            .iter()
            .all(|it| it["remedy"].as_str().is_some_and(|text| !text.is_empty()))
    );
    let output = purserd(&[&["doctor"], &places[..]].concat());
    assert!(text(&output.stdout).contains("what to do: "));
    assert!(!folder.path().join("state").exists(), "it changes nothing");
}
