//! Sections 4, 8 and 9, and what people read aloud: sealing, attachments, local values, recovery codes, safety numbers.

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::{Case, File, Verdict, bytes, case, fixed, flipped, number, open_class, text, with};
use crate::account::keys::{IdentitySecret, account_id};
use crate::account::recovery::{RecoveryCode, RecoveryCodeError};
use crate::account::safety::SafetyNumber;
use crate::attachment::{AttachmentError, AttachmentKey, HEADER_LEN, Opener, Sealer};
use crate::ids::{AccountId, AttachmentId, SpaceId};
use crate::local::LocalKey;
use crate::sealed;
use crate::secret::Secret;
use crate::signing::VerifyingKey;
use crate::world::{CounterRng, hex};

pub(super) fn files() -> Vec<File> {
    vec![
        File { construction: "sealed", section: "4", judge: judge_sealed, cases: sealed_cases() },
        File { construction: "attachment", section: "8", judge: judge_attachment, cases: attachments() },
        File { construction: "local", section: "9", judge: judge_local, cases: local() },
        File { construction: "recovery_code", section: "5.5", judge: judge_recovery, cases: recovery() },
        File { construction: "safety_number", section: "5.8", judge: judge_safety, cases: safety() },
    ]
}

fn judge_sealed(case: &Value) -> Verdict {
    let key = Secret::new(fixed(case, "key"));
    let plaintext =
        sealed::open(&key, &bytes(case, "context"), &bytes(case, "sealed")).map_err(open_class)?;
    Ok(json!({ "plaintext": hex(&plaintext) }))
}

fn sealed_cases() -> Vec<Case> {
    let rng = &mut CounterRng::new(20);
    let seal = |key: u8, context: &[u8], plaintext: &[u8], rng: &mut CounterRng| {
        let sealed = sealed::seal(&Secret::new([key; 32]), context, plaintext, rng);
        json!({ "key": hex(&[key; 32]), "context": hex(context), "sealed": hex(&sealed) })
    };
    let good = seal(1, b"a context", b"what is sealed", rng);
    let other = seal(2, b"a context", b"what is sealed", rng);
    let sealed = text(&good, "sealed").to_owned();
    // Whoever exchanges the commitment gets past it with the other key, and then fails at the tag.
    let spliced = format!("{}{}{}", &sealed[..2], &text(&other, "sealed")[2..114], &sealed[114..]);
    vec![
        case("some bytes", "ok", good.clone()),
        case("nothing", "ok", seal(1, b"", b"", rng)),
        flipped(&good, "sealed", 0, "unknown_version"),
        flipped(&good, "sealed", 1, "wrong_key_or_context"),
        flipped(&good, "sealed", 24, "wrong_key_or_context"),
        flipped(&good, "sealed", 25, "wrong_key_or_context"),
        flipped(&good, "sealed", 56, "wrong_key_or_context"),
        flipped(&good, "sealed", 57, "altered"),
        flipped(&good, "sealed", -1, "altered"),
        flipped(&good, "key", 0, "wrong_key_or_context"),
        flipped(&good, "context", 8, "wrong_key_or_context"),
        case("a longer context", "wrong_key_or_context", with(&good, "context", hex(b"a context "))),
        case("one byte more", "altered", with(&good, "sealed", format!("{sealed}00"))),
        case("one byte less", "altered", with(&good, "sealed", &sealed[..sealed.len() - 2])),
        case("72 bytes", "truncated", with(&good, "sealed", &sealed[..144])),
        case("empty", "truncated", with(&good, "sealed", "")),
        case("version 2", "unknown_version", with(&good, "sealed", format!("02{}", &sealed[2..]))),
        case("the commitment of another key", "altered", with(&other, "sealed", spliced)),
    ]
}

