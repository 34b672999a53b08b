//! A shop with claims and its provider.

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use purser_api::client::ClientError;
use purser_api::model::{Batch, BatchesArguments, ConcludeArguments, SettleArguments, TotalsReply};
use purser_journal::Reader;
use purser_lab::card::{Fault as CardFault, Minor, ScriptedFault, Serial, instruction};
use purser_lab::issuer::{LAB_PIN, LAB_SERIAL};
use purser_lab::stack::{Options, PATIENCE, ProviderHost, Stack};
use purser_lab::vpcd::CardThread;
use purser_ledger::BatchStanding;
use serde_json::Value;
use tempfile::TempDir;

use crate::buyer::Buyer;
use crate::point::Objects;
use crate::pos::Pos;
use crate::{Fault, ensure, hosts};

/// What the claims of a template come to that are for goods.
pub(super) const CLAIMED: [u64; 3] = [300, 200, 70];
/// A further claim, whose buyer got no goods: it is paid, and as much is owed.
pub(super) const REFUNDED: u64 = 40;
/// How often a settlement is asked for that is not done yet.
const ASK_AGAIN: Duration = Duration::from_millis(50);
/// How often a state is looked at that nobody announces.
const LOOK_AGAIN: Duration = Duration::from_millis(3);

/// How far a settlement has come when it was cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stage {
    /// The shop has no batch.
    Unsealed,
    /// The shop has sealed one, of which the provider knows nothing.
    Sealed,
    /// The provider waits for its items.
    Receiving,
    /// The provider has its items.
    Received,
    /// The provider has given the permit, and the shop holds claims still.
    Permitted,
    /// The shop holds the permit.
    Exchanged,
    /// The provider has voided the batch, and the shop holds it still.
    VoidThere,
    /// The shop has its claims back.
    Void,
}

/// Folders of a shop and its provider, to be copied.
#[derive(Debug)]
pub struct Template(TempDir);

/// A shop and its provider. Neither runs before it is started.
#[derive(Debug)]
pub struct Shop {
    /// The provider.
    pub provider: ProviderHost,
    /// purserd and its folders.
    pub stack: Stack,
    folder: TempDir,
}

impl Template {
    /// What is left of a shop that has ended.
    pub(super) fn of(mut shop: Shop) -> Result<Self, Fault> {
        shop.stack.stop()?;
        shop.provider.kill();
        Ok(Self(shop.folder))
    }

    /// A terminal that is enrolled and has sold, and a provider that knows of no sale.
    ///
    /// # Errors
    /// Enrolment or a sale fails.
    pub fn sold() -> Result<Self, Fault> {
        let mut shop = Shop::enrolled(&[LAB_SERIAL], "")?;
        let stack = &mut shop.stack;
        let card = stack.new_card("card", LAB_SERIAL, Minor(1000))?;
        stack.start_again()?;
        let _buyer = Buyer::at(stack.layout().pad(), LAB_PIN.to_owned());
        for (number, minor) in CLAIMED.iter().enumerate() {
            let reference = format!("order-{number}");
            let mut till = stack.till()?;
            till.begin_sale(&reference, *minor)?;
            card.insert();
            till.wait_for_outcome(&reference, "paid")?;
            card.remove();
        }
        sell_and_abandon(stack, &card)?;
        Self::of(shop)
    }
}

/// A sale whose card is torn out, that the till gives up, and that turns out to be paid.
fn sell_and_abandon(stack: &Stack, card: &CardThread) -> Result<(), Fault> {
    let reference = "abandoned".to_owned();
    card.script(ScriptedFault::next(
        instruction::DEBIT,
        CardFault::TearAfterExecute,
    ));
    let mut till = stack.till()?;
    till.begin_sale(&reference, REFUNDED)?;
    card.insert();
    till.wait_for_outcome(&reference, "in_doubt")?;
    let abandoned = ConcludeArguments {
        reference: reference.clone(),
        conclusion: "abandoned".to_owned(),
    };
    till.call(async |purser| purser.conclude(&abandoned).await)?;
    card.insert();
    till.wait_for_outcome(&reference, "paid")?;
    card.remove();
    Ok(())
}

fn prepare(folder: &Path, provider: &ProviderHost, more: &str) -> Result<Stack, Fault> {
    // A provider that dies forgets to call back: the shortest time in which purserd gives that up and asks anew.
    let options = Options {
        drop_in: provider.drop_in() + "call_back_ms = 5000\n" + more,
        ..Options::default()
    };
    let shop = folder.join("shop");
    fs::create_dir_all(&shop)?;
    Ok(Stack::prepare(&shop, options)?)
}

