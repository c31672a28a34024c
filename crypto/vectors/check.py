#!/usr/bin/env python3
"""Checks every vector of Alcove's cryptography with an implementation of its own, written from SPEC.md.

    pip install -r requirements.txt
    python3 check.py

A case passes when the outputs are exactly those in the file, or the class of failure is exactly the one expected. The
published vectors that apply to code of our own here (HPKE, strict Ed25519, Argon2id) are checked too.
"""

import hashlib
import json
import re
import sys
from pathlib import Path

from checker import account as a
from checker import primitives as p
from checker import space as s

HERE = Path(__file__).resolve().parent


def unhex(case: dict, *names: str) -> list:
    return [bytes.fromhex(case[name]) for name in names]


def believed(signed: str) -> a.State:
    return a.parse_state(bytes.fromhex(signed))


def cbor(case):
    def tree(item):
        if isinstance(item, int):
            return {"u": str(item)}
        if isinstance(item, bytes):
            return {"b": item.hex()}
        return {"t": item} if isinstance(item, str) else {"a": [tree(part) for part in item]}

    return {"items": [tree(item) for item in p.decode(*unhex(case, "encoded"))]}


def padding(case):
    return {"padded": p.padme(case["length"], case["floor"])}


def sealed(case):
    return {"plaintext": p.open_sealed(*unhex(case, "key", "context", "sealed")).hex()}


def signature(case):
    key, data, signed = unhex(case, "public_key", "bytes", "signature")
    p.check_public_key(key)
    p.verify(key, case["label"], data, signed)
    return {}


def hpke(case):
    return {"plaintext": p.hpke_open(*unhex(case, "receiver_secret", "info", "message")).hex()}


def opaque(case):
    if case["kind"] == "stretch":
        return {"output": p.stretch(*unhex(case, "input")).hex()}
    return {"setup_id": p.labelled("alcove/1/opaque-setup", *unhex(case, "server_public_key"))[:16].hex()}


def account_state(case):
    state = a.parse_state(*unhex(case, "state"))
    how = case["how"]
    if how == "first":
        a.verify_first(state)
    elif how == "under":
        a.verify_under(state, *unhex(case, "identity"))
    else:
        {"after": a.verify_after, "before": a.verify_before}[how](state, believed(case["known"]))
    live = [device.id.hex() for device in state.devices if device.revoked is None]
    return {
        "account": state.account.hex(), "hash": state.hash.hex(), "version": state.version, "epoch": state.epoch,
        "live_devices": live,
    }


def root(case):
    if case["kind"] == "grant":
        seed, secret, grant = unhex(case, "device_signing_seed", "device_receiving_secret", "grant")
        return {"root_key": a.open_root_grant(seed, secret, believed(case["state"]), grant).hex()}
    key, account = unhex(case, "root_key", "account")
    if case["kind"] == "keyring":
        name_key, earlier = a.open_keyring(key, account, case["epoch"], *unhex(case, "keyring"))
        return {"name_key": name_key.hex(), "earlier": [[epoch, old.hex()] for epoch, old in earlier]}
    return {
        "commitment": a.root_commitment(key, account, case["epoch"]).hex(),
        "private_space_key": a.private_space_key(key, *unhex(case, "space"), case["epoch"]).hex(),
    }


def bundle(case):
    secret = bytes.fromhex(case["export_key"] if case["kind"] == "password" else case["recovery_code"])
    identity, epoch, key, recovery = a.unlock(case["kind"], secret, *unhex(case, "account", "state", "credential_set"))
    return {"identity": identity.hex(), "epoch": epoch, "root_key": key.hex(), "recovery_kek": recovery.hex()}


def recovery_code(case):
    code = a.parse_recovery_code(case["text"])
    return {
        "code": code.hex(), "recovery_kek": a.recovery_kek(code).hex(),
        "sign_in_public_key": a.recovery_sign_in_key(code).hex(),
    }


def challenge(case):
    key, nonce, signed = unhex(case, "public_key", "nonce", "signature")
    who = {
        "device": lambda: unhex(case, "account", "device"),
        "recovery": lambda: [key],
        "identity": lambda: [*unhex(case, "account"), case["verb"], *unhex(case, "subject")],
    }[case["kind"]]()
    a.verify_challenge(case["kind"], key, who, nonce, case["audience"], signed)
    return {}


