//! Secrets that must be found nowhere, and the search for them.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::{Fault, ensure};

/// How much of a file is searched at a time, in bytes.
const CHUNK_BYTES: usize = 1 << 22;
/// The first bytes of a core.
const ELF: &[u8] = b"\x7fELF";

/// One secret, or a control, in one of the forms in which it may lie about.
#[derive(Clone, PartialEq, Eq)]
pub struct Needle {
    /// Whose it is and in which form.
    pub name: String,
    bytes: Vec<u8>,
}

/// Where a needle was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hit {
    /// The needle's name.
    pub needle: String,
    /// The file.
    pub file: PathBuf,
    /// At which byte of it.
    pub offset: u64,
    /// The bytes around it.
    pub around: String,
}

/// All forms of a key or of packed digits.
pub fn of_bytes(name: &str, bytes: &[u8]) -> Vec<Needle> {
    let lower = hex(bytes);
    let list: Vec<String> = bytes.iter().map(u8::to_string).collect();
    let mut forms = vec![
        ("raw", bytes.to_vec()),
        ("hex", lower.to_uppercase().into_bytes()),
        ("hex, lower case", lower.into_bytes()),
        ("list", list.join(", ").into_bytes()),
    ];
    forms.extend((0..3).map(|before| ("base64", base64_within(bytes, before))));
    with_reversed(name, forms)
}

/// The base64 digits that say nothing but these bytes, where so many bytes stand before them in a group of three; none of the
/// digits that they share with a neighbour.
fn base64_within(bytes: &[u8], before: usize) -> Vec<u8> {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let begin = 8 * before;
    let bit = |at: usize| (bytes[(at - begin) / 8] >> (7 - (at - begin) % 8)) & 1;
    let digits = begin.div_ceil(6)..(begin + 8 * bytes.len()) / 6;
    let value = |digit: usize| (6 * digit..6 * digit + 6).fold(0, |value, at| (value << 1) | bit(at));
    digits.map(|digit| DIGITS[usize::from(value(digit))]).collect()
}

/// All forms of decimal digits: as typed, as numbers, packed, and each of these in hexadecimal.
///
/// # Errors
/// A character that is no digit, or an odd number of them.
pub fn of_digits(name: &str, digits: &str) -> Result<Vec<Needle>, Fault> {
    ensure(digits.len().is_multiple_of(2), || {
        format!("{name} is not whole bytes")
    })?;
    let ascii = digits.as_bytes();
    let numbers: Option<Vec<u8>> = ascii
        .iter()
        .map(|digit| digit.checked_sub(b'0').filter(|number| *number <= 9))
        .collect();
    let numbers = numbers.ok_or_else(|| format!("{name} is not digits"))?;
    let packed: Vec<u8> = numbers
        .chunks_exact(2)
        .map(|pair| (pair[0] << 4) | pair[1])
        .collect();
    let mut needles = of_bytes(&format!("{name}, packed"), &packed);
    needles.extend(of_bytes(&format!("{name}, digits"), ascii));
    needles.extend(of_bytes(&format!("{name}, numbers"), &numbers));
    Ok(needles)
}

/// A text that must be found.
pub fn control(text: &str) -> Needle {
    Needle {
        name: text.to_owned(),
        bytes: text.as_bytes().to_vec(),
    }
}

fn with_reversed(name: &str, forms: Vec<(&str, Vec<u8>)>) -> Vec<Needle> {
    let mut needles = Vec::new();
    for (form, bytes) in forms {
        let reversed: Vec<u8> = bytes.iter().rev().copied().collect();
        needles.push(Needle {
            name: format!("{name}: {form}"),
            bytes,
        });
        needles.push(Needle {
            name: format!("{name}: {form}, reversed"),
            bytes: reversed,
        });
    }
    needles
}

/// Bytes of hexadecimal digits.
///
/// # Errors
/// They are no such digits.
pub fn from_hex(digits: &str) -> Result<Vec<u8>, Fault> {
    let byte = |at: usize| {
        let pair = digits.get(at..at + 2).ok_or("half a byte")?;
        Ok(u8::from_str_radix(pair, 16)?)
    };
    (0..digits.len()).step_by(2).map(byte).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Searches a file for all needles.
///
/// # Errors
/// It cannot be read.
pub fn search(file: &Path, needles: &[Needle]) -> Result<Vec<Hit>, Fault> {
    let mut source = fs::File::open(file).map_err(|error| format!("{}: {error}", file.display()))?;
    let index = Index::of(needles)?;
    let overlap = needles.iter().map(|needle| needle.bytes.len()).max().unwrap_or(0);
    let mut hits: Vec<Hit> = Vec::new();
    let mut chunk = Vec::new();
    let mut begins_at = 0_u64;
    loop {
        let limit = u64::try_from(CHUNK_BYTES)?;
        let read = source.by_ref().take(limit).read_to_end(&mut chunk)?;
        if read == 0 {
            return Ok(hits);
        }
        for (needle, at) in index.find(&chunk) {
            let hit = Hit {
                needle: needle.name.clone(),
                file: file.to_owned(),
                offset: begins_at + u64::try_from(at)?,
                around: around(&chunk, at),
            };
            // What lies in the overlap is found twice.
            if !hits
                .iter()
                .any(|it| (&it.needle, it.offset) == (&hit.needle, hit.offset))
            {
                hits.push(hit);
            }
        }
        let done = chunk.len().saturating_sub(overlap);
        begins_at += u64::try_from(done)?;
        chunk.drain(..done);
    }
}

/// Searches these files, and all files below these folders.
///
/// # Errors
/// As [`search`].
pub fn search_all(places: &[PathBuf], needles: &[Needle]) -> Result<Vec<Hit>, Fault> {
    let mut hits = Vec::new();
    for place in places {
        let kind = fs::symlink_metadata(place)?.file_type();
        if kind.is_dir() {
            let entries: Result<Vec<_>, _> = fs::read_dir(place)?
                .map(|entry| entry.map(|it| it.path()))
                .collect();
            hits.extend(search_all(&entries?, needles)?);
        } else if kind.is_file() {
            hits.extend(search(place, needles)?);
        }
    }
    Ok(hits)
}

/// Needles by their first two bytes, so that one pass over a file finds them all.
struct Index<'a> {
    needles: &'a [Needle],
    by_head: Vec<Vec<usize>>,
}

