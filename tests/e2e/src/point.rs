//! The calls at which a process touches the world outside of it, as strace shows them.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use crate::Fault;

/// One call among those of one thread in one phase.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Point {
    /// The thread, by its role.
    pub role: String,
    /// The call's name.
    pub call: String,
    /// What it is made on.
    pub object: String,
    /// Which one of the same calls on the same object it is, as strace counts them.
    pub when: u32,
}

impl Point {
    /// The class that the table has a row for: all but the number.
    pub fn class(&self) -> String {
        format!("{} {} {}", self.role, self.call, self.object)
    }

    /// Whether one thread wakes another: nothing leaves the process.
    pub fn is_wake_up(&self) -> bool {
        self.object.starts_with("anon_inode:")
    }

    /// Whether it is a file of the journal.
    pub fn is_of_journal(&self) -> bool {
        self.object.starts_with("state")
    }
}

impl fmt::Display for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} #{}", self.class(), self.when)
    }
}

/// Any socket that has no name of its own here.
pub(crate) const SOCKET: &str = "socket";

/// What descriptors lead to, by names that are the same in each run.
#[derive(Clone, Debug, Default)]
pub struct Objects {
    folder: PathBuf,
    named: BTreeMap<String, String>,
}

impl Objects {
    /// Files of this folder are called as their path below it.
    pub fn below(folder: &Path) -> Self {
        Self {
            folder: folder.to_owned(),
            named: BTreeMap::new(),
        }
    }

    /// Gives a link of `/proc/PID/fd` a name.
    pub fn name(&mut self, name: &str, link: &str) {
        self.named.insert(name.to_owned(), link.to_owned());
    }

    /// The name of what a link leads to.
    pub fn name_of(&self, link: &str) -> String {
        if let Some((name, _)) = self.named.iter().find(|(_, known)| *known == link) {
            return name.clone();
        }
        if let Ok(path) = Path::new(link).strip_prefix(&self.folder) {
            return path.to_string_lossy().into_owned();
        }
        if link.starts_with("socket:") {
            return SOCKET.to_owned();
        }
        link.to_owned()
    }

    /// The options by which strace looks at this object only; none for a socket without a name.
    pub fn filter(&self, name: &str) -> Vec<OsString> {
        let link = match self.named.get(name) {
            Some(link) => OsString::from(link),
            None if name == SOCKET => return Vec::new(),
            None if name.contains(':') => OsString::from(name),
            None => self.folder.join(name).into_os_string(),
        };
        vec!["-P".into(), link]
    }
}

/// The points of one thread's trace, in their order.
///
/// # Errors
/// A line that is no call: the trace was not understood, and a point might be missed.
pub fn points(trace: &str, role: &str, objects: &Objects) -> Result<Vec<Point>, Fault> {
    let mut seen: BTreeMap<(String, Option<String>), u32> = BTreeMap::new();
    let mut points = Vec::new();
    for line in trace.lines() {
        // Signals, ends, and the call in which the trace began.
        if line.starts_with(['+', '-']) || line.starts_with("strace: ") || line.starts_with("<... ") {
            continue;
        }
        let (call, link) = call(line).ok_or_else(|| format!("not understood: {line}"))?;
        let object = objects.name_of(link);
        // strace counts an unnamed socket's calls together with all others of their name.
        let counted = (object != SOCKET).then(|| object.clone());
        let all = seen.entry((call.to_owned(), None)).or_default();
        *all += 1;
        let mut when = *all;
        if counted.is_some() {
            let same = seen.entry((call.to_owned(), counted)).or_default();
            *same += 1;
            when = *same;
        }
        points.push(Point {
            role: role.to_owned(),
            call: call.to_owned(),
            object,
            when,
        });
    }
    Ok(points)
}

/// The name of a call, and the descriptor's link or the path that it is made on: `fsync(5</dir/journal.db-wal>) = 0`,
/// `rename("/dir/a", "/dir/b") = 0`, `unlinkat(AT_FDCWD</dir>, "/dir/a", 0) = 0`.
fn call(line: &str) -> Option<(&str, &str)> {
    let (name, arguments) = line.split_once('(')?;
    if arguments.starts_with(|first: char| first.is_ascii_digit()) {
        let (_, link) = arguments.split_once('<')?;
        // The last: the trace ended in the call.
        let end = [">,", ">)", "> <detached"]
            .iter()
            .find_map(|end| link.find(end))?;
        return Some((name, &link[..end]));
    }
    let (_, path) = arguments.split_once('"')?;
    Some((name, path.split_once('"')?.0))
}

