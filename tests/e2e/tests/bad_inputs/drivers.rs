//! Drivers that are refused before they are loaded, or that are none: told by name, while another reader sells.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use e2e::world::World;
use e2e::{Fault, ensure};
use purser_api::model::Device;
use purser_lab::stack::PATIENCE;

use crate::table::{Group, says};
use crate::template::Template;

const LOOK_AGAIN: Duration = Duration::from_millis(10);
/// A user who is neither root nor purserd's.
const STRANGER: u32 = 12_345;

/// What is done to a good driver in a folder of its own: the object's path is given.
type Spoil = fn(&Path) -> Result<(), Fault>;
type Row = (&'static str, Spoil, &'static [&'static str]);

const ROWS: [Row; 16] = [
    (
        "wrong-sha256",
        |object| change(object, "sha256 = \"", "sha256 = \"", flip_digit),
        &[
            "does not have the digest of its manifest",
            "install it again, or make the manifest again",
        ],
    ),
    (
        "changed-object",
        |object| append(object, b"\0"),
        &["does not have the digest of its manifest"],
    ),
    (
        "other-abi",
        |object| change(object, "abi = \"1.", "abi = \"2.", keep),
        &["the driver is for ABI 2.", "install the driver for this release"],
    ),
    (
        "abi-no-version",
        |object| change(object, "abi = \"1.", "abi = \"one", keep),
        &["is no driver manifest", "an ABI version is MAJOR.MINOR"],
    ),
    (
        "other-owner",
        |object| Ok(chown(object, Some(STRANGER), None)?),
        &["belongs to user 12345", "give it to root: chown root"],
    ),
    (
        "other-owner-manifest",
        |object| Ok(chown(manifest(object), Some(STRANGER), None)?),
        &["belongs to user 12345"],
    ),
    (
        "writable-object",
        |object| mode(object, 0o666),
        &["may be written by others (mode 666)", "chmod go-w"],
    ),
    (
        "writable-folder",
        |object| mode(object.parent().ok_or("no folder")?, 0o777),
        &["may be written by others (mode 777)", "chmod go-w"],
    ),
    (
        "missing-object",
        |object| Ok(fs::remove_file(object)?),
        &["cannot be read", "check the path in the configuration"],
    ),
    (
        "missing-manifest",
        |object| Ok(fs::remove_file(manifest(object))?),
        &["is missing; make it with `purser-driver-manifest`"],
    ),
    (
        "damaged-manifest",
        |object| Ok(fs::write(manifest(object), "id = \"x\nversion")?),
        &["is no driver manifest"],
    ),
    (
        "manifest-without-id",
        |object| change(object, "id = ", "# id = ", keep),
        &["is no driver manifest", "missing field `id`"],
    ),
    (
        "manifest-with-unknown-key",
        |object| change(object, "id = ", "colour = \"red\"\nid = ", keep),
        &["is no driver manifest", "unknown field `colour`"],
    ),
    (
        "unknown-class",
        |object| change(object, "purser.card-reader/1", "purser.toaster/1", keep),
        &[
            "the driver is not what its manifest says",
            "make the manifest again",
        ],
    ),
    (
        "no-elf",
        |object| other(object, "no library at all\n".as_bytes()),
        &["the driver cannot be linked"],
    ),
    (
        "no-entry-symbol",
        empty_library,
        &["does not export purser_driver_entry"],
    ),
];

pub(crate) fn rows(_: &Template) -> Result<Group, Fault> {
    let mut world = World::new()?;
    let drivers = world.dir().join("bad-drivers");
    let mut spoilt = Vec::new();
    for (name, spoil, words) in ROWS {
        let object = copy_driver(&world, &drivers, name)?;
        spoilt.push((name, words, spoil(&object)));
        let text = format!("path = {:?}\n", object.to_string_lossy());
        fs::write(
            world
                .stack
                .layout()
                .config_dir()
                .join("drivers.d")
                .join(format!("{name}.toml")),
            text,
        )?;
    }
    let settings = copy_driver(&world, &drivers, "refused-settings")?;
    let text = format!(
        "path = {:?}\n[settings]\ncolour = \"red\"\n",
        settings.to_string_lossy()
    );
    fs::write(
        world
            .stack
            .layout()
            .config_dir()
            .join("drivers.d/refused-settings.toml"),
        text,
    )?;
    spoilt.push((
        "refused-settings",
        &["the driver refuses its settings; mend [settings]", "colour"],
        Ok(()),
    ));
    world.stack.start_again()?;
    world.sell_paid("beside-bad-drivers")?;

    let mut group = Group::default();
    for (name, words, done) in spoilt {
        let given = done.and_then(|()| failed(&world, name, words));
        group.row(name.replace('-', " "), given);
    }
    world.sell_paid("and-again")?;
    world.stack.stop()?;
    let verified = world.stack.run_verb(&["verify-journal"])?;
    ensure(verified.status.success(), || format!("{verified:?}"))?;
    Ok(group)
}

/// What the status says of a driver, once it has given up.
fn failed(world: &World, name: &str, words: &[&str]) -> Result<String, Fault> {
    let end = Instant::now() + PATIENCE;
    let mut pos = world.pos()?;
    loop {
        let devices = pos.call(async |purser| purser.devices().await)??.devices;
        let device = devices.into_iter().find(|device| device.name == name);
        let device = device.ok_or("the driver is not listed")?;
        if device.state == "failed" {
            let said = said(&device);
            says(&said, words)?;
            says(&said, &["; mend "])?;
            return Ok(said);
        }
        ensure(Instant::now() < end, || format!("it does not fail: {device:?}"))?;
        std::thread::sleep(LOOK_AGAIN);
    }
}

fn said(device: &Device) -> String {
    let part = |part: &Option<String>| part.clone().unwrap_or_default();
    format!("{}; {}", part(&device.cause), part(&device.remedy))
}

fn copy_driver(world: &World, drivers: &Path, name: &str) -> Result<PathBuf, Fault> {
    let good = &world.stack.programs().driver;
    let folder = drivers.join(name);
    fs::create_dir_all(&folder)?;
    for path in [drivers, &folder] {
        mode(path, 0o755)?;
    }
    let object = folder.join("libdriver.so");
    fs::copy(good, &object)?;
    fs::copy(manifest(good), manifest(&object))?;
    for path in [&object, &manifest(&object)] {
        mode(path, 0o644)?;
    }
    Ok(object)
}

fn manifest(object: &Path) -> PathBuf {
    object.with_extension("driver.toml")
}

fn mode(path: &Path, mode: u32) -> Result<(), Fault> {
    Ok(fs::set_permissions(path, Permissions::from_mode(mode))?)
}

fn append(path: &Path, more: &[u8]) -> Result<(), Fault> {
    Ok(fs::write(path, [fs::read(path)?, more.to_vec()].concat())?)
}

fn keep(rest: &str) -> String {
    rest.to_owned()
}

/// Another first digit.
fn flip_digit(rest: &str) -> String {
    let other = if rest.starts_with('0') { '1' } else { '0' };
    format!("{other}{}", rest.get(1..).unwrap_or_default())
}

fn change(object: &Path, from: &str, to: &str, rest: fn(&str) -> String) -> Result<(), Fault> {
    let path = manifest(object);
    let text = fs::read_to_string(&path)?;
    let (before, after) = text
        .split_once(from)
        .ok_or_else(|| format!("{from:?} is not in {text}"))?;
    Ok(fs::write(path, format!("{before}{to}{}", rest(after)))?)
}

/// Puts other bytes in the object's place, with a manifest that vouches for them.
fn other(object: &Path, bytes: &[u8]) -> Result<(), Fault> {
    fs::write(object, bytes)?;
    vouch(object)
}

fn vouch(object: &Path) -> Result<(), Fault> {
    let output = Command::new("sha256sum").arg(object).output()?;
    let digest = String::from_utf8(output.stdout)?
        .chars()
        .take(64)
        .collect::<String>();
    let text = fs::read_to_string(manifest(object))?;
    let lines = text.lines().map(|line| match line.starts_with("sha256") {
        true => format!("sha256 = \"{digest}\"\n"),
        false => format!("{line}\n"),
    });
    Ok(fs::write(manifest(object), lines.collect::<String>())?)
}

/// A shared object that has nothing of a driver.
fn empty_library(object: &Path) -> Result<(), Fault> {
    let source = object.with_extension("c");
    fs::write(&source, "int nothing;\n")?;
    let built = Command::new("cc")
        .args(["-shared", "-fPIC", "-o"])
        .arg(object)
        .arg(&source)
        .status()?;
    ensure(built.success(), || "cc failed".to_owned())?;
    mode(object, 0o644)?;
    vouch(object)
}
