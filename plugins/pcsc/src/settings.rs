//! The settings of one instance.

use purser_plugin_api::abi::limits::NAME_MAX_BYTES;
use purser_plugin_api::sdk::{DriverError, Fault, Interface};
use serde::Deserialize;

use crate::naming::{device_name, likely_interface};
use crate::pattern::Pattern;

/// All settings.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    /// Which readers are taken; all where the key is not there.
    #[serde(default = "everything")]
    readers: Vec<Pattern>,
    /// Which of them are left alone, such as a slot with a SAM in it.
    #[serde(default)]
    ignore: Vec<Pattern>,
    /// Names of the operator's own.
    #[serde(default)]
    alias: Vec<Alias>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Alias {
    reader: Pattern,
    name: String,
    interface: Option<InterfaceSetting>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum InterfaceSetting {
    Contact,
    Contactless,
}

/// How a reader appears to Purser.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Appearance {
    /// The device's name.
    pub(crate) name: String,
    /// How it reaches cards.
    pub(crate) interface: Interface,
}

impl Settings {
    /// Reads the settings.
    ///
    /// # Errors
    /// [`Fault::BadArgument`] with the place and the reason.
    pub(crate) fn parse(text: &str) -> Result<Self, DriverError> {
        let settings: Self =
            toml::from_str(text).map_err(|error| Fault::BadArgument.because(error.to_string()))?;
        for alias in &settings.alias {
            if !(1..=NAME_MAX_BYTES).contains(&alias.name.len()) {
                return Err(Fault::BadArgument.because(format!(
                    "alias name {:?}: a name has 1 to {NAME_MAX_BYTES} bytes",
                    alias.name
                )));
            }
        }
        Ok(settings)
    }

    /// Whether a reader is taken.
    pub(crate) fn takes(&self, pcsc_name: &str) -> bool {
        let any = |patterns: &[Pattern]| patterns.iter().any(|pattern| pattern.matches(pcsc_name));
        any(&self.readers) && !any(&self.ignore)
    }

    /// How a reader appears: the first alias that matches and whose name is free, else its own name.
    pub(crate) fn appearance(&self, pcsc_name: &str, is_free: impl Fn(&str) -> bool) -> Appearance {
        let mut aliases = self.alias.iter().filter(|alias| alias.reader.matches(pcsc_name));
        let alias = aliases.find(|alias| is_free(&alias.name));
        let interface = alias.and_then(|alias| alias.interface);
        Appearance {
            name: alias.map_or_else(|| device_name(pcsc_name), |alias| alias.name.clone()),
            interface: interface.map_or_else(|| likely_interface(pcsc_name), Interface::from),
        }
    }
}

impl From<InterfaceSetting> for Interface {
    fn from(setting: InterfaceSetting) -> Self {
        match setting {
            InterfaceSetting::Contact => Self::Contact,
            InterfaceSetting::Contactless => Self::Contactless,
        }
    }
}

fn everything() -> Vec<Pattern> {
    vec![Pattern::everything()]
}

/// What a fuzzer calls: settings and a reader's name, whatever they are, give an appearance that fits into an event.
pub fn fuzz(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let (settings, name) = text.split_once('\0').unwrap_or((&text, &text));
    let Ok(settings) = Settings::parse(settings) else {
        return;
    };
    let appearance = settings.appearance(name, |_| true);
    assert!(appearance.name.len() <= NAME_MAX_BYTES);
    let own = settings.appearance(name, |_| false);
    assert_eq!(own.name, device_name(name));
    assert!(!settings.takes(name) || !settings.readers.is_empty());
}

#[cfg(test)]
mod tests {
    use super::*;

    const DUAL: &str = "ACS ACR1252 Reader [ACR1252 Dual Reader PICC] 00 00";
    const SAM: &str = "ACS ACR1252 Reader [ACR1252 Dual Reader SAM] 01 00";

    fn parse(text: &str) -> Settings {
        Settings::parse(text).expect("the settings are right")
    }

    #[test]
    fn without_settings_every_reader_is_taken_under_its_own_name() {
        let settings = parse("");
        assert!(settings.takes(DUAL) && settings.takes(SAM));
        let appearance = settings.appearance(DUAL, |_| true);
        assert_eq!(appearance.name, DUAL);
        assert_eq!(appearance.interface, Interface::Contactless);
    }

    #[test]
    fn readers_are_picked_left_alone_and_named() {
        let settings = parse(
            r#"
            readers = ["ACS *"]
            ignore = ["*SAM*"]
            [[alias]]
            reader = "*PICC*"
            name = "counter reader"
            interface = "contact"
            "#,
        );
        assert!(settings.takes(DUAL) && !settings.takes(SAM) && !settings.takes("Virtual PCD 00 00"));
        let appearance = settings.appearance(DUAL, |_| true);
        assert_eq!(appearance.name, "counter reader");
        assert_eq!(appearance.interface, Interface::Contact);
    }

    #[test]
    fn two_readers_never_share_an_alias() {
        let settings = parse("[[alias]]\nreader = \"*\"\nname = \"till\"\n");
        assert_eq!(settings.appearance(SAM, |name| name != "till").name, SAM);
    }

    #[test]
    fn unknown_keys_and_impossible_names_are_refused_with_their_place() {
        let unknown = Settings::parse("readerz = []").expect_err("refused");
        assert_eq!(unknown.fault(), Fault::BadArgument);
        assert!(unknown.detail().contains("readerz"), "{}", unknown.detail());
        for name in [String::new(), "x".repeat(65)] {
            let text = format!("[[alias]]\nreader = \"*\"\nname = \"{name}\"\n");
            let refused = Settings::parse(&text).expect_err("refused");
            assert!(refused.detail().contains("alias name"), "{}", refused.detail());
        }
    }

    #[test]
    fn any_settings_and_any_name_give_a_name_that_fits() {
        let settings = "ignore = [\"*SAM*\"]\n[[alias]]\nreader = \"A*\"\nname = \"till\"\n";
        let corpus = format!("{settings}\0{DUAL}{DUAL}");
        for end in 0..=corpus.len() {
            fuzz(&corpus.as_bytes()[..end]);
        }
        fuzz(&[0xFF; 200]);
        fuzz("\0ü€ü€ü€ü€ü€ü€ü€ü€ü€ü€ü€ü€ü€ü€ü€ü€ü€ü€ü€ü€ü€ü€ü€ü€ü€ü€ü€ü€ü€ü€".as_bytes());
    }
}