impl<'a> Index<'a> {
    fn of(needles: &'a [Needle]) -> Result<Self, Fault> {
        let mut by_head = vec![Vec::new(); usize::from(u16::MAX) + 1];
        for (number, needle) in needles.iter().enumerate() {
            let [first, second, ..] = needle.bytes[..] else {
                return Err(format!("{} is too short to be searched", needle.name).into());
            };
            by_head[usize::from(u16::from_be_bytes([first, second]))].push(number);
        }
        Ok(Self { needles, by_head })
    }

    /// Each needle in these bytes, and where it stands.
    fn find(&self, haystack: &[u8]) -> Vec<(&'a Needle, usize)> {
        let mut found = Vec::new();
        let mut head = 0_u16;
        for (at, byte) in haystack.iter().enumerate() {
            head = (head << 8) | u16::from(*byte);
            let begun = &self.by_head[usize::from(head)];
            if at == 0 || begun.is_empty() {
                continue;
            }
            let needles = begun.iter().map(|number| &self.needles[*number]);
            let whole = needles.filter(|needle| haystack[at - 1..].starts_with(&needle.bytes));
            found.extend(whole.map(|needle| (needle, at - 1)));
        }
        found
    }
}

fn around(chunk: &[u8], at: usize) -> String {
    let from = at.saturating_sub(64);
    let to = (at + 96).min(chunk.len());
    chunk[from..to].escape_ascii().to_string()
}

/// A core of a running process as an operator would take it, with gdb's own rules of what belongs in it.
///
/// # Errors
/// gdb is missing, or may not trace.
pub fn core_of(process: u32, core: &Path) -> Result<(), Fault> {
    let output = Command::new("gdb")
        .args([
            "-nx",
            "-batch",
            "-iex",
            "set auto-load no",
            "-iex",
            "set debuginfod enabled off",
        ])
        .args(["-p", &process.to_string()])
        .args(["-ex", &format!("generate-core-file {}", core.display())])
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("gdb cannot be run: {error}"))?;
    let is_core = fs::File::open(core).is_ok_and(|mut file| {
        let mut head = [0; ELF.len()];
        file.read_exact(&mut head).is_ok() && head == ELF
    });
    ensure(is_core, || {
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        format!("gdb makes no core of process {process}: {told}")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGITS: &str = "907162534489";

    fn hits_in(content: &[u8], needles: &[Needle]) -> Vec<Hit> {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), content).unwrap();
        search(file.path(), needles).unwrap()
    }

    #[test]
    fn every_form_of_a_secret_is_found_where_it_is_planted() {
        let needles = of_digits("PIN", DIGITS).unwrap();
        assert!(needles.len() >= 16);
        for planted in &needles {
            let content = [b"before".as_slice(), &planted.bytes, b"after"].concat();
            let hits = hits_in(&content, &needles);
            assert!(
                hits.iter()
                    .any(|hit| hit.needle == planted.name && hit.offset == 6),
                "{}",
                planted.name
            );
        }
        assert!(hits_in(b"907162534488", &needles).is_empty());
    }

    #[test]
    fn the_forms_are_what_programs_make_of_a_pin() {
        let needles = of_digits("PIN", DIGITS).unwrap();
        for form in [
            b"907162534489".as_slice(),
            b"984435261709",
            &[0x90, 0x71, 0x62, 0x53, 0x44, 0x89],
            &[0x89, 0x44, 0x53, 0x62, 0x71, 0x90],
            &[9, 0, 7, 1, 6, 2, 5, 3, 4, 4, 8, 9],
            b"393037313632353334343839",
            b"144, 113, 98, 83, 68, 137",
        ] {
            assert!(!hits_in(form, &needles).is_empty(), "{}", form.escape_ascii());
        }
    }

    /// Source: RFC 4648, section 10: "foobar" is Zm9vYmFy.
    #[test]
    fn base64_is_found_wherever_a_secret_begins_in_a_group() {
        assert_eq!(base64_within(b"foobar", 0), b"Zm9vYmFy");
        assert_eq!(base64_within(b"oobar", 1), b"9vYmFy");
        assert_eq!(base64_within(b"obar", 2), b"vYmFy");
        assert_eq!(base64_within(b"fo", 0), b"Zm");
    }

    #[test]
    fn what_lies_across_two_chunks_is_found_once() {
        let mut content = vec![b'x'; 3 * CHUNK_BYTES];
        let at = CHUNK_BYTES - 5;
        content[at..at + 12].copy_from_slice(DIGITS.as_bytes());
        let hits = hits_in(&content, &[control(DIGITS)]);
        assert_eq!(hits.len(), 1, "{hits:?}");
        assert_eq!(hits[0].offset, u64::try_from(at).unwrap());
    }

    #[test]
    fn what_are_no_digits_are_refused() {
        assert!(of_digits("PIN", "12a4").is_err());
        assert!(of_digits("PIN", "123").is_err());
        assert!(from_hex("0g").is_err());
        assert_eq!(from_hex("0aFF").unwrap(), [0x0A, 0xFF]);
    }
}
