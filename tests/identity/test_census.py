"""Every secret there is, from a real database and real files: what counts, and what is left out."""

import asyncio
import shutil
from collections.abc import Iterator
from dataclasses import dataclass

import psycopg
import pytest

from gateway.clock import SYSTEM
from gateway.config.home import Home
from gateway.identity import secret_rows
from gateway.identity.census import Census
from gateway.identity.lives import Kept
from gateway.identity.rotation import DAY_US, KINDS, Judgement, Secret
from gateway.pki import ceremony, crl, issue
from gateway.store import roles
from gateway.store.database import Database
from gateway.tlog.cosignature import parse_vkey
from tests.grounds import founded, fresh_ground
from tests.people import populate
from tests.tlog.test_cosignature import REMORA

PEER = "k" * 43 + "="


@dataclass
class Place:
    """A HOME with its people, and the owner's connection to its database."""

    home: Home
    conninfo: str
    sql: psycopg.Connection

    def judged(self, now_us: int = 0) -> list[Judgement]:
        async def read() -> list[Judgement]:
            database = await Database.open(self.conninfo, application="test", size=1)
            try:
                async with database.transaction() as tx:
                    return await Census.of(self.home).everything(tx, now_us or SYSTEM.now_us())
            finally:
                await database.close()

        return asyncio.run(read())

    def of(self, kind: str, now_us: int = 0) -> list[Judgement]:
        return [one for one in self.judged(now_us) if one.secret.kind == kind]


@pytest.fixture
def place(cluster) -> Iterator[Place]:
    with fresh_ground(cluster) as ground, founded(ground) as (home, own):
        conninfo = roles.conninfo(home, own, "owner")
        asyncio.run(populate(conninfo, ceremony.client_authority(home)))
        with psycopg.connect(conninfo, autocommit=True) as connection:
            yield Place(home, conninfo, connection)


def test_accounts_in_use_are_counted_once_each_by_what_bears_them(place: Place) -> None:
    people = len(place.of("password"))
    systems = len(place.of("service-secret"))
    counted = place.sql.execute(
        "SELECT count(*) FILTER (WHERE subject_kind = 'officer'), count(*) FILTER (WHERE subject_kind = 'sys')"
        " FROM gateway.account"
    ).fetchone()
    assert (people, systems) == counted
    place.sql.execute("UPDATE gateway.account SET state = 2 WHERE name = 'auditor'")
    place.sql.execute("UPDATE gateway.account SET state = 3 WHERE organisation = '140105'")
    assert {one.secret.name for one in place.of("password")} == {"admin"}
    assert len(place.of("service-secret")) == systems - 1


def test_an_account_with_two_secrets_overlaps_until_the_end_that_is_noted(place: Place) -> None:
    [(organisation, name), *_] = place.sql.execute(
        "SELECT organisation, name FROM gateway.account WHERE subject_kind = 'sys' AND state = 1"
    ).fetchall()
    now_us = SYSTEM.now_us()
    place.sql.execute(
        "UPDATE gateway.account SET must_change = false, password_set_us = %s, password_expires_us = %s"
        " WHERE organisation = %s AND name = %s",
        (now_us, now_us + 90 * DAY_US, organisation, name),
    )
    place.sql.execute(
        "INSERT INTO gateway.other_secret (organisation, account, secret_hash, made_us, request_id, ends_us)"
        " VALUES (%s, %s, '', %s, '', %s)",
        (organisation, name, now_us, now_us + 1000),
    )
    overlapping = {
        at: {
            one.secret.name for one in place.of("service-secret", at) if one.stage == "overlapping"
        }
        for at in (now_us, now_us + 1000)
    }
    assert overlapping == {now_us: {name}, now_us + 1000: set()}


