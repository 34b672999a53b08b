//! The provider's parameters at the till (money rules T3, C3): real purserd, real purser-provider, TLS on the loopback.

use e2e::buyer::Buyer;
use e2e::{Fault, ensure};
use purser_api::client::ClientError;
use purser_api::model::{Amount, BeginSaleArguments, Sale};
use purser_lab::card::Minor;
use purser_lab::issuer::{LAB_PIN, LAB_SERIAL};
use purser_lab::stack::{Options, ProviderHost, SALE_MAX, Stack, StackError, Till};
use purser_lab::vpcd::CardThread;
use serde_json::Value;

/// The version that the lab's provider begins with: it has said what software SAMs and a currency may do.
const FIRST: u64 = 2;
/// How often the provider is asked, in seconds.
const PERIOD: &str = "parameters_seconds = 2\n";

#[test]
fn a_hot_list_comes_by_itself_and_its_card_is_refused_while_another_is_sold_to() -> Result<(), Fault> {
    let mut shop = Shop::open()?;
    shop.expect_version(FIRST)?;
    // Sold before the card was listed, and claimed after it: paid, for the list had not come then (money rule C3).
    shop.paid("before", 300, Card::First)?;
    let listed = shop.provider.run(&[
        "hotlist",
        "add",
        &hex::encode_upper(LAB_SERIAL.0),
        "--reason",
        "lost",
    ])?;
    ensure(listed[0]["version"] == 1, || format!("{listed:?}"))?;
    shop.till()?
        .wait_for_provider("the hot list, acknowledged", |provider| {
            provider.hot_list_version == Some(1) && provider.hot_list_acknowledged == Some(true)
        })?;
    let refused = shop.sell("after", 300, Card::First)?;
    ensure(
        refused.outcome == "not_paid" && refused.reason.as_deref() == Some("card_hot_listed"),
        || format!("{refused:?}"),
    )?;
    shop.paid("other", 200, Card::Second)?;
    // Both know it after a restart, without a word from each other.
    shop.provider.kill();
    shop.stack.kill();
    shop.stack.start_again()?;
    shop.expect_version(FIRST + 1)?;
    let refused = shop.sell("restarted", 300, Card::First)?;
    ensure(refused.reason.as_deref() == Some("card_hot_listed"), || {
        format!("{refused:?}")
    })?;
    // The list is told again, from a later sale on: the first word counts.
    shop.provider.serve()?;
    shop.till()?
        .wait_for_provider("the acknowledgement of this start", |provider| {
            provider.hot_list_acknowledged == Some(true)
        })?;
    shop.settle()?;
    let batches = shop.provider.run(&["batch", "list"])?;
    let batch = batches.first().and_then(|batch| batch["batch"].as_str());
    let batch = batch.ok_or_else(|| format!("{batches:?}"))?;
    let claims = shop.provider.run(&["claims", "list", "--batch", batch])?;
    ensure(
        claims.len() == 2 && claims.iter().all(|it| it["decision"] == "pay"),
        || format!("{claims:?}"),
    )?;
    shop.expect_stamps(&[("before", FIRST), ("other", FIRST + 1)])?;
    shop.close()
}

#[test]
fn what_the_provider_does_not_permit_is_refused_by_its_name_and_permitted_when_it_is_again()
-> Result<(), Fault> {
    let shop = Shop::open()?;
    shop.expect_version(FIRST)?;
    shop.refused("high", SALE_MAX + 1, "ParametersLimit")?;
    shop.provider
        .run(&["parameters", "set", "--software-sam", "forbid"])?;
    shop.expect_version(FIRST + 1)?;
    shop.refused("forbidden", 300, "ParametersSam")?;
    shop.provider
        .run(&["parameters", "set", "--software-sam", "allow"])?;
    let none = [
        "parameters",
        "currency",
        "JPY",
        "--sale-max",
        "0",
        "--stale-sale-max",
        "0",
    ];
    shop.provider.run(&none)?;
    shop.expect_version(FIRST + 3)?;
    shop.refused("nothing", 300, "ParametersCurrency")?;
    let some = [
        "parameters",
        "currency",
        "JPY",
        "--sale-max",
        "300",
        "--stale-sale-max",
        "0",
    ];
    shop.provider.run(&some)?;
    shop.provider.run(&["key", "version", "block", "1"])?;
    shop.expect_version(FIRST + 5)?;
    let sale = shop.sell("blocked", 300, Card::First)?;
    ensure(sale.reason.as_deref() == Some("key_version_not_listed"), || {
        format!("{sale:?}")
    })?;
    shop.close()
}

#[test]
fn a_damaged_file_is_told_and_replaced_and_sales_go_on() -> Result<(), Fault> {
    let mut shop = Shop::open()?;
    shop.expect_version(FIRST)?;
    shop.stack.kill();
    shop.provider.kill();
    let file = shop.stack.layout().state_dir().join("provider/parameters.json");
    let whole = std::fs::read(&file)?;
    std::fs::write(&file, &whole[..whole.len() / 2])?;
    shop.stack.start_again()?;
    let status = shop.till()?.call(async |purser| purser.status().await)?;
    ensure(
        status.problems.iter().any(|it| it.name == "parameters_unusable"),
        || format!("{status:?}"),
    )?;
    shop.paid("without", 300, Card::First)?;
    shop.provider.serve()?;
    shop.expect_version(FIRST)?;
    let status = shop.till()?.call(async |purser| purser.status().await)?;
    ensure(status.problems.is_empty(), || format!("{status:?}"))?;
    shop.expect_stamps(&[("without", 0)])?;
    shop.close()
}

