"""The log away, the signer away, the log another one: refused, counted, and told when it is back."""

import asyncio
from collections.abc import Awaitable, Callable

import psycopg
import pytest

from gateway.audit.event import Event
from gateway.audit.recorder import Entry
from gateway.audit.signing import SignerLink
from gateway.errors import Reason, Refusal
from gateway.store.database import Database, Transaction
from gateway.tlog import leaf
from tests.audit.stage import NOW_US, UPLOAD, Stage, until
from tests.audit.test_recorder import leaves, proven, run, units, writes

Conninfo = Callable[[str], str]
KILL = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'test'"


async def refused(wait: Awaitable[Entry]) -> Reason:
    with pytest.raises(Refusal) as error:
        await wait
    assert error.value.code == "UNAVAILABLE"
    assert error.value.retry_after_s is not None
    return error.value.reason


async def back(s: Stage) -> dict[str, leaf.Json]:
    """Wait until the recorder is normal again and return its recovery leaf."""
    await until(lambda: s.recorder.state.phase == "normal")
    return [each for each in await leaves(s) if each["kind"] == "log.recover"][-1]


def superuser(cluster: object, sql: str, conninfo: Conninfo) -> None:
    database = psycopg.conninfo.conninfo_to_dict(conninfo("owner"))["dbname"]
    with psycopg.connect(cluster.superuser(database), autocommit=True) as connection:  # type: ignore[attr-defined]
        connection.execute(sql)


def test_a_connection_lost_in_an_effect(conninfo: Conninfo, cluster: object) -> None:
    async def play(s: Stage) -> None:
        async def cut(transaction: Transaction) -> Event:
            event = await writes("1401050001")(transaction)
            await asyncio.to_thread(superuser, cluster, KILL, conninfo)
            await transaction.execute("SELECT 1")
            return event

        outcomes = await asyncio.gather(
            s.recorder.append(UPLOAD, writes("1401050002")),
            s.recorder.append(UPLOAD, cut),
            s.recorder.append(UPLOAD),
            return_exceptions=True,
        )
        assert [each.reason for each in outcomes if isinstance(each, Refusal)] == [
            Reason.AUDIT_DEGRADED
        ] * 3
        assert await refused(s.recorder.append(UPLOAD)) is Reason.AUDIT_DEGRADED
        s.clock.turn(seconds=7)
        told = await back(s)
        assert told["counts"] == {"refused": 4, "unknown": 0}
        assert told["detail"] == {
            "cause": "store",
            "outage_from_us": NOW_US,
            "outage_until_us": NOW_US + 7_000_000,
        }
        assert await units(s.database) == []
        proven(s, await s.recorder.append(UPLOAD, writes("1401050001")))
        assert len(await leaves(s)) == 2

    run(conninfo, play)


