//! The Unix socket that lines come in by.

use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::command::ControlCommand;
use crate::card::OtherShop;
use crate::vpcd::{CardThread, CardThreadError};

/// The longest line. The longest command is far shorter.
const LINE_BYTES_MAX: u64 = 256;

/// What can be led by lines: a card or a PSAM in its thread.
pub trait Led: Send + Sync + 'static {
    /// Does what a line says.
    fn obey(&self, line: &str) -> Answer;
}

/// What a line brought.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The line that goes back.
    pub line: String,
    /// Whether this was `quit`.
    pub is_quit: bool,
}

impl Led for CardThread {
    fn obey(&self, line: &str) -> Answer {
        let command = line.parse::<ControlCommand>();
        Answer {
            is_quit: command == Ok(ControlCommand::Quit),
            line: match command {
                Ok(command) => execute(self, command),
                Err(error) => format!("error {error}"),
            },
        }
    }
}

/// A control socket. Dropping it removes its path.
#[derive(Debug)]
pub struct ControlSocket {
    path: PathBuf,
    listener: UnixListener,
}

impl ControlSocket {
    /// Listens at this path. A socket that a killed process left there is replaced.
    ///
    /// # Errors
    /// What the system says: the path is taken by a living process or by another kind of file, or cannot be made.
    pub fn bind(path: &Path) -> io::Result<Self> {
        let listener = match UnixListener::bind(path) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && is_abandoned(path) => {
                fs::remove_file(path)?;
                UnixListener::bind(path)?
            }
            bound => bound?,
        };
        Ok(Self {
            path: path.to_owned(),
            listener,
        })
    }

    /// Serves everybody who connects, each in a thread of its own, until one says `quit`.
    ///
    /// # Errors
    /// What the system says when it cannot accept a connection.
    pub fn serve(&self, card: &Arc<impl Led>) -> io::Result<()> {
        let quit = Arc::new(AtomicBool::new(false));
        loop {
            let (stream, _) = self.listener.accept()?;
            if quit.load(Ordering::Acquire) {
                return Ok(());
            }
            let (card, quit, path) = (Arc::clone(card), Arc::clone(&quit), self.path.clone());
            std::thread::spawn(move || {
                // A client that goes away in the middle has lost its answer and nothing else.
                if let Ok(Next::Quit) = converse(&stream, &*card) {
                    quit.store(true, Ordering::Release);
                    // Wakes the accept above.
                    drop(UnixStream::connect(path));
                }
            });
        }
    }
}

impl Drop for ControlSocket {
    fn drop(&mut self) {
        // It may be gone already: somebody cleaned up.
        drop(fs::remove_file(&self.path));
    }
}

/// Does what a command says and answers its line. `quit` only takes the card away: ending is the caller's.
pub fn execute(card: &CardThread, command: ControlCommand) -> String {
    match perform(card, command) {
        Ok(()) => format!("ok {}", card.status()),
        Err(error) => format!("error {error}"),
    }
}

fn perform(card: &CardThread, command: ControlCommand) -> Result<(), CardThreadError> {
    match command {
        ControlCommand::Insert => card.insert(),
        ControlCommand::Remove | ControlCommand::Quit => card.remove(),
        ControlCommand::Script(fault) => card.script(fault),
        ControlCommand::Clear => card.clear_script(),
        ControlCommand::Refill(amount) => card.load_elsewhere(amount)?,
        ControlCommand::PayElsewhere(amount) => {
            card.pay_elsewhere(amount, &OtherShop::default())?;
        }
        ControlCommand::Life(life) => card.set_life(life)?,
        ControlCommand::Status => {}
    }
    Ok(())
}

enum Next {
    Closed,
    Quit,
}

fn converse(stream: &UnixStream, card: &impl Led) -> io::Result<Next> {
    let mut lines = BufReader::new(stream);
    let mut out = stream;
    loop {
        let mut line = String::new();
        if lines.by_ref().take(LINE_BYTES_MAX).read_line(&mut line)? == 0 {
            return Ok(Next::Closed);
        }
        if u64::try_from(line.len()).is_ok_and(|length| length == LINE_BYTES_MAX) && !line.ends_with('\n') {
            writeln!(out, "error a line ends within {LINE_BYTES_MAX} bytes")?;
            return Ok(Next::Closed);
        }
        let answer = card.obey(&line);
        writeln!(out, "{}", answer.line)?;
        if answer.is_quit {
            return Ok(Next::Quit);
        }
    }
}

/// Whether this is a socket on which nobody listens. (Connecting to an ordinary file is refused, too.)
fn is_abandoned(path: &Path) -> bool {
    let is_socket = fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket());
    is_socket
        && UnixStream::connect(path).is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused)
}
