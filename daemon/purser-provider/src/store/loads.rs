//! Loads and their attempts.

use purser_ledger::{CardId, Scheme};
use purser_provider_link::{Digest, LoadId};
use purser_provider_rules::load::{Attempt, Known, LoadRecord, Phase, Stored, VoidChallenge};
use rusqlite::{Connection, OptionalExtension};

use super::{amount, signed};
use crate::fault::Failure;

/// The name of a phase in the data base and in answers.
pub(crate) fn phase_name(phase: Phase) -> &'static str {
    match phase {
        Phase::Open => "open",
        Phase::Released => "released",
        Phase::Done => "done",
        Phase::Voided => "voided",
    }
}

const PHASES: [Phase; 4] = [Phase::Open, Phase::Released, Phase::Done, Phase::Voided];

/// The load with this number.
pub(crate) fn find(sql: &Connection, id: LoadId) -> Result<Option<LoadRecord>, Failure> {
    let query = "SELECT currency, minor, phase, card, void_challenge FROM load WHERE id = ?1";
    let found = sql
        .prepare_cached(query)?
        .query_row([id.0], |row| {
            let (currency, minor, phase): (String, i64, String) = (row.get(0)?, row.get(1)?, row.get(2)?);
            let (card, challenge): (Option<[u8; 10]>, Option<[u8; 6]>) = (row.get(3)?, row.get(4)?);
            Ok((currency, minor, phase, card, challenge))
        })
        .optional()?;
    let Some((currency, minor, phase, card, challenge)) = found else {
        return Ok(None);
    };
    let phase = PHASES.into_iter().find(|it| phase_name(*it) == phase);
    let phase = phase.ok_or(Failure::Damaged("the phase of a load"))?;
    let query = "SELECT number, online_sn, content FROM load_attempt WHERE load = ?1 ORDER BY number";
    let mut statement = sql.prepare_cached(query)?;
    let attempts = statement.query_map([id.0], |row| {
        Ok(Attempt {
            number: row.get(0)?,
            online_sn: row.get(1)?,
            content: Digest(row.get(2)?),
        })
    })?;
    Ok(Some(LoadRecord::restore(Stored {
        id,
        amount: amount(minor, &currency)?,
        phase,
        card: card.map(|serial| CardId::new(Scheme::Pboc, serial)),
        attempts: attempts.collect::<Result<_, _>>()?,
        // Of a load that is void it is kept as evidence only.
        challenge: challenge.filter(|_| phase != Phase::Voided).map(VoidChallenge),
    })))
}

/// Stores a load that was opened for a terminal, unless it is there.
pub(crate) fn open(sql: &Connection, record: &LoadRecord, terminal: &str, now: i64) -> Result<(), Failure> {
    sql.execute(
        "INSERT INTO load (id, terminal, currency, minor, phase, opened_at) VALUES (?1, ?2, ?3, ?4, 'open', ?5)
         ON CONFLICT (id) DO NOTHING",
        (
            record.id().0,
            terminal,
            record.amount().currency().code(),
            signed(record.amount().minor()),
            now,
        ),
    )?;
    Ok(())
}

/// Stores where a load stands; its attempts are stored by [`add_attempt`]. The challenge of a void stays: its proof is over it.
pub(crate) fn store(sql: &Connection, record: &LoadRecord) -> Result<(), Failure> {
    let challenge = record.challenge().map(|it| it.0);
    let change = "UPDATE load SET phase = ?2, card = ?3,
                    void_challenge = CASE WHEN ?2 = 'voided' THEN void_challenge ELSE ?4 END WHERE id = ?1";
    sql.prepare_cached(change)?.execute((
        record.id().0,
        phase_name(record.phase()),
        record.card().map(|card| *card.serial()),
        challenge,
    ))?;
    Ok(())
}

/// An answered attempt with what the card had said and what it was answered.
pub(crate) struct Answered {
    /// As [`Initialize`](crate::card_crypto::Initialize) and MAC1 came, see the load routes.
    pub(crate) initialize: Vec<u8>,
    pub(crate) date_time: [u8; 7],
    pub(crate) mac2: [u8; 4],
}

/// Stores the record's newest attempt.
pub(crate) fn add_attempt(
    sql: &Connection,
    record: &LoadRecord,
    terminal: &str,
    answered: &Answered,
) -> Result<(), Failure> {
    let attempt = record.last().ok_or(Failure::Damaged("a load's attempts"))?;
    sql.prepare_cached(
        "INSERT INTO load_attempt (load, number, online_sn, content, initialize, terminal, date_time, mac2)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
    )?
    .execute((
        record.id().0,
        attempt.number,
        attempt.online_sn,
        attempt.content.0,
        &answered.initialize,
        terminal,
        answered.date_time,
        answered.mac2,
    ))?;
    Ok(())
}

/// The answered attempts of a load, the newest first.
pub(crate) fn answered(sql: &Connection, id: LoadId) -> Result<Vec<(u8, Answered)>, Failure> {
    let query =
        "SELECT number, initialize, date_time, mac2 FROM load_attempt WHERE load = ?1 ORDER BY number DESC";
    let mut statement = sql.prepare_cached(query)?;
    let rows = statement.query_map([id.0], |row| {
        let answered = Answered {
            initialize: row.get(1)?,
            date_time: row.get(2)?,
            mac2: row.get(3)?,
        };
        Ok((row.get(0)?, answered))
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// What the card's other loads say about it.
pub(crate) fn known(sql: &Connection, card: &[u8; 10], id: LoadId) -> Result<Known, Failure> {
    let query = "SELECT id FROM load WHERE card = ?1 AND phase = 'released' AND id <> ?2";
    let in_doubt = sql
        .prepare_cached(query)?
        .query_row((card, id.0), |row| row.get(0))
        .optional()?;
    let query =
        "SELECT coalesce(max(online_sn + (phase = 'done')), 0) FROM load JOIN load_attempt ON load = id
                 WHERE card = ?1 AND phase IN ('done', 'voided') AND id <> ?2";
    let online_sn_least: i64 = sql
        .prepare_cached(query)?
        .query_row((card, id.0), |row| row.get(0))?;
    Ok(Known {
        in_doubt: in_doubt.map(LoadId),
        // Past its last load a card makes no other.
        online_sn_least: u16::try_from(online_sn_least).unwrap_or(u16::MAX),
    })
}
