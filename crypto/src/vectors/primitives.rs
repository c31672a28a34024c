//! Sections 2 and 4.2: deterministic CBOR, signatures, HPKE, OPAQUE's stretching, padding.

use ed25519_dalek::Signer;
use opaque_ke::ksf::Ksf;
use serde_json::{Value, json};

use super::{Case, File, Verdict, bytes, case, decode_class, fixed, flipped, number, text, with};
use crate::account::keys::{ReceivingKey, ReceivingSecret};
use crate::cbor::{DecodeError, Decoder, Item, encode};
use crate::hpke::{HpkeError, open_from, seal_to};
use crate::padding::padme;
use crate::signing::VerifyingKey;
use crate::world::{CounterRng, hex, unhex};

pub(super) fn files() -> Vec<File> {
    vec![
        File { construction: "cbor", section: "2.2", judge: judge_cbor, cases: cbor() },
        File { construction: "padding", section: "4.2", judge: judge_padding, cases: padding() },
        File { construction: "signature", section: "2.5", judge: judge_signature, cases: signature() },
        File { construction: "hpke", section: "2.6", judge: judge_hpke, cases: hpke() },
        File { construction: "opaque", section: "2.7", judge: judge_opaque, cases: opaque() },
    ]
}

/// Reads whatever a decoder can read, item by item.
fn read_items(decoder: &mut Decoder<'_>, len: usize) -> Result<Value, DecodeError> {
    (0..len).map(|_| read_item(decoder)).collect::<Result<Vec<_>, _>>().map(Value::from)
}

fn read_item(d: &mut Decoder<'_>) -> Result<Value, DecodeError> {
    let first = *d.rest().first().ok_or(DecodeError::Truncated)?;
    Ok(match first >> 5 {
        0 => json!({ "u": d.uint()?.to_string() }),
        2 => json!({ "b": hex(d.bytes()?) }),
        3 => json!({ "t": d.text()? }),
        4 => {
            let len = d.array(1000)?;
            json!({ "a": read_items(d, len)? })
        }
        _ => return Err(DecodeError::NotDeterministic),
    })
}

fn judge_cbor(case: &Value) -> Verdict {
    let encoded = bytes(case, "encoded");
    let read = || {
        let mut d = Decoder::outside(&encoded);
        let len = d.array(1000)?;
        let items = read_items(&mut d, len)?;
        d.finish()?;
        Ok(json!({ "items": items }))
    };
    read().map_err(decode_class)
}

