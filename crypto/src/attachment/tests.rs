use proptest::prelude::*;
use rand::SeedableRng;
use rand::rngs::StdRng;

use super::*;

const SPACE: SpaceId = SpaceId::new([1; 16]);
const ID: AttachmentId = AttachmentId::new([2; 16]);

fn key() -> AttachmentKey {
    AttachmentKey::from_bytes([3; 32])
}

fn file(len: usize) -> Vec<u8> {
    (0..len).map(|i| u8::try_from(i * 7 % 251 + 1).unwrap()).collect()
}

fn seal_in_pieces(id: &AttachmentId, file: &[u8], pieces: usize) -> Vec<u8> {
    let mut out = Vec::new();
    let mut sealer = Sealer::start(&key(), &SPACE, id, &mut out, &mut StdRng::seed_from_u64(1));
    for piece in file.chunks(pieces.max(1)) {
        sealer.update(piece, &mut out).unwrap();
    }
    assert_eq!(sealer.finish(&mut out), Ok(file.len() as u64));
    out
}

fn seal(file: &[u8]) -> Vec<u8> {
    seal_in_pieces(&ID, file, usize::MAX)
}

fn open_in_pieces(len: usize, sealed: &[u8], pieces: usize) -> Result<Vec<u8>, AttachmentError> {
    let (header, body) = sealed.split_at(sealed.len().min(HEADER_LEN));
    let mut stream = Opener::start(&key(), &SPACE, &ID, len as u64, header)?.stream();
    let mut out = Vec::new();
    for piece in body.chunks(pieces.max(1)) {
        stream.update(piece, &mut out)?;
    }
    stream.finish().map(|()| out)
}

fn open(len: usize, sealed: &[u8]) -> Result<Vec<u8>, AttachmentError> {
    open_in_pieces(len, sealed, usize::MAX)
}

/// The chunks of an attachment, and the header before them.
fn split(sealed: &[u8]) -> (Vec<u8>, Vec<Vec<u8>>) {
    let (header, body) = sealed.split_at(HEADER_LEN);
    (header.to_vec(), body.chunks(SEALED_CHUNK_LEN).map(<[u8]>::to_vec).collect())
}

#[test]
fn lengths_at_every_edge() {
    for len in [0, 1, 2, 65_535, 65_536, 65_537, 131_071, 131_072, 131_073, 200_000] {
        let (file, layout) = (file(len), Layout::of(len as u64).unwrap());
        let sealed = seal(&file);
        assert_eq!(sealed.len() as u64, layout.sealed_len(), "{len}");
        assert_eq!(open(len, &sealed).unwrap(), file, "{len}");
    }
    assert_eq!(Layout::of(0).unwrap().chunks(), 1);
    assert_eq!(Layout::of(65_536).unwrap().chunks(), 1);
    assert_eq!(Layout::of(65_537).unwrap().chunks(), 2);
    assert_eq!(seal(&[]).len(), HEADER_LEN + TAG_LEN);
    let most = CHUNKS_MAX * CHUNK_LEN as u64;
    assert_eq!(Layout::of(most).unwrap().chunks(), CHUNKS_MAX);
    assert_eq!(Layout::of(most + 1), Err(AttachmentError::TooLarge));
    assert_eq!(Layout::of(u64::MAX), Err(AttachmentError::TooLarge));
}

#[test]
fn every_altered_byte_is_refused() {
    let sealed = seal(&file(9));
    for at in 0..sealed.len() {
        let mut altered = sealed.clone();
        altered[at] ^= 1;
        let expected = match at {
            0 => AttachmentError::UnknownVersion(0),
            1..HEADER_LEN => AttachmentError::WrongKeyOrContext,
            _ => AttachmentError::Altered,
        };
        assert_eq!(open(9, &altered), Err(expected), "byte {at}");
    }
}

/// What a server can do to a file without being able to read it.
#[test]
fn chunks_stay_where_they_belong() {
    use AttachmentError::{Altered, Trailing, Truncated};
    let len = 3 * CHUNK_LEN;
    let (header, chunks) = split(&seal(&file(len)));
    let (_, foreign) = split(&seal_in_pieces(&AttachmentId::new([9; 16]), &file(len), usize::MAX));
    let [a, b, c] = [0, 1, 2].map(|i| &chunks[i]);
    type Trick<'a> = (&'a str, Vec<&'a Vec<u8>>, Result<(), AttachmentError>);
    let table: Vec<Trick<'_>> = vec![
        ("as it was", vec![a, b, c], Ok(())),
        ("swapped", vec![b, a, c], Err(Altered)),
        ("repeated", vec![a, a, c], Err(Altered)),
        ("last moved forward", vec![a, c, b], Err(Altered)),
        ("last dropped", vec![a, b], Err(Truncated)),
        ("first dropped", vec![b, c], Err(Altered)),
        ("all dropped", vec![], Err(Truncated)),
        ("one more", vec![a, b, c, c], Err(Trailing)),
        ("transplanted", vec![a, &foreign[1], c], Err(Altered)),
    ];
    for (what, chunks, expected) in table {
        let sealed = [vec![&header], chunks].concat().into_iter().flatten().copied().collect::<Vec<_>>();
        assert_eq!(open(len, &sealed).map(drop), expected, "{what}");
    }
}