def enrolment(case):
    if case["kind"] == "request":
        signing, receiving = a.accept_request(*unhex(case, "code", "ephemeral_secret", "request"))
        return {"device_signing_key": signing.hex(), "device_receiving_key": receiving.hex()}
    code, seed, secret, scanned, enrolled = unhex(
        case, "code", "device_signing_seed", "device_receiving_secret", "scanned", "enrolled"
    )
    device = a.device_id(p.ed25519_public(seed), p.x25519_public(secret))
    a.finish_enrolment(code, device, scanned, enrolled)
    return {"device": device.hex()}


def safety_number(case):
    sides = zip(map(bytes.fromhex, case["accounts"]), map(bytes.fromhex, case["identities"]))
    return {"number": a.safety_number(sides)}


def record(case):
    if case["kind"] == "singleton":
        slot = s.singleton_slot(*unhex(case, "name_key", "space"), case["singleton_kind"], case["singleton_key"])
        return {"slot": slot.hex()}
    key, space, slot, data = unhex(case, "space_key", "space", "slot", "record")
    return {"content": s.open_record(key, case["epoch"], space, slot, data).hex()}


def head(case):
    value = s.start_head(*unhex(case, "space"))
    for commit_hash in case["commit_hashes"]:
        value = s.next_head(value, bytes.fromhex(commit_hash))
    return {"head": value.hex()}


def commit(case):
    data, key, device = unhex(case, "commit", "space_key", "device_signing_key")
    header, message, signed = s.open_header(data, key)
    s.verify_header(message, signed, device)
    _, seq, epoch, prev, _ = s.parse_commit(data)
    return {
        "seq": seq, "epoch": epoch, "prev": prev.hex(), "author": header.author.hex(), "device": header.device.hex(),
        "state_version": header.state_version, "state_hash": header.state_hash.hex(),
        "control": header.control and [header.control[0], header.control[1].hex()],
        "state_root": header.root.hex(), "time": header.time,
        "other_heads": [[space.hex(), at, value.hex()] for space, at, value in header.other_heads],
        "joined": [[at, value.hex()] for at, value in header.joined],
    }


def control(case):
    key, space, data, author = unhex(case, "space_key", "space", "sealed", "author")
    opened = s.open_control(key, space, case["control_version"], data)
    before = case["before"] and s.parse_control(bytes.fromhex(case["before"]))
    s.check_control(opened, before, author)
    members = [[account.hex(), identity.hex(), role] for account, identity, role in opened.members]
    return {"hash": opened.hash.hex(), "epoch": opened.epoch, "members": members}


def shared_record(case):
    space, slot, content = unhex(case, "space", "slot", "content")
    read = s.verify_shared_record(space, slot, content, believed(case["state"]))
    known = case["known"] and {
        name: value if isinstance(value, int) else bytes.fromhex(value) for name, value in case["known"].items()
    }
    s.check_shared_record(read, case["role"], known)
    author, version, _, text = read
    return {"author": author.hex(), "record_version": version, "text": None if text is None else text.hex()}


def merkle(case):
    if case["kind"] == "root":
        entries = [(bytes.fromhex(slot), bytes.fromhex(value)) for slot, value in case["entries"]]
        return {"root": s.merkle_root(entries).hex()}
    found = s.verify_proof(*unhex(case, "root", "slot", "proof"))
    return {"hash": found and found.hex()}


