//! What must hold after whatever happened: no sale paid twice, none lost, card and books agree.

use std::thread;
use std::time::{Duration, Instant};

use purser_api::client::ClientError;
use purser_api::model::{ErrorName, Sale, TotalsReply};
use purser_lab::card::Minor;
use purser_lab::claims::{self, Claim, PaidProof};
use purser_lab::stack::{PATIENCE, PIN_PAD, PSAM_READER, READER};
use serde_json::Value;

use crate::pos::Told;
use crate::world::{PRICE, WALLET, World};
use crate::{Fault, ensure};

/// How often a state is looked at that nobody announces to a till that asks.
const LOOK_AGAIN: Duration = Duration::from_millis(3);

/// What purserd knew of the sale when it stood again, and every doubt was gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Found {
    /// Nothing: the reference is free.
    Unknown,
    /// It is paid.
    Paid,
    /// A debit was intended, and proven not to have happened.
    NotDebited,
    /// It ended before any debit.
    Closed,
}

/// Judges one sale in this world, whatever happened to it, and sells it if it is not paid: exactly one payment is there in
/// the end.
///
/// # Errors
/// Money was lost or made, the books do not balance, or the journal is not whole.
pub fn judge(world: &mut World, reference: &str, told: &Told) -> Result<Found, Fault> {
    if !world.is_alive() {
        world.stack.kill();
        world.stack.start_again()?;
    }
    world.card.insert();
    if let Some(psam) = &world.psam {
        psam.insert();
    }
    let first = decided(world, reference)?;
    wait_for_devices(world)?;
    let found = match &first {
        None => Found::Unknown,
        Some(sale) if sale.outcome == "paid" => Found::Paid,
        Some(sale) if sale.state == "not_debited" => Found::NotDebited,
        Some(sale) if sale.outcome == "not_paid" => Found::Closed,
        Some(sale) => return Err(format!("an end that nobody knows: {sale:?}").into()),
    };
    agrees_with_what_was_told(found, told)?;
    is_paid_once(world, reference, found)?;
    world.paid += 1;
    books_and_card_agree(world)?;
    claims_are_genuine(world)?;
    terminal_sns_rise(world)?;
    journal_is_whole(world, told)?;
    Ok(found)
}

/// The sale once nothing is under way or in doubt any more; none where its reference is not known.
fn decided(world: &World, reference: &str) -> Result<Option<Sale>, Fault> {
    let end = Instant::now() + PATIENCE;
    let mut pos = world.pos()?;
    loop {
        let sale = match pos.call(async |purser| purser.attach(reference).await)? {
            Ok(reply) => Some(reply.sale),
            Err(ClientError::Refused(fault)) if fault.is(ErrorName::UnknownReference) => None,
            Err(error) => return Err(error.into()),
        };
        let is_open = |sale: &Sale| matches!(sale.outcome.as_str(), "under_way" | "in_doubt");
        if !sale.as_ref().is_some_and(is_open) {
            return Ok(sale);
        }
        ensure(Instant::now() < end, || format!("it stays undecided: {sale:?}"))?;
        thread::sleep(LOOK_AGAIN);
    }
}

/// A driver host that was killed comes back by itself, and a PSAM is recognised.
pub(crate) fn wait_for_devices(world: &World) -> Result<(), Fault> {
    let end = Instant::now() + PATIENCE;
    let mut pos = world.pos()?;
    loop {
        let devices = pos.call(async |purser| purser.devices().await)??.devices;
        let is_ready = |name: &str| devices.iter().any(|it| it.name == name && it.state == "ready");
        if is_ready(READER) && is_ready(PIN_PAD) && (world.psam.is_none() || is_ready(PSAM_READER)) {
            return Ok(());
        }
        ensure(Instant::now() < end, || {
            format!("the devices stay away: {devices:?}")
        })?;
        thread::sleep(LOOK_AGAIN);
    }
}

fn agrees_with_what_was_told(found: Found, told: &Told) -> Result<(), Fault> {
    ensure(!told.was("paid") || found == Found::Paid, || {
        format!("the till was told paid, and now it is {found:?}")
    })?;
    ensure(!told.was("not_paid") || found != Found::Paid, || {
        "the till was told not paid, and now it is paid".to_owned()
    })
}