#[test]
fn a_file_that_is_cut_off_is_never_whole() {
    let len = 2 * CHUNK_LEN + 10;
    let sealed = seal(&file(len));
    for cut in [0, 1, 56, 57, 58, 1000, HEADER_LEN + SEALED_CHUNK_LEN, sealed.len() - 17, sealed.len() - 1] {
        assert_eq!(open(len, &sealed[..cut]), Err(AttachmentError::Truncated), "{cut} bytes");
    }
    assert_eq!(open(len, &[sealed.as_slice(), &[0]].concat()), Err(AttachmentError::Trailing));
}

#[test]
fn every_cut_near_a_border_is_noticed() {
    let len = CHUNK_LEN + 100;
    let sealed = seal(&file(len));
    let borders = [20, HEADER_LEN, HEADER_LEN + SEALED_CHUNK_LEN, sealed.len()];
    for cut in
        borders.into_iter().flat_map(|border| border - 20..border + 20).filter(|cut| *cut < sealed.len())
    {
        assert_eq!(open(len, &sealed[..cut]), Err(AttachmentError::Truncated), "{cut} bytes");
    }
}

/// Seals full chunks with flags of one's choice, as only somebody with the key can.
fn seal_flagged(key: &AttachmentKey, salt: u64, flags: &[bool]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut sealer = Sealer::start(key, &SPACE, &ID, &mut out, &mut StdRng::seed_from_u64(salt));
    for last in flags {
        sealer.buffer.resize(CHUNK_LEN, 7);
        sealer.seal_chunk(*last, &mut out);
    }
    out
}

#[test]
fn only_the_last_chunk_is_the_last() {
    let len = 2 * CHUNK_LEN;
    assert_eq!(open(len, &seal_flagged(&key(), 1, &[false, true])), Ok(vec![7; len]));
    for flags in [[false, false], [true, false], [true, true]] {
        assert_eq!(open(len, &seal_flagged(&key(), 1, &flags)), Err(AttachmentError::Altered), "{flags:?}");
    }
}

/// Of another key, and of an earlier sealing of the same file under the same key and id.
#[test]
fn chunks_of_another_sealing_are_refused() {
    let (header, ours) = split(&seal_flagged(&key(), 1, &[false, true]));
    for other in [
        seal_flagged(&AttachmentKey::from_bytes([9; 32]), 1, &[false, true]),
        seal_flagged(&key(), 2, &[false, true]),
    ] {
        let (_, theirs) = split(&other);
        for mixed in [[&ours[0], &theirs[1]], [&theirs[0], &ours[1]], [&theirs[0], &theirs[1]]] {
            let sealed = [header.as_slice(), mixed[0], mixed[1]].concat();
            assert_eq!(open(2 * CHUNK_LEN, &sealed), Err(AttachmentError::Altered));
        }
    }
}

/// What was released before a failure is verified, and nothing comes after it.
#[test]
fn a_failure_is_final() {
    let len = 3 * CHUNK_LEN;
    let (file, good) = (file(len), seal(&file(len)));
    let mut bad = good.clone();
    bad[HEADER_LEN + SEALED_CHUNK_LEN] ^= 1;
    let mut stream = Opener::start(&key(), &SPACE, &ID, len as u64, &bad[..HEADER_LEN]).unwrap().stream();
    let mut out = Vec::new();
    assert_eq!(stream.update(&bad[HEADER_LEN..], &mut out), Err(AttachmentError::Altered));
    let again = &good[HEADER_LEN + SEALED_CHUNK_LEN..];
    assert_eq!(stream.update(again, &mut out), Err(AttachmentError::Altered));
    assert_eq!(out, file[..CHUNK_LEN]);
    assert_eq!(stream.finish(), Err(AttachmentError::Truncated));
}

#[test]
fn what_became_too_large_is_never_finished() {
    let mut out = Vec::new();
    let mut sealer = Sealer::start(&key(), &SPACE, &ID, &mut out, &mut StdRng::seed_from_u64(1));
    sealer.len = CHUNKS_MAX * CHUNK_LEN as u64;
    assert_eq!(sealer.update(&[1], &mut out), Err(AttachmentError::TooLarge));
    assert_eq!(sealer.finish(&mut out), Err(AttachmentError::TooLarge));
}

/// The length comes from the sealed record. With another one, nothing fits.
#[test]
fn another_length_is_refused() {
    let sealed = seal(&file(CHUNK_LEN));
    assert_eq!(open(CHUNK_LEN + 1, &sealed), Err(AttachmentError::Altered));
    assert_eq!(open(CHUNK_LEN - 4096, &sealed), Err(AttachmentError::Altered));
    assert_eq!(open(0, &sealed), Err(AttachmentError::Altered));
    // Within one padded length only the filling tells, and it must be zeros.
    assert_eq!(open(65_535, &sealed), Err(AttachmentError::Padding));
}

