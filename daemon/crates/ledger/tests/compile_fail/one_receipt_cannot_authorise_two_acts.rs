//! A receipt is spent by the act that it authorises.
use purser_ledger::{Authorised, JournalReceipt};

fn two(receipt: JournalReceipt) -> [Authorised<u8>; 2] {
    [receipt.authorise(1), receipt.authorise(2)]
}

fn main() {}
