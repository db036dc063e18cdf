"""`gateway rotation`: the demo's province on a day in June, as the README shows it; and what is done at once."""

import asyncio
import json

import psycopg
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from gateway.cli import host, rotation
from gateway.cli.output import Output
from gateway.clock import TurnedClock
from gateway.config import settings
from gateway.config.home import Home
from gateway.config.policies import shipped
from gateway.demo.province import CITIES, COUNTIES, PROVINCE
from gateway.identity import inventory, rule_files, secret_rows, token_rotation
from gateway.identity.accounts import NewAccount, create
from gateway.identity.rotation import DAY_US, HOUR_US, KINDS, Secret
from gateway.messages.texts import catalogue
from gateway.names import DEFAULT_TRUST_DOMAIN, Subject
from gateway.pki import ceremony, crl, issue, register
from gateway.registry import organisations, systems
from gateway.registry.organisations import Kind, Organisation
from gateway.registry.systems import System
from gateway.store import roles, seal_keys
from gateway.store.database import Database
from gateway.store.embedded import Cluster
from tests.cli.small_admin import cli
from tests.grounds import founded as ground_founded
from tests.grounds import fresh_ground
from tests.house.tree import ROOT
from tests.world import World

# 2026-06-10T12:00:00Z, 92 days after the province was founded.
NOW_US = 1_781_092_800_000_000
FOUNDED_US = NOW_US - 92 * DAY_US
FORGETFUL, AWAY = COUNTIES[2], COUNTIES[1]
PROFILE = rule_files.load(shipped("policies") / "passwords.toml").at(NOW_US)
ENGLISH, CHINESE = Output("en"), Output("zh")


def members() -> list[tuple[str, str, str]]:
    """Organisation, account, role: those of the demo."""
    officers = [(PROVINCE, "admin", "admin"), (PROVINCE, "auditor", "auditor")]
    return [*officers, *((code, "uploader", "uploader") for code in (*CITIES, *COUNTIES))]


async def settle(home: Home, conninfo: str) -> None:
    """Register everybody; then let time have passed, unequally well used."""
    database = await Database.open(conninfo, application="test", size=1)
    authority = ceremony.client_authority(home)
    divisions = {PROVINCE, *CITIES, *COUNTIES}
    async with database.transaction() as tx:
        for code in (PROVINCE, *CITIES, *COUNTIES):
            kind = (
                Kind.PROVINCE if code == PROVINCE else Kind.CITY if code in CITIES else Kind.COUNTY
            )
            above = None if code == PROVINCE else f"{code[:4]}00" if code in COUNTIES else PROVINCE
            one = Organisation(code, code, int(kind), above)
            await organisations.create(tx, one, divisions, FOUNDED_US)
        for code, name, role in members():
            system = "sys" if role == "uploader" else "officer"
            await systems.create(tx, System(code, system, name), FOUNDED_US)
            await create(tx, NewAccount(code, name, (role,), name), "hash", PROFILE, FOUNDED_US)
            subject = Subject(DEFAULT_TRUST_DOMAIN, code, system, name)
            key = ec.generate_private_key(ec.SECP256R1()).public_key()
            renewed_us = NOW_US - (9 if code == AWAY else 3) * DAY_US
            certificate = issue.client_certificate(authority, subject, key, renewed_us)
            await register.insert(tx, certificate, subject)
            days = 92 if code == FORGETFUL else 80 if role == "admin" else 12
            await tx.execute(
                "UPDATE gateway.account SET must_change = false, password_epoch = 2,"
                " password_set_us = %s, password_expires_us = %s WHERE organisation = %s AND name = %s",
                (NOW_US - days * DAY_US, NOW_US + (90 - days) * DAY_US, code, name),
            )
        await keys_of_the_host(home, tx)
    await database.close()
    made_us = NOW_US - 20 * 60 * 1_000_000
    crl.write(home.crl, crl.build(authority, [], 1, made_us))


