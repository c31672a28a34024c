//! Deterministic CBOR: the one encoding of everything that is signed, hashed or authenticated.
//!
//! SPEC.md section 2.2. Four kinds of item and no other: unsigned integers, byte strings, text
//! strings, arrays. Every length in its shortest form, nothing indefinite, no tags, maps, floats,
//! negative numbers, booleans or null. For every value there is exactly one encoding, and the decoder
//! refuses any other: what was verified is what was sent. It never recurses, so nesting costs nothing.

use thiserror::Error;

const UINT: u8 = 0;
const BYTES: u8 = 2;
const TEXT: u8 = 3;
const ARRAY: u8 = 4;

/// One item to encode.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Item<'a> {
    /// An unsigned integer.
    Uint(u64),
    /// A byte string.
    Bytes(&'a [u8]),
    /// A text string.
    Text(&'a str),
    /// An array of items.
    Array(Vec<Item<'a>>),
}

/// Why bytes are not the encoding that was expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// The first byte names a version that this build does not know.
    #[error("unknown format version {0}")]
    UnknownVersion(u8),
    /// The bytes end before the value does.
    #[error("the value is cut short")]
    Truncated,
    /// A well-formed value is followed by more bytes.
    #[error("bytes follow the value")]
    Trailing,
    /// A length or number is not in its shortest form, or an item is of a kind that is never used.
    #[error("the encoding is not the deterministic one")]
    NotDeterministic,
    /// An item of another kind, length or value than the format has at this place.
    #[error("the value has another shape")]
    Shape,
    /// The value is larger than the format allows.
    #[error("the value is over its limit")]
    TooLarge,
}

impl From<u64> for Item<'_> {
    fn from(value: u64) -> Self {
        Self::Uint(value)
    }
}

impl<'a> From<&'a str> for Item<'a> {
    fn from(value: &'a str) -> Self {
        Self::Text(value)
    }
}

impl<'a> From<&'a [u8]> for Item<'a> {
    fn from(value: &'a [u8]) -> Self {
        Self::Bytes(value)
    }
}

impl<'a, const N: usize> From<&'a [u8; N]> for Item<'a> {
    fn from(value: &'a [u8; N]) -> Self {
        Self::Bytes(value)
    }
}

impl<'a> From<Vec<Item<'a>>> for Item<'a> {
    fn from(value: Vec<Item<'a>>) -> Self {
        Self::Array(value)
    }
}

