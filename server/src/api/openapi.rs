//! The description of the API, made from the routes that are served: version 3.1 of `OpenAPI`.

use std::collections::BTreeMap;

use alcove_protocol::endpoint::{self, Access};
use alcove_protocol::limits;
use alcove_protocol::{Encoding, ErrorBody, ErrorCode};
use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::{Value, json};

use super::route::stream_type;
use super::{Route, routes};

/// How the schema of a body is made.
#[derive(Clone, Copy)]
pub(crate) struct Shape(fn(&mut SchemaGenerator) -> Schema);

impl Shape {
    pub(crate) fn of<T: JsonSchema>() -> Self {
        Self(SchemaGenerator::subschema_for::<T>)
    }
}

/// Every error that a route may answer with: its own, and those of the gate before it.
pub(super) fn refusals(route: &Route) -> Vec<ErrorCode> {
    let mut codes = vec![
        ErrorCode::Malformed,
        ErrorCode::NotAcceptable,
        ErrorCode::RateLimited,
        ErrorCode::Internal,
        ErrorCode::Unavailable,
    ];
    if route.takes.is_some() {
        codes.extend([ErrorCode::TooLarge, ErrorCode::UnsupportedMediaType]);
    }
    match route.endpoint.access {
        Access::Anybody | Access::Signature => {}
        Access::Password => codes.extend([ErrorCode::Unauthorized, ErrorCode::AccountDeleted]),
        Access::Device | Access::Session => {
            codes.extend([ErrorCode::Unauthorized, ErrorCode::DeviceRevoked, ErrorCode::AccountDeleted]);
        }
    }
    codes.extend(route.refusals.iter().cloned());
    codes.sort_by(|one, other| one.as_str().cmp(other.as_str()));
    codes.dedup();
    codes
}

/// The methods of a path, for the `Allow` header.
pub(super) fn methods(path: &str) -> Vec<&'static str> {
    let same = |pattern: &str| {
        let (mut one, mut other) = (pattern.split('/'), path.split('/'));
        loop {
            match (one.next(), other.next()) {
                (None, None) => return true,
                (Some(a), Some(b)) if a == b || a.starts_with('{') => {}
                _ => return false,
            }
        }
    };
    let found: Vec<_> = endpoint::ALL.iter().filter(|one| same(one.path)).map(|one| one.method).collect();
    if found.is_empty() { vec!["GET"] } else { found }
}

/// The document.
#[must_use]
pub fn document() -> String {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.definitions_path = "/components/schemas".into();
        settings.meta_schema = None;
    });
    let mut generator = settings.into_generator();
    let error = generator.subschema_for::<ErrorBody>();
    let mut paths: BTreeMap<&str, BTreeMap<String, Value>> = BTreeMap::new();
    for route in routes() {
        let operation = operation(&route, &mut generator, &error);
        paths.entry(route.endpoint.path).or_default().insert(route.endpoint.method.to_lowercase(), operation);
    }
    let document = json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Alcove",
            "version": env!("CARGO_PKG_VERSION"),
            "description": DESCRIPTION,
            "license": { "name": "Apache-2.0 OR MIT", "identifier": "Apache-2.0 OR MIT" },
        },
        "servers": [{ "url": "/" }],
        "paths": paths,
        "components": {
            "schemas": generator.take_definitions(true),
            "securitySchemes": {
                "device": { "type": "http", "scheme": "bearer", "description": "The token of POST /v1/sign-in." },
                "password": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "The token of POST /v1/login/finish or POST /v1/recovery.",
                },
            },
        },
        "x-limits": limits_table(),
    });
    serde_json::to_string_pretty(&document).unwrap_or_default()
}

const DESCRIPTION: &str = "\
Alcove's server signs people in by OPAQUE and holds ciphertext. Every body is CBOR or JSON, by Content-Type and Accept, from \
the same types; bytes are base64url without padding in JSON. Every error is `{ \"error\", \"code\" }`. What the bytes mean \
stands in crypto/SPEC.md: a client has to verify everything that it is given.";

