//! What pcscd's answers mean, and which fault of the contract each of them is.

use pcsc::Error;
use purser_plugin_api::sdk::{DriverError, Fault};

/// What an error of the PC/SC library means for one reader and its card.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Meaning {
    /// No card lies in the reader.
    NoCard,
    /// The card does not answer, or not in a way that the reader understands.
    Mute,
    /// The connection's card was removed; pcscd says so before it sends anything.
    Removed,
    /// The connection's card was reset by somebody else; pcscd says so before it sends anything.
    Reset,
    /// Another program holds the card.
    Shared,
    /// The reader is gone.
    ReaderGone,
    /// pcscd does not answer.
    ServiceGone,
    /// pcscd does not let this user in.
    Denied,
    /// The reader or pcscd cannot do this with this card.
    Unsupported,
    /// Somebody called SCardCancel.
    Cancelled,
    /// The time is over.
    TimedOut,
    /// A fault of the driver, of the library or of pcscd.
    Failed,
}

/// What to do where pcscd does not let Purser in.
pub(crate) const DENIED_REMEDY: &str = "pcscd refuses this user: allow the polkit actions \
     org.debian.pcsc-lite.access_pcsc and org.debian.pcsc-lite.access_card for it";

/// The one place that knows what the library's errors mean.
pub(crate) fn meaning(error: Error) -> Meaning {
    match error {
        Error::NoSmartcard => Meaning::NoCard,
        Error::UnresponsiveCard
        | Error::UnpoweredCard
        | Error::InvalidAtr
        | Error::NotTransacted
        | Error::CommDataLost => Meaning::Mute,
        Error::RemovedCard => Meaning::Removed,
        Error::ResetCard => Meaning::Reset,
        Error::SharingViolation => Meaning::Shared,
        Error::UnknownReader
        | Error::ReaderUnavailable
        | Error::NoReadersAvailable
        | Error::InvalidValue
        | Error::NotReady => Meaning::ReaderGone,
        Error::NoService
        | Error::ServiceStopped
        | Error::Shutdown
        | Error::CommError
        | Error::InvalidHandle
        | Error::ServerTooBusy => Meaning::ServiceGone,
        Error::SecurityViolation | Error::NoAccess => Meaning::Denied,
        Error::ProtoMismatch
        | Error::CardUnsupported
        | Error::UnsupportedCard
        | Error::ReaderUnsupported
        | Error::UnsupportedFeature
        | Error::UnknownCard => Meaning::Unsupported,
        Error::Cancelled | Error::SystemCancelled | Error::CancelledByUser => Meaning::Cancelled,
        Error::Timeout | Error::WaitedTooLong => Meaning::TimedOut,
        Error::InternalError
        | Error::InvalidParameter
        | Error::InvalidTarget
        | Error::NoMemory
        | Error::InsufficientBuffer
        | Error::CantDispose
        | Error::UnknownError
        | Error::PciTooSmall
        | Error::DuplicateReader
        | Error::IccInstallation
        | Error::IccCreateorder
        | Error::DirNotFound
        | Error::FileNotFound
        | Error::NoDir
        | Error::NoFile
        | Error::WriteTooMany
        | Error::BadSeek
        | Error::InvalidChv
        | Error::UnknownResMng
        | Error::NoSuchCertificate
        | Error::CertificateUnavailable
        | Error::NoKeyContainer
        | Error::WrongChv
        | Error::ChvBlocked
        | Error::Eof
        | Error::CardNotAuthenticated
        | Error::CacheItemNotFound
        | Error::CacheItemStale
        | Error::CacheItemTooBig => Meaning::Failed,
    }
}

