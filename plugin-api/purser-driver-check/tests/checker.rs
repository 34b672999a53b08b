//! The checker passes drivers that keep the contract, and fails each way to break it by its clause.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{Mutex, Once};

use tempfile::TempDir;

/// How each fault of `plugins/fault` is built or set, and the clause that it breaks.
const FAULTS: &[(&str, &str, &str)] = &[
    ("-DFAULT_NO_ENTRY", "", "L-1"),
    ("-DFAULT_EXIT_AT_LOAD", "", "L-2"),
    ("-DFAULT_HANG_AT_LOAD", "", "L-2"),
    ("-DFAULT_ABI_MAJOR=2", "", "G-3"),
    ("-DFAULT_STRUCT_SIZE=8", "", "G-2"),
    ("-DFAULT_TRANSMIT=NULL", "", "G-4"),
    ("-DFAULT_ANY_ABILITY", "", "G-4"),
    ("-DFAULT_ID=\"Bad Id\"", "", "L-3"),
    ("", "crash before create", "R-1 G-8"),
    ("", "takes-any-setting before create", "L-7"),
    ("", "log-flood after create", "E-6"),
    ("", "stderr-flood after create", "E-6"),
    ("", "event-flood after create", "E-5"),
    ("", "lie-about-cards after create", "E-3"),
    ("", "emit-for-ever after create", "L-6"),
    ("", "hang before destroy", "T-4"),
    ("", "crash before destroy", "G-8"),
    ("", "crash before transmit", "G-8"),
    ("", "abort after transmit", "G-8"),
    ("", "exit before transmit", "T-6"),
    ("", "hang before transmit", "T-4"),
    ("", "late after transmit", "T-4"),
    ("", "event-flood before transmit", "E-3"),
    ("", "lie-about-cards before transmit", "E-1"),
    ("", "secrets before transmit", "G-7"),
    ("", "log-flood before transmit", "E-6"),
    ("", "fork before transmit", "T-6"),
    ("", "fork-away before transmit", "T-6"),
    ("", "handler before transmit", "T-6"),
    ("", "close-descriptors before transmit", "G-6"),
    ("", "babble before transmit", "G-6"),
    ("", "oversize-frame before transmit", "G-6"),
    ("", "duplicate-answer before transmit", "G-6"),
    ("", "foreign-answer before transmit", "G-6"),
    ("", "unknown-code before transmit", "R-1"),
    ("", "busy after transmit", "C-7"),
    ("", "length-over-capacity after transmit", "M-2"),
    ("", "length-more after transmit", "M-2"),
    ("", "length-zero after transmit", "C-7"),
    ("", "no-status-word after transmit", "C-7"),
    ("", "overrun after transmit", "M-2"),
    ("", "overrun-far after transmit", "G-8"),
    ("", "repeat after transmit", "C-6"),
    ("", "leak before transmit", "G-9"),
    ("", "connection-zero before connect", "C-2"),
    ("", "connection-again before connect", "C-2"),
    ("", "long-atr before connect", "C-2"),
    ("", "stale before nothing", "C-5"),
    ("", "power-stays before nothing", "C-4"),
    ("", "hang before disconnect", "T-4"),
];

/// Threads that check at a time: most of what they do is to wait for deadlines.
const AT_ONCE: usize = 8;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn checker() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_purser-driver-check"))
}

/// Builds the driver host beside the checker, and the virtual reader.
fn build() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let status = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
            .args(["build", "--package", "purser-driver-host", "--package"])
            .args(["purser-virtual-reader", "--manifest-path"])
            .arg(root().join("Cargo.toml"))
            .status()
            .expect("cargo");
        assert!(status.success());
    });
    assert!(checker().with_file_name("purser-driver-host").exists());
}

fn compile(source: &str, options: &[&str], folder: &Path) -> PathBuf {
    let driver = folder.join("libtried.so");
    let status = Command::new("cc")
        .args([
            "-std=gnu11",
            "-Wall",
            "-Wextra",
            "-Werror",
            "-Wno-unused-function",
        ])
        .args(["-shared", "-fPIC", "-pthread", "-o"])
        .arg(&driver)
        .args(options)
        .arg("-I")
        .arg(root().join("plugin-api/include"))
        .arg(root().join("plugins").join(source))
        .status()
        .expect("a C compiler");
    assert!(status.success());
    driver
}

