//! A sale through D-Bus with the client from PyPI, on a bus with the rules of an installation.

use std::fs::Permissions;
use std::io::Write;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::time::Instant;

use e2e::bus::Bus;
use e2e::buyer::Buyer;
use e2e::peer::{Peer, script_path};
use e2e::{Fault, ensure};
use purser_lab::card::{Fault as CardFault, Minor, ScriptedFault, instruction};
use purser_lab::issuer::{LAB_PIN, LAB_SERIAL};
use purser_lab::stack::{Options, PATIENCE, Stack};
use purser_lab::vpcd::CardThread;
use tempfile::TempDir;

/// The user and group called nobody and nogroup on Debian.
const NOBODY: &str = "65534";
/// The user and group called daemon: in none of the groups that may sell.
const STRANGER: &str = "1";

struct Shop {
    bus: Bus,
    card: CardThread,
    stack: Stack,
    _folders: [TempDir; 2],
}

impl Shop {
    fn open() -> Result<Self, Fault> {
        let (bus_folder, folder) = (tempfile::tempdir()?, tempfile::tempdir()?);
        std::fs::set_permissions(bus_folder.path(), Permissions::from_mode(0o755))?;
        let bus = Bus::start(bus_folder.path())?;
        let options = Options {
            bus: bus.address.clone(),
            drop_in: "[pin]\nthrough_api = true\n".to_owned(),
            ..Options::default()
        };
        let stack = Stack::start(folder.path(), options)?;
        let card = stack.new_card("card", LAB_SERIAL, Minor(1000))?;
        let shop = Self {
            bus,
            card,
            stack,
            _folders: [bus_folder, folder],
        };
        shop.wait_for_bus("connected")?;
        Ok(shop)
    }

    fn till(&self, arguments: &[&str], input: Option<OwnedFd>) -> Result<Peer, Fault> {
        let arguments = [&[self.bus.address.as_str()], arguments].concat();
        Peer::start("dbus_sale.py", &arguments, input)
    }

    fn till_of(&self, user: &str, arguments: &[&str]) -> Result<Peer, Fault> {
        let script = script_path("dbus_sale.py");
        let script = script.to_string_lossy();
        let head = [user, user, &*script, self.bus.address.as_str()];
        Peer::start("as_user.py", &[&head, arguments].concat(), None)
    }

    /// A till that knows the buyer's PIN.
    fn till_with_pin(&self, reference: &str) -> Result<Peer, Fault> {
        let (read, mut write) = std::io::pipe()?;
        write.write_all(LAB_PIN.as_bytes())?;
        self.till(
            &["sell", reference, "300", "JPY", "--pin-fd", "0"],
            Some(read.into()),
        )
    }

    fn wait_for_bus(&self, wanted: &str) -> Result<(), Fault> {
        let mut till = self.stack.till()?;
        let end = Instant::now() + PATIENCE;
        loop {
            let status = till.call(async |purser| purser.status().await)?;
            if status.bus == wanted {
                return Ok(());
            }
            ensure(Instant::now() < end, || format!("the bus stays {}", status.bus))?;
            std::thread::yield_now();
        }
    }
}

#[test]
fn a_till_in_python_sells_with_a_pin_by_descriptor_and_is_told_by_signals() -> Result<(), Fault> {
    let shop = Shop::open()?;
    shop.card.insert();
    let sold = shop.till_with_pin("order-1")?.finish()?.expect_code(0)?;
    let kinds: Vec<&str> = sold.entries().into_iter().map(|(kind, _)| kind).collect();
    ensure(kinds == ["sale_intended", "sale_paid"], || format!("{sold:?}"))?;
    let repeated = shop
        .till(&["sell", "order-1", "300", "JPY"], None)?
        .finish()?
        .expect_code(0)?;
    ensure(repeated.told[0]["standing"] == "completed", || {
        format!("{repeated:?}")
    })?;
    let other = shop
        .till(&["sell", "order-1", "301", "JPY"], None)?
        .finish()?
        .expect_code(1)?;
    ensure(
        other.told[0]["refused"] == "org.purser.Purser1.Error.ReferenceWithOtherAmount",
        || format!("{other:?}"),
    )
}

#[test]
fn a_till_that_left_the_bus_is_told_by_number_what_it_missed() -> Result<(), Fault> {
    let shop = Shop::open()?;
    shop.card.script(ScriptedFault::next(
        instruction::DEBIT,
        CardFault::TearAfterExecute,
    ));
    shop.card.insert();
    let torn = shop.till_with_pin("order-1")?.finish()?.expect_code(4)?;
    let entries = torn.entries();
    let Some(&("sale_in_doubt", last)) = entries.last() else {
        return Err(format!("the doubt has a number: {torn:?}").into());
    };
    // The till is gone; the card comes back meanwhile.
    shop.card.remove();
    shop.card.insert();
    let resumed = shop
        .till(&["resume", "order-1", &last.to_string()], None)?
        .finish()?;
    let entries = resumed.entries();
    ensure(
        matches!(entries[..], [("sale_paid", number)] if number > last),
        || format!("what was missed, once, and nothing else: {resumed:?}"),
    )
}

#[test]
fn another_user_is_refused_the_sale_and_a_stranger_the_name() -> Result<(), Fault> {
    let shop = Shop::open()?;
    shop.card.insert();
    shop.till_with_pin("order-1")?.finish()?.expect_code(0)?;
    for arguments in [&["attach", "order-1"][..], &["resume", "order-1", "0"]] {
        let refused = shop.till_of(NOBODY, arguments)?.finish()?.expect_code(1)?;
        ensure(
            refused.told.len() == 1 && refused.told[0]["refused"] == "org.purser.Purser1.Error.NotOwner",
            || format!("{refused:?}"),
        )?;
    }
    let refused = shop
        .till_of(NOBODY, &["sell", "order-1", "300", "JPY"])?
        .finish()?
        .expect_code(1)?;
    ensure(
        refused.told[0]["refused"] == "org.purser.Purser1.Error.ReferenceOfOtherOwner",
        || format!("{refused:?}"),
    )?;
    let stranger = shop
        .till_of(STRANGER, &["attach", "order-1"])?
        .finish()?
        .expect_code(1)?;
    ensure(
        stranger.told[0]["refused"] == "org.freedesktop.DBus.Error.AccessDenied",
        || format!("{stranger:?}"),
    )
}

#[test]
fn varlink_goes_on_when_the_bus_dies() -> Result<(), Fault> {
    let mut shop = Shop::open()?;
    let _buyer = Buyer::at(shop.stack.layout().pad(), LAB_PIN.to_owned());
    let mut till = shop.stack.till()?;
    till.begin_sale("order-1", 300)?;
    shop.bus.kill()?;
    shop.card.insert();
    let end = till.wait_for_end("order-1")?;
    ensure(end.outcome == "paid", || format!("{end:?}"))?;
    shop.wait_for_bus("lost")
}
