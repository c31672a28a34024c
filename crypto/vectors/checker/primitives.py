"""SPEC.md section 2 and 4: the primitives, from the standard library and `cryptography`, and the sealing construction."""

import hashlib
import hmac

from argon2.low_level import Type, hash_secret_raw
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

VERSION = 1


class Refused(Exception):
    """A value that MUST be refused; the argument is the class of failure."""


# 2.2 Deterministic CBOR -------------------------------------------------------------------------------------------


def encode(item) -> bytes:
    """Encodes an unsigned integer, bytes, text or list."""
    if isinstance(item, int):
        return _head(0, item)
    if isinstance(item, bytes):
        return _head(2, len(item)) + item
    if isinstance(item, str):
        return _head(3, len(item.encode())) + item.encode()
    return _head(4, len(item)) + b"".join(encode(part) for part in item)


def _head(major: int, value: int) -> bytes:
    if value < 24:
        return bytes([major << 5 | value])
    for info, width in ((24, 1), (25, 2), (26, 4), (27, 8)):
        if value < 1 << 8 * width:
            return bytes([major << 5 | info]) + value.to_bytes(width, "big")
    raise ValueError(value)


def decode(data: bytes) -> list:
    """Decodes exactly one array in the one form that it has, or refuses it as malformed."""
    item, rest = _decode(data, 0)
    if rest != len(data) or not isinstance(item, list):
        raise Refused("malformed")
    return item


def _decode(data: bytes, at: int):
    if at >= len(data):
        raise Refused("malformed")
    major, info = data[at] >> 5, data[at] & 31
    at += 1
    if major not in (0, 2, 3, 4) or info > 27:
        raise Refused("malformed")
    value = info
    if info >= 24:
        width = 1 << (info - 24)
        if at + width > len(data):
            raise Refused("malformed")
        value = int.from_bytes(data[at : at + width], "big")
        at += width
        if value < (24 if width == 1 else 1 << 4 * width):
            raise Refused("malformed")
    if major == 0:
        return value, at
    if major == 4:
        items = []
        for _ in range(value):
            item, at = _decode(data, at)
            items.append(item)
        return items, at
    if at + value > len(data):
        raise Refused("malformed")
    raw = data[at : at + value]
    if major == 2:
        return raw, at + value
    try:
        return raw.decode(), at + value
    except UnicodeDecodeError:
        raise Refused("malformed") from None


def strip_version(data: bytes, empty: str = "malformed") -> bytes:
    """2.1: the version byte comes first, and before anything else is looked at."""
    if not data:
        raise Refused(empty)
    if data[0] != VERSION:
        raise Refused("unknown_version")
    return data[1:]


def shaped(items: list, *kinds) -> list:
    """Checks an array's length and items: a type, a length of bytes, or a function that reads the item."""
    if not isinstance(items, list) or len(items) != len(kinds):
        raise Refused("malformed")
    out = []
    for item, kind in zip(items, kinds):
        if isinstance(kind, type):
            if not isinstance(item, kind):
                raise Refused("malformed")
        elif isinstance(kind, int):
            if not isinstance(item, bytes) or len(item) != kind:
                raise Refused("malformed")
        else:
            item = kind(item)
        out.append(item)
    return out


def optional(read):
    """`[ x ]?`: an array of no or one item."""

    def reader(item):
        if not isinstance(item, list) or len(item) > 1:
            raise Refused("malformed")
        return read(item[0]) if item else None

    return reader


def fixed(length: int):
    """Reads bytes of one length."""
    return lambda item: shaped([item], length)[0]


def integer(item):
    """Reads an integer."""
    return shaped([item], int)[0]


def raw(item):
    """Reads bytes of any length."""
    return shaped([item], bytes)[0]


# 2.3 Hashes and derivation -----------------------------------------------------------------------------------------


def sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def labelled(label: str, *parts: bytes) -> bytes:
    return sha256(label.encode() + b"\0" + b"".join(parts))


