//! The commands that furnish a provider.

use std::os::unix::fs::MetadataExt;

use serde_json::json;

use crate::support::{CARD, POINT, Provider};

#[test]
fn a_new_provider_has_its_keys_closed_to_others_and_a_folder_that_is_used_is_refused() {
    let provider = Provider::new();
    for name in ["authority.key", "server.key", "signing.key", "provider.db"] {
        let mode = provider.path("provider").join(name).metadata().unwrap().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    assert_eq!(
        provider.path("provider").metadata().unwrap().mode() & 0o777,
        0o700
    );
    let path = provider.path("provider");
    let again = [
        "init",
        path.to_str().unwrap(),
        "--name",
        "other",
        "--host",
        "localhost",
    ];
    assert_eq!(provider.refused(&again), "FolderNotEmpty");
    let other = provider.path("other");
    let bad_host = [
        "init",
        other.to_str().unwrap(),
        "--name",
        "other",
        "--host",
        "no host",
    ];
    assert_eq!(provider.refused(&bad_host), "HostName");
}

#[test]
fn a_command_that_is_repeated_changes_nothing_and_other_facts_are_refused() {
    let provider = Provider::furnished();
    let bank = |account| {
        [
            "bank",
            "add",
            "first",
            "--account",
            account,
            "--sealing-key",
            POINT,
        ]
    };
    provider.done(&bank("000100110000001"));
    assert_eq!(provider.refused(&bank("000100110000009")), "NameTaken");
    assert_eq!(
        provider.refused(&["bank", "add", "b", "--account", "1", "--sealing-key", POINT]),
        "Account"
    );
    let no_point = "04".repeat(65);
    let bad_key = [
        "bank",
        "add",
        "b",
        "--account",
        "000200110000001",
        "--sealing-key",
        &no_point,
    ];
    assert_eq!(provider.refused(&bad_key), "SealingKey");
    // A merchant's account is pinned when it is added (money rule T4).
    let merchant = |account| {
        [
            "merchant",
            "add",
            "kiosk",
            "--bank",
            "first",
            "--account",
            account,
        ]
    };
    provider.done(&merchant("000100220000002"));
    assert_eq!(provider.refused(&merchant("000100220000003")), "NameTaken");
    let elsewhere = [
        "merchant",
        "add",
        "bar",
        "--bank",
        "first",
        "--account",
        "000200220000002",
    ];
    assert_eq!(provider.refused(&elsewhere), "UnknownBank");
    assert_eq!(
        provider.done(&["merchant", "list"]),
        [json!({
            "merchant": "kiosk", "bank": "first", "account": "000100220000002"
        })]
    );
}

#[test]
fn a_card_gets_its_keys_from_the_masters_and_no_key_is_in_the_data_base() {
    let provider = Provider::furnished();
    let keys: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(provider.path("card.json")).unwrap()).unwrap();
    let masters = purser_lab::issuer::Masters::public_lab();
    let expected = masters.card_keys(purser_lab::card::Serial([0, 0, 0, 0, 0x20, 0x26, 0, 0, 0, 1]).asn());
    for (name, key) in [
        ("purchase", expected.purchase),
        ("load", expected.load),
        ("tac", expected.tac),
    ] {
        assert_eq!(keys[name], key.to_hex(), "{name}");
    }
    assert_eq!(
        provider.path("card.json").metadata().unwrap().mode() & 0o777,
        0o600
    );
    for file in ["provider.db", "provider.db-wal"] {
        let bytes = std::fs::read(provider.path("provider").join(file)).unwrap_or_default();
        for key in [
            masters.purchase.to_hex(),
            masters.load.to_hex(),
            masters.tac.to_hex(),
        ] {
            let raw = hex::decode(&key).unwrap();
            assert!(
                !bytes.windows(raw.len()).any(|it| it == raw),
                "{file} holds a master key"
            );
            assert!(
                !String::from_utf8_lossy(&bytes)
                    .to_lowercase()
                    .contains(&key.to_lowercase())
            );
        }
    }
    let to = provider.path("again.json");
    let issue = |serial, currency| {
        [
            "card",
            "issue",
            "--serial",
            serial,
            "--currency",
            currency,
            "--key-version",
            "1",
            "--keys-to",
            to.to_str().unwrap(),
        ]
    };
    assert_eq!(provider.refused(&issue(CARD, "EUR")), "CardIssued");
    assert_eq!(
        provider.refused(&issue("99990000202600000001", "JPY")),
        "AsnTaken"
    );
    provider.done(&issue(CARD, "JPY"));
    assert_eq!(provider.done(&["card", "list"]).len(), 1);
}

