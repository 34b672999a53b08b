//! What the house rules look at: the files that git tracks, and the graph of packages.

use std::path::{Path, PathBuf};
use std::process::Command;

/// A tracked text file.
pub struct SourceFile {
    /// Its path below the root.
    pub path: String,
    /// Its content.
    pub text: String,
}

/// The root of the checkout.
pub fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors()
        .nth(2)
        .expect("tests/tidy is two folders below the root")
        .to_path_buf()
}

/// Every tracked or new file with one of these endings.
///
/// # Panics
/// When git does not answer, or a file cannot be read: the rules would hold for nothing.
pub fn files(endings: &[&str]) -> Vec<SourceFile> {
    let listed = Command::new("git")
        .args(["ls-files", "--cached", "--others", "--exclude-standard"])
        .current_dir(root())
        .output()
        .expect("git lists the files of the checkout");
    assert!(
        listed.status.success(),
        "git ls-files failed: {}",
        String::from_utf8_lossy(&listed.stderr)
    );
    let listed = String::from_utf8(listed.stdout).expect("paths are UTF-8");
    let files: Vec<_> = listed
        .lines()
        .filter(|path| endings.iter().any(|ending| path.ends_with(ending)) && root().join(path).exists())
        .map(|path| {
            let text = std::fs::read_to_string(root().join(path)).expect("a tracked file can be read");
            SourceFile {
                path: path.to_owned(),
                text,
            }
        })
        .collect();
    assert!(!files.is_empty(), "no file ends in {endings:?}");
    files
}

/// The workspace's packages with their dependencies.
///
/// # Panics
/// When cargo does not answer: the rules would hold for nothing.
pub fn metadata() -> cargo_metadata::Metadata {
    let manifest = root().join("Cargo.toml");
    cargo_metadata::MetadataCommand::new()
        .manifest_path(manifest)
        .exec()
        .expect("cargo describes the workspace")
}

/// Fails with every offence, one a line.
///
/// # Panics
/// When there is an offence.
pub fn assert_none(rule: &str, offences: &[String]) {
    assert!(offences.is_empty(), "{rule}:\n  {}", offences.join("\n  "));
}
