"""identity.md section 7, attacks 38, 44 to 47 and 82: who fell is cut with one leaf, told or refused why when he comes back as he
is, and served when he comes back mended.

His stream stands and is in use while he falls. An uploading stream through the real doors is cut in
tests/attacks/test_revocation_at_once.py; here the front is alone, so that each step can be counted.
"""

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from gateway.config.settings import Settings
from gateway.pki import ceremony, crl, issue
from tests.audit.stage import until
from tests.front.stage import CITY, CITY_AT, HELLO, OTHER, OTHER_AT, Stage, serial, stage
from tests.pki.forge import DOMAIN, Ca, Papers

Fall = Callable[[Stage, Papers], None]
Mend = Callable[[Stage, Papers], Papers]
HOUR_S, LONG_LIST = 3_600, 20_000


def _expire(at: Stage, papers: Papers) -> None:
    at.clock.turn(seconds=2 * HOUR_S)


def _suspend(at: Stage, papers: Papers) -> None:
    at.sql("UPDATE gateway.organisation SET state = 2 WHERE code = %s", CITY.organisation)


def _suspend_system(at: Stage, papers: Papers) -> None:
    at.sql("UPDATE gateway.system SET state = 2 WHERE organisation = %s", CITY.organisation)


def _reinstated(at: Stage, papers: Papers) -> Papers:
    at.sql("UPDATE gateway.organisation SET state = 1")
    at.sql("UPDATE gateway.system SET state = 1")
    return papers


# How he falls, the cut's reason, whether he is let in again to be told so, and how he mends it.
FALLS: list[tuple[Fall, str, bool, Mend]] = [
    (_expire, "CERT_EXPIRED", True, lambda at, papers: at.renewed(papers)),
    (Stage.revoke, "CERT_REVOKED", True, lambda at, _: at.good()),
    (_suspend, "ORGANISATION_SUSPENDED", False, _reinstated),
    (_suspend_system, "SYSTEM_SUSPENDED", False, _reinstated),
]


@contextlib.asynccontextmanager
async def streaming(at: Stage, papers: Papers, address: str = CITY_AT) -> Any:
    """Give a task that sends and reads without pause, and ends when it is cut."""
    reader, writer = await at.connect(papers, address)
    writer.write(HELLO)
    assert await reader.readexactly(len(HELLO)) == HELLO

    async def stream() -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            while True:
                writer.write(HELLO)
                await writer.drain()
                await reader.readexactly(len(HELLO))

    task = asyncio.create_task(stream())
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


async def cut(at: Stage, stream: asyncio.Task[None], papers: Papers, reason: str) -> None:
    """The stream ends, and one leaf tells of it and whose it was."""
    await asyncio.wait_for(stream, 20)
    leaf = await at.leaf(1)
    assert (leaf["kind"], leaf["decision"], leaf["reason"]) == ("connection.cut", "deny", reason)
    assert (leaf["organisation"], leaf["serial"]) == (CITY.organisation, serial(papers))


def quiet(capfd: pytest.CaptureFixture[str]) -> None:
    said = "".join(capfd.readouterr())
    assert "PRIVATE KEY" not in said
    assert HELLO.decode() not in said


@pytest.mark.parametrize(("fall", "reason", "told", "mend"), FALLS, ids=[one[1] for one in FALLS])
def test_44_45_46_who_fell_comes_back_mended(
    cluster: Any,
    database_settings: Settings,
    capfd: pytest.CaptureFixture[str],
    fall: Fall,
    reason: str,
    told: bool,
    mend: Mend,
) -> None:
    async def run() -> None:
        async with stage(cluster, database_settings, idle_timeout_s=1e9) as at:
            papers = at.register(at.ca.good(days=1 / 24) if fall is _expire else at.ca.good())
            async with streaming(at, papers) as his:
                fall(at, papers)
                await cut(at, his, papers, reason)
            # As he is.
            if told:
                assert await at.defect(papers) == reason
                assert len(at.leaves()) == 1
            else:
                assert not await at.served(papers)
                leaf = await at.leaf(2)
                assert (leaf["kind"], leaf["reason"]) == ("tls.refused", reason)
            # Mended; of a renewed certificate the first use is told.
            assert await at.defect(mend(at, papers)) == ""
            assert await at.served(at.good(OTHER), OTHER_AT)
            denied = [leaf for leaf in at.leaves() if leaf.get("decision", "allow") != "allow"]
            assert len(denied) == (1 if told else 2)

    asyncio.run(run())
    quiet(capfd)


