"""SPEC.md section 5: account states, root keys, bundles, recovery codes, challenges, enrolment, safety numbers."""

from dataclasses import dataclass
from hmac import compare_digest

from .primitives import (
    Refused, context, decode, derive, ed25519_public, encode, extract, fixed, hpke_open, integer, labelled, open_sealed,
    optional, public_key, shaped, strip_version, verify, x25519_public,
)

DEVICES_MAX = 128
EPOCHS_MAX = 1024


def account_id(identity: bytes) -> bytes:
    return labelled("alcove/1/account-id", identity)[:16]


def device_id(signing: bytes, receiving: bytes) -> bytes:
    return labelled("alcove/1/device-id", signing + receiving)[:16]


@dataclass
class Device:
    """A device as the account state lists it."""

    signing: bytes
    receiving: bytes
    added: int
    revoked: int | None

    @property
    def id(self) -> bytes:
        return device_id(self.signing, self.receiving)


@dataclass
class State:
    """An account state, read but not yet believed."""

    account: bytes
    version: int
    previous: bytes
    identity: bytes
    minimum: int
    space: bytes
    devices: list
    inbox: bytes
    epoch: int
    commitment: bytes
    credentials: bytes
    body: bytes
    signature: bytes
    handover: bytes | None

    @property
    def hash(self) -> bytes:
        return labelled("alcove/1/account-state-hash", self.body)

    def live(self, device: bytes) -> Device | None:
        return next((d for d in self.devices if d.id == device and d.revoked is None), None)


def _day(item) -> int:
    if integer(item) >= 1 << 32:
        raise Refused("malformed")
    return item


def _devices(items) -> list:
    if not isinstance(items, list) or len(items) > DEVICES_MAX:
        raise Refused("malformed")
    return [Device(*shaped(item, public_key, 32, _day, optional(_day))) for item in items]


def parse_state(signed: bytes) -> State:
    body, signature, handover = shaped(decode(strip_version(signed)), bytes, 64, optional(fixed(64)))
    fields = shaped(decode(strip_version(body)), 16, int, 32, public_key, int, 16, _devices, 32, int, 32, 32)
    state = State(*fields, body, signature, handover)
    ids = [device.id for device in state.devices]
    if len(set(ids)) != len(ids):
        raise Refused("rule")
    if state.version == 1:
        if state.account != account_id(state.identity):
            raise Refused("rule")
        if state.previous != bytes(32):
            raise Refused("not_successor")
    if state.version == 0 or not 1 <= state.epoch <= EPOCHS_MAX:
        raise Refused("rule")
    return state


def verify_signature(state: State) -> State:
    verify(state.identity, "alcove/1/account-state-signature", state.body, state.signature)
    return state


def verify_first(state: State) -> State:
    if state.version != 1 or state.handover is not None:
        raise Refused("not_successor")
    return verify_signature(state)


def verify_under(state: State, identity: bytes) -> State:
    if state.identity != identity:
        raise Refused("identity_changed")
    return verify_signature(state)


def verify_before(state: State, after: State) -> State:
    if state.account != after.account:
        raise Refused("wrong_account")
    if state.hash != after.previous or state.version + 1 != after.version:
        raise Refused("not_successor")
    return verify_signature(state)


def verify_after(state: State, before: State) -> State:
    if state.account != before.account:
        raise Refused("wrong_account")
    if state.version != before.version + 1 or state.previous != before.hash:
        raise Refused("not_successor")
    if (state.identity == before.identity) != (state.handover is None):
        raise Refused("identity_changed")
    if state.handover is not None:
        try:
            verify(before.identity, "alcove/1/account-handover-signature", state.body, state.handover)
        except Refused:
            raise Refused("identity_changed") from None
    _check_rules(state, before)
    return verify_signature(state)


def _check_rules(state: State, before: State) -> None:
    new_epoch = state.epoch > before.epoch
    broken = state.space != before.space or state.minimum < before.minimum or state.epoch < before.epoch
    broken |= new_epoch != (state.commitment != before.commitment)
    loses = state.identity != before.identity
    listed = {device.id: device for device in state.devices}
    for old in before.devices:
        new = listed.get(old.id)
        if new is None:
            broken |= old.revoked is None
            continue
        broken |= new.added != old.added or (old.revoked is not None and new.revoked != old.revoked)
        loses |= old.revoked is None and new.revoked is not None
    broken |= loses and not (new_epoch and state.inbox != before.inbox)
    if broken:
        raise Refused("rule")


# 5.3 Root keys -----------------------------------------------------------------------------------------------------


def root_commitment(root: bytes, account: bytes, epoch: int) -> bytes:
    return derive(root, context("alcove/1/root-commitment", account, epoch))


def private_space_key(root: bytes, space: bytes, epoch: int) -> bytes:
    return derive(root, context("alcove/1/private-space-key", space, epoch))


def open_keyring(root: bytes, account: bytes, epoch: int, sealed: bytes):
    key = derive(root, context("alcove/1/keyring-key", account, epoch))
    plaintext = open_sealed(key, context("alcove/1/account-keyring", account, epoch), sealed)
    name_key, earlier = shaped(decode(plaintext), 32, list)
    earlier = [shaped(item, int, 32) for item in earlier]
    epochs = [item[0] for item in earlier] + [epoch]
    if any(a >= b for a, b in zip(epochs, epochs[1:])):
        raise Refused("malformed")
    return name_key, earlier


