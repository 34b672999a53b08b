//! Permits and their generations (money rule B4).

use purser_provider_link::{BankAccount, BankTerminalId, Digest, Permit, PermitId, Sum, TerminalName};
use purser_provider_rules::permit::{PermitRecord, Phase};
use rusqlite::{Connection, OptionalExtension};

use crate::authority::Authority;
use crate::fault::Failure;
use crate::token;

/// How long a permit can be presented: over a long holiday.
const PERMIT_SECONDS: i64 = 14 * 86_400;

const PHASES: [(Phase, &str); 4] = [
    (Phase::Live, "live"),
    (Phase::Revoking, "revoking"),
    (Phase::Revoked, "revoked"),
    (Phase::Redeemed, "redeemed"),
];

/// The name of a phase in the data base and in answers.
pub(crate) fn phase_name(phase: Phase) -> &'static str {
    PHASES
        .into_iter()
        .find_map(|(known, name)| (known == phase).then_some(name))
        .expect("the table has every phase")
}

/// A permit that is about to be issued.
pub(crate) struct Draft {
    pub(crate) id: PermitId,
    pub(crate) generation: u32,
    /// The row of the batch, and its digest.
    pub(crate) batch: (i64, Digest),
    pub(crate) verdicts: Digest,
    pub(crate) sum: Sum,
    pub(crate) presenter: TerminalName,
}

/// The newest generation of a permit.
pub(crate) struct Stored {
    /// The row of its batch.
    pub(crate) row: i64,
    pub(crate) record: PermitRecord,
    pub(crate) permit: Permit,
    pub(crate) document: Vec<u8>,
    pub(crate) signature: Vec<u8>,
}

/// Makes a permit for its presenter, signs and stores it.
pub(crate) fn issue(
    authority: &Authority,
    sql: &Connection,
    draft: Draft,
    now: i64,
) -> Result<Permit, Failure> {
    let query = "SELECT bank_terminal, pinned_account, sealing_key FROM terminal
                 JOIN merchant ON merchant.name = terminal.merchant JOIN bank ON bank.name = merchant.bank
                 WHERE terminal.name = ?1";
    let (bank_terminal, account, sealing_key): (String, String, Vec<u8>) =
        sql.query_row(query, [draft.presenter.as_str()], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?))
        })?;
    let characters: Option<[u8; 8]> = bank_terminal.as_bytes().try_into().ok();
    let bank_terminal = characters.and_then(|it| BankTerminalId::new(it).ok());
    let account: BankAccount = account
        .parse()
        .map_err(|_| Failure::Damaged("a pinned account"))?;
    let (row, batch) = draft.batch;
    let mut permit = Permit {
        id: draft.id,
        generation: draft.generation,
        batch,
        verdicts: draft.verdicts,
        sum: draft.sum,
        presenter: draft.presenter,
        bank_terminal: bank_terminal.ok_or(Failure::Damaged("a bank terminal id"))?,
        account,
        expires_unix_seconds: now.saturating_add(PERMIT_SECONDS),
        sealed_token: Vec::new(),
    };
    // A permit of nothing has no token: it closes its batch, and no bank is asked.
    if !permit.sum.total.is_zero() {
        permit.sealed_token = token::seal(authority, &sealing_key, &permit)?;
    }
    let document = permit.encode();
    let signature = authority.sign(&document)?;
    let phase = PermitRecord::new(permit.id, permit.sum.total).phase();
    sql.execute(
        "INSERT INTO permit (id, generation, batch, document, signature, issued_at, phase)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        (
            permit.id.0,
            permit.generation,
            row,
            document,
            signature,
            now,
            phase_name(phase),
        ),
    )?;
    Ok(permit)
}

/// The newest generation of the permit with this number.
pub(crate) fn newest(sql: &Connection, id: PermitId) -> Result<Option<Stored>, Failure> {
    let query = "SELECT batch, phase, document, signature FROM permit WHERE id = ?1
                 ORDER BY generation DESC LIMIT 1";
    let found: Option<(i64, String, Vec<u8>, Vec<u8>)> = sql
        .prepare_cached(query)?
        .query_row([id.0], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
        })
        .optional()?;
    let Some((row, phase, document, signature)) = found else {
        return Ok(None);
    };
    let permit = Permit::decode(&document).map_err(|_| Failure::Damaged("a permit"))?;
    let phase = PHASES
        .into_iter()
        .find_map(|(known, name)| (name == phase).then_some(known));
    let phase = phase.ok_or(Failure::Damaged("the phase of a permit"))?;
    Ok(Some(Stored {
        row,
        record: PermitRecord::restore(id, permit.sum.total, permit.generation, phase),
        permit,
        document,
        signature,
    }))
}

/// Stores where the newest generation stands.
pub(crate) fn set_phase(sql: &Connection, record: &PermitRecord) -> Result<(), Failure> {
    sql.execute(
        "UPDATE permit SET phase = ?3 WHERE id = ?1 AND generation = ?2",
        (record.id().0, record.generation(), phase_name(record.phase())),
    )?;
    Ok(())
}
