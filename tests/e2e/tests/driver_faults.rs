//! Drivers that misbehave, each in a sale on a real purserd, while the neighbour goes on selling.
//!
//! Whatever the driver does: no sale is paid twice or lost, the books balance, the fault stands in `Devices` and `Status`
//! with a remedy, and the neighbour feels nothing.

use std::time::{Duration, Instant};

use e2e::attack::{Driver, Ending, Outcome, in_a_sale, never_ready, while_stopping};
use e2e::faulty::Attack;

/// A test for each fault, and the number of them, so that the last one prints the table.
macro_rules! faults {
    ($($name:ident: $run:expr;)*) => {
        const FAULTS: usize = [$(stringify!($name)),*].len();

        $(
            #[test]
            fn $name() {
                let begun = Instant::now();
                let row = $run.expect("money is kept, and the neighbour sells");
                e2e::attack::tell(stringify!($name), row, begun.elapsed(), FAULTS);
            }
        )*
    };
}

/// A fault that strikes once, in this call of the sale.
fn strike(mode: &str, place: &str, ending: Ending) -> Result<Outcome, e2e::Fault> {
    let (moment, at) = place.split_once(' ').ok_or("a moment and a call")?;
    let settings = format!("mode = \"{mode}\"\nat = \"{at}\"\nmoment = \"{moment}\"\narmed = \"ARMED\"\n");
    in_a_sale(&Attack { build: &[], settings }, ending)
}

/// A fault at each start.
fn at_start(mode: &str, place: &str, driver: Driver) -> Result<Outcome, e2e::Fault> {
    let (moment, at) = place.split_once(' ').ok_or("a moment and a call")?;
    let settings = format!("mode = \"{mode}\"\nat = \"{at}\"\nmoment = \"{moment}\"\n");
    never_ready(&Attack { build: &[], settings }, driver)
}

/// A driver that is wrong before it has settings.
fn built(build: &'static [&'static str], driver: Driver) -> Result<Outcome, e2e::Fault> {
    let settings = String::new();
    never_ready(&Attack { build, settings }, driver)
}

/// A fault when purserd stops.
fn at_stop(mode: &str, place: &str) -> Result<Outcome, e2e::Fault> {
    let (moment, at) = place.split_once(' ').ok_or("a moment and a call")?;
    let settings = format!("mode = \"{mode}\"\nat = \"{at}\"\nmoment = \"{moment}\"\n");
    while_stopping(&Attack { build: &[], settings }, Duration::from_secs(10))
}

const CRASHED: Driver = Driver::StartedAgain("signal 11");
const KILLED: Driver = Driver::StartedAgain("did not answer in time");