#[test]
fn another_key_space_or_id_is_refused() {
    let sealed = seal(&file(10));
    let start =
        |key: &AttachmentKey, space, id| Opener::start(key, &space, &id, 10, &sealed[..HEADER_LEN]).map(drop);
    assert_eq!(start(&key(), SPACE, ID), Ok(()));
    let refused = Err(AttachmentError::WrongKeyOrContext);
    assert_eq!(start(&AttachmentKey::from_bytes([9; 32]), SPACE, ID), refused);
    assert_eq!(start(&key(), SpaceId::new([9; 16]), ID), refused);
    assert_eq!(start(&key(), SPACE, AttachmentId::new([9; 16])), refused);
    assert_eq!(Opener::start(&key(), &SPACE, &ID, 10, &sealed).map(drop), Err(AttachmentError::Trailing));
}

#[test]
fn any_range_can_be_read_alone() {
    let len = 3 * CHUNK_LEN + 100;
    let (file, sealed) = (file(len), seal(&file(len)));
    let opener = Opener::start(&key(), &SPACE, &ID, len as u64, &sealed[..HEADER_LEN]).unwrap();
    let layout = opener.layout();
    for range in [0..1, 0..len, 65_535..65_537, 131_072..131_073, len - 1..len, len - 1..len + 500] {
        let chunks = layout.chunks_of(range.start as u64..range.end as u64);
        let mut read = Vec::new();
        for index in chunks.clone() {
            let place = layout.sealed_chunk(index).unwrap();
            let place = usize::try_from(place.start).unwrap()..usize::try_from(place.end).unwrap();
            read.extend_from_slice(&opener.open_chunk(index, &sealed[place]).unwrap());
        }
        let first = usize::try_from(chunks.start).unwrap() * CHUNK_LEN;
        let end = range.end.min(len);
        assert_eq!(read[range.start - first..end - first], file[range.start..end], "{range:?}");
    }
    assert_eq!(layout.chunks_of(len as u64..len as u64 + 1), 0..0);
    let chunks = layout.chunks();
    assert_eq!(opener.open_chunk(chunks, &[0; 16]), Err(AttachmentError::NoSuchChunk(chunks)));
    assert_eq!(opener.open_chunk(0, &[0; 16]), Err(AttachmentError::Truncated));
    assert_eq!(opener.open_chunk(0, &vec![0; SEALED_CHUNK_LEN + 1]), Err(AttachmentError::Trailing));
}

/// Lengths around those to which Padmé fills up, and around chunks.
#[test]
fn lengths_around_padded_ones() {
    for edge in [8, 1024, 1088, 65_536, 69_632, 131_072, 135_168, 196_608, 270_336] {
        for len in [edge - 1, edge, edge + 1] {
            let file = file(len);
            assert_eq!(open(len, &seal(&file)), Ok(file), "{len}");
        }
    }
}

/// `0`, `len`, and places between, in order.
fn cuts(len: usize, places: &[usize]) -> Vec<usize> {
    let mut cuts: Vec<_> = places.iter().map(|place| place % (len + 1)).chain([0, len]).collect();
    cuts.sort_unstable();
    cuts
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    #[test]
    fn uneven_pieces_do_not_matter(
        len in 0_usize..200_000,
        sealing: Vec<usize>,
        opening: Vec<usize>,
    ) {
        let file = file(len);
        let mut sealed = Vec::new();
        let mut sealer = Sealer::start(&key(), &SPACE, &ID, &mut sealed, &mut StdRng::seed_from_u64(1));
        for cut in cuts(len, &sealing).windows(2) {
            sealer.update(&file[cut[0]..cut[1]], &mut sealed).unwrap();
        }
        prop_assert_eq!(sealer.finish(&mut sealed), Ok(len as u64));
        prop_assert_eq!(&sealed, &seal(&file));
        let (header, body) = sealed.split_at(HEADER_LEN);
        let mut stream = Opener::start(&key(), &SPACE, &ID, len as u64, header).unwrap().stream();
        let mut read = Vec::new();
        for cut in cuts(body.len(), &opening).windows(2) {
            stream.update(&body[cut[0]..cut[1]], &mut read).unwrap();
        }
        prop_assert_eq!(stream.finish(), Ok(()));
        prop_assert_eq!(read, file);
    }

    #[test]
    fn pieces_do_not_matter(len in 0_usize..200_000, sealing in 1_usize..100_000, opening in 1_usize..100_000) {
        let file = file(len);
        let sealed = seal_in_pieces(&ID, &file, sealing);
        prop_assert_eq!(&sealed, &seal(&file));
        prop_assert_eq!(open_in_pieces(len, &sealed, opening), Ok(file));
    }

    #[test]
    fn garbage_is_no_attachment(garbage: Vec<u8>, len in 0_usize..100) {
        prop_assert!(open(len, &garbage).is_err());
    }
}
