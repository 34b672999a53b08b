//! The machine around purserd: its run folder, and the programs that may hold its readers.

use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

use purser_api::model::INTERFACE;

use super::Finding;
use crate::config::Config;

/// Where pcscd listens. Source: pcsc-lite, `PCSCLITE_CSOCK_NAME` as distributions build it.
const PCSCD_SOCKET: &str = "/run/pcscd/pcscd.comm";

/// Programs that take readers or serial lines without being asked, as their processes are called, and what keeps them off.
const GRABBERS: [(&str, &str); 4] = [
    (
        "scdaemon",
        "write disable-ccid and pcsc-shared into its scdaemon.conf, or end it",
    ),
    (
        "ModemManager",
        "give the device the udev property ID_MM_DEVICE_IGNORE=1, or stop the service",
    ),
    (
        "brltty",
        "stop the service, or take the device out of its udev rules",
    ),
    (
        "pcscd",
        "stop it, or use the pcsc driver instead of one that opens the reader itself",
    ),
];

/// Others may enter the folder of the socket, and nobody may write to it.
const WRITABLE_BY_OTHERS: u32 = 0o022;

pub(super) fn run_folder(run_dir: &Path) -> Option<Finding> {
    let socket = run_dir.join(INTERFACE);
    let Ok(folder) = fs::metadata(run_dir) else {
        return Some(no_socket(&socket));
    };
    if folder.mode() & WRITABLE_BY_OTHERS != 0 {
        let mode = folder.mode() & 0o7777;
        return Some(Finding::new(
            "run_folder_open",
            format!(
                "others may write to {} (mode {mode:04o}) and put a socket of theirs there",
                run_dir.display()
            ),
            "run chmod 0755 on it",
        ));
    }
    match fs::metadata(&socket) {
        Ok(found) if found.file_type().is_socket() => None,
        Ok(_) | Err(_) => Some(no_socket(&socket)),
    }
}

fn no_socket(socket: &Path) -> Finding {
    Finding::new(
        "no_socket",
        format!("there is no socket {}", socket.display()),
        "start purserd, or name the right folder with --run-dir",
    )
}

pub(super) fn readers(config: &Config) -> Vec<Finding> {
    let is_pcsc = |path: &Path| path.to_string_lossy().contains("pcsc");
    let uses_pcsc = config.drivers.iter().any(|driver| is_pcsc(&driver.path));
    let is_virtual = |path: &Path| path.to_string_lossy().contains("virtual");
    let uses_lines = config
        .drivers
        .iter()
        .any(|driver| !is_pcsc(&driver.path) && !is_virtual(&driver.path));
    let mut findings = Vec::new();
    if uses_pcsc && !Path::new(PCSCD_SOCKET).exists() {
        findings.push(Finding::new(
            "no_pcscd",
            "a driver uses pcscd, and pcscd does not listen",
            "install pcscd and start pcscd.socket",
        ));
    }
    let running = running();
    let grabbers = GRABBERS.iter().filter(|(name, _)| match *name {
        "pcscd" => uses_lines && !uses_pcsc,
        "scdaemon" => uses_pcsc || uses_lines,
        _ => uses_lines,
    });
    for (name, remedy) in grabbers.filter(|(name, _)| running.iter().any(|it| it == name)) {
        let cause = format!("{name} runs, and may hold a reader or a line that a driver wants");
        findings.push(Finding::new("reader_may_be_held", cause, *remedy));
    }
    findings
}

/// What the processes of this machine are called.
fn running() -> Vec<String> {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let names = processes.filter_map(|process| fs::read_to_string(process.path().join("comm")).ok());
    names.map(|name| name.trim_end().to_owned()).collect()
}