#[test]
fn a_key_file_that_others_can_read_or_that_has_changed_is_refused() {
    let provider = Provider::furnished();
    let text = std::fs::read_to_string(provider.path("provider/card-keys")).unwrap();
    let to = provider.path("x.json");
    let issue = [
        "card",
        "issue",
        "--serial",
        "00000000202600000002",
        "--currency",
        "JPY",
        "--key-version",
        "1",
        "--keys-to",
        to.to_str().unwrap(),
    ];
    provider.write("provider/card-keys", &text, 0o640);
    assert_eq!(provider.refused(&issue), "KeyFileOpen");
    provider.write("provider/card-keys", &text.replace("0F1E", "0F3E"), 0o600);
    assert_eq!(provider.refused(&issue), "OtherKeys");
    provider.write("provider/card-keys", "[[masters]]\nversion = x", 0o600);
    assert_eq!(provider.refused(&issue), "CardKeys");
    provider.write("provider/card-keys", &text, 0o600);
    provider.done(&["key", "version", "block", "1"]);
    assert_eq!(provider.refused(&issue), "KeyVersionBlocked");
    assert!(!to.exists(), "a refused card has no keys");
}

#[test]
fn a_terminal_is_bound_to_role_merchant_and_numbers_and_a_revoked_one_stays_revoked() {
    let provider = Provider::furnished();
    let shop = |name, number| {
        [
            "terminal",
            "add",
            name,
            "--role",
            "merchant",
            "--merchant",
            "kiosk",
            "--psam-number",
            number,
            "--bank-terminal",
            "KIOSK001",
            "--standing-link",
        ]
    };
    let code = provider.done(&shop("till-1", "000000000001"));
    assert_eq!(code[0]["enrolment_code"].as_str().unwrap().len(), 32);
    assert_eq!(provider.refused(&shop("till-1", "000000000002")), "NameTaken");
    assert_eq!(provider.refused(&shop("till-2", "000000000001")), "NumberTaken");
    let mixed = [
        "terminal",
        "add",
        "desk",
        "--role",
        "provider",
        "--merchant",
        "kiosk",
        "--standing-link",
    ];
    assert_eq!(provider.refused(&mixed), "Role");
    assert_ne!(provider.done(&["terminal", "code", "till-1"]), code);
    provider.done(&["terminal", "suspend", "till-1"]);
    provider.done(&["terminal", "resume", "till-1"]);
    provider.done(&["terminal", "revoke", "till-1"]);
    for verb in ["suspend", "resume", "code"] {
        assert_eq!(provider.refused(&["terminal", verb, "till-1"]), "Revoked");
    }
    assert_eq!(
        provider.refused(&["terminal", "revoke", "till-9"]),
        "UnknownTerminal"
    );
    assert_eq!(provider.done(&["terminal", "list"])[0]["standing"], "revoked");
}

#[test]
fn each_change_of_the_hot_list_is_a_new_version() {
    let provider = Provider::furnished();
    let add = ["hotlist", "add", CARD, "--reason", "lost"];
    assert_eq!(provider.done(&add)[0]["version"], 1);
    assert_eq!(provider.done(&add)[0]["version"], 1, "a repeat is no change");
    assert_eq!(provider.done(&["hotlist", "list"])[0]["since_version"], 1);
    assert_eq!(provider.done(&["hotlist", "remove", CARD])[0]["version"], 2);
    assert!(provider.done(&["hotlist", "list"]).is_empty());
    assert_eq!(
        provider.refused(&["hotlist", "add", "00000000202600000009", "--reason", "x"]),
        "UnknownCard"
    );
}

#[test]
fn a_terminal_does_not_have_the_providers_own_name() {
    let provider = Provider::furnished();
    let add = [
        "terminal",
        "add",
        "provider.example",
        "--role",
        "provider",
        "--standing-link",
    ];
    assert_eq!(provider.refused(&add), "NameTaken");
}

#[test]
fn a_balance_that_cannot_be_is_told_and_ends_no_process() {
    let provider = Provider::furnished();
    let file = provider.path("provider/provider.db");
    let sql = rusqlite::Connection::open(file).unwrap();
    sql.execute("INSERT INTO books VALUES ('JPY', 'issued', ?1)", [i64::MAX])
        .unwrap();
    let output = provider.run(&["liability"]);
    assert_eq!(output.status.code(), Some(5), "{output:?}");
    let told = String::from_utf8(output.stdout).unwrap();
    assert!(told.contains("contradicts itself in a balance"), "{told}");
    assert_eq!(
        provider.run(&["audit"]).status.code(),
        Some(1),
        "it names the account"
    );
}
