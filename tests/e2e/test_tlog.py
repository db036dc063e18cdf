"""Go's x/mod/sumdb verifies our export and our vectors, and rejects each tampering (`make e2e-tlog`).

The packages note and tlog are those that every Go toolchain carries for its own checksum database; `tlog/main.go`
brings them files. Nothing is fetched.
"""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from gateway.tlog import proof
from gateway.tlog.checkpoint import Checkpoint
from gateway.tlog.merkle import inclusion_path, leaf_hash, root_of
from tests.attacks.test_audit_log import ATTACKS, LOG, OUTSIDE
from tests.audit.folder import ORIGIN, SIGNER, cosigned, leaf, signed, witness, write
from tests.audit.test_verify import DAMAGES, ENTRIES

PROJECT = Path(__file__).parent / "tlog"
VECTORS = Path(__file__).parents[2] / "docs" / "vectors"
# A cold cache compiles the standard library first.
BUILD_TIMEOUT_S = 300
# Where a Go toolchain keeps x/mod.
PACKAGES = Path("src/cmd/vendor/golang.org/x/mod/sumdb")
GO = shutil.which("go")


def said(name: str) -> str:
    """What the toolchain says of its environment."""
    assert GO is not None
    return subprocess.run(
        [GO, "env", name], capture_output=True, text=True, check=False, env=os.environ | {"GOTOOLCHAIN": "local"}
    ).stdout.strip()  # fmt: skip


def toolchain() -> Path | None:
    """Where the toolchain with its own x/mod is; None where there is none."""
    if GO is None:
        return None
    root = Path(said("GOROOT"))
    return root if (root / PACKAGES / "tlog" / "tlog.go").exists() else None


ROOT = toolchain()
pytestmark = [
    pytest.mark.serial,
    pytest.mark.timeout(BUILD_TIMEOUT_S),
    pytest.mark.skipif(ROOT is None, reason="needs a Go toolchain with its x/mod: no go here"),
]


@pytest.fixture(scope="module")
def verifier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program, built from main.go and the toolchain's own x/mod."""
    assert ROOT is not None
    assert GO is not None
    place = tmp_path_factory.mktemp("tlog")
    for package in ("note", "tlog"):
        shutil.copytree(ROOT / PACKAGES / package, place / "mod" / "sumdb" / package)
    language = "go " + said("GOVERSION").removeprefix("go")
    (place / "mod" / "go.mod").write_text(f"module golang.org/x/mod\n\n{language}\n")
    shutil.copy(PROJECT / "main.go", place)
    (place / "go.mod").write_text(
        f"module verify\n\n{language}\n\nrequire golang.org/x/mod v0.0.0\n\nreplace golang.org/x/mod => ./mod\n"
    )
    environment = os.environ | {
        "GOPROXY": "off", "GOTOOLCHAIN": "local", "GOFLAGS": "-mod=mod", "GOWORK": "off",
    }  # fmt: skip
    built = subprocess.run(
        [GO, "build", "-o", "verify", "."],
        cwd=place, env=environment, capture_output=True, text=True, timeout=BUILD_TIMEOUT_S, check=False,
    )  # fmt: skip
    assert built.returncode == 0, built.stderr
    return place / "verify"


def run(verifier: Path, *words: object) -> tuple[int, str]:
    done = subprocess.run(
        [verifier, *map(str, words)], capture_output=True, text=True, timeout=60, check=False
    )
    assert bool(done.stdout) is (done.returncode == 0)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("size", [0, 1, 255, 256, 257, 600, 66_000])
def test_go_verifies_what_we_export(verifier: Path, tmp_path: Path, size: int) -> None:
    entries = [leaf(i) for i in range(size)]
    folder, older = write(tmp_path / "log", entries), tmp_path / "older"
    older.write_text(signed(entries[: size // 2]))
    words = ("-older", older) if size > 1 else ()
    status, said = run(verifier, "log", folder, SIGNER.verifier, *words)
    assert status == 0, said
    assert f"size={size} " in said
    assert f"older={len(words) // 2}" in said


@pytest.mark.parametrize("name", DAMAGES)
def test_go_rejects_every_damage(verifier: Path, tmp_path: Path, name: str) -> None:
    folder = write(tmp_path / "log", ENTRIES)
    assert run(verifier, "log", folder, SIGNER.verifier)[0] == 0
    DAMAGES[name][0](folder)
    assert run(verifier, "log", folder, SIGNER.verifier)[0] == 1


@pytest.mark.parametrize("name", ATTACKS)
def test_go_and_we_agree_on_every_attack(verifier: Path, tmp_path: Path, name: str) -> None:
    """What our verifier finds Go finds, alone and with an outside checkpoint; what it misses is missed."""
    attack, alone, with_checkpoint = ATTACKS[name]
    attack(tmp_path / "log")
    older = tmp_path / "older"
    older.write_text(OUTSIDE)
    for words, expected in (((), alone), (("-older", older), with_checkpoint)):
        status, said = run(verifier, "log", tmp_path / "log", SIGNER.verifier, *words)
        assert status == (1 if expected else 0), said


def test_go_verifies_our_receipts(verifier: Path, tmp_path: Path) -> None:
    hashes = [leaf_hash(each) for each in LOG[:300]]
    note = Checkpoint(ORIGIN, 300, root_of(hashes)).signed(SIGNER)
    path = inclusion_path(lambda level, n: root_of(hashes[n << level : (n + 1) << level]), 77, 300)
    file, entry = tmp_path / "receipt.tlog-proof", tmp_path / "entry"
    file.write_text(proof.Proof(77, tuple(path), note, b"salt").text())
    entry.write_bytes(LOG[77])
    assert run(verifier, "proof", file, entry, SIGNER.verifier) == (
        0,
        "index=77 size=300 signatures=1\n",
    )
    entry.write_bytes(LOG[78])
    assert run(verifier, "proof", file, entry, SIGNER.verifier)[0] == 1


def test_go_verifies_the_published_vectors(verifier: Path, tmp_path: Path) -> None:
    vectors = json.loads((VECTORS / "vectors.json").read_text())
    cosigner = ("-cosigner", vectors["witnesses"]["ed25519"]["vkey"])
    entry = tmp_path / "entry"
    for one in vectors["receipts"]:
        entry.write_text(one["entry"])
        words = (VECTORS / one["file"], entry, vectors["log"]["vkey"])
        status, said = run(verifier, "proof", *words, *cosigner)
        assert status == 0, said
        assert f"signatures={one['signatures']['ed25519']}" in said
        entry.write_text(one["entry"].replace("upload", "uplaod"))
        assert run(verifier, "proof", *words)[0] == 1


def test_go_verifies_our_cosignatures_and_rejects_a_moved_one(
    verifier: Path, tmp_path: Path
) -> None:
    """The log's lines and two witnesses' on one checkpoint; a line of another checkpoint is false."""
    folder = write(tmp_path / "log", ENTRIES, cosigned(ENTRIES, 1, 2))
    known = [word for number in (1, 2) for word in ("-cosigner", witness(number).key)]
    status, said = run(verifier, "log", folder, SIGNER.verifier, *known)
    assert (status, "signatures=3" in said) == (0, True), said
    moved = cosigned(ENTRIES[:9], 1).rpartition("\n\n")[2].split("\n", 1)[1]
    (folder / "checkpoint").write_text(signed(ENTRIES) + moved)
    assert run(verifier, "log", folder, SIGNER.verifier, *known)[0] == 1
