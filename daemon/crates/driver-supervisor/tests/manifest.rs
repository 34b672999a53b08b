//! A driver whose owner, mode, manifest or bytes do not check out is refused before anything of it is loaded.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a helper of a test fails the test"
)]

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::PathBuf;

use purser_driver_supervisor::manifest::{ManifestError, check, manifest_path};
use tempfile::TempDir;

/// SHA-256 of "driver" (from coreutils' sha256sum).
const DIGEST: &str = "b4def8217cadae26d4da633fd2a4e58e326cbb5d570afdc3989484da07af3579";

struct Folder {
    folder: TempDir,
    driver: PathBuf,
}

fn folder() -> Folder {
    let folder = TempDir::new().unwrap();
    let driver = folder.path().join("libgood.so");
    fs::write(&driver, "driver").unwrap();
    let made = Folder { driver, folder };
    made.write(&text("1.0", DIGEST));
    set_mode(&made.driver, 0o755);
    made
}

fn text(abi: &str, digest: &str) -> String {
    format!(
        "id = \"good\"\nversion = \"1.0.0\"\nabi = \"{abi}\"\nclasses = [\"purser.card-reader/1\"]\nneeds = []\nsha256 = \"{digest}\"\n"
    )
}

fn set_mode(path: &std::path::Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

impl Folder {
    fn write(&self, text: &str) {
        let path = manifest_path(&self.driver);
        fs::write(&path, text).unwrap();
        set_mode(&path, 0o644);
    }

    fn refusal(&self) -> ManifestError {
        check(&self.driver).unwrap_err()
    }
}

#[test]
fn a_good_driver_passes() {
    let good = folder();
    let checked = check(&good.driver).unwrap();
    assert_eq!(checked.manifest.id, "good");
    assert_eq!(checked.manifest.classes, ["purser.card-reader/1"]);
    assert_eq!(checked.manifest.sha256().to_string(), DIGEST);
    assert_eq!(
        manifest_path(&checked.path).file_name().unwrap(),
        "libgood.driver.toml"
    );
}

#[test]
fn changed_bytes_are_refused() {
    let good = folder();
    fs::write(&good.driver, "drivel").unwrap();
    assert!(matches!(good.refusal(), ManifestError::Digest(_)));
}

#[test]
fn what_others_may_write_is_refused_driver_manifest_and_folder() {
    for mode in [0o020, 0o002] {
        let good = folder();
        set_mode(&good.driver, 0o755 | mode);
        assert!(
            matches!(good.refusal(), ManifestError::Writable { path, .. } if path.ends_with("libgood.so"))
        );
        set_mode(&good.driver, 0o755);
        set_mode(&manifest_path(&good.driver), 0o644 | mode);
        assert!(
            matches!(good.refusal(), ManifestError::Writable { path, .. } if path.ends_with("libgood.driver.toml"))
        );
        set_mode(&manifest_path(&good.driver), 0o644);
        set_mode(good.folder.path(), 0o755 | mode);
        assert!(matches!(good.refusal(), ManifestError::Writable { .. }));
    }
}

#[test]
fn what_belongs_to_another_user_is_refused() {
    let good = folder();
    // Only root can give files away; another user cannot make the case, and has nothing to fear from it.
    if chown(&good.driver, Some(12345), None).is_ok() {
        assert!(matches!(
            good.refusal(),
            ManifestError::Owner { owner: 12345, .. }
        ));
    }
}

#[test]
fn a_driver_for_another_major_abi_is_refused_and_a_newer_minor_is_not() {
    let good = folder();
    good.write(&text("2.0", DIGEST));
    assert!(matches!(good.refusal(), ManifestError::Abi { found } if found.major == 2));
    good.write(&text("1.7", DIGEST));
    assert!(check(&good.driver).is_ok());
}

#[test]
fn a_missing_or_broken_manifest_is_refused() {
    let good = folder();
    for broken in [
        "",
        "id = 7",
        &text("1", DIGEST),
        &text("1.0", "00"),
        &text("1.0", DIGEST).replace("good", ""),
        &format!("{}extra = 1\n", text("1.0", DIGEST)),
    ] {
        good.write(broken);
        assert!(
            matches!(good.refusal(), ManifestError::Malformed { .. }),
            "{broken}"
        );
    }
    fs::remove_file(manifest_path(&good.driver)).unwrap();
    assert!(matches!(good.refusal(), ManifestError::Missing(_)));
    fs::remove_file(&good.driver).unwrap();
    assert!(matches!(good.refusal(), ManifestError::Unreadable { .. }));
}

#[test]
fn a_manifest_that_is_a_symbolic_link_is_refused() {
    let good = folder();
    let path = manifest_path(&good.driver);
    let elsewhere = good.folder.path().join("elsewhere");
    fs::rename(&path, &elsewhere).unwrap();
    std::os::unix::fs::symlink(&elsewhere, &path).unwrap();
    assert!(matches!(good.refusal(), ManifestError::Writable { .. }));
}
