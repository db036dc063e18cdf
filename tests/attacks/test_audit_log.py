"""The twelve attacks of reference/audit.md section 5 on a log of 1,500 entries, outside checkpoint at 1,200.

Each is run against the verifier alone and with the checkpoint that somebody outside kept. What the
table says is missed is missed here too: that is the un-witnessed tail, and no promise of ours.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from gateway.audit.verify import verify_folder
from gateway.tlog import tiles
from gateway.tlog.note import Signer
from tests.audit.folder import ORIGIN, SIGNER, leaf, put, signed, write

Entries = Sequence[bytes]
LOG = [leaf(i) for i in range(1500)]
OUTSIDE = signed(LOG[:1200])
EDITED = [*LOG[:500], leaf(500, decision="deny"), *LOG[501:]]


def edit_only(folder: Path) -> None:
    write(folder, LOG)
    place = tiles.Tile(None, 1)
    put(folder, place, tiles.pack_bundle(EDITED[256:512]))


def rebuilt(entries: Entries, note: str | None = None) -> Callable[[Path], None]:
    return lambda folder: (write(folder, entries, note), None)[1]


# name: (attack, found alone, found with the outside checkpoint); None: missed
ATTACKS: dict[str, tuple[Callable[[Path], None], str | None, str | None]] = {
    "1 edit an entry file": (edit_only, "ENTRY_DIFFERS", "ENTRY_DIFFERS"),
    "2 edit and rebuild, no key": (rebuilt(EDITED, signed(LOG)), "ROOT_DIFFERS", "ROOT_DIFFERS"),
    "3 rebuild, other key": (
        rebuilt(EDITED, signed(EDITED, Signer(ORIGIN, bytes(32)))),
        "SIGNATURE_MISSING",
        "SIGNATURE_MISSING",
    ),
    "4 rebuild, stolen key": (rebuilt(EDITED), None, "HISTORY_DIFFERS"),
    "5 delete one": (rebuilt([*LOG[:500], *LOG[501:]]), None, "HISTORY_DIFFERS"),
    "6 reorder": (rebuilt([*LOG[:500], LOG[501], LOG[500], *LOG[502:]]), None, "HISTORY_DIFFERS"),
    "7 insert": (rebuilt([*LOG[:500], leaf(499, kind="x"), *LOG[500:]]), None, "HISTORY_DIFFERS"),
    "8 truncate below the witnessed size": (rebuilt(LOG[:1100]), None, "LOG_SHORTENED"),
    "10 old backup with its genuine checkpoint": (
        rebuilt(LOG[:900], signed(LOG[:900])),
        None,
        "LOG_SHORTENED",
    ),
    "9 truncate above the witnessed size": (rebuilt(LOG[:1300]), None, None),
    "11 fork after the witnessed size": (
        rebuilt([*LOG[:1300], *(leaf(i, kind="x") for i in range(1300, 1500))]),
        None,
        None,
    ),
    "12 delete rows of the tail": (rebuilt([*LOG[:1300], *LOG[1310:]]), None, None),
}


@pytest.mark.parametrize("name", ATTACKS)
def test_attack(tmp_path: Path, name: str) -> None:
    attack, alone, with_checkpoint = ATTACKS[name]
    attack(tmp_path / "log")
    for older, expected in (((), alone), ((OUTSIDE,), with_checkpoint)):
        report = verify_folder(tmp_path / "log", SIGNER.verifier, older=older)
        found = [each.code for each in report.failures]
        assert (expected in found) if expected else (found == [])


def test_the_untouched_log_passes(tmp_path: Path) -> None:
    report = verify_folder(write(tmp_path / "log", LOG), SIGNER.verifier, older=[OUTSIDE])
    assert (report.failures, report.notices, report.older_sizes) == ((), (), (1200,))
