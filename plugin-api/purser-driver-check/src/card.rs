//! A virtual card that does what a check wants. It speaks the vpcd protocol (see `plugins/virtual-reader/src/vpcd.rs`):
//! connected = inserted, closed = removed.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// The card's answer to reset: a contactless card's, without historical bytes (PC/SC part 3 §3.1.3.2.3).
pub(crate) const ATR: [u8; 5] = [0x3B, 0x80, 0x80, 0x01, 0x01];

/// How long the reader may take to listen.
const LISTEN_TIME: Duration = Duration::from_secs(10);

/// What a card saw.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    /// Power was given, or the card was reset: its session is forgotten.
    PowerUp,
    /// Power was taken.
    PowerOff,
    /// A command.
    Command(Vec<u8>),
}

/// What a card does with the next commands.
#[derive(Clone, Debug)]
pub(crate) enum Manner {
    /// Answers this.
    Answers(Vec<u8>),
    /// Answers 9000 after this time.
    Slow(Duration),
    /// Says nothing.
    Silent,
    /// Leaves the reader.
    Leaves,
}

#[derive(Debug)]
struct Shared {
    manner: Manner,
    seen: Vec<Seen>,
}

/// A card in a reader. Dropping it removes it.
#[derive(Debug)]
pub(crate) struct VirtualCard {
    stream: TcpStream,
    shared: Arc<Mutex<Shared>>,
}

impl VirtualCard {
    /// Puts a card in.
    pub(crate) fn insert(reader: SocketAddr) -> io::Result<Self> {
        let end = Instant::now() + LISTEN_TIME;
        let stream = loop {
            match TcpStream::connect(reader) {
                Ok(stream) => break stream,
                Err(error) if Instant::now() > end => return Err(error),
                Err(_) => thread::sleep(Duration::from_millis(10)),
            }
        };
        stream.set_nodelay(true)?;
        let shared = Arc::new(Mutex::new(Shared {
            manner: Manner::Answers(vec![0x90, 0x00]),
            seen: Vec::new(),
        }));
        let (served, card) = (stream.try_clone()?, Arc::clone(&shared));
        thread::spawn(move || {
            // An end is the reader's or ours.
            let _ = serve(&served, &card);
            let _ = served.shutdown(Shutdown::Both);
        });
        Ok(Self { stream, shared })
    }

    /// Says what it does from here on, and forgets what it saw.
    pub(crate) fn behave(&self, manner: Manner) {
        let mut shared = lock(&self.shared);
        shared.manner = manner;
        shared.seen.clear();
    }

    /// What it saw since then.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        lock(&self.shared).seen.clone()
    }

    /// Waits until it saw this.
    pub(crate) fn sees(&self, awaited: &[Seen], time: Duration) -> bool {
        let end = Instant::now() + time;
        loop {
            if self.seen().iter().any(|seen| awaited.contains(seen)) {
                return true;
            }
            if Instant::now() > end {
                return false;
            }
            thread::sleep(Duration::from_millis(2));
        }
    }

    /// Takes it out.
    pub(crate) fn remove(&self) {
        // Fails only for one that was thrown out.
        let _ = self.stream.shutdown(Shutdown::Both);
    }
}

impl Drop for VirtualCard {
    fn drop(&mut self) {
        self.remove();
    }
}

fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

fn serve(mut stream: &TcpStream, shared: &Mutex<Shared>) -> io::Result<()> {
    loop {
        let mut prefix = [0; 2];
        stream.read_exact(&mut prefix)?;
        let mut message = vec![0; usize::from(u16::from_be_bytes(prefix))];
        stream.read_exact(&mut message)?;
        let answer = match message.as_slice() {
            [0] => {
                lock(shared).seen.push(Seen::PowerOff);
                continue;
            }
            [1 | 2] => {
                lock(shared).seen.push(Seen::PowerUp);
                continue;
            }
            [4] => ATR.to_vec(),
            _ => match take(shared, message) {
                Some(answer) => answer?,
                None => continue,
            },
        };
        let mut frame = u16::try_from(answer.len())
            .map_err(io::Error::other)?
            .to_be_bytes()
            .to_vec();
        frame.extend(answer);
        stream.write_all(&frame)?;
    }
}

/// What a card answers to a command; `None`: nothing.
fn take(shared: &Mutex<Shared>, command: Vec<u8>) -> Option<io::Result<Vec<u8>>> {
    let manner = {
        let mut shared = lock(shared);
        shared.seen.push(Seen::Command(command));
        shared.manner.clone()
    };
    match manner {
        Manner::Answers(answer) => Some(Ok(answer)),
        Manner::Slow(time) => {
            thread::sleep(time);
            Some(Ok(vec![0x90, 0x00]))
        }
        Manner::Silent => None,
        Manner::Leaves => Some(Err(io::ErrorKind::ConnectionAborted.into())),
    }
}