fn operation(route: &Route, generator: &mut SchemaGenerator, error: &Schema) -> Value {
    let endpoint = route.endpoint;
    let answer = (route.answers.0)(generator);
    let content = if route.streams {
        [Encoding::Cbor, Encoding::Json].map(|encoding| {
            (stream_type(encoding), json!({ "schema": { "type": "string" }, "x-item": answer }))
        })
    } else {
        [Encoding::Cbor, Encoding::Json].map(|encoding| (encoding.media_type(), json!({ "schema": answer })))
    };
    let mut responses = BTreeMap::from([(
        "200".to_owned(),
        json!({ "description": "Done.", "content": BTreeMap::from(content) }),
    )]);
    let mut by_status: BTreeMap<u16, Vec<String>> = BTreeMap::new();
    for code in refusals(route) {
        by_status.entry(code.status()).or_default().push(code.as_str().to_owned());
    }
    for (status, codes) in by_status {
        responses.insert(status.to_string(), error_response(status, &codes, error));
    }
    let mut operation = json!({
        "operationId": endpoint.path.trim_start_matches("/v1/").replace(['/', '-'], "_").replace(['{', '}'], "") + "_" + &endpoint.method.to_lowercase(),
        "summary": route.summary,
        "responses": responses,
    });
    let security = match endpoint.access {
        Access::Anybody | Access::Signature => json!([]),
        Access::Device => json!([{ "device": [] }]),
        Access::Password => json!([{ "password": [] }]),
        Access::Session => json!([{ "device": [] }, { "password": [] }]),
    };
    operation["security"] = security;
    if let Some(takes) = route.takes {
        let schema = (takes.0)(generator);
        operation["requestBody"] = json!({
            "required": true,
            "description": format!("At most {} bytes.", route.len_max),
            "content": {
                Encoding::Cbor.media_type(): { "schema": schema },
                Encoding::Json.media_type(): { "schema": schema },
            },
        });
    }
    let parameters = parameters(route, generator);
    if !parameters.is_empty() {
        operation["parameters"] = parameters.into();
    }
    operation
}

fn parameters(route: &Route, generator: &mut SchemaGenerator) -> Vec<Value> {
    let id = alcove_protocol::Wire::<alcove_crypto::ids::SpaceId>::json_schema(generator);
    let in_path = route.endpoint.path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
    let mut parameters: Vec<_> =
        in_path.map(|name| json!({ "name": name, "in": "path", "required": true, "schema": id })).collect();
    if route.endpoint == endpoint::STATES {
        let schema = json!({ "type": "integer", "minimum": 0, "maximum": i64::MAX });
        parameters.push(json!({ "name": "after", "in": "query", "required": false, "schema": schema }));
    }
    parameters
}

fn error_response(status: u16, codes: &[String], error: &Schema) -> Value {
    let content = json!({ "schema": error });
    let mut response = json!({
        "description": format!("`code` is one of: {}.", codes.join(", ")),
        "content": { "application/cbor": content, "application/json": content },
    });
    if [429, 503].contains(&status) {
        let schema = json!({ "type": "integer", "minimum": 1 });
        response["headers"] = json!({ "Retry-After": { "description": "Seconds.", "schema": schema } });
    }
    response
}

fn limits_table() -> Value {
    json!({
        "record_bytes_min": limits::RECORD_LEN_MIN,
        "record_bytes_max": limits::RECORD_LEN_MAX,
        "commit_bytes_max": limits::COMMIT_LEN_MAX,
        "push_slots_max": limits::PUSH_SLOTS_MAX,
        "push_bytes_max": limits::PUSH_BYTES_MAX,
        "page_bytes_max": limits::PAGE_BYTES_MAX,
        "page_slots_max": limits::PAGE_SLOTS_MAX,
        "page_commits_max": limits::PAGE_COMMITS_MAX,
        "page_hashes_max": limits::PAGE_HASHES_MAX,
        "account_state_bytes_max": limits::ACCOUNT_STATE_LEN_MAX,
        "account_states_max": limits::ACCOUNT_STATES_MAX,
        "credential_set_bytes_max": limits::CREDENTIAL_SET_LEN_MAX,
        "devices_max": limits::DEVICES_MAX,
        "access_token_lifetime_s": limits::ACCESS_TOKEN_LIFETIME_S,
        "challenge_lifetime_s": limits::CHALLENGE_LIFETIME_S,
        "login_lifetime_s": limits::LOGIN_LIFETIME_S,
        "enrolment_lifetime_s": limits::ENROLMENT_LIFETIME_S,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_document_knows_every_endpoint_and_refers_to_nothing_that_is_missing() {
        let document: Value = serde_json::from_str(&document()).unwrap();
        for endpoint in endpoint::ALL {
            let operation = &document["paths"][endpoint.path][endpoint.method.to_lowercase()];
            assert!(operation["responses"]["200"].is_object(), "{endpoint:?}");
        }
        let text = document.to_string();
        for reference in text.split("\"#/components/schemas/").skip(1) {
            let name = reference.split('"').next().unwrap();
            assert!(document["components"]["schemas"][name].is_object(), "{name}");
        }
    }

    #[test]
    fn methods_of_a_path_are_known() {
        assert_eq!(methods("/v1/spaces/AAAA/push"), ["POST"]);
        assert_eq!(methods("/v1/spaces"), ["GET", "POST"]);
        assert_eq!(methods("/health"), ["GET"]);
    }
}
