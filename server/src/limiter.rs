//! How many requests a key may make (GCRA): a burst of as many as the rate allows in its period, refilled evenly.
//!
//! The keys live in memory and nowhere else, and go when they are full again. When too many are held, the half goes
//! that has used least: whoever is limited stays limited, unless half of the room is limited as much or more.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Keys that are held at most, some 6 MiB.
const KEYS_MAX: usize = 100_000;

/// So many in so long. A count of 0 is no limit.
#[derive(Clone, Copy, Debug)]
pub struct Rate {
    /// How many.
    pub count: u32,
    /// In how long.
    pub per: Duration,
}

/// How long to wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryAfter(Duration);

impl RetryAfter {
    /// In whole seconds, at least one.
    #[must_use]
    pub fn seconds(self) -> u32 {
        u32::try_from(self.0.as_millis().div_ceil(1000)).unwrap_or(u32::MAX).max(1)
    }
}

/// An address, as far as it is told apart from others: IPv6 by its network of 64 bits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct AddressKey([u8; 8]);

impl AddressKey {
    /// Of an address.
    #[must_use]
    pub fn of(address: IpAddr) -> Self {
        let mut key = [0; 8];
        match address.to_canonical() {
            IpAddr::V4(address) => key[4..].copy_from_slice(&address.octets()),
            IpAddr::V6(address) => key.copy_from_slice(&address.octets()[..8]),
        }
        Self(key)
    }
}

/// Counts what keys do.
pub struct Limiter<K> {
    rate: Rate,
    /// When each key's bucket is full again.
    full_at: Mutex<HashMap<K, Duration>>,
}

impl<K: Hash + Eq> Limiter<K> {
    /// With a rate for every key.
    #[must_use]
    pub fn new(rate: Rate) -> Self {
        Self { rate, full_at: Mutex::default() }
    }

    /// Counts one, at a time since 1970.
    ///
    /// # Errors
    /// When the key has to wait; then nothing is counted.
    pub fn check(&self, key: K, now: Duration) -> Result<(), RetryAfter> {
        let Some(cost) = self.rate.per.checked_div(self.rate.count) else { return Ok(()) };
        let mut full_at = self.full_at.lock().unwrap_or_else(PoisonError::into_inner);
        if full_at.len() >= KEYS_MAX && !full_at.contains_key(&key) {
            make_room(&mut full_at, now);
        }
        let slot = full_at.entry(key).or_default();
        // A clock that was ahead for a while keeps nobody waiting for longer than the period.
        let begun = (*slot).clamp(now, now + self.rate.per);
        let full = begun + cost;
        if full > now + self.rate.per {
            return Err(RetryAfter(full.saturating_sub(now + self.rate.per)));
        }
        *slot = full;
        Ok(())
    }
}

fn make_room<K: Hash + Eq>(full_at: &mut HashMap<K, Duration>, now: Duration) {
    full_at.retain(|_, full| *full > now);
    if full_at.len() >= KEYS_MAX / 2 {
        let mut times: Vec<_> = full_at.values().copied().collect();
        times.sort_unstable();
        let (_, kept) = times.split_at(times.len() / 2);
        let Some(least) = kept.first().copied() else { return };
        // Many may have the same time. As many of them stay as there is room for, or a flood of equals would free them all.
        let mut equals = kept.iter().take_while(|full| **full == least).count();
        full_at.retain(|_, full| {
            let is_equal = *full == least && equals > 0;
            equals -= usize::from(is_equal);
            *full > least || is_equal
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_mins(1);

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(1_000_000 + seconds)
    }

    #[test]
    fn a_burst_is_free_and_then_it_drips() {
        let limiter = Limiter::new(Rate { count: 6, per: MINUTE });
        for _ in 0..6 {
            assert_eq!(limiter.check("anna", at(0)), Ok(()));
        }
        assert_eq!(limiter.check("anna", at(0)).unwrap_err().seconds(), 10);
        assert_eq!(limiter.check("ben", at(0)), Ok(()), "another key");
        assert!(limiter.check("anna", at(9)).is_err());
        assert_eq!(limiter.check("anna", at(10)), Ok(()));
        assert!(limiter.check("anna", at(10)).is_err());
        assert!((0..6).all(|_| limiter.check("anna", at(100)).is_ok()));
    }

    #[test]
    fn a_clock_set_back_keeps_nobody_waiting_for_long() {
        let limiter = Limiter::new(Rate { count: 1, per: MINUTE });
        assert_eq!(limiter.check("anna", at(1_000_000)), Ok(()));
        assert!(limiter.check("anna", at(0)).unwrap_err().seconds() <= 60);
    }

    #[test]
    fn no_limit_and_bounded_memory() {
        let limiter = Limiter::new(Rate { count: 0, per: MINUTE });
        assert!((0..1000).all(|_| limiter.check("anna", at(0)).is_ok()));
        let limiter = Limiter::new(Rate { count: 1, per: MINUTE });
        for key in 0..2 * KEYS_MAX {
            assert_eq!(limiter.check(key, at(0)), Ok(()));
        }
        assert!(limiter.full_at.lock().unwrap().len() <= KEYS_MAX);
    }

    #[test]
    fn a_flood_of_keys_frees_nobody_who_is_limited_more() {
        let limiter = Limiter::new(Rate { count: 2, per: MINUTE });
        assert!((0..2).all(|_| limiter.check(usize::MAX, at(0)).is_ok()));
        for key in 0..3 * KEYS_MAX {
            assert_eq!(limiter.check(key, at(0)), Ok(()));
        }
        assert!(limiter.check(usize::MAX, at(0)).is_err());
    }

    #[test]
    fn a_flood_of_equals_frees_half_of_them_at_most() {
        let limiter = Limiter::new(Rate { count: 1, per: MINUTE });
        for key in 0..=KEYS_MAX {
            assert_eq!(limiter.check(key, at(0)), Ok(()));
        }
        assert_eq!(limiter.full_at.lock().unwrap().len(), KEYS_MAX / 2 + 1);
    }

    #[test]
    fn addresses_are_told_apart_as_far_as_they_are_different_people() {
        let key = |text: &str| AddressKey::of(text.parse().unwrap());
        assert!(key("2001:db8::1") == key("2001:db8::2:3"));
        assert!(key("2001:db8::1") != key("2001:db8:0:1::1"));
        assert!(key("192.0.2.1") != key("192.0.2.2"));
        assert!(key("::ffff:192.0.2.1") == key("192.0.2.1"));
    }
}
