use super::*;
use proptest::prelude::*;

#[test]
fn heads_take_their_shortest_form() {
    let cases: [(u64, &[u8]); 10] = [
        (0, &[0x00]),
        (23, &[0x17]),
        (24, &[0x18, 24]),
        (255, &[0x18, 255]),
        (256, &[0x19, 1, 0]),
        (0xffff, &[0x19, 0xff, 0xff]),
        (0x1_0000, &[0x1a, 0, 1, 0, 0]),
        (0xffff_ffff, &[0x1a, 0xff, 0xff, 0xff, 0xff]),
        (0x1_0000_0000, &[0x1b, 0, 0, 0, 1, 0, 0, 0, 0]),
        (u64::MAX, &[0x1b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]),
    ];
    for (value, encoded) in cases {
        let bytes = encode(&[value.into()]);
        assert_eq!(bytes[0], 0x81);
        assert_eq!(&bytes[1..], encoded, "{value}");
    }
}

#[test]
fn whatever_is_not_the_one_encoding_is_refused() {
    use DecodeError::{NotDeterministic, Shape, Trailing, Truncated};
    let cases: [(&str, &[u8], DecodeError); 16] = [
        ("nothing", &[], Truncated),
        ("a long form of 23", &[0x81, 0x18, 23], NotDeterministic),
        ("a long form of 255", &[0x81, 0x19, 0, 255], NotDeterministic),
        ("a long form of 65535", &[0x81, 0x1a, 0, 0, 255, 255], NotDeterministic),
        ("a long form of 2^32-1", &[0x81, 0x1b, 0, 0, 0, 0, 255, 255, 255, 255], NotDeterministic),
        ("an indefinite array", &[0x9f, 0x01, 0xff], NotDeterministic),
        ("an indefinite byte string", &[0x81, 0x5f, 0xff], NotDeterministic),
        ("reserved additional information", &[0x81, 0x1c], NotDeterministic),
        ("a negative number", &[0x81, 0x20], NotDeterministic),
        ("a map", &[0x81, 0xa0], NotDeterministic),
        ("a tag", &[0x81, 0xc0, 0x00], NotDeterministic),
        ("null", &[0x81, 0xf6], NotDeterministic),
        ("a float", &[0x81, 0xf9, 0, 0], NotDeterministic),
        ("bytes where a number should be", &[0x81, 0x40], Shape),
        ("two items where one should be", &[0x82, 0x00, 0x00], Shape),
        ("bytes after the value", &[0x81, 0x00, 0x00], Trailing),
    ];
    for (what, bytes, expected) in cases {
        let read = Decoder::new(bytes, 1).and_then(|mut d| {
            d.uint()?;
            d.finish()
        });
        assert_eq!(read, Err(expected), "{what}");
    }
}

#[test]
fn a_length_beyond_the_input_allocates_nothing() {
    let huge = [0x81, 0x5b, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff];
    let mut decoder = Decoder::new(&huge, 1).unwrap();
    assert_eq!(decoder.bytes(), Err(DecodeError::Truncated));
    let mut decoder = Decoder::new(&[0x81, 0x9b, 0, 0, 0, 1, 0, 0, 0, 0], 1).unwrap();
    assert_eq!(decoder.array(1000), Err(DecodeError::TooLarge));
}

#[test]
fn versions_are_refused_by_name() {
    assert_eq!(strip_version(&[0, 1]), Err(DecodeError::UnknownVersion(0)));
    assert_eq!(strip_version(&[2]), Err(DecodeError::UnknownVersion(2)));
    assert_eq!(strip_version(&[]), Err(DecodeError::Truncated));
    assert_eq!(strip_version(&[1, 9]), Ok(&[9][..]));
}

proptest! {
    #[test]
    fn what_is_encoded_is_decoded(number: u64, bytes: Vec<u8>, text: String, list: Vec<u64>) {
        let items = list.iter().map(|n| Item::Uint(*n)).collect::<Vec<_>>();
        let encoded = encode(&[number.into(), bytes.as_slice().into(), text.as_str().into(), items.into()]);
        prop_assert_eq!(encoded.capacity(), encoded.len(), "a buffer that grew has left copies behind");
        let mut decoder = Decoder::new(&encoded, 4).unwrap();
        prop_assert_eq!(decoder.uint().unwrap(), number);
        prop_assert_eq!(decoder.bytes().unwrap(), bytes.as_slice());
        prop_assert_eq!(decoder.text().unwrap(), text.as_str());
        let len = decoder.array(list.len()).unwrap();
        let read: Vec<u64> = (0..len).map(|_| decoder.uint().unwrap()).collect();
        prop_assert_eq!(read, list);
        decoder.finish().unwrap();
    }

    /// Whatever the decoder accepts, the encoder would have written: the encoding is unique.
    #[test]
    fn no_second_encoding_is_accepted(bytes in proptest::collection::vec(any::<u8>(), 0..24)) {
        if let Ok(mut decoder) = Decoder::new(&bytes, 2)
            && let (Ok(a), Ok(b)) = (decoder.uint(), decoder.bytes())
            && decoder.finish().is_ok()
        {
            prop_assert_eq!(encode(&[a.into(), b.into()]), bytes);
        }
    }
}
