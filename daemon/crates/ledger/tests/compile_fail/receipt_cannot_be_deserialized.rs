//! No text becomes a receipt.
use purser_ledger::JournalReceipt;

fn main() {
    let _receipt: JournalReceipt = serde_json::from_str("{}").unwrap();
}
