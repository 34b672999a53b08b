//! One byte of every page of a journal changed, one at a time: the start is refused, or the damage is told.

use std::fs;

use e2e::{Fault, ensure};
use serde_json::json;

use crate::damage::{REFUSED, paid_sales_are_found};
use crate::purserd::{Home, Started};
use crate::spoil::{DB, PAGE, flip};
use crate::table::says;
use crate::template::{IN_DOUBT, PAID, Template};

/// Where each page is spoilt: its kind, its number of cells, the middle, and the cell that was stored first.
const PLACES: [usize; 4] = [0, 4, 2048, PAGE - 24];

/// Every page of the file, spoilt at four places, one at a time.
pub(crate) fn each_page(template: &Template) -> Result<String, Fault> {
    let good = fs::read(template.settled().join("journal.db"))?;
    let pages = good.len() / PAGE;
    let (mut refused, mut told, mut unused) = (0, 0, 0);
    let home = Home::with_state(&template.settled())?;
    for page in 0..pages {
        for place in PLACES {
            let at = page * PAGE + place;
            restore(template, &home)?;
            flip(&home.state, DB, at)?;
            let outcome = spoilt_page(template, &home)
                .map_err(|fault| format!("page {}, byte {place}: {fault}", page + 1))?;
            match outcome {
                Outcome::Refused => refused += 1,
                Outcome::Told => told += 1,
                Outcome::Unused => unused += 1,
            }
        }
    }
    restore(template, &home)?;
    home.starts_whole(&template.programs, &template.head)?;
    ensure(refused > pages && told > 0, || {
        format!("{refused} refused and {told} told of {pages} pages")
    })?;
    Ok(format!(
        "{pages} pages: {refused} starts refused, {told} told in the status, {unused} in unused places"
    ))
}

/// A paid sale's reference in each place where no entry has it: in the tree of operations, in that of references, and in what
/// is left of pages that were split.
pub(crate) fn each_reference(template: &Template) -> Result<String, Fault> {
    let good = fs::read(template.settled().join(DB))?;
    let reference = PAID[1].as_bytes();
    let is_bare =
        |at: &usize| good[*at..].starts_with(reference) && good.get(at.wrapping_sub(1)) != Some(&b'"');
    let home = Home::with_state(&template.settled())?;
    let (mut refused, mut unused) = (0, 0);
    for place in (0..good.len()).filter(is_bare) {
        restore(template, &home)?;
        flip(&home.state, DB, place)?;
        match home.start(&template.programs)? {
            Started::Ready(running) => {
                paid_sales_are_found(&running)?;
                unused += 1;
            }
            Started::Ended(ended) => {
                ensure(ended.code == Some(REFUSED), || format!("{ended:?}"))?;
                says(
                    &ended.said,
                    &[
                        "a row of operations is not one that Purser writes",
                        "run purserd verify-journal",
                    ],
                )?;
                refused += 1;
            }
        }
    }
    ensure(refused >= 2, || {
        format!("{refused} starts were refused, {unused} were not")
    })?;
    Ok(format!(
        "exit {REFUSED}: a row of operations is not one that Purser writes ({refused} trees)"
    ))
}

enum Outcome {
    /// It did not start, and said why.
    Refused,
    /// It started and told of the damage.
    Told,
    /// The byte is nobody's: the whole journal reads as it was.
    Unused,
}

fn spoilt_page(template: &Template, home: &Home) -> Result<Outcome, Fault> {
    let running = match home.start(&template.programs)? {
        Started::Ready(running) => running,
        Started::Ended(ended) => {
            ensure(ended.code == Some(REFUSED), || format!("{ended:?}"))?;
            says(&ended.said, &["purserd does not start", "journal", "; "])?;
            return Ok(Outcome::Refused);
        }
    };
    // At once, before the check of the whole journal is over.
    paid_sales_are_found(&running)?;
    if let Some(told) = running.checked()? {
        says(&told, &["run purserd verify-journal"])?;
        paid_sales_are_found(&running)?;
        return Ok(Outcome::Told);
    }
    ensure(running.head()? == template.head, || {
        "another newest entry".to_owned()
    })?;
    let doubt = running.call("Attach", json!({ "reference": IN_DOUBT }))?;
    ensure(doubt["parameters"]["sale"]["outcome"] == "in_doubt", || {
        format!("{doubt}")
    })?;
    drop(running);
    home.is_whole(&template.programs, &template.head)?;
    Ok(Outcome::Unused)
}

/// Puts the good state back.
fn restore(template: &Template, home: &Home) -> Result<(), Fault> {
    fs::remove_dir_all(&home.state)?;
    crate::purserd::copy_state(&template.settled(), &home.state)
}
