//! What a core dump of a terminal would show: no key, no session key, no PIN.
//!
//! The test reads its own memory as a dump would write it: every readable page that is not marked to be left out.
//! It runs alone in its process. The secrets to look for stand here under a mask, so that the test itself does not
//! bring them into memory; what is found is counted, so that looking in the wrong place fails too.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test ends where it is wrong")]

use std::fs::File;
use std::hint::black_box;
use std::io::{Read, Seek, SeekFrom};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use purser_purse::pboc::*;
use purser_purse::{Dialogue, Protocol, Turn};
use zeroize::Zeroize;

const MASK: u8 = 0x5A;

/// Something to look for, under the mask.
struct Needle {
    name: &'static str,
    masked: Vec<u8>,
}

fn needle(name: &'static str, masked: &[u8]) -> Needle {
    Needle {
        name,
        masked: masked.to_vec(),
    }
}

fn unmasked(masked: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(masked.len());
    bytes.extend(masked.iter().map(|byte| byte ^ MASK));
    bytes
}

const fn masked<const N: usize>(mut bytes: [u8; N]) -> [u8; N] {
    let mut index = 0;
    while index < N {
        bytes[index] ^= MASK;
        index += 1;
    }
    bytes
}

/// A master key of its own, and what OpenSSL 3.0 derives from it for the attempt below.
const MASTER_DIGITS: [u8; 32] = masked(*b"8C1B5E9A37D2604FB3E8A15C72964D0B");
const MASTER_LEFT: [u8; 8] = masked([0x8C, 0x1B, 0x5E, 0x9A, 0x37, 0xD2, 0x60, 0x4F]);
const MASTER_RIGHT: [u8; 8] = masked([0xB3, 0xE8, 0xA1, 0x5C, 0x72, 0x96, 0x4D, 0x0B]);
const ISSUER_KEY_LEFT: [u8; 8] = masked([0xC8, 0x10, 0xBE, 0x92, 0x53, 0x5B, 0x05, 0x9B]);
const ISSUER_KEY_RIGHT: [u8; 8] = masked([0x7D, 0x68, 0xA2, 0xB4, 0x4A, 0xDD, 0xDF, 0x02]);
const CARD_KEY_LEFT: [u8; 8] = masked([0xC3, 0x03, 0x72, 0xD8, 0xC5, 0x0D, 0x44, 0xC5]);
const CARD_KEY_RIGHT: [u8; 8] = masked([0x94, 0x76, 0xAB, 0xA9, 0xD5, 0x3A, 0x80, 0xE5]);
const SESSION_KEY: [u8; 8] = masked([0x8F, 0x06, 0x67, 0x6F, 0xCC, 0x9E, 0x66, 0x78]);
const PIN_DIGITS: [u8; 12] = masked(*b"739105846273");
const PIN_PACKED: [u8; 6] = masked([0x73, 0x91, 0x05, 0x84, 0x62, 0x73]);
const CONTROL: [u8; 16] = masked(*b"found if we look");

/// The bytes in both orders: a processor may spill a key with its last byte first.
fn both_orders(name: &'static str, bytes: &[u8]) -> [Needle; 2] {
    let mut reversed = bytes.to_vec();
    reversed.reverse();
    [needle(name, bytes), needle(name, &reversed)]
}

fn secrets() -> Vec<Needle> {
    let binary: [(&str, &[u8]); 9] = [
        ("the master key", &MASTER_LEFT),
        ("the master key", &MASTER_RIGHT),
        ("the issuer's key", &ISSUER_KEY_LEFT),
        ("the issuer's key", &ISSUER_KEY_RIGHT),
        ("the card's key", &CARD_KEY_LEFT),
        ("the card's key", &CARD_KEY_RIGHT),
        ("the session key", &SESSION_KEY),
        ("the packed PIN", &PIN_PACKED),
        ("the PIN", &PIN_DIGITS),
    ];
    let digits = needle("the master key's digits", &MASTER_DIGITS[..16]);
    binary
        .into_iter()
        .flat_map(|(name, bytes)| both_orders(name, bytes))
        .chain([digits])
        .collect()
}

/// Reads this process's memory. It takes all its own memory when it is made, before there are secrets: later
/// allocations could overwrite what it is to find.
struct Searcher {
    smaps: String,
    ranges: Vec<(u64, u64)>,
    buffer: Vec<u8>,
}

const PIECE: usize = 64 * 1024;
/// How much is read twice, so that nothing hides where two pieces meet: more than any needle.
const OVERLAP: usize = 64;

impl Searcher {
    fn new() -> Self {
        Self {
            smaps: String::with_capacity(1 << 20),
            ranges: Vec::with_capacity(1 << 12),
            buffer: vec![0; PIECE],
        }
    }

    /// How often each needle stands in memory. What the buffer still holds may be counted again.
    fn count(&mut self, needles: &[Needle], found: &mut [usize]) {
        self.find_ranges();
        found.fill(0);
        let mut memory = File::open("/proc/self/mem").unwrap();
        for &(start, end) in &self.ranges {
            let mut at = start;
            while at < end {
                let length = usize::try_from(end - at).unwrap().min(PIECE);
                let piece = &mut self.buffer[..length];
                if memory
                    .seek(SeekFrom::Start(at))
                    .and_then(|_| memory.read_exact(piece))
                    .is_ok()
                {
                    count_in(piece, needles, found);
                }
                at = if length == PIECE {
                    at + u64::try_from(PIECE - OVERLAP).unwrap()
                } else {
                    end
                };
            }
        }
        self.buffer.zeroize();
        self.buffer.resize(PIECE, 0);
    }

