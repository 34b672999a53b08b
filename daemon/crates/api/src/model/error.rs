//! Why a call failed: a name for programs, a cause and a remedy for people.

use std::fmt;

use serde::{Deserialize, Serialize};

macro_rules! error_names {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// The name of an error; `org.purser.Purser1.NAME` over Varlink, `org.purser.Purser1.Error.NAME` over D-Bus.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum ErrorName {
            $($(#[$doc])* $name,)*
        }

        impl ErrorName {
            /// Every error.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// The last part of the name.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => stringify!($name),)*
                }
            }
        }
    };
}

error_names! {
    /// No sale has this reference.
    UnknownReference,
    /// The sale belongs to another user.
    NotOwner,
    /// The caller may not do this.
    NotAllowed,
    /// An argument cannot be understood.
    InvalidArgument,
    /// The reference belongs to another user's sale.
    ReferenceOfOtherOwner,
    /// The reference belongs to an operation of another kind: a load's for a sale, or the other way round.
    ReferenceOfOtherKind,
    /// The reference belongs to a sale in another currency.
    ReferenceWithOtherCurrency,
    /// The reference belongs to a sale over another amount.
    ReferenceWithOtherAmount,
    /// The sale exists already.
    SaleExists,
    /// The sale was concluded otherwise.
    ConcludedOtherwise,
    /// The sale moved on meanwhile.
    SaleMovedOn,
    /// Another debit has this card and terminal serial number.
    DebitExists,
    /// An account has reached its limit.
    BooksFull,
    /// The journal has no room.
    NoRoom,
    /// The journal is damaged where it was asked.
    JournalDamaged,
    /// A sale over nothing.
    AmountZero,
    /// More than a purse can hold.
    AmountTooLarge,
    /// No configured card issuer uses the currency.
    CurrencyNotAccepted,
    /// No such reader.
    UnknownReader,
    /// No reader works.
    NoReader,
    /// The reader is in use.
    ReaderInUse,
    /// No such driver.
    UnknownDriver,
    /// A card or a PIN is being served at the driver's devices.
    DriverInUse,
    /// The driver's file or manifest does not check out.
    DriverRefused,
    /// The driver is being recorded already.
    AlreadyRecording,
    /// The driver is not being recorded.
    NotRecording,
    /// No card is in the reader.
    NoCard,
    /// Several readers hold a card.
    SeveralCards,
    /// The card cannot be read as a purse.
    CardNotReadable,
    /// The card tells its balance only after its PIN.
    PinNeeded,
    /// PINs through the API are off.
    PinThroughApiOff,
    /// The sale does not wait for a PIN.
    NoPinExpected,
    /// The descriptor held no PIN.
    PinNotReadable,
    /// One try is left on the card.
    LastTry,
    /// The sale is being changed at this moment.
    Changing,
    /// The outcome was never in doubt.
    NeverInDoubt,
    /// No batch has this number.
    UnknownBatch,
    /// There is no provider to settle with.
    ProviderNotConfigured,
    /// The provider has not answered about the load, or refuses it.
    ProviderFailed,
    /// The provider has ended the load already.
    LoadEnded,
    /// The reference belongs to another load.
    ReferenceOfOtherLoad,
    /// The load is known under another reference.
    LoadOfOtherReference,
    /// A load is ended by its card and the provider.
    LoadNotConcluded,
    /// Too many loads are under way.
    TooManyLoads,
    /// The price is above the limit for one sale.
    LimitAmount,
    /// As many claims wait for settlement as may.
    LimitCount,
    /// With this sale more money would wait for settlement than may.
    LimitTotal,
    /// The oldest claim has waited for settlement as long as it may.
    LimitAge,
    /// Too many sales are under way.
    TooManySales,
    /// Too many sales of the caller's user are under way.
    QuotaSales,
    /// The caller's user calls too often, or waits for too many answers.
    QuotaCalls,
    /// The caller's user has too many connections.
    QuotaConnections,
    /// The caller's user has too many watchers.
    QuotaWatchers,
    /// Purser has too much to do.
    Busy,
    /// The watcher was too slow.
    Lagged,
    /// The journal cannot be read.
    JournalUnavailable,
    /// Purser is stopping.
    Stopping,
    /// The provider's parameters do not list the currency.
    ParametersCurrency,
    /// The price is above the provider's limit for one sale.
    ParametersLimit,
    /// The price is above the provider's limit while its parameters are too old.
    ParametersStale,
    /// The provider permits no software SAM.
    ParametersSam,
    /// The batch is under way or void: it has left no claim unpaid.
    BatchNotExchanged,
    /// No claim of the batch has this place.
    NoClaimThere,
    /// The batch paid the claim.
    ClaimPaid,
    /// The claim was presented again before.
    ClaimPresented,
}

impl fmt::Display for ErrorName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why a call failed. Nothing was changed by it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{cause}; {remedy}")]
pub struct Fault {
    /// The last part of the error's name, one of [`ErrorName`] or a newer daemon's.
    #[serde(skip)]
    pub name: Box<str>,
    /// What is wrong, in words.
    #[serde(default)]
    pub cause: String,
    /// What to do about it, in words.
    #[serde(default)]
    pub remedy: String,
    /// True when the same call may succeed later without anybody changing it.
    #[serde(default)]
    pub transient: bool,
    /// `InvalidArgument` only: the argument.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub argument: Option<Box<str>>,
    /// `NotAllowed` only: the group whose members may.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<Box<str>>,
    /// `Lagged` only: the number of the last event that was told; begin again after it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<u64>,
}

impl Fault {
    /// A fault with this name, cause and remedy that lasts until somebody changes something.
    pub fn new(name: ErrorName, cause: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            name: name.as_str().into(),
            cause: cause.into(),
            remedy: remedy.into(),
            transient: false,
            argument: None,
            group: None,
            after: None,
        }
    }

    /// The same fault, marked as one that may pass by itself if `transient`.
    pub fn with_transient(self, transient: bool) -> Self {
        Self { transient, ..self }
    }

    /// True for the fault of this name.
    pub fn is(&self, name: ErrorName) -> bool {
        &*self.name == name.as_str()
    }
}
