//! A receipt lets one act happen, so looking at one does not give another.
use purser_ledger::JournalReceipt;

fn take(receipt: &JournalReceipt) -> JournalReceipt {
    *receipt
}

fn main() {}
