//! Clocks that go back and forth: sales go on, marked, and no wrong clock leaves anything behind.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use e2e::world::{PRICE, World};
use e2e::{Fault, ensure};
use purser_api::model::Sale;

use crate::table::{Group, says};
use crate::template::Template;

/// Where Debian has libfaketime, by architecture.
const LIBRARIES: [&str; 2] = [
    "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1",
    "/usr/lib/aarch64-linux-gnu/faketime/libfaketime.so.1",
];
/// How far the time of a sale may be from ours when both clocks are right, in seconds.
const NEAR: i64 = 120;
/// How often a clock is looked at that is waited for.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// A shop whose purserd sees the clock that the file tells.
struct Shop {
    world: World,
    clock: PathBuf,
    sales: u32,
    /// The newest time that a sale was recorded with.
    newest: i64,
}

pub(crate) fn rows(_: &Template) -> Result<Group, Fault> {
    let mut group = Group::default();
    let mut shop = Shop::new()?;
    shop.start_at("+0")?;
    let first = shop.sell()?;
    ensure(is_true(&first)?, || {
        format!("the true clock is not believed: {first:?}")
    })?;

    group.row("started in 1970, before the build date", {
        shop.start_at("@1970-01-02 00:00:00")?;
        shop.marked(&[
            "1970-01-0",
            "before the newest record or the build date",
            "set the clock",
        ])
    });
    group.row("true time after 1970", {
        shop.start_at("+0")?;
        shop.believed()
    });
    group.row("started an hour before the last record", {
        shop.start_at("-3600")?;
        shop.marked(&["before the newest record or the build date", "set the clock"])
    });
    group.row("started in 2090", {
        shop.start_at("@2090-01-01 00:00:00")?;
        shop.marked(&[
            "2090-01-01",
            "more than twenty years after this program was built",
            "set the clock",
        ])
    });
    group.row("true time after a sale in 2090", {
        shop.start_at("+0")?;
        shop.believed()
    });
    group.row(
        "jumps to 2090 while a sale waits for its card",
        shop.jump("@2090-01-01 00:00:00"),
    );
    group.row(
        "jumps back to 1970 while a sale waits for its card",
        shop.jump("@1970-01-02 00:00:00"),
    );
    group.row("jumps an hour ahead: no sale times out", shop.hour_ahead());
    shop.world.stack.stop()?;
    let verified = shop.world.stack.run_verb(&["verify-journal"])?;
    ensure(verified.status.success(), || format!("{verified:?}"))?;
    Ok(group)
}

impl Shop {
    fn new() -> Result<Self, Fault> {
        let world = World::new()?;
        let clock = world.dir().join("clock");
        let library = LIBRARIES
            .into_iter()
            .find(|path| fs::exists(path).unwrap_or(false));
        let library = library.ok_or("libfaketime is missing: apt-get install faketime")?;
        let mut shop = Self {
            world,
            clock,
            sales: 0,
            newest: 0,
        };
        let clock = shop.clock.clone().into_os_string();
        let env = [
            ("LD_PRELOAD", library.into()),
            ("FAKETIME_TIMESTAMP_FILE", clock),
            ("FAKETIME_NO_CACHE", "1".into()),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1".into()),
            ("DONT_FAKE_MONOTONIC", "1".into()),
            ("TZ", "UTC".into()),
        ];
        shop.world.stack.options_mut().env = env.map(|(name, value)| (name.into(), value)).into();
        Ok(shop)
    }

    fn set(&self, clock: &str) -> Result<(), Fault> {
        // Replaced whole: purserd reads it at each look at the clock.
        let aside = self.clock.with_extension("new");
        fs::write(&aside, format!("{clock}\n"))?;
        Ok(fs::rename(aside, &self.clock)?)
    }

    fn start_at(&mut self, clock: &str) -> Result<(), Fault> {
        self.world.stack.kill();
        self.set(clock)?;
        Ok(self.world.stack.start_again()?)
    }

    fn reference(&mut self) -> String {
        self.sales += 1;
        format!("sale-{}", self.sales)
    }

    fn sell(&mut self) -> Result<Sale, Fault> {
        let reference = self.reference();
        self.world.sell_paid(&reference)?;
        self.sale(&reference)
    }

