//! How each fault strikes.

use purser_engine::{CallFailure, DeviceEvent};
use purser_lab::card::{Fault, ScriptedFault, StatusWord, instruction};
use purser_ledger::Conclusion;
use purser_purse::CommandName;
use purser_purse::pboc::Attempt;

use crate::device::Call;
use crate::fault::FaultKind;
use crate::kit::SHOPS;
use crate::pos::TicketState;
use crate::psam::Oddity;
use crate::rule::Violation;
use crate::schedule::Schedule;
use crate::shop::Job;
use crate::store::Disk;
use crate::trace::tell;
use crate::world::{PSAM, Step};

/// Ten years, in milliseconds of the wall clock: believed, and some cards have expired by then.
const TEN_YEARS_MS: i64 = 10 * 365 * 86_400 * 1_000;
/// Fifty years: not believed.
const FIFTY_YEARS_MS: i64 = 50 * 365 * 86_400 * 1_000;
const HOUR_MS: i64 = 3_600 * 1_000;
/// What PSAMs refuse a command with: among it what says "locked", "no such key" and "no such file", as vendors say it of a key
/// version that they do not have.
const STATUS_WORDS_OF_PSAMS: [u16; 10] = [
    0x6581, 0x6A80, 0x6A81, 0x6A82, 0x6A83, 0x6A88, 0x6D00, 0x6F00, 0x9303, 0x9402,
];
/// What a driver says of a call that it had no time for, or that failed, while the PSAM keeps its power.
const HELD_UP: [CallFailure; 5] = [
    CallFailure::Busy,
    CallFailure::TimedOut,
    CallFailure::CardMute,
    CallFailure::DriverLost,
    CallFailure::Unsupported,
];

impl Schedule {
    /// Lets a fault strike. False when this is not its moment.
    pub(crate) fn fire(&mut self, fault: FaultKind) -> Result<bool, Violation> {
        let s = self.world.rng.below(SHOPS);
        let has_fired = match fault {
            FaultKind::TornBefore
            | FaultKind::TornAfter
            | FaultKind::Garbage
            | FaultKind::WrongMac2
            | FaultKind::RefusedBefore
            | FaultKind::RefusedAfter
            | FaultKind::Mute => return Ok(self.script(fault)),
            FaultKind::CounterBroken
            | FaultKind::CardBlocked
            | FaultKind::CardSwapped
            | FaultKind::PaidElsewhere
            | FaultKind::LoadedElsewhere
            | FaultKind::BuyerLeaves => self.at_card(fault, s),
            FaultKind::Crash
            | FaultKind::CrashKept
            | FaultKind::CrashLost
            | FaultKind::KeyLost
            | FaultKind::NumbersUsedUp
            | FaultKind::Stop
            | FaultKind::NoRoom => self.at_process(fault, s)?,
            FaultKind::ClockAhead | FaultKind::ClockBack | FaultKind::ClockShifted => self.at_clock(fault, s),
            FaultKind::RequestRepeated
            | FaultKind::ReferenceReused
            | FaultKind::CancelRace
            | FaultKind::ConcludeRace => self.at_pos(fault, s),
            FaultKind::WrongPin | FaultKind::PinCancelled | FaultKind::PinTimedOut | FaultKind::PadBroken => {
                self.at_pad(fault, s)
            }
            FaultKind::PsamCut
            | FaultKind::PsamOut
            | FaultKind::PsamOdd
            | FaultKind::PsamRefuses
            | FaultKind::PsamHeldUp
            | FaultKind::PsamLocked
            | FaultKind::PsamForeign
            | FaultKind::PsamRepeats => self.at_psam(fault, s),
            FaultKind::AnswerLost
            | FaultKind::RemovalLost
            | FaultKind::Delay
            | FaultKind::LateAnswer
            | FaultKind::EventRepeated
            | FaultKind::DriverDied
            | FaultKind::ReaderUnplugged
            | FaultKind::ReaderBusy
            | FaultKind::ContactBounces => self.at_reader(fault, s),
            FaultKind::MessageLost | FaultKind::MessageUnanswered | FaultKind::MessageTwice => {
                return Ok(self.arm_message(fault, s));
            }
            FaultKind::MessageLate
            | FaultKind::LineDown
            | FaultKind::LineSlow
            | FaultKind::ProviderDied
            | FaultKind::LoadCancelled
            | FaultKind::LoadElsewhere
            | FaultKind::BatchGivenUp
            | FaultKind::BatchVoided => self.at_provider(fault, s),
        };
        if has_fired {
            tell!(self.world, "shop {s}: FAULT {fault:?}");
            self.fired += 1;
            self.world.tally.fault(fault);
        }
        Ok(has_fired)
    }

