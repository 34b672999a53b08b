//! 100,000 claims in a real journal, settled by the real programs: neither holds them in memory.
//!
//! The sales are written by the journal crate, not sold one by one; their TACs are what the lab's cards would have made, so
//! that the provider pays them. Takes minutes, so it is a step of `.ci/run` of its own, which runs beside the unit tests: `many`.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

use e2e::resources::{forget_peak, peak_kib};
use e2e::settle::shop::Shop;
use e2e::{Fault, ensure};
use purser_journal::{Journal, Options};
use purser_lab::card::{
    CardDate, CardTime, Minor, Purchase, PurseKind as LabPurse, Serial, TerminalSn as LabSn,
};
use purser_lab::issuer::{
    LAB_ISSUER, LAB_KEY_VERSION, LAB_SERIAL, LAB_TERMINAL_NUMBER, Masters, purchase_tac,
};
use purser_lab::stack::CURRENCY;
use purser_ledger::{
    Amount, CardId, Commit, DebitKey, DeviceName, Entry, OperationId, Owner, PaidProof, Reference,
    SaleIntended, SalePaid, Scheme, SchemeBytes, Store, Wall,
};
use purser_purse::pboc::{
    AlgorithmId, Asn, Attempt, CardRandom, ClaimEvidence, DebitAnswer, IssuerId, KeyVersion, Mac2, OfflineSn,
    Proof, PsamTerminalNumber, PurseAmount, PurseKind, Tac, TerminalSn, TerminalTime,
};
use serde_json::Value;

const CLAIMS: u32 = 100_000;
const PRICE: u32 = 7;
/// A card counts 65,535 purchases.
const CARDS: u32 = 4;
/// Sales that are written with one sync.
const GROUP: u32 = 1_000;
/// purserd would settle by itself before it is measured, were it near a limit.
const LIMITS: &str = "[limits]\ncount_max = 1000000\n";
/// How much either program may grow, in KiB. 10,000 claims let purserd grow by 8 MiB and purser-provider by 11 (their pages and
/// signatures in flight, and SQLite's caches of 2 MiB a connection); to hold 100,000 once would take 25 MiB more, as each
/// is some 250 bytes.
const GROWTH_MAX_KIB: u64 = 24 * 1024;
const TIME: Duration = Duration::from_secs(900);
const LOOK_AGAIN: Duration = Duration::from_millis(200);

#[test]
#[ignore = "issue 4: takes minutes: .ci/run many"]
fn a_hundred_thousand_claims_are_settled_with_flat_memory_on_both_sides() -> Result<(), Fault> {
    let serials: Vec<Serial> = (0..CARDS).map(serial).collect();
    let mut shop = Shop::enrolled(&serials, LIMITS)?;
    let started = Instant::now();
    fill(&shop.stack.layout().state_dir())?;
    println!(
        "{CLAIMS} sales are written in {:.0} s",
        started.elapsed().as_secs_f32()
    );
    let started = Instant::now();
    shop.rise()?;
    println!(
        "purserd starts on them in {:.1} s",
        started.elapsed().as_secs_f32()
    );
    let programs = [
        ("purserd", shop.stack.purserd_id().ok_or("purserd does not run")?),
        (
            "purser-provider",
            shop.provider.id().ok_or("the provider does not run")?,
        ),
    ];
    let mut before = Vec::new();
    for (_, id) in programs {
        forget_peak(id)?;
        before.push(peak_kib(id)?);
    }
    let started = Instant::now();
    settle(&shop)?;
    println!("settled in {:.0} s", started.elapsed().as_secs_f32());
    let mut grown = Vec::new();
    for ((name, id), before) in programs.into_iter().zip(before) {
        let after = peak_kib(id)?;
        println!("{name}: {before} KiB before, {after} KiB at most meanwhile");
        grown.push(after.saturating_sub(before));
    }
    all_is_paid(&shop)?;
    ensure(grown.iter().all(|grown| *grown < GROWTH_MAX_KIB), || {
        format!("grown by {grown:?} KiB")
    })
}

/// Settles as an operator does, to the end.
fn settle(shop: &Shop) -> Result<(), Fault> {
    let program = shop.stack.programs().purserctl.clone();
    let mut settling = Command::new(program.ok_or("purserctl was not built")?)
        .arg("--json")
        .arg("--socket")
        .arg(shop.stack.layout().socket())
        .args(["settle", "--wait"])
        .stdout(Stdio::piped())
        .spawn()?;
    let end = Instant::now() + TIME;
    while settling.try_wait()?.is_none() {
        if Instant::now() > end {
            settling.kill()?;
        }
        std::thread::sleep(LOOK_AGAIN);
    }
    let output = settling.wait_with_output()?;
    let told: Value = serde_json::from_slice(&output.stdout)?;
    let batch = &told["batches"][0];
    ensure(
        output.status.success() && batch["state"] == "exchanged" && batch["count"] == CLAIMS,
        || format!("{told}\n{}", shop.stack.log().unwrap_or_default()),
    )
}

