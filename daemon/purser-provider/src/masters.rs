//! The card master keys: from a file that only its owner may read, held in memory, never in the data base or a log.
//!
//! ```toml
//! [[masters]]
//! version = 1                                    # as the cards tell it in INITIALIZE, 0 to 255
//! purchase = "0123456789ABCDEFFEDCBA9876543210"  # master of DPK; the shops' PSAMs hold it too
//! load = "…"                                     # master of DLK; the provider's alone
//! tac = "…"                                      # master of DTK; the provider's alone
//! ```
//!
//! The reader is written here because it must leave no copy of a key behind: it looks at the text where it lies, and the
//! text is wiped. A card's keys are the masters, diversified by its ASN.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use zeroize::Zeroizing;

use crate::card_crypto::{self, Key};
use crate::fault::{Failure, Fault};
use crate::folder::read_private;

/// The keys of one version.
#[derive(Default)]
struct Version {
    purchase: Option<Zeroizing<Key>>,
    load: Option<Zeroizing<Key>>,
    tac: Option<Zeroizing<Key>>,
}

/// One version, whole.
pub(crate) struct Masters {
    purchase: Zeroizing<Key>,
    load: Zeroizing<Key>,
    tac: Zeroizing<Key>,
}

/// Every version of the file.
pub(crate) struct KeyFile(BTreeMap<u8, Masters>);

/// The keys of one card.
pub(crate) struct CardKeys {
    pub(crate) purchase: Zeroizing<Key>,
    pub(crate) load: Zeroizing<Key>,
    pub(crate) tac: Zeroizing<Key>,
}

impl Masters {
    /// The keys of the card with this serial number; its last eight bytes are the ASN.
    pub(crate) fn card(&self, serial: &[u8; 10]) -> CardKeys {
        let [_, _, asn @ ..] = *serial;
        CardKeys {
            purchase: card_crypto::diversify(&self.purchase, &asn),
            load: card_crypto::diversify(&self.load, &asn),
            tac: card_crypto::diversify(&self.tac, &asn),
        }
    }

    /// Key check values of load, purchase and TAC master.
    pub(crate) fn check_values(&self) -> [u8; 9] {
        let mut values = [0; 9];
        for (place, key) in
            values
                .as_chunks_mut::<3>()
                .0
                .iter_mut()
                .zip([&self.load, &self.purchase, &self.tac])
        {
            *place = card_crypto::check_value(key);
        }
        values
    }
}

impl fmt::Debug for KeyFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.keys()).finish()
    }
}

impl KeyFile {
    /// Reads the file.
    ///
    /// # Errors
    /// A refusal with the line and what belongs there; never what stands there.
    pub(crate) fn read(path: &Path) -> Result<Self, Failure> {
        let text = read_private(path)?;
        parse(&text).map_err(|wrong| {
            let cause = format!("line {} of {}: {}", wrong.line, path.display(), wrong.expected);
            Fault::invalid("CardKeys", cause, "mend the file as purser-provider(8) shows").into()
        })
    }

    /// The masters of a version.
    pub(crate) fn version(&self, version: u8) -> Option<&Masters> {
        self.0.get(&version)
    }
}

struct Wrong {
    line: usize,
    expected: &'static str,
}

