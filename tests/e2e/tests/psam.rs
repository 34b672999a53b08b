//! Sales with a PSAM in a slot of its own.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use e2e::buyer::Buyer;
use e2e::judge::judge;
use e2e::psams;
use e2e::world::{PRICE, Sam, World};
use e2e::{Fault, ensure};
use purser_api::model::{Amount, BeginSaleArguments, Sale};
use purser_lab::card::{
    self, Card, Fault as CardFault, Minor, Opening, Personalisation, PsamTerminalNumber, ScriptedFault,
    Serial, StatusWord, TerminalSn,
};
use purser_lab::claims;
use purser_lab::issuer::{LAB_ISSUER, LAB_PIN, LAB_SERIAL, Masters};
use purser_lab::psam::{self, FactorOrder, Levels, Psam, PsamFault, PsamPersonalisation};
use purser_lab::stack::{CURRENCY, Options, PSAM_READER, READER, SECOND_READER, Stack, Till};
use purser_lab::vpcd::{CardThread, PsamThread};
use tempfile::TempDir;

const OTHER_SERIAL: Serial = Serial([0, 0, 0, 0, 0x20, 0x26, 0, 0, 0, 2]);

#[test]
fn a_psam_that_fails_at_any_step_loses_no_sale_doubles_none_and_never_repeats_a_terminal_sn() {
    psams::run().expect("money is kept");
}

/// Rounds of kill, stop and reinsertion.
const ROUNDS: u32 = 10;

#[test]
fn terminal_sns_rise_over_kills_stops_and_reinsertions_of_the_psam() -> Result<(), Fault> {
    let mut world = World::with(Sam::Psam)?;
    world.stack.start_again()?;
    world.sell_paid("first")?;
    let mut found = Vec::new();
    for round in 0..ROUNDS {
        let reference = format!("sale-{round}");
        world.card.remove();
        let mut pos = world.pos()?;
        let mut told = pos.begin(&reference, PRICE)?;
        world.card.insert();
        // From before the card is read to after the end of a sale: the moment of the end is what this test varies.
        thread::sleep(Duration::from_millis(u64::from(round) * 12));
        if round % 3 == 2 {
            world.stack.stop()?;
        } else {
            world.stack.kill();
        }
        told.is_cut_off = true;
        let psam = world.psam.as_ref().ok_or("this world has a PSAM")?;
        if round % 2 == 1 {
            psam.remove();
        }
        found.push(judge(&mut world, &reference, &told)?);
    }
    let used = claims::terminal_sns(&world.stack.layout().state_dir())?;
    let used: Vec<u32> = used.into_iter().map(|TerminalSn(number)| number).collect();
    println!("{ROUNDS} ends of purserd: {found:?}; terminal SNs in the journal: {used:?}");
    Ok(())
}

/// A shop with a PSAM.
struct Shop {
    till: Till,
    _buyer: Buyer,
    stack: Stack,
    _folder: TempDir,
}

impl Shop {
    fn open(drop_in: &str, factor_order: FactorOrder) -> Result<Self, Fault> {
        Self::with(Options {
            drop_in: drop_in.to_owned(),
            psam: Some(factor_order),
            ..Options::default()
        })
    }

    fn with(options: Options) -> Result<Self, Fault> {
        let folder = tempfile::tempdir()?;
        let stack = Stack::start(folder.path(), options)?;
        Ok(Self {
            till: stack.till()?,
            _buyer: Buyer::at(stack.layout().pad(), LAB_PIN.to_owned()),
            stack,
            _folder: folder,
        })
    }

    /// A PSAM of the lab, changed so, before its slot.
    fn psam(&self, name: &str, change: impl FnOnce(&mut PsamPersonalisation)) -> Result<PsamThread, Fault> {
        let mut personalisation = Masters::public_lab().personalise_psam();
        change(&mut personalisation);
        let psam = Psam::new(Arc::new(personalisation), TerminalSn(0));
        Ok(self.stack.put_psam(name, psam)?)
    }