def test_more_accounts_than_a_page(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = place.judged()
    monkeypatch.setattr("gateway.identity.census._PAGE", 2)
    assert len(place.judged()) == len(whole)


def test_a_policy_that_was_tightened_counts_as_the_doors_know_it(place: Place) -> None:
    """Who could not be warned in time is not late yet: the warning counts from the policy's change."""
    now_us = SYSTEM.now_us()
    place.sql.execute(
        "UPDATE gateway.account SET password_set_us = %s, password_expires_us = %s",
        (now_us - 200 * DAY_US, now_us + 200 * DAY_US),
    )
    place.sql.execute(
        "INSERT INTO gateway.password_age (days, since_us) VALUES (90, %s)", (now_us,)
    )
    assert {one.stage for one in place.of("password", now_us)} == {"warned"}
    place.sql.execute("UPDATE gateway.password_age SET since_us = %s", (now_us - 100 * DAY_US,))
    late = place.of("password", now_us)
    assert {(one.stage in ("restricted", "blocked"), one.late) for one in late} == {(True, True)}


def test_of_a_bearers_certificates_the_last_counts_and_a_month_after_its_end_nobody_misses_it(
    place: Place,
) -> None:
    certificates = place.of("client-certificate")
    assert len(certificates) == len({(one.secret.owner, one.secret.name) for one in certificates})
    end_us = SYSTEM.now_us() + 14 * DAY_US
    ended = place.of("client-certificate", end_us + 8 * DAY_US)
    assert {(one.stage, one.step, one.late) for one in ended} == {("blocked", "invite", True)}
    assert len(ended) == len(certificates)
    assert place.of("client-certificate", end_us + 31 * DAY_US) == []
    serial = certificates[0].secret.key_id
    place.sql.execute(
        "UPDATE gateway.certificate SET state = 2, revoked_us = 1, reason = 'x' WHERE serial = %s",
        (serial,),
    )
    assert len(place.of("client-certificate")) == len(certificates) - 1


def test_tunnels_are_judged_as_their_register_judges_them(place: Place) -> None:
    now_us = SYSTEM.now_us()
    add = (
        "INSERT INTO gateway.tunnel (kind, peer, organisation, addresses, state, created_us, changed_us)"
        " VALUES ('wireguard', %s, '140105', '{10.14.1.5/32}', %s, %s, %s)"
    )
    old_us = now_us - 181 * DAY_US
    for number, state in enumerate((1, 2, 3)):
        place.sql.execute(add, (f"{number}{PEER[1:]}", state, old_us, old_us))
    found = {one.secret.name[0]: one for one in place.of("tunnel-key", now_us)}
    assert (found["0"].stage, found["0"].late, found["0"].step) == ("warned", True, "replace")
    assert (found["1"].stage, found["1"].late) == ("blocked", False)
    assert "2" not in found


def test_an_authority_that_was_followed_overlaps_and_each_has_its_list(place: Place) -> None:
    home, now_us = place.home, SYSTEM.now_us()
    old = ceremony.client_authority(home)
    root = ceremony.load(home.offline, ceremony.ROOT)
    new = issue.make_authority("client-authority", "gateway.invalid", root, now_us)
    home.client_authority_certificate.write_bytes(
        ceremony.pem(new.certificate) + ceremony.pem(old.certificate)
    )
    lists = [crl.build(one, [], 1, now_us) for one in (new, old)]
    crl.write(home.crl, *lists)
    found = [
        one for one in place.of("authority-certificate") if one.secret.name == "client-authority"
    ]
    assert [(one.secret.generation, one.stage, one.step) for one in found] == [
        (2, "issued", "replace"),
        (1, "overlapping", "retire"),
    ]
    assert [one.secret.generation for one in place.of("revocation-list")] == [2, 1]
    assert len({one.secret.key_id for one in found}) == 2


def test_every_kind_of_secret_there_is_has_its_place_in_the_census(place: Place) -> None:
    """A kind that is added and not counted fails here."""
    now_us = SYSTEM.now_us()
    place.sql.execute(
        "INSERT INTO gateway.tunnel (kind, peer, organisation, addresses, created_us, changed_us)"
        " VALUES ('wireguard', %s, '140105', '{10.14.1.5/32}', %s, %s)",
        (PEER, now_us, now_us),
    )
    place.sql.execute(
        "INSERT INTO gateway.break_glass_sealing (id, organisation, sealed_by, sealed_us)"
        " VALUES (gen_random_uuid(), '140000', 'admin', %s)",
        (now_us,),
    )
    place.sql.execute(
        "INSERT INTO gateway.witness (vkey, public_key, key_id, name, organisation, registered_us)"
        " VALUES (%s, %s, 'da77ade7', 'w', '140105', %s)",
        (REMORA, parse_vkey(REMORA).public, now_us),
    )
    asyncio.run(entered(place, [*Census.of(place.home).lying(), RECIPIENT]))
    assert {one.secret.kind for one in place.judged(now_us)} == set(KINDS)


RECIPIENT = Kept(Secret("backup-recipient", "safe 1", "host", 1, "age1x"), SYSTEM.now_us())


async def entered(place: Place, kept: list[Kept]) -> None:
    database = await Database.open(place.conninfo, application="test", size=1)
    try:
        async with database.transaction() as tx:
            await secret_rows.enter_all(tx, kept)
    finally:
        await database.close()


def test_a_sealing_of_break_glass_is_judged_by_what_became_of_it(place: Place) -> None:
    now_us = SYSTEM.now_us()
    assert place.of("break-glass") == []
    place.sql.execute(
        "INSERT INTO gateway.break_glass_sealing (id, organisation, sealed_by, sealed_us)"
        " VALUES (gen_random_uuid(), '140000', 'admin', %s)",
        (now_us,),
    )
    [sealed] = place.of("break-glass", now_us)
    assert (sealed.secret.owner, sealed.stage, sealed.late) == ("140000", "issued", False)
    place.sql.execute("UPDATE gateway.break_glass_sealing SET ended_us = %s", (now_us,))
    [void] = place.of("break-glass", now_us)
    assert (void.stage, void.step, void.late) == ("blocked", "seal", True)


def test_whose_database_it_is_says_who_changes_its_passwords(place: Place) -> None:
    assert {one.step for one in place.of("database-password")} == {"replace"}
    text = place.home.settings.read_text()
    ours = "\n".join(line for line in text.splitlines() if not line.startswith("dsn"))
    place.home.settings.write_text(ours)
    assert {one.step for one in place.of("database-password")} == {"switch"}


def test_before_the_table_knows_anything_the_files_are_told(place: Place) -> None:
    assert [one.secret.generation for one in place.of("token-key")] == [1]
    assert {one.secret.name for one in place.of("sealing-key")} == {"body", "restricted"}


def test_the_policies_are_read_as_they_are_now(place: Place) -> None:
    path = place.home.policies / "rotation.toml"
    text = path.read_text()
    assert {one.late for one in place.of("sealing-key", SYSTEM.now_us() + 2 * DAY_US)} == {False}
    path.write_text(text.replace("sealing_key_days = 365.0", "sealing_key_days = 1.0"))
    assert {one.late for one in place.of("sealing-key", SYSTEM.now_us() + 2 * DAY_US)} == {True}
    shutil.copy(place.home.policies / "limits.toml", path)
    with pytest.raises(Exception, match=r"rotation\.toml"):
        place.judged()
