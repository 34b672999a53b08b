//! What was stored is told by `find` only.
use purser_ledger::{Operation, Stored};

fn told(operation: Operation) -> Stored<Operation> {
    Stored(operation)
}

fn main() {}
