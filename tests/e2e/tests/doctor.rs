//! `purserctl doctor`: nothing on a machine that is well, and each thing that is broken by its name and with its remedy.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use e2e::buyer::Buyer;
use e2e::{Fault, ensure};
use purser_lab::card::{Fault as CardFault, Minor, ScriptedFault, instruction};
use purser_lab::issuer::{LAB_PIN, LAB_SERIAL};
use purser_lab::stack::{Options, Stack};
use serde_json::Value;

fn purserctl(stack: &Stack) -> Result<PathBuf, Fault> {
    Ok(stack
        .programs()
        .purserctl
        .clone()
        .ok_or("purserctl was not built")?)
}

/// The names of what it finds, but for what is the test machine's own affair: its memory limits and its disk.
fn doctor(stack: &Stack) -> Result<Vec<String>, Fault> {
    let layout = stack.layout();
    let output = Command::new(purserctl(stack)?)
        .args(["doctor", "--json", "--socket"])
        .arg(layout.socket())
        .arg("--config")
        .arg(layout.config())
        .arg("--state-dir")
        .arg(layout.state_dir())
        .output()?;
    let told: Value = serde_json::from_slice(&output.stdout)?;
    let findings = told["findings"].as_array().ok_or("there are findings")?;
    let has = |finding: &Value, key: &str| finding[key].as_str().is_some_and(|text| !text.is_empty());
    ensure(
        findings.iter().all(|it| has(it, "cause") && has(it, "remedy")),
        || format!("each has a cause and a remedy: {told}"),
    )?;
    let code = if findings.is_empty() { 0 } else { 1 };
    ensure(output.status.code() == Some(code), || {
        format!("the exit code tells whether there are any: {output:?}")
    })?;
    let names = findings.iter().filter_map(|it| it["name"].as_str());
    let own = ["keys_not_locked", "disk_low"];
    let mut names: Vec<String> = names
        .filter(|name| !own.contains(name))
        .map(str::to_owned)
        .collect();
    names.sort();
    Ok(names)
}

fn expect(stack: &Stack, names: &[&str]) -> Result<(), Fault> {
    let found = doctor(stack)?;
    ensure(found == names, || {
        format!("{names:?} were to be found, and not {found:?}")
    })
}

fn set_mode(path: &Path, mode: u32) -> Result<(), Fault> {
    Ok(fs::set_permissions(path, Permissions::from_mode(mode))?)
}

#[test]
fn doctor_finds_nothing_where_all_is_well_and_each_broken_thing_by_its_name() -> Result<(), Fault> {
    let folder = tempfile::tempdir()?;
    let mut stack = Stack::start(folder.path(), Options::default())?;
    let config_dir = stack.layout().config_dir();
    expect(&stack, &[])?;

    set_mode(&stack.layout().state_dir(), 0o755)?;
    set_mode(&config_dir.join("sam.key"), 0o644)?;
    let ghost = config_dir.join("drivers.d/ghost.toml");
    fs::write(&ghost, "path = \"/no/such/driver.so\"\n")?;
    expect(
        &stack,
        &["credential_unusable", "driver_refused", "state_folder_open"],
    )?;
    fs::write(
        config_dir.join("purser.toml.d/99-slip.toml"),
        "[limit]\ncount_max = 1\n",
    )?;
    expect(&stack, &["configuration_wrong", "state_folder_open"])?;
    fs::remove_file(config_dir.join("purser.toml.d/99-slip.toml"))?;
    fs::remove_file(ghost)?;
    set_mode(&stack.layout().state_dir(), 0o700)?;
    set_mode(&config_dir.join("sam.key"), 0o600)?;

    let card = stack.new_card("card", LAB_SERIAL, Minor(1000))?;
    let _buyer = Buyer::at(stack.layout().pad(), LAB_PIN.to_owned());
    card.script(ScriptedFault::next(
        instruction::DEBIT,
        CardFault::TearAfterExecute,
    ));
    let mut till = stack.till()?;
    till.begin_sale("torn-1", 300)?;
    card.insert();
    till.wait_for_outcome("torn-1", "in_doubt")?;
    expect(&stack, &["sales_in_doubt"])?;

    stack.kill();
    expect(&stack, &["not_running", "sales_in_doubt"])?;
    set_mode(&stack.layout().run_dir(), 0o777)?;
    expect(&stack, &["not_running", "run_folder_open", "sales_in_doubt"])
}

/// What bash offers for the last of these words.
fn complete(stack: &Stack, words: &[&str]) -> Result<Output, Fault> {
    let purserctl = purserctl(stack)?;
    let folder = purserctl.parent().ok_or("it lies in a folder")?;
    let path = std::env::var("PATH")?;
    let last = words.len() - 1;
    let script = format!(
        "source <(purserctl completion bash) && COMP_WORDS=({words}) COMP_CWORD={last} && \
         complete -p purserctl >&2 && _purserctl_words purserctl '{cur}' '{prev}' && printf '%s\\n' \"${{COMPREPLY[@]}}\"",
        words = words
            .iter()
            .map(|word| format!("'{word}'"))
            .collect::<Vec<_>>()
            .join(" "),
        cur = words[last],
        prev = words[last - 1],
    );
    let mut command = Command::new("bash");
    command
        .args(["--norc", "-c", &script])
        .env("PATH", format!("{}:{path}", folder.display()))
        .env("PURSER_SOCKET", stack.layout().socket());
    Ok(command.output()?)
}

#[test]
fn bash_completes_verbs_and_the_references_and_readers_of_the_running_daemon() -> Result<(), Fault> {
    if Command::new("bash").arg("--version").output().is_err() {
        eprintln!("no bash is here: its completion is not tried");
        return Ok(());
    }
    let folder = tempfile::tempdir()?;
    let stack = Stack::start(folder.path(), Options::default())?;
    let mut till = stack.till()?;
    till.begin_sale("order-77", 300)?;
    till.call(async |purser| purser.cancel("order-77").await)?;
    for (words, offered) in [
        (&["purserctl", "doc"][..], "doctor"),
        (&["purserctl", "where", ""], "order-77"),
        (&["purserctl", "watch", "--reference", "ord"], "order-77"),
        (&["purserctl", "purse", "--reader", ""], "lab/reader"),
        (&["purserctl", "where", "--so"], "--socket"),
    ] {
        let output = complete(&stack, words)?;
        let told = String::from_utf8_lossy(&output.stdout);
        ensure(told.lines().any(|line| line == offered), || {
            format!("{words:?}: {offered} was to be offered: {output:?}")
        })?;
    }
    Ok(())
}
