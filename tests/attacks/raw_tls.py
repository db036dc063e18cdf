"""A TLS 1.3 client by hand (RFC 8446), for attackers that no library is: it shows any bytes as its certificate, signs with
any key, offers what nobody granted, and says things out of turn.

One cipher suite (TLS_AES_128_GCM_SHA256), one group (X25519); the gateway's own certificate is not looked at.
"""

import asyncio
import contextlib
import hashlib
import hmac
import json
import secrets
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import psycopg
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from tests.audit.stage import until
from tests.front.stage import CITY_AT, HELLO, Stage

ALERT, HANDSHAKE, APPLICATION, CHANGE_CIPHER = 21, 22, 23, 20
CLIENT_HELLO, SERVER_HELLO, ENCRYPTED, CERTIFICATE, VERIFY, FINISHED = 1, 2, 8, 11, 15, 20
EARLY_DATA, PRE_SHARED_KEY, PSK_MODES, KEY_SHARE = 42, 41, 45, 51
_SUITE = b"\x13\x01"
_RECORD_MAX = 1 << 14
_CONTEXT = b"\x20" * 64 + b"TLS 1.3, client CertificateVerify\0"
# RFC 8446 section 4.2.3; what a curve's key is signed with.
_SCHEMES: dict[str, tuple[int, hashes.HashAlgorithm]] = {
    "secp256r1": (0x0403, hashes.SHA256()),
    "secp384r1": (0x0503, hashes.SHA384()),
    "secp521r1": (0x0603, hashes.SHA512()),
}
_OFFERED = (0x0403, 0x0503, 0x0603, 0x0807, 0x0808, 0x0804)


def vector(content: bytes, octets: int = 2) -> bytes:
    """Return it with its length in front."""
    return len(content).to_bytes(octets, "big") + content


def extension(number: int, content: bytes = b"") -> bytes:
    """Return an extension of a hello."""
    return number.to_bytes(2, "big") + vector(content)


def message(kind: int, content: bytes) -> bytes:
    """Return a handshake message."""
    return bytes([kind]) + vector(content, 3)


def binder_for(offer: bytes) -> bytes:
    """Return a pre_shared_key extension that offers this identity, with a binder that nobody can check."""
    return extension(
        PRE_SHARED_KEY, vector(vector(offer) + bytes(4)) + vector(vector(b"\7" * 32, 1))
    )


@dataclass
class _Keys:
    """One direction's protection of records."""

    secret: bytes
    sequence: int = 0

    def nonce(self) -> bytes:
        count = self.sequence.to_bytes(12, "big")
        self.sequence += 1
        iv = _expand(self.secret, b"iv", b"", 12)
        return bytes(a ^ b for a, b in zip(iv, count, strict=True))

    @property
    def cipher(self) -> AESGCM:
        return AESGCM(_expand(self.secret, b"key", b"", 16))


