"""`gateway audit search|tail|show`: what an auditor finds, page by page, and proves by himself."""

from collections.abc import Iterator, Sequence

import pytest
import typer

from gateway.cli import audit, audit_parts
from gateway.cli.audit import _moment
from gateway.client.secret import Secret
from gateway.errors import Reason, refuse
from gateway.v1 import audit_service_pb2 as au
from tests.audit.folder import NOW_US, leaf
from tests.cli.small_admin import SmallAdmin, cli, served
from tests.client.small_gateway import Log

_AUDIT = "/gateway.v1.AuditService/"
LEAVES = [
    leaf(
        i * 1_000_000,
        kind=("upload", "tls.refused")[i % 2],
        organisation="140105",
        account=f"c{i % 3}.up",
    )
    for i in range(7)
]


class SmallAudit(SmallAdmin):
    """Also: a log to look into. Every look is a leaf."""

    queries: list[au.SearchLeavesRequest]
    forged: Log | None = None
    forgotten: Sequence[str] = ()
    unknown: Sequence[str] = ()

    def methods(self):
        return {
            **super().methods(),
            f"{_AUDIT}SearchLeaves": (self.search, au.SearchLeavesRequest),
            f"{_AUDIT}GetLeaf": (self.leaf, au.GetLeafRequest),
        }

    def search(self, request, token):
        """At most three to a page."""
        self._check(token)
        self.queries.append(request)
        before = int(request.page_token or len(self.log.leaves))
        first = max(0, before - min(request.page_size, 3))
        found = [au.Leaf(index=i, leaf=self.log.leaves[i]) for i in reversed(range(first, before))]
        self.log.append(
            leaf(len(self.log.leaves) * 1_000_000, kind="audit.search", account="uploader")
        )
        return au.SearchLeavesResponse(
            leaves=found,
            next_page_token=str(first) if first else "",
            forgotten_quarters=self.forgotten,
            unknown_quarters=self.unknown,
        )

    def leaf(self, request, token):
        self._check(token)
        if request.index >= len(self.log.leaves):
            raise refuse(Reason.NOT_FOUND)
        found = au.Leaf(index=request.index, leaf=self.log.leaves[request.index])
        return au.GetLeafResponse(leaf=found, proof=(self.forged or self.log).proof(request.index))


@pytest.fixture
def small() -> Iterator[SmallAudit]:
    gateway = SmallAudit()
    gateway.queries = []
    for each in LEAVES:
        gateway.log.append(each)
    with served(gateway) as running:
        assert isinstance(running, SmallAudit)
        yield running


def test_search_asks_for_every_page_up_to_the_limit(small, told):
    assert [each["index"] for each in told("audit", "search")["leaves"]] == [6, 5, 4, 3, 2, 1, 0]
    assert [each["index"] for each in told("audit", "search", "--limit", "4")["leaves"]] == [
        9,
        8,
        7,
        6,
    ]


def test_search_sends_every_filter(small, told):
    told(
        "audit", "search", "--since", "2026-09-01", "--until", "2026-09-02T12:00:00+00:00", "--organisation", "140105",
        "--kind", "upload", "--decision", "deny", "--reason", "CERT_REVOKED", "--request-id", "r",
    )  # fmt: skip
    query = small.queries[0]
    assert query.from_time.ToJsonString() == "2026-08-31T16:00:00Z"
    assert query.until_time.ToJsonString() == "2026-09-02T12:00:00Z"
    assert (query.organisation_code, query.kind, query.decision) == ("140105", "upload", "deny")
    assert (query.reason, query.request_id) == ("CERT_REVOKED", "r")