/// The fault of a connect. `holder` is asked only where it matters: it takes a moment.
pub(crate) fn of_connect(error: Error, holder: impl FnOnce() -> String) -> DriverError {
    match meaning(error) {
        Meaning::NoCard | Meaning::Removed => Fault::NoCard.because(error.to_string()),
        Meaning::Mute => Fault::CardMute.because(error.to_string()),
        Meaning::Shared | Meaning::Reset => Fault::Busy.because(holder()),
        Meaning::ReaderGone | Meaning::ServiceGone => Fault::DeviceGone.because(error.to_string()),
        Meaning::Denied => Fault::DeviceGone.because(DENIED_REMEDY),
        Meaning::Unsupported => Fault::Unsupported.because(error.to_string()),
        Meaning::Cancelled => Fault::Cancelled.because(error.to_string()),
        Meaning::TimedOut => Fault::Timeout.because(error.to_string()),
        Meaning::Failed => Fault::Internal.because(error.to_string()),
    }
}

/// The fault of a transmit. Only "removed" and "reset" are certain to come before a byte was sent: pcscd looks for
/// them first (SCardTransmit in pcsc-lite's winscard.c). All else may come from the line `[C-7]`.
pub(crate) fn of_transmit(error: Error) -> DriverError {
    match meaning(error) {
        Meaning::Removed | Meaning::Reset => Fault::CardChanged.because(error.to_string()),
        Meaning::NoCard
        | Meaning::Mute
        | Meaning::Shared
        | Meaning::ReaderGone
        | Meaning::ServiceGone
        | Meaning::Denied
        | Meaning::Unsupported
        | Meaning::Cancelled
        | Meaning::TimedOut
        | Meaning::Failed => Fault::OutcomeUnknown.because(error.to_string()),
    }
}

/// The fault of a disconnect. A card whose pcscd has died is out of everybody's reach until a new pcscd powers it up
/// afresh.
pub(crate) fn of_disconnect(error: Error) -> DriverError {
    match meaning(error) {
        Meaning::NoCard | Meaning::Removed | Meaning::Reset => Fault::CardChanged.because(error.to_string()),
        Meaning::ReaderGone | Meaning::ServiceGone => Fault::DeviceGone.because(error.to_string()),
        Meaning::Mute
        | Meaning::Shared
        | Meaning::Denied
        | Meaning::Unsupported
        | Meaning::Cancelled
        | Meaning::TimedOut
        | Meaning::Failed => Fault::Internal.because(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_pcscd_checks_before_it_sends_counts_as_not_sent() {
        assert_eq!(of_transmit(Error::RemovedCard).fault(), Fault::CardChanged);
        assert_eq!(of_transmit(Error::ResetCard).fault(), Fault::CardChanged);
        for error in [
            Error::NoSmartcard,
            Error::NotTransacted,
            Error::CommError,
            Error::NoService,
            Error::ReaderUnavailable,
            Error::InsufficientBuffer,
            Error::InvalidHandle,
            Error::UnknownError,
            Error::Timeout,
        ] {
            assert_eq!(of_transmit(error).fault(), Fault::OutcomeUnknown, "{error:?}");
        }
    }

    #[test]
    fn the_holder_is_asked_for_a_shared_card_only() {
        let busy = of_connect(Error::SharingViolation, || "held by till (pid 7)".to_owned());
        assert_eq!(
            (busy.fault(), busy.detail()),
            (Fault::Busy, "held by till (pid 7)")
        );
        let mute = of_connect(Error::UnresponsiveCard, || {
            unreachable!("nobody holds a mute card")
        });
        assert_eq!(mute.fault(), Fault::CardMute);
    }

    #[test]
    fn a_refused_user_is_told_what_to_allow() {
        let denied = of_connect(Error::SecurityViolation, String::new);
        assert_eq!(denied.fault(), Fault::DeviceGone);
        assert!(denied.detail().contains("polkit"));
    }

    #[test]
    fn a_card_that_left_needs_no_disconnect() {
        assert_eq!(of_disconnect(Error::RemovedCard).fault(), Fault::CardChanged);
        assert_eq!(of_disconnect(Error::NoService).fault(), Fault::DeviceGone);
        assert_eq!(of_disconnect(Error::InternalError).fault(), Fault::Internal);
    }
}
