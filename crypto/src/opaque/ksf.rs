//! Key stretching: Argon2id at a cost that is compiled in.
//!
//! SPEC.md section 2.7. The parameters stand in the label [`OPAQUE_CONTEXT`](crate::labels::OPAQUE_CONTEXT), which both
//! sides bind into the handshake: a server can neither choose them nor make a client use others.

use argon2::{Algorithm, Argon2, Block, Params, Version};
use generic_array_014::{ArrayLength, GenericArray};
use opaque_ke::errors::InternalError;
use opaque_ke::ksf::Ksf;
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
        let params = Params::new(ARGON2_MEMORY_KIB, ARGON2_PASSES, ARGON2_LANES, Some(L::USIZE))
            .map_err(|_| InternalError::KsfError)?;
        let mut output = GenericArray::default();
        let mut memory = memory(params.block_count())?;
        Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
            .hash_password_into_with_memory(&input, &SALT, &mut output, memory.as_mut_slice())
            .map_err(|_| InternalError::KsfError)?;
        Ok(output)
    }
}

/// The memory of one run. Ours, because argon2 frees its own unwiped, and the last blocks of the lanes give the output.
fn memory(blocks: usize) -> Result<Zeroizing<Vec<Block>>, InternalError> {
    let mut memory = Vec::new();
    memory.try_reserve_exact(blocks).map_err(|_| InternalError::KsfError)?;
    memory.resize(blocks, Block::new());
    Ok(Zeroizing::new(memory))
}
