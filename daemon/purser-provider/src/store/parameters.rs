//! The provider's parameters: put together from what the data base says, and a new version wherever that has changed.

use purser_ledger::{CardId, Scheme};
use purser_provider_link::{CurrencyLimits, Parameters, ProviderName};
use rusqlite::{Connection, OptionalExtension};

use super::{amount, signed};
use crate::authority::{Authority, now_unix_seconds};
use crate::fault::Failure;

/// The newest version as it was signed.
pub(crate) struct Stored {
    pub(crate) parameters: Parameters,
    pub(crate) document: Vec<u8>,
    pub(crate) signature: Vec<u8>,
}

/// The newest version, whether or not it is still right.
pub(crate) fn newest(sql: &Connection) -> Result<Option<Stored>, Failure> {
    let query = "SELECT document, signature FROM parameters ORDER BY version DESC LIMIT 1";
    let found: Option<(Vec<u8>, Vec<u8>)> = sql
        .prepare_cached(query)?
        .query_row((), |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let stored = found.map(|(document, signature)| {
        let parameters = Parameters::decode(&document).map_err(|_| Failure::Damaged("the parameters"))?;
        Ok(Stored {
            parameters,
            document,
            signature,
        })
    });
    stored.transpose()
}

/// The version of the hot list in a version of the parameters; 0 for one that never was.
pub(crate) fn hot_list_of(sql: &Connection, version: u64) -> Result<u64, Failure> {
    let query = "SELECT document FROM parameters WHERE version = ?1";
    let document: Option<Vec<u8>> = sql
        .prepare_cached(query)?
        .query_row([signed(version)], |row| row.get(0))
        .optional()?;
    let Some(document) = document else { return Ok(0) };
    let parameters = Parameters::decode(&document).map_err(|_| Failure::Damaged("the parameters"))?;
    Ok(parameters.hot_list_version)
}

/// The newest version, if the data base still says the same.
pub(crate) fn current(sql: &Connection) -> Result<Option<Stored>, Failure> {
    let Some(stored) = newest(sql)? else {
        return Ok(None);
    };
    let known = &stored.parameters;
    let now = facts(sql, known.version, known.made_at_unix_seconds)?;
    Ok((now == *known).then_some(stored))
}

/// The version that is right now: made, signed and stored where nothing says so yet.
pub(crate) fn renew(sql: &Connection, authority: &Authority) -> Result<Stored, Failure> {
    if let Some(stored) = current(sql)? {
        return Ok(stored);
    }
    let version = newest(sql)?.map_or(1, |it| it.parameters.version.saturating_add(1));
    let parameters = facts(sql, version, now_unix_seconds())?;
    let document = parameters.encode();
    let signature = authority.sign(&document)?;
    sql.execute(
        "INSERT INTO parameters (version, document, signature) VALUES (?1, ?2, ?3)",
        (signed(version), &document, &signature),
    )?;
    Ok(Stored {
        parameters,
        document,
        signature,
    })
}

/// True where the provider allows software SAMs.
pub(crate) fn is_software_sam_allowed(sql: &Connection) -> Result<bool, Failure> {
    let query = "SELECT is_software_sam_allowed FROM policy";
    Ok(sql.prepare_cached(query)?.query_row((), |row| row.get(0))?)
}

fn facts(sql: &Connection, version: u64, made_at_unix_seconds: i64) -> Result<Parameters, Failure> {
    let query = "SELECT name, hotlist_version, warn_after_seconds, stale_after_seconds FROM provider, policy";
    let (name, hot_list, warn, stale): (String, i64, u32, u32) = sql
        .prepare_cached(query)?
        .query_row((), |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))?;
    let provider = ProviderName::new(name).map_err(|_| Failure::Damaged("the provider's name"))?;
    let mut statement =
        sql.prepare_cached("SELECT version FROM key_version WHERE NOT is_blocked ORDER BY version")?;
    let key_versions = statement.query_map((), |row| row.get(0))?;
    let mut listed =
        sql.prepare_cached("SELECT card FROM listing WHERE until_version IS NULL ORDER BY card")?;
    let cards = listed.query_map((), |row| Ok(CardId::new(Scheme::Pboc, row.get(0)?)))?;
    Ok(Parameters {
        provider,
        version,
        made_at_unix_seconds,
        warn_after_seconds: warn,
        stale_after_seconds: stale,
        is_software_sam_allowed: is_software_sam_allowed(sql)?,
        currencies: currencies(sql)?,
        key_versions: key_versions.collect::<Result<_, _>>()?,
        hot_list_version: u64::try_from(hot_list).map_err(|_| Failure::Damaged("the hot list"))?,
        hot_list: cards.collect::<Result<_, _>>()?,
    })
}

fn currencies(sql: &Connection) -> Result<Vec<CurrencyLimits>, Failure> {
    let query = "SELECT currency, sale_max, stale_sale_max FROM currency_limit ORDER BY currency";
    let mut statement = sql.prepare_cached(query)?;
    let mut rows = statement.query(())?;
    let mut currencies = Vec::new();
    while let Some(row) = rows.next()? {
        let (code, sale_max, stale): (String, i64, i64) = (row.get(0)?, row.get(1)?, row.get(2)?);
        currencies.push(CurrencyLimits {
            sale_max: amount(sale_max, &code)?,
            stale_sale_max: amount(stale, &code)?,
        });
    }
    Ok(currencies)
}
