//! A purserd with a card, a buyer and a till, on a copy of a state that was prepared once.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::thread;
use std::time::{Duration, Instant};

use purser_api::model::Sale;
use purser_lab::card::Minor;
use purser_lab::issuer::{LAB_PIN, LAB_SERIAL};
use purser_lab::psam::FactorOrder;
use purser_lab::stack::{Options, PATIENCE, PIN_PAD, Stack};
use purser_lab::vpcd::{CardThread, PsamThread};
use tempfile::TempDir;

use crate::Fault;
use crate::buyer::Buyer;
use crate::pcscd;
use crate::point::Objects;
use crate::pos::{Pos, Told};

/// What each sale costs.
pub const PRICE: u64 = 300;
/// What the card holds at first.
pub const WALLET: u64 = 100_000;

const CARD: &str = "card";
const PSAM: &str = "psam";
/// How often a state is looked at that nobody announces.
const LOOK_AGAIN: Duration = Duration::from_millis(3);

/// Where the purchase key is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sam {
    /// In a credential.
    Software,
    /// In a PSAM in a slot of its own.
    Psam,
}

impl Sam {
    fn options(self) -> Options {
        Options {
            psam: (self == Self::Psam).then_some(FactorOrder::AsnFirst),
            ..Options::default()
        }
    }
}

/// A state folder and a card, to be copied.
#[derive(Debug)]
pub struct Template {
    folder: TempDir,
    sam: Sam,
    /// How many sales are paid in it.
    pub paid: u64,
}

/// Everything around one purserd. Dropped in this order: the buyer goes home when the pad is gone.
#[derive(Debug)]
pub struct World {
    /// purserd and its folders.
    pub stack: Stack,
    /// The buyer's card.
    pub card: CardThread,
    /// The shop's PSAM, in its slot, where the shop has one.
    pub psam: Option<PsamThread>,
    buyer: Option<Buyer>,
    folder: TempDir,
    /// How many sales were paid before.
    pub paid: u64,
}

impl World {
    /// As [`World::new`], and the card lies before pcscd's first reader, behind the real pcsc driver that was built at this path.
    /// Runs inside the namespaces of with-pcscd.sh.
    ///
    /// # Errors
    /// The stack's own.
    pub fn through_pcscd(driver: &Path) -> Result<Self, Fault> {
        let folder = tempfile::tempdir()?;
        let drop_in = format!("[pin.pads]\npcsc = \"{PIN_PAD}\"\n");
        let options = Options {
            drop_in,
            ..Options::default()
        };
        let stack = Stack::prepare(folder.path(), options)?;
        pcscd::add_driver(&stack, driver)?;
        drop(stack.new_card(CARD, LAB_SERIAL, Minor(WALLET.try_into()?))?);
        let card = CardThread::start(&stack.layout().cards_dir().join(CARD), pcscd::READER.parse()?)?;
        Ok(Self::around(folder, stack, card, None, 0))
    }

    /// Nothing but a configuration and a card; purserd does not run.
    ///
    /// # Errors
    /// The stack's own.
    pub fn new() -> Result<Self, Fault> {
        Self::with(Sam::Software)
    }

    /// The same with either kind of SAM.
    ///
    /// # Errors
    /// The stack's own.
    pub fn with(sam: Sam) -> Result<Self, Fault> {
        let folder = tempfile::tempdir()?;
        let stack = Stack::prepare(folder.path(), sam.options())?;
        let card = stack.new_card(CARD, LAB_SERIAL, Minor(WALLET.try_into()?))?;
        let psam = match sam {
            Sam::Software => None,
            Sam::Psam => Some(stack.new_psam(PSAM)?),
        };
        Ok(Self::around(folder, stack, card, psam, 0))
    }

    /// A copy of a template; purserd does not run.
    ///
    /// # Errors
    /// The stack's own.
    pub fn copy(template: &Template) -> Result<Self, Fault> {
        let folder = tempfile::tempdir()?;
        for part in ["state", "cards"] {
            copy_folder(&template.folder.path().join(part), &folder.path().join(part))?;
        }
        let stack = Stack::prepare(folder.path(), template.sam.options())?;
        let (cards, layout) = (stack.layout().cards_dir(), stack.layout());
        let card = CardThread::start(&cards.join(CARD), layout.reader)?;
        let psam = match template.sam {
            Sam::Software => None,
            Sam::Psam => Some(PsamThread::start(&cards.join(PSAM), layout.psam)?),
        };
        Ok(Self::around(folder, stack, card, psam, template.paid))
    }

