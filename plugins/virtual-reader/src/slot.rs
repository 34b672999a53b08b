//! One card slot: a listening port, at most one card, at most one connection to it.
//!
//! The slot's thread waits for cards to come and go, and alone emits their events, so that these alternate. The host's
//! calls talk with the card under the slot's lock. A card that leaves during a call is noticed by the call first; it
//! shuts the link, which wakes the thread.

use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use purser_plugin_api::abi::limits::ATR_MAX_BYTES;
use purser_plugin_api::sdk::{
    Call, Card, Class, Connection, Device, DriverError, Fault, Host, Interface, LogLevel, Output, Protocol,
    Slot,
};
use zeroize::Zeroizing;

use crate::cable::{Cable, Pull};
use crate::card_link::{CardLink, ExchangeError};
use crate::life::{Life, Pulse};
use crate::settings::SlotSettings;
use crate::vpcd::ToCard;

/// The next connection number of this process `[C-2]`.
static NEXT_CONNECTION: AtomicU32 = AtomicU32::new(1);

/// One card slot.
#[derive(Debug)]
pub(crate) struct CardSlot {
    host: Host,
    slot: Slot,
    name: String,
    interface: Interface,
    seat: Mutex<Seat>,
}

/// What lies in the slot.
#[derive(Debug, Default)]
struct Seat {
    card: Option<Arc<CardLink>>,
    connection: Option<Connection>,
    /// Its cable is out: there is no such device, whatever lies in it.
    is_unplugged: bool,
}

