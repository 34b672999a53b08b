//! What a till and a buyer do in every sale.

use std::io;

use purser_api::model::{Entry, Sale, Slip};
use purser_lab::issuer::LAB_PIN;
use purser_lab::stack::{Buyer, CURRENCY, READER};

use super::DemoError;
use super::story::{Story, unexpected};

impl Story<'_, '_> {
    pub(super) fn press_sale_key(&mut self, reference: &str, minor: u64) -> Result<(), DemoError> {
        let begun = self.till.begin_sale(reference, minor)?;
        if begun.standing != "new" {
            return Err(unexpected("a new sale was taken for an old one:", &begun.sale));
        }
        self.show.step(
            "S20",
            &format!("the sale key is pressed, reference {reference}; the card is put into {READER}"),
        )?;
        Ok(())
    }

    /// The buyer stays at the pad: whoever is asked for a PIN again types it again.
    pub(super) fn type_pin(&mut self) -> Result<Buyer, DemoError> {
        let mut finger = self.stack.typist()?;
        self.card.insert();
        let asked = finger.wait_for_prompt()?;
        finger.enter(LAB_PIN)?;
        self.show.step(
            "S21",
            &format!(
                "the PIN pad shows {} {CURRENCY}; the right PIN unlocks the e-money",
                asked.amount_minor.unwrap_or_default()
            ),
        )?;
        Ok(finger.keep_entering(LAB_PIN)?)
    }

    /// The rest of a sale that nothing disturbs.
    pub(super) fn paid(&mut self, reference: &str) -> Result<Sale, DemoError> {
        let sale = self.till.wait_for_end(reference)?;
        if sale.outcome != "paid" {
            return Err(unexpected("a sale with the right PIN:", &sale));
        }
        let intent = self.entry(reference, "sale_intended")?;
        self.show.step(
            "S22",
            &format!(
                "entry {} is durable: counters, challenge and amount of the debit that comes [rule 1, P6]",
                intent.number
            ),
        )?;
        self.show
            .step("S23", "the card subtracts the price and answers with its proof")?;
        self.took(&sale)
    }

    /// S24, and the slip.
    pub(super) fn took(&mut self, sale: &Sale) -> Result<Sale, DemoError> {
        let claim = self.entry(&sale.reference, "sale_paid")?;
        self.show.step(
            "S24",
            &format!(
                "entry {}: amount and evidence, a pair, are one claim (known by: {}). Access is locked, the card is \
                 returned [P4]",
                claim.number,
                claim.reason.as_deref().unwrap_or_default()
            ),
        )?;
        self.card.remove();
        let Some(slip) = &sale.slip else {
            return Err(unexpected("a paid sale has no slip:", sale));
        };
        self.print(slip)?;
        Ok(sale.clone())
    }

    fn print(&mut self, slip: &Slip) -> io::Result<()> {
        let (number, digest) = slip.head.split_once(':').unwrap_or_default();
        let row = |name: &str, value: String| vec![name.to_owned(), value];
        let left = slip.balance_after.as_ref().map_or_else(
            || "its proof does not tell what is left on it".to_owned(),
            |left| format!("{} {} are left on it", left.minor, left.currency),
        );
        self.show.step(
            "slip",
            &format!("PAID {} {}", slip.amount.minor, slip.amount.currency),
        )?;
        self.show.table(
            &[],
            &[
                row("card", format!("{}, {left}", slip.card)),
                row(
                    "terminal",
                    format!("{}, serial number {}", slip.terminal_number, slip.terminal_sn),
                ),
                row(
                    "head",
                    format!("{number}:{}...", digest.get(..16).unwrap_or(digest)),
                ),
            ],
        )
    }

    pub(super) fn entry(&mut self, reference: &str, kind: &str) -> Result<Entry, DemoError> {
        let found = self
            .till
            .call(async |purser| purser.whereabouts(reference).await)?;
        let entry = found.entries.into_iter().find(|entry| entry.kind == kind);
        entry.ok_or_else(|| unexpected("an entry is missing:", &found.sale))
    }
}
