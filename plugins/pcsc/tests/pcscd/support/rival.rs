//! Another PC/SC program: this test program once more, in another role.

use std::env;
use std::ffi::CString;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use pcsc::{Context, Disposition, Protocols, Scope, ShareMode};

use super::namespace::test_name;

const WANTED: &str = "PURSER_TEST_RIVAL";
const HOLDS: &str = "rival: holds";
const REFUSED: &str = "rival: refused";

/// How the rival takes the card.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Grip {
    Shared,
    Exclusive,
    /// Shared, and locked by a PC/SC transaction that does not end.
    Locked,
}

/// A rival that was started and has said how it went.
pub(crate) struct Rival {
    child: Child,
    stdin: Option<ChildStdin>,
    /// Kept open: the test harness around the rival writes to it at its end.
    stdout: BufReader<ChildStdout>,
    pub(crate) has_card: bool,
}

impl Rival {
    /// Starts a rival that takes the card in `reader`.
    pub(crate) fn start(reader: &str, grip: Grip) -> Self {
        let mut child = Command::new(env::current_exe().expect("a program knows itself"))
            .args([test_name().as_str(), "--exact", "--nocapture", "--test-threads=1"])
            .env(WANTED, format!("{grip:?}={reader}"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the rival starts");
        let stdin = child.stdin.take();
        let mut stdout = BufReader::new(child.stdout.take().expect("a pipe"));
        let mut lines = stdout.by_ref().lines().map_while(Result::ok);
        let told = lines
            .find(|line| line.contains("rival:"))
            .expect("the rival says how it went");
        Self {
            child,
            stdin,
            stdout,
            has_card: told.contains(HOLDS),
        }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The rival leaves the card as it is, and ends.
    pub(crate) fn leave(mut self) {
        drop(self.stdin.take());
        self.stdout.read_to_string(&mut String::new()).expect("a pipe");
        assert!(self.child.wait().expect("the rival ends").success());
    }
}

/// Whether this process is a rival.
pub(crate) fn is_wanted() -> bool {
    env::var_os(WANTED).is_some()
}

/// What a rival does.
pub(crate) fn hold() {
    let wanted = env::var(WANTED).expect("a rival is told what to do");
    let (grip, reader) = wanted.split_once('=').expect("a grip and a reader");
    let mode = if grip == "Exclusive" {
        ShareMode::Exclusive
    } else {
        ShareMode::Shared
    };
    let context = Context::establish(Scope::System).expect("pcscd runs");
    let reader = CString::new(reader).expect("a name");
    let mut card = match context.connect(&reader, mode, Protocols::ANY) {
        Ok(card) => card,
        Err(error) => return say(&format!("{REFUSED}: {error:?}")),
    };
    let lock = (grip == "Locked").then(|| card.transaction().expect("a lock"));
    say(HOLDS);
    // Until the test closes the pipe.
    let _ = std::io::stdin().read(&mut [0]);
    drop(lock);
    card.disconnect(Disposition::LeaveCard)
        .map_err(|(_, error)| error)
        .expect("left");
}

fn say(text: &str) {
    println!("\n{text}");
    std::io::stdout().flush().expect("a pipe");
}
