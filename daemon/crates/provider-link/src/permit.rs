//! The provider's right to pull a batch's total (S34).

use std::fmt;

use purser_ledger::{Amount, AmountError, Currency};

use crate::codec::{DecodeError, Document, Reader, Writer, digest_of};
use crate::id::{BankAccount, BankTerminalId, Digest, PermitId, TerminalName};
use crate::verdict::Decision;

/// The longest token sealed for the bank: fits the private field of one bank message.
pub const SEALED_TOKEN_BYTES_MAX: usize = 512;

/// What a batch's verdicts come to, and how the merchant's debt is netted: never a negative permit (money rule C1).
///
/// `pay + debt_after = total + owe + debt_before`, and one of `total` and `debt_after` is zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Sum {
    /// The sum of the verdicts that pay.
    pub pay: Amount,
    /// The sum of the verdicts that owe.
    pub owe: Amount,
    /// The merchant's debt before this batch.
    pub debt_before: Amount,
    /// What the permit lets the terminal pull.
    pub total: Amount,
    /// The merchant's debt after this batch.
    pub debt_after: Amount,
}

/// Why verdicts do not add up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SumError {
    /// A verdict is in another currency than the batch.
    #[error("a verdict is in another currency than its batch")]
    OtherCurrency,
    /// The sum exceeds what an amount can hold.
    #[error("the verdicts' sum is too large")]
    TooLarge,
}

impl SumError {
    /// False: the same verdicts give the same answer.
    pub fn is_transient(self) -> bool {
        match self {
            Self::OtherCurrency | Self::TooLarge => false,
        }
    }
}

impl From<AmountError> for SumError {
    fn from(error: AmountError) -> Self {
        match error {
            AmountError::CurrencyMismatch | AmountError::NotACurrency => Self::OtherCurrency,
            AmountError::TooLarge | AmountError::BelowZero => Self::TooLarge,
        }
    }
}

impl Sum {
    /// Of no verdict yet, with the debt that the merchant brings along.
    pub fn begin(debt_before: Amount) -> Self {
        let zero = Amount::zero(debt_before.currency());
        Self {
            pay: zero,
            owe: zero,
            debt_before,
            total: zero,
            debt_after: debt_before,
        }
    }

    /// With one more verdict.
    ///
    /// # Errors
    /// [`SumError`]: the verdict cannot be part of this sum; a provider that says so is not believed.
    pub fn with(self, decision: Decision) -> Result<Self, SumError> {
        let (pay, owe) = match decision {
            Decision::Pay(amount) => (self.pay.checked_add(amount)?, self.owe),
            Decision::Owe(amount) => (self.pay, self.owe.checked_add(amount)?),
            Decision::Hold(_) | Decision::Dispute(_) => (self.pay, self.owe),
        };
        Self::net(pay, owe, self.debt_before)
    }

    pub(crate) fn net(pay: Amount, owe: Amount, debt_before: Amount) -> Result<Self, SumError> {
        let debt = debt_before.checked_add(owe)?;
        let zero = Amount::zero(pay.currency());
        let (total, debt_after) = match pay.checked_sub(debt) {
            Ok(total) => (total, zero),
            Err(AmountError::BelowZero) => (zero, debt.checked_sub(pay)?),
            Err(error) => return Err(error.into()),
        };
        Ok(Self {
            pay,
            owe,
            debt_before,
            total,
            debt_after,
        })
    }
}

