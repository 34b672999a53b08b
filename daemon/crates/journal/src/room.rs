//! Room for evidence (money rule P3): the WAL is kept longer than its content, so that what must follow from an intent
//! needs no new disk block.
//!
//! The WAL's spare part is allocated and written with zeros, which SQLite ignores: a frame counts only with the salt of
//! the WAL's header. Evidence then overwrites blocks that the file has, and the index of the WAL is made long enough with
//! it. File systems that write every block to a new place (btrfs, ZFS) do not keep this promise: there the free space that
//! [`crate::Options::reserve_bytes`] asks for is the only reserve.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::IntoRawFd;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use purser_ledger::{AnyOperation, Load, LoadStanding, Operation, Settlement, Standing};
use rustix::fs::{FallocateFlags, fallocate, fstatvfs, statvfs};
use rustix::io::{Errno, retry_on_intr};

use crate::files::StateFolder;
use crate::schema::PAGE_BYTES;

/// Frames of a commit that opens an operation, over a long run: the newest page of entries and of each derived table, the
/// page of its id in two trees and of its reference in one, the balances and the first page; and the pages that split.
pub const OPENING_FRAMES: u64 = 12;

/// Frames of a commit that follows an opening one, over a long run: the newest page of entries and its parent, the page of
/// its id, the open operations, what can be settled, the balances and the first page; and the pages that split.
pub const FOLLOWING_FRAMES: u64 = 9;

/// Frames that any run of commits may take beyond [`OPENING_FRAMES`] and [`FOLLOWING_FRAMES`] for each: splits that reach
/// up through trees of four levels, in several trees at once.
pub const SLACK_FRAMES: u64 = 64;

/// The WAL's least length in frames, and what it grows by: about 4 MiB.
pub const WAL_FRAMES_MIN: u64 = 1024;

/// Commits that find room between two checkpoints without a longer WAL: some 30 sales.
pub(crate) const HEADROOM_COMMITS: u64 = 60;

/// Commits that an operation may still need after one that found free room. A sale after its first: in doubt, queried, and paid or
/// voided. A load after an attempt: released, proven, confirmed.
pub(crate) const COMMITS_TO_END_MAX: u64 = 3;

/// SQLite's file format, "The Write-Ahead Log": 32 bytes of header, then frames of 24 bytes and a page.
const WAL_HEADER_BYTES: u64 = 32;
const FRAME_BYTES: u64 = 24 + PAGE_BYTES;

/// SQLite's file format, "The WAL-Index": blocks of 32 KiB, the first for 4062 frames and each further for 4096.
const INDEX_BLOCK_BYTES: u64 = 32 << 10;
const INDEX_FIRST_FRAMES: u64 = 4062;
const INDEX_NEXT_FRAMES: u64 = 4096;

/// How many zeros are written at once.
static ZEROS: [u8; 64 << 10] = [0; 64 << 10];

/// Commits that an operation may still need until the card or the provider has told its end. A conclusion is none of them:
/// it is refused where there is no room for it.
pub(crate) fn commits_to_end(operation: &AnyOperation) -> u64 {
    match operation {
        AnyOperation::Sale(sale) => commits_to_end_sale(sale),
        AnyOperation::Load(load) => commits_to_end_load(load),
        AnyOperation::Settlement(settlement) => commits_to_end_batch(settlement),
    }
}

fn commits_to_end_sale(sale: &Operation) -> u64 {
    match sale.standing {
        Standing::Intended => COMMITS_TO_END_MAX,
        Standing::InDoubt(_) => 2,
        Standing::Queried(_) => 1,
        Standing::Closed(_) | Standing::Paid(_) | Standing::Voided(_) => 0,
    }
}

/// A further attempt is none of them, as it needs free room: before one, a load can still be voided, or be proven by the
/// provider's word and confirmed.
fn commits_to_end_load(load: &Load) -> u64 {
    match load.standing {
        LoadStanding::Attempted(_) => COMMITS_TO_END_MAX,
        LoadStanding::Begun | LoadStanding::Released { .. } => 2,
        LoadStanding::Proven(_) => 1,
        LoadStanding::Confirmed(_) | LoadStanding::Voided => 0,
    }
}

