//! An authorised act happens once.
use purser_ledger::Authorised;

fn twice(act: &Authorised<u8>) -> Authorised<u8> {
    act.clone()
}

fn main() {}
