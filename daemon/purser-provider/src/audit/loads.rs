//! Loads: each MAC1, MAC2, TAC and proof of a void is reckoned again from what the card said.

use super::Audit;
use super::raw::{digest, part};
use crate::card_crypto::Initialize;
use crate::fault::Failure;
use crate::masters::CardKeys;

struct Load {
    id: Vec<u8>,
    name: String,
    currency: String,
    minor: i64,
    phase: String,
    card: Option<Vec<u8>>,
    tac: Option<Vec<u8>>,
    void_challenge: Option<Vec<u8>>,
    void_proof: Option<Vec<u8>>,
}

/// What a card said, as it is stored: card 10 · old balance 4 · amount 4 · terminal number 6 · online SN 2 · random 4 · key
/// version 1 · algorithm 1 · MAC1 4.
struct Said {
    card: [u8; 10],
    initialize: Initialize,
    mac1: [u8; 4],
}

fn read(stored: &[u8]) -> Option<Said> {
    let said = Said {
        card: part(stored, 0)?,
        initialize: Initialize {
            old_balance: u32::from_be_bytes(part(stored, 10)?),
            amount: u32::from_be_bytes(part(stored, 14)?),
            terminal_number: part(stored, 18)?,
            online_sn: u16::from_be_bytes(part(stored, 24)?),
            random: part(stored, 26)?,
        },
        mac1: part(stored, 32)?,
    };
    (stored.len() == 36).then_some(said)
}

pub(super) fn check(audit: &mut Audit<'_>) -> Result<(), Failure> {
    let query = "SELECT id, lower(hex(id)), currency, minor, phase, card, tac, void_proof, void_challenge FROM load ORDER BY id";
    let mut statement = audit.sql.prepare(query)?;
    let mut rows = statement.query(())?;
    while let Some(row) = rows.next()? {
        let load = Load {
            id: row.get(0)?,
            name: row.get(1)?,
            currency: row.get(2)?,
            minor: row.get(3)?,
            phase: row.get(4)?,
            card: row.get(5)?,
            tac: row.get(6)?,
            void_proof: row.get(7)?,
            void_challenge: row.get(8)?,
        };
        one(audit, &load)?;
    }
    Ok(())
}

fn card_keys(audit: &Audit<'_>, load: &Load) -> Result<Option<CardKeys>, Failure> {
    let Some(serial) = load.card.as_deref().and_then(|it| <[u8; 10]>::try_from(it).ok()) else {
        return Ok(None);
    };
    let query = "SELECT key_version FROM card WHERE serial = ?1 AND currency = ?2";
    let mut statement = audit.sql.prepare_cached(query)?;
    let mut rows = statement.query((serial, &load.currency))?;
    let version: Option<u8> = rows.next()?.map(|row| row.get(0)).transpose()?;
    Ok(version
        .and_then(|it| audit.keys.version(it))
        .map(|it| it.card(&serial)))
}

fn one(audit: &mut Audit<'_>, load: &Load) -> Result<(), Failure> {
    let keys = card_keys(audit, load)?;
    let query = "SELECT number, online_sn, content, initialize, terminal, date_time, mac2 FROM load_attempt
                 WHERE load = ?1 ORDER BY number";
    let mut statement = audit.sql.prepare_cached(query)?;
    let mut rows = statement.query([&load.id])?;
    let (mut attempts, mut first_sn, mut is_proven) = (0_u32, None, false);
    while let Some(row) = rows.next()? {
        attempts += 1;
        let (number, online_sn, content): (u32, u16, Vec<u8>) = (row.get(0)?, row.get(1)?, row.get(2)?);
        let (initialize, terminal): (Vec<u8>, String) = (row.get(3)?, row.get(4)?);
        let (date_time, mac2): (Vec<u8>, Vec<u8>) = (row.get(5)?, row.get(6)?);
        let what = || format!("attempt {number} of load {}", load.name);
        let (Some(said), Some(keys), Some(at)) = (read(&initialize), &keys, part::<7>(&date_time, 0)) else {
            audit.find("LoadEvidence", format!("{} cannot be checked", what()));
            continue;
        };
        let sn = *first_sn.get_or_insert(online_sn);
        let is_as_said = number == attempts
            && load.card.as_deref() == Some(&said.card[..])
            && i64::from(said.initialize.amount) == load.minor
            && said.initialize.online_sn == online_sn
            && online_sn == sn
            && digest(&[terminal.as_bytes(), &initialize])[..] == content[..];
        audit.check(is_as_said, "LoadAttempt", || {
            format!("{} is not what the card said", what())
        });
        audit.check(said.initialize.mac1(&keys.load) == said.mac1, "LoadMac1", || {
            format!("the MAC1 of {} is no card's", what())
        });
        audit.check(
            said.initialize.mac2(&keys.load, &at)[..] == mac2[..],
            "LoadMac2",
            || format!("the MAC2 of {} is not the one for it", what()),
        );
        let tac = said.initialize.tac(&keys.tac, &at);
        is_proven |= tac.is_some() && load.tac.as_deref() == tac.as_ref().map(|it| &it[..]);
    }
    drop(rows);
    drop(statement);
    end(audit, load, keys.as_ref(), attempts, first_sn, is_proven);
    Ok(())
}

/// Whether the load stands where its evidence says.
fn end(
    audit: &mut Audit<'_>,
    load: &Load,
    keys: Option<&CardKeys>,
    attempts: u32,
    online_sn: Option<u16>,
    is_proven: bool,
) {
    let is_void_proven = || {
        let said = load.void_proof.as_deref().and_then(read);
        said.zip(keys).is_some_and(|(said, keys)| {
            said.initialize.mac1(&keys.load) == said.mac1
                && Some(said.initialize.online_sn) == online_sn
                && i64::from(said.initialize.amount) == load.minor
                && load.void_challenge.as_deref() == Some(&said.initialize.terminal_number[..])
                && load.card.as_deref() == Some(&said.card[..])
        })
    };
    let holds = match load.phase.as_str() {
        "open" => attempts == 0 && load.tac.is_none() && load.void_proof.is_none(),
        "released" => attempts > 0 && load.tac.is_none() && load.void_proof.is_none(),
        "done" => attempts > 0 && is_proven && load.void_proof.is_none(),
        "voided" if attempts == 0 => load.tac.is_none() && load.void_proof.is_none(),
        "voided" => load.tac.is_none() && is_void_proven(),
        _ => false,
    };
    audit.check(holds, "LoadPhase", || {
        format!(
            "load {} is {}, and its evidence says otherwise",
            load.name, load.phase
        )
    });
    let minor = i128::from(load.minor);
    let expected = audit.expected(&load.currency);
    match load.phase.as_str() {
        "released" => {
            expected.issued += minor;
            expected.loads_in_doubt += minor;
        }
        "done" => expected.issued += minor,
        _ => {}
    }
}
