//! `purser-lab card insert FILE --port N`, and the same for a PSAM.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;

use clap::Args;
use purser_lab::chip::Chip;
use purser_lab::control::{ControlSocket, Led};
use purser_lab::vpcd::ChipThread;

use super::Failed;

#[derive(Debug, Args)]
pub(crate) struct Insert {
    /// The card's (or PSAM's) file
    file: PathBuf,
    /// The reader's TCP port on 127.0.0.1; the card waits until somebody listens there [default: vpcd's first slot,
    /// 35963, for a card, and its second, 35964, for a PSAM]
    #[arg(long, value_name = "N")]
    port: Option<u16>,
    /// A Unix socket for lines such as `remove`, `tear after debit`, `status`, `quit`; each gets one line back
    #[arg(long, value_name = "PATH")]
    control: Option<PathBuf>,
    /// Hold the card ready, but do not insert it before the control socket says so
    #[arg(long, requires = "control")]
    away: bool,
}

impl Insert {
    pub(crate) fn run<C: Chip>(self, default_port: u16) -> Result<(), Failed>
    where
        ChipThread<C>: Led,
    {
        let reader = SocketAddr::from((Ipv4Addr::LOCALHOST, self.port.unwrap_or(default_port)));
        let card = Arc::new(ChipThread::<C>::start(&self.file, reader)?);
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
