"""Every refused connection: each reason, each place and each alert, at a front that serves; each leaves exactly one leaf.

The vocabulary is read from the source: a new reason or a new place that refuses is a failure here until it has its case.
"""

import asyncio
import importlib
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from gateway.config.settings import Settings
from gateway.errors import Reason, Refusal
from gateway.front import leaves, listener, root_page
from gateway.front.listener import Front
from tests.attacks.test_tunnel_origin import _behind, _proxied
from tests.audit.stage import until
from tests.coverage import refusals
from tests.coverage.refusals import ALERTS, AT_THE_TUNNEL, FALLS, REFUSED
from tests.front.stage import CITY_AT, NOBODY_AT, OTHER, OTHER_AT, Stage, stage
from tests.front.test_connections import _ended, _open
from tests.front.test_origins import tunnels
from tests.house.tree import GATEWAY, ROOT
from tests.vpn.test_proxyproto import TLVS, header

LIMITS = {"new_per_peer_burst": 1000}


@pytest.fixture
def reached(monkeypatch: pytest.MonkeyPatch) -> Iterator[set[str]]:
    """Every place that makes a refusal while a test runs, as `refusals.sites` names it."""
    found: set[str] = set()
    for path in refusals.FILES:
        name = ".".join(path.relative_to(GATEWAY.parent).with_suffix("").parts)
        module = importlib.import_module(name)
        real = getattr(module, "refuse", None)
        if real is not None:

            def watched(*given: Any, real: Any = real, **more: Any) -> Any:
                found.add(refusals.site(sys._getframe(1)))
                return real(*given, **more)

            monkeypatch.setattr(module, "refuse", watched)
    yield found
    known = refusals.sites()
    assert found <= known


async def one_leaf(at: Stage, before: int) -> dict[str, Any]:
    """Return the one leaf that came; whoever is honest is served afterwards, and leaves none."""
    await until(lambda: len(at.leaves()) > before)
    return await at.leaf(before + 1)


