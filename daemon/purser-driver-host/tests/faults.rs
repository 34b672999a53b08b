//! A driver that crashes, hangs, floods or lies costs the call in hand an honest answer, and nothing else.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a helper of a test fails the test"
)]

mod common;

use std::time::Duration;

use common::{Bench, Installed, LONG, fault_driver, run};
use purser_driver_supervisor::wire::{Call, CallId, Command, ConnectionNumber, Fault, Reply, SlotId};
use purser_driver_supervisor::{
    CallError, CallRefused, DownReason, DriverConfig, DriverEvent, NotSent, ProcessEnd, RestartPolicy, State,
};

const SLOT: SlotId = SlotId(0);

/// The driver's settings: the mode, in which call it strikes, and whether before or after the call is carried out.
fn config(driver: &Installed, mode: &str) -> DriverConfig {
    let (mode, place) = mode.split_once(" at ").unwrap_or((mode, "transmit"));
    let (moment, call) = place.split_once(' ').unwrap_or(("before", place));
    let settings = format!("mode = \"{mode}\"\nat = \"{call}\"\nmoment = \"{moment}\"\n");
    DriverConfig::new("fault", &driver.driver, settings)
}

fn transmit() -> Call {
    let command = Command::new(&[0x00, 0xA4, 0x04, 0x00]).unwrap();
    Call::Transmit {
        slot: SLOT,
        connection: ConnectionNumber(1),
        command,
    }
}

fn disconnect() -> Call {
    Call::Disconnect {
        slot: SLOT,
        connection: ConnectionNumber(1),
    }
}

/// Makes calls until no more are taken; the supervisor gets none of them before the next await.
fn fill(bench: &Bench, call: &Call, ids: std::ops::Range<u64>) {
    for id in ids {
        if let Err(refused) = bench.handle.call(CallId(id), call.clone(), LONG) {
            assert_eq!(refused, CallRefused::Full);
            return;
        }
    }
    panic!("no end of room");
}

async fn down(bench: &mut Bench) -> DownReason {
    bench
        .wait(|event| match event {
            DriverEvent::Down { reason, .. } | DriverEvent::Failed { reason } => Some(reason),
            _ => None,
        })
        .await
}

/// Transmits in this mode and expects death with an unknown outcome, then a new life.
fn dies_in_transmit(mode: &str, time: Duration) -> DownReason {
    let driver = fault_driver();
    run(async {
        let mut bench = Bench::start(config(&driver, mode));
        bench.ready().await;
        bench.connect(SLOT).await;
        let id = bench.begin(transmit(), time);
        let waiting = bench.begin(Call::Connect { slot: SLOT }, LONG);
        let error = bench.answer(id).await.unwrap_err();
        assert_eq!(error, CallError::OutcomeUnknown, "{mode}");
        assert!(error.may_have_happened() && !error.is_transient());
        assert_eq!(
            bench.answer(waiting).await,
            Err(NotSent::NotReady.into()),
            "{mode}"
        );
        let reason = down(&mut bench).await;
        bench.ready().await;
        bench.connect(SLOT).await;
        assert_eq!(bench.handle.status().counters.restarts, 1);
        reason
    })
}

#[test]
fn a_crash_in_transmit_is_an_unknown_outcome_and_a_restart() {
    assert_eq!(
        dies_in_transmit("crash", LONG),
        DownReason::Ended(ProcessEnd::Signal(11))
    );
    assert_eq!(
        dies_in_transmit("abort", LONG),
        DownReason::Ended(ProcessEnd::Signal(6))
    );
    assert_eq!(
        dies_in_transmit("exit", LONG),
        DownReason::Ended(ProcessEnd::Code(0))
    );
}

#[test]
fn a_hang_in_transmit_is_killed_at_its_deadline() {
    assert_eq!(
        dies_in_transmit("hang", Duration::from_millis(200)),
        DownReason::Deadline
    );
}

#[test]
fn a_flood_of_events_is_killed() {
    assert_eq!(dies_in_transmit("event-flood", LONG), DownReason::Flood);
}

#[test]
fn broken_frames_are_killed() {
    for mode in ["babble", "oversize-frame"] {
        assert!(
            matches!(dies_in_transmit(mode, LONG), DownReason::Frame(_)),
            "{mode}"
        );
    }
}

