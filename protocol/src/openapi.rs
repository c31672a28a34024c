//! Schemas of the types that are strings in JSON, for the API's description.

use std::borrow::Cow;

use alcove_crypto::ids;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use crate::limits::LOGIN_NAME_LEN_MAX;
use crate::{Bytes, ErrorCode, LoginName, Wire};

impl JsonSchema for Bytes {
    fn schema_name() -> Cow<'static, str> {
        "Bytes".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "Bytes: base64url without padding in JSON, a byte string in CBOR.",
            "pattern": "^([A-Za-z0-9_-]{4})*([A-Za-z0-9_-][AQgw]|[A-Za-z0-9_-]{2}[AEIMQUYcgkosw048])?$",
        })
    }
}

/// What has a fixed number of bytes, known before there is a value.
pub trait Length {
    /// How many.
    const LEN: usize;
    /// What it is called.
    const NAME: &'static str;
}

impl<T: Length> JsonSchema for Wire<T> {
    fn schema_name() -> Cow<'static, str> {
        T::NAME.into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        // The last character carries what is left over, and its unused bits are zero.
        let last = match T::LEN % 3 {
            0 => "",
            1 => "[A-Za-z0-9_-][AQgw]",
            _ => "[A-Za-z0-9_-]{2}[AEIMQUYcgkosw048]",
        };
        json_schema!({
            "type": "string",
            "description": format!("{} bytes: base64url without padding in JSON, a byte string in CBOR.", T::LEN),
            "pattern": format!("^[A-Za-z0-9_-]{{{}}}{last}$", T::LEN / 3 * 4),
            "minLength": (T::LEN * 4).div_ceil(3),
            "maxLength": (T::LEN * 4).div_ceil(3),
        })
    }
}

macro_rules! lengths {
    ($($name:ident)*) => {$(
        impl Length for ids::$name {
            const LEN: usize = Self::LEN;
            const NAME: &'static str = stringify!($name);
        }
    )*};
}
lengths!(AccountId DeviceId SpaceId SlotId EnrolmentId RecordHash CommitHash Head);

impl Length for [u8; 32] {
    const LEN: usize = 32;
    const NAME: &'static str = "Bytes32";
}

impl Length for [u8; 64] {
    const LEN: usize = 64;
    const NAME: &'static str = "Bytes64";
}

impl JsonSchema for LoginName {
    fn schema_name() -> Cow<'static, str> {
        "LoginName".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "A login name: brought into Unicode NFKC and lower case, then at most 256 bytes; no white space inside.",
            "minLength": 1,
            "maxLength": LOGIN_NAME_LEN_MAX,
        })
    }
}

impl JsonSchema for ErrorCode {
    fn schema_name() -> Cow<'static, str> {
        "ErrorCode".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let codes: Vec<_> = Self::ALL.iter().map(Self::as_str).collect();
        json_schema!({
            "type": "string",
            "description": "What went wrong, for a program to act on.",
            "enum": codes,
        })
    }
}