    /// A sale to this card, which is in the reader only for it, comes to this end.
    fn sale_ends(
        &mut self,
        reference: &str,
        card: &CardThread,
        (outcome, reason): (&str, Option<&str>),
    ) -> Result<(), Fault> {
        self.till.begin_sale(reference, PRICE)?;
        card.insert();
        let sale = self.till.wait_for_end(reference)?;
        card.remove();
        is(&sale, outcome, reason)
    }

    /// The books balance, there are so many claims, and the issuer accepts them all.
    fn closes(mut self, paid: usize) -> Result<(), Fault> {
        let totals = self.till.call(async |purser| purser.totals().await)?;
        ensure(totals.balanced, || {
            format!("the books do not balance: {totals:?}")
        })?;
        let state = self.stack.layout().state_dir();
        let claims = claims::read(&state)?;
        ensure(
            claims.len() == paid && claims.iter().all(|claim| claim.verified),
            || format!("{paid} genuine claims are due: {claims:?}"),
        )?;
        let used = claims::terminal_sns(&state)?;
        ensure(used.is_sorted_by(|before, after| before < after), || {
            format!("terminal SNs do not rise: {used:?}")
        })?;
        self.stack.stop()?;
        let verified = self.stack.run_verb(&["verify-journal"])?;
        ensure(verified.status.success(), || format!("{verified:?}"))
    }
}

fn is(sale: &Sale, outcome: &str, reason: Option<&str>) -> Result<(), Fault> {
    let found = sale.reason.as_deref();
    println!(
        "{:<28} {:<9} {}",
        sale.reference,
        sale.outcome,
        found.unwrap_or("")
    );
    ensure(sale.outcome == outcome && found == reason, || {
        format!("not {outcome} ({reason:?}): {sale:?}")
    })
}

const PAID: (&str, Option<&str>) = ("paid", None);

#[test]
fn a_wrong_mac2_is_never_paid_and_a_psam_that_it_locked_refuses_sales_until_it_is_unlocked()
-> Result<(), Fault> {
    let mut shop = Shop::open("", FactorOrder::AsnFirst)?;
    let psam = shop.psam("psam", |fixed| fixed.mac_tries_max = 1)?;
    let honest = shop.stack.new_card("honest", OTHER_SERIAL, Minor(10_000))?;
    let counterfeit = shop.stack.new_card("counterfeit", LAB_SERIAL, Minor(10_000))?;
    psam.insert();
    shop.sale_ends("honest", &honest, PAID)?;
    counterfeit.script(ScriptedFault::next(
        card::instruction::DEBIT,
        CardFault::WrongMac2,
    ));
    shop.sale_ends("counterfeit", &counterfeit, ("in_doubt", Some("mac2_refused")))?;
    ensure(psam.card().is_locked(), || {
        format!("9302 was not counted: {}", psam.status())
    })?;
    let refused = ("not_paid", Some("psam_locked"));
    shop.sale_ends("locked", &honest, refused)?;
    let debits = honest.status().ep_offline_sn;
    ensure(debits == 1, || {
        format!("the honest card was debited {debits} times")
    })?;
    psam.unlock()?;
    psam.remove();
    psam.insert();
    shop.sale_ends("unlocked", &honest, PAID)?;

    counterfeit.insert();
    let mut watch = shop.till.watch("counterfeit")?;
    let queried = watch.until("a query", |sale| sale.state == "queried")?;
    is(&queried, "in_doubt", Some("card_contradicts"))?;
    drop(watch);
    counterfeit.remove();
    shop.closes(2)
}

#[test]
fn a_sale_whose_mac2_the_psam_does_not_check_is_never_told_as_paid_and_the_provider_is_asked()
-> Result<(), Fault> {
    let mut shop = Shop::open("", FactorOrder::AsnFirst)?;
    let psam = shop.psam("psam", |_| ())?;
    let card = shop.stack.new_card("card", LAB_SERIAL, Minor(10_000))?;
    let other = shop.stack.new_card("other", OTHER_SERIAL, Minor(10_000))?;
    psam.insert();
    let failed = StatusWord(0x6581);
    for (reference, fault) in [
        ("garbage", PsamFault::GarbageAnswer),
        ("6581", PsamFault::StatusAfter(failed)),
        ("6581-unchecked", PsamFault::StatusBefore(failed)),
    ] {
        psam.script(ScriptedFault::next(psam::instruction::CREDIT, fault));
        shop.sale_ends(reference, &card, ("in_doubt", Some("mac2_unanswered")))?;
        // It has cost one card's sale, and nobody else's.
        shop.sale_ends(&format!("{reference}-other"), &other, PAID)?;
        card.insert();
        let mut watch = shop.till.watch(reference)?;
        let queried = watch.until("a query", |sale| sale.state == "queried")?;
        is(&queried, "in_doubt", Some("mac2_unproven"))?;
        drop(watch);
        card.remove();
    }
    shop.closes(3)
}

