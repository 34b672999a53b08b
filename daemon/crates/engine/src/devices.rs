//! Which devices are there, and which readers hold a card that has not been served yet.

use std::collections::BTreeMap;

use purser_ledger::{CardId, DeviceName, Monotonic};

use crate::{Abilities, DeviceEvent};

/// How long the engine leaves a reader alone that another program holds, in milliseconds.
const BUSY_RETRY_MS: u64 = 500;

/// How often a card that fails is looked at for earlier payments before it has to be put in again: another program may have
/// held it, or a contact may have been bad.
const LOOKS_MAX: u8 = 3;

/// At how many readers the card that served last is remembered: more than a shop has, few enough for a driver that renames its
/// readers again and again.
const SERVED_LAST_MAX: usize = 64;

#[derive(Debug)]
pub(crate) struct Devices {
    present: BTreeMap<DeviceName, Device>,
    /// The card that served last at each reader and was not seen to leave. It outlives the reader: a driver or a reader that
    /// comes back tells of the card that lies in it as of one that was just put in.
    served_last: BTreeMap<DeviceName, CardId>,
    /// The PSAM's reader: no buyer's.
    reserved: Option<DeviceName>,
    /// The number of the last insertion, at any reader. A reader that comes back goes on counting: a number names one insertion.
    insertion_last: u64,
}

#[derive(Debug)]
struct Device {
    abilities: Abilities,
    card: Option<Presence>,
    /// The number of the newest insertion here; 0 before the first.
    insertion: u64,
}

/// A card in a reader, from when it was put in until it is taken out.
#[derive(Clone, Copy, Debug)]
struct Presence {
    /// A card serves one sale for each time it is put in: a forgotten card must not pay for the next buyer.
    served: bool,
    /// Set while the reader or the card cannot be used, and tried again then.
    retry_at: Option<Monotonic>,
    /// How often it was looked at for earlier payments since it was put in.
    looks: u8,
}

/// What a sale can do with a reader now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CardAt {
    /// No card.
    None,
    /// A card that may be served.
    Fresh,
    /// A card that has served and must be taken out first.
    Served,
}

impl Devices {
    /// No device yet. A card in the reserved reader is no buyer's.
    pub(crate) fn without(reserved: Option<DeviceName>) -> Self {
        Self {
            present: BTreeMap::new(),
            served_last: BTreeMap::new(),
            reserved,
            insertion_last: 0,
        }
    }

    pub(crate) fn handle(&mut self, name: &DeviceName, event: DeviceEvent) {
        let presence = Presence {
            served: false,
            retry_at: None,
            looks: 0,
        };
        match (event, self.present.get_mut(name)) {
            (DeviceEvent::Arrived(abilities), _) => {
                self.present.insert(
                    name.clone(),
                    Device {
                        abilities,
                        card: None,
                        insertion: 0,
                    },
                );
            }
            (DeviceEvent::Left, _) => {
                self.present.remove(name);
            }
            (DeviceEvent::CardInserted, Some(device)) => {
                // An insertion without a removal before it is one that was told twice, or a removal that was missed: a card
                // that has served is served again only when it was seen to leave.
                let served = device.card.is_some_and(|card| card.served);
                device.card = Some(Presence { served, ..presence });
                self.insertion_last = self.insertion_last.saturating_add(1);
                device.insertion = self.insertion_last;
            }
            (DeviceEvent::CardRemoved, Some(device)) => {
                device.card = None;
                self.served_last.remove(name);
            }
            (DeviceEvent::CardInserted | DeviceEvent::CardRemoved, None) | (DeviceEvent::PinProgress, _) => {}
        }
    }

    pub(crate) fn has_pin_pad(&self, name: &DeviceName) -> bool {
        self.present
            .get(name)
            .is_some_and(|device| device.abilities.pin_pad)
    }

