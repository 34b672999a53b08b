//! Dates and times as the card writes them: packed decimal digits.

use std::fmt;

use time::{Date, Month, OffsetDateTime};

/// A calendar date, YYYYMMDD in packed decimal. Orders as the calendar does.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BcdDate([u8; 4]);

/// A time of day, hhmmss in packed decimal. Orders as the clock does.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BcdTime([u8; 3]);

/// The terminal's local date and time of one attempt: two fields of MAC1 and TAC, and of the card's log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TerminalTime {
    /// The local date.
    pub date: BcdDate,
    /// The local time.
    pub time: BcdTime,
}

/// Digits or seconds that are no date or time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TimeError {
    /// The bytes are not decimal digits of a date of the calendar.
    #[error("the bytes are no date written YYYYMMDD")]
    NotADate,
    /// The bytes are not decimal digits of a time of day.
    #[error("the bytes are no time written hhmmss")]
    NotATime,
    /// The clock stands before 1970 or after 9999.
    #[error("the clock stands outside the years 1970 to 9999: set it")]
    YearOutOfRange,
}

impl TimeError {
    /// False: the same digits or seconds give the same answer.
    pub fn is_transient(self) -> bool {
        match self {
            Self::NotADate | Self::NotATime | Self::YearOutOfRange => false,
        }
    }
}

impl BcdDate {
    /// From the bytes as the card has them.
    ///
    /// # Errors
    /// [`TimeError::NotADate`] for other digits than 0 to 9 and for days that the calendar does not have.
    pub fn new(bytes: [u8; 4]) -> Result<Self, TimeError> {
        let [century, year, month, day] = digits(bytes).ok_or(TimeError::NotADate)?;
        let month = Month::try_from(month).map_err(|_| TimeError::NotADate)?;
        let year = 100 * i32::from(century) + i32::from(year);
        match Date::from_calendar_date(year, month, day) {
            Ok(_) => Ok(Self(bytes)),
            Err(_) => Err(TimeError::NotADate),
        }
    }

    /// The bytes as the card has them.
    pub const fn as_bytes(&self) -> &[u8; 4] {
        &self.0
    }
}

impl BcdTime {
    /// From the bytes as the card has them.
    ///
    /// # Errors
    /// [`TimeError::NotATime`] for other digits than 0 to 9 and beyond 23:59:59.
    pub fn new(bytes: [u8; 3]) -> Result<Self, TimeError> {
        let [hour, minute, second] = digits(bytes).ok_or(TimeError::NotATime)?;
        match time::Time::from_hms(hour, minute, second) {
            Ok(_) => Ok(Self(bytes)),
            Err(_) => Err(TimeError::NotATime),
        }
    }

    /// The bytes as the card has them.
    pub const fn as_bytes(&self) -> &[u8; 3] {
        &self.0
    }
}

impl TerminalTime {
    /// From the terminal's clock.
    ///
    /// Units: seconds since 1970-01-01 00:00 **of local time** (Unix time plus the offset of the time zone). The
    /// zone is the caller's to know: this crate reads no clock and no zone file.
    ///
    /// # Errors
    /// [`TimeError::YearOutOfRange`] outside the years 1970 to 9999.
    pub fn from_local(unix_seconds_local: i64) -> Result<Self, TimeError> {
        if unix_seconds_local < 0 {
            return Err(TimeError::YearOutOfRange);
        }
        let local =
            OffsetDateTime::from_unix_timestamp(unix_seconds_local).map_err(|_| TimeError::YearOutOfRange)?;
        let [century, year] = [local.year() / 100, local.year() % 100]
            .map(|part| packed(u8::try_from(part).expect("the year is one of 1970 to 9999")));
        Ok(Self {
            date: BcdDate([
                century,
                year,
                packed(u8::from(local.month())),
                packed(local.day()),
            ]),
            time: BcdTime([local.hour(), local.minute(), local.second()].map(packed)),
        })
    }
}

/// Two decimal digits in one byte. `number` is below 100: it is a part of a date or time.
fn packed(number: u8) -> u8 {
    number / 10 * 16 + number % 10
}

/// The numbers that packed decimal bytes hold; None for a digit above 9.
fn digits<const N: usize>(bytes: [u8; N]) -> Option<[u8; N]> {
    let decimal = bytes.iter().all(|byte| byte >> 4 <= 9 && byte & 0x0F <= 9);
    decimal.then(|| bytes.map(|byte| (byte >> 4) * 10 + (byte & 0x0F)))
}

impl fmt::Display for BcdDate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [century, year, month, day] = self.0;
        write!(f, "{century:02X}{year:02X}-{month:02X}-{day:02X}")
    }
}

impl fmt::Display for BcdTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [hour, minute, second] = self.0;
        write!(f, "{hour:02X}:{minute:02X}:{second:02X}")
    }
}

impl fmt::Display for TerminalTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.date, self.time)
    }
}

impl fmt::Debug for BcdDate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Debug for BcdTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// 9999-12-31 23:59:59.
    const LAST_SECOND: i64 = 253_402_300_799;

    fn shown(seconds: i64) -> String {
        TerminalTime::from_local(seconds).unwrap().to_string()
    }

    #[test]
    fn seconds_become_the_digits_of_the_local_calendar() {
        assert_eq!(shown(0), "1970-01-01 00:00:00");
        assert_eq!(shown(951_782_399), "2000-02-28 23:59:59");
        assert_eq!(shown(951_782_400), "2000-02-29 00:00:00");
        assert_eq!(shown(1_330_523_460), "2012-02-29 13:51:00");
        assert_eq!(shown(LAST_SECOND), "9999-12-31 23:59:59");
    }

    #[test]
    fn a_clock_outside_the_range_is_refused() {
        for seconds in [-1, LAST_SECOND + 1, i64::MIN, i64::MAX] {
            assert_eq!(TerminalTime::from_local(seconds), Err(TimeError::YearOutOfRange));
        }
    }

    #[test]
    fn digits_that_are_no_date_or_time_are_refused() {
        for bytes in [
            [0x20, 0x12, 0x02, 0x30],
            [0x20, 0x11, 0x02, 0x29],
            [0x20, 0x12, 0x13, 0x01],
            [0x20, 0x12, 0x0A, 0x01],
            [0; 4],
            [0xFF; 4],
        ] {
            assert_eq!(BcdDate::new(bytes), Err(TimeError::NotADate), "{bytes:02X?}");
        }
        for bytes in [[0x24, 0, 0], [0, 0x60, 0], [0, 0, 0x60], [0x0A, 0, 0]] {
            assert_eq!(BcdTime::new(bytes), Err(TimeError::NotATime), "{bytes:02X?}");
        }
    }

    proptest! {
        #[test]
        fn every_second_gives_digits_that_are_accepted_and_keep_its_order(
            first in 0..LAST_SECOND, second in 0..LAST_SECOND
        ) {
            let [a, b] = [first, second].map(|seconds| TerminalTime::from_local(seconds).unwrap());
            prop_assert_eq!(BcdDate::new(*a.date.as_bytes()), Ok(a.date));
            prop_assert_eq!(BcdTime::new(*a.time.as_bytes()), Ok(a.time));
            prop_assert_eq!(a.cmp(&b), first.cmp(&second));
        }
    }
}