#[test]
fn a_psam_that_is_not_there_or_another_one_is_named_and_a_sale_waits_for_it() -> Result<(), Fault> {
    let mut shop = Shop::open("", FactorOrder::AsnFirst)?;
    let card = shop.stack.new_card("card", LAB_SERIAL, Minor(10_000))?;
    let purse = Masters::public_lab().personalise(OTHER_SERIAL);
    let opening = Opening {
        ep: Minor(10_000),
        ..Opening::default()
    };
    let purse = Card::new(Arc::new(purse), opening);
    let purse = shop.stack.put_card("purse", purse, shop.stack.layout().psam)?;
    let other = shop.psam("other", |fixed| {
        fixed.terminal_number = PsamTerminalNumber([0, 0, 0, 0, 0, 2]);
    })?;
    let psam = shop.psam("psam", |_| ())?;

    shop.sale_ends("no-PSAM", &card, ("not_paid", Some("psam_not_ready")))?;
    let mismatch = ("not_paid", Some("psam_mismatch"));
    purse.insert();
    shop.sale_ends("a-purse-card-in-the-slot", &card, mismatch)?;
    purse.remove();
    other.insert();
    shop.sale_ends("another-terminal-number", &card, mismatch)?;
    other.remove();

    shop.till.begin_sale("waits-for-its-PSAM", PRICE)?;
    card.insert();
    let mut watch = shop.till.watch("waits-for-its-PSAM")?;
    watch.until("waiting_for_sam", |sale| sale.state == "waiting_for_sam")?;
    psam.insert();
    is(
        &watch.until("an end", |sale| sale.outcome != "under_way")?,
        "paid",
        None,
    )?;
    drop(watch);
    card.remove();
    let (left, purse) = (card.status(), purse.status());
    ensure(left.ep == Minor(9_700) && left.ep_offline_sn == 1, || {
        left.to_string()
    })?;
    ensure(purse.ep == Minor(10_000) && purse.ep_offline_sn == 0, || {
        purse.to_string()
    })?;
    ensure(other.status().terminal_sn == TerminalSn(0), || {
        "another shop's PSAM was used".to_owned()
    })?;
    shop.closes(1)
}

#[test]
fn a_terminal_sn_that_a_psam_gives_again_is_refused_before_debit_also_for_another_card_and_after_a_kill()
-> Result<(), Fault> {
    let mut shop = Shop::open("", FactorOrder::AsnFirst)?;
    let psam = shop.psam("psam", |_| ())?;
    let first = shop.stack.new_card("first", LAB_SERIAL, Minor(10_000))?;
    let second = shop.stack.new_card("second", OTHER_SERIAL, Minor(10_000))?;
    psam.insert();
    shop.sale_ends("first", &first, PAID)?;
    let repeat = ScriptedFault::next(psam::instruction::INITIALIZE, PsamFault::RepeatTerminalSn);
    for reference in ["repeated", "repeated-after-a-kill"] {
        psam.script(repeat);
        // It would strike a DEBIT, and has to be there still.
        second.script(ScriptedFault::next(
            card::instruction::DEBIT,
            CardFault::TearBeforeExecute,
        ));
        shop.sale_ends(reference, &second, ("not_paid", Some("terminal_sn_repeated")))?;
        let (psam, card) = (psam.status(), second.status());
        ensure(psam.faults_waiting == 0 && card.faults_waiting == 1, || {
            format!("a DEBIT was sent: {psam}; {card}")
        })?;
        second.clear_script();
        shop.stack.kill();
        shop.stack.start_again()?;
        shop.till = shop.stack.till()?;
    }
    shop.sale_ends("honest-again", &second, PAID)?;
    ensure(psam.status().terminal_sn == TerminalSn(2), || {
        psam.status().to_string()
    })?;
    shop.closes(2)
}

