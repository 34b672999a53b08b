//! A whole purchase from the lab's card, spoken by the purse crate through driver and pcscd.

use purser_lab::card::Interface;
use purser_lab::issuer::{LAB_PIN, Masters, purchase_key_file};
use purser_plugin_api::sdk::{Connection, Protocol as DriverProtocol, Slot};
use purser_purse::pboc::{
    Attempt, BcdDate, BcdTime, Debit, GetBalance, Identify, InitializePurchase, Pin, Profile, Prove,
    PsamTerminalNumber, PurseAmount, SoftwareSam, TerminalSn, TerminalTime, VerifyPin,
};
use purser_purse::{CardError, Dialogue, Protocol, Turn};

use crate::support::bench::{Bench, Told};
use crate::support::card::LabCard;
use crate::support::namespace::inside;

const PRICE: PurseAmount = PurseAmount::new(300);
const TERMINAL: PsamTerminalNumber = PsamTerminalNumber::new([0, 0, 0, 0, 0, 7]);

struct Talk<'a> {
    bench: &'a Bench,
    slot: Slot,
    connection: Connection,
    protocol: Protocol,
}

impl Talk<'_> {
    fn hold<D: Dialogue>(&self, mut dialogue: D) -> Result<D::Done, CardError> {
        loop {
            let command = dialogue.command().as_bytes().to_vec();
            let response = self.bench.transmit(self.slot, self.connection, &command);
            match dialogue.handle_response(&response.expect("the card stays")) {
                Turn::Transmit(next) => dialogue = next,
                Turn::Done(done) => return done,
            }
        }
    }
}

fn connect(bench: &Bench, slot: Slot) -> Talk<'_> {
    let card = bench.connect(slot).expect("the card is there");
    let protocol = match card.protocol {
        DriverProtocol::T0 => Protocol::T0,
        DriverProtocol::T1 => Protocol::T1,
        DriverProtocol::Tcl => Protocol::TCl,
    };
    Talk {
        bench,
        slot,
        connection: card.connection,
        protocol,
    }
}

fn pay(talk: &Talk<'_>, sam: &SoftwareSam, terminal_sn: TerminalSn) -> Attempt {
    let (profile, protocol) = (Profile::default(), talk.protocol);
    let facts = talk.hold(Identify::new(&profile, protocol)).expect("a purse");
    let init = || InitializePurchase::new(&profile, PRICE, TERMINAL, protocol);
    assert!(
        matches!(talk.hold(init()), Err(CardError::PinNeeded)),
        "each visit begins without PIN"
    );
    let pin = Pin::from_digits(&mut LAB_PIN.as_bytes().to_vec()).expect("a PIN");
    talk.hold(VerifyPin::new(&profile, pin, protocol))
        .expect("the right PIN");
    let begun = talk.hold(init()).expect("enough money");
    let time = TerminalTime {
        date: BcdDate::new([0x20, 0x26, 0x11, 0x23]).expect("a date"),
        time: BcdTime::new([0x12, 0x00, 0x00]).expect("a time"),
    };
    let attempt = Attempt::new(&profile, &facts, &begun, PRICE, TERMINAL, terminal_sn, time);
    let mac1 = sam.mac1(&attempt).expect("the SAM has the key");
    let paid = talk.hold(Debit::new(&attempt, &mac1, protocol)).expect("paid");
    assert_eq!(sam.check_mac2(&attempt, paid.mac2), Ok(true));
    attempt
}

#[test]
fn whole_purchases_run_over_contact_and_contactless_cards() {
    inside(|| {
        let sam = SoftwareSam::from_credential(purchase_key_file(&Masters::public_lab()).as_bytes())
            .expect("the lab's key file");
        let (bench, slot) = Bench::with_first_reader();
        for interface in [Interface::Whole, Interface::T0] {
            let card = LabCard::new(interface);
            let inserted = card.insert();
            assert_eq!(bench.next(), Told::Inserted(slot));
            for round in 1..=3 {
                let talk = connect(&bench, slot);
                let attempt = pay(&talk, &sam, TerminalSn::new(round));
                assert_eq!(card.money(), 1000 - 300 * u64::from(round));
                let proof = Prove::new(&attempt, talk.protocol).expect("a counter below its end");
                assert_eq!(
                    sam.check_mac2(&attempt, talk.hold(proof).expect("a proof").mac2),
                    Ok(true)
                );
                let balance = talk.hold(GetBalance::new(Profile::default().purse, talk.protocol));
                assert_eq!(u64::from(balance.expect("a balance").minor()), card.money());
                bench
                    .disconnect(slot, talk.connection)
                    .expect("a living connection");
            }
            assert_eq!(card.count(0x54), 3, "each DEBIT was sent once");
            inserted.remove();
            assert_eq!(bench.next(), Told::Removed(slot));
        }
    });
}
