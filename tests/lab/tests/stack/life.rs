use std::fs;
use std::path::Path;
use std::time::Duration;

use purser_lab::stack::{Options, PIN_PAD, READER, SECOND_READER, Stack, StackError};

fn folder() -> tempfile::TempDir {
    tempfile::Builder::new()
        .prefix("purser stack ")
        .tempdir()
        .unwrap()
}

fn is_alive(pid: u32) -> bool {
    // A zombie has a folder too, but no program.
    fs::read_link(format!("/proc/{pid}/exe")).is_ok()
}

fn children(pid: u32) -> Vec<u32> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    let lists = tasks.map(|task| fs::read_to_string(task.unwrap().path().join("children")).unwrap());
    lists
        .flat_map(|list| {
            list.split_whitespace()
                .map(|pid| pid.parse().unwrap())
                .collect::<Vec<u32>>()
        })
        .collect()
}

#[test]
fn it_stands_when_purserd_says_ready_and_falls_without_leaving_anything_behind() {
    let folder = folder();
    let mut stack = Stack::start(folder.path(), Options::default()).unwrap();
    let purserd = stack.purserd_id().unwrap();
    let hosts = children(purserd);
    assert_eq!(hosts.len(), 1, "one driver, one driver host");
    let devices = stack
        .till()
        .unwrap()
        .call(async |purser| purser.devices().await)
        .unwrap()
        .devices;
    let names: Vec<&str> = devices.iter().map(|device| device.name.as_str()).collect();
    assert_eq!(names, [PIN_PAD, READER]);
    stack.stop().unwrap();
    assert!(!is_alive(purserd) && !is_alive(hosts[0]));
    assert!(matches!(stack.stop(), Err(StackError::NotRunning)));
}

#[test]
fn it_is_killed_and_starts_again_on_the_same_ports_and_state() {
    let folder = folder();
    let mut stack = Stack::start(folder.path(), Options::default()).unwrap();
    assert!(matches!(stack.start_again(), Err(StackError::Running)));
    for _ in 0..3 {
        let purserd = stack.purserd_id().unwrap();
        let hosts = children(purserd);
        stack.kill();
        assert!(!is_alive(purserd) && !hosts.iter().any(|host| is_alive(*host)));
        assert!(matches!(stack.till(), Err(StackError::Call { .. })));
        stack.start_again().unwrap();
        assert_ne!(stack.purserd_id(), Some(purserd));
    }
    let whole = stack.run_verb(&["verify-journal"]).unwrap();
    assert!(whole.status.success(), "{whole:?}");
}

#[test]
fn a_dropped_stack_takes_purserd_and_its_driver_hosts_with_it() {
    let folder = folder();
    let stack = Stack::start(folder.path(), Options::default()).unwrap();
    let purserd = stack.purserd_id().unwrap();
    let hosts = children(purserd);
    drop(stack);
    assert!(!is_alive(purserd) && !hosts.iter().any(|host| is_alive(*host)));
}

#[test]
fn a_second_reader_has_a_driver_host_of_its_own() {
    let folder = folder();
    let options = Options {
        second_reader: true,
        ..Options::default()
    };
    let stack = Stack::start(folder.path(), options).unwrap();
    assert_eq!(children(stack.purserd_id().unwrap()).len(), 2);
    let devices = stack
        .till()
        .unwrap()
        .call(async |purser| purser.devices().await)
        .unwrap()
        .devices;
    assert!(
        devices
            .iter()
            .any(|device| device.name == SECOND_READER && device.state == "ready")
    );
}

#[test]
fn a_purserd_that_does_not_start_is_told_at_once_and_with_its_own_words() {
    let folder = folder();
    let options = Options {
        drop_in: "[timeouts]\ncard_wait = 1\n".to_owned(),
        ..Options::default()
    };
    let Err(error) = Stack::start(folder.path(), options) else {
        panic!("a wrong key was taken");
    };
    assert!(
        matches!(&error, StackError::EndedEarly { status, .. } if status.code() == Some(78)),
        "{error}"
    );
    assert!(error.to_string().contains("card_wait"), "{error}");
}

#[test]
fn purserd_runs_behind_a_prefix_with_environment_and_is_found_stopped_and_killed_there() {
    let folder = folder();
    // A shell that stays between, as strace does.
    let script = "\"$@\"; code=$?; exit $code";
    let prefix = ["sh", "-c", script, "sh"].map(Into::into).to_vec();
    let options = Options {
        prefix,
        env: vec![("RUST_BACKTRACE".into(), "1".into())],
        log: "debug".to_owned(),
        ..Options::default()
    };
    let mut stack = Stack::start(folder.path(), options).unwrap();
    let purserd = stack.purserd_id().unwrap();
    let exe = fs::read_link(format!("/proc/{purserd}/exe")).unwrap();
    assert_eq!(exe.file_name(), Some("purserd".as_ref()));
    let environ = fs::read(Path::new("/proc").join(purserd.to_string()).join("environ"));
    // A hardened purserd shows its environment to root only.
    if let Ok(environ) = environ {
        assert!(String::from_utf8_lossy(&environ).contains("RUST_BACKTRACE=1"));
    }
    stack.stop().unwrap();
    stack.start_again().unwrap();
    let purserd = stack.purserd_id().unwrap();
    stack.kill();
    assert!(!is_alive(purserd));
    stack.start_again().unwrap();
    let ended = std::thread::scope(|scope| {
        let pid = stack.purserd_id().unwrap().to_string();
        scope.spawn(move || {
            std::process::Command::new("kill")
                .args(["-KILL", &pid])
                .status()
                .unwrap()
        });
        stack.wait_for_end(Duration::from_secs(20)).unwrap()
    });
    assert_eq!(ended.code(), Some(128 + 9), "the shell tells how purserd ended");
}
