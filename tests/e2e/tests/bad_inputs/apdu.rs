//! Cards that answer nonsense: the sale ends by name or is found out, and the card is debited once for each paid sale and
//! never else.

use e2e::pos::{Pos, Told};
use e2e::world::{PRICE, WALLET, World};
use e2e::{Fault, ensure};
use purser_api::client::ClientError;
use purser_api::model::{ReadPurseArguments, Sale};
use purser_lab::card::{Fault as CardFault, Minor, ScriptedFault, StatusWord, instruction};
use purser_lab::stack::{PATIENCE, READER};
use purser_lab::vpcd::Place;

use crate::table::{Group, says};
use crate::template::Template;

use CardFault::{
    BytesAfterExecute as Bytes, GarbageAnswer, StatusAfterExecute, StatusBeforeExecute, WrongMac2,
};

/// A row: its name, the command, what it answers, and how the sale ends: its state and its reason.
type Row = (&'static str, u8, CardFault, &'static str, &'static str);

/// 30 bytes of file 0015 whose dates are none, and 9000.
const NO_DATES: &[u8] = &[
    0x50, 0x55, 0x52, 0x53, 0x45, 0x52, 0, 1, 3, 1, 0, 0, 0, 0, 0x20, 0x26, 0, 0, 0, 1, 0xFF, 0xFF, 0xFF,
    0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0, 0, 0x90, 0,
];
/// File 0015 of an issuer that nobody configured.
const OTHER_ISSUER: &[u8] = &[
    9, 9, 9, 9, 9, 9, 9, 9, 3, 1, 0, 0, 0, 0, 0x20, 0x26, 0, 0, 0, 1, 0x20, 0x26, 1, 1, 0x20, 0x99, 0x12,
    0x31, 0, 0, 0x90, 0,
];
/// An answer longer than any that a short command may have.
const ENDLESS: &[u8] = &[0x90; 600];
const BEFORE_DEBIT: [Row; 12] = [
    (
        "SELECT answers one byte",
        instruction::SELECT,
        Bytes(&[0x90]),
        "paid",
        "",
    ),
    (
        "SELECT answers nothing",
        instruction::SELECT,
        Bytes(&[]),
        "paid",
        "",
    ),
    (
        "SELECT answers 600 bytes",
        instruction::SELECT,
        Bytes(ENDLESS),
        "closed",
        "card_misbehaved",
    ),
    (
        "SELECT answers an unknown status",
        instruction::SELECT,
        StatusBeforeExecute(StatusWord(0x1234)),
        "closed",
        "card_misbehaved",
    ),
    (
        "SELECT finds no application",
        instruction::SELECT,
        StatusBeforeExecute(StatusWord(0x6A82)),
        "closed",
        "foreign_card",
    ),
    (
        "card file too short",
        instruction::READ_BINARY,
        Bytes(&[0x50, 0x55, 0x90, 0]),
        "closed",
        "card_misbehaved",
    ),
    (
        "card file too long",
        instruction::READ_BINARY,
        Bytes(&[0; 42]),
        "closed",
        "card_misbehaved",
    ),
    (
        "card file without dates",
        instruction::READ_BINARY,
        Bytes(NO_DATES),
        "closed",
        "card_misbehaved",
    ),
    (
        "card file of another issuer",
        instruction::READ_BINARY,
        Bytes(OTHER_ISSUER),
        "closed",
        "foreign_card",
    ),
    (
        "INITIALIZE answers noise",
        instruction::INITIALIZE,
        GarbageAnswer,
        "closed",
        "card_misbehaved",
    ),
    (
        "INITIALIZE answers too few bytes",
        instruction::INITIALIZE,
        Bytes(&[0, 0, 1, 0, 0x90, 0]),
        "closed",
        "card_misbehaved",
    ),
    (
        "VERIFY answers noise",
        instruction::VERIFY,
        GarbageAnswer,
        "closed",
        "card_misbehaved",
    ),
];

const AT_DEBIT: [Row; 5] = [
    (
        "DEBIT answers noise",
        instruction::DEBIT,
        GarbageAnswer,
        "paid",
        "",
    ),
    (
        "DEBIT answers eight bytes too few",
        instruction::DEBIT,
        Bytes(&[0x90, 0]),
        "paid",
        "",
    ),
    (
        "DEBIT answers 600 bytes",
        instruction::DEBIT,
        Bytes(ENDLESS),
        "paid",
        "",
    ),
    (
        "DEBIT answers an error after it was done",
        instruction::DEBIT,
        StatusAfterExecute(StatusWord(0x6F00)),
        "paid",
        "",
    ),
    (
        "DEBIT answers an error and is not done",
        instruction::DEBIT,
        StatusBeforeExecute(StatusWord(0x6F00)),
        "not_debited",
        "counter_unchanged",
    ),
];

pub(crate) fn rows(_: &Template) -> Result<Group, Fault> {
    let mut world = World::new()?;
    world.stack.start_again()?;
    let mut group = Group::default();
    for (number, row) in BEFORE_DEBIT.iter().chain(&AT_DEBIT).enumerate() {
        group.row(row.0, sold(&mut world, &format!("card-{number}"), row));
    }
    group.row("INITIALIZE tells a balance of minus one", minus_one(&mut world));
    group.row("GET BALANCE answers noise", not_readable(&mut world));
    world.sell_paid("good")?;
    group.row("counterfeit card: wrong MAC2", counterfeit(&mut world));
    world.stack.stop()?;
    let verified = world.stack.run_verb(&["verify-journal"])?;
    ensure(verified.status.success(), || format!("{verified:?}"))?;
    Ok(group)
}

/// One sale with the fault, followed to its end; the card comes back as often as it takes.
fn sold(world: &mut World, reference: &str, row: &Row) -> Result<String, Fault> {
    let (_, command, fault, state, reason) = *row;
    let debits = world.card.status().ep_offline_sn;
    world.card.script(ScriptedFault::next(command, fault));
    let mut pos = world.pos()?;
    put_away(world)?;
    pos.begin(reference, PRICE)?;
    world.card.insert();
    let sale = decided(world, &mut pos, reference)?;
    let has_struck = world.card.status().faults_waiting == 0;
    world.card.clear_script();
    put_away(world)?;
    ensure(has_struck, || format!("the card never failed: {sale:?}"))?;
    let said = sale.reason.clone().unwrap_or_default();
    ensure(sale.state == state && said == reason, || format!("{sale:?}"))?;
    if state == "closed" {
        says(&format!("{:?} {:?}", sale.cause, sale.remedy), &["Some", "card"])?;
    }
    let is_paid = state == "paid";
    world.paid += u64::from(is_paid);
    ensure(
        world.card.status().ep_offline_sn == debits + u16::from(is_paid),
        || format!("debited otherwise than told: {}", world.card.status()),
    )?;
    agrees(world, &mut pos)?;
    Ok(format!(
        "{state} {said}: {}; {}",
        sale.cause.unwrap_or_default(),
        sale.remedy.unwrap_or_default()
    ))
}

/// INITIALIZE with a balance of FFFFFFFF, which is minus one or four thousand million; all else is as the card says.
fn minus_one(world: &mut World) -> Result<String, Fault> {
    let [high, low] = world.card.status().ep_offline_sn.to_be_bytes();
    let answer = [
        0xFF, 0xFF, 0xFF, 0xFF, high, low, 0, 0, 0, 1, 0, 1, 2, 3, 4, 0x90, 0,
    ];
    // One row's worth of bytes, kept to the end of the test.
    let answer: &'static [u8] = Box::leak(Box::new(answer));
    let row = (
        "",
        instruction::INITIALIZE,
        Bytes(answer),
        "not_debited",
        "counter_unchanged",
    );
    sold(world, "minus-one", &row)
}

/// Takes the card away, and waits until purserd has seen that.
fn put_away(world: &World) -> Result<(), Fault> {
    world.card.remove();
    let mut pos = world.pos()?;
    let end = std::time::Instant::now() + PATIENCE;
    loop {
        let devices = pos.call(async |purser| purser.devices().await)??.devices;
        if devices
            .iter()
            .any(|it| it.name == READER && it.card_present == Some(false))
        {
            return Ok(());
        }
        ensure(std::time::Instant::now() < end, || {
            format!("the card stays: {devices:?}")
        })?;
        std::thread::yield_now();
    }
}

fn decided(world: &World, pos: &mut Pos, reference: &str) -> Result<Sale, Fault> {
    let told = pos.follow(reference, Told::default(), |sale| sale.outcome != "under_way")?;
    let mut last = told.sales.into_iter().last().ok_or("nothing is told")?;
    if last.outcome == "in_doubt" {
        put_away(world)?;
        world.card.insert();
        ensure(world.card.wait_until(Place::InReader, PATIENCE), || {
            "the card does not come back".to_owned()
        })?;
        let told = pos.follow(reference, Told::default(), |sale| sale.outcome != "in_doubt")?;
        last = told.sales.into_iter().last().ok_or("nothing is told")?;
    }
    Ok(last)
}

/// What is claimed, what is on the card and what is paid are the same money.
fn agrees(world: &World, pos: &mut Pos) -> Result<(), Fault> {
    let totals = pos.call(async |purser| purser.totals().await)??;
    let claimed: u64 = totals
        .balances
        .iter()
        .filter(|it| it.account == "claims")
        .map(|it| it.amount.minor)
        .sum();
    let left = Minor(u32::try_from(WALLET - world.paid * PRICE)?);
    ensure(
        totals.balanced
            && claimed == world.paid * PRICE
            && totals.counts.in_doubt == 0
            && world.card.status().ep == left,
        || format!("{} are paid: {totals:?}, {}", world.paid, world.card.status()),
    )
}

fn not_readable(world: &mut World) -> Result<String, Fault> {
    world
        .card
        .script(ScriptedFault::next(instruction::GET_BALANCE, GarbageAnswer));
    world.card.insert();
    let asked = ReadPurseArguments::default();
    let mut pos = world.pos()?;
    let end = std::time::Instant::now() + PATIENCE;
    let fault = loop {
        match pos.call(async |purser| purser.read_purse(&asked).await)? {
            // The reader has not seen the card yet, or looks at it itself.
            Err(ClientError::Refused(fault)) if matches!(&*fault.name, "NoCard" | "ReaderInUse") => {
                ensure(std::time::Instant::now() < end, || fault.to_string())?;
            }
            Err(ClientError::Refused(fault)) => break fault,
            other => return Err(format!("{other:?}").into()),
        }
    };
    put_away(world)?;
    ensure(&*fault.name == "CardNotReadable", || format!("{fault:?}"))?;
    says(
        &fault.to_string(),
        &[
            "the card cannot be read as a purse",
            "put it in again, or take another card",
        ],
    )?;
    Ok(format!("{}: {fault}", fault.name))
}

/// Nothing that it says proves a debit: the sale is in doubt, and stays so for the provider.
fn counterfeit(world: &mut World) -> Result<String, Fault> {
    world
        .card
        .script(ScriptedFault::next(instruction::DEBIT, WrongMac2));
    let told = world.sell("counterfeit")?;
    let sale = told.last().ok_or("nothing is told")?;
    ensure(sale.outcome == "in_doubt", || format!("{sale:?}"))?;
    let mut pos = world.pos()?;
    let totals = pos.call(async |purser| purser.totals().await)??;
    ensure(totals.balanced && totals.counts.paid == world.paid, || {
        format!("{totals:?}")
    })?;
    Ok(format!("{} {:?}", sale.state, sale.reason))
}
