//! What every run takes from: personalised cards, keys, the engine's settings.

use std::collections::BTreeMap;
use std::sync::Arc;

use purser_engine::settlement::Enrolment;
use purser_engine::{Config, Limits, PsamSettings};
use purser_lab::card::{CardDate, Interface, IssuerId, Minor, Personalisation, Serial};
use purser_lab::issuer::{LAB_ISSUER, LAB_KEY_VERSION, Masters, purchase_key_file};
use purser_ledger::{Amount, Currency, DeviceName};
use purser_provider_link::{BankAccount, ProviderName, TerminalName};
use purser_purse::pboc::{self, Profile, PsamProfile, PsamTerminalNumber, SoftwareSam};

/// When the simulated program was built: 2026-11-01 00:00 UTC.
pub(crate) const BUILT_UNIX_SECONDS: i64 = 1_793_491_200;
/// Cards in one world.
pub(crate) const CARDS: usize = 2;
/// Shops in one world.
pub(crate) const SHOPS: usize = 2;
/// The PIN of every card.
pub(crate) const PIN: &str = "123456";
/// A PIN of no card.
pub(crate) const WRONG_PIN: &str = "654321";
/// The amount up to which a shop that asks for no PIN asks for none, in minor units.
pub(crate) const PIN_FREE_UP_TO: u64 = 200;

/// The provider's account that every terminal has pinned.
pub(crate) const ACCOUNT: &[u8; 15] = b"001200310000042";

/// What kind of card takes part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CardKind {
    /// Its EP pays with the PIN only, and INITIALIZE with amount 0 is accepted.
    NeedsPin,
    /// Its EP pays without a PIN.
    PinFree,
    /// It needs the PIN and refuses INITIALIZE with amount 0.
    RefusesZero,
    /// It needs no PIN and talks T=0: 61xx, GET RESPONSE.
    Contact,
    /// It keeps its balance behind the PIN.
    SecretBalance,
    /// Of an issuer that no shop knows.
    Foreign,
    /// Of an issuer whose purses hold another currency.
    OtherCurrency,
    /// Its purchase key has a version that the shops do not hold.
    OldKey,
    /// It expires at the end of 2030.
    ExpiresSoon,
    /// Its transaction counter is at its end.
    WornOut,
}

impl CardKind {
    /// Every kind.
    pub const ALL: [Self; 10] = [
        Self::NeedsPin,
        Self::PinFree,
        Self::RefusesZero,
        Self::Contact,
        Self::SecretBalance,
        Self::Foreign,
        Self::OtherCurrency,
        Self::OldKey,
        Self::ExpiresSoon,
        Self::WornOut,
    ];
}

/// Made once; every world of the run shares it.
#[derive(Debug)]
pub(crate) struct Kit {
    pub(crate) masters: Masters,
    personalisations: Vec<[Arc<Personalisation>; CARDS]>,
    pub(crate) configs: [Config; SHOPS],
    pub(crate) currency: Currency,
    pub(crate) readers: [DeviceName; 2],
    pub(crate) pad: DeviceName,
    pub(crate) psam_reader: DeviceName,
    sam: Arc<SoftwareSam>,
    sam_without_key: Arc<SoftwareSam>,
}

impl Kit {
    pub(crate) fn new() -> Self {
        let masters = Masters::public_lab();
        let currency: Currency = "JPY".parse().expect("three capital letters");
        let readers = ["front", "back"].map(|name| DeviceName::new(name).expect("a short visible name"));
        let pad = DeviceName::new("pad").expect("a short visible name");
        let psam_reader = DeviceName::new("sam").expect("a short visible name");
        let personalisations = CardKind::ALL
            .iter()
            .map(|kind| [1, 2].map(|number| Arc::new(personalise(&masters, *kind, number))))
            .collect();
        let file = purchase_key_file(&masters);
        let other = file.replace(&format!("version = {LAB_KEY_VERSION}"), "version = 9");
        let sam =
            |file: &str| Arc::new(SoftwareSam::from_credential(file.as_bytes()).expect("the lab's key file"));
        Self {
            configs: [1, 2].map(|shop| config(shop, currency, &readers, &pad)),
            sam: sam(&file),
            sam_without_key: sam(&other),
            masters,
            personalisations,
            currency,
            readers,
            pad,
            psam_reader,
        }
    }

