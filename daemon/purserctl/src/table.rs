//! How answers are printed: aligned for people, JSON for programs.

use std::io::{self, Write};

use comfy_table::{CellAlignment, Table, presets};
use iso_currency::Currency;
use jiff::Timestamp;
use jiff::tz::Offset;
use purser_api::model::{Amount, Time};
use serde::Serialize;

/// A table with a heading and no lines, as `ps` and `systemctl` print it.
pub(crate) fn print_table(heading: &[&str], right: &[usize], rows: Vec<Vec<String>>) -> io::Result<()> {
    let mut table = Table::new();
    *table.style_mut() = presets::NOTHING;
    table.set_header(heading.to_vec()).add_rows(rows);
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    for column in right {
        if let Some(column) = table.column_mut(*column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    for line in table.lines() {
        writeln!(io::stdout(), "{}", line.trim_end())?;
    }
    Ok(())
}

/// Names and values, one a line.
pub(crate) fn print_facts(facts: &[(&str, String)]) -> io::Result<()> {
    let width = facts.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    for (name, value) in facts.iter().filter(|(_, value)| !value.is_empty()) {
        writeln!(io::stdout(), "{name:width$}  {value}")?;
    }
    Ok(())
}

/// One JSON object on one line.
pub(crate) fn print_json(answer: &impl Serialize) -> io::Result<()> {
    let text = serde_json::to_string(answer)?;
    writeln!(io::stdout(), "{text}")
}

/// Money as people write it: with the currency's decimals, and the code.
pub(crate) fn money(amount: &Amount) -> String {
    let decimals = Currency::from_code(&amount.currency)
        .and_then(|currency| currency.exponent())
        .unwrap_or(0);
    let mut digits = amount.minor.to_string();
    let decimals = usize::from(decimals);
    if decimals > 0 {
        while digits.len() <= decimals {
            digits.insert(0, '0');
        }
        digits.insert(digits.len().saturating_sub(decimals), '.');
    }
    format!("{digits} {}", amount.currency)
}

/// Time as the terminal's wall showed it; `?` behind it when its clock was not to be trusted.
pub(crate) fn time(at: &Time) -> String {
    let offset = i32::try_from(at.utc_offset_seconds)
        .ok()
        .and_then(|seconds| Offset::from_seconds(seconds).ok());
    let local =
        Timestamp::from_second(at.unix_seconds).map(|at| offset.unwrap_or(Offset::UTC).to_datetime(at));
    let text = local.map_or_else(
        |_| at.unix_seconds.to_string(),
        |local| local.strftime("%F %T").to_string(),
    );
    if at.trusted { text } else { format!("{text}?") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn amount(minor: u64, currency: &str) -> String {
        money(&Amount {
            minor,
            currency: currency.to_owned(),
        })
    }

    #[test]
    fn money_has_the_decimals_of_its_currency() {
        assert_eq!(amount(300, "JPY"), "300 JPY");
        assert_eq!(amount(1250, "USD"), "12.50 USD");
        assert_eq!(amount(5, "USD"), "0.05 USD");
        assert_eq!(amount(1250, "BHD"), "1.250 BHD");
        assert_eq!(amount(7, "QQQ"), "7 QQQ");
    }

    #[test]
    fn a_time_that_is_not_trusted_says_so() {
        let at = Time {
            unix_seconds: 0,
            utc_offset_seconds: 32_400,
            trusted: true,
        };
        assert_eq!(time(&at), "1970-01-01 09:00:00");
        assert_eq!(time(&Time { trusted: false, ..at }), "1970-01-01 09:00:00?");
    }
}
