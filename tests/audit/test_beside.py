"""What the verifier says of side parts: whole, destroyed by a leaf, or each thing wrong by its code."""

import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.audit.verify import Report, verify_folder
from tests.audit.folder import SIGNER, leaf, write

CONTENT = {number: bytes([number]) * (16 + 80) for number in (1, 2, 3)}
DIGESTS = {number: hashlib.sha256(content).hexdigest() for number, content in CONTENT.items()}


def shred(index: int, target: object, digest: object, **fields: object) -> bytes:
    """The leaf by which a part was destroyed."""
    detail = {"part_index": target, "part_sha256": digest}
    return leaf(index, kind="audit.shred", detail=detail, **fields)


ENTRIES = [
    leaf(0),
    *(leaf(number, sealed=digest) for number, digest in DIGESTS.items()),
    shred(4, 2, DIGESTS[2]),
]


def parted(folder: Path, entries: list[bytes] = ENTRIES, numbers: tuple[int, ...] = (1, 3)) -> Path:
    """The folder of these entries with these parts."""
    write(folder, entries)
    (folder / "sealed").mkdir()
    for number in numbers:
        (folder / "sealed" / DIGESTS[number]).write_bytes(CONTENT[number])
    return folder


def verified(folder: Path) -> Report:
    return verify_folder(folder, SIGNER.verifier)


def wrong(folder: Path) -> list[tuple[str, str]]:
    return [(each.code, each.where) for each in verified(folder).failures]


def test_whole_and_destroyed_by_a_leaf(tmp_path: Path) -> None:
    report = verified(parted(tmp_path / "log"))
    assert report.failures == ()
    beside = report.judging.beside
    assert (beside.whole, beside.shredded) == ([1, 3], {2: 4})


def change(number: int, content: bytes | None) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        file = folder / "sealed" / DIGESTS[number]
        if content is None:
            file.unlink()
        else:
            file.write_bytes(content)

    return damage


BESIDE: dict[str, tuple[Callable[[Path], None], list[tuple[str, str]]]] = {
    "a part missing": (change(1, None), [("SEALED_MISSING", "entry 1")]),
    "all parts missing": (
        lambda folder: shutil.rmtree(folder / "sealed"),
        [("SEALED_MISSING", "entry 1"), ("SEALED_MISSING", "entry 3")],
    ),
    "a byte of a part altered": (change(3, CONTENT[3][:-1] + b"x"), [("SEALED_DIFFERS", "entry 3")]),
    "its salt altered": (change(3, b"x" + CONTENT[3][1:]), [("SEALED_DIFFERS", "entry 3")]),
    "a part cut": (change(3, b""), [("SEALED_DIFFERS", "entry 3")]),
    "another's part": (change(1, CONTENT[3]), [("SEALED_DIFFERS", "entry 1")]),
    "the destroyed part is there": (change(2, CONTENT[2]), [("SEALED_KEPT", "entry 2")]),
}  # fmt: skip


@pytest.mark.parametrize("name", BESIDE)
def test_every_damage_has_its_code(tmp_path: Path, name: str) -> None:
    damage, expected = BESIDE[name]
    folder = parted(tmp_path / "log")
    damage(folder)
    assert wrong(folder) == expected


# What a leaf may claim, and what is said of it; the part of entry 1 is gone.
CLAIMS: dict[str, tuple[bytes, list[str]]] = {
    "of this part": (shred(5, 1, DIGESTS[1]), []),
    "of another part": (shred(5, 3, DIGESTS[1]), ["SHRED_STRANGE", "SEALED_MISSING"]),
    "another's digest": (shred(5, 1, DIGESTS[3]), ["SHRED_STRANGE", "SEALED_MISSING"]),
    "of a leaf without one": (shred(5, 0, DIGESTS[1]), ["SHRED_STRANGE", "SEALED_MISSING"]),
    "of a leaf to come": (shred(5, 5, DIGESTS[1]), ["SHRED_STRANGE", "SEALED_MISSING"]),
    "refused": (shred(5, 1, DIGESTS[1], decision="deny"), ["SEALED_MISSING"]),
    "of text": (shred(5, "1", DIGESTS[1]), ["SHRED_STRANGE", "SEALED_MISSING"]),
    "without detail": (leaf(5, kind="audit.shred"), ["SHRED_STRANGE", "SEALED_MISSING"]),
    "detail of a kind of its own": (
        leaf(5, kind="audit.shred", detail="x"),
        ["SHRED_STRANGE", "SEALED_MISSING"],
    ),
    "of another kind": (
        leaf(5, detail={"part_index": 1, "part_sha256": DIGESTS[1]}),
        ["SEALED_MISSING"],
    ),
}


@pytest.mark.parametrize("name", CLAIMS)
def test_only_a_leaf_about_this_very_part_excuses_it(tmp_path: Path, name: str) -> None:
    entry, expected = CLAIMS[name]
    folder = parted(tmp_path / "log", [*ENTRIES, entry], (3,))
    assert [code for code, _ in wrong(folder)] == expected


def foretold(folder: Path) -> Path:
    """A leaf that tells of the end of a part which only comes after it."""
    return parted(folder, [shred(0, 1, DIGESTS[1]), leaf(1, sealed=DIGESTS[1])], ())


def test_what_is_foretold_excuses_nothing(tmp_path: Path) -> None:
    expected = [("SHRED_STRANGE", "entry 0"), ("SEALED_MISSING", "entry 1")]
    assert wrong(foretold(tmp_path / "log")) == expected


NAMES = ("../checkpoint", "", "x", DIGESTS[1].upper(), DIGESTS[1] + "/", ".", 7, ["x"])


@pytest.mark.parametrize("name", NAMES)
def test_what_is_no_digest_names_no_file(tmp_path: Path, name: object) -> None:
    folder = parted(tmp_path / "log", [leaf(0, sealed=name)])
    assert wrong(folder) == [("SEALED_MISSING", "entry 0")]


def pruned_part(folder: Path, target: int) -> Path:
    """600 entries without the first 256; entry 599 destroyed a part of `target`."""
    entries = [leaf(number) for number in range(599)]
    entries[3], entries[270] = leaf(3, sealed=DIGESTS[1]), leaf(270, sealed=DIGESTS[3])
    write(folder, [*entries, shred(599, target, DIGESTS[1])])
    (folder / "tile/entries/000").unlink()
    (folder / "sealed").mkdir()
    (folder / "sealed" / DIGESTS[3]).write_bytes(CONTENT[3])
    (folder / "minimum-index").write_text("300\n")
    return folder


@pytest.mark.parametrize(
    ("target", "expected"),
    [(3, []), (299, []), (270, ["SHRED_STRANGE"]), (300, ["SHRED_STRANGE"])],
)
def test_a_leaf_left_out_may_have_had_a_part(
    tmp_path: Path, target: int, expected: list[str]
) -> None:
    """Entries before the minimum are not asked for; what is there all the same is judged."""
    report = verify_folder(pruned_part(tmp_path / "log", target), SIGNER.verifier, minimum=300)
    assert [each.code for each in report.failures] == expected
