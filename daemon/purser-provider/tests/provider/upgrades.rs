//! Data bases that earlier versions made.

use std::fs;

use purser_provider_link::{Claim, Reason};
use rusqlite::Connection;
use sha2::{Digest as _, Sha256};

use crate::client::Identity;
use crate::settling::{Shop, announced, claims, reason, send};
use crate::shop::{Customer, forged, seal};
use crate::support::{CARD, Provider};

const VERSION_1: &str = include_str!("../../src/store/1.sql");
const VERSION_1_SHA256: &str = "fef435ec8fb6f3088a4de0e825805baf51aa3dde5c4922c9d2ab8f0158408ede";

/// Puts what the provider has into a data base that the SQL of version 1 makes, in place of its own.
fn put_into_version_1(provider: &Provider) {
    let (old, new) = (provider.path("provider/provider.db"), provider.path("version-1"));
    let sql = Connection::open(&new).unwrap();
    sql.execute_batch("PRAGMA foreign_keys = OFF;").unwrap();
    sql.execute_batch(VERSION_1).unwrap();
    sql.execute_batch("PRAGMA application_id = 0x50555250; PRAGMA user_version = 1; DELETE FROM policy;")
        .unwrap();
    sql.execute("ATTACH ?1 AS newest", [old.to_str().unwrap()])
        .unwrap();
    let query = "SELECT name, (SELECT group_concat(name) FROM pragma_table_info(tables.name, 'main'))
                 FROM main.sqlite_master AS tables WHERE type = 'table'";
    let mut statement = sql.prepare(query).unwrap();
    let tables = statement.query_map((), |row| Ok((row.get(0)?, row.get(1)?)));
    let tables: Vec<(String, String)> = tables.unwrap().collect::<Result<_, _>>().unwrap();
    drop(statement);
    assert!(tables.len() > 20, "{tables:?}");
    for (table, columns) in tables {
        let copy = format!("INSERT INTO main.{table} ({columns}) SELECT {columns} FROM newest.{table}");
        sql.execute_batch(&copy).unwrap();
    }
    sql.close().unwrap();
    fs::rename(new, &old).unwrap();
    for beside in ["-wal", "-shm"] {
        let _ = fs::remove_file(provider.path(&format!("provider/provider.db{beside}")));
    }
}

/// Who has a data base of version 1 has it as this SQL made it: what comes later is a later version's.
#[test]
fn the_sql_of_version_1_is_not_edited() {
    assert_eq!(hex::encode(Sha256::digest(VERSION_1)), VERSION_1_SHA256);
}

#[test]
fn in_a_data_base_of_version_1_claims_are_judged_and_a_forged_debit_can_be_upheld() {
    let provider = Provider::furnished();
    let code = provider.till("till-1", "000000000001");
    put_into_version_1(&provider);
    let serving = provider.serve();
    let mut till = Identity::new(&provider.authority(), serving.address);
    till.enrol(&code);
    let shop = Shop {
        provider,
        serving,
        till,
    };
    let good = Customer::new(CARD).pay(300, 1, 1);
    let settle = |n: u8, claim: &Claim| {
        let items = claims(std::slice::from_ref(claim));
        let batch = seal(n, "till-1", &items);
        let mut line = announced(&shop.till, n, &batch);
        let verdicts = shop.verdicts(&send(&mut line, &batch, 0, &items).done());
        shop.permit(&mut line, &batch);
        reason(&verdicts[0])
    };
    assert_eq!(settle(1, &forged(&good)), Some(Reason::Forged));
    assert_eq!(settle(2, &good), Some(Reason::ForgedBefore));
    let (card, number) = (
        hex::encode(good.key.card.serial()),
        hex::encode(good.key.terminal_number),
    );
    shop.provider.done(&[
        "claims",
        "uphold",
        &card,
        &number,
        "1",
        "--why",
        "a faulty reader",
    ]);
    assert_eq!(settle(3, &good), None);
    assert_eq!(shop.provider.done(&["audit"])[0]["findings"], 0);
}
