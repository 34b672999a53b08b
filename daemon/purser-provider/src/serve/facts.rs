//! What a verdict on a claim depends on, found out from the data base and the card keys.

use purser_ledger::{Currency, DebitKey};
use purser_provider_link::{Claim, Digest};
use purser_provider_rules::Evidence;
use purser_provider_rules::hot_list::{Delivery, DeliveryRecord, ListVersion, Listing};
use purser_provider_rules::judge::{Before, Facts, NumberOwner};
use purser_purse::pboc::{Attempt, ClaimEvidence, PurseKind};
use rusqlite::{Connection, OptionalExtension};
use sha2::{Digest as _, Sha256};

use super::{Shared, forgeries, queries};
use crate::card_crypto::{DateTime, Purchase, is_equal};
use crate::fault::Failure;
use crate::masters::CardKeys;
use crate::store::batches::{charge, key_bytes};
use crate::store::{self, exists};

/// Whose batch is judged.
pub(crate) struct Owner {
    pub(crate) terminal: String,
    /// The one that was reconciled.
    pub(crate) generation: u32,
    /// The row of the batch.
    pub(crate) row: i64,
    /// A claim of this page has had it suspended.
    pub(crate) is_suspended: bool,
}

/// All the facts about a claim at the next place of a batch.
pub(crate) fn of(shared: &Shared, sql: &Connection, owner: &Owner, claim: &Claim) -> Result<Facts, Failure> {
    let key = key_bytes(&claim.key);
    let evidence_digest = digest(claim);
    Ok(Facts {
        evidence: evidence(shared, sql, claim)?,
        evidence_digest,
        card_currency: currency(sql, claim.key.card.serial())?,
        number_owner: number_owner(sql, &owner.terminal, &claim.key)?,
        // Sales from before a restore are claimed after it. None is paid twice: its key has no generation in it.
        is_reconciled: claim.generation <= owner.generation,
        is_software_sam_forbidden: is_software_sam_forbidden(sql, &claim.key.terminal_number)?,
        is_hot_listed: is_hot_listed(sql, claim)?,
        before: before(sql, owner, &key)?,
    })
}

/// SHA-256 over a claim's evidence.
pub(crate) fn digest(claim: &Claim) -> Digest {
    Digest(Sha256::digest(claim.evidence.bytes()).into())
}

/// The currency of a card's purse; none for a card that is not issued.
pub(crate) fn currency(sql: &Connection, serial: &[u8; 10]) -> Result<Option<Currency>, Failure> {
    let query = "SELECT currency FROM card WHERE serial = ?1";
    let code: Option<String> = sql
        .prepare_cached(query)?
        .query_row([serial], |row| row.get(0))
        .optional()?;
    code.map(|code| store::currency(&code)).transpose()
}

/// Whose PSAM terminal number a debit has.
pub(crate) fn number_owner(sql: &Connection, terminal: &str, key: &DebitKey) -> Result<NumberOwner, Failure> {
    let query = "SELECT name FROM terminal WHERE psam_number = ?1";
    let name: Option<String> = sql
        .prepare_cached(query)?
        .query_row([key.terminal_number], |row| row.get(0))
        .optional()?;
    Ok(match name {
        Some(name) if name == terminal => NumberOwner::BatchOwner,
        Some(_) => NumberOwner::Other,
        None => NumberOwner::Unknown,
    })
}

/// As the parameters are now: when a sale was made only the terminal says (money rule T3).
fn is_software_sam_forbidden(sql: &Connection, psam_number: &[u8; 6]) -> Result<bool, Failure> {
    let query = "SELECT 1 FROM terminal WHERE psam_number = ?1 AND is_software_sam = 1";
    Ok(exists(sql, query, [psam_number])? && !store::parameters::is_software_sam_allowed(sql)?)
}

fn before(sql: &Connection, owner: &Owner, key: &[u8; 20]) -> Result<Before, Failure> {
    if let Some(charge) = charge(sql, key)? {
        return Ok(Before::Charged(charge));
    }
    if forgeries::is_forged(sql, key)? {
        return Ok(Before::Forged);
    }
    // By name: for its order SQLite would rather walk the whole batch, once for each of its items.
    let query = "SELECT evidence FROM item INDEXED BY item_by_key WHERE key = ?1 AND batch = ?2 ORDER BY place LIMIT 1";
    let earlier = sql
        .prepare_cached(query)?
        .query_row((key, owner.row), |row| row.get(0))
        .optional()?;
    Ok(earlier.map_or(Before::Nothing, |evidence| Before::InThisBatch(Digest(evidence))))
}

