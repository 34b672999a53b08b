//! Running a test inside namespaces that have a pcscd of their own.

use std::any::type_name;
use std::env;
use std::process::Command;

use super::rival;

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/with-pcscd.sh");
/// Set inside the namespaces: the test's name.
const INSIDE: &str = "PURSER_TEST_INSIDE";

/// Runs the calling test's `body` beside a pcscd: the test starts its own program again, for itself alone.
pub(crate) fn inside<F: FnOnce()>(body: F) {
    if rival::is_wanted() {
        return rival::hold();
    }
    if env::var_os(INSIDE).is_some() {
        return body();
    }
    let name = name_of::<F>();
    let output = Command::new(SCRIPT)
        .arg(env::current_exe().expect("a program knows itself"))
        .args([name, "--exact", "--nocapture", "--test-threads=1"])
        .env(INSIDE, name)
        .output()
        .expect("the script can be run");
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && told.contains("1 passed"),
        "{}\n{told}\n{}",
        output.status,
        String::from_utf8_lossy(&output.stderr),
    );
}

/// The name of the test that runs inside.
pub(crate) fn test_name() -> String {
    env::var(INSIDE).expect("inside, it is set")
}

/// The test's name as the test harness has it, from the type of its body: `pcscd::cards::name::{{closure}}`.
fn name_of<F>() -> &'static str {
    let path = type_name::<F>();
    let (_, path) = path.split_once("::").expect("a path begins with the crate");
    path.strip_suffix("::{{closure}}").expect("a body is a closure")
}
