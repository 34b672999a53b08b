//! A buyer who types the PIN whenever the pad asks, through any restart of the driver.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// How soon the buyer steps up to a pad again that was not there.
const STEP_UP_AGAIN: Duration = Duration::from_millis(5);
/// How often a waiting buyer looks whether it is time to go home.
const LOOK_UP: Duration = Duration::from_millis(100);

/// The buyer. Goes home when dropped.
#[derive(Debug)]
pub struct Buyer {
    goes_home: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Buyer {
    /// Waits at the pad that listens, or will listen, at this path.
    pub fn at(pad: PathBuf, pin: String) -> Self {
        let goes_home = Arc::new(AtomicBool::new(false));
        let home = Arc::clone(&goes_home);
        let thread = thread::spawn(move || {
            while !home.load(Ordering::Relaxed) {
                if type_while_connected(&pad, &pin, &home).is_err() {
                    thread::sleep(STEP_UP_AGAIN);
                }
            }
        });
        Self {
            goes_home,
            thread: Some(thread),
        }
    }
}

impl Drop for Buyer {
    fn drop(&mut self) {
        self.goes_home.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // One that panicked has told so itself.
            drop(thread.join());
        }
    }
}

fn type_while_connected(pad: &Path, pin: &str, goes_home: &AtomicBool) -> std::io::Result<()> {
    let stream = UnixStream::connect(pad)?;
    stream.set_read_timeout(Some(LOOK_UP))?;
    let mut lines = BufReader::new(stream);
    let mut line = Vec::new();
    while !goes_home.load(Ordering::Relaxed) {
        match lines.read_until(b'\n', &mut line) {
            Ok(0) => return Err(std::io::ErrorKind::UnexpectedEof.into()),
            Ok(_) => {
                if line.starts_with(b"enter ") {
                    lines.get_mut().write_all(format!("{pin}\n").as_bytes())?;
                }
                line.clear();
            }
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