    fn sale(&mut self, reference: &str) -> Result<Sale, Fault> {
        let sale = self.attach(reference)?;
        let at = sale.at.as_ref().map_or(0, |at| at.unix_seconds);
        ensure(at < now()? + 3_600 + NEAR, || {
            format!("it lifts the floor: {:?}", sale.at)
        })?;
        // An hour ahead is waited for by nobody.
        self.newest = self.newest.max(at.min(now()? + NEAR));
        Ok(sale)
    }

    fn attach(&self, reference: &str) -> Result<Sale, Fault> {
        Ok(self
            .world
            .pos()?
            .call(async |purser| purser.attach(reference).await)??
            .sale)
    }

    /// What the status says about the clock.
    fn problem(&self) -> Result<Option<String>, Fault> {
        let status = self.world.pos()?.call(async |purser| purser.status().await)??;
        let found = status
            .problems
            .into_iter()
            .find(|problem| problem.name == "clock_untrusted");
        Ok(found.map(|problem| format!("{}; {}", problem.cause, problem.remedy)))
    }

    /// The status tells, and a sale is paid and marked, with a time that was true once.
    fn marked(&mut self, words: &[&str]) -> Result<String, Fault> {
        let told = self.problem()?.ok_or("the status does not tell")?;
        says(&told, words)?;
        let sale = self.sell()?;
        is_marked(&sale)?;
        Ok(told)
    }

    /// A sale is paid with the true time, and the status has nothing to tell.
    fn believed(&mut self) -> Result<String, Fault> {
        // Two debits never have the same second: quick sales at a clock that stands run ahead of it by a few.
        while now()? <= self.newest {
            std::thread::sleep(LOOK_AGAIN);
        }
        let sale = self.sell()?;
        ensure(is_true(&sale)?, || {
            format!("the true clock is not believed: {sale:?}")
        })?;
        let problem = self.problem()?;
        ensure(problem.is_none(), || format!("{problem:?}"))?;
        Ok("paid at the true time, trusted".to_owned())
    }

    /// The clock is wrong from before the card to the end of the sale, and then right again.
    fn jump(&mut self, clock: &str) -> Result<String, Fault> {
        let reference = self.reference();
        let mut pos = self.world.pos()?;
        self.world.card.remove();
        let told = pos.begin(&reference, PRICE)?;
        self.set(clock)?;
        self.world.card.insert();
        let told = pos.follow(&reference, told, |sale| sale.outcome != "under_way")?;
        ensure(told.was("paid"), || format!("{told:?}"))?;
        self.world.paid += 1;
        is_marked(&self.sale(&reference)?)?;
        let problem = self.problem()?.ok_or("the status does not tell")?;
        self.set("+0")?;
        self.believed()?;
        Ok(problem)
    }

    fn hour_ahead(&mut self) -> Result<String, Fault> {
        let reference = self.reference();
        let mut pos = self.world.pos()?;
        self.world.card.remove();
        let told = pos.begin(&reference, PRICE)?;
        self.set("+3600")?;
        // Whatever looks at a clock has looked by the time when a call is answered.
        let still = pos.call(async |purser| purser.attach(&reference).await)??.sale;
        ensure(still.outcome == "under_way", || format!("{still:?}"))?;
        self.world.card.insert();
        let told = pos.follow(&reference, told, |sale| sale.outcome != "under_way")?;
        ensure(told.was("paid"), || format!("{told:?}"))?;
        self.world.paid += 1;
        self.set("+0")?;
        // An hour is plausible: it lifts the floor, and the true time is marked until it has caught up.
        is_marked(&self.sell()?)?;
        Ok("paid; the true time is marked for that hour".to_owned())
    }
}

fn now() -> Result<i64, Fault> {
    Ok(i64::try_from(
        SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs(),
    )?)
}

/// Marked, and near the present all the same: the last time that was believed.
fn is_marked(sale: &Sale) -> Result<(), Fault> {
    let slip = sale.slip.as_ref().ok_or("there is no slip")?;
    let off = (slip.at.unix_seconds - now()?).abs();
    ensure(!slip.at.trusted && off < 3_600 + NEAR, || {
        format!("{:?}", slip.at)
    })
}

fn is_true(sale: &Sale) -> Result<bool, Fault> {
    let slip = sale.slip.as_ref().ok_or("there is no slip")?;
    let off = (slip.at.unix_seconds - now()?).abs();
    Ok(slip.at.trusted && off < NEAR)
}
