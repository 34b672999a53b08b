use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

/// Runs the demo in another folder than the workspace, with a space in the path of its files.
fn demo(arguments: &[&str]) -> Output {
    let folder = tempfile::Builder::new().prefix("a demo ").tempdir().unwrap();
    let mut program = Command::new(env!("CARGO_BIN_EXE_purser-lab"));
    program
        .arg("demo")
        .args(arguments)
        .current_dir(folder.path())
        .env("TMPDIR", folder.path());
    let output = program.output().unwrap();
    let left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().collect();
    assert!(left.is_empty(), "the demo leaves nothing behind: {left:?}");
    output
}

fn last_object(output: &Output) -> Value {
    let told = std::str::from_utf8(&output.stdout).unwrap();
    serde_json::from_str(told.lines().last().unwrap()).unwrap()
}

#[test]
fn the_demo_balances_and_says_so_in_its_last_line() {
    let output = demo(&["--", "--json"]);
    assert!(output.status.success(), "{output:?}");
    let found = last_object(&output);
    assert_eq!(found["balanced"], true, "{found:#}");
    assert_eq!(found["kills"], 1);
    let claims = found["claims"].as_array().unwrap();
    let proofs: Vec<_> = claims
        .iter()
        .map(|claim| claim["proof"].as_str().unwrap())
        .collect();
    assert_eq!(
        proofs,
        ["answer", "prove", "answer"],
        "the torn sale is proven by the card afterwards"
    );
    assert!(claims.iter().all(|claim| claim["verified"] == true));
    let minor = |name: &str| found[name].as_u64().unwrap();
    let claimed: u64 = claims
        .iter()
        .map(|claim| claim["amount_minor"].as_u64().unwrap())
        .sum();
    assert_eq!((minor("claims_minor"), minor("permits_minor")), (0, claimed));
    let settled = &found["settled"];
    assert_eq!(settled["batch"]["state"], "exchanged");
    assert_eq!(settled["provider_permits_minor"], claimed, "both parties agree");
    assert_eq!(minor("sales_minor"), claimed);
    assert_eq!(
        minor("issued_minor"),
        minor("on_card_minor") + claimed + minor("in_doubt_minor")
    );
    let outcomes = found["sales"]
        .as_array()
        .unwrap()
        .iter()
        .map(|sale| sale["outcome"].as_str().unwrap());
    assert_eq!(outcomes.collect::<Vec<_>>(), ["paid", "paid", "paid", "not_paid"]);
}

#[test]
fn the_story_names_every_step_of_a_purchase_and_ends_balanced() {
    let output = demo(&[]);
    assert!(output.status.success(), "{output:?}");
    let told = String::from_utf8(output.stdout).unwrap();
    for awaited in [
        "S20",
        "S21",
        "S22",
        "S23",
        "S24",
        "S30",
        "S34",
        "in_doubt",
        "kill -9",
        "insufficient_funds",
        "completed",
    ] {
        assert!(told.contains(awaited), "{awaited} is missing in\n{told}");
    }
    assert!(
        told.lines().last().unwrap().starts_with("Everything balances"),
        "{told}"
    );
}

#[test]
fn one_changed_digit_of_a_stored_claim_makes_the_demo_fail_and_name_the_checks() {
    let output = demo(&["--json", "--tamper"]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let found = last_object(&output);
    assert_eq!(found["balanced"], false);
    let checks = found["checks"].as_array().unwrap().iter();
    let failed: Vec<_> = checks
        .filter(|check| check["holds"] == false)
        .map(|check| check["name"].as_str().unwrap())
        .collect();
    assert!(
        failed.contains(&"the issuer's key confirms every claim"),
        "{found:#}"
    );
    assert!(
        failed.contains(&"the journal is whole and ends in its head"),
        "{found:#}"
    );
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(stderr.contains("not everything balances"), "{stderr}");
}

#[test]
fn a_demo_that_is_killed_leaves_no_purserd_behind() {
    let folder = tempfile::tempdir().unwrap();
    let mut program = Command::new(env!("CARGO_BIN_EXE_purser-lab"));
    let program = program.arg("demo").env("TMPDIR", folder.path());
    let mut demo = program.stdout(Stdio::piped()).spawn().unwrap();
    let mut told = BufReader::new(demo.stdout.take().unwrap()).lines();
    assert!(told.any(|line| line.unwrap().contains("purserd is ready")));
    let tasks = fs::read_dir(format!("/proc/{}/task", demo.id())).unwrap();
    let children = tasks.map(|task| fs::read_to_string(task.unwrap().path().join("children")).unwrap());
    let children: Vec<String> = children
        .flat_map(|list| list.split(' ').map(str::to_owned).collect::<Vec<_>>())
        .collect();
    let exe = |pid: &str| fs::read_link(format!("/proc/{pid}/exe")).ok();
    let is_purserd = |pid: &&String| exe(pid).is_some_and(|exe| exe.ends_with("purserd"));
    let purserd = children.iter().find(is_purserd).unwrap();
    demo.kill().unwrap();
    demo.wait().unwrap();
    let end = Instant::now() + Duration::from_secs(20);
    while exe(purserd).is_some() {
        assert!(Instant::now() < end, "purserd outlives the demo");
        std::thread::sleep(Duration::from_millis(1));
    }
}
