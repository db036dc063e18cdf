"""Whatever refuses or cuts a connection, each with a case that makes it happen at a front that serves: kind, reason, and how."""

import ast
import asyncio
import contextlib
import ssl
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from gateway.errors import Reason
from gateway.front import admission
from gateway.front.handshake import leaf_of
from gateway.front.lineages import Lineages
from gateway.front.register import Register
from gateway.pki.verify import Verifier
from tests.attacks.raw_tls import ALERT, connected
from tests.attacks.test_handshake_protocol import ATTACKS
from tests.front import test_connections, test_origins
from tests.front.stage import CITY_AT, Stage, serial
from tests.front.test_origins import PEERS, FakeVpn
from tests.front.test_root_page import _asked
from tests.house.tree import GATEWAY
from tests.pki.forge import Ca, Papers

# The files through which a connection comes before its first call; what refuses there is found in their text.
FILES = (
    *sorted((GATEWAY / "front").glob("*.py")),
    *(
        GATEWAY / "vpn" / f"{name}.py"
        for name in (
            *("ingress", "peers", "proxyproto", "static", "table", "wireguard", "strongswan"),
        )
    ),
    GATEWAY / "pki/verify.py",
)
# Below a first net that holds: no client gets there.
SECOND_NETS: dict[str, tuple[Callable[[], object], Reason]] = {
    "front/admission.py:_known": (lambda: admission._known(None), Reason.INTERNAL),
    "front/handshake.py:leaf_of": (lambda: leaf_of(_Bare()), Reason.CERT_MISSING),
    "pki/verify.py:Verifier.judge": (lambda: Verifier.judge(_Bare(), ()), Reason.CERT_MISSING),
}
# What no client brings about at a front on loopback, and who shows it: another kernel's word, a real VPN's, a proxy's.
ELSEWHERE = {
    "front/admission.py:Admission._locate": "tests/coverage/test_refused_connections.py",
    "vpn/ingress.py:_name": "tests/vpn/test_ingress.py",
    "vpn/ingress.py:interface": "tests/vpn/test_ingress.py",
    "vpn/proxyproto.py:Introductions.read": "tests/attacks/test_tunnel_origin.py",
    "vpn/strongswan.py:StrongswanTunnels.whois": "tests/vpn/test_strongswan.py",
    "vpn/table.py:Asked.table": "tests/vpn/test_table.py",
    "vpn/table.py:Routes.owner": "tests/vpn/test_table.py",
    "vpn/table.py:address_of": "tests/vpn/test_table.py",
    "vpn/wireguard.py:WireguardTunnels.whois": "tests/vpn/test_wireguard.py",
}
# What is let in to be told what is wrong with its certificate: the door's guard leaves the leaf of its call.
TOLD_AT_THE_DOOR = {Reason.CERT_NOT_YET_VALID: "tests/attacks/test_defective_certificates.py"}
# RFC 8446 section 6: every description that an alert may have.
ALERTS = (
    *(0, 10, 20, 22, 40, 42, 43, 44, 45, 46, 47, 48, 49, 50, 51, 70, 71, 80, 86, 90),
    *(109, 110, 112, 113, 115, 116, 120),
)
Case = Callable[[Stage], Awaitable[object]]
Fall = Callable[[Stage, FakeVpn, Papers], object]


class _Bare:
    """A TLS connection whose other side showed nothing."""

    def get_peer_certificate(self) -> None:
        return None


def sites() -> set[str]:
    """Every place in those files where a refusal is made: file and function."""
    found = set()
    for path in FILES:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        found |= {f"{path.relative_to(GATEWAY)}:{name}" for name in _refusing(tree, ())}
    return found


