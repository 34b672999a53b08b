//! Calls of the driver's functions: from wire types to the contract's structs and back.

#![allow(unsafe_code, reason = "calls vendor code")]

use std::ptr;

use purser_driver_wire::limits::{DETAIL_MAX_BYTES, PIN_BLOCK_MAX_BYTES, PIN_MAX_DIGITS, RESPONSE_MAX_BYTES};
use purser_driver_wire::{
    BlockFormat, Call, CallFailure, CallId, CallRequest, Card, Command, ConnectionNumber, Fault, PinBlock,
    PinDigits, PinEntry, PinFormat, PinRequest, Protocol, Reply, Response, SlotId, Text,
};
use purser_plugin_api::abi::{self, Host, result, struct_size, values};

use crate::driver::Driver;
use crate::emit;
use crate::guarded::Guarded;

// The wire carries what the contract allows, neither more nor less.
const _: () = {
    use purser_driver_wire::limits as wire;
    assert!(abi::limits::ATR_MAX_BYTES == wire::ATR_MAX_BYTES);
    assert!(abi::limits::COMMAND_MAX_BYTES == wire::COMMAND_MAX_BYTES);
    assert!(abi::limits::RESPONSE_MAX_BYTES == wire::RESPONSE_MAX_BYTES);
    assert!(abi::limits::PIN_MAX_DIGITS == wire::PIN_MAX_DIGITS);
    assert!(abi::limits::PIN_BLOCK_MAX_BYTES == wire::PIN_BLOCK_MAX_BYTES);
    assert!(abi::limits::DETAIL_MAX_BYTES == wire::DETAIL_MAX_BYTES);
    assert!(abi::limits::LOG_MAX_BYTES == wire::LOG_MAX_BYTES);
    assert!(abi::limits::NAME_MAX_BYTES == wire::NAME_MAX_BYTES);
    assert!(abi::limits::SETTINGS_MAX_BYTES == wire::SETTINGS_MAX_BYTES);
    assert!(abi::limits::SLOTS_MAX == wire::SLOTS_MAX);
};

/// The one instance of a driver.
#[derive(Clone, Copy)]
pub(crate) struct Instance {
    driver: Driver,
    raw: *mut abi::Instance,
}

// SAFETY: the contract lets `cancel` come from another thread [T-2]; all else is called by the thread that made it.
unsafe impl Send for Instance {}
// SAFETY: as above.
unsafe impl Sync for Instance {}

impl Instance {
    /// Makes the instance.
    ///
    /// # Errors
    /// The driver's; the process should end.
    pub(crate) fn create(
        driver: Driver,
        host: *const Host,
        settings: &str,
        deadline_ms: u32,
    ) -> Result<Self, CallFailure> {
        let create = driver.entry.create.ok_or(Fault::Internal)?;
        let mut raw = ptr::null_mut();
        run(CallId(0), deadline_ms, |call| {
            // SAFETY: called once, before all others [L-1]; the settings and the place outlive the call [M-1].
            unsafe {
                create(
                    host,
                    call,
                    settings.as_ptr(),
                    length(settings.as_bytes()),
                    &raw mut raw,
                )
            }
        })?;
        Ok(Self { driver, raw })
    }

    /// Makes one call.
    ///
    /// # Errors
    /// The driver's.
    pub(crate) fn call(&self, request: &CallRequest) -> Result<Reply, CallFailure> {
        let (id, deadline_ms) = (request.id, request.deadline_ms);
        match &request.call {
            Call::Connect { slot } => self.connect(id, deadline_ms, *slot),
            Call::Transmit {
                slot,
                connection,
                command,
            } => self
                .transmit(id, deadline_ms, (*slot, *connection), command)
                .map_err(of_transmit),
            Call::Disconnect { slot, connection } => self.disconnect(id, deadline_ms, *slot, *connection),
            Call::EnterPin { slot, request } => self.enter_pin(id, deadline_ms, *slot, request),
        }
    }

    /// Asks a call to end soon; from any thread.
    pub(crate) fn cancel(&self, id: CallId) {
        if let Some(cancel) = self.driver.entry.cancel {
            // SAFETY: between create and destroy, from any thread [T-2]. What it answers changes nothing.
            let _ = unsafe { cancel(self.raw, id.0) };
        }
    }

