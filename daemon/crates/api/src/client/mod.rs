//! The Varlink client: what purserctl is made of, and what a POS in Rust may use.
//!
//! ```no_run
//! # async fn sell() -> Result<(), purser_api::client::ClientError> {
//! use purser_api::client::{Client, SOCKET};
//! use purser_api::model::{Amount, BeginSaleArguments};
//!
//! let mut purser = Client::connect(SOCKET).await?;
//! let begun = purser
//!     .begin_sale(&BeginSaleArguments {
//!         reference: "till-3-order-4711".to_owned(),
//!         amount: Amount { minor: 300, currency: "JPY".to_owned() },
//!         reader: None,
//!         pin_through_api: None,
//!     })
//!     .await?;
//! let mut events = Client::connect(SOCKET).await?.watch_sale(&begun.sale.reference).await?;
//! let end = loop {
//!     match events.next().await?.sale {
//!         Some(sale) if sale.outcome != "under_way" => break sale,
//!         _ => {}
//!     }
//! };
//! println!("{}", end.outcome);
//! # Ok(())
//! # }
//! ```

mod error;
mod wire;

use std::os::fd::OwnedFd;
use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;

pub use error::ClientError;
use wire::Wire;

use crate::model::{
    BatchArguments, BatchItemsArguments, BatchItemsReply, BatchesArguments, BatchesReply, BeginLoadArguments,
    BeginLoadReply, BeginSaleArguments, BeginSaleReply, ConcludeArguments, DevicesReply, DriverArguments,
    DriverReply, DriversReply, Event, EventsArguments, EventsReply, HeadReply, InfoReply, JournalArguments,
    JournalReply, LoadReply, PresentAgainArguments, PresentAgainReply, ProvidePinArguments, ProviderReply,
    PurseReply, ReadPurseArguments, RecordDriverArguments, ReferenceArguments, SaleReply, SettleArguments,
    SettleReply, StatusReply, TotalsReply, WatchArguments, WatchReply, WhereReply,
};

/// Where an installed daemon listens.
pub const SOCKET: &str = "/run/purser/org.purser.Purser1";

/// A connection to a running daemon. Calls go one after the other.
///
/// # Cancel safety
/// A call that was dropped leaves its answer on the way: every later call fails with [`ClientError::OutOfStep`]. Connect
/// again, and repeat the call with the same reference.
#[derive(Debug)]
pub struct Client {
    wire: Wire,
}

/// What a method without arguments takes.
#[derive(Debug, Serialize)]
struct Nothing {}