/// A card that pays without a PIN, so that two may pay at one moment.
fn pin_free(serial: Serial) -> Card {
    let personalisation = Personalisation {
        ep_purchase_needs_pin: false,
        ..Masters::public_lab().personalise(serial)
    };
    let opening = Opening {
        ep: Minor(10_000),
        ..Opening::default()
    };
    Card::new(Arc::new(personalisation), opening)
}

/// Pairs of sales at the same moment.
const PAIRS: usize = 6;

#[test]
fn two_readers_share_one_psam_and_a_card_torn_in_one_does_not_keep_it_from_the_other() -> Result<(), Fault> {
    let mut shop = Shop::with(Options {
        drop_in: "[pin.free_up_to]\nJPY = 1000\n".to_owned(),
        psam: Some(FactorOrder::AsnFirst),
        second_reader: true,
        ..Options::default()
    })?;
    let layout = shop.stack.layout().clone();
    let (first, second) = (pin_free(LAB_SERIAL), pin_free(OTHER_SERIAL));
    let first = shop.stack.put_card("first", first, layout.reader)?;
    let second = shop.stack.put_card("second", second, layout.second_reader)?;
    let psam = shop.psam("psam", |_| ())?;
    psam.insert();
    for pair in 0..PAIRS {
        let is_torn = pair % 2 == 1;
        if is_torn {
            first.script(ScriptedFault::next(
                card::instruction::DEBIT,
                CardFault::TearAfterExecute,
            ));
        }
        let (one, other) = (format!("first-{pair}"), format!("second-{pair}"));
        for (reference, reader) in [(&one, READER), (&other, SECOND_READER)] {
            let asked = BeginSaleArguments {
                reference: reference.clone(),
                amount: Amount {
                    minor: PRICE,
                    currency: CURRENCY.to_owned(),
                },
                reader: Some(reader.to_owned()),
                pin_through_api: None,
            };
            shop.till.call(async |purser| purser.begin_sale(&asked).await)?;
        }
        first.insert();
        second.insert();
        is(&shop.till.wait_for_end(&other)?, "paid", None)?;
        let sale = shop.till.wait_for_end(&one)?;
        if is_torn {
            is(&sale, "in_doubt", Some("answer_lost"))?;
            first.insert();
            is(&shop.till.wait_for_outcome(&one, "paid")?, "paid", None)?;
        } else {
            is(&sale, "paid", None)?;
        }
        first.remove();
        second.remove();
    }
    shop.closes(2 * PAIRS)
}

/// A factor between the issuer and the card, such as a city's.
const CITY: [u8; 8] = [0x05, 0x74, 0x05, 0x74, 0x05, 0x74, 0x05, 0x74];

#[test]
fn cards_with_keys_of_three_levels_pay_in_both_factor_orders() -> Result<(), Fault> {
    for order in [FactorOrder::AsnFirst, FactorOrder::UpperFirst] {
        let city = hex(&CITY);
        let drop_in = format!(
            "[sam]\npsam = {{ reader = \"{PSAM_READER}\", factor_order = \"{}\", \
             levels = [\"issuer\", \"{city}\", \"asn\"] }}\n",
            order.name()
        );
        let mut shop = Shop::open(&drop_in, order)?;
        let psam = shop.psam("psam", |fixed| {
            fixed.key.levels = Levels::try_from(3).expect("three levels are allowed");
            fixed.factor_order = order;
        })?;
        let masters = Masters::public_lab();
        let mut personalisation = masters.personalise(LAB_SERIAL);
        let above = masters.purchase.diversify(LAB_ISSUER.0).diversify(CITY);
        personalisation.keys.purchase = above.diversify(LAB_SERIAL.asn().0);
        let opening = Opening {
            ep: Minor(1_000),
            ..Opening::default()
        };
        let card = Card::new(Arc::new(personalisation), opening);
        let card = shop.stack.put_card("card", card, shop.stack.layout().reader)?;
        psam.insert();
        shop.sale_ends(order.name(), &card, PAID)?;
        shop.closes(1)?;
    }
    Ok(())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02X}")).collect()
}
