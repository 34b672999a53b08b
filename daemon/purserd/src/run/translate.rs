//! Between the engine's words and the driver wire's. A PIN is moved, or copied into memory that is wiped.

use purser_driver_supervisor::{CallError, CallRefused, NotSent};
use purser_driver_wire as wire;
use purser_engine::{Act, Answer, CallFailure, EnterPin, Query};
use purser_ledger::{Amount, Currency};
use purser_purse::{CommandApdu, Protocol, pboc};
use zeroize::Zeroizing;

/// What the driver is called for.
pub(super) fn call(slot: wire::SlotId, query: Query) -> wire::Call {
    match query {
        Query::Connect => wire::Call::Connect { slot },
        Query::Transmit { connection, command } => transmit(slot, connection, &command),
        Query::Disconnect { connection } => wire::Call::Disconnect {
            slot,
            connection: wire::ConnectionNumber(connection),
        },
        Query::EnterPin(request) => wire::Call::EnterPin {
            slot,
            request: pin_request(&request),
        },
    }
}

/// What the driver is called for when money moves.
pub(super) fn act(slot: wire::SlotId, act: &Act) -> wire::Call {
    match act {
        Act::Debit { connection, command } | Act::Credit { connection, command } => {
            transmit(slot, *connection, command)
        }
    }
}

fn transmit(slot: wire::SlotId, connection: u32, command: &CommandApdu) -> wire::Call {
    let command =
        wire::Command::new(command.as_bytes()).expect("a command APDU has four bytes or more, and few");
    wire::Call::Transmit {
        slot,
        connection: wire::ConnectionNumber(connection),
        command,
    }
}

fn pin_request(request: &EnterPin) -> wire::PinRequest {
    let digits = |limit: usize| u8::try_from(limit).expect("a PIN has few digits");
    wire::PinRequest {
        digits_min: digits(pboc::PIN_DIGITS_MIN),
        digits_max: digits(pboc::PIN_DIGITS_MAX),
        amount: request.amount.map(shown),
        tries_left: request.tries_left,
        format: wire::PinFormat::Digits,
    }
}

fn shown(amount: Amount) -> wire::ShownAmount {
    let currency = amount.currency();
    let letters = currency
        .code()
        .as_bytes()
        .try_into()
        .expect("a currency has three letters");
    wire::ShownAmount {
        minor: amount.minor(),
        currency: letters,
        minor_digits: minor_digits(currency),
    }
}

/// How many decimal digits a currency's minor unit has. Source: ISO 4217:2015, list one.
fn minor_digits(currency: Currency) -> u8 {
    match currency.code() {
        "BIF" | "CLP" | "DJF" | "GNF" | "ISK" | "JPY" | "KMF" | "KRW" | "PYG" | "RWF" | "UGX" | "UYI"
        | "VND" | "VUV" | "XAF" | "XOF" | "XPF" => 0,
        "BHD" | "IQD" | "JOD" | "KWD" | "LYD" | "OMR" | "TND" => 3,
        "CLF" | "UYW" => 4,
        _ => 2,
    }
}

/// What the engine hears of a call that a driver had no time for. The driver lives, and so does the card's connection:
/// the engine ends it (money rule P4) and tries again a little later.
const NOT_SENT: CallFailure = CallFailure::Busy;

/// What the engine hears of a call that was not taken.
pub(super) fn refusal(refused: CallRefused) -> CallFailure {
    match refused {
        CallRefused::Full => NOT_SENT,
        CallRefused::Ended => CallFailure::DriverLost,
    }
}

/// What the engine hears of an answer.
pub(super) fn answer(result: Result<wire::Reply, CallError>) -> Result<Answer, CallFailure> {
    match result {
        Ok(wire::Reply::Connected(card)) => Ok(Answer::Connected {
            connection: card.connection.0,
            protocol: match card.protocol {
                wire::Protocol::T0 => Protocol::T0,
                wire::Protocol::T1 => Protocol::T1,
                wire::Protocol::Tcl => Protocol::TCl,
            },
        }),
        Ok(wire::Reply::Response(response)) => Ok(Answer::Response(response.as_bytes().to_vec())),
        Ok(wire::Reply::Disconnected) => Ok(Answer::Disconnected),
        Ok(wire::Reply::Pin(wire::PinEntry::Digits(digits))) => pin(&digits),
        Ok(wire::Reply::Pin(wire::PinEntry::Block(_))) => Err(CallFailure::Unsupported),
        Err(error) => Err(failure(&error)),
    }
}