def context(label: str, *items) -> bytes:
    return encode([label, VERSION, *items])


def expand(key: bytes, info: bytes, length: int) -> bytes:
    out, block, counter = b"", b"", 1
    while len(out) < length:
        block = hmac.digest(key, block + info + bytes([counter]), "sha256")
        out, counter = out + block, counter + 1
    return out[:length]


def derive(key: bytes, info: bytes) -> bytes:
    return expand(key, info, 32)


def extract(secret: bytes, salt: bytes = b"") -> bytes:
    return hmac.digest(salt or bytes(32), secret, "sha256")


# 2.5 Signatures: strict, without cofactor, by our own arithmetic -------------------------------------------------------

P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P
NEUTRAL = (0, 1, 1, 0)


def _add(a, b):
    x1, y1, z1, t1 = a
    x2, y2, z2, t2 = b
    e, f = (y1 - x1) * (y2 - x2) % P, (y1 + x1) * (y2 + x2) % P
    g, h = 2 * t1 * t2 * D % P, 2 * z1 * z2 % P
    i, j, k, m = f - e, h - g, h + g, f + e
    return i * j % P, k * m % P, j * k % P, i * m % P


def _mul(scalar: int, point):
    out = NEUTRAL
    while scalar:
        if scalar & 1:
            out = _add(out, point)
        point, scalar = _add(point, point), scalar >> 1
    return out


def _compress(point) -> bytes:
    x, y, z, _ = point
    inverse = pow(z, P - 2, P)
    x, y = x * inverse % P, y * inverse % P
    return (y | (x & 1) << 255).to_bytes(32, "little")