    /// The named reader of buyers' cards, or all.
    pub(crate) fn readers<'a>(
        &'a self,
        named: Option<&'a DeviceName>,
    ) -> impl Iterator<Item = &'a DeviceName> + 'a {
        let readers = self
            .present
            .iter()
            .filter(|(name, device)| device.abilities.card_reader && self.reserved.as_ref() != Some(*name));
        readers
            .map(|(name, _)| name)
            .filter(move |name| named.is_none_or(|named| named == *name))
    }

    pub(crate) fn card_at(&self, name: &DeviceName) -> CardAt {
        match self.presence(name) {
            None => CardAt::None,
            Some(Presence { served: true, .. }) => CardAt::Served,
            Some(Presence { served: false, .. }) => CardAt::Fresh,
        }
    }

    /// True when the reader's card may be connected to now.
    pub(crate) fn may_connect(&self, name: &DeviceName, now: Monotonic) -> bool {
        self.presence(name)
            .is_some_and(|presence| presence.retry_at.is_none_or(|at| at <= now))
    }

    /// True when the reader's card is still to be looked at for earlier payments.
    pub(crate) fn is_unresolved(&self, name: &DeviceName) -> bool {
        self.presence(name)
            .is_some_and(|presence| presence.looks < LOOKS_MAX)
    }

    /// The reader's card has served, and this is who it is, where that is known. Nothing where it was seen to leave.
    pub(crate) fn set_served(&mut self, name: &DeviceName, card: Option<CardId>) {
        self.change(name, |presence| presence.served = true);
        if let (Some(card), CardAt::Served) = (card, self.card_at(name)) {
            if self.served_last.len() >= SERVED_LAST_MAX {
                self.served_last.pop_first();
            }
            self.served_last.insert(name.clone(), card);
        }
    }

    /// True for the card that served last at this reader and was not seen to leave: it is still the one that was forgotten,
    /// however often the reader or its driver came back since. Any other card proves that it has left.
    pub(crate) fn is_forgotten(&mut self, name: &DeviceName, card: &CardId) -> bool {
        let is_it = self.served_last.get(name) == Some(card);
        if !is_it {
            self.served_last.remove(name);
        }
        is_it
    }

    /// Counts a look for earlier payments, so that a card that cannot be read is left alone at last.
    pub(crate) fn count_look(&mut self, name: &DeviceName) {
        self.change(name, |presence| presence.looks = presence.looks.saturating_add(1));
    }

    /// The card was asked for all earlier payments that it can tell about.
    pub(crate) fn set_resolved(&mut self, name: &DeviceName) {
        self.change(name, |presence| presence.looks = LOOKS_MAX);
    }

    /// A debit has just lost its answer: the card, if it is still there, is to be looked at.
    pub(crate) fn set_unresolved(&mut self, name: &DeviceName) {
        self.change(name, |presence| presence.looks = 0);
    }

    pub(crate) fn set_busy(&mut self, name: &DeviceName, now: Monotonic) {
        self.change(name, |presence| {
            presence.retry_at = Some(now.after_ms(BUSY_RETRY_MS))
        });
    }

    /// The number of the newest insertion into this reader, of all that this engine was told of.
    pub(crate) fn insertion(&self, name: &DeviceName) -> u64 {
        self.present.get(name).map_or(0, |device| device.insertion)
    }

    /// True while the card of this insertion is there, as far as the reader has told.
    pub(crate) fn is_still_in(&self, name: &DeviceName, insertion: u64) -> bool {
        let mut device = self.present.get(name).into_iter();
        device.any(|device| device.card.is_some() && device.insertion == insertion)
    }

    /// A reader that was asked reports no card although none was seen to leave: as good as taken out, and the card that has
    /// served may serve again when it is put in. Unless another card has come since this insertion: then the report is about
    /// the one before.
    pub(crate) fn set_absent(&mut self, name: &DeviceName, insertion: u64) {
        if let Some(device) = self
            .present
            .get_mut(name)
            .filter(|device| device.insertion == insertion)
        {
            device.card = None;
            self.served_last.remove(name);
        }
    }

    pub(crate) fn next_retry(&self) -> Option<Monotonic> {
        self.present
            .values()
            .filter_map(|device| device.card?.retry_at)
            .min()
    }

    pub(crate) fn forget_due_retries(&mut self, now: Monotonic) {
        for presence in self
            .present
            .values_mut()
            .filter_map(|device| device.card.as_mut())
        {
            presence.retry_at = presence.retry_at.filter(|at| *at > now);
        }
    }

    fn presence(&self, name: &DeviceName) -> Option<Presence> {
        self.present
            .get(name)
            .filter(|device| device.abilities.card_reader)?
            .card
    }

    fn change(&mut self, name: &DeviceName, change: impl FnOnce(&mut Presence)) {
        if let Some(presence) = self.present.get_mut(name).and_then(|device| device.card.as_mut()) {
            change(presence);
        }
    }
}
