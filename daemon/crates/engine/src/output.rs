//! What the engine wants done.

use purser_ledger::{Amount, Authorised, Commit, DeviceName, Find, Refused};
use purser_purse::CommandApdu;

use crate::load::{LoadAsk, LoadProgress, LoadTold, LoadView, SendAttempt};
use crate::settlement::{BatchTold, BatchView, CountBatch, FindUnpaid, NotUnpaid, PresentedAgain, SendBatch};
use crate::view::{Outcome, Progress, PurseView, SaleView};
use crate::{CallId, FindId, HotListTaken, RequestId};

/// An effect, to be carried out in the order in which it is polled.
#[derive(Debug)]
pub enum Output {
    /// Store this. Commits and finds go to the store in one line, first in, first out.
    Commit(Commit),
    /// Look this up.
    Find(FindId, Find),
    /// Ask a device for something that moves no money.
    Ask(CallId, DeviceName, Query),
    /// Let a device move money.
    Move(CallId, DeviceName, Authorised<Act>),
    /// End a running `EnterPin` early; it is answered with `Cancelled`.
    Abort(CallId, DeviceName),
    /// Count what is to be settled, over the journal's reader: with [`crate::settlement::Counter`].
    Count(CallId, CountBatch),
    /// Send a sealed batch to the provider, and get its permit or its void.
    Settle(CallId, Authorised<SendBatch>),
    /// Ask the provider to void a sealed batch that it has not permitted. Answered as `Settle` is.
    Void(CallId, Authorised<SendBatch>),
    /// Ask the provider about a load; nothing of value comes back. Answered by `Input::Provider`.
    AskProvider(CallId, LoadAsk),
    /// Send an attempt of a load to the provider, which answers with MAC2. Answered by `Input::Provider`.
    Attempt(CallId, Authorised<SendAttempt>),
    /// Ask the provider what became of a sale in doubt; moves no value. Answered by `Input::Queried`.
    QuerySale(CallId, purser_provider_link::Query),
    /// Tell what is durable of a load, to these requests and to whoever listens.
    TellLoad(Authorised<LoadTold>),
    /// Tell what is being done with a load, to whoever listens. May be lost.
    HintLoad(LoadView<LoadProgress>),
    /// Tell the durable end of a batch, to whoever listens.
    TellBatch(Authorised<BatchTold>),
    /// Tell what is being done with a batch, to whoever listens. May be lost.
    HintBatch(BatchView),
    /// Answer a request with something that is not durable: progress, a refusal, or what a card says.
    Reply(RequestId, Result<Reply, RequestError>),
    /// Tell a durable outcome, to these requests and to whoever listens.
    Tell(Authorised<Told>),
    /// Tell progress to whoever listens. May be lost.
    Hint(SaleView<Progress>),
    /// Tell the provider that a hot list is in force (money rule C3), again and again until it has answered. A later one replaces it.
    AcknowledgeHotList(HotListTaken),
    /// Look for the claims that a batch left unpaid, over the journal's reader. Answered by `Input::Unpaid`.
    FindUnpaid(CallId, FindUnpaid),
}

/// A request to a device that moves no money.
#[derive(Debug)]
pub enum Query {
    /// Give the card power and keep everyone else off it until `Disconnect`.
    Connect,
    /// Pass one command to the card, once.
    Transmit {
        /// The connection that `Connect` answered with.
        connection: u32,
        /// The command.
        command: CommandApdu,
    },
    /// Take the card's power away: its PIN state ends (S24, money rule P4).
    Disconnect {
        /// The connection that `Connect` answered with.
        connection: u32,
    },
    /// Let the buyer type the card's PIN.
    EnterPin(EnterPin),
}

/// What a PIN pad needs to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnterPin {
    /// The amount to show; none when an earlier payment is being looked at.
    pub amount: Option<Amount>,
    /// How many tries the card has left, where that is known.
    pub tries_left: Option<u8>,
}

