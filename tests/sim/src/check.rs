//! What must hold after every step.

use purser_engine::{LoadProgress, Progress};
use purser_lab::card::{Asn, CardDate, CardTime, Mac, Minor, Purchase, PurseKind, TerminalSn};
use purser_lab::issuer::verify_purchase_tac;
use purser_ledger::{Account, BatchStanding, Conclusion, Operation, PaidProof, SalePaid, Standing};
use purser_purse::pboc::{Attempt, ClaimEvidence};

use crate::flaw::Flaw;
use crate::rule::{Violation, hold};
use crate::world::{Debit, World};

impl World {
    /// Checks the whole world, if anything that the rules look at has changed, and the state of each reader always.
    pub(crate) fn check(&mut self) -> Result<(), Violation> {
        for s in 0..self.shops.len() {
            self.check_purses_are_locked(s)?;
            self.check_cards_are_seen(s)?;
        }
        if !std::mem::take(&mut self.is_dirty) {
            return Ok(());
        }
        for s in 0..self.shops.len() {
            self.check_operations(s)?;
            self.check_books(s)?;
            self.count_ends(s)?;
        }
        self.check_money()?;
        self.check_parties()
    }

    /// Every debit belongs to a sale that does not deny it; every claim has its debit; refunds are owed where they are due.
    fn check_operations(&mut self, s: usize) -> Result<(), Violation> {
        let mut new_claims = Vec::new();
        let shop = &self.shops[s];
        for (index, operation) in shop.store.operations().iter().enumerate() {
            let debit = operation.key().and_then(|key| self.debit(s, key.terminal_sn));
            self.check_operation(s, operation, debit)?;
            let earlier = &shop.store.operations()[..index];
            hold!(
                ReferenceIsOneSale,
                earlier.iter().all(|it| it.reference != operation.reference),
                "{} is two operations",
                operation.reference
            );
            hold!(
                ClaimHasItsDebit,
                operation.key().is_none() || earlier.iter().all(|it| it.key() != operation.key()),
                "two operations have the debit key {:?}",
                operation.key()
            );
            if let (Standing::Paid(paid), false) =
                (&operation.standing, shop.claims_checked.contains(&operation.id))
            {
                self.check_claim(operation, paid, debit)?;
                new_claims.push(operation.id);
            }
        }
        self.shops[s].claims_checked.extend(new_claims);
        Ok(())
    }

    fn check_operation(
        &self,
        s: usize,
        operation: &Operation,
        debit: Option<&Debit>,
    ) -> Result<(), Violation> {
        match (&operation.standing, debit) {
            (Standing::Voided(_) | Standing::Closed(_), Some(debit)) => {
                hold!(
                    NoDebitIsDenied,
                    false,
                    "{} of shop {s} is {:?}, and card {} was debited for it",
                    operation.reference,
                    operation.standing,
                    debit.card
                );
            }
            (Standing::Paid(_), None) => {
                hold!(
                    ClaimHasItsDebit,
                    false,
                    "{} of shop {s} is a claim, and no card was debited for it",
                    operation.reference
                );
            }
            _ => {}
        }
        if let (Standing::Paid(paid), Some(key)) = (&operation.standing, operation.key()) {
            let is_claimed = matches!(paid.proof, PaidProof::Answer | PaidProof::Prove);
            let shop = &self.shops[s];
            hold!(
                Mac2WasChecked,
                !is_claimed || shop.psam.is_none() || shop.mac2_verified.contains(&key.terminal_sn),
                "{} of shop {s} is paid by {:?}, and the PSAM never found its MAC2 right",
                operation.reference,
                paid.proof
            );
            // One that repeats its numbers has other rules to break.
            let could_be_asked = shop.psam.as_ref().is_some_and(|psam| {
                // What was in doubt first may have lost its turn at the PSAM meanwhile.
                let lost = if operation.was_in_doubt {
                    &psam.uncheckable
                } else {
                    &psam.cut
                };
                self.flaw != Flaw::PsamRepeatsNumbers
                    && !lost.contains(&key.terminal_sn)
                    && !shop.mac2_verified.contains(&key.terminal_sn)
            });
            hold!(
                Mac2WasChecked,
                paid.proof != PaidProof::ProveNotCheckable || !could_be_asked,
                "{} of shop {s} is paid by {:?}, and its PSAM had what it needs to check its MAC2",
                operation.reference,
                paid.proof
            );
        }
        let is_due = matches!(operation.standing, Standing::Paid(_))
            && operation.conclusion == Some(Conclusion::Abandoned);
        let owed = operation.refund_owed;
        hold!(
            RefundsAreOwedRightly,
            owed == is_due.then_some(operation.amount),
            "{} is {:?}, concluded {:?}, and owes {owed:?}",
            operation.reference,
            operation.standing,
            operation.conclusion
        );
        Ok(())
    }

