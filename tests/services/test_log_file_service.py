"""GetLogFile: what it gives is what `gateway audit export` writes, byte for byte."""

import asyncio
import hashlib

import pytest

from gateway import signer
from gateway.audit import archive, files
from gateway.audit.verify import verify_folder
from gateway.client.mirror import Mirror
from gateway.store import roles
from gateway.store.database import Database
from gateway.tlog import note
from gateway.tlog.keys import LogKeys
from gateway.v1 import audit_service_pb2 as audit
from tests.coverage.rpcs import Watch, kept_token, refused
from tests.parted import WORDS, a_part

METHOD = "/gateway.v1.AuditService/GetLogFile"


async def ask(world, path, person=None):
    token = await kept_token(world, person or world.auditor)
    request = audit.GetLogFileRequest(path=path)
    reply = await world.call(person or world.auditor, METHOD, request, token=token)
    return audit.GetLogFileResponse.FromString(reply).content


async def exported(world, folder):
    """The log as it is now, exported; its verification key."""
    conninfo = roles.conninfo(world.home, world.settings, "administration")
    database = await Database.open(conninfo, application="test", size=1)
    try:
        signed = await asyncio.to_thread(signer.stored_checkpoint, world.home)
        key = world.home.log_key.read_text().strip()
        await archive.export(database, signed, key, folder)
    finally:
        await database.close()
    return note.parse_vkey(key)


def test_every_tile_is_the_exports(province, tmp_path):
    async def work(world):
        while world.size() < 300:
            await refused(ask(world, "x"))
        verifier = await exported(world, tmp_path / "log")
        report = verify_folder(tmp_path / "log", verifier)
        assert report.failures == ()
        assert report.checkpoint.size >= 300
        found = sorted((tmp_path / "log" / "tile").rglob("*"))
        paths = [one.relative_to(tmp_path / "log").as_posix() for one in found if one.is_file()]
        assert {"tile/0/000", "tile/entries/000"} < set(paths)
        for path in paths:
            assert await ask(world, path) == (tmp_path / "log" / path).read_bytes()

    province.run(work(province.world))


def test_a_mirror_is_the_export(province, tmp_path):
    async def work(world):
        await refused(ask(world, "x"))
        verifier = await exported(world, tmp_path / "log")
        signed = (tmp_path / "log" / "checkpoint").read_text()
        mirror = Mirror(tmp_path / "copy", LogKeys.of(verifier))
        beside = {archive.KEY_FILE: f"{verifier}\n", "minimum-index": "0\n"}
        await mirror.update(signed, lambda path: ask(world, path), beside)
        for one in [*(tmp_path / "log").rglob("*"), *(tmp_path / "copy").rglob("*")]:
            path = one.relative_to(
                tmp_path / ("log" if (tmp_path / "log") in one.parents else "copy")
            )
            copied, written = tmp_path / "copy" / path, tmp_path / "log" / path
            assert (
                copied.is_dir() if written.is_dir() else copied.read_bytes() == written.read_bytes()
            )
        assert verify_folder(tmp_path / "copy", verifier).failures == ()

    province.run(work(province.world))


def test_the_checkpoint_is_newer_than_the_call(province):
    async def work(world):
        await kept_token(world, world.auditor)
        watch = Watch(world)
        signed = (await ask(world, "checkpoint")).decode()
        leaf = await watch.only_leaf()
        verifier = note.parse_vkey(world.home.log_key.read_text().strip())
        assert note.open_note(signed, [verifier])
        assert (leaf["kind"], leaf["detail"]) == ("audit.file", {"file": "checkpoint"})

    province.run(work(province.world))


def test_the_leaf_tells_file_bytes_and_digest(province):
    async def work(world):
        await kept_token(world, world.auditor)
        watch = Watch(world)
        content = await ask(world, "tile/entries/000.p/2")
        leaf = await watch.only_leaf()
        assert leaf["counts"] == {"bytes": len(content)}
        digest = hashlib.sha256(content).hexdigest()
        assert leaf["detail"] == {"file": "tile/entries/000.p/2", "digest": digest}

    province.run(work(province.world))


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("", "FIELD_INVALID"),
        ("tile/0/../0/000", "FIELD_INVALID"),
        ("tile/0/x999/999", "NOT_FOUND"),
        ("tile/7/000", "NOT_FOUND"),
        ("sealed/" + "0" * 64, "NOT_FOUND"),
        ("sealed/" + "A" * 64, "FIELD_INVALID"),
        ("sealed/" + "0" * 63, "FIELD_INVALID"),
        ("sealed/sealed/" + "0" * 64, "FIELD_INVALID"),
        ("0" * 64, "FIELD_INVALID"),
    ],
)
def test_what_is_no_file_and_what_is_not_there_yet(province, path, reason):
    async def work(world):
        await kept_token(world, world.auditor)
        watch = Watch(world)
        assert (await refused(ask(world, path))).reason == reason
        leaf = await watch.only_leaf()
        assert (leaf["decision"], leaf["reason"]) == ("deny", reason)
        # What a caller made up is not told; what names a file of some log is.
        assert leaf.get("detail", {}).get("file") == (path if reason == "NOT_FOUND" else None)
        assert await ask(world, "tile/0/000.p/1")

    province.run(work(province.world))


def test_a_side_part_is_the_exports_and_has_its_leaf(province, tmp_path):
    async def work(world):
        _, digest = a_part(world)
        # This call's leaf makes the checkpoint that the export is of.
        path = f"sealed/{digest.hex()}"
        watch = Watch(world)
        content = await ask(world, path)
        leaf = await watch.only_leaf()
        assert (leaf["kind"], leaf["counts"]) == ("audit.file", {"bytes": len(content)})
        assert leaf["detail"] == {"file": path, "digest": digest.hex()}
        verifier = await exported(world, tmp_path / "log")
        assert content == (tmp_path / "log" / path).read_bytes()
        assert verify_folder(tmp_path / "log", verifier).failures == ()
        assert WORDS.encode() not in content

    province.run(work(province.world))


def test_a_citys_auditor_gets_no_file_of_the_whole_log(province):
    async def work(world):
        person = world.city_auditor
        await kept_token(world, person)
        for path in ("checkpoint", "tile/entries/000.p/1", f"sealed/{a_part(world)[1].hex()}"):
            assert (await refused(ask(world, path, person))).reason == "POLICY_DENIED"

    province.run(work(province.world))


def test_a_row_that_is_gone_is_told_to_nobody_as_a_file(province, monkeypatch):
    async def work(world):
        await kept_token(world, world.auditor)
        monkeypatch.setattr(files, "_LEAVES", f"{files._LEAVES} LIMIT 1")
        watch = Watch(world)
        assert (await refused(ask(world, "tile/entries/000.p/2"))).code == "INTERNAL"
        assert (await watch.only_leaf())["decision"] == "error"

    province.run(work(province.world))
