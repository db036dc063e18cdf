"""`gateway audit part|shred|forget-quarter`: what was typed is read by an auditor, and destroyed on the host with a leaf."""

from collections.abc import Iterator
from typing import Any

import pytest

from gateway.clock import SYSTEM
from gateway.config import folders
from gateway.config.settings import Settings
from gateway.errors import Reason, refuse
from gateway.store import part_key, tag_keys
from gateway.v1 import audit_service_pb2 as au
from tests.cli.small_admin import SmallAdmin, cli, served
from tests.cli.test_certificate import Host, hosted
from tests.front.stage import Stage
from tests.parted import WORDS, a_part

OLD = "2024Q2"


class SmallParts(SmallAdmin):
    """Also: one leaf with words beside it."""

    def methods(self):
        method = (self.part, au.GetSealedPartRequest)
        return {**super().methods(), "/gateway.v1.AuditService/GetSealedPart": method}

    def part(self, request, token):
        self._check(token)
        if request.index != 7:
            raise refuse(Reason.NOT_FOUND)
        return au.GetSealedPartResponse(text="because\x1b[2J of 王小明")


@pytest.fixture
def small() -> Iterator[SmallParts]:
    with served(SmallParts()) as running:
        assert isinstance(running, SmallParts)
        yield running


def test_an_auditor_reads_the_words(small, said, told, profile):
    assert told("audit", "part", "7") == {"index": 7, "text": "because\x1b[2J of 王小明"}
    shown = said("audit", "part", "7")
    assert "王小明" in shown
    assert "\x1b" not in shown
    assert cli("audit", "part", "8", "-p", str(profile)) == 1


def kinds(at: Stage, kind: str) -> list[dict[str, Any]]:
    return [leaf for leaf in at.leaves() if leaf["kind"] == kind]


def _keys(at: Stage) -> None:
    folder = at.home.secrets("administration")
    folder.mkdir(parents=True, exist_ok=True)
    part_key.make(at.home)
    tag_keys.make(at.home, SYSTEM.now_us())
    folders.write_private(tag_keys.path(at.home, OLD), b"k" * tag_keys.KEY_BYTES)


def test_words_are_destroyed_with_a_leaf_and_only_once(
    cluster: Any, database_settings: Settings, capsys: Any
) -> None:
    async def work(host: Host, at: Stage) -> None:
        _keys(at)
        (index, digest), (other, kept) = a_part(at), a_part(at)
        home = str(at.home.root)
        told = await host.told("audit", "shred", home, str(index))
        [leaf] = kinds(at, "audit.shred")
        assert (leaf["decision"], leaf["door"]) == ("allow", "host")
        assert leaf["detail"] == {"part_index": index, "part_sha256": digest.hex()}
        rows = at.sql("SELECT digest FROM gateway.audit_sealed")
        assert [bytes(one) for (one,) in rows] == [kept]
        assert told["index"] == index
        for wrong in (index, 10**9, told["leaf"]):
            refused = await host.told("audit", "shred", home, str(wrong), status=1)
            assert refused["refused"] == "NOT_FOUND"
        assert [one["decision"] for one in kinds(at, "audit.shred")] == ["allow", *["deny"] * 3]
        assert at.sql("SELECT count(*) FROM gateway.audit_sealed") == [(1,)]
        assert "王小明" not in str(at.leaves())
        assert (await host.told("audit", "shred", home, str(other)))["index"] == other

    hosted(cluster, database_settings, capsys, work)


def test_a_quarter_is_forgotten_with_a_leaf(
    cluster: Any, database_settings: Settings, capsys: Any
) -> None:
    async def work(host: Host, at: Stage) -> None:
        _keys(at)
        home, this = str(at.home.root), tag_keys.quarter_of(SYSTEM.now_us())
        at.sql(
            "INSERT INTO gateway.secret (kind, name, generation, key_id, made_us)"
            " VALUES ('subject-tag-key', %s, 1, '', 1)",
            OLD,
        )
        for wrong in (this, tag_keys.following(this), "2024Q1", "../x"):
            refused = await host.told("audit", "forget-quarter", home, wrong, status=2)
            assert refused["refused"] == "QUARTER_INVALID"
        assert kinds(at, "audit.forget") == []
        assert (await host.told("audit", "forget-quarter", home, OLD))["quarter"] == OLD
        [leaf] = kinds(at, "audit.forget")
        assert (leaf["door"], leaf["detail"]) == ("host", {"quarter": OLD})
        assert tag_keys.forgotten(at.home) == [OLD]
        rows = "SELECT ended_us IS NULL FROM gateway.secret WHERE kind = 'subject-tag-key'"
        assert at.sql(rows) == [(False,)]
        # Broken off between leaf and file, or asked twice: it is done, and told again.
        await host.told("audit", "forget-quarter", home, OLD)
        assert len(kinds(at, "audit.forget")) == 2

    hosted(cluster, database_settings, capsys, work)


def test_nothing_is_destroyed_without_the_log(
    cluster: Any, database_settings: Settings, capsys: Any
) -> None:
    """The leaf comes first: a log that cannot be written keeps key and part."""

    async def work(host: Host, at: Stage) -> None:
        _keys(at)
        index, _ = a_part(at)
        at.home.signer_socket.rename(at.home.signer_socket.with_suffix(".away"))
        try:
            for words in (("shred", str(index)), ("forget-quarter", OLD)):
                act, what = words
                refused = await host.told("audit", act, str(at.home.root), what, status=3)
                assert refused["refused"] == "SIGNER_AWAY"
        finally:
            at.home.signer_socket.with_suffix(".away").rename(at.home.signer_socket)
        assert at.sql("SELECT count(*) FROM gateway.audit_sealed") == [(1,)]
        assert tag_keys.forgotten(at.home) == []
        assert WORDS not in str(at.leaves())

    hosted(cluster, database_settings, capsys, work)
