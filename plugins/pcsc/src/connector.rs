//! Opening a card in a thread of its own, and letting go of one.

use std::ffi::CString;
use std::sync::mpsc::{SendError, Sender};
use std::thread::{self, JoinHandle};

use pcsc::{Context, Disposition, Error, Protocols, Scope, ShareMode};
use purser_plugin_api::sdk::{DriverError, Fault, Protocol};

use crate::fault::{Meaning, meaning};
use crate::naming::is_contactless;

/// How often the library is asked for a card's protocol. Before version 2 it keeps readers' states in memory that its
/// threads share: an older state, read by the watch thread at the same moment, may stand there for an instant.
const STATUS_TRIES_MAX: u32 = 3;

/// A card that is ours alone and has just been reset.
pub(crate) struct Opened {
    pub(crate) card: pcsc::Card,
    pub(crate) protocol: Protocol,
    pub(crate) contactless: bool,
    pub(crate) atr: Vec<u8>,
}

/// What a waiting connect hears.
pub(crate) enum News {
    /// The connector is done.
    Opened(Result<Opened, Error>),
    /// The call was cancelled.
    Cancelled,
}

/// Starts a thread that opens the card in a reader and tells `sender`. What nobody waits for any more is powered off.
pub(crate) fn start(pcsc_name: CString, sender: Sender<News>) -> Result<JoinHandle<()>, DriverError> {
    let run = move || {
        if let Err(SendError(News::Opened(Ok(late)))) = sender.send(News::Opened(open(&pcsc_name))) {
            // Nobody is left to tell.
            let _ = power_off(late.card);
        }
    };
    thread::Builder::new()
        .name("connector".to_owned())
        .spawn(run)
        .map_err(|error| Fault::Internal.because(error.to_string()))
}

/// Ends a connection so that nothing of it is left in the card `[C-4]`: without power where the reader can do that,
/// else by a reset.
pub(crate) fn power_off(card: pcsc::Card) -> Result<(), Error> {
    let Err((card, refused)) = card.disconnect(Disposition::UnpowerCard) else {
        return Ok(());
    };
    card.disconnect(Disposition::ResetCard).map_err(|_| refused)
}

/// Lets go of a card that may have left. One that has left is not powered off: pcscd would take the reader's complaint
/// about it for a mute card, and another card may lie there by now.
pub(crate) fn let_go(card: pcsc::Card) {
    let state = card.status2_owned().map_err(meaning);
    // A failure leaves nothing to do: either pcscd or the reader is gone, or the card is.
    let _ = match state {
        Err(Meaning::Removed | Meaning::NoCard) => card
            .disconnect(Disposition::LeaveCard)
            .map_err(|(_, error)| error),
        _ => power_off(card),
    };
}

fn open(pcsc_name: &CString) -> Result<Opened, Error> {
    let context = Context::establish(Scope::System)?;
    let protocols = Protocols::T0 | Protocols::T1;
    let mut card = context.connect(pcsc_name, ShareMode::Exclusive, protocols)?;
    // What a program that shared the card before left in it (a PIN that was shown, a selection) must not be there.
    let fresh = card
        .reconnect(ShareMode::Exclusive, protocols, Disposition::ResetCard)
        .and_then(|()| describe(&card));
    match fresh {
        Ok((protocol, atr)) => Ok(Opened {
            card,
            protocol,
            contactless: is_contactless(&atr),
            atr,
        }),
        Err(error) => {
            // The first error is the one that tells why.
            let _ = power_off(card);
            Err(error)
        }
    }
}

fn describe(card: &pcsc::Card) -> Result<(Protocol, Vec<u8>), Error> {
    for _ in 0..STATUS_TRIES_MAX {
        let status = card.status2_owned()?;
        let atr = status.atr();
        let protocol = match status.protocol2() {
            _ if is_contactless(atr) => Protocol::Tcl,
            Some(pcsc::Protocol::T0) => Protocol::T0,
            Some(pcsc::Protocol::T1) => Protocol::T1,
            Some(pcsc::Protocol::RAW) => return Err(Error::UnsupportedCard),
            None => continue,
        };
        if !atr.is_empty() {
            return Ok((protocol, atr.to_vec()));
        }
    }
    Err(Error::UnresponsiveCard)
}