async def keys_of_the_host(home: Home, tx) -> None:
    """What the engine would have left behind: the fourth token key waits, half a day ago."""
    token_rotation.publish(home)
    files = token_rotation.read(home)
    await secret_rows.enter_all(tx, inventory.compare(inventory.found(home), []).unknown)
    await tx.execute("UPDATE gateway.secret SET made_us = %s", (FOUNDED_US,))
    await tx.execute(
        "UPDATE gateway.secret SET generation = generation + 2 WHERE kind = 'token-key' AND key_id = %s",
        (files.waiting,),
    )
    waits = (
        "UPDATE gateway.secret SET made_us = %s, used_us = %s, generation = %s WHERE key_id = %s"
    )
    signing_us = NOW_US - 29 * DAY_US - 12 * HOUR_US
    await tx.execute(waits, (signing_us - DAY_US, signing_us, 3, files.current))
    await tx.execute(waits, (NOW_US - 12 * HOUR_US, None, 4, files.waiting))


@pytest.fixture
def demo(cluster: Cluster, monkeypatch: pytest.MonkeyPatch):
    """The demo's province in a HOME and database of its own, 92 days on."""
    monkeypatch.setattr("tests.grounds.SYSTEM", TurnedClock(FOUNDED_US))
    with fresh_ground(cluster) as ground, ground_founded(ground) as (home, own):
        asyncio.run(settle(home, roles.conninfo(home, own, "owner")))
        yield home


def report(home: Home, now_us: int = NOW_US) -> rotation.Report:
    return asyncio.run(rotation.read(home, now_us))


def test_the_readme_shows_the_demos_province(demo: Home) -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    block = readme.split("<!-- rotation status -->")[1].strip().strip("`").strip("\n")
    shown = block.splitlines()
    assert len(shown) > 10
    assert report(demo).text(ENGLISH).splitlines()[: len(shown)] == shown


def test_every_secret_stands_in_it_and_who_is_late_comes_first(demo: Home) -> None:
    found = report(demo)
    document = found.document()
    told = document["secrets"]
    assert isinstance(told, list)
    kinds = [one["kind"] for one in told]
    # There are no tunnels and no backups in the demo, and nobody sealed break-glass.
    assert set(kinds) == {*KINDS} - {
        *("tunnel-key", "witness-key", "backup-recipient", "break-glass")
    }
    assert document["backup_recipients"] == 0
    assert (
        report(demo)
        .text(ENGLISH)
        .endswith("\nno backup recipient yet: backups are encrypted to nobody")
    )
    assert (document["late"], told[0]["owner"], told[0]["stage"]) == (1, FORGETFUL, "restricted")
    assert (told[1]["kind"], told[1]["owner"], told[1]["stage"]) == (
        "client-certificate",
        AWAY,
        "warned",
    )
    assert [one["late"] for one in told] == [True] + [False] * (len(told) - 1)
    stages = {one["generation"]: one["stage"] for one in told if one["kind"] == "token-key"}
    assert stages == {3: "overlapping", 4: "overlapping"}
    assert kinds.count("client-certificate") == len(members())


def test_both_languages_say_all_of_it(demo: Home) -> None:
    for output in (ENGLISH, CHINESE):
        told = report(demo).text(output)
        assert "rotation." not in told
        assert "status." not in told
    words = catalogue("en")
    for kind in KINDS:
        assert words[f"rotation.kind.{kind}"]


def test_what_is_shown_holds_no_secret(demo: Home) -> None:
    told = json.dumps(report(demo).document()) + report(demo).text(ENGLISH)
    for path in (demo.root / "secrets").rglob("*"):
        if path.is_file() and path.suffix == ".json":
            assert json.loads(path.read_text())["d"] not in told
    assert demo.password_file("owner").read_text() not in told
    assert "hash" not in told


