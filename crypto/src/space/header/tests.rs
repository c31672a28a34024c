use super::*;
use crate::ids::SlotId;
use crate::sealed::OVERHEAD;
use crate::space::record::seal_record;
use crate::world::Person;

fn header(anna: &Person, other_heads: usize) -> Header {
    let place = Place { seq: u64::MAX, head: Head::new([4; 32]) };
    Header {
        other_heads: vec![(SpaceId::new([3; 16]), place); other_heads],
        control: Some((9, ControlHash::new([6; 32]))),
        joined: vec![place; 2],
        ..anna.header(0, 0, StateRoot::new([5; 32]))
    }
}

#[test]
fn what_is_signed_and_sealed_is_opened_and_verified() {
    let mut anna = Person::new(1, 1);
    let at = Place { seq: 4, head: Head::new([1; 32]) };
    for heads in [0, 1, OTHER_HEADS_MAX] {
        let header = header(&anna, heads);
        let bytes = header.seal(&anna.space, &at, &anna.key(), &anna.devices[0], &mut anna.rng);
        let commit = Commit::parse(&bytes).unwrap();
        assert_eq!((commit.space, commit.seq, commit.epoch, commit.prev), (anna.space, 5, 1, at.head));
        assert_eq!((commit.header.len() - OVERHEAD) % 256, 0);
        let opened = Header::open(&commit, &anna.key()).unwrap();
        assert_eq!(opened.claims(), &header);
        assert_eq!(opened.verify(&anna.devices[0].public().signing), Ok(header));
    }
}

#[test]
fn a_private_header_is_256_bytes_and_says_nothing_by_its_length() {
    let mut anna = Person::new(1, 1);
    let header = anna.header(0, 0, StateRoot::new([5; 32]));
    let at = Place::start(&anna.space);
    let bytes = header.seal(&anna.space, &at, &anna.key(), &anna.devices[0], &mut anna.rng);
    assert_eq!(Commit::parse(&bytes).unwrap().header.len(), 256 + OVERHEAD);
}

#[test]
fn a_header_opens_at_its_place_only() {
    let mut anna = Person::new(1, 1);
    let at = Place { seq: 4, head: Head::new([1; 32]) };
    let bytes = anna.commit(&at, 0, 0, StateRoot::new([5; 32]));
    let commit = Commit::parse(&bytes).unwrap();
    let moved = [
        Commit { space: SpaceId::new([9; 16]), ..commit.clone() },
        Commit { seq: 6, ..commit.clone() },
        Commit { epoch: 2, ..commit.clone() },
        Commit { prev: Head::new([9; 32]), ..commit.clone() },
    ];
    for elsewhere in moved {
        assert_eq!(Header::open(&elsewhere, &anna.key()).unwrap_err(), OpenError::WrongKeyOrContext);
    }
    let record = seal_record(&anna.key(), &anna.space, &SlotId::new([0; 16]), b"", &mut anna.rng).unwrap();
    let record = Commit { header: &record, ..commit.clone() };
    assert_eq!(Header::open(&record, &anna.key()).unwrap_err(), OpenError::WrongKeyOrContext);
    for byte in 0..commit.header.len() {
        let mut altered = commit.header.to_vec();
        altered[byte] ^= 1;
        assert!(Header::open(&Commit { header: &altered, ..commit.clone() }, &anna.key()).is_err());
    }
}

proptest::proptest! {
    /// A member who has the key can seal anything; what is no header is refused by its form.
    #[test]
    fn garbage_under_the_right_key_is_no_header(garbage: Vec<u8>) {
        let mut anna = Person::new(1, 1);
        let at = Place { seq: 4, head: Head::new([1; 32]) };
        let bytes = anna.commit(&at, 0, 0, StateRoot::new([5; 32]));
        let commit = Commit::parse(&bytes).unwrap();
        let sealed = sealed::seal_padded(&anna.key().key, &header_context(&commit), &garbage, to_multiple, &mut anna.rng);
        let opened = Header::open(&Commit { header: &sealed, ..commit }, &anna.key());
        proptest::prop_assert!(matches!(opened, Err(OpenError::Plaintext(_))));
        proptest::prop_assert!(Header::decode(&garbage).is_err());
    }
}

/// Whoever has the space's key can seal, but not sign.
#[test]
fn a_resealed_header_does_not_verify() {
    let mut anna = Person::new(1, 2);
    let at = Place { seq: 4, head: Head::new([1; 32]) };
    let bytes = anna.commit(&at, 0, 0, StateRoot::new([5; 32]));
    let commit = Commit::parse(&bytes).unwrap();
    let opened = Header::open(&commit, &anna.key()).unwrap();
    assert_eq!(opened.clone().verify(&anna.devices[1].public().signing), Err(BadSignature));

    // The same header and signature, sealed for the next place.
    let later = Commit { seq: 6, ..commit };
    let moved = encode(&[opened.header.encode().as_slice().into(), (&opened.signature).into()]);
    let sealed =
        sealed::seal_padded(&anna.key().key, &header_context(&later), &moved, to_multiple, &mut anna.rng);
    let reopened = Header::open(&Commit { header: &sealed, ..later }, &anna.key()).unwrap();
    assert_eq!(reopened.verify(&anna.devices[0].public().signing), Err(BadSignature));
}
