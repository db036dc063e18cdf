"""`gateway policy simulate|propose` on the host: what is not guarded is not proposed, and what is has its leaf."""

import asyncio
import shutil
from pathlib import Path
from typing import Any

import pytest

from gateway.clock import SYSTEM
from gateway.config.policies import shipped
from gateway.config.settings import Settings
from gateway.policy import activation, bundle
from gateway.store import roles
from gateway.store.database import Database
from tests.cli.test_certificate import Host, _cli, hosted
from tests.cli.test_policy import EVIDENCE, EVIDENCE_CASES
from tests.front.stage import Stage
from tests.policies import SHIPPED


@pytest.fixture
def new(tmp_path: Path) -> Path:
    """A small bundle whose cases guard all of it: uploaders see their receipts, and that is all."""
    folder = tmp_path / "new"
    (folder / "cases").mkdir(parents=True)
    (folder / "schema.cedarschema").write_text(SHIPPED["schema.cedarschema"])
    (folder / "02-records.cedar").write_text(EVIDENCE)
    (folder / "exports.toml").write_text(SHIPPED["exports.toml"])
    (folder / "cases" / "00-province.toml").write_text(SHIPPED["cases/00-province.toml"])
    (folder / "cases" / "02.toml").write_text(EVIDENCE_CASES)
    return folder


async def founded(at: Stage) -> None:
    """Policies in HOME, and in force; the stage has none."""
    if not (at.home.policies / "cedar").exists():
        shutil.copytree(shipped("policies"), at.home.policies, dirs_exist_ok=True)
    database = await Database.open(
        roles.conninfo(at.home, at.settings, "owner"), application="found", size=1
    )
    async with database.transaction() as tx:
        await activation.found(tx, SHIPPED, SYSTEM.now_us())
    await database.close()


def proposals(at: Stage) -> list[dict[str, Any]]:
    return [leaf for leaf in at.leaves() if leaf["kind"] == "policies.propose"]


def test_simulated_and_proposed(
    cluster: Any, database_settings: Settings, capsys: Any, new: Path
) -> None:
    async def work(host: Host, at: Stage) -> None:
        await founded(at)
        home = str(at.home.root)
        found = await host.told("policy", "simulate", home, str(new))
        assert (found["replayed"], found["not_replayed"]) == (0, {})
        # Without the floor what it forbade is allowed, so that this one waits a day.
        assert "case: receipt from a weak origin" in found["newly_allowed"]
        assert "case: administrator of a city seals break-glass" not in found["newly_denied"]
        assert "case: security officer: GetPolicies" in found["newly_denied"]
        assert proposals(at) == []
        [looked] = [leaf for leaf in at.leaves() if leaf["kind"] == "policies.simulate"]
        assert (looked["decision"], looked["door"]) == ("allow", "host")
        made = await host.told("policy", "propose", home, str(new))
        sha256 = bundle.load(new).sha256
        assert (made["sha256"], made["number"]) == (sha256, 2)
        assert made["newly_denied"] == found["newly_denied"]
        [leaf] = proposals(at)
        assert (leaf["decision"], leaf["door"]) == ("allow", "host")
        detail = leaf["detail"]
        assert (detail["target_bundle"], detail["activation"]) == (sha256, 2)
        assert detail["apart_s"] == 120
        day_us = 86_400 * 1_000_000
        assert abs(detail["valid_from_us"] - leaf["time_us"] - day_us) < day_us / 24

    hosted(cluster, database_settings, capsys, work)


def test_what_its_cases_do_not_guard_is_not_proposed(
    cluster: Any, database_settings: Settings, capsys: Any, new: Path
) -> None:
    async def work(host: Host, at: Stage) -> None:
        await founded(at)
        home, policy = str(at.home.root), new / "02-records.cedar"
        good = policy.read_text()
        ghost = '@id("P98") @says("x") @says_zh("y") permit (principal in Role::"ghost", action, resource);\n'
        for text, code in (
            (good + ghost, "POLICY_UNGUARDED"),
            (good.replace('"uploader"', '"auditor"'), "POLICY_INVALID"),
            (good + "permit (", "POLICY_INVALID"),
        ):
            policy.write_text(text)
            refused = await host.told("policy", "propose", home, str(new), status=1)
            assert refused["refused"] == code
        policy.write_text(good)
        rules = new / "exports.toml"
        for text in (None, SHIPPED["exports.toml"].replace("needed = 2", "needed = 1")):
            rules.unlink() if text is None else rules.write_text(text)
            refused = await host.told("policy", "propose", home, str(new), status=1)
            assert refused["refused"] == "POLICY_INVALID"
            assert "exports.toml" in refused["message"]
        assert proposals(at) == []

    hosted(cluster, database_settings, capsys, work)


def test_for_people_in_both_languages(
    cluster: Any, database_settings: Settings, capsys: Any, new: Path
) -> None:
    async def work(host: Host, at: Stage) -> None:
        await founded(at)
        for lang, said in (("en", "Newly denied:"), ("zh", "新被拒绝：")):
            words = ("policy", "simulate", str(at.home.root), str(new), "--lang", lang)
            assert await asyncio.to_thread(_cli, *words) == 0
            assert said in capsys.readouterr().out

    hosted(cluster, database_settings, capsys, work)
