//! What happens in the demo: one shop, one card, three sales, a purchase that the purse cannot pay, one kill, and a settlement.

use std::time::Instant;

use purser_api::model::{Load, Sale};
use purser_lab::card::{Card, Fault, Minor, ScriptedFault, instruction};
use purser_lab::issuer::LAB_PIN;
use purser_lab::stack::{CURRENCY, PATIENCE, ProviderHost, Stack, StackError, Till};
use purser_lab::vpcd::{CardThread, Place};

use super::DemoError;
use super::settle::Settled;
use super::show::Show;

/// What the card is loaded with: all the money in the world.
pub(super) const ISSUED: Minor = Minor(10_000);
/// The three sales, and one that is dearer than the purse is full.
const COFFEE: u64 = 300;
const LUNCH: u64 = 1_200;
const PAPER: u64 = 450;
const TELEVISION: u64 = 50_000;
/// Not the card's PIN.
const WRONG_PIN: &str = "654321";

/// The demo while it runs.
pub(super) struct Story<'a, 'b> {
    pub(super) show: &'a mut Show<'b>,
    pub(super) stack: &'a mut Stack,
    pub(super) till: Till,
    pub(super) card: CardThread,
}

/// What the demo leaves behind.
pub(super) struct Told {
    /// The card, out of the reader.
    pub(super) card: CardThread,
    /// The load as it was told last.
    pub(super) loaded: Load,
    /// Every sale as it was told last.
    pub(super) sales: Vec<Sale>,
    /// What became of their claims.
    pub(super) settled: Settled,
}

impl<'a, 'b> Story<'a, 'b> {
    /// Sets the scene.
    pub(super) fn begin(show: &'a mut Show<'b>, stack: &'a mut Stack, card: Card) -> Result<Self, DemoError> {
        let card = stack.put_card("buyer.card", card, stack.layout().reader)?;
        Ok(Self {
            till: stack.till()?,
            show,
            stack,
            card,
        })
    }

    /// Plays everything.
    pub(super) fn play(mut self, provider: &ProviderHost, loaded: Load) -> Result<Told, DemoError> {
        let first = self.with_a_wrong_pin()?;
        self.repeat(&first)?;
        let second = self.torn()?;
        let third = self.plain()?;
        let declined = self.too_dear()?;
        let settled = self.settle(provider)?;
        Ok(Told {
            card: self.card,
            loaded,
            sales: vec![first, second, third, declined],
            settled,
        })
    }

    fn with_a_wrong_pin(&mut self) -> Result<Sale, DemoError> {
        let reference = "demo-1";
        self.show.heading(&format!(
            "Sale 1: {COFFEE} {CURRENCY}. The buyer mistypes the PIN once."
        ))?;
        self.press_sale_key(reference, COFFEE)?;
        self.card.insert();
        let mut finger = self.stack.typist()?;
        let asked = finger.wait_for_prompt()?;
        let shown = asked.amount_minor.unwrap_or_default();
        finger.enter(WRONG_PIN)?;
        let again = finger.wait_for_prompt()?;
        let left = again.tries_left.unwrap_or_default();
        self.show.step(
            "S21",
            &format!(
                "the PIN pad shows {shown} {CURRENCY}; a wrong PIN: the card refuses it, {left} tries are left. \
                 Nobody but the buyer tries again [P2]"
            ),
        )?;
        finger.enter(LAB_PIN)?;
        let _buyer = finger.keep_entering(LAB_PIN)?;
        self.show.step("", "the right PIN unlocks the e-money")?;
        self.paid(reference)
    }

    /// The POS lost the answer, or somebody pressed the key twice.
    fn repeat(&mut self, first: &Sale) -> Result<(), DemoError> {
        self.show
            .heading("The same reference again. The POS may have lost the answer.")?;
        let before = self.card.status().ep;
        self.card.insert();
        let again = self.till.begin_sale(&first.reference, first.amount.minor)?;
        if again.standing != "completed" || again.sale != *first {
            return Err(unexpected("the repeat of a completed sale", &again.sale));
        }
        self.show.step(
            "repeat",
            &format!(
                "{} over {COFFEE} {CURRENCY} is told apart: {}, {}, with the first slip; the card in the reader keeps \
                 its {before} {CURRENCY} [rule 2]",
                first.reference, again.standing, again.sale.outcome
            ),
        )?;
        let other = self.till.begin_sale(&first.reference, first.amount.minor + 1);
        let refusal = other.as_ref().err().and_then(StackError::refusal);
        let Some(refusal) = refusal else {
            return Err(unexpected("a repeat over another amount", first));
        };
        self.show
            .step("", &format!("over another amount it is refused: {refusal}"))?;
        self.card.remove();
        if self.card.status().ep != before {
            return Err(unexpected("a repeat debited the card again:", first));
        }
        Ok(())
    }