def test_every_way_to_be_refused_leaves_one_leaf(
    cluster: Any,
    database_settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    reached: set[str],
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("gateway.front.admission.DOOR_WAIT_S", 0.2)
    monkeypatch.setattr(root_page, "REQUEST_S", 1.0)

    async def run() -> None:
        async with stage(cluster, database_settings, limits=LIMITS) as at:
            honest = at.good(OTHER)
            for count, (case, kind, reason) in enumerate(REFUSED):
                await case(at)
                leaf = await one_leaf(at, count)
                decision = "error" if reason == "INTERNAL" else "deny"
                assert (leaf["kind"], leaf["reason"], leaf["decision"]) == (kind, reason, decision)
                _mend(at, count + 2)
                assert await at.served(honest, OTHER_AT), reason
                assert len(at.leaves()) == count + 1, reason

    asyncio.run(run())
    said = capfd.readouterr()
    assert "PRIVATE KEY" not in said.out + said.err
    assert "secret thought" not in repr(REFUSED)
    missing = {place for place in refusals.sites() if place.startswith("front/")} - reached
    assert missing <= {*refusals.SECOND_NETS, "front/admission.py:Admission._locate"}, missing


def test_a_proxy_that_never_says_whose_it_is(cluster: Any, database_settings: Settings) -> None:
    async def run() -> None:
        async with stage(cluster, database_settings, origin=_behind("127.0.0.0/8")) as at:
            await refusals.never_says_hello(at)
            leaf = await one_leaf(at, 0)
            assert (leaf["kind"], leaf["reason"]) == ("connection.refused", "TLS_TIMEOUT")
            assert await _proxied(at, header(tlvs=TLVS), at.good())
            assert len(at.leaves()) == 1

    asyncio.run(run())


@pytest.mark.parametrize("place", refusals.SECOND_NETS)
def test_a_second_net_holds(place: str) -> None:
    assert place in refusals.sites()
    brought, reason = refusals.SECOND_NETS[place]
    with pytest.raises(Refusal) as raised:
        brought()
    assert raised.value.reason is reason


def test_every_word_of_vpn_and_register_refuses_with_one_leaf(
    cluster: Any,
    database_settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    reached: set[str],
) -> None:
    async def run() -> None:
        async with tunnels(cluster, database_settings, monkeypatch) as (at, vpn):
            papers, said = at.good(), dict(vpn.said)
            for count, (reason, fall) in enumerate(AT_THE_TUNNEL.items()):
                fall(at, vpn, papers)
                assert not await at.served(papers), reason
                leaf = await one_leaf(at, count)
                assert (leaf["kind"], leaf["reason"]) == ("connection.refused", reason)
                refusals.mend(at, vpn, said, count + 2)
                assert await at.served(papers), reason
                assert len(at.leaves()) == count + 1, reason

    asyncio.run(run())
    missing = {place for place in refusals.sites() if place.startswith("vpn/")} - reached
    assert missing - {"vpn/static.py:StaticTunnels.whois"} <= set(refusals.ELSEWHERE), missing


@pytest.mark.parametrize("reason", FALLS)
def test_every_way_to_be_cut_leaves_one_leaf(
    cluster: Any, database_settings: Settings, monkeypatch: pytest.MonkeyPatch, reason: str
) -> None:
    async def run() -> None:
        async with tunnels(cluster, database_settings, monkeypatch) as (at, vpn):
            papers, said = at.good(), dict(vpn.said)
            reader, writer = await _open(at, papers)
            FALLS[reason](at, vpn, papers)
            await _ended(reader)
            writer.close()
            leaf = await one_leaf(at, 0)
            assert (leaf["kind"], leaf["reason"], leaf["decision"]) == (
                *("connection.cut", reason),
                "deny",
            )
            refusals.mend(at, vpn, said, 2)
            assert await at.served(at.good())
            assert len(at.leaves()) == 1

    asyncio.run(run())


def test_whoever_is_on_the_way_in_at_a_stop_is_told_of(
    cluster: Any, database_settings: Settings
) -> None:
    """Half-open handshakes and one that is just being refused: none ends without its leaf."""

    async def run() -> None:
        async with stage(cluster, database_settings, handshake_timeout_s=600) as at:
            half = [
                await asyncio.open_connection(CITY_AT, at.settings.ports.intake) for _ in range(4)
            ]
            half[0][1].write(b"\x16\x03\x01")
            await until(lambda: len(at.front._visits) == len(half))
            await at.front.close(drain_s=0)
            found = at.leaves()
            assert [(leaf["kind"], leaf["reason"]) for leaf in found] == [
                ("tls.refused", "SHUTTING_DOWN")
            ] * len(half)
            assert {leaf["decision"] for leaf in found} == {"deny"}
            for reader, writer in half:
                assert await reader.read() == b""
                writer.close()
            parts = (at.settings, at.policies, at.database, at.recorder, at.clock)
            at.front = Front(at.home, *parts)
            await at.front.open()
            assert await at.served(at.good())
            assert len(at.leaves()) == len(half)

    asyncio.run(run())


def test_where_nothing_can_be_recorded_each_is_counted(
    cluster: Any, database_settings: Settings
) -> None:
    """No leaf while the log is away: the recovery leaf says how many there were, and the next is refused with its leaf."""

    async def run() -> None:
        async with stage(cluster, database_settings, limits=LIMITS) as at:
            at.sql("REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA gateway FROM gateway_front, PUBLIC")
            for _ in range(5):
                assert not await at.served(at.good(), NOBODY_AT)
            at.sql("GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA gateway TO gateway_front")
            await until(lambda: at.recorder.state.phase == "normal" and bool(at.leaves()))
            [leaf] = at.leaves()
            assert leaf["kind"] == "log.recover"
            assert leaf["counts"].get("refused", 0) + leaf["counts"].get("unknown", 0) == 5
            assert not await at.served(at.good(), NOBODY_AT)
            assert (await at.leaf(2))["reason"] == "ORIGIN_NOT_TUNNEL"

    asyncio.run(run())


def test_every_reason_has_its_case() -> None:
    shown = {Reason(reason) for _, _, reason in REFUSED}
    shown |= {Reason(reason) for reason in (*FALLS, *AT_THE_TUNNEL, *refusals.CUT_ELSEWHERE)}
    # Counted, not told: the test above.
    shown |= listener.UNRECORDABLE | set(refusals.TOLD_AT_THE_DOOR)
    assert refusals.vocabulary() == shown
    kinds = {kind for _, kind, _ in REFUSED} | {leaves.CONNECTION_CUT}
    assert kinds == {
        *(leaves.CONNECTION_REFUSED, leaves.TLS_REFUSED, leaves.CONNECTION_CUT, leaves.ROOT),
        leaves.USED,
    }
    # RFC 8446 appendix B.2 has these and no others, but for reserved ones.
    assert len(set(ALERTS)) == len(ALERTS) == 27


def test_what_is_shown_elsewhere_is_shown_there() -> None:
    assert set(refusals.ELSEWHERE) <= refusals.sites()
    for place, file in refusals.ELSEWHERE.items():
        text = (ROOT / file).read_text(encoding="utf-8")
        assert "ORIGIN_" in text, place
    for reason, file in (*refusals.CUT_ELSEWHERE.items(), *refusals.TOLD_AT_THE_DOOR.items()):
        assert reason in (ROOT / file).read_text(encoding="utf-8"), file


def _mend(at: Stage, number: int) -> None:
    at.sql("UPDATE gateway.organisation SET state = 1")
    at.sql("UPDATE gateway.system SET state = 1")
    at.write_crl(number=number)
    at.front.refresh()
    at.recorder._floods._buckets.clear()