@dataclass
class RawTls:
    """A connection; `extensions` are what the server's hello and its encrypted extensions granted, by number."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    extensions: dict[int, bytes] = field(default_factory=dict)
    _said: bytes = b""
    _heard: bytes = b""
    _out: _Keys | None = None
    _in: _Keys | None = None

    async def hello(self, *more: bytes, early: bytes = b"", shares: bool = True) -> None:
        """Say hello with these extensions at the end, and early data behind; take the server's part."""
        private = X25519PrivateKey.generate()
        share = b"\x00\x1d" + vector(private.public_key().public_bytes_raw())
        schemes = b"".join(one.to_bytes(2, "big") for one in _OFFERED)
        told = (
            extension(43, vector(b"\x03\x04", 1)),
            extension(10, vector(b"\x00\x1d")),
            extension(13, vector(schemes)),
            extension(16, vector(vector(b"h2", 1))),
            *([extension(KEY_SHARE, vector(share))] if shares else []),
            *more,
        )
        body = b"\x03\x03" + secrets.token_bytes(32) + b"\0" + vector(_SUITE) + b"\1\0"
        await self.say(message(CLIENT_HELLO, body + vector(b"".join(told))))
        if early:
            # Nobody can read it: the key is of a session that never was.
            self._write(APPLICATION, early)
            await self.writer.drain()
        found = await self._message(SERVER_HELLO)
        # Version, random, an empty session id, suite and compression stand before the extensions.
        granted = self._granted(found[2 + 32 + 1 + 2 + 1 :])
        theirs = X25519PublicKey.from_public_bytes(granted[KEY_SHARE][4:])
        zero, empty = bytes(32), hashlib.sha256().digest()
        base = _expand(_extract(zero, zero), b"derived", empty)
        self._handshake = _extract(base, private.exchange(theirs))
        self._client, server = self._secrets(self._handshake, b"hs")
        self._in = _Keys(server)
        self._granted(await self._message(ENCRYPTED))
        while (await self._any())[0] != FINISHED:
            pass
        self._out = _Keys(self._client)
        base = _expand(self._handshake, b"derived", empty)
        self._next, server = self._secrets(_extract(base, zero), b"ap")
        self._in = _Keys(server)

    async def show(self, chain: Sequence[bytes], key: Any = None) -> None:
        """Show these bytes as certificates, sign with the key (None: with nothing that fits), finish."""
        listed = b"".join(vector(one, 3) + b"\0\0" for one in chain)
        await self.say(message(CERTIFICATE, b"\0" + vector(listed, 3)))
        if chain:
            scheme, signature = _signed(key, _CONTEXT + hashlib.sha256(self._said).digest())
            await self.say(message(VERIFY, scheme.to_bytes(2, "big") + vector(signature)))
        digest = hashlib.sha256(self._said).digest()
        proof = hmac.digest(_expand(self._client, b"finished", b""), digest, "sha256")
        await self.say(message(FINISHED, proof))
        self._out = _Keys(self._next)

    async def say(self, said: bytes, kind: int = HANDSHAKE) -> None:
        """Send it in records of this kind."""
        if kind == HANDSHAKE:
            self._said += said
        for at in range(0, len(said), _RECORD_MAX):
            self._write(kind, said[at : at + _RECORD_MAX])
        with contextlib.suppress(OSError):
            await self.writer.drain()

    async def heard(self) -> bytes:
        """Return the next application data; b"" once the server ended the connection."""
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            while True:
                kind, content = await self._record()
                if kind == ALERT:
                    return b""
                if kind == APPLICATION:
                    return content
        return b""

    def _write(self, kind: int, content: bytes) -> None:
        if self._out is not None:
            inner = content + bytes([kind])
            head = bytes([APPLICATION]) + b"\x03\x03" + (len(inner) + 16).to_bytes(2, "big")
            sealed = self._out.cipher.encrypt(self._out.nonce(), inner, head)
            self.writer.write(head + sealed)
            return
        self.writer.write(bytes([kind]) + b"\x03\x03" + vector(content))

    async def _record(self) -> tuple[int, bytes]:
        while True:
            head = await self.reader.readexactly(5)
            content = await self.reader.readexactly(int.from_bytes(head[3:], "big"))
            if head[0] == CHANGE_CIPHER:
                continue
            if self._in is None or head[0] != APPLICATION:
                return head[0], content
            with contextlib.suppress(InvalidTag):
                inner = self._in.cipher.decrypt(self._in.nonce(), content, head).rstrip(b"\0")
                return inner[-1], inner[:-1]
            raise ConnectionError("a record that cannot be read")

    async def _any(self) -> tuple[int, bytes]:
        """Return the next handshake message."""
        while len(self._heard) < 4 or len(self._heard) < 4 + int.from_bytes(
            self._heard[1:4], "big"
        ):
            kind, content = await self._record()
            if kind != HANDSHAKE:
                raise ConnectionError("the server ended the handshake")
            self._heard += content
        end = 4 + int.from_bytes(self._heard[1:4], "big")
        found, self._heard = self._heard[:end], self._heard[end:]
        self._said += found
        return found[0], found[4:]

    async def _message(self, kind: int) -> bytes:
        found, content = await self._any()
        if found != kind:
            raise ConnectionError(f"message {found} instead of {kind}")
        return content

    def _granted(self, block: bytes) -> dict[int, bytes]:
        rest = block[2 : 2 + int.from_bytes(block[:2], "big")]
        while rest:
            length = int.from_bytes(rest[2:4], "big")
            self.extensions[int.from_bytes(rest[:2], "big")] = rest[4 : 4 + length]
            rest = rest[4 + length :]
        return self.extensions

    def _secrets(self, of: bytes, which: bytes) -> tuple[bytes, bytes]:
        digest = hashlib.sha256(self._said).digest()
        client, server = (_expand(of, one + which + b" traffic", digest) for one in (b"c ", b"s "))
        return client, server


