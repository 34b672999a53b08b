//! strace on one thread: watches its calls, lets one fail, or kills the process at one.
//!
//! `when=N` of strace counts per thread and per expression, and with `-P` only the calls on that object. So one strace is
//! attached to one thread, without `-f`, and told one object: the N-th call is exactly the N-th call that a trace of the
//! same thread showed.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use purser_lab::stack::PATIENCE;
use rustix::process::{Pid, Signal, kill_process};

use crate::Fault;

/// The calls by which a process changes anything outside of its own memory, or tells anybody anything.
pub const CALLS: &str = "write,pwrite64,writev,pwritev,pwritev2,sendto,sendmsg,sendmmsg,fsync,fdatasync,sync_file_range,\
                         ?rename,renameat,renameat2,?unlink,unlinkat,?link,linkat,ftruncate,?truncate,fallocate";

/// What happens at a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Cut {
    /// The process is killed before the call.
    Kill,
    /// The call fails with this error, once.
    Once(&'static str),
    /// The call and all later ones of its kind fail with this error.
    From(&'static str),
}

impl Cut {
    /// What strace is told.
    pub fn injection(self, call: &str, when: u32) -> String {
        match self {
            Self::Kill => format!("inject={call}:signal=SIGKILL:when={when}"),
            Self::Once(error) => format!("inject={call}:error={error}:when={when}"),
            Self::From(error) => format!("inject={call}:error={error}:when={when}+"),
        }
    }
}

/// An strace at work.
#[derive(Debug)]
pub struct Strace {
    child: Child,
    log: PathBuf,
    /// Kept open: a warning that nobody could hear would end it.
    _told: BufReader<ChildStderr>,
}

impl Strace {
    /// Attaches to a thread, and to those that `options` name with `-p`; when this returns, their next calls are seen.
    ///
    /// # Errors
    /// strace is missing, may not trace, or the thread is gone.
    pub fn attach(thread: u32, log: &Path, options: &[OsString]) -> Result<Self, Fault> {
        let mut child = Command::new("strace")
            .args(["-y", "-o"])
            .arg(log)
            .args(options)
            .args(["-p", &thread.to_string()])
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| format!("strace cannot be run: {error}"))?;
        let told = child.stderr.take().expect("standard error is a pipe");
        let mut told = BufReader::new(told);
        let mut heard = String::new();
        let attached = 1 + options.iter().filter(|option| *option == "-p").count();
        while told.read_line(&mut heard)? > 0 {
            if heard.matches(" attached").count() == attached {
                return Ok(Self {
                    child,
                    log: log.to_owned(),
                    _told: told,
                });
            }
        }
        Err(format!("strace does not trace thread {thread}: {heard}").into())
    }

    /// Whether the cut has happened by now.
    pub fn shows(&self, cut: Cut) -> bool {
        fs::read_to_string(&self.log).is_ok_and(|log| is_cut(&log, cut))
    }

    /// Lets go of the thread, and gives what was seen. Where the thread `is_gone`, strace ends by itself once it has seen
    /// all of it.
    ///
    /// # Errors
    /// The log cannot be read.
    pub fn finish(mut self, is_gone: bool) -> Result<String, Fault> {
        self.end(is_gone)?;
        Ok(fs::read_to_string(&self.log)?)
    }

    /// Lets go of a process, all of whose threads were watched with `-ff`, also those that came later; what was seen of each,
    /// by its number.
    ///
    /// # Errors
    /// A log cannot be read.
    pub fn finish_threads(mut self) -> Result<BTreeMap<u32, String>, Fault> {
        self.end(false)?;
        let (folder, name) = (self.log.parent(), self.log.file_name());
        let begin = format!("{}.", name.ok_or("the log has no name")?.to_string_lossy());
        let mut seen = BTreeMap::new();
        for entry in fs::read_dir(folder.ok_or("the log is in no folder")?)? {
            let path = entry?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if let Some(thread) = name.strip_prefix(&begin) {
                seen.insert(thread.parse()?, fs::read_to_string(&path)?);
            }
        }
        Ok(seen)
    }

    fn end(&mut self, is_gone: bool) -> Result<(), Fault> {
        let end = Instant::now() + if is_gone { PATIENCE } else { Duration::ZERO };
        while self.child.try_wait()?.is_none() {
            if Instant::now() >= end {
                let _ = kill_process(Pid::from_child(&self.child), Signal::INT);
                self.child.wait()?;
                break;
            }
            thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    }
}

impl Drop for Strace {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ = kill_process(Pid::from_child(&self.child), Signal::INT);
            drop(self.child.wait());
        }
    }
}

/// Whether the cut happened, as the log shows it.
pub fn is_cut(log: &str, cut: Cut) -> bool {
    match cut {
        Cut::Kill => log.contains("+++ killed by SIGKILL +++"),
        Cut::Once(_) | Cut::From(_) => log.contains("(INJECTED)"),
    }
}