/// Encodes an array of items.
#[must_use]
pub fn encode(items: &[Item<'_>]) -> Vec<u8> {
    let mut out = Vec::with_capacity(array_len(items));
    put_array(&mut out, items);
    out
}

/// Encodes an array of items behind the version byte that opens everything stored.
#[must_use]
pub fn encode_versioned(items: &[Item<'_>]) -> Vec<u8> {
    let mut out = Vec::with_capacity(1 + array_len(items));
    out.push(crate::VERSION);
    put_array(&mut out, items);
    out
}

fn put_array(out: &mut Vec<u8>, items: &[Item<'_>]) {
    put_head(out, ARRAY, items.len() as u64);
    for item in items {
        match item {
            Item::Uint(value) => put_head(out, UINT, *value),
            Item::Bytes(bytes) => {
                put_head(out, BYTES, bytes.len() as u64);
                out.extend_from_slice(bytes);
            }
            Item::Text(text) => {
                put_head(out, TEXT, text.len() as u64);
                out.extend_from_slice(text.as_bytes());
            }
            Item::Array(items) => put_array(out, items),
        }
    }
}

/// The exact length, so that the buffer never grows: growing would leave copies of what may be secret.
fn array_len(items: &[Item<'_>]) -> usize {
    let item_len = |item: &Item<'_>| match item {
        Item::Uint(value) => head_len(*value),
        Item::Bytes(bytes) => head_len(bytes.len() as u64) + bytes.len(),
        Item::Text(text) => head_len(text.len() as u64) + text.len(),
        Item::Array(items) => array_len(items),
    };
    head_len(items.len() as u64) + items.iter().map(item_len).sum::<usize>()
}

fn head_len(value: u64) -> usize {
    match value {
        0..=23 => 1,
        24..=0xff => 2,
        0x100..=0xffff => 3,
        0x1_0000..=0xffff_ffff => 5,
        _ => 9,
    }
}

fn put_head(out: &mut Vec<u8>, major: u8, value: u64) {
    let major = major << 5;
    let bytes = value.to_be_bytes();
    match value {
        0..=23 => out.push(major | bytes[7]),
        24..=0xff => out.extend_from_slice(&[major | 0x18, bytes[7]]),
        0x100..=0xffff => {
            out.push(major | 0x19);
            out.extend_from_slice(&bytes[6..]);
        }
        0x1_0000..=0xffff_ffff => {
            out.push(major | 0x1a);
            out.extend_from_slice(&bytes[4..]);
        }
        _ => {
            out.push(major | 0x1b);
            out.extend_from_slice(&bytes);
        }
    }
}

/// Reads items one after another; borrowed, strict, bounded by the input.
#[derive(Debug)]
pub struct Decoder<'a> {
    rest: &'a [u8],
}

impl<'a> Decoder<'a> {
    /// Starts at an array that must have exactly `len` items.
    ///
    /// # Errors
    /// When the bytes do not open with such an array.
    pub fn new(bytes: &'a [u8], len: usize) -> Result<Self, DecodeError> {
        let mut decoder = Self { rest: bytes };
        decoder.array_of(len)?;
        Ok(decoder)
    }

    /// Starts before the outermost array, for a reader of any shape.
    #[cfg(all(test, feature = "client"))]
    pub(crate) fn outside(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// What is yet to be read.
    #[cfg(all(test, feature = "client"))]
    pub(crate) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Like [`Decoder::new`], behind a version byte.
    ///
    /// # Errors
    /// [`DecodeError::UnknownVersion`] before anything else is looked at.
    pub fn versioned(bytes: &'a [u8], len: usize) -> Result<Self, DecodeError> {
        Self::new(strip_version(bytes)?, len)
    }

    /// An unsigned integer.
    ///
    /// # Errors
    /// When the next item is none.
    pub fn uint(&mut self) -> Result<u64, DecodeError> {
        self.head(UINT)
    }

    /// A byte string of any length.
    ///
    /// # Errors
    /// When the next item is none.
    pub fn bytes(&mut self) -> Result<&'a [u8], DecodeError> {
        let len = self.head(BYTES)?;
        self.take(len)
    }

    /// A byte string of exactly `N` bytes.
    ///
    /// # Errors
    /// When the next item is none or has another length.
    pub fn fixed<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        self.bytes()?.try_into().map_err(|_| DecodeError::Shape)
    }

    /// A text string.
    ///
    /// # Errors
    /// When the next item is none, or not UTF-8.
    pub fn text(&mut self) -> Result<&'a str, DecodeError> {
        let len = self.head(TEXT)?;
        std::str::from_utf8(self.take(len)?).map_err(|_| DecodeError::NotDeterministic)
    }

    /// The head of an array of at most `max` items, which the caller then reads.
    ///
    /// # Errors
    /// When the next item is none, or it is longer.
    pub fn array(&mut self, max: usize) -> Result<usize, DecodeError> {
        let len = usize::try_from(self.head(ARRAY)?).map_err(|_| DecodeError::TooLarge)?;
        if len > max { Err(DecodeError::TooLarge) } else { Ok(len) }
    }

    /// The head of an array of exactly `len` items.
    ///
    /// # Errors
    /// When the next item is none, or of another length.
    pub fn array_of(&mut self, len: usize) -> Result<(), DecodeError> {
        if self.head(ARRAY)? == len as u64 { Ok(()) } else { Err(DecodeError::Shape) }
    }

    /// Ends the reading: nothing may be left.
    ///
    /// # Errors
    /// [`DecodeError::Trailing`] when something is.
    pub fn finish(self) -> Result<(), DecodeError> {
        if self.rest.is_empty() { Ok(()) } else { Err(DecodeError::Trailing) }
    }

    fn take(&mut self, len: u64) -> Result<&'a [u8], DecodeError> {
        let len = usize::try_from(len).map_err(|_| DecodeError::Truncated)?;
        let (taken, rest) = self.rest.split_at_checked(len).ok_or(DecodeError::Truncated)?;
        self.rest = rest;
        Ok(taken)
    }

    fn head(&mut self, major: u8) -> Result<u64, DecodeError> {
        let first = self.take(1)?[0];
        let (found, info) = (first >> 5, first & 0x1f);
        if !matches!(found, UINT | BYTES | TEXT | ARRAY) || info > 27 {
            return Err(DecodeError::NotDeterministic);
        }
        if found != major {
            return Err(DecodeError::Shape);
        }
        if info < 24 {
            return Ok(u64::from(info));
        }
        let width = 1_usize << (info - 24);
        let value = self.take(width as u64)?.iter().fold(0, |value, byte| value << 8 | u64::from(*byte));
        let smallest = if width == 1 { 24 } else { 1 << (width * 4) };
        if value < smallest { Err(DecodeError::NotDeterministic) } else { Ok(value) }
    }
}

/// Takes the version byte off, or says which unknown one stands there.
///
/// # Errors
/// [`DecodeError::UnknownVersion`], or [`DecodeError::Truncated`] for nothing at all.
pub fn strip_version(bytes: &[u8]) -> Result<&[u8], DecodeError> {
    match bytes.split_first() {
        Some((&crate::VERSION, rest)) => Ok(rest),
        Some((&other, _)) => Err(DecodeError::UnknownVersion(other)),
        None => Err(DecodeError::Truncated),
    }
}

#[cfg(test)]
mod tests;
