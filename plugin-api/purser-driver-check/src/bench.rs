//! A driver host with the driver in it: calls with their deadlines, and everything that is heard meanwhile held against the
//! clauses.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use purser_driver_wire::{
    Call, CallFailure, CallId, CallRequest, Device, DeviceEvent, Hello, Quota, Reply, SlotId, Text, ToDaemon,
    ToHost,
};

use crate::host::{End, Heard, Host};
use crate::report::Broken;
use crate::subject::NotChecked;
use crate::vitals::Vitals;

/// Time to make the instance.
const START_TIME: Duration = Duration::from_secs(15);
/// Time to end the instance.
const STOP_TIME_MS: u32 = 2000;
/// Time that an answer has beyond its deadline, as the daemon gives it.
pub(crate) const GRACE: Duration = Duration::from_millis(500);
/// Time for a call that waits for nothing.
pub(crate) const USUAL_MS: u32 = 5000;
/// Time in which a process that closed its socket by ending has its exit status.
const STATUS_TIME: Duration = Duration::from_secs(2);
/// The driver host ends so when a driver wrote beyond a buffer.
const EXIT_OVERRUN: i32 = 6;
/// With what purser-driver-host ends when its socket fails: nobody but the driver can have done that here.
const EXIT_SOCKET_FAILED: i32 = 7;

/// A message that the driver host does not send by itself.
pub(crate) fn foreign(what: &str) -> Broken {
    Broken::new(
        "G-6",
        format!("{what}: the driver wrote to a descriptor that it did not open"),
    )
}

/// A device and whether a card lies in it.
#[derive(Clone, Debug)]
pub(crate) struct Present {
    pub(crate) device: Device,
    pub(crate) has_card: bool,
}

/// A driver host with the driver in it.
#[derive(Debug)]
pub(crate) struct Bench {
    pub(crate) host: Host,
    pub(crate) hello: Option<Hello>,
    pub(crate) devices: BTreeMap<SlotId, Present>,
    /// All that the driver wrote to its log, its standard error and its details.
    pub(crate) said: Vec<String>,
    /// Events that nobody has looked at yet.
    pub(crate) events: VecDeque<DeviceEvent>,
    pub(crate) at_load: Option<Vitals>,
    since: Instant,
    unasked: Quota,
    lines: Quota,
    next_call: u64,
    /// Digits at a PIN pad may be told now.
    pub(crate) is_pin_asked: bool,
}

impl Bench {
    pub(crate) fn around(host: Host) -> Self {
        Self {
            host,
            hello: None,
            devices: BTreeMap::new(),
            said: Vec::new(),
            events: VecDeque::new(),
            at_load: None,
            since: Instant::now(),
            unasked: Quota::unasked_messages(),
            lines: Quota::log_lines(),
            next_call: 1,
            is_pin_asked: false,
        }
    }

    /// Makes the instance; the inner error is the driver's.
    pub(crate) fn create(
        &mut self,
        settings: &str,
    ) -> Result<Result<Result<(), CallFailure>, Broken>, NotChecked> {
        let settings = Text::try_from(settings.to_owned()).map_err(|_| NotChecked::TooLong)?;
        let deadline_ms = u32::try_from(START_TIME.as_millis()).unwrap_or(u32::MAX);
        self.host.send(&ToHost::Create {
            settings,
            deadline_ms,
        });
        Ok(match self.answer(Instant::now() + START_TIME + GRACE) {
            Ok(Some(ToDaemon::Created(created))) => match self.look_at(created) {
                Ok(created) => Ok(created),
                Err(broken) => Err(broken),
            },
            Ok(Some(_)) => Err(foreign("a message out of place in create")),
            Ok(None) => Err(Broken::new("T-4", "create did not return before its deadline")),
            Err(broken) => Err(broken),
        })
    }

    /// Makes a call and awaits its one answer.
    pub(crate) fn call(
        &mut self,
        call: Call,
        deadline_ms: u32,
    ) -> Result<Result<Reply, CallFailure>, Broken> {
        let name = name(&call);
        let id = self.begin(call, deadline_ms);
        self.await_answer(id, name, Duration::from_millis(deadline_ms.into()) + GRACE)
    }

    /// Makes a call, to be awaited later.
    pub(crate) fn begin(&mut self, call: Call, deadline_ms: u32) -> CallId {
        let id = CallId(self.next_call);
        self.next_call += 1;
        self.host.send(&ToHost::Call(CallRequest {
            id,
            deadline_ms,
            call,
        }));
        id
    }

    /// The number that the next call will have.
    pub(crate) fn next_number(&self) -> CallId {
        CallId(self.next_call)
    }

