//! A ready driver: one call under way, others in a queue, events as they come.

use std::collections::VecDeque;
use std::fs::File;
use std::time::Duration;

use purser_driver_recording::What;
use purser_driver_wire::limits::{LOG_MAX_BYTES, SLOTS_MAX};
use purser_driver_wire::{Call, CallFailure, CallId, CallRequest, Fault, Hello, Reply, ToDaemon, ToHost};
use tokio::sync::{Notify, mpsc};
use tokio::time::{Instant, sleep_until, timeout};

use crate::desk::Desk;
use crate::handle::{Order, PendingCall};
use crate::host_link::HostLink;
use crate::mask::masked;
use crate::slots::Slots;
use crate::start::{Launched, Stderr};
use crate::{CallError, DownReason, DriverConfig, DriverEvent, NotSent};

/// Calls that wait while one is under way, beside disconnects.
const QUEUE_MAX: usize = 16;

/// Disconnects that wait: a device has one card. A caller who sends more has lost count of its cards.
const DISCONNECTS_MAX: usize = SLOTS_MAX;

/// Time in which a cancelled call must end: a device is told, and answers. The driver's one thread is of no use to
/// other devices before that.
const CANCEL_TIME: Duration = Duration::from_secs(2);

/// Time that an answer has beyond its call's deadline: a driver that answers "timed out" in time is not killed for the
/// way that its answer takes.
const ANSWER_GRACE: Duration = Duration::from_millis(500);

/// Bytes of standard error that are read at once.
pub(crate) const STDERR_BYTES: usize = LOG_MAX_BYTES;

/// The calls of one driver host.
#[derive(Debug)]
struct Session<'a> {
    driver: &'a Hello,
    link: &'a mut HostLink,
    slots: &'a mut Slots,
    desk: &'a mut Desk,
    under_way: Option<PendingCall>,
    queue: VecDeque<PendingCall>,
}

/// Makes calls until the driver is down (why is given) or the supervisor is to stop (`None`; the instance has ended in
/// order then, if it could). Each call that was taken has been answered.
pub(crate) async fn serve(
    (host, driver): (&mut Launched, &Hello),
    (orders, disconnect_lost): (&mut mpsc::Receiver<Order>, &Notify),
    config: &DriverConfig,
    desk: &mut Desk,
) -> Option<DownReason> {
    let Launched {
        link, slots, stderr, ..
    } = host;
    let mut session = Session {
        driver,
        link,
        slots,
        desk,
        under_way: None,
        queue: VecDeque::new(),
    };
    let down = match session.run((orders, disconnect_lost), stderr).await {
        Ok(()) => {
            session.stop(config.stop_time).await;
            None
        }
        Err(reason) => Some(reason),
    };
    session.answer_all();
    down
}