impl CardSlot {
    /// Opens the port, announces the device and starts its thread.
    pub(crate) fn open(
        host: Host,
        slot: Slot,
        settings: &SlotSettings,
        life: &Life,
    ) -> Result<Arc<Self>, DriverError> {
        let busy = |error: std::io::Error| Fault::Busy.because(format!("port {}: {error}", settings.port));
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, settings.port)).map_err(busy)?;
        let address = listener.local_addr().map_err(busy)?;
        let cable = settings.cable.as_deref().map(Cable::open).transpose()?;
        let made = Arc::new(Self {
            host,
            slot,
            name: settings.name.clone(),
            interface: Interface::from(settings.interface),
            seat: Mutex::default(),
        });
        made.announce();
        host.log(LogLevel::Info, &format!("{} listens on {address}", settings.name));
        let (seen, pulse) = (Arc::clone(&made), life.pulse());
        life.spawn("slot", move || seen.watch(&listener, cable.as_ref(), &pulse))?;
        Ok(made)
    }

    fn announce(&self) {
        self.host.device_arrived(&Device {
            slot: self.slot,
            name: &self.name,
            classes: &[Class::CardReader],
            interfaces: &[self.interface],
        });
    }

    pub(crate) fn connect(&self, call: &Call) -> Result<Card, DriverError> {
        let mut seat = self.lock_plugged()?;
        let card = seat.present_card().ok_or(Fault::NoCard)?;
        if seat.connection.is_some() {
            return Err(Fault::Busy.because("a connection to this card lives already"));
        }
        let atr = card
            .tell(&ToCard::PowerOn)
            .and_then(|()| card.ask(&ToCard::GetAtr, call.deadline()))
            .map_err(|error| {
                card.eject();
                no_atr(&error)
            })?;
        if atr.is_empty() || atr.len() > ATR_MAX_BYTES {
            card.eject();
            return Err(Fault::CardMute.because("the card gave no ATR"));
        }
        let connection = Connection(NEXT_CONNECTION.fetch_add(1, Ordering::Relaxed));
        seat.connection = Some(connection);
        let contactless = self.interface == Interface::Contactless;
        let protocol = if contactless {
            Protocol::Tcl
        } else {
            first_protocol(&atr)
        };
        Ok(Card {
            connection,
            protocol,
            contactless,
            atr: atr.to_vec(),
        })
    }

    pub(crate) fn transmit(
        &self,
        call: &Call,
        connection: Connection,
        command: &[u8],
        response: &mut Output<'_>,
    ) -> Result<(), DriverError> {
        let mut seat = self.lock_plugged()?;
        let card = seat.connected_card(connection)?;
        if call.time_left().is_zero() {
            return Err(Fault::Timeout.into());
        }
        let answer = card.ask(
            &ToCard::Command(Zeroizing::new(command.to_vec())),
            call.deadline(),
        );
        let outcome = match answer {
            Err(ExchangeError::Frame(error)) => return Err(Fault::Unsupported.because(error.to_string())),
            Err(error) => Err(Fault::OutcomeUnknown.because(error.to_string())),
            Ok(answer) if answer.len() < 2 => Err(Fault::OutcomeUnknown.because("no status word")),
            Ok(answer) => response.put(&answer).map_err(DriverError::from),
        };
        if outcome.is_err() {
            // A late answer would be taken for the next command's.
            seat.connection = None;
            card.eject();
        }
        outcome
    }

    pub(crate) fn disconnect(&self, connection: Connection) -> Result<(), DriverError> {
        let mut seat = self.lock_plugged()?;
        let card = seat.connected_card(connection)?;
        seat.connection = None;
        card.tell(&ToCard::PowerOff).map_err(|_| {
            card.eject();
            Fault::CardChanged.into()
        })
    }

    /// Takes the power from a connected card, for the driver's end `[C-4]`.
    pub(crate) fn power_off(&self) {
        let mut seat = self.lock();
        if let (Some(card), Some(_)) = (&seat.card, seat.connection) {
            // A card that does not take it loses its power by the closing of the link.
            let _ = card.tell(&ToCard::PowerOff);
        }
        seat.connection = None;
    }

    fn watch(&self, listener: &TcpListener, cable: Option<&Cable>, pulse: &Pulse) {
        loop {
            let (card, is_unplugged) = {
                let seat = self.lock();
                (seat.card.clone(), seat.is_unplugged)
            };
            let watched = [
                // A card that is put into a reader without its cable waits until the cable is back.
                (!is_unplugged).then_some(listener.as_fd()),
                card.as_deref().map(CardLink::as_fd),
                cable.map(Cable::as_fd),
            ];
            let Some([comes, speaks, pulled]) = pulse.wait(watched) else {
                return;
            };
            if pulled {
                if let Some((hand, pull)) = cable.and_then(Cable::take) {
                    hand.answer(self.pull(pull, card.as_deref()));
                }
                continue;
            }
            if speaks {
                self.look_after_card();
            }
            if comes {
                match listener.accept() {
                    Ok((stream, _)) => self.seat_card(stream),
                    Err(error) => self
                        .host
                        .log(LogLevel::Warn, &format!("a card could not come: {error}")),
                }
            }
        }
    }

    /// Pulls the cable out or puts it back, and tells; false where it is so already.
    fn pull(&self, pull: Pull, card: Option<&CardLink>) -> bool {
        if let (Pull::Out, Some(card)) = (pull, card) {
            // A call that waits for the card hears of it, and lets go of the seat.
            card.eject();
        }
        let mut seat = self.lock();
        let is_unplugged = pull == Pull::Out;
        if seat.is_unplugged == is_unplugged {
            return false;
        }
        *seat = Seat {
            is_unplugged,
            ..Seat::default()
        };
        drop(seat);
        match pull {
            Pull::Out => self.host.device_left(self.slot),
            Pull::In => self.announce(),
        }
        true
    }

    /// The card's link can be read: it has ended, or an exchange just took what came, or the card speaks unasked.
    fn look_after_card(&self) {
        let mut seat = self.lock();
        if seat.present_card().is_some() {
            return;
        }
        if let Some(card) = seat.card.take() {
            card.eject();
        }
        seat.connection = None;
        drop(seat);
        self.host.card_removed(self.slot);
    }

    fn seat_card(&self, stream: TcpStream) {
        self.look_before_insertion();
        let mut seat = self.lock();
        if seat.card.is_some() {
            drop(seat);
            self.host
                .log(LogLevel::Warn, "two cards in one slot: the second was refused");
            return;
        }
        match CardLink::new(stream) {
            // One that left while it waited for the cable was never here.
            Ok(card) if card.is_quiet() => seat.card = Some(Arc::new(card)),
            Ok(_) | Err(_) => return,
        }
        drop(seat);
        self.host.card_inserted(self.slot);
    }

    /// A card that left unseen makes room for the one that comes.
    fn look_before_insertion(&self) {
        if self.lock().card.is_some() {
            self.look_after_card();
        }
    }

    /// The seat of a reader whose cable is in.
    fn lock_plugged(&self) -> Result<MutexGuard<'_, Seat>, DriverError> {
        let seat = self.lock();
        if seat.is_unplugged {
            return Err(Fault::DeviceGone.because("the reader's cable is out"));
        }
        Ok(seat)
    }

    fn lock(&self) -> MutexGuard<'_, Seat> {
        self.seat.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seat {
    /// The card, if it is still there and has not spoken unasked.
    fn present_card(&self) -> Option<Arc<CardLink>> {
        self.card.as_ref().filter(|card| card.is_quiet()).map(Arc::clone)
    }

    /// The card that this connection is to `[C-5]`.
    fn connected_card(&mut self, connection: Connection) -> Result<Arc<CardLink>, DriverError> {
        if self.connection != Some(connection) {
            return Err(Fault::CardChanged.into());
        }
        self.present_card().ok_or_else(|| {
            self.connection = None;
            Fault::CardChanged.into()
        })
    }
}

fn no_atr(error: &ExchangeError) -> DriverError {
    match error {
        ExchangeError::Removed => Fault::NoCard.into(),
        ExchangeError::Frame(_) | ExchangeError::Silent | ExchangeError::Stray => {
            Fault::CardMute.because(error.to_string())
        }
    }
}

/// The first protocol that the ATR offers: the low half of TD1, T=0 where there is none (ISO/IEC 7816-3 §8.2.3).
fn first_protocol(atr: &[u8]) -> Protocol {
    let Some(t0) = atr.get(1) else { return Protocol::T0 };
    let before_td1 = (t0 >> 4 & 0b0111).count_ones();
    let has_td1 = t0 & 0x80 != 0;
    let td1 = usize::try_from(before_td1)
        .ok()
        .and_then(|skipped| atr.get(2 + skipped));
    match td1 {
        Some(td1) if has_td1 && td1 & 0x0F == 1 => Protocol::T1,
        _ => Protocol::T0,
    }
}
