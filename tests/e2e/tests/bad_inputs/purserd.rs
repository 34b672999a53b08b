//! purserd alone: started on any folders, and either ready or ended with its words.

use std::fs::{self, File, Permissions};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use e2e::{Fault, ensure};
use purser_lab::issuer::{Masters, purchase_key_file};
use purser_lab::stack::{PATIENCE, Programs};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::table::says;

/// A configuration that is right and has neither drivers nor a bus.
pub(crate) const CONFIG: &str = "\
[terminal]
psam_terminal_number = \"000000000001\"
[sam]
credential = \"sam.key\"
[issuers]
\"5055525345520001\" = \"JPY\"
[bus]
bus = \"off\"
";

/// How often it is looked whether purserd is ready or has ended.
const LOOK_AGAIN: Duration = Duration::from_millis(4);

/// The folders of one purserd.
pub(crate) struct Home {
    pub(crate) folder: TempDir,
    /// Where the state is; below the folder unless a test put it elsewhere.
    pub(crate) state: PathBuf,
}

/// What came of a start.
pub(crate) enum Started {
    /// It is ready.
    Ready(Running),
    /// It ended before.
    Ended(Ended),
}

/// A purserd that ended by itself.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) said: String,
}

/// A purserd that is ready. It is killed when dropped.
pub(crate) struct Running {
    child: Child,
    socket: PathBuf,
    log: PathBuf,
}

impl Home {
    /// A configuration that is right, a credential, and no state yet.
    pub(crate) fn new() -> Result<Self, Fault> {
        let folder = tempfile::tempdir()?;
        let config = folder.path().join("config");
        fs::create_dir(&config)?;
        fs::write(config.join("purser.toml"), CONFIG)?;
        let key = config.join("sam.key");
        fs::write(&key, purchase_key_file(&Masters::public_lab()))?;
        fs::set_permissions(&key, Permissions::from_mode(0o600))?;
        let state = folder.path().join("state");
        Ok(Self { folder, state })
    }

    /// The same with a copy of a state folder.
    pub(crate) fn with_state(state: &Path) -> Result<Self, Fault> {
        let home = Self::new()?;
        copy_state(state, &home.state)?;
        Ok(home)
    }

    /// A file of the configuration's folder.
    pub(crate) fn config(&self, name: &str) -> PathBuf {
        self.folder.path().join("config").join(name)
    }

    /// Starts purserd and waits until it is ready or has ended.
    pub(crate) fn start(&self, programs: &Programs) -> Result<Started, Fault> {
        let at = |name: &str| self.folder.path().join(name);
        let (notify, log) = (at("notify"), at("log"));
        drop(fs::remove_file(&notify));
        let notes = UnixDatagram::bind(&notify)?;
        notes.set_read_timeout(Some(LOOK_AGAIN))?;
        let mut child = self
            .command(programs)
            .args(["--log", "info,purserd=debug"])
            .env("NOTIFY_SOCKET", &notify)
            .stdin(Stdio::null())
            .stderr(File::create(&log)?)
            .spawn()?;
        let end = Instant::now() + PATIENCE;
        let mut note = [0; 512];
        loop {
            if let Some(status) = child.try_wait()? {
                let said = fs::read_to_string(&log)?;
                let code = status.code();
                return Ok(Started::Ended(Ended { code, said }));
            }
            let length = notes.recv(&mut note).unwrap_or(0);
            if note[..length].windows(7).any(|words| words == b"READY=1") {
                let socket = at("run").join("org.purser.Purser1");
                return Ok(Started::Ready(Running { child, socket, log }));
            }
            if Instant::now() > end {
                drop(child.kill());
                drop(child.wait());
                return Err(format!("neither ready nor ended: {}", fs::read_to_string(&log)?).into());
            }
        }
    }

    /// A start that must be refused with this code and these words, and leaves every file of the state as it is.
    pub(crate) fn refused(&self, programs: &Programs, code: i32, words: &[&str]) -> Result<String, Fault> {
        let before = self.content()?;
        let ended = match self.start(programs)? {
            Started::Ended(ended) => ended,
            Started::Ready(_) => return Err("it started".into()),
        };
        ensure(ended.code == Some(code), || {
            format!("exit code {code} was expected: {ended:?}")
        })?;
        says(&ended.said, words)?;
        let after = self.content()?;
        let changed = before
            .iter()
            .filter(|file| !after.contains(file))
            .chain(after.iter().filter(|file| !before.contains(file)));
        let changed: Vec<_> = changed.map(|(path, bytes)| (path, bytes.len())).collect();
        ensure(changed.is_empty(), || {
            format!("the refused start changed {changed:?}; it said {}", ended.said)
        })?;
        Ok(format!("exit {code}: {}", last_words(&ended.said)))
    }

    /// A start that must succeed, on a journal that must be whole with this newest entry.
    pub(crate) fn starts_whole(&self, programs: &Programs, head: &str) -> Result<(), Fault> {
        match self.start(programs)? {
            Started::Ready(running) => ensure(running.head()? == head, || {
                "it has another newest entry".to_owned()
            })?,
            Started::Ended(ended) => return Err(format!("it does not start: {ended:?}").into()),
        }
        self.is_whole(programs, head)
    }

