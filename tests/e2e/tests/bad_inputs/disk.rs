//! A disk that is full to the last byte before and after a sale's first commit, or that cannot be written at all.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

use e2e::world::{PRICE, WALLET, World};
use e2e::{Fault, ensure};
use purser_lab::card::{Fault as CardFault, Minor, ScriptedFault, instruction};
use tempfile::TempDir;

use crate::purserd::{Home, copy_state};
use crate::table::{Group, says};
use crate::template::Template;

/// Room for the journal with its WAL, and some.
const MEBIBYTES: u32 = 24;

pub(crate) fn rows(template: &Template) -> Result<Group, Fault> {
    let mut group = crate::folder::rows(template)?;
    group.row("read-only state folder", read_only(template));
    group.row("full disk before the start", full_before_start(template));
    group.append(full_around_a_sale()?);
    Ok(group)
}

/// A file system in memory, gone when it is dropped.
struct SmallDisk {
    folder: TempDir,
}

impl SmallDisk {
    fn mount() -> Result<Self, Fault> {
        let disk = Self {
            folder: tempfile::tempdir()?,
        };
        let size = format!("size={MEBIBYTES}m,mode=0700");
        run(Command::new("mount")
            .args(["-t", "tmpfs", "-o", &size, "tmpfs"])
            .arg(disk.folder.path()))?;
        Ok(disk)
    }

    fn state(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    fn remount(&self, how: &str) -> Result<(), Fault> {
        run(Command::new("mount")
            .args(["-o", &format!("remount,{how}")])
            .arg(self.folder.path()))
    }

    /// Writes until not one more byte is taken.
    fn fill(&self) -> Result<(), Fault> {
        let mut file = OpenOptions::new().create(true).append(true).open(self.filler())?;
        let mut length = 1 << 20;
        while length > 0 {
            match file.write_all(&vec![0x55; length]) {
                Ok(()) => {}
                Err(error) if error.kind() == ErrorKind::StorageFull => length /= 2,
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    fn filler(&self) -> PathBuf {
        self.folder.path().join("filler")
    }

    fn free(&self) -> Result<(), Fault> {
        Ok(std::fs::remove_file(self.filler())?)
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: a purserd that is being killed may still be on it.
        drop(run(Command::new("umount").arg("--lazy").arg(self.folder.path())));
    }
}

fn run(command: &mut Command) -> Result<(), Fault> {
    let output = command.output()?;
    ensure(output.status.success(), || {
        format!("{command:?}: {}", String::from_utf8_lossy(&output.stderr).trim())
    })
}

fn read_only(template: &Template) -> Result<String, Fault> {
    let disk = SmallDisk::mount()?;
    let mut home = Home::new()?;
    home.state = disk.state();
    copy_state(&template.settled(), &home.state)?;
    disk.remount("ro")?;
    let words = [
        "the state folder may not be read or written",
        "make it writable",
        "Read-only file system",
    ];
    let said = home.refused(&template.programs, 1, &words)?;
    disk.remount("rw")?;
    home.starts_whole(&template.programs, &template.head)?;
    Ok(said)
}

fn full_before_start(template: &Template) -> Result<String, Fault> {
    let disk = SmallDisk::mount()?;
    let mut home = Home::new()?;
    home.state = disk.state();
    disk.fill()?;
    let said = home.refused(
        &template.programs,
        74,
        &["the disk has no room for the journal", "free at least"],
    )?;
    disk.free()?;
    if home.state.exists() {
        std::fs::remove_dir_all(&home.state)?;
    }
    copy_state(&template.settled(), &home.state)?;
    home.starts_whole(&template.programs, &template.head)?;
    Ok(said)
}

/// One shop on a small disk: full before a sale's first commit, and between its first commit and its evidence.
fn full_around_a_sale() -> Result<Group, Fault> {
    let disk = SmallDisk::mount()?;
    let mut world = World::new()?;
    let state = world.stack.layout().state_dir();
    std::fs::remove_dir(&state)?;
    std::os::unix::fs::symlink(disk.state(), &state)?;
    std::fs::create_dir(disk.state())?;
    std::fs::set_permissions(disk.state(), std::os::unix::fs::PermissionsExt::from_mode(0o700))?;
    no_reserve(&world.stack.layout().config_dir())?;
    world.stack.start_again()?;
    world.sell_paid("before")?;

    let mut group = Group::default();
    group.row("disk filled before the first commit", {
        disk.fill()?;
        refused_for_room(&mut world)
    });
    disk.free()?;
    world.sell_paid("room-again")?;

    group.row(
        "disk filled after the first commit",
        evidence_finds_its_room(&mut world, &disk),
    );
    disk.free()?;
    world.sell_paid("after")?;
    ensure(
        world.card.status().ep == Minor(u32::try_from(WALLET - world.paid * PRICE)?),
        || format!("{} sales are paid: {}", world.paid, world.card.status()),
    )?;
    world.stack.stop()?;
    let verified = world.stack.run_verb(&["verify-journal"])?;
    ensure(verified.status.success(), || format!("{verified:?}"))?;
    Ok(group)
}

/// No free space is kept: the WAL's own room is all that the evidence has.
fn no_reserve(config_dir: &Path) -> Result<(), Fault> {
    Ok(std::fs::write(
        config_dir.join("purser.toml.d/60-disk.toml"),
        "journal.reserve_mib = 0\n",
    )?)
}

/// A new sale is refused by name, and no card is debited for it.
fn refused_for_room(world: &mut World) -> Result<String, Fault> {
    let debits = world.card.status().ep_offline_sn;
    let mut pos = world.pos()?;
    world.card.remove();
    let sale = match pos.begin("no-room", PRICE) {
        // Told when it is asked.
        Err(refused) => {
            says(&refused.to_string(), &["no room", "free disk space"])?;
            return Ok(refused.to_string());
        }
        // Told when its first commit is refused.
        Ok(told) => {
            world.card.insert();
            pos.follow("no-room", told, |sale| sale.outcome != "under_way")?
        }
    };
    let sale = sale.last().ok_or("nothing is told")?;
    let said = format!("{:?} {:?}; {:?}", sale.reason, sale.cause, sale.remedy);
    ensure(sale.outcome == "not_paid", || said.clone())?;
    says(&said, &["no room", "free disk space"])?;
    ensure(world.card.status().ep_offline_sn == debits, || {
        "the card was debited".to_owned()
    })?;
    Ok(said)
}

/// The card is torn after its debit, the disk is filled, and the card comes back with its proof.
fn evidence_finds_its_room(world: &mut World, disk: &SmallDisk) -> Result<String, Fault> {
    world.card.script(ScriptedFault::next(
        instruction::DEBIT,
        CardFault::TearAfterExecute,
    ));
    let torn = world.sell("torn")?;
    ensure(torn.was("in_doubt"), || format!("{torn:?}"))?;
    disk.fill()?;
    world.card.insert();
    let mut pos = world.pos()?;
    let told = pos.follow("torn", e2e::pos::Told::default(), |sale| sale.outcome == "paid")?;
    ensure(told.was("paid"), || format!("{told:?}"))?;
    world.paid += 1;
    Ok("paid: the evidence has the room that the first commit reserved".to_owned())
}