    fn around(folder: TempDir, stack: Stack, card: CardThread, psam: Option<PsamThread>, paid: u64) -> Self {
        let buyer = Buyer::at(stack.layout().pad(), LAB_PIN.to_owned());
        if let Some(psam) = &psam {
            psam.insert();
        }
        Self {
            stack,
            card,
            psam,
            buyer: Some(buyer),
            folder,
            paid,
        }
    }

    /// Ends everything, and keeps state and card.
    pub fn into_template(self) -> Template {
        let Self {
            mut stack,
            card,
            psam,
            folder,
            paid,
            ..
        } = self;
        let sam = if psam.is_some() { Sam::Psam } else { Sam::Software };
        stack.kill();
        drop((card, psam));
        Template { folder, sam, paid }
    }

    /// The buyer steps away from the pad: nobody types.
    pub fn buyer_goes(&mut self) {
        self.buyer = None;
    }

    /// The buyer steps up to the pad, if nobody is there.
    pub fn buyer_comes(&mut self) {
        let pad = self.stack.layout().pad();
        self.buyer
            .get_or_insert_with(|| Buyer::at(pad, LAB_PIN.to_owned()));
    }

    /// The folder of everything.
    pub fn dir(&self) -> &Path {
        &self.stack.layout().dir
    }

    /// A file for a trace.
    pub fn trace_file(&self, name: &str) -> PathBuf {
        self.folder.path().join(format!("{name}.strace"))
    }

    /// Names for what the descriptors of this world's processes lead to.
    pub fn objects(&self) -> Objects {
        Objects::below(self.dir())
    }

    /// A till.
    ///
    /// # Errors
    /// purserd does not answer.
    pub fn pos(&self) -> Result<Pos, Fault> {
        let purserd = self.stack.purserd_id().ok_or("purserd does not run")?;
        Pos::connect(&self.stack.layout().socket(), purserd)
    }

    /// Whether purserd runs.
    pub fn is_alive(&self) -> bool {
        self.stack.purserd_id().is_some()
    }

    /// How purserd ended by itself.
    ///
    /// # Errors
    /// It did not.
    pub fn end(&mut self) -> Result<ExitStatus, Fault> {
        Ok(self.stack.wait_for_end(PATIENCE)?)
    }

    /// One whole sale: begun, the card put in, and followed to its end or purserd's.
    ///
    /// # Errors
    /// purserd refuses, or nothing happens in time.
    pub fn sell(&mut self, reference: &str) -> Result<Told, Fault> {
        let mut pos = self.pos()?;
        self.sell_at(&mut pos, reference)
    }

    /// The same at this till.
    ///
    /// # Errors
    /// As [`World::sell`].
    pub fn sell_at(&mut self, pos: &mut Pos, reference: &str) -> Result<Told, Fault> {
        self.card.remove();
        let told = pos.begin(reference, PRICE)?;
        self.card.insert();
        let is_over = |sale: &Sale| sale.outcome != "under_way";
        let is_to_move = |sale: &Sale| is_over(sale) || sale.state == "take_card_out";
        let told = pos.follow(reference, told, is_to_move)?;
        if told.last().is_none_or(is_over) {
            return Ok(told);
        }
        // The buyer does as the till says.
        self.card.remove();
        self.wait_for_card(false)?;
        self.card.insert();
        pos.follow(reference, told, is_over)
    }

    /// Waits until purserd knows of a card in a reader, or of none in any.
    ///
    /// # Errors
    /// It does not.
    pub fn wait_for_card(&self, is_there: bool) -> Result<(), Fault> {
        let mut pos = self.pos()?;
        let end = Instant::now() + PATIENCE;
        loop {
            let devices = pos.call(async |purser| purser.devices().await)??.devices;
            if devices.iter().any(|device| device.card_present == Some(true)) == is_there {
                return Ok(());
            }
            crate::ensure(Instant::now() < end, || {
                format!("a card in a reader should be {is_there}: {devices:?}")
            })?;
            thread::sleep(LOOK_AGAIN);
        }
    }

    /// A sale that must be paid.
    ///
    /// # Errors
    /// It is not.
    pub fn sell_paid(&mut self, reference: &str) -> Result<(), Fault> {
        let told = self.sell(reference)?;
        crate::ensure(told.was("paid"), || {
            format!("{reference} is not paid: {:?}", told.last())
        })?;
        self.paid += 1;
        Ok(())
    }
}

fn copy_folder(from: &Path, to: &Path) -> Result<(), Fault> {
    fs::create_dir(to)?;
    fs::set_permissions(to, fs::metadata(from)?.permissions())?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        fs::copy(entry.path(), to.join(entry.file_name()))?;
    }
    Ok(())
}