def pull(case):
    start = case["start"]
    states, before = {}, None
    for signed in case["states"]:
        state = a.parse_state(bytes.fromhex(signed))
        before = a.verify_after(state, before) if before else a.verify_first(state)
        states[state.version] = state
    place = s.Pull(
        *unhex(case, "space", "account"),
        keys={epoch: bytes.fromhex(key) for epoch, key in case["space_keys"]},
        states=states,
        seq=start["seq"],
        head=bytes.fromhex(start["head"]),
        root=bytes.fromhex(start["state_root"]),
        named=start["named"],
        slots={bytes.fromhex(slot): bytes.fromhex(value) for slot, value in start["slots"]},
        snapshot=case["mode"] == "snapshot",
        expected={seq: bytes.fromhex(value) for seq, value in case["expected"]},
    )
    place.check_tip(case["tip"][0], bytes.fromhex(case["tip"][1]))
    for page in case["pages"]:
        slots = [
            (
                bytes.fromhex(slot["slot"]), slot["seq"], slot["hash"] and bytes.fromhex(slot["hash"]),
                slot["record"] and bytes.fromhex(slot["record"]),
            )
            for slot in page["slots"]
        ]
        place.page(list(map(bytes.fromhex, page["pruned"])), list(map(bytes.fromhex, page["commits"])), slots)
    slots = sorted(place.finish().items())
    return {
        "seq": place.seq, "head": place.head.hex(), "state_root": place.root.hex(),
        "slots": [[slot.hex(), value.hex()] for slot, value in slots],
    }


def attachment(case):
    key, space, name, data = unhex(case, "attachment_key", "space", "attachment_id", "sealed")
    plaintext = s.open_attachment(key, space, name, case["length"], data)
    return {"plaintext_sha256": hashlib.sha256(plaintext).hexdigest()}


def local(case):
    key, store, name, data = unhex(case, "local_key", "store", "value_name", "sealed")
    return {"value": s.open_local(key, store, case["purpose"], name, data).hex()}


CHECKS = [
    cbor, padding, sealed, signature, hpke, opaque, account_state, root, bundle, recovery_code, challenge, enrolment,
    safety_number, record, head, commit, control, shared_record, merkle, pull, attachment, local,
]


def complaint(check, case: dict) -> str | None:
    """What is wrong with a case, if anything is."""
    try:
        outputs = check(case)
    except p.Refused as refusal:
        found = str(refusal)
        return None if found == case["expect"] else f"{found} where {case['expect']} was expected"
    if case["expect"] != "ok":
        return f"accepted where {case['expect']} was expected"
    wrong = [name for name, value in outputs.items() if case.get(name) != value]
    return f"another {', '.join(wrong)}" if wrong else None


def published():
    """The published vectors for what is implemented here and not in a library: (name, passed) each."""
    folder = HERE / "published"
    for vector in json.loads((folder / "cctv/ed25519vectors.json").read_text()):
        flags = set(vector["flags"] or [])
        refused = flags & {
            "low_order_A", "low_order_R", "non_canonical_A", "non_canonical_R", "low_order_residue",
        }
        try:
            p.verify_raw(bytes.fromhex(vector["key"]), vector["msg"].encode(), bytes.fromhex(vector["sig"]))
            yield f"cctv {vector['number']}", not refused
        except p.Refused:
            yield f"cctv {vector['number']}", bool(refused)
    for vector in json.loads((folder / "rfc9180/base_x25519_sha256_chacha20poly1305.json").read_text()):
        secret, enc, info = (bytes.fromhex(vector[name]) for name in ("skRm", "enc", "info"))
        for number, message in enumerate(vector["encryptions"]):
            opened = p.hpke_base_open(secret, enc, info, *unhex(message, "aad", "ct"), sequence=number)
            yield f"rfc9180 {number}", opened == bytes.fromhex(message["pt"])


def main() -> int:
    passed, failed = 0, 0
    files = {path.stem: path for path in sorted(HERE.glob("*.json"))}
    listed = set(re.findall(r"^\| `(\w+)\.json`", (HERE / "README.md").read_text(), re.MULTILINE))
    checks = {check.__name__: check for check in CHECKS}
    if not set(files) == listed == set(checks):
        print(f"files, README.md and checks differ: {set(files) ^ listed | set(files) ^ set(checks)}")
        failed += 1
    for name, path in files.items():
        cases = json.loads(path.read_text())["cases"]
        for case in cases:
            wrong = complaint(checks[name], case)
            passed, failed = passed + (wrong is None), failed + (wrong is not None)
            if wrong:
                print(f"{name}: {case['name']}: {wrong}")
        print(f"{name}: {len(cases)} cases, {sum(case['expect'] != 'ok' for case in cases)} of them to be refused")
    others = list(published())
    for name, good in others:
        passed, failed = passed + good, failed + (not good)
        if not good:
            print(f"published: {name}: another verdict")
    print(f"published: {len(others)} cases")
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
