"""First uses and clones on a real register and log; through the whole gateway: tests/attacks/test_defective_certificates.py."""

import asyncio
from typing import Any

import pytest

from gateway.clock import US_PER_S
from gateway.config.settings import Settings
from gateway.errors import Reason
from gateway.front import lineages
from tests.front.stage import CITY, CITY_AT, Stage, serial, stage
from tests.pki.forge import Papers


def _state(at: Stage, papers: Papers) -> int:
    rows = at.sql("SELECT state FROM gateway.certificate WHERE serial = %s", serial(papers))
    return int(rows[0][0])


def test_a_first_use_is_one_leaf_with_its_effect(cluster: Any, database_settings: Settings) -> None:
    async def run() -> None:
        async with stage(cluster, database_settings) as at:
            first = at.good(used=False)
            assert all(await asyncio.gather(*(at.served(first) for _ in range(6))))
            leaf = await at.leaf(1)
            assert (leaf["kind"], leaf["decision"]) == ("certificate.used", "allow")
            assert (leaf["serial"], leaf["organisation"]) == (serial(first), CITY.organisation)
            assert leaf["counts"] == {"superseded": 0}
            assert leaf["listener"].startswith(CITY_AT)
            second = at.renewed(first)
            assert await at.defect(first) == ""
            assert _state(at, first) == 1
            assert await at.defect(second) == ""
            assert (await at.leaf(2))["counts"] == {"superseded": 1}
            assert (_state(at, first), _state(at, second)) == (3, 1)

    asyncio.run(run())


def test_a_clone_is_one_alarm_however_often_it_comes(
    cluster: Any, database_settings: Settings
) -> None:
    async def run() -> None:
        async with stage(cluster, database_settings) as at:
            old = at.good()
            new = at.renewed(old)
            assert await at.served(new)
            assert await at.defect(old) == "CERT_SUPERSEDED"
            await at.leaf(1)
            at.clock.turn(seconds=61)
            assert all(await asyncio.gather(*(at.served(old) for _ in range(6))))
            leaf = await at.leaf(2)
            assert (leaf["kind"], leaf["reason"]) == ("certificate.clone", "LINEAGE_LOCKED")
            assert (leaf["detail"], leaf["serial"]) == ({"alert": "lineage-locked"}, serial(old))
            assert await at.defect(old) == await at.defect(new) == "LINEAGE_LOCKED"
            assert await at.defect(at.good()) == ""
            await at.leaf(2)

    asyncio.run(run())


def test_without_a_log_nobody_is_first(
    cluster: Any, database_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fail closed: no leaf, no first use, no entry; those who were in before come in."""

    async def run() -> None:
        async with stage(cluster, database_settings) as at:
            papers, known = at.good(used=False), at.good()
            at.recorder.degrade(RuntimeError("the log is away"))
            monkeypatch.setattr(type(at.recorder.state), "admit", _refuse(at))
            assert not await at.served(papers)
            assert await at.served(known)
            monkeypatch.undo()
            rows = at.sql(
                "SELECT first_used_us FROM gateway.certificate WHERE serial = %s", serial(papers)
            )
            assert rows == [(None,)]

    asyncio.run(run())


def _refuse(at: Stage) -> Any:
    def admit(self: Any) -> None:
        raise self.refusal()

    return admit


@pytest.mark.parametrize(("state", "reason"), [(2, "CERT_REVOKED"), (3, "CERT_SUPERSEDED")])
def test_what_is_taken_back_in_the_last_moment_is_refused_with_one_leaf(
    cluster: Any,
    database_settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    state: int,
    reason: str,
) -> None:
    """Between the question and the effect another process takes the certificate back."""
    ask = lineages.Lineages._life

    async def run() -> None:
        async with stage(cluster, database_settings) as at:
            papers = at.good(used=False)

            async def then_fall(self: Any, verified: Any) -> Any:
                found = await ask(self, verified)
                at.sql(
                    "UPDATE gateway.certificate SET state = %s, revoked_us = 1 WHERE serial = %s",
                    *(state, serial(papers)),
                )
                return found

            monkeypatch.setattr(lineages.Lineages, "_life", then_fall)
            assert not await at.served(papers)
            leaf = await at.leaf(1)
            assert (leaf["kind"], leaf["reason"], leaf["decision"]) == (
                "certificate.used",
                reason,
                "deny",
            )
            monkeypatch.undo()
            assert await at.served(at.good())
            await at.leaf(1)

    asyncio.run(run())


def test_grace_is_the_policys(cluster: Any, database_settings: Settings) -> None:
    async def run() -> None:
        async with stage(cluster, database_settings) as at:
            old = at.good()
            at.sql(
                "UPDATE gateway.certificate SET state = 3, revoked_us = %s WHERE serial = %s",
                *(at.clock.now_us() - 50 * US_PER_S, serial(old)),
            )
            assert await at.defect(old) == Reason.CERT_SUPERSEDED
            at.clock.turn(seconds=at.policies.certificates.renewal.grace_s - 49)
            assert await at.defect(old) == Reason.LINEAGE_LOCKED

    asyncio.run(run())
