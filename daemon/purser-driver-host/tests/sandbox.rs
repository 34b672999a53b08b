//! What vendor code sees of the daemon: nothing.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a helper of a test fails the test"
)]

mod common;

use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};

use common::{Bench, compile, fault_driver, host_program, install, run};
use purser_driver_supervisor::wire::LoadFault;
use purser_driver_supervisor::{DownReason, DriverConfig, DriverEvent, manifest};

#[test]
fn the_environment_is_empty_and_no_descriptor_leaks() {
    let driver = fault_driver();
    // A descriptor that survives exec, as a careless library may leave one; and a variable worth stealing.
    let (leak, _other) = UnixStream::pair().unwrap();
    let leaked = leak.as_raw_fd();
    run(async {
        let mut bench = Bench::start(DriverConfig::new(
            "fault",
            &driver.driver,
            "mode = \"look-around\"",
        ));
        let mut lines = Vec::new();
        loop {
            match bench.event().await {
                DriverEvent::Log { text, .. } => lines.push(text.to_string()),
                DriverEvent::Ready { .. } => break,
                DriverEvent::Failed { reason } => panic!("{reason:?}"),
                _ => {}
            }
        }
        assert_eq!(lines[0], "environment: 0");
        let descriptors = lines[1].trim_start_matches("descriptors/");
        // 0 to 2, the socket, and the file that is the driver; never the test's own.
        assert_eq!(descriptors, "0/1/2/3/4", "{leaked} must not be there");
        assert_eq!(lines[2], "core: 0, dumpable: 0, leader: 1, no new privileges: 1");

        let process = bench.handle.status().process_id.unwrap();
        // Only root may look at a process that is not dumpable; others have the driver's own words above.
        if let Ok(environment) = std::fs::read(format!("/proc/{process}/environ")) {
            assert_eq!(environment, b"");
        }
    });
}

#[test]
fn a_host_with_an_environment_or_without_a_socket_loads_nothing() {
    let (_ours, theirs) = UnixStream::pair().unwrap();
    let with_environment = Command::new(host_program())
        .env_clear()
        .env("SECRET", "1")
        .stdin(std::os::fd::OwnedFd::from(theirs))
        .stderr(Stdio::null())
        .status()
        .unwrap();
    assert_eq!(with_environment.code(), Some(2));
    let without_socket = Command::new(host_program())
        .env_clear()
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .unwrap();
    assert_eq!(without_socket.code(), Some(2));
}

#[test]
fn a_descriptor_that_survives_exec_is_closed() {
    // The shell passes descriptor 9 on; the host says nothing and ends when its socket does.
    let (ours, theirs) = UnixStream::pair().unwrap();
    let script = format!("exec 9</dev/null; exec env -i {}", host_program().display());
    let mut child = Command::new("sh")
        .args(["-c", &script])
        .stdin(std::os::fd::OwnedFd::from(theirs))
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let folder = format!("/proc/{}/fd", child.id());
    let is_shut_in = || {
        let name = std::fs::read_link(format!("/proc/{}/exe", child.id())).unwrap_or_default();
        let stdin = std::fs::read_link(format!("{folder}/0")).unwrap_or_default();
        name == host_program() && stdin == std::path::Path::new("/dev/null")
    };
    let started = std::time::Instant::now();
    while !is_shut_in() && started.elapsed() < common::LONG {
        std::thread::yield_now();
    }
    assert!(is_shut_in(), "needs the right to read {folder}");
    assert!(!std::path::Path::new(&format!("{folder}/9")).exists());
    drop(ours);
    assert!(child.wait().unwrap().code().is_some());
}

#[test]
fn a_driver_for_another_abi_is_not_loaded_even_if_its_manifest_lies() {
    let good = fault_driver();
    let other = compile(good.folder.path(), &["-DFAULT_ABI_MAJOR=2"]);
    assert_eq!(other, good.driver);
    let error = manifest::write(&other, &[], &host_program()).unwrap_err();
    assert!(
        matches!(
            error,
            manifest::MakeError::NotLoaded {
                fault: LoadFault::Abi,
                ..
            }
        ),
        "{error}"
    );

    let path = manifest::manifest_path(&good.driver);
    let old = std::fs::read_to_string(&path).unwrap();
    let digest = Command::new("sha256sum").arg(&other).output().unwrap();
    let digest = String::from_utf8(digest.stdout).unwrap()[..64].to_owned();
    let lines = old.lines().filter(|line| !line.starts_with("sha256"));
    let lying: String = lines
        .chain([format!("sha256 = \"{digest}\"").as_str()])
        .map(|line| format!("{line}\n"))
        .collect();
    std::fs::write(&path, lying).unwrap();
    run(async {
        let mut bench = Bench::start(DriverConfig::new("fault", &good.driver, ""));
        let DriverEvent::Failed { reason } = bench.event().await else {
            panic!("not refused")
        };
        assert!(
            matches!(
                reason,
                DownReason::NotLoaded {
                    fault: LoadFault::Abi,
                    ..
                }
            ),
            "{reason:?}"
        );
    });
}

#[test]
fn a_library_that_is_no_driver_gets_no_manifest() {
    let folder = tempfile::TempDir::new().unwrap();
    let source = folder.path().join("empty.c");
    std::fs::write(&source, "int nothing;\n").unwrap();
    let library = folder.path().join("libempty.so");
    let built = Command::new("cc")
        .args(["-shared", "-fPIC", "-o"])
        .arg(&library)
        .arg(&source)
        .status()
        .unwrap();
    assert!(built.success());
    let error = manifest::write(&library, &[], &host_program()).unwrap_err();
    assert!(
        matches!(
            error,
            manifest::MakeError::NotLoaded {
                fault: LoadFault::NoEntry,
                ..
            }
        ),
        "{error}"
    );
    assert!(!manifest::manifest_path(&library).exists());
    // An installed one is loaded, so that the refusal is the library's.
    install(&compile(folder.path(), &[]));
}
