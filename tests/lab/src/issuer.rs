//! The issuer's side of the lab: master keys, making cards, and checking evidence as a provider would.

use serde::Serialize;

use crate::card::{
    Aid, Asn, CardDate, CardKeys, Interface, IssuerId, Key16, LogSn, Mac, Minor, Personalisation, Pin,
    PsamTerminalNumber, Purchase, Purses, Serial,
};
use crate::psam::{FactorOrder, Levels, PsamKey, PsamPersonalisation};

/// The lab's purchase master key. **PUBLIC**: it stands in every copy of Purser's source. Never put it into a shop.
pub const PUBLIC_LAB_PURCHASE_MASTER: Key16 = Key16::new([
    0x00, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88, 0x99, 0xAA, 0xBB, 0xCC, 0xDD, 0xEE, 0xFF,
]);
/// The lab's evidence (TAC) master key. **PUBLIC**, like its siblings.
pub const PUBLIC_LAB_TAC_MASTER: Key16 = Key16::new([
    0x01, 0x23, 0x45, 0x67, 0x89, 0xAB, 0xCD, 0xEF, 0xFE, 0xDC, 0xBA, 0x98, 0x76, 0x54, 0x32, 0x10,
]);
/// The lab's load master key. **PUBLIC**, like its siblings.
pub const PUBLIC_LAB_LOAD_MASTER: Key16 = Key16::new([
    0x0F, 0x1E, 0x2D, 0x3C, 0x4B, 0x5A, 0x69, 0x78, 0x87, 0x96, 0xA5, 0xB4, 0xC3, 0xD2, 0xE1, 0xF0,
]);

/// The index under which the lab's cards hold their keys.
pub const LAB_KEY_INDEX: u8 = 1;
/// The key version that the lab's cards tell.
pub const LAB_KEY_VERSION: u8 = 1;
/// The algorithm id that the lab's cards tell: 3DES.
pub const LAB_ALGORITHM: u8 = 0;
/// The issuer id of the lab's cards.
pub const LAB_ISSUER: IssuerId = IssuerId([0x50, 0x55, 0x52, 0x53, 0x45, 0x52, 0x00, 0x01]);
/// The serial number of a lab card that asks for none.
pub const LAB_SERIAL: Serial = Serial([0x00, 0x00, 0x00, 0x00, 0x20, 0x26, 0x00, 0x00, 0x00, 0x01]);
/// The PIN of a lab card that asks for none.
pub const LAB_PIN: &str = "123456";
/// The most that a purse of the lab holds, in minor units.
pub const LAB_BALANCE_MAX: Minor = Minor(1_000_000);
/// The tries that a lab card's PIN has.
pub const LAB_PIN_TRIES: u8 = 3;

/// The serial number of a lab PSAM that asks for none.
pub const LAB_PSAM_SERIAL: Serial = Serial([0x00, 0x00, 0x00, 0x00, 0x20, 0x26, 0x50, 0x00, 0x00, 0x01]);
/// The PSAM terminal number of a lab PSAM that asks for none: the one of the lab's shop.
pub const LAB_TERMINAL_NUMBER: PsamTerminalNumber = PsamTerminalNumber([0, 0, 0, 0, 0, 1]);
/// The file id of a lab PSAM's purchase ADF.
pub const LAB_PSAM_ADF: u16 = 0xDF01;
/// Wrong MAC2 in a row that lock a lab PSAM.
pub const LAB_MAC_TRIES: u8 = 3;

/// The issuer's master keys. A card's key is its master, diversified by the card's ASN.
#[derive(Clone, Debug)]
pub struct Masters {
    /// Master of DPK: shops' SAMs hold it too.
    pub purchase: Key16,
    /// Master of DTK: the issuer's alone.
    pub tac: Key16,
    /// Master of DLK: the issuer's alone.
    pub load: Key16,
}

impl Masters {
    /// The lab's masters, which everybody knows.
    pub fn public_lab() -> Self {
        Self {
            purchase: PUBLIC_LAB_PURCHASE_MASTER,
            tac: PUBLIC_LAB_TAC_MASTER,
            load: PUBLIC_LAB_LOAD_MASTER,
        }
    }

