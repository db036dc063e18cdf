"""The offline verifier: a whole folder passes, and each single thing wrong has its own code."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.audit.verify import verify_folder
from gateway.tlog.checkpoint import Checkpoint
from gateway.tlog.merkle import EMPTY_ROOT, leaf_hash, root_of
from gateway.tlog.note import Signer
from gateway.tlog.tiles import Tile, pack_bundle
from tests.audit.folder import ORIGIN, SIGNER, leaf, put, signed, write

SIZES = [0, 1, 2, 255, 256, 257, 600]
ENTRIES = [leaf(i) for i in range(600)]


def codes(folder: Path, older: tuple[str, ...] = ()) -> list[str]:
    report = verify_folder(folder, SIGNER.verifier, older=older)
    return [each.code for each in report.failures]


@pytest.mark.parametrize("size", SIZES)
def test_a_whole_log_passes(tmp_path: Path, size: int) -> None:
    steps: list[tuple[int, int]] = []
    folder = write(tmp_path / "log", ENTRIES[:size])
    report = verify_folder(folder, SIGNER.verifier, progress=lambda *step: steps.append(step))
    assert report.failures == ()
    assert report.notices == ()
    assert report.checkpoint is not None
    assert report.checkpoint.size == size
    assert report.judging.decisions.total() == size
    assert steps[-1:] == ([(size, size)] if size else [])


def test_what_the_leaves_say_together_is_in_the_report(tmp_path: Path) -> None:
    entries = [leaf(0, kind="export.begin", request_id="r"), leaf(1), leaf(1), b"{}"]
    report = verify_folder(write(tmp_path / "log", entries), SIGNER.verifier)
    assert [each.code for each in report.failures] == ["LEAF_FIELDS"]
    assert {each.code for each in report.notices} == {"LEAF_REPEATED", "BEGIN_WITHOUT_END"}


def test_a_log_with_two_levels_of_tiles(tmp_path: Path) -> None:
    entries = [leaf(i) for i in range(65_536 + 256 + 3)]
    folder = write(tmp_path / "log", entries)
    assert codes(folder) == []
    for tile in (Tile(1, 0), Tile(1, 1, 1), Tile(2, 0, 1)):
        content = (folder / tile.path).read_bytes()
        put(folder, tile, bytes(32) + content[32:])
        assert codes(folder) == ["TILE_DIFFERS"]
        put(folder, tile, content)


def test_older_checkpoints_are_proven(tmp_path: Path) -> None:
    folder = write(tmp_path / "log", ENTRIES)
    notes = tuple(signed(ENTRIES[:size]) for size in SIZES)
    report = verify_folder(folder, SIGNER.verifier, older=notes)
    assert report.failures == ()
    assert report.older_sizes == tuple(SIZES)


def test_older_checkpoints_that_do_not_fit(tmp_path: Path) -> None:
    folder = write(tmp_path / "log", ENTRIES[:300])
    assert codes(folder, (signed(ENTRIES[:301]),)) == ["LOG_SHORTENED"]
    assert codes(folder, (signed([leaf(9)]),)) == ["HISTORY_DIFFERS"]
    assert codes(folder, (signed(ENTRIES[:3], Signer(ORIGIN, bytes(32))),)) == ["SIGNATURE_MISSING"]
    assert codes(folder, ("nonsense",)) == ["NOTE_FORM"]


def change(path: str, how: Callable[[bytes], bytes | None]) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        file = folder / path
        content = how(file.read_bytes())
        if content is None:
            file.unlink()
        else:
            file.write_bytes(content)

    return damage


def gone(_: bytes) -> None:
    return None


BUNDLE, PARTIAL = "tile/entries/000", "tile/entries/002.p/88"
DAMAGES: dict[str, tuple[Callable[[Path], None], list[str]]] = {
    "no checkpoint": (change("checkpoint", gone), ["CHECKPOINT_MISSING"]),
    "checkpoint not text": (change("checkpoint", lambda _: b"\xff"), ["CHECKPOINT_MISSING"]),
    "checkpoint empty": (change("checkpoint", lambda _: b""), ["NOTE_FORM"]),
    "size edited": (
        change("checkpoint", lambda c: c.replace(b"600", b"599")),
        ["SIGNATURE_INVALID"],
    ),
    "no signature": (change("checkpoint", lambda c: c[: c.index(b"\xe2")]), ["NOTE_FORM"]),
    "stranger's signature": (
        change("checkpoint", lambda _: signed(ENTRIES, Signer(ORIGIN, bytes(32))).encode()),
        ["SIGNATURE_MISSING"],
    ),
    "another log's checkpoint": (
        change(
            "checkpoint", lambda _: Checkpoint("other/log", 0, EMPTY_ROOT).signed(SIGNER).encode()
        ),
        ["CHECKPOINT_ORIGIN"],
    ),
    "an entry edited": (
        change(BUNDLE, lambda c: c.replace(b"upload", b"uplaod", 1)),
        ["ENTRY_DIFFERS"],
    ),
    "a bundle missing": (change(BUNDLE, gone), ["BUNDLE_MISSING"]),
    "a partial bundle missing": (change(PARTIAL, gone), ["BUNDLE_MISSING"]),
    "a bundle cut": (change(BUNDLE, lambda c: c[:-1]), ["BUNDLE_SHORT"]),
    "a bundle with one byte more": (change(BUNDLE, lambda c: c + b"x"), ["BUNDLE_TRAILING"]),
    "a tile missing": (change("tile/0/000", gone), ["TILE_MISSING"]),
    "a partial tile missing": (change("tile/0/002.p/88", gone), ["TILE_MISSING"]),
    "a tile cut": (change("tile/0/001", lambda c: c[:-1]), ["TILE_LENGTH"]),
    "a hash edited": (
        change("tile/0/001", lambda c: bytes(32) + c[32:]),
        ["ENTRY_DIFFERS", "TILE_DIFFERS", "ROOT_DIFFERS"],
    ),
    "an upper hash edited": (
        change("tile/1/000.p/2", lambda c: bytes(32) + c[32:]),
        ["TILE_DIFFERS"],
    ),
    "an upper tile missing": (change("tile/1/000.p/2", gone), ["TILE_MISSING"]),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_every_damage_has_its_code(tmp_path: Path, name: str) -> None:
    damage, expected = DAMAGES[name]
    folder = write(tmp_path / "log", ENTRIES)
    damage(folder)
    assert codes(folder) == expected


def test_a_bundle_and_its_tile_missing_ends_the_pass(tmp_path: Path) -> None:
    folder = write(tmp_path / "log", ENTRIES)
    (folder / BUNDLE).unlink()
    (folder / "tile/0/000").unlink()
    assert codes(folder) == ["TILE_MISSING", "BUNDLE_MISSING"]


def test_entries_with_their_tile_replaced_are_found_by_the_root(tmp_path: Path) -> None:
    folder = write(tmp_path / "log", ENTRIES[:100])
    others = [leaf(i, kind="other") for i in range(100)]
    put(folder, Tile(None, 0, 100), pack_bundle(others))
    put(folder, Tile(0, 0, 100), b"".join(map(leaf_hash, others)))
    assert codes(folder) == ["ROOT_DIFFERS"]


def test_a_leaf_that_is_no_leaf(tmp_path: Path) -> None:
    entries = [b'{"a":1 }', b'{"decision":"allow","kind":"a"}', b"x" * 65_535]
    assert codes(write(tmp_path / "log", entries)) == ["LEAF_FORM", "LEAF_FIELDS", "LEAF_FORM"]
    assert root_of([leaf_hash(each) for each in entries])


def pruned(folder: Path, said: bytes, gone: int) -> Path:
    """The log without its first `gone` bundles, and what it says of that."""
    write(folder, ENTRIES)
    (folder / "minimum-index").write_bytes(said)
    for n in range(gone):
        (folder / Tile(None, n).path).unlink()
    return folder


PRUNED = [
    (b"0\n", 0, 0, []),
    (b"512\n", 2, 512, []),
    (b"512\n", 2, 600, []),
    # What may be missing need not be, and is judged where it is there.
    (b"512\n", 1, 512, []),
    # A bundle that holds an entry from the minimum on may not be missing.
    (b"511\n", 2, 511, ["BUNDLE_MISSING"]),
    # Nobody said that it was right to leave them out.
    (b"512\n", 2, 0, ["ENTRIES_PRUNED"]),
    (b"512\n", 2, 511, ["ENTRIES_PRUNED"]),
    (b"601\n", 0, 601, ["MINIMUM_FORM"]),
    (b"0512\n", 2, 512, ["MINIMUM_FORM", "BUNDLE_MISSING", "BUNDLE_MISSING"]),
    (b"-1\n", 0, 0, ["MINIMUM_FORM"]),
    (b"9" * 5000, 0, 0, ["MINIMUM_FORM"]),
]


@pytest.mark.parametrize(("said", "gone", "accepted", "expected"), PRUNED)
def test_entries_that_were_left_out(
    tmp_path: Path, said: bytes, gone: int, accepted: int, expected: list[str]
) -> None:
    folder = pruned(tmp_path / "log", said, gone)
    report = verify_folder(
        folder,
        SIGNER.verifier,
        minimum=accepted,
        older=[signed(ENTRIES[:9]), signed(ENTRIES[:400])],
    )
    assert [each.code for each in report.failures] == expected
    # Their hashes are all there: older checkpoints are proven all the same.
    assert report.older_sizes == (9, 400)
    assert report.judging.decisions.total() == 600 - 256 * gone


def test_a_tile_is_never_left_out(tmp_path: Path) -> None:
    folder = pruned(tmp_path / "log", b"512\n", 2)
    (folder / "tile/0/000").unlink()
    report = verify_folder(folder, SIGNER.verifier, minimum=512)
    assert [each.code for each in report.failures] == ["TILE_MISSING", "BUNDLE_MISSING"]


def test_it_needs_no_database_and_no_network() -> None:
    """The verifier runs where nothing but these files is: psycopg, grpc and ssl stay unloaded."""
    program = (
        "import sys, gateway.audit.verify;"
        "print(sorted({'psycopg', 'grpc', 'ssl', 'sqlalchemy', 'gateway.store'} & set(sys.modules)))"
    )
    said = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, check=True, text=True
    )
    assert said.stdout == "[]\n"