    /// A fault of the card waits for its command; it is counted when it strikes.
    fn script(&mut self, fault: FaultKind) -> bool {
        let is_hard = self.is_hard;
        let rng = &mut self.world.rng;
        let card = if is_hard {
            0
        } else {
            rng.below(self.world.cards.len())
        };
        let at = rng.pick(&[
            None,
            Some(instruction::DEBIT),
            Some(instruction::DEBIT),
            Some(instruction::DEBIT),
            Some(instruction::INITIALIZE),
            Some(instruction::VERIFY),
            Some(instruction::GET_PROOF),
            Some(instruction::READ_BINARY),
        ]);
        let loads = [instruction::CREDIT, instruction::CREDIT, instruction::INITIALIZE];
        let at = match fault {
            _ if self.world.provider.is_some() && rng.one_in(2) => Some(rng.pick(&loads)),
            FaultKind::RefusedBefore if is_hard => Some(instruction::READ_RECORD),
            _ if is_hard => Some(instruction::DEBIT),
            _ => at,
        };
        let status = StatusWord(rng.pick(&[0x6985, 0x6A81, 0x6581, 0x9302, 0x6982, 0x63C2]));
        let skip = u32::from(at == Some(instruction::INITIALIZE) && rng.one_in(2));
        let (at, fault_of_card) = match fault {
            FaultKind::TornBefore => (at, Fault::TearBeforeExecute),
            FaultKind::TornAfter => (at, Fault::TearAfterExecute),
            FaultKind::Garbage => (at, Fault::GarbageAnswer),
            FaultKind::WrongMac2 => (Some(instruction::DEBIT), Fault::WrongMac2),
            FaultKind::RefusedBefore => (at, Fault::StatusBeforeExecute(status)),
            FaultKind::RefusedAfter => (at, Fault::StatusAfterExecute(status)),
            _ => (at, Fault::MuteUntilReset),
        };
        let plastic = &mut self.world.cards[card];
        // A card that lies about its MAC2 has only its log to speak for its debit: with the log gone too, rule P1 takes the
        // debit for another shop's, and the liar has paid for nothing.
        if plastic.card.faults_waiting() > 0 || plastic.is_counterfeit {
            return false;
        }
        plastic.is_counterfeit = fault == FaultKind::WrongMac2;
        plastic.scripted = Some(fault);
        if is_hard && fault == FaultKind::Garbage {
            let again = ScriptedFault::next(instruction::GET_PROOF, fault_of_card);
            plastic.card.script(again);
        }
        if is_hard && fault == FaultKind::RefusedBefore {
            // Without the PIN and with it.
            let again = ScriptedFault::next(instruction::READ_RECORD, fault_of_card);
            plastic.card.script(again);
        }
        plastic.card.script(ScriptedFault {
            instruction: at,
            skip,
            fault: fault_of_card,
        });
        self.fired += 1;
        true
    }

    fn at_card(&mut self, fault: FaultKind, s: usize) -> bool {
        let world = &mut self.world;
        let card = if self.is_hard {
            0
        } else {
            world.rng.below(world.cards.len())
        };
        let is_kept = self.only_shop[card].is_some();
        let is_away = world.wallet().any(|it| it == card) && !is_kept;
        match fault {
            FaultKind::CounterBroken => is_away && self.break_counter(card, s),
            FaultKind::CardBlocked => {
                let may_be = !world.cards[card].is_counterfeit;
                world.cards[card].set_blocked(may_be);
                may_be
            }
            FaultKind::PaidElsewhere => {
                let times = world.rng.pick(&[1, 1, 2, 3, 12]);
                let minor = world.rng.pick(&[10, 10, 300]);
                let paid = (0..times).filter(|_| is_away && world.cards[card].pay_elsewhere(minor));
                paid.count() > 0
            }
            FaultKind::LoadedElsewhere => is_away && world.cards[card].load_elsewhere(300),
            FaultKind::BuyerLeaves => {
                if world.wallet().any(|it| it == card) {
                    return false;
                }
                world.remove(card);
                true
            }
            _ => {
                let Some(held) = world.card_at(s, 0) else {
                    return false;
                };
                if world.shops[s].readers == 2 && world.card_at(s, 1).is_none() && world.rng.one_in(2) {
                    world.remove(held);
                    world.insert(held, s, 1);
                    return true;
                }
                let Some(other) = world.wallet().next() else {
                    return false;
                };
                if self.only_shop[other].is_some() {
                    return false;
                }
                world.remove(held);
                world.insert(other, s, 0);
                true
            }
        }
    }