@contextlib.asynccontextmanager
async def connected(address: str, port: int) -> AsyncIterator[RawTls]:
    """Give a connection; it is closed at the end of the block."""
    reader, writer = await asyncio.open_connection(address, port)
    try:
        async with asyncio.timeout(20):
            yield RawTls(reader, writer)
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


async def shown(at: Stage, chain: Sequence[bytes], key: Any) -> bool:
    """Whether whoever shows these bytes is let in as far as the door, which echoes."""
    async with connected(CITY_AT, at.settings.ports.intake) as raw:
        await raw.hello()
        await raw.show(chain, key)
        await raw.say(HELLO, APPLICATION)
        return await raw.heard() == HELLO


@contextlib.asynccontextmanager
async def reading(at: Stage) -> AsyncIterator[psycopg.Connection]:
    """Give a connection to read the log by, for many refusals to share."""
    with psycopg.connect(at.superuser, autocommit=True) as log:
        yield log


async def refused(
    at: Stage, log: psycopg.Connection, chain: Sequence[bytes], key: Any
) -> dict[str, Any]:
    """Show these bytes and return the one leaf of the refusal."""
    at.recorder._floods._buckets.clear()
    [(size,)] = log.execute("SELECT size FROM gateway.audit_head").fetchall()

    def found() -> list[dict[str, Any]]:
        asked = "SELECT leaf FROM gateway.audit_entry WHERE idx >= %s"
        leaves = [json.loads(bytes(raw)) for (raw,) in log.execute(asked, (size,)).fetchall()]
        # Of late lists other leaves tell (Stage.leaves).
        return [leaf for leaf in leaves if leaf["kind"] != "crl.late"]

    assert not await shown(at, chain, key)
    await until(lambda: bool(found()))
    [leaf] = found()
    assert (leaf["kind"], leaf["decision"]) == ("tls.refused", "deny")
    return leaf


def _extract(salt: bytes, material: bytes) -> bytes:
    return hmac.digest(salt, material, "sha256")


def _expand(secret: bytes, label: bytes, context: bytes, length: int = 32) -> bytes:
    """HKDF-Expand-Label of RFC 8446 section 7.1, for no more than one block."""
    told = length.to_bytes(2, "big") + vector(b"tls13 " + label, 1) + vector(context, 1)
    return hmac.digest(secret, told + b"\1", "sha256")[:length]


def _signed(key: Any, content: bytes) -> tuple[int, bytes]:
    if isinstance(key, ec.EllipticCurvePrivateKey) and key.curve.name in _SCHEMES:
        scheme, digest = _SCHEMES[key.curve.name]
        return scheme, key.sign(content, ec.ECDSA(digest))
    if isinstance(key, rsa.RSAPrivateKey):
        pss = padding.PSS(padding.MGF1(hashes.SHA256()), hashes.SHA256.digest_size)
        return 0x0804, key.sign(content, pss, hashes.SHA256())
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return 0x0807, key.sign(content)
    if isinstance(key, ed448.Ed448PrivateKey):
        return 0x0808, key.sign(content)
    return 0x0403, secrets.token_bytes(70)
