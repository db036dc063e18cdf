"""What stands is cut when its bearer falls, within a second; what idles or grows old is ended without a leaf."""

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from gateway.config.settings import Settings
from gateway.front import standing
from gateway.pki import ceremony, crl, issue
from tests.audit.stage import until
from tests.front.stage import CITY, CITY_AT, HELLO, OTHER, OTHER_AT, Stage, serial, stage
from tests.pki.forge import DOMAIN, Papers
from tests.pki.forgeries import DEFECTS


async def _open(
    at: Stage, papers: Papers, address: str = CITY_AT
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await at.connect(papers, address)
    writer.write(HELLO)
    assert await reader.readexactly(5) == HELLO
    return reader, writer


async def _ended(reader: asyncio.StreamReader) -> None:
    """Wait for the end; how soon it comes is measured by `make bench` (revoke.cut)."""
    async with asyncio.timeout(20):
        with contextlib.suppress(OSError):
            assert await reader.read() == b""


def _suspend_organisation(at: Stage, papers: Papers) -> None:
    at.sql("UPDATE gateway.organisation SET state = 2 WHERE code = %s", CITY.organisation)


def _suspend_system(at: Stage, papers: Papers) -> None:
    at.sql("UPDATE gateway.system SET state = 2 WHERE organisation = %s", CITY.organisation)


def _lock(at: Stage, papers: Papers) -> None:
    at.sql(
        "UPDATE gateway.lineage SET locked_us = 1 WHERE id ="
        " (SELECT lineage FROM gateway.certificate WHERE serial = %s)",
        serial(papers),
    )


def _supersede_long_ago(at: Stage, papers: Papers) -> None:
    _supersede(at, papers, 1)


def _supersede(at: Stage, papers: Papers, now_us: int) -> None:
    at.sql(
        "UPDATE gateway.certificate SET state = 3, revoked_us = %s WHERE serial = %s",
        *(now_us, serial(papers)),
    )


def _strike_out(at: Stage, papers: Papers) -> None:
    """What no process of ours may do."""
    at.sql("DELETE FROM gateway.certificate WHERE serial = %s", serial(papers))


def test_one_that_ends_does_not_hide_the_other_of_its_certificate(
    cluster: Any, database_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two were admitted before a revocation and entered after the look that saw its epoch; one hangs up at once."""

    async def still(_: Any) -> dict[str, int]:
        return {"registry": 1, "revocation": 1}

    async def run() -> None:
        async with stage(cluster, database_settings) as at:
            papers, table = at.good(), at.front.connections
            first, second = await _open(at, papers), await _open(at, papers)
            monkeypatch.setattr(standing, "epochs", still)
            await until(
                lambda: not table._new and table._epochs == {"registry": 1, "revocation": 1}
            )
            at.revoke(papers)
            table._new.add(serial(papers))
            table._live[next(iter(table._live))].relay.end()
            for reader, writer in (first, second):
                await _ended(reader)
                writer.close()
            leaf = await at.leaf(1)
            assert (leaf["kind"], leaf["reason"]) == ("connection.cut", "CERT_REVOKED")

    asyncio.run(run())


@pytest.mark.parametrize(
    ("fall", "reason"),
    [
        (Stage.revoke, "CERT_REVOKED"),
        (_suspend_organisation, "ORGANISATION_SUSPENDED"),
        (_suspend_system, "SYSTEM_SUSPENDED"),
        (lambda at, papers: at.clock.turn(seconds=15 * 86_400), "CERT_EXPIRED"),
        (_lock, "LINEAGE_LOCKED"),
        (_supersede_long_ago, "CERT_SUPERSEDED"),
        (_strike_out, "CERT_UNKNOWN"),
    ],
)
def test_who_falls_is_cut_at_once(
    cluster: Any, database_settings: Settings, fall: Callable[[Stage, Papers], None], reason: str
) -> None:
    """44-46: each of its connections gets one leaf; other organisations' go on."""

    async def run() -> None:
        async with stage(
            cluster, database_settings, idle_timeout_s=1e9, limits={"longest_hours": 1e9}
        ) as at:
            papers, other = at.good(), at.good(OTHER)
            first, second = await _open(at, papers), await _open(at, papers)
            innocent = await _open(at, other, OTHER_AT) if reason != "CERT_EXPIRED" else None
            fall(at, papers)
            await asyncio.gather(_ended(first[0]), _ended(second[0]))
            leaf = await at.leaf(2)
            assert (leaf["kind"], leaf["reason"], leaf["decision"]) == (
                "connection.cut",
                reason,
                "deny",
            )
            assert (leaf["organisation"], leaf["serial"]) == (CITY.organisation, serial(papers))
            assert len({one["connection"] for one in at.leaves()}) == 2
            if innocent is not None:
                innocent[1].write(HELLO)
                assert await innocent[0].readexactly(5) == HELLO
            for _, writer in (first, second, *([innocent] if innocent else [])):
                writer.close()

    asyncio.run(run())


def test_a_superseded_one_may_finish_and_is_then_cut(
    cluster: Any, database_settings: Settings
) -> None:
    async def run() -> None:
        async with stage(cluster, database_settings) as at:
            papers = at.good()
            reader, writer = await _open(at, papers)
            _supersede(at, papers, at.clock.now_us())
            await asyncio.sleep(0.6)  # two looks of the watch
            at.clock.turn(seconds=58)
            writer.write(HELLO)
            assert await reader.readexactly(5) == HELLO
            at.clock.turn(seconds=3)
            await _ended(reader)
            writer.close()
            leaf = await at.leaf()
            assert (leaf["kind"], leaf["reason"]) == ("connection.cut", "CERT_SUPERSEDED")

    asyncio.run(run())


def test_a_superseded_one_that_is_revoked_may_not_finish(
    cluster: Any, database_settings: Settings
) -> None:
    async def run() -> None:
        async with stage(cluster, database_settings) as at:
            papers = at.good()
            reader, writer = await _open(at, papers)
            _supersede(at, papers, at.clock.now_us())
            await asyncio.sleep(0.6)
            at.sql("UPDATE gateway.certificate SET state = 2 WHERE serial = %s", serial(papers))
            await _ended(reader)
            writer.close()
            assert (await at.leaf())["reason"] == "CERT_REVOKED"

    asyncio.run(run())


def test_with_a_defect_it_ends_soon_and_is_not_cut_for_that_defect(
    cluster: Any, database_settings: Settings
) -> None:
    async def run() -> None:
        async with stage(cluster, database_settings) as at:
            papers = at.good()
            at.revoke(papers)
            reader, writer = await _open(at, papers)
            at.revoke(at.good())  # an epoch moves: everybody is looked at again
            await asyncio.sleep(0.6)
            at.clock.turn(seconds=58)
            writer.write(HELLO)
            assert await reader.readexactly(5) == HELLO
            at.clock.turn(seconds=3)
            await _ended(reader)
            writer.close()
            assert at.leaves() == []

    asyncio.run(run())


def test_with_a_defect_it_is_cut_for_another_and_graver_one(
    cluster: Any, database_settings: Settings
) -> None:
    async def run() -> None:
        async with stage(cluster, database_settings) as at:
            expired = at.register(DEFECTS[0].make(at.ca))
            reader, writer = await _open(at, expired)
            await asyncio.sleep(0.6)
            writer.write(HELLO)
            assert await reader.readexactly(5) == HELLO
            at.revoke(expired)
            await _ended(reader)
            writer.close()
            leaf = await at.leaf()
            assert (leaf["kind"], leaf["reason"]) == ("connection.cut", "CERT_REVOKED")

    asyncio.run(run())


def test_an_authority_that_is_taken_away_takes_its_connections_along(
    cluster: Any, database_settings: Settings
) -> None:
    """47: two authorities, both let in; the second leaves the bundle, the first's go on."""

    async def run() -> None:
        async with stage(cluster, database_settings) as at:
            made = issue.make_authority("client-authority", DOMAIN, at.ca.root, at.ca.now_us)
            other = replace(at.ca, client=made)
            both = [one.client for one in (at.ca, other)]
            bundle = b"".join(ceremony.pem(one.certificate) for one in both)
            lists = [crl.build(one, [], 5, at.ca.now_us) for one in both]
            at.home.crl.write_bytes(b"".join(one.public_bytes(Encoding.PEM) for one in lists))
            at.home.client_authority_certificate.write_bytes(bundle)
            await until(lambda: len(at.front._terms.current.lists) == 2)
            ours, theirs = at.good(), at.register(other.good())
            kept, gone = await _open(at, ours), await _open(at, theirs)
            at.home.client_authority_certificate.write_bytes(ceremony.pem(both[0].certificate))
            await _ended(gone[0])
            leaf = await at.leaf()
            assert (leaf["kind"], leaf["reason"], leaf["serial"]) == (
                "connection.cut",
                "CERT_UNTRUSTED",
                serial(theirs),
            )
            assert not await at.served(theirs)
            leaf = await at.leaf(2)
            assert (leaf["kind"], leaf["reason"]) == ("tls.refused", "CERT_UNTRUSTED")
            kept[1].write(HELLO)
            assert await kept[0].readexactly(5) == HELLO
            assert await at.served(ours)
            for _, writer in (kept, gone):
                writer.close()

    asyncio.run(run())


def test_lists_and_server_certificates_are_exchanged_under_load(
    cluster: Any, database_settings: Settings
) -> None:
    """48, 49: handshakes without pause while both change ten times; nobody is refused."""

    async def run() -> None:
        async with stage(
            cluster, database_settings, limits={"new_per_peer_burst": 10_000, "per_peer": 500}
        ) as at:
            client, served, ended = at.context(at.good()), [], asyncio.Event()
            reader, writer = await _open(at, at.good())

            async def knock() -> None:
                while not ended.is_set():
                    served.append(await at.served(client))

            knocking = [asyncio.create_task(knock()) for _ in range(4)]
            named = [at.good() for _ in range(3)]
            for number in range(2, 12):
                at.write_crl(*named, number=number)
                await asyncio.to_thread(
                    ceremony.renew_server, at.home, [CITY_AT], at.clock.now_us()
                )
                await until(lambda number=number: at.front._terms.current.crl_number == number)
            ended.set()
            await asyncio.gather(*knocking)
            assert len(served) >= 20
            assert all(served)
            writer.write(HELLO)
            assert await reader.readexactly(5) == HELLO
            writer.close()
            assert await at.defect(named[0]) == "CERT_REVOKED"
            assert at.leaves() == []

    asyncio.run(run())


def test_a_stream_at_full_speed_is_cut_too(cluster: Any, database_settings: Settings) -> None:
    """45: the client never stops to send."""

    async def run() -> None:
        async with stage(cluster, database_settings) as at:
            papers = at.good()
            reader, writer = await _open(at, papers)

            async def pour() -> None:
                with contextlib.suppress(OSError, RuntimeError):
                    while True:
                        writer.write(bytes(65_536))
                        await writer.drain()

            async def drink() -> None:
                with contextlib.suppress(OSError):
                    while await reader.read(65_536):
                        pass

            pouring, drinking = asyncio.create_task(pour()), asyncio.create_task(drink())
            await asyncio.sleep(0.2)
            at.revoke(papers)
            async with asyncio.timeout(20):
                await drinking
            writer.close()
            await asyncio.wait([pouring], timeout=5)
            assert (await at.leaf())["reason"] == "CERT_REVOKED"

    asyncio.run(run())


@pytest.mark.parametrize("seconds", [1000, 9 * 3600])
def test_what_idles_or_is_old_is_ended_without_a_leaf(
    cluster: Any, database_settings: Settings, seconds: int
) -> None:
    async def run() -> None:
        async with stage(
            cluster, database_settings, idle_timeout_s=900.0 if seconds < 5000 else 1e9
        ) as at:
            reader, writer = await _open(at, at.good())
            at.clock.turn(seconds=100)
            writer.write(HELLO)
            assert await reader.readexactly(5) == HELLO
            await asyncio.sleep(0.3)  # one look of the watch, which takes note of the bytes
            at.clock.turn(seconds=seconds)
            await _ended(reader)
            writer.close()
            assert at.leaves() == []

    asyncio.run(run())


def test_a_name_is_known_while_its_connection_stands(
    cluster: Any, database_settings: Settings
) -> None:
    """53, 55: doors learn who it is, and that it is gone; a name that was never given is nobody's."""

    async def run() -> None:
        async with stage(cluster, database_settings) as at:
            papers = at.good()
            door = at.control()
            _, writer = await _open(at, papers)
            (name,) = at.front.connections._live
            found = await door.who(name)
            assert found is not None
            assert (found.organisation, found.serial, found.subject) == (
                CITY.organisation,
                serial(papers),
                str(CITY),
            )
            assert (found.door, found.origin.strength, found.origin.organisation) == (
                "intake",
                "weak",
                CITY.organisation,
            )
            assert found.peer.startswith("127.0.0.1:")
            assert await door.who("0" * 32) is None
            writer.close()
            await until(lambda: name not in door._known)
            assert await door.who(name) is None
            await door.close()

    asyncio.run(run())


def test_new_server_certificates_and_lists_are_taken_while_connections_stand(
    cluster: Any, database_settings: Settings
) -> None:
    """48, 49."""

    async def run() -> None:
        async with stage(cluster, database_settings) as at:
            papers = at.good()
            reader, writer = await _open(at, papers)
            renewed = await asyncio.to_thread(
                ceremony.renew_server, at.home, [CITY_AT], at.clock.now_us()
            )
            at.write_crl(number=2)
            await until(lambda: at.front._terms.current.crl_number == 2)
            _fresh, fresh_writer = await _open(at, papers)
            shown = fresh_writer.get_extra_info("ssl_object").getpeercert()
            assert int(shown["serialNumber"], 16) == renewed.serial_number
            writer.write(HELLO)
            assert await reader.readexactly(5) == HELLO
            writer.close()
            fresh_writer.close()

    asyncio.run(run())


def test_a_door_that_restarts_is_waited_for(cluster: Any, database_settings: Settings) -> None:
    """51: a connection that comes while a door restarts is served by the new one."""

    async def run() -> None:
        async with stage(cluster, database_settings) as at:
            papers = at.good()
            reader, writer = await at.connect(papers, door="identity")
            writer.write(HELLO)
            await asyncio.sleep(0.1)

            async def answer(
                inner: asyncio.StreamReader, inner_writer: asyncio.StreamWriter
            ) -> None:
                try:
                    inner_writer.write(await inner.read(100))
                    await inner.read()
                finally:
                    inner_writer.close()

            door = await asyncio.start_unix_server(
                answer, path=str(at.home.door_socket("identity"))
            )
            assert await reader.readexactly(5) == HELLO
            writer.close()
            door.close()
            assert at.leaves() == []

    asyncio.run(run())


def test_a_door_that_stays_away_is_a_refusal(
    cluster: Any, database_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def run() -> None:
        monkeypatch.setattr("gateway.front.admission.DOOR_WAIT_S", 0.1)
        async with stage(cluster, database_settings) as at:
            assert not await at.served(at.good(), door="identity")
            leaf = await at.leaf()
            assert (leaf["door"], leaf["detail"]["cause"]) == ("identity", "door-away")

    asyncio.run(run())


def test_draining_takes_nobody_in_and_lets_finish(
    cluster: Any, database_settings: Settings
) -> None:
    async def run() -> None:
        async with stage(cluster, database_settings) as at:
            papers = at.good()
            reader, writer = await _open(at, papers)
            closing = asyncio.create_task(at.front.close(drain_s=5))
            await asyncio.sleep(0.05)
            assert not await at.served(papers)
            writer.write(HELLO)
            assert await reader.readexactly(5) == HELLO
            assert not closing.done()
            writer.close()
            async with asyncio.timeout(3):
                await closing

    asyncio.run(run())
