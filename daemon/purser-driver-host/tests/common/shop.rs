//! A shop with a virtual reader, and cards that behave as a test says.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::thread::{self, JoinHandle};

use purser_driver_supervisor::wire::{DeviceEvent, Fault, SlotId};
use purser_driver_supervisor::{CallError, DriverConfig, DriverEvent};
use purser_virtual_reader::vpcd::{FrameDecoder, ToCard, frame};

use super::{Bench, Installed, virtual_reader};

pub(crate) const READER: SlotId = SlotId(0);
pub(crate) const PAD: SlotId = SlotId(1);
pub(crate) const ATR: [u8; 5] = [0x3B, 0x80, 0x80, 0x01, 0x01];

/// A reader with a card slot, and the port that the driver took.
pub(crate) struct Shop {
    pub(crate) bench: Bench,
    pub(crate) port: u16,
    pub(crate) installed: Installed,
}

impl Shop {
    pub(crate) async fn open() -> Self {
        let installed = virtual_reader();
        let keypad = installed.folder.path().join("keypad");
        let settings = format!(
            "[[slot]]\nname = \"counter reader\"\nport = 0\n[pin_pad]\nname = \"keypad\"\nsocket = {keypad:?}\n"
        );
        let mut bench = Bench::start(DriverConfig::new("counter", &installed.driver, settings));
        let port = port(&mut bench).await;
        bench.ready().await;
        Self {
            bench,
            port,
            installed,
        }
    }

    pub(crate) async fn insert(
        &mut self,
        behave: impl FnOnce(&mut TestCard) + Send + 'static,
    ) -> JoinHandle<()> {
        let card = insert(self.port, behave);
        self.see(DeviceEvent::CardInserted(READER)).await;
        card
    }

    pub(crate) async fn see(&mut self, expected: DeviceEvent) {
        self.bench
            .wait(|event| (event == DriverEvent::Device(expected.clone())).then_some(()))
            .await;
    }

    pub(crate) fn keypad(&self) -> UnixStream {
        UnixStream::connect(self.installed.folder.path().join("keypad")).unwrap()
    }
}

pub(crate) async fn port(bench: &mut Bench) -> u16 {
    bench
        .wait(|event| match event {
            DriverEvent::Log { text, .. } => text.as_str().rsplit(':').next()?.parse().ok(),
            DriverEvent::Failed { reason } => panic!("{reason:?}"),
            _ => None,
        })
        .await
}

/// The card's side of the vpcd protocol, one message at a time.
pub(crate) struct TestCard {
    pub(crate) stream: TcpStream,
    pub(crate) decoder: FrameDecoder,
}

impl TestCard {
    /// The next message; `None` when the reader has gone.
    pub(crate) fn hear(&mut self) -> Option<ToCard> {
        let mut byte = [0];
        loop {
            if self.stream.read(&mut byte).ok()? == 0 {
                return None;
            }
            if let Some(message) = self.decoder.take(&mut byte.as_slice()) {
                return Some(ToCard::decode(&message).unwrap());
            }
        }
    }

    pub(crate) fn say(&mut self, message: &[u8]) {
        self.stream.write_all(&frame(message).unwrap()).unwrap();
    }

    /// Hears power and ATR, as each connection begins.
    pub(crate) fn power_up(&mut self) {
        assert_eq!(self.hear(), Some(ToCard::PowerOn));
        assert_eq!(self.hear(), Some(ToCard::GetAtr));
        self.say(&ATR);
    }

    pub(crate) fn command(&mut self) -> Vec<u8> {
        match self.hear() {
            Some(ToCard::Command(command)) => command.to_vec(),
            other => panic!("no command: {other:?}"),
        }
    }
}

pub(crate) fn insert(port: u16, behave: impl FnOnce(&mut TestCard) + Send + 'static) -> JoinHandle<()> {
    let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_nodelay(true).unwrap();
    thread::spawn(move || {
        behave(&mut TestCard {
            stream,
            decoder: FrameDecoder::default(),
        })
    })
}

pub(crate) fn fault<T: std::fmt::Debug>(result: Result<T, CallError>) -> Fault {
    match result {
        Err(CallError::Driver(failure)) => failure.fault,
        other => panic!("not the driver's answer: {other:?}"),
    }
}