/// One of the two cards.
#[derive(Clone, Copy)]
enum Card {
    First,
    Second,
}

/// A shop with a provider that it asks every two seconds.
struct Shop {
    provider: ProviderHost,
    stack: Stack,
    cards: [CardThread; 2],
    _buyer: Buyer,
    _folder: tempfile::TempDir,
}

impl Shop {
    fn open() -> Result<Self, Fault> {
        let folder = tempfile::tempdir()?;
        let mut other = LAB_SERIAL;
        other.0[9] ^= 1;
        let mut provider = ProviderHost::new(&folder.path().join("provider"), &[LAB_SERIAL, other], None)?;
        provider.serve()?;
        let options = Options {
            drop_in: provider.drop_in() + PERIOD,
            ..Options::default()
        };
        let shop = folder.path().join("shop");
        std::fs::create_dir(&shop)?;
        let mut stack = Stack::prepare(&shop, options)?;
        let enrolled = stack.run_verb(&["enrol", "--code", provider.code()])?;
        ensure(enrolled.status.success(), || format!("{enrolled:?}"))?;
        let first = stack.new_card("first", LAB_SERIAL, Minor(1000))?;
        let second = stack.new_card("second", other, Minor(1000))?;
        stack.start_again()?;
        let buyer = Buyer::at(stack.layout().pad(), LAB_PIN.to_owned());
        Ok(Self {
            provider,
            stack,
            cards: [first, second],
            _buyer: buyer,
            _folder: folder,
        })
    }

    fn till(&self) -> Result<Till, Fault> {
        Ok(self.stack.till()?)
    }

    /// Waits until this version is in force.
    fn expect_version(&self, version: u64) -> Result<(), Fault> {
        self.till()?.wait_for_provider("the parameters", |provider| {
            provider.parameters_version == Some(version)
        })?;
        Ok(())
    }

    fn sell(&self, reference: &str, minor: u64, card: Card) -> Result<Sale, Fault> {
        let card = match card {
            Card::First => &self.cards[0],
            Card::Second => &self.cards[1],
        };
        let mut till = self.till()?;
        till.begin_sale(reference, minor)?;
        card.insert();
        let sale = till.wait_for_end(reference)?;
        card.remove();
        Ok(sale)
    }

    fn paid(&self, reference: &str, minor: u64, card: Card) -> Result<(), Fault> {
        let sale = self.sell(reference, minor, card)?;
        ensure(sale.outcome == "paid", || format!("{sale:?}"))
    }

    /// A sale is not begun, for this reason.
    fn refused(&self, reference: &str, minor: u64, name: &str) -> Result<(), Fault> {
        let asked = BeginSaleArguments {
            reference: reference.to_owned(),
            amount: Amount {
                minor,
                currency: "JPY".to_owned(),
            },
            reader: None,
            pin_through_api: None,
        };
        match self.till()?.call(async |purser| purser.begin_sale(&asked).await) {
            Err(StackError::Call { source, .. }) => match *source {
                ClientError::Refused(fault) if &*fault.name == name => Ok(()),
                other => Err(format!("not {name}: {other}").into()),
            },
            other => Err(format!("not {name}: {other:?}").into()),
        }
    }

    fn settle(&self) -> Result<(), Fault> {
        let program = self.stack.programs().purserctl.clone();
        let output = std::process::Command::new(program.ok_or("purserctl was not built")?)
            .arg("--socket")
            .arg(self.stack.layout().socket())
            .args(["settle", "--wait"])
            .output()?;
        ensure(output.status.success(), || format!("{output:?}"))
    }

    /// The journal's intents of these sales are stamped with these versions.
    fn expect_stamps(&self, wanted: &[(&str, u64)]) -> Result<(), Fault> {
        let reader = purser_journal::Reader::open(&self.stack.layout().state_dir())?;
        let query = purser_journal::Query {
            after: 0,
            limit: 1_000,
            owner: None,
            reference: None,
        };
        let entries = reader.entries(&query)?;
        let stamps: Vec<_> = entries
            .iter()
            .filter_map(|recorded| match &recorded.content.entry {
                purser_ledger::Entry::SaleIntended(intended) => Some((
                    intended.reference.as_str().to_owned(),
                    intended.parameters_version,
                )),
                _ => None,
            })
            .collect();
        let wanted: Vec<_> = wanted
            .iter()
            .map(|(name, version)| ((*name).to_owned(), *version))
            .collect();
        ensure(stamps == wanted, || format!("{stamps:?}"))
    }

    /// Every record of both is whole.
    fn close(mut self) -> Result<(), Fault> {
        let audit: Vec<Value> = self.provider.run(&["audit"])?;
        ensure(audit.first().is_some_and(|it| it["findings"] == 0), || {
            format!("{audit:?}")
        })?;
        self.stack.stop()?;
        let verified = self.stack.run_verb(&["verify-journal"])?;
        ensure(verified.status.success(), || format!("{verified:?}"))
    }
}
