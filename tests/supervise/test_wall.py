"""Attacks 58-60 as the packet filter sees them: each refusal its one leaf, whatever the filter and the supervisor go through."""

import asyncio
import contextlib
import json
from dataclasses import replace
from typing import Any

import pytest

from gateway.config import policies
from gateway.config.settings import OriginSettings, Settings, WallSettings
from gateway.errors import Reason
from gateway.supervise import wall
from gateway.supervise.journal import Journal
from gateway.supervise.wall import OUTSIDE, WALL, Watch, keep_watched
from gateway.vpn.wall import COUNTERS, Count
from tests.audit.stage import until
from tests.front.stage import Stage, stage
from tests.vpn import test_wall as recorded

RULES = policies.load_tunnel_rules(policies.shipped("policies") / "tunnels.toml")


class Filter:
    """An nft that says what it is told to."""

    def __init__(self, folder: Any) -> None:
        self._folder = folder
        self.tool = folder / "nft"
        body = f"{{ read status; /bin/cat; exit $status; }} < {folder}/said"
        self.tool.write_text(f"#!/bin/sh\n{body}\n")
        self.tool.chmod(0o700)
        self._counted = dict.fromkeys(COUNTERS, 0)
        self.stands()

    def drops(self, counter: str, packets: int = 1) -> None:
        self._counted[counter] += packets
        self.stands()

    def stands(self) -> None:
        def counted(listed: Any) -> None:
            for name, packets in self._counted.items():
                recorded.part(listed, "counter", name=name)["packets"] = packets

        self._say(recorded.changed(counted), 0)

    def gone(self) -> None:
        self._say(b"Error: No such file or directory\n", 1)

    def _say(self, said: bytes, status: int) -> None:
        partial = self._folder / "partial"
        partial.write_bytes(b"%d\n%s" % (status, said))
        partial.replace(self._folder / "said")


@contextlib.asynccontextmanager
async def watching(at: Stage, nft: Filter) -> Any:
    """The supervisor's watch and its journal; gives what `status` is shown."""
    named = WallSettings("inet gateway_wall", tool=str(nft.tool))
    origin = replace(at.settings.origin, wall=named)
    settings = replace(at.settings, origin=origin)
    # Looks at once one after the other: what is told depends on looks, not on seconds.
    rules = replace(RULES, wall_look_s=0.01)
    journal, shown = Journal(at.home, settings), []
    tasks = [
        asyncio.create_task(journal.run()),
        asyncio.create_task(keep_watched(at.home, settings, rules, journal.put, shown.append)),
    ]
    try:
        await until(lambda: shown)
        yield shown
        assert await journal.flush(60)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def leaves(at: Stage, *kinds: str) -> list[dict[str, Any]]:
    rows = at.sql(
        "SELECT leaf FROM gateway.audit_entry WHERE kind = ANY(%s) ORDER BY idx", [*kinds]
    )
    return [json.loads(leaf) for (leaf,) in rows]


@pytest.mark.parametrize("counter", COUNTERS)
def test_58_59_60_what_the_filter_refused_is_one_leaf_and_the_next_good_call_works(
    cluster: Any, database_settings: Settings, tmp_path: Any, counter: str
) -> None:
    async def run() -> None:
        async with stage(cluster, database_settings) as at:
            nft, papers = Filter(tmp_path), at.good()
            async with watching(at, nft) as shown:
                assert shown[-1]["state"] == "standing"
                nft.drops(counter, 3)
                await until(lambda: leaves(at, OUTSIDE))
            (leaf,) = leaves(at, OUTSIDE, WALL)
            assert (leaf["decision"], leaf["reason"]) == ("deny", Reason.ORIGIN_NOT_TUNNEL)
            assert (leaf["door"], leaf["counts"]) == ("supervisor", {"packets": 3})
            detail = leaf["detail"]
            assert (detail["alert"], detail["counter"]) == ("origin-outside", counter)
            assert detail["total"] == shown[-1]["packets"][counter] == 3
            assert detail["first_us"] <= detail["last_us"] <= leaf["time_us"]
            assert await at.served(papers)

    asyncio.run(run())


def test_a_supervisor_that_is_started_anew_goes_on_from_the_log(
    cluster: Any, database_settings: Settings, tmp_path: Any
) -> None:
    async def run() -> None:
        async with stage(cluster, database_settings) as at:
            nft = Filter(tmp_path)
            nft.drops("spoofed", 2)
            async with watching(at, nft):
                # From the time before there was a supervisor.
                await until(lambda: leaves(at, OUTSIDE))
            nft.drops("spoofed", 5)
            async with watching(at, nft):
                await until(lambda: len(leaves(at, OUTSIDE)) > 1)
            async with watching(at, nft):
                nft.drops("bypass")
                await until(lambda: len(leaves(at, OUTSIDE)) > 2)
            told = [
                (one["detail"]["counter"], one["counts"]["packets"]) for one in leaves(at, OUTSIDE)
            ]
            assert told == [("spoofed", 2), ("spoofed", 5), ("bypass", 1)]

    asyncio.run(run())


def test_a_wall_that_is_gone_is_an_alarm_once_and_its_return_is_told(
    cluster: Any, database_settings: Settings, tmp_path: Any
) -> None:
    async def run() -> None:
        async with stage(cluster, database_settings) as at:
            nft = Filter(tmp_path)
            async with watching(at, nft) as shown:
                nft.gone()
                await until(lambda: leaves(at, WALL))
                assert (shown[-1]["state"], shown[-1]["cause"]) == ("down", "gone")
            async with watching(at, nft) as shown:
                assert shown[-1]["state"] == "down"
                nft.drops("outside")
                await until(lambda: len(leaves(at, WALL, OUTSIDE)) > 2)
            first, *rest = leaves(at, WALL, OUTSIDE)
            assert first["decision"] == "error"
            assert first["detail"] == {"alert": "wall-down", "state": "down", "cause": "gone"}
            # What was counted while nobody could say is not lost.
            assert [one["kind"] for one in rest] == [WALL, OUTSIDE]
            assert rest[0]["detail"] == {"state": "standing"}
            assert rest[1]["counts"] == {"packets": 1}

    asyncio.run(run())


def test_what_is_waiting_is_told_when_the_wall_falls() -> None:
    watch = Watch({}, RULES, stands=True)
    counted = {name: Count(0, name) for name in COUNTERS}
    assert watch.look(counted, "", 1) == []
    assert watch.look({**counted, "spoofed": Count(1, "x")}, "", 2) == []
    assert [one.kind for one in watch.look({}, "unreadable", 3)] == [OUTSIDE, WALL]
    assert watch.look({}, "gone", 4) == []
    assert [one.kind for one in watch.look(counted, "", 5)] == [WALL]


def test_while_the_log_cannot_be_read_nothing_is_guessed(
    cluster: Any, database_settings: Settings, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would be told twice: the watch begins when the database does."""

    async def run() -> None:
        async with stage(cluster, database_settings) as at:
            whole, refused = wall._from_log, []

            async def once(*words: Any) -> Watch:
                if not refused:
                    refused.append(1)
                    raise OSError("away")
                return await whole(*words)

            monkeypatch.setattr(wall, "_from_log", once)
            monkeypatch.setattr(wall, "_RETRY_S", 0.01)
            nft = Filter(tmp_path)
            async with watching(at, nft) as shown:
                assert refused
                assert shown[-1]["state"] == "standing"

    asyncio.run(run())


def test_the_settings_name_no_wall_by_themselves() -> None:
    assert not OriginSettings().wall.table
