//! Days and times as people type and read them.

use alcove_sdk::When;
use jiff::civil::{Date, DateTime};
use jiff::tz::{Offset, TimeZone};
use jiff::{Timestamp, Zoned};

use crate::failure::{Failure, Result};

/// Now, with the zone of this machine.
pub(crate) fn now() -> When {
    when(&Zoned::now())
}

fn when(zoned: &Zoned) -> When {
    let offset = zoned.offset().seconds() / 60;
    When {
        unix_ms: zoned.timestamp().as_millisecond(),
        offset_min: i16::try_from(offset).unwrap_or_default(),
        zone: zoned.time_zone().iana_name().unwrap_or_default().to_owned(),
    }
}

/// A day, or a day and a time, in the zone of this machine.
pub(crate) fn parse(text: &str) -> Result<When> {
    let zone = TimeZone::system();
    let typed = text.trim().replace(' ', "T");
    let time = typed.parse::<DateTime>().map_err(|_| bad(text))?;
    Ok(when(&time.to_zoned(zone).map_err(|_| bad(text))?))
}

/// The first and the last millisecond of a day in the zone of this machine.
pub(crate) fn day(text: &str) -> Result<(i64, i64)> {
    let date: Date = match text.trim() {
        "today" => Zoned::now().date(),
        "yesterday" => Zoned::now().date().yesterday().map_err(|_| bad(text))?,
        text => text.parse().map_err(|_| bad(text))?,
    };
    let start = date.to_zoned(TimeZone::system()).map_err(|_| bad(text))?;
    let end = date.tomorrow().and_then(|next| next.to_zoned(TimeZone::system())).map_err(|_| bad(text))?;
    Ok((start.timestamp().as_millisecond(), end.timestamp().as_millisecond() - 1))
}

fn bad(text: &str) -> Failure {
    Failure::say(format!("{text:?} is no day or time; write `2026-11-21` or `2026-11-21 08:30`"))
}

/// As the clock on the wall showed it there.
pub(crate) fn show(when: &When) -> String {
    let offset = Offset::from_seconds(i32::from(when.offset_min) * 60).unwrap_or(Offset::UTC);
    match Timestamp::from_millisecond(when.unix_ms) {
        Ok(timestamp) => {
            timestamp.to_zoned(offset.to_time_zone()).strftime("%a %-d %b %Y, %H:%M").to_string()
        }
        Err(_) => "some time".into(),
    }
}

/// An instant in the zone of this machine.
pub(crate) fn show_ms(unix_ms: u64) -> String {
    let timestamp = i64::try_from(unix_ms).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok());
    let shown =
        timestamp.map(|at| at.to_zoned(TimeZone::system()).strftime("%a %-d %b %Y, %H:%M").to_string());
    shown.unwrap_or_else(|| "some time".into())
}

/// A day counted from 1970.
pub(crate) fn show_day(day: u32) -> String {
    show_ms(u64::from(day) * 24 * 60 * 60 * 1000).split(',').next().unwrap_or_default().to_owned()
}
