//! What a sale does with a card in the reader, up to the intent (S21, S22).

use std::sync::Arc;

use purser_ledger::{
    Amount, CloseReason, Commit, DebitKey, DeviceName, Entry, OperationId, Refused, SaleIntended, Scheme,
    SchemeBytes, Wall,
};
use purser_purse::CardError;
use purser_purse::pboc::{
    Attempt, CardFacts, InitAnswer, InitializePurchase, Mac1, PurseAmount, SoftwareSam, TerminalSn,
    TerminalTime,
};

use crate::commits::Resolved;
use crate::psam::Authority;
use crate::visit::{State, Visit, card_id};
use crate::{CallFailure, Engine};

/// A debit that the software SAM has authorised.
struct Prepared {
    attempt: Attempt,
    mac1: Mac1,
    at: Wall,
}

impl Engine {
    /// Checks the card, then asks it for the debit; for the PIN first where one is needed.
    pub(crate) fn serve_sale(&mut self, reader: &DeviceName, visit: Visit, operation: OperationId) {
        let amount = self.price_of(operation);
        let refused_by_psam = self.psam_card().and_then(|psam| psam.refusal());
        if let Some(reason) = self.refuse_to_sell_to(visit.card(), amount).or(refused_by_psam) {
            self.close_sale(operation, reason);
            self.leave(reader, visit);
        } else if visit.pin_verified || self.is_pin_free(amount) {
            self.initialise(reader, visit, operation);
        } else {
            self.wait_for_pin(reader, visit);
        }
    }

    fn refuse_to_sell_to(&self, card: &CardFacts, amount: Amount) -> Option<CloseReason> {
        if self.held.contains(&card_id(card)) {
            // A new sale waits for the card's earlier payment (money rule P1), and nothing here can end that one: what to ask
            // the card stands in entries that cannot be read. The card still has its proof; a debit would overwrite it.
            return Some(CloseReason::CardHeld);
        }
        if self.suspects.is_left_alone(&card_id(card), self.now.monotonic) {
            return Some(CloseReason::CardSuspect);
        }
        self.unfit(card, amount)
            .or_else(|| self.hot_listed(&card_id(card)))
    }

    /// What speaks against this card for a sale or a load in this currency (money rules L4, P7).
    pub(crate) fn unfit(&self, card: &CardFacts, amount: Amount) -> Option<CloseReason> {
        if self.held.contains(&card_id(card)) {
            return Some(CloseReason::CardHeld);
        }
        let Some(currency) = self.currency_of(card) else {
            return Some(CloseReason::ForeignCard);
        };
        if currency != amount.currency() {
            return Some(CloseReason::CurrencyMismatch);
        }
        let now = self.present();
        let today = TerminalTime::from_local(now.local_seconds()).ok()?.date;
        let valid =
            *card.start.as_bytes() <= *today.as_bytes() && *today.as_bytes() <= *card.expiry.as_bytes();
        // A clock that is not trusted must not refuse a good card; the entry is marked instead (money rule T2).
        (now.trusted && !valid).then_some(CloseReason::CardExpired)
    }

    fn is_pin_free(&self, amount: Amount) -> bool {
        let limit = self.config.pin_free_up_to.get(&amount.currency());
        limit.is_some_and(|limit| amount.minor() <= *limit)
    }

    fn initialise(&mut self, reader: &DeviceName, visit: Visit, operation: OperationId) {
        let amount = self.amount_of(operation);
        let dialogue = InitializePurchase::new(
            &self.config.profile,
            amount,
            self.config.terminal_number,
            visit.protocol(),
        );
        self.transmit(reader, visit, dialogue, State::Initialising);
    }

    pub(crate) fn initialised(
        &mut self,
        reader: &DeviceName,
        visit: Visit,
        result: Result<InitAnswer, CardError>,
    ) {
        let Some(operation) = visit.sale() else {
            self.leave(reader, visit);
            return;
        };
        match result {
            // Its removal was told before its answer: no number of the SAM is used up for it.
            _ if !visit.has_its_card(reader, &self.devices) => {
                self.fail_visit(reader, visit, CallFailure::CardChanged);
            }
            Ok(init) => self.authorise_at_last(reader, visit, operation, init),
            Err(CardError::PinNeeded) if !visit.pin_verified => self.wait_for_pin(reader, visit),
            Err(error) => self.refuse_card(reader, visit, error),
        }
    }

    /// The card is ready to be debited: the software SAM authorises at once, a PSAM in its turn.
    fn authorise_at_last(
        &mut self,
        reader: &DeviceName,
        visit: Visit,
        operation: OperationId,
        init: InitAnswer,
    ) {
        let refusal = if init.offline_sn.next().is_none() {
            Some(CloseReason::CardExhausted)
        } else if init.old_balance < self.amount_of(operation) {
            Some(CloseReason::InsufficientFunds)
        } else {
            self.forbidden_by_parameters(self.price_of(operation), &card_id(visit.card()), init.key_version)
        };
        let prepared = match (refusal, &self.sam) {
            (Some(reason), _) => Err(reason),
            (None, Authority::Psam(_)) => return self.wait_for_psam(reader, visit, operation, init),
            (None, Authority::Software(sam)) => {
                let sam = Arc::clone(sam);
                let at = self.stamp_intent();
                self.prepare(&sam, &visit, operation, &init, at)
            }
        };
        match prepared {
            Ok(Prepared { attempt, mac1, at }) => {
                self.intend(reader, visit, operation, attempt, mac1, at);
            }
            Err(reason) => {
                self.close_sale(operation, reason);
                self.leave(reader, visit);
            }
        }
    }