/// A request to a device that moves money. Exists only as `Authorised`.
#[derive(Debug)]
pub enum Act {
    /// DEBIT FOR PURCHASE (S22, S23). Nobody repeats it (money rule P2).
    Debit {
        /// The connection that `Connect` answered with.
        connection: u32,
        /// The command.
        command: CommandApdu,
    },
    /// CREDIT FOR LOAD (S13). Nobody repeats it (money rule P2).
    Credit {
        /// The connection that `Connect` answered with.
        connection: u32,
        /// The command.
        command: CommandApdu,
    },
}

/// An answer that is not durable.
#[derive(Debug)]
pub enum Reply {
    /// A sale that is under way.
    Sale {
        /// True when this request began it, false when it was under way already.
        is_new: bool,
        /// How it stands.
        view: SaleView<Progress>,
    },
    /// A load that is under way.
    Load {
        /// True when this request began it, false when it was known already.
        is_new: bool,
        /// How it stands.
        view: LoadView<LoadProgress>,
    },
    /// What the card says.
    Purse(PurseView),
    /// The batches that are under way in the currencies that were asked for, each sealed and durable, and those that could
    /// not be sealed. None for a currency that has nothing to settle.
    Settling(Vec<BatchView>),
    /// Every sale is recorded; the process may end.
    Stopped,
    /// These claims wait for another batch now, and it is durable.
    PresentedAgain(PresentedAgain),
}

/// A durable outcome and the requests that it answers.
#[derive(Debug)]
pub struct Told {
    /// The requests that waited for it. Empty for news to listeners only.
    pub requests: Vec<RequestId>,
    /// How the sale stands. A `BeginSale` answered so was a repeat of a sale that is not under way.
    pub view: SaleView<Outcome>,
}

/// Why a request is refused. Nothing was changed by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// No operation has this reference.
    #[error("no operation has this reference")]
    UnknownReference,
    /// The operation belongs to another user.
    #[error("the operation belongs to another user")]
    NotOwner,
    /// Only an operator may ask for it.
    #[error("only an operator may settle")]
    NotOperator,
    /// No batch of this number is under way.
    #[error("no batch of this number is under way")]
    UnknownBatch,
    /// There is nobody to settle with.
    #[error("no provider is configured, or this terminal is not enrolled with it")]
    ProviderNotConfigured,
    /// The reference is taken by an operation with other content, or the store refuses for another reason.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// The store's entries of the reference are damaged: nothing is known about its sale, and none is begun.
    #[error("the journal's entries of this reference are damaged; run purserd verify-journal")]
    Damaged,
    /// The journal is damaged: a repeat of a paid sale could be taken for a new one, and no new one begins.
    #[error("the journal is damaged, and no new sale begins; run purserd verify-journal")]
    Held,
    /// A sale over nothing.
    #[error("the amount is zero; a sale needs a price")]
    AmountZero,
    /// More than a purse can hold.
    #[error("the amount is larger than a card's purse can hold")]
    AmountTooLarge,
    /// No configured card issuer uses this currency.
    #[error("no configured card issuer uses this currency; see [issuers] in the configuration")]
    CurrencyNotAccepted,
    /// No such reader.
    #[error("no card reader has this name; see the list of devices")]
    UnknownReader,
    /// No reader works now.
    #[error("no card reader is working; see the list of devices")]
    NoReader,
    /// A sale or another request has the reader.
    #[error("the reader is in use; try again when it is free")]
    ReaderInUse,
    /// No card is in the reader.
    #[error("no card is in the reader; put one in and try again")]
    NoCard,
    /// Several readers hold a card.
    #[error("several readers hold a card; name the reader")]
    SeveralCards,
    /// The card cannot be read as a purse.
    #[error("the card cannot be read as a purse")]
    CardNotReadable,
    /// The card tells its balance only after its PIN.
    #[error("the card tells its balance only after its PIN")]
    PinNeeded,
    /// PINs through the API are off.
    #[error("PINs through the API are off; set pin.through_api in the configuration or use a PIN pad")]
    PinThroughApiOff,
    /// The sale does not wait for a PIN.
    #[error("the sale does not wait for a PIN now")]
    NoPinExpected,
    /// One try is left on the card, and the caller did not say yes to using it.
    #[error("one try is left on the card; say yes to using it, or cancel")]
    LastTry,
    /// The operation is being changed at this moment.
    #[error("the operation is being changed at this moment; try again")]
    Changing,
    /// The outcome of the sale was never in doubt.
    #[error("only a sale that was in doubt can be concluded")]
    NeverInDoubt,
    /// The price is above the limit for one sale.
    #[error("the price is above the operator's limit for one sale")]
    LimitAmount,
    /// As many claims wait for settlement as may.
    #[error("as many claims wait for settlement as the operator allows; settle")]
    LimitCount,
    /// With this sale more money would wait for settlement than may.
    #[error("with this sale more money would wait for settlement than the operator allows; settle")]
    LimitTotal,
    /// The oldest claim has waited for settlement as long as it may.
    #[error("the oldest claim has waited for settlement as long as the operator allows; settle")]
    LimitAge,
    /// As many sales of this user are under way as Purser keeps for one.
    #[error("too many sales of this user are under way; end one, and try again")]
    QuotaSales,
    /// The provider has not answered about the load, or refuses it, by this name. Nothing is begun.
    #[error("the provider has not answered about the load, or refuses it ({name})")]
    ProviderFailed {
        /// The failure's stable name.
        name: &'static str,
        /// True for what passes by itself.
        is_transient: bool,
    },
    /// The provider has ended this load already, and this terminal does not know it. Nothing is begun.
    #[error("the provider says that this load has ended; it was not begun here")]
    LoadEnded,
    /// The reference belongs to a load of another number.
    #[error("the reference belongs to another load; choose another reference")]
    OtherLoad,
    /// The load is known under another reference.
    #[error("the load is known under another reference; use that one")]
    OtherReference,
    /// A load is ended by its card and the provider, not by a conclusion.
    #[error("a load cannot be concluded; begin it again to complete it, or cancel it")]
    LoadNotConcluded,
    /// As many loads are under way as Purser keeps at once.
    #[error("too many loads are under way; try again when one has ended")]
    TooManyLoads,
    /// As many sales are under way as Purser keeps at once.
    #[error("too many sales are under way; try again when one has ended")]
    TooManySales,
    /// Purser is stopping.
    #[error("Purser is stopping; try again when it has started")]
    Stopping,
    /// The provider's parameters do not list the currency.
    #[error("the provider lets nothing be sold in this currency")]
    ParametersCurrency,
    /// The price is above what the provider's parameters permit.
    #[error("the price is above the provider's limit for one sale")]
    ParametersLimit,
    /// The price is above what they permit while they are too old.
    #[error("nothing was heard from the provider for long, and the price is above its limit for that time")]
    ParametersStale,
    /// They permit no software SAM.
    #[error("the provider permits no software SAM; use a PSAM")]
    ParametersSam,
    /// There is no claim to present again.
    #[error(transparent)]
    NotUnpaid(#[from] NotUnpaid),
}

