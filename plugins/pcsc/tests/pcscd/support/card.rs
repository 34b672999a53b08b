//! The lab's card in a reader: the card's end of the vpcd protocol (2-byte length and payload, both ways).

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use purser_lab::card::{Card, CardReply, Interface, Minor, Opening, ScriptedFault};
use purser_lab::issuer::{LAB_SERIAL, Masters};
use rustix::net::sockopt::set_tcp_quickack;

use super::PATIENCE;

/// vpcd's port for the first reader; the second's follows.
const PORT: u16 = 35963;
/// Between two tries to reach a vpcd that does not listen (yet): pcscd may be starting.
const KNOCK_AGAIN: Duration = Duration::from_millis(20);

const POWER_OFF: u8 = 0;
const POWER_ON: u8 = 1;
const RESET: u8 = 2;
const GET_ATR: u8 = 4;

/// A card of the lab that can be put into a reader.
#[derive(Clone)]
pub(crate) struct LabCard(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    card: Card,
    atr: Vec<u8>,
    commands: Vec<Vec<u8>>,
}

/// A card that lies in a reader. Dropping it takes the card out.
pub(crate) struct Inserted {
    stream: Arc<Mutex<Option<TcpStream>>>,
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl LabCard {
    /// A card that answers to reset with these bytes, whatever they promise.
    pub(crate) fn with_atr(atr: &[u8]) -> Self {
        let made = Self::new(Interface::Whole);
        made.lock().atr = atr.to_vec();
        made
    }

    pub(crate) fn new(interface: Interface) -> Self {
        let mut personalisation = Masters::public_lab().personalise(LAB_SERIAL);
        personalisation.interface = interface;
        let opening = Opening {
            ed: Minor(0),
            ep: Minor(1000),
            sn: 0,
        };
        Self(Arc::new(Shared {
            state: Mutex::new(State {
                card: Card::new(Arc::new(personalisation), opening),
                atr: interface.atr().to_vec(),
                commands: Vec::new(),
            }),
            changed: Condvar::new(),
        }))
    }

    pub(crate) fn script(&self, fault: ScriptedFault) {
        self.lock().card.script(fault);
    }

    /// The money in the wallet.
    pub(crate) fn money(&self) -> u64 {
        self.lock().card.money()
    }

    /// Every command that has reached the card.
    pub(crate) fn commands(&self) -> Vec<Vec<u8>> {
        self.lock().commands.clone()
    }

    /// How many commands with this instruction byte have reached the card.
    pub(crate) fn count(&self, instruction: u8) -> usize {
        count(&self.lock(), instruction)
    }

    /// Waits until a command with this instruction byte has reached the card.
    pub(crate) fn wait_for(&self, instruction: u8) {
        let waited = self
            .0
            .changed
            .wait_timeout_while(self.lock(), PATIENCE, |state| count(state, instruction) == 0);
        assert!(!waited.expect("no panic").1.timed_out(), "no such command came");
    }

    /// Puts the card into the first reader.
    pub(crate) fn insert(&self) -> Inserted {
        self.insert_into(0)
    }

    /// Puts the card into a reader, as soon as there is one.
    pub(crate) fn insert_into(&self, reader: u16) -> Inserted {
        let stream = Arc::new(Mutex::new(None));
        let is_over = Arc::new(AtomicBool::new(false));
        let thread = thread::spawn({
            let (card, stream, is_over) = (self.clone(), Arc::clone(&stream), Arc::clone(&is_over));
            move || card.approach(PORT + reader, &stream, &is_over)
        });
        Inserted {
            stream,
            is_over,
            thread: Some(thread),
        }
    }

    fn approach(&self, port: u16, place: &Mutex<Option<TcpStream>>, is_over: &AtomicBool) {
        while !is_over.load(Ordering::SeqCst) {
            let Ok(stream) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)) else {
                thread::sleep(KNOCK_AGAIN);
                continue;
            };
            *place.lock().expect("no panic") = Some(stream.try_clone().expect("a descriptor"));
            if !is_over.load(Ordering::SeqCst) {
                // It ends with the reader, with a tear or with a removal.
                let _ = self.serve(stream);
            }
            self.lock().card.power_off();
            return;
        }
    }

    fn serve(&self, mut stream: TcpStream) -> io::Result<()> {
        stream.set_nodelay(true)?;
        loop {
            let payload = receive(&mut stream)?;
            let mut state = self.lock();
            let answer = match payload.as_slice() {
                [POWER_OFF] => {
                    state.card.power_off();
                    continue;
                }
                [POWER_ON] => {
                    state.card.power_on();
                    continue;
                }
                [RESET] => {
                    state.card.reset();
                    continue;
                }
                [GET_ATR] => state.atr.clone(),
                command => {
                    state.commands.push(command.to_vec());
                    let reply = state.card.process(command);
                    self.0.changed.notify_all();
                    match reply {
                        CardReply::Answer(answer) => answer,
                        CardReply::LastAnswer(answer) => {
                            send(&mut stream, &answer)?;
                            return stream.shutdown(Shutdown::Both);
                        }
                        CardReply::Mute => continue,
                        CardReply::Torn => return stream.shutdown(Shutdown::Both),
                    }
                }
            };
            drop(state);
            send(&mut stream, &answer)?;
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().expect("no panic")
    }
}

impl Inserted {
    /// Takes the card out.
    pub(crate) fn remove(self) {}
}

impl Drop for Inserted {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::SeqCst);
        if let Some(stream) = &*self.stream.lock().expect("no panic") {
            // It fails when the reader closed it before.
            let _ = stream.shutdown(Shutdown::Both);
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn count(state: &State, instruction: u8) -> usize {
    let is_such = |command: &&Vec<u8>| command.get(1) == Some(&instruction);
    state.commands.iter().filter(is_such).count()
}

fn send(stream: &mut TcpStream, answer: &[u8]) -> io::Result<()> {
    let mut frame = u16::try_from(answer.len()).expect("short").to_be_bytes().to_vec();
    frame.extend(answer);
    stream.write_all(&frame)
}

fn receive(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    // vpcd may write length and payload apart: without it each command waits for a delayed acknowledgement.
    set_tcp_quickack(&*stream, true)?;
    let mut length = [0; 2];
    stream.read_exact(&mut length)?;
    let mut payload = vec![0; usize::from(u16::from_be_bytes(length))];
    set_tcp_quickack(&*stream, true)?;
    stream.read_exact(&mut payload)?;
    Ok(payload)
}
