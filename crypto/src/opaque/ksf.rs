//! Key stretching: Argon2id at a cost that is compiled in.
//!
//! SPEC.md section 2.7. The parameters stand in the label [`OPAQUE_CONTEXT`](crate::labels::OPAQUE_CONTEXT), which both
//! sides bind into the handshake: a server can neither choose them nor make a client use others.

use argon2::{Algorithm, Argon2, Block, Params, Version};
use generic_array_014::{ArrayLength, GenericArray};
use opaque_ke::errors::InternalError;
use opaque_ke::ksf::Ksf;
use thiserror::Error;
use zeroize::Zeroizing;

/// Memory in KiB.
pub const ARGON2_MEMORY_KIB: u32 = 64 * 1024;
/// Passes over the memory.
pub const ARGON2_PASSES: u32 = 3;
/// Lanes.
pub const ARGON2_LANES: u32 = 4;
/// The input is already bound to user and server by the OPRF, so the salt need not be.
const SALT: [u8; 16] = [0; 16];

#[derive(Default)]
pub(crate) struct Stretch;

impl Ksf for Stretch {
    fn hash<L: ArrayLength<u8>>(
        &self,
        input: GenericArray<u8, L>,
    ) -> Result<GenericArray<u8, L>, InternalError> {
        let mut output = GenericArray::default();
        stretch(&input, &SALT, &mut output).map_err(|OutOfMemory| InternalError::KsfError)?;
        Ok(output)
    }
}

/// The device has not the memory that stretching takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("stretching a password takes 64 MiB of memory, which cannot be had now")]
pub struct OutOfMemory;

/// Argon2id at the cost that this version fixes.
pub(crate) fn stretch(password: &[u8], salt: &[u8; 16], output: &mut [u8]) -> Result<(), OutOfMemory> {
    let params = Params::new(ARGON2_MEMORY_KIB, ARGON2_PASSES, ARGON2_LANES, Some(output.len()))
        .map_err(|_| OutOfMemory)?;
    let mut memory = memory(params.block_count())?;
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into_with_memory(password, salt, output, memory.as_mut_slice())
        .map_err(|_| OutOfMemory)
}

/// The memory of one run. Ours, because argon2 frees its own unwiped, and the last blocks of the lanes give the output.
fn memory(blocks: usize) -> Result<Zeroizing<Vec<Block>>, OutOfMemory> {
    let mut memory = Vec::new();
    memory.try_reserve_exact(blocks).map_err(|_| OutOfMemory)?;
    memory.resize(blocks, Block::new());
    Ok(Zeroizing::new(memory))
}