fn parse(text: &[u8]) -> Result<KeyFile, Wrong> {
    let mut versions = BTreeMap::new();
    let mut open: Option<(usize, Option<u8>, Version)> = None;
    for (line, content) in (1..).zip(text.split(|&byte| byte == b'\n')) {
        let content = content.trim_ascii();
        let wrong = |expected| Wrong { line, expected };
        if content.is_empty() || content.starts_with(b"#") {
            continue;
        }
        if content == b"[[masters]]" {
            close(open.replace((line, None, Version::default())), &mut versions)?;
            continue;
        }
        let equals = content.iter().position(|&byte| byte == b'=');
        let (name, value) =
            content.split_at(equals.ok_or(wrong("neither [[masters]] nor field = value nor a comment"))?);
        let value = value[1..].trim_ascii();
        let (_, number, keys) = open
            .as_mut()
            .ok_or(wrong("a field must stand below a line [[masters]]"))?;
        let place = match name.trim_ascii() {
            b"version" => {
                let digits = std::str::from_utf8(value).ok();
                let version = digits.and_then(|it| it.parse().ok());
                if number
                    .replace(version.ok_or(wrong("version is a number from 0 to 255"))?)
                    .is_some()
                {
                    return Err(wrong("version stands twice"));
                }
                continue;
            }
            b"purchase" => &mut keys.purchase,
            b"load" => &mut keys.load,
            b"tac" => &mut keys.tac,
            _ => return Err(wrong("the fields are version, purchase, load and tac")),
        };
        let digits = value.strip_prefix(b"\"").and_then(|it| it.strip_suffix(b"\""));
        let mut key = Zeroizing::new(Key::default());
        let read = digits.map(|digits| hex::decode_to_slice(digits, &mut *key));
        if !matches!(read, Some(Ok(()))) {
            return Err(wrong("a key is 32 hex digits in quotes"));
        }
        if place.replace(key).is_some() {
            return Err(wrong("the key stands twice"));
        }
    }
    close(open, &mut versions)?;
    if versions.is_empty() {
        return Err(Wrong {
            line: 1,
            expected: "there is no [[masters]]: without a key no card can be issued",
        });
    }
    Ok(KeyFile(versions))
}

fn close(
    open: Option<(usize, Option<u8>, Version)>,
    versions: &mut BTreeMap<u8, Masters>,
) -> Result<(), Wrong> {
    let Some((line, number, keys)) = open else {
        return Ok(());
    };
    let (
        Some(number),
        Version {
            purchase: Some(purchase),
            load: Some(load),
            tac: Some(tac),
        },
    ) = (number, keys)
    else {
        let expected = "[[masters]] needs version, purchase, load and tac";
        return Err(Wrong { line, expected });
    };
    let masters = Masters { purchase, load, tac };
    if versions.insert(number, masters).is_some() {
        let expected = "[[masters]] has the version of an earlier one";
        return Err(Wrong { line, expected });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEYS: &str = "purchase = \"00112233445566778899aabbccddeeff\"\nload = \"0F1E2D3C4B5A69788796A5B4C3D2E1F0\"\n\
                        tac = \"0123456789ABCDEFFEDCBA9876543210\"\n";

    fn wrong(text: &str) -> (usize, &'static str) {
        let wrong = parse(text.as_bytes()).map(|_| ()).unwrap_err();
        (wrong.line, wrong.expected)
    }

    #[test]
    fn a_whole_table_is_read() {
        let file = parse(format!("# ours\n[[masters]]\nversion = 1\n{KEYS}").as_bytes());
        let file = file.map_err(|wrong| wrong.expected).unwrap();
        assert_eq!(file.version(1).unwrap().tac[0], 0x01);
        assert!(file.version(2).is_none());
        assert_eq!(format!("{file:?}"), "[1]");
    }

    #[test]
    fn what_is_wrong_is_told_by_its_line() {
        assert_eq!(wrong("").0, 1);
        assert_eq!(
            wrong("version = 1"),
            (1, "a field must stand below a line [[masters]]")
        );
        assert_eq!(
            wrong(&format!("[[masters]]\n{KEYS}")).1,
            "[[masters]] needs version, purchase, load and tac"
        );
        assert_eq!(
            wrong("[[masters]]\nversion = 256"),
            (2, "version is a number from 0 to 255")
        );
        assert_eq!(
            wrong("[[masters]]\nload = \"00\""),
            (2, "a key is 32 hex digits in quotes")
        );
        let twice = format!("[[masters]]\nversion = 1\n{KEYS}[[masters]]\nversion = 1\n{KEYS}");
        assert_eq!(
            wrong(&twice),
            (6, "[[masters]] has the version of an earlier one")
        );
    }
}
