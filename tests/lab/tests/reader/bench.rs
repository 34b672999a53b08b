//! A reader's end of the protocol, written here, and what tests need around it.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use purser_lab::card::{Card, Minor, Opening, Personalisation};
use purser_lab::issuer::{LAB_SERIAL, Masters};
use purser_lab::store::CardFile;
use tempfile::TempDir;

/// How long a test waits for what must happen. It is never waited out where all is well.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) const SELECT: &[u8] = &[0, 0xA4, 4, 0x0C, 9, 0xA0, 0, 0, 0, 3, 0x86, 0x98, 7, 1];
pub(crate) const VERIFY: &[u8] = &[0, 0x20, 0, 0, 3, 0x12, 0x34, 0x56];
pub(crate) const WRONG_PIN: &[u8] = &[0, 0x20, 0, 0, 3, 0x99, 0x99, 0x99];
pub(crate) const GET_BALANCE: &[u8] = &[0x80, 0x5C, 0, 2, 4];
pub(crate) const OK: &[u8] = &[0x90, 0];

pub(crate) fn personalisation() -> Personalisation {
    Masters::public_lab().personalise(LAB_SERIAL)
}

pub(crate) fn new_card() -> Card {
    Card::new(
        Arc::new(personalisation()),
        Opening {
            ed: Minor(0),
            ep: Minor(1000),
            sn: 0,
        },
    )
}

/// A folder with a stored card in it.
pub(crate) fn stored_card() -> (TempDir, PathBuf) {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("alice.card");
    CardFile::create(&path, new_card()).unwrap();
    (folder, path)
}

pub(crate) fn stored_balance(path: &Path) -> u64 {
    CardFile::read(path).unwrap().money()
}

/// A reader that listens on a free port.
pub(crate) struct Reader(TcpListener);

impl Reader {
    pub(crate) fn new() -> Self {
        Self(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap())
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.0.local_addr().unwrap()
    }

    /// The next card that is put in, with power.
    pub(crate) fn accept(&self) -> Inserted {
        let stream = accept(&self.0);
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        let mut card = Inserted(stream);
        card.send(&[0x01]);
        card
    }
}

/// The next connection, unless patience ends.
pub(crate) fn accept(listener: &TcpListener) -> TcpStream {
    listener.set_nonblocking(true).unwrap();
    let end = Instant::now() + PATIENCE;
    loop {
        match listener.accept() {
            Ok((stream, _)) => {
                stream.set_nonblocking(false).unwrap();
                return stream;
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock && Instant::now() < end => {
                std::thread::sleep(Duration::from_millis(1));
            }
            Err(error) => panic!("no card came: {error}"),
        }
    }
}

/// A card in a reader.
pub(crate) struct Inserted(pub(crate) TcpStream);

impl Inserted {
    /// Sends a frame.
    pub(crate) fn send(&mut self, content: &[u8]) {
        let length = u16::try_from(content.len()).unwrap();
        self.0
            .write_all(&[&length.to_be_bytes(), content].concat())
            .unwrap();
    }

    /// The next frame; none when the card is gone.
    pub(crate) fn receive(&mut self) -> Option<Vec<u8>> {
        let mut length = [0; 2];
        match self.0.read(&mut length[..1]) {
            Ok(1) => {}
            Ok(_) => return None,
            Err(error) if error.kind() == ErrorKind::ConnectionReset => return None,
            Err(error) => panic!("no answer: {error}"),
        }
        self.0.read_exact(&mut length[1..]).unwrap();
        let mut content = vec![0; usize::from(u16::from_be_bytes(length))];
        self.0.read_exact(&mut content).unwrap();
        Some(content)
    }

    /// Sends a command and receives its answer.
    pub(crate) fn ask(&mut self, content: &[u8]) -> Option<Vec<u8>> {
        self.send(content);
        self.receive()
    }

    /// Begins a purchase as a shop does and answers the DEBIT that would complete it.
    pub(crate) fn begin_purchase(&mut self, amount: u32, terminal_sn: u32) -> Vec<u8> {
        assert_eq!(self.ask(SELECT).unwrap(), OK);
        assert_eq!(self.ask(VERIFY).unwrap(), OK);
        let mut initialize = vec![0x80, 0x50, 1, 2, 11, 1];
        initialize.extend(amount.to_be_bytes());
        initialize.extend([0x11; 6]);
        let answer = self.ask(&initialize).unwrap();
        assert!(answer.ends_with(OK), "{answer:02X?}");
        debit(amount, terminal_sn, &answer)
    }
}

/// DEBIT FOR PURCHASE after this answer to INITIALIZE.
fn debit(amount: u32, terminal_sn: u32, initialized: &[u8]) -> Vec<u8> {
    use des::cipher::{BlockCipherEncrypt, KeyInit};
    const DATE_TIME: [u8; 7] = [0x20, 0x26, 0x11, 2, 0x15, 0x30, 0];
    let master: [u8; 16] = std::array::from_fn(|i| u8::try_from(i).unwrap() * 0x11);
    let tdes = |key: [u8; 16], block: [u8; 8]| -> [u8; 8] {
        let mut block = block.into();
        des::TdesEde2::new(&key.into()).encrypt_block(&mut block);
        block.into()
    };
    let asn = LAB_SERIAL.asn().0;
    let key = [tdes(master, asn), tdes(master, asn.map(|byte| !byte))]
        .concat()
        .try_into()
        .unwrap();
    let [_, _, high, low] = terminal_sn.to_be_bytes();
    let input = [&initialized[11..15], &initialized[4..6], &[high, low]].concat();
    let session = tdes(key, input.try_into().unwrap());
    let cipher = des::Des::new(&session.into());
    let mut data = [&amount.to_be_bytes()[..], &[6], &[0x11; 6], &DATE_TIME, &[0x80]].concat();
    data.resize(24, 0);
    let chain = data.chunks(8).fold([0; 8], |chain, block| {
        let mut mixed = std::array::from_fn::<u8, 8, _>(|i| chain[i] ^ block[i]).into();
        cipher.encrypt_block(&mut mixed);
        mixed.into()
    });
    [
        &[0x80, 0x54, 1, 0, 15],
        &terminal_sn.to_be_bytes()[..],
        &DATE_TIME,
        &chain[..4],
    ]
    .concat()
}
