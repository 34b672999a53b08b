//! The world: two shops with their own engines, stores and clocks, the cards between them, and all that can happen next.

use std::sync::Arc;

use purser_engine::{Abilities, CallFailure, DeviceEvent, Engine, Sam};
use purser_ledger::{OperationId, Store, StoreBroken};

use crate::device::Device;
use crate::flaw::Flaw;
use crate::kit::{BUILT_UNIX_SECONDS, Kit, SHOPS};
use crate::plastic::{Place, Plastic};
use crate::provider::{Message, Provider};
use crate::psam::SimPsam;
use crate::rng::Rng;
use crate::rule::Violation;
use crate::shop::{Clock, Shop};
use crate::store::{Disk, SimStore};
use crate::tally::Tally;
use crate::trace::{Trace, tell};

/// The place of the PIN pad among a shop's devices: after its readers.
pub(crate) const PAD: usize = 2;
/// The place of the PSAM's reader.
pub(crate) const PSAM: usize = 3;

/// A debit that a card executed for a shop of this world. What really happened, known to nobody inside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Debit {
    pub(crate) shop: usize,
    pub(crate) card: usize,
    pub(crate) terminal_sn: u32,
    pub(crate) balance_after: u64,
}

/// A load that a card took at a shop of this world.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Credit {
    pub(crate) card: usize,
    pub(crate) load: OperationId,
}

/// What can happen next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// The engine's next output is carried out.
    Output(usize),
    /// The engine gets the journal's next answer.
    Answer(usize),
    /// The engine gets a device's next answer or event.
    Event(usize, usize),
    /// The engine gets the POS's next request.
    Request(usize),
    /// The engine is told that its time has come.
    Timer(usize),
    /// The journal takes its next jobs.
    Journal(usize),
    /// A device takes its next call.
    Device(usize, usize),
    /// The journal's reader counts what is to be settled.
    Count(usize),
    /// The next message goes to the provider.
    Line(usize),
}

pub(crate) struct World {
    pub(crate) kit: Arc<Kit>,
    pub(crate) shops: Vec<Shop>,
    pub(crate) cards: Vec<Plastic>,
    pub(crate) debits: Vec<Debit>,
    pub(crate) credits: Vec<Credit>,
    /// The other party, where it takes part.
    pub(crate) provider: Option<Provider>,
    /// Every message that was sent to it.
    pub(crate) sent: Vec<Message>,
    pub(crate) rng: Rng,
    pub(crate) tally: Tally,
    pub(crate) trace: Trace,
    pub(crate) flaw: Flaw,
    pub(crate) steps: u64,
    /// Something that the rules look at has changed.
    pub(crate) is_dirty: bool,
}

impl World {
    pub(crate) fn new(kit: Arc<Kit>, seed: u64, tally: Tally, trace: Trace, flaw: Flaw) -> Self {
        let reader = Abilities {
            card_reader: true,
            pin_pad: false,
        };
        let pad = Abilities {
            card_reader: false,
            pin_pad: true,
        };
        let shop = |_| Shop {
            engine: None,
            has_key: true,
            config: None,
            store: SimStore::new(flaw),
            jobs: Default::default(),
            answers: Default::default(),
            requests: Default::default(),
            devices: vec![
                Device::new(kit.readers[0].clone(), reader),
                Device::new(kit.readers[1].clone(), reader),
                Device::new(kit.pad.clone(), pad),
                Device::new(kit.psam_reader.clone(), reader),
            ],
            readers: 1,
            has_pad: true,
            psam: None,
            mac2_verified: Vec::new(),
            pos: Default::default(),
            uplink: Default::default(),
            clock: Clock {
                monotonic_ms: 1_000,
                wall_ms: (BUILT_UNIX_SECONDS + 86_400) * 1_000,
                offset_seconds: 9 * 3600,
            },
            is_draining: false,
            journal_stalled: 0,
            pins_given: 0,
            verifies_sent: 0,
            debits_sent: Vec::new(),
            pin_answers: Vec::new(),
            pin_for: None,
            is_stopping: false,
            books_checked: usize::MAX,
            claims_checked: Vec::new(),
            entries_counted: 0,
        };
        Self {
            shops: (0..SHOPS).map(shop).collect(),
            kit,
            cards: Vec::new(),
            debits: Vec::new(),
            credits: Vec::new(),
            provider: None,
            sent: Vec::new(),
            rng: Rng::new(seed),
            tally,
            trace,
            flaw,
            steps: 0,
            is_dirty: true,
        }
    }

    pub(crate) fn note(&mut self, text: String) {
        let line = format!("{:5} {text}", self.steps);
        self.trace.line(line);
    }

    /// Every step that can be taken now, in the order in which an undisturbed world takes them.
    pub(crate) fn steps(&self, into: &mut Vec<Step>) {
        into.clear();
        for (s, shop) in self.shops.iter().enumerate() {
            let Some(engine) = &shop.engine else { continue };
            if shop.is_draining {
                into.push(Step::Output(s));
            } else {
                if !shop.answers.is_empty() && shop.journal_stalled == 0 {
                    into.push(Step::Answer(s));
                }
                for (d, device) in shop.devices.iter().enumerate() {
                    if !device.done.is_empty() && device.stalled == 0 {
                        into.push(Step::Event(s, d));
                    }
                }
                if !shop.requests.is_empty() {
                    into.push(Step::Request(s));
                }
                let now = shop.clock.now().monotonic;
                if engine.poll_timeout().is_some_and(|at| at <= now) {
                    into.push(Step::Timer(s));
                }
            }
            if !shop.jobs.is_empty() && shop.journal_stalled == 0 {
                into.push(Step::Journal(s));
            }
            for (d, device) in shop.devices.iter().enumerate() {
                if device.can_work() {
                    into.push(Step::Device(s, d));
                }
            }
            shop.uplink.steps(s, into);
        }
    }