def test_47_whose_authority_was_taken_away_comes_back_with_the_one_that_issues(
    cluster: Any, database_settings: Settings, capfd: pytest.CaptureFixture[str]
) -> None:
    async def run() -> None:
        async with stage(cluster, database_settings) as at:
            second = issue.make_authority("client-authority", DOMAIN, at.ca.root, at.ca.now_us)
            both = [at.ca.client, second]
            lists = [crl.build(one, [], 5, at.ca.now_us) for one in both]
            at.home.crl.write_bytes(b"".join(one.public_bytes(Encoding.PEM) for one in lists))
            bundle = b"".join(ceremony.pem(one.certificate) for one in both)
            at.home.client_authority_certificate.write_bytes(bundle)
            await until(lambda: len(at.front._terms.current.lists) == 2)
            papers = at.register(Ca(at.ca.root, second, at.ca.server, at.ca.now_us).good())
            async with streaming(at, papers) as his:
                at.home.client_authority_certificate.write_bytes(ceremony.pem(both[0].certificate))
                await cut(at, his, papers, "CERT_UNTRUSTED")
            assert not await at.served(papers)
            leaf = await at.leaf(2)
            assert (leaf["kind"], leaf["reason"]) == ("tls.refused", "CERT_UNTRUSTED")
            assert await at.defect(at.good()) == ""
            assert len(at.leaves()) == 2

    asyncio.run(run())
    quiet(capfd)


def test_82_a_thief_who_renews_first_has_until_the_honest_one_shows_itself(
    cluster: Any, database_settings: Settings, capfd: pytest.CaptureFixture[str]
) -> None:
    """By renewing he ends his own time: a stream that stands is cut after the grace, its return locks both (docs/threats.md)."""

    async def run() -> None:
        async with stage(cluster, database_settings) as at:
            papers = at.good()
            async with streaming(at, papers) as honest:
                stolen = at.renewed(papers)
                async with streaming(at, stolen) as his:
                    used = await at.leaf(1)
                    assert (used["kind"], used["serial"]) == ("certificate.used", serial(stolen))
                    at.clock.turn(seconds=61)
                    await asyncio.wait_for(honest, 20)
                    gone = await at.leaf(2)
                    assert (gone["kind"], gone["reason"]) == ("connection.cut", "CERT_SUPERSEDED")
                    assert not his.done()
                    # The client connects again, as clients do.
                    assert await at.defect(papers) == "LINEAGE_LOCKED"
                    await asyncio.wait_for(his, 20)
            await until(lambda: len(at.leaves()) >= 4)
            told = {leaf["kind"]: leaf for leaf in at.leaves()[2:]}
            assert told["certificate.clone"]["detail"]["alert"] == "lineage-locked"
            assert told["certificate.clone"]["serial"] == serial(papers)
            assert told["connection.cut"]["reason"] == "LINEAGE_LOCKED"
            assert told["connection.cut"]["serial"] == serial(stolen)
            assert await at.defect(stolen) == "LINEAGE_LOCKED"
            # The way out is an invitation: a new lineage of the same system.
            assert await at.defect(at.good()) == ""
            assert len(at.leaves()) == 4

    asyncio.run(run())
    quiet(capfd)


def test_38_a_list_of_many_cuts_whom_it_names_and_nobody_else(
    cluster: Any, database_settings: Settings, capfd: pytest.CaptureFixture[str]
) -> None:
    """By the list alone, in its last place of twenty thousand; the register still says active (a restored one would)."""

    async def run() -> None:
        async with stage(cluster, database_settings) as at:
            papers, honest = at.good(), at.good(OTHER)
            many = [f"{number:x}" for number in range(1, LONG_LIST)]
            named = [
                crl.Revoked(one, at.ca.now_us, "superseded") for one in (*many, serial(papers))
            ]
            made = await asyncio.to_thread(crl.build, at.ca.client, named, 2, at.ca.now_us)
            async with streaming(at, papers) as his, streaming(at, honest, OTHER_AT) as others:
                crl.write(at.home.crl, made)
                await until(lambda: at.front._terms.current.crl_number == 2)
                # One that stands was judged by the register, which decides; the next handshake asks the list.
                assert await at.defect(papers) == "CERT_REVOKED"
                assert not his.done()
                at.revoke(papers)
                await cut(at, his, papers, "CERT_REVOKED")
                assert not others.done()
            assert await at.defect(papers) == "CERT_REVOKED"
            assert await at.defect(at.good()) == ""
            assert await at.served(honest, OTHER_AT)
            assert len(at.leaves()) == 1

    asyncio.run(run())
    quiet(capfd)