    /// Ends the instance; it must not be used again.
    pub(crate) fn destroy(&self, deadline_ms: u32) {
        if let Some(destroy) = self.driver.entry.destroy {
            // SAFETY: called once, after all others [L-1]. The process ends whatever it answers.
            let _ = run(CallId(0), deadline_ms, |call| unsafe { destroy(self.raw, call) });
        }
    }

    fn connect(&self, id: CallId, deadline_ms: u32, slot: SlotId) -> Result<Reply, CallFailure> {
        let connect = self
            .driver
            .card_reader
            .and_then(|table| table.connect)
            .ok_or(Fault::Unsupported)?;
        let mut card = abi::Card {
            struct_size: struct_size::<abi::Card>(),
            connection: 0,
            protocol: 0,
            contactless: 0,
            atr_length: 0,
            atr: [0; abi::limits::ATR_MAX_BYTES],
            reserved: [0; 3],
        };
        run(id, deadline_ms, |call| {
            // SAFETY: from the calling thread [T-1]; the card outlives the call [M-1].
            unsafe { connect(self.raw, call, slot.0, &raw mut card) }
        })?;
        read_card(&card).map(Reply::Connected).ok_or_else(|| {
            breach("[C-2] connect filled a card whose connection number, protocol or ATR cannot be")
        })
    }

    fn transmit(
        &self,
        id: CallId,
        deadline_ms: u32,
        (slot, connection): (SlotId, ConnectionNumber),
        command: &Command,
    ) -> Result<Reply, CallFailure> {
        let transmit = self
            .driver
            .card_reader
            .and_then(|table| table.transmit)
            .ok_or(Fault::Unsupported)?;
        let mut response = Guarded::new(RESPONSE_MAX_BYTES);
        let buffer = response.lend();
        let command = command.as_bytes();
        let answered = run(id, deadline_ms, |call| {
            // SAFETY: from the calling thread [T-1]; command and buffer outlive the call [M-1], [M-2].
            unsafe {
                transmit(
                    self.raw,
                    call,
                    slot.0,
                    connection.0,
                    command.as_ptr(),
                    length(command),
                    buffer,
                )
            }
        });
        Response::new(answer_in(&response, answered)?)
            .map(Reply::Response)
            .map_err(|_| breach("[C-7] a response has a status word"))
    }

    fn disconnect(
        &self,
        id: CallId,
        deadline_ms: u32,
        slot: SlotId,
        connection: ConnectionNumber,
    ) -> Result<Reply, CallFailure> {
        let disconnect = self
            .driver
            .card_reader
            .and_then(|table| table.disconnect)
            .ok_or(Fault::Unsupported)?;
        run(id, deadline_ms, |call| {
            // SAFETY: from the calling thread [T-1].
            unsafe { disconnect(self.raw, call, slot.0, connection.0) }
        })?;
        Ok(Reply::Disconnected)
    }

    fn enter_pin(
        &self,
        id: CallId,
        deadline_ms: u32,
        slot: SlotId,
        request: &PinRequest,
    ) -> Result<Reply, CallFailure> {
        let enter_pin = self
            .driver
            .pin_pad
            .and_then(|table| table.enter_pin)
            .ok_or(Fault::Unsupported)?;
        let raw = raw_request(request);
        let is_block = matches!(request.format, PinFormat::Block { .. });
        let capacity = if is_block {
            PIN_BLOCK_MAX_BYTES
        } else {
            PIN_MAX_DIGITS
        };
        let mut typed = Guarded::new(capacity);
        let buffer = typed.lend();
        let answered = run(id, deadline_ms, |call| {
            // SAFETY: from the calling thread [T-1]; request and buffer outlive the call [M-1], [M-2].
            unsafe { enter_pin(self.raw, call, slot.0, &raw const raw, buffer) }
        });
        let answer = answer_in(&typed, answered)?;
        let entry = if is_block {
            PinBlock::new(answer).map(PinEntry::Block)
        } else {
            PinDigits::new(answer).map(PinEntry::Digits)
        };
        entry
            .map(Reply::Pin)
            .map_err(|_| breach("[P-4] enter_pin answered no PIN"))
    }
}

/// Runs one call with a detail buffer and reads its code.
fn run(
    id: CallId,
    deadline_ms: u32,
    function: impl FnOnce(*const abi::Call) -> i32,
) -> Result<(), CallFailure> {
    let mut detail = Guarded::new(DETAIL_MAX_BYTES);
    let call = abi::Call {
        struct_size: struct_size::<abi::Call>(),
        deadline_ms,
        number: id.0,
        detail: detail.lend(),
    };
    let code = function(&raw const call);
    let written = detail.written();
    let Some(fault) = fault(code) else { return Ok(()) };
    if fault == Fault::Internal && code != result::INTERNAL {
        return Err(breach(&format!("[R-1] the driver answered the code {code}")));
    }
    let detail = Text::cut(&String::from_utf8_lossy(written.unwrap_or_default()));
    Err(CallFailure { fault, detail })
}

