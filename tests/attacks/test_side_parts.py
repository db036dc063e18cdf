"""Attack 22 of audit.md section 5: side parts deleted, altered, mixed, excused by forged leaves, guessed from their digests.

The attacker owns the database (or a door), not the keys in HOME. What he takes away or changes is told by the verifier from the
export alone, and shown to nobody by the door.
"""

import asyncio
import contextlib
import hashlib
import itertools
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from gateway.audit import archive, parts
from gateway.audit.event import Event
from gateway.audit.verify import verify_folder
from gateway.cli import host
from gateway.store import roles
from gateway.store.database import Database
from gateway.store.seal import Opener
from gateway.store.seal_keys import SealError
from gateway.tlog.keys import LogKeys
from gateway.tlog.note import parse_vkey
from gateway.tlog.side_parts import SHRED_KIND
from gateway.v1 import audit_service_pb2 as audit
from tests.coverage.rpcs import Watch, kept_token, refused
from tests.parted import WORDS, a_part
from tests.services.test_audit_service import ask
from tests.services.test_part_service import read
from tests.world import held


@pytest.fixture(scope="module")
def province(cluster):
    with held(cluster) as stands:
        yield stands


async def failures(world, folder):
    """Export the log as it stands, and return what its verifier says of the parts of leaves since."""
    await ask(world, world.auditor, "GetCheckpoint", audit.GetCheckpointRequest(), None)
    key = world.home.log_key.read_text().strip()
    signed = world.doors["administration"].recorder.newest_checkpoint

    async def export():
        info = roles.conninfo(world.home, world.settings, "administration")
        database = await Database.open(info, application="test", size=1)
        try:
            return await archive.export(database, signed, key, folder)
        finally:
            await database.close()

    with ThreadPoolExecutor(1) as apart:
        apart.submit(asyncio.run, export()).result()
    report = verify_folder(folder, LogKeys.of(parse_vkey(key)))
    return [(one.code, one.where) for one in report.failures], report.judging.beside


async def shredded(world, index):
    """Destroy as `gateway audit shred` does; return the index of its leaf."""
    digest = bytes.fromhex(world.leaves(index)[0]["sealed"])
    detail = {"part_index": index, "part_sha256": digest.hex()}
    event = Event(kind=SHRED_KIND, door="host", detail=detail)

    async def effect(tx):
        assert await parts.shred(tx, digest)
        return event

    return (await host.acted(world.home, event, effect, "owner")).index


@contextlib.contextmanager
def put_back(world, digest):
    """Leave the row as it was: what one test broke is no other's failure."""
    [row] = world.sql("SELECT * FROM gateway.audit_sealed WHERE digest = %s", digest)
    try:
        yield
    finally:
        world.sql("DELETE FROM gateway.audit_sealed WHERE digest = %s", digest)
        world.sql("INSERT INTO gateway.audit_sealed VALUES (%s, %s, %s, %s, %s, %s, %s)", *row)


def test_022_a_part_deleted_without_a_leaf(province, tmp_path):
    async def work(world):
        index, digest = a_part(world)
        with put_back(world, digest):
            world.sql("DELETE FROM gateway.audit_sealed WHERE digest = %s", digest)
            await kept_token(world, world.auditor)
            watch = Watch(world)
            assert (await refused(read(world, world.auditor, index))).reason == "NOT_FOUND"
            assert (await watch.only_leaf())["reason"] == "NOT_FOUND"
            found, _ = await failures(world, tmp_path / "log")
            assert found == [("SEALED_MISSING", f"entry {index}")]
        assert (await failures(world, tmp_path / "log"))[0] == []
        assert (await read(world, world.auditor, index)).text == WORDS

    province.run(work(province.world))


def test_022_a_part_destroyed_by_its_owner_is_told_by_its_leaf(province, tmp_path):
    async def work(world):
        index, digest = a_part(world)
        kept = world.sql("SELECT * FROM gateway.audit_sealed WHERE digest = %s", digest)
        by = await shredded(world, index)
        found, beside = await failures(world, tmp_path / "log")
        assert (found, beside.shredded[index]) == ([], by)
        assert (await refused(read(world, world.auditor, index))).reason == "NOT_FOUND"
        # Put back from a copy of before: told.
        world.sql("INSERT INTO gateway.audit_sealed VALUES (%s, %s, %s, %s, %s, %s, %s)", *kept[0])
        found, _ = await failures(world, tmp_path / "log")
        assert found == [("SEALED_KEPT", f"entry {index}")]
        world.sql("DELETE FROM gateway.audit_sealed WHERE digest = %s", digest)

    province.run(work(province.world))


CHANGES = {
    "a byte": "ciphertext = set_byte(s.ciphertext, 0, get_byte(s.ciphertext, 0) # 1)",
    "the salt": "salt = o.salt",
    "the words of another": "salt = o.salt, ciphertext = o.ciphertext",
    "all but the key": "salt = o.salt, ciphertext = o.ciphertext, key_id = o.key_id",
}


