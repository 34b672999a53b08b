//! What a reader is called, and how it reaches cards.

use purser_plugin_api::abi::limits::NAME_MAX_BYTES;
use purser_plugin_api::sdk::Interface;

/// What stands in place of what was left out of a name.
const GAP: &str = "..";

/// How many bytes of a long name's end are kept: pcscd tells readers of one kind apart by numbers at the end.
const TAIL_BYTES: usize = 16;

/// The device name of a reader that has no alias: pcscd's own, with its middle left out where it is too long.
pub(crate) fn device_name(pcsc_name: &str) -> String {
    if pcsc_name.len() <= NAME_MAX_BYTES {
        return pcsc_name.to_owned();
    }
    let head = pcsc_name.floor_char_boundary(NAME_MAX_BYTES - TAIL_BYTES - GAP.len());
    let tail = pcsc_name.ceil_char_boundary(pcsc_name.len() - TAIL_BYTES);
    format!("{}{GAP}{}", &pcsc_name[..head], &pcsc_name[tail..])
}

/// How a reader with this name most likely reaches cards. PC/SC has no attribute for it that readers answer, but
/// makers write it into names.
pub(crate) fn likely_interface(pcsc_name: &str) -> Interface {
    let is_sign = |word: &str| {
        let word = word.to_ascii_uppercase();
        let before_cl = word.strip_suffix("CL");
        before_cl.is_some_and(|model| model.chars().all(|digit| digit.is_ascii_digit()))
            || ["CONTACTLESS", "PICC", "NFC", "RFID"].contains(&word.as_str())
    };
    let mut words = pcsc_name.split(|letter: char| !letter.is_ascii_alphanumeric());
    if words.any(is_sign) {
        Interface::Contactless
    } else {
        Interface::Contact
    }
}

/// Whether an ATR is one that a reader made for a contactless card: `3B 8n 80 01 …`.
///
/// Source: PC/SC part 3 §3.1.3.2.3.1 (ISO/IEC 14443-4 cards) and §3.1.3.2.3.2 (memory cards).
pub(crate) fn is_contactless(atr: &[u8]) -> bool {
    matches!(atr, [0x3B, t0, 0x80, 0x01, ..] if t0 & 0xF0 == 0x80)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_name_keeps_the_numbers_that_tell_two_readers_apart() {
        let long = "Manufacturer of Card Readers Limited Dual Interface Reader (30C8A1B200) 00 00";
        let other = long.replace("00 00", "01 00");
        assert!(device_name(long).len() <= NAME_MAX_BYTES);
        assert_ne!(device_name(long), device_name(&other));
        assert!(device_name(long).ends_with("(30C8A1B200) 00 00"[2..].trim_start()));
        assert_eq!(device_name("Virtual PCD 00 00"), "Virtual PCD 00 00");
    }

    #[test]
    fn a_long_name_is_never_cut_inside_a_letter() {
        for before in 0..4 {
            let name = format!("{}{}", "x".repeat(before), "ü€".repeat(30));
            assert!(device_name(&name).len() <= NAME_MAX_BYTES);
        }
    }

    #[test]
    fn makers_write_contactless_into_names_in_several_ways() {
        for name in [
            "ACS ACR1252 1S CL Reader [ACR1252 Dual Reader PICC] 00 00",
            "HID Global OMNIKEY 5422 Smartcard Reader [OMNIKEY 5422CL Smartcard Reader] 00 00",
            "SCM Microsystems Inc. SCL011 Contactless Reader 00 00",
            "Duali DE-620R NFC 00 00",
        ] {
            assert_eq!(likely_interface(name), Interface::Contactless, "{name}");
        }
        for name in [
            "Gemalto USB Shell Token V2 00 00",
            "Virtual PCD 00 00",
            "Clever Reader 00 00",
        ] {
            assert_eq!(likely_interface(name), Interface::Contact, "{name}");
        }
    }

    #[test]
    fn a_contactless_card_is_known_by_the_atr_that_its_reader_made() {
        assert!(is_contactless(&[0x3B, 0x80, 0x80, 0x01, 0x01]));
        assert!(is_contactless(&[0x3B, 0x8F, 0x80, 0x01, 0x80, 0x4F, 0x0C]));
        assert!(!is_contactless(&[0x3B, 0x65, 0x00, 0x00, 0x50]));
        assert!(!is_contactless(&[0x3B, 0x9F, 0x80, 0x01]));
        assert!(!is_contactless(&[0x3B, 0x80]));
        assert!(!is_contactless(&[]));
    }
}
