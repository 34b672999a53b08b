//! Notes when the program was built: the first clock floor, and what the clock's ceiling counts from (money rule T2).
//! `SOURCE_DATE_EPOCH` makes it reproducible.

use std::env;
use std::process::ExitCode;
use std::time::SystemTime;

/// 2025-01-01: before that there was no Purser. A program that took itself for older would believe no clock of today.
const BUILT_MIN: u64 = 1_735_689_600;
/// 2100-01-01: a program that took itself for newer would believe no clock at all.
const BUILT_MAX: u64 = 4_102_444_800;

fn main() -> ExitCode {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=SOURCE_DATE_EPOCH");
    let epoch = env::var_os("SOURCE_DATE_EPOCH").map(|text| text.to_string_lossy().into_owned());
    let now = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0, |since| since.as_secs());
    match built(epoch.as_deref(), now) {
        Ok(built) => {
            println!("cargo::rustc-env=PURSERD_BUILT_UNIX_SECONDS={built}");
            ExitCode::SUCCESS
        }
        Err(refused) => {
            println!("cargo::error={refused}");
            ExitCode::FAILURE
        }
    }
}

/// The build date, in seconds since 1970; or why there is none that a program may count its clock from.
pub(crate) fn built(epoch: Option<&str>, now: u64) -> Result<u64, String> {
    let (seconds, whence) = match epoch {
        Some(text) => {
            let told = text.trim().parse::<u64>();
            let seconds =
                told.map_err(|_| format!("SOURCE_DATE_EPOCH is {text:?}, and no number of seconds"))?;
            (seconds, "SOURCE_DATE_EPOCH")
        }
        None => (now, "this machine's clock"),
    };
    let remedy = "purserd counts the clock that it believes from its build date: set it to the source's date";
    if seconds < BUILT_MIN {
        return Err(format!("{whence} says {seconds}, which is before 2025; {remedy}"));
    }
    if seconds >= BUILT_MAX {
        return Err(format!("{whence} says {seconds}, which is after 2099; {remedy}"));
    }
    Ok(seconds)
}
