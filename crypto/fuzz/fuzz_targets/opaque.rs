//! Whatever either side of a login sends: no panic.

#![no_main]

use alcove_crypto::opaque::{OpaqueRecord, ServerLogin, ServerSetup};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let _ = OpaqueRecord::parse(data);
    let _ = ServerLogin::from_bytes(data);
    if let Ok(setup) = ServerSetup::from_bytes(data) {
        assert_eq!(setup.to_bytes().as_slice(), data);
        let _ = setup.register(data, b"name");
    }
});
