//! Attacks on a running provider, over real TLS. Each is refused by its own name and leaves the books as they were.
//!
//! One server takes all of them. Each attacker has a terminal of its own, so that what is done about one does not hide what
//! would be done about the next. What an attack needs to be possible at all (a claim that is paid, a load that is released) is
//! honest and counted before the attack.
//!
//! Two attacks are not the server's to refuse, because it is the server that would have to make them: a permit that has
//! expired and one for another total. The terminal checks both against what it keeps, and the bank against the token.

mod batches;
mod call_backs;
mod claims;
mod doors;
mod loads;

use purser_provider_link::{Batch, Claim, Decision, Item, Verdict};
use serde_json::{Value, json};

use crate::client::{Identity, TlsLine};
use crate::settling::{Shop, announced, send};
use crate::shop::{Customer, seal_at};
use crate::support::CARD;

/// What is tried, the name of its refusal, and how.
type Attack = (&'static str, &'static str, fn(&mut World) -> String);

/// The provider that is attacked.
struct World {
    shop: Shop,
    terminals: u8,
    batches: u8,
    /// `liability` after the last honest step.
    books: Vec<Value>,
}

/// A till with a buyer at it.
struct Till {
    identity: Identity,
    name: String,
    number: u8,
    customer: Customer,
    terminal_sn: u32,
    requests: u8,
}

impl Till {
    /// The next sale.
    fn pay(&mut self, amount: u32) -> Claim {
        self.terminal_sn += 1;
        self.customer.pay(amount, self.number, self.terminal_sn)
    }

    /// The number of its next request for a call-back.
    fn request(&mut self) -> u8 {
        self.requests += 1;
        self.requests
    }
}

impl World {
    fn new() -> Self {
        let shop = Shop::new();
        let other = [
            "merchant",
            "add",
            "other",
            "--bank",
            "first",
            "--account",
            "000100220000003",
        ];
        shop.provider.done(&other);
        let books = shop.provider.done(&["liability"]);
        Self {
            shop,
            terminals: 1,
            batches: 0,
            books,
        }
    }

    fn done(&self, arguments: &[&str]) -> Vec<Value> {
        self.shop.provider.done(arguments)
    }

    fn next_terminal(&mut self) -> u8 {
        self.terminals += 1;
        self.terminals
    }

    /// Another till of the merchant.
    fn till(&mut self) -> Till {
        self.till_of("kiosk")
    }

    fn till_of(&mut self, merchant: &str) -> Till {
        let number = self.next_terminal();
        Till {
            identity: self.shop.till_of(merchant, number),
            name: format!("till-{number}"),
            number,
            customer: Customer::new(CARD),
            terminal_sn: 0,
            requests: 0,
        }
    }

    /// The books are as they have to be now: what has changed them was honest.
    fn mark(&mut self) {
        self.books = self.done(&["liability"]);
    }

    fn seal(&mut self, till: &Till, items: &[Item]) -> Batch {
        self.batches += 1;
        seal_at(self.batches, &till.name, 0, items)
    }

    /// Seals, is called back and announces.
    fn announce(&mut self, till: &mut Till, items: &[Item]) -> (TlsLine, Batch) {
        let batch = self.seal(till, items);
        let request = till.request();
        let line = announced(&till.identity, request, &batch);
        (line, batch)
    }

    /// Settles honestly: the permit is for so much.
    fn settle(&mut self, till: &mut Till, items: &[Item], total: u64) -> Batch {
        let (mut line, batch) = self.announce(till, items);
        send(&mut line, &batch, 0, items).done();
        let permit = self.shop.permit(&mut line, &batch);
        assert_eq!(permit.sum.total.minor(), total);
        self.mark();
        batch
    }

    /// The verdict on the last item, in a batch that gets its permit: that is for the honest items before it only.
    fn judged(&mut self, till: &mut Till, items: &[Item], honest: u64) -> String {
        let (mut line, batch) = self.announce(till, items);
        let verdicts = self.shop.verdicts(&send(&mut line, &batch, 0, items).done());
        let permit = self.shop.permit(&mut line, &batch);
        assert_eq!(permit.sum.total.minor(), honest, "{verdicts:?}");
        if honest > 0 {
            self.mark();
        }
        told(verdicts.last().unwrap())
    }
}

fn told(verdict: &Verdict) -> String {
    match verdict.decision {
        Decision::Hold(reason) => format!("{reason:?}"),
        Decision::Dispute(reason) => format!("disputed: {reason:?}"),
        Decision::Pay(_) | Decision::Owe(_) => "paid".to_owned(),
    }
}

#[test]
fn each_of_the_attacks_is_refused_by_its_own_name_and_changes_nothing_in_the_books() {
    let mut world = World::new();
    let attacks = [
        doors::ATTACKS,
        call_backs::ATTACKS,
        loads::ATTACKS,
        batches::ATTACKS,
        claims::ATTACKS,
    ]
    .concat();
    let mut wrong = Vec::new();
    println!("{:<78} {:<24} books", "attack", "refused as");
    for (attack, expected, act) in &attacks {
        let refused = act(&mut world);
        let is_same = world.done(&["liability"]) == world.books;
        let is_clean = world.done(&["audit"]) == [json!({ "findings": 0 })];
        let books = match (is_same, is_clean) {
            (true, true) => "as before",
            (false, _) => "CHANGED",
            (true, false) => "DAMAGED",
        };
        println!("{attack:<78} {refused:<24} {books}");
        if refused != *expected || books != "as before" {
            wrong.push(format!(
                "{attack}: {refused} instead of {expected}, books {books}"
            ));
            world.mark();
        }
    }
    println!("{} attacks", attacks.len());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(attacks.len() >= 30);
}
