//! A shop with a provider, as these tests drive it.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use e2e::buyer::Buyer;
use e2e::{Fault, ensure};
use purser_lab::card::{Fault as CardFault, Minor, OtherShop, ScriptedFault, Serial, instruction};
use purser_lab::issuer::{LAB_PIN, LAB_SERIAL};
use purser_lab::stack::{Options, PATIENCE, ProviderHost, Stack, Till};
use purser_lab::vpcd::CardThread;
use serde_json::Value;

/// How often something is looked at that nobody announces.
pub(super) const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// A shop with a provider.
pub(super) struct Shop {
    pub(super) provider: ProviderHost,
    pub(super) stack: Stack,
    pub(super) card: CardThread,
    _buyer: Buyer,
}

impl Shop {
    pub(super) fn open(folder: &Path, called_at: Option<SocketAddr>) -> Result<Self, Fault> {
        Self::open_with(folder, called_at, "")
    }

    /// With this in the configuration.
    pub(super) fn open_with(folder: &Path, called_at: Option<SocketAddr>, more: &str) -> Result<Self, Fault> {
        Self::open_for(folder, called_at, more, &[LAB_SERIAL])
    }

    /// With a provider that has issued these cards.
    pub(super) fn open_for(
        folder: &Path,
        called_at: Option<SocketAddr>,
        more: &str,
        cards: &[Serial],
    ) -> Result<Self, Fault> {
        let mut provider = ProviderHost::new(&folder.join("provider"), cards, called_at)?;
        provider.serve()?;
        let options = Options {
            drop_in: provider.drop_in() + more,
            ..Options::default()
        };
        let shop = folder.join("shop");
        std::fs::create_dir(&shop)?;
        let mut stack = Stack::prepare(&shop, options)?;
        let enrolled = stack.run_verb(&["enrol", "--code", provider.code()])?;
        ensure(enrolled.status.success(), || format!("{enrolled:?}"))?;
        let card = stack.new_card("card", LAB_SERIAL, Minor(1000))?;
        stack.start_again()?;
        let buyer = Buyer::at(stack.layout().pad(), LAB_PIN.to_owned());
        Ok(Self {
            provider,
            stack,
            card,
            _buyer: buyer,
        })
    }

    /// Waits until a batch is in one of these states.
    pub(super) fn wait_for_state(&self, id: &str, wanted: &[&str]) -> Result<String, Fault> {
        let end = Instant::now() + PATIENCE;
        loop {
            let list = self.lines(&["batch", "list"], 0)?;
            let batch = list.iter().find(|batch| batch["id"] == id);
            let state = batch
                .and_then(|batch| batch["state"].as_str())
                .unwrap_or_default();
            if wanted.contains(&state) {
                return Ok(state.to_owned());
            }
            ensure(Instant::now() < end, || {
                format!("{id} should be {wanted:?}: {list:?}")
            })?;
            std::thread::sleep(LOOK_AGAIN);
        }
    }

    pub(super) fn till(&self) -> Result<Till, Fault> {
        Ok(self.stack.till()?)
    }

    pub(super) fn sell(&self, reference: &str, minor: u64) -> Result<(), Fault> {
        let mut till = self.till()?;
        till.begin_sale(reference, minor)?;
        self.card.insert();
        till.wait_for_outcome(reference, "paid")?;
        self.card.remove();
        Ok(())
    }

    /// A sale that is torn, and whose card has forgotten it when it comes back; its number.
    pub(super) fn lose_in_doubt(
        &self,
        reference: &str,
        minor: u64,
        fault: CardFault,
    ) -> Result<String, Fault> {
        self.card.script(ScriptedFault::next(instruction::DEBIT, fault));
        let mut till = self.till()?;
        till.begin_sale(reference, minor)?;
        self.card.insert();
        let doubt = till.wait_for_outcome(reference, "in_doubt")?;
        self.card.remove();
        // More than its log has records.
        for _ in 0..12 {
            self.card.pay_elsewhere(Minor(1), &OtherShop::default())?;
        }
        self.card.insert();
        till.watch(reference)?
            .until("a query", |sale| sale.state == "queried")?;
        self.card.remove();
        Ok(doubt.operation)
    }

    /// Waits until the provider has been asked about a sale.
    pub(super) fn wait_for_query(&self, operation: &str) -> Result<(), Fault> {
        let end = Instant::now() + PATIENCE;
        loop {
            let queries = self.provider.run(&["queries", "list"])?;
            let asked = queries.iter().find(|it| it["operation"] == operation);
            if asked.is_some_and(|it| it["state"] == "open") {
                return Ok(());
            }
            ensure(Instant::now() < end, || format!("{operation}: {queries:?}"))?;
            std::thread::sleep(LOOK_AGAIN);
        }
    }

    /// What purserctl prints, an object a line; it must end with this code.
    pub(super) fn lines(&self, arguments: &[&str], code: i32) -> Result<Vec<Value>, Fault> {
        let program = self.stack.programs().purserctl.clone();
        let output = Command::new(program.ok_or("purserctl was not built")?)
            .arg("--json")
            .arg("--socket")
            .arg(self.stack.layout().socket())
            .args(arguments)
            .output()?;
        ensure(output.status.code() == Some(code), || {
            format!(
                "{arguments:?}: {output:?}\n{}",
                self.stack.log().unwrap_or_default()
            )
        })?;
        let told = String::from_utf8(output.stdout)?;
        Ok(told.lines().map(serde_json::from_str).collect::<Result<_, _>>()?)
    }

    pub(super) fn purserctl(&self, arguments: &[&str], code: i32) -> Result<Value, Fault> {
        let lines = self.lines(arguments, code)?;
        lines.into_iter().next().ok_or_else(|| "it prints nothing".into())
    }

    /// The balance of an account at the shop, in minor units.
    pub(super) fn totals(&self, account: &str) -> Result<u64, Fault> {
        let totals = self.purserctl(&["totals"], 0)?;
        ensure(totals["balanced"] == true, || format!("{totals}"))?;
        let balances = totals["balances"].as_array().ok_or("no balances")?;
        let balance = balances.iter().find(|it| it["account"] == account);
        Ok(balance.and_then(|it| it["amount"]["minor"].as_u64()).unwrap_or(0))
    }

    /// Both books say that this was permitted, and the shop has so much in claims still.
    pub(super) fn expect_books(&self, permitted: u64, claims: u64) -> Result<(), Fault> {
        let here = [
            self.totals("permits")?,
            self.totals("claims")?,
            self.totals("in_batch")?,
        ];
        let told = self.provider.run(&["liability"])?;
        // A provider that has permitted nothing yet has no books to show.
        let there = told
            .first()
            .map_or(0, |books| books["permits"].as_u64().unwrap_or(0));
        println!("shop: permits, claims, in batch {here:?}; provider: permits {there}");
        ensure(here == [permitted, claims, 0] && there == permitted, || {
            format!("{here:?}, {there}")
        })?;
        ensure(told.iter().all(|books| books["is_balanced"] == true), || {
            format!("{told:?}")
        })
    }

    /// Every record of both is whole.
    pub(super) fn close(mut self) -> Result<(), Fault> {
        let audit = self.provider.run(&["audit"])?;
        ensure(audit.first().is_some_and(|it| it["findings"] == 0), || {
            format!("{audit:?}")
        })?;
        self.stack.stop()?;
        let verified = self.stack.run_verb(&["verify-journal"])?;
        ensure(verified.status.success(), || format!("{verified:?}"))
    }
}