def test_a_step_that_fails_is_told_with_how_often_it_did(demo: Home) -> None:
    assert report(demo).document()["failing"] == []

    async def fail(database: Database) -> None:
        async with database.transaction() as tx:
            await secret_rows.begin(
                tx, Secret("token-key", "tokens", "host", 4, "kid"), "switch", 1
            )
            [step] = await secret_rows.open_steps(tx)
            assert [await secret_rows.failed(tx, step) for _ in range(3)] == [1, 2, 3]

    async def opened() -> None:
        info = roles.conninfo(demo, settings.load(demo.settings), "owner")
        database = await Database.open(info, application="test", size=1)
        try:
            await fail(database)
        finally:
            await database.close()

    asyncio.run(opened())
    found = report(demo)
    told = {"kind": "token-key", "generation": 4, "step": "switch", "failures": 3}
    assert found.document()["failing"] == [told]
    assert "token key 4: switch over (by itself): failed 3 times" in found.text(ENGLISH)
    assert "已失败 3 次" in found.text(CHINESE)


def test_somebody_late_is_exit_status_one(demo: Home, capsys, monkeypatch) -> None:
    monkeypatch.setattr(rotation, "SYSTEM", TurnedClock(NOW_US))
    assert cli("rotation", "status", str(demo.root), "--json") == 1
    assert json.loads(capsys.readouterr().out)["late"] == 1
    monkeypatch.setattr(rotation, "SYSTEM", TurnedClock(NOW_US - 3 * DAY_US))
    assert cli("rotation", "status", str(demo.root), "--lang", "zh") == 0
    assert "逾期 0 项" in capsys.readouterr().out


def test_without_the_database_what_lies_on_disk_is_told(founded: Home, capsys) -> None:
    assert cli("rotation", "status", str(founded.root), "--json") in (0, 1)
    told = json.loads(capsys.readouterr().out)
    assert told["database"] == "away"
    kinds = {one["kind"] for one in told["secrets"]}
    assert {"token-key", "signer-key", "database-password", "revocation-list"} <= kinds
    assert not kinds & {"password", "client-certificate"}
    cli("rotation", "status", str(founded.root), "--lang", "en")
    assert "does not answer" in capsys.readouterr().out


def test_a_new_gateway_has_its_rows_from_the_first_day(founded: Home) -> None:
    cluster = Cluster(founded)
    cluster.start(mortal=True)
    try:
        found = report(founded)
    finally:
        cluster.stop()
    assert found.complete
    kinds = {one.secret.kind for one in found.judged}
    assert {"token-key", "sealing-key", "database-password", "password"} <= kinds
    names = {one.secret.name for one in found.judged if one.secret.kind == "database-password"}
    assert names == {*roles.ROLES, "superuser"}


def test_run_does_what_is_due_and_says_so(cluster: Cluster, capsys, monkeypatch) -> None:
    async def in_thread(home: Home, *words: str) -> str:
        def command() -> None:
            assert cli("rotation", "run", str(home.root), *words) == 0

        await asyncio.to_thread(command)
        return capsys.readouterr().out

    async def work(ground) -> None:
        async with World.open(ground, ("identity",)) as world:
            monkeypatch.setattr(host.state, "is_served", lambda _home: True)
            assert json.loads(await in_thread(world.home, "--json")) == {
                "done": [],
                "told": 0,
                "waiting": [],
            }
            world.sql("UPDATE gateway.secret SET used_us = used_us - %s", 29 * DAY_US + HOUR_US)
            told = json.loads(await in_thread(world.home, "--json"))
            assert told["done"] == [{"kind": "token-key", "generation": 2, "step": "publish"}]
            assert [leaf["door"] for leaf in world.leaves() if leaf["kind"] == "secret.rotate"] == [
                "host"
            ]
            assert "nothing is due" in await in_thread(world.home, "--lang", "en")
            world.sql(
                "UPDATE gateway.secret SET made_us = made_us - %s, used_us = used_us - %s",
                *(DAY_US, DAY_US),
            )
            assert "切换" in await in_thread(world.home, "--lang", "zh")

    with fresh_ground(cluster) as ground:
        asyncio.run(work(ground))