@pytest.mark.parametrize("lands", [True, False])
def test_a_connection_lost_at_commit_is_unknown_and_counted(
    conninfo: Conninfo, cluster: object, lands: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The back end is killed between audit_append and COMMIT, or the COMMIT lands and its answer does not."""
    real = Transaction.fetch_one

    async def cut(self: Transaction, sql: str, parameters: tuple[object, ...] = ()) -> object:
        row = await real(self, sql, parameters)
        if "audit_append" in sql:
            monkeypatch.setattr(Transaction, "fetch_one", real)
            if lands:
                await self.execute("COMMIT")
            await asyncio.to_thread(superuser, cluster, KILL, conninfo)
        return row

    async def play(s: Stage) -> None:
        monkeypatch.setattr(Transaction, "fetch_one", cut)
        some = (s.recorder.append(UPLOAD, writes(f"140105000{i}")) for i in range(3))
        outcomes = await asyncio.gather(*some, return_exceptions=True)
        assert [each.reason for each in outcomes if isinstance(each, Refusal)] == [
            Reason.AUDIT_DEGRADED
        ] * 3
        told = await back(s)
        assert told["counts"] == {"refused": 0, "unknown": 3}
        assert len(await units(s.database)) == 3 * lands
        assert len(await leaves(s)) == 1 + 3 * lands
        proven(s, await s.recorder.append(UPLOAD))

    run(conninfo, play)


def test_a_database_that_refuses_leaves(conninfo: Conninfo, cluster: object) -> None:
    async def play(s: Stage) -> None:
        await s.recorder.append(UPLOAD)
        revoke = "REVOKE EXECUTE ON FUNCTION gateway.audit_append FROM gateway_intake"
        await asyncio.to_thread(superuser, cluster, revoke, conninfo)
        assert (
            await refused(s.recorder.append(UPLOAD, writes("1401050001"))) is Reason.AUDIT_DEGRADED
        )
        await asyncio.sleep(0.5)
        for _ in range(4):
            if s.recorder.state.degraded:
                assert await refused(s.recorder.append(UPLOAD)) is Reason.AUDIT_DEGRADED
        counted = s.recorder.state.refused
        grant = revoke.replace("REVOKE", "GRANT").replace("FROM", "TO")
        await asyncio.to_thread(superuser, cluster, grant, conninfo)
        told = await back(s)
        assert told["counts"] == {"refused": counted, "unknown": 0}
        assert await units(s.database) == []
        assert s.recorder.state.refused == 0

    run(conninfo, play)


def test_calls_during_the_recovery_wait_for_its_outcome(conninfo: Conninfo) -> None:
    async def play(s: Stage) -> None:
        event = s.recorder.state.recovering("intake", NOW_US)
        assert event.counts == {"refused": 0, "unknown": 0}
        waiting = asyncio.create_task(s.recorder.append(UPLOAD))
        await asyncio.sleep(0.02)
        assert not waiting.done()
        s.recorder.degrade(ValueError("the attempt failed"))
        assert await refused(waiting) is Reason.AUDIT_DEGRADED
        assert (await back(s))["counts"] == {"refused": 1, "unknown": 0}

    run(conninfo, play)


def test_the_signer_away_is_refused_before_commit(conninfo: Conninfo) -> None:
    async def play(s: Stage) -> None:
        await s.recorder.append(UPLOAD)
        await s.signer.kill()
        await until(lambda: not s.recorder.signer.available)
        for _ in range(3):
            assert (
                await refused(s.recorder.append(UPLOAD, writes("1401050001"))) is Reason.SIGNER_AWAY
            )
        assert len(await leaves(s)) == 1
        await s.signer.start()
        told = await back(s)
        assert told["counts"] == {"refused": 3, "unknown": 0}
        assert told["detail"]["cause"] == "signer"  # type: ignore[index, call-overload]
        proven(s, await s.recorder.append(UPLOAD, writes("1401050001")))

    run(conninfo, play)


def test_the_signer_that_goes_while_effects_run_is_still_before_commit(conninfo: Conninfo) -> None:
    async def play(s: Stage) -> None:
        async def kills(transaction: Transaction) -> Event:
            await s.signer.kill()
            await until(lambda: not s.recorder.signer.available)
            return await writes("1401050001")(transaction)

        assert await refused(s.recorder.append(UPLOAD, kills)) is Reason.SIGNER_AWAY
        assert await leaves(s) == []
        assert await units(s.database) == []
        await s.signer.start()
        assert (await back(s))["counts"] == {"refused": 1, "unknown": 0}

    run(conninfo, play)


def test_the_signer_that_goes_between_commit_and_signature_leaves_it_unknown(
    conninfo: Conninfo, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def play(s: Stage) -> None:
        real = SignerLink.sign

        async def dies(self: SignerLink, *arguments: object) -> object:
            monkeypatch.setattr(SignerLink, "sign", real)
            await s.signer.kill()
            return await real(self, *arguments)  # type: ignore[arg-type]

        monkeypatch.setattr(SignerLink, "sign", dies)
        assert await refused(s.recorder.append(UPLOAD, writes("1401050001"))) is Reason.SIGNER_AWAY
        assert await units(s.database) == ["1401050001"]
        assert len(await leaves(s)) == 1
        await s.signer.start()
        assert (await back(s))["counts"] == {"refused": 0, "unknown": 1}
        proven(s, await s.recorder.append(UPLOAD))
        assert s.signer.memory.growth.frontier.size == 3

    run(conninfo, play)


def test_a_signer_that_does_not_answer_is_away(
    conninfo: Conninfo, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def play(s: Stage) -> None:
        monkeypatch.setattr("gateway.audit.signing.ANSWER_TIMEOUT_S", 0.05)
        answer = s.signer.signer._answer

        async def silent(line: bytes) -> object:
            await asyncio.sleep(0.3)
            return await answer(line)

        monkeypatch.setattr(s.signer.signer, "_answer", silent)
        assert await refused(s.recorder.append(UPLOAD)) is Reason.SIGNER_AWAY
        monkeypatch.undo()
        assert (await back(s))["counts"] == {"refused": 0, "unknown": 1}

    run(conninfo, play)


SHORTEN = """
    SET session_replication_role = replica;
    DELETE FROM gateway.audit_entry WHERE idx >= 2;
    UPDATE gateway.audit_head SET size = 2, frontier = ARRAY(
        SELECT sha256('\\x01'::bytea || string_agg(leaf_hash, ''::bytea ORDER BY idx)) FROM gateway.audit_entry
    ), root = (
        SELECT sha256('\\x01'::bytea || string_agg(leaf_hash, ''::bytea ORDER BY idx)) FROM gateway.audit_entry
    );
"""
REWRITE = """
    SET session_replication_role = replica;
    UPDATE gateway.audit_entry SET leaf_hash = sha256('other') WHERE idx = 0;
    UPDATE gateway.audit_head SET size = 1, frontier = ARRAY[sha256('other')], root = sha256('other');
    DELETE FROM gateway.audit_entry WHERE idx > 0;
"""


@pytest.mark.parametrize("sql", [SHORTEN, REWRITE])
def test_a_log_that_was_shortened_or_rewritten_is_never_gone_on_with(
    conninfo: Conninfo, cluster: object, sql: str
) -> None:
    """Attacks 4 to 8 and 10 against a running gateway, and against one that is started again."""

    async def play(s: Stage) -> None:
        for _ in range(5):
            await s.recorder.append(UPLOAD)
        await asyncio.to_thread(superuser, cluster, sql, conninfo)
        assert await refused(s.recorder.append(UPLOAD)) is Reason.AUDIT_DEGRADED
        await asyncio.sleep(0.6)
        assert s.recorder.state.phase == "degraded"
        assert s.recorder.state.cause == "log"
        fresh = await s.another()
        assert await refused(fresh.append(UPLOAD)) is Reason.AUDIT_DEGRADED
        assert fresh.state.cause == "log"
        assert s.signer.memory.growth.frontier.size == 5
        await fresh.close()

    run(conninfo, play)


def test_a_log_rewritten_and_made_longer_gets_no_signature(
    conninfo: Conninfo, cluster: object
) -> None:
    async def play(s: Stage) -> None:
        for _ in range(5):
            await s.recorder.append(UPLOAD)
        await asyncio.to_thread(superuser, cluster, REWRITE, conninfo)
        database = await Database.open(s.conninfo("front"), application="other", size=1)
        async with database.transaction() as transaction:
            made = [UPLOAD.to_leaf(i) for i in range(10)]
            await transaction.fetch("SELECT first FROM gateway.audit_append(%s, %s)", (made, 1))
        await database.close()
        fresh = await s.another()
        assert await refused(fresh.append(UPLOAD)) is Reason.AUDIT_DEGRADED
        assert fresh.state.cause == "log"
        assert s.signer.memory.growth.frontier.size == 5
        await fresh.close()

    run(conninfo, play)


def test_what_was_committed_but_not_signed_is_signed_at_the_next_start(conninfo: Conninfo) -> None:
    async def play(s: Stage) -> None:
        database = await Database.open(s.conninfo("front"), application="other", size=1)
        async with database.transaction() as transaction:
            await transaction.fetch(
                "SELECT first FROM gateway.audit_append(%s, 0)", ([UPLOAD.to_leaf(1)],)
            )
        await database.close()
        fresh = await s.another()
        assert "\n1\n" in fresh.newest_checkpoint
        await fresh.close()

    run(conninfo, play)


def test_a_lost_state_of_the_signer_stops_everything(conninfo: Conninfo) -> None:
    async def play(s: Stage) -> None:
        await s.recorder.append(UPLOAD)
        s.signer.signer._memory = None
        assert await refused(s.recorder.append(UPLOAD)) is Reason.SIGNER_AWAY
        await asyncio.sleep(0.5)
        assert await refused(s.recorder.append(UPLOAD)) is Reason.SIGNER_AWAY

    run(conninfo, play)


def test_an_error_that_nobody_foresaw_does_not_end_the_recovery(
    conninfo: Conninfo, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def play(s: Stage) -> None:
        async def surprises() -> object:
            raise KeyError("unforeseen")

        monkeypatch.setattr(s.recorder.log, "tree", surprises)
        s.recorder.degrade(ValueError("for once"))
        await asyncio.sleep(0.5)
        assert await refused(s.recorder.append(UPLOAD)) is Reason.AUDIT_DEGRADED
        monkeypatch.undo()
        assert (await back(s))["counts"] == {"refused": 1, "unknown": 0}

    run(conninfo, play)


def test_callers_in_line_when_the_loops_are_cut_off_hear_of_it(
    conninfo: Conninfo, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def play(s: Stage) -> None:
        signing = asyncio.Event()

        async def never(self: SignerLink, *_: object) -> object:
            signing.set()
            await asyncio.sleep(60)
            return None

        monkeypatch.setattr(SignerLink, "sign", never)
        waiting = asyncio.create_task(s.recorder.append(UPLOAD))
        await signing.wait()
        for task in s.recorder._tasks:
            task.cancel()
        assert await refused_bare(waiting) is Reason.SHUTTING_DOWN

    run(conninfo, play)


async def refused_bare(wait: Awaitable[Entry]) -> Reason:
    with pytest.raises(Refusal) as error:
        await wait
    return error.value.reason


def test_floods_during_an_outage_are_told_after_it(conninfo: Conninfo) -> None:
    async def play(s: Stage) -> None:
        event = Event(kind="tls.refused", decision="deny", reason="TLS_FAILED", door="front")
        await asyncio.gather(*(s.recorder.append_limited("10.8.0.0/24", event) for _ in range(25)))
        await s.signer.kill()
        await until(lambda: not s.recorder.signer.available)
        await s.recorder._append_floods()
        await s.signer.start()
        await back(s)
        await until(lambda: s.recorder.tree.size == 22)
        assert [each["counts"] for each in await leaves(s) if each["kind"] == "suppressed"] == [
            {"suppressed": 5}
        ]

    run(conninfo, play)
