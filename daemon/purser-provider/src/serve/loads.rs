//! The routes of a load (S9 to S13): attempts, the load TAC, voids (money rules L1 to L3).
//!
//! Each works on a connection that the provider's call-back opened for this load. Each changes the load, its attempts, the
//! books and the card's shadow account in one commit, and answers after it: a MAC2 that left is in the data base.

use std::sync::Arc;

use purser_ledger::{CardId, Scheme};
use purser_provider_link::call_back::Purpose;
use purser_provider_link::{Digest, LoadId, LoadOrder};
use purser_provider_rules::load::{Answer, Initialized, LoadRecord, Phase, Refusal, VoidChallenge};
use purser_provider_rules::{Evidence, books};
use purser_purse::pboc::TerminalTime;
use rusqlite::{Connection, OptionalExtension, Transaction};
use serde::Deserialize;
use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::http::Reply;
use super::leg::Leg;
use super::peer::{self, Peer};
use super::{Shared, call_back};
use crate::authority::{now_unix_seconds, random};
use crate::card_crypto::{DateTime, Initialize, is_equal};
use crate::fault::{Failure, Fault};
use crate::masters::CardKeys;
use crate::store::books::{set_shadow, shadow, transfer};
use crate::store::loads::{self, Answered, phase_name};
use crate::store::{Store, alarm, exists};

/// The algorithm id of two-key triple DES, the only one.
const TRIPLE_DES: u8 = 0;

/// What the card answered to INITIALIZE FOR LOAD of the load's amount, and what it was asked with.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CardSaid {
    #[serde(with = "hex::serde")]
    card: [u8; 10],
    #[serde(with = "hex::serde")]
    terminal_number: [u8; 6],
    old_balance: u32,
    online_sn: u16,
    key_version: u8,
    algorithm: u8,
    #[serde(with = "hex::serde")]
    random: [u8; 4],
    #[serde(with = "hex::serde")]
    mac1: [u8; 4],
}

/// The card's load TAC.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Loaded {
    #[serde(with = "hex::serde")]
    tac: [u8; 4],
}

impl CardSaid {
    fn initialize(&self, amount: u32) -> Initialize {
        Initialize {
            old_balance: self.old_balance,
            amount,
            terminal_number: self.terminal_number,
            online_sn: self.online_sn,
            random: self.random,
        }
    }

    /// What is stored as evidence: card 10 · old balance 4 · amount 4 · terminal number 6 · online SN 2 · random 4 · key
    /// version 1 · algorithm 1 · MAC1 4. Numbers are big-endian.
    fn encode(&self, amount: u32) -> Vec<u8> {
        [
            &self.card[..],
            &self.old_balance.to_be_bytes(),
            &amount.to_be_bytes(),
            &self.terminal_number,
            &self.online_sn.to_be_bytes(),
            &self.random,
            &[self.key_version, self.algorithm],
            &self.mac1,
        ]
        .concat()
    }
}

/// Reads the stored evidence back, but for card, version and MAC1.
fn decode(stored: &[u8]) -> Option<Initialize> {
    let stored: &[u8; 36] = stored.try_into().ok()?;
    let part = |from: usize| -> Option<[u8; 4]> { stored.get(from..from + 4)?.try_into().ok() };
    Some(Initialize {
        old_balance: u32::from_be_bytes(part(10)?),
        amount: u32::from_be_bytes(part(14)?),
        terminal_number: stored.get(18..24)?.try_into().ok()?,
        online_sn: u16::from_be_bytes(stored.get(24..26)?.try_into().ok()?),
        random: part(26)?,
    })
}

fn fault(refusal: Refusal) -> Failure {
    let cause = match refusal {
        Refusal::OtherLoadOpen(other) => format!("{refusal}: {other}"),
        _ => refusal.to_string(),
    };
    let remedy = match refusal {
        Refusal::ItHappened => "fetch the load TAC with GET TRANSACTION PROVE and send it",
        Refusal::StaleInitialize => "have the card answer INITIALIZE FOR LOAD again, and send that",
        Refusal::OtherLoadOpen(_) => "complete or void the other load first",
        Refusal::AttemptNumber(_) => "use the next number; look at the load for the last one",
        Refusal::StaleProof => "ask for the void again and have the card answer over the newest challenge",
        Refusal::Done | Refusal::Voided => "nothing more is to be done with this load",
        _ => "keep what the card said, and ask the provider's operator",
    };
    let fault = Fault::conflict(refusal.name(), cause, remedy);
    if refusal.is_transient() {
        fault.transient().into()
    } else {
        fault.into()
    }
}

