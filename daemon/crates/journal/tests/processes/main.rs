//! The journal in processes of its own: killed, traced, and with syncs that fail.
//!
//! Needs strace. Started without arguments it is the test; with arguments it is one of the processes.

#[path = "../common/mod.rs"]
mod common;

mod child;
mod faults;
mod kill;
mod syncs;

fn main() {
    let mut arguments = std::env::args().skip(1);
    if arguments.next().as_deref() == Some(child::ARGUMENT) {
        let role = arguments.next().expect("a role");
        let state_dir = arguments.next().expect("a state folder");
        return child::play(&role, state_dir.as_ref());
    }
    let tests: [(&str, fn()); 6] = [
        (
            "a_journal_in_use_by_another_process_names_it",
            kill::a_journal_in_use_by_another_process_names_it,
        ),
        (
            "no_acknowledged_entry_is_lost_when_the_writer_is_killed",
            kill::no_acknowledged_entry_is_lost_when_the_writer_is_killed,
        ),
        (
            "a_commit_in_steady_state_makes_one_sync",
            syncs::a_commit_in_steady_state_makes_one_sync,
        ),
        (
            "a_start_checkpoints_and_syncs_before_it_believes_an_entry",
            syncs::a_start_checkpoints_and_syncs_before_it_believes_an_entry,
        ),
        (
            "after_a_failed_sync_every_call_answers_that_the_store_is_broken",
            faults::after_a_failed_sync_every_call_answers_that_the_store_is_broken,
        ),
        (
            "an_error_at_any_write_or_sync_loses_nothing_that_was_acknowledged",
            faults::an_error_at_any_write_or_sync_loses_nothing_that_was_acknowledged,
        ),
    ];
    for (name, test) in tests {
        println!("test {name} ...");
        test();
        println!("test {name} ... ok");
    }
}