impl Shop {
    /// A terminal that is enrolled at a provider that has issued these cards, and has sold nothing, with this in its
    /// configuration. The provider serves.
    ///
    /// # Errors
    /// Enrolment fails.
    pub fn enrolled(cards: &[Serial], more: &str) -> Result<Self, Fault> {
        Self::enrolled_as(cards, more, None)
    }

    /// The same as the till, or as a terminal of this name that loads.
    pub(super) fn enrolled_as(cards: &[Serial], more: &str, loader: Option<&str>) -> Result<Self, Fault> {
        let folder = tempfile::tempdir()?;
        let mut provider = ProviderHost::new(&folder.path().join("provider"), cards, None)?;
        let code = match loader {
            None => provider.code().to_owned(),
            Some(name) => provider.add_loader(name, None)?,
        };
        provider.serve()?;
        let stack = prepare(folder.path(), &provider, more)?;
        let enrolled = stack.run_verb(&["enrol", "--code", &code])?;
        ensure(enrolled.status.success(), || format!("{enrolled:?}"))?;
        Ok(Self {
            provider,
            stack,
            folder,
        })
    }

    /// A copy of a template, at ports of its own.
    ///
    /// # Errors
    /// The stack's own.
    pub fn copy(template: &Template) -> Result<Self, Fault> {
        let folder = tempfile::tempdir()?;
        let (from, to) = (template.0.path(), folder.path());
        fs::create_dir(to.join("shop"))?;
        for part in ["provider", "shop/state", "shop/cards"] {
            copy_folder(&from.join(part), &to.join(part))?;
        }
        let provider = ProviderHost::at(&to.join("provider"))?;
        let stack = prepare(to, &provider, "")?;
        Ok(Self {
            provider,
            stack,
            folder,
        })
    }

    /// The folder of everything.
    pub fn dir(&self) -> &Path {
        self.folder.path()
    }

    /// Names for what the descriptors of both programs lead to.
    pub(super) fn objects(&self) -> Objects {
        Objects::below(self.dir())
    }

    /// Waits until purserd has the provider's parameters of this start, or the provider is dead: from then on its only connection
    /// is the link. A terminal that loads takes none.
    fn wait_for_parameters(&mut self, started_unix_seconds: i64) -> Result<(), Fault> {
        let end = Instant::now() + PATIENCE;
        let mut pos = self.pos()?;
        loop {
            let told = pos.call(async |purser| purser.provider().await)??;
            let is_heard = told.parameters_heard_unix_seconds >= Some(started_unix_seconds);
            if is_heard || told.role.as_deref() != Some("merchant") || self.provider.ended()?.is_some() {
                return Ok(());
            }
            ensure(Instant::now() < end, || format!("no parameters came: {told:?}"))?;
            thread::sleep(LOOK_AGAIN);
        }
    }

    /// Starts purserd, waits until it has its link to the provider, and gives what its descriptor leads to; none when the provider
    /// is dead.
    pub(super) fn start_with_link(&mut self) -> Result<Option<String>, Fault> {
        let started = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
        self.stack.start_again()?;
        self.wait_for_parameters(i64::try_from(started)?)?;
        let end = Instant::now() + PATIENCE;
        let purserd = self.purserd()?;
        loop {
            let link = hosts::connection_to(purserd, self.provider.address())?;
            if link.is_some() || self.provider.ended()?.is_some() {
                return Ok(link);
            }
            ensure(Instant::now() < end, || "there is no link".to_owned())?;
            thread::sleep(LOOK_AGAIN);
        }
    }

    pub(super) fn purserd(&self) -> Result<u32, Fault> {
        self.stack.purserd_id().ok_or_else(|| {
            let log = self.stack.log().unwrap_or_default();
            format!("purserd does not run; its log:\n{log}").into()
        })
    }

    /// A till.
    ///
    /// # Errors
    /// purserd does not answer.
    pub fn pos(&self) -> Result<Pos, Fault> {
        Pos::connect(&self.stack.layout().socket(), self.purserd()?)
    }

    /// Whether SIGKILL has ended the provider's server.
    pub(super) fn is_provider_killed(&mut self) -> Result<bool, Fault> {
        let ended = self.provider.ended()?;
        Ok(ended.is_some_and(|status| status.signal().is_some()))
    }

