//! `purser-lab keys FILE`.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

use clap::Args;
use purser_lab::issuer::{Masters, purchase_key_file};

use super::Failed;

/// A credential is read by its owner only, even where it is public.
const MODE: u32 = 0o600;

#[derive(Debug, Args)]
pub(crate) struct Keys {
    /// The credential file to write (TOML, one [[purchase_key]] table); it is replaced
    file: PathBuf,
}

impl Keys {
    pub(crate) fn run(self) -> Result<(), Failed> {
        let text = format!(
            "# PUBLIC keys of Purser's lab: they stand in its source. Never use them in a shop.\n{}",
            purchase_key_file(&Masters::public_lab())
        );
        let write = || {
            let mut options = OpenOptions::new();
            let mut file = options
                .write(true)
                .create(true)
                .truncate(true)
                .mode(MODE)
                .open(&self.file)?;
            file.write_all(text.as_bytes())?;
            file.sync_all()
        };
        write().map_err(|source| Failed::File {
            action: "write",
            path: self.file.clone(),
            source,
        })
    }
}