    fn torn(&mut self) -> Result<Sale, DemoError> {
        let reference = "demo-2";
        self.show.heading(&format!(
            "Sale 2: {LUNCH} {CURRENCY}. The card is pulled out in the middle of its debit; then purserd is killed."
        ))?;
        self.card
            .script(ScriptedFault::next(instruction::DEBIT, Fault::TearAfterExecute));
        self.press_sale_key(reference, LUNCH)?;
        let buyer = self.type_pin()?;
        let doubt = self.till.wait_for_outcome(reference, "in_doubt")?;
        buyer.step_away();
        if !self.card.wait_until(Place::Away, PATIENCE) {
            return Err(unexpected("the card was not torn:", &doubt));
        }
        let intent = self.entry(reference, "sale_intended")?;
        self.show.step(
            "S22",
            &format!(
                "entry {} is durable: counters, challenge and amount of the debit that comes [rule 1, P6]",
                intent.number
            ),
        )?;
        self.show.step(
            "S23",
            "the card subtracts, and leaves the reader before its answer arrives",
        )?;
        self.show.step(
            "",
            &format!(
                "told to the POS: {} ({}). Not paid, not unpaid: nothing is guessed, nothing is sent twice [P2]",
                doubt.outcome,
                doubt.reason.as_deref().unwrap_or_default()
            ),
        )?;
        self.kill(&doubt)?;
        self.card.insert();
        let sale = self.till.wait_for_outcome(reference, "paid")?;
        self.show.step(
            "S23",
            "the card returns, and Purser asks it by itself: its counter moved by one, and its proof of that debit \
             verifies for our challenge. No PIN, no second debit [P1]",
        )?;
        self.took(&sale)
    }

    /// Ends purserd as a failure of power would.
    fn kill(&mut self, doubt: &Sale) -> Result<(), DemoError> {
        let id = self.stack.purserd_id().unwrap_or_default();
        self.stack.kill();
        let started = Instant::now();
        self.stack.start_again()?;
        self.till = self.stack.till()?;
        let found = self.till.attach(&doubt.reference)?;
        if found.outcome != doubt.outcome || found.entry.is_none() {
            return Err(unexpected("after the restart", &found));
        }
        self.show.step(
            "kill -9",
            &format!(
                "purserd (process {id}) is killed and started again; a reader works after {} ms. The journal still says: \
                 {} is {} [rule 3]",
                started.elapsed().as_millis(),
                found.reference,
                found.outcome
            ),
        )?;
        Ok(())
    }

    fn plain(&mut self) -> Result<Sale, DemoError> {
        let reference = "demo-3";
        self.show
            .heading(&format!("Sale 3: {PAPER} {CURRENCY}. Nothing happens to it."))?;
        self.press_sale_key(reference, PAPER)?;
        let _buyer = self.type_pin()?;
        self.paid(reference)
    }

    fn too_dear(&mut self) -> Result<Sale, DemoError> {
        let reference = "demo-4";
        self.show.heading(&format!(
            "Sale 4: {TELEVISION} {CURRENCY}. More than the purse holds."
        ))?;
        self.press_sale_key(reference, TELEVISION)?;
        let buyer = self.type_pin()?;
        let sale = self.till.wait_for_outcome(reference, "not_paid")?;
        buyer.step_away();
        self.card.remove();
        if sale.reason.as_deref() != Some("insufficient_funds") {
            return Err(unexpected("a sale that the purse cannot pay:", &sale));
        }
        self.show.step(
            "declined",
            &format!(
                "insufficient_funds: {}. Nothing was debited, and access is locked [P4]",
                sale.cause.as_deref().unwrap_or_default()
            ),
        )?;
        Ok(sale)
    }
}

pub(super) fn unexpected(what: &'static str, sale: &Sale) -> DemoError {
    DemoError::Unexpected {
        what,
        sale: Box::new(sale.clone()),
    }
}