#[test]
fn a_process_that_the_driver_left_behind_dies_with_it_also_one_that_wants_a_group_of_its_own() {
    for mode in ["fork", "fork-away"] {
        let driver = fault_driver();
        run(async {
            let mut bench = Bench::start(config(&driver, mode));
            bench.ready().await;
            // The child holds the socket open, so that only the deadline ends it.
            let id = bench.begin(transmit(), Duration::from_millis(200));
            let child = bench
                .wait(|event| match event {
                    DriverEvent::Log { text, .. } => text.as_str().strip_prefix("child: ").map(str::to_owned),
                    _ => None,
                })
                .await;
            assert_eq!(bench.answer(id).await, Err(CallError::OutcomeUnknown));
            assert_eq!(down(&mut bench).await, DownReason::Deadline);
            // Killed; until someone reaps it, it is a zombie.
            let state = || std::fs::read_to_string(format!("/proc/{child}/stat")).unwrap_or_default();
            let is_gone = || state().is_empty() || state().contains(") Z ");
            let started = std::time::Instant::now();
            while !is_gone() && started.elapsed() < LONG {
                std::thread::yield_now();
            }
            assert!(is_gone(), "{mode}: {}", state());
        });
    }
}

#[test]
fn a_driver_that_writes_beyond_its_buffer_dies_before_its_answer_is_believed() {
    let near = dies_in_transmit("overrun at after transmit", LONG);
    assert_eq!(near, DownReason::Ended(ProcessEnd::Code(6)));
    let far = dies_in_transmit("overrun-far at after transmit", LONG);
    assert_eq!(far, DownReason::Ended(ProcessEnd::Signal(11)));
}

#[test]
fn descriptors_that_the_driver_closed_cost_it_its_process() {
    let reason = dies_in_transmit("close-descriptors", Duration::from_millis(500));
    assert!(
        matches!(reason, DownReason::Deadline | DownReason::Ended(_)),
        "{reason:?}"
    );
}

#[test]
fn secrets_that_the_driver_says_are_told_to_nobody() {
    let driver = fault_driver();
    run(async {
        let mut bench = Bench::start(config(&driver, "secrets"));
        bench.ready().await;
        let id = bench.begin(transmit(), LONG);
        let mut lines = Vec::new();
        while lines.len() < 5 {
            if let DriverEvent::Log { text, .. } = bench.event().await {
                lines.push(text.to_string());
            }
        }
        lines.sort();
        let masked = [
            "VERIFY [masked]",
            "[masked] ",
            "block [masked]",
            "key [masked]",
            "pin=[masked] card [masked]",
        ];
        assert_eq!(lines, masked, "call {id:?}");
    });
}

#[test]
fn a_thread_that_outlives_its_instance_is_a_breach() {
    let driver = fault_driver();
    run(async {
        let mut bench = Bench::start(config(&driver, "emit-for-ever at after create"));
        bench.ready().await;
        bench.handle.stop().unwrap();
        let mut told = false;
        while let Some(event) = bench.event_or_end().await {
            told |= matches!(event, DriverEvent::Log { text, .. } if text.as_str().starts_with("[L-6]"));
        }
        assert!(told);
        assert!(bench.handle.status().counters.breaches > 0);
    });
}

#[test]
fn lies_in_an_answer_are_an_unknown_outcome_without_a_restart() {
    for mode in [
        "unknown-code",
        "busy",
        "length-over-capacity at after transmit",
        "no-status-word at after transmit",
    ] {
        let driver = fault_driver();
        run(async {
            let mut bench = Bench::start(config(&driver, mode));
            bench.ready().await;
            let Err(CallError::Driver(failure)) = bench.call(transmit()).await else {
                panic!("{mode}")
            };
            assert_eq!(failure.fault, Fault::OutcomeUnknown, "{mode}");
            assert_eq!(bench.handle.status().counters.restarts, 0, "{mode}");
        });
    }
}

#[test]
fn an_impossible_card_is_the_drivers_fault() {
    for mode in ["connection-zero at connect", "long-atr at connect"] {
        let driver = fault_driver();
        run(async {
            let mut bench = Bench::start(config(&driver, mode));
            bench.ready().await;
            let answer = bench.call(Call::Connect { slot: SLOT }).await;
            let Err(CallError::Driver(failure)) = answer else {
                panic!("{mode}: {answer:?}")
            };
            assert_eq!(failure.fault, Fault::Internal, "{mode}");
        });
    }
}

