//! The caller's buffer, as a driver sees it.

use std::fmt;

use zeroize::Zeroize;

use super::{DriverError, Fault};
use crate::abi;

/// Where a driver puts its answer `[M-2]`. What it puts may be a secret, so that it never shows its content.
pub struct Output<'a> {
    bytes: &'a mut [u8],
    length: usize,
}

impl<'a> Output<'a> {
    /// An output over `bytes`; for a driver's own tests.
    pub fn new(bytes: &'a mut [u8]) -> Self {
        Self { bytes, length: 0 }
    }

    /// Appends `bytes`.
    ///
    /// # Errors
    /// [`OutputFull`] when they do not fit; nothing was appended then.
    pub fn put(&mut self, bytes: &[u8]) -> Result<(), OutputFull> {
        let end = self.length.checked_add(bytes.len()).ok_or(OutputFull)?;
        self.bytes
            .get_mut(self.length..end)
            .ok_or(OutputFull)?
            .copy_from_slice(bytes);
        self.length = end;
        Ok(())
    }

    /// Lets `fill` write into the whole buffer, without a copy, and say how many bytes it wrote; what was put before
    /// is overwritten. A number above the buffer's length leaves the output empty.
    ///
    /// # Errors
    /// What `fill` answers; the output is empty then.
    pub fn fill<E>(&mut self, fill: impl FnOnce(&mut [u8]) -> Result<usize, E>) -> Result<(), E> {
        self.length = 0;
        let length = fill(self.bytes)?;
        if length <= self.bytes.len() {
            self.length = length;
        }
        Ok(())
    }

    /// What was put so far.
    pub fn filled(&self) -> &[u8] {
        &self.bytes[..self.length]
    }

    /// Wipes what was put.
    pub fn clear(&mut self) {
        self.bytes.zeroize();
        self.length = 0;
    }

    /// SAFETY: `raw` must be a buffer as `[M-2]` has it, not used by others while the output lives.
    pub(super) unsafe fn from_raw(raw: &'a mut abi::Buffer) -> Option<Self> {
        let capacity = usize::try_from(raw.capacity).ok()?;
        if raw.data.is_null() {
            return None;
        }
        // SAFETY: [M-2]: `capacity` initialised bytes at `data` are ours until the call returns.
        let bytes = unsafe { std::slice::from_raw_parts_mut(raw.data, capacity) };
        Some(Self::new(bytes))
    }

    pub(super) fn length(&self) -> u32 {
        u32::try_from(self.length).expect("a length within a capacity that is a u32")
    }
}

impl fmt::Debug for Output<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Output({} of {} bytes)", self.length, self.bytes.len())
    }
}

/// The answer does not fit into the caller's buffer. Turns into [`Fault::OutcomeUnknown`]: a card that answers more
/// than ISO/IEC 7816-4 allows has executed something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutputFull;

impl From<OutputFull> for DriverError {
    fn from(_: OutputFull) -> Self {
        Fault::OutcomeUnknown.because("the answer is longer than the contract allows")
    }
}