/// A refusal; what no fault of a line or a card brings about is an alarm.
fn refused(sql: Transaction<'_>, peer: &Peer, refusal: Refusal) -> Failure {
    let is_alarm = matches!(
        refusal,
        Refusal::Mac1(Evidence::Invalid) | Refusal::Tac(Evidence::Invalid) | Refusal::VoidedAndHappened
    );
    if is_alarm {
        let stored = alarm(&sql, now_unix_seconds(), Some(peer.name.as_str()), refusal.name());
        if let Err(failure) = stored.and_then(|()| Ok(sql.commit()?)) {
            return failure;
        }
    }
    fault(refusal)
}

/// Does something with a load on a leg that is open for it.
async fn with_load(
    shared: &Arc<Shared>,
    leg: &Arc<Leg>,
    id: LoadId,
    act: impl FnOnce(&Shared, Transaction<'_>, &Peer, LoadRecord) -> Result<Reply, Failure> + Send + 'static,
) -> Result<Reply, Failure> {
    let leg = Arc::clone(leg);
    let done = move |shared: &Shared, store: &mut Store| {
        let sql = store.begin()?;
        let peer = peer::terminal(&sql, leg.peer)?;
        let record = loads::find(&sql, id)?;
        // One answer for a load that is not there and one that this leg is not for.
        let order = record.as_ref().map(|record| LoadOrder {
            id,
            amount: record.amount(),
        });
        let subject = order.map_or(Digest([0; 32]), |order| order.digest());
        call_back::authenticated(&leg, &peer, Purpose::Load, subject)?;
        let record =
            record.ok_or_else(|| Fault::unknown("UnknownLoad", "there is no such load", "open it first"))?;
        // The bank has booked it for one terminal. Once a MAC2 has left, any may complete or void it (money rule L3).
        let is_of_peer = "SELECT 1 FROM load WHERE id = ?1 AND terminal = ?2";
        if record.phase() == Phase::Open && !exists(&sql, is_of_peer, (id.0, peer.name.as_str()))? {
            let cause = "the load was paid at another terminal, and nothing of it has been released";
            return Err(Fault::forbidden("OtherTerminal", cause, "begin it there").into());
        }
        act(shared, sql, &peer, record)
    };
    shared.with_store(done).await
}

/// What a card's answer is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Use {
    /// Value: not under a blocked key version.
    Attempt,
    /// The proof that nothing happened: also under a blocked one, or the load would never end (money rule L3).
    Void,
}