/// A port on which nobody listens, below those that the kernel gives away by itself.
fn port() -> u16 {
    static NEXT: Mutex<u16> = Mutex::new(0);
    let mut next = NEXT.lock().expect("no test fails with it");
    if *next == 0 {
        *next = 10_000 + u16::try_from(std::process::id() % 9000).expect("it is below 9000");
    }
    loop {
        *next += 1;
        if TcpListener::bind(("127.0.0.1", *next)).is_ok() {
            return *next;
        }
    }
}

fn check(driver: &Path, settings: &str, port: u16, more: &[&str]) -> Output {
    build();
    Command::new(checker())
        .arg(driver)
        .args(["--settings", settings])
        .args(["--virtual-card", &format!("127.0.0.1:{port}")])
        .args(more)
        .output()
        .expect("the checker runs")
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

#[test]
fn the_example_in_c_passes_all_that_concerns_it() {
    let folder = TempDir::new().expect("a folder");
    let driver = compile("example-c/vpcd_reader.c", &[], folder.path());
    let port = port();
    let output = check(&driver, &format!("port = {port}"), port, &[]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    assert_eq!(text(&output).matches("skipped ").count(), 1, "{}", text(&output));
}

#[test]
fn the_virtual_reader_passes_all() {
    build();
    let folder = TempDir::new().expect("a folder");
    let (port, pad) = (port(), folder.path().join("pad"));
    let settings =
        format!("[[slot]]\nname = \"reader\"\nport = {port}\n[pin_pad]\nname = \"pad\"\nsocket = {pad:?}\n");
    let driver = checker().with_file_name("libpurser_virtual_reader.so");
    let output = check(&driver, &settings, port, &["--json"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).expect("one JSON object");
    let checks = report["checks"].as_array().expect("checks");
    assert!(checks.iter().all(|check| check["verdict"] == "kept"), "{report}");
    assert_eq!(report["broken"], serde_json::json!([]));
}

#[test]
fn each_fault_is_found_by_its_clause() {
    build();
    let next = Mutex::new(FAULTS.iter());
    let wrong = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                loop {
                    let fault = next.lock().expect("no thread fails with it").next();
                    let Some(fault) = fault else { return };
                    if let Err(what) = is_found(fault) {
                        wrong.lock().expect("no thread fails with it").push(what);
                    }
                }
            });
        }
    });
    let wrong = wrong.into_inner().expect("no thread failed with it");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn is_found((build, mode, clauses): &(&str, &str, &str)) -> Result<(), String> {
    let folder = TempDir::new().map_err(|error| error.to_string())?;
    let options: Vec<&str> = build.split_terminator('\n').collect();
    let driver = compile("fault/fault.c", &options, folder.path());
    let port = port();
    let mut settings = format!("port = {port}\n");
    let mut words = mode.split(' ');
    if let (Some(mode), Some(moment), Some(at)) = (words.next(), words.next(), words.next()) {
        settings += &format!("mode = \"{mode}\"\nmoment = \"{moment}\"\nat = \"{at}\"\n");
    }
    let (only, expected) = clauses.split_once(' ').unwrap_or((clauses, clauses));
    let output = check(
        &driver,
        &settings,
        port,
        &["--json", "--cycles", "30", "--only", only],
    );
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
    let broken = report["broken"].as_array().cloned().unwrap_or_default();
    if output.status.code() == Some(1) && broken.iter().any(|clause| clause == expected) {
        return Ok(());
    }
    Err(format!(
        "{build}{mode}: {expected} was awaited: {}",
        text(&output)
    ))
}

#[test]
fn what_cannot_be_checked_is_said_with_another_exit_code() {
    let folder = TempDir::new().expect("a folder");
    let missing = check(&folder.path().join("none.so"), "", 1, &[]);
    assert_eq!(missing.status.code(), Some(3), "{}", text(&missing));
    let usage = Command::new(checker()).output().expect("the checker runs");
    assert_eq!(usage.status.code(), Some(2));
    let driver = compile("example-c/vpcd_reader.c", &[], folder.path());
    let no_host = check(&driver, "", 1, &["--host", "none"]);
    assert_eq!(no_host.status.code(), Some(3), "{}", text(&no_host));
    assert!(
        text(&no_host).contains("purser-driver-host"),
        "{}",
        text(&no_host)
    );
}
