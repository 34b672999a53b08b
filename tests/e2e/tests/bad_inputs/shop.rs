//! Calls that are refused on both doors of one running shop: by name, with cause and remedy, and without an entry.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::Instant;

use e2e::bus::Bus;
use e2e::buyer::Buyer;
use e2e::{Fault, ensure};
use purser_lab::card::Minor;
use purser_lab::issuer::{LAB_PIN, LAB_SERIAL};
use purser_lab::stack::{Options, PATIENCE, Stack, Till};
use purser_lab::vpcd::CardThread;
use tempfile::TempDir;

use crate::table::Group;
use crate::template::Template;

/// What the card holds.
const WALLET: u32 = 10_000;
/// What each sale costs.
const PRICE: u64 = 300;

/// A shop with both doors open, and one sale that is paid.
pub(crate) struct Shop {
    pub(crate) card: CardThread,
    pub(crate) stack: Stack,
    pub(crate) bus: Bus,
    _folders: [TempDir; 2],
}

pub(crate) fn rows(_: &Template) -> Result<Group, Fault> {
    let shop = Shop::open()?;
    let mut group = crate::varlink::rows(&shop)?;
    group.append(crate::dbus::rows(&shop)?);
    group.append(crate::pin::rows(&shop)?);
    shop.sells("good-1")?;
    let left = shop.card.status().ep;
    ensure(left == Minor(WALLET - 2 * 300), || {
        format!("two sales are paid, and {left} is left")
    })?;
    let verified = shop.stack.run_verb(&["verify-journal"])?;
    ensure(verified.status.success(), || format!("{verified:?}"))?;
    Ok(group)
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
        let card = stack.new_card("card", LAB_SERIAL, Minor(WALLET))?;
        let shop = Self {
            card,
            stack,
            bus,
            _folders: [bus_folder, folder],
        };
        let end = Instant::now() + PATIENCE;
        let mut till = shop.stack.till()?;
        while till.call(async |purser| purser.status().await)?.bus != "connected" {
            ensure(Instant::now() < end, || "the bus stays away".to_owned())?;
            std::thread::yield_now();
        }
        shop.sells("order-1")?;
        Ok(shop)
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.stack.layout().socket()
    }

    pub(crate) fn till(&self) -> Result<Till, Fault> {
        Ok(self.stack.till()?)
    }

    /// The newest entry: what no refused call may move.
    pub(crate) fn head(&self) -> Result<String, Fault> {
        Ok(self.till()?.call(async |purser| purser.head().await)?.head)
    }

    /// A good sale.
    fn sells(&self, reference: &str) -> Result<(), Fault> {
        let _buyer = Buyer::at(self.stack.layout().pad(), LAB_PIN.to_owned());
        let mut till = self.till()?;
        self.card.remove();
        till.begin_sale(reference, PRICE)?;
        self.card.insert();
        till.wait_for_outcome(reference, "paid")?;
        self.card.remove();
        Ok(())
    }
}
