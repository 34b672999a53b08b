//! `purser-driver-manifest` writes the manifest of a driver that was just built.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;
use purser_driver_supervisor::manifest;

/// Writes NAME.driver.toml beside a driver, so that Purser will load it.
///
/// The driver is loaded for it, without touching its devices: it must tell its id, version and abilities. Do this with
/// drivers that you trust only. Exit codes: 0 written, 1 not written (the reason is on standard error), 2 usage.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// The shared object.
    driver: PathBuf,
    /// What the driver needs besides its device, such as `network`; may be given more than once.
    #[arg(long)]
    needs: Vec<String>,
    /// The program purser-driver-host; without it the one beside this program.
    #[arg(long)]
    host: Option<PathBuf>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let host = arguments.host.unwrap_or_else(host_beside_this_program);
    match manifest::write(&arguments.driver, &arguments.needs, &host) {
        Ok(path) => {
            println!("{}", path.display());
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("purser-driver-manifest: {error}");
            let mut source = error.source();
            while let Some(cause) = source {
                eprintln!("  because: {cause}");
                source = cause.source();
            }
            ExitCode::FAILURE
        }
    }
}

fn host_beside_this_program() -> PathBuf {
    let program = std::env::current_exe().unwrap_or_default();
    program
        .parent()
        .unwrap_or(Path::new("/usr/libexec"))
        .join("purser-driver-host")
}
