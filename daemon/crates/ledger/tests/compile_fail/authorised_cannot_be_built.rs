//! Only a receipt, or what was read from the durable store, authorises.
use purser_ledger::Authorised;

fn main() {
    let _authorised = Authorised("an act");
}