fn judge_attachment(case: &Value) -> Verdict {
    let sealed = bytes(case, "sealed");
    let (header, body) = sealed.split_at(sealed.len().min(HEADER_LEN));
    let open = || {
        let key = AttachmentKey::from_bytes(fixed(case, "attachment_key"));
        let space = SpaceId::new(fixed(case, "space"));
        let id = AttachmentId::new(fixed(case, "attachment_id"));
        let mut stream = Opener::start(&key, &space, &id, number(case, "length"), header)?.stream();
        let mut out = Vec::new();
        stream.update(body, &mut out)?;
        stream.finish()?;
        Ok(json!({ "plaintext_sha256": hex(&Sha256::digest(&out)) }))
    };
    open().map_err(|error| match error {
        AttachmentError::UnknownVersion(_) => "unknown_version",
        AttachmentError::Truncated => "truncated",
        AttachmentError::Trailing => "trailing",
        AttachmentError::WrongKeyOrContext => "wrong_key_or_context",
        AttachmentError::Padding => "padding",
        _ => "altered",
    })
}

fn attachments() -> Vec<Case> {
    let rng = &mut CounterRng::new(21);
    let seal = |len: usize, rng: &mut CounterRng| {
        let (space, id) = (SpaceId::new([2; 16]), AttachmentId::new([3; 16]));
        let file: Vec<u8> = (0..len).map(|at| u8::try_from(at % 251 + 1).unwrap()).collect();
        let mut out = Vec::new();
        let mut sealer = Sealer::start(&AttachmentKey::from_bytes([1; 32]), &space, &id, &mut out, rng);
        sealer.update(&file, &mut out).unwrap();
        let length = sealer.finish(&mut out).unwrap();
        json!({
            "attachment_key": hex(&[1; 32]),
            "space": space.to_string(),
            "attachment_id": id.to_string(),
            "length": length,
            "sealed": hex(&out),
        })
    };
    let small = seal(9, rng);
    let sealed = text(&small, "sealed").to_owned();
    let two = seal(65_537, rng);
    let long = text(&two, "sealed").to_owned();
    let (header, border) = (2 * HEADER_LEN, 2 * (HEADER_LEN + 65_552));
    let (first, second) = (&long[header..border], &long[border..]);
    let swapped = format!("{}{second}{first}", &long[..header]);
    vec![
        case("an empty file", "ok", seal(0, rng)),
        case("nine bytes, padded to ten", "ok", small.clone()),
        case("a full chunk", "ok", seal(65_536, rng)),
        case("a byte more than a chunk", "ok", two.clone()),
        flipped(&small, "sealed", 0, "unknown_version"),
        flipped(&small, "sealed", 1, "wrong_key_or_context"),
        flipped(&small, "sealed", 30, "wrong_key_or_context"),
        flipped(&small, "sealed", 57, "altered"),
        flipped(&small, "sealed", -1, "altered"),
        flipped(&small, "attachment_key", 0, "wrong_key_or_context"),
        flipped(&small, "space", 0, "wrong_key_or_context"),
        flipped(&small, "attachment_id", 0, "wrong_key_or_context"),
        case("cut in the header", "truncated", with(&small, "sealed", &sealed[..80])),
        case("cut in the chunk", "truncated", with(&small, "sealed", &sealed[..sealed.len() - 2])),
        case("a byte more", "trailing", with(&small, "sealed", format!("{sealed}00"))),
        case("a shorter file of the same padded length", "padding", with(&seal(10, rng), "length", 9)),
        case("a longer file", "truncated", with(&small, "length", 17)),
        case("the last chunk dropped", "truncated", with(&two, "sealed", &long[..border])),
        case("chunks swapped", "altered", with(&two, "sealed", swapped)),
        case(
            "the last chunk dropped and the length too",
            "altered",
            with(&with(&two, "sealed", &long[..border]), "length", 65_536),
        ),
    ]
}

fn judge_local(case: &Value) -> Verdict {
    let key = LocalKey::from_bytes(fixed(case, "local_key"));
    let (store, name) = (fixed(case, "store"), bytes(case, "value_name"));
    let value = key.open(&store, text(case, "purpose"), &name, &bytes(case, "sealed")).map_err(open_class)?;
    Ok(json!({ "value": hex(&value) }))
}

