//! PIN, keys and session keys are nowhere but where they must be.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use e2e::buyer::Buyer;
use e2e::canary::{Hit, Needle, control, core_of, from_hex, of_bytes, of_digits, search_all};
use e2e::{Fault, ensure};
use purser_api::model::{Amount, BeginSaleArguments};
use purser_lab::card::{Card, Fault as CardFault, Key16, Minor, Opening, ScriptedFault, instruction};
use purser_lab::issuer::{LAB_ISSUER, LAB_KEY_INDEX, LAB_SERIAL, Masters, purchase_key_file};
use purser_lab::stack::{CURRENCY, Options, Stack};
use purser_lab::vpcd::CardThread;

/// The PIN to look for. No other test uses it.
const PIN: &str = "907162534489";
/// A PIN that the card refuses, which is a buyer's secret as much: often it is that of another card.
const WRONG_PIN: &str = "618350927741";
/// The master key to look for.
const MASTER: Key16 = Key16::new([
    0xC9, 0x4E, 0x17, 0xB2, 0x6D, 0x83, 0xF1, 0x5A, 0x38, 0xEC, 0x92, 0x0B, 0xD7, 0x64, 0xA5, 0x7F,
]);
const PRICE: u64 = 300;
/// The purchase type of the card's wallet in a journaled attempt.
const WALLET: u8 = 0x02;

#[test]
fn no_secret_is_in_logs_journal_folders_or_a_core_of_purserd() {
    let hits = live_and_search().expect("the shop's day goes as planned, and every control is found");
    for hit in &hits {
        println!("FOUND {hit:?}");
    }
    assert!(
        hits.is_empty(),
        "{} secrets are where they must not be",
        hits.len()
    );
}

#[test]
fn the_search_finds_the_pin_in_a_core_of_a_process_that_keeps_it() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let needles = of_digits("PIN", PIN).expect("the PIN is digits");
    let mut careless = careless_process().expect("a shell runs");
    let core = folder.path().join("core");
    let made = core_of(careless.id(), &core);
    careless.kill().expect("it runs");
    careless.wait().expect("it ends");
    made.expect("root may take a core");
    let hits = search_all(&[core], &needles).expect("the core can be read");
    assert!(!hits.is_empty());
}

