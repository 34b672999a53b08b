//! A recording under way: lines are made on the supervisor's thread and written on one of their own, so that a slow disk
//! holds up neither the driver nor the daemon.

use std::fs::File;
use std::io::{self, Write};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread;

use purser_driver_recording::{Entry, Masker, What, header};
use purser_driver_wire::{Call, CallFailure, CallId, DeviceEvent, Reply};
use tokio::sync::oneshot;
use tokio::time::Instant;

/// Largest recording, in bytes: about ten thousand sales, and a file that can still be sent by mail.
pub const RECORDING_BYTES_MAX: usize = 16 << 20;

/// Lines that wait for the disk; those beyond it are counted and left out. A sale has about fifty.
const WAITING_MAX: usize = 256;

/// Room that is kept for the line which tells that the file is full.
const FULL_LINE_BYTES: usize = 64;

/// A recording under way. Dropping it ends the recording; what waits is still written.
#[derive(Debug)]
pub(crate) struct Tape {
    lines: SyncSender<String>,
    masker: Masker,
    began: Instant,
    bytes: usize,
    /// Lines that found no room since the last one that did.
    missing: u64,
    written: oneshot::Receiver<()>,
}

/// The recording has ended by itself: its file is full, or cannot be written.
#[derive(Debug)]
pub(crate) struct Ended;

impl Tape {
    /// Begins a recording into an empty file.
    pub(crate) fn begin(file: File) -> io::Result<Self> {
        let (lines, to_write) = sync_channel(WAITING_MAX);
        let (done, written) = oneshot::channel();
        thread::Builder::new()
            .name("recorder".to_owned())
            .spawn(move || {
                // What cannot be written ends the recording: the next line finds nobody.
                let _ = write(file, &to_write);
                // The one who ends the recording may have gone.
                let _ = done.send(());
            })?;
        let mut tape = Self {
            lines,
            masker: Masker::default(),
            began: Instant::now(),
            bytes: 0,
            missing: 0,
            written,
        };
        // The queue is empty and its reader has just begun.
        let _ = tape.push(header());
        Ok(tape)
    }

    /// Ends the recording; the receiver hears when the file is whole.
    pub(crate) fn end(self) -> oneshot::Receiver<()> {
        self.written
    }

    pub(crate) fn call(&mut self, id: CallId, time_ms: u32, call: &Call) -> Result<(), Ended> {
        let call = self.masker.call(id, call);
        self.note(What::Call { id, time_ms, call })
    }

    pub(crate) fn answer(&mut self, id: CallId, result: &Result<Reply, CallFailure>) -> Result<(), Ended> {
        let answer = self.masker.answer(id, result);
        self.note(What::Answer { id, answer })
    }

    pub(crate) fn event(&mut self, event: &DeviceEvent) -> Result<(), Ended> {
        match self.masker.event(event) {
            Some(event) => self.note(What::Event(event)),
            None => Ok(()),
        }
    }

    pub(crate) fn note(&mut self, what: What) -> Result<(), Ended> {
        if self.missing > 0 {
            let lines = self.missing;
            let gap = self.line(What::Gap { lines });
            if !self.push(gap)? {
                self.missing = self.missing.saturating_add(1);
                return Ok(());
            }
            self.missing = 0;
        }
        let line = self.line(what);
        if self
            .bytes
            .saturating_add(line.len())
            .saturating_add(FULL_LINE_BYTES)
            > RECORDING_BYTES_MAX
        {
            let full = self.line(What::Full {});
            let _ = self.push(full);
            return Err(Ended);
        }
        if !self.push(line)? {
            self.missing = 1;
        }
        Ok(())
    }

    fn line(&self, what: What) -> String {
        let at_ms = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        Entry { at_ms, what }.line()
    }

    /// False for a line that found no room.
    fn push(&mut self, line: String) -> Result<bool, Ended> {
        let bytes = line.len();
        match self.lines.try_send(line) {
            Ok(()) => {
                self.bytes = self.bytes.saturating_add(bytes);
                Ok(true)
            }
            Err(TrySendError::Full(_)) => Ok(false),
            Err(TrySendError::Disconnected(_)) => Err(Ended),
        }
    }
}

fn write(mut file: File, lines: &Receiver<String>) -> io::Result<()> {
    for line in lines {
        file.write_all(line.as_bytes())?;
    }
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(file: &File) -> String {
        use std::io::{Read, Seek};
        let mut file = file.try_clone().unwrap();
        file.rewind().unwrap();
        let mut text = String::new();
        file.read_to_string(&mut text).unwrap();
        text
    }

    #[tokio::test]
    async fn a_recording_ends_at_its_limit_and_says_so() {
        let file = tempfile::tempfile().unwrap();
        let mut tape = Tape::begin(file.try_clone().unwrap()).unwrap();
        tape.bytes = RECORDING_BYTES_MAX - 200;
        let mut lines = 0;
        while tape.note(What::Down {}).is_ok() {
            lines += 1;
        }
        assert!(lines > 0 && lines < 20);
        tape.end().await.unwrap();
        let text = read(&file);
        let (entries, _) = purser_driver_recording::lines(&text).unwrap();
        assert!(matches!(entries.last().unwrap().what, What::Full {}), "{text}");
        assert!(text.len() <= 200 + header().len());
    }

    #[tokio::test]
    async fn a_disk_that_does_not_keep_up_costs_lines_and_the_recording_says_how_many() {
        let (read, write) = std::io::pipe().unwrap();
        let mut tape = Tape::begin(File::from(std::os::fd::OwnedFd::from(write))).unwrap();
        // The pipe takes 64 KiB and the queue so many lines; nobody reads. Until both are full the writer makes room now and then.
        while tape.missing <= 1000 {
            tape.note(What::Cancel { id: CallId(1) }).unwrap();
        }
        let reader = std::thread::spawn(move || std::io::read_to_string(read).unwrap());
        while tape.missing > 0 {
            tokio::task::yield_now().await;
            tape.note(What::Down {}).unwrap();
        }
        // A pipe cannot be synced; the lines are there all the same.
        tape.end().await.unwrap();
        let text = reader.join().unwrap();
        let (entries, _) = purser_driver_recording::lines(&text).unwrap();
        let missing: u64 = entries
            .iter()
            .map(|entry| match entry.what {
                What::Gap { lines } => lines,
                _ => 0,
            })
            .sum();
        assert!(missing > 1000, "{missing}");
    }

    #[tokio::test]
    async fn a_file_that_cannot_be_written_ends_the_recording() {
        let full = File::options().write(true).open("/dev/full").unwrap();
        let mut tape = Tape::begin(full).unwrap();
        while tape.note(What::Down {}).is_ok() {
            tokio::task::yield_now().await;
        }
    }
}
