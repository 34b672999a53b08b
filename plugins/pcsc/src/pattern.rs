//! Patterns for reader names, as in file names: `*` is any text, `?` any one character. All else, brackets too, stands
//! for itself.

use serde::Deserialize;

/// A pattern of the settings.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub(crate) struct Pattern(String);

impl Pattern {
    /// The pattern that every name matches.
    pub(crate) fn everything() -> Self {
        Self("*".to_owned())
    }

    /// Whether the whole name matches.
    pub(crate) fn matches(&self, name: &str) -> bool {
        let pattern: Vec<char> = self.0.chars().collect();
        let name: Vec<char> = name.chars().collect();
        let (mut at_pattern, mut at_name) = (0, 0);
        // Where the last star stands, and how much of the name it has swallowed so far.
        let mut star = None;
        while at_name < name.len() {
            match pattern.get(at_pattern) {
                Some('*') => {
                    star = Some((at_pattern, at_name));
                    at_pattern += 1;
                }
                Some(wanted) if *wanted == '?' || *wanted == name[at_name] => {
                    at_pattern += 1;
                    at_name += 1;
                }
                _ => match &mut star {
                    None => return false,
                    Some((star, swallowed)) => {
                        *swallowed += 1;
                        (at_pattern, at_name) = (*star + 1, *swallowed);
                    }
                },
            }
        }
        pattern[at_pattern..].iter().all(|rest| *rest == '*')
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, name: &str) -> bool {
        Pattern(pattern.to_owned()).matches(name)
    }

    #[test]
    fn a_name_without_wildcards_matches_itself_only() {
        let name = "ACS ACR1252 [Dual Reader PICC] 00 00";
        assert!(matches(name, name));
        assert!(!matches(name, "ACS ACR1252 [Dual Reader SAM] 01 00"));
        assert!(!matches("ACS", name));
        assert!(!matches(name, "ACS"));
    }

    #[test]
    fn stars_and_question_marks_stand_for_what_they_do_in_file_names() {
        assert!(matches("*", ""));
        assert!(matches("ACS*PICC*", "ACS ACR1252 [PICC] PICC 00 00"));
        assert!(matches("*00 0?", "Virtual PCD 00 01"));
        assert!(!matches("*00 0?", "Virtual PCD 00 0"));
        assert!(!matches("?", ""));
        assert!(matches("a*b*c", "a-b-b-c"));
        assert!(!matches("a*b*c", "a-c-b"));
        assert!(matches("*ü", "Leser für ü"));
    }

    #[test]
    fn a_pattern_of_many_stars_is_answered_at_once() {
        let name = "a".repeat(128);
        assert!(!matches(
            &"a*".repeat(64).replace("a*a*", "a*"),
            &format!("{name}b!").replace('a', "c")
        ));
        assert!(!matches(&format!("{}b", "*a".repeat(60)), &name));
    }
}
