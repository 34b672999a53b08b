//! What the engine is told.

use purser_ledger::{
    Amount, Conclusion, Currency, Damaged, DeviceName, JournalReceipt, OperationId, Owner, Reference,
    Refused, Stored,
};
use purser_purse::Protocol;
use purser_purse::pboc::Pin;

use crate::load::LoadAnswer;
use crate::query::QueryTold;
use crate::settlement::{Counted, NotUnpaid, ProviderFailure, SettleAnswer, Unpaid};
use crate::{CallId, FindId, HeardParameters, RequestId};

/// Something that happened.
#[derive(Debug)]
#[allow(
    clippy::large_enum_variant,
    reason = "an input lives for one call and is never kept"
)]
pub enum Input {
    /// A client asks for something. Answered by exactly one `Reply` or `Tell` that names `id`.
    Request {
        /// The asker's number of the request, used once.
        id: RequestId,
        /// Who asks.
        peer: Peer,
        /// What is asked.
        request: Request,
        /// Sixteen fresh random bytes, for the operation that the request may begin.
        random: [u8; 16],
    },
    /// The store answers a `Find`.
    Found {
        /// The find's number.
        id: FindId,
        /// What the store has.
        stored: Result<Option<Stored>, Damaged>,
    },
    /// Whether the journal's disk has room for another sale's evidence (money rule P3). Taken to have until this is told.
    Room(bool),
    /// Whether damage to the journal keeps new sales from beginning: a repeat of a paid one could be taken for one. Taken not to
    /// be so until this is told.
    Held(bool),
    /// A commit is durable.
    Committed(JournalReceipt),
    /// A commit was refused; nothing was stored.
    Refused {
        /// The commit's operation.
        operation: OperationId,
        /// The commit's step.
        step: u8,
        /// Why.
        refused: Refused,
    },
    /// A device answers an `Ask` or a `Move`. Exactly one for each call.
    Answer {
        /// The call's number.
        id: CallId,
        /// The answer, or why there is none.
        answer: Result<Answer, CallFailure>,
    },
    /// Something happened at a device.
    Device {
        /// The device.
        name: DeviceName,
        /// What happened.
        event: DeviceEvent,
    },
    /// The journal's reader answers a `Count`. Exactly one for each call.
    Counted {
        /// The call's number.
        id: CallId,
        /// The batch, none where there is nothing to settle, or why it could not be counted.
        counted: Result<Option<Counted>, ProviderFailure>,
    },
    /// The provider has taken so many of the items of the batch that a `Settle` sends. May be lost.
    Sent {
        /// The call's number.
        id: CallId,
        /// How many.
        sent: u32,
    },
    /// The link to the provider answers an `AskProvider` or an `Attempt`. Exactly one for each call.
    Provider {
        /// The call's number.
        id: CallId,
        /// The provider's answer, or why there is none: then whether it was heard is not known, but for its own refusals.
        answered: Result<LoadAnswer, ProviderFailure>,
        /// Sixteen fresh random bytes: for the length of a pause.
        random: [u8; 16],
    },
    /// The link to the provider answers a `Settle`. Exactly one for each call.
    Settled {
        /// The call's number.
        id: CallId,
        /// The provider's answer, or why there is none yet.
        answered: Result<SettleAnswer, ProviderFailure>,
        /// Sixteen fresh random bytes: for the length of a pause, or for the batch that follows.
        random: [u8; 16],
    },
    /// The link to the provider answers a `QuerySale`. Exactly one for each call.
    Queried {
        /// The call's number.
        id: CallId,
        /// What the provider says, or why there is no answer.
        answered: Result<QueryTold, ProviderFailure>,
        /// Sixteen fresh random bytes: for the length of a pause.
        random: [u8; 16],
    },
    /// The time of `poll_timeout` has come. May come early or late.
    Timer,
    /// The provider's parameters, verified and durable: in force from here on, as a whole (money rule T3). An earlier version than
    /// the one in force changes nothing.
    Parameters(HeardParameters),
    /// The journal's reader answers a `FindUnpaid`. Exactly one for each call.
    Unpaid {
        /// The call's number.
        id: CallId,
        /// The claims, or why there is none to present again.
        found: Result<Unpaid, NotUnpaid>,
    },
}

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// The peer's user id.
    pub owner: Owner,
    /// True for an operator, who may see, cancel and conclude the operations of others.
    pub operator: bool,
}

