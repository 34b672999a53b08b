//! The states that phases begin with.

use purser_lab::card::{Fault as CardFault, ScriptedFault};

use crate::phase::{Blow, DEBIT, Lived, Phase, Process, live_in};
use crate::point::Point;
use crate::strace::Cut;
use crate::world::{PRICE, Sam, Template, World};
use crate::{Fault, ensure};

/// The states that phases begin with.
#[derive(Debug)]
pub struct Templates {
    sold: Template,
    untouched: Option<Template>,
    debited: Option<Template>,
}

impl Templates {
    /// Prepares the states.
    ///
    /// # Errors
    /// Something already fails without any cut.
    pub fn new() -> Result<Self, Fault> {
        let sold = sold(Sam::Software)?;
        let world = World::copy(&sold)?;
        let untouched = intended(world)?;
        let mut templates = Self {
            sold,
            untouched: Some(untouched),
            debited: None,
        };
        templates.debited = Some(templates.make_debited()?);
        Ok(templates)
    }

    /// Prepares what [`Phase::PsamSale`] begins with, and nothing else.
    ///
    /// # Errors
    /// As [`Templates::new`].
    pub fn with_psam() -> Result<Self, Fault> {
        Ok(Self {
            sold: sold(Sam::Psam)?,
            untouched: None,
            debited: None,
        })
    }

    /// Two sales, and nothing open.
    pub fn sold(&self) -> &Template {
        &self.sold
    }

    pub(crate) fn of(&self, phase: Phase) -> Option<&Template> {
        match phase {
            Phase::FirstStart => None,
            Phase::Sale | Phase::PsamSale | Phase::Stop | Phase::Upkeep => Some(&self.sold),
            Phase::Restart | Phase::ReturnsUntouched => self.untouched.as_ref(),
            Phase::ReturnsDebited => self.debited.as_ref(),
        }
    }

    /// A sale that is killed at the first write of its evidence: the card has debited, and no entry says so.
    fn make_debited(&self) -> Result<Template, Fault> {
        let mut open = World::copy(&self.sold)?;
        open.stack.start_again()?;
        let lived = live_in(open, Phase::Sale, "open", None)?;
        let of_journal = |point: &&(Process, Point)| point.1.role == "journal";
        let of_intent = lived
            .points
            .iter()
            .filter(of_journal)
            .take_while(|(_, point)| point.call != "fsync");
        let written = of_intent.filter(|(_, point)| point.call == "pwrite64").count();
        // An intent may touch a page more or less than the one that was traced.
        for when in u32::try_from(written)?.. {
            let mut lived = self.cut_write(when)?;
            let debits = u64::from(lived.world.card.status().ep_offline_sn);
            if lived.is_cut && debits > lived.world.paid {
                lived.world.stack.kill();
                return Ok(lived.world.into_template());
            }
            ensure(lived.is_cut, || {
                "purserd is never killed between debit and evidence".to_owned()
            })?;
        }
        unreachable!("a sale makes fewer writes")
    }

    /// A sale that is killed at this write to the journal.
    fn cut_write(&self, when: u32) -> Result<Lived, Fault> {
        let blow = Blow {
            process: Process::Purserd,
            point: Point {
                role: "journal".to_owned(),
                call: "pwrite64".to_owned(),
                object: "state/journal.db-wal".to_owned(),
                when,
            },
            cut: Cut::Kill,
        };
        let mut open = World::copy(&self.sold)?;
        open.stack.start_again()?;
        live_in(open, Phase::Sale, "open", Some(&blow))
    }
}

/// Two sales, and nothing open.
///
/// # Errors
/// A sale fails.
pub fn sold(sam: Sam) -> Result<Template, Fault> {
    let mut world = World::with(sam)?;
    world.stack.start_again()?;
    world.sell_paid("warm-1")?;
    world.sell_paid("warm-2")?;
    world.stack.stop()?;
    Ok(world.into_template())
}

/// A sale that is killed while its DEBIT waits for an answer, which the card does not execute.
fn intended(mut world: World) -> Result<Template, Fault> {
    world.stack.start_again()?;
    world
        .card
        .script(ScriptedFault::next(DEBIT, CardFault::MuteUntilReset));
    let mut pos = world.pos()?;
    let told = pos.begin("open", PRICE)?;
    world.card.insert();
    let told = pos.follow("open", told, |sale| sale.entry.is_some())?;
    ensure(told.last().is_some_and(|sale| sale.state == "debiting"), || {
        format!("the debit is intended: {:?}", told.last())
    })?;
    world.stack.kill();
    Ok(world.into_template())
}
