//! The PIN pad: a Unix socket where a program types for the buyer.
//!
//! One program at a time may be connected; a newer one takes the place of the older. Lines, each ended by a newline:
//!
//! | direction | line | meaning |
//! | --- | --- | --- |
//! | pad to program | `enter MIN MAX AMOUNT CURRENCY EXPONENT TRIES` | an entry began; what is not known is `-`; AMOUNT in minor units. Also told to a program that connects during an entry |
//! | program to pad | digits, such as `1234` | the digit keys, then the confirm key |
//! | program to pad | `cancel` | the cancel key |
//! | pad to program | `short` | fewer digits than MIN; type again |
//! | pad to program | `ignored` | a line that means nothing here, such as digits while no entry runs |
//! | pad to program | `confirmed`, `cancelled`, `timeout` | how the entry ended |

use std::fs::{self, Permissions};
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use purser_plugin_api::sdk::{
    Call, CallNumber, Class, Device, DriverError, Fault, Host, LogLevel, Output, PinFormat, PinRequest, Slot,
};
use zeroize::Zeroizing;

use crate::keys::{Keys, Pressed};
use crate::life::{Life, Pulse};
use crate::settings::PadSettings;

/// Time in which a connected program must take a line; one that does not read loses its connection.
const TELL_TIME: Duration = Duration::from_millis(200);

/// Bytes read at once.
const READ_BYTES: usize = 64;

/// The pad.
#[derive(Debug)]
pub(crate) struct Pad {
    host: Host,
    slot: Slot,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    settled: Condvar,
}

#[derive(Debug, Default)]
struct State {
    keys: Keys,
    /// The line that tells of the running entry.
    prompt: Option<String>,
    /// The newest call that was to be cancelled, perhaps before it began `[L-4]`.
    cancelled: Option<CallNumber>,
    program: Option<Arc<UnixStream>>,
}

impl Pad {
    /// Opens the socket, announces the device and starts its thread.
    pub(crate) fn open(
        host: Host,
        slot: Slot,
        settings: &PadSettings,
        life: &Life,
    ) -> Result<Self, DriverError> {
        let listener = listen(&settings.socket)
            .map_err(|error| Fault::Busy.because(format!("{}: {error}", settings.socket.display())))?;
        host.device_arrived(&Device {
            slot,
            name: &settings.name,
            classes: &[Class::PinPad],
            interfaces: &[],
        });
        let pad = Self {
            host,
            slot,
            shared: Arc::default(),
        };
        let (shared, pulse) = (Arc::clone(&pad.shared), life.pulse());
        life.spawn("pin pad", move || shared.watch(&listener, &pulse, host, slot))?;
        Ok(pad)
    }

    pub(crate) fn slot(&self) -> Slot {
        self.slot
    }

    pub(crate) fn cancel(&self, call: CallNumber) {
        self.shared.lock().cancelled = Some(call);
        self.shared.settled.notify_all();
    }

    pub(crate) fn enter_pin(
        &self,
        call: &Call,
        request: &PinRequest<'_>,
        answer: &mut Output<'_>,
    ) -> Result<(), DriverError> {
        if !matches!(request.format, PinFormat::Digits) {
            return Err(Fault::Unsupported.because("this pad has no keys for PIN blocks"));
        }
        self.host.log(LogLevel::Debug, "the PIN pad waits for the buyer");
        let prompt = prompt(request);
        let mut state = self.shared.lock();
        state.keys.begin(request.digits_min, request.digits_max);
        state.prompt = Some(prompt.clone());
        let program = state.program.clone();
        drop(state);
        tell(program.as_deref(), &prompt);

        let (mut state, cancelled) = self.shared.wait(call);
        let outcome = finish(&mut state, cancelled);
        let program = state.program.clone();
        drop(state);
        match outcome {
            Ok(digits) => {
                answer.put(&digits)?;
                tell(program.as_deref(), "confirmed\n");
                Ok(())
            }
            Err(fault) => {
                let line = if fault == Fault::Timeout {
                    "timeout\n"
                } else {
                    "cancelled\n"
                };
                tell(program.as_deref(), line);
                Err(fault.into())
            }
        }
    }
}