    /// How far the first settlement has come, by what is in both data bases.
    pub(super) fn stage(&self) -> Result<Stage, Fault> {
        match self.stage_here()? {
            Stage::Sealed => {}
            here => return Ok(here),
        }
        let batches = self.provider.run(&["batch", "list"])?;
        let phase = batches.first().and_then(|batch| batch["phase"].as_str());
        match phase {
            None => Ok(Stage::Sealed),
            Some("receiving") => Ok(Stage::Receiving),
            Some("received") => Ok(Stage::Received),
            Some("permitted") => Ok(Stage::Permitted),
            Some("voided") => Ok(Stage::VoidThere),
            Some(other) => Err(format!("the provider has a batch that is {other}").into()),
        }
    }

    /// The same as far as the shop's journal tells. It asks no process.
    ///
    /// # Errors
    /// The journal cannot be read.
    pub fn stage_here(&self) -> Result<Stage, Fault> {
        let reader = Reader::open(&self.stack.layout().state_dir())?;
        let batches = reader.batches(None, 1)?;
        match batches.first().map(|(_, batch)| &batch.standing) {
            None => Ok(Stage::Unsealed),
            Some(BatchStanding::Sealed) => Ok(Stage::Sealed),
            Some(BatchStanding::Exchanged(_)) => Ok(Stage::Exchanged),
            Some(BatchStanding::Voided(_)) => Ok(Stage::Void),
        }
    }

    /// Starts what does not run.
    ///
    /// # Errors
    /// One of the two does not stand.
    pub fn rise(&mut self) -> Result<(), Fault> {
        if self.provider.id().is_none() || self.provider.ended()?.is_some() {
            self.provider.kill();
            self.provider.set_env(Vec::new());
            self.provider.serve()?;
        }
        if self.stack.purserd_id().is_none() {
            self.stack.kill();
            self.stack.start_again()?;
        }
        Ok(())
    }

    /// Has the claims sealed while nobody serves, and waits until purserd has given up for a while; the batch's number.
    pub(super) fn seal(&self) -> Result<String, Fault> {
        let end = Instant::now() + PATIENCE;
        ask(&mut self.pos()?)??;
        loop {
            // To ask for settlement again would be to send it again.
            if let Some(batch) = self.batches()?.into_iter().find(|it| it.state == "waiting") {
                return Ok(batch.id);
            }
            ensure(Instant::now() < end, || "it does not wait".to_owned())?;
            thread::sleep(ASK_AGAIN);
        }
    }

    /// Asks for settlement again and again until nothing is left to settle.
    ///
    /// # Errors
    /// It is not settled in time.
    pub fn settle(&self) -> Result<(), Fault> {
        let end = Instant::now() + PATIENCE;
        let mut pos = self.pos()?;
        loop {
            let left = ask(&mut pos)??;
            if left.is_empty() {
                return Ok(());
            }
            ensure(Instant::now() < end, || format!("it is not settled: {left:?}"))?;
            thread::sleep(ASK_AGAIN);
        }
    }

    /// The shop's books.
    ///
    /// # Errors
    /// purserd does not answer.
    pub fn totals(&self) -> Result<TotalsReply, Fault> {
        Ok(self.pos()?.call(async |purser| purser.totals().await)??)
    }

    pub(super) fn batches(&self) -> Result<Vec<Batch>, Fault> {
        let all = BatchesArguments::default();
        let reply = self.pos()?.call(async |purser| purser.batches(&all).await)??;
        Ok(reply.batches)
    }

    /// What `verify-journal` says.
    ///
    /// # Errors
    /// The journal is not whole.
    pub fn verified(&self) -> Result<Value, Fault> {
        let output = self.stack.run_verb(&["verify-journal", "--json"])?;
        let report = serde_json::from_slice(&output.stdout)?;
        ensure(output.status.success(), || format!("verify-journal: {report}"))?;
        Ok(report)
    }
}

/// Asks once: the batches that are under way then.
///
/// # Errors
/// No answer in time. The inner error is the client's own.
pub fn ask(pos: &mut Pos) -> Result<Result<Vec<Batch>, ClientError>, Fault> {
    let any = SettleArguments::default();
    let asked = pos.call(async |purser| purser.settle(&any).await)?;
    Ok(asked.map(|reply| reply.batches))
}

fn copy_folder(from: &Path, to: &Path) -> Result<(), Fault> {
    fs::create_dir(to)?;
    fs::set_permissions(to, fs::metadata(from)?.permissions())?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_folder(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}