/// The till repeats the sale, and begins a new one where the first was not paid.
fn is_paid_once(world: &mut World, reference: &str, found: Found) -> Result<(), Fault> {
    let repeated = world.sell(reference)?;
    let is_paid = repeated.was("paid");
    let expected = match found {
        Found::Unknown | Found::Paid => true,
        Found::NotDebited | Found::Closed => false,
    };
    ensure(is_paid == expected, || {
        format!("found {found:?}, and repeated: {:?}", repeated.last())
    })?;
    if !is_paid {
        let again = format!("{reference}-again");
        let told = world.sell(&again)?;
        ensure(told.was("paid"), || {
            format!("it cannot be sold anew: {:?}", told.last())
        })?;
    }
    Ok(())
}

fn books_and_card_agree(world: &World) -> Result<(), Fault> {
    let totals = world.pos()?.call(async |purser| purser.totals().await)??;
    let balance = |account: &str| balance(&totals, account);
    let (paid, money) = (world.paid, world.paid * PRICE);
    ensure(totals.balanced, || {
        format!("the books do not balance: {totals:?}")
    })?;
    let counts = totals.counts;
    ensure(
        (counts.paid, counts.in_doubt, counts.queried) == (paid, 0, 0),
        || format!("{paid} should be paid and nothing in doubt: {counts:?}"),
    )?;
    ensure(
        balance("claims") == money && balance("sales") == money && balance("in_doubt") == 0,
        || format!("{money} should be claimed: {totals:?}"),
    )?;
    let card = world.card.status();
    let left = Minor(u32::try_from(WALLET - money)?);
    ensure(card.ep == left && u64::from(card.ep_offline_sn) == paid, || {
        format!("the card should hold {left:?} after {paid} debits: {card}")
    })
}

fn balance(totals: &TotalsReply, account: &str) -> u64 {
    let of_account = totals
        .balances
        .iter()
        .filter(|balance| balance.account == account);
    of_account.map(|balance| balance.amount.minor).sum()
}

/// The issuer accepts every claim that has a TAC: it is the card's for this amount, terminal, terminal SN and time. Without
/// one the claim says that only the card's log is known.
fn claims_are_genuine(world: &World) -> Result<(), Fault> {
    let claims = claims::read(&world.stack.layout().state_dir())?;
    ensure(
        u64::try_from(claims.len()).is_ok_and(|count| count == world.paid),
        || format!("{} should be claimed: {claims:?}", world.paid),
    )?;
    let is_right =
        |claim: &&Claim| claim.verified || (claim.tac.is_none() && claim.proof == PaidProof::LogOnly);
    let wrong: Vec<_> = claims.iter().filter(|claim| !is_right(claim)).collect();
    ensure(wrong.is_empty(), || {
        format!("the issuer does not accept {wrong:?}")
    })
}

/// No terminal SN was ever used twice, each is greater than all before it, and a PSAM has given out every one.
fn terminal_sns_rise(world: &World) -> Result<(), Fault> {
    let used = claims::terminal_sns(&world.stack.layout().state_dir())?;
    ensure(used.is_sorted_by(|before, after| before < after), || {
        format!("terminal SNs do not rise: {used:?}")
    })?;
    let (Some(psam), Some(last)) = (&world.psam, used.last()) else {
        return Ok(());
    };
    let given = psam.status().terminal_sn;
    ensure(*last <= given, || {
        format!("{last:?} was used, and the PSAM has given out {given:?} last")
    })
}

/// The record chain holds, up to the head that stands on the slip of a sale that was told as paid.
fn journal_is_whole(world: &World, told: &Told) -> Result<(), Fault> {
    let slip = told.sales.iter().rev().find_map(|sale| sale.slip.as_ref());
    let mut arguments = vec!["verify-journal", "--json"];
    if let Some(slip) = slip {
        arguments.extend(["--expect", slip.head.as_str()]);
    }
    let output = world.stack.run_verb(&arguments)?;
    let report: Value = serde_json::from_slice(&output.stdout)?;
    ensure(output.status.success() && report["whole"] == true, || {
        format!("verify-journal: {report}")
    })?;
    ensure(report["open"] == 0, || format!("something is open: {report}"))
}