fn local() -> Vec<Case> {
    let sealed =
        LocalKey::from_bytes([1; 32]).seal(&[2; 16], "settings", b"theme", b"dark", &mut CounterRng::new(22));
    let good = json!({
        "local_key": hex(&[1; 32]),
        "store": hex(&[2; 16]),
        "purpose": "settings",
        "value_name": hex(b"theme"),
        "sealed": hex(&sealed),
    });
    vec![
        case("a setting", "ok", good.clone()),
        flipped(&good, "local_key", 0, "wrong_key_or_context"),
        flipped(&good, "store", 0, "wrong_key_or_context"),
        flipped(&good, "value_name", 0, "wrong_key_or_context"),
        case("another purpose", "wrong_key_or_context", with(&good, "purpose", "outbox")),
        flipped(&good, "sealed", -1, "altered"),
        flipped(&good, "sealed", 0, "unknown_version"),
        case("cut", "truncated", with(&good, "sealed", hex(&sealed[..72]))),
    ]
}

fn judge_recovery(case: &Value) -> Verdict {
    let code = RecoveryCode::parse(text(case, "text")).map_err(|error| match error {
        RecoveryCodeError::Length(_) => "length",
        RecoveryCodeError::Character(_) => "character",
        RecoveryCodeError::Checksum => "checksum",
    })?;
    Ok(json!({
        "code": hex(code.expose_for_tests()),
        "recovery_kek": hex(code.kek().0.expose()),
        "sign_in_public_key": hex(code.sign_in_secret().public().as_bytes()),
    }))
}

fn recovery() -> Vec<Case> {
    let shown = RecoveryCode::make(&mut CounterRng::new(23)).to_text();
    let typed = |text: String| json!({ "text": text });
    let last = if shown.ends_with('0') { "1" } else { "0" };
    let mut swapped = shown.replace('-', "").into_bytes();
    let at = (0..30).find(|at| swapped[*at] != swapped[at + 1]).unwrap();
    swapped.swap(at, at + 1);
    vec![
        case("as it is shown", "ok", typed(shown.to_string())),
        case("lower case, no dashes", "ok", typed(shown.to_lowercase().replace('-', ""))),
        case(
            "letters for digits, other separators",
            "ok",
            typed(shown.replace('0', "o").replace('1', "L").replace('-', " _ ")),
        ),
        case("empty", "length", typed(String::new())),
        case("one short", "length", typed(shown[..shown.len() - 1].to_owned())),
        case("one too many", "length", typed(format!("{}0", *shown))),
        case("a U", "character", typed(shown.replacen(&shown[..1], "U", 1))),
        case("an umlaut", "character", typed("ü".to_owned())),
        case("another last character", "checksum", typed(format!("{}{last}", &shown[..shown.len() - 1]))),
        case("neighbours swapped", "checksum", typed(String::from_utf8(swapped).unwrap())),
    ]
}

fn judge_safety(case: &Value) -> Verdict {
    let side = |at: usize| {
        let account: [u8; 16] =
            crate::world::unhex(case["accounts"][at].as_str().unwrap()).try_into().unwrap();
        let identity: [u8; 32] =
            crate::world::unhex(case["identities"][at].as_str().unwrap()).try_into().unwrap();
        (AccountId::new(account), VerifyingKey::from_bytes(&identity).unwrap())
    };
    let (ours, theirs) = (side(0), side(1));
    let number = SafetyNumber::between((&ours.0, &ours.1), (&theirs.0, &theirs.1));
    Ok(json!({ "number": number.to_string() }))
}

fn safety() -> Vec<Case> {
    let rng = &mut CounterRng::new(24);
    let people = [(); 3].map(|()| IdentitySecret::make(rng).public());
    [(0, 1), (1, 0), (0, 2), (1, 2)]
        .map(|(a, b)| {
            let accounts = [a, b].map(|who: usize| account_id(&people[who]).to_string());
            let identities = [a, b].map(|who: usize| hex(people[who].as_bytes()));
            case(format!("{a} and {b}"), "ok", json!({ "accounts": accounts, "identities": identities }))
        })
        .into()
}