fn is_hot_listed(sql: &Connection, claim: &Claim) -> Result<bool, Failure> {
    let key = &claim.key;
    let query = "SELECT from_version, until_version FROM listing WHERE card = ?1";
    let mut statement = sql.prepare_cached(query)?;
    let version = |it: i64| ListVersion(u64::try_from(it).unwrap_or(0));
    let listings = statement.query_map([key.card.serial()], |row| {
        let (from, until): (i64, Option<i64>) = (row.get(0)?, row.get(1)?);
        Ok(Listing {
            from: version(from),
            until: until.map(version),
        })
    })?;
    let listings: Vec<Listing> = listings.collect::<Result<_, _>>()?;
    if listings.is_empty() {
        return Ok(false);
    }
    let record = deliveries(sql, &key.terminal_number)?;
    // Most sales of a listed card are none of a time at which it was: only for the others the long document is read.
    if !record.refuses(&listings, key.terminal_sn, ListVersion(0)) {
        return Ok(false);
    }
    let stamped = store::parameters::hot_list_of(sql, claim.parameters_version)?;
    Ok(record.refuses(&listings, key.terminal_sn, ListVersion(stamped)))
}

/// Which versions of the hot list a terminal has acknowledged, and from which sale on.
pub(crate) fn deliveries(sql: &Connection, psam_number: &[u8; 6]) -> Result<DeliveryRecord, Failure> {
    let query = "SELECT from_terminal_sn, version FROM delivery WHERE psam_number = ?1 ORDER BY version";
    let mut statement = sql.prepare_cached(query)?;
    let mut rows = statement.query([psam_number])?;
    let mut record = DeliveryRecord::default();
    while let Some(row) = rows.next()? {
        let (from_terminal_sn, version): (u32, i64) = (row.get(0)?, row.get(1)?);
        let version = ListVersion(u64::try_from(version).map_err(|_| Failure::Damaged("a delivery"))?);
        let delivery = Delivery {
            from_terminal_sn,
            version,
        };
        record = record
            .acknowledged(delivery)
            .map_err(|_| Failure::Damaged("a delivery"))?;
    }
    Ok(record)
}

/// A card as a debit's evidence names it: serial, key version, whether that is blocked.
pub(crate) type Card = ([u8; 10], u8, bool);

/// The card with this ASN.
pub(crate) fn card(sql: &Connection, asn: &[u8; 8]) -> Result<Option<Card>, Failure> {
    let query = "SELECT serial, key_version, is_blocked FROM card JOIN key_version ON version = key_version
                 WHERE substr(serial, 3) = ?1";
    let found = sql
        .prepare_cached(query)?
        .query_row([asn], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)));
    Ok(found.optional()?)
}

/// The keys to check a card's evidence with.
pub(crate) enum Keys {
    Of(CardKeys),
    Blocked,
    Unknown,
}

/// The keys of a card, for evidence that names a key version.
pub(crate) fn keys(shared: &Shared, (serial, version, is_blocked): Card, named: u8) -> Keys {
    match shared.card_keys.version(version) {
        _ if is_blocked => Keys::Blocked,
        Some(masters) if named == version => Keys::Of(masters.card(&serial)),
        Some(_) | None => Keys::Unknown,
    }
}

/// What a TAC covers of an attempt.
pub(crate) fn purchase(attempt: &Attempt) -> Purchase {
    let mut at = DateTime::default();
    at[..4].copy_from_slice(attempt.time.date.as_bytes());
    at[4..].copy_from_slice(attempt.time.time.as_bytes());
    Purchase {
        amount: attempt.amount.minor(),
        is_ep: attempt.purse == PurseKind::Ep,
        terminal_number: *attempt.terminal_number.as_bytes(),
        terminal_sn: attempt.terminal_sn.value(),
        at,
    }
}

/// What checking the evidence comes to. First it has to be the claim's own: a TAC of another debit is not checked, or each
/// claim, with a key of its own, would be another guess at that debit's TAC (money rule T3).
pub(crate) fn evidence(shared: &Shared, sql: &Connection, claim: &Claim) -> Result<Evidence, Failure> {
    let Ok(told) = ClaimEvidence::decode(claim.evidence.bytes()) else {
        return Ok(Evidence::Missing);
    };
    let (Some(answer), attempt) = (told.answer(), told.attempt()) else {
        return Ok(if queries::is_answered(sql, claim, &told)? {
            Evidence::Answered
        } else {
            Evidence::Missing
        });
    };
    let Some(card) = card(sql, attempt.asn.as_bytes())? else {
        return Ok(Evidence::Differs);
    };
    let purchase = purchase(attempt);
    let is_of_claim = *claim.key.card.serial() == card.0
        && claim.key.terminal_number == purchase.terminal_number
        && claim.key.terminal_sn == purchase.terminal_sn
        && claim.amount.minor() == u64::from(purchase.amount);
    if !is_of_claim {
        return Ok(Evidence::Differs);
    }
    let keys = match keys(shared, card, attempt.key_version.0) {
        Keys::Of(keys) => keys,
        // It was answered before the key version was blocked, or without it: the provider stands by its signed word.
        Keys::Blocked | Keys::Unknown if queries::is_answered(sql, claim, &told)? => {
            return Ok(Evidence::Answered);
        }
        Keys::Blocked => return Ok(Evidence::BlockedKey),
        Keys::Unknown => return Ok(Evidence::UnknownKey),
    };
    Ok(if is_equal(&purchase.tac(&keys.tac), answer.tac.as_bytes()) {
        Evidence::Valid
    } else {
        Evidence::Invalid
    })
}
