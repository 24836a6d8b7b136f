//! Calendar days and the zone they are counted in.

use std::fmt;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};

/// A calendar day of the member state, as days since 1970-01-01. Reaches to the year 2149.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Day(pub u16);

impl Day {
    /// Reads `2026-11-22`; `None` for anything else, and outside 1970 to 2149.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() != 10 {
            return None;
        }
        Self::from_date(text.parse().ok()?)
    }

    fn from_date(date: Date) -> Option<Self> {
        let days = (date - Date::constant(1970, 1, 1)).get_days();
        u16::try_from(days).ok().map(Self)
    }

    fn date(self) -> Date {
        Date::constant(1970, 1, 1).saturating_add(i64::from(self.0).days())
    }

    /// Year, month from 1, day of the month from 1.
    #[must_use]
    pub fn year_month_day(self) -> (u16, u8, u8) {
        let date = self.date();
        (date.year().unsigned_abs(), date.month().unsigned_abs(), date.day().unsigned_abs())
    }

    /// The day after, the last one staying the last.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = self.year_month_day();
        write!(f, "{year:04}-{month:02}-{day:02}")
    }
}

impl fmt::Debug for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Milliseconds since the Unix epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Moment(pub i64);

/// When something happened: the moment, and the calendar day it was counted to. The day is derived
/// once and then recorded: zones are changed, at times for days that are past.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct When {
    /// The moment.
    pub at: Moment,
    /// Its day.
    pub day: Day,
}

/// Tells on which calendar day a moment falls: the law changes at midnight of the member state,
/// not of UTC.
#[derive(Debug, Clone)]
pub struct Calendar {
    zone: TimeZone,
}

impl Calendar {
    /// `name` as in the IANA time zone database, `Europe/Amsterdam`; `None` where it has no such
    /// zone. The database is compiled in, so that a verdict does not hang on what is installed.
    #[must_use]
    pub fn new(name: &str) -> Option<Self> {
        jiff::tz::TimeZoneDatabase::bundled().get(name).ok().map(|zone| Self { zone })
    }

    /// The day of `moment`; moments before 1970 and after 2149 count as the first and last day.
    #[must_use]
    pub fn day(&self, moment: Moment) -> Day {
        let timestamp = Timestamp::from_millisecond(moment.0).unwrap_or(if moment.0 < 0 {
            Timestamp::MIN
        } else {
            Timestamp::MAX
        });
        let date = self.zone.to_datetime(timestamp).date();
        Day::from_date(date).unwrap_or(if date.year() < 1970 { Day(0) } else { Day(u16::MAX) })
    }

    /// `moment` with its day.
    #[must_use]
    pub fn when(&self, moment: Moment) -> When {
        When { at: moment, day: self.day(moment) }
    }

    /// The moment at which `day` begins.
    #[must_use]
    pub fn start_of(&self, day: Day) -> Moment {
        let start = day.date().to_zoned(self.zone.clone());
        Moment(
            start.map_or(i64::from(day.0) * 86_400_000, |zoned| zoned.timestamp().as_millisecond()),
        )
    }

    /// Reads a local time, `2026-11-05T09:30` with or without seconds.
    #[must_use]
    pub fn parse(&self, text: &str) -> Option<Moment> {
        let local: jiff::civil::DateTime = text.parse().ok()?;
        let zoned = local.to_zoned(self.zone.clone()).ok()?;
        Some(Moment(zoned.timestamp().as_millisecond()))
    }

    /// The moment as local time with its offset, for people: `2026-11-05T09:30:00.000+01:00`.
    #[must_use]
    pub fn show(&self, moment: Moment) -> String {
        Timestamp::from_millisecond(moment.0).map_or_else(
            |_| moment.0.to_string(),
            |at| at.to_zoned(self.zone.clone()).strftime("%Y-%m-%dT%H:%M:%S%.3f%:z").to_string(),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_those_of_the_member_state() {
        let calendar = Calendar::new("Europe/Amsterdam").expect("in the database");
        // 2026-06-30T22:30Z is half past midnight of 1 July in Amsterdam (UTC+2 in summer).
        let moment = Moment(1_782_858_600_000);
        assert_eq!(calendar.day(moment).to_string(), "2026-07-01");
        assert_eq!(Calendar::new("UTC").expect("UTC").day(moment).to_string(), "2026-06-30");
        let day = Day::parse("2026-07-01").expect("a day");
        assert_eq!(calendar.start_of(day), Moment(1_782_856_800_000));
        assert_eq!(calendar.parse("2026-07-01T00:30"), Some(moment));
        assert_eq!(calendar.show(moment), "2026-07-01T00:30:00.000+02:00");
    }

    #[test]
    fn a_day_is_read_and_shown_the_same() {
        for text in ["1970-01-01", "2026-11-22", "2028-02-29", "2149-06-06"] {
            assert_eq!(Day::parse(text).expect(text).to_string(), text);
        }
        for bad in ["", "2026-11-31", "2026-1-1", "22-11-2026", "1969-12-31", "2149-06-07"] {
            assert_eq!(Day::parse(bad), None, "{bad}");
        }
    }
}
