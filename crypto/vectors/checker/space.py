"""SPEC.md sections 6 to 9: records, commits, controls, shared records, pulls, the Merkle map, attachments."""

import hmac
from dataclasses import dataclass, field

from cryptography.exceptions import InvalidTag

from .account import State
from .primitives import (
    Refused, accept, context, decode, encode, fixed, integer, labelled, open_sealed, optional, padme, public_key, raw,
    sha256, shaped, strip_version, unpad, verify,
)

CHUNK = 65536


# 6 Records ---------------------------------------------------------------------------------------------------------


def open_record(key: bytes, epoch: int, space: bytes, slot: bytes, record: bytes) -> bytes:
    padded = open_sealed(key, context("alcove/1/record", space, slot, epoch), record)
    return unpad(padded, lambda length: padme(length, 1024))


def singleton_slot(name_key: bytes, space: bytes, kind: str, key: str) -> bytes:
    return hmac.digest(name_key, context("alcove/1/singleton-slot", space, kind, key), "sha256")[:16]


# 7.2 Commits and heads ---------------------------------------------------------------------------------------------


def start_head(space: bytes) -> bytes:
    return labelled("alcove/1/space-start", space)


def next_head(head: bytes, commit_hash: bytes) -> bytes:
    return labelled("alcove/1/space-head", head + commit_hash)


def parse_commit(commit: bytes) -> list:
    if len(commit) > 4096:
        raise Refused("malformed")
    return shaped(decode(strip_version(commit)), 16, int, int, 32, bytes)


# 7.3 Headers -------------------------------------------------------------------------------------------------------


@dataclass
class Header:
    """What a commit says, not yet believed."""

    author: bytes
    device: bytes
    state_version: int
    state_hash: bytes
    control: list | None
    root: bytes
    time: int
    other_heads: list
    joined: list


def _control(item):
    if item == []:
        return None
    return shaped(item, int, 32)


def _places(maximum: int, *kinds):
    def reader(items):
        if not isinstance(items, list) or len(items) > maximum:
            raise Refused("malformed")
        return [shaped(item, *kinds) for item in items]

    return reader