/// What a call wrote, if it succeeded. The guards are looked at in any case.
fn answer_in(memory: &Guarded, outcome: Result<(), CallFailure>) -> Result<&[u8], CallFailure> {
    let written = memory.written();
    outcome?;
    written.ok_or_else(|| breach("[M-2] a length above the capacity"))
}

/// `None` is success; what the catalogue does not have is the driver's own fault (`[R-1]`).
fn fault(code: i32) -> Option<Fault> {
    match code {
        result::OK => None,
        result::NO_CARD => Some(Fault::NoCard),
        result::CARD_CHANGED => Some(Fault::CardChanged),
        result::CARD_MUTE => Some(Fault::CardMute),
        result::CANCELLED => Some(Fault::Cancelled),
        result::BUSY => Some(Fault::Busy),
        result::DEVICE_GONE => Some(Fault::DeviceGone),
        result::TIMEOUT => Some(Fault::Timeout),
        result::OUTCOME_UNKNOWN => Some(Fault::OutcomeUnknown),
        result::BAD_ARGUMENT => Some(Fault::BadArgument),
        result::UNSUPPORTED => Some(Fault::Unsupported),
        _ => Some(Fault::Internal),
    }
}

/// What a failed transmit means. A code that the contract does not allow there proves nothing.
fn of_transmit(failure: CallFailure) -> CallFailure {
    let fault = failure.fault.of_transmit();
    if fault == failure.fault {
        return failure;
    }
    let detail = if failure.fault == Fault::Internal {
        failure.detail
    } else {
        breach(&format!("[C-7] transmit answered: {failure}")).detail
    };
    CallFailure { fault, detail }
}

fn breach(rule: &str) -> CallFailure {
    emit::note_breach();
    CallFailure {
        fault: Fault::Internal,
        detail: Text::cut(rule),
    }
}

fn read_card(card: &abi::Card) -> Option<Card> {
    let protocol = match card.protocol {
        values::PROTOCOL_T0 => Protocol::T0,
        values::PROTOCOL_T1 => Protocol::T1,
        values::PROTOCOL_TCL => Protocol::Tcl,
        _ => return None,
    };
    let atr = card.atr.get(..usize::try_from(card.atr_length).ok()?)?;
    if card.connection == 0 || card.contactless > 1 {
        return None;
    }
    Card::new(
        ConnectionNumber(card.connection),
        protocol,
        card.contactless == 1,
        atr,
    )
}

fn raw_request(request: &PinRequest) -> abi::PinRequest {
    let mut raw = abi::PinRequest {
        struct_size: struct_size::<abi::PinRequest>(),
        format: values::PIN_FORMAT_DIGITS,
        digits_min: u32::from(request.digits_min),
        digits_max: u32::from(request.digits_max),
        amount_minor: 0,
        currency: [0; 4],
        minor_digits: 0,
        tries_left: request.tries_left.map_or(values::TRIES_UNKNOWN, u32::from),
        block_format: 0,
        key_id_length: 0,
        account_length: 0,
        key_id: ptr::null(),
        account: ptr::null(),
    };
    if let Some(amount) = &request.amount {
        raw.amount_minor = amount.minor;
        raw.currency[..3].copy_from_slice(&amount.currency);
        raw.minor_digits = u32::from(amount.minor_digits);
    }
    if let PinFormat::Block {
        format,
        key_id,
        account,
    } = &request.format
    {
        raw.format = values::PIN_FORMAT_BLOCK;
        raw.block_format = match format {
            BlockFormat::Format0 => 0,
            BlockFormat::Format3 => 3,
            BlockFormat::Format4 => 4,
        };
        raw.key_id = key_id.as_str().as_ptr();
        raw.key_id_length = length(key_id.as_str().as_bytes());
        raw.account = account.as_bytes().as_ptr();
        raw.account_length = length(account.as_bytes());
    }
    raw
}

fn length(bytes: &[u8]) -> u32 {
    u32::try_from(bytes.len()).expect("the wire's limits lie below u32::MAX")
}
