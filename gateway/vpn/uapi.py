"""Reads what a WireGuard device answers on its socket (www.wireguard.com/xplatform, "get=1").

A thousand peers are told again every second, and most are told as a second ago: who is told in the
same words is the same peer, and is not read anew. What is told otherwise, or in another order than
wireguard-go's, is read line by line. Either way nonsense is no answer.

The answer holds the device's private key and the peers' preshared keys: they are stepped over and
never kept.
"""

import base64
import re
from dataclasses import dataclass

from gateway.clock import US_PER_S
from gateway.vpn.table import MalformedAnswerError, Peer, network_of

KEY_BYTES = 32
# An address with port, as `wg` writes it too; it is compared and told, never connected to.
ENDPOINT = r"(?:\[[0-9a-fA-F:.%\w]{2,64}\]|[0-9.]{7,15}):[0-9]{1,5}"
NUMBER = r"[0-9]{1,18}"
_ENDPOINT = re.compile(ENDPOINT, re.ASCII)
_NUMBER = re.compile(NUMBER, re.ASCII)
_OF_DEVICE = frozenset({"private_key", "listen_port", "fwmark"})
_OF_PEER = frozenset(
    {
        "preshared_key",
        "protocol_version",
        "endpoint",
        "last_handshake_time_sec",
        "last_handshake_time_nsec",
        "tx_bytes",
        "rx_bytes",
        "persistent_keepalive_interval",
        "allowed_ip",
    }
)
_NAMED = "\npublic_key="
_END = "\nerrno=0\n\n"
# A key in hex and, where wireguard-go has it (device/uapi.go), the preshared key's line behind it.
_KEY_CHARS = 2 * KEY_BYTES
_PRESHARED = "\npreshared_key="
_ALLOWED = "\nallowed_ip="
_TOLD_AT = _KEY_CHARS + len(_PRESHARED) + _KEY_CHARS
# The rest of a peer in wireguard-go's order.
_TOLD = re.compile(
    rf"\nprotocol_version=[0-9]+(?:\nendpoint=({ENDPOINT}))?"
    rf"\nlast_handshake_time_sec=({NUMBER})\nlast_handshake_time_nsec=({NUMBER})"
    r"\ntx_bytes=[0-9]+\nrx_bytes=[0-9]+\npersistent_keepalive_interval=[0-9]+"
    r"((?:\nallowed_ip=[^\n]+)*)",
    re.ASCII,
)


@dataclass(frozen=True, slots=True)
class _Told:
    """A peer, how it was told in wireguard-go's order, and the part that says what it may use."""

    text: str
    allowed: str
    peer: Peer


class Answers:
    """Reads the answers of one device, one after another."""

    def __init__(self) -> None:
        """Nothing was told yet."""
        # By key as it was written.
        self._known: dict[str, _Told] = {}

    def read(self, answer: bytes) -> list[Peer]:
        """Return the peers of an answer; raises MalformedAnswerError."""
        device, *sections = f"\n{ascii_text(answer)}".split(_NAMED)
        if sections:
            sections[-1] = _ended(sections[-1])
        else:
            device = _ended(device)
        _check_device(device)
        peers, known = [], {}
        for section in sections:
            key = section[:_KEY_CHARS]
            told = _usual(section, self._known.get(key))
            if told is None:
                peers.append(_by_lines(section))
            else:
                known[key] = told
                peers.append(told.peer)
        if len({peer.name for peer in peers}) != len(peers):
            raise MalformedAnswerError("a peer is named twice")
        self._known = known
        return peers


def ascii_text(answer: bytes) -> str:
    """Return an answer's text; raises MalformedAnswerError."""
    try:
        return answer.decode("ascii")
    except UnicodeDecodeError:
        raise MalformedAnswerError("not ASCII") from None


def number(text: str) -> int:
    """Return a number of an answer; raises MalformedAnswerError."""
    if not _NUMBER.fullmatch(text):
        raise MalformedAnswerError("not a number")
    return int(text)


def endpoint(text: str) -> str:
    """Pass a peer's address outside; raises MalformedAnswerError."""
    if not _ENDPOINT.fullmatch(text):
        raise MalformedAnswerError("not an endpoint")
    return text


def _ended(last: str) -> str:
    if not last.endswith(_END):
        raise MalformedAnswerError("the device says an error, or no result")
    return last.removesuffix(_END)


def _check_device(text: str) -> None:
    for line in text.split("\n")[1:]:
        key, equals, _ = line.partition("=")
        if not equals:
            raise MalformedAnswerError("a line without a value")
        if key not in _OF_DEVICE:
            raise MalformedAnswerError("an unknown key")


def _usual(section: str, before: _Told | None) -> _Told | None:
    """Return a peer that is told in wireguard-go's order; None for another order, or nonsense."""
    # The preshared key stands where it is stepped over, alone in its line.
    alone = section.find("\n", _KEY_CHARS + 1) == _TOLD_AT
    if not alone or not section.startswith(_PRESHARED, _KEY_CHARS):
        return None
    text = section[_TOLD_AT:]
    if before is not None and before.text == text:
        return before
    found = _TOLD.fullmatch(text)
    if found is None:
        return None
    where, seconds, nanoseconds, allowed = found.groups("")
    if before is not None and before.allowed == allowed:
        name, networks = before.peer.name, before.peer.networks
    else:
        name = _of_hex(section[:_KEY_CHARS])
        networks = tuple(map(network_of, allowed.split(_ALLOWED)[1:]))
    handshake_us = int(seconds) * US_PER_S + int(nanoseconds) // 1000
    return _Told(text, allowed, Peer(name, networks, handshake_us or None, where))


def _by_lines(section: str) -> Peer:
    name, *lines = section.split("\n")
    pairs = []
    for line in lines:
        key, equals, value = line.partition("=")
        if not equals:
            raise MalformedAnswerError("a line without a value")
        if key not in _OF_PEER:
            raise MalformedAnswerError("an unknown key")
        pairs.append((key, value))
    once = dict(pairs)
    networks = tuple(network_of(value) for key, value in pairs if key == "allowed_ip")
    if len(once) + max(0, len(networks) - 1) != len(pairs):
        raise MalformedAnswerError("a peer says one thing twice")
    seconds = number(once.get("last_handshake_time_sec", "0"))
    nanoseconds = number(once.get("last_handshake_time_nsec", "0"))
    handshake_us = seconds * US_PER_S + nanoseconds // 1000
    where = endpoint(once["endpoint"]) if "endpoint" in once else ""
    return Peer(_of_hex(name), networks, handshake_us or None, where)


def _of_hex(text: str) -> str:
    try:
        key = bytes.fromhex(text)
    except ValueError:
        raise MalformedAnswerError("a key is not hex") from None
    if len(key) != KEY_BYTES:
        raise MalformedAnswerError("a key has another length")
    return base64.b64encode(key).decode()
