"""Reads what a WireGuard device answers on its socket (www.wireguard.com/xplatform, "get=1").

A thousand peers are told again every second, and most of it as a second ago: what is told in the
same words is not read anew. Where a peer is told in another order than wireguard-go's, the answer
is read line by line. Either way nonsense is no answer.

The answer holds the device's private key and the peers' preshared keys: they are stepped over and
never kept.
"""

import base64
import re

from gateway.clock import US_PER_S
from gateway.vpn.table import MalformedAnswerError, Network, Peer, network_of

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
_NAMED = "public_key="
_END = "errno=0\n\n"
# A peer in wireguard-go's order (device/uapi.go), as `vpn.window` tells it too: what is compared
# and read, in groups; the last group is what is no such peer.
_USUAL = re.compile(
    r"public_key=([0-9a-f]{64})\n(?:preshared_key=[0-9a-f]{64}\n)?(?:protocol_version=[0-9]+\n)?"
    rf"(?:endpoint=({ENDPOINT})\n)?"
    rf"last_handshake_time_sec=({NUMBER})\nlast_handshake_time_nsec=({NUMBER})\n"
    r"(?:tx_bytes=[0-9]+\nrx_bytes=[0-9]+\npersistent_keepalive_interval=[0-9]+\n)?"
    r"((?:allowed_ip=[^\n]+\n)*)|(.+)",
    re.ASCII | re.DOTALL,
)
_Words = tuple[str, str, str, str, str, str]


class Answers:
    """Reads the answers of one device, one after another."""

    def __init__(self) -> None:
        """Nothing was told yet."""
        # By key in hex: in which words it was told last, and the peer.
        self._known: dict[str, tuple[_Words, Peer]] = {}

    def read(self, answer: bytes) -> list[Peer]:
        """Return the peers of an answer; raises MalformedAnswerError."""
        text = ascii_text(answer)
        if text != _END and not text.endswith(f"\n{_END}"):
            raise MalformedAnswerError("the device says an error, or no result")
        # By places, not by parts: each copy of so long a text costs a tenth of reading it.
        end = len(text) - len(_END)
        begin = text.find(_NAMED, 0, end)
        begin = end if begin < 0 else begin
        _check_device(text[:begin])
        told: list[_Words] = _USUAL.findall(text, begin, end)
        if any(words[-1] for words in told):
            # Another order, or nonsense.
            rest = text[begin + len(_NAMED) : end]
            peers = [_by_lines(one) for one in rest.split(f"\n{_NAMED}")]
        else:
            known = {words[0]: self._read(words) for words in told}
            peers = [peer for _, peer in known.values()]
            if len(peers) != len(told):
                raise MalformedAnswerError("a peer is named twice")
            self._known = known
        return distinct(peers)

    def _read(self, words: _Words) -> tuple[_Words, Peer]:
        before = self._known.get(words[0])
        if before is None:
            name, networks = _of_hex(words[0]), _networks(words[4])
        elif before[0] == words:
            return before
        else:
            name = before[1].name
            same = before[0][4] == words[4]
            networks = before[1].networks if same else _networks(words[4])
        handshake_us = int(words[2]) * US_PER_S + int(words[3]) // 1000
        return words, Peer(name, networks, handshake_us or None, words[1])


def ascii_text(answer: bytes) -> str:
    """Return an answer's text; raises MalformedAnswerError."""
    try:
        return answer.decode("ascii")
    except UnicodeDecodeError:
        raise MalformedAnswerError("not ASCII") from None


def distinct(peers: list[Peer]) -> list[Peer]:
    """Pass peers none of whom is named twice; raises MalformedAnswerError."""
    if len({peer.name for peer in peers}) != len(peers):
        raise MalformedAnswerError("a peer is named twice")
    return peers


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


def _check_device(text: str) -> None:
    for line in text.splitlines():
        key, equals, _ = line.partition("=")
        if not equals:
            raise MalformedAnswerError("a line without a value")
        if key not in _OF_DEVICE:
            raise MalformedAnswerError("an unknown key")


def _networks(told: str) -> tuple[Network, ...]:
    lines = told.split("\n")[:-1]
    return tuple(network_of(line.removeprefix("allowed_ip=")) for line in lines)


def _by_lines(section: str) -> Peer:
    name, *lines = section.removesuffix("\n").split("\n")
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
