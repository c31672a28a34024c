//! Padding, so that a length says little.
//!
//! SPEC.md section 4.2. Padmé keeps only the highest `⌊log2 ⌊log2 n⌋⌋ + 1` bits below the leading one of a length:
//! at most 12 % more bytes, and all that is left to see is the order of magnitude and a few bits.
//!
//! ```text
//! ┌────────────┬─────────┬───────┐
//! │ length, BE │ content │ zeros │   filled to Padmé(4 + content), or to a multiple
//! │     4      │    n    │       │
//! └────────────┴─────────┴───────┘
//! ```

use zeroize::Zeroizing;

use crate::cbor::DecodeError;

const LENGTH_LEN: usize = 4;

/// The length to which Padmé pads `len`, never less than `floor`.
#[must_use]
pub const fn padme(len: u64, floor: u64) -> u64 {
    let len = if len < floor { floor } else { len };
    if len < 2 {
        return len;
    }
    let exponent = len.ilog2();
    let kept = exponent.ilog2() + 1;
    let dropped = exponent.saturating_sub(kept);
    // No length near the end of the range is ever sealed; there it stays what it is.
    match len.checked_next_multiple_of(1 << dropped) {
        Some(padded) => padded,
        None => len,
    }
}

/// Pads `content` to exactly the length that `rule` makes of what the content needs.
pub(crate) fn pad(content: &[u8], rule: impl FnOnce(u64) -> u64) -> Zeroizing<Vec<u8>> {
    let needed = LENGTH_LEN + content.len();
    let len =
        usize::try_from(rule(needed as u64)).expect("a padded length fits in memory, as its content does");
    let mut padded = Zeroizing::new(Vec::with_capacity(len));
    padded.extend_from_slice(
        &u32::try_from(content.len()).expect("sealed values are far below 4 GiB").to_be_bytes(),
    );
    padded.extend_from_slice(content);
    padded.resize(len, 0);
    padded
}

/// Takes the padding off; the padded length must be the one that `rule` gives, and the filling must be zeros.
pub(crate) fn unpad(padded: &[u8], rule: impl FnOnce(u64) -> u64) -> Result<&[u8], DecodeError> {
    let (len, rest) = padded.split_first_chunk::<LENGTH_LEN>().ok_or(DecodeError::Truncated)?;
    let len = u32::from_be_bytes(*len);
    let (content, zeros) =
        usize::try_from(len).ok().and_then(|len| rest.split_at_checked(len)).ok_or(DecodeError::Truncated)?;
    let expected = rule(u64::from(len) + LENGTH_LEN as u64);
    if expected != padded.len() as u64 || zeros.iter().any(|byte| *byte != 0) {
        return Err(DecodeError::NotDeterministic);
    }
    Ok(content)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn floor_16(len: u64) -> u64 {
        padme(len, 16)
    }

    #[test]
    fn padme_is_the_published_function() {
        let table =
            [(0, 0), (1, 1), (2, 2), (8, 8), (9, 10), (1000, 1024), (1025, 1088), (1057, 1088), (4097, 4352)];
        for (len, padded) in table {
            assert_eq!(padme(len, 0), padded, "{len}");
        }
        assert_eq!(padme(262_143, 1024), 262_144);
        assert_eq!(padme(5, 1024), 1024);
    }

    #[test]
    fn padding_that_is_not_the_one_form_is_refused() {
        let good = pad(b"abc", floor_16);
        assert_eq!(good.len(), 16);
        assert_eq!(unpad(&good, floor_16), Ok(&b"abc"[..]));
        assert_eq!(unpad(&good[..3], floor_16), Err(DecodeError::Truncated));
        assert_eq!(unpad(&good[..15], floor_16), Err(DecodeError::NotDeterministic));
        let mut dirty = good.to_vec();
        dirty[15] = 1;
        assert_eq!(unpad(&dirty, floor_16), Err(DecodeError::NotDeterministic));
        let mut long = good.to_vec();
        long[3] = 13;
        assert_eq!(unpad(&long, floor_16), Err(DecodeError::Truncated));
        long.resize(32, 0);
        assert_eq!(unpad(&long, floor_16), Err(DecodeError::NotDeterministic));
    }

    proptest! {
        #[test]
        fn what_is_padded_is_unpadded(content in proptest::collection::vec(any::<u8>(), 0..5000)) {
            let padded = pad(&content, floor_16);
            prop_assert_eq!(unpad(&padded, floor_16).unwrap(), content.as_slice());
        }

        #[test]
        fn padme_costs_at_most_twelve_percent(len in 1_u64..1 << 40) {
            let padded = padme(len, 0);
            prop_assert!(padded >= len && padded * 100 <= len * 112 + 100);
            prop_assert_eq!(padme(padded, 0), padded);
        }
    }
}
