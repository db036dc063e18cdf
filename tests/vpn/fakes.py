"""VPNs that answer as told: a WireGuard device's socket (UAPI) and strongSwan's (vici)."""

import asyncio
import base64
import contextlib
import struct
import tempfile
from collections.abc import AsyncIterator, Callable
from pathlib import Path

KEYS = [base64.b64encode(bytes([number]) * 32).decode() for number in range(1, 6)]
PRIVATE = "5a" * 32


def uapi_peer(key: str, *networks: str, handshake_s: int = 0, endpoint: str = "192.0.2.1:51820"):
    """One peer as wireguard-go writes it."""
    lines = [
        f"public_key={base64.b64decode(key).hex()}",
        f"preshared_key={'00' * 32}",
        "protocol_version=1",
        f"endpoint={endpoint}",
        f"last_handshake_time_sec={handshake_s}",
        "last_handshake_time_nsec=0",
        "tx_bytes=1",
        "rx_bytes=2",
        "persistent_keepalive_interval=0",
        *(f"allowed_ip={network}" for network in networks),
    ]
    return "".join(f"{line}\n" for line in lines)


def uapi(*peers: str) -> bytes:
    """A device's whole answer."""
    return f"private_key={PRIVATE}\nlisten_port=51820\n{''.join(peers)}errno=0\n\n".encode()


def dump(*peers: tuple[str, str, int]) -> bytes:
    """What `wg show DEVICE dump` prints: of each peer key, networks, handshake."""
    lines = ["\t".join([base64.b64encode(b"x" * 32).decode(), KEYS[4], "51820", "off"])]
    lines += [
        f"{key}\t(none)\t192.0.2.1:51820\t{networks}\t{handshake_s}\t1\t2\t25"
        for key, networks, handshake_s in peers
    ]
    return "".join(f"{line}\n" for line in lines).encode()


def vici(tree: dict) -> bytes:
    """A vici message."""
    made = b""
    for name, value in tree.items():
        called = bytes([len(name)]) + name.encode()
        if isinstance(value, dict):
            made += b"\x01" + called + vici(value) + b"\x02"
        elif isinstance(value, list):
            items = b"".join(b"\x05" + struct.pack("!H", len(one)) + one.encode() for one in value)
            made += b"\x04" + called + items + b"\x06"
        else:
            made += b"\x03" + called + struct.pack("!H", len(value)) + value.encode()
    return made


def sa(
    identity: str, *networks: str, established: str = "5", use_in: str = "", state="ESTABLISHED"
):
    """An IKE SA with one child, as charon lists it."""
    child = {
        "name": "net",
        "state": "INSTALLED",
        "install-time": established,
        "remote-ts": [*networks],
    }
    if use_in:
        child["use-in"] = use_in
    return {
        "ike": {
            "uniqueid": "1",
            "state": state,
            "remote-host": "192.0.2.1",
            "remote-port": "4500",
            "remote-id": identity,
            "established": established,
            "remote-vips": [one.split("/")[0] for one in networks],
            "child-sas": {"net-1": child},
        }
    }


class Vpn:
    """A fake's hands: what it says, when, and how often it was asked."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.says: Callable[[], bytes] = bytes
        self.asked = 0
        self.mute = False


@contextlib.asynccontextmanager
async def listening(serve: Callable) -> AsyncIterator[Vpn]:
    """A fake on a short path."""
    talks: set[asyncio.Task] = set()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        talks.add(asyncio.current_task())
        try:
            await serve(vpn, reader, writer)
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    with tempfile.TemporaryDirectory(prefix="vpn-") as folder:
        vpn = Vpn(Path(folder) / "s")
        server = await asyncio.start_unix_server(talk, path=str(vpn.path))
        try:
            yield vpn
        finally:
            server.close()
            await asyncio.gather(*talks)


async def serve_uapi(vpn: Vpn, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer "get=1", and keep the connection open, as wireguard-go does."""
    assert await reader.readuntil(b"\n\n") == b"get=1\n\n"
    vpn.asked += 1
    if not vpn.mute:
        writer.write(vpn.says())
    await reader.read()


async def serve_vici(vpn: Vpn, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer list-sas with the packets that `says` gives."""
    for wanted in (b"\x03\x07list-sa", b"\x00\x08list-sas"):
        (length,) = struct.unpack("!I", await reader.readexactly(4))
        assert await reader.readexactly(length) == wanted
        if wanted[0] == 3:
            writer.write(vici_packets(b"\x05"))
    vpn.asked += 1
    if not vpn.mute:
        writer.write(vpn.says())
    await reader.read()


def vici_packets(*bodies: bytes) -> bytes:
    """Packets with their lengths."""
    return b"".join(struct.pack("!I", len(body)) + body for body in bodies)


def listed(*sas: dict) -> bytes:
    """The events of these SAs, and the end of the request."""
    events = [b"\x07\x07list-sa" + vici(one) for one in sas]
    return vici_packets(*events, b"\x01" + vici({"success": "yes"}))
