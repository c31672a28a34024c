//! Attachments: large files, sealed in chunks.
//!
//! SPEC.md section 8. The prefix is that of everything sealed; then every chunk has a nonce that says its number and
//! whether it is the last.
//!
//! ```text
//! ┌─────────┬──────┬────────────┬──────────────────┬───┬────────────────────┐
//! │ version │ salt │ commitment │ chunk 0 (65,536) │ … │ last chunk (≤ 64K) │   each chunk + tag(16)
//! │    1    │  24  │     32     │                  │   │                    │
//! └─────────┴──────┴────────────┴──────────────────┴───┴────────────────────┘
//! nonce of chunk i = i(11, big-endian) ‖ last(1)
//! ```
//!
//! The file is followed by zeros up to its Padmé length. Its true length stands in the sealed record that names the
//! attachment, so a reader knows how many chunks there are, and a file that was cut off is never taken for whole.

use std::ops::Range;

use rand_core::CryptoRng;
use ring::aead::LessSafeKey;
use thiserror::Error;
use zeroize::Zeroizing;

use crate::hash::context;
use crate::ids::{AttachmentId, SpaceId};
use crate::labels;
use crate::padding::padme;
use crate::sealed::{self, OpenError, PREFIX_LEN, TAG_LEN};
use crate::secret::stored_key;

/// Plaintext bytes of a full chunk.
pub const CHUNK_LEN: usize = 64 * 1024;
/// Chunks that an attachment may have.
pub const CHUNKS_MAX: u64 = 1 << 32;
/// Bytes before the first chunk.
pub const HEADER_LEN: usize = PREFIX_LEN;
const SEALED_CHUNK_LEN: usize = CHUNK_LEN + TAG_LEN;

stored_key! {
    /// The key of one attachment; the record that names the attachment holds it.
    AttachmentKey
}

/// Why an attachment cannot be made or read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum AttachmentError {
    /// Sealed by a version that this build does not know.
    #[error("unknown format version {0}")]
    UnknownVersion(u8),
    /// It ends before the file does.
    #[error("the attachment is cut short")]
    Truncated,
    /// It goes on after the file has ended.
    #[error("bytes follow the attachment")]
    Trailing,
    /// Sealed under another key, or for another attachment.
    #[error("sealed under another key or for another attachment")]
    WrongKeyOrContext,
    /// A chunk is not the one that belongs here: altered, moved, repeated, or of another attachment.
    #[error("a chunk is not the one that belongs here")]
    Altered,
    /// What follows the file is not zeros.
    #[error("the padding is not zeros")]
    Padding,
    /// There is no such chunk.
    #[error("there is no chunk {0}")]
    NoSuchChunk(u64),
    /// More chunks than an attachment may have.
    #[error("larger than an attachment may be")]
    TooLarge,
}

/// How a file of a known length lies in its attachment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    len: u64,
    padded_len: u64,
}

/// Seals a file piece by piece.
pub struct Sealer {
    aead: LessSafeKey,
    buffer: Zeroizing<Vec<u8>>,
    index: u64,
    len: u64,
}

/// Opens chunks, in any order.
#[derive(Debug)]
pub struct Opener {
    aead: LessSafeKey,
    layout: Layout,
}

/// Opens a file piece by piece, from the beginning to a proven end.
#[derive(Debug)]
pub struct StreamOpener {
    opener: Opener,
    buffer: Vec<u8>,
    index: u64,
}

impl Layout {
    /// The layout of a file of this length.
    ///
    /// # Errors
    /// [`AttachmentError::TooLarge`] beyond [`CHUNKS_MAX`] chunks.
    pub fn of(len: u64) -> Result<Self, AttachmentError> {
        let layout = Self { len, padded_len: padme(len, 0) };
        if layout.padded_len > CHUNKS_MAX * CHUNK_LEN as u64 {
            Err(AttachmentError::TooLarge)
        } else {
            Ok(layout)
        }
    }

    /// Chunks, at least one.
    #[must_use]
    pub fn chunks(&self) -> u64 {
        self.padded_len.div_ceil(CHUNK_LEN as u64).max(1)
    }

