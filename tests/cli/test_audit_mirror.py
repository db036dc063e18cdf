"""`gateway audit mirror`: a copy from afar that `gateway audit verify` takes, and what is told where it cannot be had."""

from collections.abc import Iterator

import pytest

from gateway.errors import Reason, refuse
from gateway.tlog import tiles
from gateway.tlog.tiles import TILE_WIDTH
from gateway.v1 import audit_service_pb2 as au
from tests.audit.folder import leaf
from tests.cli.small_admin import SmallAdmin, served


class SmallLog(SmallAdmin):
    """Also: the log's entry bundles."""

    asked: list[str]
    forged = b""
    refusing = False

    def methods(self):
        file = (self.file, au.GetLogFileRequest)
        return {**super().methods(), "/gateway.v1.AuditService/GetLogFile": file}

    def file(self, request, token):
        self._check(token)
        if self.refusing:
            raise refuse(Reason.POLICY_DENIED)
        self.asked.append(request.path)
        size = len(self.log.leaves)
        sizes = range(size + 1)
        [bundle] = {b for s in sizes for b in tiles.bundles_of(s) if b.path == request.path}
        begin = bundle.n * TILE_WIDTH
        entries = [*self.log.leaves[begin : begin + bundle.width]]
        if self.forged:
            entries[0] = self.forged
        return au.GetLogFileResponse(content=tiles.pack_bundle(entries))


@pytest.fixture
def small() -> Iterator[SmallLog]:
    gateway = SmallLog()
    gateway.asked = []
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


def test_a_folder_of_something_else_stays(small, said, tmp_path):
    folder = tmp_path / "other"
    folder.mkdir()
    (folder / "letter").write_text("dear")
    assert "副本未能通过验证" in said("audit", "mirror", str(folder), status=1, lang="zh")
    assert [one.name for one in folder.iterdir()] == ["letter"]
