//! Safety numbers: sixty digits that two members compare, to know that no one stands between them.
//!
//! SPEC.md section 5.8. Thirty digits for each side, the smaller first, so both read the same number. Each side's are
//! five bytes at a time of `SHA-256(label ‖ 0x00 ‖ account ‖ identity)`, modulo 100,000.

use std::fmt;

use crate::hash::labelled;
use crate::ids::AccountId;
use crate::labels;
use crate::signing::VerifyingKey;

const GROUPS_A_SIDE: usize = 6;

/// A safety number, shown as twelve groups of five digits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SafetyNumber([[u32; GROUPS_A_SIDE]; 2]);

impl SafetyNumber {
    /// The number of two accounts and the identities that this device knows for them.
    #[must_use]
    pub fn between(ours: (&AccountId, &VerifyingKey), theirs: (&AccountId, &VerifyingKey)) -> Self {
        let mut sides = [side(ours), side(theirs)];
        sides.sort_unstable();
        Self(sides)
    }
}

impl fmt::Display for SafetyNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, group) in self.0.as_flattened().iter().enumerate() {
            write!(f, "{}{group:05}", if i == 0 { "" } else { " " })?;
        }
        Ok(())
    }
}

fn side((account, identity): (&AccountId, &VerifyingKey)) -> [u32; GROUPS_A_SIDE] {
    let hash = labelled(labels::SAFETY_NUMBER, &[account.as_bytes(), identity.as_bytes()]);
    std::array::from_fn(|group| {
        let five = &hash[group * 5..group * 5 + 5];
        let number = five.iter().fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
        u32::try_from(number % 100_000).expect("five digits fit")
    })
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::super::keys::{IdentitySecret, account_id};
    use super::*;

    #[test]
    fn both_sides_read_the_same_and_an_impostor_another() {
        let rng = &mut StdRng::seed_from_u64(1);
        let people: Vec<_> = (0..3)
            .map(|_| IdentitySecret::make(rng).public())
            .map(|identity| (account_id(&identity), identity))
            .collect();
        let [a, b, m] = [0, 1, 2].map(|i| (&people[i].0, &people[i].1));
        assert_eq!(SafetyNumber::between(a, b), SafetyNumber::between(b, a));
        assert_ne!(SafetyNumber::between(a, b), SafetyNumber::between(a, m));
        assert_ne!(SafetyNumber::between(a, b), SafetyNumber::between(a, (b.0, m.1)));
        let shown = SafetyNumber::between(a, b).to_string();
        assert_eq!(shown.split(' ').filter(|g| g.len() == 5 && g.parse::<u32>().is_ok()).count(), 12);
    }
}
