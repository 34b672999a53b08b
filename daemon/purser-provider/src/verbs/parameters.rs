//! `parameters`: what terminals may do (money rule T3). `serve` signs a new version when it is asked for one the next time.

use purser_provider_link::CURRENCIES_MAX;
use rusqlite::Connection;
use serde_json::{Value, json};

use crate::authority::Authority;
use crate::cli::{Parameters, Permission};
use crate::fault::{Failure, Fault};
use crate::folder::Folder;
use crate::show::Shown;
use crate::store::{Store, parameters};

pub(crate) fn parameters(store: &mut Store, folder: &Folder, verb: &Parameters) -> Result<Shown, Failure> {
    let authority = Authority::open(folder, &store.provider()?.name)?;
    let sql = store.begin()?;
    match verb {
        Parameters::Set {
            software_sam,
            warn_after_hours,
            stale_after_hours,
        } => {
            let is_allowed = software_sam.map(|it| it == Permission::Allow);
            let seconds = |hours: &Option<u32>| hours.map(|it| it.saturating_mul(3_600));
            set(
                &sql,
                is_allowed,
                seconds(warn_after_hours),
                seconds(stale_after_hours),
            )?;
        }
        Parameters::Currency {
            currency,
            sale_max,
            stale_sale_max,
        } => limit(&sql, currency.code(), *sale_max, *stale_sale_max)?,
        Parameters::Show => {}
    }
    let now = parameters::renew(&sql, &authority)?.parameters;
    sql.commit()?;
    let currencies = now.currencies.iter().map(|it| {
        json!({
            "currency": it.sale_max.currency().code(), "sale_max": it.sale_max.minor(),
            "stale_sale_max": it.stale_sale_max.minor(),
        })
    });
    let currencies: Vec<Value> = currencies.collect();
    let object = json!({
        "version": now.version, "made_at": now.made_at_unix_seconds,
        "software_sam": if now.is_software_sam_allowed { "allow" } else { "forbid" },
        "warn_after_seconds": now.warn_after_seconds, "stale_after_seconds": now.stale_after_seconds,
        "currencies": currencies, "key_versions": now.key_versions,
        "hot_list_version": now.hot_list_version, "hot_list": now.hot_list.len(),
    });
    Ok(Shown::one(format!("version {}: {object}", now.version), object))
}

fn set(
    sql: &Connection,
    is_software_sam_allowed: Option<bool>,
    warn_after_seconds: Option<u32>,
    stale_after_seconds: Option<u32>,
) -> Result<(), Failure> {
    let query = "SELECT coalesce(?1, warn_after_seconds) <= coalesce(?2, stale_after_seconds) FROM policy";
    let fits: bool = sql.query_row(query, (warn_after_seconds, stale_after_seconds), |row| row.get(0))?;
    if !fits {
        let cause = "a terminal would sell less before it has warned";
        return Err(Fault::invalid("Age", cause, "let it warn earlier, or sell longer").into());
    }
    sql.execute(
        "UPDATE policy SET is_software_sam_allowed = coalesce(?1, is_software_sam_allowed),
           warn_after_seconds = coalesce(?2, warn_after_seconds), stale_after_seconds = coalesce(?3, stale_after_seconds)",
        (is_software_sam_allowed, warn_after_seconds, stale_after_seconds),
    )?;
    Ok(())
}

fn limit(sql: &Connection, currency: &str, sale_max: u32, stale_sale_max: u32) -> Result<(), Failure> {
    if stale_sale_max > sale_max {
        let cause = "old parameters would let more be sold than new ones";
        return Err(Fault::invalid("Limit", cause, "give at most --sale-max for --stale-sale-max").into());
    }
    if sale_max == 0 {
        sql.execute("DELETE FROM currency_limit WHERE currency = ?1", [currency])?;
        return Ok(());
    }
    sql.execute(
        "INSERT INTO currency_limit (currency, sale_max, stale_sale_max) VALUES (?1, ?2, ?3)
         ON CONFLICT (currency) DO UPDATE SET sale_max = excluded.sale_max, stale_sale_max = excluded.stale_sale_max",
        (currency, sale_max, stale_sale_max),
    )?;
    let count: i64 = sql.query_row("SELECT count(*) FROM currency_limit", (), |row| row.get(0))?;
    if usize::try_from(count).map_or(true, |it| it > CURRENCIES_MAX) {
        let cause = format!("a provider has at most {CURRENCIES_MAX} currencies");
        return Err(Fault::conflict("TooManyCurrencies", cause, "take one out with --sale-max 0").into());
    }
    Ok(())
}