/// What a client can ask of the engine.
#[derive(Debug)]
pub enum Request {
    /// Begin a sale, or find the one that has this reference (S20).
    BeginSale(BeginSale),
    /// Begin a load, or go on with the one that has this reference (S5).
    BeginLoad(BeginLoad),
    /// Tell how the sale or the load stands.
    Attach(Reference),
    /// A PIN for the sale or the load that waits for one (S5, S21, money rule T5).
    ProvidePin {
        /// The sale or the load.
        reference: Reference,
        /// The PIN.
        pin: Pin,
        /// The presentation that it was given for, as [`crate::SaleView::presentation`] told it: a PIN never goes to another card.
        presentation: u8,
        /// The caller's explicit yes to using the card's last try.
        last_try: bool,
    },
    /// End the sale if nothing has been debited; void the load if no card has its value. Answered when the end is certain, with that
    /// end; of a load that cannot be ended now, with what is owed.
    Cancel(Reference),
    /// Choose the end of a sale that was in doubt (money rule P5).
    Conclude(Reference, Conclusion),
    /// Read the purse of the card that is in the reader, without a sale.
    ReadPurse(Option<DeviceName>),
    /// Settle what has accumulated in this currency, or in all (S30). Only for an operator. Answered by `Reply::Settling` when the
    /// batches are sealed; a settlement under way is joined, and one that waits is sent at once.
    Settle(Option<Currency>),
    /// Have a sealed batch voided that the provider has not permitted (money rule B3). For operators.
    VoidBatch(OperationId),
    /// Present the claims again that an exchanged batch left unpaid, or the one at this place of it (money rule C1). For operators.
    /// Answered by `Reply::PresentedAgain` when they are durable.
    PresentAgain(OperationId, Option<u32>),
    /// Purser stops: end or park every sale, begin none. Answered by `Reply::Stopped` when all are recorded.
    Stop,
}

/// What a sale is begun with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BeginSale {
    /// The caller's reference: one for each sale attempt, used again to repeat it.
    pub reference: Reference,
    /// The price.
    pub amount: Amount,
    /// The reader to use; any free one if none is named.
    pub reader: Option<DeviceName>,
    /// True when the PIN will come by `ProvidePin` instead of a PIN pad.
    pub pin_through_api: bool,
}

/// What a load is begun with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BeginLoad {
    /// The caller's reference: one for each load, used again to go on with it.
    pub reference: Reference,
    /// The load's number at the provider, where the bank has booked it.
    pub load: OperationId,
    /// The amount that the bank has booked.
    pub amount: Amount,
    /// The reader to use; any free one if none is named.
    pub reader: Option<DeviceName>,
    /// True when the PIN will come by `ProvidePin` instead of a PIN pad.
    pub pin_through_api: bool,
}

/// What a device answers.
#[derive(Debug)]
pub enum Answer {
    /// To `Connect`: the card has power and this session has it alone.
    Connected {
        /// The driver's number of this connection; each later command names it.
        connection: u32,
        /// How the reader talks to the card.
        protocol: Protocol,
    },
    /// To `Transmit`, to a debit and to a credit: the card's response with its status word.
    Response(Vec<u8>),
    /// To `Disconnect`: the card has lost power and with it its PIN state (S24).
    Disconnected,
    /// To `EnterPin`.
    Pin(Pin),
}

/// Why a device did not answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CallFailure {
    /// No card is in the reader.
    NoCard,
    /// The card was taken out, reset or exchanged since `Connect`; the command was not sent to it.
    CardChanged,
    /// The card does not react.
    CardMute,
    /// The command may have reached the card; what came of it is not known.
    OutcomeUnknown,
    /// Another program holds the reader, or the driver had no time for the call: nothing was sent.
    Busy,
    /// The device was unplugged.
    DeviceGone,
    /// The driver died, or did not answer in time and was killed.
    DriverLost,
    /// The buyer pressed cancel, or `Abort` took effect.
    Cancelled,
    /// Nobody typed in time.
    TimedOut,
    /// The driver cannot do this.
    Unsupported,
}

/// What can happen at a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeviceEvent {
    /// The device is there and can be used.
    Arrived(Abilities),
    /// The device is gone: unplugged, or its driver ended. Its outstanding calls are answered with a failure too.
    Left,
    /// A card was put in.
    CardInserted,
    /// The card was taken out.
    CardRemoved,
    /// The buyer typed at the PIN pad: time limits begin anew.
    PinProgress,
}

/// What a device can do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Abilities {
    /// It reads cards (`purser.card-reader/1`).
    pub card_reader: bool,
    /// It takes PINs (`purser.pin-pad/1`).
    pub pin_pad: bool,
}
