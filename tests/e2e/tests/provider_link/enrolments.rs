//! Enrolment: lost answers, answers that do not fit, and what is stored.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::process::{Command, Output};

use purser_lab::stack::Programs;
use purserd::provider::{EnrolError, Enrolment, Identity, Pinned, names};
use serde_json::Value;

use crate::host::{CARD, Host, TILL, toml};
use crate::proxy::{Cut, Meter};
use crate::settlements::{shop, sold};
use crate::shop::{Customer, yen};
use crate::till::{Till, settle};

/// A handshake and one request with its answer.
const MESSAGES_MIN: u64 = 4;

fn new_code(host: &Host) -> String {
    let told = host.done(&["terminal", "code", TILL]);
    told[0]["enrolment_code"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn an_enrolment_that_is_cut_before_each_message_ends_well_when_it_is_repeated() {
    let mut host = Host::new(None);
    host.serve();
    let meter = Meter::new();
    let till = Till::new(&host.authority(), meter.in_front_of(host.address), None);
    let mut code = host.code.clone();
    let mut cuts = 0;
    for message in 0.. {
        meter.arm(Cut::BeforeMessage(message));
        let first = till.enrol(&code).await;
        let (.., is_cut) = meter.seen();
        meter.arm(Cut::Never);
        if let Err(error) = first {
            assert!(is_cut && error.is_transient(), "{error}");
            till.enrol(&code).await.unwrap();
        }
        // Done, and repeated all the same: the same answer.
        let before = std::fs::read(till.state().join("provider/identity.json")).unwrap();
        till.enrol(&code).await.unwrap();
        let after = std::fs::read(till.state().join("provider/identity.json")).unwrap();
        assert_eq!(before, after);
        let names = std::fs::read_dir(till.state().join("provider")).unwrap();
        assert_eq!(names.count(), 1, "no key is left behind");
        if !is_cut {
            break;
        }
        cuts += 1;
        code = new_code(&host);
    }
    assert!(cuts >= MESSAGES_MIN, "{cuts}");
    let (batch, items) = sold(&mut Customer::new(CARD), 1, &[100]);
    assert_eq!(
        settle(&till.link().await, &batch, &items).await.0.sum.total,
        yen(100)
    );
}

#[tokio::test]
async fn an_answer_that_does_not_fit_is_not_stored_and_its_code_stays_good() {
    let (mut host, other) = (Host::new(None), Host::new(None));
    host.serve();
    let till = Till::new(&other.authority(), host.address, None);
    let right = toml(&host.authority(), host.address, None);
    let wrong_authority = till.enrol(&host.code).await.unwrap_err();
    assert_eq!(
        wrong_authority.name(),
        names::NOT_THE_PROVIDER,
        "{wrong_authority}"
    );
    till.configure(&right.replace("provider.example", "other.example"));
    let wrong_name = till.enrol(&host.code).await.unwrap_err();
    assert!(
        matches!(wrong_name, EnrolError::OtherProvider { .. }),
        "{wrong_name}"
    );
    till.configure(&toml(&host.authority(), host.address, Some(host.address)));
    let wrong_mode = till.enrol(&host.code).await.unwrap_err();
    assert!(matches!(wrong_mode, EnrolError::OtherMode { .. }), "{wrong_mode}");
    till.configure(&right);
    let text = std::fs::read_to_string(till.path("purser.toml")).unwrap();
    std::fs::write(
        till.path("purser.toml"),
        text.replace("000000000001", "00000000000A"),
    )
    .unwrap();
    let wrong_number = till.enrol(&host.code).await.unwrap_err();
    assert!(
        matches!(wrong_number, EnrolError::OtherTerminalNumber { .. }),
        "{wrong_number}"
    );
    assert!(Identity::read(&till.state()).is_err(), "nothing is stored");
    till.configure(&right);
    till.enrol(&host.code).await.unwrap();
    // Another machine with the same code, and codes that are none.
    let thief = Till::new(&host.authority(), host.address, None);
    assert_eq!(thief.enrol(&host.code).await.unwrap_err().name(), "CodeUsed");
    assert_eq!(thief.enrol("00").await.unwrap_err().name(), "UnknownCode");
    assert_eq!(thief.enrol(&"0".repeat(300)).await.unwrap_err().name(), "BadCode");
    assert_eq!(
        thief.enrol_by(&Enrolment::Renewal).await.unwrap_err().name(),
        "NotEnrolled"
    );
    host.kill();
    let error = till.enrol_by(&Enrolment::Renewal).await.unwrap_err();
    assert_eq!((error.name(), error.is_transient()), (names::NOT_REACHED, true));
}

#[tokio::test]
async fn a_renewed_key_settles_and_an_open_key_file_is_refused() {
    let (host, till) = shop(None).await;
    let stored = || {
        let identity = Identity::read(&till.state()).unwrap();
        let pinned: Pinned = identity.pinned().clone();
        pinned
    };
    let before = stored();
    let renewed = till.enrol_by(&Enrolment::Renewal).await.unwrap();
    assert!(renewed == stored() && renewed != before, "another certificate");
    assert_eq!((renewed.role, renewed.terminal), (before.role, before.terminal));
    let (batch, items) = sold(&mut Customer::new(CARD), 1, &[100]);
    assert_eq!(
        settle(&till.link().await, &batch, &items).await.0.sum.total,
        yen(100)
    );
    let path = till.state().join("provider/identity.json");
    let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().mode() & 0o7777;
    assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
    let error = Identity::read(&till.state()).unwrap_err().to_string();
    assert!(error.contains("chmod 0600"), "{error}");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    for bytes in [&b""[..], b"{}", b"{\"version\":9}", &[0xFF; 100]] {
        std::fs::write(&path, bytes).unwrap();
        let error = Identity::read(&till.state()).unwrap_err().to_string();
        assert!(error.contains("is damaged"), "{error}");
    }
    drop(host);
}

fn purserd(till: &Till, arguments: &[&str]) -> Output {
    let mut command = Command::new(&Programs::build().unwrap().purserd);
    command.env_clear().args(arguments);
    command.arg("--config").arg(till.path("purser.toml"));
    command.arg("--state-dir").arg(till.state()).output().unwrap()
}

#[test]
fn the_program_enrols_tells_what_is_pinned_and_says_what_to_do_where_it_does_not() {
    let mut host = Host::new(None);
    let till = Till::new(&host.authority(), host.address, None);
    let told = |output: &Output| -> Value { serde_json::from_slice(&output.stdout).unwrap() };
    let output = purserd(&till, &["enrol", "--code", &host.code, "--json"]);
    assert_eq!(output.status.code(), Some(1));
    let refused = told(&output);
    assert_eq!(
        (&refused["error"], &refused["transient"]),
        (&"NotReached".into(), &true.into())
    );
    assert!(refused["remedy"].as_str().unwrap().contains("again"), "{refused}");
    host.serve();
    let output = purserd(&till, &["enrol", "--code", &host.code, "--json"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let enrolled = told(&output);
    assert_eq!(enrolled["terminal"], TILL);
    assert_eq!(enrolled["provider_account"], "000100110000001", "pinned (T4)");
    let stored = std::fs::read(till.state().join("provider/identity.json")).unwrap();
    let stored: Value = serde_json::from_slice(&stored).unwrap();
    let key = stored["key"].as_str().unwrap();
    assert!(key.len() > 100 && !String::from_utf8_lossy(&output.stdout).contains(key));
    let output = purserd(&till, &["enrol", "--renew"]);
    assert!(
        String::from_utf8_lossy(&output.stdout).contains("till-1"),
        "{output:?}"
    );
    // What doctor says of it: nothing, until the configuration means another provider.
    let doctor = |till: &Till| String::from_utf8(purserd(till, &["doctor"]).stdout).unwrap();
    assert!(!doctor(&till).contains("enrolment_"), "{}", doctor(&till));
    let right = toml(&host.authority(), host.address, None);
    till.configure(&right.replace("provider.example", "other.example"));
    assert!(doctor(&till).contains("enrolment_differs: this terminal is enrolled at provider.example"));
    let other = Till::new(&host.authority(), host.address, None);
    assert!(doctor(&other).contains("enrolment_unusable: this terminal is not enrolled"));
    for wrong in [&["enrol"][..], &["enrol", "--code", "x", "--renew"]] {
        assert_eq!(purserd(&till, wrong).status.code(), Some(2), "{wrong:?}");
    }
    till.configure("");
    let output = purserd(&till, &["enrol", "--renew"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        said.contains("[provider]") && said.contains("NotConfigured"),
        "{said}"
    );
}
