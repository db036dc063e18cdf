"""What the database itself holds to, whoever writes."""

from dataclasses import replace
from uuid import uuid4

import psycopg
import pytest

from gateway.identity import breakglass_rows as rows
from gateway.identity.breakglass_rows import Glass
from gateway.store.database import StoreError
from tests.identity import office as stage
from tests.identity.glass import NAMES, PROVINCE, THREE, sealed


def at_the_glass(conninfo, scene):
    async def run(office):
        await scene(office, await sealed(office))

    stage.at_the_office(conninfo, run)


def test_what_is_written_is_read(conninfo):
    async def scene(office, glass):
        opening = await glass.ask()
        async with office.database.transaction() as tx:
            assert await rows.newest(tx, PROVINCE) == glass.sealing
            assert await rows.newest(tx, "140100") is None
            assert await rows.opening(tx, opening.id) == opening
            assert await rows.opening(tx, str(uuid4())) is None
            assert await rows.openings(tx, glass.sealing.id) == [opening]
            assert await rows.unended(tx) == [opening]
            assert await rows.officers(tx, glass.sealing.id) == [(name, True) for name in THREE]
            assert await rows.unspent(tx, glass.sealing.id) == 1
            assert await rows.code(tx, glass.sealing.id, NAMES[3]) is None
            assert await rows.last_drill_us(tx, PROVINCE) is None
            assert not await rows.is_province(tx, "140100")

    at_the_glass(conninfo, scene)


def test_an_envelope_is_spent_once_and_one_sealing_opened_once(conninfo):
    async def scene(office, glass):
        opening = await glass.ask()
        async with office.database.transaction() as tx:
            assert not await rows.ask(tx, replace(opening, id=str(uuid4())))
            second = replace(opening, id=str(uuid4()), envelope=2)
            assert await rows.ask(tx, second)
            await rows.open_(tx, opening.id, 1)
        with pytest.raises((psycopg.Error, StoreError)):
            async with office.database.transaction() as tx:
                await rows.open_(tx, second.id, 1)

    at_the_glass(conninfo, scene)


def test_how_the_newest_sealing_stands(conninfo):
    """Sealed, an envelope shown, opened, ended, sealed anew: its credentials in every state."""

    async def standing(office):
        async with office.database.transaction() as tx:
            return await rows.glasses(tx)

    async def scene(office, glass):
        whole = Glass(PROVINCE, 1, glass.sealing.sealed_us, coded=True)
        assert await standing(office) == [whole]
        opening = await glass.ask()
        shown = replace(whole, shown_us=opening.asked_us)
        assert await standing(office) == [shown]
        async with office.database.transaction() as tx:
            await rows.open_(tx, opening.id, 5)
        assert await standing(office) == [replace(shown, void_us=5)]
        async with office.database.transaction() as tx:
            assert await rows.void(tx, glass.sealing.id, 6)
        assert await standing(office) == [replace(shown, void_us=5)]
        other = replace(glass.sealing, id=str(uuid4()), sealed_us=glass.sealing.sealed_us + 1)
        async with office.database.transaction() as tx:
            assert await rows.seal(tx, other, ("a", "b"), THREE)
        assert await standing(office) == [Glass(PROVINCE, 2, other.sealed_us, coded=False)]

    at_the_glass(conninfo, scene)


def test_one_sealing_stands(conninfo):
    async def scene(office, glass):
        other = replace(glass.sealing, id=str(uuid4()))
        async with office.database.transaction() as tx:
            assert not await rows.seal(tx, other, ("a", "b"), THREE)
            assert await rows.hold(tx, glass.sealing.id)
            assert await rows.void(tx, glass.sealing.id, 5)
            assert not await rows.void(tx, glass.sealing.id, 6)
            assert not await rows.hold(tx, glass.sealing.id)
            assert await rows.seal(tx, other, ("a", "b"), THREE)
            assert await rows.credentials(tx, other.id) == ["a", "b"]

    at_the_glass(conninfo, scene)


@pytest.mark.parametrize("column", ["credential_hash", "code_hash"])
def test_the_administration_door_reads_no_hash(conninfo, column):
    table = "break_glass_envelope" if column == "credential_hash" else "break_glass_officer"
    with (
        psycopg.connect(conninfo("administration")) as connection,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        connection.execute(f"SELECT {column} FROM gateway.{table}")


@pytest.mark.parametrize("role", ["intake", "disclosure", "front"])
def test_no_other_door_sees_any_of_it(conninfo, role):
    with (
        psycopg.connect(conninfo(role)) as connection,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        connection.execute("SELECT id FROM gateway.break_glass_opening")
