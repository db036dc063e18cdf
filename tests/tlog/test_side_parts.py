"""Which side parts leaves name, and which end is told: by index and digest both, and only afterwards."""

import pytest

from gateway.tlog.side_parts import Naming, path_of
from tests.audit.folder import leaf

ONE, TWO = "1" * 64, "2" * 64


def naming(*entries: bytes) -> Naming:
    found = Naming()
    for index, entry in enumerate(entries):
        found.take(index, entry)
    return found


def shred(index: int, target: object, digest: str, **fields: object) -> bytes:
    detail = {"part_index": target, "part_sha256": digest}
    return leaf(index, kind="audit.shred", detail=detail, **fields)


def test_what_is_named_and_what_is_destroyed() -> None:
    found = naming(leaf(0), leaf(1, sealed=ONE), leaf(2, sealed=TWO), shred(3, 1, ONE))
    assert found.named == {1: ONE, 2: TWO}
    assert (found.digests(), found.destroyed()) == ({ONE, TWO}, {ONE})
    assert path_of(ONE) == f"sealed/{ONE}"


@pytest.mark.parametrize(
    "claim",
    [
        shred(1, 0, TWO),
        shred(1, 1, ONE),
        shred(1, 2, ONE),
        shred(1, "0", ONE),
        shred(1, 0, ONE, decision="deny"),
        leaf(1, kind="audit.shred"),
        leaf(1, detail={"part_index": 0, "part_sha256": ONE}),
    ],
)
def test_a_claim_about_another_part_destroys_none(claim: bytes) -> None:
    assert naming(leaf(0, sealed=ONE), claim).destroyed() == set()


def test_what_is_told_before_it_is_there_destroys_none() -> None:
    assert naming(shred(0, 1, ONE), leaf(1, sealed=ONE)).destroyed() == set()


@pytest.mark.parametrize("name", ["../checkpoint", "x", ONE.upper().replace("1", "A"), 7, ["x"]])
def test_what_is_no_digest_names_no_part(name: object) -> None:
    assert naming(leaf(0, sealed=name)).digests() == set()


def test_what_is_no_leaf_is_passed_over() -> None:
    assert naming(b'{"sealed":"', b'"sealed":"x', leaf(2, sealed=ONE)).named == {2: ONE}