/// A permit. Signed by the provider over [`encode`](Self::encode).
///
/// A permit of nothing (all claims refused, or all netted) has no token: it closes its batch, and no bank is asked.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Permit {
    /// Its number, the same in every generation.
    pub id: PermitId,
    /// 1 when first issued, one more each time that it is issued again (money rule B4).
    pub generation: u32,
    /// The batch's digest.
    pub batch: Digest,
    /// The digest over the batch's final verdicts.
    pub verdicts: Digest,
    /// What they come to.
    pub sum: Sum,
    /// The terminal that may present it (money rule K2).
    pub presenter: TerminalName,
    /// The bank terminal id that the bank must see: it implies the account that is credited.
    pub bank_terminal: BankTerminalId,
    /// The provider's account that is debited: the one that was pinned at enrolment (money rule T4).
    pub account: BankAccount,
    /// The end of its validity, in seconds since 1970-01-01 00:00:00 UTC.
    pub expires_unix_seconds: i64,
    /// The token that only the bank can open (money rule B1). Empty exactly when the total is zero.
    pub sealed_token: Vec<u8>,
}

impl fmt::Debug for Permit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Permit({} generation {}, {} for {:?}, token of {} bytes)",
            self.id,
            self.generation,
            self.sum.total,
            self.presenter,
            self.sealed_token.len()
        )
    }
}

impl Permit {
    /// The canonical bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::new(Document::Permit);
        writer
            .fixed(&self.id.0)
            .u32(self.generation)
            .fixed(&self.batch.0)
            .fixed(&self.verdicts.0)
            .currency(self.sum.total.currency())
            .u64(self.sum.pay.minor())
            .u64(self.sum.owe.minor())
            .u64(self.sum.debt_before.minor())
            .u64(self.sum.total.minor())
            .u64(self.sum.debt_after.minor())
            .text(self.presenter.as_str())
            .fixed(self.bank_terminal.as_bytes())
            .fixed(self.account.digits())
            .i64(self.expires_unix_seconds)
            .sized(&self.sealed_token);
        writer.finish()
    }

    /// Reads what [`encode`](Self::encode) wrote, and nothing else. The arithmetic is checked.
    ///
    /// # Errors
    /// [`DecodeError`] says what is wrong; keep the claims, do not believe the permit, ask for it again.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(Document::Permit, bytes)?;
        let id = PermitId(reader.fixed()?);
        let generation = reader.u32()?;
        if generation == 0 {
            return Err(reader.wrong("generation"));
        }
        let batch = reader.digest()?;
        let verdicts = reader.digest()?;
        let currency = reader.currency()?;
        let sum = sum(&mut reader, currency)?;
        let presenter = reader.text("presenter")?;
        let presenter = TerminalName::new(presenter).map_err(|_| reader.wrong("presenter"))?;
        let bank_terminal = reader.fixed()?;
        let bank_terminal =
            BankTerminalId::new(bank_terminal).map_err(|_| reader.wrong("bank terminal id"))?;
        let account = reader.fixed()?;
        let account = BankAccount::new(account).map_err(|_| reader.wrong("account"))?;
        let expires_unix_seconds = reader.i64()?;
        let sealed_token = reader.sized()?.to_vec();
        if sealed_token.len() > SEALED_TOKEN_BYTES_MAX || sealed_token.is_empty() != sum.total.is_zero() {
            return Err(reader.wrong("sealed token"));
        }
        reader.finish()?;
        Ok(Self {
            id,
            generation,
            batch,
            verdicts,
            sum,
            presenter,
            bank_terminal,
            account,
            expires_unix_seconds,
            sealed_token,
        })
    }

    /// SHA-256 over the canonical bytes: what the bank leg carries.
    pub fn digest(&self) -> Digest {
        digest_of(&[&self.encode()])
    }
}

fn sum(reader: &mut Reader<'_>, currency: Currency) -> Result<Sum, DecodeError> {
    let told = Sum {
        pay: reader.amount(currency, "sum of what is paid")?,
        owe: reader.amount(currency, "sum of what is owed")?,
        debt_before: reader.amount(currency, "debt before")?,
        total: reader.amount(currency, "total")?,
        debt_after: reader.amount(currency, "debt after")?,
    };
    match Sum::net(told.pay, told.owe, told.debt_before) {
        Ok(sum) if sum == told => Ok(told),
        Ok(_) | Err(_) => Err(reader.wrong("total: the sums do not add up")),
    }
}
