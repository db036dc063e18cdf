"""Issue 5: 300 people and 120 services through a year of a turned clock; every login as the policy's words say, every day's status right.

Some forget, go on leave, share, guess and are guessed at, are reset and dismissed; in mid-year the policy is tightened and hashing
raised; clients, doors and supervisor die at every step of their journals. Nobody who heeded the warnings is locked out, nobody blocked
gets in, and the log tells everybody's story.
"""

import asyncio
import io
import random
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import get_args

import pytest

from gateway import log
from gateway.audit.archive import export
from gateway.audit.verify import verify_folder
from gateway.client import kept_secret
from gateway.store import roles
from gateway.store.database import Database
from gateway.tlog.note import parse_vkey
from tests.faults.year import plan, stories, words
from tests.faults.year.engine import EFFECTS
from tests.faults.year.population import PEOPLE, SERVICES
from tests.faults.year.services import JOURNAL, POINTS
from tests.faults.year.stage import RAISED, Stage, no_fsync
from tests.faults.year.year import Year
from tests.world import fresh_ground

SEED = 20260302
# Each step of the clients' journal is died at at least so often.
DEATHS = 5


def test_the_journal_has_no_state_that_no_crash_is_made_for() -> None:
    states = {state for state in get_args(kept_secret.State) if state}
    assert states == {step for step in JOURNAL if step in ("asked", "given")}


@pytest.mark.timeout(1800)
def test_who_heeds_the_warnings_gets_in_all_year_and_who_is_blocked_never(
    cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = io.StringIO()
    monkeypatch.setattr(log._LINES, "stream", lines)

    async def run(ground) -> None:
        async with Stage.open(ground, words.START) as stage:
            dice = random.Random(SEED)
            # The moments that clients pick for themselves: the same in every run.
            monkeypatch.setattr(kept_secret, "secrets", SimpleNamespace(randbelow=dice.randrange))
            year = Year(stage, tmp_path, dice)
            await plan.settle(year)
            plan.make(year)
            for number in range(words.DAYS):
                await year.day(number)
            await _everybody_fared_as_he_deserved(year)
            await _the_machinery_was_tried(year)
            await _the_log_tells_it(year, tmp_path / "log", lines.getvalue())

    with fresh_ground(cluster) as ground, no_fsync():
        asyncio.run(run(ground))


async def _everybody_fared_as_he_deserved(year: Year) -> None:
    people, services = year.people.values(), year.services.values()
    assert (len(people), len(services)) == (PEOPLE, SERVICES)
    assert year.days_checked == words.DAYS
    for person in people:
        story = year.model.stories[person.member.key]
        if person.habit == "heeds":
            assert person.ill_treated == [], person.member.key
            assert not {"restricted", "blocked", "reset"} & set(story), person.member.key
            assert story.count("changed") >= 4, person.member.key
    for service in services:
        if service.habit == "steady":
            assert service.ill_treated == [], service.member.key
            story = year.model.stories[service.member.key]
            assert not {"restricted", "blocked", "reset"} & set(story), service.member.key
            assert story.count("next") >= 6, service.member.key
    # Nobody met only what he wished for.
    for rpc, reasons in plan.REFUSALS.items():
        for reason in reasons:
            assert year.watching.seen[rpc, reason] >= 5, (rpc, reason)
    assert sum(one.replaced for one in services) >= plan.CLONES


async def _the_machinery_was_tried(year: Year) -> None:
    assert {point: year.crashes.came[point] >= DEATHS for point in POINTS} == dict.fromkeys(
        POINTS, True
    )
    assert year.crashes.whole >= SERVICES
    died = year.rotation.died
    assert set(died) == {(step, n) for step, done in EFFECTS.items() for n in range(len(done))}
    assert year.rotation.broken_tellings >= DEATHS
    assert year.switches_seen == 12
    # Who logged in since the parameters were raised has a hash of the new ones, nobody else.
    rows = await year.stage.sql(
        "SELECT organisation, name, last_login_us, password_set_us, password_hash FROM gateway.account"
    )
    new = f"m={RAISED.memory_cost},t={RAISED.time_cost},"
    hashed = Counter(
        (new in text, max(login or 0, made) >= plan.RAISED_AT) for *_, login, made, text in rows
    )
    assert set(hashed) == {(True, True), (False, False)}, hashed


async def _the_log_tells_it(year: Year, folder: Path, lines: str) -> None:
    leaves = await year.stage.leaves()
    told = stories.told(leaves)
    for key, story in year.model.stories.items():
        assert told.get(key) == story, key
    assert set(told) == set(year.model.stories)
    assert stories.rotated(leaves) == year.keys.story
    kinds = Counter(leaf["kind"] for leaf in leaves)
    assert not {"secret.failed", "secret.differs", "log.clock"} & set(kinds)
    secrets = {text for account in year.model.accounts.values() for text in account.former}
    assert not secrets & set(stories.strings(leaves))
    assert not [text for text in secrets if text in lines]
    await _log_verifies(year, folder)
    print(dict(kinds), dict(year.watching.seen))


async def _log_verifies(year: Year, folder: Path) -> None:
    stage = year.stage
    conninfo = roles.conninfo(stage.home, stage.settings, "administration")
    database = await Database.open(conninfo, application="export")
    key = stage.home.log_key.read_text().strip()
    try:
        done = await export(database, stage.newest_checkpoint, key, folder, lambda *_: None)
    finally:
        await database.close()
    report = verify_folder(folder, parse_vkey(key))
    assert report.failures == ()
    assert done.size == report.judging.kinds.total()
