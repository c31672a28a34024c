//! Whatever a server sends about a space: no panic, and what is accepted is in its one form.

#![no_main]

use alcove_crypto::attachment::{AttachmentKey, Opener};
use alcove_crypto::ids::{AttachmentId, SlotId, SpaceId, StateRoot};
use alcove_crypto::local::LocalKey;
use alcove_crypto::space::chain::Chain;
use alcove_crypto::space::commit::Commit;
use alcove_crypto::space::control::Control;
use alcove_crypto::space::merkle::Proof;
use alcove_crypto::space::shared::SharedRecord;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Ok(commit) = Commit::parse(data) {
        assert_eq!(commit.to_bytes(), data);
    }
    if let Ok(control) = Control::parse(data) {
        assert_eq!(control.to_bytes(), data);
    }
    if let Ok(proof) = Proof::parse(data) {
        assert_eq!(proof.to_bytes(), data);
        assert!(proof.verify(&StateRoot::new([7; 32]), &SlotId::new([7; 16])).is_err());
    }
    let _ = SharedRecord::parse(&SpaceId::new([7; 16]), &SlotId::new([7; 16]), data);
    let _ = Chain::from_trusted_bytes(data);
    assert!(LocalKey::from_bytes([7; 32]).open(&[7; 16], "fuzz", b"", data).is_err());
    let key = AttachmentKey::from_bytes([7; 32]);
    assert!(Opener::start(&key, &SpaceId::new([7; 16]), &AttachmentId::new([7; 16]), 9, data).is_err());
});
