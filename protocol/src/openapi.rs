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
    ($($type:ty = $len:literal $name:literal;)*) => {$(
        impl Length for $type {
            const LEN: usize = $len;
            const NAME: &'static str = $name;
        }
    )*};
}
lengths! {
    ids::AccountId = 16 "AccountId";
    ids::DeviceId = 16 "DeviceId";
    ids::SpaceId = 16 "SpaceId";
    ids::SlotId = 16 "SlotId";
    ids::EnrolmentId = 16 "EnrolmentId";
    ids::RecordHash = 32 "RecordHash";
    ids::CommitHash = 32 "CommitHash";
    ids::Head = 32 "Head";
    [u8; 32] = 32 "Bytes32";
    [u8; 64] = 64 "Bytes64";
}

impl JsonSchema for LoginName {
    fn schema_name() -> Cow<'static, str> {
        "LoginName".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "A login name: brought into Unicode NFKC and lower case; no white space inside.",
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