    pub(crate) fn personalisation(&self, kind: CardKind, number: usize) -> Arc<Personalisation> {
        let index = CardKind::ALL.iter().position(|it| *it == kind);
        let of_kind = &self.personalisations[index.expect("every kind is in the list of all")];
        Arc::clone(&of_kind[number])
    }

    pub(crate) fn sam(&self, has_key: bool) -> Arc<SoftwareSam> {
        Arc::clone(if has_key { &self.sam } else { &self.sam_without_key })
    }

    pub(crate) fn psam_settings(&self) -> PsamSettings {
        PsamSettings {
            reader: self.psam_reader.clone(),
            profile: PsamProfile::default(),
        }
    }

    pub(crate) fn amount(&self, minor: u64) -> Amount {
        Amount::new(minor, self.currency).expect("simulated amounts are small")
    }
}

/// What a shop's terminal was made when it was enrolled.
pub(crate) fn enrolment(shop: usize) -> Enrolment {
    Enrolment {
        terminal: TerminalName::new(format!("shop-{}", shop + 1)).expect("a name"),
        generation: 0,
        provider: ProviderName::new("provider").expect("a name"),
        accounts: vec![BankAccount::new(*ACCOUNT).expect("fifteen digits")],
    }
}

fn personalise(masters: &Masters, kind: CardKind, number: u8) -> Personalisation {
    let mut made = masters.personalise(Serial([0, 0, 0, 0, 0x20, 0x26, 0, 0, 0, number]));
    made.ep_purchase_needs_pin = matches!(
        kind,
        CardKind::NeedsPin | CardKind::RefusesZero | CardKind::SecretBalance
    );
    made.balance_max = Minor(u32::MAX);
    match kind {
        CardKind::NeedsPin | CardKind::PinFree | CardKind::WornOut => {}
        CardKind::RefusesZero => made.zero_amount_accepted = false,
        CardKind::Contact => made.interface = Interface::T0,
        CardKind::SecretBalance => made.balance_needs_pin = true,
        CardKind::Foreign => made.issuer = IssuerId([0xF0; 8]),
        CardKind::OtherCurrency => made.issuer = OTHER_ISSUER,
        CardKind::OldKey => made.keys.version = 7,
        CardKind::ExpiresSoon => made.expiry = CardDate([0x20, 0x30, 0x12, 0x31]),
    }
    made
}

/// An issuer whose purses hold US dollars.
const OTHER_ISSUER: IssuerId = IssuerId([0x50, 0x55, 0x52, 0x53, 0x45, 0x52, 0x00, 0x02]);

fn config(shop: u8, currency: Currency, readers: &[DeviceName], pad: &DeviceName) -> Config {
    let dollars: Currency = "USD".parse().expect("three capital letters");
    Config {
        terminal_number: PsamTerminalNumber::new([0x11, 0x22, 0x33, 0x44, 0x55, shop]),
        profile: Profile::default(),
        issuers: BTreeMap::from([
            (pboc::IssuerId::new(LAB_ISSUER.0), currency),
            (pboc::IssuerId::new(OTHER_ISSUER.0), dollars),
        ]),
        pin_free_up_to: BTreeMap::new(),
        pin_through_api: true,
        pin_pads: readers
            .iter()
            .map(|reader| (reader.clone(), pad.clone()))
            .collect(),
        card_wait_ms: 60_000,
        pin_wait_ms: 30_000,
        limits: Limits::default(),
        provider: None,
        built_unix_seconds: BUILT_UNIX_SECONDS,
        generation: 0,
    }
}