    /// Length of the whole attachment.
    #[must_use]
    pub fn sealed_len(&self) -> u64 {
        HEADER_LEN as u64 + self.padded_len + self.chunks() * TAG_LEN as u64
    }

    /// Where a sealed chunk lies in the attachment.
    ///
    /// # Errors
    /// [`AttachmentError::NoSuchChunk`] behind the last.
    pub fn sealed_chunk(&self, index: u64) -> Result<Range<u64>, AttachmentError> {
        if index >= self.chunks() {
            return Err(AttachmentError::NoSuchChunk(index));
        }
        let start = HEADER_LEN as u64 + index * SEALED_CHUNK_LEN as u64;
        Ok(start..self.sealed_len().min(start + SEALED_CHUNK_LEN as u64))
    }

    /// The chunks that hold a range of the file, and so what to ask a server for.
    #[must_use]
    pub fn chunks_of(&self, range: Range<u64>) -> Range<u64> {
        let end = range.end.min(self.len);
        if range.start >= end { 0..0 } else { range.start / CHUNK_LEN as u64..end.div_ceil(CHUNK_LEN as u64) }
    }

    /// The part of a chunk's plaintext that belongs to the file; the rest must be zeros.
    fn file_part(&self, index: u64, plaintext: usize) -> usize {
        let before = index * CHUNK_LEN as u64;
        usize::try_from(self.len.saturating_sub(before)).map_or(plaintext, |left| left.min(plaintext))
    }
}

impl Sealer {
    /// Starts an attachment; its first bytes go to `out`.
    #[must_use]
    pub fn start(
        key: &AttachmentKey,
        space: &SpaceId,
        id: &AttachmentId,
        out: &mut Vec<u8>,
        rng: &mut impl CryptoRng,
    ) -> Self {
        let aead = sealed::start(&key.0, &attachment_context(space, id), out, rng);
        Self { aead, buffer: Zeroizing::new(Vec::with_capacity(CHUNK_LEN)), index: 0, len: 0 }
    }

    /// Takes the next piece of the file, of any size; full chunks go to `out`.
    ///
    /// # Errors
    /// [`AttachmentError::TooLarge`] when the file has become so.
    pub fn update(&mut self, mut piece: &[u8], out: &mut Vec<u8>) -> Result<(), AttachmentError> {
        self.len += piece.len() as u64;
        Layout::of(self.len)?;
        while !piece.is_empty() {
            // A full chunk is sealed only when more follows: it could be the last one.
            if self.buffer.len() == CHUNK_LEN {
                self.seal_chunk(false, out);
            }
            let (now, later) = piece.split_at(piece.len().min(CHUNK_LEN - self.buffer.len()));
            self.buffer.extend_from_slice(now);
            piece = later;
        }
        Ok(())
    }

    /// Ends the attachment: the padding and the last chunk go to `out`. Gives the file's length, for the record.
    ///
    /// # Errors
    /// [`AttachmentError::TooLarge`] when padding makes it so.
    pub fn finish(mut self, out: &mut Vec<u8>) -> Result<u64, AttachmentError> {
        let (len, zeros) = (self.len, [0; 4096]);
        let mut missing = Layout::of(len)?.padded_len - len;
        while missing > 0 {
            let now = zeros.len().min(usize::try_from(missing).unwrap_or(usize::MAX));
            self.update(&zeros[..now], out)?;
            missing -= now as u64;
        }
        self.seal_chunk(true, out);
        Ok(len)
    }

    fn seal_chunk(&mut self, last: bool, out: &mut Vec<u8>) {
        let from = out.len();
        out.extend_from_slice(&self.buffer);
        sealed::seal_tail(&self.aead, nonce(self.index, last), out, from);
        self.buffer.clear();
        self.index += 1;
    }
}

