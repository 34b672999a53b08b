//! A purserd with a card, a buyer and a till, on a copy of a state that was prepared once.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;

use purser_lab::card::Minor;
use purser_lab::issuer::{LAB_PIN, LAB_SERIAL};
use purser_lab::psam::FactorOrder;
use purser_lab::stack::{Options, PATIENCE, Stack};
use purser_lab::vpcd::{CardThread, PsamThread};
use tempfile::TempDir;

use crate::Fault;
use crate::buyer::Buyer;
use crate::point::Objects;
use crate::pos::{Pos, Told};

/// What each sale costs.
pub const PRICE: u64 = 300;
/// What the card holds at first.
pub const WALLET: u64 = 100_000;

const CARD: &str = "card";
const PSAM: &str = "psam";

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
    _buyer: Buyer,
    folder: TempDir,
    /// How many sales were paid before.
    pub paid: u64,
}

impl World {
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
            _buyer: buyer,
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
        pos.follow(reference, told, |sale| sale.outcome != "under_way")
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