    fn check_claim(
        &self,
        operation: &Operation,
        paid: &SalePaid,
        debit: Option<&Debit>,
    ) -> Result<(), Violation> {
        let evidence = ClaimEvidence::decode(paid.evidence.bytes());
        hold!(
            EvidenceVerifies,
            evidence.is_ok(),
            "the evidence of {} cannot be read",
            operation.reference
        );
        let evidence = evidence.expect("it was just seen");
        let attempt = evidence.attempt();
        let intended = operation.intended.as_ref();
        let is_intended = intended.is_some_and(|it| it.attempt.bytes() == attempt.encode());
        let amount = u64::from(attempt.amount.minor());
        hold!(
            EvidenceVerifies,
            is_intended && amount == operation.amount.minor() && paid.amount == operation.amount,
            "the evidence of {} is about another debit",
            operation.reference
        );
        let by_log = paid.proof == PaidProof::LogOnly;
        let verifies = evidence
            .answer()
            .is_some_and(|it| self.issuer_accepts(attempt, it.tac.as_bytes()));
        hold!(
            EvidenceVerifies,
            verifies || (by_log && evidence.answer().is_none()),
            "the issuer does not accept the evidence of {} ({:?})",
            operation.reference,
            paid.proof
        );
        let left = paid.balance_after.map(|it| it.minor());
        hold!(
            EvidenceVerifies,
            left.is_none() || left == debit.map(|it| it.balance_after),
            "the slip of {} says that {left:?} is left",
            operation.reference
        );
        Ok(())
    }

    fn issuer_accepts(&self, attempt: &Attempt, tac: &[u8; 4]) -> bool {
        let purchase = Purchase {
            purse: PurseKind::Ep,
            amount: Minor(attempt.amount.minor()),
            terminal: purser_lab::card::PsamTerminalNumber(*attempt.terminal_number.as_bytes()),
            terminal_sn: TerminalSn(attempt.terminal_sn.value()),
            date: CardDate(*attempt.time.date.as_bytes()),
            time: CardTime(*attempt.time.time.as_bytes()),
        };
        verify_purchase_tac(
            &self.kit.masters,
            Asn(*attempt.asn.as_bytes()),
            &purchase,
            Mac(*tac),
        )
    }

    /// The books balance, and are what the entries add up to.
    fn check_books(&mut self, s: usize) -> Result<(), Violation> {
        let shop = &mut self.shops[s];
        let (written, _) = shop.store.lengths();
        if shop.books_checked == written {
            return Ok(());
        }
        shop.books_checked = written;
        let books = shop.store.books();
        let recounted = shop.store.recounted();
        hold!(
            BooksBalance,
            books.are_balanced() && recounted.as_ref() == Some(books),
            "shop {s} has {books:?}, and its entries make {recounted:?}"
        );
        let sum = |of: fn(&Operation) -> bool| -> u64 {
            let chosen = shop.store.operations().iter().filter(|it| of(it));
            chosen.map(|it| it.amount.minor()).sum()
        };
        let held = |account| books.balance(account, self.kit.currency).minor();
        let claims = sum(|it| matches!(it.standing, Standing::Paid(_)));
        let in_doubt = sum(Operation::is_open);
        let owed = sum(|it| it.refund_owed.is_some());
        let sales = claims + in_doubt - owed;
        // What has left in batches is counted with them.
        let (mut in_batch, mut gone, mut taken_over) = (0, 0, 0);
        for settlement in shop.store.settlements() {
            match &settlement.standing {
                BatchStanding::Sealed => in_batch += settlement.sealed.claims.amount.minor(),
                BatchStanding::Exchanged(end) => {
                    gone += settlement.sealed.claims.amount.minor();
                    taken_over += end.refunds.amount.minor() + end.owe.amount.minor();
                }
                BatchStanding::Voided(_) => {}
            }
        }
        let accounts = [
            Account::Claims,
            Account::InDoubt,
            Account::RefundsOwed,
            Account::Sales,
        ];
        hold!(
            BooksBalance,
            accounts.map(held) == [claims - in_batch - gone, in_doubt, owed - taken_over, sales],
            "shop {s} has {books:?}, and its sales make claims {claims}, in doubt {in_doubt}, owed {owed}"
        );
        Ok(())
    }