def open_root_grant(seed: bytes, secret: bytes, state: State, grant: bytes) -> bytes:
    device = device_id(ed25519_public(seed), x25519_public(secret))
    root = hpke_open(secret, context("alcove/1/root-grant", state.account, state.epoch, device), grant)
    if len(root) != 32 or not compare_digest(root_commitment(root, state.account, state.epoch), state.commitment):
        raise Refused("not_committed")
    return root


# 5.4 Bundles -------------------------------------------------------------------------------------------------------


def unlock(kind: str, secret: bytes, account: bytes, signed: bytes, credentials: bytes):
    """Opens a bundle and checks all that was served beside it, in the order of the specification."""
    parts = shaped(decode(strip_version(credentials)), bytes, bytes, bytes, public_key, bytes)
    state = parse_state(signed)
    if kind == "password":
        kek = derive(extract(secret), context("alcove/1/password-kek", account))
        plaintext = open_sealed(kek, context("alcove/1/password-bundle", account), parts[1])
        seed, epoch, root, recovery = shaped(decode(plaintext), 32, int, 32, 32)
    else:
        recovery = recovery_kek(secret)
        plaintext = open_sealed(recovery, context("alcove/1/recovery-bundle", account), parts[2])
        seed, epoch, root = shaped(decode(plaintext), 32, int, 32)
    identity = ed25519_public(seed)
    verify_under(state, identity)
    if state.account != account:
        raise Refused("wrong_account")
    if state.credentials != labelled("alcove/1/credential-set-hash", credentials):
        raise Refused("credentials")
    if epoch != state.epoch or root_commitment(root, account, epoch) != state.commitment:
        raise Refused("not_committed")
    return identity, epoch, root, recovery


# 5.5 Recovery codes ------------------------------------------------------------------------------------------------

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


def parse_recovery_code(text: str) -> bytes:
    digits = []
    for character in text:
        if character.isspace() or character in "-_.–—":
            continue
        if len(digits) == 36:
            raise Refused("length")
        upper = character.upper() if character.isascii() else character
        upper = {"O": "0", "I": "1", "L": "1"}.get(upper, upper)
        if upper not in ALPHABET:
            raise Refused("character")
        digits.append(ALPHABET.index(upper))
    if len(digits) != 36:
        raise Refused("length")
    number = 0
    for digit in digits:
        number = number << 5 | digit
    code, checksum = (number >> 20).to_bytes(20, "big"), number & 0xFFFFF
    if int.from_bytes(labelled("alcove/1/recovery-checksum", code)[:3], "big") >> 4 != checksum:
        raise Refused("checksum")
    return code


def recovery_kek(code: bytes) -> bytes:
    return derive(extract(code), context("alcove/1/recovery-kek"))


def recovery_sign_in_key(code: bytes) -> bytes:
    return ed25519_public(derive(extract(code), context("alcove/1/recovery-seed")))


# 5.6 Challenges ----------------------------------------------------------------------------------------------------


def verify_challenge(kind: str, key: bytes, who: list, nonce: bytes, audience: str, signature: bytes) -> None:
    label = {"device": "device-sign-in", "recovery": "recovery-sign-in", "identity": "identity-request"}[kind]
    verify(key, f"alcove/1/{label}", encode([1, *who, nonce, audience]), signature)


# 5.7 Enrolment -----------------------------------------------------------------------------------------------------


def parse_code(code: bytes) -> list:
    return shaped(decode(strip_version(code)), 16, 32, 16, 16, int, 32, 16, int, 32)


def accept_request(code: bytes, ephemeral_secret: bytes, request: bytes):
    enrolment, _, secret, account, _, state_hash, _, _, _ = parse_code(code)
    info = context("alcove/1/enrolment-request", enrolment, account, state_hash)
    try:
        plaintext = hpke_open(ephemeral_secret, info, request)
    except Refused:
        raise Refused("not_scanned") from None
    signing, receiving, proof = shaped(decode(plaintext), public_key, 32, 32)
    ephemeral = x25519_public(ephemeral_secret)
    info = context("alcove/1/enrolment-proof", enrolment, ephemeral, state_hash, signing, receiving)
    if not compare_digest(derive(extract(secret), info), proof):
        raise Refused("not_scanned")
    return signing, receiving


def finish_enrolment(code: bytes, device: bytes, scanned: bytes, enrolled: bytes) -> None:
    _, _, _, account, _, state_hash, _, _, _ = parse_code(code)
    old, new = parse_state(scanned), parse_state(enrolled)
    if old.hash != state_hash or old.account != account:
        raise Refused("not_successor")
    verify_signature(old)
    verify_after(new, old)
    known = {entry.id for entry in old.devices}
    added = [entry.id for entry in new.devices if entry.id not in known]
    if added != [device] or new.live(device) is None:
        raise Refused("not_enrolled")


# 5.8 Safety numbers ------------------------------------------------------------------------------------------------


def safety_number(sides) -> str:
    groups = []
    for account, identity in sides:
        digest = labelled("alcove/1/safety-number", account + identity)
        groups.append([int.from_bytes(digest[at : at + 5], "big") % 100_000 for at in range(0, 30, 5)])
    return " ".join(f"{group:05}" for side in sorted(groups) for group in side)
