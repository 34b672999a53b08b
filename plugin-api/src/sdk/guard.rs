//! Between a C entry and a trait method: checks of pointers, the panic fence, the detail text.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::{Call, Driver, DriverError, Fault, Output};
use crate::abi::{self, result};

/// Runs one call of the contract and gives its code.
///
/// SAFETY: `call` must be null or a call as the header has it.
pub(super) unsafe fn answer(
    call: *const abi::Call,
    run: impl FnOnce(&Call) -> Result<(), DriverError>,
) -> i32 {
    // SAFETY: the caller's promise.
    let Some(raw) = (unsafe { call.as_ref() }) else {
        return result::BAD_ARGUMENT;
    };
    let call = Call::from_raw(raw);
    // A driver whose state a panic may have left half-changed answers "internal"; what it does then is its own risk,
    // contained in its process.
    let outcome = catch_unwind(AssertUnwindSafe(|| run(&call)))
        .unwrap_or_else(|_| Err(Fault::Internal.because("the driver panicked")));
    match outcome {
        Ok(()) => result::OK,
        Err(error) => {
            // SAFETY: the caller's promise: `detail` is null or the caller's buffer [M-2].
            if let Some(detail) = unsafe { raw.detail.as_mut() } {
                // SAFETY: as above.
                unsafe { put_detail(detail, error.detail()) };
            }
            error.fault().code()
        }
    }
}

/// SAFETY: `instance` must be what `create` of the same driver made.
pub(super) unsafe fn instance<'a, T: Driver>(instance: *mut abi::Instance) -> Result<&'a T, DriverError> {
    // SAFETY: the caller's promise; create made it from a Box<T>.
    unsafe { instance.cast::<T>().as_ref() }.ok_or_else(|| Fault::BadArgument.because("no instance"))
}

/// SAFETY: `bytes` must be null or point at `length` bytes that stay valid and unchanged for `'a`.
pub(super) unsafe fn bytes<'a>(bytes: *const u8, length: u32) -> Result<&'a [u8], DriverError> {
    match usize::try_from(length) {
        Ok(0) => Ok(&[]),
        Ok(length) if !bytes.is_null() => {
            // SAFETY: the caller's promise.
            Ok(unsafe { std::slice::from_raw_parts(bytes, length) })
        }
        _ => Err(Fault::BadArgument.because("a null pointer with a length")),
    }
}

/// Runs `run` on an output over `raw` and sets its length afterwards; an error empties and wipes it.
///
/// SAFETY: `raw` must be null or a buffer as `[M-2]` has it.
pub(super) unsafe fn with_output(
    raw: *mut abi::Buffer,
    run: impl FnOnce(&mut Output<'_>) -> Result<(), DriverError>,
) -> Result<(), DriverError> {
    // SAFETY: the caller's promise.
    let raw = unsafe { raw.as_mut() }.ok_or_else(|| Fault::BadArgument.because("no buffer"))?;
    let length = {
        // SAFETY: the caller's promise.
        let mut output = unsafe { Output::from_raw(raw) }
            .ok_or_else(|| Fault::BadArgument.because("a buffer without data"))?;
        let outcome = run(&mut output);
        if outcome.is_err() {
            output.clear();
            outcome?;
        }
        output.length()
    };
    raw.length = length;
    Ok(())
}

/// SAFETY: `raw` must be a buffer as `[M-2]` has it.
unsafe fn put_detail(raw: &mut abi::Buffer, detail: &str) {
    let capacity = usize::try_from(raw.capacity).unwrap_or(0);
    let text = &detail[..detail.floor_char_boundary(capacity)];
    // SAFETY: the caller's promise.
    let Some(mut output) = (unsafe { Output::from_raw(raw) }) else {
        return;
    };
    if output.put(text.as_bytes()).is_ok() {
        let length = output.length();
        raw.length = length;
    }
}
