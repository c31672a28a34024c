//! Stamps: a hybrid logical clock over the devices' clocks, which says what of two edits was the later one.
//!
//! A device's stamps only go up, whatever its clock does. A stamp that is far ahead of the clock moves nobody's, and counts as
//! older than any other: one device with a wrong year does not win for a year.

use std::cmp::Ordering;

use serde::{Deserialize, Serialize};

/// How far ahead of the device's clock a stamp may be before it is not believed.
const AHEAD_MS_MAX: u64 = 24 * 60 * 60 * 1000;

/// When a field was edited, and on which device: milliseconds since 1970, a counter within them, the start of the device's id.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Stamp(pub u64, pub u32, pub u64);

impl Stamp {
    /// Which of two edits counts as the later one, as seen at `now_ms`.
    #[must_use]
    pub fn compare(&self, other: &Self, now_ms: u64) -> Ordering {
        let believed = |stamp: &Self| stamp.0 <= now_ms.saturating_add(AHEAD_MS_MAX);
        believed(self).cmp(&believed(other)).then_with(|| self.cmp(other))
    }

    /// A stamp for an edit made at `now_ms` by a device that has seen `self`.
    #[must_use]
    pub(crate) fn next(&self, now_ms: u64, device: u64) -> Self {
        if self.0 < now_ms {
            return Self(now_ms, 0, device);
        }
        match self.1.checked_add(1) {
            Some(count) => Self(self.0, count, device),
            None => Self(self.0.saturating_add(1), 0, device),
        }
    }

    /// The later of what was seen before and now, if it can be believed.
    pub(crate) fn see(&mut self, other: Self, now_ms: u64) {
        if other.0 <= now_ms.saturating_add(AHEAD_MS_MAX) {
            *self = (*self).max(other);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_790_000_000_000;

    #[test]
    fn stamps_go_up_whatever_the_clock_does() {
        let mut last = Stamp::default();
        for now in [NOW, NOW, NOW - 5_000, 0, NOW + 1] {
            let next = last.next(now, 7);
            assert!(next > last);
            last = next;
        }
        assert_eq!(Stamp(NOW, u32::MAX, 1).next(0, 1), Stamp(NOW + 1, 0, 1));
        assert_eq!(Stamp(u64::MAX, u32::MAX, 1).next(0, 1), Stamp(u64::MAX, 0, 1));
    }

    #[test]
    fn a_stamp_from_the_far_future_is_seen_by_nobody_and_loses() {
        let (now, soon, far) =
            (Stamp(NOW, 0, 1), Stamp(NOW + AHEAD_MS_MAX, 0, 1), Stamp(NOW + AHEAD_MS_MAX + 1, 0, 1));
        assert_eq!(soon.compare(&now, NOW), Ordering::Greater);
        assert_eq!(far.compare(&now, NOW), Ordering::Less);
        let mut seen = now;
        seen.see(far, NOW);
        assert_eq!(seen, now);
        seen.see(soon, NOW);
        assert_eq!(seen, soon);
    }
}
