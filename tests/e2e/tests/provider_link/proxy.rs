//! A line between two ends of a TCP connection that counts what goes over it, and is cut where the test says.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

/// What all connections of a test have in common.
#[derive(Debug)]
struct State {
    /// How many messages have begun: a message is what one end says until the other one speaks.
    messages: u64,
    /// How many bytes have gone over the line.
    bytes: u64,
    cut: Cut,
    /// Both ends of each open connection.
    open: Vec<(TcpStream, TcpStream)>,
    is_cut: bool,
}

/// Where the line is cut, once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cut {
    Never,
    /// Before this message, counted from 0 over all connections.
    BeforeMessage(u64),
    /// After so many bytes.
    AfterBytes(u64),
}

/// The counter that several proxies share: one line for each way.
#[derive(Clone, Debug)]
pub(crate) struct Meter(Arc<Mutex<State>>);

impl Meter {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Mutex::new(State {
            messages: 0,
            bytes: 0,
            cut: Cut::Never,
            open: Vec::new(),
            is_cut: false,
        })))
    }

    /// Begins to count anew, and cuts there.
    pub(crate) fn arm(&self, cut: Cut) {
        let mut state = self.0.lock().unwrap();
        (state.messages, state.bytes, state.is_cut) = (0, 0, false);
        state.cut = cut;
    }

    /// How many messages and bytes there were since it was armed, and whether the cut has fallen.
    pub(crate) fn seen(&self) -> (u64, u64, bool) {
        let state = self.0.lock().unwrap();
        (state.messages, state.bytes, state.is_cut)
    }

    /// How many of these bytes may pass. A cut ends every connection.
    fn pass(&self, length: usize, begins: bool) -> usize {
        let mut state = self.0.lock().unwrap();
        let length_u64 = u64::try_from(length).unwrap();
        let passes = match state.cut {
            Cut::BeforeMessage(number) if begins && state.messages == number => 0,
            Cut::AfterBytes(number) => length_u64.min(number.saturating_sub(state.bytes)),
            Cut::Never | Cut::BeforeMessage(_) => length_u64,
        };
        state.messages += u64::from(begins);
        state.bytes += passes;
        if passes < length_u64 {
            state.cut = Cut::Never;
            state.is_cut = true;
        }
        usize::try_from(passes).unwrap()
    }

    fn hang_up(&self) {
        for (one, other) in self.0.lock().unwrap().open.drain(..) {
            let _ = one.shutdown(Shutdown::Both);
            let _ = other.shutdown(Shutdown::Both);
        }
    }

    /// A proxy in front of `to`; where it listens.
    pub(crate) fn in_front_of(&self, to: SocketAddr) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let meter = self.clone();
        // It ends with the process.
        thread::spawn(move || {
            for near in listener.incoming() {
                let near = near.unwrap();
                // Nobody listens there at the moment: the caller sees its connection end.
                let Ok(far) = TcpStream::connect(to) else { continue };
                near.set_nodelay(true).unwrap();
                far.set_nodelay(true).unwrap();
                let ends = (near.try_clone().unwrap(), far.try_clone().unwrap());
                meter.0.lock().unwrap().open.push(ends);
                let speaker = Arc::new(Mutex::new(None));
                for (side, from, to) in [
                    (0, near.try_clone().unwrap(), far.try_clone().unwrap()),
                    (1, far, near),
                ] {
                    let (meter, speaker) = (meter.clone(), Arc::clone(&speaker));
                    thread::spawn(move || meter.carry(side, from, to, &speaker));
                }
            }
        });
        address
    }

    fn carry(&self, side: u8, mut from: TcpStream, mut to: TcpStream, speaker: &Mutex<Option<u8>>) {
        let mut buffer = vec![0; 64 * 1024];
        while let Ok(length @ 1..) = from.read(&mut buffer) {
            let begins = speaker.lock().unwrap().replace(side) != Some(side);
            let passes = self.pass(length, begins);
            if to.write_all(&buffer[..passes]).is_err() {
                break;
            }
            if passes < length {
                self.hang_up();
            }
        }
        let _ = from.shutdown(Shutdown::Both);
        let _ = to.shutdown(Shutdown::Both);
    }
}
