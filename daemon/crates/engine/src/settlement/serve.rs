//! What the machine does by itself after each input, and at a stop.

use purser_ledger::{Currency, Monotonic};

use super::{BatchView, Settling, State};
use crate::{Engine, Reply, RequestError};

impl Engine {
    /// Sends what has waited long enough, and answers whoever waited for a seal.
    pub(crate) fn serve_settlements(&mut self) {
        if self.settling.is_empty() && self.settle_requests.is_empty() {
            return;
        }
        let now = self.now.monotonic;
        let is_due = |settling: &Settling| matches!(settling.state, State::Waiting(Some(at), _) if at <= now);
        let due: Vec<Currency> = self
            .settling
            .iter()
            .filter(|(_, settling)| is_due(settling))
            .map(|(currency, _)| *currency)
            .collect();
        for currency in due {
            self.send_again(currency);
        }
        self.answer_settles();
    }

    fn answer_settles(&mut self) {
        let is_unsealed = |currency: &Currency| {
            let state = self.settling.get(currency).map(|settling| &settling.state);
            matches!(state, Some(State::Counting(_) | State::Sealing(_)))
        };
        let (waiting, ready): (Vec<_>, Vec<_>) = std::mem::take(&mut self.settle_requests)
            .into_iter()
            .partition(|request| request.currencies.iter().any(is_unsealed));
        self.settle_requests = waiting;
        for request in ready {
            let under_way = request.currencies.iter().filter_map(|currency| {
                let settling = self.settling.get(currency)?;
                Some(BatchView::under_way(*currency, settling))
            });
            let views: Vec<BatchView> = under_way.chain(request.failed).collect();
            self.reply(request.id, Ok(Reply::Settling(views)));
        }
    }

    /// Parks every batch: what is sealed goes on after the next start.
    pub(crate) fn stop_settlements(&mut self) {
        for request in std::mem::take(&mut self.settle_requests) {
            self.reply(request.id, Err(RequestError::Stopping));
        }
        self.settling
            .retain(|_, settling| !matches!(settling.state, State::Counting(_)));
        for (currency, settling) in std::mem::take(&mut self.settling) {
            let state = match settling.state {
                State::Sending(_, sealed) | State::Waiting(_, sealed) => State::Waiting(None, sealed),
                other => other,
            };
            self.settling.insert(currency, Settling { state, ..settling });
        }
    }

    /// True while a settlement's commit is on its way.
    pub(crate) fn is_recording_batch(&self) -> bool {
        let is_recording =
            |settling: &Settling| matches!(settling.state, State::Sealing(_) | State::Exchanging(..));
        self.settling.values().any(is_recording)
    }

    /// When the next batch is to be sent again.
    pub(crate) fn settle_timeout(&self) -> Option<Monotonic> {
        let until = |settling: &Settling| match settling.state {
            State::Waiting(until, _) => until,
            _ => None,
        };
        self.settling.values().filter_map(until).min()
    }

    /// Every batch that is under way.
    pub fn batches(&self) -> Vec<BatchView> {
        let view = |(currency, settling): (&Currency, &Settling)| BatchView::under_way(*currency, settling);
        self.settling.iter().map(view).collect()
    }
}
