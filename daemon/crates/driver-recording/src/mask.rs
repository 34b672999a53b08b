//! What of a call and its answer a recording shows.

use std::collections::BTreeMap;

use purser_driver_wire as wire;
use wire::SlotId;

use crate::line::{Answer, Call};
use crate::masked::{Hidden, Masked};

/// CLA INS P1 P2.
const HEADER_BYTES: usize = 4;
/// SW1 SW2.
const STATUS_BYTES: usize = 2;
/// Where the application serial number stands in file 0015. Source: PBOC 2.0 part 1, file 0015.
const SERIAL_NUMBER: std::ops::Range<usize> = 10..20;
/// Where the issuer's own data begins in file 0015.
const ISSUER_DATA: usize = 28;
/// The length of a purse's file 0015. A PSAM has a file of that name too, which is shorter and begins with its serial number.
const PUBLIC_INFORMATION_BYTES: usize = 30;

/// What a command's response shows; nothing but its status word if not told otherwise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Shows {
    #[default]
    Status,
    All,
    /// File 0015 of a purse: all but the application serial number and the issuer's own data. Of another length, and so perhaps
    /// a PSAM's: nothing.
    PublicInformation,
    /// MAC2 behind a TAC: the answer to DEBIT.
    SecondHalf,
    /// MAC2 before a TAC: the answer to GET TRANSACTION PROVE.
    FirstHalf,
}

/// Masks calls and answers. It has to see all of a driver's: what GET RESPONSE brings belongs to the command before.
#[derive(Debug, Default)]
pub struct Masker {
    under_way: Option<(wire::CallId, SlotId)>,
    /// What the response to a slot's newest command shows.
    shows: BTreeMap<SlotId, Shows>,
}

impl Masker {
    /// A call that goes to the driver.
    pub fn call(&mut self, id: wire::CallId, call: &wire::Call) -> Call {
        let (slot, call) = match call {
            wire::Call::Connect { slot } => (*slot, Call::Connect { slot: *slot }),
            wire::Call::Transmit {
                slot,
                connection,
                command,
            } => {
                let command = self.command(*slot, command.as_bytes());
                let (slot, connection) = (*slot, *connection);
                (
                    slot,
                    Call::Transmit {
                        slot,
                        connection,
                        command,
                    },
                )
            }
            wire::Call::Disconnect { slot, connection } => {
                let (slot, connection) = (*slot, *connection);
                (slot, Call::Disconnect { slot, connection })
            }
            wire::Call::EnterPin { slot, request } => (
                *slot,
                Call::EnterPin {
                    slot: *slot,
                    amount_minor: request.amount.map(|amount| amount.minor),
                    tries_left: request.tries_left,
                    block: matches!(request.format, wire::PinFormat::Block { .. }),
                },
            ),
        };
        self.under_way = Some((id, slot));
        call
    }

    /// What the driver answered. An answer to another call than the one under way shows nothing.
    pub fn answer(&mut self, id: wire::CallId, result: &Result<wire::Reply, wire::CallFailure>) -> Answer {
        let slot = self
            .under_way
            .take_if(|(under_way, _)| *under_way == id)
            .map(|(_, slot)| slot);
        match result {
            Ok(wire::Reply::Connected(card)) => Answer::Connected {
                connection: card.connection,
                protocol: card.protocol,
                contactless: card.contactless,
                atr: atr(card.atr()),
            },
            Ok(wire::Reply::Response(response)) => Answer::Response {
                response: self.response(slot, response.as_bytes()),
            },
            Ok(wire::Reply::Disconnected) => Answer::Disconnected,
            Ok(wire::Reply::Pin(_)) => Answer::Pin,
            Err(failure) => Answer::Failed { fault: failure.fault },
        }
    }