    /// The counter falls below that of each sale in doubt with the card: the card then contradicts what it said before. It
    /// is kept for that shop until it has been asked, as a card that lies elsewhere too can deny its own debit.
    fn break_counter(&mut self, card: usize, s: usize) -> bool {
        let world = &mut self.world;
        let elsewhere = (0..SHOPS).any(|other| other != s && world.doubts(other, card) > 0);
        if world.doubts(s, card) == 0 || elsewhere {
            return false;
        }
        let serial = world.cards[card].card.personalisation().serial;
        let waiting = world.shops[s]
            .store
            .operations()
            .iter()
            .filter(|it| it.waits_for_card());
        let of_card = waiting.filter(|it| it.key().is_some_and(|key| *key.card.serial() == serial.0));
        let attempts = of_card.filter_map(|it| Attempt::decode(it.intended.as_ref()?.attempt.bytes()).ok());
        let Some(lowest) = attempts.map(|it| it.offline_sn.value()).min() else {
            return false;
        };
        if lowest == 0 {
            return false;
        }
        world.cards[card].break_counter(lowest);
        self.only_shop[card] = Some(s);
        true
    }

    fn at_process(&mut self, fault: FaultKind, s: usize) -> Result<bool, Violation> {
        if self.world.shops[s].engine.is_none() {
            return Ok(false);
        }
        match fault {
            FaultKind::NumbersUsedUp if self.world.shops[s].psam.is_some() => return Ok(false),
            FaultKind::NoRoom if self.world.rng.one_in(2) => self.world.shops[s].store.refusals = 1,
            FaultKind::NoRoom => self.world.shops[s].store.has_room = false,
            FaultKind::Stop => {
                if self.world.shops[s].is_stopping {
                    return Ok(false);
                }
                self.world.stop(s);
            }
            FaultKind::CrashKept | FaultKind::CrashLost => {
                if !matches!(self.world.shops[s].jobs.front(), Some(Job::Commit(_))) {
                    return Ok(false);
                }
                let disk = if fault == FaultKind::CrashKept {
                    Disk::Kept
                } else {
                    Disk::Lost
                };
                self.world.die_in_append(s, disk);
                self.world.take(Step::Journal(s))?;
            }
            _ => {
                let sn = u32::MAX - u32::from(self.world.rng.one_in(2));
                let shop = &mut self.world.shops[s];
                shop.has_key &= fault != FaultKind::KeyLost;
                if fault == FaultKind::NumbersUsedUp {
                    shop.store.terminal_sn_before = Some(sn);
                }
                self.world.crash(s);
                self.world.check()?;
            }
        }
        Ok(true)
    }

    fn at_psam(&mut self, fault: FaultKind, s: usize) -> bool {
        let oddity = self
            .world
            .rng
            .pick(&[Oddity::Garbage, Oddity::AnswerLost, Oddity::WrongState]);
        let status = self.world.rng.pick(&STATUS_WORDS_OF_PSAMS);
        let failure = self.world.rng.pick(&HELD_UP);
        let lasts = self.world.rng.one_in(2);
        let card = u8::try_from(self.world.rng.below(self.world.cards.len()) + 1).unwrap_or(0);
        let shop = &mut self.world.shops[s];
        let is_asked = matches!(
            shop.devices[PSAM].calls.front(),
            Some((_, Call::Transmit { command, .. })) if matches!(command.name(), CommandName::InitSam | CommandName::CreditSam)
        );
        let is_in = shop.engine.is_some() && shop.devices[PSAM].is_up && shop.devices[PSAM].holds_psam;
        let is_busy = shop.devices[PSAM].connection.is_some();
        let (Some(psam), true) = (&mut shop.psam, is_in) else {
            return false;
        };
        match fault {
            FaultKind::PsamCut if is_busy => self.world.cut_psam(s),
            FaultKind::PsamOut => self.world.remove_psam(s),
            FaultKind::PsamOdd => psam.oddity = Some(oddity),
            FaultKind::PsamRefuses if lasts => psam.oddity = Some(Oddity::RefusesCard(card, status)),
            FaultKind::PsamRefuses if is_asked => psam.oddity = Some(Oddity::Refuses(status)),
            FaultKind::PsamHeldUp if is_asked => psam.oddity = Some(Oddity::HeldUp(failure)),
            FaultKind::PsamLocked => psam.is_locked = true,
            FaultKind::PsamForeign => {
                psam.is_foreign = true;
                self.world.remove_psam(s);
                self.world.insert_psam(s);
            }
            FaultKind::PsamRepeats if psam.counter > 0 => psam.counter -= 1,
            _ => return false,
        }
        true
    }

