//! The entries of a settlement, and how each moves money.
//!
//! A batch is a range of entries of one currency: every claim, made or presented again, and every refund that became owed, with an
//! entry number in `(after, upto]`. Entries never change, so its items can be made again at any time.
//!
//! ```text
//!  BatchSealed      Claims ─► InBatch
//!  BatchExchanged   InBatch ─► Permits      what the permit is worth
//!                   InBatch ─► Netted       what is paid, less that: the merchant's debt is netted (money rule C1)
//!                   InBatch ─► Held         what is not paid
//!                   InBatch ─► RefundsOwed  refunds of paid claims: the provider owes them now
//!               LateRefunds ─► RefundsOwed  refunds of claims that were paid earlier: the provider owes them, the merchant it
//!  BatchVoided      InBatch ─► Claims
//!  SalePresentedAgain  Held ─► Claims       an entry of the sale: its claim waits for another batch
//! ```

use serde::{Deserialize, Serialize};

use crate::{Account, Amount, Currency, Owner, Transfer};

/// So many items, and what they come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Part {
    /// How many.
    pub count: u32,
    /// Their sum.
    pub amount: Amount,
}

impl Part {
    /// No item.
    pub fn none(currency: Currency) -> Self {
        Self {
            count: 0,
            amount: Amount::zero(currency),
        }
    }
}

/// Content of [`crate::Entry::BatchSealed`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BatchSealed {
    /// Who asked.
    pub owner: Owner,
    /// The entry where the last exchanged batch of this currency ends; 0 before the first.
    pub after: u64,
    /// The last entry of the range.
    pub upto: u64,
    /// How many items it has: claims and late refunds.
    pub count: u32,
    /// The claims.
    pub claims: Part,
    /// What its items owe to buyers, in the same currency.
    pub refunds: Amount,
    /// The canonical bytes of the provider's document (money rule C5).
    #[serde(with = "hex::serde")]
    pub batch: Vec<u8>,
}

/// Content of [`crate::Entry::BatchExchanged`]: the flip of money rule B2.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BatchExchanged {
    /// The claims that are paid, and what is paid for them: their amounts less their refunds.
    pub pay: Part,
    /// Those of them that owe a refund, and the refunds.
    pub refunds: Part,
    /// The claims that are not paid: held, or in dispute.
    pub held: Part,
    /// The late refunds that the provider took over: the merchant owes them.
    pub owe: Part,
    /// The merchant's debt before this batch, as the provider tells it.
    pub debt_before: Amount,
    /// What the permit is worth.
    pub total: Amount,
    /// The merchant's debt after this batch.
    pub debt_after: Amount,
    /// The digest over the final verdicts: it vouches for those that are kept beside the chain (money rule T4).
    #[serde(with = "hex::serde")]
    pub verdicts: [u8; 32],
    /// The canonical bytes of the permit.
    #[serde(with = "hex::serde")]
    pub permit: Vec<u8>,
    /// The provider's signature over it.
    #[serde(with = "hex::serde")]
    pub signature: Vec<u8>,
}

/// Content of [`crate::Entry::BatchVoided`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BatchVoided {
    /// The claims that are free again: all of the batch.
    pub claims: Part,
    /// The canonical bytes of the provider's void.
    #[serde(with = "hex::serde")]
    pub void: Vec<u8>,
    /// The provider's signature over it.
    #[serde(with = "hex::serde")]
    pub signature: Vec<u8>,
}

impl BatchSealed {
    /// The batch's currency.
    pub fn currency(&self) -> Currency {
        self.claims.amount.currency()
    }

    /// True when the range could be one, and holds as many items as it says at most.
    pub(crate) fn is_sound(&self) -> bool {
        self.after < self.upto
            && self.count > 0
            && self.claims.count <= self.count
            && (self.claims.count == 0) == self.claims.amount.is_zero()
            && self.refunds.currency() == self.currency()
    }

    pub(crate) fn transfers(&self) -> Vec<Transfer> {
        moved([(Account::InBatch, Account::Claims, self.claims.amount)])
    }

    pub(crate) fn counts(&self) -> Vec<(Account, i64)> {
        let claims = i64::from(self.claims.count);
        vec![(Account::InBatch, claims), (Account::Claims, -claims)]
    }
}

impl BatchExchanged {
    /// True when this can be the exchange of that batch: every claim is paid or held, no more is refunded than was owed, and
    /// the merchant's debt adds up.
    pub(crate) fn is_of(&self, sealed: &BatchSealed) -> bool {
        let claims = self.pay.count.checked_add(self.held.count) == Some(sealed.claims.count);
        let items = sealed.count.saturating_sub(sealed.claims.count);
        let counts = claims && self.refunds.count <= self.pay.count && self.owe.count <= items;
        let of_claims = self
            .pay
            .amount
            .checked_add(self.refunds.amount)
            .and_then(|paid| paid.checked_add(self.held.amount));
        let refunds = self.refunds.amount.checked_add(self.owe.amount);
        let before = self
            .owe
            .amount
            .checked_add(self.debt_before)
            .and_then(|debt| debt.checked_add(self.total));
        let after = self.pay.amount.checked_add(self.debt_after);
        counts
            && of_claims == Ok(sealed.claims.amount)
            && refunds.is_ok_and(|refunds| sealed.refunds.checked_sub(refunds).is_ok())
            && before.is_ok()
            && before == after
            && (self.total.is_zero() || self.debt_after.is_zero())
    }

    /// What is paid and not in the permit.
    fn kept(&self) -> Amount {
        let kept = self.pay.amount.checked_sub(self.total);
        kept.unwrap_or(Amount::zero(self.total.currency()))
    }

    pub(crate) fn transfers(&self) -> Vec<Transfer> {
        moved([
            (Account::Permits, Account::InBatch, self.total),
            (Account::Netted, Account::InBatch, self.kept()),
            (Account::Held, Account::InBatch, self.held.amount),
            (Account::RefundsOwed, Account::InBatch, self.refunds.amount),
            (Account::RefundsOwed, Account::LateRefunds, self.owe.amount),
        ])
    }

    pub(crate) fn counts(&self) -> Vec<(Account, i64)> {
        let number = |part: Part| i64::from(part.count);
        vec![
            (Account::InBatch, -number(self.pay) - number(self.held)),
            (Account::Permits, i64::from(!self.total.is_zero())),
            (Account::Netted, i64::from(!self.kept().is_zero())),
            (Account::Held, number(self.held)),
            (Account::RefundsOwed, -number(self.refunds) - number(self.owe)),
            (Account::LateRefunds, number(self.owe)),
        ]
    }
}

impl BatchVoided {
    pub(crate) fn transfers(&self) -> Vec<Transfer> {
        moved([(Account::Claims, Account::InBatch, self.claims.amount)])
    }

    pub(crate) fn counts(&self) -> Vec<(Account, i64)> {
        let claims = i64::from(self.claims.count);
        vec![(Account::Claims, claims), (Account::InBatch, -claims)]
    }
}

/// Transfers from (debit, credit, amount), without those of nothing.
fn moved<const N: usize>(parts: [(Account, Account, Amount); N]) -> Vec<Transfer> {
    let transfer = |(debit, credit, amount): (Account, Account, Amount)| Transfer {
        debit,
        credit,
        amount,
    };
    let parts = parts.into_iter().filter(|(_, _, amount)| !amount.is_zero());
    parts.map(transfer).collect()
}
