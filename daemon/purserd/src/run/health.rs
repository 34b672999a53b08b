//! How the daemon and its devices do, in words.

use std::sync::PoisonError;
use std::time::SystemTime;

use purser_api::model::{Device, Driver, Problem, Time};
use purser_api::{BusState, StatusFacts};
use purser_driver_supervisor::{Counters, DownReason, State, Status, manifest};
use purser_engine::PsamState;
use purser_ledger::Wall;

use super::drivers::Instance;
use super::facts::DaemonFacts;
use super::parameters::Parameters;
use super::psam;

/// What to do about a driver that went wrong and works again.
const FAULTY_REMEDY: &str =
    "nothing if it was once; else ask the driver's vendor, who can run purser-driver-check";

impl DaemonFacts {
    /// Every device that is there, every driver that has none, and the PSAM's reader in any case.
    pub(super) fn all_devices(&self) -> Vec<Device> {
        let of_drivers = self.instances.iter().enumerate();
        let mut devices: Vec<Device> = of_drivers
            .flat_map(|(driver, instance)| self.devices_of(driver, instance))
            .collect();
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(psam) = seen.psam() {
            let reader = psam.reader.as_str();
            if !devices.iter().any(|device| device.name == reader) {
                devices.push(psam::reader_that_is_not_there(reader));
            }
        }
        devices
    }

    pub(super) fn health(&self) -> StatusFacts {
        let mut problems = self.problems.clone();
        problems.extend(self.board.problems());
        problems.extend(self.parameters.iter().flat_map(Parameters::problems));
        let permit_nothing = self.parameters.as_ref().and_then(Parameters::permit_nothing);
        let is_permitted = permit_nothing.is_none();
        problems.extend(permit_nothing);
        let bus = *self.bus.borrow();
        if bus == BusState::Lost {
            let cause = "the D-Bus interface is not on its bus";
            problems.push(problem(
                "bus_lost",
                cause,
                "start the bus; Purser tries again by itself",
            ));
        }
        problems.extend(self.check.cause().map(|cause| {
            let remedy = "keep a copy of the state folder, check its disk, and run purserd verify-journal; where it names a \
                          table or the file, stop purserd and run purserd mend-journal";
            problem("journal_damaged", cause, remedy)
        }));
        let devices = self.all_devices();
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let psam = seen.psam();
        // What is wrong with the PSAM has names of its own.
        let is_psam = |device: &&Device| {
            psam.is_some_and(|psam| psam.fault.is_some() && psam.reader.as_str() == device.name)
        };
        problems.extend(
            devices
                .iter()
                .filter(|device| device.cause.is_some() && device.state != "absent" && !is_psam(device))
                .map(device_problem),
        );
        problems.extend(psam.and_then(psam::problem_of));
        problems.extend(psam.and_then(psam::alarm_of));
        let has_sam = psam.is_none_or(|psam| psam.state == PsamState::Ready);
        let ready = has_sam
            && is_permitted
            && devices
                .iter()
                .any(|device| device.card_reader && device.state == "ready")
            && self.board.may_sell()
            && !self.check.stops_sales();
        StatusFacts {
            ready,
            started_at: time(self.started_at),
            bus,
            problems,
        }
    }

    fn devices_of(&self, driver: usize, instance: &Instance) -> Vec<Device> {
        let status = instance.handle.status();
        let (state, cause, remedy) = state_words(&status);
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let bare = Device {
            name: instance.name.to_string(),
            driver: seen
                .loaded(driver)
                .map_or(instance.name.as_str(), |hello| hello.driver_id.as_str())
                .to_owned(),
            card_reader: false,
            pin_pad: false,
            state: state.to_owned(),
            card_present: None,
            psam_terminal_number: None,
            cause,
            remedy,
            restarts: status.counters.restarts,
            last_answer_at: status.last_exchange.map(|at| time(self.wall_at(at))),
        };
        let psam = seen.psam();
        let present: Vec<Device> = seen
            .of_driver(driver)
            .map(|(name, present)| {
                let device = Device {
                    name: name.to_string(),
                    card_reader: present.abilities.card_reader,
                    pin_pad: present.abilities.pin_pad,
                    card_present: present.abilities.card_reader.then_some(present.card),
                    ..bare.clone()
                };
                match psam.filter(|psam| psam.reader == *name) {
                    Some(psam) => psam::line(device, psam),
                    None => device,
                }
            })
            .collect();
        if !present.is_empty() {
            return present;
        }
        let is_absent = status.state == State::Ready;
        let absent = |text: &str| is_absent.then(|| text.to_owned());
        vec![Device {
            state: if is_absent {
                "absent".to_owned()
            } else {
                bare.state.clone()
            },
            cause: absent("the driver works, but has no device").or(bare.cause.clone()),
            remedy: absent("plug the device in").or(bare.remedy.clone()),
            ..bare
        }]
    }