def _decompress(data: bytes):
    number = int.from_bytes(data, "little")
    sign, y = number >> 255, (number & (1 << 255) - 1) % P
    u, v = (y * y - 1) % P, (D * y * y + 1) % P
    x = u * pow(v, 3, P) * pow(u * pow(v, 7, P), (P - 5) // 8, P) % P
    if v * x * x % P == -u % P:
        x = x * pow(2, (P - 1) // 4, P) % P
    if v * x * x % P != u:
        return None
    if x & 1 != sign:
        x = -x % P
    return x, y, 1, x * y % P


def _is_small_order(point) -> bool:
    x, y, z, _ = _mul(8, point)
    return x % P == 0 and (y - z) % P == 0


BASE = _decompress((4 * pow(5, P - 2, P) % P).to_bytes(32, "little"))


def check_public_key(key: bytes):
    """Refuses what is not the canonical encoding of a point of large order."""
    point = _decompress(key)
    if point is None or _compress(point) != key or _is_small_order(point):
        raise Refused("bad_public_key")
    return point


def public_key(item) -> bytes:
    """Reads a public key inside a larger value, which is malformed if the key is not usable."""
    key = shaped([item], 32)[0]
    try:
        check_public_key(key)
    except Refused:
        raise Refused("malformed") from None
    return key


def verify_raw(key: bytes, message: bytes, signature: bytes) -> None:
    point = check_public_key(key)
    r, s = signature[:32], int.from_bytes(signature[32:], "little")
    r_point = _decompress(r)
    if len(signature) != 64 or s >= L or r_point is None or _is_small_order(r_point):
        raise Refused("bad_signature")
    k = int.from_bytes(hashlib.sha512(r + key + message).digest(), "little") % L
    x, y, z, t = _mul(k, point)
    if _compress(_add(_mul(s, BASE), (-x % P, y, z, -t % P))) != r:
        raise Refused("bad_signature")


def verify(key: bytes, label: str, data: bytes, signature: bytes) -> None:
    verify_raw(key, label.encode() + b"\0" + data, signature)


def ed25519_public(seed: bytes) -> bytes:
    return Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()


def x25519_public(secret: bytes) -> bytes:
    return X25519PrivateKey.from_private_bytes(secret).public_key().public_bytes_raw()


# 2.6 HPKE, base mode (RFC 9180) ---------------------------------------------------------------------------------------

_KEM = b"KEM" + (0x20).to_bytes(2, "big")
_SUITE = b"HPKE" + b"".join(number.to_bytes(2, "big") for number in (0x20, 1, 3))


def _labeled_extract(suite: bytes, salt: bytes, label: bytes, ikm: bytes) -> bytes:
    return extract(b"HPKE-v1" + suite + label + ikm, salt)


def _labeled_expand(suite: bytes, prk: bytes, label: bytes, info: bytes, length: int) -> bytes:
    return expand(prk, length.to_bytes(2, "big") + b"HPKE-v1" + suite + label + info, length)


def hpke_base_open(secret: bytes, enc: bytes, info: bytes, aad: bytes, ciphertext: bytes, sequence: int = 0) -> bytes:
    """Opens message number `sequence` of a base-mode context; refuses an all-zero shared secret."""
    try:
        dh = X25519PrivateKey.from_private_bytes(secret).exchange(X25519PublicKey.from_public_bytes(enc))
    except ValueError:
        raise Refused("not_for_us") from None
    kem_context = enc + x25519_public(secret)
    eae = _labeled_extract(_KEM, b"", b"eae_prk", dh)
    shared = _labeled_expand(_KEM, eae, b"shared_secret", kem_context, 32)
    schedule = b"\0" + _labeled_extract(_SUITE, b"", b"psk_id_hash", b"")
    schedule += _labeled_extract(_SUITE, b"", b"info_hash", info)
    prk = _labeled_extract(_SUITE, shared, b"secret", b"")
    key = _labeled_expand(_SUITE, prk, b"key", schedule, 32)
    nonce = int.from_bytes(_labeled_expand(_SUITE, prk, b"base_nonce", schedule, 12), "big") ^ sequence
    try:
        return ChaCha20Poly1305(key).decrypt(nonce.to_bytes(12, "big"), ciphertext, aad)
    except (InvalidTag, ValueError):
        raise Refused("not_for_us") from None


def hpke_open(secret: bytes, info: bytes, message: bytes) -> bytes:
    body = strip_version(message, empty="truncated")
    if len(body) < 32:
        raise Refused("truncated")
    return hpke_base_open(secret, body[:32], info, b"", body[32:])


# 2.7 OPAQUE: what can be checked without a handshake -------------------------------------------------------------------


def stretch(data: bytes) -> bytes:
    return hash_secret_raw(data, bytes(16), 3, 65536, 4, 64, Type.ID, 0x13)


# 4 Sealing ---------------------------------------------------------------------------------------------------------


def accept(key: bytes, info: bytes, sealed: bytes):
    """Checks version and commitment; gives the AEAD and what stands behind the prefix."""
    body = strip_version(sealed, empty="truncated")
    if len(body) < 24 + 32:
        raise Refused("truncated")
    okm = expand(key, info + body[:24], 64)
    if not hmac.compare_digest(okm[32:], body[24:56]):
        raise Refused("wrong_key_or_context")
    return ChaCha20Poly1305(okm[:32]), body[56:]


def open_sealed(key: bytes, info: bytes, sealed: bytes) -> bytes:
    if strip_version(sealed, empty="truncated") is not None and len(sealed) < 73:
        raise Refused("truncated")
    aead, ciphertext = accept(key, info, sealed)
    try:
        return aead.decrypt(bytes(12), ciphertext, b"")
    except InvalidTag:
        raise Refused("altered") from None


def padme(length: int, floor: int) -> int:
    length = max(length, floor)
    if length < 2:
        return length
    exponent = length.bit_length() - 1
    step = 1 << max(exponent - exponent.bit_length(), 0)
    return -(-length // step) * step


def unpad(padded: bytes, rule) -> bytes:
    content = padded.rstrip(b"\0")
    if not content.endswith(b"\x80") or rule(len(content)) != len(padded):
        raise Refused("malformed")
    return content[:-1]
