//! There is no receipt for nothing.
use purser_ledger::JournalReceipt;

fn main() {
    let _receipt = JournalReceipt::default();
}