    fn prepare(
        &mut self,
        sam: &SoftwareSam,
        visit: &Visit,
        operation: OperationId,
        init: &InitAnswer,
        at: Wall,
    ) -> Result<Prepared, CloseReason> {
        let terminal_sn = self
            .terminal_sn_last
            .checked_add(1)
            .ok_or(CloseReason::BooksFull)?;
        let attempt = self.attempt(visit, operation, init, TerminalSn::new(terminal_sn), at);
        let mac1 = sam.mac1(&attempt).map_err(|_| CloseReason::KeyMissing)?;
        // Counted as used although the commit may yet be refused: a number is never used twice.
        self.terminal_sn_last = terminal_sn;
        Ok(Prepared { attempt, mac1, at })
    }

    /// The attempt to debit this visit's card for its sale.
    pub(crate) fn attempt(
        &self,
        visit: &Visit,
        operation: OperationId,
        init: &InitAnswer,
        terminal_sn: TerminalSn,
        at: Wall,
    ) -> Attempt {
        let time = TerminalTime::from_local(at.local_seconds())
            .expect("the clock is kept in a card's range of dates");
        Attempt::new(
            &self.config.profile,
            visit.card(),
            init,
            self.amount_of(operation),
            self.config.terminal_number,
            terminal_sn,
            time,
        )
    }

    /// Records the intent: from its receipt on the debit may be sent, and from then on its outcome must be proven. What came into
    /// force while the card, its buyer or the PSAM took their time counts: the terminal SN is in the attempt, and from the one on
    /// that is acknowledged no card of the list is debited (money rule C3). A number of the PSAM's is then used up.
    pub(crate) fn intend(
        &mut self,
        reader: &DeviceName,
        mut visit: Visit,
        operation: OperationId,
        attempt: Attempt,
        mac1: Mac1,
        at: Wall,
    ) {
        let (price, card) = (self.price_of(operation), card_id(visit.card()));
        if let Some(reason) = self.forbidden_by_parameters(price, &card, attempt.key_version) {
            return self.close_at(reader, visit, reason);
        }
        // From here on it may pay, whatever becomes of its reader.
        self.devices.set_served(reader, Some(card.clone()));
        let sale = self.sale(operation).expect("a served sale is under way");
        let intended = SaleIntended {
            reference: sale.asked.reference.clone(),
            owner: sale.owner,
            amount: sale.asked.amount,
            reader: reader.clone(),
            key: DebitKey {
                card,
                terminal_number: *attempt.terminal_number.as_bytes(),
                terminal_sn: attempt.terminal_sn.value(),
            },
            attempt: SchemeBytes::new(Scheme::Pboc, attempt.encode()).expect("an attempt is short"),
            pin_verified: visit.pin_verified,
            parameters_version: self.parameters_version(),
            generation: self.config.generation,
        };
        let commit = Commit {
            operation,
            step: 0,
            at,
            entry: Entry::SaleIntended(intended),
        };
        self.commit(commit, None, Resolved::Debit);
        visit.deadline = self.call_deadline();
        visit.state = State::Intending { attempt, mac1 };
        self.visits.insert(reader.clone(), visit);
    }

    /// The price of a sale under way.
    fn price_of(&self, operation: OperationId) -> Amount {
        self.sale(operation)
            .expect("a served sale is under way")
            .asked
            .amount
    }

    /// The same as its card counts it.
    pub(crate) fn amount_of(&self, operation: OperationId) -> PurseAmount {
        PurseAmount::try_from(self.price_of(operation)).expect("the amount was checked when the sale began")
    }

    /// The intent was not stored, so nothing was sent: the sale ends as if it had not come so far.
    pub(crate) fn handle_intent_refused(&mut self, operation: OperationId, refused: Refused) {
        let reason = match refused {
            Refused::NoRoom => CloseReason::NoRoom,
            Refused::BalanceOutOfRange => CloseReason::BooksFull,
            // A PSAM that is broken, or another one with the same number; or a journal that has forgotten numbers. The debit
            // is not sent.
            Refused::DebitKeyExists => {
                self.psam_repeats_numbers();
                CloseReason::TerminalSnRepeated
            }
            Refused::ExistsWithDifferentOwner
            | Refused::ExistsWithDifferentKind
            | Refused::ExistsWithDifferentCurrency
            | Refused::ExistsWithDifferentAmount
            | Refused::Exists
            | Refused::ExistsWithDifferentConclusion
            | Refused::OutOfOrder => {
                unreachable!("the engine checked the reference, and an intent is an operation's first entry")
            }
        };
        self.close_sale(operation, reason);
        if let Some((reader, visit)) = self.take_intending(operation) {
            self.leave(&reader, visit);
        }
    }

    /// The visit that waits for this operation's intent to be durable.
    pub(crate) fn take_intending(&mut self, operation: OperationId) -> Option<(DeviceName, Visit)> {
        let waits =
            |visit: &Visit| visit.sale() == Some(operation) && matches!(visit.state, State::Intending { .. });
        let reader = self
            .visits
            .iter()
            .find(|(_, visit)| waits(visit))
            .map(|(name, _)| name.clone())?;
        self.visits.remove_entry(&reader)
    }
}