/// The keys under which a card answers, or why its answer cannot be checked.
fn card_keys(
    shared: &Shared,
    sql: &Connection,
    card: &[u8; 10],
    version: u8,
    usage: Use,
) -> Result<Result<CardKeys, Evidence>, Failure> {
    let query = "SELECT key_version, is_blocked FROM card JOIN key_version ON version = key_version WHERE serial = ?1";
    let found: Option<(u8, bool)> = sql
        .prepare_cached(query)?
        .query_row([card], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    Ok(match (found, shared.card_keys.version(version)) {
        (Some((_, true)), _) if usage == Use::Attempt => Err(Evidence::BlockedKey),
        (Some((known, _)), Some(masters)) if known == version => Ok(masters.card(card)),
        (Some(_), _) | (None, _) => Err(Evidence::UnknownKey),
    })
}

/// What a message of the card comes to, and its keys where they are known.
fn judge(
    shared: &Shared,
    sql: &Connection,
    peer: &Peer,
    said: &CardSaid,
    amount: u32,
    usage: Use,
) -> Result<(Initialized, Option<CardKeys>), Failure> {
    let keys = card_keys(shared, sql, &said.card, said.key_version, usage)?;
    let mac1 = match &keys {
        Err(evidence) => *evidence,
        Ok(_) if said.algorithm != TRIPLE_DES => Evidence::UnknownKey,
        Ok(keys) if is_equal(&said.initialize(amount).mac1(&keys.load), &said.mac1) => Evidence::Valid,
        Ok(_) => Evidence::Invalid,
    };
    let content = Sha256::digest([peer.name.as_str().as_bytes(), &said.encode(amount)].concat());
    let initialized = Initialized {
        card: CardId::new(Scheme::Pboc, said.card),
        online_sn: said.online_sn,
        mac1,
        content: Digest(content.into()),
    };
    Ok((initialized, keys.ok()))
}

/// A purse counts in 32 bits.
fn purse_amount(record: &LoadRecord) -> Result<u32, Failure> {
    u32::try_from(record.amount().minor()).map_err(|_| Failure::Damaged("the amount of a load"))
}

/// What speaks against loading this card at all, looked at before the first MAC2 (money rules L4, P7).
fn check_card(sql: &Connection, record: &LoadRecord, said: &CardSaid) -> Result<(), Failure> {
    let currency: Option<String> = sql
        .prepare_cached("SELECT currency FROM card WHERE serial = ?1")?
        .query_row([said.card], |row| row.get(0))
        .optional()?;
    let refused =
        |name, cause| Err(Fault::conflict(name, cause, "void the load, and have the bank reverse").into());
    match currency {
        None => return refused("UnknownCard", "the provider has not issued this card"),
        Some(currency) if currency != record.amount().currency().code() => {
            return refused(
                "OtherCurrency",
                "the card's purse is in another currency than the load",
            );
        }
        Some(_) => {}
    }
    let listed = "SELECT 1 FROM listing WHERE card = ?1 AND until_version IS NULL";
    if record.phase() == Phase::Open && exists(sql, listed, [said.card])? {
        return refused("HotListed", "the card is on the hot list");
    }
    if u64::from(said.old_balance).saturating_add(record.amount().minor()) > u64::from(u32::MAX) {
        return refused("PurseFull", "the purse cannot hold so much");
    }
    Ok(())
}

/// Attempt `number`: MAC1 is checked, MAC2 given, once.
pub(crate) async fn attempt(
    shared: &Arc<Shared>,
    leg: &Arc<Leg>,
    id: LoadId,
    number: u8,
    said: CardSaid,
) -> Result<Reply, Failure> {
    with_load(shared, leg, id, move |shared, sql, peer, record| {
        check_card(&sql, &record, &said)?;
        let amount = purse_amount(&record)?;
        let (initialized, keys) = judge(shared, &sql, peer, &said, amount, Use::Attempt)?;
        let known = loads::known(&sql, &said.card, id)?;
        let answer = match record.attempt(number, &initialized, &known) {
            Ok(answer) => answer,
            Err(refusal) => return Err(refused(sql, peer, refusal)),
        };
        match answer {
            Answer::Release(after) => {
                let keys = keys.ok_or(Failure::Damaged("a card's keys"))?;
                let date_time = date_time(now_unix_seconds())?;
                let answered = Answered {
                    initialize: said.encode(amount),
                    date_time,
                    mac2: said.initialize(amount).mac2(&keys.load, &date_time),
                };
                loads::store(&sql, &after)?;
                loads::add_attempt(&sql, &after, peer.name.as_str(), &answered)?;
                if record.phase() == Phase::Open {
                    transfer(
                        &sql,
                        record.amount().currency(),
                        &[books::released(record.amount())],
                    )?;
                }
                sql.commit()?;
                Ok(released(number, &answered))
            }
            Answer::ReleaseAgain(number) => {
                let stored = loads::answered(&sql, id)?
                    .into_iter()
                    .find(|(known, _)| *known == number);
                let (_, answered) = stored.ok_or(Failure::Damaged("a load's attempts"))?;
                Ok(released(number, &answered))
            }
        }
    })
    .await
}

fn released(number: u8, answered: &Answered) -> Reply {
    Reply::ok(json!({
        "attempt": number, "date_time": hex::encode(answered.date_time), "mac2": hex::encode(answered.mac2),
    }))
}

/// The provider's time in UTC as the card takes it.
fn date_time(now: i64) -> Result<DateTime, Failure> {
    let time = TerminalTime::from_local(now).map_err(|_| Failure::Damaged("the clock"))?;
    let mut bytes = DateTime::default();
    bytes[..4].copy_from_slice(time.date.as_bytes());
    bytes[4..].copy_from_slice(time.time.as_bytes());
    Ok(bytes)
}

/// The load TAC: the card has the value.
pub(crate) async fn loaded(
    shared: &Arc<Shared>,
    leg: &Arc<Leg>,
    id: LoadId,
    loaded: Loaded,
) -> Result<Reply, Failure> {
    with_load(shared, leg, id, move |shared, sql, peer, record| {
        let evidence = tac_evidence(shared, &sql, &record, loaded.tac)?;
        let after = match record.confirm(evidence) {
            Ok(after) => after,
            Err(refusal) => return Err(refused(sql, peer, refusal)),
        };
        if record.phase() == Phase::Released {
            let card = after.card().ok_or(Failure::Damaged("a load's card"))?;
            let (shadow, transfers) = shadow(&sql, card.serial())?.load(after.amount());
            set_shadow(&sql, card.serial(), shadow)?;
            transfer(&sql, after.amount().currency(), &transfers)?;
            loads::store(&sql, &after)?;
            sql.execute("UPDATE load SET tac = ?2 WHERE id = ?1", (id.0, loaded.tac))?;
        }
        sql.commit()?;
        Ok(shown(&after))
    })
    .await
}

/// Whether a TAC proves one of the load's attempts. Any: the terminal may not know which MAC2 reached the card.
fn tac_evidence(
    shared: &Shared,
    sql: &Connection,
    record: &LoadRecord,
    tac: [u8; 4],
) -> Result<Evidence, Failure> {
    let Some(card) = record.card() else {
        return Ok(Evidence::Missing);
    };
    let query = "SELECT key_version FROM card WHERE serial = ?1";
    let version: u8 = sql.query_row(query, [card.serial()], |row| row.get(0))?;
    // Also under a blocked version: what a card has proven has happened.
    let Some(masters) = shared.card_keys.version(version) else {
        return Ok(Evidence::UnknownKey);
    };
    let keys = masters.card(card.serial());
    for (_, answered) in loads::answered(sql, record.id())? {
        let initialize = decode(&answered.initialize).ok_or(Failure::Damaged("a load's evidence"))?;
        let expected = initialize.tac(&keys.tac, &answered.date_time);
        if expected.is_some_and(|expected| is_equal(&expected, &tac)) {
            return Ok(Evidence::Valid);
        }
    }
    Ok(Evidence::Invalid)
}

fn shown(record: &LoadRecord) -> Reply {
    Reply::ok(json!({
        "load": record.id().to_string(),
        "amount": record.amount().minor(),
        "currency": record.amount().currency().code(),
        "phase": phase_name(record.phase()),
        "last_attempt": record.last().map_or(0, |it| it.number),
        "void_challenge": record.challenge().map(|it| hex::encode(it.0)),
    }))
}

/// How the load stands.
pub(crate) async fn show(shared: &Arc<Shared>, leg: &Arc<Leg>, id: LoadId) -> Result<Reply, Failure> {
    with_load(shared, leg, id, |_, _, _, record| Ok(shown(&record))).await
}

/// Begins a void: at once before any MAC2, else with a challenge for the card.
pub(crate) async fn begin_void(shared: &Arc<Shared>, leg: &Arc<Leg>, id: LoadId) -> Result<Reply, Failure> {
    with_load(shared, leg, id, |_, sql, _, record| {
        let after = record.begin_void(VoidChallenge(random()?)).map_err(fault)?;
        loads::store(&sql, &after)?;
        sql.commit()?;
        Ok(shown(&after))
    })
    .await
}

/// Takes the card's fresh INITIALIZE over the challenge: the load is void.
pub(crate) async fn void(
    shared: &Arc<Shared>,
    leg: &Arc<Leg>,
    id: LoadId,
    said: CardSaid,
) -> Result<Reply, Failure> {
    with_load(shared, leg, id, move |shared, sql, peer, record| {
        let amount = purse_amount(&record)?;
        let (initialized, _) = judge(shared, &sql, peer, &said, amount, Use::Void)?;
        // Six bytes of the host's choice are covered by MAC1 in place of the terminal's number.
        let after = match record.void(&initialized, VoidChallenge(said.terminal_number)) {
            Ok(after) => after,
            Err(refusal) => return Err(refused(sql, peer, refusal)),
        };
        if record.phase() == Phase::Released {
            transfer(&sql, after.amount().currency(), &[books::voided(after.amount())])?;
            loads::store(&sql, &after)?;
            sql.execute(
                "UPDATE load SET void_proof = ?2 WHERE id = ?1",
                (id.0, said.encode(amount)),
            )?;
        }
        sql.commit()?;
        Ok(shown(&after))
    })
    .await
}
