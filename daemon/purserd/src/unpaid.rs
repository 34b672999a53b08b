//! The claims that a batch left unpaid, over the journal's reader: from its signed verdicts, and the sales as they stand now.
//! Blocks, and holds a page at a time.

use std::path::Path;

use purser_engine::settlement::items::item;
use purser_engine::settlement::{FindUnpaid, NotUnpaid, Settleable, Unpaid, is_exchanged};
use purser_journal::{OpenError, ReadError, Reader};
use purser_ledger::{AnyOperation, Operation, Settlement};
use purser_provider_link::{Decision, Item, Reason, Verdict};

use crate::verbs::chain;

/// Entries, and verdicts, that are read at once.
const READ_MAX: u32 = 1_000;

/// Why there is nothing to tell. The log has the cause, whoever asked the name.
#[derive(Debug, thiserror::Error)]
enum Fault {
    #[error(transparent)]
    Not(#[from] NotUnpaid),
    #[error("the journal cannot be opened to read")]
    Open(#[from] OpenError),
    #[error("the journal cannot be read")]
    Read(#[from] ReadError),
}

impl Fault {
    fn told(&self) -> NotUnpaid {
        match self {
            Self::Not(why) => *why,
            Self::Open(error) if error.is_transient() => NotUnpaid::NotRead,
            Self::Read(error) if error.is_transient() => NotUnpaid::NotRead,
            Self::Open(_) | Self::Read(_) => NotUnpaid::Damaged,
        }
    }
}

/// Looks for them. Reads the batch from its beginning: its items have no places but their order. A sale that cannot be read as it
/// stands now is left out; other damage ends the look before it, and never keeps what is in front of it. Either is told as more.
///
/// # Errors
/// [`NotUnpaid`]: tell whoever asked.
pub fn find(state_dir: &Path, asked: FindUnpaid) -> Result<Unpaid, NotUnpaid> {
    let found = look(state_dir, asked);
    found.map_err(|fault| {
        if !matches!(fault, Fault::Not(_)) {
            let cause = chain(&fault);
            tracing::error!(batch = %asked.batch, cause, "the batch's unpaid claims cannot be read");
        }
        fault.told()
    })
}

fn look(state_dir: &Path, asked: FindUnpaid) -> Result<Unpaid, Fault> {
    let reader = Reader::open(state_dir)?;
    let settlement = match reader.operation_by_id(asked.batch)? {
        Some(AnyOperation::Settlement(settlement)) => settlement,
        Some(AnyOperation::Sale(_) | AnyOperation::Load(_)) | None => {
            return Err(NotUnpaid::UnknownBatch.into());
        }
    };
    is_exchanged(&settlement)?;
    // Nothing about money is read from verdicts that the record chain does not vouch for.
    if !reader.are_verdicts_whole(&settlement)? {
        return Err(NotUnpaid::Damaged.into());
    }
    let mut look = Look {
        reader,
        asked,
        unpaid: Unpaid {
            currency: settlement.currency(),
            sales: Vec::new(),
            has_more: false,
        },
        place: 0,
        damage: None,
    };
    match look.walk(&settlement) {
        Ok(()) => {}
        Err(Fault::Read(error)) if error.is_damage() && !look.unpaid.sales.is_empty() => {
            let cause = chain(&error);
            tracing::error!(batch = %asked.batch, cause, "unpaid claims behind a damaged payment are left");
            look.unpaid.has_more = true;
        }
        Err(fault) => return Err(fault),
    }
    if let Some(damage) = look.damage {
        if look.unpaid.sales.is_empty() {
            return Err(damage.into());
        }
        look.unpaid.has_more = true;
    }
    if asked.place.is_some() && look.unpaid.sales.is_empty() {
        return Err(NotUnpaid::NoClaimThere.into());
    }
    Ok(look.unpaid)
}

struct Look {
    reader: Reader,
    asked: FindUnpaid,
    unpaid: Unpaid,
    /// Of the item that comes next.
    place: u32,
    /// The first sale's that was left out.
    damage: Option<ReadError>,
}

impl Look {
    fn walk(&mut self, settlement: &Settlement) -> Result<(), Fault> {
        let (currency, begin, upto) = (
            settlement.currency(),
            settlement.sealed.after,
            settlement.sealed.upto,
        );
        let mut after = begin;
        loop {
            let page = self.reader.settleable(currency, after, upto, READ_MAX)?;
            let Some((last, _)) = page.last() else {
                return Ok(());
            };
            after = *last;
            let first = self.place;
            let verdicts = self.reader.verdicts(self.asked.batch, first, READ_MAX)?;
            for (entry, operation) in page {
                let settleable = Settleable { entry, operation };
                let made = item(&settleable, begin).map_err(|_| NotUnpaid::Damaged)?;
                let Some(made) = made else { continue };
                let index = usize::try_from(self.place - first).unwrap_or(usize::MAX);
                let signed = verdicts.get(index).ok_or(NotUnpaid::Damaged)?;
                let verdict = Verdict::decode(&signed.bytes).map_err(|_| NotUnpaid::Damaged)?;
                if (verdict.place, verdict.item) != (self.place, made.digest()) {
                    return Err(NotUnpaid::Damaged.into());
                }
                if self.take(&settleable, &made, verdict.decision)? {
                    return Ok(());
                }
                self.place = self.place.saturating_add(1);
            }
        }
    }

    /// Takes the item at the next place; true when no further one is wanted.
    fn take(&mut self, settleable: &Settleable, made: &Item, decision: Decision) -> Result<bool, Fault> {
        let is_named = self.asked.place == Some(self.place);
        if self.asked.place.is_some() && !is_named {
            return Ok(false);
        }
        let refusal = match (made, decision) {
            (Item::LateRefund(_), _) => Some(NotUnpaid::NoClaimThere),
            // What the provider has paid before it was asked again is paid: a refund of it is settled alone, and a claim that is
            // presented again would take the refund with it and never be paid.
            (Item::Claim(_), Decision::Pay(_) | Decision::Owe(_) | Decision::Hold(Reason::AlreadyPaid)) => {
                Some(NotUnpaid::Paid)
            }
            (Item::Claim(_), Decision::Hold(_) | Decision::Dispute(_)) => None,
        };
        let sale = match refusal.map_or_else(|| self.still_unpaid(settleable), |_| Ok(None)) {
            Err(Fault::Read(error)) if error.is_damage() && !is_named => {
                let (batch, place, cause) = (self.asked.batch, self.place, chain(&error));
                tracing::error!(%batch, place, cause, "an unpaid claim of a damaged payment is left out");
                self.damage.get_or_insert(error);
                return Ok(false);
            }
            found => found?,
        };
        match sale {
            Some(_)
                if self.unpaid.sales.len()
                    >= usize::try_from(self.asked.claims_max).unwrap_or(usize::MAX) =>
            {
                self.unpaid.has_more = true;
                Ok(true)
            }
            Some(sale) => {
                self.unpaid.sales.push(sale);
                Ok(is_named)
            }
            None if is_named => Err(refusal.unwrap_or(NotUnpaid::PresentedBefore).into()),
            None => Ok(false),
        }
    }

    /// The sale as it stands now; none where its claim was presented again since.
    fn still_unpaid(&self, settleable: &Settleable) -> Result<Option<Operation>, Fault> {
        let found = self.reader.operation_by_id(settleable.operation.id)?;
        let sale = found
            .and_then(AnyOperation::into_sale)
            .ok_or(NotUnpaid::Damaged)?;
        Ok((sale.claim_entry == Some(settleable.entry)).then_some(sale))
    }
}