fn pin(digits: &wire::PinDigits) -> Result<Answer, CallFailure> {
    let mut copy = Zeroizing::new([0; pboc::PIN_DIGITS_MAX]);
    let typed = digits.as_bytes();
    let copy = copy.get_mut(..typed.len()).ok_or(CallFailure::Unsupported)?;
    copy.copy_from_slice(typed);
    pboc::Pin::from_digits(copy)
        .map(Answer::Pin)
        .map_err(|_| CallFailure::Unsupported)
}

fn failure(error: &CallError) -> CallFailure {
    match error {
        CallError::Driver(failure) => match failure.fault {
            wire::Fault::NoCard => CallFailure::NoCard,
            wire::Fault::CardChanged => CallFailure::CardChanged,
            wire::Fault::CardMute => CallFailure::CardMute,
            wire::Fault::Cancelled => CallFailure::Cancelled,
            wire::Fault::Busy => CallFailure::Busy,
            wire::Fault::DeviceGone => CallFailure::DeviceGone,
            wire::Fault::Timeout => CallFailure::TimedOut,
            wire::Fault::OutcomeUnknown => CallFailure::OutcomeUnknown,
            wire::Fault::BadArgument | wire::Fault::Unsupported => CallFailure::Unsupported,
            wire::Fault::Internal => CallFailure::DriverLost,
        },
        CallError::OutcomeUnknown => CallFailure::OutcomeUnknown,
        CallError::DriverGone | CallError::NotSent(NotSent::NotReady) => CallFailure::DriverLost,
        CallError::NotSent(NotSent::Expired | NotSent::QueueFull) => NOT_SENT,
        CallError::NotSent(NotSent::Cancelled) => CallFailure::Cancelled,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pin_of_any_length_that_a_pad_may_give_reaches_the_engine() {
        for digits in [&b"1234"[..], b"123456789012"] {
            let digits = wire::PinDigits::new(digits).unwrap();
            let reply = wire::Reply::Pin(wire::PinEntry::Digits(digits));
            assert!(matches!(answer(Ok(reply)), Ok(Answer::Pin(_))));
        }
    }

    #[test]
    fn an_enciphered_pin_block_is_no_card_pin() {
        let block = wire::PinBlock::new(&[0x55; 16]).unwrap();
        let reply = wire::Reply::Pin(wire::PinEntry::Block(block));
        assert!(matches!(answer(Ok(reply)), Err(CallFailure::Unsupported)));
    }

    #[test]
    fn what_may_have_happened_to_a_card_never_reads_as_not_sent() {
        let unknown = [
            CallError::OutcomeUnknown,
            CallError::Driver(wire::Fault::OutcomeUnknown.into()),
        ];
        for error in unknown {
            assert!(error.may_have_happened());
            assert_eq!(failure(&error), CallFailure::OutcomeUnknown);
        }
    }

    #[test]
    fn a_driver_that_only_had_no_time_is_not_lost_and_its_cards_stay_connected() {
        for not_sent in [NotSent::Expired, NotSent::QueueFull] {
            assert_eq!(failure(&not_sent.into()), CallFailure::Busy);
        }
        assert_eq!(refusal(CallRefused::Full), CallFailure::Busy);
        assert_eq!(failure(&NotSent::NotReady.into()), CallFailure::DriverLost);
        assert_eq!(refusal(CallRefused::Ended), CallFailure::DriverLost);
    }

    #[test]
    fn a_pin_pad_is_told_the_price_with_its_currency_as_iso_4217_writes_it() {
        let amount = |minor, code: &str| Amount::new(minor, code.parse().unwrap()).unwrap();
        let shown = |amount| {
            pin_request(&EnterPin {
                amount: Some(amount),
                tries_left: Some(2),
            })
        };
        let yen = shown(amount(300, "JPY"));
        let price = yen.amount.unwrap();
        assert_eq!(
            (price.minor, price.currency, price.minor_digits),
            (300, *b"JPY", 0)
        );
        assert_eq!((yen.digits_min, yen.digits_max, yen.tries_left), (4, 12, Some(2)));
        assert_eq!(shown(amount(300, "EUR")).amount.unwrap().minor_digits, 2);
        assert_eq!(shown(amount(300, "KWD")).amount.unwrap().minor_digits, 3);
    }
}
