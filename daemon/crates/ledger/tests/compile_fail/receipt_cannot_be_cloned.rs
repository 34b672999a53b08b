//! A receipt lets one act happen, so there is no second one.
use purser_ledger::JournalReceipt;

fn twice(receipt: &JournalReceipt) -> [JournalReceipt; 2] {
    [receipt.clone(), receipt.clone()]
}

fn main() {}