    /// Conservation over the whole world: what left each card is what its executed debits were intended for.
    fn check_money(&self) -> Result<(), Violation> {
        for (index, card) in self.cards.iter().enumerate() {
            let mut debited: i128 = 0;
            for debit in self.debits.iter().filter(|debit| debit.card == index) {
                let operations = self.shops[debit.shop].store.operations();
                let by_sn =
                    |it: &&Operation| it.key().is_some_and(|key| key.terminal_sn == debit.terminal_sn);
                let operation = operations.iter().find(by_sn);
                hold!(
                    DebitIsIntended,
                    operation.is_some(),
                    "card {index} was debited at shop {} with terminal SN {}, and nothing tells of it",
                    debit.shop,
                    debit.terminal_sn
                );
                debited += operation.map_or(0, |it| i128::from(it.amount.minor()));
            }
            hold!(
                Conservation,
                card.paid_here() == debited,
                "card {index} lost {} to these shops, whose debits make {debited}",
                card.paid_here()
            );
        }
        Ok(())
    }

    /// A card that no visit holds has no power: a connection stands only while the engine is at something.
    fn check_purses_are_locked(&self, s: usize) -> Result<(), Violation> {
        let shop = &self.shops[s];
        if shop.engine.is_none() || !shop.is_at_rest() {
            return Ok(());
        }
        let waits = |ticket: &crate::pos::Ticket| {
            let through_api = Progress::WaitingForPin {
                tries_left: None,
                through_api: true,
            };
            ticket
                .progress
                .is_some_and(|it| crate::tally::is_alike(it, through_api))
        };
        let is_loading = |load: &crate::parties::LoadTicket| {
            let progress = load.progress;
            // The line is asked again, or the PIN is awaited: the card keeps its power meanwhile.
            matches!(
                progress,
                Some(
                    LoadProgress::Loading
                        | LoadProgress::Voiding
                        | LoadProgress::Resolving
                        | LoadProgress::WaitingForPin {
                            through_api: true,
                            ..
                        }
                )
            )
        };
        let psam = shop.engine.as_ref().and_then(|engine| engine.psam());
        let waits_for_psam = psam.is_some_and(|psam| psam.waiting > 0);
        for device in &shop.devices {
            let Some(card) = device.card else { continue };
            if device.connection.is_some() {
                hold!(
                    PurseIsLocked,
                    waits_for_psam
                        || shop.pos.tickets.iter().any(waits)
                        || shop.pos.loads.iter().any(is_loading),
                    "{:?} of shop {s} holds a card with power, and nobody serves it",
                    device.name
                );
            } else if self.is_dirty {
                let mut probe = self.cards[card].card.clone();
                hold!(
                    PurseIsLocked,
                    probe.process(&[]) == purser_lab::card::CardReply::Torn,
                    "{:?} of shop {s} left its card with power",
                    device.name
                );
            }
        }
        Ok(())
    }

    /// No sale waits for a card that lies in its reader.
    fn check_cards_are_seen(&self, s: usize) -> Result<(), Violation> {
        let shop = &self.shops[s];
        if shop.engine.is_none() || !shop.is_at_rest() {
            return Ok(());
        }
        let waiting = |it: &&crate::pos::Ticket| it.progress == Some(Progress::WaitingForCard);
        for ticket in shop.pos.tickets.iter().filter(waiting) {
            let mut readers = shop.devices.iter().filter(|it| it.is_up && it.card.is_some());
            let unseen = readers.find(|it| ticket.reader.as_ref().is_none_or(|named| *named == it.name));
            hold!(
                NeverHangs,
                unseen.is_none(),
                "{} of shop {s} waits for a card, and one lies in {:?}",
                ticket.reference,
                unseen.map(|it| &it.name)
            );
        }
        Ok(())
    }

    /// Counts each end that an operation came to, once.
    fn count_ends(&mut self, s: usize) -> Result<(), Violation> {
        let shop = &mut self.shops[s];
        let (_, synced) = shop.store.lengths();
        shop.entries_counted = shop.entries_counted.min(synced);
        for operation in shop.store.operations() {
            let number = usize::try_from(operation.head.number).unwrap_or(usize::MAX);
            if number > shop.entries_counted && number <= synced {
                self.tally.operation(operation)?;
                self.tally.conclusion(operation)?;
            }
        }
        shop.entries_counted = synced;
        Ok(())
    }
}