impl RequestError {
    /// True when the same request may succeed later without anybody changing it.
    pub fn is_transient(self) -> bool {
        match self {
            Self::Refused(refused) => refused.is_transient(),
            Self::NotUnpaid(why) => why.is_transient(),
            Self::ProviderFailed { is_transient, .. } => is_transient,
            Self::NoReader
            | Self::ReaderInUse
            | Self::NoCard
            | Self::SeveralCards
            | Self::NoPinExpected
            | Self::Changing
            | Self::LimitCount
            | Self::LimitTotal
            | Self::LimitAge
            | Self::QuotaSales
            | Self::TooManySales
            | Self::TooManyLoads
            | Self::ParametersStale
            | Self::Stopping => true,
            Self::UnknownReference
            | Self::NotOwner
            | Self::NotOperator
            | Self::UnknownBatch
            | Self::ProviderNotConfigured
            | Self::Damaged
            | Self::Held
            | Self::AmountZero
            | Self::AmountTooLarge
            | Self::LimitAmount
            | Self::CurrencyNotAccepted
            | Self::UnknownReader
            | Self::CardNotReadable
            | Self::PinNeeded
            | Self::PinThroughApiOff
            | Self::LastTry
            | Self::LoadEnded
            | Self::OtherLoad
            | Self::OtherReference
            | Self::LoadNotConcluded
            | Self::ParametersCurrency
            | Self::ParametersLimit
            | Self::ParametersSam
            | Self::NeverInDoubt => false,
        }
    }
}
