"""Leaves and effects are one: together on the log, or neither; and nothing is answered before."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import ClassVar, Self

import pytest

from gateway.audit.event import Event
from gateway.audit.group import Append, Committed, Joint, Terms, commit
from gateway.audit.receipt import proof_text
from gateway.audit.recorder import Entry, Recorder
from gateway.audit.signing import SignerLink
from gateway.audit.state import State
from gateway.errors import Reason, Refusal, refuse
from gateway.store.database import Database, Transaction
from gateway.tlog import leaf, proof
from gateway.tlog.keys import LogKeys
from tests.audit.stage import NOW_US, ORIGIN, UPLOAD, Stage, signer_home, stage, until

Conninfo = Callable[[str], str]
WRITE = "INSERT INTO gateway.batch_sequence (unit_code, sequence) VALUES (%s, %s)"
READ = "SELECT unit_code FROM gateway.batch_sequence ORDER BY 1"


def writes(unit: str, error: Exception | None = None) -> Callable[[Transaction], Awaitable[Event]]:
    """Return an effect that writes a row and then, perhaps, raises."""

    async def effect(transaction: Transaction) -> Event:
        await transaction.execute(WRITE, (unit, 1))
        if error is not None:
            raise error
        return UPLOAD.with_(unit=unit, counts={"accepted": 1})

    return effect


async def units(database: Database) -> list[str]:
    async with database.transaction() as transaction:
        return [row[0] for row in await transaction.fetch(READ)]


async def leaves(s: Stage) -> list[dict[str, leaf.Json]]:
    database = await Database.open(s.conninfo("administration"), application="test", size=1)
    async with database.transaction() as transaction:
        rows = await transaction.fetch("SELECT leaf FROM gateway.audit_entry ORDER BY idx")
    await database.close()
    return [leaf.parse(bytes(row[0])) for row in rows]


def proven(s: Stage, entry: Entry) -> None:
    found = proof.parse(proof_text(entry, b"salt")).verify(
        entry.leaf, LogKeys.of(s.signer.verifier)
    )
    assert found.size == entry.size > entry.index


def run(conninfo: Conninfo, play: Callable[[Stage], Awaitable[None]], *, lanes: int = 1) -> None:
    async def main() -> None:
        async with stage(conninfo, lanes=lanes) as s:
            await play(s)

    asyncio.run(main())


def test_a_leaf_and_its_effect_are_committed_and_proven(conninfo: Conninfo) -> None:
    async def play(s: Stage) -> None:
        assert s.recorder.newest_checkpoint.startswith(f"{ORIGIN}\n0\n")
        entry = await s.recorder.append(UPLOAD, writes("1401050001"))
        proven(s, entry)
        assert leaf.parse(entry.leaf)["unit"] == "1401050001"
        assert leaf.parse(entry.leaf)["time_us"] == NOW_US
        assert await units(s.database) == ["1401050001"]
        assert s.recorder.newest_checkpoint == entry.checkpoint

    run(conninfo, play)


@pytest.mark.parametrize("lanes", [1, 3])
def test_many_at_once_share_groups_and_each_is_proven(conninfo: Conninfo, lanes: int) -> None:
    async def play(s: Stage) -> None:
        some = [s.recorder.append(UPLOAD, writes(f"14010{i:05}")) for i in range(150)]
        some += [s.recorder.append(UPLOAD.with_(kind="upload.receipt")) for _ in range(50)]
        entries = await asyncio.gather(*some)
        assert sorted(entry.index for entry in entries) == list(range(200))
        for entry in entries:
            proven(s, entry)
        assert len({entry.checkpoint for entry in entries}) < 100
        assert len(await units(s.database)) == 150

    run(conninfo, play, lanes=lanes)


@pytest.mark.parametrize("others", [0, 5])
@pytest.mark.parametrize(
    ("reason", "decision"),
    [(Reason.REQUEST_ID_REUSED, "deny"), (Reason.CANCELLED, "error"), (Reason.INTERNAL, "error")],
)
def test_a_refusal_in_an_effect_is_on_the_log_and_its_writes_are_not(
    conninfo: Conninfo, others: int, reason: Reason, decision: str
) -> None:
    async def play(s: Stage) -> None:
        refusal = refuse(reason)
        outcomes = await asyncio.gather(
            *(s.recorder.append(UPLOAD, writes(f"14010{i:05}")) for i in range(others)),
            s.recorder.append(UPLOAD, writes("1401059999", refusal)),
            return_exceptions=True,
        )
        assert outcomes[-1] is refusal
        assert "1401059999" not in await units(s.database)
        assert len(await units(s.database)) == others
        told = await leaves(s)
        assert refusal.leaf_index is not None
        assert told[refusal.leaf_index]["decision"] == decision
        assert told[refusal.leaf_index]["reason"] == reason
        assert len(told) == others + 1
        proven(s, await s.recorder.append(UPLOAD, writes("1401059999")))

    run(conninfo, play)


@pytest.mark.parametrize("others", [0, 5])
def test_an_effect_that_crashes_is_an_error_on_the_log(conninfo: Conninfo, others: int) -> None:
    async def play(s: Stage) -> None:
        outcomes = await asyncio.gather(
            s.recorder.append(UPLOAD, writes("1401059999", ZeroDivisionError("张三"))),
            *(s.recorder.append(UPLOAD, writes(f"14010{i:05}")) for i in range(others)),
            return_exceptions=True,
        )
        assert isinstance(outcomes[0], ZeroDivisionError)
        told = await leaves(s)
        assert (told[0]["decision"], told[0]["reason"]) == ("error", "INTERNAL")
        assert "张三" not in str(told)
        assert len(await units(s.database)) == others

    run(conninfo, play)


@pytest.mark.parametrize("others", [0, 5])
@pytest.mark.parametrize(
    "sql", ["SELECT 1/0", "SET LOCAL statement_timeout = 1; SELECT pg_sleep(1)"]
)
def test_a_statement_that_fails_spoils_only_its_own_effect(
    conninfo: Conninfo, others: int, sql: str
) -> None:
    async def fails(transaction: Transaction) -> Event:
        for each in sql.split(";"):
            await transaction.execute(each)
        return UPLOAD

    async def play(s: Stage) -> None:
        outcomes = await asyncio.gather(
            *(s.recorder.append(UPLOAD, writes(f"14010{i:05}")) for i in range(others)),
            s.recorder.append(UPLOAD, fails),
            return_exceptions=True,
        )
        assert type(outcomes[-1]).__name__ in ("StoreError", "StoreAwayError")
        assert [each["decision"] for each in await leaves(s)] == ["allow"] * others + ["error"]
        assert s.recorder.state.phase == "normal"

    run(conninfo, play)


class _Joint(Joint):
    """Writes its unit, alone or with its neighbours; fails where it is told to."""

    runs: ClassVar[list[int]] = []

    def __init__(self, unit: str, error: Exception | None = None) -> None:
        self.unit, self.error = unit, error

    async def __call__(self, transaction: Transaction) -> Event:
        return await writes(self.unit, self.error)(transaction)

    @classmethod
    async def together(cls, transaction: Transaction, effects: Sequence[Self]) -> list[Event]:
        cls.runs.append(len(effects))
        return [await each(transaction) for each in effects]


@pytest.mark.parametrize("failing", [False, True])
def test_neighbours_of_one_kind_run_together_and_fail_alone(
    conninfo: Conninfo, *, failing: bool
) -> None:
    async def play(s: Stage) -> None:
        _Joint.runs.clear()
        refusal = refuse(Reason.REQUEST_ID_REUSED)
        effects = [
            _Joint("1401050001"),
            _Joint("1401050002"),
            writes("1401050003"),
            _Joint("1401050004"),
            _Joint("1401050005"),
            _Joint("1401050006", refusal if failing else None),
        ]
        outcomes = await asyncio.gather(
            *(s.recorder.append(UPLOAD, each) for each in effects), return_exceptions=True
        )
        assert _Joint.runs == [2, 3]
        assert sorted(await units(s.database)) == [
            f"140105000{n}" for n in range(1, 6 if failing else 7)
        ]
        told = await leaves(s)
        assert len(told) == len(effects)
        assert [each["decision"] for each in told] == ["allow"] * 5 + [
            "deny" if failing else "allow"
        ]
        assert (outcomes[-1] is refusal) == failing
        for entry in outcomes[:5]:
            assert isinstance(entry, Entry)
            proven(s, entry)

    run(conninfo, play)


def test_a_group_waits_for_its_company_a_lone_caller_does_not(
    conninfo: Conninfo, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []

    async def counting(database: Database, group: Sequence[Append], terms: Terms) -> Committed:
        sizes.append(len(group))
        return await commit(database, group, terms)

    monkeypatch.setattr("gateway.audit.recorder.commit", counting)

    async def play(s: Stage) -> None:
        monkeypatch.setattr("gateway.audit.recorder.COMPANY_S", 0.2)
        await asyncio.gather(*(s.recorder.append(UPLOAD) for _ in range(4)))
        first = asyncio.create_task(s.recorder.append(UPLOAD))
        for _ in range(3):
            await asyncio.sleep(0)
        await asyncio.gather(first, s.recorder.append(UPLOAD))
        await s.recorder.append(UPLOAD)
        assert sizes == [4, 2, 1]
        monkeypatch.setattr("gateway.audit.recorder.COMPANY_S", 3600)
        await s.recorder.append(UPLOAD)
        assert sizes == [4, 2, 1, 1]

    run(conninfo, play)


def test_an_event_that_is_not_fit_for_the_log_undoes_its_effect(conninfo: Conninfo) -> None:
    async def unfit(transaction: Transaction) -> Event:
        await transaction.execute(WRITE, ("1401050001", 1))
        return UPLOAD.with_(account="张三")

    async def play(s: Stage) -> None:
        for event, effect in (
            (UPLOAD, unfit),
            (UPLOAD.with_(account="张三"), None),
            (Event(), None),
        ):
            with pytest.raises(ValueError, match="grammar"):
                await s.recorder.append(event, effect)
        assert await units(s.database) == []
        told = await leaves(s)
        assert [each["kind"] for each in told] == ["upload", "upload", "log.unfit"]
        assert {each["reason"] for each in told} == {"INTERNAL"}
        assert "张" not in str(told)

    run(conninfo, play)


@pytest.mark.parametrize("others", [0, 3])
def test_an_unfit_event_with_a_refusing_effect_still_leaves_a_leaf(
    conninfo: Conninfo, others: int
) -> None:
    async def play(s: Stage) -> None:
        unfit = UPLOAD.with_(account="张三")
        outcomes = await asyncio.gather(
            s.recorder.append(unfit, writes("1401059999", refuse(Reason.NOT_FOUND))),
            *(s.recorder.append(UPLOAD, writes(f"14010{i:05}")) for i in range(others)),
            return_exceptions=True,
        )
        assert isinstance(outcomes[0], ValueError)
        told = await leaves(s)
        assert (told[0]["decision"], told[0]["reason"]) == ("error", "INTERNAL")
        assert len(told) == len(await units(s.database)) + 1 == others + 1

    run(conninfo, play)


def test_two_recorders_interleave_on_one_log(conninfo: Conninfo) -> None:
    async def play(s: Stage) -> None:
        other = await s.another()
        for _ in range(12):
            entries = await asyncio.gather(
                *(s.recorder.append(UPLOAD) for _ in range(7)),
                *(other.append(Event(kind="identity.login", door="identity")) for _ in range(5)),
            )
            for entry in entries:
                proven(s, entry)
        told = await leaves(s)
        assert len(told) == 144
        assert {each["door"] for each in told} == {"intake", "identity"}
        assert (await s.recorder.log.head()).size == 144
        await other.close()

    run(conninfo, play)


def test_old_entries_are_proven_to_the_newest_checkpoint(conninfo: Conninfo) -> None:
    async def play(s: Stage) -> None:
        entries = await asyncio.gather(*(s.recorder.append(UPLOAD) for _ in range(600)))
        fresh = await s.another()  # remembers nothing: its proofs come from the database
        for entry in entries[::37]:
            for recorder in (s.recorder, fresh):
                text = await recorder.proof(entry.index, b"salt")
                found = proof.parse(text)
                assert found.extra == b"salt"
                assert found.verify(entry.leaf, LogKeys.of(s.signer.verifier)).size == 600
        fresh.tree._nodes[0].clear()
        proof.parse(await fresh.proof(5)).verify(entries[5].leaf, LogKeys.of(s.signer.verifier))
        await fresh.close()

    run(conninfo, play)


def test_a_caller_that_goes_away_before_its_group_leaves_nothing(conninfo: Conninfo) -> None:
    async def play(s: Stage) -> None:
        task = asyncio.create_task(s.recorder.append(UPLOAD, writes("1401050001")))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await s.recorder.append(UPLOAD)
        assert await units(s.database) == []
        assert len(await leaves(s)) == 1

    run(conninfo, play)


def test_a_caller_that_goes_away_during_its_group_parts_nothing(conninfo: Conninfo) -> None:
    async def play(s: Stage) -> None:
        begun, go_on = asyncio.Event(), asyncio.Event()

        async def slow(transaction: Transaction) -> Event:
            begun.set()
            await go_on.wait()
            return await writes("1401050001")(transaction)

        task = asyncio.create_task(s.recorder.append(UPLOAD, slow))
        await begun.wait()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        go_on.set()
        await s.recorder.append(UPLOAD)
        assert await units(s.database) == ["1401050001"]
        assert len(await leaves(s)) == 2

    run(conninfo, play)


def test_the_clock_goes_back(conninfo: Conninfo) -> None:
    async def play(s: Stage) -> None:
        await s.recorder.append(UPLOAD)
        s.clock.turn(seconds=-0.5)
        await s.recorder.append(UPLOAD)
        s.clock.turn(seconds=-3600)
        await s.recorder.append(UPLOAD)
        s.clock.turn(seconds=7200)
        await s.recorder.append(UPLOAD)
        told = await leaves(s)
        back = NOW_US - 3600_500_000
        assert [each["kind"] for each in told] == [
            "upload",
            "upload",
            "log.clock",
            "upload",
            "upload",
        ]
        assert [each["time_us"] for each in told] == [
            NOW_US,
            NOW_US,
            back,
            back,
            back + 7200_000_000,
        ]
        assert told[2]["detail"] == {"clock_from_us": NOW_US, "clock_until_us": back}

    run(conninfo, play)


def test_a_flood_leaves_few_leaves_and_an_exact_count(conninfo: Conninfo) -> None:
    async def play(s: Stage) -> None:
        event = Event(kind="tls.refused", decision="deny", reason="TLS_FAILED", door="front")
        some = [s.recorder.append_limited("10.8.0.0/24", event) for _ in range(500)]
        entries = await asyncio.gather(*some, s.recorder.append_limited("10.9.0.0/24", event))
        assert entries[-1] is not None
        assert sum(entry is not None for entry in entries) == 21
        await s.recorder.close()
        told = await leaves(s)
        suppressed = [each for each in told if each["kind"] == "suppressed"]
        assert [each["counts"] for each in suppressed] == [{"suppressed": 480}]
        assert suppressed[0]["detail"] == {
            "source": "10.8.0.0/24",
            "first_us": NOW_US,
            "last_us": NOW_US,
        }
        assert len(told) == 22

    run(conninfo, play)


def test_a_flood_is_told_within_its_second(conninfo: Conninfo) -> None:
    async def play(s: Stage) -> None:
        event = Event(kind="tls.refused", decision="deny", reason="TLS_FAILED", door="front")
        await asyncio.gather(*(s.recorder.append_limited("10.8.0.0/24", event) for _ in range(30)))
        await until(lambda: s.recorder.tree.size == 21)
        assert (await leaves(s))[-1]["counts"] == {"suppressed": 10}

    run(conninfo, play)


def test_after_close_everything_is_refused(conninfo: Conninfo) -> None:
    async def play(s: Stage) -> None:
        waiting = asyncio.gather(*(s.recorder.append(UPLOAD) for _ in range(5)))
        await asyncio.sleep(0)
        await s.recorder.close()
        assert len(await waiting) == 5
        with pytest.raises(Refusal) as error:
            await s.recorder.append(UPLOAD)
        assert error.value.reason is Reason.SHUTTING_DOWN

    run(conninfo, play)


def test_a_killed_process_breaks_off_in_every_state(conninfo: Conninfo) -> None:
    """Cancelled tasks, as at the end of an event loop: callers hear SHUTTING_DOWN, nobody hangs."""

    async def play(s: Stage) -> None:
        begun = asyncio.Event()

        async def slow(transaction: Transaction) -> Event:
            begun.set()
            await asyncio.sleep(60)
            return UPLOAD

        waiting = asyncio.create_task(s.recorder.append(UPLOAD, slow))
        await begun.wait()
        for task in s.recorder._tasks:
            task.cancel()
        with pytest.raises(Refusal) as error:
            await waiting
        assert error.value.reason is Reason.SHUTTING_DOWN

    run(conninfo, play)


def test_a_log_far_ahead_is_read_anew(conninfo: Conninfo) -> None:
    async def play(s: Stage) -> None:
        database = await Database.open(s.conninfo("identity"), application="test", size=1)
        made = [UPLOAD.to_leaf(i) for i in range(6700)]
        for _ in range(10):
            async with database.transaction() as transaction:
                size = (await transaction.fetch("SELECT size FROM gateway.audit_head"))[0][0]
                await transaction.fetch(
                    "SELECT first FROM gateway.audit_append(%s, %s)", (made, size)
                )
        await database.close()
        entry = await s.recorder.append(UPLOAD)
        assert entry.index == 67_000
        proven(s, entry)

    run(conninfo, play)


def test_a_tree_that_is_not_the_databases_is_noticed(conninfo: Conninfo) -> None:
    async def play(s: Stage) -> None:
        await s.recorder.append(UPLOAD)
        s.recorder.tree._nodes[0][0] = bytes(32)
        with pytest.raises(Refusal) as error:
            await s.recorder.append(UPLOAD)
        assert error.value.reason is Reason.AUDIT_DEGRADED
        await until(lambda: s.recorder.state.phase == "normal")
        assert (await leaves(s))[-1]["counts"] == {"refused": 0, "unknown": 1}
        proven(s, await s.recorder.append(UPLOAD))

    run(conninfo, play)


def test_the_state_object_is_shared_with_nobody(conninfo: Conninfo) -> None:
    async def play(s: Stage) -> None:
        other = await s.another()
        other.degrade(ValueError("only here"))
        assert other.state.phase == "degraded"
        assert s.recorder.state == State()
        await until(lambda: other.state.phase == "normal")
        await other.close()

    run(conninfo, play)


def test_a_recorder_opens_degraded_when_there_is_no_signer(conninfo: Conninfo) -> None:
    async def main() -> None:
        with signer_home() as home:
            database = await Database.open(conninfo("intake"), application="test")
            async with asyncio.timeout(10):
                from gateway.clock import TurnedClock

                recorder = await Recorder.open(
                    database,
                    SignerLink(home.signer_socket),
                    door="intake",
                    clock=TurnedClock(NOW_US),
                )
                with pytest.raises(Refusal) as error:
                    await recorder.append(UPLOAD)
                assert error.value.reason is Reason.SIGNER_AWAY
                assert recorder.newest_checkpoint == ""
                await recorder.close()
                await database.close()

    asyncio.run(main())