    /// Awaits the answer to a call.
    pub(crate) fn await_answer(
        &mut self,
        id: CallId,
        name: &str,
        time: Duration,
    ) -> Result<Result<Reply, CallFailure>, Broken> {
        let ended = |broken: Broken| Broken {
            what: format!("in {name}: {}", broken.what),
            ..broken
        };
        match self.answer(Instant::now() + time).map_err(ended)? {
            Some(ToDaemon::Answer { id: of, result }) if of == id => self.look_at(result).map_err(ended),
            Some(_) => Err(foreign("an answer to no call, or a second one")),
            None => Err(self.silent(name)),
        }
    }

    /// Listens for so long; nothing may be answered meanwhile.
    pub(crate) fn listen(&mut self, time: Duration) -> Result<(), Broken> {
        match self.answer(Instant::now() + time)? {
            None => Ok(()),
            Some(_) => Err(foreign("an answer to no call, or a second one")),
        }
    }

    /// Waits for an event; false when it does not come.
    pub(crate) fn wait_for(&mut self, awaited: &DeviceEvent, time: Duration) -> Result<bool, Broken> {
        let end = Instant::now() + time;
        loop {
            while let Some(event) = self.events.pop_front() {
                if event == *awaited {
                    return Ok(true);
                }
            }
            if Instant::now() > end {
                return Ok(false);
            }
            self.listen(Duration::from_millis(10))?;
        }
    }

    /// Ends the instance, and holds its end against the clauses.
    pub(crate) fn stop(mut self) -> Result<(), Broken> {
        self.is_whole()?;
        self.host.send(&ToHost::Stop {
            deadline_ms: STOP_TIME_MS,
        });
        let end = Instant::now() + Duration::from_millis(STOP_TIME_MS.into()) + GRACE;
        loop {
            match self.host.hear(end) {
                None => return Err(Broken::new("T-4", "destroy did not return before its deadline")),
                Some(Heard::End) => break,
                Some(Heard::Noise(what)) => return Err(foreign(&what)),
                Some(Heard::Message(message)) => {
                    self.take(message)?;
                }
                Some(Heard::Line(line)) => self.take_line(&line)?,
            }
        }
        match self.host.end(end) {
            Some(End::Code(0)) => Ok(()),
            Some(how) => Err(ended(how)),
            None => Err(Broken::new("T-4", "the process did not end after destroy")),
        }
    }

    /// Holds the process against the clauses: descriptors, children, signals.
    pub(crate) fn is_whole(&self) -> Result<(), Broken> {
        let now = Vitals::of(self.host.id());
        let Some(then) = &self.at_load else { return Ok(()) };
        if let Some(child) = now.children.first() {
            return Err(Broken::new("T-6", format!("it started the process {child}")));
        }
        if now.signals != then.signals {
            let what = format!(
                "it changed what happens at signals (blocked, ignored, caught): {:?} before, {:?} now",
                then.signals, now.signals
            );
            return Err(Broken::new("T-6", what));
        }
        let is_closed = matches!((now.descriptors, then.descriptors), (Some(now), Some(then)) if now < then);
        if is_closed {
            return Err(Broken::new("G-6", "it closed descriptors that it did not open"));
        }
        if now.standard != then.standard {
            let what = format!(
                "descriptors 0 to 3 lead elsewhere: {:?} before, {:?} now",
                then.standard, now.standard
            );
            return Err(Broken::new("G-6", what));
        }
        Ok(())
    }

    /// The next message that is no event and no line; `None` when the time is over.
    pub(crate) fn answer(&mut self, until: Instant) -> Result<Option<ToDaemon>, Broken> {
        loop {
            match self.host.hear(until) {
                None => return Ok(None),
                Some(Heard::Message(message)) => {
                    if let Some(answer) = self.take(message)? {
                        return Ok(Some(answer));
                    }
                }
                Some(Heard::Line(line)) => self.take_line(&line)?,
                Some(Heard::Noise(what)) => return Err(foreign(&what)),
                Some(Heard::End) => return Err(self.ended()),
            }
        }
    }

    /// How the process ended that should not have.
    fn ended(&mut self) -> Broken {
        let until = Instant::now() + STATUS_TIME;
        // Its last words may come behind the end of its socket.
        while let Some(Heard::Line(line)) = self.host.hear(Instant::now() + Duration::from_millis(50)) {
            if let Some(broken) = Broken::named_in(&line) {
                return broken;
            }
        }
        match self.host.end(until) {
            Some(how) => ended(how),
            None => foreign("the socket was closed"),
        }
    }

    /// Why no answer comes.
    fn silent(&mut self, name: &str) -> Broken {
        if let Some(how) = self.host.end(Instant::now()) {
            let what = format!(
                "{} in {name}, and something that it started lives on",
                ended(how).what
            );
            return Broken::new("T-6", what);
        }
        let late = || Broken::new("T-4", format!("{name} did not answer before its deadline"));
        self.is_whole().err().unwrap_or_else(late)
    }

