//! Drop-in order: what a later file says wins, key by key.

use super::file::File;

impl File {
    /// This file with each key that `later` sets taken from there. In tables whose keys the operator chooses (`issuers`,
    /// `pin.free_up_to`, `pin.pads`, `limits.amount_max`, `limits.total_max`) each entry counts as a key: a later file adds to them or replaces single entries.
    pub(super) fn overlaid_with(mut self, later: Self) -> Self {
        take(
            &mut self.terminal.psam_terminal_number,
            later.terminal.psam_terminal_number,
        );
        take(&mut self.purse.aid, later.purse.aid);
        take(&mut self.purse.purse, later.purse.purse);
        self.issuers.extend(later.issuers);
        take(&mut self.pin.through_api, later.pin.through_api);
        self.pin.free_up_to.extend(later.pin.free_up_to);
        self.pin.pads.extend(later.pin.pads);
        take(&mut self.timeouts.card_wait_ms, later.timeouts.card_wait_ms);
        take(&mut self.timeouts.pin_wait_ms, later.timeouts.pin_wait_ms);
        take(&mut self.sam.credential, later.sam.credential);
        take(&mut self.sam.psam, later.sam.psam);
        take(&mut self.journal.reserve_mib, later.journal.reserve_mib);
        self.limits.amount_max.extend(later.limits.amount_max);
        take(&mut self.limits.count_max, later.limits.count_max);
        self.limits.total_max.extend(later.limits.total_max);
        take(&mut self.limits.age_max_hours, later.limits.age_max_hours);
        take(&mut self.limits.warn_percent, later.limits.warn_percent);
        take(&mut self.provider.address, later.provider.address);
        take(&mut self.provider.authority, later.provider.authority);
        take(&mut self.provider.name, later.provider.name);
        take(&mut self.provider.mode, later.provider.mode);
        take(&mut self.provider.listen, later.provider.listen);
        take(&mut self.provider.answer_ms, later.provider.answer_ms);
        take(&mut self.provider.call_back_ms, later.provider.call_back_ms);
        take(&mut self.provider.settle_at, later.provider.settle_at);
        take(
            &mut self.provider.settle_spread_minutes,
            later.provider.settle_spread_minutes,
        );
        take(
            &mut self.provider.settle_near_limits,
            later.provider.settle_near_limits,
        );
        take(
            &mut self.provider.parameters_seconds,
            later.provider.parameters_seconds,
        );
        take(&mut self.bus.bus, later.bus.bus);
        self
    }
}

fn take<T>(earlier: &mut Option<T>, later: Option<T>) {
    if later.is_some() {
        *earlier = later;
    }
}
