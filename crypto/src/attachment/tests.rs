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
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
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
