//! The journal that is spoilt: sales of every kind, made by the real program.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use e2e::world::{PRICE, World};
use e2e::{Fault, ensure};
use purser_lab::card::{Fault as CardFault, ScriptedFault, instruction};
use purser_lab::stack::Programs;
use tempfile::TempDir;

use crate::purserd::{Home, Started, copy_state};

/// Sales that were cancelled: as many as give every table more than one page.
const CANCELLED: usize = 120;
/// Paid sales, by reference.
pub(crate) const PAID: [&str; 3] = ["paid-0", "paid-1", "paid-2"];
/// A sale whose card left for good.
pub(crate) const IN_DOUBT: &str = "doubt";

/// Two states of one journal, and what is needed to start on copies of them.
pub(crate) struct Template {
    pub(crate) programs: Arc<Programs>,
    folder: TempDir,
    /// The world that made it, with its card.
    pub(crate) world: e2e::world::Template,
    /// The newest entry of both.
    pub(crate) head: String,
}

impl Template {
    /// Sells, is cancelled, and has a card torn out; then lets the journal move everything into the data base file.
    pub(crate) fn make() -> Result<Self, Fault> {
        let mut world = World::new()?;
        world.stack.start_again()?;
        let mut till = world.stack.till()?;
        let cancel = |till: &mut purser_lab::stack::Till, reference: &str| -> Result<(), Fault> {
            till.begin_sale(reference, PRICE)?;
            till.call(async |purser| purser.cancel(reference).await)?;
            Ok(())
        };
        for number in 0..CANCELLED {
            cancel(&mut till, &format!("cancelled-{number}"))?;
        }
        for reference in PAID {
            world.sell_paid(reference)?;
        }
        world.card.script(ScriptedFault::next(
            instruction::DEBIT,
            CardFault::TearAfterExecute,
        ));
        let torn = world.sell(IN_DOUBT)?;
        ensure(torn.was("in_doubt"), || format!("{torn:?}"))?;
        world.card.remove();
        let folder = tempfile::tempdir()?;
        let state = world.stack.layout().state_dir();
        copy_state(&state, &folder.path().join("early"))?;
        // One page of entries after the open sale's: its entry is in the data base, and not among the newest.
        for number in 0..CANCELLED {
            cancel(&mut till, &format!("later-{number}"))?;
        }
        let head = till.call(async |purser| purser.head().await)?.head;
        world.stack.kill();
        copy_state(&state, &folder.path().join("with-wal"))?;
        let programs = Programs::build()?;
        let made = Self {
            programs,
            folder,
            world: world.into_template(),
            head,
        };
        made.settle()?;
        Ok(made)
    }

    /// A second state, all of which is in the data base file: a start moves it there.
    fn settle(&self) -> Result<(), Fault> {
        let home = Home::with_state(&self.with_wal())?;
        match home.start(&self.programs)? {
            Started::Ready(running) => drop(running),
            Started::Ended(ended) => return Err(format!("{ended:?}").into()),
        }
        copy_state(&home.state, &self.settled())?;
        ensure(
            fs::metadata(self.settled().join("journal.db"))?.len() > 100 * 1024,
            || "the journal has too few pages".to_owned(),
        )
    }

    /// An earlier state.
    pub(crate) fn early(&self) -> PathBuf {
        self.folder.path().join("early")
    }

    /// The state as a killed purserd left it: the newest entries are in the WAL.
    pub(crate) fn with_wal(&self) -> PathBuf {
        self.folder.path().join("with-wal")
    }

    /// The state with all of it in the data base file.
    pub(crate) fn settled(&self) -> PathBuf {
        self.folder.path().join("settled")
    }
}