def vocabulary() -> set[Reason]:
    """Every reason that those files name, and what can be wrong with a certificate of ours."""
    named = set()
    for path in (*FILES, GATEWAY / "pki/defect.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "Reason":
                named.add(Reason[node.attr])
    return named


def _refusing(node: ast.AST, within: tuple[str, ...]) -> Iterator[str]:
    for child in ast.iter_child_nodes(node):
        inner = within
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            inner = (*within, child.name)
        if isinstance(child, ast.Call) and ast.unparse(child.func) == "refuse":
            yield ".".join(inner)
        yield from _refusing(child, inner)


def site(frame: Any) -> str:
    """The same name of the function that runs in a frame."""
    code = frame.f_code
    path = Path(code.co_filename).relative_to(GATEWAY)
    return f"{path}:{code.co_qualname.replace('.<locals>', '')}"


@contextlib.contextmanager
def limited(at: Stage, **limits: float) -> Iterator[None]:
    """Other limits for a while."""
    places = at.front._admission.places
    before = places._limits
    places._limits = replace(before, **limits)
    yield
    places._limits = before


@contextlib.contextmanager
def patched(kind: type, name: str, instead: object) -> Iterator[None]:
    """A method of ours that does something else for a while."""
    before = getattr(kind, name)
    setattr(kind, name, instead)
    yield
    setattr(kind, name, before)


async def no_place(at: Stage) -> None:
    with limited(at, per_peer=0):
        assert not await at.served(at.good())


async def too_often(at: Stage) -> None:
    with limited(at, new_per_peer_burst=0):
        assert not await at.served(at.good())


async def never_says_hello(at: Stage) -> None:
    reader, writer = await asyncio.open_connection(CITY_AT, at.settings.ports.intake)
    assert await reader.read() == b""
    writer.close()


async def strange_authority(at: Stage) -> None:
    assert not await at.served(at.register(Ca.make(at.ca.now_us, "stranger").good()))


async def other_trust_domain(at: Stage) -> None:
    # By our own authority, for a name of another province.
    subject = replace(test_connections.CITY, trust_domain="elsewhere.example")
    assert not await at.served(at.ca.good(subject))


async def door_away(at: Stage) -> None:
    # Nobody serves this door's socket.
    assert not await at.served(at.good(), door="disclosure")


async def register_away(at: Stage) -> None:
    at.sql("REVOKE SELECT ON gateway.certificate FROM gateway_front")
    try:
        assert not await at.served(at.good())
    finally:
        at.sql("GRANT SELECT ON gateway.certificate TO gateway_front")


async def our_fault(at: Stage) -> None:
    async def broken(*_: object) -> None:
        raise RuntimeError("a secret thought")

    with patched(Register, "find", broken):
        assert not await at.served(at.good())


def taken_back(statement: str) -> Case:
    """A certificate that falls between the look at the register and its first use."""

    async def case(at: Stage) -> None:
        look, papers = Lineages._life, at.good(used=False)

        async def slow(self: Lineages, verified: Any) -> Any:
            found = await look(self, verified)
            at.sql(statement, serial(papers))
            return found

        with patched(Lineages, "_life", slow):
            assert not await at.served(papers)

    return case


async def another_page(at: Stage) -> None:
    assert (await _asked(at, b"GET / HTTP/1.1\r\n\r\n")).startswith(b"HTTP/1.1 404")


async def no_page_asked_for(at: Stage) -> None:
    reader, writer = await _unproven(at)
    assert await reader.read() == b""
    writer.close()


async def page_asker_gone(at: Stage) -> None:
    _, writer = await _unproven(at)
    writer.transport.abort()


async def _unproven(at: Stage) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    client = ssl.create_default_context()
    client.check_hostname, client.verify_mode = False, ssl.CERT_NONE
    return await asyncio.open_connection(CITY_AT, at.settings.ports.enrolment, ssl=client)


def says_alert(description: int) -> Case:
    """In the middle of the handshake the client says why it ends it, and is gone."""

    async def case(at: Stage) -> None:
        async with connected(CITY_AT, at.settings.ports.intake) as raw:
            await raw.hello()
            await raw.say(bytes([2, description]), ALERT)

    return case


_OF_SERIAL = "WHERE serial = %s"
REFUSED: list[tuple[Case, str, str]] = [
    *((attack, kind, reason) for attack, kind, reason, _ in ATTACKS),
    (no_place, "connection.refused", "CONNECTIONS_EXHAUSTED"),
    (too_often, "connection.refused", "RATE_LIMITED"),
    (never_says_hello, "tls.refused", "TLS_TIMEOUT"),
    (strange_authority, "tls.refused", "CERT_UNTRUSTED"),
    (other_trust_domain, "tls.refused", "CERT_UNTRUSTED"),
    (door_away, "tls.refused", "SHUTTING_DOWN"),
    (register_away, "tls.refused", "STORE_AWAY"),
    (our_fault, "tls.refused", "INTERNAL"),
    *(
        (
            taken_back(f"UPDATE gateway.certificate SET {change} {_OF_SERIAL}"),
            "certificate.used",
            reason,
        )
        for change, reason in (
            ("state = 2, revoked_us = 1, reason = 'superseded'", "CERT_REVOKED"),
            ("state = 3, revoked_us = 1", "CERT_SUPERSEDED"),
        )
    ),
    (another_page, "enrolment.root", "NOT_FOUND"),
    (no_page_asked_for, "enrolment.root", "TLS_TIMEOUT"),
    (page_asker_gone, "enrolment.root", "TLS_FAILED"),
    *((says_alert(each), "tls.refused", "TLS_FAILED") for each in ALERTS),
]


def _said(reason: Reason) -> Fall:
    return lambda _, vpn, __: vpn.said.update({CITY_AT: reason})


def _tunnel(statement: str) -> Fall:
    return lambda at, _, __: at.sql(f"{statement} WHERE peer = %s", PEERS[CITY_AT])


def _certificate(fall: Callable[[Stage, Papers], object]) -> Fall:
    return lambda at, _, papers: fall(at, papers)


def _another_purpose(at: Stage, papers: Papers) -> None:
    at.sql(f"UPDATE gateway.certificate SET purpose = 2 {_OF_SERIAL}", serial(papers))
    # A purpose changes by nobody's rpc, so no epoch moves by itself.
    at.sql("UPDATE gateway.epoch SET value = value + 1 WHERE name = 'revocation'")


# By the reason that it is cut for; `None` of what was there before falls with it.
FALLS: dict[str, Fall] = {
    "ORIGIN_AMBIGUOUS": _said(Reason.ORIGIN_AMBIGUOUS),
    "ORIGIN_NOT_TUNNEL": _said(Reason.ORIGIN_NOT_TUNNEL),
    "ORIGIN_MOVED": lambda _, vpn, __: vpn.change(CITY_AT, endpoint="198.51.100.7:4000"),
    "ORIGIN_STALE": lambda _, vpn, __: test_origins._old(vpn),
    "ORIGIN_LOCKED": _tunnel("UPDATE gateway.tunnel SET state = 2"),
    "CERT_REVOKED": _certificate(Stage.revoke),
    "CERT_SUPERSEDED": _certificate(test_connections._supersede_long_ago),
    "LINEAGE_LOCKED": _certificate(test_connections._lock),
    "CERT_UNKNOWN": _certificate(test_connections._strike_out),
    "CERT_PROFILE": _certificate(_another_purpose),
    "ORGANISATION_SUSPENDED": _certificate(test_connections._suspend_organisation),
    "SYSTEM_SUSPENDED": _certificate(test_connections._suspend_system),
}
# Cut for what a clock, a list of authorities or a VPN says that stays away for long, and who shows it.
CUT_ELSEWHERE = {
    "CERT_EXPIRED": "tests/front/test_connections.py",
    "CERT_UNTRUSTED": "tests/front/test_connections.py",
    "ORIGIN_AWAY": "tests/front/test_origins.py",
    "ORIGIN_MISMATCH": "tests/front/test_origins.py",
}
# At the door of the front by what the VPN says; the register's words are those of FALLS.
AT_THE_TUNNEL: dict[str, Fall] = {
    **{
        name: FALLS[name]
        for name in ("ORIGIN_AMBIGUOUS", "ORIGIN_NOT_TUNNEL", "ORIGIN_STALE", "ORIGIN_LOCKED")
    },
    "ORIGIN_AWAY": _said(Reason.ORIGIN_AWAY),
    "ORIGIN_UNREGISTERED": lambda _, vpn, __: vpn.change(CITY_AT, peer="A" * 43 + "="),
    "STORE_AWAY": lambda at, _, __: at.sql("REVOKE SELECT ON gateway.tunnel FROM gateway_front"),
}


def mend(at: Stage, vpn: FakeVpn, said: dict[str, Any], number: int) -> None:
    """Undo what a fall did, and give every source its full measure of leaves again."""
    vpn.said = dict(said)
    at.sql("GRANT SELECT ON gateway.tunnel TO gateway_front")
    at.sql("UPDATE gateway.tunnel SET state = 1")
    at.sql("UPDATE gateway.organisation SET state = 1")
    at.sql("UPDATE gateway.system SET state = 1")
    at.write_crl(number=number)
    at.recorder._floods._buckets.clear()
