//! Records: what people write, sealed once and padded, so that a mood and an entry look alike.
//!
//! SPEC.md section 6.
//!
//! ```text
//! record = seal(key of the epoch, [ label, version, space, slot, epoch ], content padded by Padmé from 1 KiB)
//! ```
//!
//! The content is the app's business (a CBOR map). Its slot is random, or for a singleton follows from the name key
//! ([`NameKey::singleton_slot`](crate::account::root::NameKey::singleton_slot)).

use rand_core::CryptoRng;
use thiserror::Error;

use super::keys::SpaceKey;
use crate::cbor::DecodeError;
use crate::hash::context;
use crate::ids::{SlotId, SpaceId};
use crate::labels;
use crate::padding::padme;
use crate::sealed::{self, OVERHEAD, OpenError};

/// The least that a record is padded to.
pub const PADDED_LEN_MIN: usize = 1024;
/// The most that a padded record may have.
pub const PADDED_LEN_MAX: usize = 256 * 1024;
/// The longest content: what is larger is an attachment.
pub const CONTENT_LEN_MAX: usize = PADDED_LEN_MAX - 1;
/// The longest sealed record.
pub const SEALED_LEN_MAX: usize = PADDED_LEN_MAX + OVERHEAD;

/// The content does not fit into a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("a record holds at most {CONTENT_LEN_MAX} bytes, this has {0}")]
pub struct RecordTooLarge(pub usize);

/// Seals a record. The result is what is stored, hashed, pushed and pulled, unchanged.
///
/// # Errors
/// When the content is longer than [`CONTENT_LEN_MAX`].
pub fn seal_record(
    key: &SpaceKey,
    space: &SpaceId,
    slot: &SlotId,
    content: &[u8],
    rng: &mut impl CryptoRng,
) -> Result<Vec<u8>, RecordTooLarge> {
    if content.len() > CONTENT_LEN_MAX {
        return Err(RecordTooLarge(content.len()));
    }
    Ok(sealed::seal_padded(&key.key, &record_context(key, space, slot), content, padded_len, rng))
}

/// Opens a record of this space, slot and epoch.
///
/// # Errors
/// When it is not one, or altered, or not padded as it must be.
pub fn open_record(
    key: &SpaceKey,
    space: &SpaceId,
    slot: &SlotId,
    record: &[u8],
) -> Result<Vec<u8>, OpenError> {
    if record.len() > SEALED_LEN_MAX {
        return Err(OpenError::Plaintext(DecodeError::TooLarge));
    }
    sealed::open_padded(&key.key, &record_context(key, space, slot), record, padded_len)
}

fn padded_len(len: u64) -> u64 {
    padme(len, PADDED_LEN_MIN as u64)
}

fn record_context(key: &SpaceKey, space: &SpaceId, slot: &SlotId) -> Vec<u8> {
    context(labels::RECORD, &[space.into(), slot.into(), key.epoch.into()])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;

    fn place() -> (SpaceKey, SpaceId, SlotId) {
        (SpaceKey::new(3, [1; 32]), SpaceId::new([2; 16]), SlotId::new([3; 16]))
    }

    fn seal(content: &[u8]) -> Vec<u8> {
        let (key, space, slot) = place();
        seal_record(&key, &space, &slot, content, &mut StdRng::seed_from_u64(1)).unwrap()
    }

    #[test]
    fn a_mood_and_an_entry_look_alike() {
        assert_eq!(seal(b"").len(), 1024 + OVERHEAD);
        assert_eq!(seal(&[1; 1023]).len(), 1024 + OVERHEAD);
        assert_eq!(seal(&[1; 1024]).len(), 1088 + OVERHEAD);
        assert_eq!(seal(&vec![1; CONTENT_LEN_MAX]).len(), SEALED_LEN_MAX);
        let (key, space, slot) = place();
        let too_large = vec![1; CONTENT_LEN_MAX + 1];
        let refused = seal_record(&key, &space, &slot, &too_large, &mut StdRng::seed_from_u64(1));
        assert_eq!(refused, Err(RecordTooLarge(CONTENT_LEN_MAX + 1)));
    }

    #[test]
    fn a_record_opens_in_its_own_place_only() {
        let (key, space, slot) = place();
        let record = seal(b"dear diary");
        let open = |key: &SpaceKey, space, slot| open_record(key, &space, &slot, &record);
        assert_eq!(open(&key, space, slot).unwrap().as_slice(), b"dear diary");
        let elsewhere = Err(OpenError::WrongKeyOrContext);
        assert_eq!(open(&SpaceKey::new(4, [1; 32]), space, slot), elsewhere);
        assert_eq!(open(&SpaceKey::new(3, [2; 32]), space, slot), elsewhere);
        assert_eq!(open(&key, SpaceId::new([9; 16]), slot), elsewhere);
        assert_eq!(open(&key, space, SlotId::new([9; 16])), elsewhere);
        for byte in 0..record.len() {
            let mut altered = record.clone();
            altered[byte] ^= 0x80;
            assert!(open_record(&key, &space, &slot, &altered).is_err(), "byte {byte}");
        }
    }

    #[test]
    fn a_record_with_other_padding_is_refused() {
        let (key, space, slot) = place();
        let context = record_context(&key, &space, &slot);
        let rng = &mut StdRng::seed_from_u64(1);
        for plaintext in
            [vec![0; 1024], vec![0x80; 1023], vec![], vec![1; 1024], [vec![0x80], vec![0; 2047]].concat()]
        {
            let record = sealed::seal(&key.key, &context, &plaintext, rng);
            assert!(matches!(open_record(&key, &space, &slot, &record), Err(OpenError::Plaintext(_))));
        }
    }

    proptest! {
        #[test]
        fn what_is_sealed_opens(content in proptest::collection::vec(any::<u8>(), 0..3000)) {
            let (key, space, slot) = place();
            let opened = open_record(&key, &space, &slot, &seal(&content)).unwrap();
            prop_assert_eq!(opened.as_slice(), content.as_slice());
        }
    }
}