    /// The keys of the card with this ASN.
    pub fn card_keys(&self, asn: Asn) -> CardKeys {
        CardKeys {
            purchase: self.purchase.diversify(asn.0),
            tac: self.tac.diversify(asn.0),
            load: self.load.diversify(asn.0),
            index: LAB_KEY_INDEX,
            version: LAB_KEY_VERSION,
            algorithm: LAB_ALGORITHM,
        }
    }

    /// A lab card's personalisation with this serial number: PIN [`LAB_PIN`], both purses, the EP behind the PIN,
    /// GET BALANCE free, amount 0 accepted, whole answers. Change the fields that a test is about.
    pub fn personalise(&self, serial: Serial) -> Personalisation {
        Personalisation {
            aid: Aid::default(),
            issuer: LAB_ISSUER,
            purses: Purses::Both,
            application_version: 0x01,
            serial,
            start: CardDate([0x20, 0x26, 0x01, 0x01]),
            expiry: CardDate([0x20, 0x99, 0x12, 0x31]),
            pin: LAB_PIN
                .parse::<Pin>()
                .expect("the lab's PIN has six decimal digits"),
            pin_tries_max: LAB_PIN_TRIES,
            keys: self.card_keys(serial.asn()),
            ep_purchase_needs_pin: true,
            balance_needs_pin: false,
            zero_amount_accepted: true,
            balance_max: LAB_BALANCE_MAX,
            interface: Interface::Whole,
            log_sn: LogSn::BeforeIncrement,
        }
    }

    /// A lab PSAM's personalisation: the purchase master above one level (the card's ASN), ASN first, the terminal number
    /// of the lab's shop, a contact card of T=0. Change the fields that a test is about.
    pub fn personalise_psam(&self) -> PsamPersonalisation {
        PsamPersonalisation {
            serial: LAB_PSAM_SERIAL,
            version: 0x01,
            key_card_type: 0x00,
            terminal_number: LAB_TERMINAL_NUMBER,
            adf_name: Aid::default(),
            adf_id: LAB_PSAM_ADF,
            key: PsamKey {
                master: self.purchase.clone(),
                version: LAB_KEY_VERSION,
                algorithm: LAB_ALGORITHM,
                levels: Levels::ASN_ALONE,
            },
            factor_order: FactorOrder::AsnFirst,
            mac_tries_max: LAB_MAC_TRIES,
            interface: Interface::T0,
        }
    }
}

/// Whether `tac` proves to the issuer that the card with this ASN paid this purchase.
pub fn verify_purchase_tac(masters: &Masters, asn: Asn, purchase: &Purchase, tac: Mac) -> bool {
    purchase_tac(masters, asn, purchase) == tac
}

/// The TAC that the card with this ASN makes of this purchase: for tests of more sales than a card can be asked for.
pub fn purchase_tac(masters: &Masters, asn: Asn, purchase: &Purchase) -> Mac {
    purchase.tac(&masters.tac.diversify(asn.0))
}

/// The purchase key as a credential file for a software SAM.
///
/// ```toml
/// [[purchase_key]]
/// version = 1
/// algorithm = 0
/// key = "00112233445566778899aabbccddeeff"
/// levels = ["asn"]
/// ```
///
/// `version` and `algorithm` are the two bytes that INITIALIZE FOR PURCHASE returns; `key` is the master key;
/// `levels` names the factors that diversify it, in order (`asn`: the card's ASN).
pub fn purchase_key_file(masters: &Masters) -> String {
    #[derive(Serialize)]
    struct KeyFile {
        purchase_key: [PurchaseKey; 1],
    }
    #[derive(Serialize)]
    struct PurchaseKey {
        version: u8,
        algorithm: u8,
        key: String,
        levels: [&'static str; 1],
    }
    let key = PurchaseKey {
        version: LAB_KEY_VERSION,
        algorithm: LAB_ALGORITHM,
        key: masters.purchase.to_hex(),
        levels: ["asn"],
    };
    let file = KeyFile { purchase_key: [key] };
    toml::to_string(&file).expect("a key file is made of numbers, strings and arrays of strings")
}