/// Declares a method that takes one struct of arguments.
macro_rules! calls {
    ($($(#[$doc:meta])* $name:ident($arguments:ty) -> $reply:ty = $method:literal;)*) => {
        $(
            $(#[$doc])*
            ///
            /// # Errors
            /// [`ClientError::Refused`] has the daemon's cause and remedy; the others say that the answer is not known.
            pub async fn $name(&mut self, arguments: &$arguments) -> Result<$reply, ClientError> {
                self.call($method, arguments, Vec::new()).await
            }
        )*
    };
}

/// Declares a method that takes the reference of a sale, or nothing.
macro_rules! short_calls {
    ($($(#[$doc:meta])* $name:ident() -> $reply:ty = $method:literal;)*) => {
        $(
            $(#[$doc])*
            ///
            /// # Errors
            /// [`ClientError::Refused`] has the daemon's cause and remedy; the others say that the answer is not known.
            pub async fn $name(&mut self) -> Result<$reply, ClientError> {
                self.call($method, &Nothing {}, Vec::new()).await
            }
        )*
    };
}

impl Client {
    /// Connects to the daemon that listens at this path.
    ///
    /// # Errors
    /// [`ClientError::NotReachable`]: no daemon listens there, or the socket's file mode keeps this user out.
    pub async fn connect(path: impl AsRef<Path>) -> Result<Self, ClientError> {
        let wire = Wire::connect(path.as_ref()).await?;
        Ok(Self { wire })
    }

    calls! {
        /// Begins a sale, or finds the one with this reference.
        begin_sale(BeginSaleArguments) -> BeginSaleReply = "BeginSale";
        /// Chooses the end of a sale that was in doubt.
        conclude(ConcludeArguments) -> SaleReply = "Conclude";
        /// Reads the purse in a reader, without a sale.
        read_purse(ReadPurseArguments) -> PurseReply = "ReadPurse";
        /// The events of entries after a number.
        events(EventsArguments) -> EventsReply = "Events";
        /// Journal entries after a number.
        journal(JournalArguments) -> JournalReply = "Journal";
        /// Begins a load that the provider knows, or goes on with it.
        begin_load(BeginLoadArguments) -> BeginLoadReply = "BeginLoad";
        /// How a load stands.
        attach_load(ReferenceArguments) -> LoadReply = "AttachLoad";
        /// Voids a load that no card has.
        cancel_load(ReferenceArguments) -> LoadReply = "CancelLoad";
        /// Settles the claims that wait, or joins what is under way.
        settle(SettleArguments) -> SettleReply = "Settle";
        /// Has a batch voided that the provider has not permitted.
        void_batch(BatchArguments) -> SettleReply = "VoidBatch";
        /// Presents claims again that a batch left unpaid.
        present_again(PresentAgainArguments) -> PresentAgainReply = "PresentAgain";
        /// The batches that were sealed, newest first.
        batches(BatchesArguments) -> BatchesReply = "Batches";
        /// The items of a batch.
        batch_items(BatchItemsArguments) -> BatchItemsReply = "BatchItems";
        /// Starts a driver from its file as it is now.
        reload_driver(DriverArguments) -> DriverReply = "ReloadDriver";
        /// Ends a driver's recording.
        stop_recording(DriverArguments) -> DriverReply = "StopRecording";
    }

    short_calls! {
        /// The running daemon.
        info() -> InfoReply = "GetInfo";
        /// Whether it can sell.
        status() -> StatusReply = "Status";
        /// Every configured device with its true state.
        devices() -> DevicesReply = "Devices";
        /// Every configured driver.
        drivers() -> DriversReply = "Drivers";
        /// The provider and the link to it.
        provider() -> ProviderReply = "Provider";
        /// The books.
        totals() -> TotalsReply = "Totals";
        /// The head of the record chain.
        head() -> HeadReply = "Head";
    }

    /// How a sale stands.
    ///
    /// # Errors
    /// [`ClientError::Refused`] has the daemon's cause and remedy; the others say that the answer is not known.
    pub async fn attach(&mut self, reference: &str) -> Result<SaleReply, ClientError> {
        self.call("Attach", &of(reference), Vec::new()).await
    }

    /// Ends a sale if nothing has been debited; answers with the certain end.
    ///
    /// # Errors
    /// [`ClientError::Refused`] has the daemon's cause and remedy; the others say that the answer is not known.
    pub async fn cancel(&mut self, reference: &str) -> Result<SaleReply, ClientError> {
        self.call("Cancel", &of(reference), Vec::new()).await
    }

    /// What happened to one payment, as facts and in words.
    ///
    /// # Errors
    /// [`ClientError::Refused`] has the daemon's cause and remedy; the others say that the answer is not known.
    pub async fn whereabouts(&mut self, reference: &str) -> Result<WhereReply, ClientError> {
        self.call("Where", &of(reference), Vec::new()).await
    }

    /// Hands the daemon a descriptor that gives the PIN's digits, then its end or a line feed.
    ///
    /// # Errors
    /// [`ClientError::Refused`] has the daemon's cause and remedy; the others say that the answer is not known.
    pub async fn provide_pin(
        &mut self,
        reference: &str,
        pin: OwnedFd,
        last_try: bool,
    ) -> Result<SaleReply, ClientError> {
        let arguments = ProvidePinArguments {
            reference: reference.to_owned(),
            pin: 0,
            last_try: Some(last_try),
        };
        self.call("ProvidePin", &arguments, vec![pin]).await
    }

    /// Records a driver's traffic into a new file that only its owner may read.
    ///
    /// # Errors
    /// [`ClientError::Refused`] has the daemon's cause and remedy; the others say that the answer is not known.
    pub async fn record_driver(&mut self, driver: &str, file: OwnedFd) -> Result<DriverReply, ClientError> {
        let arguments = RecordDriverArguments {
            driver: driver.to_owned(),
            file: 0,
        };
        self.call("RecordDriver", &arguments, vec![file]).await
    }

    /// Turns this connection into a stream of events.
    ///
    /// # Errors
    /// [`ClientError::ConnectionLost`]: connect again. A refusal comes with the first event.
    pub async fn watch(mut self, arguments: &WatchArguments) -> Result<Events, ClientError> {
        self.wire.send("Watch", arguments, Vec::new(), true).await?;
        Ok(Events { wire: self.wire })
    }

    /// Turns this connection into the stream of one sale's events, its present state first.
    ///
    /// # Errors
    /// As [`Client::watch`].
    pub async fn watch_sale(self, reference: &str) -> Result<Events, ClientError> {
        let arguments = WatchArguments {
            reference: Some(reference.to_owned()),
            after: None,
        };
        self.watch(&arguments).await
    }

    async fn call<Arguments: Serialize + std::fmt::Debug, T: DeserializeOwned + std::fmt::Debug>(
        &mut self,
        method: &str,
        arguments: &Arguments,
        descriptors: Vec<OwnedFd>,
    ) -> Result<T, ClientError> {
        self.wire.send(method, arguments, descriptors, false).await?;
        self.wire.receive().await
    }
}

fn of(reference: &str) -> ReferenceArguments {
    ReferenceArguments {
        reference: reference.to_owned(),
    }
}

/// A stream of events.
#[derive(Debug)]
pub struct Events {
    wire: Wire,
}

impl Events {
    /// The next event. Waits for it.
    ///
    /// # Errors
    /// [`ClientError::Refused`] with `Lagged`: watch again, after the number of the last event. [`ClientError::ConnectionLost`]:
    /// the same, once the daemon is back.
    ///
    /// # Cancel safety
    /// Cancel safe: an event is given by a completed call only.
    pub async fn next(&mut self) -> Result<Event, ClientError> {
        self.wire
            .receive_next::<WatchReply>()
            .await
            .map(|reply| reply.event)
    }
}