impl Session<'_> {
    /// `Ok` when the supervisor is to stop.
    async fn run(
        &mut self,
        (orders, disconnect_lost): (&mut mpsc::Receiver<Order>, &Notify),
        stderr: &mut Stderr,
    ) -> Result<(), DownReason> {
        let mut line = [0; STDERR_BYTES];
        loop {
            self.begin_next().await?;
            let has_room = self.desk.has_room();
            let wake = self.next_deadline();
            tokio::select! {
                // An answer that lies ready counts, even if this task was held up beyond the deadline.
                biased;
                () = self.desk.pass_on(), if self.desk.is_waiting() => {}
                message = self.link.receive(), if has_room => self.hear(message?)?,
                () = sleep_until(wake.unwrap_or_else(Instant::now)), if wake.is_some() => self.expire()?,
                () = disconnect_lost.notified() => return Err(DownReason::NotDisconnected),
                order = orders.recv(), if has_room => match order {
                    Some(Order::Call(call)) => self.take_call(call)?,
                    Some(Order::Cancel(id)) => self.cancel(id).await?,
                    Some(Order::Restart) => return Err(DownReason::Asked),
                    Some(Order::Record(file)) => self.begin_recording(file),
                    Some(Order::StopRecording(done)) => self.desk.end_recording(done),
                    Some(Order::Stop) | None => return Ok(()),
                },
                length = stderr.read(&mut line), if has_room => self.desk.log_stderr(&line[..length]),
            }
        }
    }

    fn begin_recording(&mut self, file: File) {
        self.desk.begin_recording(file);
        let ready = self.slots.ready(self.driver);
        self.desk.record(|tape| tape.note(What::Ready(ready)));
    }

    async fn begin_next(&mut self) -> Result<(), DownReason> {
        while self.under_way.is_none() {
            let Some(mut pending) = self.queue.pop_front() else {
                return Ok(());
            };
            if pending.is_disconnect() {
                pending.deadline = Instant::now() + pending.time;
            }
            let left = pending.deadline.saturating_duration_since(Instant::now());
            let deadline_ms = u32::try_from(left.as_millis()).unwrap_or(u32::MAX);
            if deadline_ms == 0 && !pending.is_disconnect() {
                self.desk.answer(pending.id, Err(NotSent::Expired.into()));
                continue;
            }
            self.desk
                .record(|tape| tape.call(pending.id, deadline_ms, &pending.call));
            // From here on the driver may have it: a failed send may have been a whole one.
            let message = ToHost::Call(CallRequest {
                id: pending.id,
                deadline_ms: deadline_ms.max(1),
                call: pending.call.clone(),
            });
            self.under_way = Some(pending);
            self.link.send(&message).await?;
        }
        Ok(())
    }

    fn next_deadline(&self) -> Option<Instant> {
        let under_way = self.under_way.as_ref().map(|call| call.deadline + ANSWER_GRACE);
        let waiting = self.queue.iter().filter(|call| !call.is_disconnect());
        waiting.map(|call| call.deadline).chain(under_way).min()
    }

    fn expire(&mut self) -> Result<(), DownReason> {
        let now = Instant::now();
        if self
            .under_way
            .as_ref()
            .is_some_and(|call| call.deadline + ANSWER_GRACE <= now)
        {
            return Err(DownReason::Deadline);
        }
        let is_expired = |call: &PendingCall| call.deadline <= now && !call.is_disconnect();
        let (expired, rest): (VecDeque<_>, _) = self.queue.drain(..).partition(is_expired);
        self.queue = rest;
        for call in expired {
            self.desk.answer(call.id, Err(NotSent::Expired.into()));
        }
        Ok(())
    }

    fn take_call(&mut self, call: PendingCall) -> Result<(), DownReason> {
        let disconnects = self.queue.partition_point(PendingCall::is_disconnect);
        if call.is_disconnect() {
            self.queue.insert(disconnects, call);
            if disconnects >= DISCONNECTS_MAX {
                return Err(DownReason::NotDisconnected);
            }
        } else if self.queue.len() - disconnects < QUEUE_MAX {
            self.queue.push_back(call);
        } else {
            self.desk.answer(call.id, Err(NotSent::QueueFull.into()));
        }
        Ok(())
    }

    async fn cancel(&mut self, id: CallId) -> Result<(), DownReason> {
        if let Some(at) = self.queue.iter().position(|call| call.id == id) {
            if !self.queue[at].is_disconnect() {
                self.queue.remove(at);
                self.desk.answer(id, Err(NotSent::Cancelled.into()));
            }
        } else if let Some(call) = self.under_way.as_mut().filter(|call| call.id == id) {
            if call.ends_by_cancel() {
                call.deadline = call.deadline.min(Instant::now() + CANCEL_TIME);
            }
            self.desk.record(|tape| tape.note(What::Cancel { id }));
            self.link.send(&ToHost::Cancel(id)).await?;
        }
        Ok(())
    }

    fn hear(&mut self, message: ToDaemon) -> Result<(), DownReason> {
        self.desk.heard();
        match message {
            ToDaemon::Answer { id, result } => {
                self.desk.record(|tape| tape.answer(id, &result));
                return self.hear_answer(id, result);
            }
            ToDaemon::Event(event) => {
                self.desk.record(|tape| tape.event(&event));
                if self.slots.take(&event) {
                    self.desk.tell(DriverEvent::Device(event));
                } else {
                    self.desk.count(|counters| counters.breaches += 1);
                }
            }
            ToDaemon::Log { level, text } => self.desk.log(level, text.as_str()),
            ToDaemon::LogsDropped { count } => self.desk.logs_dropped(count),
            ToDaemon::Breaches { count } => {
                self.desk.count(|counters| counters.breaches += u64::from(count));
            }
            ToDaemon::Hello(_) | ToDaemon::NotLoaded { .. } | ToDaemon::Created(_) => {
                return Err(DownReason::OutOfPlace);
            }
        }
        self.desk.allow_unasked()
    }

    fn hear_answer(&mut self, id: CallId, result: Result<Reply, CallFailure>) -> Result<(), DownReason> {
        let Some(call) = self.under_way.take_if(|call| call.id == id) else {
            self.desk.count(|counters| counters.answers_dropped += 1);
            return self.desk.allow_unasked();
        };
        self.desk.tell_dropped();
        let is_disconnect = matches!(call.call, Call::Disconnect { .. });
        match result.map_err(masked) {
            Ok(reply) if !reply.answers(&call.call) => {
                self.under_way = Some(call);
                return Err(DownReason::OutOfPlace);
            }
            Err(failure) if is_disconnect && !ends_connection(failure.fault) => {
                self.desk.answer(id, Err(CallError::DriverGone));
                return Err(DownReason::NotDisconnected);
            }
            Err(failure) if matches!(call.call, Call::Transmit { .. }) => {
                let fault = failure.fault.of_transmit();
                self.desk.answer(id, Err(CallFailure { fault, ..failure }.into()));
            }
            result => self.desk.answer(id, result.map_err(CallError::from)),
        }
        Ok(())
    }

    /// Lets the driver end in order: the end of its socket is the sign.
    async fn stop(&mut self, stop_time: Duration) {
        let deadline_ms = u32::try_from(stop_time.as_millis()).unwrap_or(u32::MAX).max(1);
        if self.link.send(&ToHost::Stop { deadline_ms }).await.is_ok() {
            // A driver that takes longer is killed, like one that ends without a sign.
            let last_words = async {
                while let Ok(message) = self.link.receive().await {
                    if self.hear(message).is_err() {
                        break;
                    }
                }
            };
            let _ = timeout(stop_time, last_words).await;
        }
    }

    fn answer_all(&mut self) {
        if let Some(call) = self.under_way.take() {
            let error = match call.call {
                Call::Transmit { .. } => CallError::OutcomeUnknown,
                Call::Connect { .. } | Call::Disconnect { .. } | Call::EnterPin { .. } => {
                    CallError::DriverGone
                }
            };
            self.desk.answer(call.id, Err(error));
        }
        for call in self.queue.drain(..) {
            self.desk.answer(call.id, Err(NotSent::NotReady.into()));
        }
    }
}

/// True if a disconnect that failed so has its end all the same: the card is without power (`[C-4]`).
fn ends_connection(fault: Fault) -> bool {
    match fault {
        Fault::CardChanged | Fault::DeviceGone | Fault::NoCard => true,
        Fault::CardMute
        | Fault::Cancelled
        | Fault::Busy
        | Fault::Timeout
        | Fault::OutcomeUnknown
        | Fault::BadArgument
        | Fault::Unsupported
        | Fault::Internal => false,
    }
}
