//! Reading the text, without a copy of what is in it.

use super::{CredentialError, CredentialField, KEYS_MAX, LEVELS_MAX, Level};
use crate::pboc::ids::{AlgorithmId, KeyVersion};
use crate::pboc::mac::{Block, DoubleKey};

/// What a table tells. The key is still where it lay in the text.
pub(crate) struct KeyEntry<'a> {
    pub(crate) version: KeyVersion,
    pub(crate) algorithm: AlgorithmId,
    pub(crate) levels: Vec<Level>,
    key_digits: &'a [u8],
}

impl KeyEntry<'_> {
    /// Writes the key to where it will stay.
    pub(crate) fn write_key(&self, key: &mut DoubleKey) {
        hex::decode_to_slice(self.key_digits, key).expect("the digits were checked when the entry was read");
    }
}

/// A table that is still being read.
struct Table<'a> {
    line: usize,
    version: Option<u8>,
    algorithm: Option<u8>,
    key_digits: Option<&'a [u8]>,
    levels: Option<Vec<Level>>,
}

/// Reads the whole text and copies no key.
pub(crate) fn parse(text: &[u8]) -> Result<Vec<KeyEntry<'_>>, CredentialError> {
    let mut entries = Vec::new();
    let mut open = None;
    for (line, content) in (1..).zip(text.split(|&byte| byte == b'\n')) {
        let content = content.trim_ascii();
        if content.is_empty() || content.starts_with(b"#") {
            continue;
        }
        if let Some(b"") = content.strip_prefix(b"[[purchase_key]]").map(without_comment) {
            close(open.replace(Table::at(line)), &mut entries)?;
        } else {
            let (field, value) = field_and_value(content).ok_or(CredentialError::UnknownLine { line })?;
            let table = open
                .as_mut()
                .ok_or(CredentialError::OutsideTable { line, field })?;
            table.set(field, value, line)?;
        }
    }
    close(open, &mut entries)?;
    if entries.is_empty() {
        return Err(CredentialError::NoKeys);
    }
    Ok(entries)
}

fn close<'a>(table: Option<Table<'a>>, entries: &mut Vec<KeyEntry<'a>>) -> Result<(), CredentialError> {
    let Some(table) = table else {
        return Ok(());
    };
    let line = table.line;
    let entry = table.finish()?;
    if entries.iter().any(|earlier| earlier.version == entry.version) {
        return Err(CredentialError::RepeatedVersion { line });
    }
    if entries.len() == KEYS_MAX {
        return Err(CredentialError::TooManyKeys);
    }
    entries.push(entry);
    Ok(())
}

fn field_and_value(content: &[u8]) -> Option<(CredentialField, &[u8])> {
    let equals = content.iter().position(|&byte| byte == b'=')?;
    let (name, value) = content.split_at(equals);
    let name = name.trim_ascii();
    let field = CredentialField::ALL
        .into_iter()
        .find(|field| field.name().as_bytes() == name)?;
    Some((field, value[1..].trim_ascii()))
}

impl<'a> Table<'a> {
    fn at(line: usize) -> Self {
        Self {
            line,
            version: None,
            algorithm: None,
            key_digits: None,
            levels: None,
        }
    }

    fn set(&mut self, field: CredentialField, value: &'a [u8], line: usize) -> Result<(), CredentialError> {
        let repeated = match field {
            CredentialField::Version => replace(&mut self.version, number(value)),
            CredentialField::Algorithm => {
                let known = |&id: &u8| AlgorithmId(id) == AlgorithmId::TRIPLE_DES;
                replace(&mut self.algorithm, number(value).filter(known))
            }
            CredentialField::Key => {
                let digits = |digits: &&[u8]| digits.len() == 2 * size_of::<DoubleKey>() && all_hex(digits);
                replace(&mut self.key_digits, whole_string(value).filter(digits))
            }
            CredentialField::Levels => replace(&mut self.levels, levels(value)),
        };
        match repeated {
            Some(false) => Ok(()),
            Some(true) => Err(CredentialError::RepeatedField { line, field }),
            None => Err(CredentialError::WrongValue { line, field }),
        }
    }

    fn finish(self) -> Result<KeyEntry<'a>, CredentialError> {
        let line = self.line;
        let missing = |field| CredentialError::MissingField { line, field };
        Ok(KeyEntry {
            version: KeyVersion(self.version.ok_or(missing(CredentialField::Version))?),
            algorithm: AlgorithmId(self.algorithm.ok_or(missing(CredentialField::Algorithm))?),
            key_digits: self.key_digits.ok_or(missing(CredentialField::Key))?,
            levels: self.levels.unwrap_or_else(|| vec![Level::Asn]),
        })
    }
}

/// Stores a value that was read; tells whether there was one before, and None if nothing was read.
fn replace<T>(field: &mut Option<T>, value: Option<T>) -> Option<bool> {
    value.map(|value| field.replace(value).is_some())
}

/// What is left of a line when a comment is taken off its front: empty, or something that must not be there.
fn without_comment(rest: &[u8]) -> &[u8] {
    match rest.trim_ascii() {
        [b'#', ..] => b"",
        other => other,
    }
}

fn number(value: &[u8]) -> Option<u8> {
    let end = value
        .iter()
        .position(|byte| !byte.is_ascii_digit())
        .unwrap_or(value.len());
    let (digits, rest) = value.split_at(end);
    let digits = std::str::from_utf8(digits).ok()?;
    digits.parse().ok().filter(|_| without_comment(rest).is_empty())
}

/// The inside of a quoted string at the front, and what follows it.
fn string(value: &[u8]) -> Option<(&[u8], &[u8])> {
    let inside = value.strip_prefix(b"\"")?;
    let end = inside.iter().position(|&byte| byte == b'"')?;
    Some((&inside[..end], inside[end + 1..].trim_ascii()))
}

fn whole_string(value: &[u8]) -> Option<&[u8]> {
    let (inside, rest) = string(value)?;
    without_comment(rest).is_empty().then_some(inside)
}

fn levels(value: &[u8]) -> Option<Vec<Level>> {
    let mut levels = Vec::new();
    let mut rest = value.strip_prefix(b"[")?.trim_ascii();
    loop {
        let (name, after) = string(rest)?;
        levels.push(level(name)?);
        rest = match after {
            [b']', after @ ..] if without_comment(after).is_empty() => break,
            [b',', after @ ..] if levels.len() < LEVELS_MAX => after.trim_ascii(),
            _ => return None,
        };
    }
    Some(levels)
}

fn level(name: &[u8]) -> Option<Level> {
    match name {
        b"issuer" => Some(Level::Issuer),
        b"asn" => Some(Level::Asn),
        digits => {
            let mut factor = Block::default();
            hex::decode_to_slice(digits, &mut factor).ok()?;
            Some(Level::Fixed(factor))
        }
    }
}

fn all_hex(digits: &[u8]) -> bool {
    digits.iter().all(u8::is_ascii_hexdigit)
}