/// Ends the entry: its digits, or why there are none.
fn finish(state: &mut State, cancelled: bool) -> Result<Zeroizing<Vec<u8>>, Fault> {
    let settled = state.keys.is_settled();
    let digits = state.keys.end().filter(|_| !cancelled);
    state.prompt = None;
    digits.ok_or(if cancelled || settled {
        Fault::Cancelled
    } else {
        Fault::Timeout
    })
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until the entry is settled, cancelled or out of time; true for cancelled.
    fn wait(&self, call: &Call) -> (MutexGuard<'_, State>, bool) {
        let mut state = self.lock();
        loop {
            if state.cancelled == Some(call.number()) {
                return (state, true);
            }
            let left = call.time_left();
            if state.keys.is_settled() || left.is_zero() {
                return (state, false);
            }
            (state, _) = self
                .settled
                .wait_timeout(state, left)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn watch(&self, listener: &UnixListener, pulse: &Pulse, host: Host, slot: Slot) {
        loop {
            let program = self.lock().program.clone();
            let watched = [Some(listener.as_fd()), program.as_deref().map(AsFd::as_fd)];
            let Some([comes, types]) = pulse.wait(watched) else {
                return;
            };
            if let (true, Some(program)) = (types, program) {
                self.read(&program, host, slot);
            }
            if comes {
                match listener.accept() {
                    Ok((stream, _)) => self.welcome(stream),
                    Err(error) => {
                        host.log(LogLevel::Warn, &format!("the PIN pad's socket: {error}"));
                    }
                }
            }
        }
    }

    fn welcome(&self, stream: UnixStream) {
        let stream = Arc::new(stream);
        let mut state = self.lock();
        state.program = Some(Arc::clone(&stream));
        let prompt = state.prompt.clone();
        drop(state);
        if let Some(prompt) = prompt {
            tell(Some(&stream), &prompt);
        }
    }

    fn read(&self, program: &Arc<UnixStream>, host: Host, slot: Slot) {
        let mut bytes = Zeroizing::new([0; READ_BYTES]);
        let length = match (&**program).read(&mut *bytes) {
            Ok(0) | Err(_) => {
                let mut state = self.lock();
                state.program.take_if(|current| Arc::ptr_eq(current, program));
                return;
            }
            Ok(length) => length,
        };
        for byte in &bytes[..length] {
            let pressed = self.lock().keys.press(*byte);
            match pressed {
                Pressed::Nothing => {}
                Pressed::Digits(digits) => host.pin_digits(slot, digits),
                Pressed::TooShort => {
                    host.pin_digits(slot, 0);
                    tell(Some(program), "short\n");
                }
                Pressed::Ignored => tell(Some(program), "ignored\n"),
                Pressed::Confirmed | Pressed::Cancelled => self.settled.notify_all(),
            }
        }
    }
}

fn prompt(request: &PinRequest<'_>) -> String {
    let tries = request
        .tries_left
        .map_or_else(|| "-".to_owned(), |tries| tries.to_string());
    let amount = request.amount.map_or_else(
        || "- - -".to_owned(),
        |amount| {
            let currency = String::from_utf8_lossy(&amount.currency).into_owned();
            format!("{} {currency} {}", amount.minor, amount.minor_digits)
        },
    );
    format!(
        "enter {} {} {amount} {tries}\n",
        request.digits_min, request.digits_max
    )
}

/// Tells the connected program a line. One that cannot take it is gone or stuck; the thread that reads from it sees
/// its end.
fn tell(program: Option<&UnixStream>, line: &str) {
    if let Some(mut program) = program {
        let told = program
            .set_write_timeout(Some(TELL_TIME))
            .and_then(|()| program.write_all(line.as_bytes()));
        if told.is_err() {
            let _ = program.shutdown(std::net::Shutdown::Both);
        }
    }
}

/// Listens at `path`, for its owner only. A socket that a dead driver left behind is taken over; a living one is not.
pub(crate) fn listen(path: &Path) -> io::Result<UnixListener> {
    let is_socket = fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket());
    if is_socket
        && UnixStream::connect(path).is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused)
    {
        fs::remove_file(path)?;
    }
    let listener = UnixListener::bind(path)?;
    fs::set_permissions(path, Permissions::from_mode(0o600))?;
    Ok(listener)
}
