//! Padding, so that a length says little.
//!
//! SPEC.md section 4.2. Padmé keeps only the highest `⌊log2 ⌊log2 n⌋⌋ + 1` bits below the leading one of a length:
//! at most 12 % more bytes, and all that is left to see is the order of magnitude and a few bits.
//!
//! ```text
//! ┌─────────┬──────┬───────┐
//! │ content │ 0x80 │ zeros │   filled to Padmé(content + 1), or to a multiple
//! │    n    │  1   │       │
//! └─────────┴──────┴───────┘
//! ```

use crate::cbor::DecodeError;

const END: u8 = 0x80;

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

/// Pads everything in `out` behind `from` to exactly the length that `rule` makes of what the content needs.
pub(crate) fn pad(out: &mut Vec<u8>, from: usize, rule: impl FnOnce(u64) -> u64) {
    out.push(END);
    let needed = out.len() - from;
    let padded =
        usize::try_from(rule(needed as u64)).expect("a padded length fits in memory, as its content does");
    out.resize(from + padded, 0);
}

/// The length of the content in a padded value. The padded length must be the one that `rule` gives for it.
pub(crate) fn content_len(padded: &[u8], rule: impl FnOnce(u64) -> u64) -> Result<usize, DecodeError> {
    let end = padded.iter().rposition(|byte| *byte != 0).ok_or(DecodeError::Truncated)?;
    let right = padded[end] == END && rule(end as u64 + 1) == padded.len() as u64;
    if right { Ok(end) } else { Err(DecodeError::NotDeterministic) }
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

    fn padded(content: &[u8]) -> Vec<u8> {
        let mut out = [b"before", content].concat();
        pad(&mut out, 6, floor_16);
        out.split_off(6)
    }

    #[test]
    fn padding_that_is_not_the_one_form_is_refused() {
        let good = padded(b"abc");
        assert_eq!(good, b"abc\x80\0\0\0\0\0\0\0\0\0\0\0\0");
        assert_eq!(content_len(&good, floor_16), Ok(3));
        assert_eq!(content_len(&good[..15], floor_16), Err(DecodeError::NotDeterministic));
        assert_eq!(
            content_len(&[good.as_slice(), &[0]].concat(), floor_16),
            Err(DecodeError::NotDeterministic)
        );
        assert_eq!(content_len(&[0; 16], floor_16), Err(DecodeError::Truncated));
        assert_eq!(content_len(&[], floor_16), Err(DecodeError::Truncated));
        let mut dirty = good;
        dirty[15] = 1;
        assert_eq!(content_len(&dirty, floor_16), Err(DecodeError::NotDeterministic));
    }

    proptest! {
        #[test]
        fn what_is_padded_is_unpadded(content in proptest::collection::vec(any::<u8>(), 0..5000)) {
            let padded = padded(&content);
            let len = content_len(&padded, floor_16).unwrap();
            prop_assert_eq!(&padded[..len], content.as_slice());
        }

        #[test]
        fn padme_costs_at_most_twelve_percent(len in 1_u64..1 << 40) {
            let padded = padme(len, 0);
            prop_assert!(padded >= len && padded * 100 <= len * 112 + 100);
            prop_assert_eq!(padme(padded, 0), padded);
        }
    }
}