/// A batch under way is exchanged or voided.
pub(crate) fn commits_to_end_batch(settlement: &Settlement) -> u64 {
    u64::from(settlement.is_under_way())
}

/// The free space of the journal's disk, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DiskRoom {
    /// What is free for this process.
    pub free_bytes: u64,
    /// What new sales leave alone (money rule P3).
    pub reserve_bytes: u64,
}

impl DiskRoom {
    /// Looks at the disk of a state folder. Blocks when the disk hangs.
    ///
    /// # Errors
    /// The system's; the folder may be gone.
    pub fn look(state_dir: &Path, reserve_bytes: u64) -> io::Result<Self> {
        let disk = statvfs(state_dir)?;
        Ok(Self {
            free_bytes: disk.f_bavail.saturating_mul(disk.f_frsize),
            reserve_bytes,
        })
    }

    /// True while a new sale may begin.
    pub fn is_enough(&self) -> bool {
        self.free_bytes > self.reserve_bytes
    }

    /// True when the disk has less than twice the reserve: time to free some, before sales stop.
    pub fn is_low(&self) -> bool {
        self.free_bytes < self.reserve_bytes.saturating_mul(2)
    }
}

/// What is allocated, and what of it is used.
#[derive(Debug)]
pub(crate) struct Room {
    folder: StateFolder,
    wal: File,
    frames: u64,
    index_bytes: u64,
    used: Arc<AtomicU64>,
    reserve_bytes: u64,
}

impl Room {
    /// Takes over the WAL file as it is; `used` is kept up to date by SQLite's hook.
    pub(crate) fn open(folder: &StateFolder, used: Arc<AtomicU64>, reserve_bytes: u64) -> io::Result<Self> {
        let wal = OpenOptions::new().read(true).write(true).open(folder.wal())?;
        let length = wal.metadata()?.len();
        let mut room = Self {
            folder: folder.clone(),
            wal,
            frames: 0,
            index_bytes: INDEX_BLOCK_BYTES,
            used,
            reserve_bytes,
        };
        // A copied file may have holes: all of it is allocated before any of it is counted on.
        if room.allocate(&room.wal, 0, length)? && room.extend_index(frames_in(length))? {
            room.frames = frames_in(length);
        }
        Ok(room)
    }

