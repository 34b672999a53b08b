//! The conversation with the daemon. The main thread makes all calls of the driver (`[T-1]`); a second one reads the
//! socket, so that the end of the daemon is noticed while a call hangs, and passes `cancel` on (`[T-2]`).

use std::fs;
use std::os::unix::net::UnixStream;
use std::process::ExitCode;
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use purser_driver_wire::{CallId, CallRequest, LoadOrder, LogLevel, Text, ToDaemon, ToHost};

use crate::calls::Instance;
use crate::driver::Driver;
use crate::link::{Inbox, LinkError, Outbox};
use crate::load::{NotLoaded, load};
use crate::{emit, watch};

/// Standard input is not the daemon's socket, or the process could not shut itself in.
pub(crate) const EXIT_NOT_STARTED_BY_DAEMON: u8 = 2;
/// The driver was not loaded.
const EXIT_NOT_LOADED: u8 = 3;
/// The driver made no instance.
const EXIT_NOT_CREATED: u8 = 4;
/// The daemon's messages could not be understood.
const EXIT_BAD_MESSAGES: u8 = 5;
/// The socket to the daemon failed, as it does once the driver has closed this process's descriptors [G-6].
const EXIT_SOCKET_FAILED: u8 = 7;

/// Messages that wait for the calling thread. The daemon has one call under way at a time, so that more is a fault.
const WAITING_MAX: usize = 8;

/// Time that a driver has to end its instance when the daemon is gone, in milliseconds.
const ORPHAN_STOP_MS: u32 = 500;

/// Threads of this program: the one that makes the calls, and the one that reads the socket.
const OWN_THREADS: usize = 2;

/// How often the threads are looked at after the end of an instance, a millisecond apart.
const THREAD_LOOKS: usize = 50;

/// What the reading thread passes to the calling thread.
enum Work {
    Message(ToHost),
    Ended(Result<(), LinkError>),
}

/// The instance while it may be cancelled; taken out before `destroy`.
type Cancellable = Arc<Mutex<Option<Instance>>>;

/// Talks with the daemon until one of both ends. Does not return: the process ends here without running the
/// driver's exit handlers, which may hang.
pub(crate) fn run(socket: UnixStream) -> ExitCode {
    match conversation(socket) {
        Ok(()) => watch::exit(0),
        Err(code) => watch::exit(code),
    }
}

fn conversation(socket: UnixStream) -> Result<(), u8> {
    let reading = socket.try_clone().map_err(|_| EXIT_NOT_STARTED_BY_DAEMON)?;
    let outbox: &'static Outbox = Box::leak(Box::new(Outbox::new(socket)));
    let cancellable = Cancellable::default();
    let work = read_on_own_thread(reading, Arc::clone(&cancellable));

    let Some(ToHost::Load(order)) = next(&work)? else {
        return Err(EXIT_BAD_MESSAGES);
    };
    let driver = hello(&order, outbox)?;
    let (settings, deadline_ms) = match next(&work)? {
        Some(ToHost::Create {
            settings,
            deadline_ms,
        }) => (settings, deadline_ms),
        // Manifests are made by loading a driver without making an instance.
        Some(ToHost::Stop { .. }) | None => return Ok(()),
        Some(_) => return Err(EXIT_BAD_MESSAGES),
    };
    let instance = match Instance::create(driver, emit::host(outbox), settings.as_str(), deadline_ms) {
        Ok(instance) => instance,
        Err(failure) => {
            outbox.send(&ToDaemon::Created(Err(failure)));
            return Err(EXIT_NOT_CREATED);
        }
    };
    *lock(&cancellable) = Some(instance);
    outbox.send(&ToDaemon::Created(Ok(())));
    let outcome = serve(&work, &instance, outbox);
    *lock(&cancellable) = None;
    let (stop_ms, outcome) = match outcome {
        Ok(Some(stop_ms)) => (stop_ms, Ok(())),
        Ok(None) => (ORPHAN_STOP_MS, Ok(())),
        Err(code) => (ORPHAN_STOP_MS, Err(code)),
    };
    instance.destroy(stop_ms);
    if let Some(threads) = threads_left() {
        let line = format!("[L-6] destroy left {threads} threads of the driver running");
        outbox.send(&ToDaemon::Breaches { count: 1 });
        outbox.send(&ToDaemon::Log {
            level: LogLevel::Warn,
            text: Text::cut(&line),
        });
    }
    outcome
}

