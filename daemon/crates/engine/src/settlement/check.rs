//! What the engine checks of a provider's answer before anything of it is recorded.

use purser_ledger::{BatchExchanged, BatchVoided, Entry};
use purser_provider_link::{BatchId, BatchVoid, Digest, Judged, Permit};

use super::{ProviderFailure, SealedBatch, SettleAnswer};
use crate::Engine;

fn refused(name: &'static str, text: &str) -> ProviderFailure {
    ProviderFailure {
        name,
        is_transient: false,
        text: text.to_owned(),
    }
}

impl Engine {
    /// The entry that ends a sealed batch with this answer.
    pub(super) fn ending(
        &self,
        sealed: &SealedBatch,
        answer: SettleAnswer,
    ) -> Result<Entry, ProviderFailure> {
        let entry = match answer {
            SettleAnswer::Permit {
                permit,
                signature,
                judged,
            } => {
                self.check_permit(sealed.digest, &permit, judged)?;
                Entry::BatchExchanged(exchanged(&permit, signature, judged))
            }
            SettleAnswer::Void { void, signature } => {
                check_void(sealed, &void)?;
                Entry::BatchVoided(BatchVoided {
                    claims: sealed.settlement.sealed.claims,
                    void: void.encode(),
                    signature,
                })
            }
        };
        if sealed.settlement.admits(&entry) {
            Ok(entry)
        } else {
            Err(refused(
                "permit_of_other_sum",
                "the permit's sums are not those of the batch that was sealed",
            ))
        }
    }

    fn check_permit(&self, batch: Digest, permit: &Permit, judged: Judged) -> Result<(), ProviderFailure> {
        if permit.batch != batch {
            return Err(refused("permit_of_other_batch", "the permit is another batch's"));
        }
        if judged.permit() != permit.digest() {
            return Err(refused(
                "verdicts_of_other_permit",
                "the verdicts were counted for another permit",
            ));
        }
        let enrolled = self.config.provider.as_ref();
        if enrolled.is_none_or(|enrolled| permit.presenter != enrolled.terminal) {
            return Err(refused(
                "permit_of_other_terminal",
                "the permit is for another terminal to present",
            ));
        }
        if enrolled.is_none_or(|enrolled| !enrolled.accounts.contains(&permit.account)) {
            return Err(refused(
                "permit_of_other_account",
                "the permit is on an account that was not pinned at enrolment",
            ));
        }
        let present = self.present();
        // A permit of nothing is presented to nobody: it only closes its batch.
        let is_used = !permit.sum.total.is_zero();
        if is_used && present.trusted && permit.expires_unix_seconds <= present.unix_seconds {
            return Err(refused(
                "permit_expired",
                "the permit has expired; the provider can issue it again",
            ));
        }
        Ok(())
    }
}

fn check_void(sealed: &SealedBatch, void: &BatchVoid) -> Result<(), ProviderFailure> {
    let id = BatchId(*sealed.settlement.id.bytes());
    if (void.batch_id, void.batch) == (id, sealed.digest) {
        Ok(())
    } else {
        Err(refused("void_of_other_batch", "the void is another batch's"))
    }
}

fn exchanged(permit: &Permit, signature: Vec<u8>, judged: Judged) -> BatchExchanged {
    BatchExchanged {
        pay: judged.pay(),
        refunds: judged.refunds(),
        held: judged.held(),
        owe: judged.owe(),
        debt_before: permit.sum.debt_before,
        total: permit.sum.total,
        debt_after: permit.sum.debt_after,
        verdicts: permit.verdicts.0,
        permit: permit.encode(),
        signature,
    }
}
