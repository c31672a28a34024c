//! Whatever stands in a request or an answer: no panic, and what is read can be written and read again.

#![no_main]

use alcove_protocol::account::{Publish, Restore, States};
use alcove_protocol::identity::{LoginStart, PasswordSession, RegisterFinish, SignIn};
use alcove_protocol::spaces::{PullPage, PullRequest, PushRequest};
use alcove_protocol::{Encoding, ErrorBody};
use libfuzzer_sys::fuzz_target;

macro_rules! round_trip {
    ($data:expr, $($body:ty),*) => {
        for encoding in [Encoding::Cbor, Encoding::Json] {
            $(if let Ok(body) = encoding.decode::<$body>($data, usize::MAX) {
                assert!(encoding.decode::<$body>(&encoding.encode(&body), usize::MAX).unwrap() == body);
            })*
        }
    };
}

fuzz_target!(|data: &[u8]| {
    round_trip!(
        data, PushRequest, PullRequest, PullPage, SignIn, LoginStart, RegisterFinish, PasswordSession, Publish, Restore,
        States, ErrorBody
    );
});
