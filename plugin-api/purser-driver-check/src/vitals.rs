//! What the system tells of a process: how much it uses, what it started, what it does with signals.

use std::fs;
use std::path::{Path, PathBuf};

/// A process at one moment. What the system does not tell is `None`; a process that lets nobody look at its descriptors
/// tells their number only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Vitals {
    /// Memory that it has in fact, in KiB.
    pub(crate) memory_kib: Option<u64>,
    /// Threads.
    pub(crate) threads: Option<u64>,
    /// Open descriptors.
    pub(crate) descriptors: Option<u64>,
    /// Where descriptors 0 to 3 lead.
    pub(crate) standard: Option<[PathBuf; 4]>,
    /// Processor time that it used, in ticks of a hundredth of a second.
    pub(crate) ticks: Option<u64>,
    /// Its children's ids.
    pub(crate) children: Vec<String>,
    /// The signals that are blocked, ignored and caught, as masks.
    pub(crate) signals: [Option<String>; 3],
}

impl Vitals {
    pub(crate) fn of(process: u32) -> Self {
        let folder = PathBuf::from(format!("/proc/{process}"));
        let status = fs::read_to_string(folder.join("status")).unwrap_or_default();
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            line.strip_prefix(':')?.split_whitespace().next()
        };
        let number = |name: &str| field(name).and_then(|value| value.parse().ok());
        Self {
            memory_kib: number("VmRSS"),
            threads: number("Threads"),
            descriptors: descriptors(&folder),
            standard: standard(&folder),
            ticks: ticks(&folder),
            children: children(&folder),
            signals: ["SigBlk", "SigIgn", "SigCgt"].map(|name| field(name).map(str::to_owned)),
        }
    }
}

/// Counted by name where that is allowed; since Linux 6.2 the folder's size is their number.
fn descriptors(folder: &Path) -> Option<u64> {
    let folder = folder.join("fd");
    let counted = fs::read_dir(&folder)
        .ok()
        .and_then(|entries| u64::try_from(entries.count()).ok());
    let sized = || {
        fs::metadata(&folder)
            .ok()
            .map(|found| found.len())
            .filter(|size| *size > 0)
    };
    counted.or_else(sized)
}

/// User and system time. Source: proc_pid_stat(5), fields 14 and 15; the name in field 2 may hold blanks.
fn ticks(folder: &Path) -> Option<u64> {
    let stat = fs::read_to_string(folder.join("stat")).ok()?;
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let (user, system): (u64, u64) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    Some(user + system)
}

fn standard(folder: &Path) -> Option<[PathBuf; 4]> {
    fs::read_link(folder.join("fd/0"))
        .err()
        .map_or(Some(()), |error| {
            (error.kind() == std::io::ErrorKind::NotFound).then_some(())
        })?;
    let target = |number: &str| fs::read_link(folder.join("fd").join(number)).unwrap_or_default();
    Some(["0", "1", "2", "3"].map(target))
}

fn children(folder: &Path) -> Vec<String> {
    let tasks = fs::read_dir(folder.join("task")).into_iter().flatten().flatten();
    let lists = tasks.filter_map(|task| fs::read_to_string(task.path().join("children")).ok());
    lists
        .flat_map(|list| list.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
        .collect()
}