fn all_is_paid(shop: &Shop) -> Result<(), Fault> {
    let money = u64::from(CLAIMS) * u64::from(PRICE);
    let totals = shop.totals()?;
    let permits = totals.balances.iter().find(|it| it.account == "permits");
    ensure(
        totals.balanced && permits.is_some_and(|it| it.amount.minor == money),
        || format!("{totals:?}"),
    )?;
    let books = shop.provider.run(&["liability"])?;
    ensure(books.len() == 1 && books[0]["permits"] == money, || {
        format!("{books:?}")
    })?;
    let started = Instant::now();
    let audit = shop.provider.run(&["audit"])?;
    ensure(audit.first().is_some_and(|it| it["findings"] == 0), || {
        format!("{audit:?}")
    })?;
    println!("audited in {:.0} s", started.elapsed().as_secs_f32());
    let started = Instant::now();
    let report = shop.verified()?;
    println!("verified in {:.0} s", started.elapsed().as_secs_f32());
    ensure(report["whole"] == true, || format!("{report}"))
}

/// Writes all sales.
fn fill(state_dir: &Path) -> Result<(), Fault> {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?;
    let sold_at = i64::try_from(now.as_secs())? - 3_600;
    let masters = Masters::public_lab();
    let mut journal = Journal::open(state_dir, &Options { reserve_bytes: 0 })?;
    let mut bytes = 0;
    for first in (0..CLAIMS).step_by(usize::try_from(GROUP)?) {
        let mut group = Vec::new();
        for number in first..first + GROUP {
            group.extend(sale(&masters, number, sold_at)?);
        }
        for commit in &group {
            if let Entry::SalePaid(paid) = &commit.entry {
                bytes += paid.evidence.bytes().len();
            }
        }
        for answer in journal.append(&group)? {
            answer?;
        }
        journal.maintain()?;
    }
    println!("their evidence alone is {} KiB", bytes / 1024);
    Ok(())
}

fn serial(card: u32) -> Serial {
    let mut digits = LAB_SERIAL.0;
    let [.., last] = &mut digits;
    *last += u8::try_from(card).expect("there are few cards");
    Serial(digits)
}

/// What a card has been asked, and the evidence that it would have answered with.
fn debit(masters: &Masters, number: u32, sold_at: i64) -> Result<(Attempt, ClaimEvidence), Fault> {
    let asn = serial(number % CARDS).asn();
    let time = TerminalTime::from_local(sold_at)?;
    let attempt = Attempt {
        issuer_id: IssuerId::new(LAB_ISSUER.0),
        asn: Asn::new(asn.0),
        purse: PurseKind::Ep,
        key_index: 1,
        terminal_number: PsamTerminalNumber::new(LAB_TERMINAL_NUMBER.0),
        terminal_sn: TerminalSn::new(number + 1),
        offline_sn: OfflineSn::new(u16::try_from(number / CARDS)?),
        random: CardRandom::new(number.to_be_bytes()),
        key_version: KeyVersion(LAB_KEY_VERSION),
        algorithm_id: AlgorithmId(0),
        old_balance: PurseAmount::new(1_000_000 - PRICE * (number / CARDS)),
        amount: PurseAmount::new(PRICE),
        time,
    };
    let purchase = Purchase {
        purse: LabPurse::Ep,
        amount: Minor(PRICE),
        terminal: LAB_TERMINAL_NUMBER,
        terminal_sn: LabSn(number + 1),
        date: CardDate(*time.date.as_bytes()),
        time: CardTime(*time.time.as_bytes()),
    };
    let answer = DebitAnswer {
        tac: Tac::new(purchase_tac(masters, asn, &purchase).0),
        mac2: Mac2::new([0; 4]),
    };
    let evidence = ClaimEvidence::new(attempt.clone(), Some(answer), Proof::Mac2Verified)?;
    Ok((attempt, evidence))
}

/// The two entries of a sale that is paid, with the TAC that its card would have made.
fn sale(masters: &Masters, number: u32, sold_at: i64) -> Result<[Commit; 2], Fault> {
    let (attempt, evidence) = debit(masters, number, sold_at)?;
    let amount = Amount::new(u64::from(PRICE), CURRENCY.parse()?)?;
    let intended = SaleIntended {
        reference: Reference::new(format!("order-{number}"))?,
        owner: Owner(1_000),
        amount,
        reader: DeviceName::new("counter")?,
        key: DebitKey {
            card: CardId::new(Scheme::Pboc, serial(number % CARDS).0),
            terminal_number: LAB_TERMINAL_NUMBER.0,
            terminal_sn: number + 1,
        },
        attempt: SchemeBytes::new(Scheme::Pboc, attempt.encode()).ok_or("an attempt is short")?,
        pin_verified: true,
        parameters_version: 0,
        generation: 0,
    };
    let paid = SalePaid {
        amount,
        proof: PaidProof::Answer,
        evidence: SchemeBytes::new(Scheme::Pboc, evidence.encode()).ok_or("evidence is short")?,
        balance_after: None,
        refund_owed: false,
        answer: None,
    };
    let mixed = (u128::from(number) + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835);
    let commit = |step, entry| Commit {
        operation: OperationId::new(mixed.to_be_bytes()),
        step,
        at: Wall {
            unix_seconds: sold_at,
            utc_offset_seconds: 0,
            trusted: true,
        },
        entry,
    };
    Ok([
        commit(0, Entry::SaleIntended(intended)),
        commit(1, Entry::SalePaid(paid)),
    ])
}