fn cbor() -> Vec<Case> {
    let good: [(&str, Vec<Item<'_>>); 6] = [
        ("an empty array", vec![]),
        (
            "every width of number",
            [0, 23, 24, 255, 256, 65_535, 65_536, u64::from(u32::MAX), 1 << 32, u64::MAX]
                .map(Item::Uint)
                .to_vec(),
        ),
        ("bytes and text", vec![Item::Bytes(&[]), Item::Bytes(&[0, 255]), "".into(), "zürich".into()]),
        ("nested arrays", vec![vec![Item::Array(vec![]), 1.into()].into(), vec![].into()]),
        ("24 bytes", vec![Item::Bytes(&[7; 24])]),
        ("256 bytes", vec![Item::Bytes(&[7; 256])]),
    ];
    let bad = [
        ("nothing", ""),
        ("23 in two bytes", "811817"),
        ("255 in three bytes", "811900ff"),
        ("65535 in five bytes", "811a0000ffff"),
        ("2^32-1 in nine bytes", "811b00000000ffffffff"),
        ("a long length of bytes", "81580100"),
        ("a long length of an array", "980100"),
        ("an indefinite array", "9f01ff"),
        ("indefinite bytes", "815f4100ff"),
        ("a negative number", "8120"),
        ("a map", "81a0"),
        ("a tag", "81c000"),
        ("false", "81f4"),
        ("null", "81f6"),
        ("a float", "81f90000"),
        ("reserved information", "811c"),
        ("text that is not UTF-8", "8161ff"),
        ("cut short in a length", "8119ff"),
        ("cut short in bytes", "814200"),
        ("cut short in an array", "8200"),
        ("bytes that follow", "810000"),
        ("not an array", "00"),
    ];
    let good =
        good.into_iter().map(|(name, items)| case(name, "ok", json!({ "encoded": hex(&encode(&items)) })));
    good.chain(bad.map(|(name, encoded)| case(name, "malformed", json!({ "encoded": encoded })))).collect()
}

fn judge_padding(case: &Value) -> Verdict {
    Ok(json!({ "padded": padme(number(case, "length"), number(case, "floor")) }))
}

fn padding() -> Vec<Case> {
    let lengths = [
        0,
        1,
        2,
        3,
        8,
        9,
        15,
        16,
        17,
        100,
        1000,
        1024,
        1025,
        1057,
        4097,
        65_537,
        262_143,
        1 << 30,
        (1 << 32) + 1,
    ];
    lengths
        .into_iter()
        .flat_map(|length: u64| [0_u64, 1024].map(|floor| (length, floor)))
        .map(|(length, floor)| {
            case(format!("{length} from {floor}"), "ok", json!({ "length": length, "floor": floor }))
        })
        .collect()
}

fn judge_signature(case: &Value) -> Verdict {
    let key = VerifyingKey::from_bytes(&fixed(case, "public_key")).map_err(|_| "bad_public_key")?;
    key.verify(text(case, "label"), &bytes(case, "bytes"), &fixed(case, "signature"))
        .map_err(|_| "bad_signature")?;
    Ok(json!({}))
}

fn signature() -> Vec<Case> {
    let key = ed25519_dalek::SigningKey::from_bytes(&[7; 32]);
    let good = json!({
        "public_key": hex(key.verifying_key().as_bytes()),
        "label": "alcove/1/commit-signature",
        "bytes": hex(b"what is signed"),
        "signature": hex(&key.sign(b"alcove/1/commit-signature\0what is signed").to_bytes()),
    });
    let mut s_not_reduced = bytes(&good, "signature");
    let order = unhex("edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010");
    let mut carry = 0_u16;
    for (byte, add) in s_not_reduced[32..].iter_mut().zip(order) {
        carry += u16::from(*byte) + u16::from(add);
        *byte = carry.to_le_bytes()[0];
        carry >>= 8;
    }
    let points = [
        ("the neutral element", "0100000000000000000000000000000000000000000000000000000000000000"),
        ("a point of order 2", "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
        ("a point of order 4", "0000000000000000000000000000000000000000000000000000000000000000"),
        ("a point of order 8", "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"),
        (
            "the neutral element, not canonical",
            "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        ),
        ("no point at all", "0200000000000000000000000000000000000000000000000000000000000000"),
    ];
    let small_r = format!("{}{}", points[0].1, "00".repeat(32));
    let mut cases = vec![
        case("good", "ok", good.clone()),
        flipped(&good, "signature", 0, "bad_signature"),
        flipped(&good, "signature", 63, "bad_signature"),
        flipped(&good, "bytes", 0, "bad_signature"),
        case("another label", "bad_signature", with(&good, "label", "alcove/1/device-sign-in")),
        case("S is not reduced", "bad_signature", with(&good, "signature", hex(&s_not_reduced))),
        case("R of small order", "bad_signature", with(&good, "signature", small_r)),
    ];
    cases.extend(points.map(|(name, point)| case(name, "bad_public_key", with(&good, "public_key", point))));
    cases
}

fn judge_hpke(case: &Value) -> Verdict {
    let secret = ReceivingSecret::from_bytes(fixed(case, "receiver_secret"));
    let plaintext =
        open_from(&secret, &bytes(case, "info"), &bytes(case, "message")).map_err(|error| match error {
            HpkeError::UnknownVersion(_) => "unknown_version",
            HpkeError::Truncated => "truncated",
            _ => "not_for_us",
        })?;
    Ok(json!({ "plaintext": hex(&plaintext) }))
}

fn hpke() -> Vec<Case> {
    let rng = &mut CounterRng::new(10);
    let receiver = ReceivingSecret::make(rng);
    let seal = |info: &[u8], plaintext: &[u8], rng: &mut CounterRng| {
        let message = seal_to(&ReceivingKey(receiver.public().0), info, plaintext, rng).unwrap();
        json!({ "receiver_secret": hex(receiver.expose()), "info": hex(info), "message": hex(&message) })
    };
    let good = seal(b"info", &[7; 32], rng);
    let message = text(&good, "message").to_owned();
    let low_order = format!("01{}{}", "00".repeat(32), &message[66..]);
    vec![
        case("32 bytes", "ok", good.clone()),
        case("nothing", "ok", seal(b"", b"", rng)),
        flipped(&good, "message", 0, "unknown_version"),
        flipped(&good, "message", 1, "not_for_us"),
        flipped(&good, "message", 33, "not_for_us"),
        flipped(&good, "message", -1, "not_for_us"),
        flipped(&good, "info", 0, "not_for_us"),
        flipped(&good, "receiver_secret", 8, "not_for_us"),
        case("cut in the key", "truncated", with(&good, "message", &message[..64])),
        case("cut in the tag", "not_for_us", with(&good, "message", &message[..message.len() - 2])),
        case("a key of small order", "not_for_us", with(&good, "message", low_order)),
        case("empty", "truncated", with(&good, "message", "")),
    ]
}

fn judge_opaque(case: &Value) -> Verdict {
    Ok(match text(case, "kind") {
        "stretch" => {
            let input = generic_array_014::GenericArray::<u8, generic_array_014::typenum::U64>::from(
                fixed::<64>(case, "input"),
            );
            json!({ "output": hex(&crate::opaque::Stretch.hash(input).unwrap()) })
        }
        _ => json!({ "setup_id": crate::opaque::setup_id(&bytes(case, "server_public_key")).to_string() }),
    })
}

fn opaque() -> Vec<Case> {
    let stretch = |byte: u8| json!({ "kind": "stretch", "input": hex(&[byte; 64]) });
    vec![
        case("Argon2id of zeros", "ok", stretch(0)),
        case("Argon2id of sevens", "ok", stretch(7)),
        case("a setup", "ok", json!({ "kind": "setup_id", "server_public_key": hex(&[9; 32]) })),
    ]
}