#[test]
fn an_answer_to_another_call_or_a_second_one_is_dropped_and_counted() {
    for mode in ["foreign-answer", "duplicate-answer"] {
        let driver = fault_driver();
        run(async {
            let mut bench = Bench::start(config(&driver, mode));
            bench.ready().await;
            for dropped in 0..2 {
                assert_eq!(bench.handle.status().counters.answers_dropped, dropped, "{mode}");
                let Ok(Reply::Response(response)) = bench.call(transmit()).await else {
                    panic!("{mode}: no response")
                };
                assert_eq!(response.as_bytes(), [0x90, 0x00], "{mode}");
                // The next call's answer comes behind the one that is dropped.
                bench.call(disconnect()).await.unwrap();
            }
        });
    }
}

#[test]
fn events_that_break_the_contract_are_dropped_and_counted() {
    let driver = fault_driver();
    run(async {
        let mut bench = Bench::start(config(&driver, "lie-about-cards at after create"));
        let devices = bench
            .wait(|event| match event {
                DriverEvent::Ready { devices, .. } => Some(devices),
                _ => None,
            })
            .await;
        assert_eq!(devices.len(), 1);
        assert_eq!(devices[0].device.name.as_str(), "fault reader");
        assert!(!devices[0].has_card);
        assert_eq!(bench.handle.status().counters.breaches, 3);
    });
}

#[test]
fn floods_of_log_lines_are_dropped_and_counted_and_the_driver_lives() {
    for (mode, lines) in [
        ("log-flood at after create", 100_000),
        ("stderr-flood at after create", 20_000),
    ] {
        let driver = fault_driver();
        run(async {
            let mut bench = Bench::start(config(&driver, mode));
            bench.ready().await;
            bench.connect(SLOT).await;
            let mut told = 0;
            let stop = bench.handle.clone();
            stop.stop().unwrap();
            while let Some(event) = bench.event_or_end().await {
                told += u32::from(matches!(event, DriverEvent::Log { .. }));
            }
            assert!(told < 300, "{mode}: {told} of {lines} lines were told");
        });
    }
}

#[test]
fn a_card_whose_power_is_not_surely_off_costs_the_driver_its_process() {
    let driver = fault_driver();
    run(async {
        let mut bench = Bench::start(config(&driver, "internal at disconnect"));
        bench.ready().await;
        let card = bench.connect(SLOT).await;
        assert_eq!(card.connection, ConnectionNumber(1));
        assert_eq!(bench.call(disconnect()).await, Err(CallError::DriverGone));
        assert_eq!(down(&mut bench).await, DownReason::NotDisconnected);
        bench.ready().await;
    });
}

#[test]
fn a_driver_that_dies_at_each_start_is_failed_after_its_restarts() {
    let driver = fault_driver();
    run(async {
        let mut config = config(&driver, "crash at create");
        config.restarts = RestartPolicy {
            restarts_max: 2,
            backoff_first: Duration::from_millis(5),
            ..RestartPolicy::default()
        };
        let mut bench = Bench::start(config);
        let early = bench.begin(Call::Connect { slot: SLOT }, LONG);
        assert_eq!(bench.answer(early).await, Err(NotSent::NotReady.into()));
        let mut downs = 0;
        let reason = bench
            .wait(|event| match event {
                DriverEvent::Down { .. } => {
                    downs += 1;
                    None
                }
                DriverEvent::Failed { reason } => Some(reason),
                _ => None,
            })
            .await;
        assert_eq!(downs, 2);
        assert_eq!(reason, DownReason::Ended(ProcessEnd::Signal(11)));
        assert_eq!(bench.handle.status().state, State::Failed { reason });
        assert_eq!(
            bench.call(Call::Connect { slot: SLOT }).await,
            Err(NotSent::NotReady.into())
        );
        bench.handle.restart().unwrap();
        assert_eq!(down(&mut bench).await, DownReason::Asked);
        let again = down(&mut bench).await;
        assert!(
            matches!(again, DownReason::Ended(_)),
            "it was tried again: {again:?}"
        );
    });
}

#[test]
fn settings_that_a_driver_refuses_are_not_tried_again() {
    let driver = fault_driver();
    run(async {
        let mut bench = Bench::start(DriverConfig::new("fault", &driver.driver, "colour = \"red\""));
        let DriverEvent::Failed {
            reason: DownReason::NotCreated(failure),
        } = bench.event().await
        else {
            panic!("it was not failed at once")
        };
        assert_eq!(failure.fault, Fault::BadArgument);
        assert!(failure.detail.as_str().contains("colour"), "{}", failure.detail);
    });
}

