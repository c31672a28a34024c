//! The recovery code: 160 random bits that a person writes down.
//!
//! SPEC.md section 5.5. Crockford's base 32 (no I, L, O, U), nine groups of four: 32 characters of code and 4 of
//! checksum. Reading it back forgives case, separators, and O, I, L for 0, 1, 1; the checksum catches a slip of the
//! pen before anything is sent.
//!
//! ```text
//! 7KQ2-MX0D-…  = base32( code(20) ‖ checksum(20 bits) ),  checksum = first bits of SHA-256(label ‖ 0x00 ‖ code)
//! ```

use rand_core::CryptoRng;
use thiserror::Error;
use zeroize::Zeroizing;

use crate::hash::{context, derive, extract, labelled};
use crate::labels;
use crate::secret::{Secret, secret_key};
use crate::signing::{SigningKey, VerifyingKey};

const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const CODE_LEN: usize = 20;
const CODE_CHARS: usize = 32;
const CHECKSUM_CHARS: usize = 4;
const GROUP: usize = 4;

/// A recovery code.
#[derive(Debug, PartialEq, Eq)]
pub struct RecoveryCode(Secret<CODE_LEN>);

secret_key! {
    /// Seals the recovery bundle. The password bundle carries it, so that a new epoch can renew the recovery bundle
    /// without the code.
    RecoveryKek
}

/// Signs in with the recovery code, and finds the account by its public half.
#[derive(Debug)]
pub struct RecoverySignInSecret(pub(crate) SigningKey);

/// Why a typed text is not a recovery code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum RecoveryCodeError {
    /// Too few or too many characters.
    #[error("a recovery code has 36 characters, this has {0}")]
    Length(usize),
    /// A character that never stands in a code.
    #[error("'{0}' is never part of a recovery code")]
    Character(char),
    /// All characters are possible, but there is a typing mistake somewhere.
    #[error("there is a typing mistake in the recovery code")]
    Checksum,
}

impl RecoveryCode {
    /// A new code.
    #[must_use]
    pub fn make(rng: &mut impl CryptoRng) -> Self {
        Self(Secret::make(rng))
    }

    /// As it is shown to the user, once.
    #[must_use]
    pub fn to_text(&self) -> Zeroizing<String> {
        let checksum = self.checksum();
        let mut text = Zeroizing::new(String::with_capacity(CODE_CHARS + CHECKSUM_CHARS + 8));
        for (i, digit) in
            digits(self.0.expose()).chain(digits(&checksum)).take(CODE_CHARS + CHECKSUM_CHARS).enumerate()
        {
            if i > 0 && i % GROUP == 0 {
                text.push('-');
            }
            text.push(char::from(ALPHABET[usize::from(digit)]));
        }
        text
    }

    /// Reads what a person typed.
    ///
    /// # Errors
    /// Says what is wrong, so that it can be mended.
    pub fn parse(text: &str) -> Result<Self, RecoveryCodeError> {
        let mut typed = Zeroizing::new(Vec::with_capacity(CODE_CHARS + CHECKSUM_CHARS));
        for c in text.chars().filter(|c| !c.is_whitespace() && !matches!(c, '-' | '_' | '.' | '–' | '—'))
        {
            // Growing would leave a copy behind, and nothing this long is a code.
            if typed.len() == CODE_CHARS + CHECKSUM_CHARS {
                return Err(RecoveryCodeError::Length(typed.len() + 1));
            }
            typed.push(digit(c).ok_or(RecoveryCodeError::Character(c))?);
        }
        if typed.len() != CODE_CHARS + CHECKSUM_CHARS {
            return Err(RecoveryCodeError::Length(typed.len()));
        }
        let code = Self(Secret::filled(|code| {
            for (bytes, digits) in code.chunks_exact_mut(5).zip(typed.chunks_exact(8)) {
                let bits = digits.iter().fold(0_u64, |bits, digit| bits << 5 | u64::from(*digit));
                bytes.copy_from_slice(&bits.to_be_bytes()[3..]);
            }
        }));
        let right = digits(&code.checksum()).take(CHECKSUM_CHARS).eq(typed[CODE_CHARS..].iter().copied());
        if right { Ok(code) } else { Err(RecoveryCodeError::Checksum) }
    }

    /// The key of the recovery bundle.
    #[must_use]
    pub fn kek(&self) -> RecoveryKek {
        RecoveryKek(derive(&extract(self.0.expose()), &context(labels::RECOVERY_KEK, &[])))
    }