    /// Takes one step, then checks the world.
    pub(crate) fn take(&mut self, step: Step) -> Result<(), Violation> {
        self.steps += 1;
        for shop in &mut self.shops {
            shop.clock.pass_ms(1);
            shop.journal_stalled = shop.journal_stalled.saturating_sub(1);
            shop.uplink.stalled = shop.uplink.stalled.saturating_sub(1);
            for device in &mut shop.devices {
                device.stalled = device.stalled.saturating_sub(1);
            }
        }
        match step {
            Step::Output(s) => self.poll(s)?,
            Step::Answer(s) | Step::Event(s, _) | Step::Request(s) | Step::Timer(s) => {
                self.deliver(s, step)?
            }
            Step::Journal(s) => {
                if self.write(s).is_err() {
                    self.crash(s);
                }
            }
            Step::Device(s, d) => self.work_at(s, d)?,
            Step::Count(s) => self.count(s),
            Step::Line(s) => self.go_on(s),
        }
        self.check()
    }

    /// The process of a shop is gone, at once and with all that was not synced; its drivers go with it.
    pub(crate) fn crash(&mut self, s: usize) {
        tell!(self, "shop {s}: CRASH");
        let shop = &mut self.shops[s];
        shop.engine = None;
        shop.jobs.clear();
        shop.answers.clear();
        shop.requests.clear();
        shop.is_draining = false;
        shop.journal_stalled = 0;
        shop.pin_answers.clear();
        shop.is_stopping = false;
        shop.pos.lose_requests();
        shop.uplink.forget();
        shop.store.crash();
        for device in &mut shop.devices {
            device.forget();
            if let Some(card) = device.card {
                self.cards[card].card.power_off();
            }
        }
        if let Some(psam) = &mut shop.psam {
            psam.power_off();
        }
        self.is_dirty = true;
    }

    /// The process starts, reads its store and finds its devices.
    pub(crate) fn start(&mut self, s: usize) -> Result<(), StoreBroken> {
        tell!(self, "shop {s}: starts");
        let shop = &mut self.shops[s];
        let config = shop.config.clone().unwrap_or_else(|| self.kit.configs[s].clone());
        let sam: Sam = match shop.psam {
            Some(_) => self.kit.psam_settings().into(),
            None => self.kit.sam(shop.has_key).into(),
        };
        let snapshot = shop.store.snapshot()?;
        shop.engine = Some(Engine::resume(config, sam, snapshot, shop.clock.now()));
        shop.is_draining = true;
        for d in 0..shop.devices.len() {
            if shop.uses(d) {
                shop.devices[d].arrive();
            }
        }
        self.is_dirty = true;
        Ok(())
    }

    /// Gives a shop a PSAM in place of the software SAM, before its first start.
    pub(crate) fn give_psam(&mut self, s: usize) {
        let number = self.kit.configs[s].terminal_number;
        let shop = &mut self.shops[s];
        shop.psam = Some(SimPsam::new(number, self.flaw));
        shop.devices[PSAM].holds_psam = true;
    }

    /// A card is put into a reader.
    pub(crate) fn insert(&mut self, card: usize, s: usize, d: usize) {
        tell!(
            self,
            "card {card} into shop {s} {:?}",
            self.shops[s].devices[d].name
        );
        let device = &mut self.shops[s].devices[d];
        assert!(device.card.is_none(), "a slot holds one card");
        device.card = Some(card);
        device.debits = 0;
        if self.flaw != Flaw::ReaderHidesCards {
            device.event(DeviceEvent::CardInserted);
        }
        self.cards[card].place = Place::In { shop: s, device: d };
    }

    /// A card is taken out, or leaves the field.
    pub(crate) fn remove(&mut self, card: usize) {
        let Place::In { shop: s, device: d } = self.cards[card].place else {
            return;
        };
        tell!(self, "card {card} out of shop {s}");
        self.cards[card].place = Place::Wallet;
        self.cards[card].card.power_off();
        let device = &mut self.shops[s].devices[d];
        device.card = None;
        device.connection = None;
        if device.misses_removal {
            device.misses_removal = false;
        } else {
            device.event(DeviceEvent::CardRemoved);
        }
        self.is_dirty = true;
    }

    /// A device and its driver leave, and what they held loses its power.
    pub(crate) fn unplug(&mut self, s: usize, d: usize, failure: CallFailure) {
        tell!(
            self,
            "shop {s}: {:?} leaves: {failure:?}",
            self.shops[s].devices[d].name
        );
        let device = &mut self.shops[s].devices[d];
        device.go(failure);
        if let Some(card) = device.card {
            self.cards[card].card.power_off();
        }
        if let (PSAM, Some(psam)) = (d, &mut self.shops[s].psam) {
            psam.power_off();
        }
        self.is_dirty = true;
    }

    /// What was executed for this terminal serial number of a shop.
    pub(crate) fn debit(&self, shop: usize, terminal_sn: u32) -> Option<&Debit> {
        self.debits
            .iter()
            .find(|debit| debit.shop == shop && debit.terminal_sn == terminal_sn)
    }

    /// The next append of this shop is its process's last one.
    pub(crate) fn die_in_append(&mut self, s: usize, disk: Disk) {
        self.shops[s].store.dies = Some(disk);
    }
}