    fn at_clock(&mut self, fault: FaultKind, s: usize) -> bool {
        let is_ahead = self.world.rng.one_in(2);
        let clock = &mut self.world.shops[s].clock;
        match fault {
            FaultKind::ClockAhead if is_ahead => clock.wall_ms += TEN_YEARS_MS,
            FaultKind::ClockAhead => clock.wall_ms += FIFTY_YEARS_MS,
            FaultKind::ClockBack => clock.wall_ms -= FIFTY_YEARS_MS,
            _ if is_ahead => {
                clock.wall_ms += HOUR_MS;
                clock.offset_seconds = 10 * 3_600;
            }
            _ => {
                clock.wall_ms -= HOUR_MS;
                clock.offset_seconds = 8 * 3_600;
            }
        }
        true
    }

    fn at_pos(&mut self, fault: FaultKind, s: usize) -> bool {
        let tickets = self.world.shops[s].pos.tickets.len();
        if tickets == 0 || self.world.shops[s].engine.is_none() {
            return false;
        }
        let ticket = self.world.rng.below(tickets);
        let it = &self.world.shops[s].pos.tickets[ticket];
        let is_begun = it.state == TicketState::UnderWay;
        let may_be_concluded = it.is_in_doubt() && it.chose.is_none();
        match fault {
            FaultKind::RequestRepeated if is_begun || it.state == TicketState::Told => {
                self.world.begin(s, ticket);
            }
            FaultKind::ReferenceReused if is_begun || it.state == TicketState::Told => {
                self.world.begin_other(s, ticket);
            }
            FaultKind::CancelRace if is_begun => self.world.cancel(s, ticket),
            FaultKind::ConcludeRace if may_be_concluded => {
                let conclusion = self
                    .world
                    .rng
                    .pick(&[Conclusion::GoodsGiven, Conclusion::Abandoned]);
                self.world.conclude(s, ticket, conclusion);
            }
            _ => return false,
        }
        true
    }

    fn at_pad(&mut self, fault: FaultKind, s: usize) -> bool {
        match fault {
            FaultKind::WrongPin => {
                let asks = self.world.pad_asks(s).is_some();
                if asks {
                    self.wrong_pins = self.world.rng.pick(&[1, 1, 2, 3]);
                }
                asks
            }
            FaultKind::PinCancelled => self.world.fail_pin(s, CallFailure::Cancelled),
            FaultKind::PinTimedOut => self.world.fail_pin(s, CallFailure::TimedOut),
            _ => self.world.fail_pin(s, CallFailure::Unsupported),
        }
    }

    fn at_reader(&mut self, fault: FaultKind, s: usize) -> bool {
        let world = &mut self.world;
        let d = world.rng.below(world.shops[s].readers);
        let steps = 20 + u32::try_from(world.rng.below(60)).unwrap_or(0);
        let is_journal = world.rng.one_in(2);
        let times = world.rng.pick(&[1, 3]);
        let bounces = world.rng.pick(&[2, 25]);
        let shop = &mut world.shops[s];
        let device = &mut shop.devices[d];
        if shop.engine.is_none() || !device.is_up {
            return false;
        }
        match fault {
            FaultKind::AnswerLost => {
                let is_sending = matches!(device.calls.front(), Some((_, Call::Transmit { .. })));
                device.loses_answer |= is_sending;
                return is_sending;
            }
            FaultKind::RemovalLost => {
                device.misses_removal |= device.card.is_some();
                return device.card.is_some();
            }
            FaultKind::Delay if is_journal => shop.journal_stalled = steps,
            FaultKind::Delay => device.stalled = steps,
            FaultKind::LateAnswer => {
                if device.is_idle() {
                    return false;
                }
                device.stalled = steps;
                shop.clock.pass_ms(31_000);
            }
            FaultKind::EventRepeated => {
                let event = match device.card {
                    Some(_) => DeviceEvent::CardInserted,
                    None => DeviceEvent::CardRemoved,
                };
                device.event(event);
            }
            FaultKind::DriverDied => world.unplug(s, d, CallFailure::DriverLost),
            FaultKind::ReaderUnplugged => world.unplug(s, d, CallFailure::DeviceGone),
            FaultKind::ReaderBusy => device.busy = times,
            _ => device.bouncing = bounces,
        }
        true
    }
}
