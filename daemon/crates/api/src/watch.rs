//! One watcher's stream: first what the journal has, then what happens, without a gap and without telling an entry twice.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::access::Caller;
use crate::fault;
use crate::hub::Subscription;
use crate::model::{Event, EventsArguments, Fault, PAGE_MAX};
use crate::service::Service;

/// A stream of events, for one watcher.
///
/// It listens from the moment when it was made, reads the journal page by page until there is no more, and then leaves out of
/// what it heard meanwhile all that the journal has told.
pub struct Watch {
    service: Service,
    caller: Caller,
    reference: Option<String>,
    heard: Subscription,
    ready: VecDeque<Event>,
    /// The number up to which the journal has been read; none when it is not read.
    read_up_to: Option<u64>,
    reading: bool,
    /// The number that was told last.
    told: Option<u64>,
}

impl Watch {
    /// Watches from now on, beginning with `present`.
    pub(crate) fn live(
        service: Service,
        caller: Caller,
        reference: Option<String>,
        heard: Subscription,
        present: Option<Event>,
    ) -> Self {
        let read_up_to = present.as_ref().and_then(|event| event.number);
        let mut watch = Self {
            service,
            caller,
            reference,
            heard,
            ready: present.into_iter().collect(),
            read_up_to,
            reading: false,
            told: None,
        };
        watch.skip_what_was_read();
        watch
    }

    /// Reads the journal after this number first.
    pub(crate) fn resumed(
        service: Service,
        caller: Caller,
        reference: Option<String>,
        heard: Subscription,
        after: u64,
    ) -> Self {
        Self {
            service,
            caller,
            reference,
            heard,
            ready: VecDeque::new(),
            read_up_to: Some(after),
            reading: true,
            told: Some(after),
        }
    }

    /// The next event.
    ///
    /// # Errors
    /// `Lagged`: this watcher did not keep up and is over; watch again after the number that the fault names. `Busy` and
    /// `JournalUnavailable`: call again, or watch again, later.
    ///
    /// # Cancel safety
    /// Cancel safe: an event is told by a completed call only.
    pub async fn next(&mut self) -> Result<Event, Fault> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                self.told = event.number.or(self.told);
                return Ok(event);
            }
            if self.reading {
                self.read_page().await?;
                continue;
            }
            let event = self.heard.next().await.ok_or_else(|| fault::lagged(self.told))?;
            if !self.was_read(&event) {
                self.ready.push_back(Arc::unwrap_or_clone(event));
            }
        }
    }

    async fn read_page(&mut self) -> Result<(), Fault> {
        let page = EventsArguments {
            after: self.read_up_to.unwrap_or_default(),
            limit: Some(PAGE_MAX),
            reference: self.reference.clone(),
        };
        // A journal of years is read by who asks for it, and not at the cost of others.
        self.service.wait_for_quota(&self.caller).await;
        let page = self.service.events(&self.caller, &page).await?;
        if let Some(number) = page.events.last().and_then(|event| event.number) {
            self.read_up_to = Some(number);
        }
        self.ready.extend(page.events);
        self.reading = page.more;
        if !self.reading {
            self.skip_what_was_read();
        }
        Ok(())
    }

    /// Leaves out of what was heard all up to the newest entry that was read: hints before it are older than it.
    fn skip_what_was_read(&mut self) {
        let mut heard = Vec::new();
        while let Some(event) = self.heard.try_next() {
            heard.push(event);
        }
        let read = heard.iter().rposition(|event| self.was_read(event));
        let fresh = heard.into_iter().skip(read.map_or(0, |index| index + 1));
        self.ready.extend(fresh.map(Arc::unwrap_or_clone));
    }

    fn was_read(&self, event: &Event) -> bool {
        event.number.is_some_and(|number| Some(number) <= self.read_up_to)
    }
}