    /// The key that signs in with this code.
    #[must_use]
    pub fn sign_in_secret(&self) -> RecoverySignInSecret {
        let seed = derive(&extract(self.0.expose()), &context(labels::RECOVERY_SIGN_IN_SEED, &[]));
        RecoverySignInSecret(SigningKey::from_seed(&seed))
    }

    #[cfg(test)]
    pub(crate) fn from_bytes_for_tests(code: [u8; CODE_LEN]) -> Self {
        Self(Secret::new(code))
    }

    #[cfg(test)]
    pub(crate) fn expose_for_tests(&self) -> &[u8; CODE_LEN] {
        self.0.expose()
    }

    fn checksum(&self) -> [u8; 5] {
        let hash = labelled(labels::RECOVERY_CHECKSUM, &[self.0.expose()]);
        [hash[0], hash[1], hash[2], hash[3], hash[4]]
    }
}

impl RecoverySignInSecret {
    /// The public half, which stands in the credential set.
    #[must_use]
    pub fn public(&self) -> VerifyingKey {
        self.0.public()
    }
}

/// The base 32 digits of bytes whose number is a multiple of five.
fn digits(bytes: &[u8]) -> impl Iterator<Item = u8> + '_ {
    bytes.chunks_exact(5).flat_map(|five| {
        let bits = five.iter().fold(0_u64, |bits, byte| bits << 8 | u64::from(*byte));
        (0..8).map(move |i| u8::try_from(bits >> (35 - 5 * i) & 31).expect("five bits fit in a byte"))
    })
}

fn digit(c: char) -> Option<u8> {
    let c = match c.to_ascii_uppercase() {
        'O' => '0',
        'I' | 'L' => '1',
        c => c,
    };
    ALPHABET.iter().position(|a| char::from(*a) == c).and_then(|at| u8::try_from(at).ok())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;

    fn code() -> RecoveryCode {
        RecoveryCode::make(&mut StdRng::seed_from_u64(1))
    }

    #[test]
    fn it_reads_what_a_person_writes() {
        let text = code().to_text();
        assert_eq!(text.len(), 36 + 8);
        assert_eq!(text.split('-').count(), 9);
        for typed in [
            text.to_string(),
            text.to_lowercase(),
            text.replace('-', ""),
            text.replace('-', " "),
            format!(" {}\n", text.replace('-', " - ")),
            text.replace('0', "o").replace('1', "l"),
            text.replace('0', "O").replace('1', "I"),
        ] {
            assert_eq!(RecoveryCode::parse(&typed), Ok(code()), "{typed}");
        }
    }

    #[test]
    fn it_says_what_is_wrong() {
        let text = code().to_text();
        assert_eq!(RecoveryCode::parse(""), Err(RecoveryCodeError::Length(0)));
        assert_eq!(RecoveryCode::parse(&text[..text.len() - 1]), Err(RecoveryCodeError::Length(35)));
        assert_eq!(RecoveryCode::parse(&format!("{}0", *text)), Err(RecoveryCodeError::Length(37)));
        assert_eq!(RecoveryCode::parse(&"0".repeat(100_000)), Err(RecoveryCodeError::Length(37)));
        assert_eq!(RecoveryCode::parse("U"), Err(RecoveryCodeError::Character('U')));
        assert_eq!(RecoveryCode::parse("ü"), Err(RecoveryCodeError::Character('ü')));
    }

    #[test]
    fn every_single_slip_and_swap_of_neighbours_is_caught() {
        let text = code().to_text().replace('-', "");
        for at in 0..text.len() {
            for replacement in ALPHABET {
                let mut typed = text.clone().into_bytes();
                typed[at] = *replacement;
                let typed = String::from_utf8(typed).unwrap();
                let expected = if typed == text { Ok(code()) } else { Err(RecoveryCodeError::Checksum) };
                assert_eq!(RecoveryCode::parse(&typed), expected);
            }
            let mut typed = text.clone().into_bytes();
            let next = (at + 1) % typed.len();
            typed.swap(at, next);
            let typed = String::from_utf8(typed).unwrap();
            assert!(typed == text || RecoveryCode::parse(&typed) == Err(RecoveryCodeError::Checksum));
        }
    }

    proptest! {
        #[test]
        fn what_is_shown_is_read(bytes: [u8; CODE_LEN]) {
            let code = RecoveryCode(Secret::new(bytes));
            prop_assert_eq!(RecoveryCode::parse(&code.to_text()), Ok(code));
        }

        #[test]
        fn garbage_is_refused(text: String) {
            prop_assert!(RecoveryCode::parse(&text).is_err());
        }
    }
}