def open_header(commit: bytes, key: bytes):
    """Gives the header, the message that must have been signed, and the signature."""
    space, seq, epoch, prev, sealed = parse_commit(commit)
    padded = open_sealed(key, context("alcove/1/commit-header", space, seq, epoch, prev), sealed)
    plaintext = unpad(padded, lambda length: -(-length // 256) * 256)
    header, signature = shaped(decode(plaintext), bytes, 64)
    places = (_places(16, 16, int, 32), _places(8, int, 32))
    fields = shaped(decode(header), 16, 16, int, 32, _control, 32, int, *places)
    return Header(*fields), encode([1, space, seq, epoch, prev, header]), signature


def verify_header(message: bytes, signature: bytes, device_key: bytes) -> None:
    verify(device_key, "alcove/1/commit-signature", message, signature)


# 7.4 Controls ------------------------------------------------------------------------------------------------------


@dataclass
class Control:
    """The control of a shared space."""

    space: bytes
    version: int
    previous: bytes
    epoch: int
    commitment: bytes
    members: list
    bytes: bytes = b""

    @property
    def hash(self) -> bytes:
        return labelled("alcove/1/control-hash", self.bytes)

    def role(self, account: bytes) -> int:
        return next((role for member, _, role in self.members if member == account), 0)


def _members(items):
    members = _places(256, 16, public_key, int)(items)
    if any(role not in (1, 2, 3) for _, _, role in members):
        raise Refused("malformed")
    return members


def parse_control(data: bytes) -> Control:
    return Control(*shaped(decode(strip_version(data)), 16, int, 32, int, 32, _members), data)


def open_control(key: bytes, space: bytes, version: int, sealed: bytes) -> Control:
    control = parse_control(open_sealed(key, context("alcove/1/sealed-control", space, version), sealed))
    if control.space != space or control.version != version:
        raise Refused("malformed")
    return control


def check_control(control: Control, before: Control | None, author: bytes) -> None:
    if before is None:
        if control.version != 1 or control.previous != bytes(32):
            raise Refused("not_successor")
        if control.role(author) != 3:
            raise Refused("not_admin")
    else:
        follows = control.version == before.version + 1 and control.previous == before.hash
        if control.space != before.space or not follows:
            raise Refused("not_successor")
        if before.role(author) != 3:
            raise Refused("not_admin")
    if not 1 <= control.epoch <= 1024:
        raise Refused("epoch")
    accounts = [account for account, _, _ in control.members]
    if any(a >= b for a, b in zip(accounts, accounts[1:])):
        raise Refused("members")
    if all(role != 3 for _, _, role in control.members):
        raise Refused("no_admin")
    if before is not None:
        identities = {account: identity for account, identity, _ in control.members}
        lost = any(identities.get(account) != identity for account, identity, _ in before.members)
        new_epoch, new_key = control.epoch > before.epoch, control.commitment != before.commitment
        if control.epoch not in (before.epoch, before.epoch + 1) or new_epoch != new_key or (lost and not new_epoch):
            raise Refused("epoch")


# 7.5 Shared records ------------------------------------------------------------------------------------------------


def verify_shared_record(space: bytes, slot: bytes, content: bytes, state: State):
    body, signature = shaped(decode(strip_version(content)), bytes, 64)
    fields = shaped(decode(body), 16, 16, 32, int, 32, optional(raw))
    author, device, state_hash, version, replaced, text = fields
    listed = state.live(device)
    if state.hash != state_hash or state.account != author or listed is None:
        raise Refused("unknown_author")
    verify(listed.signing, "alcove/1/shared-record-signature", encode([1, space, slot, body]), signature)
    return author, version, replaced, text


def check_shared_record(record, role: int, known) -> None:
    author, version, replaced, text = record
    if role < 2 or (text is not None and version > 1 << 32):
        raise Refused("not_allowed")
    if known is None:
        follows = version > 1 or (version == 1 and replaced == bytes(32))
    else:
        follows = version > known["version"] and (version > known["version"] + 1 or replaced == known["hash"])
    if not follows:
        raise Refused("rollback")
    if known is not None and known["author"] != author and not (role == 3 and text is None):
        raise Refused("not_allowed")


# 7.6 and 7.7 Judging commits and pulls -------------------------------------------------------------------------------


@dataclass
class Pull:
    """A device's verified place in a private space, and a pull from there."""

    space: bytes
    account: bytes
    keys: dict
    states: dict
    seq: int
    head: bytes
    root: bytes
    named: int | None
    slots: dict
    snapshot: bool
    expected: dict
    base: int = 0
    seen: int = 0
    authors: set = field(default_factory=set)
    staged: dict = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.base = self.seen = self.seq
        self.expected = {seq: head for seq, head in self.expected.items() if seq > self.base}

    def check_tip(self, seq: int, head: bytes) -> None:
        if seq < self.seq:
            raise Refused("rollback")
        if seq == self.seq and head != self.head:
            raise Refused("fork")

    def _step(self, commit_hash: bytes) -> None:
        self.seq, self.head = self.seq + 1, next_head(self.head, commit_hash)
        if self.expected.get(self.seq, self.head) != self.head:
            raise Refused("fork")

    def page(self, pruned: list, commits: list, slots: list) -> None:
        for commit_hash in pruned:
            self._step(commit_hash)
        for commit in commits:
            self._judge(commit)
            self._step(sha256(commit))
            self.seen = self.seq
        for slot, seq, claimed, record in slots:
            oldest = self.staged[slot][0] if slot in self.staged else 1 if self.snapshot else self.base + 1
            if not oldest <= seq <= self.seq:
                raise Refused("out_of_order")
            if record is not None and sha256(record) != claimed:
                raise Refused("record_hash")
            self.staged[slot] = (seq, claimed)

    def _judge(self, commit: bytes) -> None:
        space, seq, epoch, prev, _ = parse_commit(commit)
        if space != self.space:
            raise Refused("wrong_space")
        if seq != self.seq + 1:
            raise Refused("out_of_order")
        if prev != self.head:
            raise Refused("fork")
        try:
            header, message, signature = open_header(commit, self.keys[epoch])
        except Refused:
            raise Refused("substitution") from None
        if header.control is not None:
            raise Refused("wrong_control")
        if header.author != self.account:
            raise Refused("unknown_author")
        if self.named is not None and header.state_version < self.named:
            raise Refused("state_rollback")
        state = self.states[header.state_version]
        if state.hash != header.state_hash:
            raise Refused("unknown_state")
        if epoch != state.epoch:
            raise Refused("wrong_epoch")
        device = state.live(header.device)
        if device is None:
            listed = any(entry.id == header.device for entry in state.devices)
            raise Refused("revoked_author" if listed else "unknown_author")
        verify_header(message, signature, device.signing)
        self.named, self.root = header.state_version, header.root
        self.authors.add(header.device)

    def finish(self) -> dict:
        newest = self.states[max(self.states)]
        for device in self.authors:
            if self.states[self.named].live(device) and not newest.live(device):
                raise Refused("held")
        if any(seq > self.seq for seq in self.expected):
            raise Refused("rollback")
        if self.seen != self.seq:
            raise Refused("incomplete")
        slots = {} if self.snapshot else dict(self.slots)
        for slot, (_, claimed) in self.staged.items():
            slots[slot] = claimed
        slots = {slot: claimed for slot, claimed in slots.items() if claimed is not None}
        if merkle_root(sorted(slots.items())) != self.root:
            raise Refused("incomplete")
        return slots


# 7.8 The Merkle map ------------------------------------------------------------------------------------------------


def _bit(slot: bytes, depth: int) -> int:
    return slot[depth // 8] >> (7 - depth % 8) & 1


def merkle_root(entries: list, depth: int = 0) -> bytes:
    if not entries:
        return bytes(32)
    if len(entries) == 1:
        return sha256(b"\0" + entries[0][0] + entries[0][1])
    sides = [[entry for entry in entries if _bit(entry[0], depth) == side] for side in (0, 1)]
    return sha256(b"\1" + merkle_root(sides[0], depth + 1) + merkle_root(sides[1], depth + 1))


def verify_proof(root: bytes, slot: bytes, proof: bytes):
    """Gives the hash in the slot, or None if the proof shows that there is none."""
    if not proof or proof[0] != 1:
        raise Refused("malformed")
    siblings, leaf = shaped(decode(proof[1:]), list, list)
    siblings = [fixed(32)(sibling) for sibling in siblings]
    if len(siblings) > 128 or len(leaf) not in (0, 2):
        raise Refused("malformed")
    digest = bytes(32)
    if leaf:
        leaf = shaped(leaf, 16, 32)
        if any(_bit(leaf[0], depth) != _bit(slot, depth) for depth in range(len(siblings))):
            raise Refused("bad_proof")
        digest = sha256(b"\0" + leaf[0] + leaf[1])
    for depth in reversed(range(len(siblings))):
        pair = (digest, siblings[depth]) if _bit(slot, depth) == 0 else (siblings[depth], digest)
        digest = sha256(b"\1" + pair[0] + pair[1])
    if digest != root:
        raise Refused("bad_proof")
    return leaf[1] if leaf and leaf[0] == slot else None


# 8 Attachments -----------------------------------------------------------------------------------------------------


def open_attachment(key: bytes, space: bytes, attachment: bytes, length: int, sealed: bytes) -> bytes:
    aead, body = accept(key, context("alcove/1/attachment", space, attachment, CHUNK), sealed[:57])
    body = sealed[57:]
    padded = padme(integer(length), 0)
    chunks = max(-(-padded // CHUNK), 1)
    plaintext = b""
    for index in range(chunks):
        size = min(CHUNK, padded - index * CHUNK) + 16
        if len(body) < size:
            raise Refused("truncated")
        nonce = index.to_bytes(11, "big") + bytes([index == chunks - 1])
        try:
            chunk = aead.decrypt(nonce, body[:size], b"")
        except InvalidTag:
            raise Refused("altered") from None
        part = max(min(length - index * CHUNK, len(chunk)), 0)
        if chunk[part:].strip(b"\0"):
            raise Refused("padding")
        plaintext, body = plaintext + chunk[:part], body[size:]
    if body:
        raise Refused("trailing")
    return plaintext


# 9 The local store -------------------------------------------------------------------------------------------------


def open_local(key: bytes, store: bytes, purpose: str, name: bytes, sealed: bytes) -> bytes:
    return open_sealed(key, context("alcove/1/local-value", store, purpose, name), sealed)
