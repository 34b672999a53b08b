//! One life of pcscd, as the watch thread sees it.

use std::ffi::{CStr, CString};
use std::sync::Arc;
use std::time::Duration;

use pcsc::{Context, Error, PNP_NOTIFICATION, ReaderState, State};
use purser_plugin_api::sdk::{Class, Device, LogLevel};

use super::signal::Signal;
use crate::Listener;
use crate::reader::Reader;
use crate::readers::Readers;
use crate::settings::Settings;

/// How long the thread sleeps at most. Before version 2 the library cannot tell of a reader that came between two
/// sleeps; it is found after this time at the latest. The library itself wakes as often while it waits "for ever".
const SLEEP_MAX: Duration = Duration::from_secs(60);

/// How many answers in a row may name a reader that has just left: more is a pcscd out of its mind.
const STALE_LISTS_MAX: u32 = 16;

/// The readers of one pcscd. Dropping it lets all devices leave.
pub(crate) struct Session<'a> {
    context: &'a Context,
    listener: &'a dyn Listener,
    settings: &'a Settings,
    readers: &'a Readers,
    /// The first is pcscd's own "a reader came or went"; the rest stand as `watched` does.
    states: Vec<ReaderState>,
    watched: Vec<Watched>,
    stale_lists: u32,
}

struct Watched {
    reader: Arc<Reader>,
    card: Option<CardCount>,
    is_looked_at: bool,
}

/// How many cards pcscd has seen come and go in this reader: another count is another visit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct CardCount(u32);

impl<'a> Session<'a> {
    pub(crate) fn new(
        context: &'a Context,
        listener: &'a dyn Listener,
        settings: &'a Settings,
        readers: &'a Readers,
    ) -> Self {
        Self {
            context,
            listener,
            settings,
            readers,
            states: vec![ReaderState::new(PNP_NOTIFICATION(), State::UNAWARE)],
            watched: Vec::new(),
            stale_lists: 0,
        }
    }

    /// Tells of the readers that came and went, by pcscd's list.
    pub(crate) fn compare(&mut self, listed: Vec<CString>) {
        for index in (0..self.watched.len()).rev() {
            if !listed.contains(&self.watched[index].reader.pcsc_name) {
                self.leave(index);
            }
        }
        for name in listed {
            if self
                .watched
                .iter()
                .all(|watched| watched.reader.pcsc_name != name)
            {
                self.arrive(name);
            }
        }
    }

    /// Tells of changes until pcscd is gone or the thread shall end.
    pub(crate) fn follow(&mut self, signal: &Signal) -> Result<(), Error> {
        while !signal.is_ending() {
            if self.watched.iter().all(|watched| watched.is_looked_at) {
                signal.looked();
            }
            match self.context.get_status_change(SLEEP_MAX, &mut self.states) {
                Ok(()) => {
                    self.stale_lists = 0;
                    self.look_at_cards();
                }
                Err(Error::Timeout | Error::Cancelled) => {}
                Err(Error::UnknownReader) if self.stale_lists < STALE_LISTS_MAX => self.stale_lists += 1,
                Err(error) => return Err(error),
            }
            self.compare(self.context.list_readers_owned()?);
        }
        Ok(())
    }

    fn look_at_cards(&mut self) {
        for state in &mut self.states {
            state.sync_current_state();
        }
        for (watched, state) in self.watched.iter_mut().zip(&self.states[1..]) {
            let is_present = state.event_state().contains(State::PRESENT);
            let card = is_present.then(|| CardCount(state.event_count()));
            let slot = watched.reader.slot;
            if watched.card.is_some() && watched.card != card {
                watched.reader.end_visit();
                self.listener.card_removed(slot);
                watched.card = None;
            }
            if watched.card.is_none() && card.is_some() {
                self.listener.card_inserted(slot);
            }
            watched.card = card;
            watched.is_looked_at = true;
        }
    }

    fn arrive(&mut self, pcsc_name: CString) {
        let shown = text(&pcsc_name);
        if !self.settings.takes(&shown) {
            return;
        }
        let appearance = self
            .settings
            .appearance(&shown, |name| self.readers.is_free(name));
        let Some(reader) = self.readers.add(appearance.name, pcsc_name.clone()) else {
            self.listener.log(
                LogLevel::Warn,
                &format!("too many readers: {shown} is left alone"),
            );
            return;
        };
        self.listener.log(
            LogLevel::Info,
            &format!("reader {shown} arrived as {}", reader.name),
        );
        self.listener.device_arrived(&Device {
            slot: reader.slot,
            name: &reader.name,
            classes: &[Class::CardReader],
            interfaces: &[appearance.interface],
        });
        self.states.push(ReaderState::new(pcsc_name, State::UNAWARE));
        self.watched.push(Watched {
            reader,
            card: None,
            is_looked_at: false,
        });
    }

    fn leave(&mut self, index: usize) {
        self.states.remove(index + 1);
        let watched = self.watched.remove(index);
        self.readers.remove(watched.reader.slot);
        self.listener.device_left(watched.reader.slot);
    }
}

impl Drop for Session<'_> {
    fn drop(&mut self) {
        for index in (0..self.watched.len()).rev() {
            self.leave(index);
        }
    }
}

fn text(name: &CStr) -> String {
    name.to_string_lossy().into_owned()
}
