//! The readers that are there now.

use std::ffi::CString;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use purser_plugin_api::abi::limits::SLOTS_MAX;
use purser_plugin_api::sdk::{CallNumber, DriverError, Fault, Slot};

use crate::reader::Reader;

/// The readers that are there now.
#[derive(Debug, Default)]
pub(crate) struct Readers {
    present: Mutex<Present>,
}

#[derive(Debug, Default)]
struct Present {
    readers: Vec<Arc<Reader>>,
    /// Slot numbers are not used again: a call that is late never reaches another reader.
    next_slot: u32,
}

impl Readers {
    /// The reader in a slot.
    ///
    /// # Errors
    /// [`Fault::DeviceGone`].
    pub(crate) fn find(&self, slot: Slot) -> Result<Arc<Reader>, DriverError> {
        let present = self.lock();
        let found = present.readers.iter().find(|reader| reader.slot == slot);
        found
            .map(Arc::clone)
            .ok_or_else(|| Fault::DeviceGone.because("the reader has left"))
    }

    /// Whether no present reader has this name.
    pub(crate) fn is_free(&self, name: &str) -> bool {
        self.lock().readers.iter().all(|reader| reader.name != name)
    }

    /// Gives a reader its slot; `None` when there are too many.
    pub(crate) fn add(&self, name: String, pcsc_name: CString) -> Option<Arc<Reader>> {
        let mut present = self.lock();
        if present.readers.len() >= SLOTS_MAX {
            return None;
        }
        let slot = Slot(present.next_slot);
        present.next_slot = present.next_slot.checked_add(1)?;
        let reader = Arc::new(Reader::new(slot, name, pcsc_name));
        present.readers.push(Arc::clone(&reader));
        Some(reader)
    }

    /// Ends a reader's slot and what was connected in it.
    pub(crate) fn remove(&self, slot: Slot) {
        let mut present = self.lock();
        let found = present.readers.iter().position(|reader| reader.slot == slot);
        let removed = found.map(|index| present.readers.remove(index));
        drop(present);
        if let Some(reader) = removed {
            reader.end_visit();
        }
    }

    /// Ends a connect that waits; from any thread.
    pub(crate) fn cancel(&self, call: CallNumber) {
        for reader in &self.lock().readers {
            reader.cancel(call);
        }
    }

    /// Takes the power from all connected cards, for the driver's end.
    pub(crate) fn power_off(&self) {
        for reader in &self.lock().readers {
            reader.power_off();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Present> {
        self.present.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
