//! From the load to the end of an instance.

use std::time::Duration;

use purser_driver_wire::Fault;

use super::Setback;
use crate::report::Broken;
use crate::subject::Subject;
use crate::vitals::Vitals;

/// Threads of the driver host itself.
const OWN_THREADS: u64 = 2;

/// A setting that no driver has.
const UNKNOWN: &str = "no_driver_has_this_setting";

/// How long an idle driver is watched.
const IDLE_TIME: Duration = Duration::from_secs(1);

/// Processor time that an idle driver may use in it, in hundredths of a second: a device's own slow polling, and no more.
const IDLE_TICKS_MAX: u64 = 10;

pub(super) fn loads(subject: &Subject) -> Result<(), Setback> {
    let bench = subject.load()??;
    let now = Vitals::of(bench.host.id());
    if let Some(threads) = now.threads.filter(|threads| *threads > OWN_THREADS) {
        let what = format!("{} threads run before create", threads - OWN_THREADS);
        return Err(Broken::new("L-2", what).into());
    }
    if !now.children.is_empty() {
        return Err(Broken::new("L-2", "it started a process before create").into());
    }
    bench.host.hang_up();
    Ok(())
}

pub(super) fn starts(subject: &Subject) -> Result<(), Setback> {
    let bench = subject.start()??;
    bench.is_whole()?;
    Ok(())
}

pub(super) fn refuses_unknown_settings(subject: &Subject) -> Result<(), Setback> {
    let mut bench = subject.load()??;
    // First, so that it is in no table of the settings.
    let settings = format!("{UNKNOWN} = 1\n{}", subject.settings);
    let what = match bench.create(&settings)?? {
        Ok(()) => "create took a setting that it cannot know".to_owned(),
        Err(failure) if failure.fault != Fault::BadArgument => {
            format!("an unknown setting is answered {}", super::code(failure.fault))
        }
        Err(failure) if !failure.detail.as_str().contains(UNKNOWN) => {
            format!(
                "the detail does not name the unknown setting: {:?}",
                failure.detail
            )
        }
        Err(_) => return Ok(()),
    };
    Err(Broken::new("L-7", what).into())
}

pub(super) fn idles(subject: &Subject) -> Result<(), Setback> {
    let mut bench = subject.start()??;
    let before = Vitals::of(bench.host.id()).ticks;
    bench.listen(IDLE_TIME)?;
    let after = Vitals::of(bench.host.id()).ticks;
    let (Some(before), Some(after)) = (before, after) else {
        return Err(super::skipped("the system does not tell processor times"));
    };
    let ticks = after.saturating_sub(before);
    if ticks > IDLE_TICKS_MAX {
        let what = format!("idle, it used {ticks} hundredths of a second of processor time in {IDLE_TIME:?}");
        return Err(Broken::new("T-5", what).into());
    }
    Ok(())
}

pub(super) fn ends(subject: &Subject) -> Result<(), Setback> {
    let bench = subject.start()??;
    bench.stop()?;
    Ok(())
}
