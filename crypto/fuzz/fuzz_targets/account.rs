//! Whatever a server sends about an account: no panic, and what is accepted is in its one form.

#![no_main]

use alcove_crypto::account::credentials::CredentialSet;
use alcove_crypto::account::enrolment::Invitation;
use alcove_crypto::account::recovery::RecoveryCode;
use alcove_crypto::account::state::SignedState;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Ok(state) = SignedState::parse(data)
        && let Ok(verified) = state.verify_first()
    {
        assert_eq!(verified.as_bytes(), data);
    }
    if let Ok(set) = CredentialSet::parse(data) {
        assert_eq!(set.to_bytes(), data);
    }
    let _ = Invitation::parse(data);
    if let Ok(text) = std::str::from_utf8(data)
        && let Ok(code) = RecoveryCode::parse(text)
    {
        assert_eq!(RecoveryCode::parse(&code.to_text()).as_ref(), Ok(&code));
    }
});
