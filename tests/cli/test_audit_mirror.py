"""`gateway audit mirror`: a copy from afar that `gateway audit verify` takes, and what is told where it cannot be had."""

import hashlib
from collections.abc import Iterator

import pytest

from gateway.errors import Reason, refuse
from gateway.messages.texts import catalogue
from gateway.tlog import tiles
from gateway.tlog.tiles import TILE_WIDTH
from gateway.v1 import audit_service_pb2 as au
from tests.audit.folder import leaf, quorum
from tests.cli.small_admin import SmallAdmin, served


class SmallLog(SmallAdmin):
    """Also: the log's entry bundles."""

    asked: list[str]
    forged = b""
    refusing = False
    # What each part that is asked for is: its content, or what happens to the log by then.
    parts: dict[str, bytes | None]
    shreds: list[bytes]
    policy = ""

    def methods(self):
        file = (self.file, au.GetLogFileRequest)
        return {**super().methods(), "/gateway.v1.AuditService/GetLogFile": file}

    def file(self, request, token):
        self._check(token)
        if self.refusing:
            raise refuse(Reason.POLICY_DENIED)
        self.asked.append(request.path)
        if request.path.startswith("sealed/"):
            return self.part(request.path.removeprefix("sealed/"))
        size = len(self.log.leaves)
        sizes = range(size + 1)
        [bundle] = {b for s in sizes for b in tiles.bundles_of(s) if b.path == request.path}
        begin = bundle.n * TILE_WIDTH
        entries = [*self.log.leaves[begin : begin + bundle.width]]
        if self.forged:
            entries[0] = self.forged
        return au.GetLogFileResponse(content=tiles.pack_bundle(entries))

    def witnessing(self, request, token):
        answer = super().witnessing(request, token)
        answer.policy = self.policy
        return answer

    def part(self, digest):
        """A part that is gone was destroyed just now, as far as there is a leaf to tell it."""
        if self.parts[digest] is None:
            if self.shreds:
                self.log.append(self.shreds.pop())
            raise refuse(Reason.NOT_FOUND)
        return au.GetLogFileResponse(content=self.parts[digest])


@pytest.fixture
def small() -> Iterator[SmallLog]:
    gateway = SmallLog()
    gateway.asked, gateway.parts, gateway.shreds = [], {}, []
    for number in range(300):
        gateway.log.append(leaf(number * 1_000))
    with served(gateway) as running:
        assert isinstance(running, SmallLog)
        yield running


def test_a_copy_and_what_is_new(small, told, tmp_path):
    folder = tmp_path / "log"
    first = told("audit", "mirror", str(folder))
    assert (first["before"], first["fetched"]) == (0, 2)
    assert first["size"] > 300
    for name in ("checkpoint", "log.vkey", "minimum-index", "tile/entries/000", "tile/0/000"):
        assert (folder / name).is_file()
    again = told("audit", "mirror", str(folder))
    assert (again["before"], again["fetched"]) == (first["size"], 1)
    assert sum(path == "tile/entries/000" for path in small.asked) == 1


def test_a_forged_entry_is_not_taken(small, said, tmp_path):
    small.forged = leaf(7)
    assert "ROOT_DIFFERS" in said("audit", "mirror", str(tmp_path / "log"), status=1)
    assert not (tmp_path / "log" / "checkpoint").exists()


def test_who_may_not_gets_nothing(small, said, tmp_path):
    small.refusing = True
    assert "POLICY_DENIED" in said("audit", "mirror", str(tmp_path / "log"), status=1)
    assert not (tmp_path / "log").exists()


def reasoned(small, content: bytes | None = b"x" * 96) -> str:
    """A leaf with a part of this content, None: it is gone; returns its digest."""
    index = len(small.log.leaves)
    digest = hashlib.sha256(content or b"y" * 96).hexdigest()
    small.log.append(leaf(index * 1_000, sealed=digest))
    small.parts[digest] = content
    detail = {"part_index": index, "part_sha256": digest}
    small.shred = leaf(index * 1_000 + 1, kind="audit.shred", detail=detail)
    return digest


def test_side_parts_come_along(small, told, tmp_path):
    digest = reasoned(small)
    done = told("audit", "mirror", str(tmp_path / "log"))
    assert (done["parts"], done["missing"]) == (1, 0)
    assert (tmp_path / "log" / "sealed" / digest).read_bytes() == b"x" * 96


def test_a_part_destroyed_while_it_is_copied(small, told, tmp_path):
    """Gone since the checkpoint: the newer one has the leaf that says so, and nobody is accused."""
    digest = reasoned(small, None)
    small.shreds = [small.shred]
    done = told("audit", "mirror", str(tmp_path / "log"))
    assert (done["parts"], done["missing"]) == (0, 0)
    assert small.asked.count(f"sealed/{digest}") == 1
    assert not (tmp_path / "log" / "sealed").exists()


def test_a_part_that_is_gone_without_a_leaf_is_told(small, said, tmp_path):
    digest = reasoned(small, None)
    shown = said("audit", "mirror", str(tmp_path / "log"), status=1, lang="zh")
    assert "缺少 1 份" in shown
    assert small.asked.count(f"sealed/{digest}") == 2
    # The copy is whole but for it: the verifier names the entry.
    assert (tmp_path / "log" / "checkpoint").is_file()


@pytest.mark.parametrize("lang", ["zh", "en"])
def test_what_is_wrong_is_told_in_the_persons_language(small, said, tmp_path, lang):
    small.forged = leaf(7)
    shown = said("audit", "mirror", str(tmp_path / "log"), status=1, lang=lang)
    assert catalogue(lang)["audit.code.ROOT_DIFFERS"] in shown
    assert "do not have the checkpoint's root" not in shown


def test_a_witness_policy_that_changed_is_told(small, said, told, tmp_path):
    folder = tmp_path / "log"
    assert told("audit", "mirror", str(folder))["policy_changed"] is False
    (folder / "witness-policy").write_text("quorum none\n")
    given = small.policy = quorum(1, 1).text()
    shown = said("audit", "mirror", str(folder), lang="en")
    assert "witness policy" in shown
    assert (folder / "witness-policy").read_text() == given
    assert told("audit", "mirror", str(folder))["policy_changed"] is False


@pytest.mark.parametrize("lang", ["zh", "en"])
def test_a_folder_of_something_else_stays(small, said, tmp_path, lang):
    folder = tmp_path / "other"
    folder.mkdir()
    (folder / "letter").write_text("dear")
    shown = said("audit", "mirror", str(folder), status=2, lang=lang)
    assert catalogue(lang)["audit.code.FOLDER_EXISTS"] in shown
    # The log is not accused of what the folder is.
    assert catalogue(lang)["mirror.unproven"][:10] not in shown
    assert [one.name for one in folder.iterdir()] == ["letter"]