def test_a_childs_code_comes_from_a_file_or_a_prompt(small, told, said, tmp_path, monkeypatch):
    file = tmp_path / "child"
    file.write_text("140105202600000012\n")
    small.forgotten, small.unknown = ["2024Q2"], ["2024Q3"]
    found = told("audit", "search", "--child-file", str(file))
    assert (small.queries[0].child_code, found["forgotten_quarters"]) == (
        "140105202600000012",
        ["2024Q2"],
    )
    assert found["unknown_quarters"] == ["2024Q3"]
    shown = said("audit", "search", "--child-file", str(file))
    assert ("2024Q2" in shown, "2024Q3" in shown) == (True, True)
    monkeypatch.setattr(audit_parts, "prompt", lambda *_: Secret("140105202600000013"))
    told("audit", "search", "--child")
    assert small.queries[-1].child_code == "140105202600000013"
    small.forgotten, small.unknown = [], []
    assert told("audit", "search")["forgotten_quarters"] == []


def test_search_for_people(small, said):
    shown = said("audit", "search")
    assert "tls.refused" in shown
    assert "c1.up" in shown
    assert "request id" in shown
    assert "操作者" in said("audit", "search", lang="zh")


def test_a_time_that_is_none(profile):
    assert cli("audit", "search", "--since", "yesterday", "-p", str(profile)) == 2
    with pytest.raises(typer.BadParameter):
        _moment("x", "--since")


def test_tail_shows_the_newest_oldest_first(small, told, said):
    assert [each["index"] for each in told("audit", "tail", "-n", "2")["leaves"]] == [5, 6]
    assert "audit.search" in said("audit", "tail", "-n", "1")


def test_tail_follows_but_does_not_show_its_own_looking(small, said, monkeypatch):
    rounds = []

    async def wait(_):
        rounds.append(len(small.log.leaves))
        if len(rounds) == 4:
            raise KeyboardInterrupt
        small.log.append(
            leaf(900_000_000 + len(rounds), kind="upload", account=f"new{len(rounds)}.up")
        )

    monkeypatch.setattr(audit.asyncio, "sleep", wait)
    shown = said("audit", "tail", "--follow", "-n", "1")
    assert shown.startswith("6  ")
    assert [word for word in ("new1.up", "new2.up", "new3.up") if word in shown] == [
        "new1.up",
        "new2.up",
        "new3.up",
    ]
    assert shown.count("new1.up") == 1
    assert "audit.search" not in shown


def test_follow_is_not_for_json(profile):
    assert cli("audit", "tail", "--follow", "--json", "-p", str(profile)) == 2


def test_show_proves_the_leaf(small, told, said):
    shown = told("audit", "show", "3")
    assert (shown["index"], shown["kind"], shown["proven_size"]) == (3, "tls.refused", 7)
    assert shown["time_us"] == NOW_US + 3_000_000
    assert "Proven: this entry is on the signed log of 7 entries" in said("audit", "show", "3")


def test_show_refuses_what_is_not_proven(small, told):
    small.forged = Log(seed=bytes(32))
    for each in LEAVES:
        small.forged.append(each)
    assert told("audit", "show", "3", status=1)["refused"] == "SIGNATURE_MISSING"
    small.forged = Log()
    small.forged.signers = [small.log.signer]
    for each in LEAVES[::-1]:
        small.forged.append(each)
    assert told("audit", "show", "2", status=1)["refused"] == "ROOT_DIFFERS"


def test_an_entry_that_is_not_there(told):
    assert told("audit", "show", "99", status=1)["refused"] == "NOT_FOUND"


def test_what_came_over_a_weak_origin_is_marked_counted_and_found(small, told, said):
    """Decision 0003: an auditor sees and finds it."""
    assert "WEAK" not in said("audit", "search")
    for strength in ("weak", "proven", "weak", "weak"):
        number = len(small.log.leaves)
        small.log.append(leaf(number * 1_000_000, kind="upload.weakness", strength=strength))
    english = said("audit", "search", "--kind", "x")
    assert "! 3 of these came over a WEAK origin" in english
    assert "proven" in english
    assert "3 条来源为弱" in said("audit", "search", lang="zh")
    assert "WEAK" in said("audit", "tail")
    found = told("audit", "search", "--weak", "--limit", "2")["leaves"]
    assert [each["strength"] for each in found] == ["weak", "weak"]
    assert len(told("audit", "search", "--weak")["leaves"]) == 3