#[test]
fn a_start_that_hangs_is_killed() {
    let driver = fault_driver();
    run(async {
        let mut config = config(&driver, "hang at create");
        config.start_time = Duration::from_millis(300);
        let mut bench = Bench::start(config);
        assert_eq!(
            down(&mut bench).await,
            DownReason::StartDeadline(Duration::from_millis(300))
        );
    });
}

#[test]
fn a_stop_ends_the_process_even_if_the_driver_hangs_in_it() {
    for mode in ["well", "hang at destroy"] {
        let driver = fault_driver();
        run(async {
            let mut config = config(&driver, mode);
            config.stop_time = Duration::from_millis(300);
            let mut bench = Bench::start(config);
            bench.ready().await;
            let process = bench.handle.status().process_id.unwrap();
            bench.handle.stop().unwrap();
            while bench.event_or_end().await.is_some() {}
            assert_eq!(bench.handle.status().state, State::Stopped);
            assert!(
                !std::path::Path::new(&format!("/proc/{process}")).exists(),
                "{mode}"
            );
        });
    }
}

#[test]
fn a_call_behind_a_slow_one_expires_unsent() {
    let driver = fault_driver();
    run(async {
        let mut bench = Bench::start(config(&driver, "hang"));
        bench.ready().await;
        bench.begin(transmit(), Duration::from_secs(2));
        let behind = bench.begin(transmit(), Duration::from_millis(100));
        let cancelled = bench.begin(transmit(), LONG);
        bench.handle.cancel(cancelled).unwrap();
        let mut answers = Vec::new();
        while answers.len() < 2 {
            if let DriverEvent::Answer(id, result) = bench.event().await {
                answers.push((id, result));
            }
        }
        assert!(answers.contains(&(behind, Err(NotSent::Expired.into()))));
        assert!(answers.contains(&(cancelled, Err(NotSent::Cancelled.into()))));
    });
}

#[test]
fn a_disconnect_behind_slow_calls_takes_the_power_before_them_and_does_not_expire() {
    let driver = fault_driver();
    run(async {
        let mut bench = Bench::start(config(&driver, "slow"));
        bench.ready().await;
        let first = bench.begin(transmit(), LONG);
        let third = bench.begin(transmit(), LONG);
        let second = bench.begin(disconnect(), Duration::from_millis(200));
        // Neither is a command under way ended by a cancel, nor a disconnect that waits.
        bench.handle.cancel(first).unwrap();
        bench.handle.cancel(second).unwrap();
        assert!(matches!(bench.answer(first).await, Ok(Reply::Response(_))));
        assert_eq!(bench.answer(second).await, Ok(Reply::Disconnected));
        assert!(matches!(bench.answer(third).await, Ok(Reply::Response(_))));
        assert_eq!(bench.handle.status().counters.restarts, 0);
    });
}

#[test]
fn calls_without_number_leave_room_for_a_disconnect() {
    let driver = fault_driver();
    run(async {
        let mut bench = Bench::start(config(&driver, "well"));
        bench.ready().await;
        fill(&bench, &transmit(), 1000..2000);
        let id = bench.begin(disconnect(), LONG);
        bench.handle.cancel(CallId(1000)).unwrap();
        assert_eq!(bench.answer(id).await, Ok(Reply::Disconnected));
        assert_eq!(bench.handle.status().counters.restarts, 0);
    });
}

#[test]
fn a_disconnect_that_finds_no_room_costs_the_driver_its_process() {
    let driver = fault_driver();
    run(async {
        let mut bench = Bench::start(config(&driver, "well"));
        bench.ready().await;
        fill(&bench, &transmit(), 1000..2000);
        fill(&bench, &disconnect(), 2000..3000);
        assert_eq!(down(&mut bench).await, DownReason::NotDisconnected);
        bench.ready().await;
        bench.connect(SLOT).await;
    });
}

#[test]
fn a_call_that_goes_on_after_its_cancel_is_killed_long_before_its_deadline() {
    let driver = fault_driver();
    run(async {
        let mut bench = Bench::start(config(&driver, "hang at connect"));
        bench.ready().await;
        let id = bench.begin(Call::Connect { slot: SLOT }, 100 * LONG);
        let card_waits = bench.begin(disconnect(), LONG);
        bench.handle.cancel(id).unwrap();
        assert_eq!(bench.answer(id).await, Err(CallError::DriverGone));
        assert_eq!(bench.answer(card_waits).await, Err(NotSent::NotReady.into()));
        assert_eq!(down(&mut bench).await, DownReason::Deadline);
    });
}