/// The threads of a process with their roles: `main`, else the name that the thread gave itself, numbered where several
/// have the same.
///
/// # Errors
/// The process is gone.
pub fn threads(process: u32) -> Result<Vec<(u32, String)>, Fault> {
    let mut ids = Vec::new();
    for entry in fs::read_dir(format!("/proc/{process}/task"))? {
        let name = entry?.file_name();
        ids.push(name.to_string_lossy().parse::<u32>()?);
    }
    ids.sort_unstable();
    let mut threads: Vec<(u32, String)> = Vec::new();
    for id in ids {
        let name = fs::read_to_string(format!("/proc/{process}/task/{id}/comm"))?;
        let role = if id == process { "main" } else { name.trim_end() };
        let same = threads
            .iter()
            .filter(|(_, other)| other.split('#').next() == Some(role))
            .count();
        let role = if same == 0 {
            role.to_owned()
        } else {
            format!("{role}#{}", same + 1)
        };
        threads.push((id, role));
    }
    Ok(threads)
}

/// Where the descriptors of a process lead.
///
/// # Errors
/// The process is gone.
pub fn links(process: u32) -> Result<Vec<String>, Fault> {
    let mut links = Vec::new();
    for entry in fs::read_dir(format!("/proc/{process}/fd"))? {
        // A descriptor that was closed meanwhile leads nowhere.
        links.extend(fs::read_link(entry?.path()).map(|link| link.to_string_lossy().into_owned()));
    }
    Ok(links)
}

/// The processes that a process has started.
///
/// # Errors
/// The process is gone.
pub fn children(process: u32) -> Result<Vec<u32>, Fault> {
    let mut children = Vec::new();
    for entry in fs::read_dir(format!("/proc/{process}/task"))? {
        let listed = fs::read_to_string(entry?.path().join("children"))?;
        for child in listed.split_whitespace() {
            children.push(child.parse()?);
        }
    }
    Ok(children)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "\
write(2</w/purserd.log>, \"x\", 1)         = 1
sendto(16<socket:[7]>, \"a>, b\", 10, MSG_NOSIGNAL, NULL, 0) = 10
sendto(9<socket:[8]>, \"a\", 1, 0, NULL, 0) = 1
write(9<anon_inode:[eventfd]>, \"\\1\", 8) = 8
write(2</w/purserd.log>, \"y\", 1)         = 1
sendto(16<socket:[7]>, \"a\", 10, MSG_NOSIGNAL, NULL, 0) = 10
fsync(5</w/state/journal.db-wal>)       = ? <unavailable>
rename(\"/w/run/.new\", \"/w/run/p\") = 0
--- SIGTERM {si_signo=SIGTERM} ---
fsync(5</w/state/journal.db-wal> <detached ...>
+++ killed by SIGKILL +++
";

    #[test]
    fn calls_are_counted_as_strace_counts_them() {
        let mut objects = Objects::below(Path::new("/w"));
        objects.name("pos", "socket:[8]");
        let points = points(TRACE, "main", &objects).unwrap();
        let shown: Vec<_> = points.iter().map(ToString::to_string).collect();
        assert_eq!(
            shown,
            [
                "main write purserd.log #1",
                "main sendto socket #1",
                "main sendto pos #1",
                "main write anon_inode:[eventfd] #1",
                "main write purserd.log #2",
                "main sendto socket #3",
                "main fsync state/journal.db-wal #1",
                "main rename run/.new #1",
                "main fsync state/journal.db-wal #2",
            ]
        );
    }

    #[test]
    fn a_line_that_is_not_understood_is_an_error() {
        assert!(points("fsync(5", "main", &Objects::below(Path::new("/w"))).is_err());
    }

    #[test]
    fn strace_is_told_the_object_where_it_has_a_name() {
        let mut objects = Objects::below(Path::new("/w"));
        objects.name("pos", "socket:[8]");
        assert_eq!(objects.filter("pos"), ["-P", "socket:[8]"]);
        assert_eq!(objects.filter("state/journal.db"), ["-P", "/w/state/journal.db"]);
        assert_eq!(
            objects.filter("anon_inode:[eventfd]"),
            ["-P", "anon_inode:[eventfd]"]
        );
        assert!(objects.filter("socket").is_empty());
    }
}