impl Opener {
    /// Starts from the first [`HEADER_LEN`] bytes of an attachment and the length that its record says.
    ///
    /// # Errors
    /// When the attachment is not the one that the record names.
    pub fn start(
        key: &AttachmentKey,
        space: &SpaceId,
        id: &AttachmentId,
        len: u64,
        header: &[u8],
    ) -> Result<Self, AttachmentError> {
        let layout = Layout::of(len)?;
        let (aead, rest) =
            sealed::accept(&key.0, &attachment_context(space, id), header).map_err(|e| match e {
                OpenError::UnknownVersion(version) => AttachmentError::UnknownVersion(version),
                OpenError::Truncated => AttachmentError::Truncated,
                _ => AttachmentError::WrongKeyOrContext,
            })?;
        if rest.is_empty() { Ok(Self { aead, layout }) } else { Err(AttachmentError::Trailing) }
    }

    /// How the file lies in the attachment.
    #[must_use]
    pub fn layout(&self) -> Layout {
        self.layout
    }

    /// Opens one chunk, whichever; gives the part of the file in it.
    ///
    /// # Errors
    /// When it is not that chunk of this attachment, whole and unaltered.
    pub fn open_chunk(&self, index: u64, sealed_chunk: &[u8]) -> Result<Vec<u8>, AttachmentError> {
        let place = self.layout.sealed_chunk(index)?;
        match (sealed_chunk.len() as u64).cmp(&(place.end - place.start)) {
            std::cmp::Ordering::Less => return Err(AttachmentError::Truncated),
            std::cmp::Ordering::Greater => return Err(AttachmentError::Trailing),
            std::cmp::Ordering::Equal => {}
        }
        let last = index + 1 == self.layout.chunks();
        let mut plaintext = sealed::open_part(&self.aead, nonce(index, last), sealed_chunk)
            .map_err(|_| AttachmentError::Altered)?;
        let file_part = self.layout.file_part(index, plaintext.len());
        if plaintext[file_part..].iter().any(|byte| *byte != 0) {
            return Err(AttachmentError::Padding);
        }
        plaintext.truncate(file_part);
        Ok(plaintext)
    }

    /// Goes on to read the whole file in order.
    #[must_use]
    pub fn stream(self) -> StreamOpener {
        StreamOpener { opener: self, buffer: Vec::new(), index: 0 }
    }
}

impl StreamOpener {
    /// Takes the next bytes after the header, however many; verified parts of the file go to `out`.
    ///
    /// # Errors
    /// When they are not what belongs here. What went to `out` before is verified, but is not the whole file.
    pub fn update(&mut self, mut piece: &[u8], out: &mut Vec<u8>) -> Result<(), AttachmentError> {
        while !piece.is_empty() {
            let place = self.opener.layout.sealed_chunk(self.index).map_err(|_| AttachmentError::Trailing)?;
            let wanted =
                usize::try_from(place.end - place.start).unwrap_or(SEALED_CHUNK_LEN) - self.buffer.len();
            let (now, later) = piece.split_at(piece.len().min(wanted));
            self.buffer.extend_from_slice(now);
            piece = later;
            if now.len() == wanted {
                out.extend_from_slice(&self.opener.open_chunk(self.index, &self.buffer)?);
                self.buffer.clear();
                self.index += 1;
            }
        }
        Ok(())
    }

    /// Ends the reading: only now is the file known to be whole.
    ///
    /// # Errors
    /// [`AttachmentError::Truncated`] when the last chunk has not been seen.
    pub fn finish(self) -> Result<(), AttachmentError> {
        let whole = self.index == self.opener.layout.chunks() && self.buffer.is_empty();
        if whole { Ok(()) } else { Err(AttachmentError::Truncated) }
    }
}

/// What is being sealed is not for logs.
impl std::fmt::Debug for Sealer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Sealer({} bytes, [secret])", self.len)
    }
}

fn nonce(index: u64, last: bool) -> [u8; 12] {
    let mut nonce = [0; 12];
    nonce[3..11].copy_from_slice(&index.to_be_bytes());
    nonce[11] = u8::from(last);
    nonce
}

fn attachment_context(space: &SpaceId, id: &AttachmentId) -> Vec<u8> {
    context(labels::ATTACHMENT, &[space.into(), id.into(), (CHUNK_LEN as u64).into()])
}

#[cfg(test)]
mod tests;