    /// Every configured driver.
    pub(super) fn all_drivers(&self) -> Vec<Driver> {
        self.instances
            .iter()
            .enumerate()
            .map(|(driver, instance)| self.driver(driver, instance))
            .collect()
    }

    fn driver(&self, driver: usize, instance: &Instance) -> Driver {
        let status = instance.handle.status();
        let (state, ..) = state_words(&status);
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let loaded = seen.loaded(driver);
        Driver {
            name: instance.name.to_string(),
            id: loaded.map(|hello| hello.driver_id.to_string()),
            version: loaded.map(|hello| hello.driver_version.to_string()),
            classes: loaded.map(|hello| hello.abilities.iter().map(ToString::to_string).collect()),
            manifest: manifest::manifest_path(&instance.path).display().to_string(),
            state: state.to_owned(),
            restarts: status.counters.restarts,
            last_failure: status
                .last_failure
                .as_ref()
                .map(|reason| crate::verbs::chain(reason)),
            remedy: status
                .last_failure
                .as_ref()
                .map(|reason| remedy(reason, &status.state).to_owned()),
            recording: status.is_recorded,
        }
    }

    fn wall_at(&self, at: tokio::time::Instant) -> Wall {
        let seconds = SystemTime::now()
            .checked_sub(at.elapsed())
            .and_then(|moment| moment.duration_since(SystemTime::UNIX_EPOCH).ok())
            .map_or(0, |since| since.as_secs());
        Wall {
            unix_seconds: i64::try_from(seconds).unwrap_or(i64::MAX),
            ..self.started_at
        }
    }
}

fn state_words(status: &Status) -> (&'static str, Option<String>, Option<String>) {
    let words = |reason: &dyn std::error::Error, remedy: &str| {
        (Some(crate::verbs::chain(reason)), Some(remedy.to_owned()))
    };
    match &status.state {
        State::Starting => ("starting", None, None),
        State::Ready => {
            let cause = past_faults(status);
            let remedy = cause.is_some().then(|| FAULTY_REMEDY.to_owned());
            ("ready", cause, remedy)
        }
        State::Restarting { reason, .. } => {
            let (cause, remedy) = words(reason, remedy(reason, &status.state));
            ("restarting", cause, remedy)
        }
        State::Failed { reason } => {
            let (cause, remedy) = words(reason, remedy(reason, &status.state));
            ("failed", cause, remedy)
        }
        State::Stopped => ("failed", Some("the driver was stopped".to_owned()), None),
    }
}

/// What to do about a driver that went down for this reason and is in this state now.
fn remedy(reason: &DownReason, state: &State) -> &'static str {
    match state {
        State::Ready => {
            "nothing, if it stays up; give its vendor a recording if it does not: purserctl driver record"
        }
        State::Starting | State::Restarting { .. } => "wait; the driver is started again by itself",
        State::Stopped => "start purserd",
        State::Failed { .. } if matches!(reason, DownReason::NotCreated(_)) => {
            "mend its settings or its device, then restart purserd (purserctl driver reload keeps the settings)"
        }
        State::Failed { .. } => "mend the cause, then: purserctl driver reload",
    }
}

/// What a working driver did wrong since purserd began, in words; none where it did nothing.
fn past_faults(status: &Status) -> Option<String> {
    let Counters {
        answers_dropped,
        breaches,
        logs_dropped,
        restarts,
    } = status.counters;
    let counted = [
        (breaches, "broken rules of the driver contract"),
        (answers_dropped, "answers to no call"),
        (logs_dropped, "log lines that came too fast"),
    ];
    let mut faults: Vec<String> = counted
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, what)| format!("{count} {what}"))
        .collect();
    if let Some(reason) = &status.last_failure {
        let why = crate::verbs::chain(reason);
        faults.insert(0, format!("started again {restarts} times, last because {why}"));
    }
    (!faults.is_empty()).then(|| format!("it works; before: {}", faults.join("; ")))
}

fn device_problem(device: &Device) -> Problem {
    let (name, cause) = match device.state.as_str() {
        "failed" => ("driver_failed", "the driver failed"),
        _ => ("driver_faulty", "the driver misbehaves"),
    };
    let cause = device.cause.as_deref().unwrap_or(cause);
    let remedy = device.remedy.as_deref().unwrap_or("see the log");
    problem(name, &format!("{}: {cause}", device.name), remedy)
}

/// Something that keeps Purser from working as it should.
pub(super) fn problem(name: &str, cause: &str, remedy: &str) -> Problem {
    Problem {
        name: name.to_owned(),
        cause: cause.to_owned(),
        remedy: remedy.to_owned(),
    }
}

fn time(wall: Wall) -> Time {
    Time {
        unix_seconds: wall.unix_seconds,
        utc_offset_seconds: i64::from(wall.utc_offset_seconds),
        trusted: wall.trusted,
    }
}