    /// Fails unless the journal is whole and holds this entry.
    pub(crate) fn is_whole(&self, programs: &Programs, head: &str) -> Result<(), Fault> {
        let output = self
            .command(programs)
            .args(["verify-journal", "--expect", head])
            .output()?;
        ensure(output.status.success(), || {
            format!("verify-journal: {}", String::from_utf8_lossy(&output.stderr))
        })
    }

    /// Runs a verb: its exit code and all that it said.
    pub(crate) fn run(&self, programs: &Programs, arguments: &[&str]) -> Result<Ended, Fault> {
        let output = self.command(programs).args(arguments).output()?;
        let said = [output.stdout, output.stderr].concat();
        Ok(Ended {
            code: output.status.code(),
            said: String::from_utf8_lossy(&said).into_owned(),
        })
    }

    fn command(&self, programs: &Programs) -> Command {
        let mut command = Command::new(&programs.purserd);
        command
            .env_clear()
            .arg("--config")
            .arg(self.config("purser.toml"))
            .arg("--run-dir")
            .arg(self.folder.path().join("run"))
            .arg("--state-dir")
            .arg(&self.state);
        command
    }

    /// What a start must not change: all of the state but its lock and SQLite's index. An empty WAL is as good as none.
    fn content(&self) -> Result<Vec<(PathBuf, Vec<u8>)>, Fault> {
        let mut content = Vec::new();
        let entries = match fs::read_dir(&self.state) {
            Ok(entries) => entries,
            Err(_) => return Ok(content),
        };
        for entry in entries {
            let path = entry?.path();
            let name = path
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned();
            if matches!(name.as_str(), "journal.lock" | "journal.db-shm") {
                continue;
            }
            if path.is_dir() {
                continue;
            }
            let bytes = fs::read(&path)?;
            if !(bytes.is_empty() && name == "journal.db-wal") {
                content.push((path, bytes));
            }
        }
        content.sort();
        Ok(content)
    }
}

impl Running {
    /// Calls a method: the answer with its `error` or its `parameters`.
    pub(crate) fn call(&self, method: &str, parameters: Value) -> Result<Value, Fault> {
        call(&self.socket, method, parameters)
    }

    /// The newest entry.
    pub(crate) fn head(&self) -> Result<String, Fault> {
        let answer = self.call("Head", json!({}))?;
        Ok(answer["parameters"]["head"].as_str().ok_or("no head")?.to_owned())
    }

    /// The problem of this name among those of its status.
    pub(crate) fn problem(&self, name: &str) -> Result<Option<String>, Fault> {
        let status = self.call("Status", json!({}))?;
        let problems = status["parameters"]["problems"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        let found = problems.iter().find(|problem| problem["name"] == name);
        Ok(found.map(|problem| format!("{}; {}", problem["cause"], problem["remedy"])))
    }

    /// Waits until the full check of the journal is over; what it found.
    pub(crate) fn checked(&self) -> Result<Option<String>, Fault> {
        let end = Instant::now() + PATIENCE;
        loop {
            if let Some(words) = self.problem("journal_damaged")? {
                return Ok(Some(words));
            }
            let log = fs::read_to_string(&self.log)?;
            if log.contains("the journal is whole") {
                return Ok(None);
            }
            ensure(Instant::now() < end, || format!("the check has no end: {log}"))?;
            std::thread::sleep(LOOK_AGAIN);
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Both fail only for one that has ended.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// One call on a connection of its own.
pub(crate) fn call(socket: &Path, method: &str, parameters: Value) -> Result<Value, Fault> {
    let message = json!({ "method": format!("org.purser.Purser1.{method}"), "parameters": parameters });
    let answer = exchange(socket, format!("{message}\0").as_bytes())?;
    answer.ok_or_else(|| "the connection ended without an answer".into())
}

/// Sends bytes and gives the first answer; none where the connection ends without one.
pub(crate) fn exchange(socket: &Path, bytes: &[u8]) -> Result<Option<Value>, Fault> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    // A connection that ends in the middle of a message may have told why.
    drop(stream.write_all(bytes));
    let mut answer = Vec::new();
    BufReader::new(stream).read_until(0, &mut answer)?;
    if answer.pop() != Some(0) {
        return Ok(None);
    }
    Ok(Some(serde_json::from_slice(&answer)?))
}

/// Copies a state folder with its modes.
pub(crate) fn copy_state(from: &Path, to: &Path) -> Result<(), Fault> {
    fs::create_dir(to)?;
    fs::set_permissions(to, Permissions::from_mode(0o700))?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        fs::copy(entry.path(), to.join(entry.file_name()))?;
    }
    Ok(())
}

/// What it said is wrong, without times and names of modules.
pub(crate) fn last_words(said: &str) -> String {
    let is_about = |line: &&str| line.contains("rror") || line.contains("help:");
    let bare = |line: &str| {
        line.split_once("error=")
            .map_or(line, |(_, words)| words)
            .trim()
            .to_owned()
    };
    let words: Vec<String> = said.lines().filter(is_about).map(bare).collect();
    words.join("; ")
}
