"""68: PROXY v2 headers, whole, cut, with TLVs, of another protocol, and from whom nobody listed."""

import asyncio
import ipaddress
import socket
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config.settings import OriginSettings, ProxySettings, StaticTunnel
from gateway.errors import Reason, Refusal
from gateway.vpn import proxyproto
from gateway.vpn.proxyproto import SIGNATURE, Header, Introductions, NoHeaderError, parse, rest_of


def header(source="10.8.0.9", destination="10.0.0.1", *, tlvs=b"", command=0x21, family=None):
    """A header as HAProxy and Envoy write it."""
    ends = [ipaddress.ip_address(one) for one in (source, destination)]
    family = family if family is not None else (0x11 if ends[0].version == 4 else 0x21)
    rest = b"".join(one.packed for one in ends) + struct.pack("!HH", 40000, 8443) + tlvs
    return SIGNATURE + struct.pack("!BBH", command, family, len(rest)) + rest


TLVS = struct.pack("!BH", 0x04, 3) + b"abc" + struct.pack("!BH", 0xE0, 0)


def parsed(said):
    return parse(said[:16], said[16:])


def test_a_header_tells_both_ends():
    assert parsed(header()) == Header("10.8.0.9", 40000, "10.0.0.1", 8443)
    assert parsed(header("fd00::9", "fd00::1")) == Header("fd00::9", 40000, "fd00::1", 8443)
    assert parsed(header(tlvs=TLVS)) == parsed(header())


@pytest.mark.parametrize(
    "said",
    [
        b"",
        header()[:15],
        header()[:-1],
        header() + b"\0",
        header(command=0x20),  # LOCAL
        header(command=0x22),
        header(command=0x11),
        header(family=0x00),  # UNSPEC
        header(family=0x12),  # UDP
        header(family=0x31),  # a unix socket
        header(family=0x21),  # too short for IPv6
        header(tlvs=TLVS[:-1]),
        header(tlvs=struct.pack("!BH", 4, 9) + b"abc"),
        header(tlvs=b"\0" * 600),
        b"PROXY TCP4 10.8.0.9 10.0.0.1 40000 8443\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 40,
    ],
)
def test_what_is_no_whole_header_of_a_tcp_connection_tells_of_nobody(said):
    with pytest.raises(NoHeaderError):
        parsed(said)


@given(st.binary(max_size=80), st.integers(0, 40), st.integers(0, 20))
def test_whatever_comes_is_a_header_or_none(noise, at, cut):
    whole = header(tlvs=TLVS)
    for said in (noise, SIGNATURE + noise, whole[:at] + noise + whole[at + cut :]):
        try:
            found = parsed(said)
        except NoHeaderError:
            continue
        ipaddress.ip_address(found.source)
        assert rest_of(said[:16]) == len(said) - 16 <= proxyproto.REST_BYTES


def read(said, address="127.0.0.1", sources=("127.0.0.0/8",), *, end=False, wait_s=20.0):
    """What is read of these bytes, and what is left for TLS."""

    async def run():
        ours, theirs = socket.socketpair()
        with ours, theirs:
            ours.setblocking(False)
            theirs.sendall(said)
            if end:
                theirs.shutdown(socket.SHUT_WR)
            settings = OriginSettings("proxy-v2", True, proxy=ProxySettings(tuple(sources)))
            async with asyncio.timeout(wait_s):
                found = await Introductions(settings).read(ours, address)
            return found, ours.recv(100)

    return asyncio.run(run())


def test_not_a_byte_more_than_the_header_is_read():
    assert read(header(tlvs=TLVS) + b"TLS") == (parsed(header()), b"TLS")
    assert read(header() + b"x", "::ffff:127.0.0.1")[1] == b"x"


@pytest.mark.parametrize(
    ("said", "address", "sources"),
    [
        (header(), "10.8.0.9", ("127.0.0.0/8",)),
        (header(), "127.0.0.1", ()),
        (header(), "::1", ("127.0.0.0/8",)),
        (header()[:20], "127.0.0.1", ("127.0.0.0/8",)),
        (header(command=0x20), "127.0.0.1", ("127.0.0.0/8",)),
        (b"", "127.0.0.1", ("127.0.0.0/8",)),
    ],
)
def test_whoever_may_not_or_cannot_tell_is_refused(said, address, sources):
    with pytest.raises(Refusal) as refusal:
        read(said, address, sources, end=True)
    assert refusal.value.reason is Reason.ORIGIN_NOT_TUNNEL


def test_who_says_nothing_is_waited_for_as_long_as_the_caller_likes():
    with pytest.raises(TimeoutError):
        read(header()[:20], wait_s=0.2)


def test_the_table_is_asked_by_the_headers_addresses():
    settings = OriginSettings(
        "proxy-v2",
        True,
        (StaticTunnel("140100", source="10.8.0.0/24"),),
        proxy=ProxySettings(("127.0.0.1/32",)),
    )
    tunnels = proxyproto.ProxiedTunnels(settings)
    found = asyncio.run(tunnels.whois("10.8.0.9", "10.0.0.1", "eth0"))
    assert (found.organisation, found.kind, found.strength) == ("140100", "proxy-v2", "weak")
    assert (found.peer, found.ingress) == ("source/10.8.0.0/24", "eth0")