/// How many threads run beside this program's own, `None` where all is as it should be. The kernel takes a moment to
/// forget a thread that was joined.
fn threads_left() -> Option<usize> {
    let mut left = 0;
    for _ in 0..THREAD_LOOKS {
        let threads = fs::read_dir("/proc/self/task").ok()?.count();
        left = threads.saturating_sub(OWN_THREADS);
        if left == 0 {
            return None;
        }
        thread::sleep(Duration::from_millis(1));
    }
    Some(left)
}

/// Makes calls until the daemon says stop (its deadline is given) or is gone (`None`).
fn serve(work: &Receiver<Work>, instance: &Instance, outbox: &Outbox) -> Result<Option<u32>, u8> {
    loop {
        match next(work)? {
            Some(ToHost::Call(request)) => answer(instance, &request, outbox),
            Some(ToHost::Stop { deadline_ms }) => return Ok(Some(deadline_ms)),
            None => return Ok(None),
            Some(ToHost::Load(_) | ToHost::Create { .. } | ToHost::Cancel(_)) => {
                return Err(EXIT_BAD_MESSAGES);
            }
        }
    }
}

fn answer(instance: &Instance, request: &CallRequest, outbox: &Outbox) {
    let result = instance.call(request);
    emit::tell_dropped();
    outbox.send(&ToDaemon::Answer {
        id: request.id,
        result,
    });
    emit::tell_breaches();
}

fn hello(order: &LoadOrder, outbox: &Outbox) -> Result<Driver, u8> {
    let loaded = load(order).and_then(|entry| {
        #[allow(unsafe_code, reason = "the entry comes from vendor code")]
        // SAFETY: it is what purser_driver_entry answered.
        let driver = unsafe { Driver::new(entry) }?;
        Ok((driver.hello()?, driver))
    });
    match loaded {
        Ok((hello, driver)) => {
            outbox.send(&ToDaemon::Hello(hello));
            Ok(driver)
        }
        Err(NotLoaded { fault, detail }) => {
            outbox.send(&ToDaemon::NotLoaded { fault, detail });
            Err(EXIT_NOT_LOADED)
        }
    }
}

/// The next message; `None` when the daemon is gone.
fn next(work: &Receiver<Work>) -> Result<Option<ToHost>, u8> {
    match work.recv() {
        Ok(Work::Message(message)) => Ok(Some(message)),
        Ok(Work::Ended(Ok(()))) | Err(_) => Ok(None),
        Ok(Work::Ended(Err(error))) => {
            eprintln!("purser-driver-host: {error}");
            Err(match error {
                LinkError::Socket(_) => EXIT_SOCKET_FAILED,
                LinkError::Ended | LinkError::Frame(_) | LinkError::Message(_) => EXIT_BAD_MESSAGES,
            })
        }
    }
}

fn read_on_own_thread(socket: UnixStream, cancellable: Cancellable) -> Receiver<Work> {
    let (sender, receiver) = sync_channel(WAITING_MAX);
    thread::spawn(move || {
        let mut inbox = Inbox::new(socket);
        let ended = loop {
            match inbox.receive() {
                Ok(ToHost::Cancel(id)) => cancel(&cancellable, id),
                Ok(message) => {
                    if sender.try_send(Work::Message(message)).is_err() {
                        break Ok(());
                    }
                }
                Err(LinkError::Ended) => break Ok(()),
                Err(error) => break Err(error),
            }
        };
        // A full queue is no hindrance: the calling thread finds the sender gone.
        let _ = sender.try_send(Work::Ended(ended));
        drop(sender);
        watch::kill_after(ORPHAN_STOP_MS);
    });
    receiver
}

fn cancel(cancellable: &Cancellable, id: CallId) {
    // The lock is held over the call, so that destroy cannot come in between; `cancel` returns at once [T-2].
    if let Some(instance) = &*lock(cancellable) {
        instance.cancel(id);
    }
}

fn lock(cancellable: &Cancellable) -> std::sync::MutexGuard<'_, Option<Instance>> {
    cancellable.lock().unwrap_or_else(PoisonError::into_inner)
}
