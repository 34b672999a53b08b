//! Loads of the make-believe engine: they wait for a card until they are cancelled.

use purser_api::Answered;
use purser_engine::load::{LoadEnd, LoadOutcome, LoadProgress, LoadView};
use purser_engine::{BeginLoad, Peer, Reply, Request, RequestError};
use purser_ledger::{Owner, Wall};

use super::State;

impl State {
    /// The answer to what is about a load; none for anything else.
    pub(super) fn answer_load(
        &mut self,
        peer: Peer,
        request: &Request,
    ) -> Option<Result<Answered, RequestError>> {
        let (reference, cancels) = match request {
            Request::BeginLoad(ask) => return Some(self.begin_load(peer, ask)),
            Request::Attach(reference) => (reference, false),
            Request::Cancel(reference) => (reference, true),
            _ => return None,
        };
        let view = self.loads.get(reference)?.clone();
        if !peer.operator && view.owner != peer.owner {
            return Some(Err(RequestError::NotOwner));
        }
        if !cancels {
            return Some(Ok(Answered::Reply(Reply::Load { is_new: false, view })));
        }
        self.loads.remove(reference);
        let state = LoadOutcome {
            end: LoadEnd::Voided,
            entry: 9,
            at: Wall {
                unix_seconds: 1_900_000_000,
                utc_offset_seconds: 0,
                trusted: true,
            },
        };
        Some(Ok(Answered::ToldLoad(told(view, state))))
    }

    fn begin_load(&mut self, peer: Peer, ask: &BeginLoad) -> Result<Answered, RequestError> {
        if ask.amount.minor() == 404 {
            return Err(RequestError::ProviderFailed {
                name: "UnknownLoad",
                is_transient: false,
            });
        }
        if let Some(view) = self.loads.get(&ask.reference).cloned() {
            let is_owner = view.owner == peer.owner;
            return if is_owner {
                Ok(Answered::Reply(Reply::Load { is_new: false, view }))
            } else {
                Err(purser_ledger::Refused::ExistsWithDifferentOwner.into())
            };
        }
        let view = LoadView {
            operation: ask.load,
            reference: ask.reference.clone(),
            owner: Owner(peer.owner.0),
            amount: ask.amount,
            card: None,
            reader: None,
            presentation: 0,
            state: LoadProgress::WaitingForCard { refused: None },
        };
        self.loads.insert(ask.reference.clone(), view.clone());
        Ok(Answered::Reply(Reply::Load { is_new: true, view }))
    }
}

fn told(view: LoadView<LoadProgress>, state: LoadOutcome) -> LoadView<LoadOutcome> {
    LoadView {
        operation: view.operation,
        reference: view.reference,
        owner: view.owner,
        amount: view.amount,
        card: view.card,
        reader: view.reader,
        presentation: view.presentation,
        state,
    }
}
