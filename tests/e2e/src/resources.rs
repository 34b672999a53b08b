//! What a process uses: memory, descriptors, threads.

use std::fmt;
use std::fs;

use crate::Fault;

/// What a process uses now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resources {
    /// Resident memory, in KiB.
    pub rss_kib: u64,
    /// Open descriptors.
    pub descriptors: usize,
    /// Threads.
    pub threads: usize,
}

impl Resources {
    /// Looks at a process.
    ///
    /// # Errors
    /// It is gone, or nobody may look.
    pub fn of(process: u32) -> Result<Self, Fault> {
        let status = fs::read_to_string(format!("/proc/{process}/status"))?;
        let rss = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let rss = rss.and_then(|line| line.split_whitespace().next());
        let count = |folder: &str| Ok::<_, Fault>(fs::read_dir(format!("/proc/{process}/{folder}"))?.count());
        Ok(Self {
            rss_kib: rss.ok_or("a process has memory")?.parse()?,
            descriptors: count("fd")?,
            threads: count("task")?,
        })
    }
}

/// The most resident memory that a process had since [`forget_peak`], or ever, in KiB.
///
/// # Errors
/// It is gone, or nobody may look.
pub fn peak_kib(process: u32) -> Result<u64, Fault> {
    let status = fs::read_to_string(format!("/proc/{process}/status"))?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let peak = peak.and_then(|line| line.split_whitespace().next());
    Ok(peak.ok_or("a process has memory")?.parse()?)
}

/// Lets a process's peak begin anew at what it has now.
///
/// # Errors
/// It is gone, or nobody may.
pub fn forget_peak(process: u32) -> Result<(), Fault> {
    // proc(5): 5 resets the peak resident set size.
    Ok(fs::write(format!("/proc/{process}/clear_refs"), "5")?)
}

impl fmt::Display for Resources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:>6} KiB, {:>3} descriptors, {:>2} threads",
            self.rss_kib, self.descriptors, self.threads
        )
    }
}
