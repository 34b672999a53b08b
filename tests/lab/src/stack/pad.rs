//! The buyer's finger: types at the virtual reader's PIN pad.

use std::io::{BufRead, BufReader, ErrorKind, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;

use super::PATIENCE;
use super::error::{StackError, io_error};

/// What the pad asked when an entry began.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prompt {
    /// The amount in minor units that the buyer sees, where one is shown.
    pub amount_minor: Option<u64>,
    /// The tries that are left on the card, where that is known.
    pub tries_left: Option<u8>,
}

/// A buyer at the PIN pad. One at a time: a newer one takes the place of the older.
#[derive(Debug)]
pub struct Typist {
    path: PathBuf,
    lines: BufReader<UnixStream>,
}

impl Typist {
    /// Steps up to the pad that listens at this path.
    ///
    /// # Errors
    /// [`StackError::Io`]: the driver does not run, or not yet.
    pub fn step_up(path: &Path) -> Result<Self, StackError> {
        let connect = || {
            let stream = UnixStream::connect(path)?;
            stream.set_read_timeout(Some(PATIENCE))?;
            Ok(stream)
        };
        let stream = connect().map_err(io_error("step up to the PIN pad at", path))?;
        Ok(Self {
            path: path.to_owned(),
            lines: BufReader::new(stream),
        })
    }

    /// Waits until the pad asks for a PIN.
    ///
    /// # Errors
    /// [`StackError::Io`] when it does not ask in time or is gone, [`StackError::Pad`] when it says something else.
    pub fn wait_for_prompt(&mut self) -> Result<Prompt, StackError> {
        let line = self.line()?;
        let words: Vec<&str> = line.split(' ').collect();
        match words[..] {
            ["enter", _min, _max, amount, _currency, _exponent, tries] => Ok(Prompt {
                amount_minor: amount.parse().ok(),
                tries_left: tries.parse().ok(),
            }),
            _ => Err(StackError::Pad {
                awaited: "enter",
                told: line,
            }),
        }
    }

    /// Types digits and presses the confirm key.
    ///
    /// # Errors
    /// As [`Typist::wait_for_prompt`].
    pub fn enter(&mut self, digits: &str) -> Result<(), StackError> {
        self.press(digits)?;
        self.expect("confirmed")
    }

    /// Presses the cancel key.
    ///
    /// # Errors
    /// As [`Typist::wait_for_prompt`].
    pub fn cancel(&mut self) -> Result<(), StackError> {
        self.press("cancel")?;
        self.expect("cancelled")
    }

    /// From here on types this PIN whenever the pad asks, as a buyer does who was asked again.
    ///
    /// # Errors
    /// [`StackError::Io`]: the connection cannot be shared with a thread.
    pub fn keep_entering(self, digits: &str) -> Result<Buyer, StackError> {
        let lines = self.lines.get_ref();
        let connection = lines.try_clone().and_then(|connection| {
            // Waits as long as there is a buyer.
            connection.set_read_timeout(None)?;
            Ok(connection)
        });
        let connection = connection.map_err(io_error("share the PIN pad at", &self.path))?;
        let (mut typist, digits) = (self, digits.to_owned());
        let thread = std::thread::spawn(move || {
            let mut entered = 0;
            while typist
                .wait_for_prompt()
                .and_then(|_| typist.enter(&digits))
                .is_ok()
            {
                entered += 1;
            }
            entered
        });
        Ok(Buyer {
            connection,
            thread: Some(thread),
        })
    }

    fn press(&mut self, keys: &str) -> Result<(), StackError> {
        let typed = self.lines.get_mut().write_all(format!("{keys}\n").as_bytes());
        typed.map_err(io_error("type at the PIN pad at", &self.path))
    }

    fn expect(&mut self, awaited: &'static str) -> Result<(), StackError> {
        let told = self.line()?;
        if told == awaited {
            return Ok(());
        }
        Err(StackError::Pad { awaited, told })
    }

    fn line(&mut self) -> Result<String, StackError> {
        let mut line = String::new();
        let read = match self.lines.read_line(&mut line) {
            Ok(0) => Err(ErrorKind::UnexpectedEof.into()),
            read => read,
        };
        read.map_err(io_error("hear the PIN pad at", &self.path))?;
        Ok(line.trim_end().to_owned())
    }
}

/// A buyer who types the same PIN whenever the pad asks, and steps away when dropped.
#[derive(Debug)]
pub struct Buyer {
    connection: UnixStream,
    thread: Option<JoinHandle<u32>>,
}

impl Buyer {
    /// Steps away. Answers how often the PIN was typed and confirmed.
    pub fn step_away(mut self) -> u32 {
        self.end()
    }

    fn end(&mut self) -> u32 {
        // It fails only when the pad has gone.
        drop(self.connection.shutdown(Shutdown::Both));
        let thread = self.thread.take();
        thread.and_then(|thread| thread.join().ok()).unwrap_or(0)
    }
}

impl Drop for Buyer {
    fn drop(&mut self) {
        self.end();
    }
}
