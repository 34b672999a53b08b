//! `load`: opened by hand in a lab only (money rule L1), and shown.

use purser_provider_link::LoadId;
use purser_provider_rules::Evidence;
use purser_provider_rules::load::LoadRecord;
use serde_json::json;

use super::hex_bytes;
use crate::authority::now_unix_seconds;
use crate::cli::Load;
use crate::fault::{Failure, Fault};
use crate::show::Shown;
use crate::store::{Store, amount, exists, loads};

pub(super) fn load(store: &mut Store, verb: &Load) -> Result<Shown, Failure> {
    let Load::Open {
        id,
        terminal,
        amount: minor,
        currency,
    } = verb
    else {
        return list(store);
    };
    if !store.provider()?.is_lab {
        let cause = "this provider is no lab's: a load is opened by the bank's proof that it was paid";
        return Err(
            Fault::forbidden("NotALab", cause, "try it with a provider made with `init --lab`").into(),
        );
    }
    let digits = id;
    let id = LoadId(hex_bytes("LoadId", digits)?);
    let minor = i64::from(*minor);
    let amount = amount(minor, currency.code())?;
    let sql = store.begin()?;
    if !exists(
        &sql,
        "SELECT 1 FROM terminal WHERE name = ?1 AND role = 'provider'",
        [terminal],
    )? {
        let cause = format!("there is no terminal {terminal} of the role provider");
        return Err(Fault::unknown("UnknownTerminal", cause, "see `purser-provider terminal list`").into());
    }
    let record = LoadRecord::open(loads::find(&sql, id)?.as_ref(), id, amount, Evidence::Valid).map_err(
        |refusal| {
            Fault::conflict(
                refusal.name(),
                refusal.to_string(),
                "choose a new number for another load",
            )
        },
    )?;
    loads::open(&sql, &record, terminal, now_unix_seconds())?;
    sql.commit()?;
    Ok(Shown::one(
        format!("load {digits} of {minor} {currency} is open"),
        json!({ "load": digits, "amount": minor, "currency": currency.code(), "phase": loads::phase_name(record.phase()) }),
    ))
}

fn list(store: &Store) -> Result<Shown, Failure> {
    let query = "SELECT lower(hex(id)), terminal, minor, currency, phase, hex(card),
                        (SELECT count(*) FROM load_attempt WHERE load = id)
                 FROM load ORDER BY opened_at, id";
    let mut statement = store.reader().prepare(query)?;
    let rows = statement.query_map((), |row| {
        let (load, terminal, minor): (String, String, i64) = (row.get(0)?, row.get(1)?, row.get(2)?);
        let (currency, phase, card): (String, String, Option<String>) =
            (row.get(3)?, row.get(4)?, row.get(5)?);
        let attempts: i64 = row.get(6)?;
        Ok(json!({
            "load": load, "terminal": terminal, "amount": minor, "currency": currency, "phase": phase,
            "card": card.filter(|it| !it.is_empty()), "attempts": attempts,
        }))
    })?;
    let columns = &[
        "load", "terminal", "amount", "currency", "phase", "card", "attempts",
    ];
    Ok(Shown::list(columns, rows.collect::<Result<_, _>>()?))
}
