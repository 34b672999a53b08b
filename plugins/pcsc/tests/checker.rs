//! The driver behind a real pcscd, held against each clause of the contract by the vendor's checker.

use std::path::Path;
use std::process::Command;

/// All clauses but that of a card that never answers: PC/SC gives a command no deadline, so that Purser ends the driver
/// there, as README.md says of [T-4].
const CLAUSES: [&str; 11] = [
    "L-1", "L-7", "T-5", "L-6", "C-8", "C-6", "C-4", "C-1", "E-3", "L-5", "G-9",
];

/// Where vpcd's first reader awaits a card, inside.
const READER: &str = "127.0.0.1:35963";

#[test]
fn the_checker_finds_nothing_that_the_readme_does_not_tell() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let built = Command::new(env!("CARGO"))
        .args([
            "build",
            "--package",
            "purser-driver-check",
            "--package",
            "purser-driver-host",
        ])
        .arg("--manifest-path")
        .arg(here.join("../../Cargo.toml"))
        .status()
        .expect("cargo runs");
    assert!(built.success());
    let test = std::env::current_exe().expect("a program knows itself");
    let driver = test.with_file_name("libpurser_pcsc.so");
    let programs = test.parent().and_then(Path::parent).expect("a test lies in deps");
    let output = Command::new(here.join("tests/with-pcscd.sh"))
        .arg(programs.join("purser-driver-check"))
        .arg(driver)
        .args(["--virtual-card", READER, "--cycles", "100"])
        .args(CLAUSES.iter().flat_map(|clause| ["--only", clause]))
        .output()
        .expect("the script runs");
    let told = String::from_utf8_lossy(&output.stdout);
    let why = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{told}{why}");
    // It has no PIN pad.
    assert_eq!(told.matches("skipped ").count(), 1, "{told}");
}