/// A shell that has read the PIN into a variable, and waits.
fn careless_process() -> Result<Child, Fault> {
    let mut shell = Command::new("sh")
        .args(["-c", "read -r pin; echo; read -r never"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let typed = shell.stdin.as_mut().ok_or("there is no pipe")?;
    writeln!(typed, "{PIN}")?;
    let mut told = [0; 1];
    std::io::Read::read_exact(shell.stdout.as_mut().ok_or("there is no pipe")?, &mut told)?;
    Ok(shell)
}

/// A shop's day with everything that handles a secret, then the search.
fn live_and_search() -> Result<Vec<Hit>, Fault> {
    let folder = tempfile::tempdir()?;
    let (mut stack, card) = shop(folder.path())?;
    stack.start_again()?;
    let buyer = Buyer::at(stack.layout().pad(), PIN.to_owned());
    sell(&stack, &card, "sale-by-pad", Pin::AtThePad, "paid")?;
    sell(&stack, &card, "sale-by-api", Pin::ThroughApi(PIN), "paid")?;
    sell(
        &stack,
        &card,
        "sale-wrong-by-api",
        Pin::ThroughApi(WRONG_PIN),
        "under_way",
    )?;
    stack
        .till()?
        .call(async |purser| purser.cancel("sale-wrong-by-api").await)?;
    card.script(ScriptedFault::next(
        instruction::DEBIT,
        CardFault::TearAfterExecute,
    ));
    sell(&stack, &card, "sale-torn", Pin::AtThePad, "in_doubt")?;
    let before = folder.path().join("core-before");
    core_of(stack.purserd_id().ok_or("purserd does not run")?, &before)?;
    stack.kill();
    stack.start_again()?;
    let after = folder.path().join("core-after-start");
    core_of(stack.purserd_id().ok_or("purserd does not run")?, &after)?;
    card.remove();
    card.insert();
    stack.till()?.wait_for_outcome("sale-torn", "paid")?;
    sell(&stack, &card, "sale-after", Pin::AtThePad, "paid")?;
    let end = folder.path().join("core-end");
    core_of(stack.purserd_id().ok_or("purserd does not run")?, &end)?;
    drop(buyer);

    let layout = stack.layout();
    let needles = needles(&layout.state_dir(), 4)?;
    let cores = [before, after, end];
    is_found(&cores[..1], "sale-by-pad")?;
    is_found(&cores[1..2], "sale-torn")?;
    is_found(&cores[2..], "sale-after")?;
    for reference in ["sale-by-pad", "sale-by-api", "sale-torn", "sale-after"] {
        is_found(&[layout.state_dir()], reference)?;
    }
    is_found(&[layout.config_dir()], &MASTER.to_hex())?;
    let mut places = vec![layout.state_dir(), layout.run_dir(), layout.log()];
    places.extend(cores);
    println!("canaries: {} needles in {places:?}", needles.len());
    search_all(&places, &needles)
}

/// A stack whose SAM has the canary key, and a card of that issuer with the canary PIN.
fn shop(folder: &Path) -> Result<(Stack, CardThread), Fault> {
    let options = Options {
        drop_in: "[pin]\nthrough_api = true\n".to_owned(),
        log: "debug".to_owned(),
        ..Options::default()
    };
    let stack = Stack::prepare(folder, options)?;
    let layout = stack.layout();
    fs::write(layout.config_dir().join("sam.key"), purchase_key_file(&masters()))?;
    let mut personalisation = masters().personalise(LAB_SERIAL);
    personalisation.pin = PIN.parse()?;
    let opening = Opening {
        ep: Minor(100_000),
        ..Opening::default()
    };
    let card = stack.put_card(
        "card",
        Card::new(Arc::new(personalisation), opening),
        layout.reader,
    )?;
    Ok((stack, card))
}

fn masters() -> Masters {
    Masters {
        purchase: MASTER,
        ..Masters::public_lab()
    }
}

/// How the PIN comes to purserd.
#[derive(Clone, Copy)]
enum Pin {
    AtThePad,
    ThroughApi(&'static str),
}

/// Sells until the sale is so.
fn sell(stack: &Stack, card: &CardThread, reference: &str, pin: Pin, outcome: &str) -> Result<(), Fault> {
    card.remove();
    let mut till = stack.till()?;
    let asked = BeginSaleArguments {
        reference: reference.to_owned(),
        amount: Amount {
            minor: PRICE,
            currency: CURRENCY.to_owned(),
        },
        reader: None,
        pin_through_api: Some(matches!(pin, Pin::ThroughApi(_))),
    };
    till.call(async |purser| purser.begin_sale(&asked).await)?;
    card.insert();
    if let Pin::ThroughApi(digits) = pin {
        till.watch(reference)?
            .until("a wait for the PIN", |sale| sale.state == "waiting_for_pin")?;
        let (read, write) = rustix::pipe::pipe()?;
        rustix::io::write(&write, digits.as_bytes())?;
        drop(write);
        till.call(async |purser| purser.provide_pin(reference, read, false).await)?;
    }
    if outcome == "under_way" {
        till.watch(reference)?.until("a refused PIN", |sale| {
            sale.state == "waiting_for_pin" && sale.tries_left == Some(2)
        })?;
        return Ok(());
    }
    let sale = till.wait_for_end(reference)?;
    ensure(sale.outcome == outcome, || {
        format!("{reference} is not {outcome}: {sale:?}")
    })
}

/// Every secret of these sales, in every form.
fn needles(state_dir: &Path, debits: usize) -> Result<Vec<Needle>, Fault> {
    let mut needles = of_digits("PIN", PIN)?;
    needles.extend(of_digits("wrong PIN", WRONG_PIN)?);
    let card_key = masters().card_keys(LAB_SERIAL.asn()).purchase;
    for (name, key) in [("master key", &MASTER), ("card key", &card_key)] {
        let bytes = from_hex(&key.to_hex())?;
        let (left, right) = bytes.split_at(bytes.len() / 2);
        needles.extend(of_bytes(&format!("{name}, left half"), left));
        needles.extend(of_bytes(&format!("{name}, right half"), right));
    }
    let sessions = sessions(state_dir)?;
    ensure(sessions.len() == debits, || {
        format!("{} attempts are journaled, not {debits}", sessions.len())
    })?;
    for (number, block) in sessions.iter().enumerate() {
        // The first half of a diversified key is one block under the key, as a session key is.
        let key = from_hex(&card_key.diversify(*block).to_hex())?;
        needles.extend(of_bytes(&format!("session key {number}"), &key[..8]));
    }
    Ok(needles)
}

/// What each journaled attempt made its session key of: challenge, the card's counter, the low half of the terminal's.
fn sessions(state_dir: &Path) -> Result<Vec<[u8; 8]>, Fault> {
    let begin = format!("{LAB_ISSUER}{}{WALLET:02x}{LAB_KEY_INDEX:02x}", LAB_SERIAL.asn()).to_lowercase();
    let mut sessions: Vec<[u8; 8]> = Vec::new();
    for file in ["journal.db", "journal.db-wal"] {
        // The journal's entries are JSON; what is none of them is passed over.
        let content = String::from_utf8_lossy(&fs::read(state_dir.join(file))?).into_owned();
        for after in content.split(&begin).skip(1) {
            let Some(digits) = after.get(..2 * 16) else {
                continue;
            };
            // PSAM terminal number 6, terminal SN 4, offline SN 2, challenge 4.
            let [_, _, _, _, _, _, _, _, t0, t1, s0, s1, c0, c1, c2, c3] = from_hex(digits)?[..] else {
                continue;
            };
            let block = [c0, c1, c2, c3, s0, s1, t0, t1];
            if !sessions.contains(&block) {
                sessions.push(block);
            }
        }
    }
    Ok(sessions)
}

fn is_found(places: &[PathBuf], text: &str) -> Result<(), Fault> {
    let hits = search_all(places, &[control(text)])?;
    ensure(!hits.is_empty(), || {
        format!("the search does not find {text} in {places:?}")
    })
}

/// Source: the published example at cnblogs.com/ttss 4280430.
#[test]
fn a_session_key_is_the_first_block_of_a_diversification() {
    let key: Key16 = "11223344556677888877665544332211".parse().expect("it is a key");
    let block = [0x11, 0x22, 0x33, 0x44, 0, 0, 0, 1];
    assert_eq!(key.diversify(block).to_hex()[..16], *"003238abc57659dd");
}
