//! When something was: an instant, and what the clock on the wall showed there.
//!
//! A day is the user's day. The offset that was in force when something was written is kept with it, so the day of an
//! entry never changes, however far the user travels and whatever governments do to their clocks.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

const DAY_S: i64 = 24 * 60 * 60;

/// An instant with the zone in which it was lived.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct When {
    /// Milliseconds since 1970-01-01 UTC.
    pub unix_ms: i64,
    /// By how many minutes the local clock was ahead of UTC.
    pub offset_min: i16,
    /// Name of the zone as in the IANA database (`Europe/Lisbon`); empty if it was not known.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub zone: String,
}

impl When {
    /// An instant in UTC.
    #[must_use]
    pub fn utc(unix_ms: i64) -> Self {
        Self { unix_ms, offset_min: 0, zone: String::new() }
    }

    /// The day on the user's calendar, counted from 1970-01-01.
    #[must_use]
    pub fn local_day(&self) -> i64 {
        let local_s = self.unix_ms.div_euclid(1000).saturating_add(i64::from(self.offset_min) * 60);
        local_s.div_euclid(DAY_S)
    }
}

/// The clock of the device. Tests and simulations bring their own.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> SystemTime + Send + Sync>);

impl Clock {
    /// A clock that asks `now`.
    pub fn new(now: impl Fn() -> SystemTime + Send + Sync + 'static) -> Self {
        Self(Arc::new(now))
    }

    /// Milliseconds since 1970.
    #[must_use]
    pub fn now_ms(&self) -> u64 {
        let since = (self.0)().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }

    /// Days since 1970.
    pub(crate) fn today(&self) -> u32 {
        u32::try_from(self.now_ms() / 1000 / DAY_S.unsigned_abs()).unwrap_or(u32::MAX)
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self::new(SystemTime::now)
    }
}

impl std::fmt::Debug for Clock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Clock")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_is_the_users_day() {
        let at = |unix_ms, offset_min| When { unix_ms, offset_min, zone: String::new() }.local_day();
        let noon = 20_000 * DAY_S * 1000 + 12 * 3_600_000;
        assert_eq!(at(noon, 0), 20_000);
        assert_eq!(at(noon, 12 * 60), 20_001, "noon in London is midnight in Auckland");
        assert_eq!(at(noon, -12 * 60 - 1), 19_999);
        assert_eq!(at(-1, 0), -1);
        assert!(at(i64::MIN, i16::MIN) < 0, "no overflow");
        assert_eq!(When::utc(i64::MAX).local_day(), i64::MAX / 1000 / DAY_S);
    }
}