    /// Finds the pages that can hold a secret and that a core dump holds, by the kernel's own flags.
    fn find_ranges(&mut self) {
        self.smaps.clear();
        self.ranges.clear();
        File::open("/proc/self/smaps")
            .and_then(|mut file| file.read_to_string(&mut self.smaps))
            .unwrap();
        let mut range = None;
        for line in self.smaps.lines() {
            if let Some(flags) = line.strip_prefix("VmFlags:") {
                let has = |wanted| flags.split_whitespace().any(|flag| flag == wanted);
                self.ranges
                    .extend(range.filter(|_| has("rd") && has("wr") && !has("dd") && !has("io")));
            } else {
                range = range_of(line).or(range);
            }
        }
    }
}

/// The addresses at the start of a line such as `7f0000000000-7f0000001000 rw-p …`.
fn range_of(line: &str) -> Option<(u64, u64)> {
    let (start, end) = line.split_whitespace().next()?.split_once('-')?;
    Some((
        u64::from_str_radix(start, 16).ok()?,
        u64::from_str_radix(end, 16).ok()?,
    ))
}

/// One pass over the memory: nearly every byte begins no needle.
fn count_in(memory: &[u8], needles: &[Needle], found: &mut [usize]) {
    let mut begins = [false; 256];
    for needle in needles {
        begins[usize::from(needle.masked[0] ^ MASK)] = true;
    }
    for (at, byte) in memory.iter().enumerate() {
        if begins[usize::from(*byte)] {
            for (needle, found) in needles.iter().zip(&mut *found) {
                let here = memory[at..].iter().map(|byte| byte ^ MASK);
                *found += usize::from(here.take(needle.masked.len()).eq(needle.masked.iter().copied()));
            }
        }
    }
}

fn sam() -> SoftwareSam {
    let mut digits = unmasked(&MASTER_DIGITS);
    let mut text = Vec::with_capacity(256);
    text.extend_from_slice(
        b"[[purchase_key]]\nversion = 1\nalgorithm = 0\nlevels = [\"issuer\", \"asn\"]\nkey = \"",
    );
    text.extend_from_slice(&digits);
    text.push(b'"');
    let sam = SoftwareSam::from_credential(&text).unwrap();
    digits.zeroize();
    text.zeroize();
    sam
}

fn attempt() -> Attempt {
    Attempt::decode(b"\x01\x11\x11\x22\x22\x33\x33\x44\x44\x62\x25\x88\x00\x12\x34\x56\x78\x02\x01\x00\x11\x22\x33\x44\
        \x55\x00\x00\x00\x2A\x00\x07\xA1\xB2\xC3\xD4\x01\x00\x00\x00\x03\xE8\x00\x00\x01\x2C\x20\x26\x11\x23\x09\x30\x15")
    .unwrap()
}

/// A terminal at work, on a thread of its own so that its stack stays as it left it. Says when there is something
/// to look at, and waits until it was looked at.
fn work(ready: &Sender<()>, go_on: &Receiver<()>) {
    let sam = sam();
    let attempt = attempt();
    let mac1 = sam.mac1(&attempt).unwrap();
    assert_eq!(
        mac1.as_bytes(),
        &[0xEE, 0x03, 0x3E, 0xAC],
        "the keys are those that are looked for"
    );
    assert_eq!(sam.check_mac2(&attempt, Mac2::new([0; 4])), Ok(false));
    let mut digits = unmasked(&PIN_DIGITS);
    let pin = Pin::from_digits(&mut digits).unwrap();
    let verify = VerifyPin::new(&Profile::default(), pin, Protocol::TCl);
    let control = unmasked(&CONTROL);
    ready.send(()).unwrap();
    go_on.recv().unwrap();

    black_box(&control);
    assert!(matches!(
        verify.handle_response(&[0x90, 0x00]),
        Turn::Done(Ok(()))
    ));
    ready.send(()).unwrap();
    go_on.recv().unwrap();

    assert_eq!(sam.mac1(&attempt).unwrap(), mac1, "the SAM still has its keys");
}

#[test]
fn a_core_dump_shows_no_key_and_no_pin() {
    let mut searcher = Searcher::new();
    let secrets = secrets();
    let controls = [
        needle("the control", &CONTROL),
        needle("the PIN of a command", &PIN_PACKED),
    ];
    let mut found = vec![0; secrets.len().max(controls.len())];
    let (tell_ready, ready) = channel();
    let (tell_go_on, go_on) = channel();
    let terminal = thread::spawn(move || work(&tell_ready, &go_on));

    ready.recv().unwrap();
    searcher.count(&controls, &mut found);
    for (control, found) in controls.iter().zip(&found) {
        assert!(*found >= 1, "the search misses {}", control.name);
    }
    tell_go_on.send(()).unwrap();

    ready.recv().unwrap();
    searcher.count(&secrets, &mut found);
    for (secret, found) in secrets.iter().zip(&found) {
        assert_eq!(*found, 0, "{} stands in memory", secret.name);
    }
    tell_go_on.send(()).unwrap();
    terminal.join().unwrap();
}