    /// What the driver told; none where a recording must not tell that it told anything: there is an event for each digit that
    /// was typed, and who counts them knows how long the PIN is.
    pub fn event(&self, event: &wire::DeviceEvent) -> Option<wire::DeviceEvent> {
        match event {
            wire::DeviceEvent::PinDigits { .. } => None,
            wire::DeviceEvent::DeviceArrived(_)
            | wire::DeviceEvent::DeviceLeft(_)
            | wire::DeviceEvent::CardInserted(_)
            | wire::DeviceEvent::CardRemoved(_) => Some(event.clone()),
        }
    }

    fn command(&mut self, slot: SlotId, command: &[u8]) -> Masked {
        let header: Option<[u8; HEADER_BYTES]> = command.first_chunk().copied();
        let (shows_data, shows) = match header {
            // GET RESPONSE: the rest of what the command before answers.
            Some([_, 0xC0, 0, 0]) => (true, self.shows.get(&slot).copied().unwrap_or_default()),
            // SELECT by name. What it answers may repeat file 0015.
            Some([0x00, 0xA4, 0x04, _]) => (true, Shows::Status),
            // READ BINARY of file 0015, from its beginning.
            Some([0x00, 0xB0, 0x95, 0x00]) => (true, Shows::PublicInformation),
            // INITIALIZE FOR PURCHASE: amount and terminal; balance, counter, challenge.
            Some([0x80, 0x50, 0x01, _]) => (true, Shows::All),
            // DEBIT FOR PURCHASE. Its time and MAC1 are others at each sale, so that they are hidden to match.
            Some([0x80, 0x54, 0x01, 0x00]) => (false, Shows::SecondHalf),
            // GET TRANSACTION PROVE: a counter.
            Some([0x80, 0x5A, 0x00, _]) => (true, Shows::FirstHalf),
            // GET BALANCE.
            Some([0x80, 0x5C, 0x00, _]) => (true, Shows::All),
            _ => (false, Shows::Status),
        };
        self.shows.insert(slot, shows);
        if shows_data {
            Masked::new(command, |_| None)
        } else {
            Masked::begin(command.get(..HEADER_BYTES).unwrap_or_default())
        }
    }

    fn response(&mut self, slot: Option<SlotId>, response: &[u8]) -> Masked {
        let shows = slot.and_then(|slot| self.shows.get(&slot).copied());
        let shows = shows.unwrap_or_default();
        let data = response.len().saturating_sub(STATUS_BYTES);
        if let (Some(slot), true) = (slot, data > 0) {
            // More of it would stand elsewhere than is known here.
            self.shows.remove(&slot);
        }
        Masked::new(response, |index| {
            if index >= data {
                return None;
            }
            match shows {
                Shows::All => None,
                Shows::PublicInformation if data != PUBLIC_INFORMATION_BYTES => Some(Hidden::Secret),
                Shows::PublicInformation if SERIAL_NUMBER.contains(&index) => Some(Hidden::PurseId),
                Shows::PublicInformation if index < ISSUER_DATA => None,
                Shows::FirstHalf if data == 8 && index < 4 => None,
                Shows::SecondHalf if data == 8 && index >= 4 => None,
                Shows::PublicInformation | Shows::Status | Shows::FirstHalf | Shows::SecondHalf => {
                    Some(Hidden::Secret)
                }
            }
        })
    }
}

/// An ATR without its historical bytes, in which some cards tell their number. Source: ISO/IEC 7816-3 §8.2.
fn atr(atr: &[u8]) -> Masked {
    let historical = atr.get(1).map_or(0, |t0| usize::from(t0 & 0x0F));
    let mut interface_bytes = 2_usize;
    let mut indicator = atr.get(1).copied().unwrap_or_default() >> 4;
    loop {
        let count: u32 = indicator.count_ones();
        interface_bytes = interface_bytes.saturating_add(usize::try_from(count).unwrap_or(usize::MAX));
        if indicator & 0x08 == 0 {
            break;
        }
        let Some(next) = interface_bytes.checked_sub(1).and_then(|last| atr.get(last)) else {
            break;
        };
        indicator = next >> 4;
    }
    // The check byte would tell about what is hidden.
    Masked::new(atr, |index| {
        (historical > 0 && index >= interface_bytes).then_some(Hidden::PurseId)
    })
}
