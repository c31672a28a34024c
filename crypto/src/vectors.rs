//! Our own vectors, made again and compared with the frozen files; and the published ones.
//!
//! `vectors/README.md` says which fields a file has. Each construction has a list of cases, made here, and a judge
//! that knows only a case's JSON and what this crate exports to open and verify: the judge decides what comes out
//! or which class of failure it is, and that must be what the maker of the case expected.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use crate::cbor::DecodeError;
use crate::sealed::OpenError;
use crate::world::{hex, unhex};

mod account;
mod primitives;
mod published;
mod pulls;
mod sealing;
mod space;

/// The outputs, or the class of failure.
type Verdict = Result<Value, &'static str>;

struct Case {
    name: String,
    expect: &'static str,
    inputs: Value,
}

struct File {
    construction: &'static str,
    section: &'static str,
    judge: fn(&Value) -> Verdict,
    cases: Vec<Case>,
}

fn case(name: impl Into<String>, expect: &'static str, inputs: Value) -> Case {
    Case { name: name.into(), expect, inputs }
}

/// The same case with one byte of a field flipped; at a negative position counted from the end.
fn flipped(good: &Value, field: &str, at: isize, expect: &'static str) -> Case {
    let mut bytes = bytes(good, field);
    let at = usize::try_from(at).unwrap_or_else(|_| bytes.len() - at.unsigned_abs());
    bytes[at] ^= 1;
    case(format!("{field}: byte {at} flipped"), expect, with(good, field, hex(&bytes)))
}

/// The same case with another value in one field.
fn with(good: &Value, field: &str, value: impl Into<Value>) -> Value {
    let mut inputs = good.clone();
    inputs[field] = value.into();
    inputs
}

fn bytes(case: &Value, field: &str) -> Vec<u8> {
    unhex(text(case, field))
}

fn fixed<const N: usize>(case: &Value, field: &str) -> [u8; N] {
    bytes(case, field).try_into().unwrap_or_else(|_| panic!("{field} has another length"))
}

fn text<'v>(case: &'v Value, field: &str) -> &'v str {
    case[field].as_str().unwrap_or_else(|| panic!("no field {field}"))
}

fn number(case: &Value, field: &str) -> u64 {
    case[field].as_u64().unwrap_or_else(|| panic!("no number {field}"))
}

fn decode_class(error: DecodeError) -> &'static str {
    match error {
        DecodeError::UnknownVersion(_) => "unknown_version",
        _ => "malformed",
    }
}

fn open_class(error: OpenError) -> &'static str {
    match error {
        OpenError::UnknownVersion(_) => "unknown_version",
        OpenError::Truncated => "truncated",
        OpenError::WrongKeyOrContext => "wrong_key_or_context",
        OpenError::Altered => "altered",
        OpenError::Plaintext(_) => "malformed",
    }
}

fn files() -> Vec<File> {
    [primitives::files(), sealing::files(), account::files(), space::files(), pulls::files()]
        .into_iter()
        .flatten()
        .collect()
}

impl File {
    /// The file's text; every case is judged on the way.
    fn render(&self) -> String {
        let cases: Vec<Value> = self.cases.iter().map(|case| self.render_case(case)).collect();
        let file = json!({ "construction": self.construction, "section": self.section, "cases": cases });
        format!("{}\n", serde_json::to_string_pretty(&file).unwrap())
    }

    fn render_case(&self, case: &Case) -> Value {
        let verdict = (self.judge)(&case.inputs);
        let class = verdict.as_ref().err().copied().unwrap_or("ok");
        assert_eq!(class, case.expect, "{}: {}", self.construction, case.name);
        let mut fields = Map::new();
        fields.insert("name".into(), case.name.clone().into());
        fields.insert("expect".into(), case.expect.into());
        fields.extend(case.inputs.as_object().unwrap().clone());
        if let Ok(Value::Object(outputs)) = verdict {
            fields.extend(outputs);
        }
        fields.into()
    }

    /// Kinds marked † in the README, which have nothing to refuse.
    fn may_only_pass(&self, case: &Case) -> bool {
        let whole = ["padding", "opaque", "safety_number", "head"].contains(&self.construction);
        let kind = case.inputs["kind"].as_str().unwrap_or_default();
        whole
            || [("root", "root"), ("record", "singleton"), ("merkle", "root")]
                .contains(&(self.construction, kind))
    }
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors")
}

#[test]
fn frozen_vectors_are_what_this_crate_makes() {
    let mut names = BTreeSet::new();
    for file in files() {
        let (name, made) = (format!("{}.json", file.construction), file.render());
        let path = folder().join(&name);
        if std::env::var_os("UPDATE_VECTORS").is_some() {
            std::fs::write(&path, &made).unwrap();
        }
        let frozen = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(frozen == made, "{name} is not what this crate makes");
        names.insert(name);
    }
    let found: BTreeSet<String> = std::fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| Path::new(name).extension().is_some_and(|extension| extension == "json"))
        .collect();
    assert_eq!(found, names);
    let readme = std::fs::read_to_string(folder().join("README.md")).unwrap();
    for name in names {
        assert!(readme.contains(&format!("| `{name}`")), "README.md does not know {name}");
    }
}

#[test]
fn at_least_as_many_are_refused_as_pass() {
    let mut total = 0;
    for file in files() {
        let counted: Vec<_> = file.cases.iter().filter(|case| !file.may_only_pass(case)).collect();
        let passing = counted.iter().filter(|case| case.expect == "ok").count();
        assert!(counted.len() >= 2 * passing, "{}: {passing} of {} pass", file.construction, counted.len());
        total += file.cases.len();
    }
    assert!(total >= 250, "only {total} cases are left");
}
