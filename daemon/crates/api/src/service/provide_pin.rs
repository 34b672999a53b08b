//! The PIN of a sale (money rule T5).

use std::os::fd::OwnedFd;

use purser_engine::{Peer, Reply, Request};

use super::{Answered, Service};
use crate::access::Caller;
use crate::model::{self, Fault};
use crate::{fault, parse};

impl Service {
    /// Hands a PIN to the sale that waits for it (money rule T5). For its owner only. Without a descriptor it is refused.
    ///
    /// # Errors
    /// The [`Fault`] names what to do; no try of the card was used.
    pub async fn provide_pin(
        &self,
        caller: &Caller,
        reference: &str,
        pin: Option<OwnedFd>,
        last_try: bool,
    ) -> Result<model::SaleReply, Fault> {
        let reference = parse::reference(reference)?;
        if !self.reads.facts().info().pin_through_api {
            return Err(fault::pin_through_api_off());
        }
        // An operator is nobody special here, and nobody's descriptor is read for a sale that is not theirs.
        let owner_only = Peer {
            operator: false,
            ..self.peer(caller)
        };
        // The descriptor may give the PIN late. It is for the card that is in the reader now, and never goes to another one.
        let presentation = match self.ask(owner_only, Request::Attach(reference.clone())).await? {
            Answered::Reply(Reply::Sale { view, .. }) => view.presentation,
            // No card is being served: the engine refuses whatever the descriptor gives.
            Answered::Reply(_) | Answered::Told(_) | Answered::ToldLoad(_) => 0,
        };
        let pin = self
            .pins
            .read(caller.uid, pin.ok_or_else(fault::no_descriptor)?)
            .await?;
        let request = Request::ProvidePin {
            reference,
            pin,
            presentation,
            last_try,
        };
        self.ask_for_sale(owner_only, request).await
    }
}