    /// Frames of the WAL that hold commits.
    pub(crate) fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }

    /// Whether so many more commits fit, and after them those that open operations need to their end.
    pub(crate) fn fits(&self, commits: u64, to_end: u64) -> bool {
        self.needed(commits, to_end) <= self.frames
    }

    /// The least length of the WAL, in bytes, that [`Self::fits`] so much.
    pub(crate) fn needed_bytes(&self, commits: u64, to_end: u64) -> u64 {
        bytes_of(self.needed(commits, to_end))
    }

    /// Whether the disk has more free space than the reserve.
    pub(crate) fn is_reserve_free(&self) -> io::Result<bool> {
        Ok(self.free_bytes()? > self.reserve_bytes)
    }

    /// Makes the WAL long enough; false when the disk has no room for that.
    pub(crate) fn extend(&mut self, commits: u64, to_end: u64) -> io::Result<bool> {
        let wanted = self
            .needed(commits, to_end)
            .div_ceil(WAL_FRAMES_MIN)
            .saturating_mul(WAL_FRAMES_MIN);
        if wanted <= self.frames {
            return Ok(true);
        }
        let (from, to) = (self.wal.metadata()?.len(), bytes_of(wanted));
        if self.free_bytes()? < self.reserve_bytes.saturating_add(to.saturating_sub(from)) {
            return Ok(false);
        }
        if !self.extend_index(wanted)? || !self.allocate(&self.wal, 0, to)? || !self.write_zeros(from, to)? {
            // What was got of it would be nobody's.
            self.wal.set_len(from)?;
            return Ok(false);
        }
        self.wal.sync_all()?;
        self.frames = wanted;
        Ok(true)
    }

    fn needed(&self, commits: u64, to_end: u64) -> u64 {
        commits
            .saturating_mul(OPENING_FRAMES)
            .saturating_add(to_end.saturating_mul(FOLLOWING_FRAMES))
            .saturating_add(self.used())
            .saturating_add(SLACK_FRAMES)
    }

    /// What the disk has free, and what of it sales leave alone.
    pub(crate) fn disk(&self) -> io::Result<DiskRoom> {
        Ok(DiskRoom {
            free_bytes: self.free_bytes()?,
            reserve_bytes: self.reserve_bytes,
        })
    }

    fn free_bytes(&self) -> io::Result<u64> {
        let disk = fstatvfs(&self.wal)?;
        Ok(disk.f_bavail.saturating_mul(disk.f_frsize))
    }

    fn allocate(&self, file: &File, from: u64, to: u64) -> io::Result<bool> {
        if to <= from {
            return Ok(true);
        }
        allocation(|| fallocate(file, FallocateFlags::empty(), from, to - from))
    }

    /// Written blocks take evidence without a change of the file's block map.
    fn write_zeros(&self, from: u64, to: u64) -> io::Result<bool> {
        let mut at = from;
        while at < to {
            let length = usize::try_from(to - at).unwrap_or(ZEROS.len()).min(ZEROS.len());
            match self.wal.write_all_at(&ZEROS[..length], at) {
                Ok(()) => at = at.saturating_add(crate::memory::count(length)),
                Err(error) if is_full(&error) => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    fn extend_index(&mut self, frames: u64) -> io::Result<bool> {
        let further = frames
            .saturating_sub(INDEX_FIRST_FRAMES)
            .div_ceil(INDEX_NEXT_FRAMES);
        let wanted = INDEX_BLOCK_BYTES.saturating_mul(further.saturating_add(1));
        if wanted <= self.index_bytes {
            return Ok(true);
        }
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .open(self.folder.wal_index())?;
        let is_allocated = self.allocate(&file, 0, wanted);
        // Never closed: closing any descriptor of a file drops this process's locks on it (POSIX fcntl), and SQLite holds
        // its locks on this one. Happens once for each 4096 frames, which is when some 170 sales are in doubt at once.
        let _kept_until_the_process_ends = file.into_raw_fd();
        if is_allocated? {
            self.index_bytes = wanted;
            return Ok(true);
        }
        Ok(false)
    }
}

/// What came of allocating blocks ahead: false when the disk has no room. A signal that came between says nothing about the
/// disk.
fn allocation(attempt: impl FnMut() -> Result<(), Errno>) -> io::Result<bool> {
    match retry_on_intr(attempt) {
        // Where blocks cannot be allocated ahead (file systems and sandboxes name that differently), writing zeros does it.
        Ok(()) | Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => Ok(true),
        Err(Errno::NOSPC | Errno::DQUOT) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

fn is_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
    )
}

fn frames_in(bytes: u64) -> u64 {
    bytes.saturating_sub(WAL_HEADER_BYTES) / FRAME_BYTES
}

fn bytes_of(frames: u64) -> u64 {
    frames
        .saturating_mul(FRAME_BYTES)
        .saturating_add(WAL_HEADER_BYTES)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interrupted_allocation_is_tried_again() {
        let mut answers = [Err(Errno::INTR), Err(Errno::INTR), Err(Errno::NOSPC)].into_iter();
        let allocated = allocation(|| answers.next().expect("asked three times"));
        assert!(!allocated.expect("a signal is no fault of the disk"));
        assert_eq!(answers.next(), None);
    }

    #[test]
    fn a_disk_that_cannot_allocate_ahead_is_written_to_and_one_that_fails_is_broken() {
        for unable in [Errno::OPNOTSUPP, Errno::NOSYS, Errno::INVAL] {
            assert!(allocation(|| Err(unable)).expect("zeros do it"), "{unable}");
        }
        assert!(allocation(|| Err(Errno::IO)).is_err());
    }
}