def test_change_lets_another_follow_now_and_says_which(
    cluster: Cluster, capsys, monkeypatch
) -> None:
    monkeypatch.setattr(host.state, "is_served", lambda _home: True)

    async def asked(home: Home, status: int, *words: str) -> str:
        def command() -> None:
            assert cli("rotation", "change", str(home.root), *words) == status

        await asyncio.to_thread(command)
        return capsys.readouterr().out

    async def work(ground) -> None:
        async with World.open(ground, ("identity",)) as world:
            place = world.home
            before = [one.key_id for one in seal_keys.listed(place)]
            told = json.loads(await asked(place, 0, "sealing-key", "--json"))
            made = [{"name": name, "generation": 2} for name in ("body", "restricted")]
            assert told == {"kind": "sealing-key", "done": made, "failing": []}
            newest = [one.key_id for one in seal_keys.listed(place) if one.newest]
            assert len(newest) == 2
            assert not set(newest) & set(before)
            told = await asked(place, 0, "sealing-key", "body", "--lang", "en")
            assert told.strip() == "sealing key body: generation 3 is in use"
            leaves = [leaf for leaf in world.leaves() if leaf["kind"] == "secret.rotate"]
            assert [leaf["door"] for leaf in leaves] == ["host"] * 3
            assert "KIND_UNKNOWN" in await asked(place, 2, "index-key", "--json")
            assert "NAME_UNKNOWN" in await asked(place, 2, "sealing-key", "nobody", "--json")

    with fresh_ground(cluster) as ground:
        asyncio.run(work(ground))


def test_the_logs_key_follows_at_a_word_and_run_says_when_it_waits_for_one(
    cluster: Cluster, capsys, monkeypatch
) -> None:
    monkeypatch.setattr(host.state, "is_served", lambda _home: True)

    async def said(status: int, *words: str) -> str:
        def command() -> None:
            assert cli("rotation", *words) == status

        await asyncio.to_thread(command)
        return capsys.readouterr().out

    async def work(ground) -> None:
        async with World.open(ground, ("identity",)) as world:
            place, before = str(world.home.root), world.home.log_key.read_text()
            assert json.loads(await said(0, "run", place, "--json"))["waiting"] == []
            world.sql(
                "UPDATE gateway.secret SET made_us = made_us - %s WHERE kind = 'signer-key'",
                336 * DAY_US,
            )
            assert json.loads(await said(0, "run", place, "--json"))["waiting"] == ["signer-key"]
            waits = await said(0, "run", place, "--lang", "en")
            assert f"gateway rotation change {place} signer-key" in waits
            told = await said(0, "change", place, "signer-key", "--lang", "en")
            assert told.strip() == "log signer's key log: generation 2 is in use"
            assert world.home.log_key.read_text() != before
            assert json.loads(await said(0, "run", place, "--json"))["waiting"] == []
            refused = json.loads(await said(1, "change", place, "signer-key", "--json"))
            assert refused["refused"] == "SECRET_OVERLAPS"
            stages = {
                one["generation"]: (one["stage"], one["step"])
                for one in json.loads(await said(0, "status", place, "--json"))["secrets"]
                if one["kind"] == "signer-key"
            }
            assert stages == {1: ("overlapping", "retire"), 2: ("overlapping", "replace")}

    with fresh_ground(cluster) as ground:
        asyncio.run(work(ground))


def test_a_change_that_the_server_refuses_says_so(cluster: Cluster, capsys, monkeypatch) -> None:
    monkeypatch.setattr(host.state, "is_served", lambda _home: True)

    def refused(*_: object) -> None:
        raise psycopg.errors.InsufficientPrivilege

    async def work(ground) -> None:
        async with World.open(ground, ("identity",)) as world:
            known = world.home.password_file("intake").read_text()
            words = ("rotation", "change", str(world.home.root), "database-password", "intake")
            monkeypatch.setattr(roles, "set_password", refused)
            assert await asyncio.to_thread(cli, *words, "--json") == 3
            told = json.loads(capsys.readouterr().out)
            assert told["done"] == []
            [failing] = told["failing"]
            assert (failing["kind"], failing["failures"]) == ("database-password", 1)
            assert world.home.password_file("intake").read_text() == known

    with fresh_ground(cluster) as ground:
        asyncio.run(work(ground))


def test_run_needs_a_gateway_that_is_served(founded: Home, capsys) -> None:
    assert cli("rotation", "run", str(founded.root), "--json") == 3
    assert json.loads(capsys.readouterr().out)["refused"] == "NOT_SERVED"
