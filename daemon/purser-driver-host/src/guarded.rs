//! Memory that is lent to the driver, with guards around it: a driver that writes beyond its buffer is noticed before
//! anything that it may have spoilt is used (`[M-2]`).

use purser_plugin_api::abi::Buffer;
use zeroize::Zeroizing;

use crate::watch;

/// Bytes of each guard: a card's longest short response beyond the buffer still falls into it.
const GUARD_BYTES: usize = 256;

/// What the guards hold.
const GUARD: u8 = 0xC7;

/// The driver wrote beyond a buffer.
const EXIT_OVERRUN: u8 = 6;

/// A buffer for one call, zero at first and wiped when dropped.
pub(crate) struct Guarded {
    bytes: Zeroizing<Vec<u8>>,
    raw: Buffer,
}

impl Guarded {
    pub(crate) fn new(capacity: usize) -> Self {
        let mut bytes = Zeroizing::new(vec![GUARD; capacity + 2 * GUARD_BYTES]);
        let inner = &mut bytes[GUARD_BYTES..GUARD_BYTES + capacity];
        inner.fill(0);
        let raw = Buffer {
            data: inner.as_mut_ptr(),
            capacity: u32::try_from(capacity).expect("the wire's limits lie below u32::MAX"),
            length: 0,
        };
        Self { bytes, raw }
    }

    /// What the driver is given; it must not be used after the call.
    pub(crate) fn lend(&mut self) -> *mut Buffer {
        &raw mut self.raw
    }

    /// What the driver wrote; `None` for a length above the capacity. Ends the process if a guard is broken: its memory
    /// is in an unknown state, and the daemon counts a transmit under way as one of unknown outcome.
    pub(crate) fn written(&self) -> Option<&[u8]> {
        let capacity = self.bytes.len() - 2 * GUARD_BYTES;
        let (before, rest) = self.bytes.split_at(GUARD_BYTES);
        let (inner, after) = rest.split_at(capacity);
        if before.iter().chain(after).any(|byte| *byte != GUARD) {
            eprintln!("[M-2] the driver wrote beyond its buffer; its process is ended");
            watch::exit(EXIT_OVERRUN);
        }
        inner.get(..usize::try_from(self.raw.length).ok()?)
    }
}
