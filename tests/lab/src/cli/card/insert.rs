//! `purser-lab card insert FILE --port N`.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;

use clap::Args;
use purser_lab::control::ControlSocket;
use purser_lab::vpcd::CardThread;

use crate::cli::Failed;

/// The port on which vpcd's first slot listens.
const VPCD_PORT: u16 = 35963;

#[derive(Debug, Args)]
pub(crate) struct Insert {
    /// The card file
    file: PathBuf,
    /// The reader's TCP port on 127.0.0.1; the card waits until somebody listens there
    #[arg(long, value_name = "N", default_value_t = VPCD_PORT)]
    port: u16,
    /// A Unix socket for lines such as `remove`, `tear after debit`, `status`, `quit`; each gets one line back
    #[arg(long, value_name = "PATH")]
    control: Option<PathBuf>,
    /// Hold the card ready, but do not insert it before the control socket says so
    #[arg(long, requires = "control")]
    away: bool,
}

impl Insert {
    pub(crate) fn run(self) -> Result<(), Failed> {
        let reader = SocketAddr::from((Ipv4Addr::LOCALHOST, self.port));
        let card = Arc::new(CardThread::start(&self.file, reader)?);
        let control = self.control.map(|path| {
            let bound = ControlSocket::bind(&path);
            bound.map_err(|source| Failed::File {
                action: "listen at",
                path,
                source,
            })
        });
        let control = control.transpose()?;
        if !self.away {
            card.insert();
        }
        match control {
            Some(control) => Ok(control.serve(&card)?),
            None => loop {
                // The card's own thread does everything; this one lives until the process is killed.
                thread::park();
            },
        }
    }
}