    /// Takes a message that nobody asked for; gives back what is an answer.
    fn take(&mut self, message: ToDaemon) -> Result<Option<ToDaemon>, Broken> {
        match message {
            ToDaemon::Event(event) => self.take_event(event)?,
            ToDaemon::Log { text, .. } => {
                if let Some(broken) = Broken::named_in(text.as_str()) {
                    return Err(broken);
                }
                self.said.push(text.to_string());
            }
            ToDaemon::LogsDropped { count } => {
                return Err(Broken::new("E-6", format!("{count} log lines came too fast")));
            }
            // The driver host says in a line of its own which clause it was, where it was not an event.
            ToDaemon::Breaches { .. } => {
                self.listen_for_reason()?;
                return Err(Broken::new("E-1", "it told an event that cannot be"));
            }
            answer => return Ok(Some(answer)),
        }
        match self.unasked.take(self.since.elapsed()) {
            Some(_) => Ok(None),
            None => Err(Broken::new("E-5", "it told more than devices and buyers cause")),
        }
    }

    fn listen_for_reason(&mut self) -> Result<(), Broken> {
        let soon = Instant::now() + Duration::from_millis(100);
        match self.host.hear(soon) {
            Some(Heard::Message(ToDaemon::Log { text, .. })) => match Broken::named_in(text.as_str()) {
                Some(broken) => Err(broken),
                None => Ok(()),
            },
            _ => Ok(()),
        }
    }

    fn take_line(&mut self, line: &str) -> Result<(), Broken> {
        if let Some(broken) = Broken::named_in(line) {
            return Err(broken);
        }
        self.said.push(line.to_owned());
        match self.lines.take(self.since.elapsed()) {
            Some(_) => Ok(()),
            None => Err(Broken::new("E-6", "lines on standard error came too fast")),
        }
    }

    fn take_event(&mut self, event: DeviceEvent) -> Result<(), Broken> {
        let slot = event.slot();
        let found = self.devices.get_mut(&slot);
        match (&event, found) {
            (DeviceEvent::DeviceArrived(device), None) => {
                if self
                    .devices
                    .values()
                    .any(|other| other.device.name == device.name)
                {
                    return Err(Broken::new(
                        "E-1",
                        format!("two devices are called {:?}", device.name),
                    ));
                }
                let device = device.clone();
                let has_card = false;
                self.devices.insert(slot, Present { device, has_card });
            }
            (DeviceEvent::DeviceArrived(_), Some(_)) => {
                return Err(Broken::new("E-1", format!("slot {} arrived twice", slot.0)));
            }
            (DeviceEvent::DeviceLeft(_), Some(_)) => {
                self.devices.remove(&slot);
            }
            (DeviceEvent::CardInserted(_), Some(found)) if !found.has_card => found.has_card = true,
            (DeviceEvent::CardRemoved(_), Some(found)) if found.has_card => found.has_card = false,
            (DeviceEvent::PinDigits { .. }, Some(_)) if self.is_pin_asked => {}
            (DeviceEvent::PinDigits { .. }, _) => {
                return Err(Broken::new("E-4", "it told digits while no PIN was asked for"));
            }
            (DeviceEvent::DeviceLeft(_), None) => {
                return Err(Broken::new(
                    "E-2",
                    format!("slot {} left and was not there", slot.0),
                ));
            }
            (DeviceEvent::CardInserted(_) | DeviceEvent::CardRemoved(_), _) => {
                return Err(Broken::new("E-3", format!("{event:?} where it cannot be")));
            }
        }
        self.events.push_back(event);
        Ok(())
    }

    /// Keeps a detail, and finds the clause that the driver host names in one of its own.
    fn look_at<T>(&mut self, result: Result<T, CallFailure>) -> Result<Result<T, CallFailure>, Broken> {
        if let Err(failure) = &result {
            if let Some(broken) = Broken::named_in(failure.detail.as_str()) {
                return Err(broken);
            }
            self.said.push(failure.detail.to_string());
        }
        Ok(result)
    }
}

fn ended(how: End) -> Broken {
    match how {
        End::Code(EXIT_OVERRUN) => Broken::new("M-2", "it wrote beyond its buffer"),
        End::Code(EXIT_SOCKET_FAILED) => Broken::new("G-6", "it closed descriptors that it did not open"),
        End::Code(code) => Broken::new("T-6", format!("the process ended with exit code {code}")),
        End::Signal(signal) => Broken::new("G-8", format!("it crashed: signal {signal}")),
    }
}

/// What a call is named in the header.
pub(crate) fn name(call: &Call) -> &'static str {
    match call {
        Call::Connect { .. } => "connect",
        Call::Transmit { .. } => "transmit",
        Call::Disconnect { .. } => "disconnect",
        Call::EnterPin { .. } => "enter_pin",
    }
}
