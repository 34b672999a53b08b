//! A receipt is made by `commit` only.
use purser_ledger::{Head, JournalReceipt, OperationId};

fn main() {
    let _receipt = JournalReceipt { operation: OperationId::new([0; 16]), step: 0, head: Head::EMPTY };
}
