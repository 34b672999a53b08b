//! Every bad input that has a name: what is given to the real purserd, what it must say, and that nothing is lost by it.
//!
//! Each row is given to the real program and proves two things: the words (exit code or error name, cause and remedy), and
//! that money is as it was: the journal's newest entry, its totals, and where it makes sense the next good sale.

#[path = "bad_inputs/apdu.rs"]
mod apdu;
#[path = "bad_inputs/clock.rs"]
mod clock;
#[path = "bad_inputs/config.rs"]
mod config;
#[path = "bad_inputs/credential.rs"]
mod credential;
#[path = "bad_inputs/damage.rs"]
mod damage;
#[path = "bad_inputs/dbus.rs"]
mod dbus;
#[path = "bad_inputs/disk.rs"]
mod disk;
#[path = "bad_inputs/drivers.rs"]
mod drivers;
#[path = "bad_inputs/folder.rs"]
mod folder;
#[path = "bad_inputs/pages.rs"]
mod pages;
#[path = "bad_inputs/pin.rs"]
mod pin;
#[path = "bad_inputs/purserd.rs"]
mod purserd;
#[path = "bad_inputs/shop.rs"]
mod shop;
#[path = "bad_inputs/spoil.rs"]
mod spoil;
#[path = "bad_inputs/table.rs"]
mod table;
#[path = "bad_inputs/template.rs"]
mod template;
#[path = "bad_inputs/varlink.rs"]
mod varlink;

use std::sync::Mutex;
use std::thread;
use std::time::Instant;

use e2e::Fault;
use table::{Group, Table};
use template::Template;

/// Fewer rows than this are no proof any more.
const ROWS_MIN: usize = 60;

/// What gives a group of rows its bad inputs.
type Give = fn(&Template) -> Result<Group, Fault>;

/// The groups, the longest ones first.
const GROUPS: [(&str, Give); 8] = [
    ("damaged journal", damage::rows),
    ("clock", clock::rows),
    ("card", apdu::rows),
    ("API", shop::rows),
    ("disk and folder", disk::rows),
    ("drivers", drivers::rows),
    ("configuration", config::rows),
    ("credential", credential::rows),
];

#[test]
fn every_bad_input_gets_its_error_and_loses_nothing() {
    let started = Instant::now();
    let template = Template::make().expect("sales work");
    println!(
        "the journal to spoil was made in {:.1} s",
        started.elapsed().as_secs_f32()
    );
    let queue = Mutex::new(GROUPS.iter());
    let table = Mutex::new(Table::default());
    let work = || {
        while let Some((name, give)) = next(&queue) {
            let started = Instant::now();
            let group = give(&template).unwrap_or_else(|fault| Group::failed(&fault));
            let took = started.elapsed();
            lock(&table).add(name, group, took);
        }
    };
    thread::scope(|scope| {
        scope.spawn(work);
        scope.spawn(work);
    });
    let table = table.into_inner().expect("nobody panicked with it");
    println!("{table}");
    println!(
        "{} rows in {:.0} s",
        table.rows(),
        started.elapsed().as_secs_f32()
    );
    let failures = table.failures();
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
    assert!(table.rows() >= ROWS_MIN, "only {} rows", table.rows());
}

fn next<T>(queue: &Mutex<impl Iterator<Item = T>>) -> Option<T> {
    lock(queue).next()
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().expect("a group's fault is its answer")
}