@pytest.mark.parametrize("name", CHANGES)
def test_022_a_part_altered_by_the_owner_of_the_tables(province, tmp_path, capsys, name):
    """He drops the table's own rule first."""

    async def work(world):
        (index, digest), (_, other) = a_part(world), a_part(world, "another's 13900139000")
        info = roles.conninfo(world.home, world.settings, "owner")
        table = "ALTER TABLE gateway.audit_sealed"
        rule = "CONSTRAINT audit_sealed_digest"
        with put_back(world, digest), psycopg.connect(info, autocommit=True) as thief:
            thief.execute(f"{table} DROP {rule}")
            thief.execute(
                f"UPDATE gateway.audit_sealed AS s SET {CHANGES[name]} FROM"
                " (SELECT * FROM gateway.audit_sealed WHERE digest = %(other)s) AS o"
                " WHERE s.digest = %(digest)s",
                {"other": other, "digest": digest},
            )
            await kept_token(world, world.auditor)
            watch = Watch(world)
            error = await refused(read(world, world.auditor, index))
            leaf = await watch.only_leaf()
            assert (error.reason, leaf["reason"]) == ("PART_TAMPERED", "PART_TAMPERED")
            assert leaf["detail"]["alert"] == "part-tampered"
            found, _ = await failures(world, tmp_path / "log")
            assert found == [("SEALED_DIFFERS", f"entry {index}")]
        world.sql(f"{table} ADD {rule} CHECK (digest = sha256(salt || ciphertext))")
        assert (await read(world, world.auditor, index)).text == WORDS

    province.run(work(province.world))
    said = capsys.readouterr()
    assert "13800138000" not in said.out + said.err
    assert "13900139000" not in said.out + said.err


def test_022_keys_swapped_between_parts(province):
    """No digest covers a wrapped key, which is in no export; the body does not open by another's."""

    async def work(world):
        (index, digest), (_, other) = a_part(world), a_part(world, "another's")
        with put_back(world, digest):
            world.sql(
                "UPDATE gateway.audit_sealed AS s SET key_id = o.key_id, wrapped = o.wrapped FROM"
                " (SELECT * FROM gateway.audit_sealed WHERE digest = %s) AS o WHERE s.digest = %s",
                *(other, digest),
            )
            await kept_token(world, world.auditor)
            watch = Watch(world)
            assert (await refused(read(world, world.auditor, index))).reason == "PART_TAMPERED"
            assert (await watch.only_leaf())["detail"]["alert"] == "part-tampered"
        assert (await read(world, world.auditor, index)).text == WORDS

    province.run(work(province.world))


def test_022_a_door_forges_the_leaf_that_would_excuse_it(province, tmp_path):
    """A door that was taken over appends as it likes, but tells of no destruction: the database asks who it is."""

    async def work(world):
        index, digest = a_part(world)
        detail = {"part_index": index, "part_sha256": digest.hex()}
        await kept_token(world, world.auditor)
        watch = Watch(world)
        for role in ("disclosure", "administration", "intake", "identity"):
            info = roles.conninfo(world.home, world.settings, role)
            leaf = Event(kind=SHRED_KIND, detail=detail).to_leaf(world.clock.now_us())
            with (
                psycopg.connect(info) as thief,
                pytest.raises(psycopg.errors.InsufficientPrivilege, match="only the owner"),
            ):
                thief.execute("SELECT gateway.audit_append(%s, 0)", [[leaf]])
        assert await watch.leaves() == []
        assert (await failures(world, tmp_path / "log"))[0] == []
        assert (await read(world, world.auditor, index)).text == WORDS

    province.run(work(province.world))


def test_022_a_leaf_about_one_part_excuses_no_other(province, tmp_path):
    """Told by the owner's own role: it names leaf and digest, and both must be those of one leaf before."""

    async def work(world):
        (index, digest), (second, other) = a_part(world), a_part(world)
        with put_back(world, digest), put_back(world, other):
            by = await shredded(world, second)
            world.sql("DELETE FROM gateway.audit_sealed WHERE digest = %s", digest)
            found, beside = await failures(world, tmp_path / "log")
            assert found == [("SEALED_MISSING", f"entry {index}")]
            assert beside.shredded[second] == by
        world.sql("DELETE FROM gateway.audit_sealed WHERE digest = %s", other)
        assert (await failures(world, tmp_path / "log"))[0] == []

    province.run(work(province.world))


def test_022_few_possible_words_are_not_guessed_from_what_is_exported(province, tmp_path):
    """Salt and ciphertext lie open in the export, and the words are one of ten thousand: nothing tells which."""

    async def work(world):
        secret = "PIN 4711"
        index, digest = a_part(world, secret)
        _, beside = await failures(world, tmp_path / "log")
        assert index in beside.whole
        content = (tmp_path / "log" / "sealed" / digest.hex()).read_bytes()
        salt, ciphertext = content[:16], content[16:]
        guesses = [f"PIN {number:04}".encode() for number in range(10_000)]
        assert secret.encode() in guesses
        forms = itertools.product(guesses, (b"", salt))
        tried = {hashlib.sha256(before + guess).digest() for guess, before in forms}
        tried |= {
            hashlib.sha256(salt + guess + bytes(-len(guess) % 64)).digest() for guess in guesses
        }
        assert digest not in tried
        assert all(guess not in content for guess in guesses)
        # As long as any other short words, and dead without the row's key: another key opens nothing.
        longer, _ = a_part(world, "x" * 64)
        assert len(ciphertext) == 64 + 16
        rows = "SELECT salt, ciphertext, key_id, recipient, wrapped FROM gateway.audit_sealed"
        other = parts.Part(*world.sql(f"{rows} WHERE digest <> %s LIMIT 1", digest)[0])
        mixed = other._replace(salt=salt, ciphertext=ciphertext)
        with pytest.raises(SealError):
            parts.opened(Opener.load(world.home.secrets("administration")), digest, mixed)
        assert longer > index

    province.run(work(province.world))
