//! purserctl beside the running daemon, a stop with a sale open, and a purserd without any privilege.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use e2e::buyer::Buyer;
use e2e::{Fault, ensure};
use purser_lab::card::{Fault as CardFault, Minor, ScriptedFault, instruction};
use purser_lab::issuer::{LAB_PIN, LAB_SERIAL};
use purser_lab::stack::{Options, Stack};
use purser_lab::vpcd::CardThread;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// A user who owns nothing, on every Linux.
const NOBODY: u32 = 65534;

#[test]
fn exit_codes_and_json_of_purserctl_tell_what_came_of_a_sale() {
    let told = sell_and_look();
    told.expect("each command ends with its documented exit code and prints what it says");
}

#[test]
fn a_stop_ends_the_open_sale_and_tells_it() {
    stop_with_a_sale_open()
        .expect("the waiting till is told, purserd ends with 0, and the sale stays closed");
}

#[test]
fn a_user_without_privileges_runs_purserd_and_sells() {
    sell_as_nobody().expect("purserd needs no privilege to sell");
}

/// purserctl on one stack.
struct Desk<'a> {
    stack: &'a Stack,
    program: PathBuf,
}

impl<'a> Desk<'a> {
    fn at(stack: &'a Stack) -> Result<Self, Fault> {
        let program = stack
            .programs()
            .purserctl
            .clone()
            .ok_or("purserctl was not built")?;
        Ok(Self { stack, program })
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command
            .args(arguments)
            .arg("--socket")
            .arg(self.stack.layout().socket())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// Runs a command that must end with this code.
    fn run(&self, arguments: &[&str], code: i32) -> Result<Output, Fault> {
        let output = self.command(arguments).output()?;
        ensure(output.status.code() == Some(code), || {
            format!(
                "{arguments:?} ended with {}, not {code}: {}{}",
                output.status,
                String::from_utf8_lossy(&output.stdout),
                String::from_utf8_lossy(&output.stderr)
            )
        })?;
        Ok(output)
    }

    /// The same with `--json`: every line is an object.
    fn json(&self, arguments: &[&str], code: i32) -> Result<Vec<Value>, Fault> {
        let mut arguments = arguments.to_vec();
        arguments.push("--json");
        let output = self.run(&arguments, code)?;
        let lines = String::from_utf8(output.stdout)?;
        let objects = lines
            .lines()
            .map(serde_json::from_str)
            .collect::<Result<Vec<Value>, _>>()?;
        ensure(
            !objects.is_empty() && objects.iter().all(Value::is_object),
            || format!("{arguments:?} printed {lines}"),
        )?;
        Ok(objects)
    }

    /// What a person reads.
    fn words(&self, arguments: &[&str]) -> Result<String, Fault> {
        Ok(String::from_utf8(self.run(arguments, 0)?.stdout)?)
    }

    /// Begins a sale and stays.
    fn wait_for_sale(&self, reference: &str, minor: u64) -> Result<Child, Fault> {
        Ok(self.command(&sale(reference, &minor.to_string(), true)).spawn()?)
    }
}

fn sale<'a>(reference: &'a str, minor: &'a str, wait: bool) -> Vec<&'a str> {
    let mut words = vec![
        "sale",
        "--currency",
        "JPY",
        "--amount",
        minor,
        "--reference",
        reference,
    ];
    words.extend(wait.then_some("--wait"));
    words
}

/// A sale on a card that was not there before, and the code with which purserctl ends.
fn sell(desk: &Desk<'_>, card: &CardThread, reference: &str, minor: u64, code: i32) -> Result<String, Fault> {
    card.remove();
    let child = desk.wait_for_sale(reference, minor)?;
    card.insert();
    let output = child.wait_with_output()?;
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    ensure(output.status.code() == Some(code), || {
        format!("{reference} ended with {}, not {code}: {told}", output.status)
    })?;
    Ok(told)
}

fn is_told(words: &str, wanted: &[&str]) -> Result<(), Fault> {
    let missing: Vec<_> = wanted.iter().filter(|want| !words.contains(**want)).collect();
    ensure(missing.is_empty(), || format!("{missing:?} is not in: {words}"))
}

fn sell_and_look() -> Result<(), Fault> {
    let folder = tempfile::tempdir()?;
    let mut stack = Stack::start(folder.path(), Options::default())?;
    let card = stack.new_card("card", LAB_SERIAL, Minor(1000))?;
    let buyer = Buyer::at(stack.layout().pad(), LAB_PIN.to_owned());
    {
        let desk = Desk::at(&stack)?;
        is_told(&sell(&desk, &card, "paid-1", 300, 0)?, &["paid", "300", "700"])?;
        is_told(&sell(&desk, &card, "too-dear", 5000, 3)?, &["not paid"])?;
        card.script(ScriptedFault::next(
            instruction::DEBIT,
            CardFault::TearAfterExecute,
        ));
        is_told(&sell(&desk, &card, "torn-1", 200, 4)?, &["in doubt"])?;
        refuse(&desk)?;
        look(&desk)?;
        card.insert();
        stack.till()?.wait_for_outcome("torn-1", "paid")?;
        is_told(&desk.words(&["where", "torn-1"])?, &["torn-1", "200"])?;
        let totals = desk.json(&["totals"], 0)?;
        ensure(totals[0]["balanced"] == true, || format!("{totals:?}"))?;
    }
    drop(buyer);
    stack.stop()?;
    let desk = Desk::at(&stack)?;
    let away = desk.json(&["status"], 5)?;
    ensure(
        away[0]["error"] == "NotReached" && away[0]["transient"] == true,
        || format!("{away:?}"),
    )
}

/// What is refused says why and what to do, and changes nothing.
fn refuse(desk: &Desk<'_>) -> Result<(), Fault> {
    let repeated = desk.json(&sale("paid-1", "300", false), 0)?;
    ensure(
        repeated[0]["standing"] != "begun" && repeated[0]["sale"]["outcome"] == "paid",
        || format!("a repeat tells {repeated:?}"),
    )?;
    let other = desk.json(&sale("paid-1", "301", false), 1)?;
    for field in ["error", "cause", "remedy"] {
        ensure(other[0][field].is_string(), || format!("no {field} in {other:?}"))?;
    }
    desk.json(&["attach", "torn-1"], 4)?;
    desk.json(&["where", "never-sold"], 1)?;
    desk.json(&["cancel", "never-sold"], 1)?;
    desk.run(&["sale", "--amount", "three"], 2)?;
    Ok(())
}

/// Every verb that looks, for people and for programs.
fn look(desk: &Desk<'_>) -> Result<(), Fault> {
    let verbs: [(&[&str], &[&str]); 8] = [
        (&["status"], &["can sell", "yes"]),
        (&["devices"], &["lab/reader", "lab/keypad"]),
        (&["journal"], &["paid-1", "torn-1"]),
        (&["journal", "--reference", "paid-1", "--limit", "1"], &["paid-1"]),
        (&["totals"], &["JPY", "300"]),
        (&["where", "paid-1"], &["300"]),
        (&["attach", "paid-1"], &["paid"]),
        (&["head"], &[]),
    ];
    for (verb, wanted) in verbs {
        is_told(&desk.words(verb)?, wanted)?;
        desk.json(verb, 0)?;
    }
    for shell in ["bash", "zsh", "fish"] {
        is_told(&desk.words(&["completion", shell])?, &["purserctl", "sale"])?;
    }
    let head = desk.json(&["head"], 0)?[0]["head"]
        .as_str()
        .map(str::to_owned)
        .ok_or("the head is no text")?;
    let verified = desk.stack.run_verb(&["verify-journal", "--expect", &head])?;
    ensure(verified.status.success(), || {
        format!("purserd does not find the head that purserctl printed: {verified:?}")
    })
}

fn stop_with_a_sale_open() -> Result<(), Fault> {
    let folder = tempfile::tempdir()?;
    let mut stack = Stack::start(folder.path(), Options::default())?;
    let mut till = stack.till()?;
    till.begin_sale("open-1", 300)?;
    let mut watch = till.watch("open-1")?;
    watch.event()?;
    let purserd = stack
        .purserd_id()
        .and_then(|id| Pid::from_raw(id.try_into().ok()?))
        .ok_or("purserd does not run")?;
    kill_process(purserd, Signal::TERM)?;
    let told = watch.until("an end", |sale| sale.outcome != "under_way")?;
    ensure(
        told.outcome == "not_paid" && told.reason.as_deref() == Some("stopped"),
        || format!("the till was told {told:?}"),
    )?;
    stack.stop()?;
    stack.start_again()?;
    let sale = stack.till()?.attach("open-1")?;
    ensure(
        sale.outcome == "not_paid" && sale.reason.as_deref() == Some("stopped"),
        || format!("after the restart the sale is {sale:?}"),
    )?;
    Ok(stack.stop()?)
}

fn sell_as_nobody() -> Result<(), Fault> {
    ensure(rustix::process::geteuid().is_root(), || {
        "only root can run purserd as another user: run this test as root".to_owned()
    })?;
    let folder = tempfile::tempdir()?;
    let programs = folder.path().join("programs");
    fs::create_dir(&programs)?;
    for open in [folder.path(), &programs] {
        fs::set_permissions(open, fs::Permissions::from_mode(0o755))?;
    }
    let home = folder.path().join("home");
    let words = [
        "setpriv",
        "--reuid",
        "65534",
        "--regid",
        "65534",
        "--clear-groups",
        "--inh-caps=-all",
        "--bounding-set=-all",
        "--no-new-privs",
    ];
    let options = Options {
        prefix: words.map(Into::into).to_vec(),
        programs_dir: Some(programs),
        ..Options::default()
    };
    let mut stack = Stack::prepare(&home, options)?;
    let card = stack.new_card("card", LAB_SERIAL, Minor(1000))?;
    give_to_nobody(&home)?;
    stack.start_again()?;
    let buyer = Buyer::at(stack.layout().pad(), LAB_PIN.to_owned());
    let desk = Desk::at(&stack)?;
    card.remove();
    let mut sale = Command::new(words[0])
        .args(&words[1..])
        .arg(&desk.program)
        .args(self::sale("order-1", "300", true))
        .arg("--socket")
        .arg(stack.layout().socket())
        .spawn()?;
    card.insert();
    let end = sale.wait()?;
    ensure(end.success(), || format!("the sale of nobody ended with {end}"))?;
    let id = stack.purserd_id().ok_or("purserd does not run")?;
    let status = fs::read_to_string(format!("/proc/{id}/status"))?;
    let has = |line: &str| status.lines().any(|told| told == line);
    ensure(
        has(&format!("Uid:\t{NOBODY}\t{NOBODY}\t{NOBODY}\t{NOBODY}"))
            && has("CapEff:\t0000000000000000")
            && has("CapBnd:\t0000000000000000"),
        || format!("purserd has privileges: {status}"),
    )?;
    drop(buyer);
    Ok(stack.stop()?)
}

/// A folder and all that is in it.
fn give_to_nobody(path: &Path) -> Result<(), Fault> {
    chown(path, Some(NOBODY), Some(NOBODY))?;
    if path.is_dir() {
        for entry in fs::read_dir(path)? {
            give_to_nobody(&entry?.path())?;
        }
    }
    Ok(())
}