faults! {
    exits_before_hello: built(&["-DFAULT_EXIT_AT_LOAD"], Driver::Restarting("exit code 0"));
    hangs_before_hello: built(&["-DFAULT_HANG_AT_LOAD"], Driver::Restarting("not ready within"));
    is_for_another_abi: built(&["-DFAULT_ABI_MAJOR=2"], Driver::Failed("another major version"));
    has_a_short_table: built(&["-DFAULT_STRUCT_SIZE=8"], Driver::Failed("[G-2]"));
    lacks_a_function: built(&["-DFAULT_TRANSMIT=NULL", "-Wno-unused-function"], Driver::Failed("[G-4]"));
    is_no_driver: built(&["-DFAULT_NO_ENTRY"], Driver::Failed("purser_driver_entry"));
    is_not_what_its_manifest_says: built(&["-DFAULT_ID=\"other\""], Driver::Failed("manifest"));
    crashes_at_each_start: at_start("crash", "before create", Driver::Restarting("signal 11"));
    hangs_at_each_start: at_start("hang", "before create", Driver::Restarting("not ready within"));
    refuses_its_settings: never_ready(&Attack { build: &[], settings: "colour = 1\n".to_owned() }, Driver::Failed("colour"));

    crashes_before_the_debit: strike("crash", "before debit", Ending { paid: Some(false), driver: CRASHED });
    crashes_after_the_debit: strike("crash", "after debit", Ending { paid: Some(true), driver: CRASHED });
    aborts_after_the_debit: strike("abort", "after debit", Ending { paid: Some(true), driver: Driver::StartedAgain("signal 6") });
    exits_after_the_debit: strike("exit", "after debit", Ending { paid: Some(true), driver: Driver::StartedAgain("exit code 0") });
    hangs_in_connect: strike("hang", "before connect", Ending { paid: Some(true), driver: KILLED });
    hangs_in_transmit: strike("hang", "before transmit", Ending { paid: None, driver: KILLED });
    hangs_before_the_debit: strike("hang", "before debit", Ending { paid: Some(false), driver: KILLED });
    hangs_after_the_debit: strike("hang", "after debit", Ending { paid: Some(true), driver: KILLED });
    hangs_in_disconnect: strike("hang", "before disconnect", Ending { paid: Some(true), driver: KILLED });
    answers_the_debit_late: strike("late", "after debit", Ending { paid: Some(true), driver: KILLED });
    floods_events: strike("event-flood", "before debit", Ending { paid: Some(false), driver: Driver::StartedAgain("flooded") });
    floods_the_log: strike("log-flood", "before debit", Ending { paid: Some(true), driver: Driver::GoesOn("log lines") });
    floods_standard_error: strike("stderr-flood", "before debit", Ending { paid: Some(true), driver: Driver::GoesOn("log lines") });
    sends_an_oversize_frame: strike("oversize-frame", "after debit", Ending { paid: Some(true), driver: Driver::StartedAgain("frames are broken") });
    sends_noise: strike("babble", "after debit", Ending { paid: Some(true), driver: Driver::StartedAgain("frames are broken") });
    says_more_than_the_buffer: strike("length-over-capacity", "after debit", Ending { paid: Some(true), driver: Driver::GoesOn("1 broken rules") });
    says_more_than_it_wrote: strike("length-more", "after debit", Ending { paid: Some(true), driver: Driver::Silent });
    says_nothing_at_all: strike("length-zero", "after debit", Ending { paid: Some(true), driver: Driver::GoesOn("1 broken rules") });
    leaves_the_status_word_out: strike("no-status-word", "after debit", Ending { paid: Some(true), driver: Driver::GoesOn("1 broken rules") });
    writes_beyond_the_buffer: strike("overrun", "after debit", Ending { paid: Some(true), driver: Driver::StartedAgain("exit code 6") });
    writes_far_beyond_the_buffer: strike("overrun-far", "after debit", Ending { paid: Some(true), driver: CRASHED });
    answers_twice: strike("duplicate-answer", "before debit", Ending { paid: Some(true), driver: Driver::GoesOn("answers to no call") });
    answers_another_call: strike("foreign-answer", "before debit", Ending { paid: Some(true), driver: Driver::GoesOn("answers to no call") });
    answers_an_unknown_code: strike("unknown-code", "after debit", Ending { paid: Some(true), driver: Driver::GoesOn("1 broken rules") });
    denies_the_debit_that_it_sent: strike("busy", "after debit", Ending { paid: Some(true), driver: Driver::GoesOn("1 broken rules") });
    sends_the_debit_twice: strike("repeat", "after debit", Ending { paid: Some(true), driver: Driver::Silent });
    closes_its_descriptors: strike("close-descriptors", "before debit", Ending { paid: Some(false), driver: Driver::StartedAgain("") });
    leaves_a_child_behind: strike("fork", "after debit", Ending { paid: Some(true), driver: KILLED });
    leaves_a_child_in_a_session_of_its_own: strike("fork-away", "after debit", Ending { paid: Some(true), driver: KILLED });
    tells_secrets: strike("secrets", "before debit", Ending { paid: Some(true), driver: Driver::Silent });
    lies_about_cards: strike("lie-about-cards", "before debit", Ending { paid: None, driver: Driver::GoesOn("broken rules") });
    hangs_in_destroy: at_stop("hang", "before destroy");
    emits_after_destroy: at_stop("emit-for-ever", "before destroy");
    floods_events_in_destroy: at_stop("event-flood", "before destroy");
}
